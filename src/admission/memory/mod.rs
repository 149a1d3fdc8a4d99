//! The counters of one process.
//!
//! ```text
//! Memory (mod.rs)    one cell for each scope, in shards; decides about several at once
//! Cell (cell.rs)     window, places and account of one scope
//! Entry (entry.rs)   an account, and how well it is known
//! Hold (hold.rs)     what a request holds
//! Bygone (bygone.rs) what those had spent whose cells were let go
//! port.rs            the same behind the port `Counters`
//! ```
//!
//! A decision takes the locks of all its cells, always in the same order, looks at all of them, and
//! only then takes: nobody ever sees half a decision, and a request that is refused leaves no trace,
//! not even for a moment.

mod bygone;
mod cell;
mod entry;
mod hold;
mod port;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashTable;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::{Mutex, MutexGuard, RwLock};
use rustc_hash::FxHashSet;

use self::bygone::Bygone;
use self::cell::{Cell, Look, State, share_of};
use self::entry::Entry;
pub use self::hold::Hold;
use self::hold::Place;
use super::claim::{Claim, Claims, Key, Moment, Need, Refusal, Room};
use super::counters::{Due, Known, Mark, Stop, Terms, Watch};
use crate::limits::Used;
use crate::money::Usd;
use crate::spend::{Period, Scope, ScopeKind};

/// So many that threads seldom meet.
const SHARDS: usize = 64;
/// How long counters that nobody asks for are kept: longer than a window is.
const KEPT_MS: u64 = 120_000;
/// Accounts that wait to be asked for; the others ask when they are next needed.
const DUE_MAX: usize = 10_000;
/// Until when all that was paid is in the ledger: nobody says so, and it is known of nothing.
const UNTOLD: u64 = u64::MAX;
const NOTHING: u64 = 0;

/// The counters.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[RwLock<HashTable<Arc<Cell>>>]>,
    bygone: Bygone,
    hasher: RandomState,
    watch: Arc<dyn Watch>,
    /// How often the ledger is asked again: others may write to it. `None`: until it is known to have
    /// had everything, and never again.
    refresh_ms: Option<u64>,
    /// Accounts to ask the ledger for.
    due: Mutex<Vec<Due>>,
    /// All that was paid until then is in the ledger; or one of the constants above.
    written_ms: AtomicU64,
}

