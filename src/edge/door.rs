//! A new connection, from accept to the first byte of HTTP.
//!
//! The TLS handshake is here and not in Pingora's listener, so that the certificate can be another
//! one for each connection, and so that a scanner's failed handshake is no error of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::ServerApp;
use pingora_core::protocols::Stream;
use pingora_core::protocols::l4::stream::Stream as L4Stream;
use pingora_core::server::ShutdownWatch;

use super::Lifecycle;
use super::tls::Certificate;
use crate::patience::within;

/// How long a TLS handshake may take.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);

/// How often one looks whether the last connection is closed.
const TICK: Duration = Duration::from_millis(10);

/// What a connection goes through before the app gets it.
pub struct Door<A> {
    pub app: Arc<A>,
    /// Connections that were accepted since the start.
    pub accepted: Arc<AtomicU64>,
    /// Connections that are open.
    pub connections: Arc<AtomicUsize>,
    pub certificate: Option<Arc<Certificate>>,
    pub lifecycle: Lifecycle,
}

impl<A> Door<A> {
    /// The connection with TLS, if the listener speaks it. `None`: it came to nothing.
    async fn handshake(&self, stream: Stream) -> Option<Stream> {
        let Some(certificate) = &self.certificate else { return Some(stream) };
        let plain = stream.into_any().downcast::<L4Stream>().ok()?;
        let current = certificate.current();
        // Boxed: the state of a handshake is large, and the connection would carry it to its end.
        let handshake = Box::pin(current.acceptor().tls_handshake(*plain));
        match within(HANDSHAKE_MAX, handshake).await {
            Ok(Ok(stream)) => Some(Box::new(stream)),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a TLS handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a TLS handshake took too long");
                None
            }
        }
    }
}

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Door<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        self.accepted.fetch_add(1, Ordering::AcqRel);
        let stream = self.handshake(stream).await?;
        self.app.process_new(stream, shutdown).await
    }

    /// Called when nobody new is let in. The app then closes connections without a request; before
    /// that, those that are on their way are answered.
    async fn cleanup(&self) {
        let ending = self.lifecycle.ended().await;
        let empty = async {
            while self.connections.load(Ordering::Acquire) > 0 {
                tokio::time::sleep(TICK).await;
            }
        };
        // Either way the app is told.
        tokio::time::timeout(ending.linger(), empty).await.ok();
        self.app.cleanup().await;
    }
}
