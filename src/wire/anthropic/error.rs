//! Anthropic's errors: what they mean, and the fields that a client of OpenAI looks at.

use std::borrow::Cow;

use serde::Deserialize;

use crate::failure::{Failure, FailureClass};

/// Bytes of an error page that are shown where there is no error object.
const MAX_PAGE_BYTES: usize = 500;

/// What an error response says. The headers that tell when to try again are not looked at.
#[must_use]
pub fn failure(status: u16, body: &[u8]) -> Failure {
    match serde_json::from_slice::<Envelope<'_>>(body) {
        Ok(Envelope { error: Some(error), .. }) => from_error(Some(status), error.into_detail()),
        Ok(Envelope { message: Some(message), .. }) => {
            from_error(Some(status), Detail { message: Some(message), ..Detail::default() })
        }
        _ => {
            let message = page(body).unwrap_or_else(|| format!("the provider answered {status}"));
            let detail = Detail { message: Some(Cow::Owned(message)), ..Detail::default() };
            from_error(Some(status), detail)
        }
    }
}

/// What an error inside a response that began with 200 says; `None` if there is no error in it.
pub(super) fn within(data: &[u8]) -> Option<Failure> {
    let envelope: Envelope<'_> = serde_json::from_slice(data).ok()?;
    let error = envelope.error?;
    Some(from_error(None, error.into_detail()))
}

/// The provider sent something that is not what it should be.
pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    error: Option<ErrorValue<'a>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
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

fn from_error(status: Option<u16>, detail: Detail<'_>) -> Failure {
    let kind = detail.kind.map(Cow::into_owned);
    let message = detail.message.map_or_else(|| "no message".to_owned(), Cow::into_owned);
    let code = detail.details.and_then(|details| details.error_code).map(Cow::into_owned);
    let class = classify(status, kind.as_deref(), code.as_deref(), &message);
    let param = match class {
        FailureClass::ContextWindow => Some("messages".to_owned()),
        FailureClass::BadRequest => blamed(&message).map(str::to_owned),
        _ => None,
    };
    // A limit that the owner of the account has set does not go away by waiting.
    let should_retry = (class == FailureClass::Quota).then_some(false);
    Failure {
        status,
        code: code.or_else(|| code_of(class, status).map(str::to_owned)),
        kind,
        param,
        should_retry,
        blameless: false,
        ..Failure::new(class, message)
    }
}

/// The class of an error. The text has a word only where the status and the type say no more than
/// that the request was refused.
fn classify(
    status: Option<u16>,
    kind: Option<&str>,
    code: Option<&str>,
    message: &str,
) -> FailureClass {
    if matches!(code, Some("enforced_spend_limit_reached" | "contract_spend_limit_reached")) {
        return FailureClass::Quota;
    }
    match status {
        Some(429) => return FailureClass::RateLimited,
        Some(503 | 529) => return FailureClass::Overloaded,
        Some(408 | 504) => return FailureClass::Timeout,
        Some(500..) => return FailureClass::Server,
        _ => {}
    }
    match kind {
        Some("overloaded_error") => FailureClass::Overloaded,
        Some("rate_limit_error") => FailureClass::RateLimited,
        Some("authentication_error" | "permission_error") => FailureClass::Auth,
        Some("billing_error") => FailureClass::Quota,
        Some("not_found_error") => FailureClass::NotFound,
        Some("request_too_large") => FailureClass::ContextWindow,
        Some("timeout_error") => FailureClass::Timeout,
        Some("conflict_error") => FailureClass::Conflict,
        Some("api_error") => FailureClass::Server,
        Some("invalid_request_error") => refused(message),
        _ => match status {
            Some(401 | 403) => FailureClass::Auth,
            Some(402) => FailureClass::Quota,
            Some(404) => FailureClass::NotFound,
            Some(409) => FailureClass::Conflict,
            Some(413) => FailureClass::ContextWindow,
            Some(400..) => refused(message),
            _ => FailureClass::Server,
        },
    }
}

/// Why a request was refused, by the only sign that Anthropic gives: the text.
fn refused(message: &str) -> FailureClass {
    let message = message.to_ascii_lowercase();
    let says = |text: &str| message.contains(text);
    if says("prompt is too long")
        || (says("input length and") && says("exceed context limit"))
        || says("exceeds the context window")
    {
        FailureClass::ContextWindow
    } else if says("output blocked by content filtering policy") {
        FailureClass::ContentPolicy
    } else if says("credit balance is too low") || says("specified api usage limits") {
        FailureClass::Quota
    } else {
        FailureClass::BadRequest
    }
}

/// The code that OpenAI's clients branch on.
const fn code_of(class: FailureClass, status: Option<u16>) -> Option<&'static str> {
    match class {
        FailureClass::ContextWindow => Some("context_length_exceeded"),
        FailureClass::ContentPolicy => Some("content_policy_violation"),
        FailureClass::Overloaded => Some("overloaded"),
        FailureClass::RateLimited => Some("rate_limit_exceeded"),
        FailureClass::Quota => Some("insufficient_quota"),
        FailureClass::NotFound => Some("model_not_found"),
        FailureClass::Auth => match status {
            Some(403) => Some("permission_denied"),
            _ => Some("invalid_api_key"),
        },
        FailureClass::BadRequest
        | FailureClass::Timeout
        | FailureClass::Connection
        | FailureClass::Server
        | FailureClass::Conflict => None,
    }
}

/// The field at which a message like `messages.1.content.0.type: Expected ...` points.
fn blamed(message: &str) -> Option<&str> {
    let (path, _) = message.split_once(": ")?;
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    (!path.is_empty() && path.bytes().all(plain)).then_some(path)
}

/// The start of a body that is not an error object, unless it is a web page.
fn page(body: &[u8]) -> Option<String> {
    let start = body.get(..MAX_PAGE_BYTES).unwrap_or(body);
    let text = String::from_utf8_lossy(start);
    let text = text.trim();
    (!text.is_empty() && !text.starts_with('<')).then(|| text.to_owned())
}
