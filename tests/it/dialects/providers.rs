//! The providers behind the gateway: where each wants what is asked of it, and what it cannot say.

use serde_json::{Value, json};

use super::clients::{IMAGE, schema};
use crate::harness::*;

/// A provider by its dialect; the model group has its name.
pub(super) struct Provider {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) upstream: Upstream,
    pub(super) deployment: fn(&Upstream) -> Deployment,
    pub(super) wants: Wants,
    pub(super) told: Told,
    /// Its own word for a fault in the middle of a stream.
    pub(super) fault: &'static str,
    /// Whether it tells what it read from its cache.
    pub(super) counts_cached: bool,
}

/// Where a request says what, as JSON pointers.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub(super) image: &'static str,
    pub(super) tools: &'static str,
    pub(super) thinking: &'static str,
    pub(super) schema: &'static str,
}

/// How a history tells of calls and of their results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Messages of the assistant and of tools, below this name.
    Turns(&'static str),
    Items,
    Blocks,
    Parts,
    Converse,
}

const CHAT: Wants = Wants {
    image: "/messages/0/content/1/image_url/url",
    tools: "/tools",
    thinking: "/reasoning_effort",
    schema: "/response_format/json_schema/schema",
};
const RESPONSES: Wants = Wants {
    image: "/input/0/content/1/image_url",
    tools: "/tools",
    thinking: "/reasoning/effort",
    schema: "/text/format/schema",
};
const MESSAGES: Wants = Wants {
    image: "/messages/0/content/1/source",
    tools: "/tools",
    thinking: "/thinking/budget_tokens",
    schema: "/output_config/format/schema",
};
const GEMINI: Wants = Wants {
    image: "/contents/0/parts/1/inlineData",
    tools: "/tools",
    thinking: "/generationConfig/thinkingConfig/includeThoughts",
    schema: "/generationConfig/responseJsonSchema",
};
const CONVERSE: Wants = Wants {
    image: "/messages/0/content/1/image",
    tools: "/toolConfig/tools",
    thinking: "/additionalModelRequestFields/thinking/budget_tokens",
    schema: "/outputConfig/textFormat/structure/jsonSchema/schema",
};
const COHERE: Wants = Wants {
    image: "/messages/0/content/1/image_url/url",
    tools: "/tools",
    thinking: "/thinking/type",
    schema: "/response_format/json_schema",
};
const OLLAMA: Wants =
    Wants { image: "/messages/0/images/0", tools: "/tools", thinking: "/think", schema: "/format" };
const HOUSE: Wants = Wants {
    image: "/turns/0/content/1/image_url/url",
    tools: "/tools",
    thinking: "/effort",
    schema: "/format/json_schema/schema",
};

/// The provider that the configuration describes.
pub(super) const CUSTOM: &str = "custom_providers:
  - name: house
    base_url: http://127.0.0.1:9
    path: /house/say
    request:
      engine: '{{ model }}'
      turns: '{{ messages }}'
      tools: '{{ tools }}'
      choice: '{{ tool_choice }}'
      format: '{{ response_format }}'
      effort: '{{ reasoning_effort }}'
      limit: '{{ max_tokens }}'
      live: '{{ stream }}'
    response: {text: body.out.text, reasoning: body.out.thoughts, tool_calls: body.out.calls,
      finish_reason: body.why, input_tokens: body.cost.read, cached_tokens: body.cost.cached,
      output_tokens: body.cost.written, error: body.problem.text}
    stream: {text: event.piece, reasoning: event.thought, tool_calls: event.calls, finish_reason: event.why,
      done: event.over, input_tokens: event.cost.read, cached_tokens: event.cost.cached,
      output_tokens: event.cost.written, error: event.problem.text}
    error: body.problem.text";

/// Names and titles, in the order of the page.
pub(super) const COLUMNS: [(&str, &str); 11] = [
    ("openai", "OpenAI"),
    ("responses", "OpenAI, by its Responses API"),
    ("azure", "Azure OpenAI"),
    ("anthropic", "Anthropic"),
    ("gemini", "Gemini"),
    ("vertex", "Gemini on Vertex AI"),
    ("vertex-claude", "Claude on Vertex AI"),
    ("bedrock", "Claude on Bedrock"),
    ("cohere", "Cohere"),
    ("ollama", "Ollama"),
    ("custom", "custom provider"),
];

pub(super) fn providers() -> Vec<Provider> {
    COLUMNS.iter().map(|(name, title)| provider(name, title)).collect()
}

