//! Tells callbacks of a request that is over: what is shared already is handed on, and little is copied.

use std::sync::Arc;

use http::HeaderMap;

use super::Gateway;
use super::ctx::{Call, RequestCtx};
use super::payer;
use crate::callbacks::{CacheUse, Failed, Text, Told};
use crate::catalog::Served;
use crate::dialect::{ClientDialect, Endpoint};
use crate::keys::Caller;
use crate::snapshot::Snapshot;
use crate::telemetry::{self, RequestRecord, Route, Transcript};
use crate::wire::json::Object;

const WITHOUT: &str = "x-litellm-disable-callbacks";

/// The parameters of a request that callbacks are told: those that hold nothing of the prompt.
const PARAMETERS: [&str; 24] = [
    "dimensions",
    "encoding_format",
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "quality",
    "reasoning_effort",
    "response_format",
    "seed",
    "service_tier",
    "size",
    "speed",
    "stream",
    "style",
    "temperature",
    "tool_choice",
    "top_k",
    "top_logprobs",
    "top_p",
];
/// Longer values are no numbers or words.
const PARAMETER_MAX: usize = 64;
/// Larger metadata are left out, as of the ledger's rows.
const METADATA_MAX: usize = 8 * 1024;

/// Hands a request that is over to the callbacks, if there are any.
pub(super) fn tell(
    gateway: &Gateway,
    headers: &HeaderMap,
    ctx: &RequestCtx,
    record: &RequestRecord,
    transcript: Option<&Arc<Transcript>>,
) {
    let settings = &ctx.snapshot.callbacks;
    let holder = record.client.caller.as_ref().and_then(Caller::principal);
    let is_told =
        || !settings.sinks.is_empty() || holder.is_some_and(|holder| settings.own.has_own(holder));
    // Whose key opens nothing has no entry: strangers are not told of.
    let Some(id) = ctx.row.clone().filter(|_| is_told()) else { return };
    // None: nobody is to be told what is said, its maker perhaps does not want it. Errors may repeat it.
    let text = transcript.filter(|_| settings.wants_text);
    let call = ctx.call.as_deref();
    let message = ctx.error.as_ref().filter(|_| text.is_some()).map(|error| error.message());
    let mut told = of_record(id, record, call);
    told.call_id = Arc::clone(&ctx.request_id);
    told.session = payer::session(headers).as_deref().map(Into::into);
    told.trace = payer::trace(headers).as_deref().map(Into::into);
    if let Some(failed) = &mut told.failed {
        failed.message = message.map(Into::into);
    }
    told.text = text.map(|said| Text { request: said.request.clone(), reply: said.reply.clone() });
    told.without = without(headers);
    gateway.callbacks.tell(Box::new(told));
}

/// Hands a copy for a `silent_model` to the callbacks of the gateway: a call of its own, marked, and in the
/// trace of the request. Nobody is told what it says, and it is nobody's but the gateway's.
pub(super) fn tell_shadow(
    gateway: &Gateway,
    snapshot: &Snapshot,
    call: &Call,
    (id, call_id, request_id): (Arc<str>, Arc<str>, &Arc<str>),
    record: &RequestRecord,
) {
    if snapshot.callbacks.sinks.is_empty() {
        return;
    }
    let mut told = of_record(id, record, Some(call));
    told.call_id = call_id;
    told.trace = Some((&**request_id).into());
    told.is_shadow = true;
    gateway.callbacks.tell(Box::new(told));
}

/// What is the same of all.
fn of_record(id: Arc<str>, record: &RequestRecord, call: Option<&Call>) -> Told {
    let body = call.map(|call| call.native.as_ref().unwrap_or(&call.body));
    Told {
        call_id: Arc::clone(&id),
        id,
        session: None,
        trace: None,
        call_type: call_type(record.route, call),
        route: record.path.as_str().into(),
        started: record.started,
        total: record.durations.total,
        overhead: record.durations.overhead,
        ttft: record.durations.ttft,
        stream: record.stream,
        status: record.status,
        model: record.model_asked.as_ref().map_or("", |model| model.as_str()).into(),
        group: record.group_asked.clone(),
        served: served(record),
        usage: record.usage,
        cost: record.cost,
        cache: record.cache.as_ref().map(|used| match used {
            telemetry::CacheUse::Miss => CacheUse::Miss,
            telemetry::CacheUse::Hit { key, saved, .. } => {
                CacheUse::Hit { key: Arc::clone(key), saved: *saved }
            }
        }),
        caller: record.client.caller.clone(),
        end_user: record.client.end_user.as_ref().map(|text| text.as_str().into()),
        ip: record.client.ip,
        user_agent: record.client.user_agent.as_ref().map(|text| text.as_str().into()),
        tags: call.map(|call| call.tags.clone()).unwrap_or_default(),
        parameters: body.map(parameters).unwrap_or_default(),
        metadata: body.and_then(metadata),
        guardrails: record.guardrails.clone(),
        findings: record.findings.clone(),
        failed: record.error.as_ref().map(|error| Failed {
            class: error.class,
            code: error.code.as_str().into(),
            message: None,
        }),
        retries: record.retries,
        fallbacks: record.fallbacks,
        text: None,
        without: Vec::new(),
        is_shadow: false,
    }
}

