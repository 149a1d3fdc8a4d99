//! What a reply used is the same number, streamed or not, in every dialect.

use bytes::Bytes;
use serde_json::{Value, json};
use tollgate::dialect::{Dialect, Endpoint};
use tollgate::provider;
use tollgate::wire::{Origin, StreamOptions};

use crate::long::{Long, Matter};
use crate::providers::{deployments, readings};

/// The reply that the stream of text in `long.rs` would be, if it came whole.
fn whole(dialect: Dialect, api: Endpoint) -> Option<Value> {
    let message = json!({"role": "assistant", "content": "some words"});
    Some(match dialect {
        _ if api == Endpoint::Responses => json!({
            "id": "resp_1", "object": "response", "created_at": 1_795_262_400, "status": "completed",
            "error": null, "incomplete_details": null, "model": "gpt-5",
            "output": [{"id": "msg_1", "type": "message", "status": "completed", "role": "assistant",
                "content": [{"type": "output_text", "text": "some words", "annotations": []}]}],
            "usage": {"input_tokens": 21, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": 1000, "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": 1021},
        }),
        Dialect::OpenAi | Dialect::Azure => json!({
            "id": "chatcmpl-B0", "object": "chat.completion", "created": 1_795_262_400,
            "model": "gpt-4o-2024-11-20",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 21, "completion_tokens": 1000, "total_tokens": 1021},
        }),
        Dialect::Anthropic => json!({
            "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5",
            "content": [{"type": "text", "text": "some words"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 21, "output_tokens": 1000},
        }),
        Dialect::Gemini => json!({
            "candidates": [{"content": {"parts": [{"text": "some words"}], "role": "model"},
                "index": 0, "finishReason": "STOP"}],
            "usageMetadata": {"promptTokenCount": 13, "candidatesTokenCount": 4,
                "thoughtsTokenCount": 20, "totalTokenCount": 37},
            "modelVersion": "gemini-3.5-flash", "responseId": "r1",
        }),
        Dialect::Bedrock => json!({
            "output": {"message": {"role": "assistant", "content": [{"text": "some words"}]}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 21, "outputTokens": 1000, "totalTokens": 1021},
        }),
        Dialect::Cohere => json!({
            "id": "29f14a5a", "finish_reason": "COMPLETE",
            "message": {"role": "assistant", "content": [{"type": "text", "text": "some words"}]},
            "usage": {"billed_units": {"input_tokens": 20, "output_tokens": 12},
                "tokens": {"input_tokens": 900, "output_tokens": 40}},
        }),
        Dialect::Ollama => json!({
            "model": "llama3.2", "created_at": "2026-11-21T12:00:00.123456Z", "message": message,
            "done": true, "done_reason": "stop", "prompt_eval_count": 26, "eval_count": 282,
        }),
        // The stream of that API has no words for it.
        Dialect::Custom => return None,
    })
}

#[test]
fn usage_is_the_same_streamed_or_not() {
    let origin =
        Origin { model: "m", request_id: Some("r"), input_tokens: None, output_tokens: None };
    let mut compared = 0;
    for deployment in deployments() {
        for reading in readings(deployment) {
            let Some(body) = whole(deployment.dialect, reading.api) else { continue };
            let what = format!("{} {reading:?}", deployment.provider);
            let body = Bytes::from(body.to_string());
            let reply = provider::reply(deployment, reading, body, 1, &origin);
            let reply = reply.unwrap_or_else(|failure| panic!("{what}: {}", failure.message));

            let long =
                Long::of(deployment.dialect, reading.api, Matter::Text).expect("it has text");
            let mut relay =
                provider::stream(deployment, reading, StreamOptions::default(), &origin);
            let mut out = Vec::new();
            let pieces = std::iter::repeat_n(long.piece(), 3);
            for event in long.head().into_iter().chain(pieces).chain(long.tail()) {
                relay.push(event, &mut out);
            }
            relay.finish(&mut out);
            assert_eq!(relay.usage(), reply.usage, "{what}");
            let usage = reply.usage.expect("it was told");
            assert!(
                usage.input_tokens > 0 && usage.output_tokens > 0 && !usage.estimated,
                "{what}"
            );
            compared += 1;
        }
    }
    assert!(compared > 12, "{compared} ways of reading a reply");
}
