//! Settlements that nobody waits for: kept in their order while Redis is away, up to a bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use parking_lot::Mutex;
use redis::ScriptInvocation;
use tokio::sync::Notify;

use super::alone::{Late, Taken, Told};
use super::link::Away;
use super::said::{Said, list, number};
use super::{KEPT_MS, Redis, after_period};
use crate::admission::{Claims, Reached, Spent};
use crate::money::Usd;
use crate::spend::Scope;

/// Some 50 MB; beyond it the oldest are given up. Places come back by themselves when their lease ends;
/// money that was not told is in the ledger.
const JOBS_MAX: usize = 100_000;
/// Under way at one time.
const AT_ONCE: usize = 32;

/// How long it is known that a cost was told for which nothing was held, and that what was taken without
/// Redis is settled.
const PAID_MS: u64 = 600_000;
/// How long the ledger is not trusted to lower sums, when a gateway is gone that had not written all.
const MISSED_MS: u64 = 600_000;

/// What is to be told to Redis.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Settle {
        ticket: Arc<str>,
        keys: Arc<[String]>,
        claims: Claims,
        spent: Spent,
        resets: Vec<Option<Timestamp>>,
        /// It was told, and nobody knows whether it was heard.
        again: bool,
        /// It was taken without Redis.
        late: Option<Late>,
    },
    /// Leases that were taken without Redis.
    Adopt,
    /// A cost for which nothing is held.
    Pay {
        ticket: Arc<str>,
        keys: Vec<String>,
        cost: Usd,
    },
    Forget(Scope, i64),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    queue: Mutex<VecDeque<Job>>,
    more: Notify,
    lost: AtomicU64,
    /// Sent, and not heard of yet.
    sent: AtomicUsize,
}

impl Jobs {
    pub(super) fn push(&self, job: Job) {
        let mut queue = self.queue.lock();
        if queue.len() >= JOBS_MAX {
            queue.pop_front();
            if self.lost.fetch_add(1, Ordering::Relaxed) == 0 {
                tracing::warn!(
                    waiting = JOBS_MAX,
                    "Redis is away for long: the oldest settlements are given up"
                );
            }
        }
        queue.push_back(job);
        drop(queue);
        self.more.notify_one();
    }

    pub(super) fn len(&self) -> usize {
        self.queue.lock().len() + self.sent.load(Ordering::Relaxed)
    }

    fn pop(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        let job = queue.pop_front();
        self.sent.fetch_add(usize::from(job.is_some()), Ordering::Relaxed);
        job
    }

    fn put_back(&self, job: Job) {
        self.queue.lock().push_front(job);
    }
}

impl Redis {
    /// Tells Redis what is to be told; for ever.
    pub(super) async fn settle_jobs(&self) {
        let mut under_way = FuturesUnordered::new();
        let mut changes = self.link.changes();
        loop {
            while under_way.len() < AT_ONCE && self.link.hears() {
                let Some(job) = self.jobs.pop() else { break };
                under_way.push(self.tell(job));
            }
            tokio::select! {
                Some(done) = under_way.next(), if !under_way.is_empty() => {
                    self.jobs.sent.fetch_sub(1, Ordering::Relaxed);
                    if let Err(job) = done {
                        self.jobs.put_back(job);
                    }
                }
                () = self.jobs.more.notified() => {}
                () = changes.next() => {}
            }
        }
    }

    /// Tells one; gives it back if it was not heard.
    async fn tell(&self, mut job: Job) -> Result<(), Job> {
        let told = match &job {
            Job::Settle { .. } => self.tell_settled(&job).await,
            Job::Pay { ticket, keys, cost } => {
                let mut call = self.scripts.pay.prepare_invoke();
                call.key(format!("{}paid:{ticket}", self.prefix)).arg(PAID_MS).arg(cost.pico());
                for key in keys {
                    call.key(key);
                }
                self.link.tell::<Said>(&call).await.map(drop)
            }
            Job::Adopt => self.tell_alone().await,
            Job::Forget(scope, revision) => {
                let mut call = self.scripts.forget.prepare_invoke();
                let (before, after) = (self.before_period(scope), after_period(scope));
                call.key(self.periods()).key(format!("{before}#forgotten{after}"));
                call.arg(before).arg(after).arg(*revision);
                self.link.tell::<Said>(&call).await.map(drop)
            }
        };
        told.map_err(|away| {
            if let Job::Settle { again, .. } = &mut job {
                *again |= away.is_asked;
            }
            job
        })
    }

