//! What a provider's error means: its class, and the words for the client.
//!
//! The class is decided by machine codes first, then by the status, and by the text only where the
//! status leaves it open. Texts never decide about a 429 or a 5xx: "too many tokens" is a rate limit
//! at one provider and a long prompt at another.

mod body;
mod class;

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use body::ErrorBody;
pub use class::class_of;

use super::retry_after::retry_after;
use super::text_of;
use crate::catalog::Deployment;
use crate::dialect::{ClientDialect, Dialect};
use crate::failure::{Failure, FailureClass};
use crate::wire;

/// What is put in place of a credential that a provider repeats.
const REDACTED: &str = "***";
/// Shorter credentials are not looked for: they might be part of a word.
const MIN_SECRET: usize = 8;

/// What an error response of a deployment means.
///
/// `status` is the response's; a 200 whose body is an error counts as the status that its code names.
/// Credentials of ours that the provider repeats are taken out of the message.
#[must_use]
pub fn classify(
    deployment: &Deployment,
    status: u16,
    headers: &HeaderMap,
    body: &[u8],
    now: SystemTime,
) -> Failure {
    let meant = match (deployment.dialect, status) {
        // Cohere's status for a token that is not valid; at others, no room.
        (Dialect::Cohere, 498) => 401,
        // Its word for a request that ended before it was answered. Nobody here ended it.
        (Dialect::Cohere, 499) => 500,
        _ => status,
    };
    let mut failure = classify_response(meant, headers, body, now);
    let mapping = deployment.mapping.as_deref();
    if let Some(message) = mapping.and_then(|map| wire::custom::error_message(map, body)) {
        failure.message = message;
    }
    if deployment.dialect == Dialect::Anthropic && failure.class == FailureClass::BadRequest {
        let named = failure.param.take();
        failure.param = named.or_else(|| blamed(&failure.message).map(Box::from));
    }
    discreet(deployment, failure)
}

/// The field at which a message of Anthropic's points: `messages.1.content.0.type: Expected ...`.
fn blamed(message: &str) -> Option<&str> {
    let (path, _) = message.split_once(": ")?;
    let plain =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
    (!path.is_empty() && path.bytes().all(plain)).then_some(path)
}

/// Whether a client of the provider's own dialect may read its error as it came: it is one, it is not
/// about our credentials, and it repeats none of them.
#[must_use]
pub fn is_for_client(
    deployment: &Deployment,
    dialect: ClientDialect,
    failure: &Failure,
    body: &[u8],
) -> bool {
    let is_error = || is_error_of(dialect, &serde_json::from_slice(body).unwrap_or_default());
    let secrets = deployment.target.headers.iter().filter(|(_, value)| value.is_sensitive());
    let mut secrets = secrets.map(|(_, value)| {
        let secret = value.as_bytes();
        secret.strip_prefix(b"Bearer ").unwrap_or(secret)
    });
    failure.class != FailureClass::Auth
        && is_error()
        && !secrets.any(|secret| {
            secret.len() >= MIN_SECRET && memchr::memmem::find(body, secret).is_some()
        })
}

/// Whether an error has the shape that a client of the dialect reads: not every server that copies an
/// API copies its errors.
fn is_error_of(dialect: ClientDialect, body: &Value) -> bool {
    let Some(error) = body.get("error") else { return false };
    let is_text = |name: &str| error.get(name).is_some_and(Value::is_string);
    match dialect {
        ClientDialect::Anthropic => {
            body.get("type").is_some_and(|kind| kind == "error")
                && is_text("type")
                && is_text("message")
        }
        ClientDialect::Gemini => {
            error.get("code").is_some_and(Value::is_u64) && is_text("status") && is_text("message")
        }
        ClientDialect::OpenAi | ClientDialect::Responses => is_text("message"),
    }
}

/// A failure that a format found inside a 200, judged by the rules for error responses: the same
/// words mean the same thing wherever they come.
///
/// `headers` are those of the 200, if they are known: it may say when to come again, too.
#[must_use]
pub fn reclassify(
    deployment: &Deployment,
    failure: Failure,
    headers: Option<&HeaderMap>,
    now: SystemTime,
) -> Failure {
    let mut failure = discreet(deployment, judged(failure));
    let names_a_time = matches!(
        failure.class,
        FailureClass::RateLimited | FailureClass::Overloaded | FailureClass::Quota
    );
    if names_a_time && failure.retry_after.is_none() {
        let none = HeaderMap::new();
        let headers = headers.unwrap_or(&none);
        failure.retry_after =
            delay(failure.class, 200, headers, &failure.message, &Value::Null, now);
    }
    failure
}

