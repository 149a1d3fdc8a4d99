//! Streams of chat, as events of the Responses API.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{streamed, telling};
use crate::wire::client::ClientStream;
use crate::wire::responses::client::{Events, reply};
use crate::wire::responses::tests::{events, object};

fn names(events: &[(String, Value)]) -> Vec<&str> {
    events.iter().map(|(name, _)| name.strip_prefix("response.").unwrap_or(name)).collect()
}

#[test]
fn a_text_has_every_event() {
    let events = streamed(
        &[
            json!({"role": "assistant", "content": ""}),
            json!({"content": "he"}),
            json!({"content": "llo"}),
        ],
        "stop",
    );
    assert_eq!(
        names(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "completed"
        ]
    );
    assert_eq!(events[6].1["text"], "hello");
    assert_eq!(events[4].1["logprobs"], json!([]));
    assert_eq!(events[7].1["part"]["text"], "hello");
    assert_eq!(events[8].1["item"]["content"][0]["text"], "hello");
    let id = &events[2].1["item"]["id"];
    assert!(events[3..8].iter().all(|(_, event)| event["item_id"] == *id));
    let last = &events[9].1["response"];
    assert_eq!(last["output"][0], events[8].1["item"]);
    assert_eq!(last["usage"]["total_tokens"], 3);
    assert_eq!(last["id"], events[0].1["response"]["id"]);
}

#[test]
fn items_come_one_after_another() {
    let call = |index: u32, fields: Value| {
        let mut call = json!({"index": index});
        call.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        json!({"tool_calls": [call]})
    };
    let events = streamed(
        &[
            json!({"reasoning_content": "hm"}),
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}]}),
            json!({"content": "a"}),
            json!({"refusal": "no"}),
            call(0, json!({"id": "c0", "function": {"name": "f", "arguments": ""}})),
            call(0, json!({"function": {"arguments": "{}"}})),
            call(1, json!({"id": "c1", "function": {"name": "g", "arguments": "{\"x\""}})),
            call(2, json!({"id": "c2", "custom": {"name": "h", "input": "1 "}})),
            call(1, json!({"function": {"arguments": ":1}"}})),
        ],
        "tool_calls",
    );
    let done: Vec<(u64, String)> = events
        .iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, event)| {
            let kind = event["item"]["type"].as_str().unwrap().to_owned();
            (event["output_index"].as_u64().unwrap(), kind)
        })
        .collect();
    let expected = ["reasoning", "message", "function_call", "function_call", "custom_tool_call"];
    let expected: Vec<_> = (0..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(done, expected);
    let output = &events.last().unwrap().1["response"]["output"];
    assert!(output[0]["encrypted_content"].as_str().unwrap().contains("\"s\""));
    assert_eq!(output[1]["content"][1], json!({"type": "refusal", "refusal": "no"}));
    assert_eq!(output[3]["arguments"], "{\"x\":1}");
    assert_eq!(output[4]["input"], "1 ");
    assert_eq!(output[2]["call_id"], "c0");
}

