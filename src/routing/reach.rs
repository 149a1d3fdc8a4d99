//! Every group that may serve a request, for whoever has to know the worst before anything is called.
//!
//! More than one request will ever be served by: which of them are called, and when, is the plan's.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::fallback::list;
use super::plan::Ask;
use super::settings::{Fallback, Settings};
use crate::catalog::{Catalog, Resolved};
use crate::failure::FailureClass;

/// The classes of failures that may have lists of their own.
const CLASSES: [Option<FailureClass>; 3] =
    [None, Some(FailureClass::ContextWindow), Some(FailureClass::ContentPolicy)];

/// A group, and what the list that names it replaces in the body.
#[derive(Clone, Debug)]
pub struct Reached {
    pub resolved: Resolved,
    pub params: Vec<(Box<str>, Box<RawValue>)>,
}

/// The groups; the one that is asked for comes first. Empty: nothing has its name.
#[must_use]
pub fn may_serve(catalog: &Catalog, settings: &Settings, ask: &Ask<'_>) -> Vec<Reached> {
    let Some(asked) = catalog.asked(ask.model) else { return Vec::new() };
    let mut reached = vec![Reached { resolved: asked.clone(), params: Vec::new() }];
    if ask.disable_fallbacks {
        return reached;
    }
    // Names whose lists are still to be followed.
    let mut waiting = Vec::new();
    match &ask.fallbacks {
        // A request's own list is its last word.
        Some(own) => add(catalog, ask, own, &mut reached, None),
        None => waiting.push((Arc::<str>::from(ask.model), asked)),
    }
    for own in ask.class_fallbacks.iter().map(|(_, list)| list).chain([&ask.stand_ins]) {
        let next = ask.fallbacks.is_none().then_some(&mut waiting);
        add(catalog, ask, own, &mut reached, next);
    }
    let mut followed: Vec<Arc<str>> = Vec::new();
    while let Some((name, resolved)) = waiting.pop() {
        if followed.contains(&name) {
            continue;
        }
        followed.push(Arc::clone(&name));
        for class in CLASSES {
            let found = list(settings, &[&name, &resolved.group], class);
            add(catalog, ask, found, &mut reached, Some(&mut waiting));
        }
        let spread = resolved.spread.iter();
        let members = spread.flat_map(|spread| spread.members.iter());
        let members = members.map(|member| (Arc::clone(&member.name), member.resolved.clone()));
        let rest = resolved.spread.iter().filter_map(|spread| spread.rest.clone());
        let rest = rest.map(|rest| (Arc::clone(&rest.group), rest));
        // Their deployments are among those of the name; their lists are not.
        waiting.extend(members.chain(rest));
        if resolved.together {
            for deployment in &*resolved.deployments {
                for class in CLASSES {
                    let found = list(settings, &[&deployment.group], class);
                    add(catalog, ask, found, &mut reached, Some(&mut waiting));
                }
            }
        }
    }
    reached
}

/// Adds the groups of a list. Those that are new are also waited for.
fn add(
    catalog: &Catalog,
    ask: &Ask<'_>,
    list: &[Fallback],
    reached: &mut Vec<Reached>,
    mut waiting: Option<&mut Vec<(Arc<str>, Resolved)>>,
) {
    for Fallback { group, params } in list {
        if ask.barred.contains(group) {
            continue;
        }
        let Some(resolved) = catalog.resolve(group) else { continue };
        let same = |known: &Reached| {
            Arc::ptr_eq(&known.resolved.deployments, &resolved.deployments)
                && known.resolved.captured == resolved.captured
        };
        let is_new = !reached.iter().any(same);
        let is_same = |known: &Reached| {
            let written = |params: &[(Box<str>, Box<RawValue>)]| -> Vec<(Box<str>, Box<str>)> {
                params.iter().map(|(name, value)| (name.clone(), value.get().into())).collect()
            };
            same(known) && written(&known.params) == written(params)
        };
        if is_new && let Some(waiting) = &mut waiting {
            waiting.push((Arc::clone(group), resolved.clone()));
        }
        if is_new || (!params.is_empty() && !reached.iter().any(is_same)) {
            reached.push(Reached { resolved, params: params.clone() });
        }
    }
}
