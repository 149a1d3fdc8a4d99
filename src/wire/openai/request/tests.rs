use serde_json::json;

use super::*;
use crate::dialect::Quirks;

const PLAIN: RequestOptions<'static> = RequestOptions::plain(Endpoint::Chat, "gpt-4o");

fn sent(body: &str, options: &RequestOptions<'_>) -> String {
    let object = Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap();
    let sent = request(&object, options).unwrap();
    Object::parse(sent.clone()).expect("valid JSON is sent");
    String::from_utf8(sent.to_vec()).unwrap()
}

fn tree(body: &Value, options: &RequestOptions<'_>) -> Value {
    serde_json::from_str(&sent(&body.to_string(), options)).unwrap()
}

fn params(pairs: &[(&str, &str)]) -> Vec<(Box<str>, Box<RawValue>)> {
    let raw = |json: &str| RawValue::from_string(json.to_owned()).unwrap();
    pairs.iter().map(|(name, value)| ((*name).into(), raw(value))).collect()
}

#[test]
fn the_list_of_own_fields_is_sorted() {
    assert!(crate::wire::request::OWN_FIELDS.is_sorted(), "it is searched by halves");
}

#[test]
fn what_needs_no_change_is_the_same_memory() {
    let body = Bytes::from_static(br#"{"model":"gpt-4o", "messages":[], "brand_new":1.50}"#);
    let object = Object::parse(body.clone()).unwrap();
    assert_eq!(request(&object, &PLAIN).unwrap().as_ptr(), body.as_ptr());
}

#[test]
fn only_the_model_is_replaced() {
    let body = r#"{ "x": 1e2, "model": "group", "messages":[{"role":"user","content":"\u00e9"}]}"#;
    assert_eq!(sent(body, &PLAIN), body.replace("group", "gpt-4o"));
    let dated = RequestOptions { model: None, ..PLAIN };
    assert_eq!(
        sent(body, &dated),
        r#"{ "x": 1e2, "messages":[{"role":"user","content":"\u00e9"}]}"#
    );
    assert_eq!(sent("{}", &PLAIN), r#"{"model":"gpt-4o"}"#);
}

#[test]
fn the_fields_of_the_gateway_do_not_leave_it() {
    let body = json!({
        "model": "gpt-4o", "messages": [], "fallbacks": ["a"], "num_retries": 3, "tags": ["t"],
        "mock_response": "x", "mock_testing_fallbacks": true, "litellm_trace_id": "t", "ttl": 1,
        "api_key": "secret", "cache": {"no-cache": true}, "timeout": 3, "stream_timeout": 1,
        "guardrails": ["g"], "disable_fallbacks": true, "no-log": true, "user": "kept",
        "metadata": {"tags": ["a"]},
    });
    let expected = json!({"model": "gpt-4o", "messages": [], "user": "kept"});
    assert_eq!(tree(&body, &PLAIN), expected);
}

#[test]
fn metadata_of_strings_is_the_providers() {
    let strings = json!({"model": "gpt-4o", "metadata": {"a": "b"}});
    assert_eq!(tree(&strings, &PLAIN), strings);
    for other in [json!({"a": 1}), json!({}), json!("text"), json!(null)] {
        let body = json!({"model": "gpt-4o", "metadata": other});
        assert_eq!(tree(&body, &PLAIN), json!({"model": "gpt-4o"}));
    }
    let embeddings = RequestOptions { endpoint: Endpoint::Embeddings, ..PLAIN };
    assert_eq!(tree(&strings, &embeddings), json!({"model": "gpt-4o"}));
}

#[test]
fn usage_is_asked_for_in_streams() {
    let stream = RequestOptions { stream: true, ..PLAIN };
    let body = json!({"model": "gpt-4o", "stream": true});
    assert_eq!(tree(&body, &stream)["stream_options"], json!({"include_usage": true}));
    let body = json!({"stream": true, "stream_options": {"include_obfuscation": false, "include_usage": false}});
    assert_eq!(
        tree(&body, &stream)["stream_options"],
        json!({"include_obfuscation": false, "include_usage": true})
    );
    assert_eq!(tree(&json!({}), &stream)["stream"], true);
    assert_eq!(tree(&json!({"stream": true}), &PLAIN)["stream"], false);
    let quirks = Quirks { no_stream_options: true, ..Quirks::default() };
    let without = RequestOptions { quirks, ..stream };
    assert_eq!(tree(&body, &without).get("stream_options"), None);
    let embeddings = RequestOptions { endpoint: Endpoint::Embeddings, ..stream };
    assert_eq!(tree(&json!({"input": "a"}), &embeddings), json!({"input": "a", "model": "gpt-4o"}));
}

#[test]
fn defaults_fill_gaps_and_overrides_win() {
    let defaults = params(&[
        ("temperature", "0.20"),
        ("max_tokens", "100"),
        ("extra_body", r#"{"top_k":5,"seed":1}"#),
        ("stream_options", "{}"),
    ]);
    let overrides = params(&[("top_p", "0.5"), ("max_tokens", "7")]);
    let options = RequestOptions { defaults: &defaults, ..PLAIN };
    let body =
        json!({"model": "gpt-4o", "temperature": null, "max_completion_tokens": 3, "seed": 2});
    assert_eq!(
        tree(&body, &options),
        json!({"model": "gpt-4o", "temperature": 0.20, "max_completion_tokens": 3, "seed": 2, "top_k": 5})
    );
    let options = RequestOptions { overrides: &overrides, ..options };
    assert_eq!(
        tree(&body, &options),
        json!({"model": "gpt-4o", "temperature": 0.20, "max_tokens": 7, "seed": 2, "top_k": 5, "top_p": 0.5})
    );
    let body = r#"{"model":"gpt-4o","temperature":1}"#;
    assert_eq!(
        sent(body, &RequestOptions { defaults: &defaults[..1], ..PLAIN }),
        body,
        "the client's own value stays"
    );
}

#[test]
fn the_extra_body_of_a_client_is_merged() {
    let body = json!({"model": "g", "extra_body": {"top_k": 5, "api_key": "k", "model": "other"}});
    assert_eq!(tree(&body, &PLAIN), json!({"model": "gpt-4o", "top_k": 5}));
}

#[test]
fn dropped_parameters_may_be_paths() {
    let drop: Vec<Box<str>> =
        ["user", "tools[*].function.strict", "a[1].b", "response_format.json_schema", "x.y"]
            .map(Box::from)
            .into();
    let options = RequestOptions { drop: &drop, ..PLAIN };
    let body = json!({
        "model": "gpt-4o", "user": "u", "n": 1,
        "tools": [{"function": {"name": "f", "strict": true}}, {"function": {"name": "g"}}],
        "a": [{"b": 1}, {"b": 2}],
    });
    assert_eq!(
        tree(&body, &options),
        json!({
            "model": "gpt-4o", "n": 1,
            "tools": [{"function": {"name": "f"}}, {"function": {"name": "g"}}],
            "a": [{"b": 1}, {}],
        })
    );
}

#[test]
fn servers_that_know_only_max_tokens_get_it() {
    let quirks = Quirks { max_tokens_only: true, ..Quirks::default() };
    let options = RequestOptions { quirks, model_hint: "gpt-5", ..PLAIN };
    let body = json!({"model": "gpt-4o", "max_completion_tokens": 5});
    assert_eq!(tree(&body, &options), json!({"model": "gpt-4o", "max_tokens": 5}));
    let body = json!({"model": "gpt-4o", "max_completion_tokens": 5, "max_tokens": 6});
    assert_eq!(tree(&body, &options), json!({"model": "gpt-4o", "max_tokens": 6}));
}

#[test]
fn reasoning_models_are_not_sent_what_they_refuse() {
    let body = json!({
        "model": "m", "max_tokens": 5, "temperature": 0.5, "top_p": 1, "stop": ["a"],
        "tools": [{"type": "function"}],
    });
    let options = RequestOptions { model: Some("m"), model_hint: "azure/gpt-5.6", ..PLAIN };
    let mut expected = body.clone();
    expected.as_object_mut().unwrap().remove("max_tokens");
    expected["max_completion_tokens"] = json!(5);
    assert_eq!(tree(&body, &options), expected, "the rest is for the provider to judge");

    let dropping = RequestOptions { drop_params: true, ..options };
    let expected = json!({"model": "m", "max_completion_tokens": 5, "tools": body["tools"]});
    assert_eq!(tree(&body, &dropping), expected);

    let repairing = RequestOptions { modify_params: true, ..dropping };
    let seen = tree(&body, &repairing);
    assert_eq!(seen["reasoning_effort"], "none", "tools need it");
    assert_eq!(seen["temperature"], 0.5, "and then sampling is allowed");

    let warm = json!({"model": "m", "temperature": 1});
    assert_eq!(tree(&warm, &dropping), warm);
    let plain = RequestOptions { model_hint: "gpt-4o", ..dropping };
    assert_eq!(tree(&body, &plain), body);
}

#[test]
fn mistral_gets_its_own_spellings() {
    let quirks = Quirks { mistral: true, ..Quirks::default() };
    let options = RequestOptions { quirks, stream: true, model: Some("m"), ..PLAIN };
    let body = json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true}, "seed": 3,
        "max_completion_tokens": 9, "user": "u", "tool_choice": "required",
        "top_p": null,
        "tools": [{"type": "function", "function": {"name": "f", "strict": true}}],
        "messages": [
            {"role": "developer", "content": "s", "name": "n"},
            {"role": "user", "content": [
                {"type": "text", "text": "t", "cache_control": {"type": "ephemeral"}},
                {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "wav"}},
                {"type": "file", "file": {"file_id": "f1"}},
            ]},
            {"role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm",
             "tool_calls": [
                {"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "Ab3dE5gH1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
             ]},
            {"role": "tool", "tool_call_id": "call_abc", "name": "f", "content": "1"},
            {"role": "tool", "tool_call_id": "Ab3dE5gH1", "content": "2"},
        ],
    });
    let seen = tree(&body, &options);
    let id = seen["messages"][2]["tool_calls"][0]["id"].clone();
    assert_eq!(id.as_str().map(str::len), Some(9));
    assert_eq!(
        seen,
        json!({
            "model": "m", "stream": true, "random_seed": 3, "max_tokens": 9, "tool_choice": "any",
            "tools": [{"type": "function", "function": {
                "name": "f", "parameters": {"type": "object", "properties": {}}}}],
            "messages": [
                {"role": "system", "content": "s"},
                {"role": "user", "content": [
                    {"type": "text", "text": "t"},
                    {"type": "input_audio", "input_audio": "QUJD"},
                    {"type": "file", "file_id": "f1"},
                ]},
                {"role": "assistant", "content": null, "tool_calls": [
                    {"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "Ab3dE5gH1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                ]},
                {"role": "tool", "tool_call_id": id, "name": "f", "content": "1"},
                {"role": "tool", "tool_call_id": "Ab3dE5gH1", "content": "2"},
            ],
        })
    );
}

#[test]
fn xai_gets_no_names_and_no_strict() {
    let quirks = Quirks { strip_strict_and_names: true, ..Quirks::default() };
    let options = RequestOptions { quirks, ..PLAIN };
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","name":"n","content":"a" }],"tools":[ {"type":"function","function":{"name":"f","strict":false,"parameters":{"z":1,"a":2}}} ]}"#;
    assert_eq!(
        sent(body, &options),
        r#"{"model":"gpt-4o","messages":[{"role":"user","content":"a" }],"tools":[ {"type":"function","function":{"name":"f","parameters":{"z":1,"a":2}}} ]}"#
    );
}

#[test]
fn deepseek_gets_null_beside_tool_calls() {
    let quirks = Quirks { null_content_with_tool_calls: true, ..Quirks::default() };
    let options = RequestOptions { quirks, model_hint: "deepseek-chat", ..PLAIN };
    let body = r#"{"model":"gpt-4o","messages":[{"content":"","tool_calls":[]},{"content":""},{"content":"a","tool_calls":[]}]}"#;
    assert_eq!(
        sent(body, &options),
        r#"{"model":"gpt-4o","messages":[{"content":null,"tool_calls":[]},{"content":""},{"content":"a","tool_calls":[]}]}"#
    );
}

#[test]
fn messages_that_are_no_list_are_left_to_the_provider() {
    let quirks = Quirks { mistral: true, strip_strict_and_names: true, ..Quirks::default() };
    let options = RequestOptions { quirks, ..PLAIN };
    let body = r#"{"model":"gpt-4o","messages":"hello","tools":{}}"#;
    assert_eq!(sent(body, &options), body);
}

#[test]
fn deepseek_thinks_or_does_not_and_sees_its_reasoning_before_tool_calls() {
    let quirks =
        Quirks { null_content_with_tool_calls: true, takes_thinking: true, ..Quirks::default() };
    let call = json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let asked = |fields: Value| {
        let mut body = json!({"model": "m", "messages": [
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "assistant", "content": "", "reasoning_content": "hm", "tool_calls": [call]},
            {"role": "assistant", "content": "so"},
        ]});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let body = Object::parse(Bytes::from(body.to_string())).unwrap();
        let sent = request(&body, &RequestOptions { quirks, ..PLAIN }).unwrap();
        serde_json::from_slice::<Value>(&sent).unwrap()
    };
    let reasoning = |body: &Value, at: usize| body["messages"][at]["reasoning_content"].clone();
    for (fields, kind, effort, seen) in [
        (json!({"reasoning_effort": "low"}), json!("enabled"), json!("high"), json!(" ")),
        (json!({"reasoning_effort": "max"}), json!("enabled"), json!("max"), json!(" ")),
        (json!({"thinking": {"type": "enabled"}}), json!("enabled"), Value::Null, json!(" ")),
        (json!({"thinking": {"type": "disabled"}}), json!("disabled"), Value::Null, Value::Null),
        (json!({"reasoning_effort": "none"}), json!("disabled"), Value::Null, Value::Null),
        // It thinks unless it is told not to.
        (json!({}), Value::Null, Value::Null, json!(" ")),
    ] {
        let sent = asked(fields);
        assert_eq!(sent["thinking"]["type"], kind);
        assert_eq!(sent["reasoning_effort"], effort);
        assert_eq!(sent["messages"][0]["content"], Value::Null);
        assert_eq!((reasoning(&sent, 0), reasoning(&sent, 1)), (seen, json!("hm")));
        assert_eq!(reasoning(&sent, 2), Value::Null, "no tool was called");
    }
}

