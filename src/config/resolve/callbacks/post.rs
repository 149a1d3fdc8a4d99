//! Callbacks that are posted to: one's own, Langfuse, Datadog.

use std::str::FromStr;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};

use super::{Context, Sections, Variables, is_url};
use crate::callbacks::{Format, Labels, Post, Target, langfuse};
use crate::config::options::CALLBACK;
use crate::config::problem::{Finding, Spot};
use crate::config::section::{At, Section};
use crate::config::yaml::Entry;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const GZIP: HeaderValue = HeaderValue::from_static("gzip");
/// Where Datadog's agent takes logs.
const AGENT_PORT: &str = "10518";

/// An entry of `callback_settings`.
pub(super) struct Own<'a> {
    pub(super) name: &'a str,
    endpoint: Option<&'a str>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Successes, failures.
    pub(super) events: Option<(bool, bool)>,
    format: Format,
}

impl<'a> Own<'a> {
    /// `None`: it is about a callback of another kind.
    pub(super) fn read(entry: &'a Entry, context: &'a Context<'_>) -> Option<Self> {
        let problems = context.problems;
        let mut section = Section::new(&CALLBACK, &entry.node, entry.spot, problems);
        let kind = section.text("callback_type");
        let endpoint = section.text("endpoint");
        let headers = section.entry("headers").map(|entry| headers(entry, context));
        let events = section.texts("event_types").map(|written| {
            let mut events = (false, false);
            for At { value, spot } in written {
                match value {
                    "llm_api_success" => events.0 = true,
                    "llm_api_failure" => events.1 = true,
                    other => {
                        let message = format!("`{other}` is no event of a callback");
                        let help = "write `llm_api_success` or `llm_api_failure`";
                        problems.push(Finding::error(spot, message).help(help));
                    }
                }
            }
            events
        });
        let format = section.text("log_format").map_or_else(Format::default, |at| match at.value {
            "json_array" => Format::JsonArray,
            "ndjson" => Format::Ndjson,
            "single" => Format::Single,
            other => {
                let message = format!("`{other}` is no `log_format`");
                let help = "write `json_array`, `ndjson` or `single`";
                problems.push(Finding::error(at.spot, message).help(help));
                Format::default()
            }
        });
        section.finish();
        if let Some(at) = endpoint.filter(|at| !is_url(at.value)) {
            let message = format!("the `endpoint` of the callback `{}` is no address", entry.key);
            let help = "write `https://host/path`";
            problems.push(Finding::error(at.spot, message).help(help));
        }
        match kind {
            Some(At { value: "generic_api", .. }) => {}
            Some(At { value, spot }) => {
                let message = format!("there are no callbacks of the type `{value}`");
                problems.push(Finding::warning(spot, message).help("write `generic_api`"));
                return None;
            }
            // A receiver that everybody knows, with an address of one's own.
            None if endpoint.is_some() => {}
            None => return None,
        }
        let (name, endpoint) = (&*entry.key, endpoint.map(|at| at.value));
        Some(Self { name, endpoint, headers: headers.unwrap_or_default(), events, format })
    }

    pub(super) fn target(&self, spot: Spot, var: &Variables<'_>) -> Option<Target> {
        let usual = || var.secret("GENERIC_LOGGER_ENDPOINT");
        let Some(url) = self.endpoint.map(str::to_owned).or_else(usual) else {
            lacks(self.name, "an endpoint", spot, var, "write `endpoint:` in `callback_settings`");
            return None;
        };
        let mut headers = of_variable(spot, var);
        headers.retain(|(name, _)| !self.headers.iter().any(|(other, _)| other == name));
        headers.extend(self.headers.iter().cloned());
        let post = post(self.name, url, headers, spot, var)?;
        Some(Target::Generic { post, format: self.format })
    }
}

fn headers(entry: &Entry, context: &Context<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let problems = context.problems;
    let Some(entries) = entry.node.map() else {
        let message = format!("`headers` must be a mapping, found {}", entry.node.found(""));
        problems.push(Finding::error(entry.spot, message).help("write `name: value` lines"));
        return Vec::new();
    };
    let mut headers = Vec::new();
    for entry in entries {
        let value = entry.node.text().unwrap_or_default();
        problems.keep_secret(value);
        match header(&entry.key, value) {
            Some(header) => headers.push(header),
            None if entry.node.is_unresolved() => {}
            None => {
                let message = format!("the header `{}` cannot be sent", entry.key);
                problems.push(Finding::error(entry.spot, message));
            }
        }
    }
    headers
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_str(name.trim()).ok()?;
    let mut value = HeaderValue::from_str(value.trim()).ok()?;
    value.set_sensitive(true);
    Some((name, value))
}

/// `GENERIC_LOGGER_HEADERS`: `name=value,name=value`.
fn of_variable(spot: Spot, var: &Variables<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let written = var.secret("GENERIC_LOGGER_HEADERS").unwrap_or_default();
    let mut headers = Vec::new();
    for part in written.split(',').filter(|part| !part.trim().is_empty()) {
        match part.split_once('=').and_then(|(name, value)| header(name, value)) {
            Some(header) => headers.push(header),
            None => var.warn(
                spot,
                "a header in `GENERIC_LOGGER_HEADERS` cannot be sent and is left out".to_owned(),
                "write `name=value`, with a comma between two",
            ),
        }
    }
    headers
}

fn lacks(name: &str, what: &str, spot: Spot, var: &Variables<'_>, help: &str) {
    var.warn(spot, format!("`{name}` is not called: it has not got {what}"), help);
}

