//! Error bodies, in the shape that the client of a path expects.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

/// Whose API a client speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientDialect {
    #[default]
    OpenAi,
    Anthropic,
}

impl ClientDialect {
    /// The dialect of those who ask for this path, whether or not it is served.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let path = path.strip_prefix("/anthropic").unwrap_or(path);
        let path = path.strip_prefix("/v1").unwrap_or(path);
        match path.strip_prefix("/messages") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Self::Anthropic,
            Some(_) | None => Self::OpenAi,
        }
    }
}

/// What went wrong, in words that clients know.
#[derive(Clone, Copy, Debug)]
pub struct Problem<'a> {
    pub status: u16,
    /// The error's `type` in OpenAI's shape; Anthropic's follows from the status.
    pub kind: &'a str,
    pub code: &'a str,
    pub message: &'a str,
    pub param: Option<&'a str>,
    pub request_id: Option<&'a str>,
}

impl Problem<'_> {
    /// OpenAI's `{"error": {"message", "type", "param", "code", "request_id"}}`, or Anthropic's
    /// `{"type": "error", "error": {"type", "message"}, "request_id"}`.
    ///
    /// LiteLLM writes the HTTP status into `code`; here it is a stable word, which a client can
    /// tell from other causes of the same status.
    #[must_use]
    pub fn body(&self, dialect: ClientDialect) -> Bytes {
        let Self { kind, code, message, param, request_id, .. } = *self;
        let written = match dialect {
            ClientDialect::OpenAi => serde_json::to_vec(&OpenAiEnvelope {
                error: OpenAiError { message, kind, param, code, request_id },
            }),
            ClientDialect::Anthropic => serde_json::to_vec(&AnthropicEnvelope {
                kind: "error",
                error: AnthropicError { kind: anthropic_kind(self.status), message },
                request_id,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_dialect() {
        for path in [
            "/v1/messages",
            "/messages",
            "/v1/messages/count_tokens",
            "/v1/messages/",
            "/anthropic/v1/messages",
        ] {
            assert_eq!(ClientDialect::of_path(path), ClientDialect::Anthropic, "{path}");
        }
        for path in ["/v1/chat/completions", "/v1/messagesx", "/", "", "/anthropic"] {
            assert_eq!(ClientDialect::of_path(path), ClientDialect::OpenAi, "{path}");
        }
    }
}