#[test]
fn the_model_without_thoughts_is_sent_none() {
    let quirks = Quirks { null_content_with_tool_calls: true, ..Quirks::default() };
    let options = RequestOptions { quirks, model_hint: "deepseek-chat", ..PLAIN };
    let body = json!({"model": "gpt-4o", "messages": [
        {"role": "assistant", "content": "a", "tool_calls": [{"id": "c"}]}]});
    assert_eq!(tree(&body, &options), body);
}

const CLOSED: RequestOptions<'static> =
    RequestOptions { quirks: Quirks { closed_messages: true, ..Quirks::NONE }, ..PLAIN };

#[test]
fn what_only_replies_have_does_not_go_back_to_a_closed_schema() {
    let call = |more: Value| {
        let mut call =
            json!({"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}});
        call.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        call
    };
    let replied = json!({
        "role": "assistant", "content": "a", "refusal": null, "reasoning_content": "hm",
        "reasoning_details": [{}], "images": [{"type": "image_url"}], "annotations": [],
        "provider_specific_fields": {"x": 1}, "tool_calls": [call(json!({"provider_specific_fields": {}}))],
    });
    let body = json!({"model": "gpt-4o", "messages": [replied]});
    let said = json!({"role": "assistant", "content": "a", "refusal": null, "tool_calls": [call(json!({}))]});
    assert_eq!(tree(&body, &CLOSED)["messages"], json!([said]));
    // Others may want their reasoning back.
    let quirks = Quirks { normalise_stream: true, ..Quirks::NONE };
    assert_eq!(tree(&body, &RequestOptions { quirks, ..PLAIN }), body);
    let words = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "\"images\""}]});
    assert_eq!(tree(&words, &CLOSED), words);
}