fn post(
    name: &str,
    url: String,
    mut headers: Vec<(HeaderName, HeaderValue)>,
    spot: Spot,
    var: &Variables<'_>,
) -> Option<Post> {
    if !is_url(&url) {
        // It may hold a password.
        let message = format!("`{name}` is not called: its address is none");
        var.warn(spot, message, "write `https://host/path`");
        return None;
    }
    if !headers.iter().any(|(name, _)| *name == CONTENT_TYPE) {
        headers.push((CONTENT_TYPE, JSON));
    }
    Some(Post { url: url.into(), headers })
}

/// `generic_api` and `webhook` without an entry of their own.
pub(super) fn generic(name: &str, spot: Spot, var: &Variables<'_>) -> Option<Target> {
    let webhook = || var.secret("WEBHOOK_URL").filter(|_| name == "webhook");
    let Some(url) = var.secret("GENERIC_LOGGER_ENDPOINT").or_else(webhook) else {
        let help = "set GENERIC_LOGGER_ENDPOINT, or write `endpoint:` in `callback_settings`";
        lacks(name, "an endpoint", spot, var, help);
        return None;
    };
    let post = post(name, url, of_variable(spot, var), spot, var)?;
    Some(Target::Generic { post, format: Format::default() })
}

/// What `litellm_settings` say of Langfuse.
pub(super) struct Langfuse<'a> {
    public: Option<At<&'a str>>,
    secret: Option<At<&'a str>>,
    host: Option<At<&'a str>>,
    default_tags: Vec<Box<str>>,
}

impl<'a> Langfuse<'a> {
    pub(super) fn read(sections: &mut Sections<'a>) -> Self {
        let litellm = &mut sections.litellm;
        let tags = litellm.texts("langfuse_default_tags").unwrap_or_default();
        Self {
            public: litellm.text("langfuse_public_key"),
            secret: litellm.text("langfuse_secret_key"),
            host: litellm.text("langfuse_host"),
            default_tags: tags.iter().map(|at| at.value.into()).collect(),
        }
    }

    /// Where the gateway's own Langfuse is.
    pub(super) fn host(&self, var: &Variables<'_>) -> String {
        let written = self.host.map(|at| at.value.to_owned());
        written.or_else(|| var.get("LANGFUSE_HOST")).unwrap_or_else(|| langfuse::CLOUD.to_owned())
    }

    pub(super) fn default_tags(&self) -> Vec<Box<str>> {
        self.default_tags.clone()
    }

    pub(super) fn target(&self, spot: Spot, var: &Variables<'_>) -> Option<Target> {
        let text = |written: Option<At<&str>>, name: &str| {
            written.map(|at| at.value.to_owned()).or_else(|| var.get(name))
        };
        let public = text(self.public, "LANGFUSE_PUBLIC_KEY");
        let secret = text(self.secret, "LANGFUSE_SECRET_KEY");
        let (Some(public), Some(secret)) = (public, secret) else {
            let help = "set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY";
            lacks("langfuse", "both of its keys", spot, var, help);
            return None;
        };
        var.context.problems.keep_secret(&secret);
        let host = self.host(var);
        let Some(post) = langfuse::post(&public, &secret, &host) else {
            // It may hold a password.
            let message = "`langfuse` is not called: its address is none".to_owned();
            var.warn(spot, message, "write `https://host/path`");
            return None;
        };
        Some(Target::Langfuse { post, default_tags: self.default_tags.clone() })
    }
}

pub(super) fn datadog(spot: Spot, var: &Variables<'_>) -> Option<Target> {
    let key = var.secret("DD_API_KEY");
    let agent = var.get("LITELLM_DD_AGENT_HOST").map(|host| {
        let port = var.get("LITELLM_DD_AGENT_PORT").unwrap_or_else(|| AGENT_PORT.to_owned());
        format!("http://{host}:{port}")
    });
    let site = var.get("DD_SITE").map(|site| format!("https://http-intake.logs.{site}"));
    // An agent has the key itself.
    let base = var.get("DD_BASE_URL").or_else(|| agent.clone()).or(site);
    let (Some(base), true) = (base, key.is_some() || agent.is_some()) else {
        let help = "set DD_API_KEY and DD_SITE, or LITELLM_DD_AGENT_HOST";
        lacks("datadog", "a key and a site, or an agent", spot, var, help);
        return None;
    };
    let mut headers = vec![(CONTENT_ENCODING, GZIP)];
    if let Some(key) = key {
        let Some(header) = header("dd-api-key", &key) else {
            lacks("datadog", "a key that can be sent", spot, var, "set DD_API_KEY");
            return None;
        };
        headers.push(header);
    }
    let post =
        post("datadog", format!("{}/api/v2/logs", base.trim_end_matches('/')), headers, spot, var)?;
    Some(Target::Datadog { post, labels: labels(var) })
}

/// LiteLLM's variables and defaults, so that its views of logs keep working.
fn labels(var: &Variables<'_>) -> Labels {
    let or = |name: &str, usual: &str| var.get(name).unwrap_or_else(|| usual.to_owned());
    let service = or("DD_SERVICE", "litellm-server");
    let hostname = or("HOSTNAME", "");
    let tags = [
        ("env", or("DD_ENV", "unknown")),
        ("service", service.clone()),
        ("version", or("DD_VERSION", "unknown")),
        ("HOSTNAME", hostname.clone()),
        ("POD_NAME", or("POD_NAME", "unknown")),
    ];
    Labels {
        source: or("DD_SOURCE", "litellm").into(),
        service: service.into(),
        hostname: hostname.into(),
        tags: tags.iter().map(|(name, value)| format!("{name}:{value}").into()).collect(),
    }
}
