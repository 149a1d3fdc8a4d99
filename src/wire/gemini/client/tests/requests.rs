//! What a client's request means.

use super::*;

#[test]
fn a_prompt_is_read_in_all_its_forms() {
    let hi = json!([{"role": "user", "content": "hi"}]);
    for contents in [
        json!([{"role": "user", "parts": [{"text": "hi"}]}]),
        json!([{"parts": [{"text": "hi"}]}]),
        json!({"parts": {"text": "hi"}}),
        json!("hi"),
        json!([{"role": "USER", "parts": [{"text": "hi"}, {"text": ""}]}]),
    ] {
        assert_eq!(messages(&contents), hi, "{contents}");
    }
}

#[test]
fn parameters_have_their_canonical_names_in_both_spellings() {
    let expected = json!({
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_completion_tokens": 100, "n": 2,
        "stop": ["x"], "seed": 7, "presence_penalty": 0.1, "frequency_penalty": 0.2,
        "logprobs": true, "top_logprobs": 3, "reasoning_effort": "low",
        "thinking": {"type": "adaptive", "display": "summarized"},
        "service_tier": "default", "num_retries": 2,
    });
    let camel = json!({
        "contents": [{"parts": [{"text": "hi"}]}],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40.0, "maxOutputTokens": "100",
            "candidateCount": 2, "stopSequences": ["x"], "seed": 7, "presencePenalty": 0.1,
            "frequencyPenalty": 0.2, "responseLogprobs": true, "logprobs": 3,
            "thinkingConfig": {"thinkingBudget": 512, "includeThoughts": true},
            "responseMimeType": "text/plain", "mediaResolution": "MEDIA_RESOLUTION_LOW",
            "responseModalities": ["TEXT"],
        },
        "safetySettings": [{"category": "c", "threshold": "BLOCK_NONE"}], "labels": {"a": "b"},
        "serviceTier": "STANDARD", "num_retries": 2,
    });
    let snake = json!({
        "contents": [{"parts": [{"text": "hi"}]}],
        "system_instruction": "be brief",
        "generation_config": {
            "temperature": 0.5, "top_p": 0.9, "top_k": 40, "max_output_tokens": 100,
            "candidate_count": 2, "stop_sequences": ["x"], "seed": 7, "presence_penalty": 0.1,
            "frequency_penalty": 0.2, "response_logprobs": true, "logprobs": 3,
            "thinking_config": {"thinking_level": "low"},
        },
        "safety_settings": [], "service_tier": "standard", "num_retries": 2,
    });
    assert_eq!(meaning(&camel), expected);
    assert_eq!(meaning(&snake), expected);
}

#[test]
fn thinking_becomes_an_effort_and_keeps_its_budget() {
    let tokens = |budget: u64| json!({"type": "enabled", "budget_tokens": budget});
    let free = json!({"type": "adaptive", "display": "summarized"});
    for (config, effort, thinking) in [
        (json!({"thinkingBudget": 0}), json!("none"), json!({"type": "disabled"})),
        (json!({"thinkingBudget": -1}), Value::Null, Value::Null),
        (json!({"thinkingBudget": 512}), json!("low"), free.clone()),
        (json!({"thinkingBudget": 1024}), json!("low"), tokens(1024)),
        (json!({"thinkingBudget": 1025}), json!("medium"), tokens(1025)),
        (json!({"thinkingBudget": 24576}), json!("high"), tokens(24576)),
        (json!({"thinkingLevel": "MINIMAL"}), json!("minimal"), free.clone()),
        (json!({"thinkingLevel": "XHIGH"}), json!("xhigh"), free.clone()),
        (json!({"includeThoughts": true}), Value::Null, Value::Null),
    ] {
        let body = json!({"contents": "hi", "generationConfig": {"thinkingConfig": config}});
        assert_eq!(meaning(&body)["reasoning_effort"], effort, "{config}");
        assert_eq!(meaning(&body)["thinking"], thinking, "{config}");
    }
    let config = json!({"thinkingConfig": {"thinkingBudget": 8192}, "maxOutputTokens": 8192});
    let body = json!({"contents": "hi", "generationConfig": config});
    assert_eq!(meaning(&body)["thinking"], free, "there is no room for an answer");
}

#[test]
fn a_stream_always_tells_what_it_used() {
    let body = object(&json!({"contents": "hi"}));
    let streamed =
        request(&body, Asked { model: Some("m"), stream: Some(true), ..Asked::default() }).unwrap();
    let streamed = tree(&streamed.body);
    assert_eq!(streamed["stream"], true);
    assert_eq!(streamed["stream_options"], json!({"include_usage": true}));
}

