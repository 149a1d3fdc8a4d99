//! What a provider's error means: its class, and the words for the client.
//!
//! The class is decided by machine codes first, then by the status, and by the text only where the
//! status leaves it open. Texts never decide about a 429 or a 5xx: "too many tokens" is a rate limit
//! at one provider and a long prompt at another.

use std::borrow::Cow;
use std::time::SystemTime;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::retry_after::retry_after;
use super::text_of;
use crate::catalog::Deployment;
use crate::dialect::Dialect;
use crate::failure::{Failure, FailureClass};
use crate::wire::{self, bedrock::class_of_code};

/// The longest message that is passed on, in bytes.
const MAX_MESSAGE: usize = 4096;
/// How much of a body that cannot be read is shown.
const MAX_RAW: usize = 200;
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
    discreet(deployment, failure)
}

/// Whether a client of the provider's own dialect may read its error as it came: it is one, it is not
/// about our credentials, and it repeats none of them.
#[must_use]
pub fn is_for_client(deployment: &Deployment, failure: &Failure, body: &[u8]) -> bool {
    let is_error = || {
        let parsed = serde_json::from_slice::<Value>(body);
        parsed.is_ok_and(|body| body.get("error").is_some_and(Value::is_object))
    };
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

/// A failure that a format found inside a 200, judged by the rules for error responses: the same
/// words mean the same thing wherever they come.
#[must_use]
pub fn reclassify(deployment: &Deployment, failure: Failure) -> Failure {
    discreet(deployment, judged(failure))
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
        (failure.kind, failure.code, failure.param) =
            words_for_clients(class, failure.kind, code, failure.param);
    }
    failure
}