#[test]
fn other_ends_have_their_events() {
    let last = |finish: &str| {
        let events = streamed(&[json!({"content": "a"})], finish);
        let (name, event) = events.last().unwrap().clone();
        (name, event["response"]["incomplete_details"]["reason"].clone())
    };
    assert_eq!(last("length"), ("response.incomplete".into(), json!("max_output_tokens")));
    assert_eq!(last("content_filter"), ("response.incomplete".into(), json!("content_filter")));
    assert_eq!(last("stop"), ("response.completed".into(), Value::Null));
    let nothing = streamed(&[], "stop");
    let output = &nothing.last().unwrap().1["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "");
}

#[test]
fn a_broken_stream_ends_with_an_error() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let problem = Bytes::from_static(br#"{"error":{"param":"p"}}"#);
    let mut stream = Events::new(&telling(&asked));
    let mut begun = vec![Bytes::from_static(
        b"data: {\"id\":\"x\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}\n\n",
    )];
    stream.pass(&mut begun);
    let told = stream.fail(&problem, "overloaded", "m");
    let all = events(&[&begun.concat()[..], &told].concat());
    let tail: Vec<&str> = names(&all).into_iter().rev().take(2).collect();
    assert_eq!(tail[0], "failed");
    assert_ne!(tail[1], "error", "one end is told");
    let failed = &all.last().unwrap().1;
    assert_eq!(failed["sequence_number"], all.len() - 1);
    assert_eq!(failed["response"]["status"], "failed");
    assert_eq!(failed["response"]["error"]["message"], "m");
    // Before anything was said there is no response that could have failed.
    let told = Events::new(&telling(&asked)).fail(&problem, "overloaded", "m");
    let told = events(&told);
    assert_eq!(names(&told), ["error"]);
    let error = &told[0].1;
    assert_eq!(
        (&error["code"], &error["message"], &error["param"]),
        (&json!("overloaded"), &json!("m"), &json!("p"))
    );
}

#[test]
fn what_a_provider_told_is_not_told_again() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let heard = |events: &'static str| {
        let mut stream = Events::new(&telling(&asked));
        stream.pass_native(&mut vec![Bytes::from_static(events.as_bytes())], false);
        stream.fail(&Bytes::new(), "c", "m")
    };
    let failed =
        "event: response.failed\ndata: {\"type\":\"response.failed\",\"sequence_number\":4}\n\n";
    assert!(heard(failed).is_empty());
    let spaced = "data: {\"sequence_number\": 4, \"type\": \"response.failed\"}\n\n";
    assert!(heard(spaced).is_empty());
    let quoted = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"{\\\"type\\\":\\\"error\\\"}\"}\n\n";
    assert!(!heard(quoted).is_empty());
    let delta = "event: x\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"\\\"sequence_number\\\":9\",\"sequence_number\":4}\n\n";
    let told = heard(delta);
    assert_eq!(events(&told)[0].1["sequence_number"], 5);
}

#[test]
fn a_call_that_was_cut_off_is_not_complete() {
    let call = |id: &str, index: u64, arguments: &str| json!({"tool_calls": [{"index": index, "id": id, "function": {"name": "f", "arguments": arguments}}]});
    let events = streamed(&[call("a", 0, "{}"), call("b", 1, "{\"x\":")], "length");
    let (name, last) = events.last().unwrap();
    assert_eq!(name, "response.incomplete");
    let statuses = |output: &Value| {
        let all = output.as_array().unwrap().iter();
        all.map(|item| item["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(&last["response"]["output"]), ["completed", "incomplete"]);
    let calls = json!([
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "f", "arguments": "{\"x\":"}}]);
    let body = json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [
        {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": null, "tool_calls": calls}}]});
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let told = reply(&body.to_string().into(), &telling(&asked)).unwrap();
    let told: Value = serde_json::from_slice(&told).unwrap();
    assert_eq!(statuses(&told["output"]), ["completed", "incomplete"]);
}

#[test]
fn a_chunk_that_cannot_be_read_ends_the_stream_with_an_error() {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let mut stream = Events::new(&telling(&asked));
    let text = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": "a"}}]});
    let broken = json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "id": "x", "function": {"name": "f", "arguments": {"a": 1}}}]}}]});
    let mut out = vec![Bytes::from(format!("data: {text}\n\ndata: {broken}\n\ndata: [DONE]\n\n"))];
    stream.pass(&mut out);
    let told = events(&out.concat());
    let all = names(&told);
    assert_eq!(all.last(), Some(&"failed"));
    assert!(!all.contains(&"completed"));
}

#[test]
fn reasoning_under_both_of_its_names_is_one() {
    let both = json!({"content": "", "reasoning": "hm", "reasoning_content": "hm"});
    let events = streamed(&[both, json!({"reasoning": ".", "reasoning_content": null})], "stop");
    let item = &events.last().unwrap().1["response"]["output"][0];
    assert_eq!(item["summary"][0]["text"], "hm.");
}
