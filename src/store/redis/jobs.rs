//! Settlements that nobody waits for: kept in their order while Redis is away, up to a bound.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{KEPT_MS, Redis, Said, list, number};
use crate::admission::{Claims, Crossed, Spent};
use crate::money::Usd;

/// Some 20 MB; beyond it the oldest are given up. Places come back by themselves when their lease ends;
/// money that was not told is in the ledger.
const JOBS_MAX: usize = 100_000;
/// Under way at one time.
const AT_ONCE: usize = 32;

/// What is to be told to Redis.
#[derive(Clone, Debug)]
pub(super) enum Job {
    Settle {
        /// Empty for a payment alone.
        ticket: Arc<str>,
        keys: Arc<[String]>,
        claims: Claims,
        spent: Spent,
        resets: Vec<Option<Timestamp>>,
    },
    Forget(String),
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
            while under_way.len() < AT_ONCE && self.link.is_well() {
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
    async fn tell(&self, job: Job) -> Result<(), Job> {
        match &job {
            Job::Forget(key) => {
                let mut command = redis::cmd("HDEL");
                command.arg(key).arg("b").arg("u");
                self.link.command(&command).await.map_err(|_| job)
            }
            Job::Settle { ticket, keys, claims, spent, resets } => {
                let mut call = self.scripts.settle.prepare_invoke();
                call.arg(&**ticket).arg(u8::from(spent.counted)).arg(spent.tokens);
                call.arg(spent.cost.pico());
                for (key, claim) in keys.iter().zip(claims.as_slice()) {
                    call.key(key).arg(u8::from(claim.pays()));
                }
                let said: Said = match self.link.ask(&call).await {
                    Ok(said) => said,
                    Err(_) => return Err(job),
                };
                let ends = resets.iter().copied().chain(std::iter::repeat(None));
                for ((claim, sums), ends) in claims.as_slice().iter().zip(said.list()).zip(ends) {
                    let sums = list(sums);
                    let sum = |at| Usd::from_pico(number(sums.get(at)));
                    for crossed in Crossed::levels(claim, sum(0), sum(1), ends) {
                        self.watch.crossed(crossed);
                    }
                }
                Ok(())
            }
        }
    }

    /// Says that this gateway is there and renews the leases of its requests.
    pub(super) async fn beat(&self) -> Result<(), super::link::Away> {
        let gateways = format!("{}gateways", self.prefix);
        loop {
            let due = self.link.due();
            let is_last = due.len() < super::link::RENEWED_AT_ONCE;
            let mut call = self.scripts.beat.prepare_invoke();
            call.key(&gateways).arg(self.link.id()).arg(super::link::BELIEVED_MS);
            call.arg(super::LEASE_MS);
            for (ticket, keys) in &due {
                for key in keys.iter() {
                    call.key(key).arg(&**ticket);
                }
            }
            let count: u64 = self.link.probe(&call).await?;
            self.link.heard(count);
            if is_last {
                return Ok(());
            }
        }
    }
}

/// A window is kept as long as its counters are.
const _: () = assert!(KEPT_MS > 61_000);