fn provider(name: &'static str, title: &'static str) -> Provider {
    let messages = Told::Turns("messages");
    type Made = (Upstream, fn(&Upstream) -> Deployment, Wants, Told, &'static str);
    let (upstream, deployment, wants, told, fault): Made = match name {
        "openai" => {
            let made = |it: &Upstream| openai(it).model("openai/gpt-5-mini");
            (upstream::openai().start(), made, CHAT, messages, "server_error")
        }
        "responses" => {
            let made =
                |it: &Upstream| openai(it).model("openai/gpt-5-mini").info("mode: responses");
            (upstream::openai().start(), made, RESPONSES, Told::Items, "server_error")
        }
        "azure" => {
            let made = |it: &Upstream| {
                let deployment = Deployment::at("azure/my-deployment", &it.api_base());
                deployment.with("api_version: '2024-10-21'").info("base_model: gpt-5-mini")
            };
            (upstream::azure().start(), made, CHAT, messages, "server_error")
        }
        "anthropic" => {
            (upstream::anthropic().start(), anthropic, MESSAGES, Told::Blocks, "overloaded_error")
        }
        "gemini" => (upstream::gemini().start(), gemini, GEMINI, Told::Parts, "UNAVAILABLE"),
        "vertex" => {
            let made = |it: &Upstream| Deployment::at("vertex_ai/gemini-3.5-flash", &it.api_base());
            (upstream::gemini().start(), made, GEMINI, Told::Parts, "UNAVAILABLE")
        }
        "vertex-claude" => {
            let made = |it: &Upstream| {
                Deployment::at("vertex_ai/claude-sonnet-4-5@20250929", &it.api_base())
            };
            (upstream::anthropic().start(), made, MESSAGES, Told::Blocks, "overloaded_error")
        }
        "bedrock" => {
            let made = |it: &Upstream| {
                let model = "bedrock/us.anthropic.claude-haiku-4-5-20251001-v1:0";
                Deployment::at(model, &it.api_base())
            };
            let fault = "ServiceUnavailableException";
            (upstream::bedrock().start(), made, CONVERSE, Told::Converse, fault)
        }
        "cohere" => {
            let model = |it: &Upstream| {
                Deployment::at("cohere_chat/command-a-reasoning-08-2025", &it.api_base())
            };
            (upstream::cohere().start(), model, COHERE, messages, "")
        }
        "ollama" => {
            let made = |it: &Upstream| Deployment::at("ollama_chat/qwen3", &it.api_base());
            (upstream::ollama().start(), made, OLLAMA, messages, "")
        }
        "custom" => {
            let made = |it: &Upstream| Deployment::at("house/large", &it.api_base());
            (upstream::house().start(), made, HOUSE, Told::Turns("turns"), "")
        }
        _ => panic!("{name} is no provider"),
    };
    Provider {
        name,
        title,
        upstream,
        deployment,
        wants,
        told,
        fault,
        counts_cached: name != "ollama",
    }
}

impl Provider {
    /// How it wants the image.
    pub(super) fn image(&self) -> Value {
        match self.wants.image.rsplit('/').next() {
            Some("source") => json!({"type": "base64", "media_type": "image/png", "data": IMAGE}),
            Some("inlineData") => json!({"mimeType": "image/png", "data": IMAGE}),
            Some("image") => json!({"format": "png", "source": {"bytes": IMAGE}}),
            Some("0") => json!(IMAGE),
            _ => json!(format!("data:image/png;base64,{IMAGE}")),
        }
    }

    /// Whether the request asks for the schema, where this provider looks for it.
    pub(super) fn is_asked_for_schema(&self, sent: &Value) -> bool {
        match sent.pointer(self.wants.schema) {
            // Bedrock takes it as a text.
            Some(Value::String(text)) => serde_json::from_str::<Value>(text).ok() == Some(schema()),
            found => found == Some(&schema()),
        }
    }
}

/// A call of a history, with its result: the name, the arguments, the text.
pub(super) type Called = (String, Value, String);

impl Told {
    /// The calls that a request tells of, each with the result that belongs to it.
    pub(super) fn calls(self, sent: &Value) -> Vec<Called> {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let parsed = |value: &Value| match value {
            Value::String(text) => serde_json::from_str(text).unwrap_or_default(),
            value => value.clone(),
        };
        // The calls with their ids or names, and the results by the same.
        let mut calls: Vec<(Value, Value, Value)> = Vec::new();
        let mut results: Vec<(Value, Value)> = Vec::new();
        match self {
            Self::Turns(name) => {
                for turn in list(&sent[name]) {
                    for call in list(&turn["tool_calls"]) {
                        let function = &call["function"];
                        let id = call.get("id").unwrap_or_else(|| &function["name"]).clone();
                        calls.push((id, function["name"].clone(), function["arguments"].clone()));
                    }
                    if turn["role"] == "tool" {
                        let id = turn.get("tool_call_id").unwrap_or_else(|| &turn["tool_name"]);
                        results.push((id.clone(), turn["content"].clone()));
                    }
                }
            }
            Self::Items => {
                for item in list(&sent["input"]) {
                    let id = item["call_id"].clone();
                    match item["type"].as_str() {
                        Some("function_call") => {
                            calls.push((id, item["name"].clone(), item["arguments"].clone()));
                        }
                        Some("function_call_output") => results.push((id, item["output"].clone())),
                        _ => {}
                    }
                }
            }
            Self::Blocks => {
                for block in list(&sent["messages"]).iter().flat_map(|it| list(&it["content"])) {
                    match block["type"].as_str() {
                        Some("tool_use") => {
                            let id = block["id"].clone();
                            calls.push((id, block["name"].clone(), block["input"].clone()));
                        }
                        Some("tool_result") => {
                            results.push((block["tool_use_id"].clone(), block["content"].clone()));
                        }
                        _ => {}
                    }
                }
            }
            Self::Parts => {
                for part in list(&sent["contents"]).iter().flat_map(|it| list(&it["parts"])) {
                    let (call, result) = (&part["functionCall"], &part["functionResponse"]);
                    if call.is_object() {
                        calls.push((
                            call["name"].clone(),
                            call["name"].clone(),
                            call["args"].clone(),
                        ));
                    }
                    if result.is_object() {
                        results.push((result["name"].clone(), result["response"].clone()));
                    }
                }
            }
            Self::Converse => {
                for block in list(&sent["messages"]).iter().flat_map(|it| list(&it["content"])) {
                    let (call, result) = (&block["toolUse"], &block["toolResult"]);
                    if call.is_object() {
                        let id = call["toolUseId"].clone();
                        calls.push((id, call["name"].clone(), call["input"].clone()));
                    }
                    if result.is_object() {
                        results.push((result["toolUseId"].clone(), result["content"].clone()));
                    }
                }
            }
        }
        let called = calls.iter().map(|(id, name, arguments)| {
            let result = results.iter().find(|(of, _)| of == id).map(|(_, result)| text(result));
            (text(name), parsed(arguments), result.unwrap_or_default())
        });
        called.collect()
    }
}
