//! One connection of HTTP/1, as the gateway sees it when Pingora does not show it a request.
//!
//! A head that Pingora cannot take is answered by Pingora itself: a status without a body, a log
//! line or a hook. And it closes a connection at once, upon which the system answers the bytes that
//! the client is still sending with a reset, and the client loses the answer that it was sent. So
//! the connection is wrapped. The wrapper knows whether a request is in the gateway's hands; what
//! is written while none is can only be Pingora's refusal, and ours goes out instead. Needless once
//! Pingora has a hook for refused heads and closes as nginx does (`lingering_close`).
//!
//! Why a head was refused is found out by [`super::refusal`].

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use bytes::{Buf, Bytes};
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl,
    Stream, TimingDigest, UniqueID, UniqueIDType,
};
use pingora_proxy::Session;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Sleep;

use super::Gateway;
use super::refusal::{self, Arrival, HeadProblem};

/// A request was read whole, or none has begun: nothing of the next head is there yet.
const IDLE: u8 = 0;
/// A part of a head is there.
const HEAD: u8 = 1;
/// The gateway has the request.
const REQUEST: u8 = 2;
/// The head was refused; the answer is ours, and the connection ends after it.
const REFUSED: u8 = 3;

/// What is kept of a head, to tell what is wrong with it. Heads of clients that mean well are far
/// smaller, and of the others the beginning is enough.
const HEAD_KEPT: usize = 16 * 1024;

/// How long a client that is still sending is read from after its answer, so that it comes to read
/// it; nginx's times. It ends with the client's own end, with a silence, or with either bound.
const LINGER_MAX: Duration = Duration::from_secs(30);
const LINGER_SILENCE: Duration = Duration::from_secs(5);
const LINGER_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// A client's connection.
pub(super) struct Connection {
    inner: Stream,
    gateway: Arc<Gateway>,
    phase: AtomicU8,
    /// The client may still be sending when the connection is closed.
    lingers: AtomicBool,
    /// Flushes are passed over: what is written stays in the buffer below, or leaves when that is
    /// full.
    corked: AtomicBool,
    /// The beginning of the head that is being read.
    head: Vec<u8>,
    head_bytes: usize,
    began: (Instant, SystemTime),
    /// The longest time that a head may take, and its end for the one that is being read.
    head_timeout: Duration,
    late: Option<Pin<Box<Sleep>>>,
    /// What is still to be written of our refusal.
    answer: Bytes,
    linger: Option<Linger>,
}

impl Connection {
    pub(super) fn new(inner: Stream, gateway: Arc<Gateway>) -> Self {
        let head_timeout = gateway.snapshot.load().traffic.client_header_timeout;
        Self {
            inner,
            gateway,
            phase: AtomicU8::new(IDLE),
            lingers: AtomicBool::new(false),
            corked: AtomicBool::new(false),
            head: Vec::new(),
            head_bytes: 0,
            began: (Instant::now(), SystemTime::now()),
            head_timeout,
            late: None,
            answer: Bytes::new(),
            linger: None,
        }
    }

    /// The connection of a session, unless it is one of HTTP/2.
    fn of(stream: Option<&Stream>) -> Option<&Self> {
        stream?.as_any().downcast_ref()
    }

    /// The next thing that comes is a head.
    pub(super) fn expect_head(stream: Option<&Stream>) {
        if let Some(connection) = Self::of(stream) {
            connection.phase.store(IDLE, Ordering::Relaxed);
        }
    }

    /// The gateway has the request: what is written from now on is its own.
    pub(super) fn take_request(session: &Session) {
        if let Some(connection) = Self::of(session.as_downstream().stream()) {
            connection.phase.store(REQUEST, Ordering::Relaxed);
        }
    }

    /// The client has not sent everything: it shall come to read its answer all the same.
    pub(super) fn linger(session: &Session) {
        if let Some(connection) = Self::of(session.as_downstream().stream()) {
            connection.lingers.store(true, Ordering::Relaxed);
        }
    }

    /// Puts flushes off, or lets them pass again. False for a session that has none to put off.
    pub(super) fn cork(session: &Session, corked: bool) -> bool {
        let connection = Self::of(session.as_downstream().stream());
        if let Some(connection) = connection {
            connection.corked.store(corked, Ordering::Relaxed);
        }
        connection.is_some()
    }

