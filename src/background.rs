//! Work beside the requests: log writing, name refresh, reload, and an orderly end.
//!
//! Started by Pingora after it has forked, on a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::ShutdownWatch;
use pingora_core::services::background::BackgroundService;
use tokio::signal::unix::{SignalKind, signal};

use crate::mock::Demo;
use crate::reload::Reload;
use crate::telemetry::LogWriter;
use crate::upstream::Upstreams;

/// How often the names of upstreams are looked up again.
const RESOLVE_EVERY: Duration = Duration::from_secs(30);

/// How often the drain looks whether the last request is done.
const DRAIN_TICK: Duration = Duration::from_millis(10);

/// How long the listener may take to accept its first connection.
const LISTEN_MAX: Duration = Duration::from_secs(10);

/// The background service.
pub struct Background {
    address: SocketAddr,
    reload: Reload,
    upstreams: Arc<Upstreams>,
    in_flight: Arc<AtomicUsize>,
    draining: Arc<AtomicBool>,
    /// Taken when the service starts.
    once: Mutex<Option<(LogWriter, Option<Demo>)>>,
}

impl Background {
    pub(crate) fn new(
        address: SocketAddr,
        reload: Reload,
        upstreams: Arc<Upstreams>,
        in_flight: Arc<AtomicUsize>,
        draining: Arc<AtomicBool>,
        log_writer: LogWriter,
        demo: Option<Demo>,
    ) -> Self {
        let once = Mutex::new(Some((log_writer, demo)));
        Self { address, reload, upstreams, in_flight, draining, once }
    }

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
    }

    async fn resolve(&self) {
        let mut tick = tokio::time::interval(RESOLVE_EVERY);
        tick.tick().await;
        loop {
            tick.tick().await;
            self.upstreams.refresh().await;
        }
    }

    async fn reload_on_signal(&self, hangup: std::io::Result<tokio::signal::unix::Signal>) {
        match hangup {
            Ok(mut hangup) => {
                while hangup.recv().await.is_some() {
                    self.reload.reload();
                }
            }
            Err(error) => tracing::error!(%error, "SIGHUP will not reload"),
        }
    }

    /// Waits for the requests in flight, as long as the configuration allows.
    async fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        let bound = self.reload.snapshot.load().traffic.drain_timeout;
        let deadline = Instant::now() + bound;
        loop {
            let left = self.in_flight.load(Ordering::Acquire);
            if left == 0 {
                tracing::info!("every request is done");
                return;
            }
            if Instant::now() > deadline {
                tracing::warn!(requests = left, ?bound, "requests are cut off");
                return;
            }
            tokio::time::sleep(DRAIN_TICK).await;
        }
    }
}

#[async_trait]
impl BackgroundService for Background {
    async fn start(&self, mut shutdown: ShutdownWatch) {
        // Registered first of all: until then a SIGHUP would end the process.
        let hangup = signal(SignalKind::hangup());
        let Some((log_writer, demo)) = self.once.lock().take() else { return };
        if let Some(demo) = demo {
            demo.start().await;
        }
        let (stop_log, log_stopped) = tokio::sync::oneshot::channel();
        let logging = log_writer.run(log_stopped);
        tokio::pin!(logging);
        let working = async {
            let forever = async {
                tokio::join!(self.announce(), self.resolve(), self.reload_on_signal(hangup));
            };
            tokio::select! {
                () = forever => {}
                _ = shutdown.changed() => {}
            }
            self.drain().await;
        };
        tokio::select! {
            () = working => {}
            () = &mut logging => {}
        }
        if stop_log.send(()).is_ok() {
            logging.await;
        }
        end(0);
    }
}

/// Ends the process: Pingora would otherwise sleep through its whole grace period although the last
/// request is done.
#[expect(clippy::disallowed_methods, reason = "the drain is over, nothing is left to run")]
fn end(code: i32) -> ! {
    std::process::exit(code)
}
