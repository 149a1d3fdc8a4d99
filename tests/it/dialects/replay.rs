//! Turns that go back: what a client's SDK keeps of a reply, and the request that has it as history.

use serde_json::{Value, json};

use super::clients::{Speaks, Wish};
use super::heard::events;
use crate::harness::*;

/// What the tools answered.
pub(super) const RESULTS: [&str; 2] = ["12 degrees", "half past two"];

/// What a provider puts beside its thoughts or its calls, to see it again.
pub(super) const SEAL: &str = "bW9jay1zaWduYXR1cmU=";

/// The model's turn as the client's SDK holds it after a reply.
pub(super) fn turn(speaks: Speaks, reply: &Reply, streamed: bool) -> Value {
    if !streamed {
        let reply = reply.json();
        return match speaks {
            Speaks::Chat => reply["choices"][0]["message"].clone(),
            Speaks::Messages => reply["content"].clone(),
            Speaks::Responses => reply["output"].clone(),
            Speaks::Gemini => reply["candidates"][0]["content"]["parts"].clone(),
        };
    }
    let events = events(reply);
    match speaks {
        Speaks::Chat => chat_turn(&events),
        Speaks::Messages => messages_turn(&events),
        Speaks::Responses => {
            events.last().cloned().unwrap_or_default()["response"]["output"].clone()
        }
        Speaks::Gemini => {
            let parts =
                events.iter().filter_map(|it| it["candidates"][0]["content"]["parts"].as_array());
            json!(parts.flatten().collect::<Vec<_>>())
        }
    }
}

fn append(value: &mut Value, more: &Value) {
    if let Some(more) = more.as_str() {
        *value = json!(value.as_str().unwrap_or_default().to_owned() + more);
    }
}

fn chat_turn(events: &[Value]) -> Value {
    let mut turn = json!({"role": "assistant", "content": null});
    let (mut calls, mut thoughts) = (Vec::<Value>::new(), Vec::new());
    for event in events {
        let delta = &event["choices"][0]["delta"];
        append(&mut turn["content"], &delta["content"]);
        thoughts.extend(delta["thinking_blocks"].as_array().into_iter().flatten().cloned());
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = piece["index"].as_u64().unwrap_or_default() as usize;
            calls.resize(calls.len().max(at + 1), json!({"type": "function", "function": {}}));
            for name in ["id", "extra_content"] {
                if !piece[name].is_null() {
                    calls[at][name] = piece[name].clone();
                }
            }
            append(&mut calls[at]["function"]["name"], &piece["function"]["name"]);
            append(&mut calls[at]["function"]["arguments"], &piece["function"]["arguments"]);
        }
    }
    turn["tool_calls"] = json!(calls);
    if !thoughts.is_empty() {
        turn["thinking_blocks"] = json!(thoughts);
    }
    turn
}

fn messages_turn(events: &[Value]) -> Value {
    let mut blocks: Vec<Value> = Vec::new();
    let mut input = String::new();
    for event in events {
        let delta = &event["delta"];
        match (event["type"].as_str(), blocks.last_mut()) {
            (Some("content_block_start"), _) => {
                blocks.push(event["content_block"].clone());
                input.clear();
            }
            (Some("content_block_delta"), Some(block)) => {
                for name in ["text", "thinking", "signature"] {
                    append(&mut block[name], &delta[name]);
                }
                input.push_str(delta["partial_json"].as_str().unwrap_or_default());
                if block["type"] == "tool_use" {
                    block["input"] = serde_json::from_str(&input).unwrap_or_else(|_| json!({}));
                }
                // Indexing has made what was not there.
                if let Some(fields) = block.as_object_mut() {
                    fields.retain(|_, value| !value.is_null());
                }
            }
            _ => {}
        }
    }
    json!(blocks)
}

