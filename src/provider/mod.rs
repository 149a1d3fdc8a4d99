//! Providers: where they are, how they are called, and what their errors mean.
//!
//! [`table`] lists them as data. [`target`] turns what the configuration says into an address, paths
//! and headers, once. Each call is then [`request`], and [`reply`], [`stream`] or [`classify`], which
//! choose the format by the dialect; the formats themselves are `wire`'s.
//! Knows no file, no network and no clock.

mod answer;
mod anthropic;
mod azure;
mod bedrock;
mod call;
mod canonical;
mod classify;
mod cloud;
mod cohere;
mod compatible;
mod continuation;
mod custom;
mod dots;
mod fetched;
mod gemini;
mod media;
mod metered;
mod native;
mod ollama;
mod openai;
mod params;
mod parts;
mod pass;
mod recognise;
mod replayed;
mod rerank;
mod responses;
mod retry_after;
mod skew;
mod table;
mod told;
mod url;
mod vertex;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use thiserror::Error;

pub use answer::{origin, reply, stream, tells_origin};
pub use azure::DEFAULT_API_VERSION;
pub use bedrock::{AGENT_RUNTIME, agent_runtime, region_of};
pub use call::{Call, Outgoing, Reading, request};
pub use classify::{cannot_count, class_of, classify, is_for_client, reclassify};
pub use cloud::{Cloud, CloudOptions};
pub use continuation::continuation;
pub use dots::ambiguity;
pub use fetched::{Wanted, wanted};
pub use media::{Action, Sending, Stored};
pub use metered::Passed;
pub use native::{Native, is_spoken};

pub use compatible::why_not;
pub use custom::Custom;
pub use parts::{joined, parts};
pub use pass::{passed_model, passed_path, passed_root, realtime_path, signable_path};
pub use recognise::recognise;
pub use replayed::{replayed, sealed};
pub use responses::{offered as responses_api, stored};
pub use skew::clock;
pub use table::{CUSTOM, Support, Vendor, names, vendor, vendors};
pub use told::told;
use url::BaseUrl;

use crate::catalog::Target;
use crate::dialect::{Dialect, Endpoint};

/// What the configuration says about calling a deployment, environment variables already resolved.
#[derive(Clone, Copy, Debug)]
pub struct Written<'a> {
    /// The provider's model, without the provider's prefix.
    pub model: &'a str,
    pub api_base: Option<&'a str>,
    pub api_key: Option<&'a str>,
    /// Azure: a date, `v1`, `preview` or `latest`.
    pub api_version: Option<&'a str>,
    pub organization: Option<&'a str>,
    /// A token of Microsoft Entra ID, in place of a key.
    pub azure_ad_token: Option<&'a str>,
    /// Who calls, at a cloud.
    pub cloud: Option<&'a CloudOptions>,
    /// In the order written; a later one replaces an earlier one of the same name, and all of them
    /// what the provider's own authentication sets.
    pub extra_headers: &'a [(HeaderName, HeaderValue)],
    pub verify_tls: bool,
    /// PEM file of the authorities to trust.
    pub ca_file: Option<&'a str>,
    /// Default: yes where there is TLS to agree on it.
    pub http2: Option<bool>,
    /// The paths and the key's header of a provider that the configuration describes.
    pub custom: Option<Custom<'a>>,
}

/// Only what is always there: a model without a name, and certificates that are checked.
impl Default for Written<'_> {
    fn default() -> Self {
        Self {
            model: "",
            api_base: None,
            api_key: None,
            api_version: None,
            organization: None,
            azure_ad_token: None,
            cloud: None,
            extra_headers: &[],
            verify_tls: true,
            ca_file: None,
            http2: None,
            custom: None,
        }
    }
}

/// Why a deployment cannot be called as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct TargetProblem {
    /// The option of `litellm_params` to change.
    pub option: &'static str,
    /// A sentence for the user; holds no secret.
    pub message: String,
}

impl TargetProblem {
    fn new(option: &'static str, message: impl Into<String>) -> Self {
        Self { option, message: message.into() }
    }

    fn missing(option: &'static str, vendor: &Vendor, variables: &[&str]) -> Self {
        let mut message = format!("the provider `{}` needs an `{option}`", vendor.name);
        if let Some(variable) = variables.first() {
            message.push_str(&format!(" (or the environment variable `{variable}`)"));
        }
        Self { option, message }
    }
}

/// The paths of a provider's API, as its dialect lays them out.
struct Layout {
    /// What all paths begin with; shown to people.
    root: String,
    paths: [Option<Box<str>>; Endpoint::ALL.len()],
    /// See [`Target::stream_path`].
    stream_path: Option<Box<str>>,
}

