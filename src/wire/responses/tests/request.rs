use serde_json::{Value, json};

use super::{blamed, object, options};
use crate::dialect::{ModelRules, Quirks, Refused, Values};
use crate::wire::RequestOptions;
use crate::wire::fields::Fields;
use crate::wire::responses::{Owner, need, reply, request};

fn sent(body: &Value) -> Value {
    let body = request(&object(body), &options("gpt-5.6-terra"), None).unwrap();
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
fn sealed_reasoning_goes_back_to_who_sealed_it_only() {
    let (one, two) = (Some(Owner::of("one")), Some(Owner::of("two")));
    let sealed = json!({"type": "reasoning", "id": "rs", "summary": [], "encrypted_content": "gA"});
    let response = json!({"id": "r", "status": "completed", "output": [sealed,
        {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "hi"}]}]});
    let told = reply(response.to_string().into(), 1, one).unwrap();
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    let message = &told["choices"][0]["message"];
    let shown = message["reasoning_items"][0]["encrypted_content"].as_str().unwrap();
    assert!(shown.starts_with("tg1."), "{shown}");
    let sent = |owner, items: &Value| {
        let body = object(&json!({"messages": [
            {"role": "assistant", "content": "hi", "reasoning_items": items}]}));
        let body = request(&body, &options("gpt-5"), owner).unwrap();
        serde_json::from_slice::<Value>(&body).unwrap()["input"].clone()
    };
    let said = json!({"type": "message", "role": "assistant", "content": "hi"});
    let opened = json!({"type": "reasoning", "summary": [], "encrypted_content": "gA"});
    assert_eq!(sent(one, &message["reasoning_items"]), json!([opened, said]));
    assert_eq!(sent(two, &message["reasoning_items"]), json!([said]));
    let nobodys = json!([sealed]);
    assert_eq!(sent(two, &nobodys), json!([opened, said]), "a client brings it from elsewhere");
    let others = json!([{"type": "reasoning", "summary": [],
        "encrypted_content": "tollgate.thinking_blocks:[]"}]);
    assert_eq!(sent(one, &others), json!([said]));
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
        let refused = request(&body, &options("gpt-5.6-terra"), None).unwrap_err();
        assert_eq!(blamed(&refused), format!("{name} unsupported_parameter"));
        let dropping = RequestOptions { drop_params: true, ..options("gpt-5.6-terra") };
        let sent: Value =
            serde_json::from_slice(&request(&body, &dropping, None).unwrap()).unwrap();
        assert_eq!(sent.get(name), None);
    }
    let body = object(&json!({"messages": [{"role": "tool", "content": "x"}]}));
    let refused = request(&body, &options("gpt-6"), None).unwrap_err();
    assert_eq!(blamed(&refused), "messages[0].tool_call_id missing_required_parameter");
}

/// What OpenAI's models refuse, as the table of providers has it.
const REFUSED: &[Refused] = &[
    Refused {
        params: &["temperature"],
        values: Values::Except(&["1"]),
        reasoning: true,
        instead: None,
    },
    Refused {
        params: &["top_k", "thinking"],
        values: Values::Any,
        reasoning: false,
        instead: None,
    },
    Refused {
        params: &["reasoning_effort"],
        values: Values::Only(&["\"none\""]),
        reasoning: false,
        instead: Some("\"minimal\""),
    },
];
const RULES: &[ModelRules] =
    &[ModelRules { models: &["gpt-5"], except: &[], refused: REFUSED, nameless: false }];

#[test]
fn a_model_refuses_here_what_it_refuses_on_the_chat_api() {
    let quirks = Quirks { rules: RULES, ..Quirks::default() };
    let strict = RequestOptions { quirks, ..options("gpt-5") };
    let written = |body: Value, options: &RequestOptions<'_>| {
        let written = request(&object(&body), options, None).map_err(|failure| blamed(&failure))?;
        Ok::<Value, String>(serde_json::from_slice(&written).unwrap())
    };
    let told = [
        ("temperature", json!(0.3), "unsupported_value"),
        ("top_k", json!(5), "unsupported_parameter"),
    ];
    for (name, value, code) in told {
        let body = json!({"messages": [], (name): value});
        assert_eq!(written(body.clone(), &strict), Err(format!("{name} {code}")));
        let dropping = RequestOptions { drop_params: true, ..strict };
        assert_eq!(written(body.clone(), &dropping).unwrap().get(name), None);
        let allowed = [Box::from(name)];
        let allowing = RequestOptions { allowed: &allowed, ..strict };
        assert_eq!(written(body, &allowing).unwrap()[name], value);
    }
    // Without an effort gpt-5.2 does not reason.
    let newer = RequestOptions { model_hint: "gpt-5.2", ..strict };
    let body = json!({"messages": [], "temperature": 0.3});
    assert_eq!(written(body, &newer).unwrap()["temperature"], json!(0.3));
    let body = json!({"messages": [], "temperature": 0.3, "reasoning": {"effort": "high"}});
    assert_eq!(written(body, &newer), Err("temperature unsupported_value".to_owned()));
    let modifying = RequestOptions { modify_params: true, ..strict };
    let body = json!({"messages": [], "reasoning_effort": "none"});
    assert_eq!(written(body, &modifying).unwrap()["reasoning"]["effort"], "minimal");
}

#[test]
fn what_anthropics_clients_say_of_thinking_is_the_effort() {
    for (thinking, effort, sent) in [
        (json!({"type": "enabled", "budget_tokens": 4096}), json!("high"), json!("high")),
        (json!({"type": "adaptive"}), json!("max"), json!("xhigh")),
        (json!({"type": "disabled"}), Value::Null, Value::Null),
    ] {
        let quirks = Quirks { rules: RULES, ..Quirks::default() };
        let options = RequestOptions { quirks, ..options("gpt-5.1") };
        let body = json!({"messages": [], "thinking": thinking, "reasoning_effort": effort});
        let body: Value =
            serde_json::from_slice(&request(&object(&body), &options, None).unwrap()).unwrap();
        assert_eq!((body.get("thinking"), &body["reasoning"]["effort"]), (None, &sent), "{body}");
    }
    let body = object(
        &json!({"messages": [], "thinking": {"type": "adaptive"}, "reasoning_effort": "low"}),
    );
    let body: Value =
        serde_json::from_slice(&request(&body, &options("gpt-4o"), None).unwrap()).unwrap();
    assert_eq!((body.get("thinking"), body.get("reasoning")), (None, None));
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
    let read = reply(response.to_string().into(), 1, None).unwrap();
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
        let told = reply(body.to_string().into(), 1, None).unwrap();
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(told["choices"][0]["finish_reason"], finish);
    }
    for body in ["{}", "[]", "<html>", r#"{"status":"cancelled"}"#, r#"{"status":"queued"}"#] {
        assert!(reply(body.into(), 1, None).is_err(), "{body}");
    }
}
