//! Tollgate: an edge proxy for LLM APIs, built on Pingora.

pub mod catalog;
pub mod config;
pub mod dialect;
pub mod failure;
pub mod money;
pub mod provider;
pub mod routing;
pub mod secret;
pub mod snapshot;
pub mod usage;
