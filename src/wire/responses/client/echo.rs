//! The response object: what the reply says, and what of the request it repeats.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::usage::Usage;
use crate::wire::client::Telling;
use crate::wire::json::{Object, quoted};

/// Fields of a request that its response repeats, with their defaults.
const REPEATED: [(&str, &str); 15] = [
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("prompt_cache_key", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", r#""auto""#),
    ("tools", "[]"),
    ("top_logprobs", "null"),
    ("top_p", "1.0"),
    ("user", "null"),
];

/// What every response of one request has in common.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// Fields as JSON text, each with its comma.
    fields: String,
    pub(super) created: u64,
}

/// How a response stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    InProgress,
    Completed,
    /// With the reason.
    Incomplete(&'static str),
    Failed,
}

impl Status {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
            Self::Failed => "failed",
        }
    }

    /// The status of what a chat ended with this finish reason.
    pub(super) fn of(finish_reason: Option<&str>) -> Self {
        match finish_reason {
            Some("length") => Self::Incomplete("max_output_tokens"),
            Some("content_filter") => Self::Incomplete("content_filter"),
            _ => Self::Completed,
        }
    }
}

/// A response as it is written.
#[derive(Serialize)]
struct Head<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<u64>,
    background: bool,
    error: Option<Problem<'a>>,
    incomplete_details: Option<Incomplete>,
    model: &'a str,
    output: &'a [Box<RawValue>],
    previous_response_id: Option<()>,
    store: bool,
    truncation: &'static str,
    service_tier: Option<&'a str>,
    usage: Option<Shown>,
}

/// Why a response failed, in words of the Responses API.
#[derive(Clone, Copy, Serialize)]
pub(super) struct Problem<'a> {
    pub(super) code: &'a str,
    pub(super) message: &'a str,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

/// Token counts under the names of the Responses API.
#[derive(Clone, Copy, Serialize)]
struct Shown {
    input_tokens: u64,
    input_tokens_details: InputDetails,
    output_tokens: u64,
    output_tokens_details: OutputDetails,
    total_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct InputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Clone, Copy, Serialize)]
struct OutputDetails {
    reasoning_tokens: u64,
}

impl Shown {
    const fn of(usage: &Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            input_tokens_details: InputDetails {
                cached_tokens: usage.cache_read_tokens,
                cache_write_tokens: usage.cache_write_tokens,
            },
            output_tokens: usage.output_tokens,
            output_tokens_details: OutputDetails { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.total_tokens(),
        }
    }
}

/// What a response says besides what it repeats.
#[derive(Clone, Copy)]
pub(super) struct Says<'a> {
    pub(super) id: &'a str,
    pub(super) model: &'a str,
    /// The tier that served it, which may be another than was asked for; `None`: nobody said.
    pub(super) service_tier: Option<&'a str>,
    pub(super) status: Status,
    pub(super) output: &'a [Box<RawValue>],
    pub(super) usage: Option<&'a Usage>,
    pub(super) problem: Option<Problem<'a>>,
}

impl Echo {
    pub(super) fn of(telling: &Telling<'_>) -> Self {
        let mut fields = String::new();
        for (name, default) in REPEATED {
            let written = telling.request.and_then(|request| request.raw(name));
            let written = written.filter(|raw| *raw != "null");
            fields.push(',');
            fields.push_str(&quoted(name));
            fields.push(':');
            match (name, written) {
                (_, None) => fields.push_str(default),
                ("text" | "reasoning", Some(raw)) => fields.push_str(&completed(raw, default)),
                ("metadata", Some(raw)) if !is_pairs(raw) => fields.push_str(default),
                (_, Some(raw)) => fields.push_str(raw),
            }
        }
        Self { fields, created: telling.created }
    }

    /// Appends the response object. Nothing that is made here is kept, whatever was asked.
    pub(super) fn write(&self, says: &Says<'_>, out: &mut Vec<u8>) {
        let head = Head {
            id: says.id,
            object: "response",
            created_at: self.created,
            status: says.status.word(),
            completed_at: (says.status == Status::Completed).then_some(self.created),
            background: false,
            error: says.problem,
            incomplete_details: match says.status {
                Status::Incomplete(reason) => Some(Incomplete { reason }),
                _ => None,
            },
            model: says.model,
            output: says.output,
            previous_response_id: None,
            store: false,
            truncation: "disabled",
            service_tier: says.service_tier,
            usage: says.usage.map(Shown::of),
        };
        serde_json::to_writer(&mut *out, &head)
            .expect("a Vec takes every byte, and the head has string keys only");
        out.pop();
        out.extend_from_slice(self.fields.as_bytes());
        out.push(b'}');
    }

    /// The response object.
    pub(super) fn response(&self, says: &Says<'_>) -> Box<RawValue> {
        let mut out = Vec::new();
        self.write(says, &mut out);
        String::from_utf8(out)
            .ok()
            .and_then(|text| RawValue::from_string(text).ok())
            .unwrap_or_default()
    }
}

/// An object with the fields of its default that it lacks.
fn completed(raw: &str, default: &str) -> String {
    let parse = |text: &str| Object::parse(text.to_owned().into()).ok();
    let (Some(written), Some(default)) = (parse(raw), parse(default)) else {
        return default.to_owned();
    };
    let mut edits = crate::wire::json::Edits::new();
    for (name, value) in default.iter().filter(|(name, _)| !written.is_set(name)) {
        edits.set_raw(name.to_owned(), value.as_bytes().to_vec());
    }
    String::from_utf8_lossy(&written.edit(&edits)).into_owned()
}

fn is_pairs(raw: &str) -> bool {
    serde_json::from_str::<std::collections::HashMap<String, String>>(raw).is_ok()
}

/// The id of a reply, without what dialects put before theirs: letters, digits, `-` and `_`.
pub(super) fn stem(id: Option<&str>, request_id: &str) -> String {
    const MAX: usize = 48;
    let id = id.filter(|id| !id.is_empty()).unwrap_or(request_id);
    let id = id.strip_prefix("chatcmpl-").unwrap_or(id);
    let id = ["msg_", "resp_"].iter().find_map(|start| id.strip_prefix(start)).unwrap_or(id);
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let stem: String = id.chars().filter(plain).take(MAX).collect();
    if stem.is_empty() { "0".to_owned() } else { stem }
}
