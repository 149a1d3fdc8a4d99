//! Error objects: reading what providers write, and writing what clients read.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::failure::{Failure, FailureClass};

/// The facts of an error object, whichever of its many shapes it has: `error` may be an object, a
/// string or a list of one, or its fields may stand at the top; `code` may be a number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    pub message: String,
    pub kind: Option<String>,
    pub code: Option<String>,
    pub param: Option<String>,
    /// OpenRouter's own word for the cause, beside a `code` that is a status.
    pub error_type: Option<String>,
}

impl ErrorBody {
    /// Reads an error object from JSON text; `None` if there is none in it.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        Self::of(&serde_json::from_slice(body).ok()?)
    }

    pub(super) fn of(body: &Value) -> Option<Self> {
        let body = only(body);
        let error = match body.get("error").map(only) {
            Some(error @ Value::Object(_)) => error,
            Some(Value::String(message)) if !message.is_empty() => {
                let mut error = Self::fields(body);
                error.message.clone_from(message);
                return Some(error);
            }
            _ if body.get("object").and_then(Value::as_str) == Some("error") => body,
            _ if body.get("type").and_then(Value::as_str) == Some("error") => body,
            // Mistral's and every other FastAPI server's own errors.
            _ => match body.get("detail")? {
                Value::String(message) => {
                    return Some(Self { message: message.clone(), ..Self::default() });
                }
                detail @ Value::Array(_) => {
                    let mut error = Self::fields(body);
                    error.message = detail
                        .get(0)
                        .and_then(|first| first.get("msg")?.as_str())
                        .map_or_else(|| detail.to_string(), str::to_owned);
                    return Some(error);
                }
                _ => return None,
            },
        };
        Some(Self::fields(error))
    }

    fn fields(error: &Value) -> Self {
        let text = |name: &str| match error.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        Self {
            message: text("message").unwrap_or_else(|| "the provider gave no reason".to_owned()),
            kind: text("type"),
            code: text("code"),
            param: text("param"),
            error_type: error
                .get("metadata")
                .and_then(|metadata| metadata.get("error_type")?.as_str())
                .map(str::to_owned),
        }
    }

    /// The HTTP status, where `code` is one.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.code.as_ref()?.parse().ok().filter(|status| (400..600).contains(status))
    }

    /// What the machine-readable fields say; `None` if they say nothing known. The message is not
    /// looked at.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        let words = [&self.error_type, &self.code, &self.kind];
        words
            .into_iter()
            .flatten()
            .find_map(|word| by_word(word))
            .or_else(|| self.status().and_then(by_status))
    }

    /// The failure of an attempt whose 200 turned out to hold this error.
    #[must_use]
    pub fn into_failure(self) -> Failure {
        Failure {
            class: self.class().unwrap_or(FailureClass::Server),
            status: self.status(),
            message: self.message,
            kind: self.kind,
            code: self.code,
            param: self.param,
            retry_after: None,
            should_retry: None,
            blameless: false,
        }
    }
}

/// The first element of a list, or the value itself.
fn only(value: &Value) -> &Value {
    value.as_array().and_then(|list| list.first()).unwrap_or(value)
}

fn by_word(word: &str) -> Option<FailureClass> {
    Some(match word {
        "context_length_exceeded"
        | "max_tokens_exceeded"
        | "token_limit_exceeded"
        | "exceed_context_size_error" => FailureClass::ContextWindow,
        "content_policy_violation" | "content_filter" | "refusal" => FailureClass::ContentPolicy,
        "insufficient_quota" | "billing_hard_limit_reached" | "payment_required" => {
            FailureClass::Quota
        }
        "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" | "RateLimitReached" => {
            FailureClass::RateLimited
        }
        "overloaded_error" | "provider_overloaded" | "provider_unavailable" => {
            FailureClass::Overloaded
        }
        "invalid_api_key"
        | "authentication"
        | "authentication_error"
        | "permission_denied"
        | "permission_error" => FailureClass::Auth,
        "model_not_found" | "not_found" | "not_found_error" | "DeploymentNotFound" => {
            FailureClass::NotFound
        }
        "timeout" | "timeout_error" => FailureClass::Timeout,
        "invalid_request_error"
        | "invalid_request"
        | "BadRequestError"
        | "invalid_prompt"
        | "string_too_long"
        | "unprocessable"
        | "payload_too_large" => FailureClass::BadRequest,
        "server_error" | "api_error" | "internal_error" | "server" => FailureClass::Server,
        _ => return None,
    })
}

fn by_status(status: u16) -> Option<FailureClass> {
    Some(match status {
        401 | 403 => FailureClass::Auth,
        402 => FailureClass::Quota,
        404 => FailureClass::NotFound,
        408 | 504 | 524 => FailureClass::Timeout,
        409 => FailureClass::Conflict,
        429 => FailureClass::RateLimited,
        503 | 529 => FailureClass::Overloaded,
        400..=499 => FailureClass::BadRequest,
        500..=599 => FailureClass::Server,
        _ => return None,
    })
}

