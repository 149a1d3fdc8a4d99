//! One block of a turn, put into parts of a message, a tool call, or a tool's result.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::sealed::Sealed;
use crate::failure::Failure;
use crate::wire::chat::{FileData, Foreign, ImageUrl, Part, Raw};
use crate::wire::fields::{Text, invalid, missing, mistyped, read};

/// How deep blocks may stand in one another: a document in a tool's result holds blocks.
const DEPTH_MAX: u8 = 3;

/// Who says a block, and where it stands in the request.
pub(super) struct Place<'p> {
    param: &'p str,
    speaker: Speaker,
    depth: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    System,
    User,
    Assistant,
    Tool,
}

impl<'p> Place<'p> {
    pub(super) const fn system(param: &'p str) -> Self {
        Self { param, speaker: Speaker::System, depth: 0 }
    }

    pub(super) const fn user(param: &'p str) -> Self {
        Self { param, speaker: Speaker::User, depth: 0 }
    }

    pub(super) const fn assistant(param: &'p str) -> Self {
        Self { param, speaker: Speaker::Assistant, depth: 0 }
    }
}

/// What a block comes to.
pub(super) enum Block<'a> {
    Parts(Vec<Part<'a>>),
    /// The text of a thought; the block itself is kept as it is.
    Thinking(Cow<'a, str>),
    /// What another provider wants to see again.
    Sealed(Sealed<'static>),
    Call {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Option<Raw<'a>>,
        cache_control: Option<Raw<'a>>,
    },
    Result {
        id: Cow<'a, str>,
        content: Box<RawValue>,
        is_error: bool,
        cache_control: Option<Raw<'a>>,
    },
    /// What a tool did at Anthropic; its outcome is in the text.
    Hosted,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    text: Option<Raw<'a>>,
    #[serde(borrow, default)]
    source: Option<Raw<'a>>,
    #[serde(borrow, default)]
    title: Option<Raw<'a>>,
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    input: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_use_id: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_name: Option<Raw<'a>>,
    #[serde(borrow, default)]
    is_error: Option<Raw<'a>>,
    #[serde(borrow, default)]
    thinking: Option<Raw<'a>>,
    #[serde(borrow, default)]
    data: Option<Raw<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

/// A string field of a block.
fn text_in<'a>(param: &str, name: &str, raw: Option<Raw<'a>>) -> Result<Cow<'a, str>, Failure> {
    let param = format!("{param}.{name}");
    let raw = raw.ok_or_else(|| missing(&param))?;
    read::<Text<'a>>(&param, raw.get()).map(|text| text.0)
}

/// Reads one block.
///
/// # Errors
/// It lacks what its type needs, or its type may not stand here.
pub(super) fn block<'a>(place: &Place<'_>, raw: Raw<'a>) -> Result<Block<'a>, Failure> {
    let param = place.param;
    let written: Written<'a> = read(param, raw.get())?;
    let cache_control = written.cache_control.filter(|raw| raw.get() != "null");
    let speaker = place.speaker;
    let one = |part| Ok(Block::Parts(vec![part]));
    match (&*written.kind, speaker) {
        ("text", _) => {
            let text = text_in(param, "text", written.text)?;
            // Blank text says nothing, and other providers refuse it as Anthropic does.
            if text.is_empty() {
                return Ok(Block::Parts(Vec::new()));
            }
            one(Part::Text { text, cache_control })
        }
        ("image", Speaker::User | Speaker::Tool) => {
            image(param, written.source).and_then(|part| one(marked(part, cache_control)))
        }
        ("document", Speaker::User | Speaker::Tool) => {
            let title = written.title.filter(|raw| raw.get() != "null");
            let title = title.map(|raw| text_in(param, "title", Some(raw))).transpose()?;
            let mut parts = document(place, written.source, title)?;
            if let Some(last) = parts.pop() {
                parts.push(marked(last, cache_control));
            }
            Ok(Block::Parts(parts))
        }
        ("search_result", Speaker::User | Speaker::Tool) => {
            let title = text_in(param, "title", written.title)?;
            let source = text_in(param, "source", written.source)?;
            let head =
                Part::Text { text: format!("{title} ({source})").into(), cache_control: None };
            let mut all = vec![head];
            if let Some(content) = written.content {
                all.extend(nested(place, "content", content)?);
            }
            if let Some(last) = all.pop() {
                all.push(marked(last, cache_control));
            }
            Ok(Block::Parts(all))
        }
        ("tool_result", Speaker::User) => {
            let id = text_in(param, "tool_use_id", written.tool_use_id)?;
            let is_error = match written.is_error.map(RawValue::get) {
                None | Some("null" | "false") => false,
                Some("true") => true,
                Some(raw) => return Err(mistyped(&format!("{param}.is_error"), "a boolean", raw)),
            };
            let content = match written.content.filter(|raw| raw.get() != "null") {
                None => Vec::new(),
                Some(raw) => nested(place, "content", raw)?,
            };
            let content = content_or_nothing(&content);
            Ok(Block::Result { id, content, is_error, cache_control })
        }
        ("thinking", Speaker::Assistant) => {
            Ok(Block::Thinking(text_in(param, "thinking", written.thinking)?))
        }
        ("redacted_thinking", Speaker::Assistant) => {
            let data = text_in(param, "data", written.data)?;
            Ok(Sealed::read(&data).map_or(Block::Thinking(Cow::Borrowed("")), Block::Sealed))
        }
        ("tool_use", Speaker::Assistant) => Ok(Block::Call {
            id: text_in(param, "id", written.id)?,
            name: text_in(param, "name", written.name)?,
            input: written.input,
            cache_control,
        }),
        (kind, Speaker::Assistant)
            if kind == "compaction" || kind.ends_with("_tool_use") || kind.ends_with("_result") =>
        {
            Ok(Block::Hosted)
        }
        ("tool_reference", Speaker::Tool) => {
            one(Part::Text { text: text_in(param, "tool_name", written.tool_name)?, cache_control })
        }
        ("image" | "document" | "tool_result" | "tool_use" | "thinking", _) => {
            let message =
                format!("{param}: a block of type `{}` cannot stand here.", written.kind.0);
            Err(invalid(param, message))
        }
        _ => one(Part::Foreign(Foreign { kind: written.kind.0, raw })),
    }
}

/// Blocks within a block, or a text.
fn nested<'a>(place: &Place<'_>, name: &str, raw: Raw<'a>) -> Result<Vec<Part<'a>>, Failure> {
    let param = format!("{}.{name}", place.param);
    if place.depth >= DEPTH_MAX {
        return Err(invalid(&param, format!("{param}: blocks stand too deep in one another.")));
    }
    parts(&Place { param: &param, speaker: Speaker::Tool, depth: place.depth + 1 }, raw)
}

/// A text or a list of blocks, of which only those with content count.
pub(super) fn parts<'a>(place: &Place<'_>, raw: Raw<'a>) -> Result<Vec<Part<'a>>, Failure> {
    let param = place.param;
    match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text: Text<'a> = read(param, raw.get())?;
            Ok(vec![Part::Text { text: text.0, cache_control: None }])
        }
        Some(b'[') => {
            let mut all = Vec::new();
            for (at, raw) in read::<Vec<Raw<'a>>>(param, raw.get())?.into_iter().enumerate() {
                let param = format!("{param}.{at}");
                let place = Place { param: &param, ..*place };
                if let Block::Parts(parts) = block(&place, raw)? {
                    all.extend(parts);
                }
            }
            Ok(all)
        }
        _ => Err(mistyped(param, "a string or an array", raw.get())),
    }
}

