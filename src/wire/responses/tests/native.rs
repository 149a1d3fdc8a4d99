use bytes::Bytes;
use serde_json::{Value, json};

use super::{events, object, options};
use crate::failure::FailureClass;
use crate::wire::responses::{Made, NativeStream, Owner, native_reply, native_request};
use crate::wire::{Ending, RequestOptions, Translate};

fn raw(json: Value) -> Box<serde_json::value::RawValue> {
    serde_json::value::to_raw_value(&json).unwrap()
}

#[test]
fn a_request_is_edited_in_place() {
    let by = Owner::of("gpt-1");
    let body = object(&json!({
        "model": "public", "input": "hi", "previous_response_id": Made { by, id: "resp_1" }.to_string(),
        "fallbacks": ["other"], "new_parameter": {"x": 1}, "metadata": {"tags": ["a"]},
        "reasoning": {"summary": "auto"},
    }));
    let defaults = [
        ("max_tokens".into(), raw(json!(100))),
        ("reasoning_effort".into(), raw(json!("low"))),
        ("seed".into(), raw(json!(1))),
        ("input".into(), raw(json!("not this"))),
    ];
    let drop = ["user".into()];
    let options = RequestOptions { defaults: &defaults, drop: &drop, ..options("gpt-6-luna") };
    let sent: Value =
        serde_json::from_slice(&native_request(&body, &options, by).unwrap()).unwrap();
    assert_eq!(
        sent,
        json!({
            "model": "gpt-6-luna", "input": "hi", "previous_response_id": "resp_1",
            "new_parameter": {"x": 1}, "reasoning": {"summary": "auto", "effort": "low"},
            "max_output_tokens": 100,
        })
    );
}

#[test]
fn ids_of_replies_name_their_deployment() {
    let by = Owner::of("gpt-1");
    let body = json!({
        "id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [],
        "previous_response_id": "resp_0", "usage": {"input_tokens": 3, "output_tokens": 4},
    });
    let reply = native_reply(Bytes::from(body.to_string()), Some(by)).unwrap();
    let told: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(Made::read(told["id"].as_str().unwrap()), Some(Made { by, id: "resp_1" }));
    assert_eq!(
        Made::read(told["previous_response_id"].as_str().unwrap()),
        Some(Made { by, id: "resp_0" })
    );
    assert_eq!(reply.usage.map(|usage| usage.total_tokens()), Some(7));
}

#[test]
fn replies_that_failed_or_count_nothing_are_told_apart() {
    let read = |body: Value| native_reply(Bytes::from(body.to_string()), None);
    let failed = json!({"object": "response", "status": "failed", "output": [],
        "error": {"code": "rate_limit_exceeded", "message": "slow down"}});
    assert_eq!(read(failed).unwrap_err().class, FailureClass::RateLimited);
    assert_eq!(read(json!({"error": {"message": "m"}})).unwrap_err().message, "m");
    for body in [
        json!({"object": "response.input_tokens", "input_tokens": 11}),
        json!({"object": "response", "status": "queued", "id": "resp_1", "output": []}),
    ] {
        assert_eq!(read(body.clone()).unwrap().usage.unwrap().total_tokens(), 0, "{body}");
    }
}

fn run(stream: &str, owner: Option<Owner>) -> (Vec<u8>, Option<crate::failure::Failure>, Ending) {
    let mut relay = NativeStream::new(owner);
    let mut out = Vec::new();
    let progress = relay.push(Bytes::copy_from_slice(stream.as_bytes()), &mut out);
    let ending = relay.finish(&mut out);
    (out.concat(), progress.failure, ending)
}

fn event(value: Value) -> String {
    format!("event: {}\ndata: {value}\n\n", value["type"].as_str().unwrap())
}

