//! Tool names and tool-call ids in the alphabet that Anthropic accepts, `[a-zA-Z0-9_-]`.
//!
//! Almost every name is within it and stays as it is. The others are escaped so that the original
//! can be read back from the escaped form alone: a reply needs no memory of its request, and two
//! names can never meet.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// Starts an escaped name. Each byte outside `[a-zA-Z0-9_]` follows as `-XX`, in hexadecimal.
pub(in crate::wire) const MARK: &str = "_x-";

/// The longest tool name that the API takes.
const MAX_NAME_BYTES: usize = 128;

/// The tool through which models without structured output are made to answer in JSON. What it is
/// called with is the answer's text. A client's tool of this name is escaped.
pub(in crate::wire) const JSON_TOOL: &str = "_json_output";

/// A tool's name for the provider; `None` if it is too long to be expressed.
pub(in crate::wire) fn tool_name(name: &str) -> Option<Cow<'_, str>> {
    let name = if is_plain(name) && name != JSON_TOOL {
        Cow::Borrowed(name)
    } else {
        Cow::Owned(escape(name))
    };
    (name.len() <= MAX_NAME_BYTES).then_some(name)
}

/// The client's name of a tool that the provider called.
pub(in crate::wire) fn original_name(name: &str) -> Cow<'_, str> {
    match unescape(name) {
        Some(original) => Cow::Owned(original),
        None => Cow::Borrowed(name),
    }
}

/// A tool-call id for the provider. Other providers mint ids with dots and colons, and some hide a
/// signature of kilobytes in them; a call and its result must still meet.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    if is_plain(id) {
        return Cow::Borrowed(id);
    }
    let escaped = escape(id);
    if escaped.len() <= MAX_NAME_BYTES {
        return Cow::Owned(escaped);
    }
    let mut hashed = String::from(MARK);
    for byte in Sha256::digest(id.as_bytes()) {
        push_hex(&mut hashed, byte);
    }
    Cow::Owned(hashed)
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(MARK)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(MARK.len() + name.len() + 8);
    escaped.push_str(MARK);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            escaped.push(char::from(byte));
        } else {
            escaped.push('-');
            push_hex(&mut escaped, byte);
        }
    }
    escaped
}

fn unescape(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(MARK)?.bytes();
    let mut original = Vec::with_capacity(name.len());
    while let Some(byte) = rest.next() {
        original.push(if byte == b'-' {
            hex(rest.next()?)? << 4 | hex(rest.next()?)?
        } else {
            byte
        });
    }
    let original = String::from_utf8(original).ok()?;
    // Only what `escape` would write is read back: a model may make up a name of its own.
    (escape(&original) == name).then_some(original)
}

fn push_hex(text: &mut String, byte: u8) {
    write!(text, "{byte:02X}").expect("writing to a String cannot fail");
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_and_others_come_back() {
        assert_eq!(tool_name("get_weather-2").unwrap(), "get_weather-2");
        let odd = ["files.read", "a b", "\u{fc}ber", "_x-a", "_x--2D", JSON_TOOL, "a/b", "a:b", ""];
        let mut seen = std::collections::BTreeSet::new();
        for name in odd {
            let sent = tool_name(name).unwrap().into_owned();
            assert!(sent.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            assert_eq!(original_name(&sent), name);
            assert!(seen.insert(sent), "{name} meets another name");
        }
    }

    #[test]
    fn a_name_that_only_looks_escaped_is_left_alone() {
        for name in ["_x-zz-", "_x-a-2", "_x-a-4", "_x--61", "_x--ff"] {
            assert_eq!(original_name(name), name);
        }
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        assert!(tool_name(&"a".repeat(128)).is_some());
        assert!(tool_name(&"a".repeat(129)).is_none());
        assert!(tool_name(&".".repeat(60)).is_none());
    }

    #[test]
    fn ids_of_any_length_stay_apart() {
        let long = format!("call.{}", "s".repeat(4000));
        let other = format!("call.{}t", "s".repeat(3999));
        assert_ne!(tool_id(&long), tool_id(&other));
        assert!(tool_id(&long).len() <= 128);
        assert_eq!(tool_id("toolu_01A"), "toolu_01A");
        assert_eq!(tool_id("functions.get:0"), "_x-functions-2Eget-3A0");
    }
}
