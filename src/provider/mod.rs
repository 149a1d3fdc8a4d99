//! Stand-in for the table of vendors.

use http::{HeaderName, HeaderValue};

use crate::catalog::Target;
use crate::dialect::{Dialect, Quirks};

#[derive(Debug)]
pub struct Vendor {
    pub name: &'static str,
    pub dialect: Dialect,
    pub base_url: Option<&'static str>,
    pub base_vars: &'static [&'static str],
    pub key_vars: &'static [&'static str],
    pub quirks: Quirks,
    pub needs_key: bool,
}

const NO_QUIRKS: Quirks = Quirks {
    max_tokens_only: false,
    no_stream_options: false,
    mistral: false,
    strip_strict_and_names: false,
    null_content_with_tool_calls: false,
    reasoning_outside_completion: false,
    normalise_stream: false,
};

const fn compatible(
    name: &'static str,
    base_url: Option<&'static str>,
    key_vars: &'static [&'static str],
    needs_key: bool,
) -> Vendor {
    Vendor {
        name,
        dialect: Dialect::OpenAi,
        base_url,
        base_vars: &[],
        key_vars,
        quirks: NO_QUIRKS,
        needs_key,
    }
}

pub static VENDORS: [Vendor; 8] = [
    Vendor {
        base_vars: &["OPENAI_API_BASE", "OPENAI_BASE_URL"],
        ..compatible("openai", Some("https://api.openai.com/v1"), &["OPENAI_API_KEY"], true)
    },
    Vendor {
        dialect: Dialect::Azure,
        base_vars: &["AZURE_API_BASE"],
        ..compatible("azure", None, &["AZURE_API_KEY"], true)
    },
    Vendor {
        dialect: Dialect::Anthropic,
        ..compatible("anthropic", Some("https://api.anthropic.com"), &["ANTHROPIC_API_KEY"], true)
    },
    compatible("cohere", Some("https://api.cohere.ai/compatibility/v1"), &["COHERE_API_KEY"], true),
    compatible("groq", Some("https://api.groq.com/openai/v1"), &["GROQ_API_KEY"], true),
    compatible("vllm", None, &[], false),
    compatible("hosted_vllm", None, &["HOSTED_VLLM_API_KEY"], false),
    compatible("ollama", Some("http://localhost:11434"), &["OLLAMA_API_KEY"], false),
];

pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

pub fn recognise(model: &str) -> Option<(&'static Vendor, &str)> {
    if let Some((prefix, rest)) = model.split_once('/') {
        return vendor(prefix).map(|vendor| (vendor, rest));
    }
    let name = match model {
        _ if model.starts_with("gpt") || model.starts_with("o1") => "openai",
        _ if model.starts_with("claude") => "anthropic",
        _ if model.starts_with("command") => "cohere",
        _ => return None,
    };
    vendor(name).map(|vendor| (vendor, model))
}

#[derive(Debug)]
pub struct TargetProblem {
    pub option: &'static str,
    pub message: String,
}

#[derive(Debug)]
pub struct Written<'a> {
    pub model: &'a str,
    pub api_base: Option<&'a str>,
    pub api_key: Option<&'a str>,
    pub api_version: Option<&'a str>,
    pub organization: Option<&'a str>,
    pub azure_ad_token: Option<&'a str>,
    pub extra_headers: &'a [(HeaderName, HeaderValue)],
    pub verify_tls: bool,
    pub ca_file: Option<&'a str>,
    pub http2: Option<bool>,
}

pub fn target(vendor: &Vendor, written: &Written<'_>) -> Result<Target, TargetProblem> {
    let Some(base) = written.api_base.or(vendor.base_url) else {
        let message = format!("`{}` needs an `api_base`", vendor.name);
        return Err(TargetProblem { option: "api_base", message });
    };
    let bad = |message: String| TargetProblem { option: "api_base", message };
    let uri: http::Uri =
        base.parse().map_err(|_| bad(format!("`api_base` is not an address: `{base}`")))?;
    let host = uri.host().ok_or_else(|| bad(format!("`api_base` has no host: `{base}`")))?;
    let tls = uri.scheme_str() != Some("http");
    let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
    Ok(Target {
        tls,
        host: host.into(),
        port,
        authority: HeaderValue::from_str(host).map_err(|_| bad("bad host".into()))?,
        paths: [None, None, None],
        headers: written.extra_headers.to_vec(),
        api_base: base.into(),
        verify_tls: written.verify_tls,
        ca_file: written.ca_file.map(Into::into),
        http2: written.http2.unwrap_or(tls),
    })
}
