//! LiteLLM's `StandardLoggingPayload` of a request that is over.
//!
//! What LiteLLM would say and nobody knows here is left out rather than made up. Credentials that
//! people write into metadata are masked; keys of providers and of clients are in none of the parts.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::told::{CacheUse, Failed, Text, Told};
use crate::keys::{Caller, Principal, mask};
use crate::money::Usd;
use crate::usage::Usage;

/// What stands for prompts and replies that are not told; LiteLLM's words.
const REDACTED: &str = "redacted-by-litellm";
/// What stands for those that are too long to be told.
const TOO_LONG: &str = "left out: it is too long";
/// The longest prompt, and the longest reply, that is told.
const TEXT_BYTES_MAX: usize = 512 * 1024;
/// What marks a copy for a `silent_model` in its metadata; LiteLLM's word.
pub(super) const SHADOW: &str = "is_silent_experiment";
/// What the metadata of a key's holder begin with.
const OF_CALLER: &str = "user_api_key_";

/// The payload as it is kept and sent.
pub(super) fn written(told: &Told, hides_callers: bool) -> Bytes {
    Bytes::from(of(told, hides_callers).to_string())
}

pub(super) fn of(told: &Told, hides_callers: bool) -> Value {
    let started = seconds(told.started);
    let at = |after: Duration| seconds(told.started + after);
    let first = told.ttft.unwrap_or(told.total);
    let response_time = if told.stream { first } else { told.total };
    let served = told.served.as_ref();
    let usage = told.usage.unwrap_or_default();
    let cost = told.cost.unwrap_or_default().dollars();
    let (cache_hit, cache_key, saved) = match &told.cache {
        None => (None, None, Usd::ZERO),
        Some(CacheUse::Miss) => (Some(false), None, Usd::ZERO),
        Some(CacheUse::Hit { key, saved }) => (Some(true), Some(key), *saved),
    };
    let api_base = served.map_or("", |served| &served.deployment.target.api_base);
    let model_id = served.map(|served| &served.deployment.id);
    let trace = told.trace.as_deref().unwrap_or(&told.call_id);
    let (messages, response) = said(told);
    let failed = told.failed.as_ref();
    let mut payload = json!({
        "id": told.id,
        "trace_id": trace,
        "session_id": told.session,
        "litellm_call_id": told.call_id,
        "call_type": told.call_type,
        "stream": told.stream,
        "response_cost": cost,
        "status": if failed.is_some() { "failure" } else { "success" },
        "status_fields": {
            "llm_api_status": if failed.is_some() { "failure" } else { "success" },
            "guardrail_status": guardrail_status(told),
        },
        "custom_llm_provider": served.map(|served| &served.deployment.provider),
        "total_tokens": usage.total_tokens(),
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "startTime": started,
        "endTime": at(told.total),
        "completionStartTime": at(first),
        "response_time": response_time.as_secs_f64(),
    });
    let more = json!({
        "model": served.map_or(&*told.model, |served| &served.model),
        "model_id": model_id,
        "model_group": served.map(|served| &served.group).or(told.group.as_ref()),
        "api_base": api_base,
        "metadata": metadata(told, hides_callers),
        "cache_hit": cache_hit,
        "cache_key": cache_key,
        "saved_cache_cost": saved.dollars(),
        "request_tags": told.tags,
        "end_user": told.end_user.as_deref().unwrap_or(""),
        "requester_ip_address": told.ip,
        "user_agent": told.user_agent,
        "messages": messages,
        "response": response,
        "error_str": failed.map(error_text),
        "error_information": failed.map(|failed| error_information(told, failed)),
        "model_parameters": parameters(told),
        "hidden_params": {
            "model_id": model_id,
            "cache_key": cache_key,
            "api_base": api_base,
            "response_cost": cost,
            "litellm_model_name": served.map(|served| &served.model),
            "litellm_overhead_time_ms": told.overhead.as_secs_f64() * 1e3,
            "additional_headers": {},
        },
        "guardrail_information": guardrails(told),
    });
    // In two parts: the macro has a limit.
    if let (Value::Object(payload), Value::Object(more)) = (&mut payload, more) {
        payload.extend(more);
    }
    payload
}

