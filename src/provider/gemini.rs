//! Google AI Studio's address form and key.

use http::HeaderName;

use super::url::BaseUrl;
use super::{Headers, Layout, TargetProblem, Written, filled};
use crate::dialect::Endpoint;

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");
/// What the API is under where nothing says otherwise.
const VERSION: &str = "/v1beta";
/// Where Google serves an API like OpenAI's, beside its own.
const OPENAI_ROOT: &str = "/openai";

/// Completes an `api_base`: with or without the version, with or without `/models`, under any prefix.
pub(super) fn layout(base: &BaseUrl) -> Layout {
    let path = base.path.as_str();
    let path = path.split_once("/models/").map_or(path, |(root, _)| root);
    let path = path.strip_suffix("/models").unwrap_or(path);
    let has_version = ["/v1", "/v1beta", "/v1alpha"].iter().any(|version| path.ends_with(version));
    let root = if has_version { path.to_owned() } else { format!("{path}{VERSION}") };
    let plain = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    // Without `alt=sse` the stream is one long array.
    let streamed = match &base.query {
        Some(query) => format!("?alt=sse&{query}"),
        None => "?alt=sse".to_owned(),
    };
    let streamed = format!("{root}/models/{{model}}:streamGenerateContent{streamed}");
    let method = |method: &str| Some(format!("{root}/models/{{model}}:{method}{plain}").into());
    let mut paths = [const { None }; Endpoint::ALL.len()];
    paths[Endpoint::Chat.index()] = method("generateContent");
    paths[Endpoint::CountTokens.index()] = method("countTokens");
    paths[Endpoint::Embeddings.index()] = method("batchEmbedContents");
    Layout { root, paths, stream_path: Some(streamed.into()) }
}

/// Whether an `api_base` is that of the API which is like OpenAI's.
pub(super) fn is_openai_like(base: &BaseUrl) -> bool {
    base.path.ends_with(OPENAI_ROOT) || base.path.contains("/openai/")
}

pub(super) fn authenticate(
    headers: &mut Headers,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    match filled(written.api_key) {
        Some(key) => headers.add_secret("api_key", API_KEY, "", key),
        None => Ok(()),
    }
}
