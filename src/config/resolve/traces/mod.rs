//! `callbacks: [otel]`, and the environment that says where traces go: OpenTelemetry's variables, and
//! LiteLLM's older ones where those say nothing.
//!
//! As OpenTelemetry wants it, a variable that cannot be read is warned about and does not keep the
//! process from starting.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::{Context, Sections};
use crate::config::options::CALLBACK_OTEL;
use crate::config::problem::{Finding, Spot};
use crate::config::section::Section;
use crate::secret::Secret;
use crate::trace::{Sampler, Settings};

/// Where a collector of this machine listens.
const ENDPOINT: &str = "http://localhost:4318";
const PATH: &str = "/v1/traces";
const TIMEOUT_MS: u64 = 10_000;
const DELAY_MS: u64 = 5_000;
const QUEUE: u64 = 2_048;
const BATCH: u64 = 512;

/// The lists that may name `otel`; one place is enough.
const LISTS: [&str; 3] = ["callbacks", "success_callback", "failure_callback"];

/// How traces are sent; `None`: they are not.
pub(super) fn read(sections: &mut Sections<'_>, context: &Context<'_>) -> Option<Arc<Settings>> {
    let forwards = sections.litellm.flag("forward_traceparent_to_llm_provider");
    let anonymous = sections.litellm.flag("redact_user_api_key_info").is_some_and(|at| at.value);
    let written = Written::read(&mut sections.top);
    // Whoever reads the whole lists says what is wrong with them.
    let lists = LISTS.iter().filter_map(|name| sections.litellm.written(name));
    let mut named = lists.flat_map(|entry| match entry.node.list() {
        Some(items) => items.iter().collect(),
        None => vec![&entry.node],
    });
    let spot = named.find(|node| node.text() == Some("otel"))?.spot;
    let var = Variables { context, spot };
    let is_off = var.is_true("OTEL_SDK_DISABLED")
        || var.get("OTEL_TRACES_EXPORTER").is_some_and(|exporter| exporter == "none");
    if is_off || !var.speaks_http() {
        return None;
    }
    Some(Arc::new(Settings {
        endpoint: var.endpoint()?,
        headers: var.headers(),
        timeout: var.milliseconds(
            &["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"],
            TIMEOUT_MS,
        ),
        resource: written.described(var.resource()),
        sampler: var.sampler(),
        content: written.content.unwrap_or_else(|| var.content()),
        anonymous,
        forwards: forwards.is_none_or(|at| at.value),
        queue: var.count("OTEL_BSP_MAX_QUEUE_SIZE", QUEUE),
        batch: var.count("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", BATCH),
        delay: var.milliseconds(&["OTEL_BSP_SCHEDULE_DELAY"], DELAY_MS),
    }))
}

/// What `callback_settings` says of it.
#[derive(Default)]
struct Written {
    content: Option<bool>,
    service: Option<String>,
    attributes: Vec<(String, String)>,
}

impl Written {
    fn read(top: &mut Section<'_>) -> Self {
        let problems = top.problems;
        let mut read = Self::default();
        // The other entries are those of callbacks, whose reader says what is wrong with the whole.
        let named = top.entry("callback_settings").and_then(|entry| entry.node.map());
        for entry in named.into_iter().flatten() {
            if &*entry.key != "otel" || entry.node.is_null() {
                continue;
            }
            let mut otel = Section::new(&CALLBACK_OTEL, &entry.node, entry.spot, problems);
            read.content = otel.flag("message_logging").map(|at| at.value);
            read.service = otel.text("service_name").map(|at| at.value.to_owned());
            if let Some(attributes) = otel.entry("attributes") {
                for attribute in attributes.node.map().unwrap_or_default() {
                    match attribute.node.text() {
                        Some(text) => {
                            read.attributes.push((attribute.key.to_string(), text.to_owned()));
                        }
                        None => {
                            let message = format!("the attribute `{}` is no text", attribute.key);
                            problems.push(Finding::error(attribute.value_spot(), message));
                        }
                    }
                }
            }
            otel.finish();
        }
        read
    }

    /// The file wins over the environment.
    fn described(&self, mut resource: Vec<(Box<str>, Box<str>)>) -> Vec<(Box<str>, Box<str>)> {
        let service = self.service.as_ref().map(|name| ("service.name".to_owned(), name.clone()));
        for (key, value) in service.into_iter().chain(self.attributes.iter().cloned()) {
            resource.retain(|(other, _)| **other != *key);
            resource.push((key.into(), value.into()));
        }
        resource
    }
}

/// The environment, and where warnings about it point to.
struct Variables<'a> {
    context: &'a Context<'a>,
    spot: Spot,
}

