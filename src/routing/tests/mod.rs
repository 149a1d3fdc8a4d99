//! A small world in which requests are routed: a catalog, settings, a clock that tests turn, and a
//! script that says how each call ends.

mod choice;
mod cooldowns;
mod crowd;
mod fallbacks;
mod fit;
mod retries;
mod simulation;
mod strategies;
mod turns;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ask, Attempt, Fallback, Health, Next, Plan, Settings, State, Stop};
use crate::catalog::{Alias, AliasTarget, Catalog, Deployment, sample};
use crate::failure::{Failure, FailureClass};

pub(super) struct World {
    pub(super) catalog: Catalog,
    pub(super) settings: Settings,
    pub(super) state: State,
    pub(super) now: Instant,
    pub(super) deadline: Option<Duration>,
    seed: u64,
}

/// What became of one request.
#[derive(Debug)]
pub(super) struct Trace {
    /// Deployments called and the wait before each call.
    pub(super) calls: Vec<(String, Duration)>,
    pub(super) end: Result<(), Stop>,
    pub(super) retries: u32,
    pub(super) fallbacks: u32,
}

impl World {
    pub(super) fn new(deployments: Vec<Deployment>) -> Self {
        Self::with_aliases(deployments, Vec::new())
    }

    pub(super) fn with_aliases(deployments: Vec<Deployment>, aliases: Vec<Alias>) -> Self {
        let now = Instant::now();
        Self {
            catalog: Catalog::build(deployments, aliases),
            settings: Settings::default(),
            state: State::new(now),
            now,
            deadline: None,
            seed: 0,
        }
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self
    }

    /// Routes one request; `script` decides how each call ends.
    pub(super) fn request(
        &mut self,
        ask: Ask<'_>,
        mut script: impl FnMut(&Attempt) -> Result<(), Failure>,
    ) -> Trace {
        let mut plan = self.plan(ask);
        let deadline = self.deadline.map(|deadline| self.now + deadline);
        let mut calls = Vec::new();
        let end = loop {
            match plan.next(&self.catalog, &self.settings, &self.state, self.now, deadline) {
                Next::Stop(stop) => break Err(stop),
                Next::Attempt(mut attempt) => {
                    self.now += attempt.wait;
                    calls.push((attempt.deployment.id.to_string(), attempt.wait));
                    match script(&attempt) {
                        Ok(()) => {
                            plan.succeeded(&mut attempt, &self.state, self.now);
                            break Ok(());
                        }
                        Err(failure) => {
                            let (settings, state) = (&self.settings, &self.state);
                            plan.failed(attempt, &failure, settings, state, self.now);
                        }
                    }
                }
            }
        };
        Trace { calls, end, retries: plan.retries(), fallbacks: plan.fallbacks() }
    }

    /// Routes one request for which every call to the named deployments fails in the same way.
    pub(super) fn failing(&mut self, model: &str, failures: &[(&str, Failure)]) -> Trace {
        self.request(ask(model), |attempt| {
            let failure = failures.iter().find(|(id, _)| **id == *attempt.deployment.id);
            failure.map_or(Ok(()), |(_, failure)| Err(failure.clone()))
        })
    }

    pub(super) fn plan(&mut self, ask: Ask<'_>) -> Plan {
        self.seed += 1;
        Plan::new(&self.catalog, &self.settings, Ask { seed: self.seed, ..ask }).unwrap()
    }

    /// Begins a request and leaves its first attempt open.
    pub(super) fn open(&mut self, model: &str) -> (Plan, Next) {
        let mut plan = self.plan(ask(model));
        let next = plan.next(&self.catalog, &self.settings, &self.state, self.now, None);
        (plan, next)
    }

    pub(super) fn health(&self, id: &str) -> Health {
        self.state.view(id, self.now).map_or(Health::Healthy, |view| view.health)
    }

    pub(super) fn rests_for(&self, id: &str) -> Option<Duration> {
        match self.health(id) {
            Health::Cooling { remaining } => Some(remaining),
            Health::Healthy | Health::HalfOpen => None,
        }
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now += duration;
    }
}

impl Trace {
    pub(super) fn called(&self) -> Vec<&str> {
        self.calls.iter().map(|(id, _)| &**id).collect()
    }

    pub(super) fn waited(&self) -> Duration {
        self.calls.iter().map(|(_, wait)| *wait).sum()
    }
}

pub(super) fn attempt(next: Next) -> Attempt {
    match next {
        Next::Attempt(attempt) => attempt,
        Next::Stop(stop) => panic!("no attempt: {stop:?}"),
    }
}

pub(super) fn stop(next: Next) -> Stop {
    match next {
        Next::Stop(stop) => stop,
        Next::Attempt(attempt) => panic!("an attempt on {}", attempt.deployment.id),
    }
}

pub(super) fn ask(model: &str) -> Ask<'_> {
    Ask { model, ..Ask::default() }
}

pub(super) fn failure(class: FailureClass) -> Failure {
    Failure::new(class, "scripted")
}

pub(super) fn rate_limit(retry_after: Duration) -> Failure {
    Failure { retry_after: Some(retry_after), ..failure(FailureClass::RateLimited) }
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A table of fallbacks from pairs of a group and those that stand in for it.
pub(super) fn lists(pairs: &[(&str, &[&str])]) -> HashMap<Arc<str>, Vec<Fallback>> {
    pairs.iter().map(|(group, targets)| (Arc::from(*group), fallbacks(targets))).collect()
}

pub(super) fn fallbacks(targets: &[&str]) -> Vec<Fallback> {
    targets.iter().map(|group| Fallback { group: Arc::from(*group), params: Vec::new() }).collect()
}

pub(super) fn weighted_alias(name: &str, shares: &[(&str, f64)]) -> Alias {
    let shares = shares.iter().map(|(group, share)| (Arc::from(*group), *share)).collect();
    Alias { name: name.into(), target: AliasTarget::Weighted(shares), hidden: false }
}

/// A deployment named `id` in `group` that nothing else is said of.
pub(in crate::routing) fn deployment(group: &str, id: &str) -> Deployment {
    let model = if group.contains('*') { "*" } else { "model" };
    sample::deployment(&format!("{group} = openai/{model} #{id}"))
}

/// Several plain deployments of one group.
pub(super) fn group(name: &str, ids: &[&str]) -> Vec<Deployment> {
    ids.iter().map(|id| deployment(name, id)).collect()
}
