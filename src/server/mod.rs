//! Builds the Pingora server: the only place where all parts meet.

mod budgets;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use parking_lot::Mutex;
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{RunArgs, Server, ShutdownSignal, ShutdownSignalWatch};
use pingora_core::services::background::background_service;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::admin::{self, Admin, Stores};
use crate::admission::Counters;
use crate::alerts::{Alerts, Fate, Kind};
use crate::background::{Background, Once, Records, Upgrader};
use crate::books::{self, Books, Count, Level, Link};
use crate::cache::{self, Replies};
use crate::callbacks::Callbacks;
use crate::checks::HealthChecks;
use crate::config;
use crate::edge::handover::Predecessor;
use crate::edge::{
    Address, Certificate, CertificateFiles, Door, Ending, Lifecycle, ListenAt, ListenError,
    Listening, Shared, Sockets,
};
use crate::gateway::{AnyHttp, Audience, Gateway, TranscriptRoom, View, shadow_room};
use crate::identity::Identities;
use crate::keys::{Directory, KeyRing};
use crate::mock::Demo;
use crate::quota::{Mode, Quota};
use crate::reload::{Known, Reload};
use crate::routing;
use crate::snapshot::Snapshot;
use crate::spend::Ledger;
use crate::store::journal::Journal;
use crate::store::redis::Redis;
use crate::store::{self, Database, Store};
use crate::telemetry::access_log::Sink;
use crate::telemetry::metrics::{Scrape, names};
use crate::telemetry::traces::{self, Tracer};
use crate::telemetry::{AccessLog, DeploymentState, Metrics};
use crate::upstream::Upstreams;

/// How the server is to run: what the command line says.
#[derive(Debug)]
pub struct Options {
    /// Where to listen, if not at `host` and `port`.
    pub listen: Vec<ListenAt>,
    pub host: IpAddr,
    /// Zero picks a free one.
    pub port: u16,
    /// Somebody has asked for that address: it outranks what the configuration says.
    pub placed: bool,
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
    /// Where `tollgate upgrade` asks.
    pub control_socket: Option<PathBuf>,
    /// The process that this one takes over from, and its sockets.
    pub predecessor: Option<(Predecessor, Sockets)>,
    /// Scripted providers to run in this process.
    pub demo: Option<Demo>,
    /// Called as soon as requests are taken, with the address.
    pub greet: Option<fn(SocketAddr)>,
}

/// Why the server did not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("the process has no file descriptor left: {0}")]
    Descriptors(io::Error),
    #[error("cannot use the certificate {certificate} with the key {key}: {cause}")]
    Tls { certificate: Box<str>, key: Box<str>, cause: String },
    #[error("{0}")]
    Upstream(String),
    #[error("cannot write the access log {path}: {cause}")]
    AccessLog { path: Box<str>, cause: io::Error },
    #[error("cannot use Redis: {0}")]
    Redis(String),
}

/// How often it is asked what other gateways have spent that share the database.
const BUDGET_REFRESH: Duration = Duration::from_secs(10);

/// The longest time that Pingora waits after the signal to stop. `Background` ends the process
/// before that, when the last request is done or its own bound is reached.
const GRACE_SECONDS: u64 = 24 * 60 * 60;

