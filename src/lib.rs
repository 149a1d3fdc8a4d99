//! Tollgate: an edge proxy for LLM APIs, built on Pingora.

pub mod catalog;
pub mod dialect;
pub mod failure;
pub mod money;
pub mod routing;
pub mod secret;
pub mod usage;
pub mod wire;
