//! What went wrong with one attempt, in one vocabulary for all providers.
//!
//! `provider` classifies, `routing` decides by the class, `gateway/error.rs` renders. Nothing else
//! looks at a provider's status or error text.

use std::time::Duration;

/// Why an attempt failed, as far as the next step depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The request itself is wrong; no other deployment would take it.
    BadRequest,
    /// The prompt does not fit the model's context window.
    ContextWindow,
    /// The provider's policy refused the content.
    ContentPolicy,
    /// The provider does not know the model or the path.
    NotFound,
    /// The provider refused our credentials.
    Auth,
    /// The account behind the credentials is out of money or quota: waiting will not help.
    Quota,
    /// Too many requests or tokens for now.
    RateLimited,
    /// The provider is out of capacity (503, 529).
    Overloaded,
    /// Nothing came in time: connecting, first byte, between two frames, or 408/504.
    Timeout,
    /// No usable connection: refused, reset, TLS failure, garbage instead of HTTP.
    Connection,
    /// The provider broke (500, 502, a body that is not what it claims to be).
    Server,
    /// The provider saw a conflicting request (409).
    Conflict,
}

/// One failed attempt. The texts come from the provider and may be shown to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What it means for the next step.
    pub class: FailureClass,
    /// The provider's HTTP status; `None` if there was no response head.
    pub status: Option<u16>,
    /// For people; never holds a secret of ours.
    pub message: String,
    /// The provider's error type, if it named one (`requests`, `overloaded_error`).
    pub kind: Option<String>,
    /// The provider's machine code, if it named one (`context_length_exceeded`).
    pub code: Option<String>,
    /// The request field that the provider blamed.
    pub param: Option<String>,
    /// What the model had written when the provider gave up (Groq): clients save what they can of it.
    pub failed_generation: Option<Box<str>>,
    /// How long the provider asked us to wait.
    pub retry_after: Option<Duration>,
    /// `x-should-retry`: the provider's own word, which wins over the status.
    pub should_retry: Option<bool>,
    /// It says nothing about the deployment: the request was not sent, or the client's own limit
    /// ran out. Such a failure does not count towards a cooldown.
    pub blameless: bool,
}

impl Failure {
    /// The code of a failure for want of a credential: nothing was sent.
    pub const NO_CREDENTIAL: &str = "upstream_credential_unavailable";

    /// A failure that has only a class and a text: no response head was read.
    #[must_use]
    pub fn new(class: FailureClass, message: impl Into<String>) -> Self {
        Self {
            class,
            status: None,
            message: message.into(),
            kind: None,
            code: None,
            param: None,
            failed_generation: None,
            retry_after: None,
            should_retry: None,
            blameless: false,
        }
    }

    /// The same failure, not to be counted against the deployment.
    #[must_use]
    pub fn without_blame(mut self) -> Self {
        self.blameless = true;
        self
    }
}
