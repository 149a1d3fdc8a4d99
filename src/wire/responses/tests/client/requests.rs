//! Requests of the Responses API, as chat has them.

use serde_json::json;

use super::canonical;
use crate::wire::responses::client::{obstacle, request};
use crate::wire::responses::tests::{blamed, object};

#[test]
fn items_become_messages() {
    let body = canonical(&json!({
        "model": "m", "instructions": "Be brief.", "input": [
            {"role": "user", "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "image_url": "https://h/a.png", "detail": "auto"},
                {"type": "input_file", "filename": "a.pdf", "file_data": "data:x"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
             "encrypted_content": "tollgate.thinking_blocks:[{\"type\":\"thinking\",\"thinking\":\"hm\",\"signature\":\"s\"}]"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "one"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [
                {"type": "input_image", "image_url": "data:y"}]},
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gAAA"},
            {"role": "developer", "content": "Go on."},
            {"role": "assistant", "content": "Yes."}]}));
    assert_eq!(
        body["messages"],
        json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [
                {"type": "text", "text": "look"},
                {"type": "image_url", "image_url": {"url": "https://h/a.png", "detail": "auto"}},
                {"type": "file", "file": {"file_data": "data:x", "filename": "a.pdf"}}]},
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "hm",
             "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "s"}],
             "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{\"input\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "c1", "content": "one"},
            {"role": "tool", "tool_call_id": "c2", "content": [
                {"type": "image_url", "image_url": {"url": "data:y"}}]},
            {"role": "system", "content": "Go on."},
            {"role": "assistant", "content": "Yes."},
        ])
    );
}

#[test]
fn settings_become_nested() {
    let body = canonical(&json!({
        "model": "m", "input": "hi", "stream": true, "max_output_tokens": 9, "store": true,
        "truncation": "disabled", "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "low", "format":
            {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}},
        "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": null},
                  {"type": "custom", "name": "g", "description": "d", "format":
                    {"type": "grammar", "syntax": "lark", "definition": "start: x"}},
                  {"type": "web_search"}],
        "tool_choice": {"type": "function", "name": "f"}, "fallbacks": ["x"], "temperature": null,
        "include": ["message.output_text.logprobs"], "top_logprobs": 2,
    }));
    assert_eq!(
        body,
        json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": true,
            "stream_options": {"include_usage": true}, "max_completion_tokens": 9,
            "reasoning_effort": "low", "verbosity": "low",
            "response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": {"type": "object"}, "strict": true}},
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}},
                      {"type": "function", "function": {"name": "g",
                        "description": "d\n\n`input` has to follow this lark grammar:\nstart: x",
                        "parameters": {"type": "object", "required": ["input"],
                            "additionalProperties": false, "properties": {"input":
                            {"type": "string", "description": "The whole input of the tool, as plain text."}}}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}}, "fallbacks": ["x"],
            "logprobs": true, "top_logprobs": 2,
        })
    );
}

#[test]
fn what_clients_always_send_is_left_out_where_the_chat_api_refuses_it() {
    let plain = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let idle = json!({"model": "m", "input": "hi", "instructions": "", "tools": [], "text": {},
        "tool_choice": "auto", "parallel_tool_calls": false, "top_logprobs": 5, "include": [],
        "truncation": "auto", "max_tool_calls": 3, "reasoning": {"summary": "auto"},
        "stream_options": {"include_obfuscation": false}, "previous_response_id": null,
        "max_output_tokens": null, "background": false, "store": true,
        "client_metadata": {"session": "s"}});
    assert_eq!(canonical(&idle), plain);
    let tool = json!([{"type": "function", "name": "f", "parameters": null}]);
    let chosen = canonical(&json!({"model": "m", "input": "hi", "tools": tool,
        "tool_choice": "none", "parallel_tool_calls": false}));
    assert_eq!(
        (&chosen["tool_choice"], &chosen["parallel_tool_calls"]),
        (&json!("none"), &json!(false))
    );
    let forced = canonical(&json!({"model": "m", "input": "hi", "tool_choice": "required"}));
    assert_eq!(forced["tool_choice"], "required", "that is a mistake for the provider to tell");
}

