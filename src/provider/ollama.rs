//! Ollama's address form: its own API, and beside it the one that copies OpenAI's.

use super::Layout;
use super::openai::cut_endpoint;
use super::url::BaseUrl;
use crate::dialect::Endpoint;

/// What an `api_base` may end with beyond the server's own root.
const ENDS: [&str; 4] = ["/api/chat", "/api/generate", "/api/embed", "/api"];

/// Completes an `api_base`. Text completions are those of the API that copies OpenAI's: the native
/// one has no word for a prompt without a template.
pub(super) fn layout(base: &BaseUrl) -> Layout {
    let path = base.path.as_str();
    let root = ENDS.into_iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    let query = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut paths = [const { None }; Endpoint::ALL.len()];
    for (endpoint, path) in [
        (Endpoint::Chat, "/api/chat"),
        (Endpoint::Embeddings, "/api/embed"),
        (Endpoint::Completions, "/v1/completions"),
    ] {
        paths[endpoint.index()] = Some(format!("{root}{path}{query}").into());
    }
    Layout { root: root.to_owned(), paths, stream_path: None }
}

/// Whether an address is of the API that copies OpenAI's.
pub(super) fn is_compatible(base: &BaseUrl) -> bool {
    base.path.ends_with("/v1") || cut_endpoint(&base.path).is_some()
}
