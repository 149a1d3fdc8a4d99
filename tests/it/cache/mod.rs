//! Replies from the cache: who gets whose, what is kept, what a hit costs, and how it looks in every
//! dialect.

mod answers;
mod flights;
mod pages;
mod semantic;
mod shared;
mod tenants;

use serde_json::{Value, json};

use crate::harness::client::Ask;
use crate::harness::gateway::Builder;
use crate::harness::*;

const MASTER: &str = "sk-master-of-this-test";

/// A ten-thousandth of a dollar for a token of a reply; prompts are free.
const PRICE: &str = "input_cost_per_token: 0\noutput_cost_per_token: 0.0001";

/// A gateway with this provider as `gpt` that keeps replies; `params` are further `cache_params`.
fn caching(provider: &Upstream, params: &str) -> Builder {
    let params = format!("cache: true\ncache_params: {{type: local{params}}}");
    gateway::with(group("gpt").deployment(openai(provider).with(PRICE)))
        .litellm(&params)
        .router("num_retries: 0\ndisable_cooldowns: true")
        .master_key(MASTER)
}

/// A provider that says something else each time.
fn changing() -> Upstream {
    let replies =
        ["one", "two", "three", "four", "five", "six"].map(|text| chat(text).usage(5, 10));
    upstream::openai().replies_in_turn(replies).start()
}

/// What the gateway says of the cache, and what the model said.
#[track_caller]
fn told(ask: Ask) -> (String, String) {
    let reply = ask.send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    (reply.header("x-tollgate-cache").to_owned(), reply.text())
}

fn pair(word: &str, text: &str) -> (String, String) {
    (word.to_owned(), text.to_owned())
}

/// The value of the first series of a metric whose labels contain this.
fn metric(gateway: &Gateway, name: &str, labels: &str) -> f64 {
    let page = gateway.get("/metrics").body_text();
    let line = page.lines().find(|line| line.starts_with(name) && line.contains(labels));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
}
