//! Blobs and files of Google's, as parts of a canonical message.

use std::borrow::Cow;

use super::read::{Message, standard_base64};
use crate::failure::Failure;
use crate::wire::chat::{AudioData, FileData, ImageUrl, Part};
use crate::wire::fields::{Text, impossible, missing};

/// The part for `inlineData`.
///
/// # Errors
/// It has no data, or no type.
pub(super) fn inline<'a>(param: &str, blob: &Message<'a>) -> Result<Part<'a>, Failure> {
    let media_type =
        blob.text(param, "mimeType")?.ok_or_else(|| missing(&format!("{param}.mimeType")))?;
    let data = blob.text(param, "data")?.ok_or_else(|| missing(&format!("{param}.data")))?;
    let data = standard_base64(&format!("{param}.data"), data)?;
    let url = |data: &str| format!("data:{media_type};base64,{data}").into();
    if media_type.starts_with("image/") {
        let image_url = ImageUrl { url: url(&data), detail: None, format: None };
        return Ok(Part::ImageUrl { image_url, cache_control: None });
    }
    if let Some(format) = media_type.strip_prefix("audio/") {
        let format = sound(format).to_owned().into();
        let input_audio = AudioData { data: Text(data), format };
        return Ok(Part::InputAudio { input_audio, cache_control: None });
    }
    let named = blob.text(param, "displayName")?.map(Cow::into_owned);
    let filename = named.or_else(|| Some(format!("file.{}", extension(&media_type)?)));
    let file = FileData {
        file_data: Some(url(&data)),
        filename: filename.map(Into::into),
        ..FileData::default()
    };
    Ok(Part::File { file, cache_control: None })
}

/// The part for `fileData`; as the inner error, why only Google can read the file.
///
/// # Errors
/// It has no address.
pub(super) fn linked<'a>(
    param: &str,
    file: &Message<'a>,
) -> Result<Result<Part<'a>, Failure>, Failure> {
    let uri = file.text(param, "fileUri")?.ok_or_else(|| missing(&format!("{param}.fileUri")))?;
    let media_type = file.text(param, "mimeType")?;
    if !uri.starts_with("https://") && !uri.starts_with("http://") || is_googles(&uri) {
        let message = format!(
            "`{param}.fileUri`: {uri:?} is a place that only Google's models read; send the file as \
             `inlineData` or by a public address"
        );
        return Ok(Err(impossible(&format!("{param}.fileUri"), message)));
    }
    let is_image = match &media_type {
        Some(media_type) => media_type.starts_with("image/"),
        None => is_image_address(&uri),
    };
    let format = media_type.map(Text);
    Ok(Ok(if is_image {
        let url = Text(uri);
        Part::ImageUrl { image_url: ImageUrl { url, detail: None, format }, cache_control: None }
    } else {
        let file_url = Some(Text(uri));
        let file = FileData { file_url, format, ..FileData::default() };
        Part::File { file, cache_control: None }
    }))
}

/// Files that were uploaded to Google, and videos that it looks up itself.
fn is_googles(uri: &str) -> bool {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.strip_prefix("www.").unwrap_or(host);
    matches!(host, "generativelanguage.googleapis.com" | "youtube.com" | "youtu.be")
}

fn is_image_address(uri: &str) -> bool {
    let path = uri.split(['?', '#']).next().unwrap_or_default();
    let ending = path.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| matches!(&*ending, "png" | "jpg" | "jpeg" | "gif" | "webp"))
}

/// OpenAI's name of a format of sound.
fn sound(subtype: &str) -> &str {
    let subtype = subtype.split(';').next().unwrap_or(subtype);
    match subtype {
        "mpeg" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        "L16" | "l16" | "pcm" => "pcm16",
        "x-m4a" | "mp4" => "m4a",
        other => other.strip_prefix("x-").unwrap_or(other),
    }
}

fn extension(media_type: &str) -> Option<&str> {
    let subtype = media_type.split(';').next()?.split_once('/')?.1;
    Some(match subtype {
        "plain" => "txt",
        "quicktime" => "mov",
        other => other.strip_prefix("x-").unwrap_or(other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(text: &str) -> String {
        let part = inline("p", &Message::read("p", text).unwrap()).unwrap();
        serde_json::to_string(&part).unwrap()
    }

    fn link(text: &str) -> String {
        match linked("p", &Message::read("p", text).unwrap()).unwrap() {
            Ok(part) => serde_json::to_string(&part).unwrap(),
            Err(failure) => failure.message,
        }
    }

    #[test]
    fn blobs_become_parts_by_their_type() {
        for (written, expected) in [
            (
                r#"{"mimeType":"image/png","data":"-_8"}"#,
                r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,+/8="}}"#,
            ),
            (
                r#"{"mime_type":"audio/mpeg","data":"AAAA"}"#,
                r#"{"type":"input_audio","input_audio":{"data":"AAAA","format":"mp3"}}"#,
            ),
            (
                r#"{"mimeType":"application/pdf","data":"AAAA","displayName":"a.pdf"}"#,
                r#"{"type":"file","file":{"file_data":"data:application/pdf;base64,AAAA","filename":"a.pdf"}}"#,
            ),
            (
                r#"{"mimeType":"text/plain","data":"AAAA"}"#,
                r#"{"type":"file","file":{"file_data":"data:text/plain;base64,AAAA","filename":"file.txt"}}"#,
            ),
        ] {
            assert_eq!(blob(written), expected, "{written}");
        }
        let failure = inline("p", &Message::read("p", r#"{"data":"AA"}"#).unwrap()).unwrap_err();
        assert_eq!(failure.param.as_deref(), Some("p.mimeType"));
    }

    #[test]
    fn addresses_become_parts_and_googles_own_do_not() {
        for (written, expected) in [
            (
                r#"{"fileUri":"https://h/a.PNG?x=1"}"#,
                r#"{"type":"image_url","image_url":{"url":"https://h/a.PNG?x=1"}}"#,
            ),
            (
                r#"{"file_uri":"https://h/a","mime_type":"image/webp"}"#,
                r#"{"type":"image_url","image_url":{"url":"https://h/a","format":"image/webp"}}"#,
            ),
            (
                r#"{"fileUri":"https://h/a.pdf","mimeType":"application/pdf"}"#,
                r#"{"type":"file","file":{"file_url":"https://h/a.pdf","format":"application/pdf"}}"#,
            ),
        ] {
            assert_eq!(link(written), expected, "{written}");
        }
        for uri in [
            "gs://b/a.png",
            "https://generativelanguage.googleapis.com/v1beta/files/x",
            "https://www.youtube.com/watch?v=x",
        ] {
            let told = link(&format!(r#"{{"fileUri":"{uri}","mimeType":"image/png"}}"#));
            assert!(told.contains("only Google's models"), "{uri}: {told}");
        }
    }
}
