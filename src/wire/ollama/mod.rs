//! Ollama's own API behind an OpenAI client.
//!
//! ```text
//! chat completion request --request--> /api/chat      embeddings --embed::request--> /api/embed
//! chat completion <---------reply----- reply          embeddings <--embed::reply---- reply
//! chunks <------------------stream---- lines of JSON
//! ```
//!
//! Unlike its OpenAI-compatible API, this one takes `num_ctx`, `keep_alive` and `think`. Its errors
//! are `{"error": "..."}`, also as a line of a stream.

mod embed;
mod messages;
mod reply;
mod request;
mod stream;

/// How refusals name the provider.
const PROVIDER: &str = "Ollama";

pub use embed::{reply as embeddings, request as embed};
pub use reply::reply;
pub use request::request;
pub use stream::StreamTranslator;

#[cfg(test)]
mod tests;
