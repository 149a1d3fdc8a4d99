//! One upstream: its addresses behind a Pingora load balancer, and a ready peer for each address.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use pingora_core::listeners::ALPN;
use pingora_core::protocols::TcpKeepalive;
use pingora_core::protocols::l4::socket::SocketAddr as PeerAddr;
use pingora_core::protocols::tls::CaType;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::utils::tls::{WrappedX509, parse_x509};
use pingora_load_balancing::selection::RoundRobin;
use pingora_load_balancing::{Backends, LoadBalancer};
use rustc_hash::FxHashMap;
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::check;
use super::dns::{Dns, backend};
use super::idle::Idle;
use crate::catalog::{CheckKind, Deployment, Target};
use crate::failure::{Failure, FailureClass};
use crate::patience::within;

/// Shorter than the idle timeouts of the providers' front ends (60 s and more), so that we close
/// first and no request is written into a connection that is being closed.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(55);

/// Bound of one write to an upstream that does not read.
pub(super) const WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an address that refused a connection is passed over while others are left.
const REFUSED_REST: Duration = Duration::from_secs(10);

/// Streams of one upstream HTTP/2 connection; fewer where the upstream says so in its settings. When
/// all are taken, Pingora opens a further connection. Only streams that were opened before the
/// settings came can be too many: those wait within the connection until others end.
const MAX_H2_STREAMS: usize = 100;

/// How often an upstream is asked whether an HTTP/2 connection is alive; Pingora gives it five seconds
/// to answer. A dead connection would otherwise be given to new requests until the kernel gives up,
/// a quarter of an hour later.
const H2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// What one HTTP/2 stream may send ahead of a slow client: a second of the fastest model's tokens
/// many times over, and little enough for thousands of streams. Pingora's own value is 8 MiB.
const H2_STREAM_WINDOW: u32 = 256 * 1024;

/// What all streams of a connection may send ahead together, so that some slow clients do not hold
/// up the other streams.
const H2_CONNECTION_WINDOW: u32 = H2_STREAM_WINDOW * MAX_H2_STREAMS as u32;

/// In the place of an address that the check puts in.
const NOWHERE: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 1));

/// What makes two targets the same upstream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    tls: bool,
    host: Box<str>,
    port: u16,
    verify_tls: bool,
    ca_file: Option<Box<str>>,
    /// Of what the file held when it was read: a file of the same name may hold other authorities.
    ca_digest: Option<[u8; 32]>,
    http2: bool,
    connect_timeout: Duration,
    /// The check of its addresses, with its time limit.
    check: Option<(CheckKind, Duration)>,
}

/// The certificate authorities of a `ca_file`.
#[derive(Clone)]
pub(super) struct Authorities {
    digest: [u8; 32],
    certificates: Arc<CaType>,
}

impl Authorities {
    /// Reads a PEM file.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let unusable = |why: &dyn std::fmt::Display| format!("ca_file {path}: {why}");
        let pem = std::fs::read(path).map_err(|error| unusable(&error))?;
        let mut certificates = Vec::new();
        for block in x509_parser::pem::Pem::iter_from_buffer(&pem) {
            let block = block.map_err(|error| unusable(&error))?;
            // `parse_x509` panics on what it cannot parse, so the block is parsed here first.
            block.parse_x509().map_err(|error| unusable(&error))?;
            certificates.push(WrappedX509::new(block.contents, parse_x509));
        }
        if certificates.is_empty() {
            return Err(unusable(&"holds no certificate"));
        }
        Ok(Self { digest: Sha256::digest(&pem).into(), certificates: Arc::from(certificates) })
    }
}

impl Key {
    /// `authorities`: what the target's `ca_file` holds now.
    pub(super) fn new(
        deployment: &Deployment,
        (host, port): (&str, u16),
        authorities: Option<&Authorities>,
        connect_timeout: Duration,
    ) -> Self {
        let target = &deployment.target;
        let check = deployment.check.as_ref();
        let check = check.filter(|check| !matches!(check.kind, CheckKind::Call { .. }));
        Self {
            tls: target.tls,
            host: host.into(),
            port,
            verify_tls: target.verify_tls,
            ca_file: target.ca_file.clone(),
            ca_digest: authorities.map(|it| it.digest),
            http2: target.http2,
            connect_timeout,
            check: check.map(|check| (check.kind.clone(), check.timeout)),
        }
    }

    /// Whether this is an upstream of that target, at this host.
    pub(super) fn is_of(&self, target: &Target, (host, port): (&str, u16)) -> bool {
        *self.host == *host
            && self.port == port
            && self.tls == target.tls
            && self.verify_tls == target.verify_tls
            && self.ca_file == target.ca_file
            && self.http2 == target.http2
    }

