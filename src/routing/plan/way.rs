//! The groups of a request, one after the other: the one that was asked for, and what stands in.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::{Attempt, Clock, Plan};
use crate::catalog::{Catalog, Resolved};
use crate::failure::FailureClass;
use crate::routing::fallback::{self, Target};
use crate::routing::out::Out;
use crate::routing::settings::{Fallback, Settings};
use crate::routing::stage::Stage;

impl Plan {
    /// Queues what may stand in for the current group, once.
    pub(super) fn leave(&mut self, settings: &Settings) {
        let current = self.current;
        let Some(stage) = self.stages.get_mut(current) else { return };
        let unfit = match stage.unfit {
            Some(Out::ContextTooSmall { .. } | Out::NotLongContext { .. }) => {
                Some(FailureClass::ContextWindow)
            }
            _ => None,
        };
        let falls_back = stage.last.is_none_or(|last| last.falls_back);
        if std::mem::replace(&mut stage.left, true) || !falls_back {
            return;
        }
        let members = std::mem::take(&mut stage.members);
        if !self.disable_fallbacks {
            let class = stage.last.map(|last| last.class).or(unfit);
            let of_class = self.own_class_fallbacks.iter().find(|(of, _)| Some(*of) == class);
            match of_class.map(|(_, list)| list).or(self.own_fallbacks.as_ref()) {
                // The request's list is its last word: what it falls back to brings no further ones.
                Some(list) if current == 0 => self.queue.put_first(list, 0, false),
                Some(_) => {}
                None => {
                    let list = fallback::list(settings, &stage.names(), class);
                    self.queue.put_first(list, current, false);
                }
            }
            if current == 0 {
                self.queue.put_first(&self.stand_ins, current, false);
            }
        }
        self.queue.put_first(&members, current, true);
    }

    /// Whether a group that was not asked yet is written to stand in where content is refused. Only
    /// then is an answer that a provider kept back worth a further attempt.
    #[must_use]
    pub fn has_policy_fallback(&self, attempt: &Attempt, settings: &Settings) -> bool {
        let Some(stage) = self.stages.get(attempt.stage) else { return false };
        if self.disable_fallbacks || self.fallbacks >= settings.max_fallbacks {
            return false;
        }
        let own = self.own_class_fallbacks.iter();
        let mut own = own.filter(|(class, _)| *class == FailureClass::ContentPolicy);
        let list = match own.next() {
            Some((_, list)) if attempt.stage == 0 => list.as_slice(),
            Some(_) => return false,
            // The request's general list stands in place of all that is configured.
            None if self.own_fallbacks.is_some() => return false,
            None => fallback::for_refused(settings, &stage.names()),
        };
        let is_new = |group: &str| !self.stages.iter().any(|stage| stage.names().contains(&group));
        list.iter().any(|fallback| is_new(&fallback.group))
    }

    /// Enters the next group of the queue that exists and was not visited.
    pub(super) fn fall_back(&mut self, catalog: &Catalog, clock: &Clock<'_>) -> bool {
        loop {
            let allowed = self.fallbacks < clock.settings.max_fallbacks;
            let Some(target) = self.queue.pop(allowed) else { return false };
            let Target { fallback, origin, member } = target;
            if self.barred.contains(&fallback.group) {
                continue;
            }
            let Some(resolved) = catalog.resolve(&fallback.group) else { continue };
            // A group in its own list means its other deployments. LiteLLM does nothing then.
            let repeated = self.stages.iter().any(|stage| stage.is(&resolved));
            if repeated {
                let Some(origin) = self.stages.get_mut(origin) else { continue };
                if !origin.is(&resolved) || std::mem::replace(&mut origin.repeated, true) {
                    continue;
                }
            }
            self.enter((fallback.group, resolved), fallback.params, clock);
            if let Some(stage) = self.stages.last_mut() {
                stage.repeated = repeated;
                stage.among_others |= member;
                stage.member = member;
            }
            return true;
        }
    }

    /// Begins with a group. Of names that share requests by weight, one has its turn here and the
    /// others follow if it fails.
    pub(super) fn enter(
        &mut self,
        (name, mut resolved): (Arc<str>, Resolved),
        params: Vec<(Box<str>, Box<RawValue>)>,
        clock: &Clock<'_>,
    ) {
        let Clock { settings, state, now, rehearsal, .. } = *clock;
        let mut members: Vec<Fallback> = Vec::new();
        while let Some(spread) = resolved.spread.take() {
            let able = |index: usize| {
                let member = spread.members.get(index);
                member.is_some_and(|member| state.may_serve(&member.resolved, now))
            };
            let mut order = state.spreads.order(&spread, !rehearsal, able).into_iter();
            let first = order.next().and_then(|first| spread.members.get(first));
            let Some(first) = first else { break };
            let others = order.filter_map(|index| spread.members.get(index));
            let others =
                others.map(|member| &member.name).chain(spread.rest.iter().map(|rest| &rest.group));
            let others =
                others.map(|group| Fallback { group: group.clone(), params: params.clone() });
            members.splice(..0, others);
            resolved = first.resolved.clone();
        }
        let mut stage = Stage::new(name, resolved, params.into(), &self.wants, settings, state);
        stage.among_others = !members.is_empty()
            || (self.stages.is_empty() && !self.disable_fallbacks && !self.stand_ins.is_empty());
        stage.members = members;
        self.stages.push(stage);
        self.current = self.stages.len() - 1;
    }
}
