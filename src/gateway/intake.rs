//! Intake: reads the body of an inference call within its limits and takes from it, and from the
//! headers, what the gateway itself acts on. The rest of the body stays as the client wrote it.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_proxy::Session;
use serde_json::Value;

use super::ctx::{Call, Payers, RequestCtx};
use super::error::GatewayError;
use super::refusal::HeadProblem;
use super::route::Asked;
use super::stored::{self, Named};
use super::{forms, hints, payer};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::FailureClass;
use crate::patience::within;
use crate::routing::Fallback;
use crate::wire::client::Obstacle;
use crate::wire::responses::Resource;
use crate::wire::{self, json::Object};

/// Code of a body whose end cannot be found.
pub(super) const UNREADABLE: &str = "invalid_body";

/// What moderates where a request names no model.
const MODERATION_MODEL: &str = "omni-moderation-latest";

/// Whose rule of fallbacks serves every group without its own.
const EVERY_GROUP: &str = "*";

/// Longest `x-request-id` that is taken over.
const REQUEST_ID_MAX: usize = 128;

/// The client's request id if it is fit to be printed, else a new one.
#[must_use]
pub(super) fn request_id(headers: &HeaderMap) -> Arc<str> {
    let given = ["x-request-id", "x-litellm-call-id"].into_iter().find_map(|name| {
        let id = headers.get(name)?.to_str().ok()?;
        (!id.is_empty() && id.len() <= REQUEST_ID_MAX && id.bytes().all(|b| b.is_ascii_graphic()))
            .then_some(id)
    });
    given.map_or_else(
        || {
            let id = uuid::Uuid::now_v7();
            Arc::from(&*id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()))
        },
        Arc::from,
    )
}