/// Where a deployment's requests go.
///
/// # Errors
/// Something that is written cannot be right, or something that is needed is missing.
pub fn target(vendor: &Vendor, written: &Written<'_>) -> Result<Target, TargetProblem> {
    if vendor.support == Support::NotYet {
        let reason = why_not(vendor.name).map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("the provider `{}` is not supported yet{reason}", vendor.name);
        return Err(TargetProblem::new("model", message));
    }
    let own_base = match filled(written.api_base) {
        Some(_) => None,
        None => cloud::own_base(vendor, written)?,
    };
    let api_base = filled(written.api_base)
        .or(own_base.as_deref())
        .or(vendor.base_url)
        .ok_or_else(|| TargetProblem::missing("api_base", vendor, vendor.base_vars))?;
    let base = BaseUrl::parse(api_base)
        .map_err(|wrong| TargetProblem::new("api_base", format!("`api_base` {wrong}")))?;
    let vendor = &vendor.at(Some(api_base));
    let dialect = vendor.dialect;
    let mut layout = match dialect {
        _ if vendor.cloud() == Some(Cloud::Google) => vertex::layout(vendor, &base, written)?,
        Dialect::OpenAi => openai::layout(vendor, &base),
        Dialect::Azure => azure::layout(vendor, &base, filled(written.api_version))?,
        Dialect::Anthropic => anthropic::layout(vendor, &base),
        Dialect::Bedrock => bedrock::layout(&base, written),
        Dialect::Gemini => gemini::layout(&base),
        Dialect::Cohere => cohere::layout(&base),
        Dialect::Ollama => ollama::layout(&base),
        Dialect::Custom => custom::layout(&base, written.custom),
    };
    rerank::place(&mut layout, vendor, base.query.as_deref());
    let only: &[Endpoint] = match vendor.support {
        Support::Yes | Support::NotYet => &[],
        Support::CompletionsOnly => &[Endpoint::Completions],
        Support::VectorsOnly => &[Endpoint::Embeddings, Endpoint::Rerank],
    };
    if !only.is_empty() {
        for endpoint in Endpoint::ALL {
            if !only.contains(&endpoint) {
                layout.paths[endpoint.index()] = None;
            }
        }
    }

    let mut headers = Headers::default();
    match dialect {
        _ if vendor.cloud() == Some(Cloud::Google) => vertex::authenticate(&mut headers, written)?,
        Dialect::OpenAi | Dialect::Cohere | Dialect::Ollama => {
            openai::authenticate(&mut headers, written)?;
        }
        Dialect::Custom => custom::authenticate(&mut headers, written)?,
        Dialect::Azure => azure::authenticate(&mut headers, &base, written)?,
        Dialect::Anthropic => anthropic::authenticate(&mut headers, vendor, &base, written)?,
        Dialect::Bedrock => bedrock::authenticate(&mut headers, written)?,
        Dialect::Gemini => gemini::authenticate(&mut headers, written)?,
    }
    let writes_its_own =
        written.extra_headers.iter().any(|(name, _)| *name == header::AUTHORIZATION);
    let authorisation = match headers.has_credentials() || writes_its_own {
        true => None,
        false => cloud::authorisation(vendor, &base, written)?,
    };
    let mut authority = HeaderValue::from_str(&base.authority).map_err(|_| {
        TargetProblem::new("api_base", "`api_base` has a host that cannot be sent in a header")
    })?;
    for (name, value) in written.extra_headers {
        if *name == header::HOST {
            authority = value.clone();
        } else {
            headers.add_extra(name, value)?;
        }
    }
    // A server of one's own may do without a key; the provider's own address will not.
    let is_own_address = filled(written.api_base).is_none() || vendor.dialect == Dialect::Azure;
    let has_credentials = headers.has_credentials() || authorisation.is_some();
    if vendor.needs_key && is_own_address && !has_credentials {
        return Err(TargetProblem::missing("api_key", vendor, vendor.key_vars));
    }

    Ok(Target {
        tls: base.tls,
        fleet: None,
        port: base.port,
        authority,
        root: layout.root.as_str().into(),
        paths: layout.paths,
        stream_path: layout.stream_path,
        headers: headers.0,
        authorisation,
        api_base: base.shown(&layout.root).into(),
        verify_tls: written.verify_tls,
        ca_file: filled(written.ca_file).map(Box::from),
        http2: written.http2.unwrap_or(false),
        host: base.host.into(),
    })
}

