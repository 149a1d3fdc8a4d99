//! Limits of providers, several addresses of one deployment, and health checks.

mod addresses;
mod checks;
mod rates;

use crate::harness::*;

/// A provider that says its own name.
fn named(name: &str) -> Upstream {
    upstream::openai().replies(chat(name)).start()
}
