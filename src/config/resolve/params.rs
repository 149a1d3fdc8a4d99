//! The parts of an entry of `model_list` that are lists or free: headers, body parameters, prices.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;
use serde_json::{Map, Value as Json, json};

use super::fallbacks::param;
use crate::config::options::is_price;
use crate::config::problem::{Finding, Problems};
use crate::config::section::Section;
use crate::config::yaml::{Entry, Node, Value};
use crate::dialect::{CachePoint, CacheSpot};
use crate::money::Usd;

/// `extra_headers` and `headers`.
pub(super) fn headers(params: &mut Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let options = ["extra_headers", "headers"];
    options.into_iter().flat_map(|option| headers_of(params, option)).collect()
}

/// The headers that are written under one option.
pub(super) fn headers_of(
    section: &mut Section<'_>,
    option: &'static str,
) -> Vec<(HeaderName, HeaderValue)> {
    let problems = section.problems;
    let mut headers = Vec::new();
    let Some(entry) = section.entry(option) else { return headers };
    let Some(entries) = entry.node.map() else {
        let found = entry.node.found(option);
        let message = format!("`{option}` must be a mapping, found {found}");
        problems
            .push(Finding::error(entry.value_spot(), message).help("write `Name: value` lines"));
        return headers;
    };
    for header in entries {
        let Ok(name) = header.key.parse::<HeaderName>() else {
            let message = format!("`{}` cannot be the name of a header", header.key);
            problems.push(Finding::error(header.spot, message));
            continue;
        };
        let value = header.node.text().and_then(|text| HeaderValue::from_str(text).ok());
        match value {
            Some(value) => headers.push((name, value)),
            // The variable that it names has been missed already.
            None if header.node.is_unresolved() => {}
            None => problems.push(Finding::error(
                header.value_spot(),
                format!("`{}` must be a text on one line", header.key),
            )),
        }
    }
    headers
}

/// Body parameters: what the section passed on, and the entries of `extra_body`.
pub(super) fn defaults(
    passed_on: &[&Entry],
    extra_body: Option<&Entry>,
    problems: &Problems,
) -> Vec<(Box<str>, Box<RawValue>)> {
    let extra: &[Entry] = match extra_body {
        Some(entry) => entry.node.map().unwrap_or_else(|| {
            let found = entry.node.found("");
            let message = format!("`extra_body` must be a mapping, found {found}");
            problems.push(Finding::error(entry.value_spot(), message));
            &[]
        }),
        None => &[],
    };
    let written = passed_on.iter().copied().chain(extra);
    written
        .filter(|entry| !entry.node.is_null() && !is_price(&entry.key))
        .filter_map(param)
        .collect()
}

/// `cache_control_injection_points`: where marks for the prompt cache are put, in LiteLLM's form.
pub(super) fn cache_points(entry: Option<&Entry>, problems: &Problems) -> Vec<CachePoint> {
    const HELP: &str = "write `- location: message` with a `role` or an `index`, or \
                        `- location: tool_config`";
    let Some(entry) = entry.filter(|entry| !entry.node.is_null()) else { return Vec::new() };
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`{}` must be a list, found {found}", entry.key);
        problems.push(Finding::error(entry.value_spot(), message).help(HELP));
        return Vec::new();
    };
    let point = |item: &Node| -> Result<CachePoint, String> {
        let fields = item.map().ok_or("a point must be a mapping")?;
        let text = |name: &str| item.get(name).and_then(|entry| entry.node.text());
        let known = ["location", "role", "index", "control"];
        if let Some(other) = fields.iter().find(|field| !known.contains(&&*field.key)) {
            return Err(format!("`{}` is not part of a point", other.key));
        }
        let spot = match text("location") {
            Some("message") => {
                let role = text("role").map(Box::from);
                let index = match item.get("index").filter(|entry| !entry.node.is_null()) {
                    None => None,
                    Some(entry) => {
                        let index = entry.node.text().and_then(|text| text.parse::<i64>().ok());
                        Some(index.ok_or("`index` must be a whole number, negative from the end")?)
                    }
                };
                if role.is_none() && index.is_none() {
                    return Err("a point in the messages needs a `role` or an `index`".into());
                }
                CacheSpot::Message { role, index }
            }
            Some("tool_config") => CacheSpot::Tools,
            _ => return Err("`location` must be `message` or `tool_config`".into()),
        };
        let control = match item.get("control").filter(|entry| !entry.node.is_null()) {
            None => "{\"type\":\"ephemeral\"}".to_owned(),
            Some(entry) if entry.node.map().is_some() => entry.node.json(),
            Some(_) => return Err("`control` must be a mapping, as in `{type: ephemeral}`".into()),
        };
        let control = RawValue::from_string(control).map_err(|error| error.to_string())?;
        Ok(CachePoint { spot, control })
    };
    let mut points = Vec::new();
    for item in items {
        match point(item) {
            Ok(point) => points.push(point),
            Err(message) => problems.push(Finding::error(item.spot, message).help(HELP)),
        }
    }
    points
}

