//! The conversation, in Cohere's words.

use std::borrow::Cow;

use serde::Serialize;

use crate::failure::Failure;
use crate::wire::chat::{Call, Message, Part, Raw, arguments, failed, parts};
use crate::wire::fields::{Text, impossible, invalid, read};

/// One message.
#[derive(Debug, Serialize)]
#[serde(tag = "role", rename_all = "snake_case")]
pub(super) enum Turn<'a> {
    System {
        content: Content<'a>,
    },
    User {
        content: Content<'a>,
    },
    Assistant {
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<Content<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        tool_plan: Option<Text<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall<'a>>,
    },
    Tool {
        tool_call_id: Cow<'a, str>,
        content: Content<'a>,
    },
}

/// Text alone is a string, which every model takes.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Piece<'a>>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Piece<'a> {
    Text {
        text: Cow<'a, str>,
    },
    ImageUrl {
        image_url: Image<'a>,
    },
    Thinking {
        thinking: Cow<'a, str>,
    },
    /// A part of Cohere's own, as the client wrote it.
    #[serde(untagged)]
    Own(Raw<'a>),
}

#[derive(Debug, Serialize)]
pub(super) struct Image<'a> {
    url: Text<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
pub(super) struct ToolCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    arguments: String,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

/// Translates `messages`. `reasons`: the model takes its own thinking back.
///
/// # Errors
/// A message is not one, or holds what Cohere has no words for.
pub(super) fn translate<'a>(raw: &'a str, reasons: bool) -> Result<Vec<Turn<'a>>, Failure> {
    let messages: Vec<Raw<'a>> = read("messages", raw)?;
    let mut turns = Vec::with_capacity(messages.len());
    let mut shown = Vec::new();
    for (at, raw) in messages.into_iter().enumerate() {
        let param = format!("messages[{at}]");
        let message: Message<'a> = read(&param, raw.get())?;
        if !matches!(&*message.role.0, "tool" | "function") {
            show(&mut shown, &mut turns);
        }
        turns.extend(turn(&param, message, reasons, &mut shown)?);
    }
    show(&mut shown, &mut turns);
    Ok(turns)
}

/// Images that tools returned stand in a message of the user, behind all the results.
fn show<'a>(shown: &mut Vec<Piece<'a>>, turns: &mut Vec<Turn<'a>>) {
    if !shown.is_empty() {
        let text = "The tool returned:".into();
        let pieces = std::iter::once(Piece::Text { text }).chain(shown.drain(..)).collect();
        turns.push(Turn::User { content: content(pieces) });
    }
}

/// `None`: the assistant said and did nothing in it.
fn turn<'a>(
    param: &str,
    message: Message<'a>,
    reasons: bool,
    shown: &mut Vec<Piece<'a>>,
) -> Result<Option<Turn<'a>>, Failure> {
    let speaker = match &*message.role.0 {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        "tool" | "function" => Speaker::Tool,
        role => {
            let message = format!("'{param}.role': {role:?} is not a role.");
            return Err(invalid(&format!("{param}.role"), message));
        }
    };
    let place = format!("{param}.content");
    let mut pieces = pieces(&place, speaker, &message, shown)?;
    if speaker == Speaker::Tool && message.is_error == Some(true) {
        match pieces.first_mut() {
            Some(Piece::Text { text }) => *text = failed(std::mem::take(text)),
            _ => pieces.insert(0, Piece::Text { text: failed(Cow::Borrowed("")) }),
        }
    }
    let Message { reasoning_content, tool_calls, function_call, tool_call_id, name, .. } = message;
    Ok(Some(match speaker {
        Speaker::System => Turn::System { content: content(pieces) },
        Speaker::User => Turn::User { content: content(pieces) },
        Speaker::Tool => {
            let id = tool_call_id.map(|id| id.0).or_else(|| name.map(|name| name.0));
            let Some(tool_call_id) = id else {
                return Err(crate::wire::fields::missing(&format!("{param}.tool_call_id")));
            };
            Turn::Tool { tool_call_id, content: content(pieces) }
        }
        Speaker::Assistant => {
            let mut calls = Vec::new();
            for call in tool_calls.into_iter().flatten() {
                calls.push(tool_call(param, call)?);
            }
            if let Some(call) = function_call {
                // In the old form a call is known by its name.
                let id = call.name.0.clone();
                let arguments = arguments(call.arguments.as_deref()).get().to_owned();
                let function = Function { name: call.name.0, arguments };
                calls.push(ToolCall { id, kind: "function", function });
            }
            let mut tool_plan = None;
            if let Some(reasoning) = reasoning_content.filter(|text| !text.is_empty()) {
                if !calls.is_empty() {
                    tool_plan = Some(reasoning);
                } else if reasons {
                    pieces.insert(0, Piece::Thinking { thinking: reasoning.0 });
                }
            }
            if pieces.is_empty() && calls.is_empty() {
                return Ok(None);
            }
            let content = (!pieces.is_empty()).then(|| content(pieces));
            Turn::Assistant { content, tool_plan, tool_calls: calls }
        }
    }))
}

