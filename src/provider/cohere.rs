//! Cohere's address form: its API of version 2 under any prefix. Its key is a bearer, as OpenAI's.

use super::Layout;
use super::openai::cut_endpoint;
use super::url::BaseUrl;
use crate::dialect::Endpoint;

/// What an `api_base` may end with beyond the host, as clients of either version write it.
const ENDS: [&str; 8] =
    ["/v2/chat", "/v1/chat", "/v2/embed", "/v1/embed", "/v2/rerank", "/v1/rerank", "/v2", "/v1"];

/// Completes an `api_base`: with or without the version, with or without the endpoint.
pub(super) fn layout(base: &BaseUrl) -> Layout {
    let path = base.path.as_str();
    let root = ENDS.into_iter().find_map(|end| path.strip_suffix(end)).unwrap_or(path);
    let query = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut paths = [const { None }; Endpoint::ALL.len()];
    for (endpoint, path) in
        [(Endpoint::Chat, "chat"), (Endpoint::Embeddings, "embed"), (Endpoint::Rerank, "rerank")]
    {
        paths[endpoint.index()] = Some(format!("{root}/v2/{path}{query}").into());
    }
    Layout { root: root.to_owned(), paths, stream_path: None }
}

/// Whether an address is of the API that copies OpenAI's.
pub(super) fn is_compatible(base: &BaseUrl) -> bool {
    base.path.contains("/compatibility")
        || base.path.ends_with("/chat/completions")
        || cut_endpoint(&base.path).is_some() && !base.path.ends_with("/rerank")
}
