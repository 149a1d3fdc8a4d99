//! Images and files that a request names by web address: where they stand in it, and the same
//! request with their data in place of the address.
//!
//! Reads the canonical form and Anthropic's own blocks, which stand in the same places. Which of them
//! a provider fetches itself is known by its dialect; nothing is fetched here.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;

use super::json::{Edits, Object, numbered, quoted, text};

/// Something that a request names by its address.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it stands, as in `messages[0].content[1].image_url`.
    pub param: String,
    /// Of `http` or `https`.
    pub url: String,
    pub shape: Shape,
    /// The media type that the request says it has.
    pub format: Option<String>,
    pub filename: Option<String>,
    /// What of the body's text is replaced.
    span: Range<usize>,
    /// The object of a `file`, for what else stands in it.
    file: Option<Object>,
}

/// What kind of part names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `image_url`; clients of LiteLLM name documents, sound and videos in it too.
    Image,
    /// `file`.
    File,
    /// The `source` of Anthropic's `image`.
    ImageSource,
    /// The `source` of Anthropic's `document`.
    DocumentSource,
}

impl Shape {
    /// What it is called.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Image | Self::ImageSource => "image",
            Self::File => "file",
            Self::DocumentSource => "document",
        }
    }

    /// Whether something of a media type may stand there. An error page is no image; what exactly a
    /// provider takes is for its translator to say.
    #[must_use]
    pub fn takes(self, media_type: &str) -> bool {
        const DOCUMENTS: [&str; 8] = [
            "application/pdf",
            "application/json",
            "application/xml",
            "application/csv",
            "application/rtf",
            "application/msword",
            "application/vnd.ms-excel",
            // And `.document`, `.sheet`, `.presentation`.
            "application/vnd.openxmlformats-officedocument.",
        ];
        let starts = |start: &str| media_type.starts_with(start);
        let is_seen = ["image/", "audio/", "video/", "application/pdf"].iter().any(|s| starts(s));
        match self {
            Self::Image => is_seen,
            Self::File => is_seen || starts("text/") || DOCUMENTS.iter().any(|s| starts(s)),
            Self::ImageSource => starts("image/"),
            Self::DocumentSource => media_type == "application/pdf" || starts("text/"),
        }
    }
}

/// What was at an address.
#[derive(Clone, Copy, Debug)]
pub struct Data<'a> {
    /// In lower case, without parameters.
    pub media_type: &'a str,
    pub bytes: &'a [u8],
}

/// Everything that a request names by web address, in the order written.
#[must_use]
pub fn find(body: &Object) -> Vec<Remote> {
    const MARKS: [&[u8]; 3] = [b"\"image_url\"", b"\"file\"", b"\"source\""];
    let Some(messages) = body.slice("messages") else { return Vec::new() };
    if !MARKS.iter().any(|mark| memmem::find(&messages, mark).is_some()) {
        return Vec::new();
    }
    let mut walk = Walk { whole: body.bytes(), found: Vec::new() };
    for (at, message) in numbered(&messages) {
        if let Some(content) = message.slice("content") {
            walk.content(&content, &format!("messages[{at}].content"));
        }
    }
    walk.found.sort_by_key(|remote| remote.span.start);
    walk.found
}

