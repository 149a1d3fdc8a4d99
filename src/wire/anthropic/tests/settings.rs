//! The parameters of a request: tools, the form of the answer, sampling, thinking and the rest.

use serde_json::{Value, json};

use super::{options, params, refusal, request, send, send_with, try_send};
use crate::wire::RequestOptions;
use crate::wire::json::Object;

const OLDEST: &str = "claude-3-5-sonnet-20241022";
const OLD: &str = "claude-haiku-4-5";
const NEW: &str = "claude-sonnet-4-6";
const NEWEST: &str = "claude-opus-5-5";

/// A request with one user message and more parameters.
fn ask(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn sent(model: &str, more: &Value) -> Value {
    send(model, &ask(more))
}

fn dropping(model: &str) -> RequestOptions<'_> {
    RequestOptions { drop_params: true, ..options(model) }
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}})
}

fn schema_format(schema: &Value) -> Value {
    json!({"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}})
}

#[test]
fn max_tokens_is_always_sent() {
    assert_eq!(sent(OLD, &json!({}))["max_tokens"], 64_000);
    assert_eq!(sent("kimi-k3", &json!({}))["max_tokens"], 8_192);
    assert_eq!(sent(OLD, &json!({"max_tokens": 7}))["max_tokens"], 7);
    assert_eq!(sent(OLD, &json!({"max_tokens": 7, "max_completion_tokens": 8}))["max_tokens"], 8);
    assert_eq!(sent(OLD, &json!({"max_tokens": null}))["max_tokens"], 64_000);
    assert_eq!(sent(OLD, &json!({"max_tokens": 0}))["max_tokens"], 0);
    let known = RequestOptions { max_output_tokens: Some(50), ..options(OLD) };
    assert_eq!(send_with(&ask(&json!({})), &known)["max_tokens"], 50);
    assert_eq!(send_with(&ask(&json!({"max_tokens": 70})), &known)["max_tokens"], 70);
    let modify = RequestOptions { modify_params: true, ..known };
    assert_eq!(send_with(&ask(&json!({"max_tokens": 70})), &modify)["max_tokens"], 50);
    assert_eq!(refusal(OLD, &ask(&json!({"max_tokens": -1}))).0, "max_tokens");
}

#[test]
fn defaults_give_way_and_overrides_win() {
    let defaults = params(&[("max_tokens", "1"), ("temperature", "0.1"), ("top_k", "5")]);
    let overrides = params(&[("temperature", "0.9")]);
    let drop = [Box::from("top_k")];
    let options =
        RequestOptions { defaults: &defaults, overrides: &overrides, drop: &drop, ..options(OLD) };
    let body = send_with(&ask(&json!({"max_completion_tokens": 2, "temperature": 0.5})), &options);
    assert_eq!((&body["max_tokens"], &body["temperature"]), (&json!(2), &json!(0.9)));
    assert_eq!(body.get("top_k"), None);
}

#[test]
fn the_model_is_written_only_if_there_is_one() {
    assert_eq!(sent(OLD, &json!({}))["model"], OLD);
    let unnamed = RequestOptions { model: None, ..options(OLD) };
    assert_eq!(send_with(&ask(&json!({})), &unnamed).get("model"), None);
}

#[test]
fn sampling_is_clamped_and_left_out_where_the_model_has_none() {
    let body = sent(OLDEST, &json!({"temperature": 1.7, "top_p": 0.3, "top_k": 4}));
    assert_eq!(body["temperature"], 1);
    assert_eq!((&body["top_p"], &body["top_k"]), (&json!(0.3), &json!(4)));
    assert_eq!(sent(OLD, &json!({"temperature": 0}))["temperature"], 0);
    assert_eq!(sent(OLD, &json!({"temperature": 0.2, "top_p": 1})).get("top_p"), None);
    let body = sent(NEWEST, &json!({"temperature": 1, "top_p": 1, "top_k": 4}));
    for name in ["temperature", "top_p", "top_k"] {
        assert_eq!(body.get(name), None, "{name}");
    }
    assert_eq!(refusal(OLD, &ask(&json!({"temperature": "hot"}))).0, "temperature");
}

#[test]
fn the_later_version_of_the_api_has_no_sampling() {
    let body = ask(&json!({"temperature": 0.2, "top_p": 0.5, "top_k": 4}));
    let body = Object::parse(serde_json::to_vec(&body).unwrap().into()).unwrap();
    let sent = request(&body, &options(OLDEST), "2026-10-21").unwrap().body;
    let sent: Value = serde_json::from_slice(&sent).unwrap();
    for name in ["temperature", "top_p", "top_k"] {
        assert_eq!(sent.get(name), None, "{name}");
    }
}

#[test]
fn one_of_temperature_and_top_p_is_sent_where_the_model_takes_no_more() {
    let pair = |options: &RequestOptions<'_>, more: &Value| {
        let body = send_with(&ask(more), options);
        (body["temperature"].clone(), body["top_p"].clone())
    };
    let none = Value::Null;
    let opus = "claude-opus-4-1-20250805";
    for model in [OLD, NEW, opus] {
        // What the clients' libraries send of themselves is no obstacle.
        let plain = options(model);
        assert_eq!(
            pair(&plain, &json!({"temperature": 0.2, "top_p": 1})),
            (json!(0.2), none.clone())
        );
        assert_eq!(
            pair(&plain, &json!({"temperature": 1, "top_p": 0.5})),
            (none.clone(), json!(0.5))
        );
        assert_eq!(pair(&plain, &json!({"temperature": 1, "top_p": 1})), (json!(1), none.clone()));
        let both = json!({"temperature": 0.2, "top_p": 0.5});
        let (param, message) = refusal(model, &ask(&both));
        assert_eq!(param, "top_p");
        assert!(message.contains("drop_params"), "{message}");
        assert_eq!(pair(&dropping(model), &both), (json!(0.2), none.clone()));
        for (default, asked, sent) in [
            (("top_p", "0.5"), json!({"temperature": 0.2}), (json!(0.2), none.clone())),
            (("temperature", "0.2"), json!({"top_p": 0.5}), (none.clone(), json!(0.5))),
        ] {
            let defaults = params(&[default]);
            let with_default = RequestOptions { defaults: &defaults, ..plain };
            assert_eq!(pair(&with_default, &asked), sent, "{default:?}");
        }
    }
}

#[test]
fn what_anthropic_lacks_is_refused_by_name_or_dropped() {
    for (name, value) in [
        ("seed", json!(1)),
        ("logprobs", json!(true)),
        ("top_logprobs", json!(3)),
        ("logit_bias", json!({"50256": -100})),
        ("presence_penalty", json!(0.5)),
        ("frequency_penalty", json!(-1)),
        ("audio", json!({"voice": "alloy", "format": "wav"})),
        ("modalities", json!(["text", "audio"])),
        ("verbosity", json!("low")),
    ] {
        let body = ask(&json!({name: value}));
        let (param, message) = refusal(OLD, &body);
        assert_eq!(param, name);
        assert!(message.contains(name), "{message}");
        assert_eq!(send_with(&body, &dropping(OLD)), sent(OLD, &json!({})), "{name}");
    }
    assert_eq!(refusal(OLD, &ask(&json!({"n": 2}))).0, "n");
    assert!(try_send(&ask(&json!({"n": 2})), &dropping(OLD)).is_ok());
}

#[test]
fn parameters_that_ask_for_nothing_are_left_out() {
    let body = sent(
        OLD,
        &json!({"n": 1, "logprobs": false, "logit_bias": {}, "presence_penalty": 0, "seed": null,
            "frequency_penalty": 0.0, "modalities": ["text"], "store": true, "verbosity": "medium",
            "metadata": {"team": "x"}, "prompt_cache_key": "k", "stream_options": {"include_usage": true},
            "prediction": {"type": "content", "content": "x"}, "parallel_tool_calls": true,
            "response_format": {"type": "text"}, "tools": [], "tool_choice": "auto",
            "fallbacks": [{"a": ["b"]}], "num_retries": 2, "litellm_metadata": {}, "mock_response": "x",
            "tags": ["t"], "timeout": 4, "user_config": {"api_key": "k"}, "model_list": [], "user": null}),
    );
    assert_eq!(body, sent(OLD, &json!({})));
}

#[test]
fn a_user_is_named_unless_the_name_identifies_a_person() {
    let user = |more: Value| sent(OLD, &more)["metadata"].clone();
    assert_eq!(user(json!({"user": "u-42"})), json!({"user_id": "u-42"}));
    assert_eq!(user(json!({"safety_identifier": "s"})), json!({"user_id": "s"}));
    assert_eq!(user(json!({"metadata": {"user_id": "m", "x": "y"}})), json!({"user_id": "m"}));
    for person in ["ann@example.com", "+49 (171) 234-5678", "5551234567", ""] {
        assert_eq!(user(json!({"user": person})), Value::Null, "{person}");
    }
}

#[test]
fn anthropics_own_parameters_pass() {
    let own = json!({"container": "c_1", "mcp_servers": [{"type": "url", "name": "m"}],
        "context_management": {"edits": []}, "cache_control": {"type": "ephemeral"},
        "inference_geo": "eu", "speed": "fast", "thinking": {"type": "enabled", "budget_tokens": 2000},
        "stop_sequences": ["X"], "some_future_field": [1]});
    let body = sent(OLD, &own);
    for (name, value) in own.as_object().unwrap() {
        assert_eq!(&body[name], value, "{name}");
    }
    let tool = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3});
    assert_eq!(sent(OLD, &json!({"tools": [tool]}))["tools"], json!([tool]));
    assert_eq!(sent(OLD, &json!({"system": "s"}))["system"][0]["text"], "s");
}

