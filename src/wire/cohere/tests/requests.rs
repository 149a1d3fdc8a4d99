//! Requests: parameters, conversations and tools.

use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::failure::FailureClass;

fn sent(fields: &Value) -> Result<Value, Failure> {
    let body = request(&object(&asked(fields)), &options("command-a-03-2025"))?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn turns(model: &str, messages: &Value) -> Result<Value, Failure> {
    let body = request(&object(&json!({"messages": messages})), &options(model))?;
    Ok(serde_json::from_slice::<Value>(&body).unwrap()["messages"].take())
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

#[test]
fn parameters_get_coheres_names() {
    for (written, expected) in [
        (json!({"top_p": 0.8, "top_k": 3}), json!({"p": 0.8, "k": 3})),
        (json!({"p": 0.5, "top_p": 0.8}), json!({"p": 0.5})),
        (json!({"stop": "a"}), json!({"stop_sequences": ["a"]})),
        (json!({"stop": ["a", "b"]}), json!({"stop_sequences": ["a", "b"]})),
        (json!({"max_completion_tokens": 9}), json!({"max_tokens": 9})),
        (
            json!({"temperature": 0.1, "seed": 1, "frequency_penalty": 0.2, "presence_penalty": 0.3}),
            json!({"temperature": 0.1, "seed": 1, "frequency_penalty": 0.2, "presence_penalty": 0.3}),
        ),
        (json!({"logprobs": true}), json!({"logprobs": true})),
        (json!({"user": "u", "n": 1, "store": true, "stream_options": {}}), json!({})),
        (json!({"safety_mode": "STRICT"}), json!({"safety_mode": "STRICT"})),
        (json!({"reasoning_effort": "none"}), json!({"thinking": {"type": "disabled"}})),
        (
            json!({"reasoning_effort": "low"}),
            json!({"thinking": {"type": "enabled", "token_budget": 1024}}),
        ),
        (
            json!({"reasoning_effort": "high", "max_tokens": 1000}),
            json!({"thinking": {"type": "enabled", "token_budget": 500}, "max_tokens": 1000}),
        ),
        (
            json!({"reasoning_effort": "low", "max_tokens": 4000}),
            json!({"thinking": {"type": "enabled", "token_budget": 1024}, "max_tokens": 4000}),
        ),
        (
            json!({"reasoning_effort": "low", "max_tokens": 1}),
            json!({"thinking": {"type": "disabled"}, "max_tokens": 1}),
        ),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 7}}),
            json!({"thinking": {"type": "enabled", "token_budget": 7}}),
        ),
        (json!({"response_format": {"type": "text"}}), json!({})),
        (
            json!({"response_format": {"type": "json_object"}}),
            json!({"response_format": {"type": "json_object"}}),
        ),
        (
            json!({"response_format": {"type": "json_schema", "json_schema":
                {"name": "n", "schema": {"type": "object"}}}}),
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
        ),
        (
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
            json!({"response_format": {"type": "json_object", "json_schema": {"type": "object"}}}),
        ),
        (
            json!({"documents": ["a", {"data": {"t": "b"}, "id": "1"}, {"title": "c", "id": "2"}]}),
            json!({"documents": ["a", {"data": {"t": "b"}, "id": "1"},
                {"data": {"title": "c", "id": "2"}, "id": "2"}]}),
        ),
    ] {
        let mut expected = expected;
        expected["model"] = json!("command-a-03-2025");
        expected["messages"] = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(sent(&written).unwrap(), expected, "{written}");
    }
}

#[test]
fn what_cohere_cannot_do_is_refused_or_dropped() {
    for (written, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logit_bias": {"1": 2}}), "logit_bias"),
        (json!({"top_logprobs": 2}), "top_logprobs"),
        (json!({"parallel_tool_calls": false}), "parallel_tool_calls"),
        (json!({"tools": [{"type": "web_search"}]}), "tools"),
        (json!({"tools": [tool("f")], "tool_choice": {"function": {"name": "g"}}}), "tool_choice"),
        (json!({"reasoning_effort": "enormous"}), "reasoning_effort"),
        (json!({"max_tokens": "many"}), "max_tokens"),
    ] {
        let refused = sent(&written).expect_err(param);
        assert_eq!(refused.class, FailureClass::BadRequest);
        assert_eq!(refused.param.as_deref(), Some(param), "{written}");
    }
    let body = object(&asked(&json!({"logit_bias": {"1": 2}, "tools": [{"type": "web_search"}]})));
    let dropped = request(&body, &RequestOptions { drop_params: true, ..options("m") }).unwrap();
    let dropped: Value = serde_json::from_slice(&dropped).unwrap();
    assert_eq!(dropped.as_object().unwrap().keys().collect::<Vec<_>>(), ["messages", "model"]);
}

