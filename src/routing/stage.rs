//! One group that a request tries: the choice among its deployments, and its retries.
//!
//! The choice has an order of preference, and only the first kind that exists takes part:
//!
//! 1. a deployment that this request has not tried, and that is healthy (for the first attempt also
//!    one whose cooldown is over: someone has to probe it);
//! 2. an untried one to be probed;
//! 3. one that failed this request, after a back-off.
//!
//! When all fallbacks are used up too ([`Resort::Last`]):
//!
//! 4. an untried one that someone else is probing;
//! 5. one that failed this request, at the time its provider named.

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::value::RawValue;

use super::affinity;
use super::breaker::{PROBE_WAIT, Rules};
use super::checks::{self, Checks, Facts, Fit};
use super::explain::{self, ExplainedCandidate, PLACES};
use super::health::{Entry, InFlight, Standing};
use super::meter::{Hold, Room};
use super::out::Out;
use super::plan::Wants;
use super::retry::{Again, Reach};
use super::settings::{Fallback, Settings, Strategy, Tuning};
use super::stats::{Candidate, Roster, State, nanos};
use super::strategy::{Draw, Judge, Place, Rank, latency};
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

/// Whether fallbacks remain that would be better than a poor choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resort {
    /// Only a deployment that has not failed this request and is well: the one that is being
    /// called may still answer.
    Beside,
    First,
    Last,
}

/// Everything a choice depends on besides the group.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) state: &'a State,
    pub(super) tried: &'a [Tried],
    pub(super) wants: &'a Wants,
    pub(super) stage: usize,
    pub(super) now: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) resort: Resort,
    /// Nobody is called: what others take turns by stays as it is.
    pub(super) rehearsal: bool,
    /// Candidates that a rehearsal has placed already.
    pub(super) skip: &'a [usize],
}

/// Why nothing was chosen.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// When the first cooldown ends.
    pub(super) earliest: Option<u64>,
    /// A deployment had no place left.
    pub(super) full: bool,
    /// The limit that is free again first, and when.
    pub(super) over: Option<(Duration, &'static str)>,
    /// Every deployment of some group is unable to serve the request.
    pub(super) unfit: Option<Out>,
}

/// A deployment with a place taken.
pub(super) struct Choice {
    pub(super) deployment: Arc<Deployment>,
    pub(super) captured: Option<Arc<str>>,
    /// When the attempt may begin.
    pub(super) from: Instant,
    pub(super) in_flight: InFlight,
    pub(super) candidate: usize,
    pub(super) hold: Option<Box<dyn Hold>>,
}

/// The kinds of the list above, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Fresh,
    Probe,
    Again,
    BesideProbe,
    AsAsked,
}

/// A candidate as it looked a moment ago.
#[derive(Clone, Copy)]
struct Sight {
    kind: Kind,
    candidate: usize,
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

    /// Chooses a deployment and takes a place in it.
    pub(super) fn choose(
        &mut self,
        context: &Context<'_>,
        survey: &mut Survey,
        rng: &mut Rng,
    ) -> Option<Choice> {
        // The place can be lost to another request between the look and the grip. The next look
        // shows it; the bound is for a crowd that keeps winning.
        for _ in 0..MAX_GRIPS {
            let sight = self.look(context, survey, rng)?;
            if let Some(choice) = self.grip(context, sight) {
                return Some(choice);
            }
        }
        None
    }

    pub(super) fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Every candidate as the choice sees it now; nobody gets a place or loses a turn.
    pub(super) fn rehearse(
        &mut self,
        context: &Context<'_>,
        rng: &mut Rng,
    ) -> Vec<ExplainedCandidate> {
        let mut placed: Vec<usize> = Vec::with_capacity(PLACES);
        while placed.len() < PLACES {
            let context = Context { skip: &placed, ..*context };
            let Some(sight) = self.look(&context, &mut Survey::default(), rng) else { break };
            placed.push(sight.candidate);
        }
        // Once more with all, so that what the group as a whole lacks is known.
        let mut unseen = Rng::with_seed(0);
        let _sight = self.look(context, &mut Survey::default(), &mut unseen);
        let judge = self.judge(context);
        let total: f64 = self.candidates().iter().map(|candidate| candidate.weight).sum();
        let all = self.candidates().iter().enumerate();
        let explained = all.map(|(index, candidate)| {
            let assessed = self.assess(context, &judge, index, candidate);
            let place = placed.iter().position(|at| *at == index);
            let standing = match (place, &assessed) {
                (Some(place), _) => explain::Standing::Place(place + 1),
                (None, Ok(_)) => explain::Standing::Later,
                (None, Err(out)) => explain::Standing::Out(*out),
            };
            let speed = &candidate.state.speed;
            ExplainedCandidate {
                deployment: candidate.deployment.clone(),
                standing,
                notes: assessed.map_or_else(
                    |_| Vec::new(),
                    |(kind, rank)| self.notes(context, &judge, candidate, kind, &rank),
                ),
                share: if total > 0.0 { candidate.weight / total } else { 0.0 },
                in_flight: candidate.state.in_flight(),
                requests: speed.requests.get(judge.now) as u64,
                tokens: speed.tokens.get(judge.now) as u64,
                cost: judge.needs.and_then(|_| judge.cost(candidate)),
                latency: latency::expected(&judge, candidate)
                    .map(|nanos| Duration::from_nanos(nanos as u64)),
            }
        });
        explained.collect()
    }

