//! Requests, replies and streams of Google's clients, against what they mean canonically.

use serde_json::{Value, json};

use super::*;
use crate::failure::Failure;
use crate::wire::client::{Asked, Canonical, Telling};
use crate::wire::json::Object;

mod embed;
mod replies;
mod requests;
mod streams;

fn object(value: &Value) -> Object {
    Object::parse(value.to_string().into()).unwrap()
}

fn canonical(body: &Value) -> Canonical {
    request(&object(body), Asked { model: Some("m"), stream: Some(false), ..Asked::default() })
        .unwrap()
}

fn tree(body: &Object) -> Value {
    serde_json::from_slice(body.bytes()).unwrap()
}

/// What a request without obstacles means.
fn meaning(body: &Value) -> Value {
    let canonical = canonical(body);
    assert!(canonical.obstacle.refusal(false).is_none(), "{:?}", canonical.obstacle);
    tree(&canonical.body)
}

fn refused(body: &Value) -> Failure {
    request(&object(body), Asked::default()).unwrap_err()
}

fn messages(contents: &Value) -> Value {
    meaning(&json!({"contents": contents}))["messages"].take()
}

const THINKING: &str = r#"{"generationConfig":{"thinkingConfig":{"includeThoughts":true}}}"#;

fn told(completion: &Value, asked: &str) -> Value {
    let asked = Object::parse(asked.to_owned().into()).unwrap();
    let telling = Telling {
        request: Some(&asked),
        created: 1,
        model: "public",
        request_id: "req",
        ..Telling::default()
    };
    let body = reply(completion.to_string().as_bytes(), &telling).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn completion(message: &Value, finish_reason: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-4o",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 8, "total_tokens": 18,
                  "prompt_tokens_details": {"cached_tokens": 4},
                  "completion_tokens_details": {"reasoning_tokens": 5}},
    })
}
