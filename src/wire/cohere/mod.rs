//! Cohere's API, version 2, behind an OpenAI client.
//!
//! ```text
//! chat completion request --request--> /v2/chat       embeddings --embed::request--> /v2/embed
//! chat completion <---------reply----- reply          embeddings <--embed::reply---- reply
//! chunks <------------------stream---- named events
//! ```
//!
//! Its errors are `{"message": "..."}` and a status, which `provider` reads by itself.

mod counted;
mod embed;
mod messages;
mod reply;
mod request;
mod stream;
mod usage;

/// How refusals name the provider.
const PROVIDER: &str = "Cohere";

pub use counted::{CountedStream, counted};
pub use embed::{reply as embeddings, request as embed};
pub use reply::reply;
pub use request::request;
pub use stream::StreamTranslator;

#[cfg(test)]
mod tests;
