//! The limits and budgets in force: which counters decide, and what they know.
//!
//! ```text
//! Quota (mod.rs)        asks the shared counters, or those of this process where there are none
//! Ticket (ticket.rs)    what a request holds, whoever counts
//! step.rs               keeps the counters in step with the ledger
//! ```
//!
//! What was spent before is asked of the ledger when a payer is first met, and nobody waits long for
//! it; afterwards the counters are brought in step with it (step.rs), for it is what is right. Where the shared counters are away, this process counts alone: its part of each bound is one of
//! as many as there were gateways. Knows nothing of HTTP requests.

mod step;
mod ticket;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

pub use self::ticket::Ticket;
use crate::admission::{
    Claim, Claims, Counters, Due, Key, Known, Mark, Memory, Moment, Need, Policy, Refusal, Stop,
    Terms, Watch, Why,
};
use crate::money::Usd;
use crate::patience::within;
use crate::spend::{Ledger, Period, Scope, Term};

/// How long a request waits for the ledger, when somebody who pays is first met.
const LEDGER_MAX: Duration = Duration::from_millis(500);
/// Locks behind which payers are learned, so that many requests of one of them ask once.
const TURNS: usize = 64;

/// Limits and budgets.
#[derive(Debug)]
pub struct Quota {
    memory: Arc<Memory>,
    shared: Option<Arc<dyn Counters>>,
    /// The ledger knows what all gateways spend, and not only this one.
    sees_all: bool,
    ledger: Sums,
    turns: [tokio::sync::Mutex<()>; TURNS],
    /// Corrections that were made here and of which the ledger has not told yet.
    corrected: Mutex<FxHashSet<i64>>,
    /// Times are kept as milliseconds since then.
    origin: Instant,
    pub counts: Counts,
}

struct Sums(Arc<dyn Ledger>);

impl std::fmt::Debug for Sums {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Ledger")
    }
}

/// For the metrics.
#[derive(Debug, Default)]
pub struct Counts {
    pub admitted: AtomicU64,
    /// By requests or tokens per minute.
    pub rate_limited: AtomicU64,
    pub parallel_limited: AtomicU64,
    pub over_budget: AtomicU64,
    /// Because counters or ledger were away.
    pub unavailable: AtomicU64,
    /// Decided alone, because the shared counters were away.
    pub alone: AtomicU64,
    /// The ledger did not say what was spent.
    pub unknown: AtomicU64,
}

/// What the gateway says of its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Nothing is shared.
    Memory,
    Shared,
    /// The shared counters are away; each gateway holds its part.
    Alone,
}

