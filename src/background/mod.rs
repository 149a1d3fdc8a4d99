//! Work beside the requests: log writing, name refresh, reload, and an orderly end.
//!
//! Started by Pingora after it has forked, on a runtime of its own.

mod files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::mock::Demo;
use crate::reload::Reload;
use crate::telemetry::AccessLog;
use crate::telemetry::access_log::{Sink, Writer};
use crate::upstream::Upstreams;

/// How often the names of upstreams are looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// How often the drain looks whether the last request is done.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// How long the last bytes of the last replies may take: HTTP/2 writes them after the request is
/// done.
const LAST_BYTES_MAX: Duration = Duration::from_secs(1);

/// How long the listener may take to accept its first connection.
const LISTEN_MAX: Duration = Duration::from_secs(10);

/// The background service.
pub(crate) struct Background {
    pub address: SocketAddr,
    pub greet: Option<fn(SocketAddr)>,
    pub reload: Arc<Reload>,
    pub upstreams: Arc<Upstreams>,
    pub in_flight: Arc<AtomicUsize>,
    pub connections: Arc<AtomicUsize>,
    pub draining: Arc<AtomicBool>,
    pub access_log: AccessLog,
    /// Taken when the service starts.
    pub once: Mutex<Option<Once>>,
}

/// What the service consumes.
pub(crate) struct Once {
    pub log_writer: Writer,
    pub log_sink: Sink,
    pub demo: Option<Demo>,
}

impl Background {
    /// Says that the gateway listens, once it does; ends the process if it does not come to it.
    async fn announce(&self) {
        let deadline = Instant::now() + LISTEN_MAX;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if Instant::now() > deadline {
                tracing::error!(address = %self.address, "the listener did not start");
                end(1);
            }
            tokio::time::sleep(DRAIN_TICK).await;
        }
        tracing::info!(address = %self.address, "listening");
        if let Some(greet) = self.greet {
            greet(self.address);
        }
    }

    async fn resolve(&self) {
        let mut tick = tokio::time::interval(RESOLVE_EVERY);
        tick.tick().await;
        loop {
            tick.tick().await;
            self.upstreams.refresh().await;
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

    /// Waits for the requests in flight, as long as the configuration and the operator allow.
    async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        let bound = self.reload.snapshot.load().traffic.drain_timeout;
        let done = async {
            until_none(&self.in_flight).await;
            tracing::info!("every request is done");
            drop(tokio::time::timeout(LAST_BYTES_MAX, until_none(&self.connections)).await);
        };
        let impatience = async {
            match signal(SignalKind::interrupt()) {
                Ok(mut interrupt) => interrupt.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            () = done => return,
            () = tokio::time::sleep(bound) => {}
            _ = impatience => {}
        }
        let requests = self.in_flight.load(Ordering::Acquire);
        tracing::warn!(requests, ?bound, "requests are cut off");
    }
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // Registered first of all: until then a SIGHUP would end the process.
        let hangup = signal(SignalKind::hangup());
        let Some(once) = self.once.lock().take() else { return };
        let (drained, is_drained) = watch::channel(false);
        let mut until_drained = is_drained.clone();
        let logging = once.log_writer.run(once.log_sink, async move {
            // An error means that the sender is gone: the same end.
            drop(until_drained.wait_for(|drained| *drained).await);
        });
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
                    self.announce(),
                    self.resolve(),
                    self.on_hangup(hangup),
                    files::reload_on_change(Arc::clone(&self.reload)),
                );
            };
            tokio::select! {
                () = forever => {}
                _ = shutdown.changed() => {}
            }
            self.drain().await;
            drained.send_replace(true);
        };
        if let (Err(error), (), ()) = tokio::join!(logging, demonstrating, working) {
            tracing::error!(%error, "the access log was not written");
        }
        end(0);
    }
}

async fn until_none(count: &AtomicUsize) {
    while count.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(DRAIN_TICK).await;
    }
}

/// Ends the process: Pingora would otherwise sleep through its whole grace period although the last
/// request is done.
#[expect(clippy::disallowed_methods, reason = "the drain is over, nothing is left to run")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
