//! Where an image or a document comes from: a data URL, an address, an uploaded file.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};

use super::content::Raw;
use crate::failure::Failure;
use crate::wire::fields::{Text, impossible, invalid, read};
use crate::wire::remote::is_web_address;

/// Anthropic's `source` of an image or document block.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'a> {
    Base64 { media_type: &'static str, data: Cow<'a, str> },
    Text { media_type: &'static str, data: Cow<'a, str> },
    Url { url: Cow<'a, str> },
    File { file_id: Cow<'a, str> },
}

/// The source of an `image_url`: `{url}`, or the URL alone.
pub(super) fn from_image<'a>(param: &str, raw: Raw<'a>) -> Result<Source<'a>, Failure> {
    #[derive(Deserialize)]
    struct Image<'a> {
        #[serde(borrow)]
        url: Text<'a>,
    }

    let place = || format!("{param}.image_url");
    let url = if raw.get().starts_with('"') {
        read::<Text<'a>>(&place(), raw.get())?.0
    } else {
        read::<Image<'a>>(&place(), raw.get())?.url.0
    };
    if is_web_address(&url) {
        return Ok(Source::Url { url });
    }
    let Some(head) = DataUrl::read(&url) else {
        return Err(invalid(
            param,
            format!("`{param}`: an image is given as an http(s) URL or as a base64 data URL"),
        ));
    };
    let Some(media_type) = image_type(&head.media_type) else {
        return Err(wrong_image(param, &head.media_type));
    };
    if !head.base64 {
        return Err(invalid(param, format!("`{param}`: the image's data URL is not in base64")));
    }
    Ok(Source::Base64 { media_type, data: after(url, head.length) })
}

/// The source of a `file`, and whether it is an image.
pub(super) fn from_file<'a>(param: &str, raw: Raw<'a>) -> Result<(Source<'a>, bool), Failure> {
    #[derive(Deserialize)]
    struct File<'a> {
        #[serde(borrow)]
        file_data: Option<Text<'a>>,
        #[serde(borrow)]
        file_id: Option<Text<'a>>,
        #[serde(borrow)]
        file_url: Option<Text<'a>>,
        #[serde(borrow)]
        filename: Option<Text<'a>>,
    }

    let file: File<'a> = read(&format!("{param}.file"), raw.get())?;
    let Some(data) = file.file_data.map(|data| data.0) else {
        if let Some(url) = file.file_url.map(|url| url.0).filter(|url| is_web_address(url)) {
            return Ok((Source::Url { url }, false));
        }
        let Some(id) = file.file_id.map(|id| id.0).filter(|id| !id.is_empty()) else {
            return Err(invalid(
                param,
                format!("`{param}`: a file needs `file_data`, `file_url` or `file_id`"),
            ));
        };
        // LiteLLM's clients write the address of a document here.
        let source = if is_web_address(&id) {
            Source::Url { url: id }
        } else {
            Source::File { file_id: id }
        };
        return Ok((source, false));
    };
    if is_web_address(&data) {
        return Ok((Source::Url { url: data }, false));
    }
    let Some(head) = DataUrl::read(&data) else {
        // Base64 without a media type: the name tells, or the first bytes of every PDF.
        let named = file.filename.is_some_and(|name| name.0.to_ascii_lowercase().ends_with(".pdf"));
        if named || data.starts_with("JVBERi") {
            return Ok((Source::Base64 { media_type: "application/pdf", data }, false));
        }
        return Err(invalid(param, format!("`{param}`: `file_data` is not a data URL")));
    };
    if head.base64 && head.media_type == "application/pdf" {
        let data = after(data, head.length);
        return Ok((Source::Base64 { media_type: "application/pdf", data }, false));
    }
    if head.media_type.starts_with("text/") {
        let text = decode(param, head.base64, &after(data, head.length))?;
        return Ok((Source::Text { media_type: "text/plain", data: Cow::Owned(text) }, false));
    }
    match image_type(&head.media_type) {
        Some(media_type) if head.base64 => {
            Ok((Source::Base64 { media_type, data: after(data, head.length) }, true))
        }
        _ => Err(impossible(
            param,
            format!(
                "`{param}`: files of type `{}` are not supported by Anthropic models; PDF, plain \
                 text and images are",
                head.media_type
            ),
        )),
    }
}

/// The part of a data URL before its data.
struct DataUrl {
    /// In lower case, without parameters.
    media_type: String,
    base64: bool,
    /// Bytes up to the data.
    length: usize,
}

impl DataUrl {
    fn read(url: &str) -> Option<Self> {
        let scheme = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"))?;
        let (head, _) = url.split_once(',')?;
        let mut words = head.get(scheme.len()..)?.split(';');
        let media_type = words.next()?.trim().to_ascii_lowercase();
        let base64 = words.any(|word| word.trim().eq_ignore_ascii_case("base64"));
        // RFC 2397: a data URL that names no type is plain text.
        let media_type = if media_type.is_empty() { "text/plain".to_owned() } else { media_type };
        Some(Self { media_type, base64, length: head.len() + 1 })
    }
}

fn image_type(media_type: &str) -> Option<&'static str> {
    match media_type {
        "image/jpeg" | "image/jpg" => Some("image/jpeg"),
        "image/png" => Some("image/png"),
        "image/gif" => Some("image/gif"),
        "image/webp" => Some("image/webp"),
        _ => None,
    }
}

fn wrong_image(param: &str, media_type: &str) -> Failure {
    impossible(
        param,
        format!(
            "`{param}`: images of type `{media_type}` are not supported by Anthropic models; \
             image/jpeg, image/png, image/gif and image/webp are"
        ),
    )
}

/// The text without its first bytes, borrowed still if it was.
fn after(text: Cow<'_, str>, length: usize) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(length..).unwrap_or_default()),
        Cow::Owned(mut text) => Cow::Owned(text.split_off(length.min(text.len()))),
    }
}

fn decode(param: &str, base64: bool, data: &str) -> Result<String, Failure> {
    let bytes = if base64 {
        STANDARD.decode(data.trim()).ok()
    } else {
        Some(percent_decode_str(data).collect())
    };
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        invalid(param, format!("`{param}`: the data URL does not hold text in UTF-8"))
    })
}