/// Serves until the process is told to stop.
///
/// # Errors
/// [`StartError`], before the first request is accepted.
pub fn run(snapshot: Snapshot, mut options: Options) -> Result<(), StartError> {
    let (predecessor, mut inherited) = options.predecessor.take().unzip();
    let mut inherited = inherited.take().unwrap_or_default();
    let places = places(&snapshot, &options)?;
    let mut sockets = Vec::new();
    for at in &places {
        sockets.push(inherited.take_or_bind(&at.address)?);
    }
    let control = options.control_socket.as_deref();
    let control = control.map(|path| inherited.take_or_bind_private(path)).transpose()?;
    if !inherited.0.is_empty() {
        tracing::info!("some sockets of the process before are not used any more");
    }
    drop(inherited);
    let certificate = certificate(&snapshot, options.tls.take())?;

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
    let identities = Arc::<Identities>::default();
    let started = SystemTime::now();
    let rates = Arc::new(routing::Rates::new(Instant::now()));
    let meters = Arc::clone(&rates) as Arc<dyn routing::Meters>;
    let routing = Arc::new(routing::State::new(Instant::now()).with_meters(meters));
    let metrics = Arc::new(Metrics::new(env!("CARGO_PKG_VERSION"), started));
    let (access_log, log_writer) = AccessLog::new(metrics.access_log_dropped());
    let log_sink = log_sink(&snapshot)?;
    let traces_queued = snapshot.traces.as_ref().map_or(traces::QUEUE, |traces| traces.queue);
    let (tracer, trace_exporter) = Tracer::new(traces_queued, metrics.traces());
    let (callbacks, callback_clerk) = Callbacks::new();
    let in_flight = Arc::new(AtomicUsize::new(0));
    let draining = Arc::new(AtomicBool::new(false));
    let store = Arc::new(Store::new(Database::new(snapshot.store.place.clone())));
    let directory = Arc::clone(&store) as Arc<dyn Directory>;
    let keys = Arc::new(KeyRing::new(directory, snapshot.access.ring_capacity));
    // What is changed by way of the ring, it knows at once.
    let directory = Arc::clone(&keys) as Arc<dyn Directory>;
    let ledger = Arc::clone(&store) as Arc<dyn Ledger>;
    let (alerts, outbox) = Alerts::new();
    let redis = snapshot.redis.as_ref().map(|place| Redis::new(place, Arc::clone(&alerts) as _));
    let redis = redis.transpose().map_err(StartError::Redis)?;
    let counters = redis.clone().map(|redis| redis as Arc<dyn Counters>);
    // Nobody else writes to a file of this machine.
    let is_shared = matches!(snapshot.store.place, store::Place::Postgres { .. });
    let refresh = is_shared.then_some(BUDGET_REFRESH);
    let watch = Arc::clone(&alerts) as _;
    let quota = Arc::new(Quota::new(Arc::clone(&ledger), counters, watch, refresh, Instant::now()));
    let bytes = snapshot.cache.as_ref().map_or(cache::MEMORY_BYTES, |cache| cache.memory_bytes);
    let remote = redis.clone().map(|redis| redis as Arc<dyn cache::Remote>);
    let meaning = snapshot.cache.as_ref().and_then(|cache| cache.meaning.as_ref());
    let vectors = meaning.map_or(cache::VECTOR_BYTES, |meaning| meaning.memory_bytes);
    let replies = Arc::new(Replies::with_vectors(bytes, vectors, remote));
    let snapshot = Arc::new(ArcSwap::from_pointee(snapshot));

    let view = Arc::new(View {
        snapshot: Arc::clone(&snapshot),
        routing: Arc::clone(&routing),
        draining: Arc::clone(&draining),
        quota: Arc::clone(&quota),
        replies: Arc::clone(&replies),
        callbacks: callbacks.clone(),
        alerts: Arc::clone(&alerts),
    });
    let kept = Arc::clone(&replies);
    metrics.on_scrape(move |scrape| {
        let (entries, bytes, ever) = kept.stats();
        scrape.value(&names::CACHE_ENTRIES, &[], entries as f64);
        scrape.value(&names::CACHE_BYTES, &[], bytes as f64);
        scrape.value(&names::CACHE_KEPT, &[], ever as f64);
        let (vectors, bytes) = kept.meanings().index.stats();
        scrape.value(&names::CACHE_VECTORS, &[], vectors as f64);
        scrape.value(&names::CACHE_VECTOR_BYTES, &[], bytes as f64);
    });
    let counted = Arc::clone(&keys);
    metrics.on_scrape(move |scrape| {
        let stats = counted.stats();
        scrape.value(&names::KEYS_KNOWN, &[], stats.size as f64);
        for (result, count) in [
            ("hit", stats.hits),
            ("miss", stats.misses),
            ("stale", stats.stale),
            ("failure", stats.failures),
        ] {
            scrape.value(&names::KEY_LOOKUPS, &[result], count as f64);
        }
    });
    let scraped = Arc::clone(&view);
    metrics.on_scrape(move |scrape| {
        for deployment in scraped.snapshot.load().catalog.deployments() {
            let health = scraped.deployment(&deployment.id);
            scrape.deployment(deployment, health.state, health.cooldown_left);
            if let Some(well) = health.well {
                scrape.check(deployment, well);
            }
        }
    });
    let scraped = Arc::clone(&view);
    metrics.on_scrape(move |scrape| {
        for group in admin::Source::groups(&*scraped) {
            let rests = |one: &&admin::DeploymentHealth| one.state == DeploymentState::Down;
            let (all, down) = (group.deployments.len(), group.deployments.iter().filter(rests));
            scrape.value(&names::GROUP_DEPLOYMENTS, &[&group.name], all as f64);
            let available = all - down.count();
            scrape.value(&names::GROUP_AVAILABLE, &[&group.name], available as f64);
        }
    });
    let shown = Arc::clone(&snapshot);
    metrics.shown_by(move || Arc::clone(&shown.load().shown));
    let (queued, traced) = (access_log.clone(), tracer.clone());
    metrics.on_scrape(move |scrape| {
        scrape.value(&names::ACCESS_LOG_QUEUED, &[], queued.waiting() as f64);
        scrape.value(&names::TRACES_QUEUED, &[], traced.waiting() as f64);
    });
    budgets::tell(&metrics, &snapshot, &keys, &quota);
    let since = started.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let known = Known::new(options.outline, options.files, &snapshot.load().catalog);
    let reload = Arc::new(Reload {
        config: options.config,
        snapshot: Arc::clone(&snapshot),
        upstreams: Arc::clone(&upstreams),
        identities: Arc::clone(&identities),
        routing: Arc::clone(&routing),
        metrics: Arc::clone(&metrics),
        certificate: certificate.clone(),
        loopback: sockets.iter().all(|socket| socket.address.is_local()),
        known: Mutex::new(known),
        stored: Mutex::default(),
        reloaded: watch::Sender::new(None),
    });
    let books = {
        let journal = Journal::new(&snapshot.load().store.journal);
        Arc::new(Books::new(journal, Arc::default()))
    };
    let folder = snapshot.load().store.journal.clone();
    let writer = books::Writer::new(Arc::clone(&books), Arc::clone(&ledger), folder);
    let (contents, contents_writer) = books::Contents::new(Arc::clone(&ledger));
    let transcripts = Arc::<TranscriptRoom>::default();
    let (stored, room) = (contents.clone(), Arc::clone(&transcripts));
    metrics.on_scrape(move |scrape| {
        for (result, count) in stored.counts() {
            scrape.value(&names::STORED_PROMPTS, &[result], count as f64);
        }
        scrape.value(&names::TRANSCRIPTS_LEFT_OUT, &[], room.left_out() as f64);
    });
    let state = Arc::clone(books.state());
    metrics.on_scrape(move |scrape| spending(scrape, &state));
    let stores = Stores {
        keys: Arc::clone(&keys),
        directory: Arc::clone(&directory),
        ledger: Arc::clone(&ledger),
        books: Arc::clone(books.state()),
    };
    let operations = Arc::clone(&reload) as _;
    let admin = Admin::operated(view, operations, stores, Arc::clone(&metrics), since);
    let gateway = Gateway {
        snapshot: Arc::clone(&snapshot),
        routing: Arc::clone(&routing),
        rates: Arc::clone(&rates),
        upstreams: Arc::clone(&upstreams),
        identities: Arc::clone(&identities),
        metrics,
        access_log: access_log.clone(),
        tracer,
        callbacks: callbacks.clone(),
        in_flight: Arc::clone(&in_flight),
        queue: Arc::default(),
        fetcher: Arc::default(),
        memory: Arc::default(),
        contexts: crate::gateway::Contexts::default(),
        replies: Arc::clone(&replies),
        shadows: shadow_room(),
        transcripts,
        contents,
        keys: Arc::clone(&keys),
        directory,
        ledger,
        books: Arc::clone(&books),
        quota: Arc::clone(&quota),
        alerts: Arc::clone(&alerts),
        admin,
        audience: Audience::Everybody,
    };

    gateway.metrics.on_scrape(move |scrape| tell_callbacks(scrape, &callbacks));
    tell_quota(&gateway.metrics, &quota, redis.as_ref(), &alerts);
    let beat = Arc::new(AtomicU64::new(0));
    let lifecycle = Lifecycle::new();
    let settings = Arc::clone(&gateway.snapshot);
    let shared = Shared {
        settings: Arc::new(move || Arc::clone(&settings.load().edge)),
        accepted: Arc::default(),
        connections: Arc::default(),
        lifecycle: lifecycle.clone(),
    };
    let (accepted, open) = (Arc::clone(&shared.accepted), Arc::clone(&shared.connections));
    gateway.metrics.on_scrape(move |scrape| {
        // As floats, which is what Prometheus counts in.
        scrape.value(&names::CONNECTIONS, &[], accepted.load(Ordering::Relaxed) as f64);
        scrape.value(&names::REFUSED_CONNECTIONS, &[], open.refused() as f64);
        scrape.value(&names::OPEN_CONNECTIONS, &[], open.open() as f64);
    });
    let app = |audience| {
        let gateway = Gateway { audience, ..gateway.clone() };
        Arc::new(AnyHttp::new(&server.configuration, gateway))
    };
    let has_operators = places.iter().any(|at| at.admin);
    let clients = app(if has_operators { Audience::Clients } else { Audience::Everybody });
    let operators = has_operators.then(|| app(Audience::Operators));
    let mut listening = Listening::new(Arc::clone(&beat));
    for (socket, at) in sockets.iter().zip(&places) {
        let app = operators.as_ref().filter(|_| at.admin).unwrap_or(&clients);
        let door = Door::new(Arc::clone(app), at, certificate.clone(), shared.clone());
        listening.add(socket.again().map_err(StartError::Descriptors)?, door, at.mode);
    }
    let addresses = sockets.iter().map(|socket| socket.address.clone()).collect();
    server.add_service(listening);

    if let Some(control) = &control {
        sockets.push(control.again().map_err(StartError::Descriptors)?);
    }
    let upgrader = Arc::new(Upgrader {
        lifecycle: lifecycle.clone(),
        sockets: Mutex::new(Some(Arc::new(Sockets(sockets)))),
        control,
        upgradable: options.demo.is_none(),
        alone: Arc::default(),
    });
    let health_checks = HealthChecks {
        snapshot: Arc::clone(&reload.snapshot),
        upstreams: Arc::clone(&upstreams),
        identities: Arc::clone(&identities),
        routing: Arc::clone(&reload.routing),
    };
    let records = Records {
        log_writer,
        log_sink,
        trace_exporter,
        callback_clerk,
        spend_writer: writer,
        contents_writer,
        reload: Arc::clone(&reload),
        identities: Arc::clone(&identities),
        store: Arc::clone(&store),
    };
    let background = Background {
        health_checks,
        store,
        keys,
        books: Arc::clone(books.state()),
        addresses,
        greet: options.greet,
        reload,
        upstreams,
        identities,
        in_flight,
        connections: shared.connections,
        accepted: shared.accepted,
        beat,
        draining,
        lifecycle: lifecycle.clone(),
        upgrader,
        access_log,
        quota,
        rates,
        redis,
        alerts,
        outbox,
        once: Mutex::new(Some(Once { records, demo: options.demo, predecessor })),
    };
    let mut background = background_service("background", background);
    background.threads = Some(1);
    server.add_service(background);

    server.run(RunArgs { shutdown_signal: Box::new(ShutdownSignals(lifecycle)) });
    Ok(())
}

