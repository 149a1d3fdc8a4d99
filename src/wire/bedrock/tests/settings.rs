//! Parameters: where each goes, and which are refused.

use serde_json::{Value, json};

use super::*;

/// What is sent for a request with these fields.
fn sent(with: With<'_>, fields: Value) -> Result<Value, Failure> {
    let mut body = json!({"messages": [{"role": "user", "content": "hi"}]});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    with.send(&body)
}

fn tool(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

fn schema() -> Value {
    let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": false});
    json!({"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}})
}

#[test]
fn sampling_is_clamped_and_what_is_the_models_own_goes_apart() {
    let fields = json!({"temperature": 1.7, "top_p": 0.5, "top_k": 5, "max_completion_tokens": 9, "stop": ["a", " "], "custom": {"x": 1}});
    let claude = sent(With::default(), fields.clone()).unwrap();
    assert_eq!(
        claude["inferenceConfig"],
        json!({"maxTokens": 9, "temperature": 1, "topP": 0.5, "stopSequences": ["a"]})
    );
    assert_eq!(claude["additionalModelRequestFields"], json!({"custom": {"x": 1}, "top_k": 5}));
    let nova = sent(to(NOVA), fields.clone()).unwrap();
    assert_eq!(
        nova["additionalModelRequestFields"],
        json!({"custom": {"x": 1}, "inferenceConfig": {"topK": 5}})
    );
    let newest = sent(to("anthropic.claude-opus-4-8"), fields).unwrap();
    assert_eq!(newest["inferenceConfig"], json!({"maxTokens": 9, "stopSequences": ["a"]}));
    let least = json!({"max_tokens": 0});
    assert_eq!(sent(With::default(), least).unwrap_err().param.as_deref(), Some("max_tokens"));
    let nothing = sent(With::default(), json!({"n": 1, "store": true, "stream": true})).unwrap();
    assert_eq!(nothing.as_object().unwrap().len(), 1);
}

#[test]
fn efforts_are_said_in_each_models_words() {
    let effort = |model, effort: &str| {
        sent(to(model), json!({"reasoning_effort": effort, "max_tokens": 9000}))
    };
    let own = |model, word| effort(model, word).unwrap()["additionalModelRequestFields"].take();
    assert_eq!(own(CLAUDE, "low")["thinking"], json!({"type": "enabled", "budget_tokens": 1024}));
    let newer = effort("anthropic.claude-opus-4-8", "xhigh").unwrap();
    assert_eq!(newer["outputConfig"], json!({"effort": "xhigh"}));
    assert_eq!(newer["additionalModelRequestFields"]["thinking"]["type"], "adaptive");
    assert_eq!(
        own("amazon.nova-2-lite-v1:0", "minimal"),
        json!({"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}})
    );
    assert_eq!(own("openai.gpt-oss-20b-1:0", "low"), json!({"reasoning_effort": "low"}));
    assert_eq!(
        effort("arn:aws:bedrock:us-east-1:1:imported-model/x", "max").unwrap()["outputConfig"]["effort"],
        "max"
    );
    assert_eq!(effort(LLAMA, "low").unwrap_err().param.as_deref(), Some("reasoning_effort"));
    assert_eq!(effort(LLAMA, "none").unwrap().get("additionalModelRequestFields"), None);
    assert!(effort(CLAUDE, "huge").is_err());
    let dropped = With { drop_params: true, ..to(LLAMA) };
    assert!(sent(dropped, json!({"reasoning_effort": {"effort": "high"}})).is_ok());
}

#[test]
fn a_wish_to_think_is_granted_where_that_can_be() {
    let wish = json!({"reasoning_effort": "high",
        "thinking": {"type": "enabled", "budget_tokens": 2000}, "max_tokens": 9000});
    for model in [LLAMA, NOVA] {
        let body = sent(to(model), wish.clone()).unwrap();
        assert_eq!(body.get("additionalModelRequestFields"), None, "{model}");
    }
    let claude = sent(With::default(), wish).unwrap()["additionalModelRequestFields"].take();
    assert_eq!(claude["thinking"]["budget_tokens"], 2000);
    let off = json!({"thinking": {"type": "disabled"}});
    for model in [LLAMA, NOVA, "amazon.nova-2-lite-v1:0"] {
        let body = sent(to(model), off.clone()).unwrap();
        assert_eq!(body.get("additionalModelRequestFields"), None, "{model}");
    }
}

#[test]
fn the_choice_among_tools_is_said_as_far_as_it_can_be() {
    let choose = |with, choice: Value| {
        sent(with, json!({"tools": [tool("f"), tool("g")], "tool_choice": choice}))
    };
    let named = json!({"type": "function", "function": {"name": "g"}});
    for (choice, expected) in [
        (json!("auto"), json!({"auto": {}})),
        (json!("required"), json!({"any": {}})),
        (named.clone(), json!({"tool": {"name": "g"}})),
        (Value::Null, Value::Null),
    ] {
        let body = choose(With::default(), choice).unwrap();
        assert_eq!(body["toolConfig"].get("toolChoice").cloned().unwrap_or_default(), expected);
    }
    assert_eq!(choose(to(LLAMA), json!("auto")).unwrap()["toolConfig"].get("toolChoice"), None);
    assert!(choose(to(LLAMA), json!("required")).is_err());
    let newest = choose(to("anthropic.claude-sonnet-5-5"), named.clone()).unwrap();
    assert_eq!(newest["toolConfig"]["toolChoice"], json!({"auto": {}}));
    assert_eq!(newest["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    let dropped = choose(With { drop_params: true, ..to(LLAMA) }, named).unwrap();
    assert_eq!(dropped["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [tool("f")]}});
    let body = choose(With::default(), allowed).unwrap();
    assert_eq!(body["toolConfig"]["tools"].as_array().unwrap().len(), 1);
    let unknown = json!({"type": "function", "function": {"name": "h"}});
    assert_eq!(choose(With::default(), unknown).unwrap_err().param.as_deref(), Some("tool_choice"));
}

#[test]
fn one_tool_at_a_time_is_claudes_own_word() {
    let fields =
        json!({"tools": [tool("f")], "tool_choice": "required", "parallel_tool_calls": false});
    let body = sent(With::default(), fields.clone()).unwrap();
    assert_eq!(
        body["additionalModelRequestFields"]["tool_choice"],
        json!({"type": "any", "disable_parallel_tool_use": true})
    );
    assert!(sent(to(NOVA), fields.clone()).is_err());
    assert!(sent(With { drop_params: true, ..to(NOVA) }, fields).is_ok());
}

#[test]
fn a_schema_is_text_a_tool_or_an_instruction() {
    let body = sent(With::default(), json!({ "response_format": schema() })).unwrap();
    let format = &body["outputConfig"]["textFormat"];
    assert_eq!(format["type"], "json_schema");
    let json_schema = &format["structure"]["jsonSchema"];
    assert_eq!(json_schema["name"], "answer");
    let text: Value = serde_json::from_str(json_schema["schema"].as_str().unwrap()).unwrap();
    assert_eq!(text["required"], json!(["a"]));

    let body = sent(to(NOVA), json!({"response_format": schema(), "tools": [tool("f")]})).unwrap();
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"any": {}}));
    assert_eq!(body["toolConfig"]["tools"][1]["toolSpec"]["name"], "_json_output");
    let body = sent(to(NOVA), json!({ "response_format": schema() })).unwrap();
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"tool": {"name": "_json_output"}}));

    let body = sent(to(LLAMA), json!({ "response_format": schema() })).unwrap();
    assert!(body["system"][0]["text"].as_str().unwrap().contains("\"required\""));
    let body = sent(With::default(), json!({"response_format": {"type": "json_object"}})).unwrap();
    assert!(body["system"][0]["text"].as_str().unwrap().contains("JSON"));
}

#[test]
fn converses_own_fields_stand_where_it_has_them() {
    let fields = json!({
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "promptVariables": {"genre": {"text": "pop"}},
        "additionalModelRequestFields": {"a": 1},
        "additionalModelResponseFieldPaths": ["/x"],
        "requestMetadata": {"team": "a"},
        "serviceTier": {"type": "flex"},
        "inferenceConfig": {"topP": 0.1},
        "guardrails": ["ours"],
        "litellm_call_id": "x",
        "betas": ["context-1m"],
    });
    let mut expected = fields.clone();
    let own = expected.as_object_mut().unwrap();
    for ours in ["guardrails", "litellm_call_id", "betas"] {
        own.remove(ours);
    }
    own["additionalModelRequestFields"]["anthropic_beta"] = json!(["context-1m"]);
    own.insert("messages".into(), json!([{"role": "user", "content": [{"text": "hi"}]}]));
    assert_eq!(sent(With::default(), fields).unwrap(), expected);
}

#[test]
fn betas_of_anthropics_are_for_claude() {
    let fields = || json!({"betas": ["interleaved-thinking-2025-05-14"]});
    let claude = sent(With::default(), fields()).unwrap();
    let named = &claude["additionalModelRequestFields"]["anthropic_beta"];
    assert_eq!(*named, json!(["interleaved-thinking-2025-05-14"]));
    for model in [NOVA, LLAMA, "openai.gpt-oss-120b-1:0"] {
        let other = sent(to(model), fields()).unwrap();
        assert_eq!(other.get("additionalModelRequestFields"), None, "{model}");
    }
}

#[test]
fn labels_that_converse_would_refuse_are_left_out() {
    let fields = json!({"user": "me@example.com", "service_tier": "priority", "metadata": {
        "team": "a b", "bad": "\u{fc}", "number": 5, "": "x", "long": "x".repeat(257), "empty": "",
    }});
    let body = sent(With::default(), fields).unwrap();
    assert_eq!(
        body["requestMetadata"],
        json!({"user": "me@example.com", "team": "a b", "empty": ""})
    );
    assert_eq!(body["serviceTier"], json!({"type": "priority"}));
    let many: serde_json::Map<_, _> = (0..40).map(|n| (n.to_string(), json!("x"))).collect();
    let body = sent(With::default(), json!({ "metadata": many, "service_tier": "auto" })).unwrap();
    assert_eq!(body["requestMetadata"].as_object().unwrap().len(), 16);
    assert_eq!(body.get("serviceTier"), None);
}

#[test]
fn what_converse_lacks_is_refused_unless_it_may_be_dropped() {
    for (name, value) in [
        ("n", json!(2)),
        ("seed", json!(1)),
        ("logprobs", json!(true)),
        ("presence_penalty", json!(0.5)),
        ("web_search_options", json!({})),
        ("tools", json!([{"type": "custom", "custom": {"name": "x"}}])),
    ] {
        let refused = sent(With::default(), json!({ name: value })).unwrap_err();
        assert_eq!(refused.param.as_deref(), Some(name));
        let dropped = sent(With { drop_params: true, ..With::default() }, json!({ name: value }));
        assert!(dropped.is_ok(), "{name}");
    }
    let body = sent(to("amazon.nova-premier-v1:0"), json!({"web_search_options": {}})).unwrap();
    assert_eq!(body["toolConfig"]["tools"], json!([{"systemTool": {"name": "nova_grounding"}}]));
}

#[test]
fn only_what_the_model_reads_is_counted() {
    let with = With { endpoint: Endpoint::CountTokens, ..With::default() };
    let body = sent(with, json!({"tools": [tool("f")], "max_tokens": 5, "user": "u"})).unwrap();
    let converse = &body["input"]["converse"];
    assert_eq!(body.as_object().unwrap().len(), 1);
    assert_eq!(converse["messages"][0]["content"][0]["text"], "hi");
    assert!(converse["toolConfig"].is_object() && converse.get("inferenceConfig").is_none());
}