/// The content of a message: a plain text where it is one, else a list; `None` for nothing.
pub(super) fn content(parts: &[Part<'_>]) -> Option<Box<RawValue>> {
    match parts {
        [] => None,
        [Part::Text { text, cache_control: None }] => serde_json::value::to_raw_value(text).ok(),
        parts => serde_json::value::to_raw_value(parts).ok(),
    }
}

fn content_or_nothing(parts: &[Part<'_>]) -> Box<RawValue> {
    content(parts).or_else(|| serde_json::value::to_raw_value("").ok()).unwrap_or_default()
}

/// The part with a marker, unless there is none to put on it.
fn marked<'a>(part: Part<'a>, marker: Option<Raw<'a>>) -> Part<'a> {
    if marker.is_none() {
        return part;
    }
    match part {
        Part::Text { text, .. } => Part::Text { text, cache_control: marker },
        Part::ImageUrl { image_url, .. } => Part::ImageUrl { image_url, cache_control: marker },
        Part::File { file, .. } => Part::File { file, cache_control: marker },
        part @ (Part::Refusal { .. } | Part::InputAudio { .. } | Part::Foreign(_)) => part,
    }
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, default)]
    media_type: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<Text<'a>>,
    #[serde(borrow, default)]
    url: Option<Text<'a>>,
    #[serde(borrow, default)]
    file_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
}

