//! Counters that several gateways share: implements `admission::Counters` on Redis.
//!
//! ```text
//! Redis (mod.rs)      one script for each decision and one for each settlement
//! Link (link.rs)      the connection, its deadline and its breaker, and who else is there
//! Lease (lease.rs)    what a request holds
//! alone.rs            what was let in while Redis was away, told when it is back
//! Jobs (jobs.rs)      settlements that nobody waits for, kept while Redis is away
//! RedisPlace (place.rs) where it is
//! said.rs             what scripts say
//! replies.rs          replies of the cache
//! vectors.rs          questions of the cache, where Redis compares them
//! *.lua               what is done in one step: lib.lua is put before each
//! ```
//!
//! Every place is a lease. A gateway renews those of its requests; one that is gone does not, and what
//! it held comes back within half a minute. A request never waits longer than the deadline, and when Redis
//! failed several times in a row it is not asked at all until a probe has found it well again.
//!
//! All keys of a decision have to be on one server: a Redis Cluster is not supported.

mod alone;
mod jobs;
mod lease;
mod link;
mod place;
mod replies;
mod said;
mod vectors;

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use jiff::Timestamp;
use parking_lot::Mutex;
use redis::{Script, ScriptInvocation};

use self::alone::Taken;
use self::jobs::{Job, Jobs};
use self::lease::Lease;
use self::link::Link;
pub use self::place::RedisPlace;
use self::said::{Said, list, number, word};
use self::vectors::Search;
use crate::admission::{
    Claim, Claims, Counters, Due, Held, Key, Known, Mark, Moment, Need, Portion, Refusal, Room,
    Stop, Terms, Watch, Why,
};
use crate::limits::{Dimension, Used};
use crate::money::Usd;
use crate::spend::{Scope, Term};

/// How long what a request holds outlives the last sign of its gateway.
pub const LEASE_MS: u64 = 30_000;
/// How long counters that nobody asks for are kept.
const KEPT_MS: u64 = 3_600_000;
/// How long a guess of what was spent is good.
const GUESS_MS: u64 = 10_000;
/// Accounts that wait until the ledger is asked for them; others are told again later.
const DUE_MAX: usize = 10_000;

/// The shared counters.
#[derive(Debug)]
pub struct Redis {
    link: Link,
    jobs: Jobs,
    prefix: Box<str>,
    scripts: Scripts,
    watch: Arc<dyn Watch>,
    search: Search,
    /// Accounts that this gateway is to ask the ledger for.
    due: Mutex<Vec<Due>>,
    /// Given to what a request holds.
    me: Weak<Self>,
}

struct Scripts {
    take: Script,
    adopt: Script,
    settle: Script,
    pay: Script,
    learn: Script,
    correct: Script,
    sums: Script,
    forget: Script,
    beat: Script,
    leave: Script,
}

impl std::fmt::Debug for Scripts {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Scripts")
    }
}

impl Scripts {
    fn new() -> Self {
        let script = |text: &str| Script::new(&[include_str!("lib.lua"), text].concat());
        Self {
            take: script(include_str!("take.lua")),
            adopt: script(include_str!("adopt.lua")),
            settle: script(include_str!("settle.lua")),
            pay: script(include_str!("pay.lua")),
            learn: script(include_str!("learn.lua")),
            correct: script(include_str!("correct.lua")),
            sums: script(include_str!("sums.lua")),
            forget: script(include_str!("forget.lua")),
            beat: script(include_str!("beat.lua")),
            leave: script(include_str!("leave.lua")),
        }
    }
}

impl Redis {
    /// Counters at a place. Nothing is connected yet: see [`Redis::run`].
    ///
    /// # Errors
    /// If the place cannot be one.
    pub fn new(place: &RedisPlace, watch: Arc<dyn Watch>) -> Result<Arc<Self>, String> {
        let client = place.client()?;
        Ok(Arc::new_cyclic(|me| Self {
            link: Link::new(client, place.timeout),
            jobs: Jobs::default(),
            prefix: format!("{}tollgate:", place.namespace).into(),
            scripts: Scripts::new(),
            watch,
            search: Search::default(),
            due: Mutex::default(),
            me: me.clone(),
        }))
    }

