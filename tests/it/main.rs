//! The real executable between scripted providers and plain clients.
//!
//! Each test starts a gateway process of its own; see `harness` for the words used.
//! `TOLLGATE_TEST_PATIENCE` (seconds) is how long a test waits for what should happen at once.

#![allow(clippy::allow_attributes, reason = "an expectation would fail with each new test")]
#![allow(clippy::panic, clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]
#![allow(dead_code, unreachable_pub, unused_imports, reason = "no test uses all of the harness")]

mod harness;

mod alerts;
mod bedrock;
mod boards;
mod bodies;
mod cache;
mod callbacks;
mod canary;
mod clouds;
mod compatible;
mod custom;
mod dialects;
mod edge;
mod endpoints;
mod examples;
mod failover;
mod fetched;
mod gemini;
mod gemini_client;
mod guardrails;
mod hedging;
mod keys;
mod limits;
mod loose;
mod manage;
mod matrix;
mod media;
mod messages;
mod metering;
mod mounts;
mod nginx;
mod passing;
mod process;
mod prometheus;
mod providers;
mod quota;
mod realtime;
mod records;
mod refusals;
mod reload;
mod reports;
mod responses;
mod routing;
mod seeds;
mod shadow;
mod smoke;
mod spend;
mod spoken;
mod stored;
mod stores;
mod streaming;
mod traces;
mod transport;
mod ui;
mod upgrade;
