//! The heads of our responses: what the client is told beside the body.

use std::time::Duration;

use http::StatusCode;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::ctx::RequestCtx;
use super::error::{ClientDialect, GatewayError, NoRoom, whole_seconds};
use super::quota;
use super::refusal::HeadProblem;
use crate::admin::{auth, cors};
use crate::admission::Why;
use crate::failure::FailureClass;

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
/// On a hit only, as LiteLLM sends it.
const CACHE_KEY: HeaderName = HeaderName::from_static("x-litellm-cache-key");
const CACHE: HeaderName = HeaderName::from_static("x-tollgate-cache");
/// LiteLLM's. Of a miss, it is what the nearest question had.
const SIMILARITY: HeaderName = HeaderName::from_static("x-litellm-semantic-similarity");
const GUARDRAILS: HeaderName = HeaderName::from_static("x-litellm-applied-guardrails");
const ROUTING: HeaderName = HeaderName::from_static("x-tollgate-routing");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Where Anthropic's SDKs look for the id of a request.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const TOKEN_COUNT: HeaderName = HeaderName::from_static("x-tollgate-token-count");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const KEY_RPM: HeaderName = HeaderName::from_static("x-litellm-key-rpm-limit");
const KEY_TPM: HeaderName = HeaderName::from_static("x-litellm-key-tpm-limit");
const KEY_MAX_BUDGET: HeaderName = HeaderName::from_static("x-litellm-key-max-budget");
const KEY_SPEND: HeaderName = HeaderName::from_static("x-litellm-key-spend");
/// LiteLLM's names, without a prefix.
const RATE_LIMIT_TYPE: HeaderName = HeaderName::from_static("rate_limit_type");
const RESET_AT: HeaderName = HeaderName::from_static("reset_at");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Enough for the headers below, Pingora's two and some rate limits, so that the map seldom grows.
/// A map has a hundred bytes for each.
const HEADERS_ROOM: usize = 24;

/// What the body of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON of so many bytes.
    Json(usize),
    /// An event stream of unknown length.
    EventStream,
    /// What the provider's head says it is, of this length if that is known.
    AsSent(Option<usize>),
    /// The elements of a JSON array, one after the other.
    ArrayStream,
}

/// What a head says of a body that is passed on as it is, beside its length.
pub(super) static DESCRIBES: [HeaderName; 3] =
    [header::CONTENT_TYPE, header::CONTENT_LENGTH, header::CONTENT_DISPOSITION];

/// The head of an answered call.
pub(super) fn answer(
    session: &Session,
    ctx: &RequestCtx,
    body: Body,
    upstream: Option<&HeaderMap>,
) -> Box<ResponseHeader> {
    let mut headers = common(session, ctx, body);
    if let Some(upstream) = upstream {
        rate_limits(&mut headers, upstream);
        if matches!(body, Body::AsSent(_)) {
            for name in [header::CONTENT_TYPE, header::CONTENT_DISPOSITION] {
                if let Some(value) = upstream.get(&name) {
                    headers.insert(name, value.clone());
                }
            }
        }
        anthropics_own(&mut headers, ctx, upstream);
    }
    if let Some(exact) = ctx.relayed.counted {
        let word = if exact { "exact" } else { "estimated" };
        headers.insert(TOKEN_COUNT, HeaderValue::from_static(word));
    }
    of(StatusCode::OK, headers)
}

