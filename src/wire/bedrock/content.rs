//! Content blocks, and how the parts of a message become blocks.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::media::{self, Kind, Media, Source};
use crate::failure::Failure;
use crate::wire::chat::{Foreign, ImageUrl, Part, Raw, parts};
use crate::wire::fields::{Text, impossible, read};
use crate::wire::turns::{NO_RESULT, PLACEHOLDER, Spoken, trim_end};

/// One block of a turn, of the system prompt or of a tool's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Block<'a> {
    Text(Cow<'a, str>),
    Image(Sourced<'a>),
    Audio(Sourced<'a>),
    Video(Sourced<'a>),
    Document(Document<'a>),
    #[serde(rename_all = "camelCase")]
    ToolUse {
        tool_use_id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Cow<'a, RawValue>,
    },
    #[serde(rename_all = "camelCase")]
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: Vec<Self>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
    },
    ReasoningContent(Reasoning<'a>),
    GuardContent(Guarded<'a>),
    SearchResult(SearchResult<'a>),
    CachePoint(CachePoint),
}

#[derive(Debug, Serialize)]
pub(super) struct Sourced<'a> {
    format: &'static str,
    source: Source<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    format: &'static str,
    pub(super) name: String,
    source: Source<'a>,
}

/// A block of reasoning, as it came from the model.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Reasoning<'a> {
    ReasoningText { text: Cow<'a, str>, signature: Cow<'a, str> },
    RedactedContent(Cow<'a, str>),
}

/// What a guardrail is to look at.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Guarded<'a> {
    Text { text: Cow<'a, str> },
}

/// A text that may be cited.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct SearchResult<'a> {
    #[serde(borrow)]
    source: Text<'a>,
    #[serde(borrow)]
    title: Text<'a>,
    #[serde(borrow)]
    content: Vec<Said<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    citations: Option<Raw<'a>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Said<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

/// The end of a prefix to cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CachePoint {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'static str>,
}

impl CachePoint {
    /// The point that Anthropic's marker stands for. Five minutes need not be said.
    pub(super) fn of(marker: Raw<'_>) -> Self {
        #[derive(Deserialize)]
        struct Marker<'a> {
            #[serde(borrow, default)]
            ttl: Option<Text<'a>>,
        }

        let ttl = serde_json::from_str::<Marker<'_>>(marker.get()).ok().and_then(|it| it.ttl);
        let ttl = ttl.filter(|ttl| &**ttl == "1h").map(|_| "1h");
        Self { kind: "default", ttl }
    }
}

impl<'a> Block<'a> {
    /// A text block, unless there is nothing to read in it: Converse refuses blank ones.
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        (!text.trim().is_empty()).then_some(Self::Text(text))
    }

    fn media(media: Media<'a>) -> Self {
        let Media { kind, format, source, name } = media;
        match kind {
            Kind::Image => Self::Image(Sourced { format, source }),
            Kind::Audio => Self::Audio(Sourced { format, source }),
            Kind::Video => Self::Video(Sourced { format, source }),
            Kind::Document => Self::Document(Document { format, name, source }),
        }
    }

    pub(super) const fn is_result(&self) -> bool {
        matches!(self, Self::ToolResult { .. })
    }
}

impl Spoken for Block<'_> {
    fn calling(&self) -> Option<&str> {
        match self {
            Self::ToolUse { tool_use_id, .. } => Some(tool_use_id),
            _ => None,
        }
    }

    fn answered(&self) -> Option<&str> {
        match self {
            Self::ToolResult { tool_use_id, .. } => Some(tool_use_id),
            _ => None,
        }
    }

    fn is_mark(&self) -> bool {
        matches!(self, Self::CachePoint(_))
    }

    fn trim_end(&mut self) {
        if let Self::Text(text) = self {
            trim_end(text);
        }
    }

    fn no_result(id: String) -> Self {
        let content = vec![Self::Text(Cow::Borrowed(NO_RESULT))];
        Self::ToolResult { tool_use_id: Cow::Owned(id), content, status: None }
    }

    fn placeholder() -> Self {
        Self::Text(Cow::Borrowed(PLACEHOLDER))
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

/// A block with the end of a cached prefix behind it.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    pub(super) block: Block<'a>,
    pub(super) cache: Option<CachePoint>,
}

impl<'a> Piece<'a> {
    pub(super) const fn new(block: Block<'a>) -> Self {
        Self { block, cache: None }
    }
}

/// The blocks of a message's content. `param` is where it stands.
pub(super) fn pieces<'a>(
    speaker: Speaker,
    param: &str,
    content: Option<&'a RawValue>,
) -> Result<Vec<Piece<'a>>, Failure> {
    let mut pieces = Vec::new();
    for (at, part) in parts(param, content)?.into_iter().enumerate() {
        pieces.extend(piece(speaker, &format!("{param}[{at}]"), part)?);
    }
    Ok(pieces)
}

