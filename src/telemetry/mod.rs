//! What is known of a request afterwards, and who is told.
//!
//! The gateway fills one [`RequestRecord`] and, when the request is over, hands it to the metrics
//! (a few atomic adds), to the traces where they are on, and then to the access log (bounded queues;
//! background writers turn it into spans and a line). None waits, none can fail the request.
//!
//! Nothing here knows prompts, replies or keys: a record has no field for them. What a span may hold of
//! a prompt, because the operator asks for it, the gateway hands over beside the record.

pub mod access_log;
mod live;
pub mod logging;
pub mod metrics;
mod process;
mod record;
#[cfg(test)]
mod sample;
mod timestamp;
pub mod traces;
mod transcript;

pub use access_log::AccessLog;
pub use live::{Live, Seen, Watch};
pub use metrics::{Counted, DeploymentState, Metrics, ReloadResult};
pub use record::{
    Attempt, CacheUse, Client, ClientText, Durations, ErrorRecord, KeyKind, Outcome, RequestRecord,
    Route, class_name,
};
pub use transcript::Transcript;

/// A point in time as RFC 3339 writes it, in UTC with milliseconds.
#[must_use]
pub fn rfc3339(time: std::time::SystemTime) -> String {
    timestamp::Timestamp(time).to_string()
}
