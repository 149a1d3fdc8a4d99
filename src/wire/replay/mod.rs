//! Replies that are given again: a stream to who asks for a stream, a whole one to who does not, whichever
//! of them was seen, in the dialect in which it was seen.
//!
//! ```text
//! events --record--> Recorded --whole--> a reply in one piece
//! a reply in one piece --stream--> Recorded
//! ```
//!
//! It works on what clients were sent, so it needs no provider and loses nothing that a provider said:
//! ids, signatures and fields that nobody here knows stay what they are. Only what is complete and was not
//! kept back by anybody is recorded at all.

mod asked;
mod chat;
mod generate;
mod messages;
mod responses;

pub use asked::{Asked, asked};
use bytes::Bytes;
use serde_json::{Map, Value};

use super::chat::Shown;
use super::sse::{Fields, Splitter, event};
use super::texts::Events;
use crate::dialect::{ClientDialect, Endpoint};
use crate::usage::Usage;

/// The format of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Chat,
    Text,
    Messages,
    Responses,
    GenerateContent,
    /// Embeddings and ranks: never a stream.
    List,
}

impl Form {
    /// What a client of this dialect gets of this endpoint; `None`: it is not given again.
    #[must_use]
    pub const fn of(dialect: ClientDialect, endpoint: Endpoint) -> Option<Self> {
        Some(match (dialect, endpoint) {
            (_, Endpoint::Embeddings | Endpoint::Rerank) => Self::List,
            (ClientDialect::OpenAi, Endpoint::Completions) => Self::Text,
            (ClientDialect::OpenAi, Endpoint::Chat) => Self::Chat,
            (ClientDialect::Anthropic, Endpoint::Chat) => Self::Messages,
            (ClientDialect::Gemini, Endpoint::Chat) => Self::GenerateContent,
            (ClientDialect::Responses, Endpoint::Chat | Endpoint::Responses) => Self::Responses,
            _ => return None,
        })
    }
}

/// A stream, in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub events: Bytes,
    /// The event that tells the usage, where a client gets it on request only.
    pub usage: Bytes,
    /// The mark of the end, where there is one.
    pub end: Bytes,
}

const DONE: &[u8] = b"data: [DONE]\n\n";

/// Whether a whole reply may be given again.
#[must_use]
pub fn is_fit(form: Form, body: &[u8]) -> bool {
    serde_json::from_slice(body).is_ok_and(|body: Value| fits(form, &body))
}

fn fits(form: Form, body: &Value) -> bool {
    if body.get("error").is_some_and(|error| !error.is_null()) {
        return false;
    }
    match form {
        Form::Chat => chat::is_complete(body),
        Form::Text => chat::is_complete_text(body),
        Form::Messages => messages::is_complete(body),
        Form::Responses => responses::is_complete(body),
        Form::GenerateContent => generate::is_complete(body),
        Form::List => {
            ["data", "results", "embedding", "embeddings"].iter().any(|name| has(body, name))
        }
    }
}

/// Whether there is something under a name.
fn has(object: &Value, name: &str) -> bool {
    match object.get(name) {
        None | Some(Value::Null | Value::Bool(_) | Value::Number(_)) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(list)) => !list.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
    }
}

/// Takes a stream that a client was sent, from its first event to its last. `usage` is what it used.
/// `None`: it may not be given again.
#[must_use]
pub fn record(form: Form, sent: Bytes, usage: &Usage) -> Option<Recorded> {
    let hides_usage = matches!(form, Form::Chat | Form::Text);
    let mut recorded = Recorded::default();
    let mut events = Vec::with_capacity(sent.len());
    let mut data = Vec::new();
    each(sent, |bytes, text| {
        if text == b"[DONE]" {
            recorded.end = Bytes::from_static(DONE);
            return Some(());
        }
        let value: Value = serde_json::from_slice(text).ok()?;
        if hides_usage && chat::is_usage(&value) {
            recorded.usage = Bytes::copy_from_slice(bytes);
        } else {
            events.extend_from_slice(bytes);
        }
        data.push(value);
        Some(())
    })?;
    let whole = gathered(form, &data)?;
    if !fits(form, &whole) {
        return None;
    }
    if hides_usage && recorded.usage.is_empty() {
        recorded.usage = line(&chat::usage_chunk(&whole, &shown(usage)));
    }
    recorded.events = events.into();
    Some(recorded)
}

/// What a recorded stream says, in one piece.
#[must_use]
pub fn whole(form: Form, recorded: &Recorded) -> Option<Bytes> {
    let mut data = Vec::new();
    for part in [&recorded.events, &recorded.usage] {
        each(part.clone(), |_, text| {
            data.push(serde_json::from_slice(text).ok()?);
            Some(())
        })?;
    }
    serde_json::to_vec(&gathered(form, &data)?).ok().map(Into::into)
}

