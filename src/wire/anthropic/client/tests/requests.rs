//! Requests: every field and every block has its place in the canonical form.

use serde_json::{Value, json};

use super::{canonical, object};
use crate::wire::anthropic::client::{sealed::MARK, unserved};

fn of(messages: Value) -> Value {
    canonical(&json!({"model": "m", "max_tokens": 9, "messages": messages}))["messages"].take()
}

fn refused(body: Value) -> (String, String) {
    let failure = super::super::request(&object(&body)).unwrap_err();
    (failure.param.unwrap_or_default().into(), failure.message)
}

#[test]
fn parameters_have_openais_names() {
    let marker = json!({"type": "ephemeral"});
    let request = canonical(&json!({
        "model": "m", "max_tokens": 9, "stream": true, "stop_sequences": ["a"],
        "temperature": 0.5, "top_p": 0.9, "top_k": 3, "service_tier": "standard_only",
        "system": [{"type": "text", "text": "s", "cache_control": marker}],
        "metadata": {"user_id": "u", "tags": ["t"]}, "num_retries": 0, "fallbacks": ["b"],
        "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}, "strict": false,
                   "cache_control": marker, "eager_input_streaming": true}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema":
            {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"],
             "additionalProperties": false}}},
        "context_management": {"edits": []}, "speed": "fast",
    }));
    assert_eq!(
        request,
        json!({
            "model": "m", "max_completion_tokens": 9, "stream": true,
            "stream_options": {"include_usage": true}, "stop": ["a"],
            "temperature": 0.5, "top_p": 0.9, "top_k": 3, "service_tier": "default",
            "user": "u", "metadata": {"tags": ["t"]}, "num_retries": 0, "fallbacks": ["b"],
            "messages": [
                {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": marker}]},
                {"role": "user", "content": "hi"},
            ],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"},
                       "strict": false}, "cache_control": marker}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
            "parallel_tool_calls": false,
            "reasoning_effort": "high",
            "response_format": {"type": "json_schema", "json_schema": {"name": "response",
                "strict": true, "schema": {"type": "object", "properties": {"a": {"type": "string"}},
                "required": ["a"], "additionalProperties": false}}},
        })
    );
}

#[test]
fn tools_stay_strict_where_their_schema_is_closed() {
    let strict = |schema: Value| {
        let tool = json!({"name": "f", "input_schema": schema, "strict": true});
        let request = canonical(&json!({"model": "m", "messages": [], "tools": [tool]}));
        assert_eq!(request["tools"][0]["function"]["parameters"], schema);
        request["tools"][0]["function"]["strict"].clone()
    };
    let of = |required: Value| {
        json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}},
            "required": required, "additionalProperties": false})
    };
    assert_eq!(strict(of(json!(["a", "b"]))), json!(true));
    assert_eq!(strict(of(json!(["a"]))), Value::Null);
    let nested = json!({"type": "object", "properties": {"o": of(json!(["a"]))},
        "required": ["o"], "additionalProperties": false});
    assert_eq!(strict(nested), Value::Null);
}

#[test]
fn the_note_of_an_agent_to_anthropics_accounts_stays_there() {
    let request = canonical(&json!({"model": "m", "messages": [{"role": "user", "content": "hi"}],
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1; cch=3f1a2;"},
        {"type": "text", "text": "You are an agent.", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "Do not send x-anthropic-billing-header: it is internal."},
    ]}));
    let system = &request["messages"][0];
    assert_eq!(system["role"], "system");
    let texts = system["content"].as_array().unwrap().iter().map(|part| part["text"].as_str());
    let texts: Vec<_> = texts.map(Option::unwrap).collect();
    let kept = "Do not send x-anthropic-billing-header: it is internal.";
    assert_eq!(texts, ["You are an agent.", kept]);
}

#[test]
fn thinking_is_an_effort() {
    for (thinking, config, effort) in [
        (json!({"type": "enabled", "budget_tokens": 31_999}), json!({}), json!("high")),
        (json!({"type": "enabled", "budget_tokens": 2_000}), json!({}), json!("low")),
        (json!({"type": "adaptive"}), json!({}), json!("medium")),
        (json!({"type": "adaptive"}), json!({"effort": "max"}), json!("max")),
        (json!({"type": "disabled"}), json!({"effort": "max"}), Value::Null),
    ] {
        let request = canonical(&json!({
            "model": "m", "messages": [], "thinking": thinking, "output_config": config,
        }));
        assert_eq!(request["reasoning_effort"], effort, "{thinking} {config}");
        assert_eq!(request["thinking"], thinking);
    }
}

