//! The pipeline's phases for a request that is passed: each finds it in the request's context and asks
//! it.

use bytes::Bytes;
use pingora_core::protocols::http::HttpTask;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use super::heads;
use crate::gateway::connection::Connection;
use crate::gateway::ctx::RequestCtx;
use crate::gateway::error::GatewayError;
use crate::gateway::{Gateway, exchange};
use crate::upstream;

/// The pipeline's question for a peer.
///
/// # Errors
/// Nobody can take the request; [`refusal`] has the reason.
pub(in crate::gateway) async fn peer(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<Box<HttpPeer>> {
    let Some(mut passing) = ctx.passing.take() else {
        // Unreachable by design: `proxy_upstream_filter` lets no other request through.
        return Error::e_explain(ErrorType::InternalError, "the request is not to be passed");
    };
    let next = passing.next(gateway, ctx).await;
    let peer = next.map(Box::new).map_err(|refusal| passing.stop(refusal));
    ctx.passing = Some(passing);
    peer
}

/// The pipeline's question for the head that goes to the provider.
///
/// # Errors
/// As [`peer`].
pub(in crate::gateway) async fn write_head(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    head: &mut RequestHeader,
) -> pingora_core::Result<()> {
    let Some(passing) = &mut ctx.passing else { return Ok(()) };
    let written = match passing.write_head(head) {
        Ok(()) => {
            // In the place of what the client sent of it.
            for (name, value) in passing.traced(ctx.trace.as_deref_mut()) {
                heads::set(head, name, value);
            }
            passing.authorise(gateway, head).await
        }
        Err(refusal) => Err(refusal),
    };
    written.map_err(|refusal| passing.stop(refusal))
}

/// A piece of the request's body goes by.
///
/// # Errors
/// As [`peer`].
pub(in crate::gateway) fn received(
    ctx: &mut RequestCtx,
    body: Option<&Bytes>,
    ends: bool,
) -> pingora_core::Result<()> {
    let limit = ctx.snapshot.traffic.max_request_bytes;
    let Some(passing) = &mut ctx.passing else { return Ok(()) };
    passing.received(body, ends, limit).map_err(|refusal| passing.stop(refusal))
}

/// A deployment cannot be connected to: another one may be.
pub(in crate::gateway) fn unconnected(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    mut error: Box<Error>,
) -> Box<Error> {
    if let Some(mut passing) = ctx.passing.take() {
        passing.failed(gateway, ctx, upstream::connect_failure(&error));
        ctx.passing = Some(passing);
        // `Passing::next` says when it is enough.
        error.set_retry(true);
    }
    error
}

/// The head of an answer goes by.
pub(in crate::gateway) fn answered(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    request: &RequestHeader,
    head: &mut ResponseHeader,
) {
    let Some(mut passing) = ctx.passing.take() else { return };
    passing.answered(gateway, ctx, request.uri.path(), head);
    let deployment = ctx.relayed.served_by.as_ref().map(|served| &*served.deployment.id);
    heads::response(head, &ctx.request_id, deployment);
    ctx.relayed.upstream = passing.began.elapsed();
    ctx.passing = Some(passing);
}

/// A piece of the answer goes by. A WebSocket that ends without a word gets one.
pub(in crate::gateway) fn sent(
    session: &Session,
    ctx: &mut RequestCtx,
    body: &mut Option<Bytes>,
    ends: bool,
) {
    let Some(passing) = &mut ctx.passing else { return };
    passing.sent(body.as_ref());
    if ends && let Some(told) = passing.hung_up() {
        // The client is still talking.
        Connection::linger(session);
        *body = Some(match body.take() {
            Some(last) => [last, told].concat().into(),
            None => told,
        });
    }
    let body = body.as_ref();
    if let Some(body) = body {
        ctx.relayed.bytes_sent += body.len() as u64;
        if ctx.relayed.first_token.is_none() {
            ctx.relayed.first_token = Some(ctx.started.elapsed());
        }
    }
}

/// Notes that the provider broke an answer off whose head the client has. True if that is why the
/// pipeline ended.
pub(in crate::gateway) async fn broke_off(
    session: &mut Session,
    ctx: &mut RequestCtx,
    error: &Error,
) -> bool {
    let is_out = |head: &ResponseHeader| !head.status.is_informational();
    let upgraded = session.was_upgraded();
    let begun = upgraded || session.response_written().is_some_and(is_out);
    let Some(passing) = ctx.passing.as_mut().filter(|_| begun) else { return false };
    if let Some(refusal) = passing.refusal.take() {
        ctx.error = Some(refusal);
        return true;
    }
    if *error.esource() != ErrorSource::Upstream {
        return false;
    }
    let told = passing.hung_up();
    if !passing.ended() {
        passing.cut.get_or_insert_with(|| exchange::broken(error));
    }
    if let Some(told) = told.filter(|_| upgraded) {
        Connection::linger(session);
        let last = vec![HttpTask::UpgradedBody(Some(told), true)];
        ctx.client_gone |= session.write_response_tasks(last).await.is_err();
    }
    true
}

/// Why the pipeline ended with an error, if that was ours to say or the provider's doing.
pub(in crate::gateway) fn refusal(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    error: &Error,
) -> Option<GatewayError> {
    let mut passing = ctx.passing.take()?;
    let mut refusal = passing.refusal.take();
    if refusal.is_none() && *error.esource() == ErrorSource::Upstream {
        let failure = exchange::broken(error);
        passing.failed(gateway, ctx, failure.clone());
        refusal = Some(GatewayError::Upstream(Box::new(failure)));
    }
    ctx.passing = Some(passing);
    refusal
}

/// The request is over.
pub(in crate::gateway) fn finish(gateway: &Gateway, session: &Session, ctx: &mut RequestCtx) {
    let Some(mut passing) = ctx.passing.take() else { return };
    passing.finish(gateway, ctx);
    if let Some(head) = session.response_written() {
        ctx.status = Some(head.status.as_u16());
    }
    ctx.passing = Some(passing);
}
