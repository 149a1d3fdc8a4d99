//! Parameters: sampling, form of the answer, thinking, Google's own.

use serde_json::{Value, json};

use super::{options, refusal, send, send_with};
use crate::dialect::Quirks;
use crate::wire::RequestOptions;

const MODEL: &str = "gemini-3.5-flash";

fn with(parameters: &Value) -> Value {
    let mut body = json!({"messages": [{"role": "user", "content": "q"}]});
    for (name, value) in parameters.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

fn config(model: &str, parameters: &Value) -> Value {
    send(model, &with(parameters))["generationConfig"].clone()
}

#[test]
fn sampling_has_other_names() {
    assert_eq!(
        config(
            MODEL,
            &json!({"temperature": 0.5, "top_p": 0.9, "top_k": 3, "n": 2, "seed": 7, "stop": ["a", ""],
                "max_tokens": 9, "presence_penalty": 0, "frequency_penalty": 0.5,
                "logprobs": true, "top_logprobs": 3})
        ),
        json!({"temperature": 0.5, "topP": 0.9, "topK": 3, "candidateCount": 2, "seed": 7,
            "frequencyPenalty": 0.5, "maxOutputTokens": 9, "stopSequences": ["a"],
            "responseLogprobs": true, "logprobs": 3})
    );
    assert_eq!(config(MODEL, &json!({})), Value::Null);
    assert_eq!(refusal(MODEL, &with(&json!({"temperature": "hot"}))).0, "temperature");
}

#[test]
fn thinking_is_told_in_the_words_of_the_generation() {
    let level = |level: &str| json!({"thinkingLevel": level, "includeThoughts": true});
    let budget = |tokens: i64| json!({"thinkingBudget": tokens, "includeThoughts": true});
    for (model, parameters, expected) in [
        (MODEL, json!({"reasoning_effort": "low"}), level("LOW")),
        (MODEL, json!({"reasoning_effort": "xhigh"}), level("XHIGH")),
        (
            MODEL,
            json!({"reasoning_effort": "none"}),
            json!({"thinkingLevel": "MINIMAL", "includeThoughts": false}),
        ),
        ("gemini-3-pro-preview", json!({"reasoning_effort": "medium"}), level("HIGH")),
        ("gemini-3-pro-preview", json!({"reasoning_effort": "minimal"}), level("LOW")),
        ("gemini-3-flash-preview", json!({"reasoning_effort": "max"}), level("HIGH")),
        ("gemini-2.5-flash", json!({"reasoning_effort": "medium"}), budget(8192)),
        (
            "gemini-2.5-flash",
            json!({"reasoning_effort": "none"}),
            json!({"thinkingBudget": 0, "includeThoughts": false}),
        ),
        (
            "gemini-2.5-pro",
            json!({"reasoning_effort": "none"}),
            json!({"thinkingBudget": 128, "includeThoughts": false}),
        ),
        ("gemini-2.5-flash", json!({"thinking": {"type": "adaptive"}}), budget(-1)),
        (
            "gemini-2.5-flash",
            json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}),
            budget(2000),
        ),
        (MODEL, json!({"thinking": {"type": "enabled", "budget_tokens": 2000}}), level("MEDIUM")),
        (MODEL, json!({"thinking": {"type": "adaptive"}}), json!({"includeThoughts": true})),
        (
            MODEL,
            json!({"extra_body": {"google": {"thinking_config": {"thinking_budget": 5}}}}),
            json!({"thinkingBudget": 5}),
        ),
        ("gemini-2.0-flash", json!({"reasoning_effort": "none"}), Value::Null),
        (
            "gemini-2.0-flash",
            json!({"reasoning_effort": "low", "thinking": {"type": "enabled", "budget_tokens": 2000}}),
            Value::Null,
        ),
    ] {
        let config = config(model, &parameters);
        let thinking = config.get("thinkingConfig").cloned().unwrap_or_default();
        assert_eq!(thinking, expected, "{model} {parameters}");
    }
    let effort = with(&json!({"reasoning_effort": "low"}));
    assert_eq!(refusal("gemini-2.0-flash", &effort).0, "reasoning_effort");
    let dropping = RequestOptions { drop_params: true, ..options("gemini-2.0-flash") };
    assert_eq!(send_with(&effort, &dropping)["generationConfig"], Value::Null);
    assert_eq!(refusal(MODEL, &with(&json!({"reasoning_effort": "huge"}))).0, "reasoning_effort");
}

