//! A client that speaks HTTP/2: in plain text with prior knowledge, or agreed upon in TLS.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::poll_fn;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

use super::client::Reply;
use super::gateway::Gateway;
use super::patience;

/// What the client lets the gateway send ahead: the smallest window that HTTP/2 begins with.
const WINDOW: u32 = 65_535;

/// One HTTP/2 connection. It is closed when it is dropped.
pub struct Http2 {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
    authority: String,
    key: Option<String>,
}

/// A request whose reply has not ended.
pub struct Exchange<'a> {
    client: &'a Http2,
    body: Option<SendStream<Bytes>>,
    response: ResponseFuture,
}

/// A reply whose head is there. Dropping it cancels the request.
pub struct Incoming<'a> {
    client: &'a Http2,
    pub status: u16,
    pub headers: HeaderMap,
    body: RecvStream,
}

impl Http2 {
    /// Connects to a gateway that speaks plain text.
    #[track_caller]
    pub fn connect(gateway: &Gateway) -> Self {
        Self::over(gateway.address(), |socket| async { socket })
    }

    /// Connects to a gateway that speaks TLS, whose certificate for `localhost` is of `authority`
    /// (DER). Panics unless HTTP/2 is agreed upon.
    #[track_caller]
    pub fn connect_tls(gateway: &Gateway, authority: &[u8]) -> Self {
        Self::connect_tls_after(gateway, authority, b"")
    }

    /// The same, with some bytes before the handshake.
    #[track_caller]
    pub fn connect_tls_after(gateway: &Gateway, authority: &[u8], before: &[u8]) -> Self {
        Self::tls(gateway.address(), authority, before)
    }

    /// The same, with whatever listens at an address.
    #[track_caller]
    pub fn connect_tls_to(address: SocketAddr, authority: &[u8]) -> Self {
        Self::tls(address, authority, b"")
    }

    #[track_caller]
    fn tls(address: SocketAddr, authority: &[u8], before: &[u8]) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from(authority.to_vec())).expect("the authority is one");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows the versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        Self::over(address, |mut socket| async move {
            socket.write_all(before).await.expect("the gateway reads");
            let name = ServerName::try_from("localhost").expect("it is a name");
            let stream = connector.connect(name, socket).await.expect("the certificate is good");
            let agreed = stream.get_ref().1.alpn_protocol();
            assert_eq!(agreed, Some(&b"h2"[..]), "the gateway offers HTTP/2");
            stream
        })
    }

    /// How many requests the gateway takes on this connection at one time, once it has answered one.
    pub fn streams(&self) -> usize {
        self.requests.current_max_send_streams()
    }

    /// The same with a key to show.
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    #[track_caller]
    fn over<F, S>(address: SocketAddr, secure: impl FnOnce(TcpStream) -> F) -> Self
    where
        F: Future<Output = S>,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("the system has a thread to spare");
        let requests = runtime.block_on(async {
            let socket = TcpStream::connect(address).await.expect("somebody listens there");
            socket.set_nodelay(true).expect("the socket is open");
            let io = secure(socket).await;
            let (requests, connection) = h2::client::Builder::new()
                .initial_window_size(WINDOW)
                .handshake::<_, Bytes>(io)
                .await
                .expect("the gateway speaks HTTP/2");
            tokio::spawn(async move {
                // It ends with the client, or because the gateway closes.
                drop(connection.await);
            });
            requests
        });
        Self { runtime, requests, authority: address.to_string(), key: None }
    }

    /// Sends a request with a body of known length and reads the whole reply.
    #[track_caller]
    pub fn post(&self, path: &str, body: &[u8]) -> Reply {
        let length = body.len().to_string();
        self.begin(path, &[("content-length", &length)]).finish(body).reply()
    }

    /// Sends the head of a `POST`.
    #[track_caller]
    pub fn begin(&self, path: &str, headers: &[(&str, &str)]) -> Exchange<'_> {
        self.send_head("POST", path, headers, false)
    }

    /// Sends a `GET` and reads the whole reply.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send_head("GET", path, &[], true).head().read()
    }

    #[track_caller]
    fn send_head(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        end: bool,
    ) -> Exchange<'_> {
        let uri = format!("http://{}{path}", self.authority);
        let mut request = Request::builder().method(method).uri(uri);
        request = request.header("content-type", "application/json");
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("the test's request is one");
        let mut requests = self.requests.clone();
        let (response, body) = self.wait(async move {
            poll_fn(|context| requests.poll_ready(context)).await.expect("the connection is open");
            requests.send_request(request, end).expect("the connection is open")
        });
        Exchange { client: self, body: (!end).then_some(body), response }
    }

    #[track_caller]
    fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        let waiting = self.runtime.block_on(async { tokio::time::timeout(patience(), what).await });
        waiting.expect("the gateway is not that slow")
    }
}

impl<'a> Exchange<'a> {
    /// Sends a part of the body, at the pace that the gateway allows. False if it wants no more.
    #[track_caller]
    pub fn send(&mut self, mut part: &[u8]) -> bool {
        let Some(body) = &mut self.body else { return false };
        self.client.wait(async {
            while !part.is_empty() {
                body.reserve_capacity(part.len());
                let Some(Ok(room)) = poll_fn(|context| body.poll_capacity(context)).await else {
                    return false;
                };
                let (now, later) = part.split_at(room.min(part.len()));
                if body.send_data(Bytes::copy_from_slice(now), false).is_err() {
                    return false;
                }
                part = later;
            }
            true
        })
    }

    /// Sends the last part of the body.
    #[track_caller]
    pub fn finish(mut self, part: &[u8]) -> Self {
        if self.send(part)
            && let Some(body) = &mut self.body
        {
            // The gateway may have answered already.
            drop(body.send_data(Bytes::new(), true));
        }
        self
    }

    /// Waits for the head of the reply.
    #[track_caller]
    pub fn head(self) -> Incoming<'a> {
        let client = self.client;
        let response = client.wait(self.response).expect("the gateway answers");
        let (head, body) = response.into_parts();
        Incoming { client, status: head.status.as_u16(), headers: head.headers, body }
    }

    /// Waits for the whole reply.
    #[track_caller]
    pub fn reply(self) -> Reply {
        self.head().read()
    }
}

impl Incoming<'_> {
    /// Waits for the next part of the body and makes room for as much; `None` at its end.
    #[track_caller]
    pub fn next_part(&mut self) -> Option<Bytes> {
        let body = &mut self.body;
        self.client.wait(async {
            let part = body.data().await?.expect("the body does not break off");
            let taken = body.flow_control().release_capacity(part.len());
            taken.expect("it was not released before");
            Some(part)
        })
    }

    /// Reads the rest.
    #[track_caller]
    pub fn read(mut self) -> Reply {
        let mut body = Vec::new();
        while let Some(part) = self.next_part() {
            body.extend_from_slice(&part);
        }
        Reply { status: self.status, headers: self.headers.clone(), body }
    }
}
