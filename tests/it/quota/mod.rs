//! Limits and budgets of keys, teams and everybody else who pays.

mod alerts;
mod asked;
mod budgets;
mod limits;
mod shared;
mod truth;

use serde_json::{Value, json};

use crate::harness::gateway::Builder;
use crate::harness::*;

pub const MASTER: &str = "sk-master-of-this-test";

/// A thousandth of a dollar for a reply of ten tokens; prompts are free.
pub const PRICE: &str = "input_cost_per_token: 0\noutput_cost_per_token: 0.0001";

/// A provider whose replies have ten tokens.
fn ten_tokens() -> Upstream {
    upstream::openai().replies(chat("hello").usage(5, 10)).start()
}

fn priced(provider: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(provider).with(PRICE))).master_key(MASTER)
}

/// A request that may get a reply of ten tokens at most.
fn ask(client: &Client) -> client::Ask {
    client.ask("gpt", "hi").set("max_tokens", 10)
}