/// How long to stay away. What a provider says about an empty account in passing is of no use: Google
/// asks to come again in half a minute where only the next day helps.
fn delay(
    class: FailureClass,
    status: u16,
    headers: &HeaderMap,
    message: &str,
    error: &Value,
    now: SystemTime,
) -> Option<Duration> {
    match class {
        FailureClass::Quota => retry_after(402, headers, "", &Value::Null, now),
        // What stands in a 200 counts as the status that it would have had.
        FailureClass::RateLimited => retry_after(status.max(429), headers, message, error, now),
        FailureClass::Overloaded => retry_after(status.max(503), headers, message, error, now),
        _ => retry_after(status, headers, message, error, now),
    }
}

fn judged(mut failure: Failure) -> Failure {
    let vague = matches!(failure.class, FailureClass::Server | FailureClass::BadRequest);
    let codes: Vec<&str> =
        [&failure.kind, &failure.code].into_iter().flatten().map(|s| &**s).collect();
    let class = class_of(failure.status, &codes, &failure.message);
    if vague && !failure.blameless && class != FailureClass::Server {
        failure.class = class;
        // A bare status is no stable word.
        let code = failure.code.filter(|code| code.parse::<u16>().is_err());
        [failure.kind, failure.code, failure.param] =
            words_for_clients(class, [failure.kind, code, failure.param]);
    }
    failure
}

/// Takes the deployment's credentials out of everything that a client or a log may see.
fn discreet(deployment: &Deployment, mut failure: Failure) -> Failure {
    let headers = &deployment.target.headers;
    redact(&mut failure.message, headers);
    for text in [&mut failure.kind, &mut failure.code, &mut failure.param].into_iter().flatten() {
        let mut word = std::mem::take(text).into_string();
        redact(&mut word, headers);
        *text = word.into();
    }
    failure
}

/// Takes the secrets among `headers` out of a text.
fn redact(message: &mut String, headers: &[(HeaderName, HeaderValue)]) {
    for (_, value) in headers.iter().filter(|(_, value)| value.is_sensitive()) {
        let Ok(secret) = value.to_str() else { continue };
        let secret = secret.strip_prefix("Bearer ").unwrap_or(secret);
        if secret.len() >= MIN_SECRET && message.contains(secret) {
            *message = message.replace(secret, REDACTED);
        }
    }
}

fn classify_response(status: u16, headers: &HeaderMap, body: &[u8], now: SystemTime) -> Failure {
    let mut error = ErrorBody::read(status, body);
    // Amazon names the class in a header: `ValidationException:http://...`.
    let named = text_of(headers, "x-amzn-errortype").and_then(|text| text.split(':').next());
    error.codes.extend(named.map(str::to_owned));
    let status = match error.numeric_code {
        Some(code) if status < 400 => code,
        _ => status,
    };
    let class = class_of(Some(status), &error.codes, &error.searched);
    let retry_after = delay(class, status, headers, &error.message, &error.object, now);
    let should_retry = match text_of(headers, "x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let words = [error.kind, error.code, error.param].map(|it| it.map(Box::from));
    let [kind, code, param] = words_for_clients(class, words);
    Failure {
        class,
        status: Some(status),
        message: error.message,
        kind,
        code,
        param,
        retry_after,
        should_retry,
        blameless: false,
    }
}

/// Whether a refusal to count tokens means that they are not counted there: not of this model, or
/// not in this place.
#[must_use]
pub fn cannot_count(failure: &Failure) -> bool {
    let says = |part: &str| failure.message.to_ascii_lowercase().contains(part);
    match failure.class {
        FailureClass::NotFound => true,
        FailureClass::BadRequest => says("support") && says("count"),
        _ => false,
    }
}

/// Type, code and field, each if there is one.
type Words = [Option<Box<str>>; 3];

/// Type, code and field as a client of OpenAI expects them: the provider's own where it has
/// machine-readable ones that agree with the class, those of the class where it has not.
fn words_for_clients(class: FailureClass, [kind, code, param]: Words) -> Words {
    let told = class.telling();
    // Clients compact the conversation on these very words.
    if class == FailureClass::ContextWindow {
        let param = param.unwrap_or_else(|| "messages".into());
        return [Some(told.kind.into()), Some(told.code.into()), Some(param)];
    }
    let (usual_kind, usual_code) = match class {
        FailureClass::Connection | FailureClass::Server => ("server_error", None),
        FailureClass::NotFound => (told.kind, Some("model_not_found")),
        FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::Quota
        | FailureClass::RateLimited
        | FailureClass::Overloaded => (told.kind, Some(told.code)),
        FailureClass::BadRequest
        | FailureClass::Auth
        | FailureClass::Timeout
        | FailureClass::Conflict => (told.kind, None),
    };
    let agrees = |word: &str| class.is_of_the_request() || !class::blames_the_request(word);
    let kind = kind.filter(|kind| agrees(kind)).unwrap_or_else(|| usual_kind.into());
    let code = code.filter(|code| agrees(code)).or_else(|| usual_code.map(Box::from));
    [Some(kind), code, param]
}

#[cfg(test)]
mod tests;
