//! Which other groups may serve a request, and in what order.
//!
//! A list in the request replaces those of the configuration. Else the list for the class of the
//! failure comes first and the general one serves groups that have none; LiteLLM leaves such a
//! group without any fallback as soon as another group has a list for the class. Within a table,
//! the name that was asked for goes before the group it stands for, then the name without its
//! provider, then `*`.
//!
//! The groups of a list are tried in order; a group that fails brings its own list before the rest.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::settings::{Fallback, Settings};
use crate::failure::FailureClass;

/// The fallbacks of a group after a failure; `None` as class: nothing of it was available.
pub(super) fn list<'a>(
    settings: &'a Settings,
    names: &[&str],
    class: Option<FailureClass>,
) -> &'a [Fallback] {
    let by_class = match class {
        Some(FailureClass::ContextWindow) => &settings.context_window_fallbacks,
        Some(FailureClass::ContentPolicy) => &settings.content_policy_fallbacks,
        _ => &settings.fallbacks,
    };
    lookup(by_class, names).or_else(|| lookup(&settings.fallbacks, names)).unwrap_or_default()
}

/// The list that is written for refused content alone.
pub(super) fn for_refused<'a>(settings: &'a Settings, names: &[&str]) -> &'a [Fallback] {
    lookup(&settings.content_policy_fallbacks, names).unwrap_or_default()
}

/// Whether the configuration knows another group that could serve in place of this one.
pub(super) fn exists(settings: &Settings, names: &[&str]) -> bool {
    list(settings, names, None).iter().any(|fallback| !names.contains(&&*fallback.group))
}

fn lookup<'a>(
    table: &'a HashMap<Arc<str>, Vec<Fallback>>,
    names: &[&str],
) -> Option<&'a [Fallback]> {
    if table.is_empty() {
        return None;
    }
    let bare = names.iter().filter_map(|name| name.split_once('/')).map(|(_provider, name)| name);
    let mut keys = names.iter().copied().chain(bare).chain([EVERY_GROUP]);
    keys.find_map(|key| table.get(key)).map(Vec::as_slice)
}

/// The groups still to be tried.
#[derive(Debug, Default)]
pub(super) struct Queue {
    targets: VecDeque<Target>,
}

/// One of them, and the stage of the request that it stands in for.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) fallback: Fallback,
    pub(super) origin: usize,
    /// It has a share in the requests of the name that was asked for: `max_fallbacks` does not count
    /// it, as it does not count deployments.
    pub(super) member: bool,
}

impl Queue {
    /// Puts a list before what is there.
    pub(super) fn put_first(&mut self, list: &[Fallback], origin: usize, member: bool) {
        for fallback in list.iter().rev() {
            self.targets.push_front(Target { fallback: fallback.clone(), origin, member });
        }
    }

    /// The next one; if no further fallback is allowed, the next member.
    pub(super) fn pop(&mut self, allowed: bool) -> Option<Target> {
        loop {
            let target = self.targets.pop_front()?;
            if allowed || target.member {
                return Some(target);
            }
        }
    }
}

const EVERY_GROUP: &str = "*";
