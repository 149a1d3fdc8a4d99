//! What was said in one request, for those who are to be told it: callbacks, traces, the store.
//!
//! Owns: the value. Knows not: who is told, and how it was taken down.

use bytes::Bytes;

/// What a client asked and what it was answered, in its own dialect and as guardrails let it go on: what they
/// masked is masked here, too.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// The request's body: JSON. Cheap to clone.
    pub request: Bytes,
    /// The whole reply: JSON. A stream that came to its end is put together as if it had been none; `None`: there
    /// was no reply, or it could not be kept.
    pub reply: Option<Bytes>,
}