    async fn tell_settled(&self, job: &Job) -> Result<(), Away> {
        let Job::Settle { ticket, keys, claims, spent, resets, again, late } = job else {
            return Ok(());
        };
        let mut call = self.scripts.settle.prepare_invoke();
        call.arg(&**ticket).arg(u8::from(spent.counted)).arg(spent.tokens);
        call.arg(spent.cost.pico()).arg(u8::from(*again));
        call.arg(super::text(late.as_ref().map(|late| late.taken.age_ms()))).arg(PAID_MS);
        match late {
            None => {
                for (key, claim) in keys.iter().zip(claims.as_slice()) {
                    call.key(key).arg(u8::from(claim.pays())).arg("");
                }
            }
            Some(Late { taken, counted, .. }) => {
                call.key(self.settled(ticket));
                for (key, portion) in keys.iter().zip(&taken.portions) {
                    call.key(key).arg(u8::from(portion.pays));
                    call.arg(Taken::reserved(portion, *counted));
                }
            }
        }
        let said: Said = self.link.tell(&call).await?;
        let ends = resets.iter().copied().chain(std::iter::repeat(None));
        for ((claim, sums), ends) in claims.as_slice().iter().zip(said.list()).zip(ends) {
            let sums = list(sums);
            let sum = |at| Usd::from_pico(number(sums.get(at)));
            let (before, after) = (sum(0), sum(1));
            let crossed = Reached::of(claim, after).without(Reached::of(claim, before));
            crossed.tell(claim, after, ends).for_each(|crossed| self.watch.crossed(crossed));
        }
        Ok(())
    }

    /// Says that this gateway is there and renews the leases of its requests.
    pub(super) async fn beat(&self) -> Result<(), Away> {
        loop {
            let due = self.link.due();
            let is_last = due.len() < super::link::RENEWED_AT_ONCE;
            let mut call = self.scripts.beat.prepare_invoke();
            self.say_hello(&mut call, Told::At(self.link.heard_ms()), None);
            for (ticket, keys) in &due {
                for key in keys.iter() {
                    call.key(key).arg(&**ticket);
                }
            }
            let said: Said = self.link.ask(&call).await?;
            self.heard(&said);
            if is_last {
                return Ok(());
            }
        }
    }

    /// Who this gateway is and when it had told all, for the script; `since`: whether the others have,
    /// since then.
    pub(super) fn say_hello(
        &self,
        call: &mut ScriptInvocation<'_>,
        told: Told,
        since: Option<u64>,
    ) {
        let [gateways, written, all_told] = self.presence();
        let lag = self.link.lag().and_then(|lag| u64::try_from(lag.as_millis()).ok());
        call.key(gateways).key(written).key(all_told);
        call.arg(self.link.id()).arg(super::link::BELIEVED_MS);
        call.arg(super::LEASE_MS).arg(super::text(lag)).arg(MISSED_MS);
        match told {
            Told::Now => call.arg("now"),
            Told::At(ms) => call.arg(ms),
        };
        call.arg(super::text(since));
    }

    pub(super) fn heard(&self, said: &Said) {
        let said = said.list();
        let [gateways, written, now] = [0, 1, 2].map(|at| number(said.get(at)));
        self.link.heard(gateways, written, now);
    }

    /// Says that this gateway is gone, and has written all.
    pub async fn leave(&self) {
        let mut call = self.scripts.leave.prepare_invoke();
        let [gateways, written, told] = self.presence();
        call.key(gateways).key(written).key(told).arg(self.link.id());
        if self.link.ask::<Said>(&call).await.is_err() {
            tracing::debug!("Redis was not told that this gateway is gone");
        }
    }

    fn presence(&self) -> [String; 3] {
        ["gateways", "written", "told"].map(|name| format!("{}{name}", self.prefix))
    }
}

/// A window is kept as long as its counters are.
const _: () = assert!(KEPT_MS > 61_000);
