//! A client's request for a deployment that speaks the client's own dialect: its own words, edited in
//! place, and the headers that go with them.
//!
//! Knows the dialects that clients and providers share; which fields are edited is `wire`'s.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use super::call::{Outgoing, Reading};
use crate::catalog::Deployment;
use crate::dialect::{ClientDialect, Dialect, Endpoint};
use crate::failure::Failure;
use crate::wire::anthropic::native as messages_native;
use crate::wire::client::Obstacle;
use crate::wire::gemini::client::native as gemini_native;
use crate::wire::json::Object;
use crate::wire::responses::Resource;
use crate::wire::{self, RequestOptions};

const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const ANTHROPIC_BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// A request in the dialect of its client.
#[derive(Clone, Copy, Debug)]
pub struct Native<'a> {
    pub dialect: ClientDialect,
    pub body: &'a Object,
    /// What of it a provider of another dialect cannot be told.
    pub obstacle: &'a Obstacle,
    /// Headers that go with it to a provider of the same dialect.
    pub headers: &'a [(HeaderName, HeaderValue)],
    /// What of the Responses API it asks for, if not for a response.
    pub resource: Option<&'a Resource>,
}

/// Whether a deployment speaks the dialect that a request to this endpoint was written in.
#[must_use]
pub const fn is_spoken(client: ClientDialect, deployment: &Deployment, endpoint: Endpoint) -> bool {
    match (client, deployment.dialect) {
        (ClientDialect::Anthropic, Dialect::Anthropic)
        | (ClientDialect::Gemini, Dialect::Gemini) => true,
        // Its tokens are counted in Converse's words.
        (ClientDialect::Anthropic, Dialect::Bedrock) => {
            deployment.quirks.invoke && matches!(endpoint, Endpoint::Chat)
        }
        _ => false,
    }
}

/// Writes a request for a deployment that speaks its dialect (see [`is_spoken`]).
///
/// # Errors
/// The body cannot be put into the shape that a cloud wants it in.
pub(super) fn request<'a>(
    deployment: &Deployment,
    native: Native<'_>,
    options: &RequestOptions<'_>,
    path: Cow<'a, str>,
    reading: Reading,
) -> Result<Outgoing<'a>, Failure> {
    let reading = Reading { native: Some(native.dialect), ..reading };
    if deployment.dialect == Dialect::Gemini {
        let body = gemini_native::request(native.body, options)?;
        let path = match reading.api {
            // The deployment's path is that of a batch.
            Endpoint::Embeddings if !native.body.contains("requests") => {
                Cow::Owned(path.replacen(":batchEmbedContents", ":embedContent", 1))
            }
            _ => path,
        };
        return Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None });
    }
    messages(deployment, native, options, path, reading)
}

/// The request of a client of Anthropic's for Anthropic itself, or for a cloud that hosts Claude.
fn messages<'a>(
    deployment: &Deployment,
    native: Native<'_>,
    options: &RequestOptions<'_>,
    path: Cow<'a, str>,
    reading: Reading,
) -> Result<Outgoing<'a>, Failure> {
    let sent = |name: &HeaderName| {
        let found = native.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.clone())
    };
    let version = sent(&ANTHROPIC_VERSION)
        .unwrap_or_else(|| HeaderValue::from_static(wire::anthropic::VERSION));
    // What the operator wrote is what is sent.
    let extra = deployment.target.headers.iter().find(|(name, _)| *name == ANTHROPIC_VERSION);
    let in_force = extra.map_or(&version, |(_, value)| value);
    let written = messages_native::request(native.body, options, in_force.as_bytes());
    if deployment.quirks.vertex {
        let version = in_force.to_str().unwrap_or(wire::anthropic::VERSION);
        let body = wire::anthropic::vertex(written.body, version, options.model.is_some())?;
        return Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None });
    }
    let is_bedrock = deployment.dialect == Dialect::Bedrock;
    let list = sent(&ANTHROPIC_BETA);
    let list = list.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut betas: Vec<String> = Vec::new();
    for beta in list.split(',').map(str::trim).chain(written.betas.iter().map(String::as_str)) {
        if !beta.is_empty() && !betas.iter().any(|known| known == beta) {
            betas.push(beta.to_owned());
        }
    }
    if is_bedrock {
        let body = wire::anthropic::bedrock(written.body, &betas)?;
        return Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None });
    }
    let headers = anthropic_headers(deployment, version, &betas);
    Ok(Outgoing { path, headers, body: written.body, reading, sending: None })
}

/// The version of Anthropic's API that a translated request is sent in: what the operator wrote, or
/// our own.
pub(super) fn version_in_force(deployment: &Deployment) -> &str {
    let written = deployment.target.headers.iter().find(|(name, _)| *name == ANTHROPIC_VERSION);
    let written = written.and_then(|(_, value)| value.to_str().ok());
    written.unwrap_or(wire::anthropic::VERSION)
}

/// The version and the beta features of a request. What the configuration wrote as extra headers
/// stays: its version wins, its features are added.
pub(super) fn anthropic_headers(
    deployment: &Deployment,
    version: HeaderValue,
    betas: &[String],
) -> Vec<(HeaderName, HeaderValue)> {
    let written = |name: &HeaderName| {
        let headers = deployment.target.headers.iter();
        headers.rev().find(|(other, _)| other == name).map(|(_, value)| value)
    };
    let mut headers = Vec::with_capacity(2);
    if written(&ANTHROPIC_VERSION).is_none() {
        headers.push((ANTHROPIC_VERSION, version));
    }
    let mut features: Vec<&str> = written(&ANTHROPIC_BETA)
        .and_then(|value| value.to_str().ok())
        .map(|list| list.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let own = features.len();
    for beta in betas {
        if !features.contains(&beta.as_str()) {
            features.push(beta);
        }
    }
    if features.len() > own {
        // A feature that cannot be sent is one that the provider does not know.
        if let Ok(value) = HeaderValue::from_str(&features.join(",")) {
            headers.push((ANTHROPIC_BETA, value));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::sample;
    use crate::provider::{Written, target, vendor};

    fn deployment(
        provider: &str,
        model: &str,
        extra_headers: &[(HeaderName, HeaderValue)],
    ) -> Deployment {
        let vendor = vendor(provider).unwrap();
        let api_base = Some("http://127.0.0.1:9001");
        let written = Written { api_base, api_key: Some("k"), extra_headers, ..Written::default() };
        Deployment {
            dialect: vendor.dialect,
            quirks: vendor.quirks,
            target: target(vendor, &written).unwrap(),
            ..sample::deployment(&format!("group = {provider}/{model} #id"))
        }
    }

    #[test]
    fn anthropics_headers_respect_what_is_written() {
        let written = [
            (ANTHROPIC_VERSION, HeaderValue::from_static("2026-10-21")),
            (ANTHROPIC_BETA, HeaderValue::from_static("a, b")),
        ];
        let betas = ["b".to_owned(), "c".to_owned()];
        for (extra, betas, expected) in [
            (&[][..], &[][..], vec![("anthropic-version", "2023-06-01")]),
            (&[], &betas, vec![("anthropic-version", "2023-06-01"), ("anthropic-beta", "b,c")]),
            (&written, &[], vec![]),
            (&written, &betas, vec![("anthropic-beta", "a,b,c")]),
        ] {
            let deployment = deployment("anthropic", "m", extra);
            let headers =
                anthropic_headers(&deployment, HeaderValue::from_static("2023-06-01"), betas);
            let found: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            assert_eq!(found, expected);
        }
    }
}
