//! The way of one request through deployments, groups and fallbacks, one attempt at a time.
//!
//! The caller asks for an attempt, makes it, says how it ended, and asks again:
//!
//! ```text
//! loop {
//!     match plan.next(..) {
//!         Next::Attempt(attempt) => sleep attempt.wait; call; plan.succeeded or plan.failed,
//!         Next::Stop(why) => break,
//!     }
//! }
//! ```
//!
//! A wait belongs to the attempt that follows it: when none follows, nobody sleeps. (LiteLLM sleeps
//! after the last failure too, before it fails or falls back.)
//!
//! ```text
//! outcome    how attempts ended, and what that means for the next one
//! way        the groups, one after the other
//! rehearse   the same for whoever wants to know, with nobody called
//! ```

mod outcome;
mod rehearse;
mod way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::affinity::AffinityKeys;
use super::fallback::Queue;
use super::health::InFlight;
use super::meter::Hold;
use super::needs::Needs;
use super::out::Out;
use super::retry;
use super::settings::{Affinity, Fallback, Settings, Strategy};
use super::stage::{Choice, Context, Overrides, Resort, Stage, Survey, Tried};
use super::stats::State;
use crate::catalog::{Catalog, Deployment, DeploymentId, Resolved};
use crate::failure::FailureClass;

/// What a request wants of routing.
#[derive(Clone, Debug, Default)]
pub struct Ask<'a> {
    /// The name the client wrote: a group, an alias, a deployment id, or what a wildcard matches.
    pub model: &'a str,
    /// Overrides the configuration's retries, but never exceeds a written retry policy.
    pub num_retries: Option<u32>,
    /// Replaces the configuration's fallbacks; an empty list means none.
    pub fallbacks: Option<Vec<Fallback>>,
    /// The same for one class of failure each, before `fallbacks`.
    pub class_fallbacks: Vec<(FailureClass, Vec<Fallback>)>,
    pub disable_fallbacks: bool,
    /// What serves, in this order, when `model` cannot: before the fallbacks of either list.
    pub stand_ins: Vec<Fallback>,
    /// Groups that may not stand in: the caller may not call them.
    pub barred: Vec<Arc<str>>,
    /// Used only if the configuration turns tag filtering on.
    pub tags: Vec<Box<str>>,
    pub stream: bool,
    /// `None` unless [`Settings::reads_requests`].
    pub needs: Option<Needs>,
    /// Goes before the configuration's strategies (`x-tollgate-strategy`).
    pub strategy: Option<Strategy>,
    /// What ties the request to a deployment, where the configuration wants that.
    pub affinity: AffinityKeys,
    /// Goes before the configuration's `allowed_model_region`.
    pub region: Option<Box<str>>,
    /// What the request names in `metadata.capabilities`.
    pub capabilities: Vec<Box<str>>,
    /// The only deployment that can serve it: it keeps what the request is about.
    pub pin: Option<DeploymentId>,
    /// Every random choice of this request follows from it.
    pub seed: u64,
}

/// The part of an [`Ask`] that every choice looks at.
#[derive(Debug)]
pub(super) struct Wants {
    /// `None`: tag filtering is off.
    pub(super) tags: Option<Vec<Box<str>>>,
    pub(super) stream: bool,
    pub(super) needs: Option<Needs>,
    pub(super) strategy: Option<Strategy>,
    pub(super) keys: AffinityKeys,
    pub(super) affinity: Affinity,
    pub(super) region: Option<Box<str>>,
    pub(super) capabilities: Vec<Box<str>>,
    pub(super) pin: Option<DeploymentId>,
}

/// Nothing in the catalog has this name.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("no model group, alias or deployment is named {name:?}")]
pub struct UnknownModel {
    pub name: String,
}

/// The state of one request's routing.
#[derive(Debug)]
pub struct Plan {
    rng: Rng,
    num_retries: Option<u32>,
    own_fallbacks: Option<Vec<Fallback>>,
    own_class_fallbacks: Vec<(FailureClass, Vec<Fallback>)>,
    disable_fallbacks: bool,
    stand_ins: Vec<Fallback>,
    barred: Vec<Arc<str>>,
    wants: Wants,
    start: Option<(Arc<str>, Resolved)>,
    stages: Vec<Stage>,
    current: usize,
    queue: Queue,
    tried: Vec<Tried>,
    attempts: Vec<AttemptRecord>,
    retries: u32,
    fallbacks: u32,
}

/// What the plan says to do.
#[derive(Debug)]
pub enum Next {
    Attempt(Attempt),
    Stop(Stop),
}