/// A client of chat that knows nothing but OpenAI's fields.
pub(super) fn forgetful(turn: &Value) -> Value {
    let calls = turn["tool_calls"].as_array().into_iter().flatten();
    let calls = calls
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}));
    json!({"role": "assistant", "content": null, "tool_calls": calls.collect::<Vec<_>>()})
}

/// The turn of a model that called both functions.
pub(super) fn called(speaks: Speaks, calls: [(&str, &str); 2]) -> Value {
    let call = |(at, (name, arguments)): (usize, (&str, &str))| {
        let input: Value = serde_json::from_str(arguments).unwrap();
        let id = ["call_1", "call_2"][at];
        match speaks {
            Speaks::Chat => {
                let function = json!({"name": name, "arguments": arguments});
                json!({"id": id, "type": "function", "function": function})
            }
            Speaks::Messages => json!({"type": "tool_use", "id": id, "name": name, "input": input}),
            Speaks::Responses => {
                json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
            }
            Speaks::Gemini => json!({"functionCall": {"name": name, "args": input}}),
        }
    };
    let calls: Vec<Value> = calls.into_iter().enumerate().map(call).collect();
    match speaks {
        Speaks::Chat => json!({"role": "assistant", "content": null, "tool_calls": calls}),
        _ => json!(calls),
    }
}

/// A request in which the model's turn is followed by the results of its calls.
pub(super) fn with_results(speaks: Speaks, turn: &Value) -> Value {
    let mut body = speaks.body(Wish::Tools);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match speaks {
        Speaks::Chat => {
            let ids = list(&turn["tool_calls"]).into_iter().map(|call| call["id"].clone());
            let results = ids
                .zip(RESULTS)
                .map(|(id, result)| json!({"role": "tool", "tool_call_id": id, "content": result}));
            extend(&mut body["messages"], [turn.clone()].into_iter().chain(results));
        }
        Speaks::Messages => {
            let blocks = list(turn);
            let ids = blocks.iter().filter(|block| block["type"] == "tool_use").map(|it| &it["id"]);
            let results = ids.zip(RESULTS).map(
                |(id, result)| json!({"type": "tool_result", "tool_use_id": id, "content": result}),
            );
            let results = json!({"role": "user", "content": results.collect::<Vec<_>>()});
            let turn = json!({"role": "assistant", "content": turn});
            extend(&mut body["messages"], [turn, results]);
        }
        Speaks::Responses => {
            body["input"] = json!([{"role": "user", "content": "hi"}]);
            let items = list(turn);
            let ids =
                items.iter().filter(|it| it["type"] == "function_call").map(|it| &it["call_id"]);
            let results = ids.zip(RESULTS).map(
                |(id, result)| json!({"type": "function_call_output", "call_id": id, "output": result}),
            );
            extend(&mut body["input"], items.iter().cloned().chain(results));
        }
        Speaks::Gemini => {
            let parts = list(turn);
            let calls = parts.iter().map(|part| &part["functionCall"]).filter(|it| it.is_object());
            let results = calls.zip(RESULTS).map(|(call, result)| {
                let mut response = json!({"name": call["name"], "response": {"result": result}});
                if let Some(id) = call.get("id") {
                    response["id"] = id.clone();
                }
                json!({ "functionResponse": response })
            });
            let results = json!({"role": "user", "parts": results.collect::<Vec<_>>()});
            extend(&mut body["contents"], [json!({"role": "model", "parts": parts}), results]);
        }
    }
    body
}

fn extend(list: &mut Value, more: impl IntoIterator<Item = Value>) {
    list.as_array_mut().expect("a history is a list").extend(more);
}

/// Whether the seal stands in a field that a provider reads it from.
pub(super) fn is_sealed(sent: &Value) -> bool {
    match sent {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let known = ["signature", "thoughtSignature", "encrypted_content"].contains(&&**name);
            known && value == SEAL || is_sealed(value)
        }),
        Value::Array(values) => values.iter().any(is_sealed),
        _ => false,
    }
}
