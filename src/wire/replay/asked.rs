//! What a request asks last: the words of its last message, and all the rest of it.
//!
//! Two requests with the same rest differ in these words alone: same instructions, same tools, same
//! earlier turns, same parameters. There are such words only where the last message is the user's and
//! nothing but text; whoever shows a picture or answers a tool asks something else.

use serde_json::Value;
use serde_json::value::RawValue;

use super::Form;
use crate::wire::json::{Edits, Object};

/// A request in two parts.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the last message says.
    pub text: String,
    /// The body with nothing in that place.
    pub rest: Object,
}

/// Divides a request; `None`: it does not ask with words alone.
#[must_use]
pub fn asked(form: Form, body: &Object) -> Option<Asked> {
    let name = match form {
        Form::Chat | Form::Messages => "messages",
        Form::Responses => "input",
        Form::GenerateContent => "contents",
        // What in a prompt instructs and what asks cannot be told apart.
        Form::Text | Form::List => return None,
    };
    let raw = body.raw(name)?;
    let (text, rest) = match form {
        Form::Responses if raw.starts_with('"') => {
            (body.str(name)?.into_owned(), "\"\"".to_owned())
        }
        _ => last_of(form, raw)?,
    };
    if text.trim().is_empty() {
        return None;
    }
    let mut edits = Edits::new();
    edits.set_raw(name, rest.into_bytes());
    let rest = Object::parse(body.edit(&edits)).ok()?;
    Some(Asked { text, rest })
}

/// The words of the last message of a list, and the list without them.
fn last_of(form: Form, raw: &str) -> Option<(String, String)> {
    let list: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    let (last, before) = list.split_last()?;
    let mut last: Value = serde_json::from_str(last.get()).ok()?;
    let text = taken(form, &mut last)?;
    let mut rest = String::with_capacity(raw.len());
    rest.push('[');
    for message in before {
        rest.push_str(message.get());
        rest.push(',');
    }
    rest.push_str(&last.to_string());
    rest.push(']');
    Some((text, rest))
}

/// Takes the words out of a message of the user.
fn taken(form: Form, message: &mut Value) -> Option<String> {
    let said = |name: &str| message.get(name).and_then(Value::as_str);
    let is_users = match form {
        // Google leaves out who speaks where nobody else does.
        Form::GenerateContent => message.get("role").is_none_or(|role| role == "user"),
        Form::Responses => {
            said("role") == Some("user") && said("type").is_none_or(|kind| kind == "message")
        }
        Form::Chat | Form::Messages | Form::Text | Form::List => said("role") == Some("user"),
    };
    let content = if form == Form::GenerateContent { "parts" } else { "content" };
    let content = message.get_mut(content).filter(|_| is_users)?;
    match content {
        Value::String(text) => Some(std::mem::take(text)),
        Value::Array(parts) => {
            let texts: Option<Vec<String>> =
                parts.iter_mut().map(|part| of_part(form, part)).collect();
            Some(texts?.join("\n"))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    }
}

/// Takes the words out of a part that is nothing else.
fn of_part(form: Form, part: &mut Value) -> Option<String> {
    let fields = part.as_object_mut()?;
    let is_text = match form {
        Form::GenerateContent => fields.len() == 1,
        _ => fields.get("type").is_some_and(|kind| kind == "text" || kind == "input_text"),
    };
    match fields.get_mut("text").filter(|_| is_text)? {
        Value::String(text) => Some(std::mem::take(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn divided(form: Form, body: &Value) -> Option<(String, Value)> {
        let body = Object::parse(body.to_string().into()).unwrap();
        let Asked { text, rest } = asked(form, &body)?;
        Some((text, serde_json::from_slice(&rest.edit(&Edits::new())).unwrap()))
    }

    #[test]
    fn the_last_words_are_taken_out_in_every_form() {
        let cases = [
            (
                Form::Chat,
                json!({"model": "m", "messages": [{"role": "system", "content": "s"},
                    {"role": "user", "content": "hi", "name": "ann"}], "n": 1}),
                json!({"model": "m", "messages": [{"role": "system", "content": "s"},
                    {"role": "user", "content": "", "name": "ann"}], "n": 1}),
                "hi",
            ),
            (
                Form::Messages,
                json!({"system": "s", "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": "ho"}]}]}),
                json!({"system": "s", "messages": [{"role": "user", "content": [
                    {"type": "text", "text": "", "cache_control": {"type": "ephemeral"}},
                    {"type": "text", "text": ""}]}]}),
                "hi\nho",
            ),
            (
                Form::Responses,
                json!({"input": "h\"i", "instructions": "s"}),
                json!({"input": "", "instructions": "s"}),
                "h\"i",
            ),
            (
                Form::Responses,
                json!({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}]}),
                json!({"input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": ""}]}]}),
                "hi",
            ),
            (
                Form::GenerateContent,
                json!({"contents": [{"role": "user", "parts": [{"inlineData": {}}]}, {"role": "model", "parts": [{"text": "a"}]},
                    {"parts": [{"text": "hi"}]}]}),
                json!({"contents": [{"role": "user", "parts": [{"inlineData": {}}]}, {"role": "model", "parts": [{"text": "a"}]},
                    {"parts": [{"text": ""}]}]}),
                "hi",
            ),
        ];
        for (form, body, rest, text) in cases {
            assert_eq!(divided(form, &body), Some((text.to_owned(), rest)), "{body}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_words_of_the_user_is_not_divided() {
        let message =
            |message: Value| json!({"messages": [{"role": "user", "content": "a"}, message]});
        for (form, body) in [
            (Form::Chat, message(json!({"role": "assistant", "content": "hi"}))),
            (Form::Chat, message(json!({"role": "tool", "content": "hi", "tool_call_id": "t"}))),
            (Form::Chat, message(json!({"role": "system", "content": "hi"}))),
            (Form::Chat, message(json!({"role": "user", "content": " \n"}))),
            (Form::Chat, message(json!({"role": "user", "content": []}))),
            (Form::Chat, message(json!({"role": "user", "content": null}))),
            (
                Form::Chat,
                message(
                    json!({"role": "user", "content": [{"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "u"}}]}),
                ),
            ),
            (
                Form::Messages,
                message(
                    json!({"role": "user", "content": [{"type": "tool_result", "content": "hi"}]}),
                ),
            ),
            (Form::Responses, json!({"input": [{"type": "function_call_output", "output": "hi"}]})),
            (
                Form::Responses,
                json!({"input": [{"role": "user", "content": "a"}, {"type": "item_reference", "id": "i"}]}),
            ),
            (
                Form::GenerateContent,
                json!({"contents": [{"role": "model", "parts": [{"text": "hi"}]}]}),
            ),
            (
                Form::GenerateContent,
                json!({"contents": [{"role": "user", "parts": [{"text": "hi", "thought": true}]}]}),
            ),
            (Form::Chat, json!({"messages": []})),
            (Form::Chat, json!({})),
            (Form::Text, json!({"prompt": "hi"})),
            (Form::List, json!({"input": "hi"})),
        ] {
            assert_eq!(divided(form, &body), None, "{body}");
        }
    }
}
