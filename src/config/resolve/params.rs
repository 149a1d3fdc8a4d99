//! The parts of an entry of `model_list` that are lists or free: headers, body parameters, prices.

use http::{HeaderName, HeaderValue};
use serde_json::value::RawValue;

use super::fallbacks::param;
use crate::config::options::is_price;
use crate::config::problem::{Finding, Problems};
use crate::config::section::Section;
use crate::config::yaml::{Entry, Value};
use crate::money::Usd;

/// `extra_headers` and `headers`.
pub(super) fn headers(params: &mut Section<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let problems = params.problems;
    let mut headers = Vec::new();
    for option in ["extra_headers", "headers"] {
        let Some(entry) = params.entry(option) else { continue };
        let Some(entries) = entry.node.map() else {
            let found = entry.node.found(option);
            let message = format!("`{option}` must be a mapping, found {found}");
            problems.push(
                Finding::error(entry.value_spot(), message).help("write `Name: value` lines"),
            );
            continue;
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
                None => problems.push(Finding::error(
                    header.value_spot(),
                    format!("`{}` must be a text on one line", header.key),
                )),
            }
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

/// Prices in USD by LiteLLM's names, later ones winning over earlier ones.
pub(super) fn prices(entries: &[Entry], problems: &Problems) -> Vec<(Box<str>, f64)> {
    let mut prices = Vec::new();
    for entry in entries.iter().filter(|entry| is_price(&entry.key) && !entry.node.is_null()) {
        // Some prices have parts (`search_context_cost_per_query`); they belong to the price book.
        let Value::Scalar(scalar) = &entry.node.value else { continue };
        let name = &*entry.key;
        let Some(price) = scalar.number().filter(|price| Usd::from_dollars(*price).is_some())
        else {
            let found = entry.node.found(name);
            let message = format!("`{name}` must be a price in USD, found {found}");
            problems.push(Finding::error(entry.node.spot, message));
            continue;
        };
        match PER_THOUSAND.iter().find(|(written, _)| *written == name) {
            // In front: the price of one token wins over the price of a thousand.
            Some((_, per_token)) => prices.insert(0, ((*per_token).into(), price / 1_000.0)),
            None => prices.push((name.into(), price)),
        }
    }
    prices
}

/// Prices for a thousand tokens, which LiteLLM accepts and ignores.
const PER_THOUSAND: [(&str, &str); 2] = [
    ("cost_per_1k_input_tokens", "input_cost_per_token"),
    ("cost_per_1k_output_tokens", "output_cost_per_token"),
];
