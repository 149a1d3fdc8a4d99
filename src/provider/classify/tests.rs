//! Errors as providers write them, row by row.

use std::path::Path;
use std::{fs, time::Duration};

use bytes::Bytes;

use super::body::{MAX_MESSAGE, MAX_RAW};
use super::*;
use crate::catalog::sample;
use crate::wire;
use crate::wire::openai;
use FailureClass::{
    Auth, BadRequest, Conflict, ContentPolicy, ContextWindow, NotFound, Overloaded, Quota,
    RateLimited, Server, Timeout,
};

fn headers(list: &[(&'static str, &'static str)]) -> HeaderMap {
    let pairs = list
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    pairs.collect()
}

fn read(status: u16, body: &str) -> Failure {
    classify_response(status, &HeaderMap::new(), body.as_bytes(), SystemTime::UNIX_EPOCH)
}

/// `{"error": {"message": .., "type": .., "code": ..}}`, leaving out what is empty.
fn openai_error(message: &str, kind: &str, code: &str) -> String {
    let text = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    serde_json::json!({
        "error": {"message": message, "type": text(kind), "param": null, "code": text(code)}
    })
    .to_string()
}

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
fn an_error_has_many_shapes() {
    for (status, body, message, class) in [
        (
            400,
            r#"{"code":"Client specified an invalid argument","error":"This model's maximum prompt length is 10"}"#,
            "This model's maximum prompt length is 10",
            ContextWindow,
        ),
        (400, r#"{"error":"plain text"}"#, "plain text", BadRequest),
        (
            429,
            r#"[{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}]"#,
            "slow",
            RateLimited,
        ),
        (400, r#"{"error":[{"message":"first"}]}"#, "first", BadRequest),
        (
            400,
            r#"{"object":"error","message":"old vLLM","type":"BadRequestError","code":400}"#,
            "old vLLM",
            BadRequest,
        ),
        (401, r#"{"detail":"Unauthorized"}"#, "Unauthorized", Auth),
        (
            422,
            r#"{"detail":[{"loc":["body","messages",0],"msg":"field required","type":"missing"}]}"#,
            "body.messages.0: field required",
            BadRequest,
        ),
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"a"},"request_id":"r"}"#,
            "a",
            BadRequest,
        ),
        (400, r#"{"errors":[{"message":"one"},{"message":"two"}]}"#, "one; two", BadRequest),
        (400, r#"{"error":{"message":{"message":"deep"}}}"#, "deep", BadRequest),
        (400, r#"{"message":"top"}"#, "top", BadRequest),
        (400, r#""just a string""#, "just a string", BadRequest),
        (
            400,
            r#"{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"prompt is too long: 9 > 8\"}}"}}}"#,
            "prompt is too long: 9 > 8",
            ContextWindow,
        ),
        (
            200,
            r#"{"error":{"code":429,"message":"upstream is busy"}}"#,
            "upstream is busy",
            RateLimited,
        ),
        (200, r#"{"error":{"message":"?"}}"#, "?", Server),
        (500, "{}", "the provider answered 500 without saying why", Server),
        (500, "null", "the provider answered 500 without saying why", Server),
        (
            500,
            r#"{"error":{"message":""}}"#,
            "the provider answered 500 without saying why",
            Server,
        ),
        (503, "", "the provider answered 503 without a body", Overloaded),
        (
            502,
            "<html><head><title>502 Bad Gateway</title></head></html>",
            "the provider answered 502 with a web page: 502 Bad Gateway",
            Server,
        ),
        (
            502,
            "upstream connect error\u{1b}[31m",
            "the provider answered 502: upstream connect error [31m",
            Server,
        ),
        (400, "prompt is too long", "the provider answered 400: prompt is too long", ContextWindow),
    ] {
        let failure = read(status, body);
        assert_eq!(failure.message, message, "{body}");
        assert_eq!(failure.class, class, "{body}");
    }
}

#[test]
fn codes_are_texts_or_numbers() {
    let failure = read(400, r#"{"error":{"message":"x","type":"BadRequestError","code":400}}"#);
    assert_eq!(failure.code, None);
    assert_eq!(failure.kind.as_deref(), Some("BadRequestError"));
    let failure = read(401, r#"{"error":{"message":"x","code":"401"}}"#);
    assert_eq!((failure.code, failure.class), (None, Auth));
    let failure = read(400, r#"{"error":{"message":"x","code":"3280"}}"#);
    assert_eq!(failure.code, None, "a number is no word for a client of OpenAI");
    let failure = read(429, r#"{"error":{"message":"x","type":"requests","code":null}}"#);
    assert_eq!(failure.kind.as_deref(), Some("requests"));
    assert_eq!(failure.code.as_deref(), Some("rate_limit_exceeded"));
}

#[test]
fn a_rate_limit_keeps_openais_own_words() {
    let message = "Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): \
                   Limit 30000, Used 29100, Requested 1900. Please try again in 2s.";
    let list = headers(&[("retry-after", "2"), ("retry-after-ms", "2000")]);
    let body = openai_error(message, "tokens", "rate_limit_exceeded");
    let failure = classify_response(429, &list, body.as_bytes(), SystemTime::UNIX_EPOCH);
    assert_eq!(
        failure,
        Failure {
            status: Some(429),
            kind: Some("tokens".into()),
            code: Some("rate_limit_exceeded".into()),
            retry_after: Some(Duration::from_secs(2)),
            ..Failure::new(RateLimited, message)
        }
    );
}

#[test]
fn overload_is_told_in_words_for_openai_clients() {
    let body = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    let list = headers(&[("x-should-retry", "true")]);
    let failure = classify_response(529, &list, body.as_bytes(), SystemTime::UNIX_EPOCH);
    assert_eq!(
        failure,
        Failure {
            status: Some(529),
            kind: Some("overloaded_error".into()),
            code: Some("overloaded".into()),
            should_retry: Some(true),
            blameless: false,
            ..Failure::new(Overloaded, "Overloaded")
        }
    );
}

#[test]
fn google_names_the_delay_and_the_kind_of_quota() {
    let body = |quota: &str| {
        serde_json::json!({"error": {
            "code": 429,
            "message": "You exceeded your current quota, please check your plan.",
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure",
                 "violations": [{"quotaId": quota}]},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"},
            ],
        }})
        .to_string()
    };
    let failure = read(429, &body("GenerateRequestsPerMinutePerProjectPerModel-FreeTier"));
    assert_eq!(failure.class, RateLimited);
    assert_eq!(failure.kind.as_deref(), Some("rate_limit_error"));
    assert_eq!(failure.code.as_deref(), Some("rate_limit_exceeded"));
    assert_eq!(failure.retry_after, Some(Duration::from_secs(34)));
    let failure = read(429, &body("GenerateRequestsPerDayPerProjectPerModel-FreeTier"));
    assert_eq!((failure.class, failure.retry_after), (Quota, None));

    let invalid = r#"{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT",
        "details":[{"reason":"API_KEY_INVALID"}]}}"#;
    assert_eq!(read(400, invalid).class, Auth);
}

#[test]
fn a_spend_limit_is_a_quota_whatever_its_type() {
    let body = r#"{"type":"error","error":{"type":"rate_limit_error","message":"limit",
        "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
    assert_eq!(read(429, body).class, Quota);
    let body = body.replace("enforced_spend_limit_reached", "ramp_limit_exceeded");
    assert_eq!(read(429, &body).class, RateLimited);
}

#[test]
fn long_texts_are_cut_between_characters() {
    let failure = read(500, &openai_error(&"ä".repeat(5000), "", ""));
    assert!(failure.message.len() <= MAX_MESSAGE + 3);
    assert!(failure.message.ends_with("ä..."));
    let raw = format!("x{}", "ä".repeat(400));
    assert!(read(500, &raw).message.len() < MAX_RAW + 60);
    let binary = [0xff_u8, 0xfe, 0x00, 0x41];
    let failure = classify_response(500, &HeaderMap::new(), &binary, SystemTime::UNIX_EPOCH);
    assert!(!failure.message.contains('\0'));
}

#[test]
fn an_error_in_a_stream_is_told_by_its_words() {
    for (codes, text, class) in [
        (&["overloaded_error"][..], "Overloaded", Overloaded),
        (&["rate_limit_exceeded"], "slow down", RateLimited),
        (&["server_error"], "The server had an error", Server),
        (&[], "prompt is too long: 9 tokens > 8 maximum", ContextWindow),
    ] {
        assert_eq!(class_of(None, codes, text), class, "{text}");
    }
}

#[test]
fn a_key_that_the_provider_repeats_is_taken_out() {
    let mut key = HeaderValue::from_static("Bearer sk-very-secret");
    key.set_sensitive(true);
    let mut short = HeaderValue::from_static("key");
    short.set_sensitive(true);
    let headers = [
        (HeaderName::from_static("authorization"), key),
        (HeaderName::from_static("api-key"), short),
        (HeaderName::from_static("x-team"), HeaderValue::from_static("team-blue")),
    ];
    let mut message = "Incorrect API key provided: sk-very-secret (team-blue).".to_owned();
    redact(&mut message, &headers);
    assert_eq!(message, "Incorrect API key provided: *** (team-blue).");
}

#[test]
fn amazons_errors_are_told_by_the_header_or_the_body() {
    for (status, class_name, body, class) in [
        (
            429,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            RateLimited,
        ),
        (
            400,
            "ThrottlingException",
            "Too many tokens, please wait before trying again.",
            RateLimited,
        ),
        (429, "ModelNotReadyException", "not ready", RateLimited),
        (400, "ValidationException", "Input is too long for requested model.", ContextWindow),
        (
            400,
            "ValidationException",
            "The model returned the following errors: prompt is too long: 9 > 8 maximum",
            ContextWindow,
        ),
        (400, "ValidationException", "max_tokens is wrong", BadRequest),
        (
            400,
            "ValidationException",
            "Invocation of model ID m with on-demand throughput isn\u{2019}t supported.",
            NotFound,
        ),
        (400, "ServiceQuotaExceededException", "m", Quota),
        (403, "AccessDeniedException", "You don't have access to the model", Auth),
        (403, "ExpiredTokenException", "m", Auth),
        (404, "ResourceNotFoundException", "m", NotFound),
        (408, "ModelTimeoutException", "m", Timeout),
        (424, "ModelErrorException", "m", Server),
        (500, "InternalServerException", "m", Server),
        (503, "ServiceUnavailableException", "m", Overloaded),
    ] {
        let said = serde_json::json!({ "message": body }).to_string();
        let named: &'static str = class_name;
        let header = HeaderValue::try_from(format!("{named}:http://internal.amazon.com/")).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errortype", header);
        let by_header =
            classify_response(status, &headers, said.as_bytes(), SystemTime::UNIX_EPOCH);
        assert_eq!((by_header.class, &*by_header.message), (class, body), "{class_name}: {body}");
        let said = serde_json::json!({"__type": format!("com.amazon#{named}"), "Message": body});
        assert_eq!(read(status, &said.to_string()).class, class, "{class_name}: {body}");
    }
}

#[test]
fn a_list_of_what_is_wrong_is_told_wherever_it_stands() {
    let body = r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","x"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","code":null}"#;
    let failure = read(422, body);
    assert_eq!(failure.message, "body.x: Extra inputs are not permitted");
}