#[test]
fn betas_are_named_by_the_client_and_by_what_it_uses() {
    let betas = |more: &Value| try_send(&ask(more), &options(OLD)).unwrap().betas;
    assert_eq!(betas(&json!({})), [""; 0]);
    assert_eq!(betas(&json!({"betas": ["a-1", "b-2", "a-1"]})), ["a-1", "b-2"]);
    assert_eq!(betas(&json!({"extra_headers": {"Anthropic-Beta": "a, b"}})), ["a", "b"]);
    assert_eq!(
        betas(
            &json!({"mcp_servers": [], "anthropic_beta": "mcp-client-2099-01-01", "speed": "fast"})
        ),
        ["mcp-client-2099-01-01", "fast-mode-2026-02-01"]
    );
    assert_eq!(
        betas(&json!({"tools": [{"type": "computer_20250124", "name": "computer"}]})),
        ["computer-use-2025-01-24"]
    );
    for (kind, beta) in [
        ("computer_20251124", &["computer-use-2025-11-24"][..]),
        ("code_execution_20250522", &["code-execution-2025-05-22"]),
        ("web_fetch_20250910", &["web-fetch-2025-09-10"]),
        // Generally available: nobody knows a beta of these dates.
        ("web_fetch_20260209", &[]),
        ("code_execution_20260120", &[]),
        ("web_search_20250305", &[]),
    ] {
        assert_eq!(betas(&json!({"tools": [{"type": kind, "name": "n"}]})), beta, "{kind}");
    }
    let body = sent(OLD, &json!({"betas": ["a"], "extra_headers": {"x": "y"}}));
    assert_eq!(body, sent(OLD, &json!({})));
}

