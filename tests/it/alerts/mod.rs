//! What people are told by Slack: each kind, what is one message, and a Slack that does not answer.

mod incidents;
mod reports;
mod ways;

use serde_json::{Value, json};

use crate::harness::gateway::Builder;
use crate::harness::redis::Redis;
use crate::harness::*;

/// A gateway that tells these kinds to a mailbox.
fn telling(builder: Builder, kinds: &str, slack: &Mailbox) -> Builder {
    builder
        .general(&format!("alerting: [slack]\nalert_types: [{kinds}]"))
        .variable("SLACK_WEBHOOK_URL", &slack.url)
}

/// The value of a line of the metrics.
fn metric(gateway: &Gateway, line: &str) -> Option<f64> {
    let page = gateway.get("/metrics").body_text();
    page.lines().find_map(|one| one.strip_prefix(line)?.trim().parse().ok())
}
