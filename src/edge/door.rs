//! A new connection, from accept to the first byte of HTTP.
//!
//! The TLS handshake is here and not in Pingora's listener, so that the certificate can be another
//! one for each connection, and so that a scanner's failed handshake is no error of ours.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::protocols::{GetSocketDigest, Stream};
use pingora_core::server::ShutdownWatch;

use super::connections::Connections;
use super::settings::{ListenAt, Settings};
use super::tls::Certificate;
use super::{Lifecycle, proxy_protocol};
use crate::patience::within;

/// How long a TLS handshake may take, and before it the PROXY protocol.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// How often one looks whether the last connection is closed.
const TICK: Duration = Duration::from_millis(10);

/// The settings in force; asked for each connection.
pub type SettingsNow = Arc<dyn Fn() -> Arc<Settings> + Send + Sync>;

/// What a connection goes through before the app gets it.
pub struct Door<A> {
    pub app: Arc<A>,
    pub shared: Shared,
    pub proxy_protocol: bool,
    /// `None`: the listener does not speak TLS.
    pub certificate: Option<Arc<Certificate>>,
}

/// What all doors of a process share.
#[derive(Clone)]
pub struct Shared {
    pub settings: SettingsNow,
    /// Connections that were accepted since the start.
    pub accepted: Arc<AtomicU64>,
    pub connections: Arc<Connections>,
    pub lifecycle: Lifecycle,
}

impl<A> Door<A> {
    /// A door for this listener.
    pub fn new(
        app: Arc<A>,
        at: &ListenAt,
        certificate: Option<Arc<Certificate>>,
        shared: Shared,
    ) -> Self {
        let certificate = certificate.filter(|_| at.speaks_tls());
        Self { app, shared, proxy_protocol: at.proxy_protocol, certificate }
    }

    /// The connection as the client's, with TLS if the listener speaks it. `None`: it came to
    /// nothing, or is none that may be.
    async fn greet(&self, stream: Stream, settings: &Settings) -> Option<Stream> {
        if !self.proxy_protocol && self.certificate.is_none() {
            return Some(stream);
        }
        let mut plain = stream.into_any().downcast::<L4Stream>().ok()?;
        if self.proxy_protocol {
            let peer = address_of(&*plain);
            if !settings.forwarded.trusts(peer) {
                tracing::warn!(?peer, "refused: not one of the trusted proxies");
                return None;
            }
            if let Err(error) = proxy_protocol::accept(&mut plain).await {
                tracing::debug!(?peer, %error, "a connection without the PROXY protocol");
                return None;
            }
        }
        let Some(certificate) = &self.certificate else { return Some(plain) };
        let current = certificate.current();
        match current.acceptor().tls_handshake(*plain).await {
            Ok(stream) => Some(Box::new(stream)),
            Err(error) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
        }
    }
}

fn address_of(stream: &(impl GetSocketDigest + ?Sized)) -> Option<IpAddr> {
    let digest = stream.get_socket_digest()?;
    digest.peer_addr()?.as_inet().map(std::net::SocketAddr::ip)
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Door<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        self.shared.accepted.fetch_add(1, Ordering::AcqRel);
        let settings = (self.shared.settings)();
        let (limits, connections) = (&settings.limits, &self.shared.connections);
        // A load balancer is no client: whose connection it is is known only after its word.
        let peer = address_of(&*stream).filter(|_| !self.proxy_protocol);
        let open = connections.enter(peer, limits).or_else(|| {
            tracing::debug!(?peer, "refused: too many connections");
            None
        })?;
        // Boxed: it is over before the first request, and a connection is open for long.
        let greeting = Box::pin(self.greet(stream, &settings));
        let stream = match within(HANDSHAKE_MAX, greeting).await {
            Ok(greeted) => greeted?,
            Err(_) => {
                tracing::debug!(?peer, "a handshake took too long");
                return None;
            }
        };
        let open = if self.proxy_protocol {
            drop(open);
            connections.enter(address_of(&*stream), limits)?
        } else {
            open
        };
        let reusable = self.app.process_new(stream, shutdown).await;
        drop(open);
        reusable
    }

    /// Called when nobody new is let in. The app then closes connections without a request; before
    /// that, those that are on their way are answered.
    async fn cleanup(&self) {
        let ending = self.shared.lifecycle.ended().await;
        let empty = async {
            while self.shared.connections.open() > 0 {
                tokio::time::sleep(TICK).await;
            }
        };
        // Either way the app is told.
        tokio::time::timeout(ending.linger(), empty).await.ok();
        self.app.cleanup().await;
    }
}
