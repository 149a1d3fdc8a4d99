//! Callbacks: what receivers are told of requests, and what one that is dead, slow or angry does to
//! requests and to what it is to be told.

mod away;
mod broken;
mod forms;
mod own;
mod pages;
mod refused;
mod teams;
mod words;

use serde_json::Value;

use crate::harness::*;

/// Takes whatever comes.
fn receiver() -> Upstream {
    upstream::openai().replies(body_of("application/json", "{}")).start()
}

/// A gateway whose callbacks hear of requests soon.
fn told(group: Group, settings: &str) -> gateway::Builder {
    gateway::with(group)
        .litellm(settings)
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "0.05")
        .variable("DEFAULT_S3_FLUSH_INTERVAL_SECONDS", "0.05")
}

/// The same with `generic_api`, all of whose requests go to `endpoint`.
fn generic(group: Group, endpoint: &str) -> gateway::Builder {
    told(group, "callbacks: [generic_api]").variable("GENERIC_LOGGER_ENDPOINT", endpoint)
}

/// Every payload that a receiver of `generic_api` was sent.
fn payloads(receiver: &Upstream) -> Vec<Value> {
    let sent = receiver.requests().into_iter();
    let lists = sent.filter_map(|request| request.json().as_array().cloned());
    lists.flatten().collect()
}

/// The payloads, as soon as there are so many.
#[track_caller]
fn wait_for(receiver: &Upstream, count: usize) -> Vec<Value> {
    let payloads = eventually_some("the payloads arrive", || {
        let payloads = payloads(receiver);
        (payloads.len() >= count).then_some(payloads)
    });
    assert_eq!(payloads.len(), count, "{payloads:#?}");
    payloads
}

/// What is counted of a callback: `sent`, `failed`, `dropped`, `spilled`.
fn counted(gateway: &Gateway, callback: &str, result: &str) -> u64 {
    let start = format!("tollgate_callbacks_total{{callback=\"{callback}\",result=\"{result}\"}} ");
    value(gateway, &start)
}

/// How many wait: in `memory`, on `disk`.
fn waiting(gateway: &Gateway, callback: &str, place: &str) -> u64 {
    let start = format!("tollgate_callbacks_waiting{{callback=\"{callback}\",place=\"{place}\"}} ");
    value(gateway, &start)
}

fn value(gateway: &Gateway, start: &str) -> u64 {
    let page = gateway.get("/metrics").body_text();
    let mut values = page.lines().filter_map(|line| line.strip_prefix(start));
    values.next().map_or(0, |value| value.parse::<f64>().unwrap() as u64)
}
