//! Anthropic's Messages API: behind an OpenAI chat client, before any provider (`client`), and from
//! end to end (`native`).
//!
//! ```text
//! chat completion request --request--> Messages request
//! chat completion <---------reply----- message
//! chunks <------------------stream---- named events
//! OpenAI's error fields <---error----- error event
//! ```
//!
//! The rule of this module: nothing is remembered between a request and its reply. What a reply has
//! to undo (escaped tool names, an answer that was given as a tool call) can be read off the reply
//! itself, so any attempt's reply can be translated by itself.

pub(super) mod betas;
mod citations;
pub mod client;
mod content;
mod error;
mod event;
mod hosted;
mod messages;
pub(super) mod models;
pub(super) mod names;
pub mod native;
mod repair;
mod reply;
pub(super) mod request;
pub(super) mod schema;
mod source;
mod stream;
pub(super) mod thinking;
pub(super) mod tools;
mod usage;

/// How refusals name the provider.
const PROVIDER: &str = "Anthropic";

pub use hosted::{bedrock, vertex};
pub use models::takes_prefill;
pub use reply::reply;
pub use request::{Outgoing, VERSION, request};
pub use stream::StreamTranslator;

#[cfg(test)]
mod tests;
