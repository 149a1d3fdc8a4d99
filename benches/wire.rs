//! What reading a request and relaying a stream cost, beside a full parse of the same bytes.
//!
//! Run with `cargo bench --bench wire`.

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use serde_json::{Value, json};
use tollgate::dialect::{Endpoint, Quirks};
use tollgate::wire::json::Object;
use tollgate::wire::{RequestOptions, StreamOptions, StreamRelay, openai};

fn main() {
    divan::main();
}

/// A chat request of about the given size: turns of a few hundred bytes, as conversations have.
fn request(size: usize) -> Bytes {
    let turn = "A sentence of a conversation, with \"quotes\" and a line\nor two. ".repeat(6);
    let mut messages = vec![json!({"role": "system", "content": "Be terse."})];
    while messages.len() * (turn.len() + 36) < size {
        messages.push(json!({"role": "user", "content": turn}));
    }
    let body = json!({
        "model": "gpt-4o", "messages": messages, "temperature": 0.2, "stream": true,
        "stream_options": {"include_usage": true}, "user": "someone",
    });
    Bytes::from(body.to_string())
}

/// A reply of 20 events as OpenAI sends it.
fn stream() -> Bytes {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({
            "id": "chatcmpl-B0", "object": "chat.completion.chunk", "created": 1_795_262_400,
            "model": "gpt-4o-2024-11-20", "service_tier": "default",
            "system_fingerprint": "fp_0001", "usage": null, "obfuscation": "qP7wTt0aa1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish, "logprobs": null}],
        });
        format!("data: {chunk}\n\n")
    };
    let mut text = chunk(json!({"role": "assistant", "content": ""}), Value::Null);
    for _ in 0..16 {
        text += &chunk(json!({"content": " token"}), Value::Null);
    }
    text += &chunk(json!({}), json!("stop"));
    text += "data: {\"id\":\"chatcmpl-B0\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\
             \"completion_tokens\":16,\"total_tokens\":25}}\n\ndata: [DONE]\n\n";
    Bytes::from(text)
}

const SIZES: [usize; 2] = [1024, 100 * 1024];

#[divan::bench(args = SIZES)]
fn object_parse(bencher: Bencher<'_, '_>, size: usize) {
    let body = request(size);
    bencher.counter(BytesCount::new(body.len())).bench(|| Object::parse(black_box(body.clone())));
}

#[divan::bench(args = SIZES)]
fn serde_json_value(bencher: Bencher<'_, '_>, size: usize) {
    let body = request(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| serde_json::from_slice::<Value>(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn serde_json_check_only(bencher: Bencher<'_, '_>, size: usize) {
    let body = request(size);
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| serde_json::from_slice::<serde::de::IgnoredAny>(black_box(&body)));
}

#[divan::bench(args = SIZES)]
fn request_with_another_model(bencher: Bencher<'_, '_>, size: usize) {
    let body = request(size);
    let object = Object::parse(body.clone()).expect("the request is valid JSON");
    let options =
        RequestOptions { stream: true, ..RequestOptions::plain(Endpoint::Chat, "gpt-4o-mini") };
    bencher
        .counter(BytesCount::new(body.len()))
        .bench(|| openai::request(black_box(&object), &options));
}

fn relay(bencher: Bencher<'_, '_>, quirks: Quirks, read: usize) {
    let stream = stream();
    bencher.counter(BytesCount::new(stream.len())).bench(|| {
        let options = StreamOptions { show_usage: false, created: 0, quirks };
        let mut relay = StreamRelay::openai(options);
        let mut out = Vec::with_capacity(32);
        for start in (0..stream.len()).step_by(read.min(stream.len())) {
            let chunk = stream.slice(start..stream.len().min(start + read));
            black_box(relay.push(chunk, &mut out));
        }
        black_box(relay.finish(&mut out));
        out
    });
}

#[divan::bench]
fn pass_through_in_one_read(bencher: Bencher<'_, '_>) {
    relay(bencher, Quirks::default(), usize::MAX);
}

#[divan::bench]
fn pass_through_in_odd_reads(bencher: Bencher<'_, '_>) {
    relay(bencher, Quirks::default(), 300);
}

#[divan::bench]
fn normalise_in_one_read(bencher: Bencher<'_, '_>) {
    relay(bencher, Quirks { normalise_stream: true, ..Quirks::default() }, usize::MAX);
}

#[divan::bench]
fn every_event_as_a_tree(bencher: Bencher<'_, '_>) {
    let stream = stream();
    bencher.counter(BytesCount::new(stream.len())).bench(|| {
        let mut out = Vec::with_capacity(stream.len());
        for event in stream.split(|&byte| byte == b'\n') {
            let data = event.strip_prefix(b"data: ").unwrap_or_default();
            if let Ok(tree) = serde_json::from_slice::<Value>(data) {
                out.extend_from_slice(format!("data: {tree}\n\n").as_bytes());
            }
        }
        out
    });
}
