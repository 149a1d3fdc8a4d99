//! The way back: what was let in while Redis was away is told before it decides again, and what it held
//! before, which it may have lost.
//!
//! ```text
//! Away --connected--> Returning: leases (adopt.lua), settlements (jobs.rs), then hello and the others
//!                     --all is told, by all gateways--> Well
//! ```
//!
//! Until then every gateway goes on with its part of each bound: who asked Redis earlier would be let in
//! for money and places that others hold. What is told is a lease as any other, which ends with its
//! gateway. It may be told twice, and be settled before it is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Redis;
use super::link::Away;
use super::said::{Said, number};
use crate::admission::Portion;

/// Leases that are told together.
const TOLD_AT_ONCE: usize = 100;
/// How long telling may take before requests ask again although more is to be told.
const TELLING_MAX: Duration = Duration::from_secs(10);
/// How long the other gateways are waited for, which find Redis at other moments.
const OTHERS_MAX: Duration = Duration::from_secs(3);
/// Between two looks at what is told.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a request took, of its claims in their order.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) at: Instant,
    pub(super) portions: Box<[Portion]>,
}

impl Taken {
    pub(super) fn age_ms(&self) -> u64 {
        u64::try_from(self.at.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// The tokens that a window is to have; nothing where there is none, or it has them.
    pub(super) fn reserved(portion: &Portion, counted: bool) -> String {
        super::text(portion.tokens.filter(|_| !counted))
    }
}

/// What Redis is to be told of.
#[derive(Debug)]
pub(super) struct Untold {
    pub(super) ticket: Arc<str>,
    pub(super) keys: Arc<[String]>,
    pub(super) taken: Arc<Taken>,
    /// Its windows have it already.
    pub(super) counted: bool,
}

/// What is settled before it is known whether Redis was told that it is held.
#[derive(Clone, Debug)]
pub(super) struct Late {
    pub(super) taken: Arc<Taken>,
    /// Redis was asked to take it over.
    pub(super) sent: bool,
    pub(super) counted: bool,
}

/// When a gateway had told all that it let in alone.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    Now,
    /// A time that Redis itself has said.
    At(u64),
}

impl Redis {
    /// Tells Redis all that was decided without it, and waits until the other gateways have, too. False
    /// if it is away again.
    pub(super) async fn come_back(&self) -> bool {
        let link = &self.link;
        // As many as there were: those that are not back yet are believed to be gone there.
        let gateways = u64::from(link.gateways());
        let began = Instant::now();
        let mut since: Option<(u64, Instant)> = None;
        while link.is_returning() {
            let is_told = self.tell_alone().await.is_ok() && self.jobs.len() == 0;
            if is_told || began.elapsed() > TELLING_MAX {
                let mut call = self.scripts.beat.prepare_invoke();
                self.say_hello(&mut call, Told::Now, since.map(|(ms, _)| ms));
                if let Ok(said) = link.tell::<Said>(&call).await {
                    let [now_ms, told] = [2, 3].map(|at| number(said.list().get(at)));
                    let (_, first) = *since.get_or_insert_with(|| (now_ms, Instant::now()));
                    if gateways <= told.max(1) || first.elapsed() > OTHERS_MAX {
                        self.heard(&said);
                        return true;
                    }
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        false
    }

    /// Tells of leases that Redis does not know.
    pub(super) async fn tell_alone(&self) -> Result<(), Away> {
        loop {
            let untold = self.link.untold(TOLD_AT_ONCE);
            if untold.is_empty() {
                return Ok(());
            }
            let mut call = self.scripts.adopt.prepare_invoke();
            call.arg(super::LEASE_MS);
            for Untold { ticket, keys, taken, counted } in &untold {
                let settled = self.settled(ticket);
                for (key, portion) in keys.iter().zip(&taken.portions) {
                    call.key(&settled).key(key).arg(&**ticket).arg(u8::from(portion.parallel));
                    call.arg(portion.amount.pico()).arg(taken.age_ms());
                    call.arg(Taken::reserved(portion, *counted));
                }
            }
            self.link.tell::<Said>(&call).await?;
            self.link.told(&untold);
        }
    }

    /// Where it is noted that a lease is settled that may still be told of.
    pub(super) fn settled(&self, ticket: &str) -> String {
        format!("{}settled:{ticket}", self.prefix)
    }
}
