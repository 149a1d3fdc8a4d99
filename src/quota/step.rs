//! Keeps the counters in step with the ledger, beside the requests.
//!
//! The ledger is what is right: it has every request once, also those of a gateway that was killed
//! before it could say what they cost. What it cannot have yet is what gateways have not written so
//! far, and of that every gateway tells how old it is.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Due, Known, Mark, Quota, term};
use crate::admission::{Claim, Counters, Key};
use crate::spend::Term;

/// How long the background waits for the ledger.
const REFRESH_MAX: Duration = Duration::from_secs(10);
/// Accounts that are asked for together.
const ASKED_AT_ONCE: usize = 200;
/// How often accounts are asked for again that are due.
const REFRESH_EVERY: Duration = Duration::from_secs(1);
/// How often counters that nobody needs are let go, in rounds of that.
const SWEEP_ROUNDS: u64 = 30;
/// A request may be paid so long before it is written down.
const SLACK: Duration = Duration::from_secs(1);

impl Quota {
    /// Keeps what is known of budgets in step with the ledger, and lets go of what nobody needs; for
    /// ever. `zone` says whose calendar is in force, `lag` how old the oldest cost is that this gateway
    /// has not brought to the ledger.
    pub async fn keep(&self, zone: impl Fn() -> TimeZone, lag: impl Fn() -> Option<Duration>) {
        let telling = async {
            let mut tick = ticks();
            for round in 1_u64.. {
                tick.tick().await;
                let (lag, now) = (lag().map(|lag| lag + SLACK), self.now());
                self.memory.wrote(lag, now);
                if let Some(shared) = &self.shared {
                    shared.wrote(lag, now);
                }
                if round % SWEEP_ROUNDS == 0 {
                    self.memory.sweep(now);
                }
            }
        };
        let asking = async {
            let mut tick = ticks();
            loop {
                tick.tick().await;
                self.step(&*self.memory, true, &zone()).await;
                if let Some(shared) = &self.shared {
                    // A ledger of this gateway alone knows nothing of what others spend.
                    self.step(&**shared, self.sees_all, &zone()).await;
                }
            }
        };
        tokio::join!(telling, asking);
    }

    /// Asks the ledger for the accounts that are due.
    async fn step(&self, counters: &dyn Counters, sees_all: bool, zone: &TimeZone) {
        let due = counters.due();
        for due in due.chunks(ASKED_AT_ONCE) {
            // Before the ledger is asked: what is written later need not be in its answer.
            let written = counters.written().filter(|_| sees_all);
            let keys: Vec<Key> = due.iter().map(|Due { key, .. }| key.clone()).collect();
            let Some(known) = self.ask(&keys, zone, REFRESH_MAX).await else { continue };
            let said: Vec<(Mark, Known)> = due.iter().map(|due| due.mark).zip(known).collect();
            if counters.correct(&said, written, self.now()).await.is_err() {
                tracing::debug!("the counters are away: sums are corrected later");
            }
        }
    }

    /// Brings budgets that no request claims, such as providers', in step with the shared counters, and
    /// learns what is not known. To be called every second or so.
    pub async fn follow(&self, claims: &[Claim], zone: &TimeZone) {
        let now = self.now();
        let asked: Vec<(Key, Option<Term>)> = claims
            .iter()
            .map(|claim| (claim.key(), term(claim.account_period(), now.at, zone)))
            .collect();
        if asked.is_empty() {
            return;
        }
        if let Some(shared) = &self.shared
            && let Ok(sums) = shared.sums(&asked).await
        {
            let mut known = Vec::new();
            let mut unknown = Vec::new();
            for ((key, term), sum) in asked.iter().zip(sums) {
                match sum {
                    Some(spent) => known.push(Known { key: key.clone(), term: *term, spent }),
                    None => unknown.push(key.clone()),
                }
            }
            self.memory.mirror(&known, self.now().ms);
            if !unknown.is_empty()
                && let Some(known) = self.ask(&unknown, zone, REFRESH_MAX).await
            {
                // If they are away again, they are told the next time.
                shared.learn(&known, false, self.now()).await.ok();
            }
        }
        let unknown: Vec<Key> = asked.into_iter().map(|(key, _)| key).collect();
        let unknown: Vec<Key> =
            unknown.into_iter().filter(|key| self.memory.is_unknown(key)).collect();
        if !unknown.is_empty()
            && let Some(known) = self.ask(&unknown, zone, REFRESH_MAX).await
        {
            self.memory.learn(&known, self.now().ms);
        }
    }
}

fn ticks() -> tokio::time::Interval {
    let mut tick = tokio::time::interval(REFRESH_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tick
}
