//! The scripted providers by the name under which tests speak of them.

use tollgate::mock::{Upstream, UpstreamBuilder};

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
