//! Which class a failure has.

use std::path::Path;
use std::{fs, time::Duration};

use bytes::Bytes;

use super::*;
use crate::catalog::sample;
use crate::wire;
use crate::wire::openai;
use FailureClass::{
    Auth, BadRequest, Conflict, ContentPolicy, ContextWindow, NotFound, Overloaded, Quota,
    RateLimited, Server, Timeout,
};

/// The failure of an error inside a 200.
fn within(body: &str) -> Failure {
    let failure = openai::ErrorBody::read(body.as_bytes()).expect("an error").into_failure();
    judged(failure)
}

#[test]
fn recorded_errors_become_what_clients_of_openai_expect() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    for folder in fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()) {
        let file = |name: &str| fs::read(folder.join(name)).unwrap_or_default();
        let meta: Value = serde_json::from_slice(&file("meta.json")).unwrap_or_default();
        let status = meta.pointer("/upstream/status").and_then(Value::as_u64).unwrap_or(200);
        if status < 400 {
            continue;
        }
        let body = file("upstream_response.json");
        let now = SystemTime::UNIX_EPOCH;
        let status = u16::try_from(status).unwrap();
        let Failure { message, kind, param, code, .. } =
            classify_response(status, &HeaderMap::new(), &body, now);
        let told = serde_json::json!({
            "error": {"message": message, "type": kind, "param": param, "code": code}
        });
        let expected: Value = serde_json::from_slice(&file("client_response.json")).unwrap();
        assert_eq!(told, expected, "{}", folder.display());
        seen += 1;
    }
    assert!(seen >= 5, "{seen} recorded errors");
}

#[test]
fn the_text_of_a_fault_of_the_providers_does_not_decide_its_class() {
    for text in [
        "Too many tokens, please wait before trying again.",
        "prompt is too long: 9 tokens > 8 maximum",
        "maximum context length",
    ] {
        for body in [
            openai_error(text, "server_error", ""),
            openai_error(text, "", "internal_server_error"),
            openai_error(text, "api_error", ""),
            serde_json::json!({"error": {"code": 500, "message": text}}).to_string(),
        ] {
            assert_eq!(within(&body).class, Server, "{body}");
        }
        let named = |name: &str| serde_json::json!({"__type": name, "message": text});
        let origin = wire::Origin { model: "m", ..wire::Origin::default() };
        let amazons = |name: &str| {
            let body = Bytes::from(named(name).to_string());
            wire::bedrock::reply(body, 1, &origin).unwrap_err()
        };
        for name in ["InternalServerException", "com.amazon#ModelStreamErrorException"] {
            assert_eq!(judged(amazons(name)).class, Server, "{name}: {text}");
        }
        let anthropics =
            serde_json::json!({"type": "error", "error": {"type": "api_error", "message": text}});
        let failed = wire::anthropic::reply(Bytes::from(anthropics.to_string()), 1).unwrap_err();
        assert_eq!(judged(failed).class, Server, "{text}");
        let googles =
            serde_json::json!({"error": {"code": 500, "status": "INTERNAL", "message": text}});
        let body = Bytes::from(googles.to_string());
        let failed = wire::gemini::reply(body, crate::dialect::Endpoint::Chat, 1).unwrap_err();
        assert_eq!(judged(failed).class, Server, "{text}");
    }
    let unnamed = openai_error("prompt is too long: 9 tokens > 8 maximum", "", "");
    assert_eq!(within(&unnamed).class, ContextWindow);
}

#[test]
fn the_codes_of_every_api_mean_the_same_at_any_status() {
    for code in ["bio_policy", "misalignment_policy_violation", "image_content_policy_violation"] {
        let body = openai_error("no", "invalid_request_error", code);
        assert_eq!(read(400, &body).class, ContentPolicy, "{code}");
        assert_eq!(within(&body).class, ContentPolicy, "{code}");
    }
}

