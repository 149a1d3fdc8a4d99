//! Whole replies.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::failure::FailureClass;

#[test]
fn a_whole_reply_becomes_a_chat_completion() {
    let (completion, reply) = told(&json!({
        "id": "x", "finish_reason": "COMPLETE", "new": 1,
        "message": {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm"},
            {"type": "text", "text": "It is "}, {"type": "text", "text": "42."},
        ], "citations": [
            {"start": 6, "end": 8, "text": "42", "type": "TEXT_CONTENT", "sources": [
                {"type": "document", "id": "doc:0", "document": {"id": "doc:0", "title": "T"}},
                {"type": "tool", "id": "t:1", "tool_output": {"url": "http://h", "title": ""}},
            ]},
        ]},
        "logprobs": [{"text": "It", "token_ids": [1], "logprobs": [-0.5]}],
        "usage": {"billed_units": {"input_tokens": 1}, "cached_tokens": 4.0,
                  "tokens": {"input_tokens": 10.0, "output_tokens": 5.0}},
    }))
    .unwrap();
    assert_eq!(
        completion,
        json!({
            "id": "chatcmpl-x", "object": "chat.completion", "created": 7, "model": "command-a",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {
                "role": "assistant", "content": "It is 42.", "refusal": null,
                "reasoning_content": "hm", "annotations": [
                    {"type": "file_citation", "file_citation":
                        {"file_id": "doc:0", "filename": "T", "start_index": 6, "end_index": 8}},
                    {"type": "url_citation", "url_citation":
                        {"url": "http://h", "start_index": 6, "end_index": 8}},
                ],
            }, "logprobs": {"refusal": null, "content": [
                {"token": "It", "logprob": -0.5, "bytes": [73, 116], "top_logprobs": []},
            ]}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                      "prompt_tokens_details": {"cached_tokens": 4}},
        })
    );
    let usage = reply.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cache_read_tokens), (10, 4));
}

#[test]
fn a_reply_with_tool_calls_has_its_plan_as_reasoning() {
    let (completion, reply) = told(&json!({
        "id": "x", "finish_reason": "TOOL_CALL",
        "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
            {"id": "f_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
        ]},
        "usage": {"billed_units": {"input_tokens": 3.0, "output_tokens": 2.0}},
    }))
    .unwrap();
    let choice = &completion["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    assert_eq!(choice["message"]["content"], Value::Null);
    assert_eq!(choice["message"]["reasoning_content"], "I look.");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"], json!({"name": "f", "arguments": "{\"a\":1}"}));
    assert_eq!((call["id"].as_str(), call["type"].as_str()), (Some("f_1"), Some("function")));
    assert_eq!(reply.usage.unwrap().output_tokens, 2, "billed units, for want of anything better");
}

#[test]
fn every_end_has_its_word() {
    let ended = |reason: &str| {
        told(&json!({"finish_reason": reason, "error": "why", "message": {"content": []}}))
            .map(|(body, _)| body["choices"][0]["finish_reason"].as_str().unwrap().to_owned())
            .map_err(|failure| (failure.class, failure.message))
    };
    for (reason, word) in [
        ("COMPLETE", "stop"),
        ("STOP_SEQUENCE", "stop"),
        ("MAX_TOKENS", "length"),
        ("TOOL_CALL", "tool_calls"),
        ("ERROR_TOXIC", "content_filter"),
        ("SOMETHING_NEW", "stop"),
    ] {
        assert_eq!(ended(reason), Ok(word.to_owned()), "{reason}");
    }
    for (reason, class) in [
        ("ERROR", FailureClass::Server),
        ("TIMEOUT", FailureClass::Timeout),
        ("ERROR_LIMIT", FailureClass::ContextWindow),
    ] {
        assert_eq!(ended(reason), Err((class, "why".to_owned())), "{reason}");
    }
}

#[test]
fn what_is_no_reply_is_a_failure() {
    for (body, message) in [
        (json!({"message": "too many tokens"}), "too many tokens"),
        (json!({"id": "x"}), "holds no message"),
        (json!("text"), "not one of Cohere's"),
    ] {
        let failure = reply(Bytes::from(body.to_string()), "m", 0).unwrap_err();
        assert!(failure.message.contains(message), "{}", failure.message);
    }
}