    /// A number for the authorities that are trusted.
    fn trust(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.ca_digest.hash(&mut hasher);
        hasher.finish()
    }
}

/// One upstream host.
pub struct Upstream {
    key: Key,
    balancer: LoadBalancer<RoundRobin>,
    ca: Option<Arc<CaType>>,
    peers: ArcSwap<FxHashMap<SocketAddr, Arc<Address>>>,
    /// Held while a first look-up is under way, so that a burst causes one.
    resolving: Mutex<()>,
    resolved: AtomicBool,
    /// Origin of `Address::refused_ms`.
    born: Instant,
}

/// One address of an upstream.
pub(super) struct Address {
    pub(super) peer: HttpPeer,
    pub(super) idle: Idle,
    /// When it last refused, in milliseconds since `Upstream::born`; zero for never.
    refused_ms: AtomicU64,
}

impl Address {
    pub(super) fn is_http1_only(&self) -> bool {
        self.peer.options.alpn.get_max_http_version() == 1
    }
}

impl Upstream {
    /// `authorities` are those of which the key has the digest; `authority` is what its checks name.
    pub(super) fn new(key: Key, authorities: Option<Authorities>, authority: &str) -> Self {
        let literal = key.host.parse::<IpAddr>().ok();
        let balancer = match literal {
            Some(ip) => {
                let only = backend(SocketAddr::new(ip, key.port));
                let discovery = pingora_load_balancing::discovery::Static::new([only].into());
                LoadBalancer::from_backends(Backends::new(discovery))
            }
            None => {
                let discovery = Box::new(Dns { host: key.host.clone(), port: key.port });
                LoadBalancer::from_backends(Backends::new(discovery))
            }
        };
        let mut upstream = Self {
            key,
            balancer,
            ca: authorities.map(|it| it.certificates),
            peers: ArcSwap::from_pointee(FxHashMap::default()),
            resolving: Mutex::new(()),
            resolved: AtomicBool::new(false),
            born: Instant::now(),
        };
        if let Some((kind, timeout)) = &upstream.key.check
            && let Some(check) = check::of(kind, *timeout, upstream.peer(NOWHERE), authority)
        {
            upstream.balancer.set_health_check(check);
        }
        upstream
    }

    /// Whether its addresses are checked.
    pub(super) const fn is_checked(&self) -> bool {
        self.key.check.is_some()
    }

    /// Checks all addresses once. A name that cannot be resolved has none that is well.
    pub(super) async fn check(&self) {
        let until = Instant::now() + self.key.connect_timeout;
        if self.resolved.load(Ordering::Acquire) || self.resolve_first(until).await.is_ok() {
            self.balancer.backends().run_health_check(true).await;
        }
    }

    /// Whether the last checks found an address that is well.
    pub(super) fn is_well(&self) -> bool {
        self.resolved.load(Ordering::Acquire) && self.any(|_| true)
    }

    /// Whether an address is left that is well and has not just refused. One that was never called
    /// is taken to be well.
    pub(super) fn is_available(&self) -> bool {
        !self.resolved.load(Ordering::Acquire) || self.any(|address| !self.rests(address))
    }

    fn any(&self, is_fit: impl Fn(&Address) -> bool) -> bool {
        let peers = self.peers.load();
        let backends = self.balancer.backends();
        backends.get_backend().iter().any(|backend| match &backend.addr {
            PeerAddr::Inet(address) => {
                backends.ready(backend) && peers.get(address).is_some_and(|one| is_fit(one))
            }
            PeerAddr::Unix(_) => false,
        })
    }

    /// Whether an address has refused a moment ago.
    fn rests(&self, address: &Address) -> bool {
        let refused_ms = address.refused_ms.load(Ordering::Relaxed);
        let rest_ms = u64::try_from(REFUSED_REST.as_millis()).unwrap_or(u64::MAX);
        refused_ms != 0 && self.now_ms() < refused_ms.saturating_add(rest_ms)
    }

    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// How many addresses are known.
    pub(super) fn addresses(&self) -> usize {
        self.peers.load().len()
    }