#[test]
fn words_that_blame_the_request_are_not_told_where_it_is_not_at_fault() {
    let body = openai_error(
        "Your credit balance is too low to access the Anthropic API.",
        "invalid_request_error",
        "",
    );
    let failure = read(400, &body);
    assert_eq!(failure.kind.as_deref(), Some("insufficient_quota"));
    assert_eq!(failure.code.as_deref(), Some("insufficient_quota"));
    let failure = read(402, &openai_error("pay", "unknown_error", "invalid_request_error"));
    assert_eq!(failure.kind.as_deref(), Some("unknown_error"));
    assert_eq!(failure.code.as_deref(), Some("insufficient_quota"));
}

#[test]
fn an_error_inside_a_200_says_when_to_come_again() {
    let deployment = sample::deployment("group = openai/gpt-x #id");
    let again = |body: &str, list: &[(&'static str, &'static str)]| {
        let failure = openai::ErrorBody::read(body.as_bytes()).expect("an error").into_failure();
        let headers = headers(list);
        let now = SystemTime::UNIX_EPOCH;
        reclassify(&deployment, failure, Some(&headers), now).retry_after
    };
    let limited = |text: &str| openai_error(text, "tokens", "rate_limit_exceeded");
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(again(&limited("Please try again in 20s."), &[]), seconds(20));
    assert_eq!(again(&limited("no"), &[("retry-after", "7")]), seconds(7));
    assert_eq!(again(&limited("no"), &[("x-ratelimit-reset-tokens", "2s")]), seconds(2));
    assert_eq!(again(&limited("no"), &[]), None);
    let overloaded = openai_error("Retry in 3s", "overloaded_error", "");
    assert_eq!(again(&overloaded, &[]), seconds(3));
    assert_eq!(again(&overloaded, &[("retry-after", "4")]), seconds(4));
    let empty = openai_error("Please try again in 20s.", "", "insufficient_quota");
    assert_eq!(again(&empty, &[]), None);
    let broken = openai_error("try again in 20s", "server_error", "");
    assert_eq!(again(&broken, &[("retry-after", "7")]), None);
}

