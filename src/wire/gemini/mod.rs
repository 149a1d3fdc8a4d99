//! Google's `generateContent` behind the canonical form.
//!
//! ```text
//! chat completion request --request--> contents, tools, generationConfig
//! chat completion <---------reply----- candidates
//! chunks <------------------stream---- frames
//! OpenAI's error fields <---error----- {"error": {code, message, status, details}}
//! ```
//!
//! The other direction, clients that speak it themselves, is in [`client`].
//!
//! Vertex AI takes the same bodies; where it differs, [`Quirks::vertex`] tells.
//!
//! The rule of this module: nothing is remembered between a request and its reply. Tool names are
//! escaped so that they can be read back. Ids of tool calls that the model did not name are made of
//! what the reply holds; a result finds its function through the call in the same history. What the
//! model thought comes sealed (`thoughtSignature`) and goes through the client as
//! `extra_content.google.thought_signature`, never in an id.
//!
//! [`Quirks::vertex`]: crate::dialect::Quirks::vertex

pub mod client;

mod config;
mod contents;
mod count;
mod embed;
mod error;
mod grounding;
mod media;
mod models;
mod names;
mod parts;
mod predicted;
mod reply;
mod request;
mod schema;
mod stream;
mod thinking;
mod tools;
mod usage;

/// How refusals name the provider.
const PROVIDER: &str = "Gemini";

/// Before the provider's id in ours.
const ID_PREFIX: &str = "chatcmpl-";

pub use predicted::predicted;
pub use reply::reply;
pub use request::{needs_data, request};
pub use stream::StreamTranslator;

#[cfg(test)]
mod tests;
