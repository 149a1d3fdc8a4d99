//! Messages of a chat, as items of the Responses API.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ids::Owner;
use super::sealed;
use crate::failure::Failure;
use crate::wire::chat::{Call, Foreign, Message, Part, Raw, failed, parts, short_call_id};
use crate::wire::fields::{Text, impossible, missing, read};
use crate::wire::json::{Edits, Object};

/// One item of the input.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        role: Cow<'a, str>,
        content: Content<'a>,
    },
    FunctionCall {
        call_id: Cow<'a, str>,
        name: Cow<'a, str>,
        arguments: Cow<'a, str>,
    },
    FunctionCallOutput {
        call_id: Cow<'a, str>,
        output: Content<'a>,
    },
    CustomToolCall {
        call_id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, str>,
    },
    CustomToolCallOutput {
        call_id: Cow<'a, str>,
        output: Content<'a>,
    },
    /// One that the provider made.
    #[serde(untagged)]
    Made(Box<RawValue>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<InputPart<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum InputPart<'a> {
    InputText {
        text: Cow<'a, str>,
    },
    /// Here the address is a string, not an object.
    InputImage {
        image_url: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<Text<'a>>,
    },
    InputAudio {
        input_audio: crate::wire::chat::AudioData<'a>,
    },
    InputFile {
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_id: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<Text<'a>>,
    },
    OutputText {
        text: Cow<'a, str>,
    },
    Refusal {
        refusal: Cow<'a, str>,
    },
    /// A part of the Responses API's own.
    #[serde(untagged)]
    Own(Raw<'a>),
}

#[derive(Deserialize)]
struct CustomCall<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    input: Text<'a>,
}

/// The items that say what the messages do, to `owner`, who gets the reasoning that it sealed.
///
/// # Errors
/// A message is not what its role asks for.
pub(super) fn input<'m>(
    messages: &'m [Message<'m>],
    owner: Option<Owner>,
) -> Result<Vec<Item<'m>>, Failure> {
    let mut items = Vec::with_capacity(messages.len());
    // Calls of tools that take free text: their results are items of another type.
    let mut custom: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let param = format!("messages[{at}]");
        match &*message.role.0 {
            "assistant" => {
                let reasoning = message.reasoning_items.iter().flatten();
                items.extend(reasoning.filter_map(|raw| replayed(raw, owner)).map(Item::Made));
                assistant(&param, message, &mut custom, &mut items)?;
            }
            "tool" => {
                let id = message.tool_call_id.as_ref();
                let id = id.ok_or_else(|| missing(&format!("{param}.tool_call_id")))?;
                let (call_id, output) = (short_call_id(&id.0), returned(&param, message)?);
                items.push(if custom.contains(&&*id.0) {
                    Item::CustomToolCallOutput { call_id, output }
                } else {
                    Item::FunctionCallOutput { call_id, output }
                });
            }
            "function" => {
                let name = message.name.as_ref().map_or("", |name| &name.0);
                let output = content(&param, message, false)?;
                items.push(Item::FunctionCallOutput { call_id: old_call_id(name), output });
            }
            role => {
                let content = content(&param, message, false)?;
                items.push(Item::Message { role: Cow::Borrowed(role), content });
            }
        }
    }
    Ok(items)
}

fn assistant<'m>(
    param: &str,
    message: &'m Message<'m>,
    custom: &mut Vec<&'m str>,
    items: &mut Vec<Item<'m>>,
) -> Result<(), Failure> {
    let mut content = content(param, message, true)?;
    if let Some(Text(refusal)) = &message.refusal {
        let refusal = InputPart::Refusal { refusal: Cow::Borrowed(refusal) };
        content = match content {
            Content::Text(text) if text.is_empty() => Content::Parts(vec![refusal]),
            Content::Text(text) => Content::Parts(vec![InputPart::OutputText { text }, refusal]),
            Content::Parts(mut parts) => {
                parts.push(refusal);
                Content::Parts(parts)
            }
        };
    }
    let silent = match &content {
        Content::Text(text) => text.is_empty(),
        Content::Parts(parts) => parts.is_empty(),
    };
    if !silent {
        items.push(Item::Message { role: Cow::Borrowed("assistant"), content });
    }
    for (at, call) in message.tool_calls.iter().flatten().enumerate() {
        items.push(tool_call(&format!("{param}.tool_calls[{at}]"), call, custom)?);
    }
    if let Some(call) = &message.function_call {
        items.push(Item::FunctionCall {
            call_id: old_call_id(&call.name.0),
            name: Cow::Borrowed(&call.name.0),
            arguments: arguments(call.arguments.as_deref()),
        });
    }
    Ok(())
}