#[test]
fn what_is_wrong_is_told_in_the_clients_words() {
    for (body, told) in [
        (json!({}), "input missing_required_parameter"),
        (json!({"input": 5}), "input invalid_type"),
        (json!({"input": [{"content": "x"}]}), "input[0].role missing_required_parameter"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}),
            "input[0].content[0].text missing_required_parameter",
        ),
        (
            json!({"input": [{"role": "user", "content": [{"type": "image_url"}]}]}),
            "input[0].content[0].type invalid_value",
        ),
        (
            json!({"input": [{"type": "function_call", "name": "f"}]}),
            "input[0].call_id missing_required_parameter",
        ),
        (
            json!({"input": "x", "tools": [{"type": "function"}]}),
            "tools[0].name missing_required_parameter",
        ),
        (
            json!({"input": "x", "text": {"format": {"type": "json_schema"}}}),
            "text.format.schema missing_required_parameter",
        ),
        (json!({"input": "x", "max_output_tokens": "9"}), "max_output_tokens invalid_type"),
    ] {
        assert_eq!(blamed(&request(&object(&body)).unwrap_err()), told, "{body}");
    }
}

#[test]
fn what_needs_state_or_hosted_tools_is_an_obstacle() {
    for (body, told) in [
        (
            json!({"previous_response_id": "r"}),
            "previous_response_id previous_response_not_supported",
        ),
        (json!({"conversation": "c"}), "conversation unsupported_parameter"),
        (json!({"background": true}), "background background_not_supported"),
        (json!({"tools": [{"type": "function"}, {"type": "mcp"}]}), "tools[1] unsupported_tool"),
        (json!({"tool_choice": {"type": "file_search"}}), "tool_choice unsupported_tool"),
        (
            json!({"input": [{"type": "item_reference", "id": "x"}]}),
            "input[0] previous_response_not_supported",
        ),
        (json!({"input": [{"type": "computer_call"}]}), "input[0] unsupported_item"),
        (
            json!({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}),
            "input[0].content unsupported_value",
        ),
    ] {
        let failure = obstacle(&object(&body), false, false).unwrap();
        assert_eq!((blamed(&failure).as_str(), failure.telling().status), (told, 400), "{body}");
        assert!(failure.blameless, "another deployment may serve it");
    }
    let fine = json!({"input": [{"role": "user", "content": "x"}, {"type": "reasoning"}],
        "store": true, "background": false, "previous_response_id": null, "tool_choice": "auto"});
    assert!(obstacle(&object(&fine), false, false).is_none());
}

#[test]
fn hosted_tools_are_dropped_where_that_is_wished() {
    let search = json!({"type": "web_search", "external_web_access": false});
    let own = json!({"type": "function", "name": "f", "parameters": {}});
    for choice in [
        json!("required"),
        json!({"type": "web_search"}),
        json!({"type": "allowed_tools", "mode": "required", "tools": [{"type": "web_search"}]}),
    ] {
        let body = json!({"model": "m", "input": "hi", "tools": [search], "tool_choice": choice});
        assert_eq!(obstacle(&object(&body), true, false).map(|it| it.message), None, "{body}");
        assert!(obstacle(&object(&body), false, false).is_some(), "{body}");
        let left = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
        assert_eq!(canonical(&body), left);
    }
    let body = canonical(&json!({"model": "m", "input": "hi", "tools": [search, own],
        "tool_choice": "required"}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(body["tool_choice"], "required");
    let stored = json!({"previous_response_id": "r", "tools": [search]});
    assert!(obstacle(&object(&stored), true, false).is_some(), "this cannot be left out");
}
