//! The connection to Redis: its deadline, its breaker, and what this gateway has open there.
//!
//! One connection for all, made and probed beside the requests. A request finds it well and asks, or
//! finds it away and goes on without; it never connects and never waits for longer than the deadline.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, ScriptInvocation};
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, watch};

use super::Redis;
use super::alone::{Late, Taken, Told, Untold};
use super::jobs::Job;
use super::said::Said;
use crate::patience::within;

/// Failures in a row after which nobody asks any more.
const FAILURES_MAX: u32 = 3;
/// How often Redis is told that this gateway is there, and asked whether it is well.
const BEAT_EVERY: Duration = Duration::from_millis(1_000);
/// How long other gateways believe that.
pub(super) const BELIEVED_MS: u64 = 10_000;
/// A connection, its greeting included.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Between two attempts to connect, at first; it doubles.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// A request that is open for so long renews its leases.
const RENEWED_AFTER: Duration = Duration::from_secs(10);
pub(super) const RENEWED_AT_ONCE: usize = 200;

/// Redis did not answer, or not in time.
#[derive(Debug)]
pub(super) struct Away {
    /// It was asked, and may have done it.
    pub(super) is_asked: bool,
}

impl Away {
    const NOT_ASKED: Self = Self { is_asked: false };
}

/// The connection.
pub(super) struct Link {
    client: Client,
    timeout: Duration,
    /// This process; another one after a restart.
    id: Box<str>,
    tickets: AtomicU64,
    state: watch::Sender<State>,
    failed_in_a_row: AtomicU32,
    failures: AtomicU64,
    episode: AtomicU64,
    gateways: AtomicU32,
    /// Until when all that any gateway spent is in the ledger, by Redis's clock; 0: who knows.
    written_ms: AtomicU64,
    /// When Redis was last heard, by its clock.
    heard_ms: AtomicU64,
    /// The same of this gateway.
    wrote: Mutex<Option<Instant>>,
    told: AtomicBool,
    lost: Notify,
    open: Mutex<FxHashMap<Arc<str>, Open>>,
}

/// Whether Redis may be asked.
#[derive(Clone)]
enum State {
    /// It was not heard of yet: one may wait for it, as long as for an answer.
    Starting,
    Well(MultiplexedConnection),
    Away,
    /// It answers, and is told what was let in without it: nobody else asks it yet.
    Returning(MultiplexedConnection),
}

/// Tells when Redis comes and goes.
pub(super) struct Changes(watch::Receiver<State>);

impl Changes {
    pub(super) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            // Nobody is left to change it.
            std::future::pending::<()>().await;
        }
    }
}