#[test]
fn one_tool_is_chosen_by_leaving_out_the_others() {
    let tools = json!([tool("f"), tool("g")]);
    for (choice, names, word) in [
        (json!("auto"), vec!["f", "g"], None),
        (json!("none"), vec!["f", "g"], Some("NONE")),
        (json!("required"), vec!["f", "g"], Some("REQUIRED")),
        (json!({"type": "function", "function": {"name": "g"}}), vec!["g"], Some("REQUIRED")),
        (
            json!({"type": "allowed_tools", "allowed_tools":
                {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]}}),
            vec!["f"],
            None,
        ),
    ] {
        let body = sent(&json!({"tools": tools, "tool_choice": choice})).unwrap();
        let kept = body["tools"].as_array().unwrap();
        let kept: Vec<_> = kept.iter().map(|it| it["function"]["name"].as_str().unwrap()).collect();
        assert_eq!((kept, body["tool_choice"].as_str()), (names, word), "{choice}");
    }
    let strict = json!({"type": "function", "function": {"name": "h", "strict": true}});
    let body = sent(&json!({"tools": [strict]})).unwrap();
    assert_eq!(body["strict_tools"], true);
    let declared = json!({"type": "function", "function":
        {"name": "h", "parameters": {"type": "object", "properties": {}}}});
    assert_eq!(body["tools"], json!([declared]), "parameters are required there");
}

#[test]
fn the_conversation_is_said_in_coheres_words() {
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        ]},
        {"role": "assistant", "content": null, "reasoning_content": "I look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "42"}]},
        {"role": "assistant", "content": "so", "reasoning_content": "hm", "refusal": null},
    ]);
    let mut expected = json!([
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": [
            {"type": "text", "text": "look"},
            {"type": "image_url", "image_url": {"url": "http://h/a.png", "detail": "low"}},
        ]},
        {"role": "assistant", "tool_plan": "I look", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "42"},
        {"role": "assistant", "content": "so"},
    ]);
    assert_eq!(turns("command-r", &messages).unwrap(), expected);
    expected[4]["content"] =
        json!([{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "so"}]);
    assert_eq!(turns("command-a-reasoning-08-2025", &messages).unwrap(), expected);
}

#[test]
fn what_cannot_be_said_is_told_with_its_place() {
    for (message, param) in [
        (json!({"role": "robot", "content": "x"}), "messages[0].role"),
        (json!({"role": "tool", "content": "x"}), "messages[0].tool_call_id"),
        (
            json!({"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}),
            "messages[0].content[0]",
        ),
        (
            json!({"role": "assistant", "content": [{"type": "image_url", "image_url": "http://h"}]}),
            "messages[0].content[0]",
        ),
    ] {
        let refused = turns("m", &json!([message])).expect_err(param);
        assert_eq!(refused.param.as_deref(), Some(param), "{}", refused.message);
    }
}

#[test]
fn turns_in_which_nothing_was_said_are_left_out() {
    let said = turns(
        "command-a-03-2025",
        &json!([
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "", "tool_calls": []},
            {"role": "assistant", "content": null},
            {"role": "user", "content": "well?"},
        ]),
    );
    let roles: Vec<_> =
        said.unwrap().as_array().unwrap().iter().map(|turn| turn["role"].clone()).collect();
    assert_eq!(roles, ["user", "user"]);
}

#[test]
fn images_of_tools_are_shown_by_the_user() {
    let image = json!({"type": "image_url", "image_url": {"url": "http://h/a.png"}});
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let messages = json!([
        {"role": "user", "content": "look"},
        {"role": "assistant", "content": null, "tool_calls": [call("a"), call("b")]},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "one"}, image]},
        {"role": "tool", "tool_call_id": "b", "content": "two"},
        {"role": "user", "content": "and?"},
    ]);
    let turns = turns("m", &messages).unwrap();
    let roles: Vec<_> = turns.as_array().unwrap().iter().map(|turn| &turn["role"]).collect();
    assert_eq!(roles, ["user", "assistant", "tool", "tool", "user", "user"]);
    assert_eq!(turns[2]["content"], "one");
    assert_eq!(turns[4]["content"][1], image);
}

#[test]
fn results_of_tools_keep_their_documents_and_say_that_they_are_errors() {
    let document = json!({"type": "document", "document": {"data": {"t": 1}, "id": "d"}});
    let result = |content: Value, is_error: bool| {
        let messages = json!([{"role": "tool", "tool_call_id": "c", "content": content,
                               "is_error": is_error}]);
        turns("command-a", &messages).unwrap()[0].clone()
    };
    assert_eq!(
        result(json!([document]), false),
        json!({"role": "tool", "tool_call_id": "c", "content": [document]})
    );
    assert_eq!(result(json!("no such city"), false)["content"], "no such city");
    let failed = result(json!("no such city"), true);
    let text = failed["content"].as_str().unwrap();
    assert!(text.contains("no such city") && text != "no such city", "{text}");
    let failed = result(json!([document]), true);
    assert_eq!(failed["content"][1], document);
    assert!(!failed["content"][0]["text"].as_str().unwrap().is_empty(), "{failed}");
}

#[test]
fn the_deployments_parameters_are_used_where_the_client_is_silent() {
    let default = |name: &str, value: &str| {
        (Box::from(name), RawValue::from_string(value.to_owned()).unwrap())
    };
    let defaults = [default("top_p", "0.1"), default("safety_mode", "\"OFF\"")];
    let body = object(&asked(&json!({"top_p": 0.9})));
    let sent = request(&body, &RequestOptions { defaults: &defaults, ..options("m") }).unwrap();
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    assert_eq!((&sent["p"], &sent["safety_mode"]), (&json!(0.9), &json!("OFF")));
}