/// The target of an address that is called as it is written, and what its replies are read as.
///
/// # Errors
/// The address is none, or a header cannot be sent.
pub fn plain_target(
    url: &str,
    written: &[(HeaderName, HeaderValue)],
) -> Result<(Target, Dialect), TargetProblem> {
    let base = BaseUrl::parse(url)
        .map_err(|wrong| TargetProblem::new("target", format!("`target` {wrong}")))?;
    let mut headers = Headers::default();
    let framing = |name: &HeaderName| *name == header::CONTENT_TYPE || *name == header::ACCEPT;
    for (name, value) in written {
        // LiteLLM's examples write these two; what the client says of its own body goes before.
        if !framing(name) {
            headers.add_extra(name, value)?;
        }
    }
    let authority = HeaderValue::from_str(&base.authority).map_err(|_| {
        TargetProblem::new("target", "`target` has a host that cannot be sent in a header")
    })?;
    let dialect = match base.host.as_str() {
        "api.anthropic.com" => Dialect::Anthropic,
        _ => Dialect::OpenAi,
    };
    let target = Target {
        tls: base.tls,
        fleet: None,
        port: base.port,
        authority,
        root: base.path.as_str().into(),
        paths: [const { None }; Endpoint::ALL.len()],
        stream_path: None,
        headers: headers.0,
        authorisation: None,
        api_base: base.shown(&base.path).into(),
        verify_tls: true,
        ca_file: None,
        http2: false,
        host: base.host.into(),
    };
    Ok((target, dialect))
}

/// What is assumed for a deployment or looks like a mistake, for `check` to warn of.
#[must_use]
pub fn remarks(vendor: &Vendor, written: &Written<'_>) -> Vec<TargetProblem> {
    let mut remarks = Vec::new();
    if let Some((option, usual)) = cloud::assumed_place(vendor, written) {
        let message = format!("no `{option}` is written: `{usual}` is used");
        remarks.push(TargetProblem::new(option, message));
    }
    if vendor.name == "bedrock"
        && let Some(message) = bedrock::is_not_invoked(written.model)
    {
        remarks.push(TargetProblem::new("model", message));
    }
    let Some(base) = filled(written.api_base).and_then(|text| BaseUrl::parse(text).ok()) else {
        return remarks;
    };
    if vendor.dialect == Dialect::Azure
        && azure::assumes_version(vendor, &base, filled(written.api_version))
    {
        let message = format!("no `api_version` is written: `{DEFAULT_API_VERSION}` is used");
        remarks.push(TargetProblem::new("api_version", message));
    }
    let has_secret =
        [written.api_key, written.azure_ad_token].into_iter().any(|it| filled(it).is_some());
    let is_near = base.host == "localhost"
        || !base.host.contains('.') && !base.host.contains(':')
        || base.host.parse().is_ok_and(is_private);
    if has_secret && !base.tls && !is_near {
        remarks.push(TargetProblem::new(
            "api_base",
            "`api_base` is not https: the key is sent in clear",
        ));
    }
    remarks
}

fn is_private(address: std::net::IpAddr) -> bool {
    match address {
        std::net::IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        std::net::IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

/// An option that is written and not empty.
fn filled(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

/// Headers that go with every request to a deployment.
#[derive(Default)]
struct Headers(Vec<(HeaderName, HeaderValue)>);

impl Headers {
    /// Headers that belong to the connection or to the body, and are not the configuration's.
    const NOT_EXTRA: [HeaderName; 8] = [
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::EXPECT,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];

    /// Adds a credential: `option` is where it was written, `scheme` what stands before it.
    fn add_secret(
        &mut self,
        option: &'static str,
        name: HeaderName,
        scheme: &str,
        secret: &str,
    ) -> Result<(), TargetProblem> {
        let wrong = || {
            let message = if secret.ends_with(['\n', '\r']) {
                "ends with a line break, which cannot be sent"
            } else {
                "holds a character that cannot be sent in a header"
            };
            TargetProblem::new(option, format!("`{option}` {message}"))
        };
        // Headers may hold other bytes, but no key does: it is a typographic quote from a web page.
        if !secret.is_ascii() {
            return Err(wrong());
        }
        let mut value = HeaderValue::from_str(&format!("{scheme}{secret}")).map_err(|_| wrong())?;
        value.set_sensitive(true);
        self.set(name, value);
        Ok(())
    }

    fn add_extra(&mut self, name: &HeaderName, value: &HeaderValue) -> Result<(), TargetProblem> {
        if Self::NOT_EXTRA.contains(name) {
            let message = format!("`extra_headers` must not set `{name}`");
            return Err(TargetProblem::new("extra_headers", message));
        }
        let mut value = value.clone();
        value.set_sensitive(value.is_sensitive() || is_secret(name));
        self.set(name.clone(), value);
        Ok(())
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.0.retain(|(other, _)| *other != name);
        self.0.push((name, value));
    }

    fn has_credentials(&self) -> bool {
        self.0.iter().any(|(_, value)| value.is_sensitive())
    }
}

/// Whether a header's value is a secret, judged by its name.
fn is_secret(name: &HeaderName) -> bool {
    let name = name.as_str();
    ["authorization", "cookie", "key", "token", "secret"].iter().any(|part| name.contains(part))
}

/// A response header as text.
fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod listing;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
