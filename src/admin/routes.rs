//! The paths that exist, for the router, the landing page and the documentation.

use std::borrow::Cow;

use crate::dialect::Endpoint;

/// Inference, served by the gateway for POST. `{model}` stands for one path segment.
pub const INFERENCE: [(&str, Endpoint); 76] = [
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
    ("/v1/images/generations", Endpoint::ImageGenerations),
    ("/images/generations", Endpoint::ImageGenerations),
    ("/openai/v1/images/generations", Endpoint::ImageGenerations),
    ("/v1/engines/{model}/images/generations", Endpoint::ImageGenerations),
    ("/engines/{model}/images/generations", Endpoint::ImageGenerations),
    ("/openai/deployments/{model}/images/generations", Endpoint::ImageGenerations),
    ("/v1/images/edits", Endpoint::ImageEdits),
    ("/images/edits", Endpoint::ImageEdits),
    ("/openai/v1/images/edits", Endpoint::ImageEdits),
    ("/v1/engines/{model}/images/edits", Endpoint::ImageEdits),
    ("/engines/{model}/images/edits", Endpoint::ImageEdits),
    ("/openai/deployments/{model}/images/edits", Endpoint::ImageEdits),
    ("/v1/images/variations", Endpoint::ImageVariations),
    ("/images/variations", Endpoint::ImageVariations),
    ("/openai/v1/images/variations", Endpoint::ImageVariations),
    ("/v1/engines/{model}/images/variations", Endpoint::ImageVariations),
    ("/engines/{model}/images/variations", Endpoint::ImageVariations),
    ("/openai/deployments/{model}/images/variations", Endpoint::ImageVariations),
    ("/v1/audio/transcriptions", Endpoint::Transcriptions),
    ("/audio/transcriptions", Endpoint::Transcriptions),
    ("/openai/v1/audio/transcriptions", Endpoint::Transcriptions),
    ("/v1/engines/{model}/audio/transcriptions", Endpoint::Transcriptions),
    ("/engines/{model}/audio/transcriptions", Endpoint::Transcriptions),
    ("/openai/deployments/{model}/audio/transcriptions", Endpoint::Transcriptions),
    ("/v1/audio/translations", Endpoint::Translations),
    ("/audio/translations", Endpoint::Translations),
    ("/openai/v1/audio/translations", Endpoint::Translations),
    ("/v1/engines/{model}/audio/translations", Endpoint::Translations),
    ("/engines/{model}/audio/translations", Endpoint::Translations),
    ("/openai/deployments/{model}/audio/translations", Endpoint::Translations),
    ("/v1/audio/speech", Endpoint::Speech),
    ("/audio/speech", Endpoint::Speech),
    ("/openai/v1/audio/speech", Endpoint::Speech),
    ("/v1/engines/{model}/audio/speech", Endpoint::Speech),
    ("/engines/{model}/audio/speech", Endpoint::Speech),
    ("/openai/deployments/{model}/audio/speech", Endpoint::Speech),
    ("/v1/moderations", Endpoint::Moderations),
    ("/moderations", Endpoint::Moderations),
    ("/openai/v1/moderations", Endpoint::Moderations),
    ("/v1/engines/{model}/moderations", Endpoint::Moderations),
    ("/engines/{model}/moderations", Endpoint::Moderations),
    ("/openai/deployments/{model}/moderations", Endpoint::Moderations),
    ("/v1/rerank", Endpoint::Rerank),
    ("/rerank", Endpoint::Rerank),
    ("/openai/v1/rerank", Endpoint::Rerank),
    ("/v1/engines/{model}/rerank", Endpoint::Rerank),
    ("/engines/{model}/rerank", Endpoint::Rerank),
    ("/openai/deployments/{model}/rerank", Endpoint::Rerank),
    ("/v2/rerank", Endpoint::Rerank),
    ("/v1/messages", Endpoint::Chat),
    ("/messages", Endpoint::Chat),
    ("/openai/v1/messages", Endpoint::Chat),
    ("/v1/messages/count_tokens", Endpoint::CountTokens),
    ("/messages/count_tokens", Endpoint::CountTokens),
    ("/openai/v1/messages/count_tokens", Endpoint::CountTokens),
    ("/v1/responses", Endpoint::Responses),
    ("/responses", Endpoint::Responses),
    ("/openai/v1/responses", Endpoint::Responses),
];

/// What providers keep, served by the gateway for these methods.
pub const KEPT: [(&str, &str); 6] = [
    ("/files", "GET, POST, OPTIONS"),
    ("/files/{id}", "GET, DELETE, OPTIONS"),
    ("/files/{id}/content", "GET, OPTIONS"),
    ("/batches", "GET, POST, OPTIONS"),
    ("/batches/{id}", "GET, OPTIONS"),
    ("/batches/{id}/cancel", "POST, OPTIONS"),
];

/// What [`KEPT`] is served under.
pub const KEPT_UNDER: [&str; 2] = ["/v1", ""];

