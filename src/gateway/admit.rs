//! Admission: may this caller call, and is there room for one more request.

use std::time::Instant;

use pingora_http::RequestHeader;

use super::Gateway;
use super::ctx::{InFlight, RequestCtx};
use super::error::GatewayError;
use super::queue;
use crate::admin::{Visitor, auth};
use crate::dialect::ClientDialect;
use crate::keys::{self, AuthError, Caller, Moment};

/// Finds out who calls, by the keys in the request's headers; Google's clients may write theirs into
/// the query.
///
/// # Errors
/// `Key`.
pub(super) async fn caller(
    gateway: &Gateway,
    ctx: &RequestCtx,
    head: &RequestHeader,
    dialect: ClientDialect,
) -> Result<Caller, GatewayError> {
    let access = &ctx.snapshot.access;
    let googles = match dialect {
        ClientDialect::Gemini => auth::google_key(&head.headers, head.uri.query()),
        ClientDialect::OpenAi | ClientDialect::Responses | ClientDialect::Anthropic => None,
    };
    let candidates =
        || auth::candidates(&head.headers, access.key_header.as_ref()).chain(googles.as_deref());
    let now = Moment { instant: ctx.started, time: ctx.started_at };
    keys::identify(access, &gateway.keys, candidates, now).await.map_err(GatewayError::Key)
}

/// As [`caller`]; the playground of the dashboard has no key, but a session. `visitor`: who sends a
/// cookie.
///
/// # Errors
/// `Key`.
pub(super) async fn caller_or_session(
    gateway: &Gateway,
    ctx: &RequestCtx,
    head: &RequestHeader,
    dialect: ClientDialect,
    visitor: Option<Visitor>,
) -> Result<Caller, GatewayError> {
    let access = &ctx.snapshot.access;
    let keyless = || auth::candidates(&head.headers, access.key_header.as_ref()).next().is_none();
    if let Some(visitor) = visitor
        && ctx.snapshot.dashboard.enabled
        && keyless()
    {
        let now = Moment { instant: ctx.started, time: ctx.started_at };
        let carried = (&head.method, &head.headers, visitor);
        match gateway.admin.sessions().caller(access, &gateway.keys, carried, now).await {
            Ok(Some(caller)) => return Ok(caller),
            Ok(None) => {}
            Err(AuthError::SessionEnded) if !access.is_guarded() => {}
            Err(error) => return Err(GatewayError::Key(error)),
        }
    }
    caller(gateway, ctx, head, dialect).await
}

/// Counts the request in, if need be after a short wait.
///
/// # Errors
/// `Overloaded` if there was no place in time, `GatewayFull` at `global_max_parallel_requests`.
pub(super) async fn enter(gateway: &Gateway, ctx: &RequestCtx) -> Result<InFlight, GatewayError> {
    let asked = Instant::now();
    let place =
        gateway.queue.enter(&ctx.snapshot.edge.admission, || gateway.metrics.queued()).await;
    let place = place.map_err(|queue::Overloaded| GatewayError::Overloaded)?;
    let bound = ctx.snapshot.traffic.max_parallel_requests;
    let entered = InFlight::enter(&gateway.in_flight, bound, &gateway.metrics);
    entered.map(|entered| entered.at(place, asked.elapsed())).ok_or(GatewayError::GatewayFull)
}