    /// Keeps the connection, tells Redis that this gateway is there, and settles; for ever.
    pub async fn run(&self) {
        tokio::join!(self.keep_connected(), self.settle_jobs());
    }

    /// Settlements that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.jobs.len()
    }

    /// Operations that failed or came too late since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.link.failures()
    }

    /// The period stands before the id, which may be any text.
    fn key(&self, key: &Key) -> String {
        let (before, after) = (self.before_period(&key.scope), after_period(&key.scope));
        match key.period {
            Some(period) => format!("{before}#{period}{after}"),
            None => format!("{before}{after}"),
        }
    }

    fn before_period(&self, scope: &Scope) -> String {
        format!("{}{}", self.prefix, scope.kind.word())
    }

    /// Where it is kept which periods there are.
    fn periods(&self) -> String {
        format!("{}periods", self.prefix)
    }

    /// Takes down that the ledger is to be asked for accounts whose mark is told.
    fn note_due<'a>(&self, marks: impl Iterator<Item = (&'a redis::Value, Key)>) {
        for (mark, key) in marks {
            let mark = std::str::from_utf8(word(Some(mark))).ok().and_then(|it| it.split_once(':'));
            let Some((at, paid)) = mark else { continue };
            let (Ok(at_ms), Ok(paid)) = (at.parse(), paid.parse()) else { continue };
            let mut due = self.due.lock();
            if due.len() < DUE_MAX {
                due.push(Due { key, mark: Mark { at_ms, paid: Usd::from_pico(paid) } });
            }
        }
    }
}

fn after_period(scope: &Scope) -> String {
    format!(":{}", scope.id)
}

