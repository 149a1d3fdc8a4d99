//! The scripted provider: an upstream that does what it is told, badly if that is wanted.
//!
//! It speaks the dialects of OpenAI (chat completions and Responses), Azure, Anthropic, Gemini, Vertex AI,
//! Bedrock, Cohere and Ollama, and one that is nobody's (`house`), over HTTP/1.1 and HTTP/2, with or without
//! TLS, and is used in three ways: as the tool `tollgate mock`, as the providers of `tollgate
//! demo`, and in-process by tests:
//!
//! ```
//! use tollgate::mock::{Upstream, chat, status};
//!
//! let busy = Upstream::openai().replies(status(429).retry_after(60)).start();
//! let free = Upstream::openai().replies(chat("hello")).start();
//! assert_ne!(busy.url(), free.url());
//! ```
//!
//! The way of a request: a connection (`http1`, `http2`) reads it whole -> `asked` understands it
//! -> `script` chooses a [`Reply`] -> `render` writes its bytes in the dialect -> `steps` lays down
//! the order and the timing -> the connection carries the steps out.

mod anthropic;
mod asked;
mod bedrock;
mod cohere;
mod command;
mod conduct;
mod demo;
mod directive;
mod gemini;
mod house;
mod http1;
mod http2;
mod ollama;
mod openai;
mod problem;
mod record;
mod render;
mod reply;
mod responses;
mod route;
mod script;
mod serve;
mod socket;
mod speech;
mod steps;
mod upstream;
mod values;
mod yaml;

pub use command::{MockOptions, RunError, run};
pub use conduct::{Point, bytes};
pub use demo::{Demo, demo};
pub use record::{Disconnect, Recorded};
pub use reply::{
    Reply, body_of, chat, close_before_head, content_filtered, content_policy_violation,
    context_window_exceeded, echo, frames, garbage, garbage_json, insufficient_quota, json,
    never_answers, overloaded, rate_limited, refusal, reset, status, stream, tool_call, tool_calls,
};
pub use script::{SCRIPT_HEADER, Script};
pub use serve::{ServeOptions, Tls, serve};
pub use upstream::{Upstream, UpstreamBuilder};
pub use yaml::BadScript;

/// How alike two words must be for one to be suggested for the other.
const ALIKE: f64 = 0.75;

/// The known word that was most likely meant.
fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(found, word), *word))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests;
