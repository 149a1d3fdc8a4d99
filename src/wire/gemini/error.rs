//! Google's errors: what they mean, and the fields that a client of OpenAI looks at.

use serde_json::Value;

use crate::failure::{Failure, FailureClass};

/// The error in what should have been something else; `None` if there is none.
pub(super) fn within(data: &[u8]) -> Option<Failure> {
    let value: Value = serde_json::from_slice(data).ok()?;
    let value = match &value {
        Value::Array(list) => list.first()?,
        value => value,
    };
    match value.get("error")? {
        Value::Null => None,
        Value::String(message) => Some(garbage(message.as_str())),
        error => Some(of(error)),
    }
}

/// The provider sent something that is not what it should be.
pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

fn of(error: &Value) -> Failure {
    let text = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
    let message = match text("message").trim() {
        "" => "the provider failed without saying why",
        message => message,
    };
    let details = error.get("details").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let reasons = details.iter().filter_map(|detail| detail.get("reason")?.as_str());
    let number = error.get("code").and_then(Value::as_u64);
    let is_named = number.is_some() || !text("status").is_empty();
    let class = class(text("status"), number, message);
    let class = if reasons.into_iter().any(|reason| reason == "API_KEY_INVALID") {
        FailureClass::Auth
    } else if class == FailureClass::RateLimited && details.iter().any(is_daily) {
        FailureClass::Quota
    } else {
        class
    };
    // Without a name of its own the text may still tell what it is.
    let (kind, code) = match class {
        FailureClass::Server if !is_named => (None, None),
        class => {
            let (kind, code) = words(class);
            (Some(kind), code)
        }
    };
    // Half a minute does not refill a quota of a day.
    let details = if class == FailureClass::Quota { &[] } else { details };
    let retry_after = details.iter().find_map(|detail| {
        let seconds = detail.get("retryDelay")?.as_str()?.strip_suffix('s')?;
        std::time::Duration::try_from_secs_f64(seconds.parse().ok()?).ok()
    });
    Failure {
        kind: kind.map(Box::from),
        code: code.map(Box::from),
        param: (class == FailureClass::ContextWindow).then(|| "messages".into()),
        retry_after,
        ..Failure::new(class, message)
    }
}

/// A limit that only the next day lifts.
fn is_daily(detail: &Value) -> bool {
    let violations = detail.get("violations").and_then(Value::as_array);
    violations.into_iter().flatten().any(|violation| {
        let quota = violation.get("quotaId").and_then(Value::as_str);
        quota.is_some_and(|quota| quota.contains("PerDay"))
    })
}

fn class(status: &str, code: Option<u64>, message: &str) -> FailureClass {
    match (status, code) {
        ("RESOURCE_EXHAUSTED", _) | (_, Some(429)) => FailureClass::RateLimited,
        ("UNAVAILABLE", _) | (_, Some(503)) => FailureClass::Overloaded,
        ("DEADLINE_EXCEEDED", _) | (_, Some(408 | 504)) => FailureClass::Timeout,
        ("UNAUTHENTICATED" | "PERMISSION_DENIED", _) | (_, Some(401 | 403)) => FailureClass::Auth,
        ("NOT_FOUND", _) | (_, Some(404)) => FailureClass::NotFound,
        ("ABORTED", _) | (_, Some(409)) => FailureClass::Conflict,
        ("INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE", _)
        | (_, Some(400 | 413 | 422)) => refused(message),
        _ => FailureClass::Server,
    }
}

/// Why a request was refused, by the only sign that Google gives: the text.
fn refused(message: &str) -> FailureClass {
    let message = message.to_ascii_lowercase();
    let says = |text: &str| message.contains(text);
    if says("exceeds the maximum number of tokens") || says("request payload size exceeds") {
        FailureClass::ContextWindow
    } else if says("api key not valid") {
        FailureClass::Auth
    } else if says("the response was blocked") {
        FailureClass::ContentPolicy
    } else {
        FailureClass::BadRequest
    }
}

/// Type and code as OpenAI's clients branch on them.
const fn words(class: FailureClass) -> (&'static str, Option<&'static str>) {
    let told = class.telling();
    match class {
        FailureClass::NotFound => (told.kind, Some("model_not_found")),
        FailureClass::Connection | FailureClass::Server => ("server_error", None),
        FailureClass::BadRequest
        | FailureClass::Auth
        | FailureClass::Timeout
        | FailureClass::Conflict => (told.kind, None),
        FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::Quota
        | FailureClass::RateLimited
        | FailureClass::Overloaded => (told.kind, Some(told.code)),
    }
}