fn tool_call<'m>(
    param: &str,
    call: &'m Call<'m>,
    custom: &mut Vec<&'m str>,
) -> Result<Item<'m>, Failure> {
    let id = call.id.as_ref().ok_or_else(|| missing(&format!("{param}.id")))?;
    if let Some(function) = &call.function {
        return Ok(Item::FunctionCall {
            call_id: short_call_id(&id.0),
            name: Cow::Borrowed(&function.name.0),
            arguments: arguments(function.arguments.as_deref()),
        });
    }
    let Some(raw) = &call.custom else { return Err(missing(&format!("{param}.function"))) };
    let CustomCall { name, input } = read(&format!("{param}.custom"), raw.get())?;
    custom.push(&id.0);
    Ok(Item::CustomToolCall { call_id: short_call_id(&id.0), name: name.0, input: input.0 })
}

/// The arguments as text: as they were written, if that is what they are.
fn arguments(written: Option<&RawValue>) -> Cow<'_, str> {
    let Some(raw) = written else { return Cow::Borrowed("{}") };
    match serde_json::from_str::<Text<'_>>(raw.get()) {
        Ok(text) => text.0,
        Err(_) if raw.get() == "null" => Cow::Borrowed("{}"),
        Err(_) => Cow::Borrowed(raw.get()),
    }
}

/// What a tool returned. Whether it failed has no field here.
fn returned<'m>(param: &str, message: &'m Message<'m>) -> Result<Content<'m>, Failure> {
    let mut output = content(param, message, false)?;
    if message.is_error == Some(true) {
        output = match output {
            Content::Text(text) => Content::Text(failed(text)),
            Content::Parts(mut parts) => {
                match parts.first_mut() {
                    Some(InputPart::InputText { text }) => *text = failed(std::mem::take(text)),
                    _ => parts.insert(0, InputPart::InputText { text: failed(Cow::Borrowed("")) }),
                }
                Content::Parts(parts)
            }
        };
    }
    Ok(output)
}

fn content<'m>(
    param: &str,
    message: &'m Message<'m>,
    is_output: bool,
) -> Result<Content<'m>, Failure> {
    let param = format!("{param}.content");
    let raw = message.raw_content();
    if raw.is_none_or(|raw| raw.get().starts_with('"')) {
        let text = raw.map(|raw| read::<Text<'_>>(&param, raw.get())).transpose()?;
        return Ok(Content::Text(text.unwrap_or_default().0));
    }
    let parts = parts(&param, raw)?;
    let parts = parts.into_iter().enumerate();
    let parts = parts.map(|(at, part)| input_part(&format!("{param}[{at}]"), part, is_output));
    parts.collect::<Result<_, _>>().map(Content::Parts)
}

fn input_part<'m>(param: &str, part: Part<'m>, is_output: bool) -> Result<InputPart<'m>, Failure> {
    Ok(match part {
        Part::Text { text, .. } if is_output => InputPart::OutputText { text },
        Part::Text { text, .. } => InputPart::InputText { text },
        Part::Refusal { refusal } => InputPart::Refusal { refusal },
        Part::ImageUrl { image_url, .. } => {
            InputPart::InputImage { image_url: image_url.url.0, detail: image_url.detail }
        }
        Part::InputAudio { input_audio, .. } => InputPart::InputAudio { input_audio },
        Part::File { file, .. } => {
            // LiteLLM's clients write addresses into `file_id`.
            let is_url = |id: &Text<'_>| id.starts_with("http://") || id.starts_with("https://");
            let (url, id) = match file.file_id {
                Some(id) if is_url(&id) => (file.file_url.or(Some(id)), None),
                id => (file.file_url, id),
            };
            InputPart::InputFile {
                // A file without a name is refused where its data is sent.
                filename: match (&file.file_data, file.filename) {
                    (Some(_), None) => Some("file".into()),
                    (_, name) => name,
                },
                file_data: file.file_data,
                file_id: id,
                file_url: url,
            }
        }
        Part::Foreign(Foreign { kind, raw }) => {
            if !matches!(&*kind, "input_image" | "input_file") {
                let message = format!("OpenAI's Responses API has no parts of type `{kind}`");
                return Err(impossible(param, message));
            }
            InputPart::Own(raw)
        }
    })
}

/// A reasoning item that `owner` made, to be sent back. It kept none of it, so the item needs its
/// sealed content; ids of things that are not kept are refused.
fn replayed(raw: &RawValue, owner: Option<Owner>) -> Option<Box<RawValue>> {
    let item = Object::parse(Bytes::copy_from_slice(raw.get().as_bytes())).ok()?;
    // What others sealed is refused.
    let shown = item.str("encrypted_content")?;
    let sealed = sealed::opened(&shown, owner)?;
    let mut edits = Edits::new();
    if sealed.len() != shown.len() {
        edits.set("encrypted_content", sealed);
    }
    edits.remove("id");
    edits.remove("status");
    let text = String::from_utf8(item.edit(&edits).to_vec()).ok()?;
    RawValue::from_string(text).ok()
}

/// The call of the old form has no id; there is one at a time.
fn old_call_id(name: &str) -> Cow<'_, str> {
    let id = format!("call_{name}");
    Cow::Owned(short_call_id(&id).into_owned())
}