#[test]
fn results_become_messages_before_what_the_user_says() {
    let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
    assert_eq!(
        of(json!([
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "a"},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"x": 1.50}},
                {"type": "tool_use", "id": "_x-a-2Eb", "name": "g", "input": {}},
                {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
                {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            ]},
            {"role": "user", "content": [
                {"type": "text", "text": "and?"},
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": true, "content": "no"},
                {"type": "tool_result", "tool_use_id": "_x-a-2Eb", "content": [
                    {"type": "text", "text": "yes"}, image,
                ]},
            ]},
        ])),
        json!([
            {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
             ], "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1.5}"}},
                {"id": "a.b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
             ]},
            {"role": "tool", "tool_call_id": "toolu_1", "is_error": true, "content": "no"},
            {"role": "tool", "tool_call_id": "a.b", "content": [
                {"type": "text", "text": "yes"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            ]},
            {"role": "user", "content": "and?"},
        ])
    );
}

#[test]
fn images_and_documents_are_parts() {
    let marker = json!({"type": "ephemeral", "ttl": "1h"});
    assert_eq!(
        of(json!([{"role": "user", "content": [
            {"type": "image", "source": {"type": "url", "url": "https://h/a.png"}, "cache_control": marker},
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
            {"type": "document", "title": "t.pdf", "source":
                {"type": "base64", "media_type": "application/pdf", "data": "JVBERi"}},
            {"type": "document", "source": {"type": "url", "url": "https://h/a.pdf"}},
            {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "x"}},
            {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "y"}]}},
            {"type": "search_result", "source": "u", "title": "R", "content": [{"type": "text", "text": "z"}]},
            {"type": "text", "text": ""},
        ]}])),
        json!([{"role": "user", "content": [
            {"type": "image_url", "image_url": {"url": "https://h/a.png"}, "cache_control": marker},
            {"type": "file", "file": {"file_id": "file_1"}},
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi", "filename": "t.pdf"}},
            {"type": "file", "file": {"file_id": "https://h/a.pdf"}},
            {"type": "text", "text": "T\n\nx"},
            {"type": "text", "text": "y"},
            {"type": "text", "text": "R (u)"},
            {"type": "text", "text": "z"},
        ]}])
    );
}

#[test]
fn a_system_message_may_stand_between_turns_and_a_marker_holds_for_the_whole() {
    let request = canonical(&json!({
        "model": "m", "cache_control": {"type": "ephemeral"},
        "messages": [{"role": "user", "content": "a"}, {"role": "system", "content": "s"},
                     {"role": "user", "content": "b"}],
    }));
    assert_eq!(
        request["messages"],
        json!([
            {"role": "user", "content": "a"},
            {"role": "system", "content": "s"},
            {"role": "user", "content": [
                {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}]},
        ])
    );
}

#[test]
fn what_is_wrong_is_told_with_the_clients_own_field() {
    let user =
        |content: Value| json!({"model": "m", "messages": [{"role": "user", "content": content}]});
    for (body, param) in [
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": 5}), "messages"),
        (user(json!(5)), "messages.0.content"),
        (json!({"model": "m", "messages": [{"role": "user"}]}), "messages.0.content"),
        (json!({"model": "m", "messages": [{"role": "tool", "content": "a"}]}), "messages.0.role"),
        (user(json!([{"type": "text"}])), "messages.0.content.0.text"),
        (user(json!([{"type": "image"}])), "messages.0.content.0.source"),
        (
            user(json!([{"type": "image", "source": {"type": "x"}}])),
            "messages.0.content.0.source.type",
        ),
        (
            user(json!([{"type": "tool_use", "id": "a", "name": "f", "input": {}}])),
            "messages.0.content.0",
        ),
        (
            user(json!([{"type": "tool_result", "content": "a"}])),
            "messages.0.content.0.tool_use_id",
        ),
        (json!({"model": "m", "messages": [], "system": 5}), "system"),
        (json!({"model": "m", "messages": [], "tools": [{"input_schema": {}}]}), "tools.0.name"),
        (
            json!({"model": "m", "messages": [], "output_config": {"format": {"type": "x"}}}),
            "output_config.format.type",
        ),
    ] {
        let (found, message) = refused(body);
        assert_eq!(found, param, "{message}");
        assert!(message.contains(param), "{message}");
    }
}

