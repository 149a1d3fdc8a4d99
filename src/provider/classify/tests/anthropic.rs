//! Anthropic's errors, row by row, as its deployments' are judged.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::catalog::sample;
use FailureClass::{
    Auth, BadRequest, Conflict, ContentPolicy, ContextWindow, NotFound, Overloaded, Quota,
    RateLimited, Server, Timeout,
};

fn read(status: u16, body: &[u8]) -> Failure {
    let dialect = Dialect::Anthropic;
    let deployment = Deployment { dialect, ..sample::deployment("group = anthropic/m #id") };
    classify(&deployment, status, &HeaderMap::new(), body, SystemTime::UNIX_EPOCH)
}

fn class(status: u16, kind: &str, message: &str) -> FailureClass {
    let body = json!({"type": "error", "error": {"type": kind, "message": message}});
    read(status, body.to_string().as_bytes()).class
}

#[test]
fn each_status_and_type_has_its_class() {
    for (status, kind, expected) in [
        (400, "invalid_request_error", BadRequest),
        (401, "authentication_error", Auth),
        (402, "billing_error", Quota),
        (403, "permission_error", Auth),
        (404, "not_found_error", NotFound),
        (408, "api_error", Timeout),
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
fn the_text_of_a_400_tells_an_overflow_a_policy_and_a_limit_apart() {
    let invalid = |message| class(400, "invalid_request_error", message);
    for (message, expected) in [
        ("prompt is too long: 213462 tokens > 200000 maximum", ContextWindow),
        (
            "input length and `max_tokens` exceed context limit: 188240 + 21333 > 200000",
            ContextWindow,
        ),
        ("Output blocked by content filtering policy", ContentPolicy),
        ("Your credit balance is too low to access the API.", Quota),
        ("You have reached your specified API usage limits. You will regain access later.", Quota),
        ("max_tokens: 500000 > 64000, which is the maximum", BadRequest),
    ] {
        assert_eq!(invalid(message), expected, "{message}");
    }
}

#[test]
fn the_text_decides_nothing_where_the_status_is_clear() {
    assert_eq!(class(429, "rate_limit_error", "prompt is too long"), RateLimited);
    assert_eq!(class(500, "api_error", "prompt is too long"), Server);
}

#[test]
fn a_limit_of_spending_is_told_by_its_code() {
    for (code, expected) in [
        ("enforced_spend_limit_reached", Quota),
        ("contract_spend_limit_reached", Quota),
        ("ramp_limit_exceeded", RateLimited),
    ] {
        let body = json!({"type": "error", "error": {
            "type": "rate_limit_error", "message": "m", "details": {"error_code": code}}});
        assert_eq!(read(429, body.to_string().as_bytes()).class, expected, "{code}");
    }
}

#[test]
fn the_field_that_is_blamed_is_named() {
    let param = |message: &str| {
        let error = json!({"type": "invalid_request_error", "message": message});
        let body = json!({"type": "error", "error": error, "request_id": "req_1"});
        read(400, body.to_string().as_bytes()).param
    };
    let deep = "messages.1.content.0.type: Expected `thinking`";
    assert_eq!(param(deep).as_deref(), Some("messages.1.content.0.type"));
    let named = param("temperature: Extra inputs are not permitted");
    assert_eq!(named.as_deref(), Some("temperature"));
    assert_eq!(param("Your request is wrong: no"), None);
    assert_eq!(param("nothing is named"), None);
}

#[test]
fn errors_are_shown_as_recorded() {
    let golden = |case: &str, name: &str| {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        fs::read(root.join(case).join(name)).unwrap()
    };
    for (case, status, class) in
        [("15-anthropic-529", 529, Overloaded), ("16-anthropic-context-400", 400, ContextWindow)]
    {
        let failure = read(status, &golden(case, "upstream_response.json"));
        assert_eq!(failure.class, class, "{case}");
        let Failure { message, kind, param, code, .. } = failure;
        let shown =
            json!({"error": {"message": message, "type": kind, "param": param, "code": code}});
        let expected: Value =
            serde_json::from_slice(&golden(case, "client_response.json")).unwrap();
        assert_eq!(shown, expected, "{case}");
    }
}
