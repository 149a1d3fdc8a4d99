//! The bridge's stream: what the recorded case does not show.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure::{Failure, FailureClass};
use crate::wire::responses::Bridge;
use crate::wire::{Ending, StreamOptions, Translate};

fn run(list: &[Value]) -> (Vec<Value>, Option<Failure>, Ending) {
    let mut bridge = Bridge::new(StreamOptions { show_usage: true, ..StreamOptions::default() });
    let mut out = Vec::new();
    let text: String = list.iter().map(|event| format!("data: {event}\n\n")).collect();
    let failure = bridge.push(Bytes::from(text), &mut out).failure;
    let ending = bridge.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    let chunks = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let chunks = chunks.filter_map(|data| serde_json::from_str(data).ok()).collect();
    (chunks, failure, ending)
}

fn deltas(chunks: &[Value]) -> Vec<Value> {
    let delta = |chunk: &Value| chunk["choices"][0]["delta"].clone();
    chunks.iter().map(delta).filter(|delta| delta.is_object()).collect()
}

#[test]
fn what_came_without_fragments_is_told_whole() {
    let (chunks, failure, ending) = run(&[
        json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message"}}),
        json!({"type": "response.output_text.done", "output_index": 0, "text": "one"}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "message"}}),
        json!({"type": "response.content_part.added", "output_index": 1}),
        json!({"type": "response.output_text.delta", "output_index": 1, "delta": "two"}),
        json!({"type": "response.output_text.done", "output_index": 1, "text": "two"}),
        json!({"type": "response.output_item.added", "output_index": 2, "item":
            {"type": "custom_tool_call", "call_id": "c", "name": "g", "input": ""}}),
        json!({"type": "response.custom_tool_call_input.delta", "output_index": 2, "delta": "x"}),
        json!({"type": "response.output_item.added", "output_index": 3, "item":
            {"type": "function_call", "call_id": "d", "name": "f", "arguments": ""}}),
        json!({"type": "response.output_item.done", "output_index": 3, "item":
            {"type": "function_call", "call_id": "d", "name": "f", "arguments": "{}"}}),
        json!({"type": "response.unknown", "delta": {"x": 1}}),
        json!({"type": "response.incomplete", "response": {"id": "r", "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"}}}),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    assert_eq!(
        deltas(&chunks),
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "one"}),
            json!({"content": "\n\n"}),
            json!({"content": "two"}),
            json!({"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "g", "input": ""}}]}),
            json!({"tool_calls": [{"index": 0, "custom": {"input": "x"}}]}),
            json!({"tool_calls": [{"index": 1, "id": "d", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]}),
            json!({}),
        ]
    );
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
}

#[test]
fn failures_are_told_by_their_codes() {
    let created = json!({"type": "response.created", "response": {"id": "r", "model": "m"}});
    for (event, class) in [
        (
            json!({"type": "response.failed", "response": {"status": "failed", "error":
                {"code": "rate_limit_exceeded", "message": "m"}}}),
            FailureClass::RateLimited,
        ),
        (
            json!({"type": "error", "code": null, "message": "Our servers are currently overloaded."}),
            FailureClass::Overloaded,
        ),
        (json!({"error": {"message": "no type"}}), FailureClass::Server),
        (json!({"type": "response.output_item.added", "item": [1]}), FailureClass::Server),
    ] {
        let (_, failure, ending) = run(&[created.clone(), event.clone()]);
        assert_eq!((failure.unwrap().class, ending), (class, Ending::Cut), "{event}");
    }
}