#[test]
fn stop_strings_of_white_space_are_dropped() {
    assert_eq!(sent(OLD, &json!({"stop": ["\n\n", "END", ""]}))["stop_sequences"], json!(["END"]));
    assert_eq!(sent(OLD, &json!({"stop": "\n"})).get("stop_sequences"), None);
    assert_eq!(refusal(OLD, &ask(&json!({"stop": [1]}))).0, "stop[0]");
}

#[test]
fn service_tiers_are_put_in_anthropics_words() {
    for (tier, expected) in [
        ("auto", json!("auto")),
        ("default", json!("standard_only")),
        ("standard_only", json!("standard_only")),
        ("flex", Value::Null),
    ] {
        assert_eq!(sent(OLD, &json!({"service_tier": tier}))["service_tier"], expected, "{tier}");
    }
}

#[test]
fn tools_are_described_in_anthropics_form() {
    let body = sent(
        OLD,
        &json!({"tools": [
            {"type": "function", "function": {"name": "files.read", "description": "",
                "parameters": {"properties": {"a": {}}}}, "cache_control": {"type": "ephemeral"}},
            {"type": "function", "function": {"name": "now", "strict": false}},
            {"type": "function", "function": {"name": "s", "strict": true, "description": "S",
                "parameters": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}}},
        ], "functions": [{"name": "old", "parameters": {"type": "object"}}]}),
    );
    assert_eq!(
        body["tools"],
        json!([
            {"name": "_x-files-2Eread", "input_schema": {"type": "object", "properties": {"a": {}}},
             "cache_control": {"type": "ephemeral"}},
            {"name": "now", "input_schema": {"type": "object", "properties": {}}},
            {"name": "s", "description": "S", "strict": true, "input_schema": {"type": "object",
             "properties": {"n": {"type": "integer", "description": "Constraints: minimum: 1"}},
             "additionalProperties": false}},
            {"name": "old", "input_schema": {"type": "object"}},
        ])
    );
    let strict = json!({"tools": [{"type": "function", "function": {"name": "s", "strict": true,
        "parameters": {"type": "object", "minProperties": 1}}}]});
    let kept = json!([{"name": "s", "input_schema": {"type": "object", "minProperties": 1}}]);
    assert_eq!(sent(OLDEST, &strict)["tools"], kept);
}