impl<'a> Source<'a> {
    fn read(param: &str, raw: Option<Raw<'a>>) -> Result<(String, Self), Failure> {
        let param = format!("{param}.source");
        let raw = raw.ok_or_else(|| missing(&param))?;
        let source = read(&param, raw.get())?;
        Ok((param, source))
    }
}

fn needed<'a>(param: &str, name: &str, text: Option<Text<'a>>) -> Result<Cow<'a, str>, Failure> {
    text.map(|text| text.0).ok_or_else(|| missing(&format!("{param}.{name}")))
}

fn data_url(param: &str, source: Source<'_>) -> Result<String, Failure> {
    let media_type = needed(param, "media_type", source.media_type)?;
    let data = needed(param, "data", source.data)?;
    let mut url = String::with_capacity(media_type.len() + data.len() + 13);
    for piece in ["data:", &media_type, ";base64,", &data] {
        url.push_str(piece);
    }
    Ok(url)
}

fn image<'a>(param: &str, raw: Option<Raw<'a>>) -> Result<Part<'a>, Failure> {
    let (param, source) = Source::read(param, raw)?;
    let url = match &*source.kind.0 {
        "base64" => data_url(&param, source)?.into(),
        "url" => needed(&param, "url", source.url)?,
        "file" => {
            let id = needed(&param, "file_id", source.file_id)?;
            let file = FileData { file_id: Some(Text(id)), ..FileData::default() };
            return Ok(Part::File { file, cache_control: None });
        }
        kind => return Err(wrong_source(&param, kind)),
    };
    let image_url = ImageUrl { url: Text(url), detail: None, format: None };
    Ok(Part::ImageUrl { image_url, cache_control: None })
}

fn document<'a>(
    place: &Place<'_>,
    raw: Option<Raw<'a>>,
    title: Option<Cow<'a, str>>,
) -> Result<Vec<Part<'a>>, Failure> {
    let (param, source) = Source::read(place.param, raw)?;
    let file = |file| Part::File { file, cache_control: None };
    Ok(match &*source.kind.0 {
        "base64" => {
            let filename = title.unwrap_or(Cow::Borrowed("document.pdf"));
            vec![file(FileData {
                file_data: Some(data_url(&param, source)?.into()),
                filename: Some(Text(filename)),
                ..FileData::default()
            })]
        }
        // Few providers take a file of text, and text is understood by all.
        "text" => {
            let text = needed(&param, "data", source.data)?;
            let text = match title {
                Some(title) => format!("{title}\n\n{text}").into(),
                None => text,
            };
            vec![Part::Text { text, cache_control: None }]
        }
        "content" => {
            let param = format!("{param}.content");
            let raw = source.content.ok_or_else(|| missing(&param))?;
            nested(&Place { param: place.param, ..*place }, "source.content", raw)?
        }
        "url" => {
            let url = needed(&param, "url", source.url)?;
            vec![file(FileData { file_id: Some(Text(url)), ..FileData::default() })]
        }
        "file" => {
            let id = needed(&param, "file_id", source.file_id)?;
            let filename = title.map(Text);
            vec![file(FileData { file_id: Some(Text(id)), filename, ..FileData::default() })]
        }
        kind => return Err(wrong_source(&param, kind)),
    })
}

fn wrong_source(param: &str, kind: &str) -> Failure {
    let message = format!("{param}.type: `{kind}` is not a source that is known here.");
    invalid(&format!("{param}.type"), message)
}
