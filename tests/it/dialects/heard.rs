//! What replies and streams say, in each dialect, put together as the clients' SDKs do.

use serde_json::{Value, json};

use crate::harness::*;

/// A reply without the dialect it came in.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) text: String,
    pub(super) thoughts: String,
    /// Names and arguments.
    pub(super) calls: Vec<(String, Value)>,
    /// The client's word for why it ended.
    pub(super) end: String,
    /// Input with what was cached, what was cached of it, output.
    pub(super) usage: [u64; 3],
}

pub(super) fn events(reply: &Reply) -> Vec<Value> {
    let text = reply.body_text().replace("\r\n", "\n");
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// A call whose arguments are JSON in a text.
fn call(name: &Value, arguments: &str) -> (String, Value) {
    (text(name).to_owned(), serde_json::from_str(arguments).unwrap_or_default())
}

fn chat_usage(usage: &Value) -> [u64; 3] {
    let cached = &usage["prompt_tokens_details"]["cached_tokens"];
    [&usage["prompt_tokens"], cached, &usage["completion_tokens"]].map(number)
}

pub(super) fn chat_reply(reply: &Value) -> Heard {
    let choice = &reply["choices"][0];
    let message = &choice["message"];
    let calls = message["tool_calls"].as_array().into_iter().flatten();
    let function = |it: &Value| call(&it["function"]["name"], text(&it["function"]["arguments"]));
    Heard {
        text: text(&message["content"]).to_owned(),
        thoughts: text(&message["reasoning_content"]).to_owned(),
        calls: calls.map(function).collect(),
        end: text(&choice["finish_reason"]).to_owned(),
        usage: chat_usage(&reply["usage"]),
    }
}

pub(super) fn chat_frames(frames: &[Value]) -> Heard {
    let mut heard = Heard::default();
    let mut calls: Vec<(Value, String)> = Vec::new();
    for frame in frames {
        let choice = &frame["choices"][0];
        let delta = &choice["delta"];
        heard.text.push_str(text(&delta["content"]));
        heard.thoughts.push_str(text(&delta["reasoning_content"]));
        heard.end.push_str(text(&choice["finish_reason"]));
        for piece in delta["tool_calls"].as_array().into_iter().flatten() {
            let (at, function) = (number(&piece["index"]) as usize, &piece["function"]);
            calls.resize(calls.len().max(at + 1), Default::default());
            if function["name"].is_string() {
                calls[at].0 = function["name"].clone();
            }
            calls[at].1.push_str(text(&function["arguments"]));
        }
        if frame["usage"].is_object() {
            heard.usage = chat_usage(&frame["usage"]);
        }
    }
    heard.calls = calls.iter().map(|(name, arguments)| call(name, arguments)).collect();
    heard
}

fn messages_usage(usage: &Value) -> [u64; 3] {
    let cached = number(&usage["cache_read_input_tokens"]);
    [number(&usage["input_tokens"]) + cached, cached, number(&usage["output_tokens"])]
}

pub(super) fn messages_reply(reply: &Value) -> Heard {
    let mut heard = Heard::default();
    for block in reply["content"].as_array().into_iter().flatten() {
        heard.text.push_str(text(&block["text"]));
        heard.thoughts.push_str(text(&block["thinking"]));
        if block["type"] == "tool_use" {
            heard.calls.push((text(&block["name"]).to_owned(), block["input"].clone()));
        }
    }
    heard.end = text(&reply["stop_reason"]).to_owned();
    heard.usage = messages_usage(&reply["usage"]);
    heard
}

pub(super) fn messages_events(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    let mut usage = json!({});
    let mut calls: Vec<(Value, String)> = Vec::new();
    for event in events {
        let block = &event["content_block"];
        if block["type"] == "tool_use" {
            calls.push((block["name"].clone(), String::new()));
        }
        let delta = &event["delta"];
        heard.text.push_str(text(&delta["text"]));
        heard.thoughts.push_str(text(&delta["thinking"]));
        heard.end.push_str(text(&delta["stop_reason"]));
        if let (Some(last), Some(piece)) = (calls.last_mut(), delta["partial_json"].as_str()) {
            last.1.push_str(piece);
        }
        // The later numbers go before the earlier, one by one.
        for told in [&event["message"]["usage"], &event["usage"]] {
            for (name, count) in told.as_object().into_iter().flatten() {
                usage[name] = count.clone();
            }
        }
    }
    heard.usage = messages_usage(&usage);
    heard.calls = calls.iter().map(|(name, arguments)| call(name, arguments)).collect();
    heard
}

fn responses_item(heard: &mut Heard, item: &Value) {
    if item["type"] == "function_call" {
        heard.calls.push(call(&item["name"], text(&item["arguments"])));
    }
}

fn responses_end(heard: &mut Heard, response: &Value) {
    let usage = &response["usage"];
    let cached = &usage["input_tokens_details"]["cached_tokens"];
    heard.usage = [&usage["input_tokens"], cached, &usage["output_tokens"]].map(number);
    heard.end = text(&response["status"]).to_owned();
}

pub(super) fn responses_reply(response: &Value) -> Heard {
    let mut heard = Heard::default();
    for item in response["output"].as_array().into_iter().flatten() {
        responses_item(&mut heard, item);
        let parts = |name: &str| item[name].as_array().cloned().unwrap_or_default();
        if item["type"] == "reasoning" {
            heard.thoughts.extend(parts("summary").iter().map(|part| text(&part["text"])));
        } else {
            heard.text.extend(parts("content").iter().map(|part| text(&part["text"])));
        }
    }
    responses_end(&mut heard, response);
    heard
}

pub(super) fn responses_events(events: &[Value]) -> Heard {
    let mut heard = Heard::default();
    for event in events {
        match text(&event["type"]) {
            "response.output_text.delta" => heard.text.push_str(text(&event["delta"])),
            "response.reasoning_summary_text.delta" => {
                heard.thoughts.push_str(text(&event["delta"]));
            }
            "response.output_item.done" => responses_item(&mut heard, &event["item"]),
            _ => {}
        }
    }
    responses_end(&mut heard, &events.last().cloned().unwrap_or_default()["response"]);
    heard
}

pub(super) fn gemini_frames(frames: &[Value]) -> Heard {
    let mut heard = Heard::default();
    for frame in frames {
        let candidate = &frame["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let said = if part["thought"] == true { &mut heard.thoughts } else { &mut heard.text };
            said.push_str(text(&part["text"]));
            if let Some(call) = part.get("functionCall") {
                heard.calls.push((text(&call["name"]).to_owned(), call["args"].clone()));
            }
        }
        heard.end.push_str(text(&candidate["finishReason"]));
        if let Some(usage) = frame.get("usageMetadata") {
            let output = &usage["candidatesTokenCount"];
            let cached = &usage["cachedContentTokenCount"];
            heard.usage = [&usage["promptTokenCount"], cached, output].map(number);
        }
    }
    heard
}