/// Reads the whole body of the request. `silence` is the longest pause that the client may make.
///
/// # Errors
/// `BodyTooLarge`, `BodyIncomplete`.
pub(super) async fn read_body(
    session: &mut Session,
    limit_bytes: usize,
    silence: Duration,
) -> Result<Bytes, GatewayError> {
    let too_large = || GatewayError::BodyTooLarge { limit_bytes };
    let header = session.req_header();
    let announced = header
        .headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit_bytes) {
        return Err(too_large());
    }
    let expects = header
        .headers
        .get(http::header::EXPECT)
        .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    if expects && session.as_downstream_mut().write_continue_response().await.is_err() {
        return Err(GatewayError::BodyIncomplete { why: "the connection was closed" });
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    loop {
        let reading = pin!(session.as_downstream_mut().read_request_body());
        let chunk = match within(silence, reading).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(unreadable(&error)),
            Err(_elapsed) => {
                return Err(GatewayError::BodyIncomplete { why: "the client stopped sending" });
            }
        };
        let have = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if have + chunk.len() > limit_bytes {
            return Err(too_large());
        }
        match &first {
            None => first = Some(chunk),
            Some(start) => {
                if rest.is_empty() {
                    // One allocation for bodies that say how long they are.
                    rest.reserve(announced.unwrap_or_else(|| 2 * (have + chunk.len())));
                    rest.extend_from_slice(start);
                    first = Some(Bytes::new());
                }
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(if rest.is_empty() { first.unwrap_or_default() } else { rest.freeze() })
}

/// A body that broke off, or whose transfer coding is none.
fn unreadable(error: &pingora_core::Error) -> GatewayError {
    match error.etype().as_str() {
        // Pingora's own names; it keeps the constants to itself.
        "InvalidChunk" | "InvalidTrailerEnd" => GatewayError::BadBody {
            message: "The request body is not in the chunked transfer coding that was announced."
                .into(),
            param: None,
            code: UNREADABLE,
        },
        _ => GatewayError::BodyIncomplete { why: "the connection was closed" },
    }
}

/// Understands the body as far as the gateway acts on it.
///
/// # Errors
/// `BadBody` for what is not a JSON object or has fields of the wrong type.
pub(super) fn understand(
    ctx: &RequestCtx,
    headers: &HeaderMap,
    query: &str,
    asked: Asked<'_>,
    body: Bytes,
) -> Result<Call, GatewayError> {
    let Asked { endpoint, dialect, model: path_model, stream: path_stream, array, kept, part } =
        asked;
    let encoding = headers.get(http::header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding
        .is_some_and(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    {
        return Err(GatewayError::BadHead(HeadProblem::Encoding));
    }
    let (body, form, keeper) = match endpoint.is_text() {
        true => {
            let (body, keeper) = stored::files(&ctx.snapshot.catalog, body)?;
            (json(body)?, None, keeper)
        }
        false => {
            let (body, form) = forms::read(headers, body, endpoint, kept.as_ref())?;
            (body, form, None)
        }
    };
    let (path_model, kept_call) = match kept {
        None => (path_model, None),
        Some(kept) => {
            let (model, stored) = forms::kept(ctx, headers, query, endpoint, kept, &body)?;
            (Some(model.into()), Some(Box::new(stored)))
        }
    };
    let embeds = endpoint == Endpoint::Embeddings;
    let said = wire::client::Asked { model: path_model.as_deref(), stream: path_stream, embeds };
    let (body, native, obstacle) = match dialect {
        ClientDialect::OpenAi => (body, None, Obstacle::default()),
        _ => {
            let canonical = wire::client::request(dialect, &body, said)
                .map_err(|failure| GatewayError::Upstream(Box::new(failure)))?;
            (canonical.body, Some(body), canonical.obstacle)
        }
    };
    let owner = stored::owner(&ctx.snapshot.catalog, native.as_ref())?.or(keeper);
    let model = match path_model {
        Some(model) => model.into_owned(),
        None => match body.str("model") {
            Some(model) if !model.is_empty() => model.into_owned(),
            // OpenAI's SDKs leave it out, and so does its documentation.
            None if endpoint == Endpoint::Moderations => MODERATION_MODEL.to_owned(),
            _ => return Err(bad("model", "`model` must be a string that names a model.")),
        },
    };
    [Some(&body), native.as_ref()].into_iter().flatten().try_for_each(one_model)?;
    // What is counted or compacted is a conversation, whose reply is whole.
    let endpoint = if part.is_some() { Endpoint::Responses } else { endpoint };
    check_shape(&body, endpoint)?;
    if let Some(form) = &form {
        forms::check(form, endpoint)?;
    }
    let stream = match endpoint {
        Endpoint::Speech => body.str("stream_format").is_some_and(|format| format == "sse"),
        _ => {
            flag(&body, "stream", "`stream` must be true or false.")?
                && (matches!(endpoint, Endpoint::Chat | Endpoint::Completions)
                    || forms::may_stream(endpoint))
        }
    };
    let show_usage = body
        .value("stream_options")
        .is_some_and(|options| options.get("include_usage").and_then(Value::as_bool) == Some(true));
    let traffic = &ctx.snapshot.traffic;
    let seconds = |name: &'static str, header: &str| {
        let given = match headers.get(header) {
            Some(value) => Some(Value::from(value.to_str().unwrap_or_default())),
            None => body.value(name).filter(|value| !value.is_null()),
        };
        let Some(given) = given else { return Ok(None) };
        let number = given.as_f64().or_else(|| given.as_str()?.trim().parse().ok());
        let seconds = number.filter(|seconds| seconds.is_finite() && *seconds > 0.0);
        let seconds = seconds.ok_or_else(|| {
            bad(name, format!("`{name}` must be a number of seconds above zero."))
        })?;
        // No bound that a client names reaches beyond the gateway's own.
        let bounded = seconds.min(traffic.total_timeout.as_secs_f64());
        Ok(Some(Duration::from_secs_f64(bounded)))
    };
    let forwarded = match dialect {
        ClientDialect::OpenAi => Vec::new(),
        _ => forwarded(headers),
    };
    Ok(Call {
        caller: ctx.caller.clone(),
        end_user: None,
        payers: Payers::default(),
        barred: Vec::new(),
        endpoint,
        dialect,
        native,
        form,
        obstacle,
        array,
        forwarded,
        fallbacks: fallbacks(&body, "fallbacks", &model)?,
        class_fallbacks: class_fallbacks(&body, &model)?,
        model: model.into(),
        stream,
        show_usage,
        num_retries: match &kept_call {
            // What may have been begun is not begun twice.
            Some(stored) if stored.is_new_batch(endpoint) => Some(0),
            _ => num_retries(&body, headers)?,
        },
        disable_fallbacks: kept_call.is_some()
            || flag(&body, "disable_fallbacks", "`disable_fallbacks` must be true or false.")?,
        stored: kept_call,
        tags: tags(&body, headers)?,
        deadline: ctx.started + traffic.total_timeout,
        timeout: seconds("timeout", "x-litellm-timeout")?,
        stream_timeout: seconds("stream_timeout", "x-litellm-stream-timeout")?,
        hints: hints::read(endpoint, &body, headers, &ctx.snapshot.routing)?,
        needs: std::sync::OnceLock::new(),
        resource: part.and_then(|part| match part {
            Named::InputTokens => Some(Resource::InputTokens),
            Named::Compact => Some(Resource::Compact),
            Named::Response { .. } => None,
        }),
        owner,
        body,
    })
}

pub(super) fn json(body: Bytes) -> Result<Object, GatewayError> {
    Object::parse(body).and_then(wire::merged).map_err(|malformed| GatewayError::BadBody {
        message: format!("The request body is not a JSON object: {malformed}"),
        param: None,
        code: "invalid_json",
    })
}

/// Headers of a client that a provider of its own dialect is to see.
fn forwarded(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let known = ["anthropic-version", "anthropic-beta"].into_iter();
    let found = known.filter_map(|name| Some((HeaderName::from_static(name), headers.get(name)?)));
    found.map(|(name, value)| (name, value.clone())).collect()
}

pub(super) fn bad(param: &'static str, message: impl Into<String>) -> GatewayError {
    GatewayError::BadBody { message: message.into(), param: Some(param), code: "invalid_type" }
}

/// Some providers take `Model` for `model`: it could name another one than that which was judged.
fn one_model(body: &Object) -> Result<(), GatewayError> {
    const NAME: &str = "model";
    match body.names().find(|name| *name != NAME && name.eq_ignore_ascii_case(NAME)) {
        None => Ok(()),
        Some(name) => Err(bad(NAME, format!("`{name}` is no field: write `{NAME}`."))),
    }
}

/// The field that an endpoint cannot do without; everything else is the provider's to judge.
fn check_shape(body: &Object, endpoint: Endpoint) -> Result<(), GatewayError> {
    let starts = |name: &str, with: &[u8]| {
        body.raw(name).and_then(|raw| raw.bytes().next()).is_some_and(|byte| with.contains(&byte))
    };
    match endpoint {
        Endpoint::Chat if !starts("messages", b"[") => {
            Err(bad("messages", "`messages` must be an array of messages."))
        }
        Endpoint::Embeddings if !starts("input", b"\"[") => {
            Err(bad("input", "`input` must be a string or an array."))
        }
        Endpoint::Moderations if !starts("input", b"\"[") => {
            Err(bad("input", "`input` must be a string or an array."))
        }
        Endpoint::Speech if !starts("input", b"\"") => {
            Err(bad("input", "`input` must be a string."))
        }
        Endpoint::ImageGenerations if !starts("prompt", b"\"") => {
            Err(bad("prompt", "`prompt` must be a string."))
        }
        Endpoint::Rerank if !starts("query", b"\"") => {
            Err(bad("query", "`query` must be a string."))
        }
        Endpoint::Rerank if !starts("documents", b"[") => {
            Err(bad("documents", "`documents` must be an array of strings or objects."))
        }
        _ => Ok(()),
    }
}

fn flag(body: &Object, name: &'static str, message: &str) -> Result<bool, GatewayError> {
    match body.raw(name) {
        None | Some("null" | "false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(bad(name, message)),
    }
}

/// How often a failure is answered by another attempt in the same group; the header goes first.
fn num_retries(body: &Object, headers: &HeaderMap) -> Result<Option<u32>, GatewayError> {
    const HEADER: &str = "x-litellm-num-retries";
    let wrong = |name| bad(name, format!("`{name}` must be a whole number from zero on."));
    if let Some(value) = headers.get(HEADER) {
        let count = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        return count.map(Some).ok_or_else(|| wrong(HEADER));
    }
    if !body.is_set("num_retries") {
        return Ok(None);
    }
    let count = body.u64("num_retries").and_then(|count| count.try_into().ok());
    count.map(Some).ok_or_else(|| wrong("num_retries"))
}

/// The request's own fallbacks, in the forms of the configuration: names, objects with a `model`
/// and parameters to replace, or rules by group, of which the one for `model` counts.
fn fallbacks(
    body: &Object,
    name: &'static str,
    model: &str,
) -> Result<Option<Vec<Fallback>>, GatewayError> {
    let written = match body.value(name) {
        None | Some(Value::Null) => return Ok(None),
        Some(written) => written,
    };
    let understood = match rule_for(model, &written) {
        Some(targets) => targets.iter().map(fallback).collect(),
        None => written.as_array().and_then(|list| list.iter().map(fallback).collect()),
    };
    understood.map(Some).ok_or_else(|| {
        let message = format!(
            "`{name}` must be an array of model names, of objects with a `model`, or of rules \
             such as {{\"model-a\": [\"model-b\"]}}."
        );
        bad(name, message)
    })
}

/// The lists for one class of failure each.
fn class_fallbacks(
    body: &Object,
    model: &str,
) -> Result<Vec<(FailureClass, Vec<Fallback>)>, GatewayError> {
    let mut lists = Vec::new();
    for (name, class) in [
        ("context_window_fallbacks", FailureClass::ContextWindow),
        ("content_policy_fallbacks", FailureClass::ContentPolicy),
    ] {
        // A group without its own list takes the general one, as in the configuration.
        let list = fallbacks(body, name, model)?.filter(|list| !list.is_empty());
        lists.extend(list.map(|list| (class, list)));
    }
    Ok(lists)
}

/// The targets of the rule for `model`, or of the one for all. `None`: these are no rules.
fn rule_for<'a>(model: &str, written: &'a Value) -> Option<&'a [Value]> {
    let is_rule = |targets: &Value| targets.is_array() || targets.is_string();
    let as_rules = |value: &'a Value| {
        let rules = value.as_object().filter(|rules| rules.values().all(is_rule));
        // `{"model": "b"}` is no rule but a target.
        rules.filter(|rules| !rules.get("model").is_some_and(Value::is_string))
    };
    let rules: Vec<_> = match written {
        Value::Array(list) if !list.is_empty() => list.iter().map(as_rules).collect::<Option<_>>(),
        _ => as_rules(written).map(|rules| vec![rules]),
    }?;
    let rule = |name| rules.iter().find_map(|rules| rules.get(name));
    let targets = rule(model).or_else(|| rule(EVERY_GROUP));
    Some(targets.map_or(&[], |targets| match targets {
        Value::Array(list) => list.as_slice(),
        alone => std::slice::from_ref(alone),
    }))
}

fn fallback(entry: &Value) -> Option<Fallback> {
    match entry {
        Value::String(group) => Some(Fallback { group: group.as_str().into(), params: Vec::new() }),
        Value::Object(fields) => {
            let group = fields.get("model")?.as_str()?.into();
            let params = fields.iter().filter(|(name, _)| *name != "model");
            let params = params.filter_map(|(name, value)| {
                Some((name.as_str().into(), serde_json::value::to_raw_value(value).ok()?))
            });
            Some(Fallback { group, params: params.collect() })
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => None,
    }
}

fn tags(body: &Object, headers: &HeaderMap) -> Result<Vec<Box<str>>, GatewayError> {
    let listed = |value: &Value| -> Option<Vec<Box<str>>> {
        value.as_array()?.iter().map(|tag| tag.as_str().map(Box::from)).collect()
    };
    let wrong = |name| bad(name, format!("`{name}` must be an array of strings."));
    let mut tags = match body.value("tags") {
        None | Some(Value::Null) => Vec::new(),
        Some(written) => listed(&written).ok_or_else(|| wrong("tags"))?,
    };
    if body.contains("metadata") {
        // As a text it is the client's own: OpenAI's metadata are texts.
        let metadata = body.value("metadata").unwrap_or_default();
        if let Some(written) = metadata.get("tags").filter(|tags| tags.is_array()) {
            tags.extend(listed(written).ok_or_else(|| wrong("metadata.tags"))?);
        }
    }
    if let Some(given) = headers.get("x-litellm-tags").and_then(|value| value.to_str().ok()) {
        tags.extend(given.split(',').map(Box::from));
    }
    payer::tags(&tags)
}

/// What is left of a deadline.
#[must_use]
pub(super) fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
