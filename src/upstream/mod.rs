//! Connections to providers: one load balancer per upstream host, one pool for all of them.
//!
//! `gateway/exchange.rs` asks [`Upstreams`] for a connection to a deployment's target and gives it back
//! when the exchange was clean. Which *deployment* is called was decided before, in `routing`; here
//! is decided which *address*. Knows nothing of bodies, keys or retries.

mod connection;
mod dns;
mod idle;
mod peer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::FutureExt;
use pingora_core::connectors::http::Connector;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use rustc_hash::FxHashMap;

use crate::catalog::{Catalog, Deployment, DeploymentId};
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::snapshot::Traffic;

use self::connection::Link;
pub use self::connection::{Connection, Heads, Opened};
pub use self::peer::Upstream;
use self::peer::{Address, Authorities, IDLE_TIMEOUT};

/// Idle upstream connections kept per process, over all hosts.
const POOL_SIZE: usize = 4096;

/// How many addresses of one upstream an attempt tries before it counts as failed.
const ADDRESSES_PER_ATTEMPT: usize = 3;

/// Every upstream of the configuration in force, and the connections to them.
pub struct Upstreams {
    /// Opens connections that can only speak HTTP/1.1; the idle ones are kept by their address.
    http1: TransportConnector,
    /// Opens and pools those that may speak HTTP/2.
    http2: Connector,
    /// How many of the first kind are idle.
    idle: idle::Count,
    by_deployment: ArcSwap<FxHashMap<DeploymentId, Arc<Upstream>>>,
}

/// Keeps a peer's connection apart from those in the pool (`HttpPeer::group_key`).
const AVOIDS_POOL: u64 = 1;

/// Where a connection may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pool {
    /// A kept connection, if there is one.
    Shared,
    /// A new one. It may be kept afterwards, as any other.
    Avoided,
}

impl Upstreams {
    /// An empty registry with its pool; trusts the system's certificate authorities.
    #[must_use]
    pub fn new() -> Self {
        let mut options = ConnectorOptions::new(POOL_SIZE);
        options.ca_file = None;
        Self {
            http1: TransportConnector::new(Some(options.clone())),
            http2: Connector::new(Some(options)),
            idle: idle::Count::default(),
            by_deployment: ArcSwap::from_pointee(FxHashMap::default()),
        }
    }

    /// Takes over the upstreams of a new configuration. Those that are unchanged, and whose `ca_file`
    /// holds what it held, keep their addresses and connections.
    ///
    /// # Errors
    /// A text that names the deployment whose `ca_file` cannot be used; nothing is changed then.
    pub fn apply(&self, catalog: &Catalog, traffic: &Traffic) -> Result<(), String> {
        let old = self.by_deployment.load();
        let mut by_key: FxHashMap<peer::Key, Arc<Upstream>> =
            old.values().map(|known| (known.key().clone(), Arc::clone(known))).collect();
        let mut new = FxHashMap::default();
        // Each file is read once, and again in each configuration: what it holds is part of it.
        let mut files: FxHashMap<&str, Authorities> = FxHashMap::default();
        for deployment in catalog.deployments() {
            let target = &deployment.target;
            let authorities = match target.ca_file.as_deref() {
                Some(path) if !files.contains_key(path) => {
                    let read = Authorities::read(path)
                        .map_err(|problem| format!("deployment `{}`: {problem}", deployment.id))?;
                    files.insert(path, read.clone());
                    Some(read)
                }
                Some(path) => files.get(path).cloned(),
                None => None,
            };
            let key = peer::Key::new(target, authorities.as_ref(), traffic.connect_timeout);
            let upstream = by_key
                .entry(key.clone())
                .or_insert_with(|| Arc::new(Upstream::new(key, authorities)));
            new.insert(Arc::clone(&deployment.id), Arc::clone(upstream));
        }
        self.by_deployment.store(Arc::new(new));
        Ok(())
    }

    /// A connection to the deployment's upstream: an idle one if there is one, else a new one.
    /// Addresses that refuse are passed over while others are left and `budget` lasts.
    ///
    /// # Errors
    /// A [`Failure`] of class `Connection` or `Timeout`.
    pub async fn connect(
        &self,
        deployment: &Deployment,
        budget: Duration,
        pool: Pool,
    ) -> Result<Opened, Failure> {
        let upstream = self.upstream(deployment, budget)?;
        let now = Instant::now();
        let until = now + budget;
        let mut last = None;
        for _ in 0..ADDRESSES_PER_ATTEMPT {
            let Some(address) = upstream.pick(until).await? else { break };
            if pool == Pool::Shared
                && let Some(stream) = address.idle.take(now, IDLE_TIMEOUT)
            {
                return Ok(Opened { link: Link::Plain(stream), reused: true, address });
            }
            let left = until.saturating_duration_since(Instant::now());
            // Boxed: the state of a TLS handshake is large, and most requests need none.
            let opening = Box::pin(self.open(&address, pool));
            match within(left, opening).await {
                Ok(Ok((link, reused))) => {
                    upstream.answered(&address);
                    return Ok(Opened { link, reused, address });
                }
                Ok(Err(error)) => {
                    upstream.refused(&address);
                    let failure = connect_failure(&error);
                    // A certificate that is wrong on one address is wrong on the others too.
                    let pointless = is_tls(&error) || upstream.addresses() <= 1;
                    last = Some(failure);
                    if pointless {
                        break;
                    }
                }
                Err(_elapsed) => {
                    upstream.refused(&address);
                    last = Some(connect_timeout());
                    break;
                }
            }
        }
        Err(last.unwrap_or_else(connect_timeout))
    }