    /// The next address in turn; one that has just refused only if there is no other.
    pub(super) async fn pick(&self, until: Instant) -> Result<Option<Arc<Address>>, Failure> {
        if !self.resolved.load(Ordering::Acquire) {
            self.resolve_first(until).await?;
        }
        let peers = self.peers.load();
        // The load balancer builds a set for each choice; with one address there is none.
        if let (1, Some(only)) = (peers.len(), peers.values().next()) {
            return Ok(Some(Arc::clone(only)));
        }
        let known = |backend: &pingora_load_balancing::Backend| match &backend.addr {
            PeerAddr::Inet(address) => peers.get(address),
            PeerAddr::Unix(_) => None,
        };
        let bound = peers.len().max(1) * 2;
        let picked = self
            .balancer
            .select_with(b"", bound, |backend, ready| {
                ready && known(backend).is_some_and(|address| !self.rests(address))
            })
            .or_else(|| self.balancer.select(b"", bound))
            // If none is well, the checks may be what is wrong.
            .or_else(|| self.balancer.select_with(b"", bound, |_, _| true));
        Ok(picked.as_ref().and_then(known).map(Arc::clone))
    }

    pub(super) fn refused(&self, address: &Address) {
        address.refused_ms.store(self.now_ms().max(1), Ordering::Relaxed);
    }

    pub(super) fn answered(&self, address: &Address) {
        if address.refused_ms.load(Ordering::Relaxed) != 0 {
            address.refused_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Closes the idle connections that cannot serve any more.
    pub(super) fn sweep(&self, now: Instant) {
        let peers = self.peers.load();
        peers.values().for_each(|address| address.idle.sweep(now, IDLE_TIMEOUT));
    }

    /// Looks the name up again. A failed look-up keeps the addresses that are known.
    pub(super) async fn refresh(&self) {
        if self.resolved.load(Ordering::Acquire) && self.key.host.parse::<IpAddr>().is_err() {
            let _one_at_a_time = self.resolving.lock().await;
            if let Err(error) = self.discover().await {
                tracing::warn!(host = %self.key.host, %error, "keeping the known addresses");
            }
        }
    }

    async fn resolve_first(&self, until: Instant) -> Result<(), Failure> {
        let left = until.saturating_duration_since(Instant::now());
        let looking_up = async {
            let _one_at_a_time = self.resolving.lock().await;
            if self.resolved.load(Ordering::Acquire) {
                return Ok(());
            }
            self.discover().await
        };
        match within(left, pin!(looking_up)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(host = %self.key.host, %error, "a name cannot be resolved");
                Err(Failure::new(
                    FailureClass::Connection,
                    "the provider's name cannot be resolved",
                ))
            }
            Err(_elapsed) => Err(super::connect_timeout()),
        }
    }

    async fn discover(&self) -> pingora_core::Result<()> {
        self.balancer.update().await?;
        let known = self.peers.load();
        let mut peers = FxHashMap::default();
        for backend in self.balancer.backends().get_backend().iter() {
            if let PeerAddr::Inet(address) = backend.addr {
                let entry = match known.get(&address) {
                    Some(entry) => Arc::clone(entry),
                    None => Arc::new(Address {
                        peer: self.peer(address),
                        idle: Idle::default(),
                        refused_ms: AtomicU64::new(0),
                    }),
                };
                peers.insert(address, entry);
            }
        }
        self.peers.store(Arc::new(peers));
        self.resolved.store(true, Ordering::Release);
        Ok(())
    }

    fn peer(&self, address: SocketAddr) -> HttpPeer {
        let key = &self.key;
        let mut peer = HttpPeer::new(address, key.tls, key.host.to_string());
        // Pingora pools connections by whether certificates are checked, and not by whom they are
        // trusted: without this, a connection that one deployment's authority vouches for would
        // serve a deployment that trusts others.
        peer.group_key = key.trust();
        let options = &mut peer.options;
        options.connection_timeout = Some(key.connect_timeout);
        options.total_connection_timeout = Some(key.connect_timeout);
        options.idle_timeout = Some(IDLE_TIMEOUT);
        options.verify_cert = key.verify_tls;
        options.verify_hostname = key.verify_tls;
        options.ca.clone_from(&self.ca);
        options.max_h2_streams = MAX_H2_STREAMS;
        options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        options.h2_ping_interval = Some(H2_PING_INTERVAL);
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: Duration::from_secs(30),
            interval: Duration::from_secs(10),
            count: 3,
            #[cfg(target_os = "linux")]
            user_timeout: Duration::ZERO,
        });
        match (key.http2, key.tls) {
            (false, _) => options.alpn = ALPN::H1,
            (true, true) => options.alpn = ALPN::H2H1,
            // Without TLS there is no negotiation: HTTP/2 is spoken by prior knowledge.
            (true, false) => options.alpn = ALPN::H2,
        }
        peer
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
