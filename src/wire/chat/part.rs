//! The parts of a message's content.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Raw;
use crate::failure::Failure;
use crate::wire::fields::{Text, mistyped, read};

/// One part of a message.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Part<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    Refusal {
        refusal: Cow<'a, str>,
    },
    ImageUrl {
        image_url: ImageUrl<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    InputAudio {
        input_audio: AudioData<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    File {
        file: FileData<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Raw<'a>>,
    },
    /// A part that OpenAI does not have, by its name; it is for a provider that does.
    #[serde(untagged)]
    Foreign(#[serde(serialize_with = "raw_of")] Foreign<'a>),
}

/// A part of a type that is not OpenAI's.
#[derive(Debug)]
pub struct Foreign<'a> {
    pub kind: Cow<'a, str>,
    pub raw: Raw<'a>,
}

fn raw_of<S: serde::Serializer>(part: &Foreign<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    part.raw.serialize(serializer)
}

/// An image: `url` is an address, or a data URL.
#[derive(Debug, Deserialize, Serialize)]
pub struct ImageUrl<'a> {
    #[serde(borrow)]
    pub url: Text<'a>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Text<'a>>,
    /// The media type, where the address does not tell it (LiteLLM's spelling).
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Text<'a>>,
}

/// Sound in base64.
#[derive(Debug, Deserialize, Serialize)]
pub struct AudioData<'a> {
    #[serde(borrow)]
    pub data: Text<'a>,
    /// `wav`, `mp3`, ...
    #[serde(borrow)]
    pub format: Text<'a>,
}

/// A file: a data URL, an address, or the provider's own id.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct FileData<'a> {
    /// A data URL.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file_data: Option<Text<'a>>,
    /// Where a provider keeps it; also an address, as LiteLLM's clients write it.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file_id: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub file_url: Option<Text<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<Text<'a>>,
    /// The media type.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    cache_control: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct TextFields<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

#[derive(Deserialize)]
struct RefusalFields<'a> {
    #[serde(borrow)]
    refusal: Text<'a>,
}

#[derive(Deserialize)]
struct ImageFields<'a> {
    #[serde(borrow)]
    image_url: Raw<'a>,
}

#[derive(Deserialize)]
struct AudioFields<'a> {
    #[serde(borrow)]
    input_audio: AudioData<'a>,
}

#[derive(Deserialize)]
struct FileFields<'a> {
    #[serde(borrow)]
    file: FileData<'a>,
}

/// Reads content: a string is one part of text, `null` and nothing at all are none. `param` is where
/// it stands in the request, as in `messages[3].content`.
///
/// # Errors
/// It is something else, or a part lacks what its type needs.
pub fn parts<'a>(param: &str, content: Option<&'a RawValue>) -> Result<Vec<Part<'a>>, Failure> {
    let Some(raw) = content else { return Ok(Vec::new()) };
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok(Vec::new()),
        Some(b'"') => {
            let text: Text<'a> = read(param, raw.get())?;
            Ok(vec![Part::Text { text: text.0, cache_control: None }])
        }
        Some(b'[') => {
            let list: Vec<Raw<'a>> = read(param, raw.get())?;
            let place = |at: usize| format!("{param}[{at}]");
            list.into_iter().enumerate().map(|(at, raw)| part(&place(at), raw)).collect()
        }
        _ => Err(mistyped(param, "a string or an array", raw.get())),
    }
}

fn part<'a>(param: &str, raw: Raw<'a>) -> Result<Part<'a>, Failure> {
    if raw.get().starts_with('"') {
        let text: Text<'a> = read(param, raw.get())?;
        return Ok(Part::Text { text: text.0, cache_control: None });
    }
    let Kind { kind, cache_control } = read(param, raw.get())?;
    let kind = kind.map_or(Cow::Borrowed("text"), |kind| kind.0);
    Ok(match &*kind {
        "text" | "input_text" | "output_text" => {
            let fields: TextFields<'a> = read(param, raw.get())?;
            Part::Text { text: fields.text.0, cache_control }
        }
        "refusal" => {
            let fields: RefusalFields<'a> = read(param, raw.get())?;
            Part::Refusal { refusal: fields.refusal.0 }
        }
        "image_url" => {
            let fields: ImageFields<'a> = read(param, raw.get())?;
            let param = format!("{param}.image_url");
            let written = fields.image_url.get();
            // Many clients write the address itself.
            let image_url = if written.starts_with('"') {
                ImageUrl { url: read(&param, written)?, detail: None, format: None }
            } else {
                read(&param, written)?
            };
            Part::ImageUrl { image_url, cache_control }
        }
        "input_audio" => {
            let fields: AudioFields<'a> = read(param, raw.get())?;
            Part::InputAudio { input_audio: fields.input_audio, cache_control }
        }
        "file" => {
            let fields: FileFields<'a> = read(param, raw.get())?;
            Part::File { file: fields.file, cache_control }
        }
        _ => Part::Foreign(Foreign { kind, raw }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_parts(json: &str) -> Result<String, String> {
        let raw: &RawValue = serde_json::from_str(json).unwrap();
        let parts = parts("messages[0].content", Some(raw)).map_err(|failure| failure.message)?;
        Ok(serde_json::to_string(&parts).unwrap())
    }

    #[test]
    fn content_is_read_in_all_its_forms() {
        for (written, expected) in [
            (r#""a""#, r#"[{"type":"text","text":"a"}]"#),
            ("null", "[]"),
            (r#"["a"]"#, r#"[{"type":"text","text":"a"}]"#),
            (
                r#"[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]"#,
                r#"[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]"#,
            ),
            (
                r#"[{"type":"image_url","image_url":"http://h/a.png"}]"#,
                r#"[{"type":"image_url","image_url":{"url":"http://h/a.png"}}]"#,
            ),
            (
                r#"[{"type":"image_url","image_url":{"url":"u","detail":"low"}}]"#,
                r#"[{"type":"image_url","image_url":{"url":"u","detail":"low"}}]"#,
            ),
            (
                r#"[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]"#,
                r#"[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]"#,
            ),
            (
                r#"[{"type":"file","file":{"file_id":"f","filename":"n"}}]"#,
                r#"[{"type":"file","file":{"file_id":"f","filename":"n"}}]"#,
            ),
            (r#"[{"type":"search_result","x":1}]"#, r#"[{"type":"search_result","x":1}]"#),
        ] {
            assert_eq!(read_parts(written).as_deref(), Ok(expected), "{written}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (written, told) in [
            ("5", "'messages[0].content': expected a string or an array"),
            (r#"[5]"#, "'messages[0].content[0]'"),
            (r#"[{"type":"text"}]"#, "'messages[0].content[0].text'"),
            (r#"[{"type":"image_url","image_url":{}}]"#, "'messages[0].content[0].image_url.url'"),
        ] {
            let message = read_parts(written).unwrap_err();
            assert!(message.contains(told), "{written}: {message}");
        }
    }
}
