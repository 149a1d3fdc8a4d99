//! Builds the Pingora server: the only place where all parts meet.

use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::{Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::listeners::tls::TlsSettings;
use pingora_core::listeners::{L4BufferSettings, ListenerConfig, TcpSocketOptions};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora_core::services::background::background_service;
use pingora_core::services::listening::Service;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use thiserror::Error;
use tokio::net::TcpSocket;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::Admin;
use crate::background::{Background, Once};
use crate::config;
use crate::gateway::{AnyHttp, Gateway, View};
use crate::mock::Demo;
use crate::reload::{Known, Reload};
use crate::routing;
use crate::snapshot::Snapshot;
use crate::telemetry::access_log::Sink;
use crate::telemetry::{AccessLog, Metrics};
use crate::upstream::Upstreams;

/// How the server is to run: what the command line says.
#[derive(Debug)]
pub struct Options {
    pub host: IpAddr,
    /// Zero picks a free one.
    pub port: u16,
    /// Worker threads; `None` is one for each processor.
    pub threads: Option<usize>,
    /// The file to read again on SIGHUP.
    pub config: Option<PathBuf>,
    /// What is written in it.
    pub outline: config::Outline,
    /// It and the files that it names.
    pub files: Vec<PathBuf>,
    /// Certificate and key (PEM files); the configuration's if `None`.
    pub tls: Option<(String, String)>,
    /// Scripted providers to run in this process.
    pub demo: Option<Demo>,
    /// Called as soon as requests are taken, with the address.
    pub greet: Option<fn(SocketAddr)>,
}

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {cause}")]
    Listen { address: SocketAddr, cause: io::Error },
    #[error("cannot use the certificate {certificate} with the key {key}: {cause}")]
    Tls { certificate: String, key: String, cause: String },
    #[error("{0}")]
    Upstream(String),
    #[error("cannot write the access log {path}: {cause}")]
    AccessLog { path: Box<str>, cause: io::Error },
}

/// The longest time that Pingora waits after the signal to stop. `Background` ends the process
/// before that, when the last request is done or its own bound is reached.
const GRACE_SECONDS: u64 = 24 * 60 * 60;

/// Holds the head and the body of most replies, which then leave in one write. Pingora's default of
/// one segment makes two of them. Everything is flushed when it is to be seen.
const WRITE_BUFFER: usize = 16 * 1024;

/// One TLS record. Without TLS nothing is buffered here: head and body have buffers of their own,
/// and Pingora's default would add 64 KiB to every connection.
const TLS_READ_BUFFER: usize = 16 * 1024;

/// Serves until the process is told to stop.
///
/// # Errors
/// [`StartError`], before the first request is accepted.
pub fn run(snapshot: Snapshot, mut options: Options) -> Result<(), StartError> {
    let Place { address, held } = place(&snapshot, &options)?;
    let tls = options.tls.take().or_else(|| {
        let (certificate, key) = snapshot.traffic.tls.as_ref()?;
        Some((certificate.to_string(), key.to_string()))
    });

    let conf = ServerConf {
        threads: options.threads.unwrap_or_else(processors),
        grace_period_seconds: Some(GRACE_SECONDS),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();

    let upstreams = Arc::new(Upstreams::new());
    upstreams.apply(&snapshot.catalog, &snapshot.traffic).map_err(StartError::Upstream)?;
    let started = SystemTime::now();
    let routing = Arc::new(routing::State::new(Instant::now()));
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), started));
    let (access_log, log_writer) = AccessLog::new(metrics.access_log_dropped());
    let log_sink = log_sink(&snapshot)?;
    let in_flight = Arc::new(AtomicUsize::new(0));
    let draining = Arc::new(AtomicBool::new(false));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));

    let view = Arc::new(View {
        snapshot: Arc::clone(&snapshot),
        routing: Arc::clone(&routing),
        draining: Arc::clone(&draining),
    });
    let scraped = Arc::clone(&view);
    metrics.on_scrape(move |scrape| {
        for deployment in scraped.snapshot.load().catalog.deployments() {
            scrape.deployment(deployment, scraped.deployment(&deployment.id).state);
        }
    });
    let since = started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let known = Known::new(options.outline, options.files);
    let reload = Arc::new(Reload {
        config: options.config,
        snapshot: Arc::clone(&snapshot),
        upstreams: Arc::clone(&upstreams),
        routing: Arc::clone(&routing),
        metrics: Arc::clone(&metrics),
        loopback: address.ip().is_loopback(),
        known: Mutex::new(known),
        reloaded: watch::Sender::new(None),
    });
    let admin = Admin::operated(view, Arc::clone(&reload) as _, Arc::clone(&metrics), since);
    let gateway = Gateway {
        snapshot: Arc::clone(&snapshot),
        routing: Arc::clone(&routing),
        upstreams: Arc::clone(&upstreams),
        metrics,
        access_log: access_log.clone(),
        in_flight: Arc::clone(&in_flight),
        admin,
    };

    let connections = Arc::new(AtomicUsize::new(0));
    let app = AnyHttp::new(&server.configuration, gateway, Arc::clone(&connections));
    let mut service = Service::new("gateway".to_owned(), app);
    let mut socket = TcpSocketOptions::default();
    // With the held socket, and only then: it would let a second gateway take a port unnoticed.
    socket.so_reuseport = held.is_some().then_some(true);
    let listener = ListenerConfig::tcp(address.to_string()).tcp_socket_options(socket);
    service.add_listener(match tls {
        None => listener.l4_buffer(L4BufferSettings::new(0, WRITE_BUFFER)),
        Some((certificate, key)) => {
            let mut settings = usable(&certificate, &key)
                .and_then(|()| {
                    TlsSettings::intermediate(&certificate, &key).map_err(|error| error.to_string())
                })
                .map_err(|cause| StartError::Tls { certificate, key, cause })?;
            settings.enable_h2();
            listener.l4_buffer(L4BufferSettings::new(TLS_READ_BUFFER, WRITE_BUFFER)).tls(settings)
        }
    });
    server.add_service(service);

    let background = Background {
        address,
        greet: options.greet,
        reload,
        upstreams,
        in_flight,
        connections,
        draining,
        access_log,
        once: Mutex::new(Some(Once { log_writer, log_sink, demo: options.demo })),
    };
    let mut background = background_service("background", background);
    background.threads = Some(1);
    server.add_service(background);

    server.run(RunArgs { shutdown_signal: Box::new(ShutdownSignals) });
    drop(held);
    Ok(())
}

