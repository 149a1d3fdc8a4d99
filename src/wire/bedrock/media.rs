//! Images, documents, sound and video: what they are, by media type or the end of a name, and where
//! they come from.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use crate::failure::Failure;
use crate::wire::chat::{AudioData, FileData, ImageUrl};
use crate::wire::fields::{Text, impossible, invalid};

/// The longest name of a document, in letters.
const MAX_NAME: usize = 200;
/// The name of a document that has none.
const UNNAMED: &str = "document";

/// Something that is not text.
#[derive(Debug)]
pub(super) struct Media<'a> {
    pub(super) kind: Kind,
    pub(super) format: &'static str,
    pub(super) source: Source<'a>,
    /// Of a document: in the letters that Converse takes.
    pub(super) name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Image,
    Document,
    Audio,
    Video,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source<'a> {
    /// In base64.
    Bytes(Cow<'a, str>),
    S3Location {
        uri: Cow<'a, str>,
    },
}

/// Every format, with the media types that stand for it and the ends of names that tell it.
const FORMATS: &[(Kind, &str, &[&str], &[&str])] = &[
    (Kind::Image, "png", &["image/png"], &["png"]),
    (Kind::Image, "jpeg", &["image/jpeg", "image/jpg"], &["jpeg", "jpg"]),
    (Kind::Image, "gif", &["image/gif"], &["gif"]),
    (Kind::Image, "webp", &["image/webp"], &["webp"]),
    (Kind::Document, "pdf", &["application/pdf"], &["pdf"]),
    (Kind::Document, "csv", &["text/csv", "application/csv"], &["csv"]),
    (Kind::Document, "doc", &["application/msword"], &["doc"]),
    (
        Kind::Document,
        "docx",
        &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        &["docx"],
    ),
    (Kind::Document, "xls", &["application/vnd.ms-excel"], &["xls"]),
    (
        Kind::Document,
        "xlsx",
        &["application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"],
        &["xlsx"],
    ),
    (Kind::Document, "html", &["text/html"], &["html", "htm"]),
    (Kind::Document, "md", &["text/markdown", "text/x-markdown"], &["md", "markdown"]),
    (Kind::Document, "txt", &["text/plain", "application/json", "text/xml"], &["txt", "json"]),
    (Kind::Video, "mkv", &["video/x-matroska"], &["mkv"]),
    (Kind::Video, "mov", &["video/quicktime"], &["mov"]),
    (Kind::Video, "mp4", &["video/mp4"], &["mp4"]),
    (Kind::Video, "webm", &["video/webm"], &["webm"]),
    (Kind::Video, "flv", &["video/x-flv"], &["flv"]),
    (Kind::Video, "mpeg", &["video/mpeg"], &["mpeg"]),
    (Kind::Video, "mpg", &["video/mpg"], &["mpg"]),
    (Kind::Video, "wmv", &["video/x-ms-wmv", "video/wmv"], &["wmv"]),
    (Kind::Video, "three_gp", &["video/3gpp"], &["3gp"]),
    (Kind::Audio, "mp3", &["audio/mpeg", "audio/mp3"], &["mp3"]),
    (Kind::Audio, "wav", &["audio/wav", "audio/x-wav", "audio/wave"], &["wav"]),
    (Kind::Audio, "opus", &["audio/opus"], &["opus"]),
    (Kind::Audio, "aac", &["audio/aac"], &["aac"]),
    (Kind::Audio, "flac", &["audio/flac", "audio/x-flac"], &["flac"]),
    (Kind::Audio, "ogg", &["audio/ogg"], &["ogg"]),
    (Kind::Audio, "m4a", &["audio/m4a", "audio/x-m4a"], &["m4a"]),
    (Kind::Audio, "mp4", &["audio/mp4"], &[]),
    (Kind::Audio, "mka", &["audio/x-matroska"], &["mka"]),
    (Kind::Audio, "webm", &["audio/webm"], &[]),
    (Kind::Audio, "pcm", &["audio/pcm", "audio/l16"], &["pcm"]),
];

type Format = (Kind, &'static str);

fn by_type(media_type: &str) -> Option<Format> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let known = FORMATS.iter().find(|(_, _, types, _)| types.contains(&&*media_type));
    let known = known.map(|(kind, format, ..)| (*kind, *format));
    // Any other text can at least be read.
    known.or_else(|| media_type.starts_with("text/").then_some((Kind::Document, "txt")))
}

