//! What clients of Anthropic's, Google's and the Responses API ask for, as providers of other dialects
//! get it.

use http::HeaderValue;
use serde_json::{Value, json};

use super::native::Native;
use super::sample::deployment;
use super::{Call, request};
use crate::catalog::Deployment;
use crate::dialect::{ClientDialect, Endpoint, ResponsesApi};
use crate::failure::Failure;
use crate::wire;
use crate::wire::client::Asked;
use crate::wire::json::Object;

/// The deployment of `provider/model`; `responses/` in front of the model: with a Responses API.
fn at(upstream: &str) -> Deployment {
    let (provider, model) = upstream.split_once('/').unwrap();
    match model.strip_prefix("responses/") {
        Some(model) => {
            Deployment { responses: ResponsesApi::Always, ..deployment(provider, model, &[]) }
        }
        None => deployment(provider, model, &[]),
    }
}

/// What a client's request becomes: the body and the betas.
fn told(
    upstream: &str,
    client: ClientDialect,
    body: &Value,
    drop_params: bool,
) -> Result<(Value, String), Failure> {
    told_at(&at(upstream), client, body, drop_params)
}

fn told_at(
    deployment: &Deployment,
    client: ClientDialect,
    body: &Value,
    drop_params: bool,
) -> Result<(Value, String), Failure> {
    let own = Object::parse(body.to_string().into()).unwrap();
    let asked = Asked { model: Some("m"), ..Asked::default() };
    let canonical = wire::client::request(client, &own, asked)?;
    let native = Native {
        dialect: client,
        body: &own,
        obstacle: &canonical.obstacle,
        headers: &[],
        resource: None,
    };
    let call = Call {
        model: &deployment.model,
        endpoint: Endpoint::Chat,
        stream: false,
        overrides: &[],
        drop_params,
        modify_params: false,
        native: (client != ClientDialect::OpenAi).then_some(native),
        form: None,
        stored: None,
    };
    let outgoing = request(deployment, &canonical.body, &call)?;
    let betas = outgoing.headers.iter().find(|(name, _)| name == "anthropic-beta");
    let betas = betas.map(|(_, value): &(_, HeaderValue)| value.to_str().unwrap().to_owned());
    Ok((serde_json::from_slice(&outgoing.body).unwrap(), betas.unwrap_or_default()))
}

fn messages(more: &Value) -> Value {
    with(json!({"max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}), more)
}

fn gemini(more: &Value) -> Value {
    with(json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}]}), more)
}

fn chat(more: &Value) -> Value {
    with(json!({"messages": [{"role": "user", "content": "a"}]}), more)
}

