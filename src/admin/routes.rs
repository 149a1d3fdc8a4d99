//! The paths that exist, for the router, the landing page and the documentation.

use crate::dialect::Endpoint;

/// Inference, served by the gateway for POST. `{model}` stands for one path segment.
pub const INFERENCE: [(&str, Endpoint); 18] = [
    ("/v1/chat/completions", Endpoint::Chat),
    ("/chat/completions", Endpoint::Chat),
    ("/openai/v1/chat/completions", Endpoint::Chat),
    ("/v1/engines/{model}/chat/completions", Endpoint::Chat),
    ("/engines/{model}/chat/completions", Endpoint::Chat),
    ("/openai/deployments/{model}/chat/completions", Endpoint::Chat),
    ("/v1/completions", Endpoint::Completions),
    ("/completions", Endpoint::Completions),
    ("/openai/v1/completions", Endpoint::Completions),
    ("/v1/engines/{model}/completions", Endpoint::Completions),
    ("/engines/{model}/completions", Endpoint::Completions),
    ("/openai/deployments/{model}/completions", Endpoint::Completions),
    ("/v1/embeddings", Endpoint::Embeddings),
    ("/embeddings", Endpoint::Embeddings),
    ("/openai/v1/embeddings", Endpoint::Embeddings),
    ("/v1/engines/{model}/embeddings", Endpoint::Embeddings),
    ("/engines/{model}/embeddings", Endpoint::Embeddings),
    ("/openai/deployments/{model}/embeddings", Endpoint::Embeddings),
];

/// Whether a page is nobody's business but the operator's, where operators have a listener of their
/// own. What load balancers and clients ask for is not.
#[must_use]
pub fn is_for_operators(path: &str) -> bool {
    matches!(path, "/" | "/health" | "/metrics" | "/metrics/") || path.starts_with("/config/")
}

/// A line of the landing page.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub method: &'static str,
    pub path: &'static str,
    pub what: &'static str,
}

/// What a person should know of; other spellings of the same paths are left out.
pub const LISTED: [Listed; 15] = [
    post("/v1/chat/completions", "Chat completions"),
    post("/openai/deployments/{model}/chat/completions", "Chat completions, as Azure's SDK asks"),
    post("/v1beta/models/{model}:generateContent", "Google's generateContent"),
    post("/v1beta/models/{model}:streamGenerateContent", "The same as a stream"),
    post("/v1beta/models/{model}:countTokens", "The tokens of a prompt, as Google's clients ask"),
    post("/v1/completions", "Text completions"),
    post("/v1/embeddings", "Embeddings"),
    fetch("/v1/models", "The models that can be asked for"),
    fetch("/v1/models/{id}", "One model"),
    fetch("/v1beta/models", "The models in Google's shape"),
    fetch("/health", "Health of the model groups, from the traffic so far"),
    fetch("/health/liveliness", "Whether the process runs"),
    fetch("/health/readiness", "Whether the process takes requests"),
    fetch("/metrics", "Metrics for Prometheus"),
    post("/config/reload", "Read the configuration file again"),
];

const fn post(path: &'static str, what: &'static str) -> Listed {
    Listed { method: "POST", path, what }
}

const fn fetch(path: &'static str, what: &'static str) -> Listed {
    Listed { method: "GET", path, what }
}
