//! Images, sounds, videos and documents: as base64, or as an address that Google fetches.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::models::Capabilities;
use crate::failure::Failure;
use crate::wire::chat::{AudioData, FileData, ImageUrl};
use crate::wire::fields::{impossible, invalid};

/// Where Google keeps uploaded files.
const FILES_API: &str = "https://generativelanguage.googleapis.com/";

/// The type of a file by its name.
const TYPES: [(&str, &str); 34] = [
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("bmp", "image/bmp"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("pdf", "application/pdf"),
    ("json", "application/json"),
    ("txt", "text/plain"),
    ("md", "text/markdown"),
    ("html", "text/html"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("xml", "text/xml"),
    ("rtf", "text/rtf"),
    ("js", "text/javascript"),
    ("py", "text/x-python"),
    ("wav", "audio/wav"),
    ("mp3", "audio/mp3"),
    ("aiff", "audio/aiff"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("flac", "audio/flac"),
    ("m4a", "audio/mp4"),
    ("mp4", "video/mp4"),
    ("mpeg", "video/mpeg"),
    ("mpg", "video/mpg"),
    ("mov", "video/mov"),
    ("avi", "video/avi"),
    ("flv", "video/x-flv"),
    ("webm", "video/webm"),
    ("wmv", "video/wmv"),
];

/// Media in a part.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Media<'a> {
    #[serde(rename_all = "camelCase")]
    InlineData { mime_type: Cow<'a, str>, data: Cow<'a, str> },
    #[serde(rename_all = "camelCase")]
    FileData {
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<Cow<'a, str>>,
        file_uri: Cow<'a, str>,
    },
}

/// What decides whether an address can be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'m> {
    pub(super) model: &'m Capabilities,
    pub(super) vertex: bool,
}

impl<'a> Media<'a> {
    pub(super) fn image(
        param: &str,
        image: ImageUrl<'a>,
        place: Place<'_>,
    ) -> Result<Self, Failure> {
        let format = image.format.map(|format| format.0);
        Self::source(&format!("{param}.image_url"), image.url.0, format, None, place)
    }

    pub(super) fn sound(param: &str, audio: AudioData<'a>) -> Result<Self, Failure> {
        let format = audio.format.0;
        // Some clients write a data URL where only its data belongs.
        let data = match audio.data.0.split_once(";base64,") {
            Some((head, data)) if head.starts_with("data:") => Cow::Owned(data.to_owned()),
            _ => audio.data.0,
        };
        if data.is_empty() {
            let param = format!("{param}.input_audio.data");
            return Err(invalid(&param, format!("`{param}` is empty")));
        }
        let mime_type = if format.contains('/') {
            format
        } else {
            match by_name(&format!(".{format}")) {
                Some(known) => Cow::Borrowed(known),
                None => Cow::Owned(format!("audio/{format}")),
            }
        };
        Ok(Self::InlineData { mime_type, data })
    }

    pub(super) fn file(param: &str, file: FileData<'a>, place: Place<'_>) -> Result<Self, Failure> {
        let param = format!("{param}.file");
        let format = file.format.map(|format| format.0);
        let name = file.filename.as_deref();
        let sources = [("file_data", file.file_data), ("file_url", file.file_url)];
        let written = sources
            .into_iter()
            .chain([("file_id", file.file_id)])
            .find_map(|(field, text)| Some((field, text.filter(|text| !text.is_empty())?.0)));
        let Some((field, source)) = written else {
            let message = format!("`{param}`: a file needs `file_data`, `file_url` or `file_id`");
            return Err(invalid(&param, message));
        };
        let is_bare = !source.contains(':');
        if field == "file_id" && is_bare {
            // Ids of the Files API are paths.
            let id = source.strip_prefix("files/").unwrap_or(&source);
            let file_uri = Cow::Owned(format!("{FILES_API}v1beta/files/{id}"));
            let mime_type = format.or_else(|| Some(Cow::Borrowed(by_name(name?)?)));
            return Ok(Self::FileData { mime_type, file_uri });
        }
        if field == "file_data" && is_bare {
            // Base64 without a type: the name tells it, or the first bytes of every PDF.
            let known = format
                .or_else(|| Some(Cow::Borrowed(by_name(name?)?)))
                .or_else(|| source.starts_with("JVBERi").then_some("application/pdf".into()));
            let Some(mime_type) = known else {
                let message = format!(
                    "`{param}`: the type of `file_data` cannot be told: write a \
                                       data URL, or `format`"
                );
                return Err(invalid(&param, message));
            };
            return Ok(Self::InlineData { mime_type, data: source });
        }
        Self::source(&param, source, format, name, place)
    }

    /// A data URL, or an address.
    pub(super) fn source(
        param: &str,
        url: Cow<'a, str>,
        format: Option<Cow<'a, str>>,
        name: Option<&str>,
        place: Place<'_>,
    ) -> Result<Self, Failure> {
        if url.starts_with("data:") {
            return Self::inline(param, url, format);
        }
        let mime_type = format.or_else(|| named(&url, name).map(Cow::Borrowed));
        match remote(&url, mime_type.is_some(), place) {
            Remote::Named => Ok(Self::FileData { mime_type, file_uri: url }),
            Remote::Needed(why) | Remote::Refused(why) => {
                Err(impossible(param, format!("`{param}`: {why}")))
            }
        }
    }

    fn inline(
        param: &str,
        url: Cow<'a, str>,
        format: Option<Cow<'a, str>>,
    ) -> Result<Self, Failure> {
        let wrong = || invalid(param, format!("`{param}`: the data URL cannot be read"));
        let comma = url.find(',').ok_or_else(wrong)?;
        let head = url.get("data:".len()..comma).ok_or_else(wrong)?;
        let base64 = head.ends_with(";base64");
        let written = head.split(';').next().unwrap_or_default();
        let mime_type = match format {
            Some(format) => format,
            None if written.is_empty() => Cow::Borrowed("text/plain"),
            None => Cow::Owned(written.to_ascii_lowercase()),
        };
        let data = match url {
            Cow::Borrowed(url) => Cow::Borrowed(url.get(comma + 1..).ok_or_else(wrong)?),
            Cow::Owned(url) => Cow::Owned(url.get(comma + 1..).ok_or_else(wrong)?.to_owned()),
        };
        if data.is_empty() {
            return Err(invalid(param, format!("`{param}`: the data URL is empty")));
        }
        let data = if base64 {
            data
        } else {
            let bytes: Vec<u8> = percent_decode_str(&data).collect();
            Cow::Owned(STANDARD.encode(bytes))
        };
        Ok(Self::InlineData { mime_type, data })
    }
}

/// Whether what is at a web address has to be sent as data, because Google does not fetch it for this
/// model. `format` and `name` are what the request says of it besides.
pub(super) fn is_needed_as_data(
    url: &str,
    format: Option<&str>,
    name: Option<&str>,
    place: Place<'_>,
) -> bool {
    let has_type = format.is_some() || named(url, name).is_some();
    matches!(remote(url, has_type, place), Remote::Needed(_))
}

/// What becomes of an address.
enum Remote {
    /// It is sent; Google fetches it.
    Named,
    /// Its data would be sent. That nobody fetched it is refused with these words.
    Needed(&'static str),
    Refused(&'static str),
}

/// Decides about an address. Google fetches its own files, YouTube's videos, and, for models since
/// 2.5 and on Vertex AI, public https addresses whose type is known.
fn remote(url: &str, has_type: bool, place: Place<'_>) -> Remote {
    let Place { model, vertex } = place;
    if url.starts_with("gs://") {
        return match (vertex, has_type) {
            (true, true) => Remote::Named,
            (true, false) => Remote::Refused("the type of the file cannot be told: write `format`"),
            (false, _) => Remote::Refused("`gs://` addresses are for Vertex AI: send the data"),
        };
    }
    if url.starts_with(FILES_API) || is_video(url) {
        return Remote::Named;
    }
    if !url.starts_with("https://") {
        return Remote::Needed("send the data as a base64 data URL, or an https address");
    }
    match (model.fetches || vertex, has_type) {
        (true, true) => Remote::Named,
        (true, false) => Remote::Needed(
            "the type of what is at this address cannot be told: write `format` (as in \
             `image/png`), or send the data as a base64 data URL",
        ),
        (false, _) => {
            Remote::Needed("this model fetches no addresses: send the data as a base64 data URL")
        }
    }
}

fn is_video(url: &str) -> bool {
    ["https://www.youtube.com/", "https://youtube.com/", "https://youtu.be/"]
        .iter()
        .any(|start| url.starts_with(start))
}

/// The media type of what is at an address, by the end of its path, or by the name it is given.
fn named(url: &str, name: Option<&str>) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    by_name(path).or_else(|| by_name(name?))
}

/// The media type of a file with this name.
fn by_name(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| end.eq_ignore_ascii_case(known)).map(|(_, mime)| *mime)
}