/// The head of an error. `upstream` is the head of the provider's own error, if that is the cause.
pub(super) fn error(
    session: &Session,
    ctx: &RequestCtx,
    error: &GatewayError,
    status: u16,
    body_bytes: usize,
    upstream: Option<&HeaderMap>,
) -> Box<ResponseHeader> {
    let mut headers = common(session, ctx, Body::Json(body_bytes));
    // A quota that is used up does not come back while a client waits.
    let is_permanent = matches!(
        error,
        GatewayError::Upstream(failure)
            if failure.class == FailureClass::Quota && failure.should_retry != Some(true)
    );
    if let Some(wait) = error.retry_after().filter(|_| !is_permanent) {
        headers.insert(header::RETRY_AFTER, whole_seconds(wait).into());
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        headers.insert(RETRY_AFTER_MS, millis.into());
    }
    match error {
        GatewayError::Key(error) => {
            if error.status() == 401 {
                headers.insert(header::WWW_AUTHENTICATE, auth::CHALLENGE);
            }
        }
        GatewayError::Upstream(failure) => {
            let said = failure.should_retry;
            if let Some(should_retry) = said.or_else(|| is_permanent.then_some(false)) {
                let word = if should_retry { "true" } else { "false" };
                headers.insert(SHOULD_RETRY, HeaderValue::from_static(word));
            }
        }
        GatewayError::NoRoom(no_room) => told_limits(&mut headers, no_room),
        GatewayError::BadHead(HeadProblem::NoUpgrade) if session.is_http2() => {}
        GatewayError::BadHead(HeadProblem::NoUpgrade) => {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        GatewayError::ModelDenied { .. }
        | GatewayError::RouteDenied { .. }
        | GatewayError::EndUserBlocked { .. }
        | GatewayError::BadHead(_)
        | GatewayError::BodyTooLarge { .. }
        | GatewayError::BodyIncomplete { .. }
        | GatewayError::BadBody { .. }
        | GatewayError::UnknownModel { .. }
        | GatewayError::AllCooling { .. }
        | GatewayError::DeploymentsFull { .. }
        | GatewayError::DeploymentsLimited { .. }
        | GatewayError::NoneFits { .. }
        | GatewayError::NoTaggedDeployment { .. }
        | GatewayError::GatewayFull
        | GatewayError::Overloaded
        | GatewayError::Unrecorded
        | GatewayError::Guarded(_)
        | GatewayError::Deadline { .. }
        | GatewayError::Internal => {}
    }
    if let Some(upstream) = upstream {
        rate_limits(&mut headers, upstream);
        anthropics_own(&mut headers, ctx, upstream);
    }
    of(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), headers)
}

/// Made from a map of names that are parsed already: Pingora's own insertion parses each again.
fn of(status: StatusCode, headers: HeaderMap) -> Box<ResponseHeader> {
    let (mut parts, ()) = http::Response::new(()).into_parts();
    parts.status = status;
    parts.headers = headers;
    Box::new(parts.into())
}

fn common(session: &Session, ctx: &RequestCtx, body: Body) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(HEADERS_ROOM);
    match body {
        Body::Json(bytes) => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::CONTENT_LENGTH, bytes.into());
        }
        Body::EventStream | Body::ArrayStream => {
            let kind = match body {
                Body::ArrayStream => HeaderValue::from_static("application/json"),
                _ => HeaderValue::from_static("text/event-stream; charset=utf-8"),
            };
            headers.insert(header::CONTENT_TYPE, kind);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            // nginx in front would otherwise hold the frames back.
            headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
            chunked(&mut headers, session);
        }
        Body::AsSent(length) => {
            let kind = HeaderValue::from_static("application/octet-stream");
            headers.insert(header::CONTENT_TYPE, kind);
            match length {
                Some(bytes) => {
                    headers.insert(header::CONTENT_LENGTH, bytes.into());
                }
                None => chunked(&mut headers, session),
            }
        }
    }
    if let Ok(id) = HeaderValue::from_str(&ctx.request_id) {
        headers.insert(REQUEST_ID, id.clone());
        if ctx.dialect == ClientDialect::Anthropic {
            headers.insert(ANTHROPIC_REQUEST_ID, id.clone());
        }
        headers.insert(CALL_ID, id);
    }
    let origin = session.req_header().headers.get(header::ORIGIN);
    cors::mark(&ctx.snapshot.access, origin, |name, value| {
        headers.append(name, value);
    });
    if ctx.call.is_some() {
        let relayed = &ctx.relayed;
        if let Some(served) = &relayed.served_by {
            insert_text(&mut headers, MODEL_ID, &*served.deployment.id);
            insert_text(&mut headers, MODEL_GROUP, &*served.group);
        }
        headers.insert(RETRIES, relayed.retries.into());
        headers.insert(FALLBACKS, relayed.fallbacks.into());
        if let Some(word) = ctx.cached.word() {
            headers.insert(CACHE, HeaderValue::from_static(word));
        }
        if let Some(hit) = ctx.cached.hit() {
            insert_text(&mut headers, CACHE_KEY, &*hit.name);
        }
        if let Some(similarity) = ctx.cached.similarity() {
            insert_text(&mut headers, SIMILARITY, format!("{similarity:.4}"));
        }
        if let Some(guarded) = &ctx.guarded {
            let names: Vec<&str> = guarded.names().map(|name| &**name).collect();
            insert_text(&mut headers, GUARDRAILS, names.join(","));
        }
        if let Some(explained) = &relayed.explained {
            insert_text(&mut headers, ROUTING, &**explained);
        }
        if let Some(cost) = relayed.cost {
            insert_text(&mut headers, COST, cost.to_string());
        }
        own_limits(&mut headers, ctx);
        let total = ctx.started.elapsed();
        insert_text(&mut headers, DURATION, millis(total));
        insert_text(&mut headers, OVERHEAD, millis(total.saturating_sub(relayed.upstream)));
    }
    headers
}

