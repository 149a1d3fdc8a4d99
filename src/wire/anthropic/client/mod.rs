//! Clients that speak Anthropic's Messages API, served by providers that do not.
//!
//! ```text
//! Messages request --request (turns, tools)--> canonical request
//! message <---------reply--------------------- canonical reply
//! named events <----stream (blocks)----------- canonical chunks
//! ```
//!
//! What a provider wants to see again and Anthropic has no words for (Google's thought signatures,
//! OpenAI's sealed reasoning) travels in a block that clients must replay unread: see `sealed`.
//! Nothing is remembered between a request and its reply.

mod blocks;
mod converse;
mod limits;
mod names;
mod reply;
mod request;
pub(super) mod sealed;
mod stream;
mod tools;
mod turns;
mod usage;

pub use converse::for_converse;
pub use limits::{unserved, unserved_but};
pub use reply::{count, reply};
pub use request::request;
pub use stream::MessageStream;

#[cfg(test)]
mod tests;
