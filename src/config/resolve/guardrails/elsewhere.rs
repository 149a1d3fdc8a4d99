//! The kinds that are asked by HTTP: whose address, which key, how long, how many at once.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::super::{Context, params};
use super::entities;
use crate::config::options::Table;
use crate::config::problem::{Finding, Problems};
use crate::config::section::{At, Section};
use crate::guard::Check;
use crate::inspect::{self, Bounds, Moderation, Presidio, TheirApi};
use crate::secret::Secret;

const TIMEOUT: Duration = Duration::from_secs(5);
const CONCURRENCY: u32 = 64;
const CONCURRENCY_MAX: u32 = 10_000;

pub(super) fn read(
    table: &Table,
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
) -> Option<Check> {
    let (problems, spot) = (params.problems, params.spot);
    let bounds = Bounds {
        timeout: params.timeout("timeout").map_or(TIMEOUT, |at| at.value),
        at_once: params
            .between("max_concurrency", 1..=CONCURRENCY_MAX)
            .map_or(CONCURRENCY, |at| at.value) as usize,
    };
    Some(Check::There(match table.name {
        "openai_moderation" => {
            let base = address(params, "api_base", problems)?;
            let key = params.text("api_key").map(|at| at.value.to_owned());
            let key =
                key.or_else(|| base.is_none().then(|| context.var("OPENAI_API_KEY")).flatten());
            let is_named = params.has("api_key");
            if key.is_none() && base.is_none() {
                if !is_named {
                    let message = "OpenAI's moderation needs a key";
                    let help = "add `api_key: os.environ/OPENAI_API_KEY` beside `guardrail`";
                    problems.push(Finding::error(spot, message).help(help));
                }
                return None;
            }
            let base = base.unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
            let model = params.text("model").map_or("omni-moderation-latest", |at| at.value);
            let key = key.map(|key| {
                problems.keep_secret(&key);
                Secret::new(key)
            });
            Arc::new(Moderation::new(&base, key, model, bounds))
        }
        "generic_guardrail_api" => {
            let base = address(params, "api_base", problems)?;
            let base = base.or_else(|| context.var("GENERIC_GUARDRAIL_API_BASE"));
            let key = params.text("api_key").map(|at| at.value.to_owned());
            let mut headers = params::headers_of(params, "headers");
            let extra = object(params, "additional_provider_specific_params");
            if let Some(key) = key {
                problems.keep_secret(&key);
                let value = HeaderValue::from_str(&key).map(|mut value| {
                    value.set_sensitive(true);
                    value
                });
                match value {
                    Ok(value) => headers.push((HeaderName::from_static("x-api-key"), value)),
                    Err(_) => {
                        problems.push(Finding::error(spot, "`api_key` must be a text on one line"));
                    }
                }
            }
            let Some(base) = base else {
                let message = "a guardrail elsewhere needs its address";
                problems.push(Finding::error(spot, message).help("add `api_base:`"));
                return None;
            };
            Arc::new(TheirApi::new(&base, headers, extra, bounds))
        }
        _ => Arc::new(presidio(params, name, context, bounds)?),
    }))
}

fn presidio(
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
    bounds: Bounds,
) -> Option<Presidio> {
    let (problems, spot) = (params.problems, params.spot);
    let analyzer = address(params, "presidio_analyzer_api_base", problems)?;
    let analyzer = analyzer.or_else(|| context.var("PRESIDIO_ANALYZER_API_BASE"));
    let anonymizer = address(params, "presidio_anonymizer_api_base", problems)?;
    let anonymizer = anonymizer.or_else(|| context.var("PRESIDIO_ANONYMIZER_API_BASE"));
    let entities = entities(params, false)?;
    let gives_back = params.flag("output_parse_pii").is_some_and(|at| at.value);
    let language = params.text("presidio_language").map_or("en", |at| at.value).to_owned();
    let mut thresholds = Vec::new();
    if let Some(entry) = params.entry("presidio_score_thresholds") {
        for field in entry.node.map().unwrap_or_default() {
            let score = field.node.text().and_then(|text| text.trim().parse::<f64>().ok());
            match score.filter(|score| (0.0..=1.0).contains(score)) {
                Some(score) => thresholds.push((field.key.to_string(), score)),
                None => problems.push(Finding::error(
                    field.value_spot(),
                    "a score must be a number between 0 and 1",
                )),
            }
        }
    }
    let ad_hoc = params.text("presidio_ad_hoc_recognizers").and_then(|at| {
        let path = context.file(at.value);
        let read = std::fs::read_to_string(&*path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        });
        read.map_err(|why| {
            let message = format!("the recognizers in `{path}` cannot be read: {why}");
            problems.push(Finding::error(at.spot, message));
        })
        .ok()
    });
    let Some(analyzer) = analyzer else {
        let message = "Presidio needs the address of its analyzer";
        let help = "add `presidio_analyzer_api_base:`, or set PRESIDIO_ANALYZER_API_BASE";
        problems.push(Finding::error(spot, message).help(help));
        return None;
    };
    let settings = inspect::PresidioSettings {
        analyzer,
        anonymizer,
        entities,
        gives_back,
        language,
        thresholds,
        ad_hoc,
    };
    Some(Presidio::new(name, settings, bounds))
}

/// An address of HTTP. `None`: it is written, and is none.
fn address(
    params: &mut Section<'_>,
    name: &'static str,
    problems: &Problems,
) -> Option<Option<String>> {
    let has = params.has(name);
    let Some(At { value, spot }) = params.text(name) else { return (!has).then_some(None) };
    let is_one = value.starts_with("http://") || value.starts_with("https://");
    if !is_one || value.parse::<http::Uri>().is_err() {
        let message = format!("`{name}` must be an address of http or https");
        problems.push(Finding::error(spot, message));
        return None;
    }
    Some(Some(value.to_owned()))
}

fn object(params: &mut Section<'_>, name: &'static str) -> Map<String, Value> {
    let written =
        params.entry(name).and_then(|entry| serde_json::from_str(&entry.node.json()).ok());
    match written {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}
