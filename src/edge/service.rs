//! The listening service: Pingora's, on sockets that are bound already.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig};
use pingora_core::server::{Fds, ListenFds, ShutdownWatch};
use pingora_core::services::Service as PingoraService;
use pingora_core::services::listening::Service;

use super::door::Door;
use super::listen::{Address, Socket};

/// Between two signs of life of the threads that serve requests.
const BEAT_EVERY: Duration = Duration::from_secs(1);

/// Pingora's listening service with what it lacks.
pub struct Listening<A> {
    service: Service<Door<A>>,
    /// Names under which Pingora looks for a socket, and the descriptors.
    sockets: Vec<(String, Socket)>,
    beat: Arc<AtomicU64>,
}

impl<A: ServerApp + Send + Sync + 'static> Listening<A> {
    /// A service without a socket.
    #[must_use]
    pub fn new(name: &str, door: Door<A>, beat: Arc<AtomicU64>) -> Self {
        let service = Service::new(name.to_owned(), door);
        Self { service, sockets: Vec::new(), beat }
    }

    /// Adds a socket; the configuration is for its address.
    pub fn add(&mut self, socket: Socket, buffers: L4BufferSettings) {
        let (name, config) = match &socket.address {
            Address::Tcp(address) => {
                (address.to_string(), ListenerConfig::tcp(address.to_string()))
            }
            Address::Unix(path) => {
                let path = path.to_string_lossy().into_owned();
                (path.clone(), ListenerConfig::uds(path))
            }
        };
        self.service.add_listener(config.l4_buffer(buffers));
        self.sockets.push((name, socket));
    }

    /// Puts the sockets where Pingora looks for those of a predecessor.
    fn hand_in(&self, fds: &ListenFds) -> io::Result<()> {
        let mut fds = fds.lock();
        for (name, socket) in &self.sockets {
            fds.add(name.clone(), socket.to_raw()?);
        }
        Ok(())
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> PingoraService for Listening<A> {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let fds = fds.unwrap_or_else(|| Arc::new(parking_lot::Mutex::new(Fds::new())));
        if let Err(error) = self.hand_in(&fds) {
            tracing::error!(%error, "the sockets cannot be listened on");
            return;
        }
        // These were needed until now only; the port is to be free once Pingora closes its own.
        self.sockets.clear();
        let beat = Arc::clone(&self.beat);
        let beating = async {
            let mut tick = tokio::time::interval(BEAT_EVERY);
            loop {
                tick.tick().await;
                beat.fetch_add(1, Ordering::Relaxed);
            }
        };
        let serving = self.service.start_service(Some(fds), shutdown, listeners_per_fd);
        tokio::select! {
            () = serving => {}
            () = beating => {}
        }
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads
    }
}
