//! A client's request for a deployment that speaks the client's own dialect: its own words, edited in
//! place, and the headers that go with them.
//!
//! Knows the dialects that clients and providers share; which fields are edited is `wire`'s.

use std::borrow::Cow;

use http::{HeaderName, HeaderValue};

use super::anthropic;
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
    let list = sent(&ANTHROPIC_BETA);
    let list = list.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut betas: Vec<String> = Vec::new();
    for beta in list.split(',').map(str::trim).chain(written.betas.iter().map(String::as_str)) {
        if !beta.is_empty() && !betas.iter().any(|known| known == beta) {
            betas.push(beta.to_owned());
        }
    }
    if deployment.quirks.vertex {
        let version = in_force.to_str().unwrap_or(wire::anthropic::VERSION);
        let named = options.model.is_some();
        let body = wire::anthropic::vertex(written.body, version, named, &mut betas)?;
        let headers = vertex_headers(deployment, &betas, reading.api);
        return Ok(Outgoing { path, headers, body, reading, sending: None });
    }
    if deployment.dialect == Dialect::Bedrock {
        let body = wire::anthropic::bedrock(written.body, &betas)?;
        return Ok(Outgoing { path, headers: Vec::new(), body, reading, sending: None });
    }
    let headers = anthropic_headers(deployment, version, &betas);
    Ok(Outgoing { path, headers, body: written.body, reading, sending: None })
}

/// The beta features of a request to Vertex AI, where the version stands in the body. Where tokens are
/// counted none is known.
pub(super) fn vertex_headers(
    deployment: &Deployment,
    betas: &[String],
    api: Endpoint,
) -> Vec<(HeaderName, HeaderValue)> {
    match api {
        Endpoint::CountTokens => Vec::new(),
        _ => beta_header(deployment, betas).into_iter().collect(),
    }
}

/// What of a Messages request Converse passes on to Claude as Anthropic says it (betas and some of
/// Anthropic's own tools), added to its canonical form. `None`: nothing.
pub(super) fn for_converse(
    native: Native<'_>,
    body: &Object,
    options: &RequestOptions<'_>,
) -> Option<Object> {
    if native.dialect != ClientDialect::Anthropic {
        return None;
    }
    let header = native.headers.iter().find(|(name, _)| *name == ANTHROPIC_BETA);
    let header = header.and_then(|(_, value)| value.to_str().ok()).unwrap_or_default();
    let passes = |kind: &str| wire::bedrock::passes_on(options.model_hint, kind);
    wire::anthropic::client::for_converse(native.body, header, body, options, passes)
}

/// Whether the search in the web that a client of the Responses API asks for is one that a provider
/// without that API has, too.
pub(super) fn searches(native: Native<'_>, deployment: &Deployment) -> bool {
    native.dialect == ClientDialect::Responses
        && match deployment.dialect {
            Dialect::Anthropic => true,
            // It searches everywhere.
            Dialect::Gemini => !native.obstacle.is_filtered_search(),
            _ => false,
        }
}

/// The canonical request with the search that was asked for, for a provider that has one.
pub(super) fn for_search(
    native: Native<'_>,
    deployment: &Deployment,
    body: &Object,
) -> Option<Object> {
    if !searches(native, deployment) {
        return None;
    }
    native.obstacle.with_search(body)
}

/// Why a client's request cannot go to a provider of another dialect than the client's.
pub(super) fn refusal(
    native: Native<'_>,
    deployment: &Deployment,
    model: &str,
    drop_params: bool,
) -> Option<Failure> {
    if searches(native, deployment) {
        return native.obstacle.refusal_beside_search(drop_params).cloned();
    }
    let refusal = native.obstacle.refusal(drop_params)?;
    if deployment.dialect != Dialect::Bedrock || native.dialect != ClientDialect::Anthropic {
        return Some(refusal.clone());
    }
    let passes = |kind: &str| wire::bedrock::passes_on(model, kind);
    wire::anthropic::client::unserved_but(native.body, passes).refusal(drop_params).cloned()
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
    let mut headers = Vec::with_capacity(2);
    if written(deployment, &ANTHROPIC_VERSION).is_none() {
        headers.push((ANTHROPIC_VERSION, version));
    }
    headers.extend(beta_header(deployment, betas));
    headers
}