fn by_name(name: &str) -> Option<Format> {
    let path = name.split(['?', '#']).next().unwrap_or_default();
    let (_, end) = path.rsplit_once('.')?;
    let end = end.to_ascii_lowercase();
    let known = FORMATS.iter().find(|(_, _, _, ends)| ends.contains(&&*end));
    known.map(|(kind, format, ..)| (*kind, *format))
}

/// What an `image_url` holds; LiteLLM's clients send documents and videos in it too.
pub(super) fn from_url<'a>(param: &str, image: ImageUrl<'a>) -> Result<Media<'a>, Failure> {
    let told = image.format.as_deref().and_then(by_type);
    of_url(param, image.url, told, UNNAMED)
}

/// What a `file` holds.
pub(super) fn from_file<'a>(param: &str, file: FileData<'a>) -> Result<Media<'a>, Failure> {
    let filename = file.filename.as_deref().unwrap_or_default();
    let told = file.format.as_deref().and_then(by_type).or_else(|| by_name(filename));
    let name = if filename.is_empty() { UNNAMED } else { filename };
    if let Some(data) = file.file_data {
        if is_data_url(&data) || is_address(&data) {
            return of_url(param, data, told, name);
        }
        // Base64 without a media type: the first bytes of every PDF tell it.
        let told = told.or_else(|| data.starts_with("JVBERi").then_some((Kind::Document, "pdf")));
        let Some((kind, format)) = told else {
            let message = format!("`{param}`: neither `file_data` nor `filename` tells its type");
            return Err(invalid(param, message));
        };
        return Ok(media((kind, format), Source::Bytes(data.0), name));
    }
    match file.file_url.or(file.file_id) {
        Some(url) if is_address(&url) => of_url(param, url, told, name),
        Some(_) => {
            let why = "files that were uploaded elsewhere cannot be read by Bedrock";
            Err(impossible(param, format!("`{param}`: {why}; send `file_data`")))
        }
        None => Err(invalid(param, format!("`{param}`: a file needs `file_data`"))),
    }
}

/// Sound in base64.
pub(super) fn from_audio<'a>(param: &str, audio: AudioData<'a>) -> Result<Media<'a>, Failure> {
    let written = audio.format.to_ascii_lowercase();
    let known =
        FORMATS.iter().find(|(kind, format, ..)| *kind == Kind::Audio && *format == written);
    let known = known.map(|(kind, format, ..)| (*kind, *format));
    let format = known.or_else(|| match &*written {
        "pcm16" => Some((Kind::Audio, "pcm")),
        _ => by_type(&written).filter(|(kind, _)| *kind == Kind::Audio),
    });
    match format {
        Some(format) => Ok(media(format, Source::Bytes(audio.data.0), UNNAMED)),
        None => Err(wrong(param, &written)),
    }
}

fn of_url<'a>(
    param: &str,
    Text(url): Text<'a>,
    told: Option<Format>,
    name: &str,
) -> Result<Media<'a>, Failure> {
    if is_data_url(&url) {
        return of_data_url(param, url, told, name);
    }
    if url.starts_with("s3://") {
        let Some(format) = told.or_else(|| by_name(&url)) else {
            let message = format!("`{param}`: the end of the address tells no known type");
            return Err(invalid(param, message));
        };
        return Ok(media(format, Source::S3Location { uri: url }, name));
    }
    let why = "Bedrock takes base64 data URLs and s3:// addresses, and does not fetch others";
    Err(impossible(param, format!("`{param}`: {why}")))
}

/// RFC 2397: `data:[type][;parameters][;base64],data`.
fn of_data_url<'a>(
    param: &str,
    url: Cow<'a, str>,
    told: Option<Format>,
    name: &str,
) -> Result<Media<'a>, Failure> {
    let Some((head, _)) = url.split_once(',') else {
        return Err(invalid(param, format!("`{param}`: the data URL holds no data")));
    };
    let mut words = head.get("data:".len()..).unwrap_or_default().split(';');
    let media_type = match words.next().unwrap_or_default().trim() {
        "" => "text/plain",
        written => written,
    };
    let is_base64 = words.any(|word| word.trim().eq_ignore_ascii_case("base64"));
    let vague = matches!(media_type, "application/octet-stream" | "text/plain");
    let known = by_type(media_type);
    let format = if vague { told.or(known) } else { known.or(told) };
    let Some(format) = format else {
        return Err(wrong(param, media_type));
    };
    let length = head.len() + 1;
    let data = match url {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(length..).unwrap_or_default()),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(length)),
    };
    if data.is_empty() {
        return Err(invalid(param, format!("`{param}`: the data URL holds no data")));
    }
    let data = match is_base64 {
        true => data,
        false => {
            let decoded: Vec<u8> = percent_decode_str(&data).collect();
            Cow::Owned(STANDARD.encode(decoded))
        }
    };
    Ok(media(format, Source::Bytes(data), name))
}