    /// Why a candidate goes before or after what the strategy alone would say.
    fn notes(
        &self,
        context: &Context<'_>,
        judge: &Judge<'_>,
        candidate: &Candidate,
        kind: Kind,
        rank: &Rank,
    ) -> Vec<&'static str> {
        let speed = &candidate.state.speed;
        let measured = speed.estimate(judge.stream, judge.tuning.latency_ttl, judge.now).is_some();
        let half_open = matches!(candidate.state.standing(judge.now), Standing::HalfOpen { .. });
        let notes = [
            (rank.last, "above cost_threshold"),
            (rank.near, "near a limit"),
            (kind == Kind::Fresh && half_open, "probe after a rest"),
            (self.strategy == Strategy::Latency && !measured, "latency not measured"),
            (judge.warm.is_some_and(|(key, _)| key == candidate.key), "warm prompt cache"),
            (self.session_tie(context, judge.now) == Some(candidate.key), "session"),
        ];
        notes.into_iter().filter(|(is, _)| *is).map(|(_, note)| note).collect()
    }

    /// The deployment that the request's session is tied to, by the hash of its id.
    fn session_tie(&self, context: &Context<'_>, now: u64) -> Option<u64> {
        let session = context.wants.keys.session?;
        context.state.ties.get(affinity::key(self.key(), affinity::Kind::Session, session), now)
    }

    fn look(&mut self, context: &Context<'_>, survey: &mut Survey, rng: &mut Rng) -> Option<Sight> {
        let now = context.state.nanos(context.now);
        let judge = self.judge(context);
        let mut draws: [(Kind, Draw); 5] = Kind::ALL.map(|kind| (kind, Draw::default()));
        let (mut unfit, mut able) = (None, false);
        for (index, candidate) in self.candidates().iter().enumerate() {
            match self.assess(context, &judge, index, candidate) {
                Ok((kind, rank)) => {
                    able = true;
                    let place = place(kind, candidate, &rank);
                    draws[kind as usize].1.offer(index, place, rank.weight, rng);
                }
                Err(out) if out.is_lasting() => unfit = Some(worse(unfit, out)),
                Err(out) => {
                    able |= out != Out::TagMismatch;
                    survey.note(out, now);
                }
            }
        }
        let admitted = |kind: Kind| match context.resort {
            Resort::Beside => kind == Kind::Fresh,
            Resort::First => kind <= Kind::Again,
            Resort::Last => true,
        };
        let sight = draws.iter().filter(|(kind, _)| admitted(*kind)).find_map(|(kind, draw)| {
            let winner = draw.winner()?;
            let candidate = if kind.is_again() {
                winner
            } else {
                self.among(context, &judge, *kind, draw, rng).unwrap_or(winner)
            };
            Some(Sight { kind: *kind, candidate })
        });
        self.unfit = unfit.filter(|_| !able);
        survey.unfit = match (survey.unfit, self.unfit) {
            (before, Some(out)) => Some(worse(before, out)),
            (before, None) => before,
        };
        sight
    }

    fn judge<'a>(&'a self, context: &Context<'a>) -> Judge<'a> {
        let now = context.state.nanos(context.now);
        let wants = context.wants;
        let warm = wants.keys.prefix.and_then(|prefix| {
            let key = affinity::key(self.key(), affinity::Kind::Prefix, prefix);
            Some((context.state.ties.get(key, now)?, wants.keys.prefix_tokens))
        });
        Judge {
            strategy: self.strategy,
            tuning: self.tuning,
            settings: context.settings,
            needs: wants.needs.as_ref(),
            stream: wants.stream,
            captured: self.captured.as_deref(),
            warm,
            heeds_checks: context.settings.heeds_checks.filter(|oldest| {
                self.takers().any(|candidate| !candidate.state.is_unwell(*oldest, now))
            }),
            now,
        }
    }

    /// The choice among those that share the first place of a draw, where the draw itself does not
    /// make it: the deployment that the request is tied to, whose turn it is, the less busy of two.
    fn among(
        &self,
        context: &Context<'_>,
        judge: &Judge<'_>,
        kind: Kind,
        draw: &Draw,
        rng: &mut Rng,
    ) -> Option<usize> {
        let (last, order, near, load) = draw.best();
        // The load does not part them: each of these looks at it in its own way.
        let same = |index: usize, candidate: &Candidate| match self
            .assess(context, judge, index, candidate)
        {
            Ok((its_kind, rank)) => {
                let alike = its_kind == kind && rank.last == last && candidate.order == order;
                (alike, alike && rank.near == near, rank.load)
            }
            Err(_) => (false, false, 0),
        };
        if let Some(tied) = self.tied(context, judge, load, |index, candidate| {
            let (alike, _, load) = same(index, candidate);
            alike.then_some(load)
        }) {
            return Some(tied);
        }
        let candidates = self.candidates();
        match self.strategy {
            Strategy::Weighted => {
                let takes_part = |index: usize| {
                    candidates.get(index).is_some_and(|candidate| same(index, candidate).1)
                };
                if context.rehearsal {
                    self.roster.turns.lock().peek(takes_part)
                } else {
                    self.roster.turns.lock().take(takes_part)
                }
            }
            Strategy::Latency => {
                let equals = candidates.iter().enumerate().filter_map(|(index, candidate)| {
                    let (_, equal, load) = same(index, candidate);
                    equal.then_some((index, load, candidate))
                });
                latency::choose(judge, load, equals, rng)
            }
            Strategy::SimpleShuffle
            | Strategy::LeastBusy
            | Strategy::Cost
            | Strategy::Usage
            | Strategy::Capability
            | Strategy::Quality => None,
        }
    }

    /// The deployment that the request is tied to, if it may serve: `eligible` gives the load of
    /// those that may. `best` is the lowest load.
    fn tied(
        &self,
        context: &Context<'_>,
        judge: &Judge<'_>,
        best: u64,
        eligible: impl Fn(usize, &Candidate) -> Option<u64>,
    ) -> Option<usize> {
        let position = |deployment: u64| {
            let index = self.candidates().iter().position(|one| one.key == deployment)?;
            let candidate = self.candidate(index)?;
            eligible(index, candidate).map(|load| (index, candidate, load))
        };
        if let Some((index, ..)) = self.session_tie(context, judge.now).and_then(position) {
            return Some(index);
        }
        let prefix = context.wants.keys.prefix?;
        let all = self.candidates();
        let busy: u32 = all.iter().map(|one| one.state.in_flight()).sum();
        let mean = f64::from(busy) / all.len() as f64;
        let crowded =
            |candidate: &Candidate| affinity::is_crowded(candidate.state.in_flight(), mean);
        if let Some((index, candidate, load)) = judge.warm.and_then(|(key, _)| position(key)) {
            return self.stays(judge, load, best).then_some(index).filter(|_| !crowded(candidate));
        }
        // Nobody is warm. Where the price decides there is nothing to gain before somebody is.
        if matches!(self.strategy, Strategy::Cost | Strategy::Capability | Strategy::Quality) {
            return None;
        }
        let mut home: Option<(f64, usize)> = None;
        for (index, candidate) in self.candidates().iter().enumerate() {
            let Some(load) = eligible(index, candidate) else { continue };
            if !self.stays(judge, load, best) || crowded(candidate) {
                continue;
            }
            let liking = affinity::liking(prefix, candidate.key, candidate.weight);
            if home.is_none_or(|(most, _)| liking > most) {
                home = Some((liking, index));
            }
        }
        home.map(|(_, index)| index)
    }

    /// Whether a warm cache is worth more than what another deployment would gain. By price that
    /// is exact: the load of the warm one counts its cached prefix at the cached price. By latency
    /// a cache is worth twice the time of the fastest. The other strategies weigh no single
    /// request.
    fn stays(&self, judge: &Judge<'_>, load: u64, best: u64) -> bool {
        match judge.strategy {
            Strategy::Cost | Strategy::Capability | Strategy::Quality => load <= best,
            Strategy::Latency => load <= best.saturating_mul(2),
            Strategy::SimpleShuffle
            | Strategy::Weighted
            | Strategy::LeastBusy
            | Strategy::Usage => true,
        }
    }

    /// Whether and in what kind a candidate takes part, or why it does not.
    pub(super) fn assess(
        &self,
        context: &Context<'_>,
        judge: &Judge<'_>,
        index: usize,
        candidate: &Candidate,
    ) -> Result<(Kind, Rank), Out> {
        if context.skip.contains(&index) {
            return Err(Out::Failed);
        }
        if self.above.is_some_and(|above| candidate.order <= above) {
            return Err(Out::OrderTried);
        }
        if !self.is_tagged(index) {
            return Err(Out::TagMismatch);
        }
        let (fit, facts) = self.fits(context, candidate)?;
        let now = judge.now;
        if judge.heeds_checks.is_some_and(|oldest| candidate.state.is_unwell(oldest, now)) {
            return Err(Out::Unhealthy);
        }
        let standing = candidate.state.standing(now);
        let tried = context.find(candidate, self.captured.as_ref());
        let cooling = |until: u64| Out::Cooling { remaining: Duration::from_nanos(until - now) };
        if let (Standing::Cooling { until }, None) = (standing, tried) {
            return Err(cooling(until));
        }
        if !matches!(standing, Standing::Cooling { .. })
            && let Some(bound) = bound(candidate, context.settings)
            && candidate.state.in_flight() >= bound
        {
            return Err(Out::Full { bound });
        }
        let room = match &candidate.meter {
            None => Room::Free,
            Some(meter) => meter.room(context.wants.needs.as_ref(), context.now),
        };
        if let Room::Over { limit, retry_after } = room {
            return Err(Out::OverLimit { limit, retry_after });
        }
        let breaker = &context.settings.breaker;
        let probed = match standing {
            Standing::HalfOpen { probes } => probes >= breaker.probes,
            Standing::Closed | Standing::Cooling { .. } => false,
        };
        if probed && candidate.state.in_flight() >= breaker.crowd.max(breaker.probes) {
            return Err(Out::Probing);
        }
        let near = room == Room::Near || fit == Fit::Tight;
        let Some(tried) = tried else {
            let kind = match standing {
                Standing::Closed => Kind::Fresh,
                Standing::HalfOpen { .. } if probed => Kind::BesideProbe,
                // One that has failed already is not made a probe while others are healthy.
                Standing::HalfOpen { .. } if context.tried.is_empty() => Kind::Fresh,
                Standing::HalfOpen { .. } => Kind::Probe,
                Standing::Cooling { until } => return Err(cooling(until)),
            };
            return Ok((kind, Rank { near, ..judge.rank(candidate, facts.as_ref()) }));
        };
        match (context.again(tried, standing), standing) {
            (Some((kind, from)), _) => {
                let load = nanos(from.saturating_duration_since(context.now));
                Ok((kind, Rank { last: false, near, load, weight: candidate.weight }))
            }
            (None, Standing::Cooling { until }) => Err(cooling(until)),
            (None, _) => Err(Out::Failed),
        }
    }

    /// Whether a candidate can serve the request at all.
    fn fits(
        &self,
        context: &Context<'_>,
        candidate: &Candidate,
    ) -> Result<(Fit, Option<Facts>), Out> {
        let (wants, deployment) = (context.wants, &candidate.deployment);
        if let Some(region) = &wants.region
            && !checks::in_region(deployment, region)
        {
            return Err(Out::OtherRegion);
        }
        if !wants.capabilities.is_empty()
            && self.checks.fit
            && !checks::has_names(deployment, &wants.capabilities)
        {
            return Err(Out::CapabilityNotNamed);
        }
        let Some(needs) = wants.needs.as_ref().filter(|_| self.checks != Checks::default()) else {
            return Ok((Fit::Good, None));
        };
        let prices = context.settings.prices.as_deref();
        let facts = Facts::of(deployment, self.captured.as_deref(), prices);
        checks::fit(self.checks, needs, deployment, &facts).map(|fit| (fit, Some(facts)))
    }

    fn grip(&mut self, context: &Context<'_>, sight: Sight) -> Option<Choice> {
        let candidate = self.roster.candidates.get(sight.candidate)?;
        let entry = match sight.kind {
            Kind::Fresh | Kind::Probe => Entry::Normal,
            Kind::Again | Kind::BesideProbe => Entry::BesideProbe,
            Kind::AsAsked => Entry::AfterRest,
        };
        let now = context.state.nanos(context.now);
        let standing = candidate.state.standing(now);
        let bound = bound(candidate, context.settings);
        let rules = Rules::of(context.settings, &candidate.deployment);
        let in_flight = candidate.state.admit(bound, entry, rules, now)?;
        let hold = match &candidate.meter {
            None => None,
            Some(meter) => Some(meter.take(context.wants.needs.as_ref(), context.now)?),
        };
        let from = match context.find(candidate, self.captured.as_ref()) {
            None => context.now,
            Some(tried) => context.again(tried, standing)?.1,
        };
        let choice = Choice {
            deployment: candidate.deployment.clone(),
            captured: self.captured.clone(),
            from,
            in_flight,
            candidate: sight.candidate,
            hold,
        };
        self.highest = self.highest.max(candidate.order);
        self.attempts += 1;
        // Company for an attempt is no retry.
        self.level_attempts += u32::from(context.resort != Resort::Beside);
        Some(choice)
    }
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Fresh, Self::Probe, Self::Again, Self::BesideProbe, Self::AsAsked];

    fn is_again(self) -> bool {
        matches!(self, Self::Again | Self::AsAsked)
    }
}