#[test]
fn errors_inside_a_200_are_judged_as_any_other() {
    for (body, class) in [
        (openai_error("m", "invalid_request_error", "context_length_exceeded"), ContextWindow),
        (openai_error("prompt is too long: 9 > 8", "invalid_request_error", ""), ContextWindow),
        (openai_error("m", "requests", "insufficient_quota"), Quota),
        (openai_error("m", "rate_limit_error", ""), RateLimited),
        (openai_error("m", "invalid_request_error", ""), BadRequest),
        (openai_error("m", "server_error", ""), Server),
        (r#"{"error":{"code":429,"message":"m"}}"#.to_owned(), RateLimited),
        (r#"{"error":{"code":"529","message":"m"}}"#.to_owned(), Overloaded),
        (r#"{"error":{"type":"BadRequestError","code":400,"message":"m"}}"#.to_owned(), BadRequest),
        (
            r#"{"error":{"code":502,"metadata":{"error_type":"provider_overloaded"}}}"#.to_owned(),
            Overloaded,
        ),
        (r#"{"error":{"message":"?"}}"#.to_owned(), Server),
    ] {
        assert_eq!(within(&body).class, class, "{body}");
    }
}

#[test]
fn long_prompts_are_recognised_at_every_provider() {
    for (status, message, kind, code) in [
        (400, "too long", "invalid_request_error", "context_length_exceeded"),
        (
            400,
            "This model's maximum context length is 128000 tokens. However, your messages \
               resulted in 141207 tokens.",
            "",
            "",
        ),
        (400, "Your input exceeds the context window of this model.", "", ""),
        (400, "prompt is too long: 213462 tokens > 200000 maximum", "invalid_request_error", ""),
        (
            400,
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            "invalid_request_error",
            "",
        ),
        (413, "Request exceeds the maximum size", "request_too_large", ""),
        (
            400,
            "The input token count (1200000) exceeds the maximum number of tokens allowed \
               (1048576).",
            "",
            "",
        ),
        (
            400,
            "The input token count 1200000 exceeds the maximum number of tokens allowed \
               1048576.",
            "",
            "",
        ),
        (400, "Request payload size exceeds the limit: 20971520 bytes.", "", ""),
        (400, "Input is too long for requested model.", "", "ValidationException"),
        (400, "Too many input tokens", "", ""),
        (400, "expected maxLength: 300000, actual: 400000", "", ""),
        (
            400,
            "Prompt contains 40046 tokens and 0 draft tokens, too large for model with 32768 \
               maximum context length",
            "",
            "",
        ),
        (400, "too many tokens: size limit exceeded by 11326 tokens", "", ""),
        (
            400,
            "This model's maximum prompt length is 131072 but the request contains 140000 \
               tokens.",
            "",
            "",
        ),
        (400, "Please reduce the length of the messages or completion.", "", ""),
        (
            422,
            "the input (90000 tokens) is longer than the model's context length (32768).",
            "",
            "",
        ),
        (400, "This endpoint's maximum context length is 131072 tokens.", "", ""),
        (
            400,
            "This model's maximum context length is 4096 tokens. However, you requested 5000 \
               tokens",
            "BadRequestError",
            "",
        ),
        (400, "the request exceeds the available context size", "exceed_context_size_error", ""),
        (400, "prompt too long; exceeded max context length by 12 tokens", "", ""),
        (400, "The number of tokens is greater than the context length", "", ""),
        (413, "", "", ""),
        (400, "Current length is 9000 while limit is 8192", "", ""),
        (400, "invalid params, context window exceeds limit", "", ""),
        (400, "Invalid request: Your request exceeded model token limit: 131072", "", ""),
        (
            413,
            "Request too large for model on tokens per minute (TPM)",
            "tokens",
            "rate_limit_exceeded",
        ),
    ] {
        let failure = read(status, &openai_error(message, kind, code));
        assert_eq!(failure.class, ContextWindow, "{status} {message} {kind} {code}");
        assert_eq!(failure.kind.as_deref(), Some("invalid_request_error"));
        assert_eq!(failure.code.as_deref(), Some("context_length_exceeded"));
        assert_eq!(failure.param.as_deref(), Some("messages"));
    }
}

#[test]
fn texts_about_tokens_are_not_always_about_the_prompt() {
    for (status, message, kind, code, class) in [
        (429, "Too many tokens, please wait before trying again.", "", "", RateLimited),
        (
            400,
            "Throttling error: Too many tokens, please wait before trying again.",
            "",
            "",
            RateLimited,
        ),
        (503, "Too many input tokens in flight; prompt is too long", "", "", Overloaded),
        (500, "maximum context length is 10 tokens", "", "", Server),
        (
            400,
            "Invalid 'user': string too long. Expected a string with maximum length 64",
            "invalid_request_error",
            "string_above_max_length",
            BadRequest,
        ),
        (
            400,
            "'max_tokens' or 'max_completion_tokens' is too large: 9000. This model's maximum \
               context length is 4096 tokens and your request has 12 input tokens",
            "",
            "",
            BadRequest,
        ),
        (
            400,
            "max_tokens is too large: 100000. This model supports at most 16384 completion \
               tokens",
            "invalid_request_error",
            "invalid_value",
            BadRequest,
        ),
        (400, "rate limit: too many tokens", "", "", BadRequest),
    ] {
        let failure = read(status, &openai_error(message, kind, code));
        assert_eq!(failure.class, class, "{status} {message}");
    }
}

#[test]
fn refused_content_is_recognised() {
    let azure = r#"{"error":{"message":"The response was filtered due to the prompt triggering
        Azure OpenAI's content management policy.","type":null,"param":"prompt",
        "code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation",
        "content_filter_result":{}}}}"#
        .replace('\n', "");
    let failure = read(400, &azure);
    assert_eq!(failure.class, ContentPolicy);
    assert_eq!(failure.kind.as_deref(), Some("invalid_request_error"));
    assert_eq!(failure.code.as_deref(), Some("content_filter"));
    assert_eq!(failure.param.as_deref(), Some("prompt"));

    for body in [
        openai_error("no", "invalid_request_error", "content_policy_violation"),
        openai_error(
            "Invalid prompt: your prompt was flagged as potentially violating our usage \
                      policy.",
            "invalid_request_error",
            "invalid_prompt",
        ),
        openai_error("Your request was rejected as a result of our safety system.", "", ""),
        openai_error("Output blocked by content filtering policy", "invalid_request_error", ""),
        openai_error("The response was blocked.", "", ""),
        openai_error("Content Exists Risk", "invalid_request_error", "invalid_request_error"),
        r#"{"error":{"message":"x","innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#.into(),
        r#"{"error":{"code":403,"message":"flagged","metadata":{"reasons":["violence"]}}}"#.into(),
        r#"{"error":{"code":400,"message":"no","metadata":{"error_type":"refusal"}}}"#.into(),
    ] {
        assert_eq!(read(400, &body).class, ContentPolicy, "{body}");
    }
}

#[test]
fn every_status_has_a_class() {
    for (status, message, kind, code, class) in [
        (400, "bad", "invalid_request_error", "unsupported_parameter", BadRequest),
        (
            400,
            "Your credit balance is too low to access the Anthropic API.",
            "invalid_request_error",
            "",
            Quota,
        ),
        (400, "API key not valid. Please pass a valid API key.", "", "", Auth),
        (401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key", Auth),
        (401, "invalid x-api-key", "authentication_error", "", Auth),
        (402, "Insufficient Balance", "unknown_error", "invalid_request_error", Quota),
        (402, "pay", "billing_error", "", Quota),
        (403, "no", "permission_error", "", Auth),
        (403, "Country not supported", "", "", Auth),
        (404, "The model does not exist", "invalid_request_error", "model_not_found", NotFound),
        (404, "gone", "", "DeploymentNotFound", NotFound),
        (404, "Not Found", "", "", NotFound),
        (408, "slow", "", "", Timeout),
        (409, "again", "conflict_error", "", Conflict),
        (422, "wrong", "", "", BadRequest),
        (424, "failed", "", "", Server),
        (429, "slow down", "requests", "rate_limit_exceeded", RateLimited),
        (429, "slow down", "", "", RateLimited),
        (429, "slow down", "", "RateLimitReached", RateLimited),
        (429, "You exceeded your current quota", "insufficient_quota", "insufficient_quota", Quota),
        (429, "You exceeded your current quota", "tokens", "insufficient_quota", Quota),
        (429, "You exceeded your current quota", "", "", RateLimited),
        (498, "flex", "", "capacity_exceeded", Overloaded),
        (500, "broken", "server_error", "", Server),
        (502, "broken", "", "", Server),
        (503, "busy", "", "", Overloaded),
        (503, "unavailable", "", "UNAVAILABLE", Overloaded),
        (504, "late", "timeout_error", "", Timeout),
        (524, "late", "", "", Timeout),
        (529, "Overloaded", "overloaded_error", "", Overloaded),
        (599, "odd", "", "", Server),
    ] {
        let failure = read(status, &openai_error(message, kind, code));
        assert_eq!(failure.class, class, "{status} {message}");
        assert_eq!(failure.status, Some(status));
        assert_eq!(failure.message, message);
    }
}

#[test]
fn coheres_own_statuses_mean_what_cohere_says() {
    let deployment = Deployment {
        dialect: Dialect::Cohere,
        ..sample::deployment("group = cohere/command-a #id")
    };
    for (status, class) in [
        (400, BadRequest),
        (422, BadRequest),
        (498, Auth),
        (499, Server),
        (500, Server),
        (501, Server),
        (503, Overloaded),
        (504, Timeout),
    ] {
        let body = r#"{"id":"x","message":"why"}"#;
        let now = SystemTime::UNIX_EPOCH;
        let failure = classify(&deployment, status, &HeaderMap::new(), body.as_bytes(), now);
        assert_eq!((failure.class, failure.message.as_str()), (class, "why"), "{status}");
    }
}

#[test]
fn a_spend_limit_is_a_quota_whatever_its_type() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"limit",
        "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    assert_eq!(read(429, body).class, Quota);
    let body = body.replace("enforced_spend_limit_reached", "ramp_limit_exceeded");
    assert_eq!(read(429, &body).class, RateLimited);
}
