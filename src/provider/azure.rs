//! Azure's address forms and keys: a resource with dated API versions, the undated `v1` form, and
//! the model catalogue of Azure AI Foundry.

use http::{HeaderName, header};

use super::openai::{ENDPOINT_PATHS, cut_endpoint};
use super::url::BaseUrl;
use super::{Headers, Layout, TargetProblem, Vendor, Written, filled};
use crate::dialect::Endpoint;

const API_KEY: HeaderName = HeaderName::from_static("api-key");
/// The API version used where none is written: the newest that is not a preview.
pub const DEFAULT_API_VERSION: &str = "2024-10-21";
/// The same for the model catalogue, which has versions of its own.
const DEFAULT_CATALOGUE_VERSION: &str = "2024-05-01-preview";
const VERSION: &str = "api-version";

/// The form that an Azure address has.
#[derive(Debug, PartialEq, Eq)]
enum Form {
    /// `{root}/deployments/{deployment}/chat/completions?api-version=...`
    Dated,
    /// `{root}/chat/completions`, and the model is named in the body.
    Undated,
}

/// Completes an Azure `api_base`: the resource alone, with `/openai`, with a deployment, with a
/// whole endpoint, or in the `/openai/v1` form.
pub(super) fn layout(
    vendor: &Vendor,
    base: &BaseUrl,
    api_version: Option<&str>,
) -> Result<Layout, TargetProblem> {
    if vendor.name == "azure_ai" && base.path.split('/').any(|segment| segment == "anthropic") {
        let message = "`api_base` is an Anthropic endpoint: write the model as `anthropic/...`";
        return Err(TargetProblem::new("api_base", message));
    }
    let (form, root) = place(vendor, base, api_version);
    let version = version(vendor, base, api_version, &form);
    let mut query: Vec<String> = base.query_without(VERSION).into_iter().collect();
    query.extend(version.map(|version| format!("{VERSION}={version}")));
    if query.iter().any(|pair| pair.bytes().any(|byte| !byte.is_ascii_graphic())) {
        return Err(TargetProblem::new("api_version", "`api_version` is not a version"));
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    let infix = match form {
        Form::Dated if !root.contains("/deployments/") => "/deployments/{model}",
        Form::Dated | Form::Undated => "",
    };
    let mut paths =
        ENDPOINT_PATHS.map(|path| Some(format!("{root}{infix}{}{query}", path?).into()));
    for endpoint in [Endpoint::Files, Endpoint::Batches] {
        // They belong to the resource, and not to one deployment of it.
        let resource = root.split("/deployments/").next().unwrap_or(&root);
        paths[endpoint.index()] =
            ENDPOINT_PATHS[endpoint.index()].map(|path| format!("{resource}{path}{query}").into());
    }
    if form == Form::Dated {
        // Responses belong to the resource; the body names the deployment.
        let resource = root.split("/deployments").next().unwrap_or(&root);
        paths[Endpoint::Responses.index()] = Some(format!("{resource}/responses{query}").into());
    }
    Ok(Layout { root, paths, stream_path: None })
}

/// Whether nothing that is written says which API version to use.
pub(super) fn assumes_version(vendor: &Vendor, base: &BaseUrl, api_version: Option<&str>) -> bool {
    let (form, _) = place(vendor, base, api_version);
    form == Form::Dated && api_version.is_none() && base.parameter(VERSION).is_none()
}

/// The form of the address, and the root that the endpoints are under.
fn place(vendor: &Vendor, base: &BaseUrl, api_version: Option<&str>) -> (Form, String) {
    let path = cut_endpoint(&base.path).unwrap_or(&base.path);
    if path.ends_with("/openai/v1") || path == "/v1" {
        return (Form::Undated, path.to_owned());
    }
    if vendor.name == "azure_ai" && !path.contains("/openai") {
        return (Form::Undated, catalogue_root(base, path));
    }
    // A whole endpoint of a deployment keeps its path; the deployment is part of the address.
    if path.contains("/deployments/") {
        return (Form::Dated, path.to_owned());
    }
    let resource = path.strip_suffix("/deployments").unwrap_or(path);
    let resource = resource.strip_suffix("/openai").unwrap_or(resource);
    match api_version.or_else(|| base.parameter(VERSION)) {
        Some("v1" | "preview" | "latest") => (Form::Undated, format!("{resource}/openai/v1")),
        Some(_) | None => (Form::Dated, format!("{resource}/openai")),
    }
}

/// The model catalogue is under `/models` at a Foundry resource, and under `/v1` at an endpoint that
/// serves one model.
fn catalogue_root(base: &BaseUrl, path: &str) -> String {
    if !path.is_empty() {
        path.to_owned()
    } else if is_foundry(base) {
        "/models".to_owned()
    } else {
        "/v1".to_owned()
    }
}

fn version<'a>(
    vendor: &Vendor,
    base: &'a BaseUrl,
    api_version: Option<&'a str>,
    form: &Form,
) -> Option<&'a str> {
    let written = api_version.or_else(|| base.parameter(VERSION));
    match (form, written) {
        (Form::Dated, written) => Some(written.unwrap_or(DEFAULT_API_VERSION)),
        (Form::Undated, Some("v1" | "latest")) => None,
        // Only the preview must be asked for; a date means nothing in the undated form.
        (Form::Undated, Some("preview")) => Some("preview"),
        (Form::Undated, written) => {
            let is_catalogue = vendor.name == "azure_ai" && base.path.ends_with("/models")
                || vendor.name == "azure_ai" && base.path.is_empty() && is_foundry(base)
                || base.path.ends_with("/models/chat/completions");
            is_catalogue.then(|| written.unwrap_or(DEFAULT_CATALOGUE_VERSION))
        }
    }
}

/// Resources take their key as `api-key`; endpoints that serve one model take a bearer.
pub(super) fn authenticate(
    headers: &mut Headers,
    base: &BaseUrl,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    if let Some(token) = filled(written.azure_ad_token) {
        return headers.add_secret("azure_ad_token", header::AUTHORIZATION, "Bearer ", token);
    }
    let Some(key) = filled(written.api_key) else { return Ok(()) };
    if base.host.ends_with(".models.ai.azure.com") || base.host.ends_with(".inference.ml.azure.com")
    {
        headers.add_secret("api_key", header::AUTHORIZATION, "Bearer ", key)
    } else {
        headers.add_secret("api_key", API_KEY, "", key)
    }
}

/// Whether the host is Azure's own.
pub(super) fn is_azure(host: &str) -> bool {
    [".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"]
        .iter()
        .any(|end| host.ends_with(end))
}

/// Whether the host is a resource of Azure AI Foundry.
pub(super) fn is_foundry(base: &BaseUrl) -> bool {
    base.host.ends_with(".services.ai.azure.com")
}