impl Memory {
    /// No counters yet. `refresh`: how often the ledger is asked again, if others write to it.
    #[must_use]
    pub fn new(watch: Arc<dyn Watch>, refresh: Option<Duration>) -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            bygone: Bygone::new(),
            hasher: RandomState::new(),
            watch,
            refresh_ms: refresh.and_then(|every| u64::try_from(every.as_millis()).ok()),
            due: Mutex::default(),
            written_ms: AtomicU64::new(UNTOLD),
        }
    }

    /// Takes what the claims ask for, of all or of none.
    ///
    /// # Errors
    /// [`Stop`].
    pub fn take(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Hold, Stop> {
        self.decide(claims, need, terms, now, false)
    }

    /// Takes down what others have let in, whether there is room for it here or not: so that this
    /// process knows its own part when it has to decide alone.
    #[must_use]
    pub fn follow(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Option<Hold> {
        self.decide(claims, need, terms, now, true).ok()
    }

    fn decide(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
        forced: bool,
    ) -> Result<Hold, Stop> {
        let claims = claims.as_slice();
        let mut places: Vec<Place> = Vec::with_capacity(claims.len());
        for claim in claims {
            places.push(Place {
                cell: self.cell(claim),
                taken: None,
                parallel: false,
                amount: Usd::ZERO,
                claim: None,
            });
        }
        let mut hold = Hold {
            places: Vec::new(),
            rooms: Vec::new(),
            key_spent: None,
            watch: Arc::clone(&self.watch),
        };
        let mut amounts = Vec::with_capacity(claims.len());
        let mut locked: Vec<MutexGuard<'_, State>> = Vec::with_capacity(claims.len());
        for place in &places {
            locked.push(place.cell.state.lock());
        }
        let (mut unknown, mut refusal) = (Vec::new(), None::<Refusal>);
        let mut news = Vec::new();
        for (claim, state) in claims.iter().zip(&mut locked) {
            state.touched_ms = now.ms;
            if !forced {
                self.look_due(claim, state, now);
            }
            let looked = state.look(claim, need, terms, now);
            // What others have spent is first seen here.
            let entry = state.account.as_mut().filter(|entry| claim.pays() && entry.is_known());
            news.extend(entry.and_then(|entry| entry.news(claim)).map(|it| (claim, it)));
            match looked {
                Ok(amount) => amounts.push(amount),
                Err(_) if forced => amounts.push(need.most),
                Err(Look::Unknown) => unknown.push(claim.key()),
                Err(Look::Over(why)) => {
                    let (scope, name) = (claim.scope.clone(), claim.name.clone());
                    let new = Refusal { scope, name, why };
                    refusal = Some(match refusal {
                        Some(before) => before.graver(new),
                        None => new,
                    });
                }
            }
        }
        let stop = match refusal {
            _ if !unknown.is_empty() => Some(Stop::Unknown(unknown)),
            refusal => refusal.map(|refusal| Stop::Refused(Box::new(refusal))),
        };
        if let Some(stop) = stop {
            drop(locked);
            self.tell(news);
            return Err(stop);
        }
        let mut taken = Vec::with_capacity(claims.len());
        for ((claim, state), amount) in claims.iter().zip(&mut locked).zip(amounts) {
            if let Some(entry) = state.account.as_mut().filter(|_| claim.pays()) {
                entry.account.hold(amount);
                if claim.scope.kind == ScopeKind::Key && claim.pays() {
                    hold.key_spent = Some(entry.account.sum());
                }
            }
            if claim.parallel.is_some() {
                state.parallel += 1;
            }
            let limit = share_of(&claim.limit, terms.share);
            let from = state.log.as_mut().filter(|_| !limit.is_none()).map(|log| {
                let taken = log.take(&limit, need.tokens);
                let used = log.used(now.ms);
                hold.rooms.push(Room {
                    kind: claim.scope.kind,
                    limit,
                    left: Used {
                        requests: limit.requests.unwrap_or_default().saturating_sub(used.requests),
                        tokens: limit.tokens.unwrap_or_default().saturating_sub(used.tokens),
                    },
                });
                taken
            });
            taken.push((from, amount));
        }
        drop(locked);
        self.tell(news);
        for ((place, claim), (from, amount)) in places.iter_mut().zip(claims).zip(taken) {
            place.taken = from;
            place.amount = amount;
            place.parallel = claim.parallel.is_some();
            place.claim = claim.pays().then(|| Box::new(claim.clone()));
        }
        hold.places = places;
        Ok(hold)
    }

    fn tell(&self, news: Vec<(&Claim, entry::News)>) {
        for (claim, news) in news {
            news.crossed(claim).for_each(|crossed| self.watch.crossed(crossed));
        }
    }

    fn look_due(&self, claim: &Claim, state: &mut State, now: Moment) {
        let Some(entry) = state.account.as_mut().filter(|_| claim.pays()) else { return };
        if let Some(due) = entry.due(now.ms, || claim.key()) {
            let mut all = self.due.lock();
            if all.len() < DUE_MAX {
                all.push(due);
            }
        }
    }

    /// Takes over what the ledger knows of accounts that are not known.
    pub fn learn(&self, known: &[Known], now_ms: u64) {
        self.take_over(known, now_ms, |entry, known| {
            if !entry.is_known() {
                entry.know(known, now_ms);
            }
        });
    }

    /// Takes over what the shared counters have said, for the time when they are away.
    pub fn mirror(&self, known: &[Known], now_ms: u64) {
        self.take_over(known, now_ms, |entry, known| entry.know(known, now_ms));
    }

    /// Takes over sums; `known_already` says what becomes of accounts that are there.
    fn take_over(
        &self,
        known: &[Known],
        now_ms: u64,
        mut known_already: impl FnMut(&mut Entry, &Known),
    ) {
        for known in known {
            let cell = self.cell_of(&known.key);
            let mut state = cell.state.lock();
            state.touched_ms = state.touched_ms.max(now_ms);
            match &mut state.account {
                Some(entry) => known_already(entry, known),
                empty => *empty = Some(Entry::new(known, now_ms)),
            }
        }
    }

    /// Brings accounts in step with what the ledger has said, as [`super::Counters::correct`].
    pub fn correct(&self, said: &[(Mark, Known)], written_ms: Option<u64>, now_ms: u64) {
        for (mark, known) in said {
            let Some(cell) = self.find_key(&known.key) else { continue };
            let mut state = cell.state.lock();
            if let Some(entry) = &mut state.account {
                entry.correct(*mark, known, written_ms, now_ms, self.refresh_ms);
            }
        }
    }

    /// Has accounts of some scopes asked for soon: their records were changed elsewhere, and with them
    /// perhaps what was spent.
    pub fn recheck(&self, scopes: &FxHashSet<Scope>, now_ms: u64) {
        self.each(|scope| scopes.contains(scope), |entry| entry.recheck(now_ms));
    }

    /// Looks at all there are: seldom called.
    fn each(&self, is_meant: impl Fn(&Scope) -> bool, mut change: impl FnMut(&mut Entry)) {
        for shard in &self.shards {
            for cell in shard.read().iter().filter(|cell| is_meant(&cell.key.scope)) {
                if let Some(entry) = &mut cell.state.lock().account {
                    change(entry);
                }
            }
        }
    }

    /// Whether an account is not known yet.
    #[must_use]
    pub fn is_unknown(&self, key: &Key) -> bool {
        let found = self.find_key(key);
        found.is_none_or(|cell| !cell.state.lock().account.as_ref().is_some_and(Entry::is_known))
    }

    /// What a budget has spent, and when it starts anew, also after its counters were let go; `None`:
    /// nobody asked for it yet, or it is to be asked for again. For who decides nothing.
    #[must_use]
    pub fn spent(
        &self,
        scope: &Scope,
        period: Option<Period>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<(Usd, Option<Timestamp>)> {
        let cell = self.find(self.hash(scope, period), scope, period);
        let counted = cell.and_then(|cell| {
            let state = cell.state.lock();
            state.account.as_ref().filter(|entry| entry.is_known()).map(|entry| entry.account)
        });
        let bygone = || self.bygone.of(&Key { scope: scope.clone(), period });
        let mut account = counted.or_else(bygone)?;
        Some((account.spent(period, now, zone), account.resets()))
    }

    /// What a budget that nobody claims has spent, and when it starts anew; `None`: it is not known.
    /// Has the ledger asked when that is due.
    pub fn look_up(
        &self,
        claim: &Claim,
        now: Moment,
        zone: &TimeZone,
    ) -> Option<(Usd, Option<Timestamp>)> {
        let cell = self.find(self.hash_of(claim), &claim.scope, claim.account_period())?;
        let mut state = cell.state.lock();
        state.touched_ms = now.ms;
        self.look_due(claim, &mut state, now);
        let entry = state.account.as_mut().filter(|entry| entry.is_known())?;
        let spent = entry.account.spent(claim.period, now.at, zone);
        let (news, resets) = (entry.news(claim), entry.account.resets());
        drop(state);
        self.tell(news.map(|news| (claim, news)).into_iter().collect());
        Some((spent, resets))
    }

    /// Adds a cost to whom nobody asked before the call: who serves is known only then.
    pub fn charge(&self, claim: &Claim, cost: Usd, now: Moment, zone: &TimeZone) {
        let cell = self.cell(claim);
        let mut state = cell.state.lock();
        state.touched_ms = now.ms;
        let Some(entry) = &mut state.account else { return };
        entry.account.spent(claim.period, now.at, zone);
        entry.account.settle(Usd::ZERO, cost);
        let news = entry.news(claim);
        drop(state);
        self.tell(news.map(|news| (claim, news)).into_iter().collect());
    }

    /// Lets go of counters that nobody needs. To be called every so often.
    pub fn sweep(&self, now: Moment) {
        // While nothing is written, the ledger could not say what an account had spent lately.
        let written_ms = self.written_ms.load(Ordering::Relaxed);
        let is_written = |touched_ms| written_ms == UNTOLD || touched_ms < written_ms;
        for shard in &self.shards {
            shard.write().retain(|cell| {
                // Looked up under the shard's lock only, so nobody gets it meanwhile.
                Arc::strong_count(cell) > 1 || {
                    let state = cell.state.lock();
                    let old = now.ms.saturating_sub(state.touched_ms) > KEPT_MS;
                    let idle = state.parallel == 0
                        && state.account.as_ref().is_none_or(|entry| {
                            entry.account.is_idle()
                                && (entry.account.settled() == Usd::ZERO
                                    || is_written(state.touched_ms))
                        });
                    let goes = old && idle;
                    if let Some(entry) = state.account.as_ref().filter(|it| goes && it.is_known()) {
                        self.bygone.keep(&cell.key, entry.account);
                    }
                    !goes
                }
            });
        }
    }

    /// How many scopes are counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Whether nobody was counted yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn cell(&self, claim: &Claim) -> Arc<Cell> {
        let hash = self.hash_of(claim);
        match self.find(hash, &claim.scope, claim.account_period()) {
            Some(cell) => cell,
            None => self.make(hash, claim.key()),
        }
    }

    fn cell_of(&self, key: &Key) -> Arc<Cell> {
        let hash = self.hash(&key.scope, key.period);
        match self.find(hash, &key.scope, key.period) {
            Some(cell) => cell,
            None => self.make(hash, key.clone()),
        }
    }

    fn find_key(&self, key: &Key) -> Option<Arc<Cell>> {
        self.find(self.hash(&key.scope, key.period), &key.scope, key.period)
    }

    fn hash_of(&self, claim: &Claim) -> u64 {
        self.hash(&claim.scope, claim.account_period())
    }

    fn hash(&self, scope: &Scope, period: Option<Period>) -> u64 {
        self.hasher.hash_one((scope, period))
    }

    fn shard(&self, hash: u64) -> &RwLock<HashTable<Arc<Cell>>> {
        // The table itself uses the other end of the hash.
        &self.shards[(hash >> 32) as usize % SHARDS]
    }

    fn find(&self, hash: u64, scope: &Scope, period: Option<Period>) -> Option<Arc<Cell>> {
        let shard = self.shard(hash).read();
        let same = |cell: &Arc<Cell>| cell.key.scope == *scope && cell.key.period == period;
        shard.find(hash, same).map(Arc::clone)
    }

    fn make(&self, hash: u64, key: Key) -> Arc<Cell> {
        let mut shard = self.shard(hash).write();
        let rehash = |cell: &Arc<Cell>| self.hash(&cell.key.scope, cell.key.period);
        let entry = shard.entry(hash, |cell| cell.key == key, rehash);
        let new = || Arc::new(Cell { key: key.clone(), state: Mutex::default() });
        Arc::clone(entry.or_insert_with(new).get())
    }
}
