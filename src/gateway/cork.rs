//! A client's connection that can be corked: what is written while it is leaves with what follows.
//!
//! Pingora flushes the head of a stream, each piece of a chunked body and its end mark by
//! themselves. Where all of them are there already, each flush is a system call and a segment (or a
//! TLS record) that wakes the client once more for nothing. Needless once Pingora flushes the tasks
//! that it is given together once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::{SslDigest, TlsRef};
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora_proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection under Pingora's HTTP session, with its own write buffer below.
#[derive(Debug)]
pub(super) struct Corked {
    stream: Stream,
    /// Flushes are passed over. What is written stays in the buffer below, or leaves when that is
    /// full.
    corked: AtomicBool,
}

/// Writes the parts of a response that are there: in one piece, as far as the buffer reaches.
///
/// # Errors
/// Pingora's, if the client is gone.
pub(super) async fn write(
    session: &mut Session,
    mut tasks: Vec<HttpTask>,
) -> pingora_core::Result<()> {
    if !set(session, true) {
        return session.write_response_tasks(tasks).await.map(|_| ());
    }
    // One task at a time: Pingora would copy the body once more to join several.
    let last = tasks.pop();
    let mut written = Ok(true);
    for task in tasks {
        if written.is_ok() {
            written = session.write_response_tasks(vec![task]).await;
        }
    }
    set(session, false);
    written?;
    match last {
        Some(last) => session.write_response_tasks(vec![last]).await.map(|_| ()),
        None => Ok(()),
    }
}

/// False for a connection that cannot be corked: HTTP/2 gathers its frames by itself.
fn set(session: &Session, corked: bool) -> bool {
    let http1 = session.as_downstream().as_http1();
    let stream = http1.and_then(|http1| (**http1.stream()).as_any().downcast_ref::<Corked>());
    if let Some(stream) = stream {
        // The connection belongs to one task; nothing is ordered by this.
        stream.corked.store(corked, Ordering::Relaxed);
    }
    stream.is_some()
}

impl Corked {
    pub(super) fn new(stream: Stream) -> Self {
        Self { stream, corked: AtomicBool::new(false) }
    }
}

impl AsyncRead for Corked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Corked {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.corked.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[async_trait]
impl Shutdown for Corked {
    async fn shutdown(&mut self) {
        self.stream.shutdown().await;
    }
}

#[async_trait]
impl Peek for Corked {
    async fn try_peek(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        self.stream.try_peek(buffer).await
    }
}

impl UniqueID for Corked {
    fn id(&self) -> UniqueIDType {
        self.stream.id()
    }
}

impl Ssl for Corked {
    fn get_ssl(&self) -> Option<&TlsRef> {
        self.stream.get_ssl()
    }

    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.stream.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.stream.selected_alpn_proto()
    }
}

impl GetTimingDigest for Corked {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.stream.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.stream.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.stream.get_write_pending_time()
    }
}

impl GetProxyDigest for Corked {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.stream.get_proxy_digest()
    }

    fn set_proxy_digest(&mut self, digest: ProxyDigest) {
        self.stream.set_proxy_digest(digest);
    }
}

impl GetSocketDigest for Corked {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.stream.get_socket_digest()
    }

    fn set_socket_digest(&mut self, digest: SocketDigest) {
        self.stream.set_socket_digest(digest);
    }
}
