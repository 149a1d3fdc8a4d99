//! `api_base` as one address or as several, with the way to choose among them.

use crate::catalog::Balance;
use crate::config::options::API_BASE;
use crate::config::problem::{Finding, nearest};
use crate::config::section::{At, Section, first};
use crate::config::yaml::Node;

/// An address and its share.
pub(crate) type Weighted = (Box<str>, f64);

/// The addresses in the order written, none if none is. What is wrong with an address itself, its
/// provider says.
pub(super) fn addresses(params: &mut Section<'_>) -> Vec<Weighted> {
    let problems = params.problems;
    for name in ["api_base", "base_url"] {
        let Some(entry) = params.written(name) else { continue };
        let Some(items) = entry.node.list() else { continue };
        // Both are asked for, whichever is written.
        params.entry("api_base");
        params.entry("base_url");
        if items.is_empty() {
            problems.push(Finding::error(entry.value_spot(), format!("`{name}` is empty")));
        }
        let found: Vec<Weighted> = items.iter().filter_map(|item| address(item, params)).collect();
        for (index, (url, _)) in found.iter().enumerate() {
            if found.iter().take(index).any(|(before, _)| before == url) {
                let message = format!("`{name}` names `{url}` twice");
                let help = "write it once, with a `weight`";
                problems.push(Finding::error(entry.value_spot(), message).help(help));
            }
        }
        return found;
    }
    let written = first([params.text("api_base"), params.text("base_url")]);
    written.map(|at| vec![(at.value.into(), 1.0)]).unwrap_or_default()
}

fn address(item: &Node, params: &Section<'_>) -> Option<Weighted> {
    if let Some(url) = item.text() {
        return Some((url.trim().into(), 1.0));
    }
    if item.is_unresolved() {
        return None;
    }
    let mut section = Section::new(&API_BASE, item, item.spot, params.problems);
    let url = section.text("url");
    let weight = section.number("weight");
    if url.is_none() && item.map().is_some() && !section.has("url") {
        let help = "write `- https://...`, or `- {url: https://..., weight: 2}`";
        params.problems.push(Finding::error(item.spot, "this address has no `url`").help(help));
    }
    section.finish();
    if let Some(at) = weight.filter(|at| at.value <= 0.0) {
        let message = format!("`weight` of an address must be above 0, found `{}`", at.value);
        params.problems.push(Finding::error(at.spot, message).help("leave the address out"));
    }
    Some((url?.value.into(), weight.map_or(1.0, |at| at.value)))
}

const NAMES: [(&str, Balance); 6] = [
    ("round-robin", Balance::RoundRobin),
    ("least-connections", Balance::LeastConnections),
    ("consistent-hash", Balance::ConsistentHash),
    ("least-conn", Balance::LeastConnections),
    ("least-request", Balance::LeastConnections),
    ("hash", Balance::ConsistentHash),
];

/// How to choose among them.
pub(super) fn balance(params: &mut Section<'_>, addresses: usize) -> Balance {
    let Some(At { value, spot }) = params.text("load_balancing") else { return Balance::default() };
    if addresses < 2 {
        let message = "`load_balancing` has no effect: there is one address";
        let help = "write `api_base` as a list";
        params.problems.push(Finding::warning(spot, message).help(help));
    }
    let word = value.to_ascii_lowercase().replace('_', "-");
    if let Some((_, balance)) = NAMES.iter().find(|(name, _)| *name == word) {
        return *balance;
    }
    let message = format!("`{value}` is not a way to choose among addresses");
    let help = match nearest(&word, NAMES.map(|(name, _)| name)) {
        Some((near, _)) => format!("did you mean `{}`?", near.replace('-', "_")),
        None => "write `round_robin`, `least_connections` or `consistent_hash`".to_owned(),
    };
    params.problems.push(Finding::error(spot, message).help(help));
    Balance::default()
}