/// What is left of the limits that the request was let in by, in LiteLLM's names, and what its key may
/// use.
fn own_limits(headers: &mut HeaderMap, ctx: &RequestCtx) {
    for room in ctx.ticket.rooms() {
        let whose = quota::descriptor(room.kind);
        for (limit, left, what) in [
            (room.limit.requests, room.left.requests, "requests"),
            (room.limit.tokens, room.left.tokens, "tokens"),
        ] {
            if let Some(limit) = limit {
                own_limit(headers, whose, what, limit, left);
            }
        }
    }
    let Some(key) = quota::of_key(ctx.caller.as_ref()) else { return };
    for (name, limit) in [(KEY_RPM, key.rpm_limit), (KEY_TPM, key.tpm_limit)] {
        if let Some(limit) = limit {
            headers.insert(name, limit.into());
        }
    }
    if let Some(max) = key.max_budget {
        insert_text(headers, KEY_MAX_BUDGET, max.to_string());
    }
    if let Some(spent) = ctx.ticket.key_spent() {
        insert_text(headers, KEY_SPEND, spent.to_string());
    }
}

fn own_limit(headers: &mut HeaderMap, whose: &str, what: &str, limit: u64, left: u64) {
    for (word, value) in [("limit", limit), ("remaining", left)] {
        if let Ok(name) = HeaderName::try_from(format!("x-ratelimit-{whose}-{word}-{what}")) {
            headers.insert(name, value.into());
        }
    }
}

/// Which limit refused the request, and until when.
fn told_limits(headers: &mut HeaderMap, no_room: &NoRoom) {
    let Some(kind) = no_room.limit() else { return };
    headers.insert(RATE_LIMIT_TYPE, HeaderValue::from_static(kind));
    if let Some(resets) = no_room.resets() {
        headers.insert(RESET_AT, resets.as_second().into());
    }
    let (limit, remaining) = match no_room.refusal.why {
        Why::Rate { limit, remaining, .. } => (limit, remaining),
        Why::Parallel { limit } => (limit, 0),
        Why::Budget { .. } | Why::Unknown => return,
    };
    own_limit(headers, quota::descriptor(no_room.refusal.scope.kind), kind, limit, remaining);
}

/// The framing of a body of unknown length.
pub(super) fn chunked(headers: &mut HeaderMap, session: &Session) {
    if session.req_header().version == http::Version::HTTP_11 {
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// Inserts a text; one that cannot stand in a header is left out.
fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: impl TryInto<HeaderValue>) {
    if let Ok(value) = text.try_into() {
        headers.insert(name, value);
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    let mut text = itoa::Buffer::new().format(micros / 1000).to_owned();
    // A thousand and some: its first digit is left out.
    let mut fraction = itoa::Buffer::new();
    text.push('.');
    text.extend(fraction.format(1000 + micros % 1000).chars().skip(1));
    text
}

/// For Anthropic's clients its headers keep their names, and the id by which it knows the request
/// takes the place of ours.
fn anthropics_own(headers: &mut HeaderMap, ctx: &RequestCtx, upstream: &HeaderMap) {
    if ctx.dialect != ClientDialect::Anthropic {
        return;
    }
    for (name, value) in upstream {
        let word = name.as_str();
        if name == ANTHROPIC_REQUEST_ID
            || word.starts_with("anthropic-ratelimit-")
            || word.starts_with("anthropic-priority-")
        {
            headers.insert(name.clone(), value.clone());
        }
    }
}

/// Passes the provider's rate limits on under OpenAI's names.
fn rate_limits(headers: &mut HeaderMap, upstream: &HeaderMap) {
    for (name, value) in upstream {
        if name.as_str().starts_with("x-ratelimit-") {
            headers.insert(name.clone(), value.clone());
        } else if let Some(rest) = name.as_str().strip_prefix("anthropic-ratelimit-")
            // `requests-limit` is OpenAI's `limit-requests`.
            && let Some((what @ ("requests" | "tokens"), kind)) = rest.rsplit_once('-')
            && matches!(kind, "limit" | "remaining" | "reset")
            && let Ok(name) = HeaderName::try_from(format!("x-ratelimit-{kind}-{what}"))
        {
            headers.insert(name, value.clone());
        }
    }
}