/// The signals that end the process. All of them let requests in flight finish; Pingora would drop
/// everything on an interrupt, the access log included, and look for a successor on SIGQUIT.
struct ShutdownSignals;

#[async_trait]
impl ShutdownSignalWatch for ShutdownSignals {
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        // Where a signal cannot be watched, it ends the process by itself.
        let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
        let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(received).await;
        ShutdownSignal::GracefulTerminate
    }
}

/// Where to listen.
struct Place {
    address: SocketAddr,
    /// Keeps a port that was picked from being given to somebody else before Pingora has bound it.
    held: Option<TcpSocket>,
}

/// The address to listen on: loopback only if nobody has to show a key.
fn place(snapshot: &Snapshot, options: &Options) -> Result<Place, StartError> {
    let mut host = options.host;
    if snapshot.access.master_key.is_none() {
        if !host.is_loopback() {
            host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        }
        tracing::warn!(
            "NO MASTER KEY IS SET: everybody who reaches this gateway can use it. \
             It therefore listens on loopback only. Set general_settings.master_key."
        );
    }
    let wanted = SocketAddr::new(host, options.port);
    let found = if options.port == 0 { pick(wanted) } else { probe(wanted) };
    found.map_err(|cause| StartError::Listen { address: wanted, cause })
}

/// Pingora would report a taken port by a panic in one of its threads. This finds out in time.
fn probe(address: SocketAddr) -> io::Result<Place> {
    TcpListener::bind(address)?;
    Ok(Place { address, held: None })
}

/// Picks a free port. The socket is bound and does not listen, so no connection goes to it.
fn pick(wanted: SocketAddr) -> io::Result<Place> {
    let socket = if wanted.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseport(true)?;
    socket.bind(wanted)?;
    Ok(Place { address: socket.local_addr()?, held: Some(socket) })
}

/// Whether certificate and key can be read and belong together. Pingora would find out when it
/// starts to listen, and report it by a panic.
fn usable(certificate: &str, key: &str) -> Result<(), String> {
    let unread = |path: &str, error: &dyn Display| format!("{path}: {error}");
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)
        .map_err(|error| unread(certificate, &error))?
        .collect();
    let chain = chain.map_err(|error| unread(certificate, &error))?;
    if chain.is_empty() {
        return Err(unread(certificate, &"it holds no certificate"));
    }
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unread(key, &error))?;
    rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, private))
        .map_err(|error| error.to_string())?;
    Ok(())
}

/// Where the access log goes; its file is tried now, while the start can still fail.
fn log_sink(snapshot: &Snapshot) -> Result<Sink, StartError> {
    let Some(path) = snapshot.logs.file.as_ref().filter(|_| snapshot.logs.access_log) else {
        return Ok(Sink::Stdout);
    };
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(path.as_ref());
    opened.map_err(|cause| StartError::AccessLog { path: path.clone(), cause })?;
    Ok(Sink::File(path.as_ref().into()))
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