/// A text, or nothing.
fn text(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

#[async_trait]
impl Counters for Redis {
    async fn take(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Box<dyn Held>, Stop> {
        let most = if terms.reserves { need.most } else { Usd::ZERO };
        let ticket = self.link.ticket();
        let mut call = self.scripts.take.prepare_invoke();
        call.arg(&*ticket).arg(LEASE_MS).arg(need.tokens.input).arg(need.tokens.output);
        call.arg(most.pico()).arg(KEPT_MS);
        let mut keys = Vec::with_capacity(claims.as_slice().len());
        for claim in claims.as_slice() {
            let key = self.key(&claim.key());
            call.key(&key);
            keys.push(key);
            let start = claim.account_period().map(|period| period.term(now.at, terms.zone).start);
            let start = start.and_then(|start| u64::try_from(start.as_millisecond()).ok());
            call.arg(text(claim.limit.requests)).arg(text(claim.limit.tokens));
            call.arg(text(claim.parallel)).arg(text(claim.max_budget.map(Usd::pico)));
            call.arg(u8::from(claim.pays())).arg(text(start));
        }
        let mut hold = Lease {
            redis: self.me.clone(),
            ticket: Arc::clone(&ticket),
            keys: Arc::from(keys),
            claims: claims.clone(),
            resets: claims.as_slice().iter().map(|claim| resets(claim, terms, now)).collect(),
            rooms: Vec::new(),
            spent: Vec::new(),
            ends: false,
        };
        let episode = self.link.episode();
        // From here on it may be held there, whatever is heard of it.
        self.link.opened(&ticket, &hold.keys);
        hold.ends = true;
        let said: Said = match self.link.ask(&call).await {
            Ok(said) => said,
            Err(link::Away { .. }) => return Err(Stop::Away),
        };
        if !self.link.is_well() || self.link.episode() != episode {
            // It was given up meanwhile, and did not know what was let in without it since then.
            return Err(Stop::Away);
        }
        let said = said.list();
        let marks = list(said.get(2).unwrap_or(&redis::Value::Nil)).iter();
        // Mostly none is due.
        if marks.clone().any(|mark| !word(Some(mark)).is_empty()) {
            self.note_due(marks.zip(claims.as_slice().iter().map(Claim::key)));
        }
        let rows = list(said.get(1).unwrap_or(&redis::Value::Nil));
        match number(said.first()) {
            1 => {
                let mut portions = Vec::with_capacity(claims.as_slice().len());
                for (claim, row) in claims.as_slice().iter().zip(rows) {
                    let row = list(row);
                    portions.push(Portion {
                        pays: claim.pays(),
                        amount: Usd::from_pico(number(row.get(3))),
                        parallel: claim.parallel.is_some(),
                        // The windows have it, and those that are lost start anew.
                        tokens: None,
                    });
                    hold.spent.push(Usd::from_pico(number(row.get(2))));
                    if claim.limit.is_none() {
                        continue;
                    }
                    let left = |limit: Option<u64>, used| limit.unwrap_or(0).saturating_sub(used);
                    hold.rooms.push(Room {
                        kind: claim.scope.kind,
                        limit: claim.limit,
                        left: Used {
                            requests: left(claim.limit.requests, number(row.first())),
                            tokens: left(claim.limit.tokens, number(row.get(1))),
                        },
                    });
                }
                if portions.iter().any(|it| it.parallel || it.amount != Usd::ZERO) {
                    let taken = Taken { at: Instant::now(), portions: portions.into() };
                    self.link.holds(&ticket, taken);
                }
                Ok(Box::new(hold))
            }
            2 => {
                hold.abandon();
                let known = |index: &redis::Value| {
                    let at = usize::try_from(number(Some(index))).ok()?.checked_sub(1)?;
                    Some(claims.as_slice().get(at)?.key())
                };
                Err(Stop::Unknown(rows.iter().filter_map(known).collect()))
            }
            _ => {
                hold.abandon();
                let refusals = rows.iter().filter_map(|row| refusal(claims, list(row), terms, now));
                let gravest = refusals.reduce(Refusal::graver);
                Err(gravest.map_or(Stop::Away, |refusal| Stop::Refused(Box::new(refusal))))
            }
        }
    }

    fn adopt(
        &self,
        claims: &Claims,
        taken: &[Portion],
        terms: &Terms<'_>,
        now: Moment,
    ) -> Option<Box<dyn Held>> {
        let ticket = self.link.ticket();
        let keys: Arc<[String]> =
            claims.as_slice().iter().map(|claim| self.key(&claim.key())).collect();
        let taken = Taken { at: Instant::now(), portions: taken.into() };
        self.link.adopted(&ticket, &keys, taken);
        if self.link.is_well() {
            // One answer came too late, and the next may be in time.
            self.jobs.push(Job::Adopt);
        }
        Some(Box::new(Lease {
            redis: self.me.clone(),
            ticket,
            keys,
            claims: claims.clone(),
            resets: claims.as_slice().iter().map(|claim| resets(claim, terms, now)).collect(),
            rooms: Vec::new(),
            spent: Vec::new(),
            ends: true,
        }))
    }

    async fn learn(&self, known: &[Known], is_guess: bool, _now: Moment) -> Result<(), Stop> {
        let mut call = self.scripts.learn.prepare_invoke();
        call.key(self.periods());
        call.arg(KEPT_MS).arg(if is_guess { GUESS_MS.to_string() } else { String::new() });
        for Known { key, term, spent } in known {
            let period = key.period.map_or_else(String::new, |period| period.to_string());
            call.key(self.key(key)).arg(period).arg(start(*term)).arg(spent.pico());
        }
        self.asked(&call).await.map(drop)
    }

    fn due(&self) -> Vec<Due> {
        std::mem::take(&mut self.due.lock())
    }

    fn wrote(&self, lag: Option<Duration>, _now: Moment) {
        self.link.wrote(lag);
    }

    fn written(&self) -> Option<u64> {
        self.link.written()
    }

    async fn correct(
        &self,
        said: &[(Mark, Known)],
        written: Option<u64>,
        _now: Moment,
    ) -> Result<(), Stop> {
        let mut call = self.scripts.correct.prepare_invoke();
        call.arg(text(written));
        for (mark, Known { key, term, spent }) in said {
            let mark = format!("{}:{}", mark.at_ms, mark.paid.pico());
            call.key(self.key(key)).arg(mark).arg(start(*term)).arg(spent.pico());
        }
        self.asked(&call).await.map(drop)
    }

    async fn sums(&self, asked: &[(Key, Option<Term>)]) -> Result<Vec<Option<Usd>>, Stop> {
        let mut call = self.scripts.sums.prepare_invoke();
        for (key, term) in asked {
            call.key(self.key(key)).arg(start(*term));
        }
        let said = self.asked(&call).await?;
        let rows = || said.list().iter().map(list);
        let marks = rows().filter_map(|row| row.get(1));
        self.note_due(marks.zip(asked.iter().map(|(key, _)| key.clone())));
        let sum = |row: &[redis::Value]| {
            let known = row.first().filter(|sum| !word(Some(sum)).is_empty());
            known.map(|sum| Usd::from_pico(number(Some(sum))))
        };
        Ok(rows().map(sum).collect())
    }

    fn pay(&self, claims: &Claims, cost: Usd) {
        let paying = claims.as_slice().iter().filter(|claim| claim.pays());
        let keys: Vec<_> = paying.map(|claim| self.key(&claim.key())).collect();
        if !keys.is_empty() && cost != Usd::ZERO {
            self.jobs.push(Job::Pay { ticket: self.link.ticket(), keys, cost });
        }
    }

    fn forget(&self, scope: &Scope, revision: i64) {
        self.jobs.push(Job::Forget(scope.clone(), revision));
    }

    fn gateways(&self) -> u32 {
        self.link.gateways()
    }

    fn is_well(&self) -> bool {
        self.link.is_well()
    }

    fn episode(&self) -> u64 {
        self.link.episode()
    }
}

impl Redis {
    async fn asked(&self, call: &ScriptInvocation<'_>) -> Result<Said, Stop> {
        self.link.ask(call).await.map_err(|link::Away { .. }| Stop::Away)
    }
}

/// The start of a term as the scripts know it.
fn start(term: Option<Term>) -> String {
    text(term.and_then(|term| u64::try_from(term.start.as_millisecond()).ok()))
}

/// What the script says of a claim without room.
fn refusal(
    claims: &Claims,
    row: &[redis::Value],
    terms: &Terms<'_>,
    now: Moment,
) -> Option<Refusal> {
    let at = usize::try_from(number(row.first())).ok()?.checked_sub(1)?;
    let claim = claims.as_slice().get(at)?;
    let [limit, used, more] = [2, 3, 4].map(|at| number(row.get(at)));
    let rate = |dimension| Why::Rate {
        dimension,
        limit,
        remaining: limit.saturating_sub(used),
        wait: (!word(row.get(4)).is_empty()).then(|| Duration::from_millis(more)),
    };
    let why = match word(row.get(1)) {
        b"r" => rate(Dimension::Requests),
        b"t" => rate(Dimension::Tokens),
        b"p" => Why::Parallel { limit },
        _ => Why::Budget {
            max: Usd::from_pico(limit),
            spent: Usd::from_pico(used),
            held: Usd::from_pico(more),
            resets: resets(claim, terms, now),
        },
    };
    Some(Refusal { scope: claim.scope.clone(), name: claim.name.clone(), why })
}

fn resets(claim: &Claim, terms: &Terms<'_>, now: Moment) -> Option<Timestamp> {
    Some(claim.account_period()?.term(now.at, terms.zone).end)
}