fn media<'a>((kind, format): Format, source: Source<'a>, name: &str) -> Media<'a> {
    let name = if kind == Kind::Document { document_name(name) } else { String::new() };
    Media { kind, format, source, name }
}

fn wrong(param: &str, media_type: &str) -> Failure {
    impossible(
        param,
        format!(
            "`{param}`: Bedrock takes no `{media_type}`; PNG, JPEG, GIF, WebP, PDF, CSV, Word, \
             Excel, HTML, Markdown, plain text, and the usual formats of sound and video can be sent"
        ),
    )
}

/// A document's name: letters, digits, hyphens, brackets and single spaces. The end that tells the
/// format is left out, because a dot is none of these.
fn document_name(name: &str) -> String {
    let stem = match name.rsplit_once('.') {
        Some((stem, _)) if by_name(name).is_some() => stem,
        _ => name,
    };
    let mut clean = String::with_capacity(stem.len().min(MAX_NAME));
    for c in stem.chars().take(MAX_NAME) {
        let kept = c.is_ascii_alphanumeric() || "-()[]".contains(c);
        let instead = if c.is_whitespace() { ' ' } else { '-' };
        if kept {
            clean.push(c);
        } else if !clean.ends_with(instead) {
            clean.push(instead);
        }
    }
    let clean = clean.trim_matches([' ', '-']);
    if clean.is_empty() { UNNAMED.to_owned() } else { clean.to_owned() }
}

fn is_data_url(url: &str) -> bool {
    url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

fn is_address(url: &str) -> bool {
    url.contains("://")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_get_names_that_converse_takes() {
        for (written, name) in [
            ("report.pdf", "report"),
            ("Q3 (final)  [2].v1.docx", "Q3 (final) [2]-v1"),
            ("\u{e9}t\u{e9}.txt", "t"),
            ("...", "document"),
            ("", "document"),
            ("no-end", "no-end"),
            ("a\nb\u{a0}c", "a b c"),
            ("..//x__y", "x-y"),
        ] {
            assert_eq!(document_name(written), name, "{written}");
        }
        assert_eq!(document_name(&"x".repeat(300)).len(), MAX_NAME);
    }

    #[test]
    fn the_type_decides_what_a_thing_is() {
        let of = |url: &str, format: Option<&'static str>| {
            let image = ImageUrl {
                url: url.to_owned().into(),
                detail: None,
                format: format.map(Text::from),
            };
            from_url("p", image).map(|media| {
                (media.kind, media.format, serde_json::to_string(&media.source).unwrap())
            })
        };
        let bytes = |data: &str| format!(r#"{{"bytes":"{data}"}}"#);
        for (url, expected) in [
            ("data:image/png;base64,AA==", (Kind::Image, "png", bytes("AA=="))),
            ("DATA:image/JPG;base64,AA==", (Kind::Image, "jpeg", bytes("AA=="))),
            ("data:application/pdf;base64,AA==", (Kind::Document, "pdf", bytes("AA=="))),
            ("data:video/mp4;base64,AA==", (Kind::Video, "mp4", bytes("AA=="))),
            ("data:text/plain;charset=utf-8,a%20b", (Kind::Document, "txt", bytes("YSBi"))),
            ("data:,a", (Kind::Document, "txt", bytes("YQ=="))),
            (
                "s3://b/k.webp",
                (Kind::Image, "webp", r#"{"s3Location":{"uri":"s3://b/k.webp"}}"#.to_owned()),
            ),
        ] {
            assert_eq!(of(url, None).unwrap(), expected, "{url}");
        }
        assert_eq!(of("s3://b/k", Some("image/gif")).unwrap().1, "gif");
        for url in [
            "https://h/a.png",
            "s3://b/k",
            "data:image/svg+xml;base64,AA==",
            "data:image/png;base64,",
            "data:",
            "x",
        ] {
            assert_eq!(of(url, None).unwrap_err().param.as_deref(), Some("p"), "{url}");
        }
    }
}