/// Why no attempt follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The client gets the last failure.
    LastFailure,
    /// No attempt was made: every deployment rests, the first one for this long.
    AllCooling { retry_after: Duration },
    /// No attempt was made: every deployment that does not rest is at a limit of requests or tokens.
    OverLimit { limit: &'static str, retry_after: Duration },
    /// No attempt was made: the deployments that do not rest have no place left.
    Full,
    /// No attempt was made: no deployment can serve the request, and this is the reason for the one
    /// that comes nearest.
    Unfit(Out),
    /// No attempt was made: no deployment of the group takes requests with these tags.
    NoneEligible,
}

/// One call to make. Dropped without an outcome (the client went away), it leaves no trace.
#[derive(Debug)]
pub struct Attempt {
    pub deployment: Arc<Deployment>,
    /// The name under which the provider knows the model.
    pub model: Arc<str>,
    /// The group the deployment belongs to.
    pub group: Arc<str>,
    /// Body parameters that the fallback list gave with the group.
    pub overrides: Overrides,
    /// How long to sleep before the call. Never past the deadline.
    pub wait: Duration,
    /// The deployment's place, held until the attempt is dropped: keep it to the end of a stream.
    pub in_flight: InFlight,
    /// What limits hold for it.
    hold: Option<Box<dyn Hold>>,
    stage: usize,
    /// Its place among the candidates of the stage.
    candidate: usize,
    record: usize,
    captured: Option<Arc<str>>,
}

/// An attempt as the log shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub deployment: DeploymentId,
    pub group: Arc<str>,
    /// `None`: it succeeded, or has not ended.
    pub class: Option<FailureClass>,
    pub status: Option<u16>,
}

impl Plan {
    /// Looks up the name; chooses nothing yet.
    ///
    /// # Errors
    /// Nothing has that name.
    pub fn new(catalog: &Catalog, settings: &Settings, ask: Ask<'_>) -> Result<Self, UnknownModel> {
        let Some(resolved) = catalog.asked(ask.model) else {
            return Err(UnknownModel { name: ask.model.to_owned() });
        };
        Ok(Self::of(resolved, settings, ask))
    }

    /// The same for a name that was looked up.
    #[must_use]
    pub fn of(resolved: Resolved, settings: &Settings, ask: Ask<'_>) -> Self {
        let name =
            if *resolved.group == *ask.model { resolved.group.clone() } else { ask.model.into() };
        Self {
            rng: Rng::with_seed(ask.seed),
            num_retries: ask.num_retries,
            own_fallbacks: ask.fallbacks,
            own_class_fallbacks: ask.class_fallbacks,
            disable_fallbacks: ask.disable_fallbacks,
            barred: ask.barred,
            stand_ins: ask.stand_ins,
            wants: Wants {
                tags: settings.enable_tag_filtering.then_some(ask.tags),
                stream: ask.stream,
                needs: ask.needs,
                strategy: ask.strategy,
                keys: ask.affinity.only(settings.affinity),
                affinity: settings.affinity,
                region: ask.region.or_else(|| settings.allowed_region.clone()),
                capabilities: ask.capabilities,
                pin: ask.pin,
            },
            start: Some((name, resolved)),
            stages: Vec::with_capacity(1),
            current: 0,
            queue: Queue::default(),
            tried: Vec::new(),
            attempts: Vec::with_capacity(1),
            retries: 0,
            fallbacks: 0,
        }
    }