/// What is to be known of a payload that was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) id: String,
    /// Prompt and reply are in it.
    pub(super) has_text: bool,
}

/// Reads a payload.
pub(super) fn facts(payload: &[u8]) -> Facts {
    let payload: Value = serde_json::from_slice(payload).unwrap_or_default();
    let id = payload["id"].as_str().unwrap_or_default().to_owned();
    Facts { id, has_text: payload["messages"] != redacted() }
}

/// What stands for a prompt that is not told.
fn redacted() -> Value {
    json!([{ "role": "user", "content": REDACTED }])
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn metadata(told: &Told, hides_callers: bool) -> Value {
    let mut all = match &told.caller {
        Some(caller) => of_caller(caller),
        None => Map::new(),
    };
    let end_user = told.end_user.as_deref();
    all.insert("user_api_key_end_user_id".to_owned(), json!(end_user));
    all.insert("user_api_key_request_route".to_owned(), json!(told.route));
    if hides_callers {
        all.retain(|name, _| !name.starts_with(OF_CALLER));
    }
    let requester = told.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut requester: Value = requester.unwrap_or_default();
    mask(&mut requester);
    let more = json!({
        "spend_logs_metadata": requester["spend_logs_metadata"],
        "requester_metadata": requester,
        "requester_ip_address": told.ip,
        "applied_guardrails": told.guardrails,
        "usage_object": told.usage.as_ref().map(usage_object),
        "requested_model": told.model,
        "status_code": told.status,
        "attempted_retries": told.retries,
        "attempted_fallbacks": told.fallbacks,
    });
    if let Value::Object(more) = more {
        all.extend(more);
    }
    if told.is_shadow {
        all.insert(SHADOW.to_owned(), json!(true));
    }
    Value::Object(all)
}

fn of_caller(caller: &Caller) -> Map<String, Value> {
    let told = match caller {
        Caller::Anonymous => json!({}),
        Caller::Master => json!({ "user_api_key_hash": "master" }),
        Caller::Key(holder) => of_holder(holder),
    };
    match told {
        Value::Object(told) => told,
        _ => Map::new(),
    }
}

fn of_holder(holder: &Principal) -> Value {
    json!({
        "user_api_key_hash": holder.hash(),
        "user_api_key_alias": holder.key.key_alias,
        "user_api_key_team_id": holder.team_id(),
        "user_api_key_team_alias": holder.team_alias(),
        "user_api_key_user_id": holder.user_id(),
        "user_api_key_user_email": holder.user.as_ref().and_then(|user| user.user_email.as_deref()),
        "user_api_key_org_id": holder.organisation_id(),
        "user_api_key_max_budget": holder.key.allowance.max_budget,
    })
}

/// As OpenAI writes it.
fn usage_object(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.total_tokens(),
        "prompt_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_creation_tokens": usage.cache_write_tokens,
            "audio_tokens": usage.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.audio_output_tokens,
        },
    })
}

fn parameters(told: &Told) -> Value {
    let read = told
        .parameters
        .iter()
        .filter_map(|(name, text)| Some(((*name).to_owned(), serde_json::from_str(text).ok()?)));
    Value::Object(read.collect())
}

/// Prompt and reply, or what stands for them.
fn said(told: &Told) -> (Value, Value) {
    let Some(text) = &told.text else {
        let response = match told.failed {
            Some(_) => Value::Null,
            None => json!({ "text": REDACTED }),
        };
        return (redacted(), response);
    };
    let response = match &text.reply {
        None => Value::Null,
        Some(reply) if reply.len() > TEXT_BYTES_MAX => json!({ "text": TOO_LONG }),
        Some(reply) => serde_json::from_slice(reply).unwrap_or_default(),
    };
    (messages(text), response)
}

