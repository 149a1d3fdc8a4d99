//! The latency strategy: between two of those that are nearly as fast as the fastest, the less busy.
//!
//! - *Expected* is the average of what was measured ([`super::super::speed`]); of one that was never
//!   measured, the latency written at it (`metadata.latency`).
//! - *Nearly*: within `lowest_latency_buffer` of the fastest. Two of those are drawn and the one
//!   with fewer attempts waiting for an answer is taken (the power of two choices): many gateways
//!   that all know the same fastest deployment do not fall upon it.
//! - *Exploring*: what was never measured, or not for a while, is tried now and then, by one
//!   request at a time. So a deployment that has become fast again is found out, and one that is
//!   slow costs few requests.

use std::time::Duration;

use fastrand::Rng;

use super::Judge;
use crate::routing::stats::{Candidate, nanos};

/// The load of one of which nothing is known: after all others.
pub(super) const UNKNOWN: u64 = u64::MAX / 2;

/// Never measured: this share of the requests goes there, while none is under way. What nobody
/// knows is worth one request.
const UNSEEN_RATE: f64 = 0.5;
/// Without a measurement for so long, it is tried again.
const STALE: Duration = Duration::from_secs(30);

/// What this request may expect of a deployment, in nanoseconds: to the first content of a stream,
/// or for each token of a whole reply.
pub(in crate::routing) fn expected(judge: &Judge<'_>, candidate: &Candidate) -> Option<f64> {
    let measured =
        candidate.state.speed.estimate(judge.stream, judge.tuning.latency_ttl, judge.now);
    if let Some(estimate) = measured {
        return Some(estimate.nanos);
    }
    let written = nanos(candidate.deployment.info.expected_latency?) as f64;
    // The written latency is that of a whole reply of the usual length.
    Some(if judge.stream {
        written
    } else {
        written / judge.expected_output(candidate).max(1) as f64
    })
}

/// How well a candidate is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Fresh,
    Stale,
    Never,
}

fn known(judge: &Judge<'_>, candidate: &Candidate) -> Known {
    match candidate.state.speed.estimate(judge.stream, judge.tuning.latency_ttl, judge.now) {
        None => Known::Never,
        Some(estimate) if estimate.age > STALE => Known::Stale,
        Some(_) => Known::Fresh,
    }
}

/// Chooses among `candidates`, of which the fastest has the load `fastest`; each comes with its
/// index and load.
pub(in crate::routing) fn choose<'a>(
    judge: &Judge<'_>,
    fastest: u64,
    candidates: impl Iterator<Item = (usize, u64, &'a Candidate)>,
    rng: &mut Rng,
) -> Option<usize> {
    let limit = (fastest as f64 * (1.0 + judge.tuning.latency_buffer.max(0.0))) as u64;
    let (mut never, mut stale) = (Pair::default(), Pair::default());
    let mut near: Pair<(usize, u64, u32)> = Pair::default();
    for (index, load, candidate) in candidates {
        let awaiting = candidate.state.speed.awaiting();
        if awaiting == 0 {
            match known(judge, candidate) {
                Known::Never => never.offer(index, rng),
                Known::Stale => stale.offer(index, rng),
                Known::Fresh => {}
            }
        }
        if load <= limit {
            near.offer((index, load, awaiting), rng);
        }
    }
    // Where nothing is known of anybody there is nothing to explore beside.
    let explores = |rate: f64, rng: &mut Rng| fastest < UNKNOWN && rng.f64() < rate;
    if let Some(index) = never.first
        && explores(if judge.tuning.exploration > 0.0 { UNSEEN_RATE } else { 0.0 }, rng)
    {
        return Some(index);
    }
    if let Some(index) = stale.first
        && explores(judge.tuning.exploration, rng)
    {
        return Some(index);
    }
    let first = near.first?;
    let better = |(_, load, awaiting): (usize, u64, u32)| (awaiting, load);
    let second = near.second.filter(|second| better(*second) < better(first));
    Some(second.unwrap_or(first).0)
}

/// Two of many, every pair with the same probability, in one pass; `first` is also a fair draw.
struct Pair<T> {
    first: Option<T>,
    second: Option<T>,
    seen: u32,
}

impl<T> Default for Pair<T> {
    fn default() -> Self {
        Self { first: None, second: None, seen: 0 }
    }
}

impl<T: Copy> Pair<T> {
    fn offer(&mut self, one: T, rng: &mut Rng) {
        self.seen += 1;
        match self.seen {
            1 => self.first = Some(one),
            2 if rng.bool() => self.second = Some(one),
            2 => self.second = self.first.replace(one),
            seen => match rng.u32(..seen) {
                0 => self.first = Some(one),
                1 => self.second = Some(one),
                _ => {}
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_as_likely_as_every_other() {
        let mut rng = Rng::with_seed(1);
        let mut seen = [[0_u32; 5]; 5];
        for _ in 0..20_000 {
            let mut pair = Pair::default();
            (0..5).for_each(|one: usize| pair.offer(one, &mut rng));
            seen[pair.first.unwrap()][pair.second.unwrap()] += 1;
        }
        for (first, row) in seen.iter().enumerate() {
            for (second, count) in row.iter().enumerate() {
                let expected = if first == second { 0..=0 } else { 850..=1150 };
                assert!(expected.contains(count), "{first} and {second}: {count}");
            }
        }
    }
}
