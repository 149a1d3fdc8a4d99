//! Admission: may this caller call, and is there room for one more request.

use http::header::{self, HeaderMap, HeaderValue};

use super::Gateway;
use super::ctx::{InFlight, RequestCtx};
use super::error::GatewayError;
use crate::keys::{self, Access, AuthError, Caller};

/// Finds out who calls, by the keys in the request's headers.
///
/// # Errors
/// `NoKey`, `BadKey`.
pub(super) fn caller(access: &Access, headers: &HeaderMap) -> Result<Caller, GatewayError> {
    keys::authorise(access, keys_of(access, headers)).map_err(|error| match error {
        AuthError::Missing => GatewayError::NoKey,
        AuthError::Unknown => GatewayError::BadKey,
    })
}

/// Every key that the request carries. SDKs differ in the header they use, and some send a
/// placeholder in one and the real key in another.
fn keys_of<'a>(
    access: &'a Access,
    headers: &'a HeaderMap,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    let bearer = headers
        .get_all(header::AUTHORIZATION)
        .into_iter()
        .map(|value| strip_bearer(value.as_bytes()));
    let named = ["x-api-key", "api-key"]
        .into_iter()
        .filter_map(|name| headers.get(name))
        .chain(access.key_header.as_ref().and_then(|name| headers.get(name)))
        .map(|value| strip_bearer(value.as_bytes()));
    bearer.chain(named)
}

fn strip_bearer(value: &[u8]) -> &[u8] {
    match value.split_at_checked(7) {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case(b"bearer ") => key.trim_ascii(),
        _ => value.trim_ascii(),
    }
}

/// Counts the request in.
///
/// # Errors
/// `GatewayFull` at `global_max_parallel_requests`.
pub(super) fn enter(gateway: &Gateway, ctx: &RequestCtx) -> Result<InFlight, GatewayError> {
    InFlight::enter(&gateway.in_flight, ctx.snapshot.traffic.max_parallel_requests)
        .ok_or(GatewayError::GatewayFull)
}

/// The request's origin, if browsers there may read the answer.
pub(super) fn allowed_origin(access: &Access, headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let allowed = access
        .cors_origins
        .iter()
        .any(|allowed| allowed.as_ref() == "*" || allowed.as_bytes() == origin.as_bytes());
    allowed.then(|| origin.clone())
}