#[test]
fn calls_and_results_meet_with_and_without_ids() {
    let call = |id: &str, city: &str| {
        json!({"id": id, "type": "function",
               "function": {"name": "weather", "arguments": format!(r#"{{"city":"{city}"}}"#)}})
    };
    let contents = json!([
        {"role": "user", "parts": [{"text": "Oslo and Rome?"}]},
        {"role": "model", "parts": [
            {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}},
            {"functionCall": {"name": "weather", "args": {"city": "Rome"}}},
        ]},
        {"role": "user", "parts": [
            {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
            {"functionResponse": {"name": "weather", "response": {"error": "no data"}}},
            {"text": "and now?"},
        ]},
        {"role": "model", "parts": [
            {"functionCall": {"id": "a", "name": "weather", "args": {"city": "Bonn"}}},
            {"functionCall": {"id": "b", "name": "weather"}},
        ]},
        {"role": "function", "parts": [
            {"functionResponse": {"id": "b", "name": "weather", "response": {"result": {"t": 3}}}},
            {"functionResponse": {"id": "a", "name": "weather", "response": {"t": 1, "u": 2}}},
        ]},
    ]);
    let mut empty = call("b", "");
    empty["function"]["arguments"] = json!("{}");
    let result = |id: &str, text: &str| json!({"role": "tool", "content": text, "tool_call_id": id, "name": "weather"});
    let mut failed = result("call_1_1", "no data");
    failed["is_error"] = json!(true);
    assert_eq!(
        messages(&contents),
        json!([
            {"role": "user", "content": "Oslo and Rome?"},
            {"role": "assistant",
             "tool_calls": [call("call_1_0", "Oslo"), call("call_1_1", "Rome")]},
            result("call_1_0", "rain"),
            failed,
            {"role": "user", "content": "and now?"},
            {"role": "assistant", "tool_calls": [call("a", "Bonn"), empty]},
            result("b", r#"{"t":3}"#),
            result("a", r#"{"t":1,"u":2}"#),
        ])
    );
}

#[test]
fn pieces_of_one_answer_are_one_message() {
    let contents = json!([
        {"role": "model", "parts": [{"text": "thinking", "thought": true}]},
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo", "thoughtSignature": "c2ln"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}, "thoughtSignature": "_-8"}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]},
    ]);
    assert_eq!(
        messages(&contents),
        json!([
            {"role": "assistant", "content": "Hello", "reasoning_content": "thinking",
             "tool_calls": [{"id": "call_3_0", "type": "function",
                             "function": {"name": "f", "arguments": "{}"},
                             "extra_content": {"google": {"thought_signature": "/+8="}}}],
             "extra_content": {"google": {"thought_signature": "c2ln"}}},
            {"role": "tool", "content": "{}", "tool_call_id": "call_3_0", "name": "f"},
        ])
    );
}

#[test]
fn media_and_code_become_parts() {
    let contents = json!([{"parts": [
        {"text": "what is it?"},
        {"inline_data": {"mime_type": "image/png", "data": "AAAA"}},
        {"fileData": {"fileUri": "https://h/a.pdf", "mimeType": "application/pdf"}},
        {"executableCode": {"language": "PYTHON", "code": "1+1"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2\n"}},
    ]}]);
    assert_eq!(
        messages(&contents)[0]["content"],
        json!([
            {"type": "text", "text": "what is it?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            {"type": "file", "file": {"file_url": "https://h/a.pdf", "format": "application/pdf"}},
            {"type": "text", "text": "\n```python\n1+1\n```\n"},
            {"type": "text", "text": "\n```\n2\n```\n"},
        ])
    );
}

#[test]
fn functions_are_declared_in_either_kind_of_schema() {
    let body = json!({
        "contents": "hi",
        "tools": [
            {"functionDeclarations": [
                {"name": "a", "description": "d",
                 "parameters": {"type": "OBJECT", "properties": {"x": {"type": "STRING"}}}},
                {"name": "b", "parametersJsonSchema": {"type": "object", "oneOf": []}},
            ]},
            {"function_declarations": [{"name": "c", "response": {"type": "STRING"}}]},
        ],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY"}},
    });
    let seen = meaning(&body);
    let tool = |function: Value| json!({"type": "function", "function": function});
    assert_eq!(
        seen["tools"],
        json!([
            tool(json!({"name": "a", "description": "d",
                "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}})),
            tool(json!({"name": "b", "parameters": {"type": "object", "oneOf": []}})),
            tool(json!({"name": "c"})),
        ])
    );
    assert_eq!(seen["tool_choice"], "required");

    let with = |config: Value| {
        let mut body = body.clone();
        body["toolConfig"]["functionCallingConfig"] = config;
        let seen = meaning(&body);
        let names = seen["tools"].as_array().unwrap().iter();
        let names: Vec<_> = names.map(|it| it["function"]["name"].as_str().unwrap()).collect();
        (names.join(","), seen["tool_choice"].clone())
    };
    for (config, names, choice) in [
        (json!({"mode": "AUTO"}), "a,b,c", Value::Null),
        (json!({"mode": "none"}), "a,b,c", json!("none")),
        (
            json!({"mode": "ANY", "allowed_function_names": ["b"]}),
            "b",
            json!({"type": "function", "function": {"name": "b"}}),
        ),
        (json!({"mode": "ANY", "allowedFunctionNames": ["a", "c"]}), "a,c", json!("required")),
        (json!({"mode": "VALIDATED", "allowedFunctionNames": ["a"]}), "a", Value::Null),
    ] {
        assert_eq!(with(config.clone()), (names.to_owned(), choice), "{config}");
    }
}

#[test]
fn the_form_of_the_answer_is_a_response_format() {
    let format = |config: Value| {
        meaning(&json!({"contents": "hi", "generationConfig": config}))["response_format"].take()
    };
    let json_type = |schema: &str, value: Value| {
        let mut config = json!({"responseMimeType": "application/json"});
        config[schema] = value;
        config
    };
    assert_eq!(format(json!({"responseMimeType": "text/plain"})), Value::Null);
    assert_eq!(
        format(json!({"responseMimeType": "application/json"})),
        json!({"type": "json_object"})
    );
    let expected = json!({"type": "json_schema", "json_schema":
        {"name": "response", "schema": {"type": "object"}}});
    assert_eq!(format(json_type("responseSchema", json!({"type": "OBJECT"}))), expected);
    assert_eq!(format(json_type("response_json_schema", json!({"type": "object"}))), expected);
}

#[test]
fn what_only_google_can_do_is_an_obstacle_and_no_mistake() {
    for (body, param, may_drop) in [
        (json!({"tools": [{"googleSearch": {}}]}), "tools[0].googleSearch", false),
        (json!({"tools": [{"code_execution": {}}]}), "tools[0].code_execution", false),
        (json!({"cachedContent": "cachedContents/x"}), "cachedContent", false),
        (
            json!({"contents": [{"parts": [{"toolCall": {}}]}]}),
            "contents[0].parts[0].toolCall",
            false,
        ),
        (
            json!({"contents": [{"parts": [{"fileData": {"fileUri": "gs://b/a"}}]}]}),
            "contents[0].parts[0].fileData.fileUri",
            false,
        ),
        (
            json!({"contents": [{"parts": [{"functionResponse": {"name": "f", "response": {}}}]}]}),
            "contents[0].parts[0].functionResponse",
            false,
        ),
        (json!({"generationConfig": {"new": 1}}), "generationConfig.new", true),
        (json!({"brandNew": 1}), "brandNew", true),
        (
            json!({"generationConfig": {"responseModalities": ["AUDIO"]}}),
            "generationConfig.responseModalities[0]",
            false,
        ),
        (
            json!({"generationConfig": {"responseMimeType": "text/x.enum"}}),
            "generationConfig.responseMimeType",
            true,
        ),
    ] {
        let mut body = body;
        if body.get("contents").is_none() {
            body["contents"] = json!("hi");
        }
        let canonical = canonical(&body);
        let refusal = canonical.obstacle.refusal(false).unwrap_or_else(|| panic!("{body}"));
        assert_eq!(refusal.param.as_deref(), Some(param), "{body}");
        assert_eq!(canonical.obstacle.refusal(true).is_none(), may_drop, "{body}");
    }
}

#[test]
fn mistakes_are_told_with_the_name_that_the_client_wrote() {
    for (body, param) in [
        (json!({}), "contents"),
        (json!({"contents": 5}), "contents"),
        (json!({"contents": [{"role": "robot"}]}), "contents[0].role"),
        (json!({"contents": [{"parts": [{"text": 5}]}]}), "contents[0].parts[0].text"),
        (
            json!({"contents": [{"parts": [{"inline_data": {"data": "AA"}}]}]}),
            "contents[0].parts[0].inline_data.mimeType",
        ),
        (
            json!({"contents": [{"role": "model", "parts": [{"functionCall": {"name": "f", "args": []}}]}]}),
            "contents[0].parts[0].functionCall.args",
        ),
        (
            json!({"contents": "a", "generation_config": {"max_output_tokens": "x"}}),
            "generation_config.max_output_tokens",
        ),
        (
            json!({"contents": "a", "tools": [{"functionDeclarations": [{}]}]}),
            "tools[0].functionDeclarations[0].name",
        ),
        (
            json!({"contents": "a", "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}),
            "toolConfig.functionCallingConfig.mode",
        ),
        (
            json!({"contents": "a", "generationConfig": {"thinkingConfig": {"thinkingLevel": "x"}}}),
            "generationConfig.thinkingConfig.thinkingLevel",
        ),
        (json!({"generateContentRequest": {}}), "generateContentRequest.contents"),
    ] {
        assert_eq!(refused(&body).param.as_deref(), Some(param), "{body}");
    }
}

#[test]
fn counting_tokens_takes_a_whole_request_too() {
    let body = json!({"generateContentRequest": {"model": "models/m", "contents": "hi",
        "systemInstruction": "s"}});
    let seen = meaning(&body)["messages"].take();
    assert_eq!(
        seen,
        json!([{"role": "system", "content": "s"}, {"role": "user", "content": "hi"}])
    );
}
