//! The content of one message, turned into Anthropic's content blocks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::source::{Source, from_file, from_image};
use crate::failure::Failure;
use crate::wire::fields::{Text, impossible, mistyped, read};
use crate::wire::turns::{NO_RESULT, PLACEHOLDER, Spoken, trim_end};

/// JSON text that is written as it was read: cache markers, tool inputs, Anthropic's own blocks.
pub(super) type Raw<'a> = &'a RawValue;

/// An element of an Anthropic message's content.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Block<'a> {
    Typed(Typed<'a>),
    Native(Native<'a>),
}

/// A block that we build.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Typed<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    Image {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    Document {
        source: Source<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        content: Option<ResultContent<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
}

/// What a tool returned.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ResultContent<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

/// A block in Anthropic's own form, which the client sent to be passed on.
#[derive(Debug)]
pub(super) struct Native<'a> {
    pub(super) kind: Cow<'a, str>,
    /// The call that it makes or answers.
    call: Option<Cow<'a, str>>,
    value: Raw<'a>,
}

impl Serialize for Native<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<'a> Block<'a> {
    /// A text block, unless there is nothing to read in it: the API refuses blank ones.
    pub(super) fn text(text: Cow<'a, str>, cache_control: Option<Raw<'a>>) -> Option<Self> {
        let blank = text.trim().is_empty();
        (!blank).then_some(Self::Typed(Typed::Text { text, cache_control }))
    }

    /// Anthropic's name of the block's type.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Typed(Typed::Text { .. }) => "text",
            Self::Typed(Typed::Image { .. }) => "image",
            Self::Typed(Typed::Document { .. }) => "document",
            Self::Typed(Typed::ToolUse { .. }) => "tool_use",
            Self::Typed(Typed::ToolResult { .. }) => "tool_result",
            Self::Native(native) => &native.kind,
        }
    }

    pub(super) fn is_thinking(&self) -> bool {
        matches!(self.kind(), "thinking" | "redacted_thinking")
    }

    /// The place of the block's cache marker; `None` for a block that is passed on as it is.
    pub(super) const fn cache_control(&mut self) -> Option<&mut Option<Raw<'a>>> {
        match self {
            Self::Typed(
                Typed::Text { cache_control, .. }
                | Typed::Image { cache_control, .. }
                | Typed::Document { cache_control, .. }
                | Typed::ToolUse { cache_control, .. }
                | Typed::ToolResult { cache_control, .. },
            ) => Some(cache_control),
            Self::Native(_) => None,
        }
    }
}

impl Spoken for Block<'_> {
    fn calling(&self) -> Option<&str> {
        match self {
            Self::Typed(Typed::ToolUse { id, .. }) => Some(id),
            Self::Native(native) if native.kind == "tool_use" => native.call.as_deref(),
            _ => None,
        }
    }

    fn answered(&self) -> Option<&str> {
        match self {
            Self::Typed(Typed::ToolResult { tool_use_id, .. }) => Some(tool_use_id),
            Self::Native(native) if native.kind == "tool_result" => native.call.as_deref(),
            _ => None,
        }
    }

    /// Markers are fields of what they stand behind.
    fn is_mark(&self) -> bool {
        false
    }

    fn trim_end(&mut self) {
        if let Self::Typed(Typed::Text { text, .. }) = self {
            trim_end(text);
        }
    }

    fn no_result(id: String) -> Self {
        Self::Typed(Typed::ToolResult {
            tool_use_id: Cow::Owned(id),
            content: Some(ResultContent::Text(Cow::Borrowed(NO_RESULT))),
            is_error: None,
            cache_control: None,
        })
    }

    fn placeholder() -> Self {
        Self::Typed(Typed::Text { text: Cow::Borrowed(PLACEHOLDER), cache_control: None })
    }
}

/// Whose content it is: that decides which parts may be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

/// A part of a message. What is in it is read once its type is known.
#[derive(Debug, Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
    #[serde(borrow)]
    refusal: Option<Raw<'a>>,
    #[serde(borrow)]
    image_url: Option<Raw<'a>>,
    #[serde(borrow)]
    file: Option<Raw<'a>>,
    #[serde(borrow)]
    cache_control: Option<Raw<'a>>,
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    #[serde(borrow)]
    tool_use_id: Option<Raw<'a>>,
}