/// What `metadata` says of the model, beside the price.
#[derive(Default)]
pub(super) struct Told {
    pub(super) latency: Option<Duration>,
    pub(super) window: Option<u64>,
    pub(super) capabilities: Vec<Box<str>>,
}

/// Reads `metadata`. Other names in it are the user's own; these are held to what they mean.
pub(super) fn told(metadata: Option<&Entry>, problems: &Problems) -> Told {
    let Some(metadata) = metadata else { return Told::default() };
    if metadata.node.map().is_none() {
        let found = metadata.node.found("");
        let message = format!("`metadata` must be a mapping, found {found}");
        problems.push(Finding::error(metadata.value_spot(), message));
    }
    let number = |name: &str, what: &str| {
        let entry = metadata.node.get(name).filter(|entry| !entry.node.is_null())?;
        let value = match &entry.node.value {
            Value::Scalar(scalar) => scalar.number().filter(|value| (0.0..1e12).contains(value)),
            Value::List(_) | Value::Map(_) => None,
        };
        if value.is_none() {
            let found = entry.node.found(name);
            let message = format!("`{name}` in `metadata` must be {what}, found {found}");
            problems.push(Finding::error(entry.value_spot(), message));
        }
        value
    };
    let latency = number("latency", "milliseconds");
    let window = number("max_tokens", "a number of tokens");
    let mut capabilities = Vec::new();
    if let Some(entry) = metadata.node.get("capabilities").filter(|entry| !entry.node.is_null()) {
        let items = match entry.node.list() {
            Some(items) => items,
            None => std::slice::from_ref(&entry.node),
        };
        for item in items {
            match item.text() {
                Some(name) => capabilities.push(name.into()),
                None => problems.push(Finding::error(
                    item.spot,
                    format!("`capabilities` takes texts, found {}", item.found("")),
                )),
            }
        }
    }
    Told {
        latency: latency.map(|ms| Duration::from_secs_f64(ms / 1000.0)),
        window: window.map(|tokens| tokens as u64).filter(|tokens| *tokens > 0),
        capabilities,
    }
}

/// The price of a search of the web, by how much is read: one size each.
const BY_SIZE: &str = "search_context_cost_per_query";

/// The size that is charged, as nothing in a reply tells which it was.
const CHARGED_SIZE: &str = "search_context_size_medium";

/// Reads the prices of `search_context_cost_per_query`.
fn by_size(entry: &Entry, problems: &Problems) -> Option<Json> {
    let name = &*entry.key;
    let Some(sizes) = entry.node.map() else {
        let found = entry.node.found(name);
        let message = format!("`{name}` must hold prices by size, found {found}");
        let help = format!("write `{CHARGED_SIZE}: 0.01` below it");
        problems.push(Finding::error(entry.value_spot(), message).help(help));
        return None;
    };
    let mut prices = Map::new();
    for size in sizes.iter().filter(|size| !size.node.is_null()) {
        let price = match &size.node.value {
            Value::Scalar(scalar) => scalar.number(),
            Value::List(_) | Value::Map(_) => None,
        };
        let Some(price) = price.filter(|price| Usd::from_dollars(*price).is_some()) else {
            let found = size.node.found(&size.key);
            let message =
                format!("`{}` in `{name}` must be a price in USD, found {found}", size.key);
            problems.push(Finding::error(size.value_spot(), message));
            continue;
        };
        prices.insert(size.key.to_string(), price.into());
    }
    if !sizes.iter().any(|size| &*size.key == CHARGED_SIZE) {
        let message = format!("`{name}` has no `{CHARGED_SIZE}`, the price that is charged");
        problems.push(Finding::warning(entry.spot, message));
    }
    Some(Json::Object(prices))
}

/// Adds the prices that are written, under the names that they have in the file; those that are
/// there already stay.
pub(super) fn prices(entries: &[Entry], prices: &mut Map<String, Json>, problems: &Problems) {
    for entry in entries.iter().filter(|entry| !entry.node.is_null()) {
        let name = &*entry.key;
        let number = |node: &Node| match &node.value {
            Value::Scalar(scalar) => {
                scalar.number().filter(|price| Usd::from_dollars(*price).is_some())
            }
            Value::List(_) | Value::Map(_) => None,
        };
        let price = if name == "metadata" {
            // One number for both directions; everything else in there is the user's own.
            entry.node.get("cost").and_then(|cost| number(&cost.node)).map(|p| json!({"cost": p}))
        } else if name.starts_with(BY_SIZE) {
            by_size(entry, problems)
        } else if is_price(name) && entry.node.text().is_some() {
            let price = number(&entry.node).map(Json::from);
            if price.is_none() {
                let found = entry.node.found(name);
                let message = format!("`{name}` must be a price in USD, found {found}");
                problems.push(Finding::error(entry.node.spot, message));
            }
            price
        } else {
            None
        };
        if let Some(price) = price {
            prices.entry(name).or_insert(price);
        }
    }
}