/// Takes the deployment's credentials out of everything that a client or a log may see.
fn discreet(deployment: &Deployment, mut failure: Failure) -> Failure {
    let headers = &deployment.target.headers;
    redact(&mut failure.message, headers);
    for text in [&mut failure.kind, &mut failure.code, &mut failure.param].into_iter().flatten() {
        redact(text, headers);
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
    let retry_after = retry_after(status, headers, &error.message, &error.object, now);
    let should_retry = match text_of(headers, "x-should-retry") {
        Some("true") => Some(true),
        Some("false") => Some(false),
        _ => None,
    };
    let (kind, code, param) = words_for_clients(class, error.kind, error.code, error.param);
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

/// The class that machine codes, status and text make. `status` is `None` for an error inside a
/// stream, where only the other two can tell.
#[must_use]
pub fn class_of(status: Option<u16>, codes: &[impl AsRef<str>], text: &str) -> FailureClass {
    let by_code = CODES.iter().find_map(|(class, names)| {
        let is_named = |code: &str| names.iter().any(|name| name.eq_ignore_ascii_case(code));
        codes.iter().any(|code| is_named(code.as_ref())).then_some(*class)
    });
    // A request over the limit of a whole minute is refused at once by some (Groq) as too large.
    if status == Some(413) && matches!(by_code, Some(FailureClass::RateLimited)) {
        return FailureClass::ContextWindow;
    }
    if let Some(class) = by_code {
        return class;
    }
    // A name of Amazon's says more than the status, except that it wraps every refusal alike.
    let of_amazon = codes.iter().find_map(|code| class_of_code(code.as_ref()));
    match of_amazon {
        None => {}
        Some(FailureClass::BadRequest) => {
            return by_text(codes, text).unwrap_or(FailureClass::BadRequest);
        }
        Some(FailureClass::Server) if status.is_none() => {}
        Some(class) => return class,
    }
    match status {
        Some(401) => FailureClass::Auth,
        Some(402) => FailureClass::Quota,
        Some(408 | 504 | 522 | 524) => FailureClass::Timeout,
        Some(409) => FailureClass::Conflict,
        Some(429) => FailureClass::RateLimited,
        // 498 is Groq's word for no room in the flex tier.
        Some(498 | 503 | 529) => FailureClass::Overloaded,
        Some(424 | 500..) => FailureClass::Server,
        Some(400..) => by_text(codes, text).unwrap_or(match status {
            Some(403) => FailureClass::Auth,
            Some(404 | 410) => FailureClass::NotFound,
            Some(413) => FailureClass::ContextWindow,
            _ => FailureClass::BadRequest,
        }),
        Some(_) | None => by_text(codes, text).unwrap_or_else(|| {
            let is_bad = |code: &str| BAD_REQUEST_CODES.contains(&code);
            match codes.iter().any(|code| is_bad(code.as_ref())) {
                true => FailureClass::BadRequest,
                false => FailureClass::Server,
            }
        }),
    }
}

/// Codes, types and reasons that mean one thing whatever the status is. The first class that has
/// one of the codes wins: an error of type `rate_limit_error` whose code is a spend limit is a quota.
const CODES: &[(FailureClass, &[&str])] = &[
    (
        FailureClass::ContentPolicy,
        &[
            "content_policy_violation",
            "content_filter",
            "ResponsibleAIPolicyViolation",
            "refusal",
            "ERROR_TOXIC",
            "data_inspection_failed",
        ],
    ),
    (
        FailureClass::ContextWindow,
        &[
            "context_length_exceeded",
            "max_tokens_exceeded",
            "token_limit_exceeded",
            "exceed_context_size_error",
            "request_too_large",
            "model_context_window_exceeded",
        ],
    ),
    (
        FailureClass::Quota,
        &[
            "insufficient_quota",
            "billing_error",
            "billing_hard_limit_reached",
            "billing_not_active",
            "payment_required",
            "enforced_spend_limit_reached",
            "contract_spend_limit_reached",
            QUOTA_PER_DAY,
        ],
    ),
    (
        FailureClass::Auth,
        &[
            "invalid_api_key",
            "API_KEY_INVALID",
            "authentication_error",
            "authentication",
            "permission_error",
            "permission_denied",
            "UNAUTHENTICATED",
        ],
    ),
    (
        FailureClass::RateLimited,
        &[
            "rate_limit_exceeded",
            "rate_limit_error",
            "RateLimitReached",
            "ramp_limit_exceeded",
            "RESOURCE_EXHAUSTED",
            "ThrottlingException",
            "too_many_requests",
            "TooManyRequests",
        ],
    ),
    (
        FailureClass::Overloaded,
        &[
            "overloaded_error",
            "overloaded",
            "provider_overloaded",
            "provider_unavailable",
            "service_unavailable",
            "UNAVAILABLE",
        ],
    ),
    (FailureClass::Timeout, &["timeout_error", "timeout", "DEADLINE_EXCEEDED"]),
    (FailureClass::Conflict, &["conflict_error"]),
    (
        FailureClass::NotFound,
        &["model_not_found", "not_found_error", "not_found", "DeploymentNotFound", "NOT_FOUND"],
    ),
];

/// Codes that blame the request. They are too general to be believed where there is a status: Azure
/// refuses content by an `invalid_request_error`, and others credentials.
const BAD_REQUEST_CODES: &[&str] = &[
    "invalid_request_error",
    "invalid_request",
    "BadRequestError",
    "invalid_prompt",
    "string_too_long",
    "unprocessable",
    "payload_too_large",
];

/// Our own word for a limit of Google's that only the next day lifts.
const QUOTA_PER_DAY: &str = "quota per day";

/// Texts that say that a prompt is too long, in lower case.
const CONTEXT_TEXTS: &[&str] = &[
    "maximum context length",
    "model's context length",
    "exceeds the context window",
    "context window exceeds limit",
    "exceed context limit",
    "prompt is too long",
    "prompt too long",
    "exceeds the maximum number of tokens",
    "request payload size exceeds",
    "input is too long for requested model",
    "too many input tokens",
    "too many tokens",
    "expected maxlength",
    "too large for model with",
    "maximum prompt length is",
    "reduce the length of the messages",
    "exceeds the available context size",
    "greater than the context length",
    "exceeded model token limit",
    "context length exceeded",
];

/// Texts that say that the content was refused, in lower case.
const POLICY_TEXTS: &[&str] = &[
    "violating our usage policy",
    "rejected as a result of our safety system",
    "content management policy",
    "blocked by content filtering policy",
    "the response was blocked",
    "content exists risk",
];

/// Texts that a request cannot be blamed for, although the status does.
const QUOTA_TEXTS: &[&str] = &["credit balance is too low", "insufficient balance"];
/// Bedrock's words for a model that the account or the region does not have under that id.
const MODEL_TEXTS: &[&str] =
    &["with on-demand throughput isn", "the provided model identifier is invalid"];
const AUTH_TEXTS: &[&str] = &["api key not valid", "invalid api key", "incorrect api key"];

fn by_text(codes: &[impl AsRef<str>], text: &str) -> Option<FailureClass> {
    let text = text.to_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if text.contains("throttling error") {
        return Some(FailureClass::RateLimited);
    }
    if has(QUOTA_TEXTS) {
        return Some(FailureClass::Quota);
    }
    if has(MODEL_TEXTS) {
        return Some(FailureClass::NotFound);
    }
    if has(AUTH_TEXTS) {
        return Some(FailureClass::Auth);
    }
    if has(POLICY_TEXTS) {
        return Some(FailureClass::ContentPolicy);
    }
    let is_field_too_long =
        codes.iter().any(|code| matches!(code.as_ref(), "string_above_max_length"));
    // The client asked for more output than the model can give: no larger window helps.
    let is_output_too_large = text.contains("max_tokens") && text.contains("is too large");
    if is_field_too_long || is_output_too_large || text.contains("rate limit") {
        return None;
    }
    let is_cerebras = text.contains("current length is") && text.contains("while limit is");
    (has(CONTEXT_TEXTS) || is_cerebras).then_some(FailureClass::ContextWindow)
}

/// Type, code and field as a client of OpenAI expects them: the provider's own where it has
/// machine-readable ones, OpenAI's where it has not.
fn words_for_clients(
    class: FailureClass,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
) -> (Option<String>, Option<String>, Option<String>) {
    let (usual_kind, usual_code) = match class {
        FailureClass::BadRequest => ("invalid_request_error", None),
        // Clients compact the conversation on these very words.
        FailureClass::ContextWindow => {
            return (
                Some("invalid_request_error".to_owned()),
                Some("context_length_exceeded".to_owned()),
                Some(param.unwrap_or_else(|| "messages".to_owned())),
            );
        }
        FailureClass::ContentPolicy => ("invalid_request_error", Some("content_policy_violation")),
        FailureClass::NotFound => ("invalid_request_error", Some("model_not_found")),
        FailureClass::Auth => ("authentication_error", None),
        FailureClass::Quota => ("insufficient_quota", Some("insufficient_quota")),
        FailureClass::RateLimited => ("rate_limit_error", Some("rate_limit_exceeded")),
        FailureClass::Overloaded => ("overloaded_error", Some("overloaded")),
        FailureClass::Timeout => ("timeout_error", None),
        FailureClass::Connection | FailureClass::Server => ("server_error", None),
        FailureClass::Conflict => ("conflict_error", None),
    };
    let kind = kind.unwrap_or_else(|| usual_kind.to_owned());
    (Some(kind), code.or_else(|| usual_code.map(str::to_owned)), param)
}

/// What an error body says, whichever shape it has.
#[derive(Debug, Default)]
struct ErrorBody {
    message: String,
    /// The message and further texts that are searched for known phrases.
    searched: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
    /// A code that is an HTTP status.
    numeric_code: Option<u16>,
    /// All machine codes, from the outside in.
    codes: Vec<String>,
    /// The error object itself.
    object: Value,
}

impl ErrorBody {
    /// Reads `{"error": {..}}`, `{"error": "text"}`, a list of one, an object at the top level,
    /// and `detail`.
    fn read(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(Value::Array(list)) => Self::from_value(status, list.into_iter().next()),
            Ok(value) => Self::from_value(status, Some(value)),
            Err(_) => {
                let message = describe_raw(status, body);
                Self { searched: message.clone(), message, ..Self::default() }
            }
        }
    }

    fn from_value(status: u16, value: Option<Value>) -> Self {
        let Some(Value::Object(mut top)) = value else {
            let message = match value {
                Some(Value::String(text)) if !text.trim().is_empty() => clean(&text, MAX_MESSAGE),
                _ => format!("the provider answered {status} without saying why"),
            };
            return Self { searched: message.clone(), message, ..Self::default() };
        };
        // Some repeat the code beside a text: `{"code": "..", "error": "text"}`.
        let inner = match top.remove("error") {
            Some(Value::Array(list)) => list.into_iter().next(),
            other => other,
        };
        let object = match inner {
            Some(Value::Object(inner)) => Value::Object(inner),
            Some(Value::String(text)) => {
                top.entry("message").or_insert(Value::String(text));
                Value::Object(top)
            }
            _ => Value::Object(top),
        };
        Self::from_object(status, object)
    }

    fn from_object(status: u16, object: Value) -> Self {
        let mut body = Self::default();
        let raw = object.pointer("/metadata/raw").and_then(text_within);
        let message = ["message", "Message", "msg", "detail", "errors", "description"]
            .iter()
            .find_map(|field| text_within(object.get(*field)?));
        body.searched = message.clone().unwrap_or_default();
        if let Some(raw) = &raw {
            body.searched.push(' ');
            body.searched.push_str(raw);
        }
        // A marketplace hides the maker's words behind a phrase that says nothing.
        let message = match (message, raw) {
            (Some(said), Some(raw)) if said == "Provider returned error" => Some(raw),
            (message, raw) => message.or(raw),
        };
        body.message = message.map_or_else(
            || format!("the provider answered {status} without saying why"),
            |message| clean(&message, MAX_MESSAGE),
        );

        match object.get("code") {
            Some(Value::Number(code)) => {
                body.numeric_code = code.as_u64().and_then(|code| u16::try_from(code).ok());
            }
            Some(Value::String(code)) => match code.parse() {
                Ok(code) => body.numeric_code = Some(code),
                Err(_) => body.code = machine_code(code),
            },
            _ => {}
        }
        body.numeric_code = body.numeric_code.filter(|code| (400..600).contains(code));
        body.kind = object.get("type").and_then(Value::as_str).and_then(machine_code);
        // A wrapper's type says only that it is a wrapper.
        if body.kind.as_deref() == Some("error") {
            body.kind = None;
        }
        body.param = object.get("param").and_then(Value::as_str).map(|text| clean(text, MAX_RAW));

        let places = [
            "/innererror/code",
            "/metadata/error_type",
            "/details/error_code",
            "/error_type",
            "/status",
        ];
        body.codes.extend(body.code.clone());
        for place in places {
            body.codes.extend(object.pointer(place).and_then(Value::as_str).map(str::to_owned));
        }
        body.codes.extend(body.kind.clone());
        // Amazon's class may stand behind a name space: `com.amazon.coral.service#Throttling...`.
        let class = object.get("__type").and_then(Value::as_str);
        body.codes.extend(class.and_then(|text| text.rsplit('#').next()).map(str::to_owned));
        for detail in object.get("details").and_then(Value::as_array).into_iter().flatten() {
            body.codes.extend(detail.get("reason").and_then(Value::as_str).map(str::to_owned));
            let violations = detail.get("violations").and_then(Value::as_array);
            for violation in violations.into_iter().flatten() {
                let quota = violation.get("quotaId").and_then(Value::as_str);
                if quota.is_some_and(|quota| quota.contains("PerDay")) {
                    body.codes.push(QUOTA_PER_DAY.to_owned());
                }
            }
        }
        // Moderation at a marketplace: the reasons are there, a code is not.
        if object.pointer("/metadata/reasons").is_some_and(Value::is_array) {
            body.codes.push("content_policy_violation".to_owned());
        }
        body.object = object;
        body
    }
}

/// The text that a value holds: itself, its message, or those of its parts.
fn text_within(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => {
            // A whole error body in a string.
            let nested = text.trim_start().starts_with('{');
            let nested = nested.then(|| serde_json::from_str::<Value>(text).ok()).flatten();
            nested
                .and_then(|value| text_within(value.get("error").unwrap_or(&value)))
                .or_else(|| Some(text.clone()).filter(|text| !text.trim().is_empty()))
        }
        Value::Object(object) => {
            let text = object.get("message").or_else(|| object.get("msg")).and_then(text_within)?;
            // FastAPI names the field at fault in `loc`.
            let place = object.get("loc").and_then(Value::as_array).map(|parts| {
                let parts = parts.iter().map(|part| match part {
                    Value::String(name) => name.clone(),
                    other => other.to_string(),
                });
                parts.collect::<Vec<_>>().join(".")
            });
            Some(place.map_or_else(|| text.clone(), |place| format!("{place}: {text}")))
        }
        Value::Array(list) => {
            let texts: Vec<String> = list.iter().filter_map(text_within).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A code that a program can compare; sentences in the place of a code are none.
fn machine_code(text: &str) -> Option<String> {
    let is_code = (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte));
    is_code.then(|| text.to_owned())
}

/// Says of a body that is not JSON what can be said shortly.
fn describe_raw(status: u16, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..MAX_MESSAGE).unwrap_or(body));
    let text = text.trim();
    if text.is_empty() {
        return format!("the provider answered {status} without a body");
    }
    if text.starts_with('<') {
        let title = text.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
        let title = title.map(|(title, _)| format!(": {}", clean(title, MAX_RAW)));
        return format!(
            "the provider answered {status} with a web page{}",
            title.unwrap_or_default()
        );
    }
    format!("the provider answered {status}: {}", clean(text, MAX_RAW))
}

/// The text without control characters, and not longer than `max` bytes.
fn clean(text: &str, max: usize) -> String {
    let text = text.trim();
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    let mut clean: Cow<'_, str> = Cow::Borrowed(kept);
    if kept.contains(|c: char| c.is_control() && c != '\n' && c != '\t') {
        clean = kept.replace(|c: char| c.is_control() && c != '\n' && c != '\t', " ").into();
    }
    let mut clean = clean.into_owned();
    if end < text.len() {
        clean.push_str("...");
    }
    clean
}

#[cfg(test)]
mod tests;