/// What a stream says that came to its end, in one piece, whatever its end was. `is_array`: it came as one
/// JSON array. `None`: something in it is no event of this form.
#[must_use]
pub fn joined(form: Form, sent: Bytes, is_array: bool) -> Option<Bytes> {
    let data = read(sent, is_array)?;
    serde_json::to_vec(&gathered(form, &data)?).ok().map(Into::into)
}

/// The same of one that broke off: what it has said until then, and nothing of how it ended. `None`: it has
/// said nothing.
#[must_use]
pub fn begun(form: Form, sent: Bytes, is_array: bool) -> Option<Bytes> {
    let mut data = read(sent, is_array)?;
    data.retain(|event| {
        event.get("error").is_none_or(Value::is_null) && text(event, "type") != Some("error")
    });
    let (whole, said) = match form {
        Form::Responses => (responses::begun(&data)?, "output"),
        Form::Messages => (messages::gathered(&data)?, "content"),
        Form::GenerateContent => (generate::gathered(&data)?, "candidates"),
        Form::Chat | Form::Text => (gathered(form, &data)?, "choices"),
        Form::List => return None,
    };
    if !has(&whole, said) {
        return None;
    }
    serde_json::to_vec(&whole).ok().map(Into::into)
}

/// The data of events. `None`: there are none, or something in them is no event.
fn read(sent: Bytes, is_array: bool) -> Option<Vec<Value>> {
    let mut events = Events::new(is_array);
    let mut data = Vec::new();
    let mut is_read = true;
    events.push(sent, |event| {
        let text = event.data().trim_ascii();
        if text.is_empty() || text == b"[DONE]" {
            return;
        }
        match serde_json::from_slice(text) {
            Ok(value) => data.push(value),
            Err(_) => is_read = false,
        }
    });
    (is_read && !data.is_empty()).then_some(data)
}

fn gathered(form: Form, data: &[Value]) -> Option<Value> {
    match form {
        Form::Chat => chat::gathered(data, false),
        Form::Text => chat::gathered(data, true),
        Form::Messages => messages::gathered(data),
        Form::Responses => responses::gathered(data),
        Form::GenerateContent => generate::gathered(data),
        Form::List => None,
    }
}

/// A whole reply as a stream.
#[must_use]
pub fn stream(form: Form, body: &[u8], usage: &Usage) -> Option<Recorded> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let mut events = Vec::new();
    let mut recorded = Recorded::default();
    match form {
        Form::Chat | Form::Text => {
            let told = body.get("usage").filter(|told| told.is_object()).cloned();
            let told = told.unwrap_or_else(|| shown(usage));
            recorded.usage = line(&chat::usage_chunk(&body, &told));
            recorded.end = Bytes::from_static(DONE);
            match form {
                Form::Text => chat::texts(&body, &mut |chunk| put(&chunk, &mut events))?,
                _ => chat::chunks(&body, &mut |chunk| put(&chunk, &mut events))?,
            }
        }
        Form::Messages => messages::events(&body, &mut |it| put_named(&it, &mut events))?,
        Form::Responses => responses::events(&body, &mut |it| put_named(&it, &mut events))?,
        Form::GenerateContent => put(&body, &mut events),
        Form::List => return None,
    }
    recorded.events = events.into();
    Some(recorded)
}

/// Calls `take` with each event that has data, and its data.
fn each(sent: Bytes, mut take: impl FnMut(&[u8], &[u8]) -> Option<()>) -> Option<()> {
    let mut splitter = Splitter::new();
    splitter.push(sent);
    while let Some(event) = splitter.next_event().ok()? {
        let bytes = splitter.bytes(&event);
        if let Some(data) = Fields::read(bytes).data {
            take(bytes, data.trim_ascii())?;
        }
    }
    // What is left is half an event.
    splitter.rest().trim_ascii().is_empty().then_some(())
}

fn line(data: &Value) -> Bytes {
    event(data.to_string().as_bytes())
}

fn put(data: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(&line(data));
}

/// An event that is named by the type of its data.
fn put_named(data: &Value, out: &mut Vec<u8>) {
    let name = data.get("type").and_then(Value::as_str).unwrap_or_default();
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.push(b'\n');
    put(data, out);
}

fn shown(usage: &Usage) -> Value {
    serde_json::to_value(Shown::of(usage, false).without_details()).unwrap_or_default()
}

/// Appends to the text under a name.
fn append(into: &mut Map<String, Value>, name: &str, more: &str) {
    match into.get_mut(name) {
        Some(Value::String(text)) => text.push_str(more),
        _ => {
            into.insert(name.to_owned(), more.into());
        }
    }
}

/// Appends to the list under a name.
fn extend(into: &mut Map<String, Value>, name: &str, more: &[Value]) {
    match into.get_mut(name) {
        Some(Value::Array(list)) => list.extend_from_slice(more),
        _ => {
            into.insert(name.to_owned(), more.into());
        }
    }
}

/// A text field.
fn text<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    object.get(name)?.as_str()
}

/// The elements of a list.
fn list<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