/// Where a candidate stands in the draw of its kind. Among those that failed already, the one that
/// may begin first goes first, whatever its `order`.
fn place(kind: Kind, candidate: &Candidate, rank: &Rank) -> Place {
    let order = if kind.is_again() { 0 } else { candidate.order };
    (rank.last, order, rank.near, rank.load)
}

/// The one of two reasons that says more to the client: the largest window, if it is that.
fn worse(before: Option<Out>, out: Out) -> Out {
    match (before, out) {
        (Some(Out::ContextTooSmall { window, .. }), Out::ContextTooSmall { window: other, .. })
            if window >= other =>
        {
            before.unwrap_or(out)
        }
        (Some(before @ Out::ContextTooSmall { .. }), out)
            if !matches!(out, Out::ContextTooSmall { .. }) =>
        {
            before
        }
        _ => out,
    }
}

impl Survey {
    fn note(&mut self, out: Out, now: u64) {
        match out {
            Out::Cooling { remaining } => {
                let until = now.saturating_add(nanos(remaining));
                self.earliest = Some(self.earliest.map_or(until, |first| first.min(until)));
            }
            Out::Full { .. } => self.full = true,
            Out::OverLimit { limit, retry_after } => {
                let this = (retry_after, limit);
                self.over = Some(self.over.map_or(this, |first| first.min(this)));
            }
            Out::Probing => {
                let until = now.saturating_add(nanos(PROBE_WAIT));
                self.earliest = Some(self.earliest.map_or(until, |first| first.min(until)));
            }
            Out::Unhealthy
            | Out::TagMismatch
            | Out::ContextTooSmall { .. }
            | Out::MissingCapability(_)
            | Out::CapabilityNotNamed
            | Out::NotLongContext { .. }
            | Out::OtherRegion
            | Out::OrderTried
            | Out::Failed => {}
        }
    }
}

