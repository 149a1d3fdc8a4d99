//! The rule of choice among deployments that could all serve.
//!
//! Every candidate gets a [`Rank`]; a [`Draw`] sees them one by one and keeps the winner. Two
//! strategies choose once more among the equals that the draw leaves: `weighted` by whose turn it
//! is, `latency` between two of those that are nearly as fast as the fastest
//! ([`latency`]). A new strategy is a new arm in [`Judge::rank`].

mod cost;
pub(super) mod latency;

use std::sync::Arc;

use fastrand::Rng;

use super::checks::{self, Facts};
use super::health::Standing;
use super::needs::Needs;
use super::settings::{Settings, Strategy, Tuning};
use super::stats::Candidate;
use crate::catalog::Deployment;
use crate::money::Usd;

/// Where a candidate stands, the first difference decides; equals are drawn by weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rank {
    /// Only if nothing else can serve: above `cost_threshold`.
    pub(super) last: bool,
    /// Near a limit, or hardly room for the prompt.
    pub(super) near: bool,
    /// What the strategy wants little of: attempts in flight, pico-dollars, nanoseconds.
    pub(super) load: u64,
    pub(super) weight: f64,
}

/// What the strategies look at besides the candidate; the same for one whole choice.
#[derive(Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) strategy: Strategy,
    pub(super) tuning: Tuning,
    pub(super) settings: &'a Settings,
    pub(super) needs: Option<&'a Needs>,
    pub(super) stream: bool,
    pub(super) captured: Option<&'a str>,
    /// The deployment whose prompt cache holds the beginning of the prompt, by the hash of its id,
    /// and how many tokens that is.
    pub(super) warm: Option<(u64, u64)>,
    pub(super) now: u64,
}

impl Judge<'_> {
    /// Places one candidate. Called for every deployment of a group on every attempt.
    pub(super) fn rank(&self, candidate: &Candidate, facts: Option<&Facts>) -> Rank {
        let speed = || &candidate.state.speed;
        let (load, weight) = match self.strategy {
            Strategy::SimpleShuffle | Strategy::Weighted => (0, candidate.weight),
            // As in LiteLLM the first of equals, so that a quiet group fails over in the order in
            // which it is written: files list a primary and what stands behind it.
            // One whose rest is over goes before its equals: it would never be probed behind them.
            Strategy::LeastBusy => {
                let closed = matches!(candidate.state.standing(self.now), Standing::Closed);
                (u64::from(candidate.state.in_flight()) * 2 + u64::from(closed), FIRST)
            }
            Strategy::Latency => (self.latency(candidate), EVEN),
            Strategy::Cost => (self.cost_load(candidate), candidate.weight),
            Strategy::Usage => {
                let speed = speed();
                let (requests, tokens) = (speed.requests.get(self.now), speed.tokens.get(self.now));
                (usage_load(&candidate.deployment, requests, tokens), EVEN)
            }
            Strategy::Capability | Strategy::Quality => {
                let unknown = match (self.needs, facts) {
                    (Some(needs), Some(facts)) => checks::unknown(needs, facts),
                    _ => 0,
                };
                let cost = match (self.strategy, self.cost(candidate)) {
                    (Strategy::Quality, Some(cost)) => u64::MAX - cost.pico(),
                    (_, cost) => cost.map_or(u64::MAX, Usd::pico),
                } >> UNKNOWN_BITS;
                (unknown << (u64::BITS - UNKNOWN_BITS) | cost, candidate.weight)
            }
        };
        Rank { last: self.is_too_dear(candidate), near: false, load, weight }
    }

    /// The expected time; unknown ones come after all that are known.
    fn latency(&self, candidate: &Candidate) -> u64 {
        latency::expected(self, candidate).map_or(latency::UNKNOWN, |nanos| nanos as u64)
    }

    fn cost_load(&self, candidate: &Candidate) -> u64 {
        self.cost(candidate).map_or(u64::MAX, Usd::pico)
    }
}

impl Strategy {
    /// Whether it is decided by what a request needs.
    #[must_use]
    pub(super) const fn looks_at_requests(self) -> bool {
        matches!(self, Self::Cost | Self::Capability | Self::Quality | Self::Usage)
    }
}

