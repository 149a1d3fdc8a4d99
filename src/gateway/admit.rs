//! Admission: may this caller call, and is there room for one more request.

use http::HeaderMap;

use super::Gateway;
use super::ctx::{InFlight, RequestCtx};
use super::error::GatewayError;
use crate::admin::auth;
use crate::keys::{self, Access, Caller};

/// Finds out who calls, by the keys in the request's headers.
///
/// # Errors
/// `Key`.
pub(super) fn caller(access: &Access, headers: &HeaderMap) -> Result<Caller, GatewayError> {
    let candidates = auth::candidates(headers, access.key_header.as_ref());
    keys::authorise(access, candidates).map_err(GatewayError::Key)
}

/// Counts the request in.
///
/// # Errors
/// `GatewayFull` at `global_max_parallel_requests`.
pub(super) fn enter(gateway: &Gateway, ctx: &RequestCtx) -> Result<InFlight, GatewayError> {
    let bound = ctx.snapshot.traffic.max_parallel_requests;
    InFlight::enter(&gateway.in_flight, bound, &gateway.metrics).ok_or(GatewayError::GatewayFull)
}
