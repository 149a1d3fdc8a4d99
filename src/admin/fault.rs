//! Why a management request is refused, in LiteLLM's statuses and types.
//!
//! A fault never holds what was sent, but for names and numbers that its sender needs to find it.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{ClientDialect, Problem};
use crate::keys::StoreError;

/// A refusal. The gate writes it, because it knows the request's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub status: u16,
    pub kind: &'static str,
    pub code: &'static str,
    pub message: String,
    /// The field that it is about.
    pub param: Option<Cow<'static, str>>,
}

impl Fault {
    fn new(status: u16, kind: &'static str, code: &'static str, message: String) -> Self {
        Self { status, kind, code, message, param: None }
    }

    pub(super) fn about(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The body is not what it should be: no JSON, or not an object.
    pub(super) fn body(status: u16, message: &str) -> Self {
        Self::new(status, "invalid_request_error", "invalid_body", message.to_owned())
            .about("request_body")
    }

    /// A field has a value of a wrong type, or is missing.
    pub(super) fn shape(field: &str, message: String) -> Self {
        Self::new(422, "invalid_request_error", "invalid_type", message).about(field.to_owned())
    }

    /// A field has a value that cannot be.
    pub(super) fn value(field: &str, message: String) -> Self {
        Self::new(400, "bad_request_error", "invalid_value", message).about(field.to_owned())
    }

    /// What it is about does not exist.
    pub(super) fn absent(field: &str, message: String) -> Self {
        Self::new(404, "not_found_error", "not_found", message).about(field.to_owned())
    }

    /// There is one already.
    pub(super) fn conflict(status: u16, field: &str, message: String) -> Self {
        Self::new(status, "bad_request_error", "already_exists", message).about(field.to_owned())
    }

    /// Whether another gateway has changed what was read, before it could be changed here.
    pub(super) fn is_stale(&self) -> bool {
        self.status == 409 && self.code == "conflict"
    }

    /// It is not the caller's to see or to change.
    pub(super) fn forbidden(message: String) -> Self {
        Self::new(403, "auth_error", "not_allowed", message)
    }

    /// What it needs is not there now.
    pub(super) fn unavailable(message: String) -> Self {
        Self::new(503, "service_unavailable_error", "unavailable", message)
    }

    /// The caller has to wait.
    pub(super) fn too_many(code: &'static str, message: String) -> Self {
        Self::new(429, "rate_limit_error", code, message)
    }

    /// There is no room now.
    pub(super) fn busy(code: &'static str, message: String) -> Self {
        Self::new(503, "service_unavailable_error", code, message)
    }

    /// It is our fault.
    pub(super) fn broken(message: &str) -> Self {
        Self::new(500, "internal_server_error", "internal_error", message.to_owned())
    }

    pub(crate) fn response(&self, request_id: Option<&str>) -> Response {
        let problem = Problem {
            status: self.status,
            kind: self.kind,
            code: self.code,
            message: &self.message,
            param: self.param.as_deref(),
            request_id,
            telling: None,
        };
        problem.response(ClientDialect::OpenAi)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(message) => {
                Self::new(409, "bad_request_error", "conflict", message)
            }
            StoreError::Refused(cause) => {
                tracing::info!(%cause, "a management request wrote what the database refuses");
                let message = "The database refuses a value of this request: a text must not hold the \
                               character U+0000, and numbers must fit into 64 bits.";
                Self::new(400, "bad_request_error", "invalid_value", message.to_owned())
            }
            StoreError::Unavailable(cause) => {
                tracing::warn!(%cause, "a management request found no database");
                let message = "The database is out of reach. Try again later.";
                Self::new(503, "no_db_connection", "database_unavailable", message.to_owned())
            }
            StoreError::Broken(cause) => {
                tracing::error!(%cause, "a management request failed in the database");
                let message = "The database failed; the log of the gateway has the reason.";
                Self::new(500, "internal_server_error", "database_failed", message.to_owned())
            }
        }
    }
}

/// Hands the fault to the gate.
impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
