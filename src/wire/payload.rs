//! How much of a request is text, for those who guess at tokens.

use memchr::memmem;

/// Base64 that is shorter than this is as likely to be text.
const BASE64_MIN: usize = 256;

/// Bytes of a request's body without the images, sounds and files in it. What those come to in
/// tokens depends on the model and on what they show, and has nothing to do with their length.
#[must_use]
pub fn text_bytes(body: &[u8]) -> usize {
    body.len() - data_urls(body) - base64_fields(body)
}

/// What stands behind `;base64,`, up to the end of its string.
fn data_urls(body: &[u8]) -> usize {
    const MARK: &[u8] = b";base64,";
    let found = memmem::find_iter(body, MARK);
    found.map(|at| base64_length(&body[at + MARK.len()..])).sum()
}

/// Fields `data` that hold base64: Anthropic's sources, and OpenAI's sounds.
fn base64_fields(body: &[u8]) -> usize {
    const NAME: &[u8] = b"\"data\"";
    let value = |at: usize| {
        let rest = body[at + NAME.len()..].trim_ascii_start();
        let rest = rest.strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
        let length = base64_length(rest);
        (length >= BASE64_MIN && rest.get(length) == Some(&b'"')).then_some(length)
    };
    memmem::find_iter(body, NAME).filter_map(value).sum()
}

/// The length of the base64 at the start of a JSON string; its slashes may be escaped.
fn base64_length(text: &[u8]) -> usize {
    let alphabet = |byte: &u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b'\\')
    };
    text.iter().position(|byte| !alphabet(byte)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_sounds_and_files_are_not_text() {
        let data = "iVBORw0KGgo+/AA".repeat(100);
        let escaped = data.replace('/', "\\/");
        for (with, without) in [
            (
                format!(r#"{{"url":"data:image/png;base64,{data}"}}"#),
                r#"{"url":"data:image/png;base64,"}"#,
            ),
            (
                format!(r#"{{"url":"data:image/png;base64,{escaped}"}}"#),
                r#"{"url":"data:image/png;base64,"}"#,
            ),
            (
                format!(r#"{{"type":"base64","data" : "{data}"}}"#),
                r#"{"type":"base64","data" : ""}"#,
            ),
        ] {
            assert_eq!(text_bytes(with.as_bytes()), without.len(), "{without}");
        }
        for text in [
            r#"{"content":"what does ;base64, mean?"}"#.to_owned(),
            format!(r#"{{"data":"{}"}}"#, "not base64, but words. ".repeat(50)),
            r#"{"data":"short"}"#.to_owned(),
            format!(r#"{{"content":"{data}"}}"#),
            r#"{"data":5,"data""#.to_owned(),
        ] {
            assert_eq!(text_bytes(text.as_bytes()), text.len(), "{text}");
        }
    }
}
