//! Errors that come with a status of 200: a response that failed, and the events that say so.

use serde::Deserialize;

use crate::failure::{Failure, FailureClass};
use crate::wire::fields::Text;
use crate::wire::openai::ErrorBody;

/// What OpenAI writes where it has no room; the code beside it is a mere `server_error`.
const OVERLOADED: &str = "currently overloaded";

/// The error of a response, or of an event of type `error`: there its fields stand at the top.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Problem<'a> {
    #[serde(borrow, default)]
    code: Option<Text<'a>>,
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    param: Option<Text<'a>>,
}

impl Problem<'_> {
    /// What it means, as far as its code and text tell; `provider::reclassify` knows the rest.
    pub(super) fn into_failure(self) -> Failure {
        let text = |text: Option<Text<'_>>| text.map(|text| text.0.into_owned());
        let message = text(self.message).filter(|message| !message.is_empty());
        let message = message.unwrap_or_else(|| "the provider gave no reason".to_owned());
        let code: Option<Box<str>> = text(self.code).map(Box::from);
        let class = if message.contains(OVERLOADED) {
            FailureClass::Overloaded
        } else {
            class_of(code.as_deref().unwrap_or_default())
        };
        Failure { code, param: text(self.param).map(Box::from), ..Failure::new(class, message) }
    }
}

/// Codes of the Responses API that no other API has. All others are judged with those of errors.
fn class_of(code: &str) -> FailureClass {
    match code {
        "bio_policy" | "misalignment_policy_violation" | "image_content_policy_violation" => {
            FailureClass::ContentPolicy
        }
        "rate_limit_exceeded" => FailureClass::RateLimited,
        "data_residency_mismatch" | "failed_to_download_image" | "empty_image_file" => {
            FailureClass::BadRequest
        }
        code if code.starts_with("invalid_") || code.starts_with("image_") => {
            FailureClass::BadRequest
        }
        _ => FailureClass::Server,
    }
}

/// The failure that an event of type `error` means. Some servers nest the object.
pub(super) fn in_event(data: &[u8]) -> Failure {
    let flat: Option<Problem<'_>> = serde_json::from_slice(data).ok();
    match flat {
        Some(problem) if problem.message.is_some() || problem.code.is_some() => {
            problem.into_failure()
        }
        _ => ErrorBody::read(data)
            .map_or_else(|| garbage("the provider sent an error"), ErrorBody::into_failure),
    }
}

/// The provider sent something that is not what it should be.
pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_texts_tell_the_class() {
        for (data, class) in [
            (r#"{"type":"error","code":"server_error","message":"x"}"#, FailureClass::Server),
            (r#"{"code":"rate_limit_exceeded","message":"x"}"#, FailureClass::RateLimited),
            (
                r#"{"code":"server_error","message":"Our servers are currently overloaded."}"#,
                FailureClass::Overloaded,
            ),
            (r#"{"code":"invalid_prompt","message":"x"}"#, FailureClass::BadRequest),
            (r#"{"code":"bio_policy","message":"x"}"#, FailureClass::ContentPolicy),
            (r#"{"error":{"code":"server_error","message":"nested"}}"#, FailureClass::Server),
            ("{}", FailureClass::Server),
        ] {
            assert_eq!(in_event(data.as_bytes()).class, class, "{data}");
        }
        assert_eq!(in_event(br#"{"error":{"message":"nested"}}"#).message, "nested");
    }
}