#[test]
fn the_form_of_the_answer_follows_the_model() {
    let schema = json!({"type": "object", "properties": {"a": {"const": "x"}}});
    let format = json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}});
    assert_eq!(
        config("gemini-2.5-flash", &format),
        json!({"responseMimeType": "application/json", "responseJsonSchema": schema})
    );
    assert_eq!(
        config("gemini-2.0-flash", &format),
        json!({"responseMimeType": "application/json", "responseSchema":
            {"type": "OBJECT", "properties": {"a": {"type": "STRING", "enum": ["x"]}}}})
    );
    let object = json!({"response_format": {"type": "json_object"}});
    assert_eq!(config(MODEL, &object), json!({"responseMimeType": "application/json"}));
    assert_eq!(config(MODEL, &json!({"response_format": {"type": "text"}})), Value::Null);

    let mut both = with(&object);
    both["tools"] = json!([{"type": "function", "function": {"name": "f"}}]);
    assert_eq!(refusal("gemini-2.5-flash", &both).0, "response_format");
    assert!(send(MODEL, &both)["generationConfig"]["responseMimeType"].is_string());
    let dropping = RequestOptions { drop_params: true, ..options("gemini-2.5-flash") };
    assert_eq!(send_with(&both, &dropping)["generationConfig"], Value::Null);
}

#[test]
fn googles_own_parameters_are_passed_in_its_spelling() {
    let safety = json!([{"category": "c", "threshold": "BLOCK_NONE"}]);
    let body = send(
        MODEL,
        &with(&json!({
            "safety_settings": safety, "somethingNew": {"a": 1}, "service_tier": "default",
            "media_resolution": "LOW", "temperature": 0.1,
            "generationConfig": {"temperature": 0.7, "top_k": 5},
            "labels": {"team": "a"}, "user": "u", "metadata": {}, "parallel_tool_calls": false,
            "litellm_session_id": "x", "stream_options": {"include_usage": true},
        })),
    );
    assert_eq!(
        body,
        json!({
            "contents": [{"role": "user", "parts": [{"text": "q"}]}],
            "safetySettings": safety, "somethingNew": {"a": 1}, "serviceTier": "standard",
            "generationConfig": {"temperature": 0.7, "mediaResolution": "LOW", "topK": 5},
        })
    );
    let vertex =
        RequestOptions { quirks: Quirks { vertex: true, ..Quirks::default() }, ..options(MODEL) };
    let labels = with(&json!({"labels": {"team": "a"}}));
    assert_eq!(send_with(&labels, &vertex)["labels"], json!({"team": "a"}));
}

#[test]
fn what_googles_compatible_api_takes_is_taken() {
    let safety = json!([{"category": "c", "threshold": "BLOCK_NONE"}]);
    let google = json!({"thinking_config": {"thinking_level": "low", "include_thoughts": true},
                        "safety_settings": safety, "cached_content": null});
    let body = send(MODEL, &with(&json!({"extra_body": {"google": google, "other": 1}})));
    assert_eq!(
        body,
        json!({
            "contents": [{"role": "user", "parts": [{"text": "q"}]}], "safetySettings": safety,
            "generationConfig": {"thinkingConfig":
                {"thinkingLevel": "low", "includeThoughts": true}},
        })
    );
    let cached = json!({"extra_body": {"google": {"cached_content": "cachedContents/x"}}});
    assert_eq!(send(MODEL, &with(&cached))["cachedContent"], "cachedContents/x");
}

#[test]
fn arguments_in_pieces_are_refused_because_they_have_no_form() {
    let calling = json!({"mode": "AUTO", "streamFunctionCallArguments": true});
    for config in [
        json!({"toolConfig": {"functionCallingConfig": calling}}),
        json!({"tool_config": {"function_calling_config":
            {"stream_function_call_arguments": true}}}),
    ] {
        let (param, message) = refusal(MODEL, &with(&config));
        assert!(param.ends_with("stream_function_call_arguments"), "{param}");
        assert!(message.contains("leave it out"), "{message}");
    }
    let whole = json!({"functionCallingConfig": {"streamFunctionCallArguments": false}});
    assert_eq!(send(MODEL, &with(&json!({"toolConfig": whole})))["toolConfig"], whole);
}

#[test]
fn what_is_in_a_cache_is_not_sent_again() {
    let body = send(
        MODEL,
        &json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
            "tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "auto",
            "cached_content": "cachedContents/x"}),
    );
    assert_eq!(
        body,
        json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}],
               "cachedContent": "cachedContents/x"})
    );
}

#[test]
fn what_gemini_cannot_do_is_refused_unless_it_may_be_dropped() {
    let functions = ["f", "g"].map(|name| json!({"type": "function", "function": {"name": name}}));
    for (name, value, other) in [
        ("logit_bias", json!({"1": 5}), json!({})),
        ("verbosity", json!("low"), json!({})),
        ("parallel_tool_calls", json!(false), json!({"tools": functions})),
    ] {
        let mut body = with(&other);
        body[name] = value;
        let (param, message) = refusal(MODEL, &body);
        assert_eq!(param, name);
        assert!(message.contains("drop_params"), "{message}");
        let dropping = RequestOptions { drop_params: true, ..options(MODEL) };
        assert!(send_with(&body, &dropping).get(name).is_none());
    }
    send(MODEL, &with(&json!({"logit_bias": {}, "verbosity": "medium"})));
}

#[test]
fn other_modalities_are_asked_for() {
    let given =
        json!({"modalities": ["text", "image"], "audio": {"voice": "Kore", "format": "pcm16"}});
    assert_eq!(
        config("gemini-2.5-flash-image", &given),
        json!({"responseModalities": ["TEXT", "IMAGE"],
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}})
    );
}