#[test]
fn a_custom_tool_is_refused_or_dropped() {
    let body = ask(&json!({"tools": [{"type": "custom", "custom": {"name": "c"}}, tool("f")]}));
    assert_eq!(refusal(OLD, &body).0, "tools[0]");
    assert_eq!(send_with(&body, &dropping(OLD))["tools"].as_array().unwrap().len(), 1);
    let native = json!({"type": "custom", "name": "c", "input_schema": {"type": "object"}});
    assert_eq!(sent(OLD, &json!({"tools": [native]}))["tools"], json!([native]));
}

#[test]
fn every_choice_of_tools_has_its_form() {
    let choice = |model: &str, choice: Value| {
        let more = json!({"tools": [tool("f"), tool("g.h")], "tool_choice": choice});
        sent(model, &more)["tool_choice"].clone()
    };
    let named = json!({"type": "function", "function": {"name": "g.h"}});
    assert_eq!(choice(OLD, json!("auto")), json!({"type": "auto"}));
    assert_eq!(choice(OLD, json!("required")), json!({"type": "any"}));
    assert_eq!(choice(OLD, json!("none")), json!({"type": "none"}));
    assert_eq!(choice(OLD, named.clone()), json!({"type": "tool", "name": "_x-g-2Eh"}));
    assert_eq!(
        choice(OLD, json!({"type": "tool", "name": "f"})),
        json!({"type": "tool", "name": "f"})
    );
    assert_eq!(choice(OLD, json!({"type": "any"})), json!({"type": "any"}));
    assert_eq!(choice(NEWEST, json!("required")), json!({"type": "auto"}));
    let more = json!({"tools": [tool("f"), tool("g.h")], "tool_choice": named});
    let body = sent(NEWEST, &more);
    assert_eq!(body["tool_choice"], json!({"type": "auto"}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    for wrong in [json!("sometimes"), json!({"type": "function", "function": {"name": "x"}})] {
        let body = ask(&json!({"tools": [tool("f")], "tool_choice": wrong}));
        assert_eq!(refusal(OLD, &body).0, "tool_choice");
    }
}

#[test]
fn a_tool_of_anthropics_own_can_be_chosen() {
    let search = json!({"type": "web_search_20250305", "name": "web_search"});
    let by_name = json!({"type": "tool", "name": "web_search"});
    let function = json!({"type": "function", "function": {"name": "web_search"}});
    for choice in [by_name, function, json!({"type": "web_search_20250305"})] {
        let more = json!({"tools": [tool("f"), search], "tool_choice": choice});
        assert_eq!(sent(OLD, &more)["tool_choice"], json!({"type": "tool", "name": "web_search"}));
        let options =
            json!({"web_search_options": {}, "tools": [tool("f")], "tool_choice": choice});
        assert_eq!(sent(OLD, &options)["tool_choice"]["name"], "web_search", "{choice}");
        let body = ask(&json!({"tools": [tool("f")], "tool_choice": choice}));
        assert_eq!(refusal(OLD, &body).0, "tool_choice");
        let newest = sent(NEWEST, &more);
        assert_eq!(
            (&newest["tools"], &newest["tool_choice"]),
            (&json!([search]), &json!({"type": "auto"}))
        );
    }
    let listed = |names: Value| {
        let allowed =
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": names}});
        let tools = json!([tool("f"), search, {"type": "mcp_toolset", "mcp_server_name": "m"}]);
        let body = sent(OLD, &json!({"tools": tools, "tool_choice": allowed}));
        body["tools"].as_array().unwrap().len()
    };
    assert_eq!(listed(json!([{"type": "function", "name": "f"}])), 2);
    assert_eq!(listed(json!([{"type": "web_search_20250305"}])), 2);
    assert_eq!(listed(json!([{"type": "function", "name": "f"}, {"name": "web_search"}])), 3);
}

#[test]
fn allowed_tools_are_the_only_ones_sent() {
    let body = sent(
        OLD,
        &json!({"tools": [tool("f"), tool("g"), tool("h")], "tool_choice": {"type": "allowed_tools",
            "allowed_tools": {"mode": "required", "tools": [
                {"type": "function", "function": {"name": "f"}}, {"type": "function", "name": "h"}]}}}),
    );
    let names: Vec<_> =
        body["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert_eq!(names, ["f", "h"]);
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
}

#[test]
fn parallel_calls_are_switched_off_within_the_choice() {
    let choice = |more: Value| {
        let mut all = json!({"tools": [tool("f")]});
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        sent(OLD, &all)["tool_choice"].clone()
    };
    let off = json!({"type": "auto", "disable_parallel_tool_use": true});
    assert_eq!(choice(json!({"parallel_tool_calls": false})), off);
    assert_eq!(
        choice(json!({"parallel_tool_calls": false, "tool_choice": "required"})),
        json!({"type": "any", "disable_parallel_tool_use": true})
    );
    assert_eq!(
        choice(json!({"parallel_tool_calls": false, "tool_choice": "none"})),
        json!({"type": "none"})
    );
    assert_eq!(choice(json!({})), Value::Null);
}

#[test]
fn a_schema_for_the_answer_is_native_or_a_forced_tool() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string", "maxLength": 3}}});
    let more = json!({"response_format": schema_format(&schema)});
    let body = sent(OLD, &more);
    let format = &body["output_config"]["format"];
    assert_eq!(format["type"], "json_schema");
    assert_eq!(format["schema"]["additionalProperties"], false);
    assert_eq!(format["schema"]["properties"]["a"].get("maxLength"), None);
    assert_eq!(body.get("tools"), None);

    let body = sent(OLDEST, &more);
    assert_eq!(body.get("output_config"), None);
    assert_eq!(body["tools"][0]["input_schema"], schema);
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "_json_output"}));

    let more = json!({"response_format": schema_format(&schema), "tools": [tool("f")]});
    let body = sent(OLDEST, &more);
    assert_eq!(body["tool_choice"], json!({"type": "any"}));
    assert_eq!(body["tools"][1]["name"], "_json_output");

    let recursive = json!({"type": "object", "properties": {"a": {"$ref": "#"}}});
    let body = ask(&json!({"response_format": schema_format(&recursive)}));
    assert_eq!(refusal(OLD, &body).0, "response_format");
}

