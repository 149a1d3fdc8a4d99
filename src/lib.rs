//! Tollgate: an edge proxy for LLM APIs, built on Pingora.

pub mod admin;
pub mod catalog;
pub mod dialect;
pub mod failure;
pub mod keys;
pub mod money;
pub mod routing;
pub mod secret;
pub mod telemetry;
pub mod usage;
