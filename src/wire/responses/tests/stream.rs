//! The bridge's stream: what the recorded case does not show.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure::{Failure, FailureClass};
use crate::wire::responses::{Bridge, Owner};
use crate::wire::{Ending, StreamOptions, Translate};

fn run(list: &[Value]) -> (Vec<Value>, Option<Failure>, Ending) {
    let mut bridge = Bridge::new(
        StreamOptions { show_usage: true, ..StreamOptions::default() },
        Some(Owner::of("one")),
    );
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
fn a_stream_that_is_one_event_is_told_whole() {
    let message = json!({"type": "message", "content": [{"type": "output_text", "text": "one"}]});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let (chunks, failure, ending) = run(&[json!({"type": "response.completed", "response": {
        "id": "r", "model": "m", "status": "completed", "output": [message, call]}})]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    let deltas = deltas(&chunks);
    assert_eq!(deltas[1], json!({"content": "one"}));
    assert_eq!(deltas[2]["tool_calls"][0]["function"]["name"], "f");
    let ends: Vec<_> =
        chunks.iter().filter_map(|it| it["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(ends, ["tool_calls"]);
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

#[test]
fn items_that_only_come_when_they_are_done_are_told_whole() {
    let done = |at: u64, item: Value| json!({"type": "response.output_item.done", "output_index": at, "item": item});
    let likely = json!({"token": "a", "logprob": -0.5, "top_logprobs": []});
    let (chunks, failure, ending) = run(&[
        json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        done(0, json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]})),
        done(
            1,
            json!({"type": "message", "content": [
            {"type": "output_text", "text": "a", "logprobs": [likely]}]}),
        ),
        done(2, json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"})),
        json!({"type": "response.output_text.delta", "output_index": 3, "delta": "b", "logprobs": [likely]}),
        done(3, json!({"type": "message", "content": [{"type": "output_text", "text": "b"}]})),
        json!({"type": "response.completed", "response": {"status": "completed"}}),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    let deltas = deltas(&chunks);
    assert_eq!(deltas[1]["reasoning_content"], "hm");
    assert_eq!(deltas[2]["content"], "a");
    assert_eq!(deltas[3]["tool_calls"][0]["id"], "c");
    assert_eq!(deltas[4]["tool_calls"][0]["function"]["arguments"], "{}");
    let said: String = deltas.iter().filter_map(|delta| delta["content"].as_str()).collect();
    assert_eq!(said, "ab", "nothing is told twice");
    for chunk in chunks.iter().filter(|chunk| {
        !chunk["choices"][0]["delta"]["content"].as_str().unwrap_or_default().is_empty()
    }) {
        assert_eq!(chunk["choices"][0]["logprobs"]["content"][0]["logprob"], -0.5, "{chunk}");
    }
}

#[test]
fn an_image_that_was_generated_is_shown() {
    let item = json!({"type": "image_generation_call", "id": "ig_1", "status": "completed",
        "result": "QUJD", "output_format": "webp"});
    let image = json!({"type": "image_url", "index": 0,
        "image_url": {"url": "data:image/webp;base64,QUJD"}});
    let (chunks, ..) = run(&[
        json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
        json!({"type": "response.completed", "response": {"status": "completed"}}),
    ]);
    assert_eq!(deltas(&chunks)[1]["images"], json!([image]));
    let whole = json!({"id": "r", "model": "m", "status": "completed", "output": [item]});
    let whole = crate::wire::responses::reply(Bytes::from(whole.to_string()), 1, None).unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(whole["choices"][0]["message"]["images"], json!([image]));
}

#[test]
fn responses_that_wait_or_stop_early_are_told_as_what_they_are() {
    let queued = json!({"type": "response.queued", "response": {"id": "r", "model": "m", "status": "queued"}});
    let (chunks, failure, ending) = run(&[
        queued.clone(),
        json!({"type": "response.output_text.delta", "delta": "a"}),
        json!({"type": "response.incomplete", "response": {"status": "incomplete",
            "incomplete_details": {"reason": "max_messages"}}}),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    assert_eq!(chunks[0]["model"], "m");
    let reasons: Vec<&Value> =
        chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert!(reasons.contains(&&json!("length")), "{chunks:?}");
    let cancelled = json!({"type": "response.cancelled", "response": {"status": "cancelled"}});
    let (_, failure, ending) = run(&[queued.clone(), cancelled]);
    assert_eq!((failure.unwrap().class, ending), (FailureClass::Server, Ending::Cut));
    let refused = json!({"type": "response.failed", "response": {"status": "failed", "error":
        {"code": "misalignment_policy_violation", "message": "m"}}});
    let (_, failure, _) = run(&[queued, refused]);
    assert_eq!(failure.unwrap().class, FailureClass::ContentPolicy);
}

#[test]
fn sealed_reasoning_names_who_sealed_it() {
    let item = json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gA"});
    let (chunks, failure, _) = run(&[
        json!({"type": "response.created", "response": {"id": "r", "model": "m"}}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": item}),
    ]);
    assert!(failure.is_none());
    let deltas = deltas(&chunks);
    let told =
        deltas.iter().find_map(|delta| delta["reasoning_items"][0]["encrypted_content"].as_str());
    assert_eq!(told, Some(&*format!("tg1.{}.gA", Owner::of("one"))));
}
