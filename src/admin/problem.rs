//! The error body of OpenAI's API, which every client understands.

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

/// `{"error": {"message", "type", "param", "code", "request_id"}}`.
///
/// LiteLLM writes the HTTP status into `code`; here it is a stable word, which a client can tell
/// from other causes of the same status.
#[must_use]
pub fn envelope(
    kind: &str,
    code: &str,
    message: &str,
    param: Option<&str>,
    request_id: Option<&str>,
) -> Bytes {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: Body<'a>,
    }
    #[derive(Serialize)]
    struct Body<'a> {
        message: &'a str,
        r#type: &'a str,
        param: Option<&'a str>,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<&'a str>,
    }
    let envelope = Envelope { error: Body { message, r#type: kind, param, code, request_id } };
    serde_json::to_vec(&envelope).expect("texts always serialise").into()
}

/// A response with that body.
#[must_use]
pub fn problem(
    status: StatusCode,
    kind: &str,
    code: &str,
    message: &str,
    request_id: Option<&str>,
) -> Response {
    let body = envelope(kind, code, message, None, request_id);
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