/// What the metrics say of limits and budgets.
fn tell_quota(
    metrics: &Metrics,
    quota: &Arc<Quota>,
    redis: Option<&Arc<Redis>>,
    alerts: &Arc<Alerts>,
) {
    let (quota, redis, alerts) = (Arc::clone(quota), redis.cloned(), Arc::clone(alerts));
    metrics.on_scrape(move |scrape| {
        let counts = &quota.counts;
        // As floats, which is what Prometheus counts in.
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        for (result, count) in [
            ("admitted", &counts.admitted),
            ("rate_limited", &counts.rate_limited),
            ("parallel_limited", &counts.parallel_limited),
            ("over_budget", &counts.over_budget),
            ("unavailable", &counts.unavailable),
        ] {
            scrape.value(&names::LIMIT_DECISIONS, &[result], number(count));
        }
        scrape.value(&names::LIMITS_ALONE, &[], number(&counts.alone));
        scrape.value(&names::LIMITS_UNKNOWN, &[], number(&counts.unknown));
        scrape.value(&names::LIMITED, &[], quota.counted() as f64);
        if let Some(redis) = &redis {
            let is_shared = quota.mode() == Mode::Shared;
            scrape.value(&names::LIMITS_SHARED, &[], f64::from(u8::from(is_shared)));
            scrape.value(&names::GATEWAYS, &[], f64::from(quota.gateways()));
            scrape.value(&names::REDIS_FAILURES, &[], redis.failures() as f64);
            scrape.value(&names::REDIS_WAITING, &[], redis.waiting() as f64);
        }
        for fate in Fate::ALL {
            let of_budgets = alerts.count(Kind::Budgets, fate);
            scrape.value(&names::BUDGET_ALERTS, &[fate.word()], of_budgets as f64);
            for kind in Kind::ALL {
                let count = alerts.count(kind, fate);
                scrape.value(&names::ALERTS, &[kind.word(), fate.word()], count as f64);
            }
        }
    });
}

