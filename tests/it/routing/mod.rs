//! Which deployment a request goes to, and what happens to it and to the deployment when it fails.

mod choice;
mod cooldown;
mod fallbacks;
mod names;
mod retries;
mod strategies;

use crate::harness::*;

/// A provider that says its own name.
fn named(name: &str) -> Upstream {
    upstream::openai().replies(chat(name)).start()
}

/// A provider that always fails in this way.
fn failing(reply: mock::Reply) -> Upstream {
    upstream::openai().replies(reply).start()
}