    /// The next attempt, with its place taken, or why there is none. No wait ends at or after
    /// `deadline`.
    pub fn next(
        &mut self,
        catalog: &Catalog,
        settings: &Settings,
        state: &State,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Next {
        let late = deadline.is_some_and(|deadline| deadline <= now);
        if self.attempts.len() >= MAX_ATTEMPTS || (late && !self.attempts.is_empty()) {
            return Next::Stop(Stop::LastFailure);
        }
        let clock = Clock { settings, state, now, deadline, rehearsal: false };
        if let Some(start) = self.start.take() {
            self.enter(start, Vec::new(), &clock);
        }
        let mut survey = Survey::default();
        loop {
            if let Some(attempt) =
                self.attempt_in(self.current, Resort::First, &clock, &mut survey, &[])
            {
                return Next::Attempt(attempt);
            }
            self.leave(settings);
            if !self.fall_back(catalog, &clock) {
                break;
            }
        }
        for stage in 0..self.stages.len() {
            if let Some(attempt) = self.attempt_in(stage, Resort::Last, &clock, &mut survey, &[]) {
                self.current = stage;
                return Next::Attempt(attempt);
            }
        }
        Next::Stop(self.stop(&survey, &clock))
    }

    /// For how long an attempt that begins now is left alone; `None`: to its end.
    #[must_use]
    pub fn patience(
        &self,
        attempt: &Attempt,
        settings: &Settings,
        state: &State,
    ) -> Option<Duration> {
        state.hedges.begin(&settings.hedging, &attempt.group)
    }

    /// Company for an attempt that takes long to begin: one on another deployment of its group.
    /// `None`: nobody else is free and well, or enough attempts have company already.
    pub fn hedge(
        &mut self,
        beside: &Attempt,
        settings: &Settings,
        state: &State,
        now: Instant,
        deadline: Option<Instant>,
    ) -> Option<Attempt> {
        let has_room = state.hedges.has_room(&settings.hedging, &beside.group);
        if self.attempts.len() >= MAX_ATTEMPTS || !has_room {
            return None;
        }
        let clock = Clock { settings, state, now, deadline, rehearsal: false };
        let (skip, survey) = ([beside.candidate], &mut Survey::default());
        let company = self.attempt_in(beside.stage, Resort::Beside, &clock, survey, &skip)?;
        state.hedges.take(&beside.group);
        Some(company)
    }

    /// Whether another deployment may go on with a stream of this request that breaks off.
    #[must_use]
    pub fn fails_over_mid_stream(&self, settings: &Settings) -> bool {
        let asked = self.start.as_ref();
        let names = asked.map(|(name, resolved)| [&**name, &*resolved.group]);
        settings.mid_stream_failover.has(names.into_iter().flatten())
    }

    /// Attempts beyond the first in each group; names that share requests by weight are one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Groups that were called in place of the one asked for.
    #[must_use]
    pub fn fallbacks(&self) -> u32 {
        self.fallbacks
    }

    /// The group of the last attempt.
    #[must_use]
    pub fn group(&self) -> Option<&Arc<str>> {
        self.attempts.last().map(|attempt| &attempt.group)
    }

    /// Every attempt so far, in order.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.attempts
    }

    fn attempt_in(
        &mut self,
        index: usize,
        resort: Resort,
        clock: &Clock<'_>,
        survey: &mut Survey,
        skip: &[usize],
    ) -> Option<Attempt> {
        let Clock { settings, state, now, deadline, .. } = *clock;
        let stage = self.stages.get_mut(index)?;
        let ascends = |stage: &mut Stage| resort == Resort::First && stage.ascend();
        if resort != Resort::Beside && !stage.may_try() && !ascends(stage) {
            return None;
        }
        let context = Context {
            settings,
            state,
            tried: &self.tried,
            wants: &self.wants,
            stage: index,
            now,
            deadline,
            resort,
            rehearsal: false,
            skip,
        };
        let Choice { deployment, captured, from, mut in_flight, candidate, hold } =
            stage.choose(&context, survey, &mut self.rng)?;

        if stage.attempts > 1 || stage.member {
            self.retries += 1;
        } else if index > 0 {
            self.fallbacks += 1;
        }
        let mut wait = from.saturating_duration_since(now);
        if !wait.is_zero() {
            wait += retry::jitter(&mut self.rng);
            wait = deadline.map_or(wait, |deadline| wait.min(deadline - now));
        }
        let expected = self.wants.needs.map_or(0, |needs| needs.input_tokens);
        in_flight.begin(self.wants.stream, expected, state.nanos(now + wait));
        self.attempts.push(AttemptRecord {
            deployment: deployment.id.clone(),
            group: deployment.group.clone(),
            class: None,
            status: None,
        });
        Some(Attempt {
            model: deployment.upstream_model(captured.as_deref()),
            group: deployment.group.clone(),
            deployment,
            overrides: stage.overrides.clone(),
            wait,
            in_flight,
            hold,
            stage: index,
            candidate,
            record: self.attempts.len() - 1,
            captured,
        })
    }

    fn stop(&self, survey: &Survey, clock: &Clock<'_>) -> Stop {
        if !self.attempts.is_empty() {
            return Stop::LastFailure;
        }
        match (survey.over, survey.earliest) {
            _ if survey.full => Stop::Full,
            (Some((retry_after, limit)), _) => Stop::OverLimit { limit, retry_after },
            (None, Some(until)) => {
                let retry_after = clock.state.instant(until).saturating_duration_since(clock.now);
                Stop::AllCooling { retry_after }
            }
            (None, None) => survey.unfit.map_or(Stop::NoneEligible, Stop::Unfit),
        }
    }
}

/// What stays the same during one call of [`Plan::next`].
#[derive(Clone, Copy)]
struct Clock<'a> {
    settings: &'a Settings,
    state: &'a State,
    now: Instant,
    deadline: Option<Instant>,
    /// Nothing is called, so nobody's turn is taken.
    rehearsal: bool,
}

/// Over all groups of one request; more than any configuration in its senses asks for.
const MAX_ATTEMPTS: usize = 100;