#[test]
fn ids_of_calls_are_shortened_for_those_who_refuse_long_ones() {
    let long = "call_".to_owned() + &"x".repeat(90);
    let body = json!({"model": "gpt-4o", "messages": [
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}},
            {"id": "short", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id" : long, "content": "1"},
        {"role": "tool", "tool_call_id": "short", "content": "2"},
    ]});
    let seen = tree(&body, &CLOSED);
    let id = seen["messages"][0]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() <= 64 && id.starts_with("call_"), "{id}");
    assert_eq!(seen["messages"][1]["tool_call_id"], id, "still a pair");
    assert_eq!(seen["messages"][0]["tool_calls"][1]["id"], "short");
    assert_eq!(seen["messages"][2]["tool_call_id"], "short");
    assert_eq!(tree(&body, &PLAIN), body, "another may have put something into it");
}

#[test]
fn a_wish_not_to_think_goes_to_those_who_understand_it() {
    let body = json!({"model": "gpt-4o", "messages": [], "thinking": {"type": "disabled"}});
    let normalised = Quirks { normalise_stream: true, ..Quirks::NONE };
    for (quirks, kept) in [
        (Quirks::NONE, false),
        (normalised, false),
        (Quirks { mistral: true, ..normalised }, false),
        (Quirks { takes_thinking: true, ..normalised }, true),
    ] {
        let seen = tree(&body, &RequestOptions { quirks, ..PLAIN });
        assert_eq!(seen.get("thinking").is_some(), kept, "{quirks:?}");
    }
}

