//! Counters that several gateways share: implements `admission::Counters` on Redis.
//!
//! ```text
//! Redis (mod.rs)      one script for each decision and one for each settlement
//! Link (link.rs)      the connection, its deadline and its breaker, and who else is there
//! Jobs (jobs.rs)      settlements that nobody waits for, kept while Redis is away
//! *.lua               what is done in one step: lib.lua is put before each
//! ```
//!
//! Every place is a lease. A gateway renews those of its requests; one that is gone does not, and what
//! it held comes back within a minute. A request never waits longer than the deadline, and when Redis
//! failed several times in a row it is not asked at all until a probe has found it well again.
//!
//! All keys of a decision have to be on one server: a Redis Cluster is not supported.

mod jobs;
mod link;
mod replies;

use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use redis::{
    Client, ConnectionAddr, FromRedisValue, IntoConnectionInfo, RedisConnectionInfo, Script,
};

use self::jobs::{Job, Jobs};
use self::link::Link;
use crate::admission::{
    Claim, Claims, Counters, Held, Key, Known, Moment, Need, Refusal, Room, Spent, Stop, Terms,
    Watch, Why,
};
use crate::limits::{Dimension, Used};
use crate::money::Usd;
use crate::secret::Secret;
use crate::spend::ScopeKind;

/// How long what a request holds outlives the last sign of its gateway.
const LEASE_MS: u64 = 60_000;
/// How long counters that nobody asks for are kept.
const KEPT_MS: u64 = 3_600_000;
/// How long a guess of what was spent is good.
const GUESS_MS: u64 = 10_000;

/// Where Redis is, and how it is used.
#[derive(Clone, Debug)]
pub struct RedisPlace {
    /// `redis://` or `rediss://` with everything in it; outranks the rest.
    pub url: Option<Secret>,
    pub host: Box<str>,
    pub port: u16,
    pub tls: bool,
    pub username: Option<Box<str>>,
    pub password: Option<Secret>,
    pub db: i64,
    /// What all keys begin with.
    pub namespace: Box<str>,
    /// The deadline of one operation.
    pub timeout: Duration,
}

impl RedisPlace {
    /// Whether it can be a place.
    ///
    /// # Errors
    /// Why not; without what is secret.
    pub fn check(&self) -> Result<(), String> {
        self.client().map(drop)
    }

    fn client(&self) -> Result<Client, String> {
        // The text of the error may hold the URL, and with it the password.
        let unreadable = |_| "the URL of Redis cannot be read".to_owned();
        if let Some(url) = &self.url {
            return Client::open(url.expose()).map_err(unreadable);
        }
        let (host, port) = (self.host.to_string(), self.port);
        let address = match self.tls {
            true => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
            false => ConnectionAddr::Tcp(host, port),
        };
        let mut settings = RedisConnectionInfo::default().set_db(self.db);
        if let Some(username) = &self.username {
            settings = settings.set_username(username);
        }
        if let Some(password) = &self.password {
            settings = settings.set_password(password.expose());
        }
        let info = address.into_connection_info().map_err(unreadable)?;
        Client::open(info.set_redis_settings(settings)).map_err(unreadable)
    }
}

/// The shared counters.
#[derive(Debug)]
pub struct Redis {
    link: Link,
    jobs: Jobs,
    prefix: Box<str>,
    scripts: Scripts,
    watch: Arc<dyn Watch>,
    /// Given to what a request holds.
    me: Weak<Self>,
}

struct Scripts {
    take: Script,
    settle: Script,
    learn: Script,
    beat: Script,
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
            settle: script(include_str!("settle.lua")),
            learn: script(include_str!("learn.lua")),
            beat: script(include_str!("beat.lua")),
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

    fn key(&self, key: &Key) -> String {
        let Self { prefix, .. } = self;
        let (kind, id) = (key.scope.kind.word(), &key.scope.id);
        match key.period {
            Some(period) => format!("{prefix}{kind}:{id}#{period}"),
            None => format!("{prefix}{kind}:{id}"),
        }
    }
}

/// A text, or nothing.
fn text(number: Option<u64>) -> String {
    number.map_or_else(String::new, |number| number.to_string())
}

/// What the script said, as a tree of numbers in texts.
#[derive(Debug, Default)]
struct Said(redis::Value);

impl Said {
    fn list(&self) -> &[redis::Value] {
        list(&self.0)
    }
}

