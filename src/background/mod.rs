//! Work beside the requests: log writing, name refresh, reload, upgrade, and an orderly end.
//!
//! Started by Pingora after it has forked, on a runtime of its own. What is written after requests has
//! another thread (`records.rs`).

mod drain;
mod files;
mod models;
mod records;
mod scene;
mod sums;
mod systemd;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

pub(crate) use self::records::Records;
pub(crate) use self::upgrade::Upgrader;
use crate::alerts::{Alerts, Outbox};
use crate::books;
use crate::checks::HealthChecks;
use crate::edge::handover::Predecessor;
use crate::edge::{Address, Connections, Lifecycle};
use crate::gateway::look_after_providers;
use crate::identity::Identities;
use crate::keys::record::Kind;
use crate::keys::{Changed, KeyRing};
use crate::mock::Demo;
use crate::quota::Quota;
use crate::reload::Reload;
use crate::routing::Rates;
use crate::spend::{Scope, ScopeKind};
use crate::store::Store;
use crate::store::redis::Redis;
use crate::telemetry::AccessLog;
use crate::upstream::Upstreams;

/// How often the budgets of providers are looked at.
const BUDGETS_EVERY: Duration = Duration::from_secs(1);

/// How often the names of upstreams are looked up again, and their idle connections looked at.
const UPKEEP_EVERY: Duration = Duration::from_secs(30);

/// How often the database is asked whether it is there.
const PING_EVERY: Duration = Duration::from_secs(5);

/// How often the database is asked which keys were changed elsewhere.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// How long the listener may take to accept its first connection.
const LISTEN_MAX: Duration = Duration::from_secs(10);

/// How long Redis may take to hear of the last requests, and alerts to be delivered, and how often that
/// is looked at.
const LAST_WORDS: Duration = Duration::from_secs(2);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long Redis may take to hear that this gateway is gone.
const FAREWELL: Duration = Duration::from_millis(500);

/// How often it is knocked at until it has.
const KNOCK_EVERY: Duration = Duration::from_millis(10);

/// The background service.
pub(crate) struct Background {
    /// Where the gateway listens; never empty.
    pub addresses: Vec<Address>,
    pub greet: Option<fn(SocketAddr)>,
    pub reload: Arc<Reload>,
    pub upstreams: Arc<Upstreams>,
    pub identities: Arc<Identities>,
    pub health_checks: HealthChecks,
    pub in_flight: Arc<AtomicUsize>,
    pub connections: Arc<Connections>,
    /// Connections that were accepted since the start.
    pub accepted: Arc<AtomicU64>,
    /// Counted up by the threads that serve requests.
    pub beat: Arc<AtomicU64>,
    pub draining: Arc<AtomicBool>,
    pub lifecycle: Lifecycle,
    pub upgrader: Arc<Upgrader>,
    pub store: Arc<Store>,
    pub keys: Arc<KeyRing>,
    pub books: Arc<books::State>,
    pub access_log: AccessLog,
    pub quota: Arc<Quota>,
    pub rates: Arc<Rates>,
    pub redis: Option<Arc<Redis>>,
    pub alerts: Arc<Alerts>,
    pub outbox: Outbox,
    /// Taken when the service starts.
    pub once: Mutex<Option<Once>>,
}

/// What the service consumes.
pub(crate) struct Once {
    pub records: Records,
    pub demo: Option<Demo>,
    /// The process that this one takes over from.
    pub predecessor: Option<Predecessor>,
}

impl Background {
    /// Says that the gateway serves, once it does; ends the process if it does not come to it.
    async fn announce(&self, predecessor: Option<Predecessor>) {
        let deadline = Instant::now() + LISTEN_MAX;
        // That one can connect proves nothing: a predecessor may have accepted.
        while self.accepted.load(Ordering::Acquire) == 0 {
            if Instant::now() > deadline {
                tracing::error!("the listener did not start");
                end(1);
            }
            self.addresses.iter().for_each(|address| drop(address.knock()));
            tokio::time::sleep(KNOCK_EVERY).await;
        }
        if let Some(predecessor) = predecessor {
            if let Err(error) = tokio::task::spawn_blocking(move || predecessor.ready()).await {
                tracing::error!(%error, "the predecessor was not told");
            }
            tracing::info!("taken over from the process before");
        }
        for address in &self.addresses {
            tracing::info!(%address, "listening");
        }
        systemd::ready();
        if let (Some(greet), Some(Address::Tcp(address))) = (self.greet, self.addresses.first()) {
            greet(*address);
        }
    }

    async fn keep_up(&self) {
        let mut tick = tokio::time::interval(UPKEEP_EVERY);
        tick.tick().await;
        loop {
            tick.tick().await;
            self.upstreams.sweep();
            self.upstreams.refresh().await;
        }
    }

    async fn look_after_providers(&self) {
        let mut tick = tokio::time::interval(BUDGETS_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let snapshot = self.reload.snapshot.load_full();
            look_after_providers(&self.quota, &self.rates, &snapshot.admission).await;
        }
    }

    /// Limits and budgets, and who is told of them.
    async fn keep_quota(&self) {
        let snapshot = || self.reload.snapshot.load();
        let shared = async {
            if let Some(redis) = &self.redis {
                redis.run().await;
            }
        };
        tokio::join!(
            self.quota.keep(|| snapshot().admission.zone.clone(), || self.books.lag()),
            self.alerts.run(&self.outbox, self, &*self.store),
            self.look_after_providers(),
            shared,
        );
    }

