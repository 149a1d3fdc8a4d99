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

use super::health::{Entry, InFlight, Standing};
use super::meter::{Hold, Room};
use super::needs::Needs;
use super::out::Out;
use super::retry::{Again, Reach};
use super::settings::Settings;
use super::stats::{Candidate, Roster, State, nanos};
use super::strategy::{Draw, Rank};
use crate::catalog::{Deployment, Deployments, Resolved};
use crate::failure::FailureClass;

/// A group in the course of one request.
#[derive(Debug)]
pub(super) struct Stage {
    /// As the client or the fallback list wrote it.
    pub(super) name: Arc<str>,
    /// The groups behind the name: one, or several behind a weighted alias.
    groups: Vec<Arc<str>>,
    /// What the `*` of a wildcard stands for.
    captured: Option<Arc<str>>,
    /// What the catalog has under the name; tells two targets apart.
    list: Deployments,
    roster: Arc<Roster>,
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
    First,
    Last,
}

/// Everything a choice depends on besides the group.
pub(super) struct Context<'a> {
    pub(super) settings: &'a Settings,
    pub(super) state: &'a State,
    pub(super) tried: &'a [Tried],
    pub(super) needs: Option<&'a Needs>,
    pub(super) stage: usize,
    pub(super) now: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) resort: Resort,
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
}

/// A deployment with a place taken.
pub(super) struct Choice {
    pub(super) deployment: Arc<Deployment>,
    pub(super) captured: Option<Arc<str>>,
    /// When the attempt may begin.
    pub(super) from: Instant,
    pub(super) in_flight: InFlight,
    pub(super) hold: Option<Box<dyn Hold>>,
}

/// The kinds of the list above, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
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
    /// `roster` holds what the request may use of `resolved`.
    pub(super) fn new(
        name: Arc<str>,
        resolved: Resolved,
        roster: Arc<Roster>,
        overrides: Overrides,
    ) -> Self {
        let mut groups = vec![resolved.group];
        if resolved.weights.is_some() {
            for deployment in resolved.deployments.iter() {
                if !groups.contains(&deployment.group) {
                    groups.push(deployment.group.clone());
                }
            }
        }
        Self {
            name,
            groups,
            captured: resolved.captured,
            list: resolved.deployments,
            roster,
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

    /// Whether the group may have another attempt.
    pub(super) fn may_try(&self) -> bool {
        let may_retry =
            |last: Verdict| last.reach >= Reach::Others && self.level_attempts <= last.retries;
        self.level_attempts == 0 || self.last.is_some_and(may_retry)
    }

    /// Moves on to the deployments with a higher `order` than any tried; they get retries anew.
    pub(super) fn ascend(&mut self) -> bool {
        let ascends = self.last.is_some_and(|last| last.reach >= Reach::Others)
            && self.candidates().iter().any(|candidate| candidate.order > self.highest);
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

    fn look(&self, context: &Context<'_>, survey: &mut Survey, rng: &mut Rng) -> Option<Sight> {
        let now = context.state.nanos(context.now);
        let mut draws: [(Kind, Draw); 5] = [
            (Kind::Fresh, Draw::default()),
            (Kind::Probe, Draw::default()),
            (Kind::Again, Draw::default()),
            (Kind::BesideProbe, Draw::default()),
            (Kind::AsAsked, Draw::default()),
        ];
        for (index, candidate) in self.candidates().iter().enumerate() {
            let (kind, rank) = match self.assess(context, candidate) {
                Ok(assessed) => assessed,
                Err(out) => {
                    survey.note(out, now);
                    continue;
                }
            };
            // Among those that failed, the one that may begin first, whatever its `order`.
            let order = if kind.is_again() { 0 } else { candidate.order };
            draws[kind as usize].1.offer(index, order, rank, rng);
        }
        let admitted = |kind: Kind| kind <= Kind::Again || context.resort == Resort::Last;
        draws.iter().filter(|(kind, _)| admitted(*kind)).find_map(|(kind, draw)| {
            draw.winner().map(|candidate| Sight { kind: *kind, candidate })
        })
    }

    /// Whether and in what kind a candidate takes part, or why it does not.
    fn assess(&self, context: &Context<'_>, candidate: &Candidate) -> Result<(Kind, Rank), Out> {
        if self.above.is_some_and(|above| candidate.order <= above) {
            return Err(Out::OrderTried);
        }
        let now = context.state.nanos(context.now);
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
        let near = match &candidate.meter {
            None => false,
            Some(meter) => match meter.room(context.needs, context.now) {
                Room::Free => false,
                Room::Near => true,
                Room::Over { limit, retry_after } => {
                    return Err(Out::OverLimit { limit, retry_after });
                }
            },
        };
        let Some(tried) = tried else {
            let kind = match standing {
                Standing::Closed => Kind::Fresh,
                Standing::HalfOpen { probing: true } => Kind::BesideProbe,
                // One that has failed already is not made a probe while others are healthy.
                Standing::HalfOpen { .. } if context.tried.is_empty() => Kind::Fresh,
                Standing::HalfOpen { .. } => Kind::Probe,
                Standing::Cooling { until } => return Err(cooling(until)),
            };
            return Ok((kind, Rank { near, ..context.settings.strategy.rank(candidate) }));
        };
        match (context.again(tried, standing), standing) {
            (Some((kind, from)), _) => {
                let load = nanos(from.saturating_duration_since(context.now));
                Ok((kind, Rank { near, load, weight: candidate.weight }))
            }
            (None, Standing::Cooling { until }) => Err(cooling(until)),
            (None, _) => Err(Out::Failed),
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
        let in_flight = candidate.state.admit(bound, entry, now)?;
        let hold = match &candidate.meter {
            None => None,
            Some(meter) => Some(meter.take(context.needs, context.now)?),
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
            hold,
        };
        self.highest = self.highest.max(candidate.order);
        self.attempts += 1;
        self.level_attempts += 1;
        Some(choice)
    }
}

impl Kind {
    fn is_again(self) -> bool {
        matches!(self, Self::Again | Self::AsAsked)
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
            _ => {}
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
