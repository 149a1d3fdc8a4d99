//! Clients that speak Google's `generateContent`.
//!
//! ```text
//! GenerateContentRequest --request--> chat completion request, and what it could not say
//! GenerateContentResponse <--reply--- chat completion
//! frames, or one array <----stream--- chunks
//! EmbedContentRequest  ----embed----- embeddings, in both directions
//! ```
//!
//! The rule of this module: what only Google's models can do is no mistake of the client. It is
//! noted as an obstacle, which counts where the request goes to another provider; to Google it goes
//! as it was written.

mod config;
mod contents;
mod embed;
mod media;
mod names;
pub mod native;
mod read;
mod reply;
mod request;
mod schema;
mod stream;
mod tools;
mod write;

pub use reply::reply;
pub use request::request;
pub use stream::Stream;

#[cfg(test)]
mod tests;
