//! What a thing is, by its bytes where they tell it and by its server's word where they do not.

/// Words of servers that say nothing.
const VAGUE: [&str; 4] = [
    "application/octet-stream",
    "binary/octet-stream",
    "application/x-download",
    "unknown/unknown",
];

/// Other spellings of what providers know by one name.
const SPELLINGS: [(&str, &str); 6] = [
    ("image/jpg", "image/jpeg"),
    ("image/x-png", "image/png"),
    ("audio/x-wav", "audio/wav"),
    ("audio/wave", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("application/x-pdf", "application/pdf"),
];

/// The media type of a thing; `written` is the `content-type` that it came with.
pub(super) fn media_type(written: Option<&str>, bytes: &[u8]) -> Option<Box<str>> {
    let written = written.and_then(|written| written.split(';').next());
    let written = written.unwrap_or_default().trim().to_ascii_lowercase();
    let written = spelled(&written);
    let is_told = written.contains('/') && !VAGUE.contains(&written);
    let is_stream = |kind: &str| kind.starts_with("audio/") || kind.starts_with("video/");
    let is_text = |kind: &str| kind.starts_with("text/") || kind.ends_with("xml");
    let seen = infer::get(bytes).map(|kind| spelled(kind.mime_type()));
    let kind = match seen {
        // One container holds many things, and only the server knows which.
        Some("application/zip") if written.starts_with("application/vnd.") => written,
        Some(seen) if is_stream(seen) && is_stream(written) => written,
        Some(seen) if is_text(seen) && is_text(written) => written,
        Some(seen) => seen,
        None if is_told => written,
        None if is_plain_text(bytes) => "text/plain",
        None => return None,
    };
    Some(kind.into())
}

fn spelled(kind: &str) -> &str {
    SPELLINGS.iter().find(|(other, _)| *other == kind).map_or(kind, |(_, usual)| usual)
}

fn is_plain_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && memchr::memchr(0, bytes).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_believed_before_words() {
        let png = b"\x89PNG\r\n\x1a\n....".as_slice();
        let jpeg = b"\xff\xd8\xff\xe0..JFIF".as_slice();
        let html = b"<!DOCTYPE html><html></html>".as_slice();
        let wav = b"RIFF\x24\0\0\0WAVEfmt ".as_slice();
        for (written, bytes, expected) in [
            (Some("image/png"), png, Some("image/png")),
            (Some("image/jpeg"), png, Some("image/png")),
            (Some("text/plain"), png, Some("image/png")),
            (Some("application/octet-stream"), jpeg, Some("image/jpeg")),
            (None, b"%PDF-1.7\n".as_slice(), Some("application/pdf")),
            (Some("image/png"), html, Some("text/html")),
            (Some("Text/HTML; charset=utf-8"), html, Some("text/html")),
            (Some("audio/x-wav"), wav, Some("audio/wav")),
            (Some("image/JPG"), b"??", Some("image/jpeg")),
            (Some("text/csv;header=present"), b"a,b\n", Some("text/csv")),
            (Some("binary/octet-stream"), b"a,b\n", Some("text/plain")),
            (Some("application/json"), b"{}", Some("application/json")),
            (Some("image/svg+xml"), b"<?xml version=\"1.0\"?><svg/>", Some("image/svg+xml")),
            (None, b"\0\x01\x02", None),
            (Some("png"), b"\xff\0", None),
        ] {
            assert_eq!(media_type(written, bytes).as_deref(), expected, "{written:?}");
        }
    }
}
