//! Accepting connections: TCP, TLS, and which version of HTTP a client speaks.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::BytesMut;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::record::Record;
use super::script::Script;
use super::socket::{Socket, Stream};
use super::{http1, http2};
use crate::dialect::Dialect;

/// The largest request body, unless told otherwise: more than any provider takes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// The rest after a failed accept: usually the process is out of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// How a scripted provider is served.
#[derive(Debug)]
pub struct ServeOptions {
    /// What it does.
    pub script: Script,
    /// The dialect of paths that could be anybody's. `/v1/messages` is always Anthropic's,
    /// `/openai/deployments/` always Azure's.
    pub dialect: Dialect,
    /// TLS instead of plain TCP.
    pub tls: Option<Tls>,
    /// The largest request body; a larger one is a 413.
    pub body_limit: usize,
    /// Streams at once on one HTTP/2 connection.
    pub http2_streams: u32,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            script: Script::default(),
            dialect: Dialect::OpenAi,
            tls: None,
            body_limit: BODY_BYTES_MAX,
            http2_streams: http2::STREAMS_MAX,
        }
    }
}

/// A certificate with its key, and the versions of HTTP that are offered with it.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

impl Tls {
    /// TLS with this certificate chain and key, both PEM. `http2` offers `h2` before `http/1.1`.
    ///
    /// # Errors
    /// What is wrong with the certificate or the key.
    pub fn from_pem(certificates: &str, key: &str, http2: bool) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_slice_iter(certificates.as_bytes()).collect();
        let chain = chain.map_err(|error| format!("the certificate is not PEM: {error}"))?;
        if chain.is_empty() {
            return Err("there is no certificate in the file".to_owned());
        }
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
            .map_err(|error| format!("the key is not PEM: {error}"))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|it| it.with_no_client_auth().with_single_cert(chain, key))
            .map_err(|error| format!("certificate and key cannot be used: {error}"))?;
        config.alpn_protocols = match http2 {
            true => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
            false => vec![b"http/1.1".to_vec()],
        };
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// What all connections of one provider share.
#[derive(Debug)]
pub(super) struct Stage {
    script: ArcSwap<Script>,
    pub(super) dialect: Dialect,
    pub(super) body_limit: usize,
    pub(super) http2_streams: u32,
    tls: Option<Tls>,
}

impl Stage {
    pub(super) fn new(options: ServeOptions) -> Self {
        Self {
            script: ArcSwap::from_pointee(options.script),
            dialect: options.dialect,
            body_limit: options.body_limit,
            http2_streams: options.http2_streams,
            tls: options.tls,
        }
    }

    pub(super) fn script(&self) -> Arc<Script> {
        self.script.load_full()
    }

    pub(super) fn still_follows(&self, script: &Arc<Script>) -> bool {
        Arc::ptr_eq(&self.script.load(), script)
    }

    pub(super) fn change_script(&self, script: Script) {
        self.script.store(Arc::new(script));
    }
}

/// Serves a scripted provider on `listener` until `shutdown` is ready. Connections that are still
/// open then are closed.
///
/// # Errors
/// The listener cannot be used with this runtime.
pub async fn serve(
    listener: std::net::TcpListener,
    options: ServeOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let (stage, record) = (Arc::new(Stage::new(options)), Arc::new(Record::new(false)));
    accept(listener, stage, record, shutdown).await;
    Ok(())
}

pub(super) async fn accept(
    listener: TcpListener,
    stage: Arc<Stage>,
    record: Arc<Record>,
    shutdown: impl Future<Output = ()>,
) {
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
        };
        match accepted {
            Ok((tcp, _)) => {
                let number = record.opened();
                let (stage, record) = (Arc::clone(&stage), Arc::clone(&record));
                connections.spawn(async move {
                    let open = Open(record);
                    connect(tcp, stage, Arc::clone(&open.0), number).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

/// Counts a connection as closed when it is, however that comes.
struct Open(Arc<Record>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}

async fn connect(tcp: TcpStream, stage: Arc<Stage>, record: Arc<Record>, number: u64) {
    // Without it, a head and a body in two writes wait for the client's delayed acknowledgement.
    if let Err(error) = tcp.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY");
    }
    let Some(tls) = &stage.tls else {
        let socket = Socket::new(Stream::Plain(tcp), record);
        return by_preface(socket, stage, number).await;
    };
    match tls.0.accept(tcp).await {
        Ok(stream) => {
            let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let socket = Socket::new(Stream::Tls(Box::new(stream)), record);
            if speaks_http2 {
                http2::serve(socket, stage, number).await;
            } else {
                http1::serve(socket, BytesMut::new(), stage, number).await;
            }
        }
        Err(error) => tracing::debug!(%error, "TLS handshake"),
    }
}

/// HTTP/2 with prior knowledge begins with a fixed text; everything else is HTTP/1.1.
async fn by_preface(mut socket: Socket, stage: Arc<Stage>, number: u64) {
    let mut input = BytesMut::new();
    while input.len() < http2::PREFACE.len() && http2::PREFACE.starts_with(&input) {
        match socket.read(&mut input).await {
            Ok(1..) => {}
            Ok(0) | Err(_) => return,
        }
    }
    if input.starts_with(http2::PREFACE) {
        http2::serve(socket.rewound(input.freeze()), stage, number).await;
    } else {
        http1::serve(socket, input, stage, number).await;
    }
}
