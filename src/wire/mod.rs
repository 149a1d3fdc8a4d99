//! Formats: what goes over the wire to a provider and back, as pure functions from bytes to bytes.
//!
//! ```text
//! client's body --json::Object--> openai::request ----> provider's body
//! client's reply <--------------- openai::reply <------ provider's body
//! client's events <-- StreamRelay (sse, one translator per dialect) <-- provider's events
//! ```
//!
//! The rule of this module: what need not change is not rebuilt. A request is read one level deep
//! and edited in place, a stream in the client's own format is forwarded as the bytes that were
//! read. No sockets, no clock, and memory bounded by one body or one event.

pub mod anthropic;
mod asked;
pub mod bedrock;
pub mod blocked;
pub mod cache;
pub mod chat;
pub mod client;
pub mod cohere;
pub mod completions;
pub mod custom;
pub mod embeddings;
pub mod ended;
pub mod fields;
pub mod form;
pub mod freeform;
pub mod gemini;
pub mod json;
mod lines;
pub mod media;
pub mod ollama;
pub mod openai;
mod payload;
pub mod remote;
pub mod replay;
mod reply;
mod request;
pub mod rerank;
pub mod responses;
pub mod resume;
pub mod sse;
pub mod stored;
pub mod stray;
pub mod stream;
pub mod texts;
mod turns;

pub use payload::text_bytes;
pub use reply::{Origin, Reply};
pub use request::{RequestOptions, is_own, merged};
pub use stream::{Ending, Progress, StreamOptions, StreamRelay, Translate};

#[cfg(test)]
mod golden_tests;
