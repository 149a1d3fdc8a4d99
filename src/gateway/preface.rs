//! Which HTTP a connection without TLS speaks: told by its first bytes.
//!
//! Pingora finds out by reading 24 bytes, the length of HTTP/2's preface, before it looks at any of
//! them. A complete request of HTTP/1 can be shorter (`HEAD / HTTP/1.0`, the default check of many
//! load balancers) and would wait for ever, as would a client that sends nothing at all. Three bytes
//! decide, and they must come in time. Needless once Pingora compares what it has.

use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::apps::{HttpServerApp, HttpServerOptions, ReusedHttpStream, ServerApp};
use pingora_core::protocols::http::ServerSession;
use pingora_core::protocols::http::v2::server::{H2Options, default_h2_options};
use pingora_core::protocols::{ALPN, Stream};
use pingora_core::server::ShutdownWatch;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::{HttpProxy, http_proxy};

use super::Gateway;
use super::connection::Connection;
use crate::patience::within;

/// How HTTP/2 begins. No method of HTTP/1 begins like that.
const HTTP2: [u8; 3] = *b"PRI";

/// The gateway behind a listener that takes HTTP/1.1 and HTTP/2, the latter over TLS or with prior
/// knowledge.
pub struct AnyHttp {
    gateway: Arc<Gateway>,
    /// Also HTTP/2 over TLS, where both sides have agreed on it beforehand.
    agreed: Arc<Entrance>,
    prior_knowledge: Arc<Entrance>,
}

impl AnyHttp {
    /// The gateway, ready for connections.
    #[must_use]
    pub fn new(conf: &Arc<ServerConf>, gateway: Gateway) -> Self {
        let limits = gateway.snapshot.load().edge.limits.clone();
        let http2_streams = limits.http2_streams;
        let entrance = |h2c| {
            let mut options = HttpServerOptions::default();
            options.h2c = h2c;
            options.h2_idle_timeout = Some(limits.keepalive_timeout);
            // So that the gateway refuses it, with a body and a line in the log.
            options.allow_connect_method_proxying = true;
            let mut proxy = http_proxy(conf, gateway.clone());
            proxy.server_options = Some(options);
            Arc::new(Entrance { proxy: Arc::new(proxy), http2_streams })
        };
        let (agreed, prior_knowledge) = (entrance(false), entrance(true));
        Self { gateway: Arc::new(gateway), agreed, prior_knowledge }
    }

    /// A connection of HTTP/1 is watched until there is a request, and again after it.
    fn watched(&self, stream: Stream) -> Stream {
        Box::new(Connection::new(stream, Arc::clone(&self.gateway)))
    }
}

/// Pingora's proxy, which tells the connection when it begins to read a request.
struct Entrance {
    proxy: Arc<HttpProxy<Gateway>>,
    /// See [`crate::edge::Limits::http2_streams`].
    http2_streams: u32,
}

#[async_trait]
impl HttpServerApp for Entrance {
    async fn process_new_http(
        self: &Arc<Self>,
        session: ServerSession,
        shutdown: &ShutdownWatch,
    ) -> Option<ReusedHttpStream> {
        Connection::expect_head(session.stream());
        self.proxy.process_new_http(session, shutdown).await
    }

    fn server_options(&self) -> Option<&HttpServerOptions> {
        self.proxy.server_options()
    }

    fn h2_options(&self) -> Option<H2Options> {
        let mut options = default_h2_options();
        options.max_concurrent_streams(self.http2_streams);
        Some(options)
    }

    async fn http_cleanup(&self) {
        self.proxy.http_cleanup().await;
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
            if !matches!(stream.selected_alpn_proto(), Some(ALPN::H2)) {
                stream = self.watched(stream);
            }
            return self.agreed.process_new(stream, shutdown).await;
        }
        let patience = self.gateway.snapshot.load().traffic.client_header_timeout;
        let mut start = [0; HTTP2.len()];
        let peeking = stream.try_peek(&mut start);
        let peeked = within(patience, peeking).await;
        match peeked {
            Ok(Ok(true)) if start == HTTP2 => {
                self.prior_knowledge.process_new(stream, shutdown).await
            }
            Ok(Ok(_)) => self.agreed.process_new(self.watched(stream), shutdown).await,
            // Opened and closed again, or silent: nobody is owed an answer.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    async fn cleanup(&self) {
        self.agreed.cleanup().await;
        self.prior_knowledge.cleanup().await;
    }
}