/// The parts of a message's content, without those that say nothing. `shown`: images of a tool.
fn pieces<'a>(
    param: &str,
    speaker: Speaker,
    message: &Message<'a>,
    shown: &mut Vec<Piece<'a>>,
) -> Result<Vec<Piece<'a>>, Failure> {
    let Some(content) = &message.content else { return Ok(Vec::new()) };
    // What was read of a request borrows from it; only what is made here is owned.
    let Cow::Borrowed(raw) = *content else { return Ok(Vec::new()) };
    let mut pieces = Vec::new();
    for (at, part) in parts(param, Some(raw))?.into_iter().enumerate() {
        let place = || format!("{param}[{at}]");
        match part {
            Part::Text { text, .. } | Part::Refusal { refusal: text } => {
                if !text.is_empty() {
                    pieces.push(Piece::Text { text });
                }
            }
            Part::ImageUrl { image_url, .. }
                if matches!(speaker, Speaker::User | Speaker::Tool) =>
            {
                let image_url = Image { url: image_url.url, detail: image_url.detail };
                let place = if speaker == Speaker::User { &mut pieces } else { &mut *shown };
                place.push(Piece::ImageUrl { image_url });
            }
            Part::Foreign(part)
                if speaker == Speaker::Tool && part.kind == "document"
                    || speaker == Speaker::Assistant && part.kind == "thinking" =>
            {
                pieces.push(Piece::Own(part.raw));
            }
            Part::ImageUrl { .. } => {
                return Err(cannot(&place(), "images stand in messages of the user only"));
            }
            Part::InputAudio { .. } => return Err(cannot(&place(), "it takes no sound")),
            Part::File { .. } => {
                return Err(cannot(&place(), "it takes no files; send texts in `documents`"));
            }
            Part::Foreign(part) => {
                return Err(cannot(&place(), &format!("it knows no part of type {:?}", part.kind)));
            }
        }
    }
    Ok(pieces)
}

fn cannot(param: &str, why: &str) -> Failure {
    impossible(param, format!("'{param}' cannot be said to {}: {why}.", super::PROVIDER))
}

fn content(mut pieces: Vec<Piece<'_>>) -> Content<'_> {
    match pieces.as_mut_slice() {
        [] => Content::Text(Cow::Borrowed("")),
        [Piece::Text { text }] => Content::Text(std::mem::take(text)),
        _ => Content::Parts(pieces),
    }
}

fn tool_call<'a>(param: &str, call: Call<'a>) -> Result<ToolCall<'a>, Failure> {
    let place = format!("{param}.tool_calls");
    let Some(function) = call.function else {
        return Err(cannot(&place, "it knows calls of functions only"));
    };
    let Some(id) = call.id else {
        return Err(crate::wire::fields::missing(&format!("{place}[].id")));
    };
    let arguments = arguments(function.arguments.as_deref()).get().to_owned();
    let function = Function { name: function.name.0, arguments };
    Ok(ToolCall { id: id.0, kind: "function", function })
}
