//! Connections to providers: one load balancer per upstream host, one pool for all of them.
//!
//! `gateway/exchange.rs` asks [`Upstreams`] for a connection to a deployment's target and gives it back
//! when the exchange was clean. Which *deployment* is called was decided before, in `routing`; here
//! is decided which *address*. Knows nothing of bodies, keys or retries.

mod check;
mod connection;
mod dns;
mod fleet;
mod idle;
mod peer;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::{FutureExt, StreamExt};
use http::HeaderValue;
use pingora_core::connectors::http::Connector;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use rustc_hash::FxHashMap;

use crate::catalog::{Balance, Catalog, Deployment, DeploymentId};
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::snapshot::Traffic;

use self::connection::Link;
pub use self::connection::{Connection, Heads, Opened};
use self::fleet::{Fleet, Member};
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
    by_deployment: ArcSwap<FxHashMap<DeploymentId, Arc<Fleet>>>,
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
        let mut by_key: FxHashMap<peer::Key, Arc<Upstream>> = old
            .values()
            .flat_map(|fleet| &fleet.members)
            .map(|member| (member.upstream.key().clone(), Arc::clone(&member.upstream)))
            .collect();
        let mut new = FxHashMap::default();
        // Each file is read once, and again in each configuration: what it holds is part of it.
        let mut files: FxHashMap<&str, Authorities> = FxHashMap::default();
        for deployment in catalog.connected() {
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
            let fleet =
                fleet(deployment, authorities.as_ref(), traffic.connect_timeout, &mut by_key);
            let known = old.get(&deployment.id).filter(|known| known.is_same(&fleet));
            let fleet = known.map_or_else(|| Arc::new(fleet), Arc::clone);
            new.insert(Arc::clone(&deployment.id), fleet);
        }
        self.by_deployment.store(Arc::new(new));
        Ok(())
    }

    /// A connection to the deployment's upstream: an idle one if there is one, else a new one.
    /// Servers and addresses that refuse are passed over while others are left and `budget` lasts.
    /// `body`: what is to be sent, of which some choices of a server depend.
    ///
    /// # Errors
    /// A [`Failure`] of class `Connection` or `Timeout`.
    pub async fn connect(
        &self,
        deployment: &Deployment,
        budget: Duration,
        pool: Pool,
        body: &[u8],
    ) -> Result<Opened, Failure> {
        let fleet = self.fleet(deployment, budget)?;
        let until = Instant::now() + budget;
        let (mut tried, mut last) = (Vec::new(), None);
        while let Some(member) = fleet.pick(body, &tried) {
            match self.connect_to(member, until, pool).await {
                Ok(opened) => return Ok(opened),
                Err(failure) => last = Some(failure),
            }
            if Instant::now() >= until {
                break;
            }
            tried.push(Arc::clone(member));
        }
        Err(last.unwrap_or_else(connect_timeout))
    }

    /// An address of the deployment's upstream and the name of its server, for Pingora's own pipeline.
    ///
    /// # Errors
    /// A [`Failure`] of class `Connection` or `Timeout`.
    pub async fn peer(
        &self,
        deployment: &Deployment,
        budget: Duration,
    ) -> Result<(HttpPeer, HeaderValue), Failure> {
        let fleet = self.fleet(deployment, budget)?;
        let unreachable = || Failure::new(FailureClass::Connection, "the provider has no address");
        let member = fleet.pick(&[], &[]).ok_or_else(unreachable)?;
        let picked = member.upstream.pick(Instant::now() + budget).await?;
        let address = picked.ok_or_else(unreachable)?;
        Ok((address.peer.clone(), member.authority.clone()))
    }

    async fn connect_to(
        &self,
        member: &Arc<Member>,
        until: Instant,
        pool: Pool,
    ) -> Result<Opened, Failure> {
        let upstream = &member.upstream;
        // Counted while it is still connecting: it is on its way.
        let busy = member.busy();
        let now = Instant::now();
        let mut last = None;
        for _ in 0..ADDRESSES_PER_ATTEMPT {
            let Some(address) = upstream.pick(until).await? else { break };
            if pool == Pool::Shared
                && let Some(stream) = address.idle.take(now, IDLE_TIMEOUT)
            {
                return Ok(Opened { link: Link::Plain(stream), reused: true, address, busy });
            }
            let left = until.saturating_duration_since(Instant::now());
            // Boxed: the state of a TLS handshake is large, and most requests need none.
            let opening = Box::pin(self.open(&address, pool));
            match within(left, opening).await {
                Ok(Ok((link, reused))) => {
                    upstream.answered(&address);
                    return Ok(Opened { link, reused, address, busy });
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
        Ok((Link::Negotiated(Box::new(session)), reused))
    }

    /// The deployment's servers. A request that began under an earlier configuration may ask for one
    /// that is gone, or that is elsewhere now: it must not get there with the credentials of then.
    fn fleet(
        &self,
        deployment: &Deployment,
        connect_timeout: Duration,
    ) -> Result<Arc<Fleet>, Failure> {
        let target = &deployment.target;
        if let Some(fleet) = self.by_deployment.load().get(&deployment.id)
            && fleet.is_of(target)
        {
            return Ok(Arc::clone(fleet));
        }
        let authorities = target.ca_file.as_deref().map(Authorities::read).transpose();
        let authorities = authorities.map_err(|problem| {
            tracing::warn!(deployment = %deployment.id, problem, "an earlier upstream is unusable");
            Failure::new(FailureClass::Connection, "the provider cannot be connected to")
        })?;
        let mut none = FxHashMap::default();
        Ok(Arc::new(fleet(deployment, authorities.as_ref(), connect_timeout, &mut none)))
    }

    /// Gives back a connection whose response was read to its end.
    ///
    /// Pingora's functions only wait where a connection is closed: that is tried once. As an async
    /// function this one would add four kilobytes to the state of every request and stream.
    pub fn release(&self, connection: Connection) {
        let Connection { session, address, .. } = connection;
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
        for upstream in self.upstreams() {
            upstream.sweep(now);
        }
    }

    /// Resolves the names of all upstreams that were used before; called again and again by
    /// `background.rs`, so that a provider's moved address is noticed without a failed request.
    pub async fn refresh(&self) {
        for upstream in self.upstreams() {
            upstream.refresh().await;
        }
    }

    /// Checks the addresses of all upstreams that have a check, so many at one time.
    pub async fn check(&self, at_once: usize) {
        let checked = self.upstreams().into_iter().filter(|upstream| upstream.is_checked());
        let checks = checked.map(|upstream| async move { upstream.check().await });
        futures::stream::iter(checks).buffer_unordered(at_once).collect::<()>().await;
    }

    /// Whether a deployment has a server that its checks found well. `None`: its addresses are not
    /// checked.
    #[must_use]
    pub fn is_well(&self, id: &str) -> Option<bool> {
        let fleets = self.by_deployment.load();
        let mut members = fleets.get(id)?.members.iter().map(|member| &member.upstream);
        let is_checked = members.clone().all(|upstream| upstream.is_checked());
        is_checked.then(|| members.any(|upstream| upstream.is_well()))
    }

    /// Every upstream once.
    fn upstreams(&self) -> Vec<Arc<Upstream>> {
        let fleets = self.by_deployment.load();
        let members = fleets.values().flat_map(|fleet| &fleet.members);
        let mut upstreams: Vec<Arc<Upstream>> =
            members.map(|member| Arc::clone(&member.upstream)).collect();
        upstreams.sort_by_key(|upstream| Arc::as_ptr(upstream).addr());
        upstreams.dedup_by(|a, b| Arc::ptr_eq(a, b));
        upstreams
    }
}

/// The servers of a deployment; upstreams that are known already are used again.
fn fleet(
    deployment: &Deployment,
    authorities: Option<&Authorities>,
    connect_timeout: Duration,
    known: &mut FxHashMap<peer::Key, Arc<Upstream>>,
) -> Fleet {
    let target = &deployment.target;
    let mut member = |host: &str, port: u16, authority: &HeaderValue, weight: f64| {
        let key = peer::Key::new(deployment, (host, port), authorities, connect_timeout);
        let named = authority.to_str().unwrap_or(host);
        let upstream = known
            .entry(key.clone())
            .or_insert_with(|| Arc::new(Upstream::new(key, authorities.cloned(), named)));
        Member::new(Arc::clone(upstream), authority.clone(), weight)
    };
    match &target.fleet {
        None => {
            let only = member(&target.host, target.port, &target.authority, 1.0);
            Fleet::new(vec![only], Balance::default())
        }
        Some(written) => {
            let members = written.servers.iter();
            let members =
                members.map(|one| member(&one.host, one.port, &one.authority, one.weight));
            Fleet::new(members.collect(), written.balance)
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

/// What it means that an address could not be connected to.
pub fn connect_failure(error: &Error) -> Failure {
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
