//! Errors inside an answer that began with 200: exceptions in a stream, and what is no reply at all.

use serde::Deserialize;

use super::frame::Frame;
use crate::failure::{Failure, FailureClass};

/// The provider sent something that is not what it should be.
pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Exception {
    #[serde(alias = "Message")]
    message: Option<String>,
    /// What the model said before Bedrock wrapped it.
    original_message: Option<String>,
    original_status_code: Option<u16>,
}

/// What a frame of the type `exception` or `error` says.
pub(super) fn within(frame: &Frame) -> Failure {
    let exception: Exception = serde_json::from_slice(&frame.payload).unwrap_or_default();
    let code = frame.header(":exception-type").or_else(|| frame.header(":error-code"));
    let code = code.unwrap_or_default();
    let said = exception.message.or_else(|| frame.header(":error-message").map(str::to_owned));
    let message = match (said, exception.original_message) {
        (Some(said), Some(original)) if !said.contains(&original) => format!("{said}: {original}"),
        (Some(said), _) if !said.is_empty() => said,
        (_, Some(original)) => original,
        _ if code.is_empty() => "the provider broke the stream off without saying why".to_owned(),
        _ => format!("the provider broke the stream off: {code}"),
    };
    failure(code, exception.original_status_code, message)
}

/// An error object in the place of a reply; `None` if it is none.
pub(super) fn in_body(body: &[u8]) -> Option<Failure> {
    #[derive(Deserialize)]
    struct Envelope {
        #[serde(alias = "Message")]
        message: String,
        #[serde(default, rename = "__type", alias = "code")]
        code: Option<String>,
    }

    let Envelope { message, code } = serde_json::from_slice(body).ok()?;
    let code = code.unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    Some(failure(code, None, message))
}

fn failure(code: &str, original: Option<u16>, message: String) -> Failure {
    let wrapped = class_of_code(code);
    // The model's own status says more than that Bedrock wrapped it.
    let named = match original {
        Some(429) => Some(FailureClass::RateLimited),
        Some(503 | 529) => Some(FailureClass::Overloaded),
        Some(408 | 504) => Some(FailureClass::Timeout),
        Some(400 | 413) if is_too_long(&message) => Some(FailureClass::ContextWindow),
        _ => wrapped,
    };
    let class = match named {
        Some(FailureClass::BadRequest) if is_too_long(&message) => FailureClass::ContextWindow,
        Some(class) => class,
        None => FailureClass::Server,
    };
    // A fault that is named is one whatever its text says; an error without a name goes by the text.
    let kind = (named == Some(FailureClass::Server)).then(|| "server_error".into());
    Failure { kind, ..Failure::new(class, message) }
}

/// The class of an exception's name; `None`: it is no name that Amazon uses.
#[must_use]
pub fn class_of_code(code: &str) -> Option<FailureClass> {
    let name = code.strip_suffix("Exception").or_else(|| code.strip_suffix("exception"));
    let known = match &*name.unwrap_or(code).to_ascii_lowercase() {
        "throttling" | "toomanyrequests" | "modelnotready" => FailureClass::RateLimited,
        "serviceunavailable" => FailureClass::Overloaded,
        "modeltimeout" | "requesttimeout" => FailureClass::Timeout,
        "servicequotaexceeded" => FailureClass::Quota,
        "accessdenied"
        | "expiredtoken"
        | "unrecognizedclient"
        | "invalidsignature"
        | "incompletesignature"
        | "signaturedoesnotmatch"
        | "missingauthenticationtoken"
        | "missingauthenticationtokenexception"
        | "invalidclienttokenid"
        | "notauthorized"
        | "optinrequired" => FailureClass::Auth,
        "resourcenotfound" => FailureClass::NotFound,
        "conflict" => FailureClass::Conflict,
        "internalserver" | "internalfailure" | "modelerror" | "modelstreamerror" => {
            FailureClass::Server
        }
        "validation" => FailureClass::BadRequest,
        _ => return None,
    };
    Some(known)
}

fn is_too_long(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    ["input is too long", "prompt is too long", "too many input tokens", "exceed context limit"]
        .iter()
        .any(|text| message.contains(text))
}
