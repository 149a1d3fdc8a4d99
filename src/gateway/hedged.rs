//! Hedging: an attempt that takes long to begin gets company, and the first content wins.
//!
//! The other attempt is given up, which closes its connection; what its provider will ask for it is
//! estimated and added to the request's cost. `routing` says when a second attempt is worth that.

use std::time::{Duration, Instant, SystemTime};

use super::ctx::Call;
use super::estimate;
use super::exchange::Bounds;
use super::opening::{self, Opening, Whole};
use super::pump::{Interruption, Pump};
use super::relay::{Outcome, Relay};
use crate::catalog::Deployment;
use crate::failure::Failure;
use crate::patience::nap;
use crate::provider;
use crate::routing::{Attempt, Plan};

/// Which of the two attempts something came from.
enum Event {
    First(Result<Opening, Failure>),
    Second(Result<Opening, Failure>),
    TakesLong,
    Interrupted(Interruption),
}

/// While another attempt goes on, an error is no answer.
fn answered(opened: Result<Opening, Failure>, deployment: &Deployment) -> Result<Opening, Failure> {
    match opened? {
        Opening::Body(Whole { status, headers, body, .. }) if !status.is_success() => {
            let now = SystemTime::now();
            Err(provider::classify(deployment, status.as_u16(), &headers, &body, now))
        }
        opening => Ok(opening),
    }
}

impl Relay<'_> {
    /// As `Relay::open`; after `alone`, a second attempt is made beside the first. `attempt` is the
    /// one that won, or the last to fail.
    pub(super) async fn open_with_company(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
        alone: Duration,
    ) -> Result<Opening, Outcome> {
        let mut began = Instant::now();
        let mut give_up_at = Some(began + alone);
        let mut first = Box::pin(opening::open(self.order(call, attempt)));
        let mut second = None;
        loop {
            let bounds = Bounds::of(&self.ctx.snapshot.traffic, call, &attempt.deployment);
            let mut pump = Pump::new(self, call, (plan, attempt), bounds);
            let event = tokio::select! {
                biased;
                opened = &mut first => Event::First(opened),
                opened = async {
                    match &mut second {
                        Some((_, opening, _)) => opening.await,
                        None => std::future::pending().await,
                    }
                } => Event::Second(opened),
                () = async {
                    match give_up_at {
                        Some(at) => nap(at).await,
                        None => std::future::pending().await,
                    }
                } => Event::TakesLong,
                interruption = pump.interruption() => Event::Interrupted(interruption),
            };
            match (event, second.take()) {
                (Event::Interrupted(interruption), company) => {
                    second = company;
                    match interruption {
                        Interruption::Heartbeat => {
                            Pump::new(self, call, (plan, attempt), bounds).beat().await;
                        }
                        Interruption::Silence => {}
                        Interruption::DeadlinePassed => return Err(Outcome::DeadlinePassed),
                        Interruption::ClientGone => return Err(Outcome::ClientGone),
                    }
                }
                (Event::TakesLong, _) => {
                    if give_up_at.is_some_and(|at| Instant::now() < at) {
                        continue;
                    }
                    give_up_at = None;
                    let (settings, state) = (&self.ctx.snapshot.routing, &self.gateway.routing);
                    let now = Instant::now();
                    if let Some(company) =
                        plan.hedge(attempt, settings, state, now, Some(call.deadline))
                    {
                        let opening = Box::pin(opening::open(self.order(call, &company)));
                        second = Some((company, opening, now));
                    }
                }
                (Event::First(opened), None) => return opened.map_err(Outcome::Failed),
                (Event::First(opened), Some((company, opening, since))) => {
                    match answered(opened, &attempt.deployment) {
                        Ok(opening) => {
                            self.overtaken(call, &company, since);
                            return Ok(opening);
                        }
                        Err(failure) => {
                            let failed = std::mem::replace(attempt, company);
                            self.lost(plan, failed, failure, began);
                            (first, began) = (opening, since);
                            give_up_at = None;
                        }
                    }
                }
                (Event::Second(opened), Some((company, _, since))) => {
                    match answered(opened, &company.deployment) {
                        Ok(opening) => {
                            let slow = std::mem::replace(attempt, company);
                            self.overtaken(call, &slow, began);
                            return Ok(opening);
                        }
                        Err(failure) => self.lost(plan, company, failure, since),
                    }
                }
                // Without a second attempt, none can have ended.
                (Event::Second(_), None) => {}
            }
        }
    }

    /// One of the two failed while the other goes on.
    fn lost(&mut self, plan: &mut Plan, attempt: Attempt, failure: Failure, began: Instant) {
        let failure = provider::reclassify(&attempt.deployment, failure, None, SystemTime::now());
        let outcome = Outcome::Failed(failure.clone());
        self.note(&attempt, &outcome, began);
        let (settings, state) = (&self.ctx.snapshot.routing, &self.gateway.routing);
        let rest = plan.failed(attempt, &failure, settings, state, Instant::now());
        if let Some(noted) = self.ctx.relayed.attempts.last_mut() {
            noted.cooled_down = rest.is_some();
        }
    }

    /// One of the two was slower: it leaves no trace in its deployment's record, but it costs.
    fn overtaken(&mut self, call: &Call, attempt: &Attempt, began: Instant) {
        self.note(attempt, &Outcome::Overtaken, began);
        self.served_by(attempt);
        let ctx = &mut *self.ctx;
        ctx.relayed.settle(estimate::of_prompt(call), &ctx.snapshot.prices);
    }
}
