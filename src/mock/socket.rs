//! One accepted connection: plain or TLS behind one type, counted, and able to end in a reset.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::record::Record;

/// How much a client may send ahead while its reply is being written.
const AHEAD_BYTES_MAX: usize = 64 * 1024;
/// How much is read at once.
const READ_BYTES: usize = 16 * 1024;
/// How long a connection that ends early still takes in what the client sends.
const LINGER: Duration = Duration::from_secs(1);

/// The client is gone, and so is the sense of going on.
#[derive(Debug)]
pub(super) struct Gone;

#[derive(Debug)]
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection with what was read from it in advance.
#[derive(Debug)]
pub(super) struct Socket {
    stream: Stream,
    /// Read before it was known who reads.
    read_before: Bytes,
    record: Arc<Record>,
    /// The connection ends in RST instead of FIN.
    reset: Arc<AtomicBool>,
}

impl Socket {
    pub(super) fn new(stream: Stream, record: Arc<Record>) -> Self {
        Self { stream, read_before: Bytes::new(), record, reset: Arc::default() }
    }

    /// The same connection, which gives `bytes` to the reader first.
    pub(super) fn rewound(mut self, bytes: Bytes) -> Self {
        self.read_before = bytes;
        self
    }

    /// A switch that makes the end of this connection a reset.
    pub(super) fn reset_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.reset)
    }

    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }

    fn tcp(&self) -> &TcpStream {
        match &self.stream {
            Stream::Plain(tcp) => tcp,
            Stream::Tls(tls) => tls.get_ref().0,
        }
    }

    /// Reads into `buffer`; 0 is the end.
    pub(super) async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        if buffer.capacity() - buffer.len() < READ_BYTES / 4 {
            buffer.reserve(READ_BYTES);
        }
        self.read_buf(buffer).await
    }

    /// Writes all of `bytes`, unless the client leaves meanwhile.
    pub(super) async fn send(
        &mut self,
        mut bytes: &[u8],
        ahead: &mut BytesMut,
    ) -> Result<(), Gone> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| {
                if let Poll::Ready(result) = Pin::new(&mut *self).poll_write(cx, bytes) {
                    return Poll::Ready(result.map_err(|_| Gone));
                }
                self.poll_leave(cx, ahead).map(Err)
            });
            match written.await? {
                0 => return Err(Gone),
                count => bytes.advance(count),
            }
        }
        // TLS may hold the last record back.
        if let Stream::Tls(tls) = &mut self.stream {
            tls.flush().await.map_err(|_| Gone)?;
        }
        Ok(())
    }

    /// Waits, unless the client leaves meanwhile.
    pub(super) async fn pause(&mut self, time: Duration, ahead: &mut BytesMut) -> Result<(), Gone> {
        tokio::select! {
            biased;
            gone = poll_fn(|cx| self.poll_leave(cx, ahead)) => Err(gone),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }

    /// Waits until somebody releases a stalled reply.
    pub(super) async fn stall(&mut self, ahead: &mut BytesMut) -> Result<(), Gone> {
        let record = Arc::clone(&self.record);
        record.stall();
        tokio::select! {
            biased;
            gone = poll_fn(|cx| self.poll_leave(cx, ahead)) => Err(gone),
            released = record.releases.acquire() => match released {
                Ok(permit) => {
                    permit.forget();
                    Ok(())
                },
                Err(_) => Err(Gone),
            },
        }
    }

    /// Ready when the client has closed its side. What it sends ahead is kept for later.
    fn poll_leave(&mut self, cx: &mut Context<'_>, ahead: &mut BytesMut) -> Poll<Gone> {
        while ahead.len() < AHEAD_BYTES_MAX {
            let start = ahead.len();
            ahead.resize(start + 1024, 0);
            let mut free = ReadBuf::new(ahead.get_mut(start..).unwrap_or_default());
            let polled = Pin::new(&mut *self).poll_read(cx, &mut free);
            let filled = free.filled().len();
            ahead.truncate(start + filled);
            match polled {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) if filled > 0 => {}
                Poll::Ready(_) => return Poll::Ready(Gone),
            }
        }
        Poll::Pending
    }

    /// Closes with FIN, after taking in what the client is still sending: unread bytes would turn
    /// the close into a reset that destroys the reply on its way.
    pub(super) async fn close(mut self) {
        if self.shutdown().await.is_err() {
            return;
        }
        let mut buffer = BytesMut::with_capacity(READ_BYTES);
        let drain = async {
            while matches!(self.read(&mut buffer).await, Ok(1..)) {
                buffer.clear();
            }
        };
        // Past the time, the rest is the client's own affair.
        drop(tokio::time::timeout(LINGER, drain).await);
    }

    /// Closes with RST.
    pub(super) fn abort(self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Relaxed)
            && let Err(error) = self.tcp().set_zero_linger()
        {
            tracing::debug!(%error, "the connection could not be reset");
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read_before.is_empty() {
            let count = self.read_before.len().min(buffer.remaining());
            buffer.put_slice(&self.read_before.split_to(count));
            return Poll::Ready(Ok(()));
        }
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Stream::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Stream::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        };
        if let Poll::Ready(Ok(count)) = &written {
            self.record.bytes_written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Stream::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
