//! Traces as values: which one a request belongs to, and how the configuration wants them sent.
//!
//! ```text
//! Context  (context.rs)   W3C's traceparent, read and written; the ids
//! Sampler  (sampler.rs)   which traces are kept
//! Settings (settings.rs)  where they go, and what they may hold
//! ```
//!
//! Pure: knows no clock, no HTTP and nobody who collects.

mod context;
mod sampler;
mod settings;

pub use context::{Context, SpanId, TraceId};
pub use sampler::{Root, Sampler};
pub use settings::Settings;
