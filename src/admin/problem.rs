//! Error bodies, in the shape that the client of a path expects.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

pub use crate::dialect::ClientDialect;
use crate::failure::Telling;

/// What went wrong, in words that clients know.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    pub status: u16,
    /// The error's `type` in OpenAI's shape.
    pub kind: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub param: Option<&'a str>,
    pub request_id: Option<&'a str>,
    /// The words of the other APIs; `None`: they follow from the status.
    pub telling: Option<Telling>,
}

impl Problem<'_> {
    /// OpenAI's `{"error": {"message", "type", "param", "code", "request_id"}}`, or Anthropic's
    /// `{"type": "error", "error": {"type", "message"}, "request_id"}`, or Google's
    /// `{"error": {"code", "message", "status", "details"}}`.
    ///
    /// LiteLLM writes the HTTP status into `code`; here it is a stable word, which a client can
    /// tell from other causes of the same status.
    #[must_use]
    pub fn body(&self, dialect: ClientDialect) -> Bytes {
        let Self { kind, code, message, param, request_id, .. } = *self;
        let anthropic =
            self.telling.map_or_else(|| anthropic_kind(self.status), |told| told.anthropic);
        let google = self.telling.map_or_else(|| google_status(self.status), |told| told.google);
        let written = match dialect {
            ClientDialect::OpenAi | ClientDialect::Responses => {
                serde_json::to_vec(&OpenAiEnvelope {
                    error: OpenAiError { message, kind, param, code, request_id },
                })
            }
            ClientDialect::Anthropic => serde_json::to_vec(&AnthropicEnvelope {
                kind: "error",
                error: AnthropicError { kind: anthropic, message },
                request_id,
            }),
            ClientDialect::Gemini => serde_json::to_vec(&GoogleEnvelope {
                error: GoogleError {
                    code: self.status,
                    message,
                    status: google,
                    details: [GoogleDetail {
                        kind: "type.googleapis.com/google.rpc.ErrorInfo",
                        reason: code,
                        metadata: GoogleMetadata { request_id, param },
                    }],
                },
            }),
        };
        // Texts always become JSON; an empty body would still carry the status.
        written.map(Bytes::from).unwrap_or_default()
    }

    /// A response with that body.
    #[must_use]
    pub fn response(&self, dialect: ClientDialect) -> Response {
        let status = StatusCode::from_u16(self.status);
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, "application/json")], self.body(dialect)).into_response()
    }
}

#[derive(Serialize)]
struct OpenAiEnvelope<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicEnvelope<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: AnthropicError<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    message: &'a str,
}

#[derive(Serialize)]
struct GoogleEnvelope<'a> {
    error: GoogleError<'a>,
}

#[derive(Serialize)]
struct GoogleError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    details: [GoogleDetail<'a>; 1],
}

/// Google's place for a machine's code beside the status.
#[derive(Serialize)]
struct GoogleDetail<'a> {
    #[serde(rename = "@type")]
    kind: &'static str,
    reason: &'a str,
    metadata: GoogleMetadata<'a>,
}

#[derive(Serialize)]
struct GoogleMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    param: Option<&'a str>,
}

/// The name of a status in Google's errors (google.rpc.Code).
const fn google_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        503 | 529 => "UNAVAILABLE",
        408 | 504 => "DEADLINE_EXCEEDED",
        501 => "UNIMPLEMENTED",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

const fn anthropic_kind(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}