const MISTRAL: RequestOptions<'static> =
    RequestOptions { quirks: Quirks { mistral: true, ..Quirks::NONE }, ..PLAIN };

#[test]
fn mistrals_closed_schema_gets_nothing_that_it_does_not_know() {
    let image = json!({"type": "image_url", "image_url": {"url": "data:x"}});
    let body = json!({
        "model": "gpt-4o", "prompt_cache_options": {"mode": "implicit"}, "moderation": {},
        "prompt_cache_retention": "24h", "prompt_cache_key": "k",
        "messages": [
            {"role": "assistant", "content": ""},
            {"role": "assistant", "content": null, "tool_calls": []},
            {"role": "tool", "tool_call_id": "Ab3dE5gH1", "content": [
                {"type": "text", "text": "seen"}, image]},
            {"role": "assistant", "content": "so"},
        ],
    });
    let seen = tree(&body, &MISTRAL);
    assert_eq!(
        seen,
        json!({"model": "gpt-4o", "prompt_cache_key": "k", "messages": [
            {"role": "tool", "tool_call_id": "Ab3dE5gH1", "content": [
                {"type": "text", "text": "seen"}, image]},
            {"role": "assistant", "content": "so"},
        ]})
    );
    let embeddings = RequestOptions { endpoint: Endpoint::Embeddings, ..MISTRAL };
    let seen = tree(&json!({"model": "gpt-4o", "input": "a", "dimensions": 8}), &embeddings);
    assert_eq!(seen, json!({"model": "gpt-4o", "input": "a", "output_dimension": 8}));
}

