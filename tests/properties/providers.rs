//! One deployment of every provider dialect, as the configuration makes them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use tollgate::catalog::Deployment;
use tollgate::config::load_text;
use tollgate::dialect::{ClientDialect, Dialect, Endpoint, ResponsesApi};
use tollgate::provider::Reading;

const TEXT: &str = r#"
custom_providers:
  - name: acme
    base_url: https://llm.acme.example.com
    path: /v2/generate
    request: {prompt: "{{ messages | map(attribute='content') | list }}", stream: "{{ stream }}"}
    response: {text: body.out, finish_reason: body.end, input_tokens: body.usage.in}
    stream: {text: event.out, finish_reason: event.end, done: event.end}
    error: body.problem
model_list:
  - {model_name: m, litellm_params: {model: openai/gpt-4o, api_key: k}}
  - {model_name: m, litellm_params: {model: openai/responses/gpt-5, api_key: k}}
  - {model_name: m, litellm_params: {model: azure/dep, api_key: k, api_base: "https://a.example.com"}}
  - {model_name: m, litellm_params: {model: mistral/mistral-large, api_key: k}}
  - {model_name: m, litellm_params: {model: deepseek/deepseek-chat, api_key: k}}
  - {model_name: m, litellm_params: {model: anthropic/claude-opus-4-5, api_key: k}}
  - {model_name: m, litellm_params: {model: gemini/gemini-3.5-flash, api_key: k}}
  - {model_name: m, litellm_params: {model: gemini/gemini-2.5-flash, api_key: k}}
  - {model_name: m, litellm_params: {model: cohere/command-a, api_key: k}}
  - {model_name: m, litellm_params: {model: ollama_chat/llama3, api_base: "http://127.0.0.1:9"}}
  - {model_name: m, litellm_params: {model: bedrock/anthropic.claude-opus-4-5-20251101-v1:0, aws_region_name: us-east-1, aws_access_key_id: k, aws_secret_access_key: s}}
  - {model_name: m, litellm_params: {model: acme/large}}
"#;

static DEPLOYMENTS: LazyLock<Vec<Arc<Deployment>>> = LazyLock::new(|| {
    let loaded = load_text(Path::new("t.yaml"), TEXT, &BTreeMap::new());
    let problems: Vec<String> = loaded.problems.iter().map(|it| it.one_line()).collect();
    let snapshot = loaded.snapshot.unwrap_or_else(|| panic!("{}", problems.join("\n")));
    snapshot.catalog.deployments().to_vec()
});

/// How an answer to a conversation may have to be read: translated, as one of the Responses API, or in
/// the client's own dialect.
pub(crate) fn readings(deployment: &Deployment) -> Vec<Reading> {
    let own = match deployment.dialect {
        Dialect::Anthropic => Some(ClientDialect::Anthropic),
        Dialect::Gemini => Some(ClientDialect::Gemini),
        _ => None,
    };
    let api = Endpoint::Chat;
    let mut readings = vec![Reading { api, native: None }];
    readings.extend(own.map(|native| Reading { api, native: Some(native) }));
    if deployment.responses != ResponsesApi::None {
        let api = Endpoint::Responses;
        readings.push(Reading { api, native: None });
        readings.push(Reading { api, native: Some(ClientDialect::Responses) });
    }
    readings
}

pub(crate) fn deployments() -> &'static [Arc<Deployment>] {
    &DEPLOYMENTS
}
