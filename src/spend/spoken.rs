//! What was said in a request, as it is kept beside its row.

use std::sync::Arc;

/// A request and its reply, shortened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    /// Of the row.
    pub request_id: Arc<str>,
    /// When it came, in microseconds since 1970.
    pub started_us: i64,
    /// JSON, in the client's dialect.
    pub request: String,
    /// JSON; `None`: there was none, or it is not known.
    pub reply: Option<String>,
}
