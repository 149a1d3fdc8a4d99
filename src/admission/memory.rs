//! The counters of one process.
//!
//! One cell for each scope, in shards. A decision takes the locks of all its cells, always in the
//! same order, looks at all of them, and only then takes: nobody ever sees half a decision, and a
//! request that is refused leaves no trace, not even for a moment.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hashbrown::HashTable;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::claim::{Claim, Claims, Key, Moment, Need, Refusal, Room, Spent, Why};
use super::counters::{Counters, Crossed, Held, Known, Stop, Terms, Watch};
use crate::limits::{Dimension, Limit, Log, Over, Taken, Used};
use crate::money::Usd;
use crate::spend::{Account, Budget, Period, Scope, ScopeKind};

/// So many that threads seldom meet.
const SHARDS: usize = 64;
/// How long counters that nobody asks for are kept: longer than a window is.
const KEPT_MS: u64 = 120_000;
/// What was on its way to the ledger when it was first asked is there by then.
const CONFIRM_MS: u64 = 5_000;
/// Accounts that wait to be asked for; the others ask when they are next needed.
const DUE_MAX: usize = 10_000;

/// The counters.
#[derive(Debug)]
pub struct Memory {
    shards: Box<[RwLock<HashTable<Arc<Cell>>>]>,
    hasher: RandomState,
    watch: Arc<dyn Watch>,
    /// How often the ledger is asked again: others may write to it. `None`: once more, and never again.
    refresh_ms: Option<u64>,
    /// Accounts to ask the ledger for.
    due: Mutex<Vec<Key>>,
}

/// The counters of one scope.
#[derive(Debug)]
struct Cell {
    key: Key,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A kilobyte, so only where something is limited by it.
    log: Option<Box<Log>>,
    parallel: u64,
    account: Option<Entry>,
    touched_ms: u64,
}

/// An account, and how well it is known.
#[derive(Debug)]
struct Entry {
    account: Account,
    /// When the ledger is asked again.
    next_ms: u64,
    /// What was settled when it was last asked, and the time before.
    settled: [Usd; 2],
    /// The most that may be spent during an episode in which this process is on its own.
    ration: Option<(u64, Usd)>,
}

/// What a request holds.
#[derive(Debug)]
pub struct Hold {
    places: Vec<Place>,
    rooms: Vec<Room>,
    key_spent: Option<Usd>,
    /// Somebody else tells of levels.
    quiet: bool,
    watch: Arc<dyn Watch>,
}

#[derive(Debug)]
struct Place {
    cell: Arc<Cell>,
    taken: Option<Taken>,
    parallel: bool,
    amount: Usd,
    /// What alerts need to know of it; only where there is a budget.
    claim: Option<Box<Claim>>,
}

