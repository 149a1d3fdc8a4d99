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

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::value::RawValue;

use super::affinity::{self, AffinityKeys};
use super::explain::ExplainedGroup;
use super::fallback::{self, Queue, Target};
use super::health::InFlight;
use super::meter::Hold;
use super::needs::Needs;
use super::out::Out;
use super::retry::{self, Allowance, Reach};
use super::settings::{Affinity, Fallback, Settings, Strategy};
use super::stage::{Choice, Context, Overrides, Resort, Stage, Survey, Tried, Verdict};
use super::stats::{State, nanos};
use crate::catalog::{Catalog, Deployment, DeploymentId, Resolved};
use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;

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
        let name =
            if *resolved.group == *ask.model { resolved.group.clone() } else { ask.model.into() };
        Ok(Self {
            rng: Rng::with_seed(ask.seed),
            num_retries: ask.num_retries,
            own_fallbacks: ask.fallbacks,
            own_class_fallbacks: ask.class_fallbacks,
            disable_fallbacks: ask.disable_fallbacks,
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
            },
            start: Some((name, resolved)),
            stages: Vec::with_capacity(1),
            current: 0,
            queue: Queue::default(),
            tried: Vec::new(),
            attempts: Vec::with_capacity(1),
            retries: 0,
            fallbacks: 0,
        })
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

    /// Records that the deployment answered as it should. For a stream this is said when its first
    /// meaningful frame has come; should it break later, [`Plan::failed`] follows.
    pub fn succeeded(&mut self, attempt: &mut Attempt, state: &State, now: Instant) {
        let now = state.nanos(now);
        attempt.in_flight.succeeded(now);
        self.tie(attempt, state, now);
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

    /// An attempt brought its first content after this time.
    pub fn began(&self, attempt: &Attempt, after: Duration, settings: &Settings, state: &State) {
        state.hedges.answered(&settings.hedging, &attempt.group, after);
    }

    /// Records what the reply used: said once, when its end has come.
    pub fn used(&mut self, attempt: &mut Attempt, usage: &Usage, state: &State, now: Instant) {
        if let Some(hold) = &mut attempt.hold {
            hold.settle(usage, now);
        }
        let now = state.nanos(now);
        let expected = self.wants.needs.map_or(0, |needs| needs.input_tokens);
        attempt.in_flight.used(usage, expected, now);
        let stage = self.stages.get(attempt.stage);
        if let Some(candidate) = stage.and_then(|stage| stage.candidate(attempt.candidate)) {
            candidate.replies.add(usage.output_tokens as f64, now);
        }
    }

    /// Ties what belongs together to the deployment that answered.
    fn tie(&self, attempt: &Attempt, state: &State, now: u64) {
        let Some(stage) = self.stages.get(attempt.stage) else { return };
        let Some(candidate) = stage.candidate(attempt.candidate) else { return };
        let Wants { keys, affinity, .. } = &self.wants;
        let ties = [
            (affinity::Kind::Session, keys.session, affinity.session_ttl),
            (affinity::Kind::Prefix, keys.prefix, affinity.prompt_ttl),
        ];
        for (kind, sent, ttl) in ties {
            let Some(sent) = sent else { continue };
            let key = affinity::key(stage.key(), kind, sent);
            state.ties.set(key, candidate.key, now.saturating_add(nanos(ttl)));
        }
    }

    /// Records a failure and gives the place back. Returns for how long the deployment rests, if
    /// this failure put it to rest.
    pub fn failed(
        &mut self,
        mut attempt: Attempt,
        failure: &Failure,
        settings: &Settings,
        state: &State,
        now: Instant,
    ) -> Option<Duration> {
        if let Some(record) = self.attempts.get_mut(attempt.record) {
            record.class = Some(failure.class);
            record.status = failure.status;
        }
        let stage = self.stages.get_mut(attempt.stage)?;
        let names = stage.names();
        let allowance = retry::allowance(settings, &names, failure.class);
        let retries =
            retry::retries(settings, &names, self.num_retries, &attempt.deployment, allowance);
        let by_class = retry::reach(failure);
        let reach = match allowance {
            // Whoever writes a number for a class that is not retried wants it retried.
            Allowance::ForClass(written) if written > 0 && failure.should_retry.is_none() => {
                Reach::Same
            }
            _ => by_class,
        };
        let falls_back = by_class != Reach::Nowhere;

        // Whoever writes a number of retries for one group wants them made there first: what is
        // about to be asked again does not rest.
        let insists = names.iter().any(|name| settings.group_num_retries.contains_key(*name));
        let asked_again = insists && reach == Reach::Same && stage.attempts_left(retries);
        let alternatives = !asked_again
            && (stage.takers().nth(1).is_some()
                || stage.among_others
                || fallback::exists(settings, &names));
        let rest = attempt.in_flight.failed(
            failure,
            settings,
            (&attempt.deployment, alternatives, attempt.captured.is_some()),
            state.nanos(now),
        );

        let known = self.tried.iter().position(|tried| {
            Arc::ptr_eq(&tried.deployment, &attempt.deployment)
                && tried.captured == attempt.captured
        });
        let failures = known.and_then(|index| self.tried.get(index)).map_or(0, |t| t.failures) + 1;
        let again = retry::again(settings, &names, failure, reach, failures, now);
        stage.last = Some(Verdict { class: failure.class, reach, falls_back, retries });
        let tried = Tried {
            deployment: attempt.deployment.clone(),
            captured: attempt.captured.take(),
            stage: attempt.stage,
            failures,
            again,
        };
        match known.and_then(|index| self.tried.get_mut(index)) {
            Some(before) => *before = tried,
            None => self.tried.push(tried),
        }
        rest
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

    /// What every group of the plan would do, without an attempt: see [`super::explain`].
    pub(super) fn rehearse(
        &mut self,
        catalog: &Catalog,
        settings: &Settings,
        state: &State,
        now: Instant,
    ) -> Vec<ExplainedGroup> {
        let clock = Clock { settings, state, now, deadline: None, rehearsal: true };
        if let Some(start) = self.start.take() {
            self.enter(start, Vec::new(), &clock);
        }
        let mut groups = Vec::new();
        loop {
            let index = self.current;
            let Some(stage) = self.stages.get_mut(index) else { break };
            let context = Context {
                settings,
                state,
                tried: &[],
                wants: &self.wants,
                stage: index,
                now,
                deadline: None,
                resort: Resort::First,
                rehearsal: true,
                skip: &[],
            };
            groups.push(ExplainedGroup {
                name: stage.name.clone(),
                fallback: index > 0,
                strategy: stage.strategy(),
                candidates: stage.rehearse(&context, &mut self.rng),
            });
            self.leave(settings);
            self.fallbacks = u32::try_from(index).unwrap_or(u32::MAX);
            if !self.fall_back(catalog, &clock) {
                break;
            }
        }
        groups
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

    /// Queues what may stand in for the current group, once.
    fn leave(&mut self, settings: &Settings) {
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

    /// Enters the next group of the queue that exists and was not visited.
    fn fall_back(&mut self, catalog: &Catalog, clock: &Clock<'_>) -> bool {
        loop {
            let allowed = self.fallbacks < clock.settings.max_fallbacks;
            let Some(target) = self.queue.pop(allowed) else { return false };
            let Target { fallback, origin, member } = target;
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
    fn enter(
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