#[test]
fn mistral_has_functions_only_and_no_list_of_allowed_ones() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    let body = json!({"model": "gpt-4o", "messages": [], "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "required", "tools": [tool("g")]}}});
    let whole = |name: &str| {
        let mut tool = tool(name);
        tool["function"]["parameters"] = json!({"type": "object", "properties": {}});
        tool
    };
    let seen = tree(&body, &MISTRAL);
    assert_eq!((&seen["tools"], &seen["tool_choice"]), (&json!([whole("g")]), &json!("any")));
    let plain = json!({"model": "gpt-4o", "messages": [], "tools": [tool("f")]});
    assert_eq!(tree(&plain, &MISTRAL)["tools"], json!([whole("f")]), "it must say what it takes");
    let body = json!({"model": "gpt-4o", "messages": [],
        "tools": [{"type": "custom", "custom": {"name": "c"}}, tool("f")],
        "tool_choice": {"type": "custom", "custom": {"name": "c"}}});
    let object = Object::parse(Bytes::from(body.to_string())).unwrap();
    let refused = request(&object, &MISTRAL).unwrap_err();
    assert_eq!(refused.class, FailureClass::BadRequest);
    assert!(refused.message.contains("custom"), "{}", refused.message);
    let seen = tree(&body, &RequestOptions { drop_params: true, ..MISTRAL });
    assert_eq!(seen, json!({"model": "gpt-4o", "messages": [], "tools": [whole("f")]}));
}

#[test]
fn documents_have_mistrals_words() {
    let part = json!({"type": "file", "file": {
        "file_data": "data:application/pdf;base64,eA==", "filename": "a.pdf"}});
    let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": [part]}]});
    let document = json!({"type": "document_url",
        "document_url": "data:application/pdf;base64,eA==", "document_name": "a.pdf"});
    assert_eq!(tree(&body, &MISTRAL)["messages"][0]["content"], json!([document]));
    assert_eq!(tree(&body, &PLAIN), body);
}

#[test]
fn vectors_are_asked_for_in_voyages_words() {
    let quirks = Quirks { voyage: true, ..Quirks::NONE };
    let options = RequestOptions { quirks, endpoint: Endpoint::Embeddings, ..PLAIN };
    let ask = |more: Value| {
        let mut body = json!({"model": "gpt-4o", "input": "a", "dimensions": 8, "user": "u"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        tree(&body, &options)
    };
    let asked = json!({"model": "gpt-4o", "input": "a", "output_dimension": 8});
    assert_eq!(ask(json!({})), asked);
    assert_eq!(ask(json!({"encoding_format": "float"})), asked);
    assert_eq!(ask(json!({"encoding_format": "base64"}))["encoding_format"], "base64");
}