fn with(mut body: Value, more: &Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

const ANTHROPIC: ClientDialect = ClientDialect::Anthropic;
const GEMINI: ClientDialect = ClientDialect::Gemini;

#[test]
fn what_a_responses_api_cannot_do_is_refused_there_too() {
    let at = "openai/responses/gpt-5.6";
    for (client, body, param) in [
        (ANTHROPIC, messages(&json!({"mcp_servers": [{"name": "n"}]})), "mcp_servers"),
        (ANTHROPIC, messages(&json!({"container": "c"})), "container"),
        (
            ANTHROPIC,
            messages(&json!({"tools": [{"type": "web_fetch_20250910", "name": "f"}]})),
            "tools.0",
        ),
        (GEMINI, gemini(&json!({"tools": [{"urlContext": {}}]})), "tools[0].urlContext"),
        (GEMINI, gemini(&json!({"tools": [{"codeExecution": {}}]})), "tools[0].codeExecution"),
        (GEMINI, gemini(&json!({"cachedContent": "c"})), "cachedContent"),
        (
            GEMINI,
            gemini(&json!({"generationConfig": {"responseMimeType": "text/x.enum"}})),
            "generationConfig.responseMimeType",
        ),
        (GEMINI, gemini(&json!({"sessionId": "s"})), "sessionId"),
    ] {
        let refused = told(at, client, &body, false).expect_err(param);
        assert_eq!(refused.param.as_deref(), Some(param));
    }
    let dropped = messages(
        &json!({"container": "c", "tools": [{"type": "web_fetch_20250910", "name": "f"}]}),
    );
    let (sent, _) = told(at, ANTHROPIC, &dropped, true).unwrap();
    assert_eq!((sent.get("container"), sent.get("tools")), (None, None));
}

#[test]
fn a_search_in_the_web_is_the_responses_apis() {
    let search = json!({"type": "web_search_20250305", "name": "web_search", "max_uses": 3,
        "allowed_domains": ["a.com"],
        "user_location": {"type": "approximate", "city": "Rome", "country": "IT"}});
    let function = json!({"name": "f", "input_schema": {"type": "object"}});
    let chosen = json!({"type": "tool", "name": "web_search"});
    let wanted = json!({"type": "web_search", "filters": {"allowed_domains": ["a.com"]},
        "user_location": {"type": "approximate", "city": "Rome", "country": "IT"}});
    for upstream in ["openai/responses/gpt-5.6", "openai/responses/gpt-5"] {
        let body = messages(&json!({"tools": [search], "tool_choice": chosen}));
        let (sent, _) = told(upstream, ANTHROPIC, &body, false).unwrap();
        assert_eq!(sent["tools"], json!([wanted]), "{sent}");
        assert_eq!(sent["tool_choice"], json!({"type": "web_search"}));
        assert_eq!(sent["max_tool_calls"], 3);
        let body = messages(&json!({"tools": [function, search], "tool_choice": chosen}));
        let (sent, _) = told(upstream, ANTHROPIC, &body, false).unwrap();
        assert_eq!(sent["tools"][1], wanted);
        assert_eq!(sent["tool_choice"], json!({"type": "web_search"}));
        let (sent, _) =
            told(upstream, GEMINI, &gemini(&json!({"tools": [{"googleSearch": {}}]})), false)
                .unwrap();
        assert_eq!(sent["tools"], json!([{"type": "web_search"}]));
        let options = json!({"search_context_size": "low",
            "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}});
        let body = chat(&json!({"web_search_options": options}));
        let (sent, _) = told(upstream, ClientDialect::OpenAi, &body, false).unwrap();
        let expected = json!([{"type": "web_search", "search_context_size": "low",
            "user_location": {"type": "approximate", "city": "Rome"}}]);
        assert_eq!(sent["tools"], expected);
    }
    for upstream in ["openai/gpt-4o", "anthropic/claude-sonnet-4-6"] {
        let body = gemini(&json!({"tools": [{"googleSearch": {}}]}));
        assert!(told(upstream, GEMINI, &body, true).is_err(), "{upstream}");
    }
    // What was dropped is not chosen.
    let body = messages(&json!({"tools": [function, search], "tool_choice": chosen}));
    let (sent, _) = told("openai/gpt-4o", ANTHROPIC, &body, true).unwrap();
    assert_eq!((sent["tools"].as_array().unwrap().len(), sent.get("tool_choice")), (1, None));
}

#[test]
fn an_effort_is_fitted_to_the_model_in_silence() {
    for (upstream, effort, pointer, granted) in [
        ("openai/gpt-4o", "high", "/reasoning_effort", Value::Null),
        ("azure/gpt-4o", "high", "/reasoning_effort", Value::Null),
        ("xai/grok-4", "high", "/reasoning_effort", Value::Null),
        ("openai/gpt-5", "max", "/reasoning_effort", json!("high")),
        ("openai/gpt-5", "xhigh", "/reasoning_effort", json!("high")),
        ("openai/o3", "max", "/reasoning_effort", json!("high")),
        ("openai/gpt-5.2", "max", "/reasoning_effort", json!("xhigh")),
        ("openai/gpt-5", "low", "/reasoning_effort", json!("low")),
        ("openai/responses/gpt-4o", "low", "/reasoning", Value::Null),
        ("openai/responses/gpt-5", "max", "/reasoning/effort", json!("high")),
        ("groq/llama-3.3-70b-versatile", "high", "/reasoning_effort", Value::Null),
        ("groq/openai/gpt-oss-120b", "max", "/reasoning_effort", json!("high")),
        ("perplexity/sonar", "high", "/reasoning_effort", Value::Null),
        ("mistral/mistral-large-2411", "high", "/reasoning_effort", Value::Null),
        ("cohere/command-a-03-2025", "high", "/thinking", Value::Null),
        ("cohere/command-a-reasoning-08-2025", "high", "/thinking/type", json!("enabled")),
        ("gemini/gemini-2.0-flash", "high", "/generationConfig/thinkingConfig", Value::Null),
        ("bedrock/amazon.nova-pro-v1:0", "high", "/additionalModelRequestFields", Value::Null),
        ("bedrock/meta.llama3-3-70b-instruct-v1:0", "high", "/outputConfig", Value::Null),
        ("bedrock/anthropic.claude-opus-4-6-v1:0", "max", "/outputConfig/effort", json!("max")),
    ] {
        for more in [json!({}), json!({"thinking": {"type": "adaptive"}})] {
            if !more.as_object().unwrap().is_empty() && upstream.contains("claude") {
                continue;
            }
            let body = messages(&with(json!({"output_config": {"effort": effort}}), &more));
            let (sent, _) = told(upstream, ANTHROPIC, &body, false).expect(upstream);
            let found = sent.pointer(pointer).cloned().unwrap_or_default();
            assert_eq!(found, granted, "{upstream} {more}");
        }
    }
    let claude = "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0";
    let body =
        messages(&json!({"output_config": {"effort": "high"}, "temperature": 0.2, "top_k": 5}));
    let (sent, _) = told(claude, ANTHROPIC, &body, false).unwrap();
    assert_eq!(sent["additionalModelRequestFields"], json!({"top_k": 5}), "it is not to think");
    assert_eq!(sent["inferenceConfig"]["temperature"], 0.2);
    // A client of OpenAI's is told.
    let body = chat(&json!({"reasoning_effort": "high"}));
    assert!(told("openai/gpt-4o", ClientDialect::OpenAi, &body, false).is_err());
    assert!(told("bedrock/amazon.nova-pro-v1:0", ClientDialect::OpenAi, &body, false).is_err());
}

#[test]
fn the_sampling_of_geminis_clients_is_a_hint() {
    let body = gemini(&json!({"generationConfig": {"temperature": 0.5, "topP": 0.9, "topK": 64,
        "presencePenalty": 0.5, "seed": 7}}));
    let all =
        json!({"temperature": 0.5, "top_p": 0.9, "top_k": 64, "presence_penalty": 0.5, "seed": 7});
    let names = ["temperature", "top_p", "top_k", "presence_penalty", "seed"];
    for (upstream, kept) in [
        ("openai/gpt-4o", vec!["temperature", "top_p", "presence_penalty", "seed"]),
        ("openai/gpt-5", vec!["seed"]),
        ("openai/o3", vec!["seed"]),
        ("openai/responses/gpt-5", vec![]),
        ("openai/responses/gpt-4o", vec!["temperature", "top_p"]),
        ("mistral/mistral-large-2411", vec!["temperature", "top_p", "presence_penalty"]),
        ("anthropic/claude-sonnet-4-5", vec!["temperature", "top_k"]),
        ("anthropic/claude-3-5-haiku-20241022", vec!["temperature", "top_p", "top_k"]),
    ] {
        let (sent, _) = told(upstream, GEMINI, &body, false).expect(upstream);
        let found: Vec<&str> = names.into_iter().filter(|name| sent.get(name).is_some()).collect();
        assert_eq!(found, kept, "{upstream} {sent}");
    }
    for (upstream, extra) in [
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", json!({"top_k": 64})),
        ("bedrock/meta.llama3-3-70b-instruct-v1:0", Value::Null),
    ] {
        let (sent, _) = told(upstream, GEMINI, &body, false).expect(upstream);
        assert_eq!(sent.get("additionalModelRequestFields").cloned().unwrap_or_default(), extra);
        assert_eq!(sent["inferenceConfig"]["temperature"], 0.5);
    }
    // A chat client's own are judged, and so is what an answer is.
    for upstream in ["openai/gpt-5", "mistral/mistral-large-2411", "anthropic/claude-sonnet-4-5"] {
        assert!(told(upstream, ClientDialect::OpenAi, &chat(&all), false).is_err(), "{upstream}");
    }
    let stop = gemini(&json!({"generationConfig": {"stopSequences": ["a"]}}));
    assert!(told("openai/gpt-5", GEMINI, &stop, false).is_err());
}

#[test]
fn codexs_search_in_the_web_is_claudes_and_geminis() {
    let search = json!({"type": "web_search", "external_web_access": false,
        "user_location": {"type": "approximate", "city": "Rome"}});
    let body = json!({"model": "m", "input": "hi", "max_output_tokens": 99, "tools": [search],
        "tool_choice": {"type": "web_search"}});
    let client = ClientDialect::Responses;
    let (sent, _) = told("anthropic/claude-haiku-4-5", client, &body, false).unwrap();
    let expected = json!([{"type": "web_search_20250305", "name": "web_search",
        "user_location": {"type": "approximate", "city": "Rome"}}]);
    assert_eq!(sent["tools"], expected);
    assert_eq!(sent["tool_choice"], json!({"type": "tool", "name": "web_search"}));
    let (sent, _) = told("gemini/gemini-2.5-flash", client, &body, false).unwrap();
    assert_eq!(sent["tools"], json!([{"googleSearch": {}}]));

    let mut filtered = body.clone();
    filtered["tools"][0]["filters"] = json!({"allowed_domains": ["a.com"]});
    let (sent, _) = told("anthropic/claude-haiku-4-5", client, &filtered, false).unwrap();
    assert_eq!(sent["tools"][0]["allowed_domains"], json!(["a.com"]));
    for (upstream, body) in [
        ("gemini/gemini-2.5-flash", &filtered),
        ("openai/gpt-4o", &body),
        ("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", &body),
    ] {
        let refused = told(upstream, client, body, false).expect_err(upstream);
        assert_eq!(refused.code.as_deref(), Some("unsupported_tool"), "{upstream}");
        let (sent, _) = told(upstream, client, body, true).unwrap();
        assert_eq!((sent.get("tools"), sent.get("web_search_options")), (None, None), "{upstream}");
    }
}

#[test]
fn a_marker_of_the_whole_request_goes_to_who_takes_it() {
    let body = chat(&json!({"max_tokens": 9, "cache_control": {"type": "ephemeral"}}));
    for (upstream, kept) in [
        ("openai/gpt-4o", false),
        ("openai/responses/gpt-5", false),
        ("gemini/gemini-2.5-flash", false),
        ("bedrock/amazon.nova-pro-v1:0", false),
        ("bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0", false),
        ("cohere/command-a-03-2025", false),
        ("ollama_chat/llama3.2", false),
        ("openrouter/anthropic/claude-haiku-4.5", true),
        ("anthropic/claude-haiku-4-5", true),
    ] {
        let (sent, _) = told(upstream, ClientDialect::OpenAi, &body, false).expect(upstream);
        assert_eq!(sent.to_string().contains("cache_control"), kept, "{upstream} {sent}");
    }
}

#[test]
fn beta_features_are_named_to_who_has_them() {
    for (provider, expected) in [("anthropic", "x-1"), ("azure_ai", "x-1"), ("deepseek", "")] {
        let copy = Deployment {
            dialect: crate::dialect::Dialect::Anthropic,
            ..deployment(provider, "claude-haiku-4-5", &[])
        };
        let body = messages(&json!({"betas": ["x-1"]}));
        let (_, betas) = told_at(&copy, ANTHROPIC, &body, false).unwrap();
        assert_eq!(betas, expected, "{provider}");
    }
}

#[test]
fn thoughts_among_the_parts_go_to_claude_alone() {
    let thought = json!({"type": "thinking", "thinking": "hm", "signature": "sig=="});
    let hidden = json!({"type": "redacted_thinking", "data": "ZGF0YQ=="});
    let said = json!({"type": "text", "text": "hello"});
    let body = json!({"max_tokens": 9, "messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [thought, hidden, said]},
        {"role": "user", "content": "b"}]});
    for upstream in [
        "openai/gpt-4o",
        "openai/responses/gpt-5",
        "mistral/mistral-large-2411",
        "gemini/gemini-2.5-flash",
        "cohere/command-a-03-2025",
        "ollama_chat/llama3.2",
        "groq/llama-3.3-70b-versatile",
        "bedrock/amazon.nova-pro-v1:0",
        "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "anthropic/claude-sonnet-4-5",
    ] {
        let (sent, _) = told(upstream, ClientDialect::OpenAi, &body, false).expect(upstream);
        let text = sent.to_string();
        let is_claude = upstream.contains("claude");
        assert_eq!(
            (text.contains("sig=="), text.contains("ZGF0YQ==")),
            (is_claude, is_claude),
            "{text}"
        );
        assert!(text.contains("hello"), "{text}");
        assert!(is_claude || !text.contains("thinking"), "{text}");
    }
    // Mistral's own are a list of texts, and stay there.
    let own = json!({"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]});
    let body = json!({"messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": [own, said]}, {"role": "user", "content": "b"}]});
    let (sent, _) =
        told("mistral/magistral-medium-2509", ClientDialect::OpenAi, &body, false).unwrap();
    assert_eq!(sent["messages"][1]["content"][0], own);
    let (sent, _) = told("openai/gpt-4o", ClientDialect::OpenAi, &body, false).unwrap();
    assert_eq!(sent["messages"][1]["content"], json!([said]));
}

#[test]
fn a_result_without_its_call_is_refused_before_claude() {
    let body = json!({"max_tokens": 9, "messages": [{"role": "user", "content": "a"},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]});
    let refused =
        told("anthropic/claude-haiku-4-5", ClientDialect::OpenAi, &body, false).unwrap_err();
    assert!(refused.message.contains("answers no call"), "{}", refused.message);
    let body = json!({"model": "m", "input": [{"role": "user", "content": "a"},
        {"type": "function_call_output", "call_id": "c", "output": "r"}]});
    assert!(told("anthropic/claude-haiku-4-5", ClientDialect::Responses, &body, false).is_err());
}

#[test]
fn who_is_known_by_an_address_is_not_named_to_claude() {
    for (user, named) in [("a@b.c", false), ("u@example.com", false), ("u-1@host", true)] {
        let body = chat(&json!({"max_tokens": 9, "user": user}));
        let (sent, _) =
            told("anthropic/claude-haiku-4-5", ClientDialect::OpenAi, &body, false).unwrap();
        assert_eq!(sent.get("metadata").is_some(), named, "{user}");
    }
}

#[test]
fn a_chat_clients_tool_of_free_text_is_a_function_elsewhere() {
    let custom = json!({"type": "custom", "custom": {"name": "patch", "description": "Patches.",
        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}}});
    let call =
        json!({"id": "call_123456", "type": "custom", "custom": {"name": "patch", "input": "+ a"}});
    let body = json!({"max_tokens": 9, "tools": [custom],
        "tool_choice": {"type": "custom", "custom": {"name": "patch"}},
        "messages": [{"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_123456", "content": "done"}]});
    for upstream in [
        "anthropic/claude-haiku-4-5",
        "gemini/gemini-2.5-flash",
        "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "mistral/mistral-large-2411",
        "cohere/command-a-03-2025",
    ] {
        let (sent, _) = told(upstream, ClientDialect::OpenAi, &body, false).expect(upstream);
        let text = sent.to_string();
        assert!(text.contains("lark grammar") && text.contains("patch"), "{text}");
        assert!(!text.contains("\"custom\""), "{text}");
    }
    let (sent, _) =
        told("anthropic/claude-haiku-4-5", ClientDialect::OpenAi, &body, false).unwrap();
    assert_eq!(sent["messages"][1]["content"][0]["input"], json!({"input": "+ a"}));
    assert_eq!(sent["tool_choice"]["name"], "patch");
    let (sent, _) = told("openai/gpt-5", ClientDialect::OpenAi, &body, false).unwrap();
    assert_eq!(sent["tools"][0], custom);
}
