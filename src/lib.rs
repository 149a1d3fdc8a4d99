//! Tollgate: an edge proxy for LLM APIs, built on Pingora.

pub mod admin;
pub mod catalog;
pub mod dialect;
pub mod failure;
pub mod gateway;
pub mod keys;
pub mod money;
pub mod provider;
pub mod routing;
pub mod secret;
pub mod snapshot;
pub mod telemetry;
pub mod upstream;
pub mod usage;
pub mod wire;
