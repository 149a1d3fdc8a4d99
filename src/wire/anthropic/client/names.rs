//! Tool names that are longer than most providers take.
//!
//! Anthropic takes 128 characters, OpenAI and Bedrock 64, and clients that name tools after their
//! servers use the room. A long name is cut and made unique again by a digest; what it stood for is
//! found in the client's own request.

use std::borrow::Cow;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::wire::json::{Object, elements};

/// What every provider takes.
const MAX_CHARS: usize = 64;
/// Hexadecimal digits of the digest.
const DIGITS: usize = 8;

/// The name for the provider.
pub(super) fn short(name: &str) -> Cow<'_, str> {
    if name.len() <= MAX_CHARS {
        return Cow::Borrowed(name);
    }
    let kept = name.char_indices().map(|(at, _)| at).take_while(|at| *at < MAX_CHARS - DIGITS);
    let end = kept.last().unwrap_or(0);
    let mut short = name.get(..end).unwrap_or_default().to_owned();
    short.push('_');
    for byte in Sha256::digest(name.as_bytes()).iter().take(DIGITS / 2) {
        write!(short, "{byte:02x}").expect("writing to a String cannot fail");
    }
    Cow::Owned(short)
}

/// The long names of a request, by their short forms.
#[derive(Debug, Default)]
pub(super) struct LongNames(Vec<(String, String)>);

impl LongNames {
    pub(super) fn of(request: Option<&Object>) -> Self {
        let tools = request.and_then(|request| request.slice("tools"));
        let tools = tools.map(|tools| elements(&tools)).unwrap_or_default();
        let names = tools.iter().filter_map(|tool| Some(tool.str("name")?.into_owned()));
        let long = names.filter(|name| name.len() > MAX_CHARS);
        Self(long.map(|name| (short(&name).into_owned(), name)).collect())
    }

    /// The client's name of a tool.
    pub(super) fn original<'n>(&'n self, name: &'n str) -> &'n str {
        let found = self.0.iter().find(|(short, _)| short == name);
        found.map_or(name, |(_, long)| long)
    }
}
