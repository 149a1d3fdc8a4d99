//! Which HTTP a connection without TLS speaks: told by its first bytes.
//!
//! Pingora finds out by reading 24 bytes, the length of HTTP/2's preface, before it looks at any of
//! them. A complete request of HTTP/1 can be shorter (`HEAD / HTTP/1.0`, the default check of many
//! load balancers) and would wait for ever, as would a client that sends nothing at all. Three bytes
//! decide, and they must come in time. Needless once Pingora compares what it has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerOptions, ServerApp};
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};

use super::Gateway;
use crate::edge;
use crate::patience::within;

/// How HTTP/2 begins. No method of HTTP/1 begins like that.
const HTTP2: [u8; 3] = *b"PRI";

/// The longest silence of a new connection; Pingora's own bound for the head of a request.
const FIRST_BYTES_TIMEOUT: Duration = Duration::from_secs(60);

/// The gateway behind a listener that takes HTTP/1.1 and HTTP/2, the latter over TLS or with prior
/// knowledge.
pub struct AnyHttp {
    /// Also HTTP/2 over TLS, where both sides have agreed on it beforehand.
    agreed: Arc<HttpProxy<Gateway>>,
    prior_knowledge: Arc<HttpProxy<Gateway>>,
}

impl AnyHttp {
    /// The gateway, ready for connections.
    #[must_use]
    pub fn new(conf: &Arc<ServerConf>, gateway: Gateway) -> Self {
        let mut options = HttpServerOptions::default();
        options.h2_idle_timeout = Some(gateway.snapshot.load().edge.limits.keepalive_timeout);
        let mut agreed = http_proxy(conf, gateway.clone());
        agreed.server_options = Some(options.clone());
        options.h2c = true;
        let mut prior_knowledge = http_proxy(conf, gateway);
        prior_knowledge.server_options = Some(options);
        Self { agreed: Arc::new(agreed), prior_knowledge: Arc::new(prior_knowledge) }
    }
}

#[async_trait]
impl ServerApp for AnyHttp {
    async fn process_new(
        self: &Arc<Self>,
        mut stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        if stream.get_ssl_digest().is_some() {
            if matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                edge::unbounded();
            }
            return self.agreed.process_new(stream, shutdown).await;
        }
        let mut start = [0; HTTP2.len()];
        let peeking = stream.try_peek(&mut start);
        let peeked = within(FIRST_BYTES_TIMEOUT, peeking).await;
        match peeked {
            Ok(Ok(true)) if start == HTTP2 => {
                edge::unbounded();
                self.prior_knowledge.process_new(stream, shutdown).await
            }
            Ok(Ok(_)) => self.agreed.process_new(stream, shutdown).await,
            // Opened and closed again, or silent: nobody is owed an answer.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn cleanup(&self) {
        self.agreed.cleanup().await;
        self.prior_knowledge.cleanup().await;
    }
}
