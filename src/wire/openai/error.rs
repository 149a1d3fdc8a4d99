//! Error objects as providers write them.

use serde_json::Value;

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

    /// The failure of an attempt whose 200 turned out to hold this error. What class it is, the
    /// rules for error responses tell (`provider::reclassify`).
    #[must_use]
    pub fn into_failure(self) -> Failure {
        let status = self.status();
        Failure {
            class: FailureClass::Server,
            status,
            message: self.message,
            kind: self.error_type.or(self.kind).map(Box::from),
            // Codes are stable words; a status is told as one.
            code: self.code.filter(|_| status.is_none()).map(Box::from),
            param: self.param.map(Box::from),
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
                kind: Some("t".into()),
                code: Some("c".into()),
                param: Some("p".into()),
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
    fn a_code_that_is_a_status_is_one() {
        assert_eq!(read(r#"{"error":{"code":429}}"#).into_failure().status, Some(429));
        assert_eq!(read(r#"{"error":{"code":"529"}}"#).into_failure().status, Some(529));
        assert_eq!(read(r#"{"error":{"code":3280}}"#).into_failure().status, None);
        assert_eq!(read(r#"{"error":{"code":"overloaded"}}"#).into_failure().status, None);
    }
}