#[test]
fn json_without_a_schema_is_asked_for_in_words() {
    for model in [OLDEST, OLD, NEWEST] {
        let body = sent(model, &json!({"response_format": {"type": "json_object"}}));
        assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON object"), "{model}");
        assert_eq!((body.get("tools"), body.get("output_config")), (None, None));
    }
}

#[test]
fn an_effort_is_adaptive_thinking_or_a_budget() {
    let effort = |model: &str, effort: &str| {
        let body = sent(model, &json!({"reasoning_effort": effort}));
        (body["thinking"].clone(), body["output_config"]["effort"].clone())
    };
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let budget = |tokens: u64| json!({"type": "enabled", "budget_tokens": tokens});
    for (model, asked, thinking, told) in [
        (NEW, "minimal", adaptive.clone(), json!("low")),
        (NEW, "high", adaptive.clone(), json!("high")),
        (NEW, "xhigh", adaptive.clone(), json!("high")),
        (NEW, "max", adaptive.clone(), json!("max")),
        ("claude-opus-4-7", "xhigh", adaptive.clone(), json!("xhigh")),
        (NEW, "none", json!({"type": "disabled"}), Value::Null),
        (NEWEST, "medium", adaptive, json!("medium")),
        (NEWEST, "none", Value::Null, json!("low")),
        (OLD, "low", budget(1_024), Value::Null),
        (OLD, "medium", budget(2_048), Value::Null),
        (OLD, "high", budget(4_096), Value::Null),
        (OLD, "none", json!({"type": "disabled"}), Value::Null),
        (OLDEST, "none", Value::Null, Value::Null),
    ] {
        assert_eq!(effort(model, asked), (thinking, told), "{model} {asked}");
    }
    let body = ask(&json!({"reasoning_effort": "high"}));
    assert_eq!(refusal(OLDEST, &body).0, "reasoning_effort");
    assert_eq!(send_with(&body, &dropping(OLDEST)).get("thinking"), None);
    let wish = json!({"reasoning_effort": "medium",
        "thinking": {"type": "enabled", "budget_tokens": 8_192}});
    assert_eq!(sent(OLDEST, &wish).get("thinking"), None);
    assert_eq!(sent(OLD, &wish)["thinking"], wish["thinking"]);
    assert_eq!(refusal(NEW, &ask(&json!({"reasoning_effort": "huge"}))).0, "reasoning_effort");
    let object = json!({"reasoning_effort": {"effort": "low", "summary": "auto"}});
    assert_eq!(sent(NEW, &object)["output_config"], json!({"effort": "low"}));
}