/// Whether a page is nobody's business but the operator's, where operators have a listener of their
/// own. What load balancers and clients ask for is not.
#[must_use]
pub fn is_for_operators(path: &str) -> bool {
    const MANAGED: [&str; 14] = [
        "/cache/",
        "/ui/",
        "/config/",
        "/key/",
        "/v2/key/",
        "/user/",
        "/v2/user/",
        "/team/",
        "/v2/team/",
        "/customer/",
        "/end_user/",
        "/budget/",
        "/organization/",
        "/tag/",
    ];
    match path {
        "/" | "/ui" | "/health" | "/metrics" | "/metrics/" => true,
        "/callbacks/list" | "/active/callbacks" | "/health/services" => true,
        // A client may ask what its own key is.
        "/key/info" | "/key/health" => false,
        _ => MANAGED.iter().any(|prefix| path.starts_with(prefix)),
    }
}

/// A path as it may be logged: without the key that it is about.
#[must_use]
pub fn logged(path: &str) -> Cow<'_, str> {
    let about = path.strip_prefix("/key/").and_then(|rest| rest.split_once('/'));
    match about {
        Some((named, what)) if named != "service-account" => {
            Cow::Owned(format!("/key/{{key}}/{what}"))
        }
        Some(_) | None => Cow::Borrowed(path),
    }
}

/// A line of the landing page.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    pub method: &'static str,
    pub path: &'static str,
    pub what: &'static str,
}

/// What a person should know of; other spellings of the same paths are left out.
pub const LISTED: [Listed; 43] = [
    post("/v1/chat/completions", "Chat completions"),
    post("/openai/deployments/{model}/chat/completions", "Chat completions, as Azure's SDK asks"),
    post("/v1beta/models/{model}:generateContent", "Google's generateContent"),
    post("/v1beta/models/{model}:streamGenerateContent", "The same as a stream"),
    post("/v1beta/models/{model}:countTokens", "The tokens of a prompt, as Google's clients ask"),
    post("/v1beta/models/{model}:embedContent", "An embedding, as Google's clients ask"),
    post("/v1beta/models/{model}:batchEmbedContents", "Several embeddings at once"),
    post("/v1/messages", "Messages, for clients of Anthropic's API"),
    post("/v1/messages/count_tokens", "The tokens of a prompt, as Anthropic's clients ask"),
    post("/v1/completions", "Text completions"),
    post("/v1/embeddings", "Embeddings"),
    post("/v1/images/generations", "Images"),
    post("/v1/images/edits", "Images from images, as a form"),
    post("/v1/audio/transcriptions", "Text from sound, as a form"),
    post("/v1/audio/translations", "English text from sound, as a form"),
    post("/v1/audio/speech", "Sound from text"),
    post("/v1/rerank", "Documents in the order of what they say to a query"),
    post("/v1/moderations", "Whether a text is harmful"),
    post("/v1/files", "Upload a file; also GET and DELETE below it"),
    post("/v1/batches", "Begin a batch; also GET below it"),
    post("/v1/batches/{id}/cancel", "End a batch"),
    post("/v1/responses", "Responses, for clients of OpenAI's Responses API"),
    fetch("/v1/responses/{id}", "A response that its provider keeps"),
    fetch("/v1/models", "The models that can be asked for"),
    fetch("/v1/models/{id}", "One model"),
    fetch("/v1beta/models", "The models in Google's shape"),
    fetch("/ui", "The dashboard"),
    fetch("/health", "Health of the model groups, from the traffic so far"),
    fetch("/health/liveliness", "Whether the process runs"),
    fetch("/health/readiness", "Whether the process takes requests"),
    fetch("/metrics", "Metrics for Prometheus"),
    post("/config/reload", "Read the configuration file again"),
    fetch("/cache/ping", "Whether the cache of replies is well; also /cache/redis/info"),
    post("/cache/flushall", "Forget all replies that are kept; also /cache/delete"),
    fetch("/callbacks/list", "Who is told of requests; also /health/services, which tries one"),
    fetch("/guardrails/list", "Who looks at requests and replies; also apply_guardrail"),
    post("/key/generate", "Make a key; also update, delete, block, regenerate, info, list"),
    post("/user/new", "Make a user; also update, delete, info, list"),
    post("/team/new", "Make a team; also update, delete, block, member_add, info, list"),
    post("/customer/new", "Make an end user; also update, delete, block, info, list"),
    post("/organization/new", "Make an organization; also update, delete, member_add, info, list"),
    post("/budget/new", "Make a shared budget; also update, delete, info, list"),
    post("/tag/new", "Describe a tag; also update, delete, info, list"),
];

const fn post(path: &'static str, what: &'static str) -> Listed {
    Listed { method: "POST", path, what }
}

const fn fetch(path: &'static str, what: &'static str) -> Listed {
    Listed { method: "GET", path, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_a_path_is_not_logged() {
        assert_eq!(logged("/key/sk-1234/regenerate"), "/key/{key}/regenerate");
        assert_eq!(logged("/key/sk%2D1234/reset_spend"), "/key/{key}/reset_spend");
        for path in ["/key/info", "/key/service-account/generate", "/v1/models/a", "/key/"] {
            assert_eq!(logged(path), path);
        }
    }

    #[test]
    fn management_is_for_operators_and_ones_own_key_is_for_everybody() {
        for path in [
            "/key/generate",
            "/v2/team/list",
            "/end_user/new",
            "/config/reload",
            "/",
            "/ui",
            "/ui/api/live",
        ] {
            assert!(is_for_operators(path), "{path}");
        }
        for path in ["/key/info", "/v1/models", "/health/readiness", "/v1/chat/completions"] {
            assert!(!is_for_operators(path), "{path}");
        }
    }
}
