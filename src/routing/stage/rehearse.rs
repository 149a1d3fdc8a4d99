//! The choice as an explanation: what would be chosen, and why not the others.

use std::time::Duration;

use fastrand::Rng;

use super::Stage;
use super::assess::{Context, Survey};
use super::choose::Kind;
use crate::routing::explain::{self, ExplainedCandidate, PLACES};
use crate::routing::health::Standing;
use crate::routing::settings::Strategy;
use crate::routing::stats::Candidate;
use crate::routing::strategy::{Judge, Rank, latency};

impl Stage {
    /// Every candidate as the choice sees it now; nobody gets a place or loses a turn.
    pub(in crate::routing) fn rehearse(
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
}
