//! Streams, event by event.

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::failure::FailureClass;
use crate::wire::{Ending, StreamOptions, Translate};

/// What a stream of these events says, the failure it ends with, and how it ends.
fn streamed(events: &[Value]) -> (Vec<Value>, Option<Failure>, Ending) {
    let options = StreamOptions { show_usage: true, ..StreamOptions::default() };
    let mut stream = StreamTranslator::new(options, "command-a");
    let (mut out, mut failure) = (Vec::new(), None);
    for event in events {
        let name = event["type"].as_str().unwrap_or("odd");
        let text = format!("event: {name}\r\ndata: {event}\r\n\r\n");
        let progress = stream.push(Bytes::from(text), &mut out);
        failure = failure.or(progress.failure);
    }
    let ending = stream.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    let chunks = text
        .split_terminator("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).ok());
    (chunks.collect(), failure, ending)
}

fn content(kind: &str, content: &Value) -> Value {
    json!({"type": kind, "index": 0, "delta": {"message": {"content": content}}})
}

fn end(delta: &Value) -> Value {
    json!({"type": "message-end", "delta": delta})
}

#[test]
fn thinking_text_citations_and_logprobs_are_streamed() {
    let start = json!({"type": "message-start", "id": "x",
        "delta": {"message": {"role": "assistant", "content": [], "citations": []}}});
    let mut said = content("content-delta", &json!({"text": "so"}));
    said["logprobs"] = json!({"text": "so", "token_ids": [1], "logprobs": [-1.0]});
    let cited = json!({"type": "citation-start", "index": 0, "delta": {"message": {"citations":
        {"start": 0, "end": 2, "text": "so", "sources": [{"type": "document", "id": "d"}]}}}});
    let usage = json!({"tokens": {"input_tokens": 1.0, "output_tokens": 2.0}});
    let (chunks, failure, ending) = streamed(&[
        start,
        json!({"type": "debug", "prompt": "..."}),
        content("content-start", &json!({"type": "thinking", "thinking": ""})),
        content("content-delta", &json!({"thinking": "hm"})),
        json!({"type": "content-end", "index": 0}),
        content("content-start", &json!({"type": "text", "text": ""})),
        said,
        cited,
        json!({"type": "citation-end", "index": 0}),
        end(&json!({"finish_reason": "COMPLETE", "usage": usage})),
    ]);
    assert_eq!((failure, ending), (None, Ending::Complete));
    let deltas: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    assert_eq!(
        deltas[..5],
        [
            &json!({"role": "assistant", "content": ""}),
            &json!({"reasoning_content": "hm"}),
            &json!({"content": "so"}),
            &json!({"annotations": [{"type": "file_citation", "file_citation":
                {"file_id": "d", "start_index": 0, "end_index": 2}}]}),
            &json!({}),
        ]
    );
    assert_eq!(chunks[2]["choices"][0]["logprobs"]["content"][0]["logprob"], -1.0);
    assert_eq!(chunks[4]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks[5]["usage"]["total_tokens"], 3);
    assert!(
        chunks.iter().all(|chunk| chunk["model"] == "command-a" && chunk["id"] == "chatcmpl-x")
    );
}

#[test]
fn parallel_calls_are_numbered_over_the_whole_stream() {
    let begin = |index: u64, id: &str| {
        json!({"type": "tool-call-start", "index": index, "delta": {"message": {"tool_calls":
            {"id": id, "type": "function", "function": {"name": "f", "arguments": ""}}}}})
    };
    let more = |index: u64, piece: &str| {
        json!({"type": "tool-call-delta", "index": index, "delta": {"message": {"tool_calls":
            {"function": {"arguments": piece}}}}})
    };
    // Both have the index 0 at first, then they take turns.
    let (chunks, ..) = streamed(&[
        begin(0, "a"),
        more(0, "{"),
        begin(0, "b"),
        more(0, "["),
        begin(2, "c"),
        more(0, "]"),
        more(2, "}"),
        end(&json!({"finish_reason": "TOOL_CALL"})),
    ]);
    let calls: Vec<_> = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
        .map(|call| {
            (call["index"].as_u64().unwrap(), call["function"]["arguments"].as_str().unwrap())
        })
        .collect();
    assert_eq!(calls, [(0, ""), (0, "{"), (1, ""), (1, "["), (2, ""), (1, "]"), (2, "}")]);
}

#[test]
fn a_call_without_arguments_has_an_empty_object() {
    for written in ["", "null", " null ", "{}"] {
        let (completion, _) = told(&json!({"finish_reason": "TOOL_CALL", "message": {"tool_calls":
            [{"id": "a", "type": "function", "function": {"name": "f", "arguments": written}}]}}))
        .unwrap();
        let call = &completion["choices"][0]["message"]["tool_calls"][0];
        assert_eq!(call["function"]["arguments"], "{}", "{written:?}");
    }
    let event = |kind: &str, pieces: &[&str]| -> Vec<Value> {
        let event = |piece: &&str| {
            json!({"type": kind, "index": 0, "delta": {"message": {"tool_calls":
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": piece}}}}})
        };
        pieces.iter().map(event).collect()
    };
    for (first, pieces, expected) in [
        ("", &[][..], "{}"),
        ("null", &[], "{}"),
        ("", &["nu", "ll"], "{}"),
        ("", &["{}"], "{}"),
        ("", &[" ", "{\"a\"", ":null}"], " {\"a\":null}"),
        ("{\"a\":", &["1}"], "{\"a\":1}"),
    ] {
        for closed in [true, false] {
            let mut events = event("tool-call-start", &[first]);
            events.extend(event("tool-call-delta", pieces));
            if closed {
                events.push(json!({"type": "tool-call-end", "index": 0}));
            }
            events.push(end(&json!({"finish_reason": "TOOL_CALL"})));
            let (chunks, ..) = streamed(&events);
            let arguments: String = chunks
                .iter()
                .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].get(0))
                .map(|call| call["function"]["arguments"].as_str().unwrap())
                .collect();
            assert_eq!(arguments, expected, "{first:?} {pieces:?}");
        }
    }
}

#[test]
fn what_the_reasoning_cites_is_no_annotation_of_the_text() {
    let cited = |kind: &str| json!({"start": 0, "end": 2, "type": kind, "sources": [{"type": "document", "id": kind}]});
    let kinds = ["PLAN", "THINKING_CONTENT", "TEXT_CONTENT"];
    let (completion, _) = told(&json!({"finish_reason": "COMPLETE", "message": {
        "content": [{"type": "text", "text": "so"}], "citations": kinds.map(cited)}}))
    .unwrap();
    let expected = json!([{"type": "file_citation", "file_citation":
        {"file_id": "TEXT_CONTENT", "start_index": 0, "end_index": 2}}]);
    assert_eq!(completion["choices"][0]["message"]["annotations"], expected);
    let mut events = vec![content("content-delta", &json!({"text": "so"}))];
    events.extend(kinds.map(|kind| {
        json!({"type": "citation-start", "index": 0,
               "delta": {"message": {"citations": cited(kind)}}})
    }));
    let (chunks, ..) = streamed(&events);
    let found: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"].get("annotations")).collect();
    assert_eq!(found, [&expected]);
}

#[test]
fn done_ends_a_stream_that_was_finished_and_no_other() {
    let run = |events: &[Value]| {
        let mut stream = StreamTranslator::new(StreamOptions::default(), "m");
        let mut out = Vec::new();
        let mut text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        text.push_str("data: [DONE]\n\n");
        let done = stream.push(Bytes::from(text), &mut out).done;
        (done, stream.finish(&mut out), out.concat().ends_with(b"data: [DONE]\n\n"))
    };
    let text = content("content-delta", &json!({"text": "a"}));
    let last = end(&json!({"finish_reason": "COMPLETE"}));
    assert_eq!(run(&[text.clone(), last]), (true, Ending::Complete, true));
    assert_eq!(run(&[text]), (false, Ending::Cut, false));
}

#[test]
fn ends_of_a_stream_mean_what_they_mean_of_a_reply() {
    let text = content("content-delta", &json!({"text": "a"}));
    let ended = |reason: &str| streamed(&[text.clone(), end(&json!({"finish_reason": reason}))]);
    let (chunks, failure, ending) = ended("ERROR_TOXIC");
    assert_eq!((failure, ending), (None, Ending::Complete));
    let said: Vec<_> = chunks.iter().map(|chunk| &chunk["choices"][0]).collect();
    assert_eq!(said[1]["delta"]["content"], "a");
    assert_eq!(said[2]["finish_reason"], "content_filter");
    let (_, failure, ending) = ended("ERROR_LIMIT");
    assert_eq!(failure.unwrap().class, FailureClass::ContextWindow);
    assert_eq!(ending, Ending::Cut);
}

#[test]
fn a_stream_that_fails_is_no_success() {
    let text = content("content-delta", &json!({"text": "a"}));
    for (last, message) in [
        (end(&json!({"finish_reason": "ERROR", "error": "it broke"})), "it broke"),
        (end(&json!({"finish_reason": "ERROR"})), "because of an error"),
        (end(&json!({"finish_reason": "TIMEOUT"})), "too long"),
        (json!({"message": "internal server error"}), "internal server error"),
    ] {
        let (chunks, failure, ending) = streamed(&[text.clone(), last]);
        assert!(failure.unwrap().message.contains(message));
        assert_eq!(ending, Ending::Cut);
        assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    }
    assert_eq!(streamed(&[text]).2, Ending::Cut);
}
