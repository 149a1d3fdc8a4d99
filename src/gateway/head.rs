//! The heads of our responses: what the client is told beside the body.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::ctx::RequestCtx;
use super::error::{GatewayError, whole_seconds};
use crate::admin::{auth, cors};

const CALL_ID: HeaderName = HeaderName::from_static("x-litellm-call-id");
const MODEL_ID: HeaderName = HeaderName::from_static("x-litellm-model-id");
const MODEL_GROUP: HeaderName = HeaderName::from_static("x-litellm-model-group");
const RETRIES: HeaderName = HeaderName::from_static("x-litellm-attempted-retries");
const FALLBACKS: HeaderName = HeaderName::from_static("x-litellm-attempted-fallbacks");
const COST: HeaderName = HeaderName::from_static("x-litellm-response-cost");
const OVERHEAD: HeaderName = HeaderName::from_static("x-litellm-overhead-duration-ms");
const DURATION: HeaderName = HeaderName::from_static("x-litellm-response-duration-ms");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Enough for every header below, so that the map never grows.
const HEADERS_MAX: usize = 32;

/// What the body of a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// JSON of so many bytes.
    Json(usize),
    /// An event stream of unknown length.
    EventStream,
}

/// The head of an answered call.
pub(super) fn answer(
    session: &Session,
    ctx: &RequestCtx,
    body: Body,
    upstream: Option<&HeaderMap>,
) -> pingora_core::Result<Box<ResponseHeader>> {
    let mut head = common(session, ctx, 200, body)?;
    if let Some(upstream) = upstream {
        rate_limits(&mut head, upstream)?;
    }
    Ok(Box::new(head))
}

/// The head of an error. `upstream` is the head of the provider's own error, if that is the cause.
pub(super) fn error(
    session: &Session,
    ctx: &RequestCtx,
    error: &GatewayError,
    body_bytes: usize,
    upstream: Option<&HeaderMap>,
) -> pingora_core::Result<Box<ResponseHeader>> {
    let mut head = common(session, ctx, error.status(), Body::Json(body_bytes))?;
    if let Some(wait) = error.retry_after() {
        head.insert_header(header::RETRY_AFTER, whole_seconds(wait))?;
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        head.insert_header(RETRY_AFTER_MS, millis)?;
    }
    match error {
        GatewayError::Key(_) => {
            head.insert_header(header::WWW_AUTHENTICATE, auth::CHALLENGE)?;
        }
        GatewayError::Upstream(failure) => {
            if let Some(should_retry) = failure.should_retry {
                head.insert_header(SHOULD_RETRY, if should_retry { "true" } else { "false" })?;
            }
        }
        GatewayError::BodyTooLarge { .. }
        | GatewayError::BodyIncomplete { .. }
        | GatewayError::BadBody { .. }
        | GatewayError::UnknownModel { .. }
        | GatewayError::AllCooling { .. }
        | GatewayError::DeploymentsFull { .. }
        | GatewayError::NoTaggedDeployment { .. }
        | GatewayError::GatewayFull
        | GatewayError::Deadline { .. }
        | GatewayError::Internal => {}
    }
    if let Some(upstream) = upstream {
        rate_limits(&mut head, upstream)?;
    }
    Ok(Box::new(head))
}

fn common(
    session: &Session,
    ctx: &RequestCtx,
    status: u16,
    body: Body,
) -> pingora_core::Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(status, Some(HEADERS_MAX))?;
    match body {
        Body::Json(bytes) => {
            head.insert_header(header::CONTENT_TYPE, "application/json")?;
            head.insert_header(header::CONTENT_LENGTH, bytes)?;
        }
        Body::EventStream => {
            head.insert_header(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")?;
            head.insert_header(header::CACHE_CONTROL, "no-cache")?;
            // nginx in front would otherwise hold the frames back.
            head.insert_header(ACCEL_BUFFERING, "no")?;
            if session.req_header().version == http::Version::HTTP_11 {
                head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
            }
        }
    }
    head.insert_header(REQUEST_ID, ctx.request_id.as_ref())?;
    head.insert_header(CALL_ID, ctx.request_id.as_ref())?;
    let origin = session.req_header().headers.get(header::ORIGIN);
    let mut marked = Ok(());
    cors::mark(&ctx.snapshot.access, origin, |name, value| {
        marked = head.append_header(name, value).map(|_| ());
    });
    marked?;
    if ctx.call.is_some() {
        let relayed = &ctx.relayed;
        if let Some(served) = &relayed.served_by {
            insert_text(&mut head, MODEL_ID, &served.deployment.id)?;
            insert_text(&mut head, MODEL_GROUP, &served.group)?;
        }
        head.insert_header(RETRIES, relayed.retries)?;
        head.insert_header(FALLBACKS, relayed.fallbacks)?;
        if let Some(cost) = relayed.cost {
            head.insert_header(COST, cost.to_string())?;
        }
        let total = ctx.started.elapsed();
        head.insert_header(DURATION, millis(total))?;
        head.insert_header(OVERHEAD, millis(total.saturating_sub(relayed.upstream)))?;
    }
    Ok(head)
}

/// Inserts a text of the configuration; one that cannot stand in a header is left out.
fn insert_text(
    head: &mut ResponseHeader,
    name: HeaderName,
    text: &str,
) -> pingora_core::Result<()> {
    match HeaderValue::from_str(text) {
        Ok(value) => head.insert_header(name, value),
        Err(_) => Ok(()),
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> String {
    let micros = duration.as_micros();
    format!("{}.{:03}", micros / 1000, micros % 1000)
}

/// Passes the provider's rate limits on under OpenAI's names.
fn rate_limits(head: &mut ResponseHeader, upstream: &HeaderMap) -> pingora_core::Result<()> {
    for (name, value) in upstream {
        let name = name.as_str();
        if name.starts_with("x-ratelimit-") {
            head.insert_header(name.to_owned(), value.clone())?;
        } else if let Some(rest) = name.strip_prefix("anthropic-ratelimit-") {
            // `requests-limit` is OpenAI's `limit-requests`.
            if let Some((what, kind)) = rest.rsplit_once('-')
                && matches!(what, "requests" | "tokens")
                && matches!(kind, "limit" | "remaining" | "reset")
            {
                head.insert_header(format!("x-ratelimit-{kind}-{what}"), value.clone())?;
            }
        }
    }
    Ok(())
}
