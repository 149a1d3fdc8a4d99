//! Addresses and keys of a provider that the configuration describes.

use http::HeaderName;

use super::url::BaseUrl;
use super::{Headers, Layout, TargetProblem, Written, filled};
use crate::dialect::Endpoint;

/// What the configuration says of such a provider's address, beside `api_base`.
#[derive(Clone, Copy, Debug)]
pub struct Custom<'a> {
    /// Behind the address; `{model}` in it is replaced.
    pub path: &'a str,
    /// The same for streams, if it is another.
    pub stream_path: Option<&'a str>,
    /// What carries the key, and what stands before it there.
    pub auth_header: &'a HeaderName,
    pub auth_prefix: &'a str,
}

pub(super) fn layout(base: &BaseUrl, custom: Option<Custom<'_>>) -> Layout {
    let root = base.path.clone();
    let mut paths = [const { None }; Endpoint::ALL.len()];
    let whole = |path: &str| -> Box<str> {
        let join = if path.contains('?') { '&' } else { '?' };
        let query = base.query.as_ref().map(|query| format!("{join}{query}")).unwrap_or_default();
        format!("{root}{path}{query}").into()
    };
    paths[Endpoint::Chat.index()] = custom.map(|custom| whole(custom.path));
    let stream_path = custom.and_then(|custom| custom.stream_path).map(whole);
    Layout { root: base.path.clone(), paths, stream_path }
}

pub(super) fn authenticate(
    headers: &mut Headers,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    match (written.custom, filled(written.api_key)) {
        (Some(Custom { auth_header, auth_prefix, .. }), Some(key)) => {
            headers.add_secret("api_key", auth_header.clone(), auth_prefix, key)
        }
        _ => Ok(()),
    }
}
