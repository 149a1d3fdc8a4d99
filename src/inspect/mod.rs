//! Guardrails that are asked by HTTP: OpenAI's moderation and what copies it, LiteLLM's contract for anybody's
//! guardrail, and Presidio.
//!
//! Every question has a deadline, and so many are asked at one time; who waits longer than the deadline
//! for a turn has no answer either. What that means is the guardrail's setting. Redirects are not followed: texts
//! and keys are for the address that is written.

mod client;
mod moderation;
mod presidio;
mod theirs;

pub use client::Bounds;
pub use moderation::Moderation;
pub use presidio::{Presidio, Settings as PresidioSettings};
pub use theirs::TheirApi;
