//! Errors that come where something else was expected: in a stream, or as a 200. What an error
//! response means is for `provider::classify`, which judges these too; here they are read.

use std::borrow::Cow;

use serde::Deserialize;

use crate::failure::{Failure, FailureClass};

/// What an error inside a response that began with 200 says; `None` if there is no error in it.
pub(super) fn within(data: &[u8]) -> Option<Failure> {
    let envelope: Envelope<'_> = serde_json::from_slice(data).ok()?;
    let detail = envelope.error?.into_detail();
    let kind: Option<Box<str>> = detail.kind.map(Box::from);
    let code = detail.details.and_then(|details| details.error_code).map(Box::from);
    let message = detail.message.map_or_else(|| "no message".to_owned(), Cow::into_owned);
    let (class, usual) = class_of(kind.as_deref());
    let code = code.or_else(|| usual.map(Box::from));
    Some(Failure { code, kind, ..Failure::new(class, message) })
}

/// The provider sent something that is not what it should be.
pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<ErrorValue<'a>>,
}

/// Vendors that copy the API write a bare string at times.
#[derive(Deserialize)]
#[serde(untagged)]
enum ErrorValue<'a> {
    Text(String),
    Object(#[serde(borrow)] Detail<'a>),
}

#[derive(Default, Deserialize)]
struct Detail<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    details: Option<Details<'a>>,
}

#[derive(Deserialize)]
struct Details<'a> {
    #[serde(borrow)]
    error_code: Option<Cow<'a, str>>,
}

impl<'a> ErrorValue<'a> {
    fn into_detail(self) -> Detail<'a> {
        match self {
            Self::Object(detail) => detail,
            Self::Text(text) => Detail { message: Some(Cow::Owned(text)), ..Detail::default() },
        }
    }
}

/// The class of a type, and the code that OpenAI's clients branch on.
fn class_of(kind: Option<&str>) -> (FailureClass, Option<&'static str>) {
    match kind {
        Some("overloaded_error") => (FailureClass::Overloaded, Some("overloaded")),
        Some("rate_limit_error") => (FailureClass::RateLimited, Some("rate_limit_exceeded")),
        Some("authentication_error") => (FailureClass::Auth, Some("invalid_api_key")),
        Some("permission_error") => (FailureClass::Auth, Some("permission_denied")),
        Some("billing_error") => (FailureClass::Quota, Some("insufficient_quota")),
        Some("not_found_error") => (FailureClass::NotFound, Some("model_not_found")),
        Some("request_too_large") => (FailureClass::ContextWindow, Some("context_length_exceeded")),
        Some("timeout_error") => (FailureClass::Timeout, None),
        Some("conflict_error") => (FailureClass::Conflict, None),
        Some("invalid_request_error") => (FailureClass::BadRequest, None),
        _ => (FailureClass::Server, None),
    }
}