    fn lingers(&self) -> bool {
        self.phase() == REFUSED || self.lingers.load(Ordering::Relaxed)
    }

    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    /// Takes note of bytes that belong to a head.
    fn note(&mut self, bytes: &[u8]) {
        if self.phase() == IDLE {
            self.head.clear();
            self.head_bytes = 0;
            self.began = (Instant::now(), SystemTime::now());
            self.late = None;
            self.phase.store(HEAD, Ordering::Relaxed);
        }
        self.head_bytes += bytes.len();
        let room = HEAD_KEPT.saturating_sub(self.head.len());
        self.head.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Answers, logs and counts a head that no request came of.
    fn refuse(&mut self, problem: impl FnOnce(&refusal::Head, usize) -> HeadProblem) {
        if self.phase() == IDLE {
            // What is refused was read ahead, with the request before it.
            self.note(&[]);
        }
        self.phase.store(REFUSED, Ordering::Relaxed);
        let head = refusal::Head::read(&self.head);
        let problem = problem(&head, self.head_bytes);
        let (began, came) = self.began;
        let client_ip = self
            .inner
            .get_socket_digest()
            .and_then(|digest| digest.peer_addr().and_then(|address| address.as_inet()).copied())
            .map(|address| address.ip());
        let arrival = Arrival { began, came, client_ip };
        self.answer = refusal::refuse(&self.gateway, &head, problem, arrival);
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.answer.has_remaining() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.answer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.answer.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends a head that takes too long; `Ready` once the client was told.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let until = self.began.0 + self.head_timeout;
        let late =
            self.late.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        ready!(late.as_mut().poll(cx));
        self.refuse(|_, _| HeadProblem::Late);
        self.poll_flush_answer(cx)
    }

    fn poll_flush_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_answer(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// True if a write is the gateway's own; otherwise our refusal stands in for it.
    fn writes(&mut self) -> bool {
        match self.phase() {
            REQUEST => {
                // An open stream needs neither.
                self.head = Vec::new();
                self.late = None;
                true
            }
            REFUSED => false,
            _ => {
                self.refuse(refusal::Head::problem);
                false
            }
        }
    }

    /// Reads and drops what still comes; `Ready` when the client has ended, or enough is enough.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger.get_or_insert_with(Linger::begin);
        loop {
            let mut scratch = ReadBuf::new(&mut linger.scratch);
            match Pin::new(&mut self.inner).poll_read(cx, &mut scratch) {
                Poll::Ready(Ok(())) if !scratch.filled().is_empty() => {
                    linger.bytes_left = linger.bytes_left.saturating_sub(scratch.filled().len());
                    let silent = Instant::now() + LINGER_SILENCE;
                    linger.silence.as_mut().reset(silent.min(linger.until).into());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return linger.silence.as_mut().poll(cx),
            }
            if linger.bytes_left == 0 || Instant::now() >= linger.until {
                return Poll::Ready(());
            }
        }
    }
}

/// The end of a connection whose client is still sending.
struct Linger {
    until: Instant,
    silence: Pin<Box<Sleep>>,
    bytes_left: usize,
    scratch: Box<[u8]>,
}

impl Linger {
    fn begin() -> Self {
        Self {
            until: Instant::now() + LINGER_MAX,
            silence: Box::pin(tokio::time::sleep(LINGER_SILENCE)),
            bytes_left: LINGER_BYTES_MAX,
            scratch: vec![0; 16 * 1024].into(),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match this.phase() {
            REQUEST => return Pin::new(&mut this.inner).poll_read(cx, buf),
            // The end, as far as Pingora is concerned.
            REFUSED => return this.poll_flush_answer(cx),
            _ => {}
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.inner).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let came = buf.filled().get(before..).unwrap_or_default();
                if !came.is_empty() {
                    this.note(came);
                }
                Poll::Ready(Ok(()))
            }
            Poll::Pending if this.phase() == HEAD => this.poll_late(cx),
            other => other,
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writes() {
            return Pin::new(&mut this.inner).poll_write(cx, buf);
        }
        this.poll_answer(cx).map_ok(|()| buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writes() {
            return Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        }
        this.poll_answer(cx).map_ok(|()| bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.corked.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        self.get_mut().poll_flush_answer(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            let shut = ready!(Pin::new(&mut this.inner).poll_shutdown(cx));
            if shut.is_err() || !this.lingers() {
                return Poll::Ready(shut);
            }
        }
        this.poll_linger(cx).map(Ok)
    }
}

#[async_trait]
impl Shutdown for Connection {
    async fn shutdown(&mut self) {
        // The client may be gone.
        if let Err(error) = AsyncWriteExt::shutdown(self).await {
            tracing::debug!(%error, "a connection was not closed in order");
        }
    }
}

impl UniqueID for Connection {
    fn id(&self) -> UniqueIDType {
        self.inner.id()
    }
}

impl Ssl for Connection {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.inner.get_ssl_digest()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.inner.selected_alpn_proto()
    }
}

impl GetTimingDigest for Connection {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        self.inner.get_timing_digest()
    }

    fn get_read_pending_time(&self) -> Duration {
        self.inner.get_read_pending_time()
    }

    fn get_write_pending_time(&self) -> Duration {
        self.inner.get_write_pending_time()
    }
}

impl GetProxyDigest for Connection {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.inner.get_proxy_digest()
    }
}

impl GetSocketDigest for Connection {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.inner.get_socket_digest()
    }
}

#[async_trait]
impl Peek for Connection {
    async fn try_peek(&mut self, buf: &mut [u8]) -> io::Result<bool> {
        self.inner.try_peek(buf).await
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Connection").field("inner", &self.inner).finish_non_exhaustive()
    }
}