/// The part of a request that is its prompt, whatever its dialect calls it.
fn messages(text: &Text) -> Value {
    if text.request.len() > TEXT_BYTES_MAX {
        return json!([{ "role": "user", "content": TOO_LONG }]);
    }
    let mut body: Value = serde_json::from_slice(&text.request).unwrap_or_default();
    let Some(fields) = body.as_object_mut() else { return Value::Null };
    let names = ["messages", "input", "contents", "prompt", "query"];
    let Some(mut prompt) = names.into_iter().find_map(|name| fields.remove(name)) else {
        return Value::Null;
    };
    let names = ["system", "instructions", "systemInstruction", "system_instruction"];
    let system = names.into_iter().find_map(|name| fields.remove(name));
    if let (Some(system), Value::Array(messages)) = (system.filter(|it| !it.is_null()), &mut prompt)
    {
        messages.insert(0, json!({ "role": "system", "content": system }));
    }
    prompt
}

/// The class and the code; what the client was told only where prompts may be told.
fn error_text(failed: &Failed) -> String {
    match &failed.message {
        Some(message) => message.to_string(),
        None => format!("{}: {}", failed.class, failed.code),
    }
}

fn error_information(told: &Told, failed: &Failed) -> Value {
    json!({
        "error_code": told.status.to_string(),
        "error_class": error_class(failed.class, told.status),
        "llm_provider": told.served.as_ref().map_or("", |served| &served.deployment.provider),
        "error_message": error_text(failed),
        "traceback": "",
    })
}

/// LiteLLM's name of an error.
fn error_class(class: &str, status: u16) -> &'static str {
    match (class, status) {
        ("context_window", _) => "ContextWindowExceededError",
        ("content_policy", _) => "ContentPolicyViolationError",
        ("timeout" | "deadline", _) => "Timeout",
        ("connection", _) => "APIConnectionError",
        ("over_budget", _) => "BudgetExceededError",
        ("client_closed", _) => "ClientDisconnected",
        (_, 400) => "BadRequestError",
        (_, 401) => "AuthenticationError",
        (_, 403) => "PermissionDeniedError",
        (_, 404) => "NotFoundError",
        (_, 408 | 504) => "Timeout",
        (_, 422) => "UnprocessableEntityError",
        (_, 429) => "RateLimitError",
        (_, 503) => "ServiceUnavailableError",
        _ => "InternalServerError",
    }
}

fn guardrail_status(told: &Told) -> &'static str {
    let refused = told.failed.as_ref().is_some_and(|failed| failed.class == "guardrail");
    match (told.guardrails.is_empty(), refused || !told.findings.is_empty()) {
        (true, _) => "not_run",
        (false, true) => "guardrail_intervened",
        (false, false) => "success",
    }
}

