//! One group that a request tries: what is left of it, and how often it may still be tried.
//!
//! ```text
//! choose     who is called, by an order of preference
//! assess     who may be called at all, and what that depends on
//! rehearse   the same for whoever wants to know, with nobody called
//! ```

mod assess;
mod choose;
mod rehearse;

use std::iter;
use std::sync::Arc;

use serde_json::value::RawValue;

pub(super) use self::assess::{Context, Resort, Survey};
pub(super) use self::choose::Choice;
use super::checks::Checks;
use super::out::Out;
use super::plan::Wants;
use super::retry::{Again, Reach};
use super::settings::{Fallback, Settings, Strategy, Tuning};
use super::stats::{Candidate, Roster, State};
use super::tags;
use crate::catalog::{Deployment, Deployments, Resolved};
use crate::failure::FailureClass;

/// A group in the course of one request.
#[derive(Debug)]
pub(super) struct Stage {
    /// As the client or the fallback list wrote it.
    pub(super) name: Arc<str>,
    /// The group behind the name, or those that stand together behind it.
    groups: Vec<Arc<str>>,
    /// Who has the next turns among the names that share these requests, until they are queued.
    pub(super) members: Vec<Fallback>,
    /// Another name could serve in place of this one, whatever the fallbacks say.
    pub(super) among_others: bool,
    /// It has a share in the requests of the name that was asked for, and is no fallback.
    pub(super) member: bool,
    /// What the `*` of a wildcard stands for.
    captured: Option<Arc<str>>,
    /// What the catalog has under the name; tells two targets apart.
    list: Deployments,
    roster: Arc<Roster>,
    /// Which candidates take the request's tags; `None`: all.
    tagged: Option<Box<[bool]>>,
    strategy: Strategy,
    tuning: Tuning,
    checks: Checks,
    /// Every deployment that is known was found unable to serve the request: why.
    pub(super) unfit: Option<Out>,
    /// Parameters that the fallback list gave with the name.
    pub(super) overrides: Overrides,
    /// All attempts made here.
    pub(super) attempts: u32,
    /// Those since the start, or since the move to a higher `order`.
    level_attempts: u32,
    /// Only a higher `order` than this takes part.
    above: Option<i64>,
    /// The highest `order` tried.
    highest: i64,
    pub(super) last: Option<Verdict>,
    /// Its fallbacks are in the queue.
    pub(super) left: bool,
    /// It stood in for itself once already (`gpt-4o: [gpt-4o]`).
    pub(super) repeated: bool,
}

/// Body parameters that replace those of the request.
pub type Overrides = Arc<[(Box<str>, Box<RawValue>)]>;

/// What the last failure of a stage means for the next attempt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Verdict {
    pub(super) class: FailureClass,
    /// Where it may go: by the provider's word, the retry policy, the class.
    pub(super) reach: Reach,
    /// Whether another group may serve.
    pub(super) falls_back: bool,
    /// How many retries the group has in all.
    pub(super) retries: u32,
}

/// A deployment that failed this request.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) deployment: Arc<Deployment>,
    pub(super) captured: Option<Arc<str>>,
    pub(super) stage: usize,
    pub(super) failures: u32,
    pub(super) again: Again,
}

impl Stage {
    pub(super) fn new(
        name: Arc<str>,
        resolved: Resolved,
        overrides: Overrides,
        wants: &Wants,
        settings: &Settings,
        state: &State,
    ) -> Self {
        let roster = state.roster(&resolved);
        let tagged = wants.tags.as_ref().map(|tags| tags::select(&resolved, tags));
        let mut groups = vec![resolved.group.clone()];
        if resolved.together {
            for deployment in resolved.deployments.iter() {
                if !groups.contains(&deployment.group) {
                    groups.push(deployment.group.clone());
                }
            }
        }
        // Several groups as one have the strategy that is written for them as one.
        let of_group =
            [&name, &resolved.group].into_iter().find_map(|name| settings.groups.get(name));
        let (strategy, tuning) = match of_group {
            Some(group) => (group.strategy, group.tuning),
            None => (settings.strategy, settings.tuning),
        };
        let strategy = wants.strategy.unwrap_or(strategy);
        let checks = Checks {
            fit: settings.pre_call_checks
                || matches!(strategy, Strategy::Capability | Strategy::Quality),
            long_above: settings.context_threshold,
        };
        Self {
            name,
            groups,
            members: Vec::new(),
            among_others: false,
            member: false,
            captured: resolved.captured,
            list: resolved.deployments,
            roster,
            tagged,
            strategy,
            tuning,
            checks,
            unfit: None,
            overrides,
            attempts: 0,
            level_attempts: 0,
            above: None,
            highest: i64::MIN,
            last: None,
            left: false,
            repeated: false,
        }
    }

    /// The names under which settings may speak of this group, the one asked for first.
    pub(super) fn names(&self) -> Vec<&str> {
        let groups = self.groups.iter().map(|group| &**group);
        iter::once(&*self.name).chain(groups.filter(|group| **group != *self.name)).collect()
    }

    /// Whether this is what `resolved` means.
    pub(super) fn is(&self, resolved: &Resolved) -> bool {
        Arc::ptr_eq(&self.list, &resolved.deployments) && self.captured == resolved.captured
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.roster.candidates
    }

    /// The candidates that take the request's tags.
    pub(super) fn takers(&self) -> impl Iterator<Item = &Candidate> {
        let all = self.candidates().iter().enumerate();
        all.filter(|(index, _)| self.is_tagged(*index)).map(|(_, candidate)| candidate)
    }

    fn is_tagged(&self, index: usize) -> bool {
        self.tagged.as_ref().is_none_or(|tagged| tagged.get(index) == Some(&true))
    }

    /// The hash of the group's name and how the request is tied within it.
    pub(super) fn key(&self) -> u64 {
        self.roster.key
    }

    pub(super) fn candidate(&self, index: usize) -> Option<&Candidate> {
        self.roster.candidates.get(index)
    }

    /// Whether the group may have another attempt.
    pub(super) fn may_try(&self) -> bool {
        let may_retry =
            |last: Verdict| last.reach >= Reach::Others && self.level_attempts <= last.retries;
        self.level_attempts == 0 || self.last.is_some_and(may_retry)
    }

    /// Whether a group with so many retries may have another attempt.
    pub(super) fn attempts_left(&self, retries: u32) -> bool {
        self.level_attempts <= retries
    }

    /// Moves on to the deployments with a higher `order` than any tried; they get retries anew.
    pub(super) fn ascend(&mut self) -> bool {
        let ascends = self.last.is_some_and(|last| last.reach >= Reach::Others)
            && self.takers().any(|candidate| candidate.order > self.highest);
        if ascends {
            self.above = Some(self.highest);
            self.level_attempts = 0;
        }
        ascends
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }
}
