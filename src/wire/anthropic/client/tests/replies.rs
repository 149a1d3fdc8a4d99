//! Whole replies.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{object, telling};

fn message(completion: &Value, request: Option<&Value>) -> Value {
    let request = request.map(object);
    let body = Bytes::from(completion.to_string());
    let reply = super::super::reply(&body, &telling(request.as_ref())).unwrap();
    serde_json::from_slice(&reply).unwrap()
}

fn completion(message: Value, finish: &str) -> Value {
    json!({"id": "chatcmpl-a:1", "object": "chat.completion", "created": 1, "model": "gpt",
           "choices": [{"index": 0, "message": message, "finish_reason": finish}],
           "usage": {"prompt_tokens": 30, "completion_tokens": 7, "prompt_tokens_details":
                     {"cached_tokens": 10, "cache_write_tokens": 5},
                     "completion_tokens_details": {"reasoning_tokens": 3}}})
}

#[test]
fn a_reply_is_a_message_with_the_cache_beside_the_input() {
    let long = "n".repeat(90);
    let request = json!({"tools": [{"name": long, "input_schema": {}}]});
    let short = super::super::names::short(&long).into_owned();
    let reply = message(
        &completion(
            json!({"role": "assistant", "content": "hi", "reasoning_content": "hm",
                   "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
                   "tool_calls": [{"id": "a.b", "type": "function",
                                   "function": {"name": short, "arguments": "{\"x\": 1}"}},
                                  {"type": "function", "function": {"name": "g", "arguments": ""}}]}),
            "tool_calls",
        ),
        Some(&request),
    );
    assert_eq!(
        reply,
        json!({
            "id": "msg_a_1", "type": "message", "role": "assistant", "model": "gpt",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "hi"},
                {"type": "tool_use", "id": "_x-a-2Eb", "name": long, "input": {"x": 1}},
                {"type": "tool_use", "id": reply["content"][3]["id"], "name": "g", "input": {}},
            ],
            "stop_reason": "tool_use", "stop_sequence": null,
            "usage": {"input_tokens": 15, "cache_creation_input_tokens": 5,
                      "cache_read_input_tokens": 10, "output_tokens": 7,
                      "output_tokens_details": {"thinking_tokens": 3}},
        })
    );
    assert!(reply["content"][3]["id"].as_str().unwrap().starts_with("toolu_"));
}

#[test]
fn reasons_to_stop_have_anthropics_names() {
    for (content, finish, stop) in [
        (json!({"content": "a"}), "stop", "end_turn"),
        (json!({"content": "a"}), "length", "max_tokens"),
        (json!({"content": "a"}), "content_filter", "refusal"),
        (json!({"content": null, "refusal": "no"}), "stop", "refusal"),
        (json!({"content": "a"}), "eos", "end_turn"),
        (
            json!({"tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}),
            "stop",
            "tool_use",
        ),
    ] {
        let reply = message(&completion(content, finish), None);
        assert_eq!(reply["stop_reason"], stop, "{finish}");
    }
    let refused = message(&completion(json!({"refusal": "no"}), "stop"), None);
    assert_eq!(refused["stop_details"]["explanation"], "no");
}

#[test]
fn what_is_no_reply_is_a_failure() {
    for body in
        [&b"{}"[..], b"[]", br#"{"id":"a","object":"o","created":1,"model":"m","choices":[]}"#]
    {
        assert!(super::super::reply(&Bytes::from_static(body), &telling(None)).is_err());
    }
}
