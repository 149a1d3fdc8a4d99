//! Anthropic's address form and key. The version header belongs to the translation of the body, and
//! so is not here.

use http::{HeaderName, header};

use super::azure::is_foundry;
use super::url::BaseUrl;
use super::{Cloud, Headers, Layout, TargetProblem, Vendor, Written, filled, vendor};
use crate::dialect::{Dialect, Endpoint};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Azure AI Foundry asks for its own header besides.
const FOUNDRY_API_KEY: HeaderName = HeaderName::from_static("api-key");

/// Completes an `api_base`: with or without `/v1`, with or without the endpoint, under any prefix.
pub(super) fn layout(vendor: &Vendor, base: &BaseUrl) -> Layout {
    let path = base.path.as_str();
    let path = path.strip_suffix("/count_tokens").unwrap_or(path);
    let path = path.strip_suffix("/messages").unwrap_or(path);
    let root = path.strip_suffix("/v1").unwrap_or(path);
    // Claude at a Foundry resource and at Amazon is under a prefix of its own.
    let is_below = at_foundry(vendor, base) || vendor.cloud() == Some(Cloud::Aws);
    let root = if root.is_empty() && is_below { "/anthropic" } else { root };
    let query = base.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let mut paths = [const { None }; Endpoint::ALL.len()];
    paths[Endpoint::Chat.index()] = Some(format!("{root}/v1/messages{query}").into());
    paths[Endpoint::CountTokens.index()] =
        Some(format!("{root}/v1/messages/count_tokens{query}").into());
    Layout { root: root.to_owned(), paths, stream_path: None }
}

/// Whether an address of another provider is of an API that copies Anthropic's, as DeepSeek, MiniMax
/// and others have one beside that which copies OpenAI's.
pub(super) fn is_copied(base: &BaseUrl) -> bool {
    base.path.ends_with("/anthropic") || base.path.contains("/anthropic/")
}

/// Whether a provider only copies Anthropic's API: it knows none of the beta features.
pub(super) fn is_copy(provider: &str) -> bool {
    // Claude in Azure's catalogue is served by Anthropic.
    provider != "azure_ai"
        && vendor(provider).is_some_and(|vendor| vendor.dialect == Dialect::OpenAi)
}

pub(super) fn authenticate(
    headers: &mut Headers,
    vendor: &Vendor,
    base: &BaseUrl,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    if let Some(token) = filled(written.azure_ad_token) {
        return headers.add_secret("azure_ad_token", header::AUTHORIZATION, "Bearer ", token);
    }
    if let Some(key) = filled(written.api_key) {
        if vendor.cloud() == Some(Cloud::Aws) {
            return headers.add_secret("api_key", header::AUTHORIZATION, "Bearer ", key);
        }
        headers.add_secret("api_key", API_KEY, "", key)?;
        if at_foundry(vendor, base) {
            headers.add_secret("api_key", FOUNDRY_API_KEY, "", key)?;
        }
    }
    Ok(())
}

/// Whether Claude is asked for at Azure AI Foundry: by the provider's name, or at its address.
fn at_foundry(vendor: &Vendor, base: &BaseUrl) -> bool {
    is_foundry(base) || vendor.cloud() == Some(Cloud::Azure)
}