#[test]
fn what_only_anthropic_has_is_refused_elsewhere_or_dropped() {
    for (body, param) in [
        (
            json!({"tools": [{"name": "f", "input_schema": {}}, {"type": "web_search_20250305", "name": "web_search"}]}),
            Some("tools.1"),
        ),
        (json!({"mcp_servers": [{"type": "url", "url": "u", "name": "n"}]}), Some("mcp_servers")),
        (json!({"container": "c"}), Some("container")),
        (
            json!({"mcp_servers": [], "tools": [{"type": "custom", "name": "f", "input_schema": {}}]}),
            None,
        ),
    ] {
        let obstacle = unserved(&object(&body));
        let found = obstacle.refusal(false);
        assert_eq!(found.and_then(|failure| failure.param.as_deref()), param);
        assert!(obstacle.refusal(true).is_none());
    }
}

#[test]
fn long_names_are_cut_and_long_users_are_digested() {
    let long = "mcp__server__".to_owned() + &"x".repeat(80);
    let request = canonical(&json!({
        "model": "m", "metadata": {"user_id": "u".repeat(100)},
        "tools": [{"name": long, "input_schema": {}}], "tool_choice": {"type": "tool", "name": long},
        "messages": [{"role": "assistant", "content": [
            {"type": "tool_use", "id": "t", "name": long, "input": {}}]}],
    }));
    let short = request["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(short.len() <= 64 && short.starts_with("mcp__server__xxx"), "{short}");
    assert_eq!(request["tool_choice"]["function"]["name"], *short);
    assert_eq!(request["messages"][0]["tool_calls"][0]["function"]["name"], *short);
    assert_eq!(request["user"].as_str().map(str::len), Some(64));
}

#[test]
fn what_is_sealed_comes_back() {
    use super::super::sealed::Sealed;
    use std::borrow::Cow;
    let raw = |json: &str| serde_json::from_str::<Box<serde_json::value::RawValue>>(json).unwrap();
    let extra = raw(r#"{"google":{"thought_signature":"sig"}}"#);
    let call = Sealed { extra_content: Some(Cow::Owned(extra)), ..Sealed::default() };
    let item = raw(r#"{"type":"reasoning","encrypted_content":"e"}"#);
    let items = Sealed { reasoning_items: Some(vec![Cow::Owned(item)]), ..Sealed::default() };
    assert!(call.data().starts_with(MARK));
    let messages = of(json!([{"role": "assistant", "content": [
        {"type": "redacted_thinking", "data": items.data()},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        {"type": "redacted_thinking", "data": call.data()},
        {"type": "tool_use", "id": "b", "name": "f", "input": {}},
    ]}]));
    assert_eq!(messages[0]["reasoning_items"][0]["encrypted_content"], "e");
    assert_eq!(messages[0]["tool_calls"][0].get("extra_content"), None);
    assert_eq!(messages[0]["tool_calls"][1]["extra_content"]["google"]["thought_signature"], "sig");
    assert_eq!(messages[0].get("thinking_blocks"), None);
}

#[test]
fn a_marker_of_the_whole_prompt_is_on_its_last_block_whatever_that_is() {
    let marker = json!({"type": "ephemeral"});
    let last = |turns: Value| {
        let request = canonical(&json!({"model": "m", "max_tokens": 9, "messages": turns,
            "cache_control": marker}));
        request["messages"].as_array().unwrap().last().unwrap().clone()
    };
    let call = json!({"type": "tool_use", "id": "t", "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "r"});
    let results = last(json!([{"role": "user", "content": [result("t"), result("u")]}]));
    assert_eq!((&results["tool_call_id"], &results["cache_control"]), (&json!("u"), &marker));
    let said = last(json!([{"role": "user",
        "content": [result("t"), {"type": "text", "text": "go on"}]}]));
    assert_eq!(said["content"][0]["cache_control"], marker);
    let calls =
        last(json!([{"role": "assistant", "content": [{"type": "text", "text": "x"}, call]}]));
    assert_eq!(calls["tool_calls"][0]["cache_control"], marker);
    assert_eq!(calls["content"], "x");
}

#[test]
fn a_search_result_keeps_its_marker() {
    let marker = json!({"type": "ephemeral"});
    let result = json!({"type": "search_result", "title": "T", "source": "https://s",
        "content": [{"type": "text", "text": "found"}], "cache_control": marker});
    let messages = of(json!([{"role": "user", "content": [result]}]));
    assert_eq!(messages[0]["content"][1]["cache_control"], marker);
    let inner = json!({"type": "text", "text": "d", "cache_control": marker});
    let document = json!({"type": "document", "source": {"type": "content", "content": [inner]}});
    let messages = of(json!([{"role": "user", "content": [document]}]));
    assert_eq!(messages[0]["content"][0]["cache_control"], marker);
}