    async fn open(&self, address: &Address, pool: Pool) -> pingora_core::Result<(Link, bool)> {
        if address.is_http1_only() {
            let stream = self.http1.new_stream(&address.peer).await?;
            return Ok((Link::Plain(stream), false));
        }
        let apart;
        let peer = match pool {
            Pool::Shared => &address.peer,
            Pool::Avoided => {
                apart = HttpPeer { group_key: AVOIDS_POOL, ..address.peer.clone() };
                &apart
            }
        };
        let (session, reused) = self.http2.get_http_session(peer).await?;
        Ok((Link::Negotiated(session), reused))
    }

    /// The deployment's upstream. A request that began under an earlier configuration may ask for one
    /// that is gone, or that is elsewhere now: it must not get there with the credentials of then.
    fn upstream(
        &self,
        deployment: &Deployment,
        connect_timeout: Duration,
    ) -> Result<Arc<Upstream>, Failure> {
        let target = &deployment.target;
        if let Some(upstream) = self.by_deployment.load().get(&deployment.id)
            && upstream.key().is_of(target)
        {
            return Ok(Arc::clone(upstream));
        }
        let authorities = target.ca_file.as_deref().map(Authorities::read).transpose();
        let authorities = authorities.map_err(|problem| {
            tracing::warn!(deployment = %deployment.id, problem, "an earlier upstream is unusable");
            Failure::new(FailureClass::Connection, "the provider cannot be connected to")
        })?;
        let key = peer::Key::new(target, authorities.as_ref(), connect_timeout);
        Ok(Arc::new(Upstream::new(key, authorities)))
    }

    /// Gives back a connection whose response was read to its end.
    ///
    /// Pingora's functions only wait where a connection is closed: that is tried once. As an async
    /// function this one would add four kilobytes to the state of every request and stream.
    pub fn release(&self, connection: Connection) {
        let Connection { session, address } = connection;
        match session {
            HttpSession::H1(mut session) if address.is_http1_only() => {
                session.respect_keepalive();
                if let Some(Some(stream)) = session.reuse().now_or_never() {
                    address.idle.put(stream, Instant::now(), &self.idle, POOL_SIZE);
                }
            }
            session => {
                let peer = &address.peer;
                let releasing = self.http2.release_http_session(session, peer, Some(IDLE_TIMEOUT));
                // Otherwise the connection is dropped, and closed by that.
                let _released = releasing.now_or_never();
            }
        }
    }

    /// Closes connections that were idle for too long, or that the upstream has closed.
    pub fn sweep(&self) {
        let now = Instant::now();
        for upstream in self.by_deployment.load().values() {
            upstream.sweep(now);
        }
    }

    /// Resolves the names of all upstreams that were used before; called again and again by
    /// `background.rs`, so that a provider's moved address is noticed without a failed request.
    pub async fn refresh(&self) {
        let upstreams: Vec<_> = self.by_deployment.load().values().cloned().collect();
        for upstream in upstreams {
            upstream.refresh().await;
        }
    }
}

impl Default for Upstreams {
    fn default() -> Self {
        Self::new()
    }
}

fn is_tls(error: &Error) -> bool {
    matches!(
        error.etype(),
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError
    )
}

/// The texts below name no address: clients may see them. The access log names the deployment.
fn connect_timeout() -> Failure {
    let mut failure =
        Failure::new(FailureClass::Timeout, "connecting to the provider took too long");
    failure.code = Some("upstream_connect_timeout".into());
    failure
}

fn connect_failure(error: &Error) -> Failure {
    let what = match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => return connect_timeout(),
        ErrorType::ConnectRefused => "the provider refused the connection",
        ErrorType::ConnectNoRoute => "there is no route to the provider",
        _ if is_tls(error) => "the TLS handshake with the provider failed",
        _ => "the provider cannot be connected to",
    };
    tracing::debug!(%error, "connecting failed");
    Failure::new(FailureClass::Connection, what)
}
