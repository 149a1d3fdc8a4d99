//! Names of tools in the alphabet that Gemini takes, and ids for calls that it did not name.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::wire::fields::invalid;

/// Starts an escaped name. Each byte outside `[a-zA-Z0-9_]` follows as `.XX`, in hexadecimal.
const MARK: &str = "_x.";

/// The longest name that the API takes.
const MAX_NAME_BYTES: usize = 128;

/// The longest id that is passed on as the model wrote it: OpenAI's bound.
const MAX_ID_BYTES: usize = 64;

/// Letters of the hash in a minted id.
const MINTED_BYTES: usize = 12;

/// A tool's name for the provider; `None` if it is empty or too long to be expressed.
fn tool_name<'a>(name: Cow<'a, str>) -> Option<Cow<'a, str>> {
    let name = if is_plain(&name) { name } else { Cow::Owned(escape(&name)) };
    (name.len() <= MAX_NAME_BYTES && &*name != MARK).then_some(name)
}

/// The same, of one that a request writes at `param`.
///
/// # Errors
/// It cannot be expressed.
pub(super) fn known_name<'a>(param: &str, name: Cow<'a, str>) -> Result<Cow<'a, str>, Failure> {
    let wrong = format!("`{param}`: {name:?} cannot be the name of a tool here");
    tool_name(name).ok_or_else(|| invalid(param, wrong))
}

/// The client's name of a tool that the provider called.
pub(super) fn original_name(name: &str) -> Cow<'_, str> {
    unescape(name).map_or(Cow::Borrowed(name), Cow::Owned)
}

fn is_plain(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && !name.starts_with(MARK)
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte))
}

fn escape(name: &str) -> String {
    let mut escaped = String::from(MARK);
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            escaped.push(char::from(byte));
        } else {
            push_hex(&mut escaped, Some('.'), byte);
        }
    }
    escaped
}

fn push_hex(text: &mut String, mark: Option<char>, byte: u8) {
    text.extend(mark);
    write!(text, "{byte:02x}").expect("a String takes every text");
}

fn unescape(name: &str) -> Option<String> {
    let mut rest = name.strip_prefix(MARK)?.bytes();
    let mut original = Vec::with_capacity(name.len());
    while let Some(byte) = rest.next() {
        original.push(match byte {
            b'.' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(original).ok()
}

/// Where in a reply a tool call stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) response_id: &'a str,
    pub(super) created: u64,
    pub(super) candidate: u32,
    /// Counted over the whole answer, so that two calls of one function differ.
    pub(super) number: u32,
}

/// The id of a call: the model's own, if it has one that every client takes. Otherwise it is made of
/// what only this call of this reply has: the same reply has the same ids however it is read, and
/// others have others.
pub(super) fn call_id<'a>(
    own: Option<&'a str>,
    place: Place<'_>,
    name: &str,
    arguments: &str,
    signature: &str,
) -> Cow<'a, str> {
    let is_fit = |id: &&str| {
        (1..=MAX_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    };
    if let Some(id) = own.filter(is_fit) {
        return Cow::Borrowed(id);
    }
    let mut hash = Sha256::new();
    for text in [place.response_id, own.unwrap_or_default(), name, arguments, signature] {
        hash.update(text.len().to_le_bytes());
        hash.update(text);
    }
    hash.update(place.created.to_le_bytes());
    hash.update(place.candidate.to_le_bytes());
    hash.update(place.number.to_le_bytes());
    let mut id = String::from("call_");
    for byte in hash.finalize().into_iter().take(MINTED_BYTES) {
        push_hex(&mut id, None, byte);
    }
    Cow::Owned(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_from_what_was_sent() {
        for name in ["get_weather", "ns.f:x-1", "_a", "1st", "-x", "grün", "a b", "_x.a", "a/b"] {
            let sent = tool_name(name.into()).unwrap();
            let plain = sent.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
            assert!(plain && !sent.starts_with(|c: char| c.is_ascii_digit()), "{sent}");
            assert_eq!(original_name(&sent), name);
        }
        assert_eq!(tool_name("get_weather".into()).unwrap(), "get_weather");
        for name in [String::new(), "x".repeat(129), "ü".repeat(22)] {
            assert_eq!(tool_name(name.into()), None);
        }
    }

    #[test]
    fn ids_are_minted_once_for_each_call() {
        let place = Place { response_id: "r", created: 1, candidate: 0, number: 0 };
        let id = |place| call_id(None, place, "f", "{}", "");
        assert_eq!(id(place), id(place));
        assert_eq!(id(place).len(), 5 + 2 * MINTED_BYTES);
        for other in [
            Place { number: 1, ..place },
            Place { candidate: 1, ..place },
            Place { response_id: "s", ..place },
            Place { created: 2, ..place },
        ] {
            assert_ne!(id(other), id(place));
        }
        assert_eq!(call_id(Some("abc-1"), place, "f", "{}", ""), "abc-1");
        let long = "x".repeat(4_572);
        assert!(call_id(Some(&long), place, "f", "{}", "").len() <= MAX_ID_BYTES);
    }
}