#[test]
fn a_failure_is_for_the_gateway_until_something_was_generated() {
    let created = event(
        json!({"type": "response.created", "response": {"id": "r", "object": "response"}, "sequence_number": 0}),
    );
    let delta =
        event(json!({"type": "response.output_text.delta", "delta": "hi", "sequence_number": 1}));
    let overloaded = event(
        json!({"type": "error", "code": "server_error", "message": "Our servers are currently overloaded.", "sequence_number": 2}),
    );
    let failed = event(
        json!({"type": "response.failed", "response": {"id": "r", "object": "response", "status": "failed", "error": {"code": "server_error", "message": "m"}}, "sequence_number": 2}),
    );
    for (end, class) in [(&overloaded, FailureClass::Overloaded), (&failed, FailureClass::Server)] {
        let (bytes, failure, ending) = run(&format!("{created}{end}"), None);
        assert_eq!((bytes, ending), (created.clone().into_bytes(), Ending::Cut));
        assert_eq!(failure.unwrap().class, class);
        let whole = format!("{created}{delta}{end}");
        let (bytes, failure, ending) = run(&whole, None);
        assert_eq!((bytes, ending), (whole.into_bytes(), Ending::Cut));
        assert_eq!(failure.unwrap().class, class);
    }
}

#[test]
fn only_events_with_a_response_are_written_anew() {
    let by = Owner::of("gpt-1");
    let unknown = "event: response.new\r\ndata: {\"type\":\"response.new\",  \"x\":1.50}\r\n\r\n";
    let response =
        json!({"id": "resp_1", "object": "response", "status": "completed", "output": []});
    let stream = format!(
        "{}{unknown}{}",
        event(json!({"type": "response.created", "response": response, "sequence_number": 0})),
        event(json!({"type": "response.completed", "response": response, "sequence_number": 2})),
    );
    let (bytes, failure, ending) = run(&stream, Some(by));
    assert_eq!((failure, ending), (None, Ending::Complete));
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains(unknown), "{text}");
    let events = events(text.replace(unknown, "").as_bytes());
    let id = Made { by, id: "resp_1" }.to_string();
    assert_eq!(events.len(), 2);
    assert!(events.iter().all(|(_, event)| event["response"]["id"] == id), "{text}");
}

#[test]
fn sealed_reasoning_names_its_deployment() {
    let by = Owner::of("gpt-1");
    let item =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"});
    let done = event(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    let delta = event(json!({"type": "response.output_text.delta", "delta": "hi"}));
    let end = event(json!({"type": "response.completed", "response":
        {"id": "r", "object": "response", "status": "completed", "output": [item]}}));
    let (bytes, failure, ending) = run(&format!("{done}{delta}{end}"), Some(by));
    assert_eq!((failure, ending), (None, Ending::Complete));
    let told = events(&bytes);
    let sealed = told[0].1["item"]["encrypted_content"].clone();
    assert!(sealed.as_str().unwrap().ends_with(".gAAA"), "{sealed}");
    assert_eq!(told[2].1["response"]["output"][0]["encrypted_content"], sealed);
    assert!(String::from_utf8(bytes).unwrap().contains(&delta), "passed as it was sent");
    let body = json!({"id": "r", "object": "response", "status": "completed", "output": [item]});
    let whole = native_reply(Bytes::from(body.to_string()), Some(by)).unwrap();
    let whole: Value = serde_json::from_slice(&whole.body).unwrap();
    assert_eq!(whole["output"][0]["encrypted_content"], sealed);
    // Back at its own deployment, and at another one.
    let body = object(
        &json!({"model": "m", "input": [whole["output"][0], {"role": "user", "content": "go on"}]}),
    );
    let sent = |owner: Owner| {
        let sent = native_request(&body, &options("m"), owner).unwrap();
        serde_json::from_slice::<Value>(&sent).unwrap()["input"].clone()
    };
    assert_eq!(sent(by), json!([item, {"role": "user", "content": "go on"}]));
    assert_eq!(sent(Owner::of("gpt-2")), json!([{"role": "user", "content": "go on"}]));
}