impl Context<'_> {
    /// How this request fared with a deployment. The same deployment with another model behind a
    /// wildcard is another matter.
    fn find(&self, candidate: &Candidate, captured: Option<&Arc<str>>) -> Option<&Tried> {
        self.tried.iter().find(|tried| {
            Arc::ptr_eq(&tried.deployment, &candidate.deployment)
                && tried.captured.as_ref() == captured
        })
    }

    /// Whether and when a deployment that failed may be tried again.
    fn again(&self, tried: &Tried, standing: Standing) -> Option<(Kind, Instant)> {
        // A fallback is for what has not failed yet.
        if tried.stage != self.stage {
            return None;
        }
        let (kind, from) = match (tried.again, standing) {
            (Again::Never, _) | (Again::From(_), Standing::Cooling { .. }) => return None,
            (Again::From(from), _) => (Kind::Again, from),
            (Again::AsAsked(from), Standing::Cooling { until }) => {
                (Kind::AsAsked, from.max(self.state.instant(until)))
            }
            (Again::AsAsked(from), _) if from > self.now => (Kind::AsAsked, from),
            (Again::AsAsked(from), _) => (Kind::Again, from),
        };
        let from = from.max(self.now);
        let too_long = kind == Kind::AsAsked && from - self.now > self.settings.max_retry_after;
        let too_late = self.deadline.is_some_and(|deadline| from >= deadline);
        (!too_long && !too_late).then_some((kind, from))
    }
}

/// How many attempts a deployment may have in flight. LiteLLM also takes rpm and tpm for such a
/// bound; they are rates, and a group of long streams would be refused far below them.
fn bound(candidate: &Candidate, settings: &Settings) -> Option<u32> {
    let Deployment { max_parallel_requests, rpm, tpm, .. } = &*candidate.deployment;
    let default =
        if rpm.is_none() && tpm.is_none() { settings.default_max_parallel_requests } else { None };
    max_parallel_requests.or(default)
}

const MAX_GRIPS: u32 = 16;
