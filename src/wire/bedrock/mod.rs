//! Amazon Bedrock's Converse API behind an OpenAI chat client, and its embeddings.
//!
//! ```text
//! chat completion request --request--> Converse request, or one to count its tokens
//! chat completion <---------reply----- Converse reply
//! chunks <------------------stream---- frames of AWS's binary event stream
//! list of vectors <--------embeddings- InvokeModel reply of the model's maker
//! events of Claude's <----InvokeStream frames in which a model's own events stand
//! ```
//!
//! The rule is that of [`super::anthropic`]: nothing is remembered between a request and its reply.
//! What a reply does not say, the model that answered and the request's id, is handed in. What is
//! known of Claude (its models, tool names, schemas, thinking) is asked of that module.

mod content;
mod embed;
mod error;
mod event;
mod frame;
mod invoke;
mod media;
mod messages;
mod models;
mod names;
mod repair;
mod reply;
mod request;
mod stream;
mod tools;
mod usage;

/// How refusals name the provider.
const PROVIDER: &str = "Bedrock";

pub use embed::{embed, embeddings, joined, parts};
pub use error::class_of_code;
pub use frame::{Broken, Decoder, Frame};
pub use invoke::{InvokeStream, invoked};
pub use reply::{count, reply};
pub use request::request;
pub use stream::StreamTranslator;
pub use tools::passes_on;

#[cfg(test)]
mod tests;
