use serde_json::{Value, json};

use super::{blamed, object, options};
use crate::wire::RequestOptions;
use crate::wire::fields::Fields;
use crate::wire::responses::{need, reply, request};

fn sent(body: &Value) -> Value {
    let body = request(&object(body), &options("gpt-5.6-terra")).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn input(messages: Value) -> Value {
    sent(&json!({"messages": messages}))["input"].clone()
}

#[test]
fn a_tool_loop_becomes_items() {
    let long = "c".repeat(80);
    let items = input(json!([
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "low"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA=="}},
            {"type": "file", "file": {"file_id": "https://h/a.pdf"}},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "hm",
         "reasoning_items": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "sealed"},
            {"type": "reasoning", "id": "rs_2", "summary": []}],
         "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}},
            {"id": "call_2", "type": "custom", "custom": {"name": "g", "input": "free"}},
            {"id": long, "type": "function", "function": {"name": "h"}}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "tool", "tool_call_id": "call_2", "content": [{"type": "text", "text": "two"}]},
        {"role": "tool", "tool_call_id": long, "content": "three"},
        {"role": "assistant", "content": [{"type": "text", "text": "done"}], "refusal": "no"},
    ]));
    let short = items[4]["call_id"].as_str().unwrap();
    assert!(short.len() <= 64, "{short}");
    assert_eq!(
        items,
        json!([
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://h/a.png", "detail": "low"},
                {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "file"},
                {"type": "input_file", "file_url": "https://h/a.pdf"}]},
            {"type": "reasoning", "summary": [], "encrypted_content": "sealed"},
            {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{\"a\":1}"},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "g", "input": "free"},
            {"type": "function_call", "call_id": short, "name": "h", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "call_1", "output": "one"},
            {"type": "custom_tool_call_output", "call_id": "call_2",
             "output": [{"type": "input_text", "text": "two"}]},
            {"type": "function_call_output", "call_id": short, "output": "three"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "done"}, {"type": "refusal", "refusal": "no"}]},
        ])
    );
}

#[test]
fn settings_become_flat() {
    let body = sent(&json!({
        "messages": [], "max_tokens": 5, "reasoning_effort": "none", "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
        "tools": [
            {"type": "function", "function": {"name": "f"}},
            {"type": "custom", "custom": {"name": "g", "format": {"type": "grammar",
                "grammar": {"syntax": "lark", "definition": "x"}}}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [
            {"type": "function", "function": {"name": "f"}},
            {"type": "custom", "custom": {"name": "g"}}]}},
        "n": 1, "logit_bias": {}, "metadata": {"a": "b"}, "prompt_cache_key": "k",
    }));
    assert_eq!(
        body,
        json!({
            "model": "gpt-5.6-terra", "input": [], "max_output_tokens": 16, "store": false,
            "reasoning": {"effort": "none"},
            "text": {"verbosity": "low", "format":
                {"type": "json_schema", "name": "n", "schema": {}, "strict": false}},
            "tools": [
                {"type": "function", "name": "f", "parameters": null, "strict": false},
                {"type": "custom", "name": "g", "format":
                    {"type": "grammar", "syntax": "lark", "definition": "x"}}],
            "tool_choice": {"type": "allowed_tools", "mode": "required", "tools": [
                {"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]},
            "metadata": {"a": "b"}, "prompt_cache_key": "k",
        })
    );
}

#[test]
fn what_the_api_lacks_is_refused_or_dropped() {
    for (name, value) in [
        ("n", json!(2)),
        ("stop", json!("x")),
        ("seed", json!(1)),
        ("presence_penalty", json!(0.5)),
        ("audio", json!({"voice": "v"})),
    ] {
        let body = object(&json!({"messages": [], (name): value}));
        let refused = request(&body, &options("gpt-5.6-terra")).unwrap_err();
        assert_eq!(blamed(&refused), format!("{name} unsupported_parameter"));
        let dropping = RequestOptions { drop_params: true, ..options("gpt-5.6-terra") };
        let sent: Value = serde_json::from_slice(&request(&body, &dropping).unwrap()).unwrap();
        assert_eq!(sent.get(name), None);
    }
    let body = object(&json!({"messages": [{"role": "tool", "content": "x"}]}));
    let refused = request(&body, &options("gpt-6")).unwrap_err();
    assert_eq!(blamed(&refused), "messages[0].tool_call_id missing_required_parameter");
}

#[test]
fn tools_and_effort_decide() {
    let holds = |model: &'static str, body: Value| {
        let body = object(&body);
        need(model).holds(&Fields::gather(&body, &options(model)))
    };
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    assert!(holds("gpt-5.6", json!({"tools": tools})));
    assert!(!holds("gpt-5.6", json!({"tools": tools, "reasoning_effort": "none"})));
    assert!(!holds("gpt-5.6", json!({"tools": []})));
    assert!(!holds("gpt-5.4", json!({"tools": tools})));
    assert!(holds("gpt-5.4", json!({"tools": tools, "reasoning_effort": "low"})));
    assert!(holds("gpt-5-pro", json!({})));
}

#[test]
fn a_whole_response_becomes_a_completion() {
    let response = json!({
        "id": "resp_1", "object": "response", "created_at": 5.0, "status": "completed", "model": "m",
        "error": null, "incomplete_details": null, "service_tier": "default",
        "output": [
            {"type": "reasoning", "id": "rs", "summary": [
                {"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
             "encrypted_content": "sealed"},
            {"type": "web_search_call", "id": "ws"},
            {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text",
                "text": "hi", "annotations": [{"type": "url_citation", "url": "u", "title": "t",
                "start_index": 0, "end_index": 2}]}]},
            {"type": "function_call", "id": "fc", "call_id": "call_1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "id": "ctc", "call_id": "call_2", "name": "g", "input": "x"}],
        "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens_details": {"reasoning_tokens": 2}},
    });
    let read = reply(response.to_string().into(), 1).unwrap();
    let usage = read.usage.unwrap();
    assert_eq!((usage.cache_read_tokens, usage.reasoning_tokens), (4, 2));
    let told: Value = serde_json::from_slice(&read.body).unwrap();
    assert_eq!(told["created"], 5);
    let message = &told["choices"][0]["message"];
    assert_eq!(told["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(message["content"], "hi");
    assert_eq!(message["reasoning_content"], "a\n\nb");
    assert_eq!(message["reasoning_items"][0]["encrypted_content"], "sealed");
    assert_eq!(message["annotations"][0]["url_citation"]["url"], "u");
    assert_eq!(message["tool_calls"][0]["id"], "call_1");
    assert_eq!(message["tool_calls"][1]["custom"], json!({"name": "g", "input": "x"}));
    for (status, reason, finish) in [
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", "steered", "stop"),
        ("completed", "", "stop"),
    ] {
        let body = json!({"id": "r", "status": status, "incomplete_details": {"reason": reason},
            "output": []});
        let told = reply(body.to_string().into(), 1).unwrap();
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(told["choices"][0]["finish_reason"], finish);
    }
    for body in ["{}", "[]", "<html>", r#"{"status":"cancelled"}"#, r#"{"status":"queued"}"#] {
        assert!(reply(body.into(), 1).is_err(), "{body}");
    }
}