/// The header of the beta features; `None` if there are none besides those of the configuration.
fn beta_header(deployment: &Deployment, betas: &[String]) -> Option<(HeaderName, HeaderValue)> {
    let mut features: Vec<&str> = written(deployment, &ANTHROPIC_BETA)
        .and_then(|value| value.to_str().ok())
        .map(|list| list.split(',').map(str::trim).collect())
        .unwrap_or_default();
    let own = features.len();
    let is_copy = anthropic::is_copy(&deployment.provider);
    for beta in betas.iter().filter(|_| !is_copy) {
        if !features.contains(&beta.as_str()) {
            features.push(beta);
        }
    }
    if features.len() == own {
        return None;
    }
    // A feature that cannot be sent is one that the provider does not know.
    let value = HeaderValue::from_str(&features.join(",")).ok()?;
    Some((ANTHROPIC_BETA, value))
}

/// A header of the configuration's own.
fn written<'a>(deployment: &'a Deployment, name: &HeaderName) -> Option<&'a HeaderValue> {
    let headers = deployment.target.headers.iter();
    headers.rev().find(|(other, _)| other == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::sample::deployment;

    /// What is sent of a Messages request: the body, and `anthropic-beta`.
    fn sent(
        deployment: &Deployment,
        body: &str,
        header: &'static str,
    ) -> Result<(serde_json::Value, String), Failure> {
        let own = Object::parse(bytes::Bytes::from(body.to_owned())).unwrap();
        let canonical = wire::client::request(ClientDialect::Anthropic, &own, Default::default());
        let canonical = canonical.unwrap();
        let headers = [(ANTHROPIC_BETA, HeaderValue::from_static(header))];
        let native = Native {
            dialect: ClientDialect::Anthropic,
            body: &own,
            obstacle: &canonical.obstacle,
            headers: &headers,
            resource: None,
        };
        let call = crate::provider::Call {
            model: &deployment.model,
            endpoint: Endpoint::Chat,
            stream: false,
            overrides: &[],
            drop_params: false,
            modify_params: false,
            native: Some(native),
            form: None,
            stored: None,
        };
        let outgoing = crate::provider::request(deployment, &canonical.body, &call)?;
        let betas = outgoing.headers.iter().find(|(name, _)| *name == ANTHROPIC_BETA);
        let betas = betas.map(|(_, value)| value.to_str().unwrap().to_owned()).unwrap_or_default();
        Ok((serde_json::from_slice(&outgoing.body).unwrap(), betas))
    }

    #[test]
    fn betas_and_tools_of_anthropics_reach_claude_at_bedrock() {
        let claude = deployment("bedrock", "us.anthropic.claude-sonnet-4-5-20250929-v1:0", &[]);
        let ask = |more: &str| {
            format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"a"}}]{more}}}"#)
        };
        let extra = "/additionalModelRequestFields";
        let (body, header) = sent(
            &claude,
            &ask(r#","betas":["context-1m-2025-08-07","files-api-2025-04-14"]"#),
            "claude-code-20250219, interleaved-thinking-2025-05-14",
        )
        .unwrap();
        let expected = ["interleaved-thinking-2025-05-14", "context-1m-2025-08-07"];
        assert_eq!(body.pointer(extra).unwrap()["anthropic_beta"], serde_json::json!(expected));
        assert_eq!(header, "", "Converse has no such header");
        let (body, _) = sent(&claude, &ask(r#","anthropic_beta":["x-2030-01-01"]"#), "").unwrap();
        let expected = serde_json::json!(["x-2030-01-01"]);
        assert_eq!(body.pointer(extra).unwrap()["anthropic_beta"], expected);
        assert_eq!(sent(&claude, &ask(""), "claude-code-20250219").unwrap().0.pointer(extra), None);

        let tools = r#","tools":[{"name":"f","input_schema":{"type":"object"}},
            {"type":"computer_20250124","name":"computer","display_width_px":1,"display_height_px":1}]"#;
        let (body, _) = sent(&claude, &ask(tools), "").unwrap();
        let passed = body.pointer(extra).unwrap();
        assert_eq!(passed["anthropic_beta"], serde_json::json!(["computer-use-2025-01-24"]));
        assert_eq!(passed["tools"][0]["type"], "computer_20250124");
        assert_eq!(body["toolConfig"]["tools"][0]["toolSpec"]["name"], "f");
        let nova = deployment("bedrock", "amazon.nova-pro-v1:0", &[]);
        assert!(sent(&nova, &ask(tools), "").unwrap_err().message.contains("Anthropic's own"));
        let search = r#","tools":[{"type":"web_search_20250305","name":"web_search"}]"#;
        assert!(sent(&claude, &ask(search), "").is_err(), "that runs at Anthropic");
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
