//! Settling: when a request is over, what it was goes into the metrics, the traces and the access log.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use pingora_proxy::Session;

use super::Gateway;
use super::alarmed;
use super::cached::Cached;
use super::ctx::{InFlight, RequestCtx};
use super::error::GatewayError;
use super::labels;
use super::passing;
use super::route::Route as GatewayRoute;
use super::{told, traced, transcribed};
use crate::admin::routes;
use crate::snapshot::Snapshot;
use crate::telemetry::{
    CacheUse, Client, ClientText, Durations, ErrorRecord, RequestRecord, Route, Transcript,
    class_name,
};

/// The status of a request whose client left before it had one; nginx made it known.
pub(super) const CLIENT_CLOSED: u16 = 499;

/// The class of requests whose head was refused.
pub(super) const HEAD_ERROR: &str = "head";

/// Records the request. Called once for each, however it ended.
/// `transcript`: what was said, if anybody is to be told.
pub(super) fn settle(
    gateway: &Gateway,
    session: &Session,
    ctx: &mut RequestCtx,
    transcript: Option<&Arc<Transcript>>,
) {
    ctx.entry_over();
    ctx.watched = None;
    let head = session.req_header();
    let path = head.uri.path();
    let passed = ctx.passing.as_ref().map(|passing| passing.route());
    let route = passed.unwrap_or_else(|| route_of(&head.method, path));
    let mut record = RequestRecord::new(ctx.started_at, route, head.method.clone());
    record.request_id = ClientText::new(&ctx.request_id);
    record.call_id = ClientText::new(&ctx.request_id);
    record.trace = traced::id(ctx, route);
    record.path = ClientText::new(&routes::logged(path));
    record.status = ctx.status.unwrap_or(CLIENT_CLOSED);
    record.client = Client {
        ip: ctx.client_ip,
        user_agent: head
            .headers
            .get(http::header::USER_AGENT)
            .map(|value| ClientText::from_bytes(value.as_bytes())),
        caller: ctx.caller.clone(),
        end_user: ctx.call.as_ref().and_then(|call| call.end_user.as_deref()).map(ClientText::new),
        disconnected: ctx.client_gone,
    };
    record.bytes_in = session.body_bytes_read() as u64;
    record.error = error_of(ctx);
    let relayed = std::mem::take(&mut ctx.relayed);
    let total = ctx.started.elapsed();
    record.durations = Durations {
        total,
        upstream: (!relayed.attempts.is_empty()).then_some(relayed.upstream),
        overhead: overhead(total, &relayed),
        ttft: relayed.first_token,
        queued: ctx.in_flight.as_ref().and_then(InFlight::queued),
    };
    if let Some(call) = &ctx.call {
        record.stream = call.stream;
        record.model_asked = Some(ClientText::new(&call.model));
        record.group_asked = ctx.group_asked.clone();
        record.labels = labels::of(ctx, call);
    }
    if let Some(passing) = &ctx.passing {
        record.model_asked = Some(ClientText::new(passing.asked()));
    }
    record.served = relayed.served_by;
    record.usage = relayed.usage;
    record.cost = relayed.cost;
    record.cache = match &ctx.cached {
        Cached::Off | Cached::Bypass => None,
        Cached::Miss { .. } => Some(CacheUse::Miss),
        Cached::Hit(hit) => Some(CacheUse::Hit {
            key: Arc::clone(&hit.name),
            similarity: hit.similarity,
            tokens: hit.usage.total_tokens(),
            saved: hit.cost,
        }),
    };
    if let Some(guarded) = &ctx.guarded {
        record.guardrails = guarded.names().cloned().collect();
        record.findings = guarded.findings().0.clone();
    }
    record.attempts = relayed.attempts;
    record.retries = relayed.retries;
    record.fallbacks = relayed.fallbacks;
    record.bytes_out = relayed.bytes_sent;
    gateway.metrics.request(&record);
    if let Some(transcript) = transcript {
        transcribed::store(gateway, ctx, transcript);
    }
    traced::tell(gateway, session, ctx, &record, transcript.map(|it| &**it));
    told::tell(gateway, &head.headers, ctx, &record, transcript);
    alarmed::tell(gateway, &ctx.snapshot, &record);
    if ctx.snapshot.logs.access_log {
        gateway.access_log.request(record);
    }
}

/// The name under which the metrics count a request; `None` for one that means nothing here.
pub(super) fn group_asked(snapshot: &Snapshot, model: &str) -> Option<Arc<str>> {
    if let Some(name) = snapshot.rules.names().find(|name| *name == model) {
        return Some(name.into());
    }
    snapshot.catalog.asked(model).map(|found| found.group)
}

/// The family of paths that a request belongs to.
#[must_use]
pub(super) fn route_of(method: &Method, path: &str) -> Route {
    match GatewayRoute::find(method, path, None) {
        GatewayRoute::Inference(asked) => Route::Inference(asked.endpoint, asked.dialect),
        GatewayRoute::Admin => page(path),
    }
}

/// Time that the gateway itself took. A stream's own duration is the provider's, so for streams it
/// is what came before the first frame.
fn overhead(total: Duration, relayed: &super::ctx::Relayed) -> Duration {
    let until = if relayed.streamed { relayed.first_token.unwrap_or(total) } else { total };
    until.saturating_sub(relayed.upstream)
}

fn page(path: &str) -> Route {
    if passing::is_realtime(path) {
        return Route::Realtime;
    }
    let path = path.strip_prefix("/v1").unwrap_or(path);
    if path.starts_with("/models") {
        Route::Models
    } else if path.starts_with("/health") {
        Route::Health
    } else if path.starts_with("/metrics") {
        Route::Metrics
    } else {
        Route::Other
    }
}

pub(super) fn error_of(ctx: &RequestCtx) -> Option<ErrorRecord> {
    let Some(error) = &ctx.error else {
        return ctx
            .client_gone
            .then(|| ErrorRecord { class: "client_closed", code: "client_closed".into() });
    };
    let class = match error {
        GatewayError::Key(_) | GatewayError::RouteDenied { .. } => "key",
        GatewayError::ModelDenied { .. } => "model_access",
        GatewayError::EndUserBlocked { .. } => "end_user",
        GatewayError::BadHead(_) => HEAD_ERROR,
        GatewayError::BodyTooLarge { .. }
        | GatewayError::BodyIncomplete { .. }
        | GatewayError::BadBody { .. } => "body",
        GatewayError::UnknownModel { .. } => "model",
        GatewayError::Upstream(failure) => class_name(failure.class),
        GatewayError::AllCooling { .. } => "all_cooling",
        GatewayError::NoneFits { .. } => "none_fits",
        GatewayError::NoTaggedDeployment { .. } => "tags",
        GatewayError::DeploymentsFull { .. } => "deployments_full",
        GatewayError::DeploymentsLimited { .. } => "deployments_limited",
        GatewayError::NoRoom(no_room) => no_room.code(),
        GatewayError::GatewayFull => "gateway_full",
        GatewayError::Overloaded => "overloaded",
        GatewayError::Unrecorded => "unrecorded",
        GatewayError::Guarded(_) => "guardrail",
        GatewayError::Deadline { .. } => "deadline",
        GatewayError::Internal => "internal",
    };
    Some(ErrorRecord { class, code: ClientText::new(&error.code()) })
}
