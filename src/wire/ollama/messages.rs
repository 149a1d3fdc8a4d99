//! The conversation, in Ollama's words: content is one text, images stand beside it, arguments are
//! objects.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::wire::chat::{Message, Part, Raw, arguments, failed, parts};
use crate::wire::fields::{Text, impossible, invalid, missing, read};

/// One message.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Text<'a>>,
    /// Base64 without a media type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
    /// Of a tool's result: what was called. Older builds know the name only.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Text<'a>>,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Text<'a>,
    arguments: Box<RawValue>,
}

/// Translates `messages`.
///
/// # Errors
/// A message is not one, or holds what Ollama has no words for.
pub(super) fn translate<'a>(raw: &'a str) -> Result<Vec<Turn<'a>>, Failure> {
    let messages: Vec<Raw<'a>> = read("messages", raw)?;
    let mut turns: Vec<Turn<'a>> = Vec::with_capacity(messages.len());
    for (at, raw) in messages.into_iter().enumerate() {
        let param = format!("messages[{at}]");
        let mut turn = turn(&param, read(&param, raw.get())?)?;
        if turn.role == "tool" && turn.tool_name.is_none() {
            turn.tool_name = called(&turns, turn.tool_call_id.as_deref());
        }
        turns.push(turn);
    }
    Ok(turns)
}

/// The name of the function that a call by this id called.
fn called<'a>(turns: &[Turn<'a>], id: Option<&str>) -> Option<Cow<'a, str>> {
    let mut calls = turns.iter().rev().flat_map(|turn| &turn.tool_calls);
    let call = calls.find(|call| call.id.as_deref() == id)?;
    Some(call.function.name.0.clone())
}

fn turn<'a>(param: &str, message: Message<'a>) -> Result<Turn<'a>, Failure> {
    let role = match &*message.role.0 {
        "system" | "developer" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" | "function" => "tool",
        role => {
            let told = format!("'{param}.role': {role:?} is not a role.");
            return Err(invalid(&format!("{param}.role"), told));
        }
    };
    let (mut content, images) = content(&format!("{param}.content"), message.content)?;
    if role == "tool" && message.is_error == Some(true) {
        content = failed(content);
    }
    let mut tool_calls = Vec::new();
    for call in message.tool_calls.into_iter().flatten() {
        let place = format!("{param}.tool_calls");
        let Some(function) = call.function else {
            return Err(cannot(&place, "it knows calls of functions only"));
        };
        let arguments = arguments(function.arguments.as_deref()).into_owned();
        let function = Function { name: function.name, arguments };
        tool_calls.push(ToolCall { id: call.id, function });
    }
    if let Some(call) = message.function_call {
        let arguments = arguments(call.arguments.as_deref()).into_owned();
        tool_calls.push(ToolCall { id: None, function: Function { name: call.name, arguments } });
    }
    if role == "tool" && message.tool_call_id.is_none() && message.name.is_none() {
        return Err(missing(&format!("{param}.tool_call_id")));
    }
    Ok(Turn {
        role,
        content,
        thinking: message.reasoning_content.filter(|text| !text.is_empty()),
        images,
        tool_calls,
        tool_name: message.name.filter(|_| role == "tool").map(|name| name.0),
        tool_call_id: message.tool_call_id,
    })
}

/// The text and the images of a message's content.
fn content<'a>(
    param: &str,
    content: Option<Cow<'a, RawValue>>,
) -> Result<(Cow<'a, str>, Vec<Cow<'a, str>>), Failure> {
    // What was read of a request borrows from it; only what is made here is owned.
    let Some(Cow::Borrowed(raw)) = content else { return Ok((Cow::Borrowed(""), Vec::new())) };
    let (mut text, mut images): (Cow<'a, str>, _) = (Cow::Borrowed(""), Vec::new());
    for (at, part) in parts(param, Some(raw))?.into_iter().enumerate() {
        let place = || format!("{param}[{at}]");
        match part {
            Part::Text { text: more, .. } | Part::Refusal { refusal: more } => {
                if text.is_empty() {
                    text = more;
                } else if !more.is_empty() {
                    let text = text.to_mut();
                    text.push('\n');
                    text.push_str(&more);
                }
            }
            Part::ImageUrl { image_url, .. } => images.push(image(&place(), image_url.url.0)?),
            Part::InputAudio { .. } => return Err(cannot(&place(), "it takes no sound")),
            Part::File { .. } => return Err(cannot(&place(), "it takes no files")),
            Part::Foreign(part) => {
                return Err(cannot(&place(), &format!("it knows no part of type {:?}", part.kind)));
            }
        }
    }
    Ok((text, images))
}

/// An image as base64. Ollama fetches nothing.
fn image<'a>(param: &str, url: Cow<'a, str>) -> Result<Cow<'a, str>, Failure> {
    if !url.starts_with("data:") {
        // Some clients of Ollama write the base64 itself.
        if url.contains("://") {
            return Err(cannot(param, "it takes images as data URLs (base64), not addresses"));
        }
        return Ok(url);
    }
    let Some(head) = url.find(";base64,") else {
        return Err(cannot(param, "it takes images as data URLs in base64"));
    };
    let media_type = url.get("data:".len()..head).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
    // It decodes pixels. A type that says nothing may be of an image.
    let is_picture = match &*media_type {
        "" | "application/octet-stream" => true,
        "image/svg+xml" => false,
        other => other.starts_with("image/"),
    };
    if !is_picture {
        return Err(cannot(param, &format!("it takes images made of pixels, not {media_type}")));
    }
    let at = head + ";base64,".len();
    Ok(match url {
        Cow::Borrowed(url) => Cow::Borrowed(url.get(at..).unwrap_or_default()),
        Cow::Owned(mut url) => Cow::Owned(url.split_off(at)),
    })
}

fn cannot(param: &str, why: &str) -> Failure {
    impossible(param, format!("'{param}' cannot be said to {}: {why}.", super::PROVIDER))
}
