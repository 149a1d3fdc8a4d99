//! OpenAI's address form and key, and those of everything that copies it.

use http::{HeaderName, header};

use super::url::BaseUrl;
use super::{Headers, Layout, TargetProblem, Vendor, Written, filled};
use crate::dialect::Endpoint;

const ORGANIZATION: HeaderName = HeaderName::from_static("openai-organization");
/// What an API of this kind is under where nothing says otherwise.
const USUAL_ROOT: &str = "/v1";

/// The path of each endpoint below the root, by [`Endpoint::index`].
pub(super) const ENDPOINT_PATHS: [Option<&str>; Endpoint::ALL.len()] = [
    Some("/chat/completions"),
    Some("/completions"),
    Some("/embeddings"),
    Some("/responses"),
    None,
    Some("/images/generations"),
    Some("/images/edits"),
    Some("/images/variations"),
    Some("/audio/transcriptions"),
    Some("/audio/translations"),
    Some("/audio/speech"),
    Some("/rerank"),
    Some("/moderations"),
    Some("/files"),
    Some("/batches"),
];

/// Completes an `api_base`: a bare host gets the provider's own path (`/v1`, `/openai/v1`), a full
/// endpoint is cut back to its root, and every other path is taken as it is.
pub(super) fn layout(vendor: &Vendor, base: &BaseUrl) -> Layout {
    let own_root = || {
        let own = vendor.base_url.and_then(|own| BaseUrl::parse(own).ok());
        own.map_or_else(|| USUAL_ROOT.to_owned(), |own| own.path)
    };
    let path = base.path.as_str();
    let root = match cut_endpoint(path) {
        _ if vendor.native_paths.contains(&path) => own_root(),
        Some(root) => root.to_owned(),
        None if path.is_empty() => own_root(),
        None => path.to_owned(),
    };
    let query = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let paths = ENDPOINT_PATHS.map(|path| Some(format!("{root}{}{query}", path?).into()));
    Layout { root, paths, stream_path: None }
}

/// The root of an API, if `path` is one of its endpoints.
pub(super) fn cut_endpoint(path: &str) -> Option<&str> {
    ENDPOINT_PATHS.into_iter().flatten().find_map(|end| path.strip_suffix(end))
}

pub(super) fn authenticate(
    headers: &mut Headers,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    if let Some(key) = filled(written.api_key) {
        headers.add_secret("api_key", header::AUTHORIZATION, "Bearer ", key)?;
    }
    if let Some(organization) = filled(written.organization) {
        let value = organization.parse().map_err(|_| {
            let message = "`organization` holds a character that cannot be sent in a header";
            TargetProblem::new("organization", message)
        })?;
        headers.set(ORGANIZATION, value);
    }
    Ok(())
}