/// The request with data in place of the addresses; `replaced` is of [`find`], for the same body, in
/// the same order.
///
/// # Panics
/// Never: what is written is JSON.
#[must_use]
pub fn replace(body: &Object, replaced: &[(&Remote, Data<'_>)]) -> Object {
    let whole = &body.bytes()[..];
    let more: usize = replaced.iter().map(|(_, data)| data.bytes.len().div_ceil(3) * 4 + 256).sum();
    let mut out = Vec::with_capacity(whole.len() + more);
    let mut copied = 0;
    for (remote, data) in replaced {
        out.extend_from_slice(&whole[copied..remote.span.start]);
        remote.write(*data, &mut out);
        copied = remote.span.end;
    }
    out.extend_from_slice(&whole[copied..]);
    Object::parse(Bytes::from(out)).expect("values of a JSON object were replaced by other values")
}

/// How long a thing is once it stands in a request.
#[must_use]
pub const fn written_bytes(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

impl Remote {
    fn write(&self, data: Data<'_>, out: &mut Vec<u8>) {
        match (self.shape, &self.file) {
            (Shape::Image, _) => data_url(data, out),
            (Shape::File, Some(file)) => {
                let mut url = Vec::new();
                data_url(data, &mut url);
                let mut edits = Edits::new();
                edits.remove("file_id");
                edits.remove("file_url");
                edits.set_raw("file_data", url);
                // OpenAI takes no document without a name.
                let is_pdf = data.media_type == "application/pdf";
                let name = last_segment(&self.url).or_else(|| is_pdf.then_some("document.pdf"));
                if let (None, Some(name)) = (&self.filename, name) {
                    edits.set("filename", name);
                }
                out.extend_from_slice(&file.edit(&edits));
            }
            (Shape::DocumentSource, _) if data.media_type.starts_with("text/") => {
                let text = quoted(&String::from_utf8_lossy(data.bytes));
                out.extend_from_slice(br#"{"type":"text","media_type":"text/plain","data":"#);
                out.extend_from_slice(text.as_bytes());
                out.push(b'}');
            }
            (Shape::File | Shape::ImageSource | Shape::DocumentSource, _) => {
                out.extend_from_slice(br#"{"type":"base64","media_type":"#);
                out.extend_from_slice(quoted(data.media_type).as_bytes());
                out.extend_from_slice(br#","data":""#);
                base64(data.bytes, out);
                out.extend_from_slice(br#""}"#);
            }
        }
    }
}

/// A data URL as JSON text.
fn data_url(data: Data<'_>, out: &mut Vec<u8>) {
    let head = quoted(&format!("data:{};base64,", data.media_type));
    out.extend_from_slice(head.as_bytes().strip_suffix(b"\"").unwrap_or_default());
    base64(data.bytes, out);
    out.push(b'"');
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + written_bytes(bytes.len()), 0);
    let written = STANDARD.encode_slice(bytes, &mut out[start..]);
    debug_assert_eq!(written, Ok(out.len() - start), "base64 has four letters for three bytes");
}

/// The name of a file, by its address.
fn last_segment(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    path.rsplit('/').next().filter(|name| name.contains('.'))
}

struct Walk<'b> {
    whole: &'b Bytes,
    found: Vec<Remote>,
}

impl Walk<'_> {
    /// Looks through an array of parts; content that is text has none.
    fn content(&mut self, content: &Bytes, param: &str) {
        if content.first() != Some(&b'[') {
            return;
        }
        for (at, part) in numbered(content) {
            self.part(&part, &format!("{param}[{at}]"));
        }
    }

    fn part(&mut self, part: &Object, param: &str) {
        match part.str("type").as_deref() {
            Some("image_url") => {
                let param = format!("{param}.image_url");
                // Many clients write the address itself.
                let Some(inner) = part.object("image_url") else {
                    self.note(part.raw_bytes("image_url"), param, Shape::Image);
                    return;
                };
                let format = inner.str("format").map(String::from);
                if let Some(found) = self.note(inner.raw_bytes("url"), param, Shape::Image) {
                    found.format = format;
                }
            }
            Some("file") => {
                let Some(file) = part.object("file") else { return };
                let written = |name: &&&str| file.raw_bytes(name).is_some_and(|raw| raw.len() > 2);
                let fields = ["file_data", "file_url", "file_id"];
                let Some(field) = fields.iter().find(|name| written(name) && file.is_set(name))
                else {
                    return;
                };
                let span = self.span(file.bytes());
                let text = |name| file.str(name).filter(|text| !text.is_empty()).map(String::from);
                let (format, filename) = (text("format"), text("filename"));
                let raw = file.raw_bytes(field);
                if let Some(found) = self.note(raw, format!("{param}.file"), Shape::File) {
                    (found.format, found.filename) = (format, filename);
                    found.span = span;
                    found.file = Some(file.clone());
                }
            }
            Some("image") => self.source(part, param, Shape::ImageSource),
            Some("document") => self.source(part, param, Shape::DocumentSource),
            Some("tool_result") => {
                if let Some(content) = part.slice("content") {
                    self.content(&content, &format!("{param}.content"));
                }
            }
            _ => {}
        }
    }

    /// Looks at an Anthropic `source`; that of a document may hold blocks.
    fn source(&mut self, part: &Object, param: &str, shape: Shape) {
        let Some(source) = part.object("source") else { return };
        let param = format!("{param}.source");
        match source.str("type").as_deref() {
            Some("url") => {
                let span = self.span(source.bytes());
                if let Some(found) = self.note(source.raw_bytes("url"), param, shape) {
                    found.span = span;
                }
            }
            Some("content") => {
                if let Some(content) = source.slice("content") {
                    self.content(&content, &format!("{param}.content"));
                }
            }
            _ => {}
        }
    }

    /// Notes a string that is a web address.
    fn note(&mut self, raw: Option<&[u8]>, param: String, shape: Shape) -> Option<&mut Remote> {
        let raw = raw?;
        // Data may be long: looked at no further than needed.
        if !raw.get(1..5).is_some_and(|start| start.eq_ignore_ascii_case(b"http")) {
            return None;
        }
        let url = text(raw).filter(|url| is_web_address(url))?.into_owned();
        let (span, format, filename, file) = (self.span(raw), None, None, None);
        self.found.push(Remote { param, url, shape, format, filename, span, file });
        self.found.last_mut()
    }

    /// Where a part of the body stands in it.
    fn span(&self, part: &[u8]) -> Range<usize> {
        let start = part.as_ptr().addr() - self.whole.as_ptr().addr();
        start..start + part.len()
    }
}

/// Whether a text begins like an address of the web.
pub(in crate::wire) fn is_web_address(url: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| {
        url.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const PNG: Data<'static> = Data { media_type: "image/png", bytes: b"\x89PNG" };
    const URL: &str = "data:image/png;base64,iVBORw==";

    fn object(body: &Value) -> Object {
        Object::parse(Bytes::from(body.to_string())).unwrap()
    }

    fn replaced(content: &Value, data: Data<'_>) -> (Vec<Remote>, Value) {
        let body = object(&json!({"model": "m", "messages": [
            {"role": "system", "content": "\"image_url\" http://a"},
            {"role": "user", "content": content},
        ], "x": 1}));
        let found = find(&body);
        let list: Vec<_> = found.iter().map(|remote| (remote, data)).collect();
        let written: Value = serde_json::from_slice(replace(&body, &list).bytes()).unwrap();
        assert_eq!(written["x"], 1);
        assert_eq!(written["messages"][0]["content"], "\"image_url\" http://a");
        (found, written["messages"][1]["content"].clone())
    }

    #[test]
    fn an_address_becomes_data_wherever_it_stands() {
        for (content, param, shape, expected) in [
            (
                json!(["text", {"type": "image_url", "image_url": {"url": "https://h/a", "detail": "low"}}]),
                "messages[1].content[1].image_url",
                Shape::Image,
                json!(["text", {"type": "image_url", "image_url": {"url": URL, "detail": "low"}}]),
            ),
            (
                json!([{"type": "image_url", "image_url": "HTTP://h/a"}]),
                "messages[1].content[0].image_url",
                Shape::Image,
                json!([{"type": "image_url", "image_url": URL}]),
            ),
            (
                json!([{"type": "file", "file": {"file_id": "http://h/d/a.pdf?sig=1"}}]),
                "messages[1].content[0].file",
                Shape::File,
                json!([{"type": "file", "file": {"file_data": URL, "filename": "a.pdf"}}]),
            ),
            (
                json!([{"type": "file", "file": {"file_url": "http://h", "filename": "b"}}]),
                "messages[1].content[0].file",
                Shape::File,
                json!([{"type": "file", "file": {"file_data": URL, "filename": "b"}}]),
            ),
            (
                json!([{"type": "file", "file": {"file_data": "http://h/"}}]),
                "messages[1].content[0].file",
                Shape::File,
                json!([{"type": "file", "file": {"file_data": URL}}]),
            ),
            (
                json!([{"type": "tool_result", "content": [
                    {"type": "image", "source": {"type": "url", "url": "https://h/"}, "k": 1}]}]),
                "messages[1].content[0].content[0].source",
                Shape::ImageSource,
                json!([{"type": "tool_result", "content": [{"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}, "k": 1}]}]),
            ),
            (
                json!([{"type": "document", "source": {"type": "content", "content": [
                    {"type": "image", "source": {"type": "url", "url": "https://h/"}}]}}]),
                "messages[1].content[0].source.content[0].source",
                Shape::ImageSource,
                json!([{"type": "document", "source": {"type": "content", "content": [
                    {"type": "image", "source":
                    {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}]}}]),
            ),
        ] {
            let (found, written) = replaced(&content, PNG);
            assert_eq!(found.len(), 1, "{content}");
            assert_eq!((&*found[0].param, found[0].shape), (param, shape), "{content}");
            assert_eq!(written, expected, "{content}");
        }
    }

    #[test]
    fn several_are_replaced_at_once_and_slashes_may_be_escaped() {
        let body = br#"{"messages":[{"content":[
            {"type":"image_url","image_url":{"url":"http:\/\/h\/1"}}, {"type":"text","text":"x"},
            {"image_url":{"url":"https://h/2"},"type":"image_url"}]}]}"#;
        let body = Object::parse(Bytes::from_static(body)).unwrap();
        let found = find(&body);
        assert_eq!(found[0].url, "http://h/1");
        let list: Vec<_> = found.iter().map(|remote| (remote, PNG)).collect();
        let written: Value = serde_json::from_slice(replace(&body, &list).bytes()).unwrap();
        let content = &written["messages"][0]["content"];
        assert_eq!(content[0]["image_url"]["url"], URL);
        assert_eq!(content[1]["text"], "x");
        assert_eq!(content[2]["image_url"]["url"], URL);
    }

    #[test]
    fn a_document_has_a_name() {
        let pdf = Data { media_type: "application/pdf", bytes: b"%PDF" };
        for (url, name) in [("https://h/get?id=1", "document.pdf"), ("https://h/a.pdf", "a.pdf")] {
            let content = json!([{"type": "file", "file": {"file_id": url}}]);
            let (_, written) = replaced(&content, pdf);
            assert_eq!(written[0]["file"]["filename"], name);
        }
    }

    #[test]
    fn a_text_is_sent_as_text_where_anthropics_documents_are() {
        let content =
            json!([{"type": "document", "source": {"type": "url", "url": "https://h/a.md"}}]);
        let data = Data { media_type: "text/markdown", bytes: b"\"a\"" };
        let (_, written) = replaced(&content, data);
        let source = json!({"type": "text", "media_type": "text/plain", "data": "\"a\""});
        assert_eq!(written[0]["source"], source);
    }

    #[test]
    fn what_is_no_web_address_is_left() {
        for part in [
            json!({"type": "image_url", "image_url": {"url": URL}}),
            json!({"type": "image_url", "image_url": {"url": "gs://b/k"}}),
            json!({"type": "image_url", "image_url": {"url": "httpx"}}),
            json!({"type": "image_url", "image_url": 7}),
            json!({"type": "file", "file": {"file_id": "file-1"}}),
            json!({"type": "file", "file": {"file_data": URL, "file_id": "http://h"}}),
            json!({"type": "image", "source": {"type": "file", "file_id": "f", "url": "http://h"}}),
            json!({"type": "text", "text": "http://h", "image_url": {"url": "http://h"}}),
            json!("http://h"),
            Value::Null,
        ] {
            assert_eq!(replaced(&json!([part]), PNG).0.len(), 0, "{part}");
        }
        assert!(find(&object(&json!({"messages": "\"image_url\""}))).is_empty());
    }

    #[test]
    fn an_error_page_is_no_image() {
        for (shape, media_type, takes) in [
            (Shape::Image, "image/png", true),
            (Shape::Image, "application/pdf", true),
            (Shape::Image, "text/html", false),
            (Shape::Image, "application/json", false),
            (Shape::File, "text/html", true),
            (Shape::File, "application/zip", false),
            (Shape::ImageSource, "application/pdf", false),
            (Shape::DocumentSource, "application/pdf", true),
            (Shape::DocumentSource, "text/plain", true),
            (Shape::DocumentSource, "image/png", false),
        ] {
            assert_eq!(shape.takes(media_type), takes, "{shape:?} {media_type}");
        }
    }
}