/// The signals that end the process, and its replacement by another. In every case requests in
/// flight are finished; Pingora would drop everything on an interrupt, the access log included, and
/// stop listening on SIGQUIT although nobody has taken over.
struct ShutdownSignals(Lifecycle);

#[async_trait]
impl ShutdownSignalWatch for ShutdownSignals {
    async fn recv(&self) -> ShutdownSignal {
        let kinds = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::quit()];
        // Where a signal cannot be watched, it ends the process by itself.
        let mut signals: Vec<_> = kinds.into_iter().filter_map(|kind| signal(kind).ok()).collect();
        let received = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
        tokio::select! {
            _ = futures::future::select_all(received) => self.0.end(Ending::Stopped),
            _ = self.0.ended() => {}
        }
        ShutdownSignal::GracefulTerminate
    }
}

/// Where to listen: on this machine only if nobody has to show a key.
fn places(snapshot: &Snapshot, options: &Options) -> Result<Vec<ListenAt>, StartError> {
    let guarded = snapshot.access.is_guarded();
    if !guarded {
        tracing::warn!(
            "NO MASTER KEY IS SET: everybody who reaches this gateway can use it. \
             It therefore listens on loopback only. Set general_settings.master_key, or \
             LITELLM_MASTER_KEY to a long random key."
        );
    }
    let written: &[ListenAt] = match (options.listen.as_slice(), options.placed) {
        ([], true) => &[],
        ([], false) => &snapshot.edge.listen,
        (flags, _) => flags,
    };
    if written.is_empty() {
        let open = guarded || options.host.is_loopback();
        let host = if open { options.host } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        return Ok(vec![ListenAt::new(Address::Tcp(SocketAddr::new(host, options.port)))]);
    }
    // Another address than the one that is written would surprise more than none.
    if let Some(open) = written.iter().find(|at| !guarded && !at.address.is_local()) {
        let cause = io::Error::other("without a master key only this machine may be served");
        return Err(ListenError { address: open.address.clone(), cause }.into());
    }
    Ok(written.to_vec())
}