/// The body of an error response. `code` is always a string or `null`, whatever the provider sent.
#[must_use]
pub fn error_body(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Bytes {
    let error = json!({"message": message, "type": kind, "param": param, "code": code});
    Bytes::from(json!({ "error": error }).to_string())
}

/// The last event of a stream that failed after its head was sent. No `[DONE]` follows it.
///
/// The request id stands beside the error object, so that the object is the provider's own.
#[must_use]
pub fn error_frame(failure: &Failure, request_id: Option<&str>) -> Bytes {
    let mut body = json!({"error": {
        "message": failure.message,
        "type": failure.kind.as_deref().unwrap_or_else(|| kind_of(failure.class)),
        "param": failure.param,
        "code": failure.code,
    }});
    if let Some(id) = request_id {
        body["request_id"] = Value::from(id);
    }
    Bytes::from(format!("data: {body}\n\n"))
}

/// The error type that OpenAI's clients know, where the provider named none.
const fn kind_of(class: FailureClass) -> &'static str {
    match class {
        FailureClass::BadRequest | FailureClass::ContextWindow | FailureClass::ContentPolicy => {
            "invalid_request_error"
        }
        FailureClass::NotFound => "not_found_error",
        FailureClass::Auth => "authentication_error",
        FailureClass::Quota => "insufficient_quota",
        FailureClass::RateLimited => "rate_limit_error",
        FailureClass::Timeout => "timeout_error",
        FailureClass::Conflict => "conflict_error",
        FailureClass::Overloaded | FailureClass::Connection | FailureClass::Server => {
            "server_error"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> ErrorBody {
        ErrorBody::read(body.as_bytes()).expect("an error object")
    }

    #[test]
    fn every_shape_of_an_error_is_read() {
        let plain = read(r#"{"error":{"message":"m","type":"t","param":"p","code":"c"}}"#);
        assert_eq!(
            plain,
            ErrorBody {
                message: "m".to_owned(),
                kind: Some("t".to_owned()),
                code: Some("c".to_owned()),
                param: Some("p".to_owned()),
                error_type: None,
            }
        );
        assert_eq!(read(r#"{"code":"c","error":"text"}"#).message, "text");
        assert_eq!(read(r#"{"code":"c","error":"text"}"#).code.as_deref(), Some("c"));
        assert_eq!(read(r#"[{"error":{"message":"listed","code":400}}]"#).message, "listed");
        assert_eq!(read(r#"{"error":[{"message":"listed"}]}"#).message, "listed");
        assert_eq!(read(r#"{"object":"error","message":"top","code":3280}"#).message, "top");
        assert_eq!(read(r#"{"detail":"Unauthorized"}"#).message, "Unauthorized");
        assert_eq!(read(r#"{"detail":[{"loc":[],"msg":"extra","type":"x"}]}"#).message, "extra");
        assert_eq!(ErrorBody::read(br#"{"error":null,"choices":[]}"#), None);
        assert_eq!(ErrorBody::read(b"<html>"), None);
    }

    #[test]
    fn the_code_decides_the_class() {
        let class = |body: &str| read(body).into_failure().class;
        use FailureClass as Class;
        assert_eq!(
            class(
                r#"{"error":{"message":"","code":"context_length_exceeded","type":"invalid_request_error"}}"#
            ),
            Class::ContextWindow
        );
        assert_eq!(
            class(r#"{"error":{"message":"","code":"insufficient_quota","type":"requests"}}"#),
            Class::Quota
        );
        assert_eq!(class(r#"{"error":{"code":429,"message":"m"}}"#), Class::RateLimited);
        assert_eq!(class(r#"{"error":{"code":"529","message":"m"}}"#), Class::Overloaded);
        assert_eq!(
            class(r#"{"error":{"code":502,"metadata":{"error_type":"provider_overloaded"}}}"#),
            Class::Overloaded
        );
        assert_eq!(class(r#"{"error":{"type":"BadRequestError","code":400}}"#), Class::BadRequest);
        assert_eq!(class(r#"{"error":{"message":"?"}}"#), Class::Server);
        assert_eq!(read(r#"{"error":{"code":429}}"#).into_failure().status, Some(429));
    }

    #[test]
    fn a_frame_is_one_event_with_strings_or_null() {
        let mut failure = Failure::new(FailureClass::Server, "a\n\"b\"");
        let frame = error_frame(&failure, None);
        assert_eq!(
            frame,
            "data: {\"error\":{\"code\":null,\"message\":\"a\\n\\\"b\\\"\",\"param\":null,\"type\":\"server_error\"}}\n\n"
        );
        failure.code = Some("429".to_owned());
        let frame = error_frame(&failure, Some("req-1"));
        let body: Value = serde_json::from_slice(&frame[6..]).unwrap();
        assert_eq!(body["error"]["code"], "429");
        assert_eq!(body["request_id"], "req-1");
        assert_eq!(
            error_body("m", "t", None, Some("c")),
            r#"{"error":{"code":"c","message":"m","param":null,"type":"t"}}"#
        );
    }
}
