//! Items of the output, as they are written.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::wire::chat::{ExtraContent, Raw};

/// One item, whole.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: &'a [Box<RawValue>],
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        name: &'a str,
        arguments: &'a str,
        /// What Google wants to see again. SDKs keep fields that they do not know.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<&'a RawValue>,
    },
    CustomToolCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        namespace: Option<&'a str>,
        name: &'a str,
        input: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<&'a RawValue>,
    },
    LocalShellCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        action: &'a RawValue,
        #[serde(skip_serializing_if = "Option::is_none")]
        extra_content: Option<&'a RawValue>,
    },
    Reasoning {
        id: &'a str,
        summary: &'a [Part<'a>],
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<&'a str>,
    },
    ImageGenerationCall {
        id: &'a str,
        status: &'static str,
        /// Base64.
        #[serde(skip_serializing_if = "Option::is_none")]
        result: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        output_format: Option<&'a str>,
    },
}

/// A part of an item.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Part<'a> {
    OutputText {
        text: &'a str,
        annotations: &'a [Box<RawValue>],
        /// Each as the chat API has it, too.
        logprobs: &'a [Box<RawValue>],
    },
    Refusal {
        refusal: &'a str,
    },
    SummaryText {
        text: &'a str,
    },
}

impl Part<'_> {
    pub(super) fn raw(&self) -> Box<RawValue> {
        raw(self)
    }
}

impl Item<'_> {
    pub(super) fn raw(&self) -> Box<RawValue> {
        raw(self)
    }
}

pub(super) fn raw<T: Serialize>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_default()
}

/// The kind of an item's id.
#[derive(Clone, Copy)]
pub(super) enum IdOf {
    Message,
    Function,
    Custom,
    Shell,
    Reasoning,
    Image,
}

/// The id of an item: its type's prefix, the stem of the response's id, the number of the item.
pub(super) fn id(of: IdOf, stem: &str, index: u64) -> String {
    let prefix = match of {
        IdOf::Message => "msg",
        IdOf::Function => "fc",
        IdOf::Custom => "ctc",
        IdOf::Shell => "lsh",
        IdOf::Reasoning => "rs",
        IdOf::Image => "ig",
    };
    format!("{prefix}_{stem}_{index}")
}

/// A citation, from nested under its type to flat.
pub(super) fn flat_annotation(raw: &RawValue) -> Option<Box<RawValue>> {
    let mut fields: serde_json::Map<String, Value> = serde_json::from_str(raw.get()).ok()?;
    let Some(Value::Object(inner)) = fields.remove("url_citation") else {
        return fields.contains_key("type").then(|| raw.to_owned());
    };
    let mut flat = serde_json::Map::from_iter([("type".to_owned(), "url_citation".into())]);
    // The Responses API always has all four.
    for (name, default) in [
        ("start_index", Value::from(0)),
        ("end_index", Value::from(0)),
        ("url", Value::from("")),
        ("title", Value::from("")),
    ] {
        let written = inner.get(name).filter(|value| !value.is_null()).cloned();
        flat.insert(name.to_owned(), written.unwrap_or(default));
    }
    serde_json::value::to_raw_value(&flat).ok()
}

/// The probabilities of a text's tokens, out of what the chat API wraps them in.
pub(super) fn token_logprobs(wrapped: Option<Raw<'_>>) -> Vec<Box<RawValue>> {
    #[derive(Deserialize)]
    struct Wrapped {
        content: Option<Vec<Box<RawValue>>>,
    }
    let read = |raw: Raw<'_>| serde_json::from_str::<Wrapped>(raw.get()).ok()?.content;
    wrapped.and_then(read).unwrap_or_default()
}

/// An image that was generated: its format and its base64. `None`: it is behind an address.
pub(super) fn image_data(url: &str) -> Option<(Option<&str>, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(";base64,")?;
    Some((head.strip_prefix("image/"), data))
}

/// What a provider wants to see again, as JSON.
pub(super) fn extra(extra: Option<&ExtraContent<'_>>) -> Option<Box<RawValue>> {
    extra.and_then(|extra| serde_json::value::to_raw_value(extra).ok())
}

/// The sealed content of a reasoning item that came whole.
pub(super) fn sealed_in(item: Raw<'_>) -> Option<String> {
    let item: Value = serde_json::from_str(item.get()).ok()?;
    item.get("encrypted_content")?.as_str().map(str::to_owned)
}

/// The parts of the summary of a reasoning item that came whole.
pub(super) fn summary_in(item: Raw<'_>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Written {
        #[serde(default)]
        summary: Vec<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        #[serde(default)]
        text: String,
    }
    let written: Option<Written> = serde_json::from_str(item.get()).ok();
    let parts = written.map(|written| written.summary).unwrap_or_default();
    parts.into_iter().map(|part| part.text).filter(|text| !text.is_empty()).collect()
}