fn guardrails(told: &Told) -> Value {
    let all = told.guardrails.iter().map(|name| {
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for (_, kind) in told.findings.iter().filter(|(of, _)| of == name) {
            *kinds.entry(kind).or_default() += 1;
        }
        json!({ "guardrail_name": name, "masked_entity_count": kinds })
    });
    all.collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn a_request_is_told_in_litellms_words() {
        let payload = of(&sample::told(), false);
        for (pointer, value) in [
            ("/id", json!("id-1")),
            ("/trace_id", json!("call-1")),
            ("/session_id", json!("session-1")),
            ("/call_type", json!("acompletion")),
            ("/status", json!("success")),
            ("/response_cost", json!(0.25)),
            ("/prompt_tokens", json!(10)),
            ("/total_tokens", json!(15)),
            ("/startTime", json!(1_795_262_400.0)),
            ("/endTime", json!(1_795_262_402.0)),
            ("/completionStartTime", json!(1_795_262_400.5)),
            ("/response_time", json!(0.5)),
            ("/model", json!("gpt-4o")),
            ("/model_group", json!("gpt")),
            ("/model_id", json!("d1")),
            ("/custom_llm_provider", json!("openai")),
            ("/cache_hit", json!(false)),
            ("/request_tags", json!(["a"])),
            ("/end_user", json!("e")),
            ("/model_parameters", json!({"temperature": 0.5})),
            ("/metadata/user_api_key_hash", json!("master")),
            ("/metadata/requester_metadata/job", json!("j")),
            ("/metadata/spend_logs_metadata/cost", json!("c")),
            ("/metadata/usage_object/prompt_tokens_details/cached_tokens", json!(4)),
            ("/hidden_params/litellm_overhead_time_ms", json!(1.5)),
            ("/messages/0/content", json!(REDACTED)),
            ("/response/text", json!(REDACTED)),
            ("/error_str", Value::Null),
        ] {
            assert_eq!(payload.pointer(pointer), Some(&value), "{pointer} in {payload:#}");
        }
    }

    #[test]
    fn what_was_said_is_told_in_one_place_whatever_the_dialect() {
        let said = |request: &str, reply: Option<&str>| {
            let text = Text {
                request: Bytes::from(request.to_owned()),
                reply: reply.map(|reply| Bytes::from(reply.to_owned())),
            };
            said(&Told { text: Some(text), ..sample::told() })
        };
        let hi = json!([{"role": "user", "content": "hi"}]);
        let (messages, response) = said(
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#,
            Some(r#"{"id":"r"}"#),
        );
        assert_eq!((messages, response), (hi, json!({"id": "r"})));
        let (messages, response) = said(r#"{"system":"be kind","messages":[]}"#, None);
        assert_eq!(messages, json!([{"role": "system", "content": "be kind"}]));
        assert_eq!(response, Value::Null);
        assert_eq!(said(r#"{"input":"text"}"#, None).0, "text");
        let long = format!(r#"{{"input":"{}"}}"#, "x".repeat(TEXT_BYTES_MAX));
        assert_eq!(said(&long, None).0[0]["content"], TOO_LONG);
    }

    #[test]
    fn a_failure_says_no_more_than_its_class_where_prompts_are_not_told() {
        let mut told = sample::told();
        let failed = Failed { class: "rate_limited", code: "slow_down".into(), message: None };
        (told.failed, told.status) = (Some(failed), 429);
        let payload = of(&told, false);
        assert_eq!(payload["error_str"], "rate_limited: slow_down");
        assert_eq!(payload["error_information"]["error_class"], "RateLimitError");
        assert_eq!(payload["error_information"]["error_code"], "429");
        assert_eq!((&payload["status"], &payload["response"]), (&json!("failure"), &Value::Null));
    }

    #[test]
    fn credentials_in_metadata_are_masked_and_callers_hidden_where_that_is_wanted() {
        let mut told = sample::told();
        told.metadata = Some(r#"{"api_key":"sk-0123456789abcdef0123"}"#.into());
        let payload = of(&told, true);
        assert!(!payload.to_string().contains("sk-0123"), "{payload}");
        let fields = payload["metadata"].as_object().unwrap();
        assert!(fields.keys().all(|name| !name.starts_with(OF_CALLER)), "{fields:?}");
    }

    #[test]
    fn guardrails_tell_what_they_did() {
        let mut told = sample::told();
        assert_eq!(of(&told, false)["status_fields"]["guardrail_status"], "not_run");
        told.guardrails = vec!["pii".into()];
        assert_eq!(of(&told, false)["status_fields"]["guardrail_status"], "success");
        told.findings = vec![("pii".into(), "EMAIL".into()), ("pii".into(), "EMAIL".into())];
        let payload = of(&told, false);
        assert_eq!(payload["status_fields"]["guardrail_status"], "guardrail_intervened");
        assert_eq!(payload["guardrail_information"][0]["masked_entity_count"]["EMAIL"], 2);
    }
}