    /// Waits until Redis knows what the last requests cost, and alerts are delivered, but not for long.
    async fn tell_the_last(&self) {
        let costs = || self.redis.as_ref().map_or(0, |redis| redis.waiting());
        let told = async {
            while costs() > 0 || self.alerts.waiting() > 0 {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        if tokio::time::timeout(LAST_WORDS, told).await.is_err() {
            let (costs, alerts) = (costs(), self.alerts.waiting());
            tracing::warn!(costs, alerts, "Redis was not told of all costs, or alerts are lost");
        }
    }

    /// Knows whether the database answers.
    async fn watch_store(&self) {
        let mut tick = tokio::time::interval(PING_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.books.heard(&self.store.ping().await);
        }
    }

    /// Hears of records that were changed elsewhere.
    async fn follow_changes(&self) {
        let mut tick = tokio::time::interval(FOLLOW_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.keys.catch_up(Instant::now()).await {
                Ok(changed) => self.quota.recheck(changed.iter().filter_map(payer)),
                // That it is away is told by those who watch it.
                Err(error) => tracing::debug!(%error, "changes of keys are not heard of"),
            }
        }
    }

    async fn on_hangup(&self, hangup: std::io::Result<tokio::signal::unix::Signal>) {
        match hangup {
            Ok(mut hangup) => {
                while hangup.recv().await.is_some() {
                    // Log rotation and a new configuration come by the same signal.
                    self.access_log.reopen();
                    files::run(&self.reload, "SIGHUP").await;
                }
            }
            Err(error) => tracing::error!(%error, "SIGHUP will not reload"),
        }
    }
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        let _watch = PanicWatch;
        // Registered first of all: until then these signals would end the process.
        let hangup = signal(SignalKind::hangup());
        let user_signal = signal(SignalKind::user_defined2());
        let Some(once) = self.once.lock().take() else { return };
        let (drained, is_drained) = watch::channel(false);
        let all_is_written = match once.records.start(is_drained.clone()) {
            Ok(done) => done,
            Err(error) => {
                tracing::error!(%error, "there is no thread for the ledger: the process ends");
                end(1);
            }
        };
        let demonstrating = async {
            if let Some(demo) = once.demo
                && let Err(error) = demo.serve(is_drained).await
            {
                tracing::error!(%error, "the scripted providers stopped");
            }
        };
        let working = async {
            let forever = async {
                tokio::join!(
                    self.announce(once.predecessor),
                    self.keep_up(),
                    self.health_checks.run(),
                    self.on_hangup(hangup),
                    self.watch_store(),
                    files::reload_on_change(Arc::clone(&self.reload)),
                    models::follow(Arc::clone(&self.reload), Arc::clone(&self.store) as _),
                    sums::follow(Arc::clone(&self.store) as _, Arc::clone(&self.quota)),
                    self.upgrader.on_signal(user_signal),
                    self.upgrader.on_control(),
                    systemd::watchdog(&self.beat),
                );
            };
            tokio::select! {
                () = forever => {}
                _ = shutdown.changed() => {}
            }
            self.draining.store(true, Ordering::Release);
            self.drain().await;
            self.tell_the_last().await;
            drained.send_replace(true);
        };
        // Requests that are drained may still need a credential, are still bounded, and what they cost
        // has to be told.
        let beside = async {
            tokio::join!(self.identities.keep(), self.keep_quota(), self.follow_changes());
        };
        let working = async {
            tokio::select! {
                () = working => {}
                () = beside => {}
            }
        };
        // That it is gone without a word was told by its panic.
        let (_, (), ()) = tokio::join!(all_is_written, demonstrating, working);
        if let Some(redis) = &self.redis {
            // The others need not wait until they believe that it is gone.
            drop(tokio::time::timeout(FAREWELL, redis.leave()).await);
        }
        end(0);
    }
}

/// Whose spending may have been changed with a record.
fn payer(changed: &Changed) -> Option<Scope> {
    let kind = match changed.kind {
        Kind::Key => ScopeKind::Key,
        Kind::User => ScopeKind::User,
        Kind::Team => ScopeKind::Team,
        Kind::Organisation => ScopeKind::Organisation,
        Kind::EndUser => ScopeKind::EndUser,
        Kind::Tag => ScopeKind::Tag,
        Kind::Budget | Kind::Model => return None,
    };
    Some(Scope::new(kind, changed.id.as_str()))
}

/// Ends the process if the service panics: without it the gateway would serve on, deaf to every
/// signal and without its access log. Who started it (systemd, Kubernetes) starts it again.
struct PanicWatch;

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the background service panicked: the process ends");
            end(1);
        }
    }
}

/// Ends the process: Pingora would otherwise sleep through its whole grace period although the last
/// request is done.
#[expect(
    clippy::disallowed_methods,
    reason = "the drain is over, or cannot be: nothing is left to run"
)]
fn end(code: i32) -> ! {
    std::process::exit(code)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    #[ignore = "ends its process; run by the next test in one of its own"]
    fn a_service_that_panics() {
        let _watch = PanicWatch;
        panic!("as asked");
    }

    #[test]
    fn a_panic_of_the_service_ends_the_process_with_1() {
        let name = "background::tests::a_service_that_panics";
        let mut child = Command::new(std::env::current_exe().unwrap());
        let ended = child.args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
        // A failed test would end with 101.
        assert_eq!(ended.status.code(), Some(1), "{ended:?}");
        assert!(String::from_utf8_lossy(&ended.stderr).contains("as asked"), "{ended:?}");
    }
}
