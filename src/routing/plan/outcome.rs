//! How attempts ended, and what that means for the next one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Attempt, Plan, Wants};
use crate::failure::Failure;
use crate::routing::affinity;
use crate::routing::fallback;
use crate::routing::retry::{self, Allowance, Reach};
use crate::routing::settings::Settings;
use crate::routing::stage::{Tried, Verdict};
use crate::routing::stats::{State, nanos};
use crate::usage::Usage;

impl Plan {
    /// Records that the deployment answered as it should. For a stream this is said when its first
    /// meaningful frame has come; should it break later, [`Plan::failed`] follows.
    pub fn succeeded(&mut self, attempt: &mut Attempt, state: &State, now: Instant) {
        let now = state.nanos(now);
        attempt.in_flight.succeeded(now);
        self.tie(attempt, state, now);
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
}
