//! Anthropic's clients at Anthropic's own API.

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{NativeStream, request};
use crate::dialect::Endpoint;
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, Translate};

const OLD: &str = "claude-haiku-4-5";

type Params = Vec<(Box<str>, Box<RawValue>)>;

fn params(list: &Value) -> Params {
    let raw = |value: &Value| RawValue::from_string(value.to_string()).unwrap();
    let list = list.as_object().unwrap().iter();
    list.map(|(name, value)| (Box::from(&**name), raw(value))).collect()
}

/// What a deployment gets of a client's request.
fn sent(body: &Value, defaults: &Value, overrides: &Value) -> Value {
    let (defaults, overrides) = (params(defaults), params(overrides));
    let options = RequestOptions {
        defaults: &defaults,
        overrides: &overrides,
        max_output_tokens: Some(64_000),
        ..RequestOptions::plain(Endpoint::Chat, OLD)
    };
    let body = Object::parse(body.to_string().into()).unwrap();
    serde_json::from_slice(&request(&body, &options, b"2023-06-01").body).unwrap()
}

fn ask(more: &Value) -> Value {
    let mut body = json!({"model": OLD, "max_tokens": 4_000,
        "messages": [{"role": "user", "content": "a"}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn what_the_deployment_adds_gives_way_to_what_the_client_wrote() {
    let thinking = json!({"type": "enabled", "budget_tokens": 2_000});
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    let thinks = json!({"thinking": thinking});
    for (asked, defaults, left) in [
        (&thinks, json!({"temperature": 0.2}), None),
        (&thinks, json!({"top_k": 5}), None),
        (&thinks, json!({"top_p": 0.5}), None),
        (&thinks, json!({"top_p": 0.97}), Some(json!(0.97))),
        (&thinks, json!({"temperature": 1}), Some(json!(1))),
        (&thinks, json!({"tool_choice": {"type": "any"}}), None),
        (&json!({"temperature": 0.2}), json!({"top_p": 0.5}), None),
        (&json!({"top_p": 0.5}), json!({"temperature": 0.2}), None),
        (&json!({"temperature": 0.2}), json!({"thinking": thinking}), None),
        (&json!({"max_tokens": 2_000}), json!({"thinking": thinking}), None),
        (
            &json!({"tools": tools, "tool_choice": {"type": "any"}}),
            json!({"thinking": thinking}),
            None,
        ),
        (&json!({}), json!({"thinking": thinking}), Some(thinking)),
        (&json!({}), json!({"tool_choice": {"type": "auto"}}), None),
        (&json!({}), json!({"temperature": 1.4}), Some(json!(1))),
        (&json!({"temperature": 0.2}), json!({"temperature": 0.4}), Some(json!(0.2))),
    ] {
        let name = defaults.as_object().unwrap().keys().next().unwrap().clone();
        let body = sent(&ask(asked), &defaults, &json!({}));
        assert_eq!(body.get(&name), left.as_ref(), "{asked} with {defaults}");
        for (name, value) in asked.as_object().unwrap() {
            assert_eq!(&body[name], value, "{asked} with {defaults}");
        }
    }
    let body = sent(&ask(&json!({})), &json!({"temperature": 0.2, "top_p": 0.5}), &json!({}));
    assert_eq!((&body["temperature"], body.get("top_p")), (&json!(0.2), None));
    let mut bare = ask(&thinks);
    bare.as_object_mut().unwrap().remove("max_tokens");
    assert_eq!(sent(&bare, &json!({"max_tokens": 1_000}), &json!({}))["max_tokens"], 64_000);
    assert_eq!(
        sent(&ask(&json!({})), &json!({"stop": "X"}), &json!({}))["stop_sequences"],
        json!(["X"])
    );
}

#[test]
fn what_a_fallback_says_wins_unless_the_api_would_refuse_it() {
    let none = json!({});
    let over = |asked: &Value, overrides: Value| sent(&ask(asked), &none, &overrides);
    let body = over(&json!({"top_p": 0.5}), json!({"temperature": 0.2}));
    assert_eq!((&body["temperature"], body.get("top_p")), (&json!(0.2), None));
    let thinks = json!({"thinking": {"type": "enabled", "budget_tokens": 2_000}, "temperature": 1});
    assert_eq!(over(&thinks, json!({"temperature": 0.2}))["temperature"], 1);
    assert_eq!(over(&json!({"max_tokens": 9}), json!({"max_tokens": 7}))["max_tokens"], 7);
    // A fallback that wants the default's other half keeps its own.
    let body = sent(&ask(&none), &json!({"temperature": 0.1}), &json!({"top_p": 0.4}));
    assert_eq!((body.get("temperature"), &body["top_p"]), (None, &json!(0.4)));
}

fn tool_loop(first: &Value, second: &Value) -> Value {
    let turn = |thought: &Value, id: &str| {
        let call = json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
        let blocks = if thought.is_null() { json!([call]) } else { json!([thought, call]) };
        json!({"role": "assistant", "content": blocks})
    };
    let result = |id: &str| json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "r"}]});
    ask(&json!({"thinking": {"type": "enabled", "budget_tokens": 2_000},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "other"}]},
        "messages": [{"role": "user", "content": "a"}, turn(first, "t"), result("t"),
            turn(second, "u"), result("u")]}))
}