impl Quota {
    /// Limits and budgets that count from now on. `refresh`: others write to the ledger, too.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        shared: Option<Arc<dyn Counters>>,
        watch: Arc<dyn Watch>,
        refresh: Option<Duration>,
        now: Instant,
    ) -> Self {
        Self {
            memory: Arc::new(Memory::new(watch, refresh)),
            sees_all: refresh.is_some() || shared.is_none(),
            shared,
            ledger: Sums(ledger),
            turns: std::array::from_fn(|_| tokio::sync::Mutex::default()),
            corrected: Mutex::default(),
            origin: now,
            counts: Counts::default(),
        }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Moment {
        let ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { ms, at: Timestamp::now() }
    }

    /// Who counts now.
    #[must_use]
    pub fn mode(&self) -> Mode {
        match &self.shared {
            None => Mode::Memory,
            Some(shared) if shared.is_well() => Mode::Shared,
            Some(_) => Mode::Alone,
        }
    }

    /// Gateways that share the counters, as far as was last heard.
    #[must_use]
    pub fn gateways(&self) -> u32 {
        self.shared.as_ref().map_or(1, |shared| shared.gateways())
    }

    /// How many payers are counted here.
    #[must_use]
    pub fn counted(&self) -> usize {
        self.memory.len()
    }

    /// Takes what a request needs of everybody, or of nobody.
    ///
    /// # Errors
    /// Who has no room; nothing was charged then.
    pub async fn admit(
        &self,
        claims: Claims,
        need: &Need,
        policy: &Policy,
    ) -> Result<Ticket, Box<Refusal>> {
        if claims.is_empty() {
            return Ok(Ticket::Free);
        }
        let admitted = match &self.shared {
            None => self.here(&claims, need, policy, &alone(policy, 1, 0)).await.map(Ticket::Here),
            Some(shared) => Box::pin(self.there(shared, claims, need, policy)).await,
        };
        let count = match &admitted {
            Ok(_) => &self.counts.admitted,
            Err(refusal) => match refusal.why {
                Why::Rate { .. } => &self.counts.rate_limited,
                Why::Parallel { .. } => &self.counts.parallel_limited,
                Why::Budget { .. } => &self.counts.over_budget,
                Why::Unknown => &self.counts.unavailable,
            },
        };
        count.fetch_add(1, Ordering::Relaxed);
        admitted
    }

    /// By the counters of this process.
    async fn here(
        &self,
        claims: &Claims,
        need: &Need,
        policy: &Policy,
        terms: &Terms<'_>,
    ) -> Result<crate::admission::Hold, Box<Refusal>> {
        match self.memory.take(claims, need, terms, self.now()) {
            Ok(hold) => return Ok(hold),
            Err(Stop::Refused(refusal)) => return Err(refusal),
            Err(Stop::Away) => {}
            Err(Stop::Unknown(keys)) => Box::pin(self.learn_here(keys, claims, policy)).await?,
        }
        match self.memory.take(claims, need, terms, self.now()) {
            Ok(hold) => Ok(hold),
            Err(Stop::Refused(refusal)) => Err(refusal),
            // Forgotten in this very moment.
            Err(Stop::Unknown(_) | Stop::Away) => Err(unknown(claims)),
        }
    }

    async fn learn_here(
        &self,
        mut keys: Vec<Key>,
        claims: &Claims,
        policy: &Policy,
    ) -> Result<(), Box<Refusal>> {
        let turn = keys.first().map_or(0, |key| {
            let bytes = key.scope.id.bytes();
            bytes.fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()))
        });
        let turn = pin!(self.turns[turn % TURNS].lock());
        // Who cannot get a turn goes by nothing, as who gets no answer.
        let turn = within(LEDGER_MAX, turn).await;
        keys.retain(|key| self.memory.is_unknown(key));
        if keys.is_empty() {
            return Ok(());
        }
        let asked = match &turn {
            Ok(_) => self.ask(&keys, &policy.zone, LEDGER_MAX).await,
            Err(_) => None,
        };
        let known = self.or_guess(asked, &keys, claims, policy)?;
        self.memory.learn(&known, self.now().ms);
        Ok(())
    }

    /// What the ledger says; or nothing, where the configuration would rather serve than be sure.
    fn or_guess(
        &self,
        asked: Option<Vec<Known>>,
        keys: &[Key],
        claims: &Claims,
        policy: &Policy,
    ) -> Result<Vec<Known>, Box<Refusal>> {
        if let Some(known) = asked {
            return Ok(known);
        }
        self.counts.unknown.fetch_add(1, Ordering::Relaxed);
        if policy.budgets_fail_closed {
            return Err(unknown(claims));
        }
        let now = Timestamp::now();
        let guess = |key: &Key| Known {
            key: key.clone(),
            term: term(key.period, now, &policy.zone),
            spent: Usd::ZERO,
        };
        Ok(keys.iter().map(guess).collect())
    }

    /// By the shared counters, or alone while they are away.
    async fn there(
        &self,
        shared: &Arc<dyn Counters>,
        claims: Claims,
        need: &Need,
        policy: &Policy,
    ) -> Result<Ticket, Box<Refusal>> {
        let terms = alone(policy, 1, 0);
        let mut taken = shared.take(&claims, need, &terms, self.now()).await;
        if let Err(Stop::Unknown(keys)) = &taken {
            let asked = self.ask(keys, &policy.zone, LEDGER_MAX).await;
            let is_guess = asked.is_none();
            let known = self.or_guess(asked, keys, &claims, policy)?;
            taken = match shared.learn(&known, is_guess, self.now()).await {
                Ok(()) => shared.take(&claims, need, &terms, self.now()).await,
                Err(stop) => Err(stop),
            };
        }
        match taken {
            Ok(held) => {
                self.remember(&claims, held.spent(), policy);
                let own = self.memory.follow(&claims, need, &terms, self.now());
                Ok(Ticket::There { held, own })
            }
            Err(Stop::Refused(refusal)) => {
                self.remember_refusal(&claims, &refusal, policy);
                Err(refusal)
            }
            Err(Stop::Unknown(_) | Stop::Away) => {
                let pays = claims.as_slice().iter().any(|claim| claim.max_budget.is_some());
                if policy.limits_fail_closed || (pays && policy.budgets_fail_closed) {
                    return Err(unknown(&claims));
                }
                self.counts.alone.fetch_add(1, Ordering::Relaxed);
                let terms = alone(policy, shared.gateways(), shared.episode());
                let hold = self.here(&claims, need, policy, &terms).await?;
                let held = shared.adopt(&claims, &hold.portions(), &terms, self.now());
                Ok(Ticket::Alone { hold, held })
            }
        }
    }

    /// Takes down what the shared counters said, for the time when they are away.
    fn remember(&self, claims: &Claims, spent: &[Usd], policy: &Policy) {
        let now = self.now();
        let paying = claims.as_slice().iter().zip(spent).filter(|(claim, _)| claim.pays());
        let known = paying.map(|(claim, spent)| Known {
            key: claim.key(),
            term: term(claim.account_period(), now.at, &policy.zone),
            spent: *spent,
        });
        let known: Vec<_> = known.collect();
        if !known.is_empty() {
            self.memory.mirror(&known, now.ms);
        }
    }

    /// The same of a budget that is used up: it may be news to this process, and then to people.
    fn remember_refusal(&self, claims: &Claims, refusal: &Refusal, policy: &Policy) {
        let Why::Budget { spent, .. } = refusal.why else { return };
        let mut paying = claims.as_slice().iter().filter(|claim| claim.pays());
        let Some(claim) = paying.find(|claim| claim.scope == refusal.scope) else { return };
        let (now, key) = (self.now(), claim.key());
        let term = term(key.period, now.at, &policy.zone);
        self.memory.mirror(&[Known { key, term, spent }], now.ms);
        self.memory.look_up(claim, now, &policy.zone);
    }

    /// Asks the ledger.
    async fn ask(&self, keys: &[Key], zone: &TimeZone, patience: Duration) -> Option<Vec<Known>> {
        let now = Timestamp::now();
        let terms: Vec<_> = keys.iter().map(|key| term(key.period, now, zone)).collect();
        let since = |term: &Option<Term>| term.map(|term| term.start.as_microsecond());
        let scopes: Vec<_> =
            keys.iter().zip(&terms).map(|(key, term)| (key.scope.clone(), since(term))).collect();
        let asking = self.ledger.0.spent_by(&scopes);
        let sums = match within(patience, asking).await {
            Ok(Ok(sums)) => sums,
            Ok(Err(error)) => {
                tracing::debug!(%error, "what was spent is not known");
                return None;
            }
            Err(_) => return None,
        };
        let known = keys.iter().zip(terms).zip(sums).map(|((key, term), sum)| Known {
            key: key.clone(),
            term,
            // Corrections may have brought it below nothing.
            spent: Usd::from_pico(u64::try_from(sum).unwrap_or(0)),
        });
        Some(known.collect())
    }

    /// Whether a budget that nobody claims is used up, such as a provider's: until when. What is not
    /// known is not used up: see [`Quota::follow`].
    #[must_use]
    pub fn is_used_up(&self, claim: &Claim, zone: &TimeZone) -> Option<Option<Timestamp>> {
        let budget = claim.budget()?;
        let (spent, resets) = self.memory.look_up(claim, self.now(), zone)?;
        (spent >= budget.max).then_some(resets)
    }

    /// What of a budget is spent as far as this process has heard, and when it starts anew; `None`:
    /// nobody who counts on it has called yet. Asks nobody.
    #[must_use]
    pub fn seen(&self, claim: &Claim, zone: &TimeZone) -> Option<(Usd, Option<Timestamp>)> {
        self.memory.spent(&claim.scope, claim.account_period(), Timestamp::now(), zone)
    }

    /// Adds a cost to a budget that nobody claimed.
    pub fn charge(&self, claim: &Claim, cost: Usd, zone: &TimeZone) {
        self.memory.charge(claim, cost, self.now(), zone);
        if let Some(shared) = &self.shared {
            shared.pay(&Claims::new(vec![claim.clone()]), cost);
        }
    }

    /// Forgets what a payer has spent, so that the ledger is asked again: its sum was changed here.
    pub fn corrected_here(&self, scope: &Scope, revision: i64) {
        self.corrected.lock().insert(revision);
        self.forget(scope, revision);
    }

    /// The same for all corrections that the ledger tells of, here or elsewhere, up to a revision. Each
    /// counts once: what was spent since would be forgotten with it, if the ledger has not heard yet.
    pub fn heard(&self, corrected: &[(Scope, i64)], up_to: i64) {
        for (scope, revision) in corrected {
            if !self.corrected.lock().contains(revision) {
                self.forget(scope, *revision);
            }
        }
        self.corrected.lock().retain(|revision| *revision > up_to);
    }

    fn forget(&self, scope: &Scope, revision: i64) {
        Counters::forget(&*self.memory, scope, revision);
        if let Some(shared) = &self.shared {
            shared.forget(scope, revision);
        }
    }

    /// Records were changed, perhaps by another gateway, and with them perhaps what was spent: the
    /// ledger is asked soon.
    pub fn recheck(&self, scopes: impl Iterator<Item = Scope>) {
        let scopes: FxHashSet<Scope> = scopes.collect();
        if !scopes.is_empty() {
            self.memory.recheck(&scopes, self.now().ms);
        }
    }
}

/// The terms of a decision that is made by one of so many.
fn alone(policy: &Policy, share: u32, episode: u64) -> Terms<'_> {
    Terms { zone: &policy.zone, reserves: policy.reserves, share, episode }
}

fn term(period: Option<Period>, now: Timestamp, zone: &TimeZone) -> Option<Term> {
    period.map(|period| period.term(now, zone))
}

/// A refusal because nobody knows.
fn unknown(claims: &Claims) -> Box<Refusal> {
    let first = claims.as_slice().first();
    let scope = first.map(|claim| claim.scope.clone());
    let scope = scope.unwrap_or_else(|| Scope::new(crate::spend::ScopeKind::Proxy, ""));
    Box::new(Refusal { scope, name: None, why: Why::Unknown })
}
