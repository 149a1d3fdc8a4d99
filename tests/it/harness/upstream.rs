//! The scripted providers by the name under which tests speak of them.

use tollgate::mock::{Upstream, UpstreamBuilder, body_of};

/// A provider that speaks as OpenAI does.
pub fn openai() -> UpstreamBuilder {
    Upstream::openai()
}

/// A provider that speaks as Azure does.
pub fn azure() -> UpstreamBuilder {
    Upstream::azure()
}

/// A provider that speaks as Anthropic does.
pub fn anthropic() -> UpstreamBuilder {
    Upstream::anthropic()
}

/// A provider that speaks as Google does.
pub fn gemini() -> UpstreamBuilder {
    Upstream::gemini()
}

/// A provider that speaks as Amazon Bedrock does.
pub fn bedrock() -> UpstreamBuilder {
    Upstream::bedrock()
}

/// A provider that speaks as Cohere does.
pub fn cohere() -> UpstreamBuilder {
    Upstream::cohere()
}

/// A provider that speaks as Ollama does.
pub fn ollama() -> UpstreamBuilder {
    Upstream::ollama()
}

/// A provider with an API of its own.
pub fn house() -> UpstreamBuilder {
    Upstream::house()
}

/// A collector of traces that takes whatever comes.
pub fn collector() -> Upstream {
    openai().replies(body_of("application/x-protobuf", "")).start()
}

/// Inference requests that a provider got.
pub fn calls(provider: &Upstream) -> usize {
    provider.requests().iter().filter(|request| request.method == "POST").count()
}

/// The model that a provider was asked for last.
pub fn model_asked(provider: &Upstream) -> String {
    provider.last_request().json()["model"].as_str().unwrap_or_default().to_owned()
}