#[test]
fn thinking_is_left_out_where_a_tool_loop_lost_it() {
    let none = json!({});
    let own = json!({"type": "thinking", "thinking": "x", "signature": "s"});
    let foreign = json!({"type": "thinking", "thinking": "x", "signature": ""});
    for (first, second, kept) in [
        (&own, &own, true),
        (&own, &Value::Null, true),
        (&Value::Null, &own, true),
        (&Value::Null, &Value::Null, false),
        (&foreign, &foreign, false),
    ] {
        let body = sent(&tool_loop(first, second), &none, &none);
        assert_eq!(body.get("thinking").is_some(), kept, "{first} {second}");
        let edits = body["context_management"]["edits"].as_array().unwrap();
        assert_eq!(edits.len(), if kept { 2 } else { 1 });
    }
    // A new turn is thought about whatever was before it.
    let mut asked = tool_loop(&Value::Null, &Value::Null);
    let messages = asked["messages"].as_array_mut().unwrap();
    messages.push(json!({"role": "assistant", "content": "done"}));
    messages.push(json!({"role": "user", "content": "more"}));
    assert!(sent(&asked, &none, &none).get("thinking").is_some());
}

#[test]
fn a_thought_without_a_signature_is_found_whatever_else_is_called_so() {
    let own = json!({"type": "thinking", "thinking": "x", "signature": "s"});
    let foreign = json!({"type": "thinking", "thinking": "y"});
    let call = json!({"type": "tool_use", "id": "t", "name": "f",
        "input": {"signature": "z", "thinking": "w"}});
    let asked = ask(&json!({"messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": [own, foreign, call]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]}]}));
    let body = sent(&asked, &json!({}), &json!({}));
    assert_eq!(body["messages"][1]["content"], json!([own, call]));
}

fn passed(stream: &str) -> (String, Option<String>, Ending) {
    let mut relay = NativeStream::default();
    let mut out = Vec::new();
    let progress = relay.push(Bytes::copy_from_slice(stream.as_bytes()), &mut out);
    let ending = relay.finish(&mut out);
    let failure = progress.failure.map(|failure| failure.message);
    (String::from_utf8(out.concat()).unwrap(), failure, ending)
}

const NAMED: &str = concat!(
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":3}}}\n\n",
    "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    "event: brand_new\ndata: {\"type\":\"brand_new\"}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
);

#[test]
fn events_are_named_for_clients_that_skip_the_others() {
    let bare: String =
        NAMED.split_inclusive('\n').filter(|line| !line.starts_with("event")).collect();
    assert_eq!(passed(&bare), (NAMED.to_owned(), None, Ending::Complete));
    let misnamed = NAMED.replace("event: message_start", "event: message");
    assert_eq!(passed(&misnamed), (NAMED.to_owned(), None, Ending::Complete));
    assert_eq!(passed(NAMED).0, NAMED);
}

#[test]
fn what_breaks_after_the_stop_reason_does_not_break_the_answer() {
    let (said, _) = NAMED.split_once("event: message_stop").unwrap();
    for after in [
        "",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n\n",
        "data: {broken\n\n",
    ] {
        let told = passed(&format!("{said}{after}"));
        assert_eq!(told, (NAMED.to_owned(), None, Ending::Complete), "{after}");
    }
    let (start, _) = NAMED.split_once("event: message_delta").unwrap();
    let broken = passed(&format!("{start}data: {{broken\n\n"));
    assert_eq!((broken.0.as_str(), broken.2), (start, Ending::Cut));
    assert!(broken.1.is_some());
}