impl Memory {
    /// No counters yet. `refresh`: how often the ledger is asked again, if others write to it.
    #[must_use]
    pub fn new(watch: Arc<dyn Watch>, refresh: Option<Duration>) -> Self {
        Self {
            shards: std::iter::repeat_with(RwLock::default).take(SHARDS).collect(),
            hasher: RandomState::new(),
            watch,
            refresh_ms: refresh.and_then(|every| u64::try_from(every.as_millis()).ok()),
            due: Mutex::default(),
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
    /// process knows its own part when it has to decide alone. Tells nobody of levels.
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
            quiet: false,
            watch: Arc::clone(&self.watch),
        };
        let mut amounts = Vec::with_capacity(claims.len());
        let mut locked: Vec<MutexGuard<'_, State>> = Vec::with_capacity(claims.len());
        for place in &places {
            locked.push(place.cell.state.lock());
        }
        let (mut unknown, mut refusal) = (Vec::new(), None::<Refusal>);
        for (claim, state) in claims.iter().zip(&mut locked) {
            state.touched_ms = now.ms;
            if state.account.as_mut().is_some_and(|entry| entry.is_due(now.ms)) && !forced {
                let mut due = self.due.lock();
                if due.len() < DUE_MAX {
                    due.push(claim.key());
                }
            }
            match state.look(claim, need, terms, now) {
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
        if !unknown.is_empty() {
            return Err(Stop::Unknown(unknown));
        }
        if let Some(refusal) = refusal {
            return Err(Stop::Refused(Box::new(refusal)));
        }
        let mut taken = Vec::with_capacity(claims.len());
        for ((claim, state), amount) in claims.iter().zip(&mut locked).zip(amounts) {
            if let Some(entry) = &mut state.account {
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
        for ((place, claim), (from, amount)) in places.iter_mut().zip(claims).zip(taken) {
            place.taken = from;
            place.amount = amount;
            place.parallel = claim.parallel.is_some();
            place.claim = claim.pays().then(|| Box::new(claim.clone()));
        }
        hold.places = places;
        hold.quiet = forced;
        Ok(hold)
    }

    /// Takes over what the ledger knows.
    pub fn learn(&self, known: &[Known], now_ms: u64) {
        for Known { key, term, spent } in known {
            let cell = self.cell_of(key);
            let mut state = cell.state.lock();
            state.touched_ms = state.touched_ms.max(now_ms);
            match &mut state.account {
                Some(entry) => {
                    let recent = entry.account.settled().minus(entry.settled[1]);
                    entry.account.learn(*term, *spent, recent);
                    entry.next_ms =
                        self.refresh_ms.map_or(u64::MAX, |every| now_ms.saturating_add(every));
                }
                empty => {
                    let next_ms = now_ms.saturating_add(CONFIRM_MS);
                    let account = Account::new(*term, *spent);
                    let settled = [Usd::ZERO; 2];
                    *empty = Some(Entry { account, next_ms, settled, ration: None });
                }
            }
        }
    }

    /// Accounts that the ledger should be asked for again. To be called every second or so, by somebody
    /// whom nobody waits for.
    #[must_use]
    pub fn due(&self) -> Vec<Key> {
        std::mem::take(&mut self.due.lock())
    }

    /// The counters of a scope, one for each period that it had. Looks at all there are.
    #[must_use]
    pub fn keys_of(&self, scope: &Scope) -> Vec<Key> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let own = shard.iter().filter(|cell| cell.key.scope == *scope);
            keys.extend(own.map(|cell| cell.key.clone()));
        }
        keys
    }

    /// Has an account asked for that nobody waits for.
    pub fn want(&self, key: Key) {
        let mut due = self.due.lock();
        if due.len() < DUE_MAX && !due.contains(&key) {
            due.push(key);
        }
    }

    /// Whether an account is not known yet.
    #[must_use]
    pub fn is_unknown(&self, key: &Key) -> bool {
        let found = self.find(self.hash(&key.scope, key.period), &key.scope, key.period);
        found.is_none_or(|cell| cell.state.lock().account.is_none())
    }

    /// What a budget has spent, and when it starts anew; `None`: nobody asked for it yet.
    #[must_use]
    pub fn spent(
        &self,
        scope: &Scope,
        period: Option<Period>,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Option<(Usd, Option<Timestamp>)> {
        let cell = self.find(self.hash(scope, period), scope, period)?;
        let mut state = cell.state.lock();
        let account = &mut state.account.as_mut()?.account;
        Some((account.spent(period, now, zone), account.resets()))
    }

    /// Adds a cost to whom nobody asked before the call: who serves is known only then.
    pub fn charge(&self, claim: &Claim, cost: Usd, now: Moment, zone: &TimeZone) {
        let cell = self.cell(claim);
        let mut state = cell.state.lock();
        state.touched_ms = now.ms;
        let Some(entry) = &mut state.account else { return };
        let before = entry.account.spent(claim.period, now.at, zone);
        entry.account.settle(Usd::ZERO, cost);
        let resets = entry.account.resets();
        drop(state);
        for crossed in Crossed::levels(claim, before, before.plus(cost), resets) {
            self.watch.crossed(crossed);
        }
    }

    /// Lets go of counters that nobody needs. To be called every so often.
    pub fn sweep(&self, now: Moment) {
        for shard in &self.shards {
            shard.write().retain(|cell| {
                // Looked up under the shard's lock only, so nobody gets it meanwhile.
                Arc::strong_count(cell) > 1 || {
                    let state = cell.state.lock();
                    let old = now.ms.saturating_sub(state.touched_ms) > KEPT_MS;
                    let idle = state.parallel == 0
                        && state.account.as_ref().is_none_or(|entry| entry.account.is_idle());
                    !(old && idle)
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
        let period = claim.account_period();
        let hash = self.hash(&claim.scope, period);
        match self.find(hash, &claim.scope, period) {
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

/// Why a cell lets nothing out.
enum Look {
    Unknown,
    Over(Why),
}

impl State {
    /// Whether there is room for a request, and how much money to hold for it.
    fn look(
        &mut self,
        claim: &Claim,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Usd, Look> {
        let amount = match claim.pays() {
            true => self.afford(claim, need, terms, now)?,
            false => Usd::ZERO,
        };
        let limit = share_of(&claim.limit, terms.share);
        if !limit.is_none() {
            let log = self.log.get_or_insert_default();
            if let Some(over) = log.over(&limit, need.tokens, now.ms) {
                return Err(Look::Over(rate(&limit, over, log.used(now.ms))));
            }
        }
        let parallel = claim.parallel.map(|limit| portion(limit, terms.share));
        match parallel.filter(|limit| self.parallel >= *limit) {
            Some(limit) => Err(Look::Over(Why::Parallel { limit })),
            None => Ok(amount),
        }
    }

    fn afford(
        &mut self,
        claim: &Claim,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Usd, Look> {
        let entry = self.account.as_mut().ok_or(Look::Unknown)?;
        let Some(mut budget) = claim.budget() else {
            // A soft budget bounds nothing, but it starts anew as well.
            entry.account.spent(claim.period, now.at, terms.zone);
            return Ok(Usd::ZERO);
        };
        if terms.share > 1 {
            budget.max = entry.ration(&budget, terms, now);
        }
        let most = if terms.reserves { need.most } else { Usd::ZERO };
        let room = entry.account.room(&budget, most, now.at, terms.zone);
        room.map_err(|exceeded| {
            let (max, resets) = (claim.max_budget.unwrap_or(exceeded.max), exceeded.resets);
            Look::Over(Why::Budget { max, spent: exceeded.spent, held: exceeded.held, resets })
        })
    }
}

impl Entry {
    /// Whether the ledger is to be asked; true once for each time.
    fn is_due(&mut self, now_ms: u64) -> bool {
        let due = now_ms >= self.next_ms;
        if due {
            // Asked again by the next one, if nobody answers for so long.
            self.next_ms = now_ms.saturating_add(2 * CONFIRM_MS);
            self.settled = [self.account.settled(), self.settled[0]];
        }
        due
    }

    /// The most that this process may bring the spending to while it is on its own: its part of what
    /// was left when that began.
    fn ration(&mut self, budget: &Budget, terms: &Terms<'_>, now: Moment) -> Usd {
        match self.ration {
            Some((episode, most)) if episode == terms.episode => most.min(budget.max),
            _ => {
                let spent = self.account.spent(budget.period, now.at, terms.zone);
                let left = budget.max.minus(spent).pico() / u64::from(terms.share);
                let most = spent.plus(Usd::from_pico(left));
                self.ration = Some((terms.episode, most));
                most
            }
        }
    }
}

/// A part of a bound; never nothing, unless the whole is.
fn portion(limit: u64, share: u32) -> u64 {
    (limit / u64::from(share.max(1))).max(limit.min(1))
}

fn share_of(limit: &Limit, share: u32) -> Limit {
    let part = |limit: Option<u64>| limit.map(|limit| portion(limit, share));
    Limit { requests: part(limit.requests), tokens: part(limit.tokens) }
}

fn rate(limit: &Limit, over: Over, used: Used) -> Why {
    let (bound, used) = match over.dimension {
        Dimension::Requests => (limit.requests, used.requests),
        Dimension::Tokens => (limit.tokens, used.tokens),
    };
    let bound = bound.unwrap_or_default();
    Why::Rate {
        dimension: over.dimension,
        limit: bound,
        remaining: bound.saturating_sub(used),
        wait: Duration::from_millis(over.wait_ms),
    }
}

impl Hold {
    fn end(&mut self, spent: Option<(Spent, Moment)>) {
        for place in self.places.drain(..) {
            let mut state = place.cell.state.lock();
            if place.parallel {
                state.parallel -= 1;
            }
            if let (Some(log), Some(taken)) = (&mut state.log, place.taken) {
                give_back(log, taken, spent);
            }
            let Some(entry) = state.account.as_mut().filter(|_| place.claim.is_some()) else {
                continue;
            };
            let cost = spent.map_or(Usd::ZERO, |(spent, _)| spent.cost);
            let before = entry.account;
            entry.account.settle(place.amount, cost);
            let after = entry.account;
            drop(state);
            let Some(claim) = place.claim else { continue };
            if cost != Usd::ZERO && !self.quiet {
                let (before, sum) = (before.sum(), after.sum());
                let crossed = Crossed::levels(&claim, before, sum, after.resets());
                crossed.for_each(|crossed| self.watch.crossed(crossed));
            }
        }
    }

    /// Is in flight no more, although it is not known yet what it used.
    pub fn leave(&mut self) {
        for place in self.places.iter_mut().filter(|place| place.parallel) {
            place.parallel = false;
            place.cell.state.lock().parallel -= 1;
        }
    }

    /// As [`Held::key_spent`].
    #[must_use]
    pub fn key_spent(&self) -> Option<Usd> {
        self.key_spent
    }

    /// As [`Held::rooms`].
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// As [`Held::settle`].
    pub fn settle(mut self, spent: Spent, now: Moment) {
        self.end(Some((spent, now)));
    }
}

fn give_back(log: &mut Log, taken: Taken, spent: Option<(Spent, Moment)>) {
    let Some((spent, now)) = spent.filter(|(spent, _)| spent.counted) else {
        log.give_back(Used { requests: 1, tokens: taken.tokens }, taken.second);
        return;
    };
    if spent.tokens < taken.tokens {
        let surplus = Used { requests: 0, tokens: taken.tokens - spent.tokens };
        log.give_back(surplus, taken.second);
    } else if spent.tokens > taken.tokens {
        // Charged when it is known.
        log.charge(Used { requests: 0, tokens: spent.tokens - taken.tokens }, now.ms);
    }
}

impl Held for Hold {
    fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    fn key_spent(&self) -> Option<Usd> {
        self.key_spent
    }

    fn settle(self: Box<Self>, spent: Spent, now: Moment) {
        Self::settle(*self, spent, now);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(None);
    }
}

#[async_trait]
impl Counters for Memory {
    async fn take(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Box<dyn Held>, Stop> {
        Self::take(self, claims, need, terms, now).map(|hold| Box::new(hold) as Box<dyn Held>)
    }

    async fn learn(&self, known: &[Known], _is_guess: bool) -> Result<(), Stop> {
        Self::learn(self, known, 0);
        Ok(())
    }

    fn pay(&self, claims: &Claims, cost: Usd) {
        for claim in claims.as_slice() {
            let cell = self.cell(claim);
            let mut state = cell.state.lock();
            if let Some(entry) = &mut state.account {
                entry.account.settle(Usd::ZERO, cost);
            }
        }
    }

    fn forget(&self, key: &Key) {
        let found = self.find(self.hash(&key.scope, key.period), &key.scope, key.period);
        let Some(cell) = found else { return };
        let mut state = cell.state.lock();
        match &mut state.account {
            // What is held has to stay; the next request asks for the rest.
            Some(entry) if !entry.account.is_idle() => entry.next_ms = 0,
            account => *account = None,
        }
    }

    fn gateways(&self) -> u32 {
        1
    }

    fn is_well(&self) -> bool {
        true
    }

    fn episode(&self) -> u64 {
        0
    }
}
