//! One message of a conversation.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::Raw;
use super::chunk::ExtraContent;
use crate::failure::Failure;
use crate::wire::fields::{Text, invalid};

/// One message, as it is read and written. `content` is read by [`super::parts`].
#[derive(Debug, Deserialize, Serialize)]
pub struct Message<'a> {
    /// `system`, `developer`, `user`, `assistant`, `tool` or `function`.
    #[serde(borrow)]
    pub role: Text<'a>,
    /// A string, a list of parts, or nothing. What is read borrows.
    #[serde(
        borrow,
        default,
        deserialize_with = "borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub content: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub thinking_blocks: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub reasoning_items: Option<Vec<Raw<'a>>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Vec<Call<'a>>>,
    /// The old form of a single tool call.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub function_call: Option<CallFunction<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<Text<'a>>,
    /// Of a tool message: the function's. Of others: a participant's.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

impl<'a> Message<'a> {
    /// A message with nothing but a role.
    #[must_use]
    pub fn new(role: &'a str) -> Self {
        Self {
            role: Text(Cow::Borrowed(role)),
            content: None,
            refusal: None,
            reasoning_content: None,
            thinking_blocks: None,
            reasoning_items: None,
            tool_calls: None,
            function_call: None,
            tool_call_id: None,
            name: None,
            is_error: None,
            cache_control: None,
            extra_content: None,
        }
    }

    /// The content as JSON text.
    #[must_use]
    pub fn raw_content(&self) -> Option<&RawValue> {
        self.content.as_deref().filter(|raw| raw.get() != "null")
    }
}

/// A tool call of an assistant message.
#[derive(Debug, Deserialize, Serialize)]
pub struct Call<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Text<'a>>,
    /// `function` or `custom`.
    #[serde(borrow, default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub function: Option<CallFunction<'a>>,
    /// A call of a tool that takes free text: `{"name", "input"}`.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Cow<'a, RawValue>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<Raw<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub extra_content: Option<ExtraContent<'a>>,
}

/// What is called, and with what.
#[derive(Debug, Deserialize, Serialize)]
pub struct CallFunction<'a> {
    #[serde(borrow)]
    pub name: Text<'a>,
    /// JSON text in a string, as OpenAI writes it; some providers write the object itself. See
    /// [`arguments`].
    #[serde(
        borrow,
        default,
        deserialize_with = "borrowed",
        skip_serializing_if = "Option::is_none"
    )]
    pub arguments: Option<Cow<'a, RawValue>>,
}

/// JSON text that is not copied: by itself, `serde` reads an owned one into an `Option<Cow>`.
fn borrowed<'de: 'a, 'a, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Cow<'a, RawValue>>, D::Error> {
    let raw: Option<&'a RawValue> = Deserialize::deserialize(deserializer)?;
    Ok(raw.map(Cow::Borrowed))
}

/// How much of a role that does not exist is repeated to the client.
const SHOWN_CHARS: usize = 40;

/// The refusal of a message (`messages[0]`) whose role does not exist.
#[must_use]
pub fn unknown_role(message: &str, role: &str) -> Failure {
    let role: String = role.chars().take(SHOWN_CHARS).collect();
    let known = "'system', 'developer', 'user', 'assistant' and 'tool'";
    let problem = format!("Invalid value: '{role}'. Supported values are: {known}.");
    invalid(&format!("{message}.role"), problem)
}

/// The object that arguments stand for: `{}` if there are none. History may hold arguments that were
/// cut off or that a model got wrong; the conversation has to go on with them, so these become
/// `{"INVALID_JSON": "..."}`.
#[must_use]
pub fn arguments(written: Option<&RawValue>) -> Cow<'_, RawValue> {
    let Some(raw) = written else { return Cow::Owned(nothing()) };
    if !raw.get().starts_with('"') {
        return object(Cow::Borrowed(raw));
    }
    let Ok(Text(text)) = serde_json::from_str::<Text<'_>>(raw.get()) else {
        return Cow::Owned(nothing());
    };
    if text.trim().is_empty() {
        return Cow::Owned(nothing());
    }
    match serde_json::from_str::<Box<RawValue>>(&text) {
        Ok(value) => object(Cow::Owned(value)),
        Err(_) => Cow::Owned(wrapped(&text)),
    }
}

/// What a tool returned that failed (`is_error`), for providers that have no field for it: said before
/// the text, unless that says so itself.
#[must_use]
pub fn failed(said: Cow<'_, str>) -> Cow<'_, str> {
    if said.to_lowercase().contains("error") { said } else { format!("Error: {said}").into() }
}

fn object(value: Cow<'_, RawValue>) -> Cow<'_, RawValue> {
    if value.get().starts_with('{') {
        return value;
    }
    Cow::Owned(if value.get() == "null" { nothing() } else { wrapped(value.get()) })
}

fn nothing() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("an empty object is valid JSON")
}

fn wrapped(text: &str) -> Box<RawValue> {
    let object = serde_json::Map::from_iter([("INVALID_JSON".to_owned(), text.into())]);
    serde_json::value::to_raw_value(&object).expect("a map of strings can be written as JSON")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_an_object_whatever_is_written() {
        for (written, expected) in [
            (r#""{\"a\": 1}""#, r#"{"a": 1}"#),
            (r#"{"a":1}"#, r#"{"a":1}"#),
            (r#""""#, "{}"),
            (r#"" ""#, "{}"),
            ("null", "{}"),
            (r#""null""#, "{}"),
            (r#""{\"a\":""#, r#"{"INVALID_JSON":"{\"a\":"}"#),
            (r#""[1]""#, r#"{"INVALID_JSON":"[1]"}"#),
        ] {
            let raw: &RawValue = serde_json::from_str(written).unwrap();
            assert_eq!(arguments(Some(raw)).get(), expected, "{written}");
        }
        assert_eq!(arguments(None).get(), "{}");
    }

    #[test]
    fn content_is_not_copied() {
        let text = r#"{"role":"user","content":[1],"function_call":{"name":"f","arguments":{}}}"#;
        let message: Message<'_> = serde_json::from_str(text).unwrap();
        assert!(matches!(message.content, Some(Cow::Borrowed(_))));
        let arguments = message.function_call.and_then(|call| call.arguments);
        assert!(matches!(arguments, Some(Cow::Borrowed(_))));
        let nothing: Message<'_> = serde_json::from_str(r#"{"role":"a","content":null}"#).unwrap();
        assert!(nothing.content.is_none());
    }

    #[test]
    fn a_message_is_written_as_it_was_read() {
        let text = r#"{"role":"assistant","content":"a","reasoning_content":"r","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s"}}}]}"#;
        let message: Message<'_> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
    }
}
