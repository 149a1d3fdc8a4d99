//! What stands in an error's body, whichever shape it has: message, codes, field.
//!
//! Knows where providers write these, not what they mean.

use std::borrow::Cow;

use serde_json::Value;

use super::class::QUOTA_PER_DAY;

/// The longest message that is passed on, in bytes.
pub(super) const MAX_MESSAGE: usize = 4096;
/// How much of a body that cannot be read is shown.
pub(super) const MAX_RAW: usize = 200;

/// What an error body says, whichever shape it has.
#[derive(Debug, Default)]
pub(super) struct ErrorBody {
    pub(super) message: String,
    /// The message and further texts that are searched for known phrases.
    pub(super) searched: String,
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) param: Option<String>,
    /// A code that is an HTTP status.
    pub(super) numeric_code: Option<u16>,
    /// All machine codes, from the outside in.
    pub(super) codes: Vec<String>,
    /// The error object itself.
    pub(super) object: Value,
}

impl ErrorBody {
    /// Reads `{"error": {..}}`, `{"error": "text"}`, a list of one, an object at the top level,
    /// and `detail`.
    pub(super) fn read(status: u16, body: &[u8]) -> Self {
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
        // What the model had written when Groq gave up: clients save what they can of it.
        if let Some(written) = object.get("failed_generation").and_then(Value::as_str) {
            let written = clean(written, MAX_MESSAGE);
            body.message = format!("{} failed_generation: {written}", body.message);
        }

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
            let names = ["message", "msg", "detail"];
            let text = names.iter().find_map(|name| text_within(object.get(*name)?))?;
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