/// Who answered; of a request that failed, who was tried last.
fn served(record: &RequestRecord) -> Option<Served> {
    if record.served.is_some() {
        return record.served.clone();
    }
    let last = record.attempts.last().filter(|_| record.error.is_some())?;
    let asked = record.model_asked.as_ref().map(|model| Arc::from(model.as_str()));
    let model = asked.filter(|_| last.deployment.model.contains('*'));
    Some(Served {
        deployment: Arc::clone(&last.deployment),
        group: Arc::clone(&last.group),
        model: model.unwrap_or_else(|| Arc::clone(&last.deployment.model)),
    })
}

/// The callbacks that a client does not want.
fn without(headers: &HeaderMap) -> Vec<Box<str>> {
    let lines = headers.get_all(WITHOUT).iter().filter_map(|line| line.to_str().ok());
    let names = lines.flat_map(|line| line.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(Into::into).collect()
}

fn parameters(body: &Object) -> Vec<(&'static str, Box<str>)> {
    let is_plain = |raw: &&str| raw.len() <= PARAMETER_MAX && !raw.starts_with(['{', '[', 'n']);
    let of = |name| Some((name, body.raw(name).filter(is_plain)?.into()));
    PARAMETERS.into_iter().filter_map(of).collect()
}

/// `metadata` of a request, or `litellm_metadata` where the API has another use for that name.
fn metadata(body: &Object) -> Option<Box<str>> {
    let own = body.raw("litellm_metadata").or_else(|| body.raw("metadata"));
    own.filter(|raw| raw.starts_with('{') && raw.len() <= METADATA_MAX).map(Into::into)
}

/// LiteLLM's name of what was called.
fn call_type(route: Route, call: Option<&Call>) -> &'static str {
    let streams = call.is_some_and(|call| call.stream);
    match route {
        Route::Inference(endpoint, dialect) => match (endpoint, dialect) {
            (Endpoint::Chat, ClientDialect::OpenAi) => "acompletion",
            (Endpoint::Chat, ClientDialect::Anthropic) => "anthropic_messages",
            (Endpoint::Chat, ClientDialect::Gemini) if streams => "agenerate_content_stream",
            (Endpoint::Chat, ClientDialect::Gemini) => "agenerate_content",
            (Endpoint::Chat, ClientDialect::Responses) | (Endpoint::Responses, _) => "aresponses",
            (Endpoint::Completions, _) => "atext_completion",
            (Endpoint::Embeddings, _) => "aembedding",
            (Endpoint::CountTokens, _) => "acount_tokens",
            (Endpoint::ImageGenerations, _) => "aimage_generation",
            (Endpoint::ImageEdits, _) => "aimage_edit",
            (Endpoint::ImageVariations, _) => "aimage_variation",
            (Endpoint::Transcriptions | Endpoint::Translations, _) => "atranscription",
            (Endpoint::Speech, _) => "aspeech",
            (Endpoint::Rerank, _) => "arerank",
            (Endpoint::Moderations, _) => "amoderation",
            (Endpoint::Files, _) => "afile",
            (Endpoint::Batches, _) => "abatch",
        },
        Route::Realtime => "_arealtime",
        Route::PassThrough | Route::Models | Route::Health | Route::Metrics | Route::Other => {
            "pass_through_endpoint"
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::provider::sample::headers;

    #[test]
    fn parameters_hold_nothing_of_the_prompt() {
        let body = br#"{"model":"m","temperature":0.5,"stop":"a secret","user":"u","seed":null,
            "response_format":{"type":"json_object"},"reasoning_effort":"low","messages":[]}"#;
        let body = Object::parse(Bytes::from_static(body)).unwrap();
        let expected = [("reasoning_effort", "\"low\"".into()), ("temperature", "0.5".into())];
        assert_eq!(parameters(&body), expected);
    }

    #[test]
    fn clients_name_the_callbacks_that_they_do_not_want() {
        let named = without(&headers(&[(WITHOUT, "langfuse, s3_v2 ,")]));
        assert_eq!(named, ["langfuse".into(), "s3_v2".into()] as [Box<str>; 2]);
    }
}
