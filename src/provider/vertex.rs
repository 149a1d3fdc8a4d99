//! Vertex AI's address form: project, location and publisher stand in the path, and each publisher's
//! models are called in a format of their own.

use http::{HeaderName, HeaderValue};

use super::url::BaseUrl;
use super::{CloudOptions, Headers, Layout, TargetProblem, Vendor, Written, cloud, filled};
use crate::dialect::{Dialect, Endpoint};

const API_KEY: HeaderName = HeaderName::from_static("x-goog-api-key");

const QUOTA_PROJECT: HeaderName = HeaderName::from_static("x-goog-user-project");

/// The location that LiteLLM assumes where none is written.
pub(super) const USUAL_LOCATION: &str = "us-central1";

/// The host of a location.
pub(super) fn host(written: &Written<'_>) -> Result<String, TargetProblem> {
    let location = match is_express(written) {
        true => "global",
        false => location(written)?,
    };
    Ok(match location {
        "global" => "aiplatform.googleapis.com".to_owned(),
        "us" | "eu" => format!("aiplatform.{location}.rep.googleapis.com"),
        region => format!("{region}-aiplatform.googleapis.com"),
    })
}

/// The paths of a publisher's models, under any prefix.
pub(super) fn layout(
    vendor: &Vendor,
    base: &BaseUrl,
    written: &Written<'_>,
) -> Result<Layout, TargetProblem> {
    let root = base.path.strip_suffix("/v1beta1").or_else(|| base.path.strip_suffix("/v1"));
    let root = root.unwrap_or(&base.path);
    // An address may hold all of it, as LiteLLM's users write it for a proxy.
    let place = match (is_express(written), base.path.contains("/projects/")) {
        (true, _) | (_, true) => String::new(),
        (false, false) => {
            format!("/projects/{}/locations/{}", project(written)?, location(written)?)
        }
    };
    let mut paths = [const { None }; Endpoint::ALL.len()];
    let mut stream_path = None;
    match vendor.dialect {
        Dialect::Anthropic => {
            let models = format!("{root}/v1{place}/publishers/anthropic/models");
            paths[Endpoint::Chat.index()] = Some(format!("{models}/{{model}}:rawPredict").into());
            stream_path = Some(format!("{models}/{{model}}:streamRawPredict").into());
            let count = format!("{models}/count-tokens:rawPredict");
            paths[Endpoint::CountTokens.index()] = Some(count.into());
        }
        Dialect::Gemini => {
            let models = format!("{root}/v1beta1{place}/publishers/google/models");
            let method = |name: &str| Some(format!("{models}/{{model}}:{name}").into());
            paths[Endpoint::Chat.index()] = method("generateContent");
            paths[Endpoint::CountTokens.index()] = method("countTokens");
            stream_path = method("streamGenerateContent?alt=sse");
        }
        _ => {
            // A model of the garden that was deployed has an endpoint, and its name is a number.
            let endpoint = written.model.strip_prefix("openai/").filter(|id| is_number(id));
            let endpoint = endpoint.unwrap_or("openapi");
            let chat = format!("{root}/v1{place}/endpoints/{endpoint}/chat/completions");
            paths[Endpoint::Chat.index()] = Some(chat.into());
        }
    }
    Ok(Layout { root: format!("{root}/v1{place}"), paths, stream_path })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Express mode: a key, and neither project nor location.
fn is_express(written: &Written<'_>) -> bool {
    filled(written.api_key).is_some() && options(written).is_none_or(|it| it.project.is_none())
}

fn options<'a>(written: &Written<'a>) -> Option<&'a CloudOptions> {
    written.cloud
}

fn project<'a>(written: &Written<'a>) -> Result<&'a str, TargetProblem> {
    let project = options(written).and_then(|options| options.project.as_deref());
    let project = project.ok_or_else(|| {
        let message = "Vertex AI needs a `vertex_project` (or the environment variable \
                       `VERTEXAI_PROJECT`)";
        TargetProblem::new("vertex_project", message)
    })?;
    // `example.com:project` is an old form.
    if is_id(project) {
        Ok(project)
    } else {
        let message = "`vertex_project` is not the id of a project";
        Err(TargetProblem::new("vertex_project", message))
    }
}

fn is_id(project: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    project.bytes().all(is_inner) && !project.contains("..")
}

fn location<'a>(written: &Written<'a>) -> Result<&'a str, TargetProblem> {
    let location = options(written).and_then(|options| options.location.as_deref());
    let location = location.unwrap_or(USUAL_LOCATION);
    if cloud::is_place(location) {
        Ok(location)
    } else {
        let message = "`vertex_location` is not the name of a location";
        Err(TargetProblem::new("vertex_location", message))
    }
}

/// Sends a key of express mode, or says whose quota is used.
pub(super) fn authenticate(
    headers: &mut Headers,
    written: &Written<'_>,
) -> Result<(), TargetProblem> {
    match filled(written.api_key) {
        Some(key) => headers.add_secret("api_key", API_KEY, "", key),
        None => {
            let project = options(written).and_then(|options| options.quota_project.as_deref());
            let Some(project) = project.filter(|project| is_id(project)) else { return Ok(()) };
            let value = HeaderValue::from_str(project).map_err(|_| {
                TargetProblem::new("vertex_credentials", "`quota_project_id` cannot be sent")
            })?;
            headers.set(QUOTA_PROJECT, value);
            Ok(())
        }
    }
}
