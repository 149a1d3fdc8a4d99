//! Names of functions that Google takes and others do not.
//!
//! Google's may hold dots and colons, and 128 characters; most others take letters, digits, `_` and `-`,
//! and 64 of them. A name beyond that is fitted, and made unique again by a digest; what it stood for
//! is found in the client's own request.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::read::{Message, list};
use crate::wire::json::Object;

/// What every provider takes.
const MAX_CHARS: usize = 64;
/// Hexadecimal digits of the digest.
const DIGITS: usize = 8;

/// The name for a provider.
pub(super) fn fitted(name: Cow<'_, str>) -> Cow<'_, str> {
    if is_plain(&name) { name } else { Cow::Owned(fit(&name)) }
}

fn is_plain(name: &str) -> bool {
    name.len() <= MAX_CHARS && name.bytes().all(is_taken)
}

const fn is_taken(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn fit(name: &str) -> String {
    let taken = |c: char| if u8::try_from(c).is_ok_and(is_taken) { c } else { '_' };
    let mut fitted: String = name.chars().take(MAX_CHARS - DIGITS - 1).map(taken).collect();
    fitted.push('_');
    for byte in Sha256::digest(name.as_bytes()).iter().take(DIGITS / 2) {
        write!(fitted, "{byte:02x}").expect("writing to a String cannot fail");
    }
    fitted
}

/// The client's names by those for a provider, where they differ.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(String, String)>);

impl Names {
    pub(super) fn of(request: Option<&Object>) -> Self {
        let tools = request.and_then(|request| request.slice("tools"));
        Self(tools.and_then(|tools| declared(&tools)).unwrap_or_default())
    }

    /// The client's name of a function.
    pub(super) fn original<'n>(&'n self, name: &'n str) -> &'n str {
        let found = self.0.iter().find(|(fitted, _)| fitted == name);
        found.map_or(name, |(_, original)| original)
    }
}

/// What was declared under a name that is not plain. The request has been read before: what is wrong
/// with it was told then.
fn declared(tools: &Bytes) -> Option<Vec<(String, String)>> {
    let tools: &RawValue = serde_json::from_slice(tools).ok()?;
    let mut names = Vec::new();
    for (_, tool) in list("tools", tools).ok()? {
        let tool = Message::read("tools", tool.get()).ok()?;
        let Some(functions) = tool.get("functionDeclarations") else { continue };
        for (_, function) in list("tools", functions).ok()? {
            let function = Message::read("tools", function.get()).ok()?;
            if let Some(name) = function.text("tools", "name").ok()?
                && !is_plain(&name)
            {
                names.push((fit(&name), name.into_owned()));
            }
        }
    }
    Some(names)
}