fn piece<'a>(speaker: Speaker, param: &str, part: Part<'a>) -> Result<Option<Piece<'a>>, Failure> {
    let sees = matches!(speaker, Speaker::User | Speaker::Tool);
    let only_read = || {
        let why = "images, sound and files can stand in user messages and tool results only";
        Err(impossible(param, format!("`{param}`: {why}")))
    };
    let (block, marker) = match part {
        Part::Text { text, cache_control } => (Block::text(text), cache_control),
        Part::Refusal { refusal } => (Block::text(refusal), None),
        Part::ImageUrl { .. } | Part::InputAudio { .. } | Part::File { .. } if !sees => {
            return only_read();
        }
        Part::ImageUrl { image_url, cache_control } => {
            (Some(Block::media(media::from_url(param, image_url)?)), cache_control)
        }
        Part::InputAudio { input_audio, cache_control } => {
            (Some(Block::media(media::from_audio(param, input_audio)?)), cache_control)
        }
        Part::File { file, cache_control } => {
            (Some(Block::media(media::from_file(param, file)?)), cache_control)
        }
        Part::Foreign(part) => foreign(speaker, param, &part)?,
    };
    let Some(block) = block else { return Ok(None) };
    // A tool's result has no sound in it.
    if speaker == Speaker::Tool && matches!(block, Block::Audio(_) | Block::GuardContent(_)) {
        let why = "what a tool returns can be text, images, documents and video";
        return Err(impossible(param, format!("`{param}`: {why}")));
    }
    Ok(Some(Piece { block, cache: marker.map(CachePoint::of) }))
}

/// A part that OpenAI does not have.
fn foreign<'a>(
    speaker: Speaker,
    param: &str,
    part: &Foreign<'a>,
) -> Result<(Option<Block<'a>>, Option<Raw<'a>>), Failure> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, default)]
        text: Option<Text<'a>>,
        #[serde(borrow, default)]
        video_url: Option<ImageUrl<'a>>,
        #[serde(borrow, default)]
        cache_control: Option<Raw<'a>>,
    }

    let raw = part.raw.get();
    let sees = matches!(speaker, Speaker::User | Speaker::Tool);
    let fields: Fields<'a> = read(param, raw)?;
    let block = match (&*part.kind, fields.text, fields.video_url) {
        ("guarded_text", Some(text), _) if !text.trim().is_empty() => {
            Block::GuardContent(Guarded::Text { text: text.0 })
        }
        ("guarded_text", ..) => return Ok((None, None)),
        ("video_url", _, Some(url)) if sees => Block::media(media::from_url(param, url)?),
        ("search_result", ..) if sees => Block::SearchResult(read(param, raw)?),
        // Already sent as reasoning, or of no meaning to another provider.
        ("thinking" | "redacted_thinking", ..) if speaker == Speaker::Assistant => {
            return Ok((None, None));
        }
        (kind, ..) => {
            let message = format!("`{param}`: parts of type `{kind}` are not supported by Bedrock");
            return Err(impossible(param, message));
        }
    };
    Ok((Some(block), fields.cache_control))
}

/// The blocks of `thinking_blocks`, unchanged and in order. One without a signature comes from
/// another provider, and would be refused.
pub(super) fn reasoning<'a>(param: &str, blocks: &[Raw<'a>]) -> Result<Vec<Piece<'a>>, Failure> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow, default)]
        thinking: Option<Text<'a>>,
        #[serde(borrow, default)]
        signature: Option<Text<'a>>,
        #[serde(borrow, default)]
        data: Option<Text<'a>>,
    }

    let mut pieces = Vec::new();
    for (at, raw) in blocks.iter().enumerate() {
        let block: Written<'a> = read(&format!("{param}[{at}]"), raw.get())?;
        let signature = block.signature.filter(|signature| !signature.is_empty());
        let data = block.data.filter(|data| !data.is_empty());
        let reasoning = match (&*block.kind, signature, data) {
            ("thinking", Some(signature), _) => Reasoning::ReasoningText {
                text: block.thinking.map(|text| text.0).unwrap_or_default(),
                signature: signature.0,
            },
            ("redacted_thinking", _, Some(data)) => Reasoning::RedactedContent(data.0),
            _ => continue,
        };
        pieces.push(Piece::new(Block::ReasoningContent(reasoning)));
    }
    Ok(pieces)
}
