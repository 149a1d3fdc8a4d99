//! What an error says, in whatever shape it comes.

use std::time::Duration;

use super::*;
use crate::provider::classify::body::{MAX_MESSAGE, MAX_RAW};
use FailureClass::{
    Auth, BadRequest, ContextWindow, NotFound, Overloaded, Quota, RateLimited, Server, Timeout,
};

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