impl FromRedisValue for Said {
    fn from_redis_value(value: redis::Value) -> Result<Self, redis::ParsingError> {
        Ok(Self(value))
    }
}

fn list(value: &redis::Value) -> &[redis::Value] {
    match value {
        redis::Value::Array(list) => list,
        _ => &[],
    }
}

fn number(value: Option<&redis::Value>) -> u64 {
    match value {
        Some(redis::Value::Int(number)) => u64::try_from(*number).unwrap_or(0),
        Some(redis::Value::BulkString(text)) => {
            let text = std::str::from_utf8(text).unwrap_or_default();
            // Less than nothing would be a correction that went too far.
            text.parse::<i64>().map_or(0, |number| u64::try_from(number).unwrap_or(0))
        }
        _ => 0,
    }
}

fn word(value: Option<&redis::Value>) -> &[u8] {
    match value {
        Some(redis::Value::BulkString(text)) => text,
        _ => b"",
    }
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
        // From here on it may be held there, whatever is heard of it.
        self.link.opened(&ticket, &hold.keys);
        hold.ends = true;
        let said: Said = match self.link.ask(&call).await {
            Ok(said) => said,
            Err(link::Away) => return Err(Stop::Away),
        };
        let said = said.list();
        let rows = list(said.get(1).unwrap_or(&redis::Value::Nil));
        match number(said.first()) {
            1 => {
                for (claim, row) in claims.as_slice().iter().zip(rows) {
                    let row = list(row);
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

    async fn learn(&self, known: &[Known], is_guess: bool) -> Result<(), Stop> {
        let mut call = self.scripts.learn.prepare_invoke();
        call.arg(KEPT_MS).arg(if is_guess { GUESS_MS.to_string() } else { String::new() });
        for Known { key, term, spent } in known {
            let start = term.and_then(|term| u64::try_from(term.start.as_millisecond()).ok());
            call.key(self.key(key)).arg(text(start)).arg(spent.pico());
        }
        let said: Result<Said, link::Away> = self.link.ask(&call).await;
        said.map(drop).map_err(|link::Away| Stop::Away)
    }

    fn pay(&self, claims: &Claims, cost: Usd) {
        let keys = claims.as_slice().iter().map(|claim| self.key(&claim.key()));
        let (keys, claims) = (keys.collect(), claims.clone());
        let spent = Spent { counted: true, tokens: 0, cost };
        self.jobs.push(Job::Settle { ticket: "".into(), keys, claims, spent, resets: Vec::new() });
    }

    fn forget(&self, key: &Key) {
        self.jobs.push(Job::Forget(self.key(key)));
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
        wait: Duration::from_millis(more),
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

/// What a request holds.
#[derive(Debug)]
struct Lease {
    redis: Weak<Redis>,
    ticket: Arc<str>,
    keys: Arc<[String]>,
    claims: Claims,
    /// When the budgets of the claims start anew, in their order.
    resets: Vec<Option<Timestamp>>,
    rooms: Vec<Room>,
    spent: Vec<Usd>,
    /// There may be something to give back.
    ends: bool,
}

impl Lease {
    /// Nothing was taken.
    fn abandon(&mut self) {
        self.ends = false;
        if let Some(redis) = self.redis.upgrade() {
            redis.link.closed(&self.ticket);
        }
    }

    fn end(&mut self, spent: Spent) {
        if !std::mem::take(&mut self.ends) {
            return;
        }
        let Some(redis) = self.redis.upgrade() else { return };
        redis.link.closed(&self.ticket);
        redis.jobs.push(Job::Settle {
            ticket: Arc::clone(&self.ticket),
            keys: Arc::clone(&self.keys),
            claims: std::mem::take(&mut self.claims),
            spent,
            resets: std::mem::take(&mut self.resets),
        });
    }
}

impl Held for Lease {
    fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    fn spent(&self) -> &[Usd] {
        &self.spent
    }

    fn key_spent(&self) -> Option<Usd> {
        let mut claims = self.claims.as_slice().iter();
        let at = claims.position(|claim| claim.scope.kind == ScopeKind::Key && claim.pays())?;
        self.spent.get(at).copied()
    }

    fn settle(mut self: Box<Self>, spent: Spent, _now: Moment) {
        self.end(spent);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Spent::default());
    }
}
