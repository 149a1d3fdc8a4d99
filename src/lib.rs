//! Tollgate: an edge proxy for LLM APIs, built on Pingora.

pub mod admin;
pub mod background;
pub mod catalog;
pub mod checks;
pub mod cli;
pub mod config;
pub mod dialect;
pub mod edge;
pub mod failure;
pub mod gateway;
pub mod identity;
pub mod keys;
pub mod limits;
pub mod mock;
pub mod money;
mod patience;
pub mod provider;
pub mod reload;
pub mod routing;
pub mod secret;
pub mod server;
pub mod snapshot;
pub mod telemetry;
pub mod tokens;
pub mod upstream;
pub mod usage;
pub mod wire;
