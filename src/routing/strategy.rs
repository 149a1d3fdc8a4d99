//! The rule of choice among deployments that could all serve.
//!
//! A strategy gives each candidate a [`Rank`]; a [`Draw`] sees the candidates one by one and keeps
//! the winner. A new strategy is a new arm in [`Strategy::rank`].

use std::sync::Arc;

use fastrand::Rng;

use super::settings::Strategy;
use super::stats::Candidate;
use crate::catalog::Deployment;

/// Where a candidate stands: those near a limit go last, then the lowest load goes first; equals
/// are drawn by weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rank {
    pub(super) near: bool,
    pub(super) load: u64,
    pub(super) weight: f64,
}

impl Strategy {
    /// Places one candidate. Called for every deployment of a group on every attempt.
    pub(super) fn rank(self, candidate: &Candidate) -> Rank {
        match self {
            Self::SimpleShuffle => Rank { near: false, load: 0, weight: candidate.weight },
            // LiteLLM takes the first of equals, so that a quiet group sends everything to one
            // deployment; here equals are drawn.
            Self::LeastBusy => {
                let load = u64::from(candidate.state.in_flight());
                Rank { near: false, load, weight: EVEN }
            }
        }
    }
}

/// The share of each deployment of a group: by `weight`, else `rpm`, else `tpm`, whichever is the
/// first that any of them has; evenly if none has any. An alias brings weights of its own.
///
/// As in LiteLLM, a deployment without the metric that counts has no share. Other than there, it
/// serves when nothing else can: see [`Draw::offer`].
pub(super) fn shares(group: &[Arc<Deployment>], weights: Option<&[f64]>) -> Vec<f64> {
    if let Some(weights) = weights {
        return weights.iter().map(|weight| share(Some(*weight))).collect();
    }
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

/// A weighted draw in one pass and without memory: each candidate replaces the winner so far with
/// the probability of its share in the total so far.
#[derive(Debug, Default)]
pub(super) struct Draw {
    /// `order`, nearness to a limit and load of the winner.
    best: (i64, bool, u64),
    total: f64,
    without_weight: u32,
    winner: Option<usize>,
}

impl Draw {
    /// Lets a candidate take part. Those without weight win only among themselves.
    pub(super) fn offer(&mut self, index: usize, order: i64, rank: Rank, rng: &mut Rng) {
        let place = (order, rank.near, rank.load);
        if self.winner.is_none() || place < self.best {
            *self = Self { best: place, ..Self::default() };
        } else if place > self.best {
            return;
        }
        let wins = if rank.weight > 0.0 {
            self.total += rank.weight;
            self.total <= rank.weight || rng.f64() * self.total < rank.weight
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
}

const EVEN: f64 = 1.0;
