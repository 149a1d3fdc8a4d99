//! Writes whole responses: errors, and what the `admin` router answered.

use bytes::Bytes;
use http::HeaderMap;
use pingora_core::protocols::http::HttpTask;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::connection::Connection;
use super::ctx::RequestCtx;
use super::error::GatewayError;
use super::{head, intake};

/// Writes an error in the client's dialect and notes it in the context.
///
/// # Errors
/// Pingora's, if the client is gone.
pub(super) async fn write_error(
    session: &mut Session,
    ctx: &mut RequestCtx,
    error: GatewayError,
    upstream: Option<&HeaderMap>,
) -> pingora_core::Result<()> {
    let told = Told {
        status: error.status_for(ctx.dialect),
        body: error.body(ctx.dialect, &ctx.request_id),
    };
    write_error_as(session, ctx, error, upstream, told).await
}

/// An error as the client is to read it.
pub(super) struct Told {
    pub status: u16,
    pub body: Bytes,
}

/// As [`write_error`], in the words of somebody else.
///
/// # Errors
/// Pingora's, if the client is gone.
pub(super) async fn write_error_as(
    session: &mut Session,
    ctx: &mut RequestCtx,
    error: GatewayError,
    upstream: Option<&HeaderMap>,
    Told { status, body }: Told,
) -> pingora_core::Result<()> {
    let broke_off = match &error {
        GatewayError::BodyIncomplete { .. } => true,
        GatewayError::BadBody { code, .. } => *code == intake::UNREADABLE,
        _ => false,
    };
    let head = head::error(session, ctx, &error, status, body.len(), upstream);
    ctx.status = Some(status);
    ctx.error = Some(error);
    ctx.relayed.bytes_sent = body.len() as u64;
    ctx.entry_over();
    if broke_off || !session.as_downstream_mut().is_body_done() {
        // The rest of the request's body would be taken for the next request.
        session.set_keepalive(None);
        Connection::linger(session);
        write_whole(session, head, body).await?;
        // The request is over, although its connection is not.
        ctx.in_flight = None;
        return Ok(());
    }
    write_whole(session, head, body).await
}

/// Writes head and body in one go.
pub(super) async fn write_whole(
    session: &mut Session,
    head: Box<ResponseHeader>,
    body: Bytes,
) -> pingora_core::Result<()> {
    let tasks = if body.is_empty() {
        vec![HttpTask::Header(head, true), HttpTask::Done]
    } else {
        vec![HttpTask::Header(head, false), HttpTask::Body(Some(body), true)]
    };
    write_together(session, tasks).await
}

/// Writes the parts of a response that are there: in one piece, as far as the buffer reaches.
///
/// Pingora flushes the head of a stream, each piece of a chunked body and its end mark by
/// themselves. Where all of them are there already, each flush is a system call and a segment (or a
/// TLS record) that wakes the client once more for nothing. So only the last one flushes. Needless
/// once Pingora flushes the tasks that it is given together once.
///
/// # Errors
/// Pingora's, if the client is gone.
pub(super) async fn write_together(
    session: &mut Session,
    mut tasks: Vec<HttpTask>,
) -> pingora_core::Result<()> {
    if !Connection::cork(session, true) {
        // HTTP/2 gathers its frames by itself.
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
    Connection::cork(session, false);
    written?;
    match last {
        Some(last) => session.write_response_tasks(vec![last]).await.map(|_| ()),
        None => Ok(()),
    }
}
