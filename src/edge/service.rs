//! The listening service: Pingora's, on sockets that are bound already.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
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

/// Who may connect to a Unix socket if nothing is written: everybody, as with nginx. The key
/// decides who may call.
const UNIX_MODE: u32 = 0o666;

/// Holds the head and the body of most replies, which then leave in one write. Pingora's default of
/// one segment makes two of them. Everything is flushed when it is to be seen.
const WRITE_BUFFER: usize = 16 * 1024;

/// One TLS record. Without TLS nothing is buffered here: head and body have buffers of their own,
/// and Pingora's default would add 64 KiB to every connection.
const TLS_READ_BUFFER: usize = 16 * 1024;

/// Pingora's listening services, one for each door, on one set of threads.
pub struct Listening<A> {
    services: Vec<Service<Door<A>>>,
    /// Names under which Pingora looks for a socket, and the descriptors.
    sockets: Vec<(String, Socket)>,
    beat: Arc<AtomicU64>,
}

impl<A: ServerApp + Send + Sync + 'static> Listening<A> {
    /// A service without a socket. `beat` is counted up as long as its threads run.
    #[must_use]
    pub fn new(beat: Arc<AtomicU64>) -> Self {
        Self { services: Vec::new(), sockets: Vec::new(), beat }
    }

    /// Adds a socket and the door behind it. `mode` is for the file of a Unix socket.
    pub fn add(&mut self, socket: Socket, door: Door<A>, mode: Option<u32>) {
        let (name, config) = match &socket.address {
            Address::Tcp(address) => {
                (address.to_string(), ListenerConfig::tcp(address.to_string()))
            }
            Address::Unix(path) => {
                let path = path.to_string_lossy().into_owned();
                let mode = Permissions::from_mode(mode.unwrap_or(UNIX_MODE));
                (path.clone(), ListenerConfig::uds(path).permissions(mode))
            }
        };
        let read = if door.certificate.is_some() { TLS_READ_BUFFER } else { 0 };
        let mut service = Service::new(name.clone(), door);
        service.add_listener(config.l4_buffer(L4BufferSettings::new(read, WRITE_BUFFER)));
        self.services.push(service);
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
        let serving = self.services.iter_mut().map(|service| {
            service.start_service(Some(Arc::clone(&fds)), shutdown.clone(), listeners_per_fd)
        });
        tokio::select! {
            _ = futures::future::join_all(serving) => {}
            () = beating => {}
        }
    }

    fn name(&self) -> &str {
        "gateway"
    }
}
