//! Who may be called at all, and what that depends on besides the group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::choose::Kind;
use super::{Stage, Tried};
use crate::catalog::Deployment;
use crate::routing::affinity;
use crate::routing::breaker::PROBE_WAIT;
use crate::routing::checks::{self, Checks, Facts, Fit};
use crate::routing::health::Standing;
use crate::routing::meter::Room;
use crate::routing::out::Out;
use crate::routing::plan::Wants;
use crate::routing::retry::Again;
use crate::routing::settings::Settings;
use crate::routing::stats::{Candidate, State, nanos};
use crate::routing::strategy::{Judge, Rank};

/// Whether fallbacks remain that would be better than a poor choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::routing) enum Resort {
    /// Only a deployment that has not failed this request and is well: the one that is being
    /// called may still answer.
    Beside,
    First,
    Last,
}

/// Everything a choice depends on besides the group.
pub(in crate::routing) struct Context<'a> {
    pub(in crate::routing) settings: &'a Settings,
    pub(in crate::routing) state: &'a State,
    pub(in crate::routing) tried: &'a [Tried],
    pub(in crate::routing) wants: &'a Wants,
    pub(in crate::routing) stage: usize,
    pub(in crate::routing) now: Instant,
    pub(in crate::routing) deadline: Option<Instant>,
    pub(in crate::routing) resort: Resort,
    /// Nobody is called: what others take turns by stays as it is.
    pub(in crate::routing) rehearsal: bool,
    /// Candidates that a rehearsal has placed already.
    pub(in crate::routing) skip: &'a [usize],
}

/// Why nothing was chosen.
#[derive(Debug, Default)]
pub(in crate::routing) struct Survey {
    /// When the first cooldown ends.
    pub(in crate::routing) earliest: Option<u64>,
    /// A deployment had no place left.
    pub(in crate::routing) full: bool,
    /// The limit that is free again first, and when.
    pub(in crate::routing) over: Option<(Duration, &'static str)>,
    /// Every deployment of some group is unable to serve the request.
    pub(in crate::routing) unfit: Option<Out>,
}

impl Stage {
    /// The deployment that the request's session is tied to, by the hash of its id.
    pub(super) fn session_tie(&self, context: &Context<'_>, now: u64) -> Option<u64> {
        let session = context.wants.keys.session?;
        context.state.ties.get(affinity::key(self.key(), affinity::Kind::Session, session), now)
    }

    pub(super) fn judge<'a>(&'a self, context: &Context<'a>) -> Judge<'a> {
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

    /// Whether and in what kind a candidate takes part, or why it does not.
    pub(in crate::routing) fn assess(
        &self,
        context: &Context<'_>,
        judge: &Judge<'_>,
        index: usize,
        candidate: &Candidate,
    ) -> Result<(Kind, Rank), Out> {
        if context.skip.contains(&index) {
            return Err(Out::Failed);
        }
        if context.wants.pin.as_ref().is_some_and(|pin| *pin != candidate.deployment.account) {
            return Err(Out::NotOwner);
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
}

/// The one of two reasons that says more to the client: the largest window, if it is that.
pub(super) fn worse(before: Option<Out>, out: Out) -> Out {
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
    pub(super) fn note(&mut self, out: Out, now: u64) {
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
            | Out::NotOwner
            | Out::OrderTried
            | Out::Failed => {}
        }
    }
}

impl Context<'_> {
    /// How this request fared with a deployment. The same deployment with another model behind a
    /// wildcard is another matter.
    pub(super) fn find(
        &self,
        candidate: &Candidate,
        captured: Option<&Arc<str>>,
    ) -> Option<&Tried> {
        self.tried.iter().find(|tried| {
            Arc::ptr_eq(&tried.deployment, &candidate.deployment)
                && tried.captured.as_ref() == captured
        })
    }

    /// Whether and when a deployment that failed may be tried again.
    pub(super) fn again(&self, tried: &Tried, standing: Standing) -> Option<(Kind, Instant)> {
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
pub(super) fn bound(candidate: &Candidate, settings: &Settings) -> Option<u32> {
    let Deployment { max_parallel_requests, rpm, tpm, .. } = &*candidate.deployment;
    let default =
        if rpm.is_none() && tpm.is_none() { settings.default_max_parallel_requests } else { None };
    max_parallel_requests.or(default)
}