/// The certificate to serve TLS with, if there is one.
fn certificate(
    snapshot: &Snapshot,
    flags: Option<(String, String)>,
) -> Result<Option<Arc<Certificate>>, StartError> {
    let fixed = flags.is_some();
    let named = flags.map(|(certificate, key)| (certificate.into(), key.into()));
    let Some((certificate, key)) = named.or_else(|| snapshot.traffic.tls.clone()) else {
        return Ok(None);
    };
    let files = CertificateFiles { certificate, key };
    match Certificate::read(&files, fixed) {
        Ok(certificate) => Ok(Some(Arc::new(certificate))),
        Err(cause) => {
            let CertificateFiles { certificate, key } = files;
            Err(StartError::Tls { certificate, key, cause })
        }
    }
}

/// What waits for the database, and what became of it.
fn spending(scrape: &mut Scrape, state: &books::State) {
    let up = f64::from(u8::from(state.link() != Link::Down));
    scrape.value(&names::DATABASE_UP, &[], up);
    scrape.value(&names::JOURNAL_BLOCKED, &[], f64::from(u8::from(state.is_blocked())));
    for (family, level) in [
        (&names::SPEND_PENDING_BYTES, Level::PendingBytes),
        (&names::SPEND_PENDING_RECORDS, Level::PendingRecords),
        (&names::SPEND_LAG, Level::LagSeconds),
    ] {
        scrape.value(family, &[], state.level(level) as f64);
    }
    for count in Count::ALL {
        scrape.value(&names::SPEND_RECORDS, &[count.word()], state.count(count) as f64);
    }
}

/// What the metrics say of callbacks.
fn tell_callbacks(scrape: &mut Scrape, callbacks: &Callbacks) {
    callbacks.each_count(|name, counts| {
        // As floats, which is what Prometheus counts in.
        let number = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
        for (result, count) in [
            ("sent", &counts.sent),
            ("failed", &counts.failed),
            ("dropped", &counts.dropped),
            ("spilled", &counts.spilled),
        ] {
            scrape.value(&names::CALLBACKS, &[name, result], number(count));
        }
        for (place, count) in [("memory", &counts.queued), ("disk", &counts.kept)] {
            scrape.value(&names::CALLBACKS_WAITING, &[name, place], number(count));
        }
    });
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