impl Variables<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.context.var(name)
    }

    /// The first that is set.
    fn first(&self, names: &[&'static str]) -> Option<(&'static str, String)> {
        names.iter().find_map(|name| Some((*name, self.get(name)?)))
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    fn warn(&self, message: String, help: &str) {
        self.context.problems.push(Finding::warning(self.spot, message).help(help));
    }

    /// Whether what is asked for is the one protocol that is spoken.
    fn speaks_http(&self) -> bool {
        let names =
            ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER"];
        let Some((name, written)) = self.first(&names) else { return true };
        let speaks = ["http/protobuf", "otlp_http", "http"].contains(&&*written);
        if !speaks {
            self.warn(
                format!(
                    "no trace is sent: `{name}` is `{written}`, and only `http/protobuf` is spoken"
                ),
                "collectors take it on port 4318",
            );
        }
        speaks
    }

    fn endpoint(&self) -> Option<Secret> {
        let whole = self.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        let base = || self.first(&["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_ENDPOINT"]);
        let address = whole.unwrap_or_else(|| {
            let base = base().map_or_else(|| ENDPOINT.to_owned(), |(_, base)| base);
            // LiteLLM takes the whole address here, too.
            match base.trim_end_matches('/') {
                whole if whole.ends_with(PATH) => whole.to_owned(),
                base => format!("{base}{PATH}"),
            }
        });
        let usable = Uri::from_str(&address).is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
        });
        if !usable {
            // It may hold a password.
            self.warn(
                "no trace is sent: the address of the collector is none".to_owned(),
                "set OTEL_EXPORTER_OTLP_ENDPOINT to something like `http://collector:4318`",
            );
        }
        usable.then(|| Secret::new(address))
    }

    /// `name=value,name=value`, with percent signs for what has no place there.
    fn headers(&self) -> Vec<(HeaderName, Secret)> {
        let names =
            ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_HEADERS"];
        let Some((name, written)) = self.first(&names) else { return Vec::new() };
        let mut headers = Vec::new();
        for (key, value) in pairs(&written) {
            let value = value.filter(|value| http::HeaderValue::from_str(value).is_ok());
            match (HeaderName::from_str(&key), value) {
                (Ok(key), Some(value)) => headers.push((key, Secret::new(value))),
                _ => self.warn(
                    format!("a header in `{name}` cannot be sent and is left out"),
                    "write `name=value`, with a comma between two",
                ),
            }
        }
        headers
    }

    fn resource(&self) -> Vec<(Box<str>, Box<str>)> {
        let mut resource: Vec<(Box<str>, Box<str>)> = Vec::new();
        let mut put = |key: &str, value: String| {
            resource.retain(|(other, _)| **other != *key);
            resource.push((key.into(), value.into()));
        };
        put("service.name", "tollgate".into());
        put("service.version", env!("CARGO_PKG_VERSION").into());
        put("telemetry.sdk.name", "tollgate".into());
        put("telemetry.sdk.language", "rust".into());
        put("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into());
        if let Some(environment) = self.get("OTEL_ENVIRONMENT_NAME") {
            put("deployment.environment.name", environment);
        }
        for (key, value) in pairs(&self.get("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default()) {
            match value.filter(|_| !key.is_empty()) {
                Some(value) => put(&key, value),
                None => self.warn(
                    "an entry of `OTEL_RESOURCE_ATTRIBUTES` is not read".to_owned(),
                    "write `name=value`, with a comma between two",
                ),
            }
        }
        if let Some(name) = self.get("OTEL_SERVICE_NAME") {
            put("service.name", name);
        }
        resource
    }

    fn sampler(&self) -> Sampler {
        let Some(name) = self.get("OTEL_TRACES_SAMPLER") else { return Sampler::default() };
        let argument = self.get("OTEL_TRACES_SAMPLER_ARG");
        Sampler::read(&name, argument.as_deref()).unwrap_or_else(|| {
            self.warn(
                format!("every trace is kept: `OTEL_TRACES_SAMPLER` is `{name}`, which is not known, or its argument is no share"),
                "write `always_on`, `always_off`, `traceidratio` or one of them behind `parentbased_`; OTEL_TRACES_SAMPLER_ARG is a number from 0 to 1",
            );
            Sampler::default()
        })
    }

    /// Instrumentations write `true`, or where the content is to stand.
    fn content(&self) -> bool {
        let written = self.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT");
        let written = written.unwrap_or_default().to_ascii_lowercase();
        ["true", "span_only", "span_and_event"].contains(&&*written)
    }

    fn milliseconds(&self, names: &[&'static str], default_ms: u64) -> Duration {
        let written = self.first(names);
        Duration::from_millis(self.number(written, default_ms))
    }

    fn count(&self, name: &'static str, default: u64) -> usize {
        let number = self.number(self.get(name).map(|written| (name, written)), default);
        // More than a million of either is a mistake that would cost memory.
        usize::try_from(number.min(1_000_000)).unwrap_or(usize::MAX)
    }

    /// A number above zero.
    fn number(&self, written: Option<(&'static str, String)>, default: u64) -> u64 {
        let Some((name, written)) = written else { return default };
        written.parse().ok().filter(|&number| number > 0).unwrap_or_else(|| {
            let message = format!("`{name}` is `{written}`, which is no number above 0");
            self.warn(message, &format!("{default} is used"));
            default
        })
    }
}

/// `name=value,name=value`, decoded. An entry without `=` has no value.
fn pairs(written: &str) -> impl Iterator<Item = (String, Option<String>)> {
    written.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(|entry| {
        let decoded = |text: &str| {
            percent_encoding::percent_decode_str(text.trim()).decode_utf8_lossy().into_owned()
        };
        match entry.split_once('=') {
            Some((key, value)) => (decoded(key), Some(decoded(value))),
            None => (decoded(entry), None),
        }
    })
}

#[cfg(test)]
mod tests;