/// The share of its limits that a deployment has used this minute, in billionths: of the nearer
/// one, if it has two. One without limits comes before all that have used some of theirs, those
/// that were used less first, by tokens and then by requests.
fn usage_load(deployment: &Deployment, requests: f64, tokens: f64) -> u64 {
    let share = |used: f64, limit: Option<u64>| limit.map(|limit| used / limit.max(1) as f64);
    let shares = [share(requests, deployment.rpm), share(tokens, deployment.tpm)];
    let used = shares
        .into_iter()
        .flatten()
        .fold(None, |most: Option<f64>, share| Some(most.map_or(share, |most| most.max(share))));
    // A trillion tokens a minute are no share worth naming.
    let share = used.unwrap_or_else(|| (tokens + requests / 1000.0) / 1e12);
    (share * 1e9).min(1e18) as u64
}

/// Bits of a load that count capabilities nobody knows of.
const UNKNOWN_BITS: u32 = 4;

/// The share of each deployment of a group: by `weight`, else `rpm`, else `tpm`, whichever is the
/// first that any of them has; evenly if none has any.
///
/// As in LiteLLM, a deployment without the metric that counts has no share. Other than there, it
/// serves when nothing else can: see [`Draw::offer`].
pub(super) fn shares(group: &[Arc<Deployment>]) -> Vec<f64> {
    let metrics: [fn(&Deployment) -> Option<f64>; 3] = [
        |deployment| deployment.weight,
        |deployment| deployment.rpm.map(|rpm| rpm as f64),
        |deployment| deployment.tpm.map(|tpm| tpm as f64),
    ];
    for metric in metrics {
        let shares: Vec<f64> = group.iter().map(|one| share(metric(one))).collect();
        if shares.iter().any(|share| *share > 0.0) {
            return shares;
        }
    }
    vec![EVEN; group.len()]
}

/// A usable weight: negative ones and those that are no number count as none.
fn share(written: Option<f64>) -> f64 {
    written.filter(|weight| weight.is_finite() && *weight > 0.0).unwrap_or(0.0)
}

/// The place of a candidate among all: the lowest goes first. `last`, `order`, `near`, load.
pub(super) type Place = (bool, i64, bool, u64);

/// A weighted draw in one pass and without memory: each candidate replaces the winner so far with
/// the probability of its share in the total so far.
#[derive(Debug, Default)]
pub(super) struct Draw {
    best: Place,
    total: f64,
    without_weight: u32,
    winner: Option<usize>,
}

impl Draw {
    /// Lets a candidate take part. Those without weight win only among themselves.
    pub(super) fn offer(&mut self, index: usize, place: Place, weight: f64, rng: &mut Rng) {
        if self.winner.is_none() || place < self.best {
            *self = Self { best: place, ..Self::default() };
        } else if place > self.best {
            return;
        }
        let wins = if self.total.is_infinite() {
            false
        } else if weight > 0.0 {
            self.total += weight;
            self.total <= weight || rng.f64() * self.total < weight
        } else if self.total > 0.0 {
            false
        } else {
            self.without_weight += 1;
            self.without_weight == 1 || rng.u32(..self.without_weight) == 0
        };
        if wins {
            self.winner = Some(index);
        }
    }

    /// Who won, if anyone took part.
    pub(super) fn winner(&self) -> Option<usize> {
        self.winner
    }

    /// The place of the winner.
    pub(super) fn best(&self) -> Place {
        self.best
    }
}

const EVEN: f64 = 1.0;

/// A weight beside which no later one counts: the first of equals wins.
const FIRST: f64 = f64::INFINITY;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests::deployment;

    #[test]
    fn the_nearer_limit_counts_and_no_limit_is_the_least() {
        let with = |rpm, tpm| Deployment { rpm, tpm, ..deployment("gpt", "a") };
        let load = |rpm, tpm| usage_load(&with(rpm, tpm), 50.0, 1000.0);
        assert_eq!(load(Some(100), Some(10_000)), 500_000_000);
        assert_eq!(load(Some(100), Some(1250)), 800_000_000);
        assert!(load(None, None) < load(Some(1_000_000), None));
        let busier = usage_load(&with(None, None), 50.0, 2000.0);
        assert!(load(None, None) < busier);
    }
}