/// The blocks of a message's content: a string, a list of parts, or nothing.
///
/// `param` is where the content stands in the request, for error messages.
pub(super) fn blocks<'a>(
    speaker: Speaker,
    param: &str,
    content: Option<Raw<'a>>,
    blocks: &mut Vec<Block<'a>>,
) -> Result<(), Failure> {
    let Some(raw) = content.map(RawValue::get) else {
        return Ok(());
    };
    if raw.starts_with('"') {
        let text: Text<'a> = read(param, raw)?;
        blocks.extend(Block::text(text.0, None));
        return Ok(());
    }
    if !raw.starts_with('[') {
        return Err(mistyped(param, "a string or an array of objects", raw));
    }
    let parts: Vec<Raw<'a>> = read(param, raw)?;
    for (position, part) in parts.into_iter().enumerate() {
        blocks.extend(block(speaker, &format!("{param}[{position}]"), part)?);
    }
    Ok(())
}

fn block<'a>(speaker: Speaker, param: &str, raw: Raw<'a>) -> Result<Option<Block<'a>>, Failure> {
    let part: Part<'a> = read(param, raw.get())?;
    let cache_control = part.cache_control;
    let kind = part.kind.map_or(Cow::Borrowed("text"), |kind| kind.0);
    let refuse = |why: &str| Err(impossible(param, format!("`{param}`: {why}")));
    match (&*kind, speaker) {
        ("text" | "refusal", _) => {
            let (name, text) = match (part.text, part.refusal) {
                (Some(text), _) => ("text", text),
                (None, Some(text)) => ("refusal", text),
                (None, None) => return Ok(None),
            };
            let text: Text<'a> = read(&format!("{param}.{name}"), text.get())?;
            Ok(Block::text(text.0, cache_control))
        }
        ("input_audio", _) => refuse("Anthropic models do not take audio"),
        ("image_url" | "file", Speaker::User | Speaker::Tool) => {
            let typed = match (part.image_url, part.file) {
                (Some(image), _) => {
                    Typed::Image { source: from_image(param, image)?, cache_control }
                }
                (None, Some(file)) => match from_file(param, file)? {
                    (source, true) => Typed::Image { source, cache_control },
                    (source, false) => Typed::Document { source, cache_control },
                },
                (None, None) => return refuse(&format!("a part of type `{kind}` needs `{kind}`")),
            };
            Ok(Some(Block::Typed(typed)))
        }
        ("image_url" | "file" | "image" | "document", Speaker::System | Speaker::Assistant) => {
            refuse("images and files can stand in user messages and tool results only")
        }
        _ if is_native(&kind, speaker) => {
            let call = if kind == "tool_result" { part.tool_use_id } else { part.id };
            let call = call.and_then(|id| serde_json::from_str::<Text<'a>>(id.get()).ok());
            let call = call.map(|id| id.0);
            Ok(Some(Block::Native(Native { kind, call, value: raw })))
        }
        _ => refuse(&format!("parts of type `{kind}` are not supported by Anthropic models")),
    }
}

/// Anthropic's own blocks that may stand with a speaker. Their contents are Anthropic's to judge.
fn is_native(kind: &str, speaker: Speaker) -> bool {
    match speaker {
        Speaker::System => false,
        Speaker::Tool => matches!(kind, "image" | "document" | "search_result" | "tool_reference"),
        Speaker::User => matches!(
            kind,
            "image" | "document" | "search_result" | "container_upload" | "tool_result"
        ),
        Speaker::Assistant => {
            matches!(kind, "thinking" | "redacted_thinking" | "compaction" | "container_upload")
                || kind.ends_with("tool_use")
                || kind.ends_with("_tool_result")
        }
    }
}

/// The blocks of `thinking_blocks`, which go back unchanged and in order. One without a signature
/// comes from another provider, and the API refuses it.
pub(super) fn thinking<'a>(
    param: &str,
    raw: Raw<'a>,
    blocks: &mut Vec<Block<'a>>,
) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Signed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow)]
        signature: Option<Text<'a>>,
        #[serde(borrow)]
        data: Option<Text<'a>>,
    }

    for value in read::<Vec<Raw<'a>>>(param, raw.get())? {
        let block: Signed<'a> = read(param, value.get())?;
        let proof = match &*block.kind.0 {
            "thinking" => block.signature,
            "redacted_thinking" => block.data,
            _ => None,
        };
        if proof.is_some_and(|proof| !proof.0.is_empty()) {
            blocks.push(Block::Native(Native { kind: block.kind.0, call: None, value }));
        }
    }
    Ok(())
}
