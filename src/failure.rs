//! What went wrong with one attempt, in one vocabulary for all providers.
//!
//! `provider` classifies, `routing` decides by the class, `gateway/error.rs` renders. Nothing else
//! looks at a provider's status or error text. [`FailureClass::telling`] is the one table of what
//! clients are told, whichever API they speak.

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

/// What clients are told of a class of failure, in the words of each API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// The HTTP status.
    pub status: u16,
    /// OpenAI's `type`, where the provider has none.
    pub kind: &'static str,
    /// The machine code, where the provider has none. Stable.
    pub code: &'static str,
    /// Anthropic's `error.type`.
    pub anthropic: &'static str,
    /// Google's `error.status` (google.rpc.Code).
    pub google: &'static str,
}

impl FailureClass {
    /// THE table: a class of failure as every client is told of it.
    #[must_use]
    pub const fn telling(self) -> Telling {
        const fn row(
            status: u16,
            (kind, code): (&'static str, &'static str),
            anthropic: &'static str,
            google: &'static str,
        ) -> Telling {
            Telling { status, kind, code, anthropic, google }
        }
        const BAD: &str = "invalid_request_error";
        const LIMITED: (&str, &str) = ("rate_limit_error", "RESOURCE_EXHAUSTED");
        match self {
            Self::BadRequest => row(400, (BAD, "invalid_request"), BAD, "INVALID_ARGUMENT"),
            Self::ContextWindow => {
                row(400, (BAD, "context_length_exceeded"), BAD, "INVALID_ARGUMENT")
            }
            Self::ContentPolicy => {
                row(400, (BAD, "content_policy_violation"), BAD, "INVALID_ARGUMENT")
            }
            Self::NotFound => row(404, (BAD, "upstream_not_found"), "not_found_error", "NOT_FOUND"),
            Self::Auth => row(
                401,
                ("authentication_error", "upstream_authentication_error"),
                "authentication_error",
                "UNAUTHENTICATED",
            ),
            Self::Quota => {
                row(429, ("insufficient_quota", "insufficient_quota"), LIMITED.0, LIMITED.1)
            }
            Self::RateLimited => {
                row(429, ("rate_limit_error", "rate_limit_exceeded"), LIMITED.0, LIMITED.1)
            }
            Self::Overloaded => {
                row(503, ("overloaded_error", "overloaded"), "overloaded_error", "UNAVAILABLE")
            }
            Self::Timeout => row(
                504,
                ("timeout_error", "upstream_timeout"),
                "timeout_error",
                "DEADLINE_EXCEEDED",
            ),
            Self::Connection => {
                row(502, ("upstream_error", "upstream_connection_error"), "api_error", "INTERNAL")
            }
            Self::Server => row(502, ("upstream_error", "upstream_error"), "api_error", "INTERNAL"),
            Self::Conflict => row(409, ("conflict_error", "conflict"), "conflict_error", "ABORTED"),
        }
    }

    /// The row for a failure that came with a status: the provider's own is kept where it means the
    /// same, so that a client sees as much as it would without a gateway.
    #[must_use]
    pub const fn telling_at(self, status: Option<u16>) -> Telling {
        let row = self.telling();
        match (self, status) {
            // Statuses that mean something else are another class's.
            (
                Self::BadRequest,
                Some(401 | 402 | 403 | 404 | 408 | 409 | 410 | 424 | 429 | 498 | 499),
            ) => row,
            (Self::BadRequest, Some(status @ 400..=499)) => Telling { status, ..row },
            (Self::NotFound, Some(status @ 410)) | (Self::Timeout, Some(status @ 408)) => {
                Telling { status, ..row }
            }
            (Self::Auth, Some(403)) => Telling {
                status: 403,
                anthropic: "permission_error",
                google: "PERMISSION_DENIED",
                ..row
            },
            (Self::Quota, Some(402)) => Telling { status: 402, anthropic: "billing_error", ..row },
            (Self::Server, Some(503 | 504 | 529)) => row,
            (Self::Server, Some(status @ 500..=599)) => Telling { status, ..row },
            _ => row,
        }
    }

    /// Whether the request is at fault, or what it asks for.
    #[must_use]
    pub const fn is_of_the_request(self) -> bool {
        matches!(
            self,
            Self::BadRequest | Self::ContextWindow | Self::ContentPolicy | Self::NotFound
        )
    }
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
    pub kind: Option<Box<str>>,
    /// The provider's machine code, if it named one (`context_length_exceeded`).
    pub code: Option<Box<str>>,
    /// The request field that the provider blamed.
    pub param: Option<Box<str>>,
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
            retry_after: None,
            should_retry: None,
            blameless: false,
        }
    }

    /// What clients are told of it.
    #[must_use]
    pub const fn telling(&self) -> Telling {
        self.class.telling_at(self.status)
    }

    /// The same failure, not to be counted against the deployment.
    #[must_use]
    pub fn without_blame(mut self) -> Self {
        self.blameless = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use FailureClass::{
        Auth, BadRequest, Conflict, Connection, ContentPolicy, ContextWindow, NotFound, Overloaded,
        Quota, RateLimited, Server, Timeout,
    };

    #[test]
    fn a_class_has_one_status_and_keeps_the_providers_where_it_means_the_same() {
        const BAD: &str = "invalid_request_error";
        for (class, status, told, anthropic, google) in [
            (BadRequest, Some(400), 400, BAD, "INVALID_ARGUMENT"),
            (BadRequest, Some(422), 422, BAD, "INVALID_ARGUMENT"),
            (BadRequest, None, 400, BAD, "INVALID_ARGUMENT"),
            (ContextWindow, Some(413), 400, BAD, "INVALID_ARGUMENT"),
            (ContextWindow, Some(422), 400, BAD, "INVALID_ARGUMENT"),
            (ContentPolicy, Some(403), 400, BAD, "INVALID_ARGUMENT"),
            (NotFound, Some(400), 404, "not_found_error", "NOT_FOUND"),
            (Auth, Some(400), 401, "authentication_error", "UNAUTHENTICATED"),
            (Auth, Some(403), 403, "permission_error", "PERMISSION_DENIED"),
            (Quota, Some(400), 429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (Quota, Some(402), 402, "billing_error", "RESOURCE_EXHAUSTED"),
            (RateLimited, Some(400), 429, "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (Overloaded, Some(498), 503, "overloaded_error", "UNAVAILABLE"),
            (Overloaded, Some(502), 503, "overloaded_error", "UNAVAILABLE"),
            (Overloaded, Some(529), 503, "overloaded_error", "UNAVAILABLE"),
            (Timeout, Some(408), 408, "timeout_error", "DEADLINE_EXCEEDED"),
            (Timeout, Some(524), 504, "timeout_error", "DEADLINE_EXCEEDED"),
            (Connection, None, 502, "api_error", "INTERNAL"),
            (Server, Some(424), 502, "api_error", "INTERNAL"),
            (Server, Some(500), 500, "api_error", "INTERNAL"),
            (Conflict, Some(400), 409, "conflict_error", "ABORTED"),
        ] {
            let found = class.telling_at(status);
            let found = (found.status, found.anthropic, found.google);
            assert_eq!(found, (told, anthropic, google), "{class:?} {status:?}");
        }
    }
}