struct Open {
    keys: Arc<[String]>,
    renewed: Instant,
    /// What it took, as far as that is known.
    taken: Option<Arc<Taken>>,
    /// Redis was told since it was last away.
    told: bool,
    /// What tells of it was sent, and may still be on its way.
    sent: bool,
    /// It is in the windows there.
    counted: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The client knows the password.
        out.debug_struct("Link").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Link {
    pub(super) fn new(client: Client, timeout: Duration) -> Self {
        Self {
            client,
            timeout,
            id: format!("{:016x}", fastrand::u64(..)).into(),
            tickets: AtomicU64::new(0),
            state: watch::Sender::new(State::Starting),
            failed_in_a_row: AtomicU32::new(0),
            failures: AtomicU64::new(0),
            episode: AtomicU64::new(0),
            gateways: AtomicU32::new(1),
            written_ms: AtomicU64::new(0),
            heard_ms: AtomicU64::new(0),
            wrote: Mutex::default(),
            told: AtomicBool::new(false),
            lost: Notify::new(),
            open: Mutex::default(),
        }
    }

    pub(super) const fn id(&self) -> &str {
        &self.id
    }

    /// A name for what one request holds.
    pub(super) fn ticket(&self) -> Arc<str> {
        format!("{}{:x}", self.id, self.tickets.fetch_add(1, Ordering::Relaxed)).into()
    }

    pub(super) fn is_well(&self) -> bool {
        matches!(*self.state.borrow(), State::Well(_))
    }

    /// Whether Redis may be told what was done without it.
    pub(super) fn hears(&self) -> bool {
        matches!(*self.state.borrow(), State::Well(_) | State::Returning(_))
    }

    pub(super) fn is_returning(&self) -> bool {
        matches!(*self.state.borrow(), State::Returning(_))
    }

    /// Requests may ask again. False if it went away meanwhile.
    fn returned(&self) -> bool {
        self.state.send_if_modified(|state| {
            let State::Returning(connection) = state else { return false };
            *state = State::Well(connection.clone());
            true
        })
    }

    pub(super) fn gateways(&self) -> u32 {
        self.gateways.load(Ordering::Relaxed).max(1)
    }

    pub(super) fn episode(&self) -> u64 {
        self.episode.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// How many gateways there are, and until when all of them have written what they spent.
    pub(super) fn heard(&self, gateways: u64, written_ms: u64, now_ms: u64) {
        self.heard_ms.store(now_ms, Ordering::Relaxed);
        self.gateways.store(u32::try_from(gateways).unwrap_or(u32::MAX), Ordering::Relaxed);
        self.written_ms.store(written_ms, Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> Option<u64> {
        Some(self.written_ms.load(Ordering::Relaxed)).filter(|written| *written != 0)
    }

    /// When Redis was last heard, by its clock.
    pub(super) fn heard_ms(&self) -> u64 {
        self.heard_ms.load(Ordering::Relaxed)
    }

    pub(super) fn wrote(&self, lag: Option<Duration>) {
        *self.wrote.lock() = lag.and_then(|lag| Instant::now().checked_sub(lag));
    }

    /// How long ago all that this gateway had spent was in the ledger.
    pub(super) fn lag(&self) -> Option<Duration> {
        self.wrote.lock().map(|at| at.elapsed())
    }

    /// A request may hold something.
    pub(super) fn opened(&self, ticket: &Arc<str>, keys: &Arc<[String]>) {
        let (keys, renewed) = (Arc::clone(keys), Instant::now());
        let open = Open { keys, renewed, taken: None, told: true, sent: false, counted: true };
        self.open.lock().insert(Arc::clone(ticket), open);
    }

    /// What a request holds, for a Redis that has lost it.
    pub(super) fn holds(&self, ticket: &str, taken: Taken) {
        let taken = Arc::new(taken);
        if let Some(open) = self.open.lock().get_mut(ticket) {
            open.taken = Some(taken);
        }
    }

    /// A request holds something of which Redis is to be told.
    pub(super) fn adopted(&self, ticket: &Arc<str>, keys: &Arc<[String]>, taken: Taken) {
        let (keys, renewed, taken) = (Arc::clone(keys), Instant::now(), Some(Arc::new(taken)));
        let open = Open { keys, renewed, taken, told: false, sent: false, counted: false };
        self.open.lock().insert(Arc::clone(ticket), open);
    }

    /// It does not any more, or will not soon. Tells what Redis may not know of it.
    pub(super) fn closed(&self, ticket: &str) -> Option<Late> {
        let open = self.open.lock().remove(ticket)?;
        let Open { taken, sent, counted, .. } = open;
        let taken = taken.filter(|_| sent || !counted)?;
        Some(Late { taken, sent, counted })
    }

    /// What Redis is to be told of, up to a bound.
    pub(super) fn untold(&self, most: usize) -> Vec<Untold> {
        let mut open = self.open.lock();
        let untold = open.iter_mut().filter(|(_, it)| !it.told).filter_map(|(ticket, it)| {
            let taken = Arc::clone(it.taken.as_ref()?);
            it.sent = true;
            let (ticket, keys) = (Arc::clone(ticket), Arc::clone(&it.keys));
            Some(Untold { ticket, keys, taken, counted: it.counted })
        });
        untold.take(most).collect()
    }

    /// Redis was told of these.
    pub(super) fn told(&self, all: &[Untold]) {
        let mut open = self.open.lock();
        for Untold { ticket, .. } in all {
            if let Some(it) = open.get_mut(ticket) {
                (it.told, it.counted, it.renewed) = (true, true, Instant::now());
            }
        }
    }

    /// Requests whose leases are to be renewed.
    pub(super) fn due(&self) -> Vec<(Arc<str>, Arc<[String]>)> {
        let now = Instant::now();
        let mut open = self.open.lock();
        let due = open.iter_mut().filter(|(_, it)| now.duration_since(it.renewed) > RENEWED_AFTER);
        let renewed = due.take(RENEWED_AT_ONCE).map(|(ticket, it)| {
            it.renewed = now;
            (Arc::clone(ticket), Arc::clone(&it.keys))
        });
        renewed.collect()
    }

    /// Asks, within the deadline.
    pub(super) async fn ask<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        let connection = self.connection().await?;
        self.ask_by(connection, call).await
    }

    /// Tells what was done without it, within the deadline: also while nobody asks it yet.
    pub(super) async fn tell<T: FromRedisValue>(
        &self,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        let connection = match &*self.state.borrow() {
            State::Well(connection) | State::Returning(connection) => connection.clone(),
            State::Away | State::Starting => return Err(Away::NOT_ASKED),
        };
        self.ask_by(connection, call).await
    }

    async fn ask_by<T: FromRedisValue>(
        &self,
        mut connection: MultiplexedConnection,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, Away> {
        let asking = pin!(call.invoke_async(&mut connection));
        let answer = within(self.timeout, asking).await;
        self.judged(answer.map_err(|_| None).and_then(|answer| answer.map_err(Some)))
    }

    pub(super) async fn command(&self, command: &redis::Cmd) -> Result<(), Away> {
        self.query(command).await
    }

    /// Asks by a plain command, within the deadline.
    pub(super) async fn query<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, Away> {
        let mut connection = self.connection().await?;
        let asking = pin!(command.query_async(&mut connection));
        let answer = within(self.timeout, asking).await;
        self.judged(answer.map_err(|_| None).and_then(|answer| answer.map_err(Some)))
    }

    fn judged<T>(&self, answer: Result<T, Option<redis::RedisError>>) -> Result<T, Away> {
        match answer {
            Ok(answer) => {
                self.failed_in_a_row.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                let row = self.failed_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                let why = error.as_ref().map_or_else(|| "no answer in time".to_owned(), shown);
                tracing::debug!(why, "Redis failed");
                let is_gone = error.is_some_and(|error| error.is_unrecoverable_error());
                if is_gone || row >= FAILURES_MAX {
                    self.leave(&why);
                }
                Err(Away { is_asked: true })
            }
        }
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Away> {
        let known = match &*self.state.borrow() {
            State::Well(connection) => Some(connection.clone()),
            State::Away | State::Returning(_) => return Err(Away::NOT_ASKED),
            State::Starting => None,
        };
        if let Some(connection) = known {
            return Ok(connection);
        }
        let mut state = self.state.subscribe();
        let begun = pin!(state.wait_for(|state| !matches!(state, State::Starting)));
        match within(self.timeout, begun).await {
            Ok(Ok(state)) => match &*state {
                State::Well(connection) => Ok(connection.clone()),
                State::Away | State::Starting | State::Returning(_) => Err(Away::NOT_ASKED),
            },
            _ => Err(Away::NOT_ASKED),
        }
    }

    /// Hears of it when Redis comes and goes.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.state.subscribe())
    }

    fn leave(&self, why: &str) {
        let mut is_new = false;
        let left = self.state.send_if_modified(|state| {
            let was_here = !matches!(state, State::Away);
            // Who never was back goes on with the part that it has.
            is_new = was_here && !matches!(state, State::Returning(_));
            *state = State::Away;
            was_here
        });
        if left {
            self.episode.fetch_add(u64::from(is_new), Ordering::Relaxed);
            // What was told may be forgotten by then.
            self.open.lock().values_mut().for_each(|open| open.told = open.taken.is_none());
            self.lost.notify_one();
        }
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "Redis is away: limits and budgets are counted without it");
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            // Bounded here, by timers that cost less.
            .set_response_timeout(None);
        let connecting =
            Box::pin(self.client.get_multiplexed_async_connection_with_config(&config));
        match within(2 * CONNECT_MAX, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(shown(&error)),
            Err(_) => Err("no connection in time".into()),
        }
    }
}

/// What may be said of an error: its kind, and no address with a password in it.
fn shown(error: &redis::RedisError) -> String {
    error.detail().map_or_else(|| error.category().to_owned(), str::to_owned)
}

impl Redis {
    /// Connects, probes, connects again; for ever.
    pub(super) async fn keep_connected(&self) {
        let link = &self.link;
        let mut pause = PAUSE;
        loop {
            match link.connect().await {
                Ok(connection) => {
                    link.failed_in_a_row.store(0, Ordering::Relaxed);
                    if self.try_out(connection).await {
                        pause = PAUSE;
                        self.stay().await;
                    }
                }
                Err(why) => link.leave(&why),
            }
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(PAUSE_MAX);
        }
    }

    /// Whether a new connection serves. Only then are requests let to it.
    async fn try_out(&self, connection: MultiplexedConnection) -> bool {
        let link = &self.link;
        let is_first = matches!(*link.state.borrow(), State::Starting);
        // Those that wait for the first connection took nothing so far.
        let has_news = link.open.lock().values().any(|open| open.taken.is_some());
        let serves = match is_first && !has_news {
            true => self.greet(connection).await,
            false => {
                link.state.send_replace(State::Returning(connection));
                self.come_back().await && link.returned()
            }
        };
        if serves {
            // Who decided in this very moment.
            self.jobs.push(Job::Adopt);
            if link.told.swap(false, Ordering::Relaxed) {
                tracing::info!("Redis is back: limits and budgets are shared again");
            }
        }
        serves
    }

    /// Says hello where there is nothing else to tell.
    async fn greet(&self, connection: MultiplexedConnection) -> bool {
        let link = &self.link;
        let mut tried = connection.clone();
        let mut call = self.scripts.beat.prepare_invoke();
        self.say_hello(&mut call, Told::Now, None);
        let asking = pin!(call.invoke_async::<Said>(&mut tried));
        match within(CONNECT_MAX, asking).await {
            Ok(Ok(said)) => {
                self.heard(&said);
                link.state.send_replace(State::Well(connection));
                return true;
            }
            Ok(Err(error)) => link.leave(&shown(&error)),
            Err(_) => link.leave("no answer in time"),
        }
        false
    }

    /// Probes until Redis is away.
    async fn stay(&self) {
        while self.link.is_well() {
            tokio::select! {
                () = tokio::time::sleep(BEAT_EVERY) => {
                    // What fails is counted; enough of it ends this.
                    self.beat().await.ok();
                }
                () = self.link.lost.notified() => {}
            }
        }
    }
}
