//! What errors mean.

use crate::failure::FailureClass::{self, *};
use crate::wire::anthropic::failure;

fn class(status: u16, kind: &str, message: &str) -> FailureClass {
    let body = serde_json::json!({"type": "error", "error": {"type": kind, "message": message}});
    failure(status, body.to_string().as_bytes()).class
}

#[test]
fn each_status_and_type_has_its_class() {
    for (status, kind, expected) in [
        (400, "invalid_request_error", BadRequest),
        (401, "authentication_error", Auth),
        (402, "billing_error", Quota),
        (403, "permission_error", Auth),
        (404, "not_found_error", NotFound),
        (409, "conflict_error", Conflict),
        (413, "request_too_large", ContextWindow),
        (429, "rate_limit_error", RateLimited),
        (500, "api_error", Server),
        (503, "api_error", Overloaded),
        (504, "timeout_error", Timeout),
        (529, "overloaded_error", Overloaded),
        (529, "api_error", Overloaded),
    ] {
        assert_eq!(class(status, kind, "m"), expected, "{status} {kind}");
    }
}

#[test]
fn the_text_of_a_400_tells_an_overflow_a_policy_and_an_empty_account_apart() {
    let invalid = |message| class(400, "invalid_request_error", message);
    assert_eq!(invalid("prompt is too long: 213462 tokens > 200000 maximum"), ContextWindow);
    assert_eq!(
        invalid("input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000"),
        ContextWindow
    );
    assert_eq!(invalid("Output blocked by content filtering policy"), ContentPolicy);
    assert_eq!(invalid("Your credit balance is too low to access the API."), Quota);
    assert_eq!(invalid("max_tokens: 500000 > 64000, which is the maximum"), BadRequest);
}

#[test]
fn the_text_decides_nothing_where_the_status_is_clear() {
    assert_eq!(class(429, "rate_limit_error", "prompt is too long"), RateLimited);
    assert_eq!(class(500, "api_error", "prompt is too long"), Server);
}

#[test]
fn a_spend_limit_is_not_waited_for() {
    for (code, expected) in [
        ("enforced_spend_limit_reached", Quota),
        ("contract_spend_limit_reached", Quota),
        ("ramp_limit_exceeded", RateLimited),
    ] {
        let body = serde_json::json!({"type": "error", "error": {
            "type": "rate_limit_error", "message": "m", "details": {"error_code": code}}});
        let failure = failure(429, body.to_string().as_bytes());
        assert_eq!(failure.class, expected);
        assert_eq!(failure.code.as_deref(), Some(code));
        assert_eq!(failure.should_retry, (expected == Quota).then_some(false));
    }
}

#[test]
fn the_field_that_is_blamed_is_named() {
    let body = br#"{"type":"error","error":{"type":"invalid_request_error",
        "message":"messages.1.content.0.type: Expected `thinking`"},"request_id":"req_1"}"#;
    assert_eq!(failure(400, body).param.as_deref(), Some("messages.1.content.0.type"));
}

#[test]
fn anything_else_is_read_by_its_status() {
    let page = failure(502, b"<html><body>Bad gateway</body></html>");
    assert_eq!((page.class, &*page.message), (Server, "the provider answered 502"));
    let text = failure(503, b"upstream connect error");
    assert_eq!((text.class, &*text.message), (Overloaded, "upstream connect error"));
    let bare = failure(401, br#"{"error":"no key"}"#);
    assert_eq!((bare.class, &*bare.message), (Auth, "no key"));
    assert_eq!(failure(413, b"").class, ContextWindow);
    assert_eq!(failure(400, b"[1,").class, BadRequest);
}
