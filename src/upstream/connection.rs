//! One connection to an upstream, from opened to answered.

use std::pin::pin;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderValue;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::protocols::http::v1::client::HttpSession as Http1Session;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::io::AsyncWriteExt;

use super::fleet::Busy;
use super::peer::{Address, WRITE_TIMEOUT};
use crate::patience::within;

/// A connection that no request was written to yet.
pub struct Opened {
    pub(super) link: Link,
    /// It has served a request before; a close before the first byte proves nothing.
    pub reused: bool,
    pub(super) address: Arc<Address>,
    /// The server; it counts the exchange until the connection is given back or dropped.
    pub(super) busy: Busy,
}

pub(super) enum Link {
    /// HTTP/1.1, not yet in a session.
    Plain(Stream),
    /// Whatever was negotiated.
    Negotiated(Box<HttpSession>),
}

/// An exchange with an upstream whose request is out.
pub struct Connection {
    pub session: HttpSession,
    pub(super) address: Arc<Address>,
    pub(super) _busy: Busy,
}

/// What is written before the body: each version of HTTP has its own form.
pub struct Heads<One, Two> {
    /// Bytes of HTTP/1.1, with the empty line at the end.
    pub http1: One,
    pub http2: Two,
}

impl Opened {
    /// What the server is called in the request.
    #[must_use]
    pub fn authority(&self) -> &HeaderValue {
        &self.busy.member().authority
    }

    /// Writes one request, whose body is `body` and then `rest`. What was not taken may still have been answered, so the connection comes
    /// back also with an error.
    pub async fn send(
        self,
        heads: Heads<
            impl FnOnce() -> pingora_core::Result<BytesMut>,
            impl FnOnce() -> pingora_core::Result<RequestHeader>,
        >,
        body: Bytes,
        rest: &[Bytes],
    ) -> (Connection, pingora_core::Result<()>) {
        let Self { link, address, busy, .. } = self;
        let (session, written) = match link {
            Link::Plain(stream) => send_http1(stream, &address, heads.http1, body, rest).await,
            Link::Negotiated(session) => match *session {
                HttpSession::H1(session) => {
                    send_http1(session.into_inner(), &address, heads.http1, body, rest).await
                }
                mut session => {
                    session.set_write_timeout(Some(WRITE_TIMEOUT));
                    let written = async {
                        session.write_request_header(Box::new((heads.http2)()?)).await?;
                        session.write_request_body(body, rest.is_empty()).await?;
                        for (at, piece) in rest.iter().enumerate() {
                            let ends = at + 1 == rest.len();
                            session.write_request_body(piece.clone(), ends).await?;
                        }
                        session.finish_request_body().await
                    };
                    let written = written.await;
                    (session, written)
                }
            },
        };
        (Connection { session, address, _busy: busy }, written)
    }
}

/// Writes head and body at once: one system call, and one segment or TLS record for a short
/// request. Pingora's session would send the head by itself, which costs both ends a wake-up.
async fn send_http1(
    mut stream: Stream,
    address: &Address,
    head: impl FnOnce() -> pingora_core::Result<BytesMut>,
    body: Bytes,
    rest: &[Bytes],
) -> (HttpSession, pingora_core::Result<()>) {
    let written = match head() {
        Err(error) => Err(error),
        Ok(head) => {
            let mut request = head.chain(body);
            let writing = pin!(async {
                stream.write_all_buf(&mut request).await?;
                for piece in rest {
                    stream.write_all(piece).await?;
                }
                stream.flush().await
            });
            match within(WRITE_TIMEOUT, writing).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(cause)) => {
                    Error::e_because(ErrorType::WriteError, "writing the request", cause)
                }
                Err(_elapsed) => Error::e_explain(ErrorType::WriteTimedout, "writing the request"),
            }
        }
    };
    (HttpSession::H1(Http1Session::new_with_options(stream, &address.peer)), written)
}
