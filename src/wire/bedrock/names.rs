//! Tool names and tool-call ids in the alphabets that Converse takes: `[a-zA-Z0-9_-]` and, for ids,
//! `.` and `:` besides; both of at most 64 letters.
//!
//! Names are escaped as for Anthropic, so that the original can be read off the reply. Ids that the
//! client has from another provider never come back, and need only stay apart.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::wire::anthropic::names::{MARK, tool_name};
use crate::wire::fields::invalid;

const MAX: usize = 64;
/// Bytes of a hash that fit behind the mark.
const HASH: usize = 30;

/// A tool's name for the provider. `param` is where it stands.
pub(super) fn name<'a>(param: &str, name: Cow<'a, str>) -> Result<Cow<'a, str>, Failure> {
    let too_long = |name: &str| {
        let why = "Bedrock takes names of 64 letters, digits, hyphens and underscores";
        invalid(param, format!("`{param}`: the tool name {name:?} is too long: {why}"))
    };
    if name.is_empty() {
        return Err(invalid(param, format!("`{param}`: a tool needs a name")));
    }
    match name {
        Cow::Borrowed(name) => {
            tool_name(name).filter(|sent| sent.len() <= MAX).ok_or_else(|| too_long(name))
        }
        Cow::Owned(name) => match tool_name(&name).filter(|sent| sent.len() <= MAX) {
            Some(sent) => Ok(Cow::Owned(sent.into_owned())),
            None => Err(too_long(&name)),
        },
    }
}

/// A tool-call id for the provider. A call and its result must still meet.
pub(super) fn id(id: Cow<'_, str>) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:".contains(&byte);
    let fits = (1..=MAX).contains(&id.len()) && !id.starts_with(MARK) && id.bytes().all(is_plain);
    if fits {
        return id;
    }
    let mut hashed = String::with_capacity(MARK.len() + 2 * HASH);
    hashed.push_str(MARK);
    for byte in Sha256::digest(id.as_bytes()).iter().take(HASH) {
        write!(hashed, "{byte:02x}").expect("writing to a String cannot fail");
    }
    Cow::Owned(hashed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::wire::anthropic::names::original_name;

    #[test]
    fn names_come_back_and_those_that_do_not_fit_are_refused() {
        let long = "n".repeat(64);
        for written in ["get_weather-2", "files.read", "a b", "\u{fc}ber", "_x-a", &long] {
            let sent = name("p", Cow::Borrowed(written)).unwrap();
            assert!(sent.len() <= MAX);
            assert!(sent.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
            assert_eq!(original_name(&sent), written);
            assert_eq!(name("p", Cow::Owned(written.to_owned())).unwrap(), sent);
        }
        for written in ["", &"n".repeat(65), &".".repeat(21)] {
            let refused = name("p", Cow::Owned(written.to_owned())).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some("p"), "{written}");
            assert!(name("p", Cow::Borrowed(written)).is_err(), "{written}");
        }
    }

    #[test]
    fn ids_stay_apart() {
        for kept in ["tooluse_A-b", "functions.get:0", "toolu_01", &"i".repeat(64)] {
            assert_eq!(id(Cow::Borrowed(kept)), kept);
        }
        let long = "i".repeat(65);
        let odd = ["", "a b", "a/b", "_x-a", &long, &format!("{long}i"), "\u{fc}"];
        let sent: BTreeSet<String> =
            odd.iter().map(|odd| id(Cow::Borrowed(odd)).into_owned()).collect();
        assert_eq!(sent.len(), odd.len());
        for id in &sent {
            assert_eq!(id.len(), 63);
            assert!(id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        }
    }
}
