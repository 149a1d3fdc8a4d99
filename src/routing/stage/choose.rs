//! Who is called next.
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

use std::sync::Arc;
use std::time::Instant;

use fastrand::Rng;

use super::Stage;
use super::assess::{Context, Resort, Survey, bound, worse};
use crate::catalog::Deployment;
use crate::routing::affinity;
use crate::routing::breaker::Rules;
use crate::routing::health::{Entry, InFlight};
use crate::routing::meter::Hold;
use crate::routing::out::Out;
use crate::routing::settings::Strategy;
use crate::routing::stats::Candidate;
use crate::routing::strategy::{Draw, Judge, Place, Rank, latency};

/// A deployment with a place taken.
pub(in crate::routing) struct Choice {
    pub(in crate::routing) deployment: Arc<Deployment>,
    pub(in crate::routing) captured: Option<Arc<str>>,
    /// When the attempt may begin.
    pub(in crate::routing) from: Instant,
    pub(in crate::routing) in_flight: InFlight,
    pub(in crate::routing) candidate: usize,
    pub(in crate::routing) hold: Option<Box<dyn Hold>>,
}

/// The kinds of the list above, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::routing) enum Kind {
    Fresh,
    Probe,
    Again,
    BesideProbe,
    AsAsked,
}

/// A candidate as it looked a moment ago.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    kind: Kind,
    pub(super) candidate: usize,
}

impl Stage {
    /// Chooses a deployment and takes a place in it.
    pub(in crate::routing) fn choose(
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

    pub(super) fn look(
        &mut self,
        context: &Context<'_>,
        survey: &mut Survey,
        rng: &mut Rng,
    ) -> Option<Sight> {
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

const MAX_GRIPS: u32 = 16;