#[test]
fn a_budget_fits_below_max_tokens() {
    let budget = |max_tokens: u64| {
        let more = json!({"reasoning_effort": "high", "max_tokens": max_tokens});
        sent(OLD, &more)["thinking"]["budget_tokens"].clone()
    };
    assert_eq!(budget(5_000), 4_096);
    assert_eq!(budget(4_096), 2_048);
    assert_eq!(budget(1_025), 1_024);
    assert_eq!(budget(1_024), Value::Null);
    let adaptive = |max_tokens: u64| {
        let more = json!({"thinking": {"type": "adaptive"}, "max_tokens": max_tokens});
        sent(OLD, &more)["thinking"]["budget_tokens"].clone()
    };
    assert_eq!((adaptive(5_000), adaptive(2_048)), (json!(2_048), json!(1_024)));
    assert_eq!(adaptive(1_000), Value::Null);
    let defaults = params(&[("thinking", r#"{"type":"enabled","budget_tokens":8000}"#)]);
    let options = RequestOptions { defaults: &defaults, ..options(OLD) };
    let body = send_with(&ask(&json!({"max_tokens": 3_000})), &options);
    assert_eq!(body["thinking"], json!({"type": "enabled", "budget_tokens": 1_500}));
    let native = json!({"thinking": {"type": "enabled", "budget_tokens": 100_000}});
    assert!(sent(OLD, &native)["max_tokens"].as_u64().unwrap() > 100_000);
}

#[test]
fn thinking_gives_way_to_a_demanded_tool_call() {
    let more = json!({"reasoning_effort": "low", "tools": [tool("f")], "tool_choice": "required"});
    for model in [OLD, NEW] {
        let body = sent(model, &more);
        assert_eq!((body.get("thinking"), &body["tool_choice"]["type"]), (None, &json!("any")));
    }
    assert_eq!(sent(NEW, &more)["output_config"]["effort"], "low");
    let body = sent(NEWEST, &more);
    assert_eq!(body["thinking"]["type"], "adaptive");
    assert_eq!(body["tool_choice"]["type"], "auto");
    // It thinks in any case and takes a forced choice, but not both said at once.
    let body = sent("claude-mythos-5", &more);
    assert_eq!((body.get("thinking"), &body["tool_choice"]["type"]), (None, &json!("any")));
}

#[test]
fn a_budget_is_dropped_where_a_tool_loop_lost_its_thinking() {
    let history = |blocks: Value| {
        json!({"reasoning_effort": "low", "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "thinking_blocks": blocks, "tool_calls": [
                {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "t", "content": "r"}]})
    };
    let kept = json!([{"type": "thinking", "thinking": "x", "signature": "s"}]);
    assert_eq!(send(OLD, &history(Value::Null)).get("thinking"), None);
    assert_eq!(send(OLD, &history(kept))["thinking"]["type"], "enabled");
    assert_eq!(send(NEW, &history(Value::Null))["thinking"]["type"], "adaptive");
    // It thinks once, before the first of several calls.
    let call = |id: &str| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let row = |blocks: Value| {
        json!({"reasoning_effort": "low", "messages": [
            {"role": "user", "content": "a"},
            {"role": "assistant", "thinking_blocks": blocks, "tool_calls": [call("t")]},
            {"role": "tool", "tool_call_id": "t", "content": "r"},
            {"role": "assistant", "tool_calls": [call("u")]},
            {"role": "tool", "tool_call_id": "u", "content": "s"}]})
    };
    let thought = json!([{"type": "thinking", "thinking": "x", "signature": "s"}]);
    assert_eq!(send(OLD, &row(thought))["thinking"]["type"], "enabled");
    assert_eq!(send(OLD, &row(Value::Null)).get("thinking"), None);
    let done = json!({"reasoning_effort": "low", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]});
    assert_eq!(send(OLD, &done)["thinking"]["type"], "enabled");
}

#[test]
fn native_thinking_is_changed_only_where_the_model_refuses_it() {
    let thinking = |model: &str, config: Value| {
        let body = sent(model, &json!({"thinking": config}));
        (body["thinking"].clone(), body["output_config"]["effort"].clone())
    };
    let enabled = json!({"type": "enabled", "budget_tokens": 2_048});
    let adaptive = json!({"type": "adaptive", "display": "omitted"});
    assert_eq!(thinking(NEW, enabled.clone()).0, enabled);
    assert_eq!(thinking(NEW, adaptive.clone()).0, adaptive);
    assert_eq!(
        thinking("claude-opus-4-8", enabled),
        (json!({"type": "adaptive", "display": "summarized"}), json!("medium"))
    );
    assert_eq!(thinking(OLD, adaptive).0, json!({"type": "enabled", "budget_tokens": 2_048}));
    assert_eq!(thinking(NEWEST, json!({"type": "disabled"})).0, Value::Null);
    let between = json!({"type": "between_tools"});
    assert_eq!(thinking(NEWEST, between.clone()).0, between);
}

#[test]
fn thinking_allows_only_the_sampling_that_the_api_takes_with_it() {
    let more = json!({"reasoning_effort": "low", "temperature": 0.2, "top_p": 0.5, "top_k": 3});
    let body = sent(NEW, &more);
    for name in ["temperature", "top_p", "top_k"] {
        assert_eq!(body.get(name), None, "{name}");
    }
    let more = json!({"reasoning_effort": "low", "temperature": 1});
    assert_eq!(sent(NEW, &more)["temperature"], 1);
}

#[test]
fn output_config_of_the_client_is_kept() {
    let more = json!({"output_config": {"effort": "max", "task_budget": {"total": 5}},
        "reasoning_effort": "low", "response_format": schema_format(&json!({"type": "object"}))});
    let config = sent(NEW, &more)["output_config"].clone();
    assert_eq!(config["effort"], "max");
    assert_eq!(config["task_budget"], json!({"total": 5}));
    assert_eq!(config["format"]["type"], "json_schema");
}

#[test]
fn a_search_by_the_provider_is_a_tool_of_the_provider() {
    let body = sent(
        OLD,
        &json!({"web_search_options": {"search_context_size": "low", "user_location":
            {"type": "approximate", "approximate": {"city": "Oslo", "country": "NO"}}}}),
    );
    assert_eq!(
        body["tools"],
        json!([{"type": "web_search_20250305", "name": "web_search", "max_uses": 1, "user_location":
            {"type": "approximate", "city": "Oslo", "country": "NO"}}])
    );
}
