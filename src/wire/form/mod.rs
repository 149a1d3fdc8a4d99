//! Forms (`multipart/form-data`): uploads of images, sound and files, with their parameters beside.
//!
//! A form is read as spans of the bytes that came. What is sent on is a list of pieces: the parts
//! that stay are slices of those bytes, boundary and headers included, and only fields that change
//! are written anew. So an upload of many megabytes is in memory once, however often it is sent.

mod header;
mod write;

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde_json::Value;

use self::header::Disposition;
pub use self::header::boundary;
use super::json::{Object, quoted};
use super::request::is_own;

/// Parts of one form; more cannot be meant.
const PARTS_MAX: usize = 1000;

/// Fields of the parameters that are no text, whichever API they belong to.
const TYPED: [&str; 4] = ["metadata", "n", "stream", "expires_after"];

/// A form that was read.
#[derive(Clone, Debug)]
pub struct Form {
    bytes: Bytes,
    /// Without the two hyphens that stand before it.
    boundary: Box<str>,
    parts: Vec<Part>,
}

/// One field or file.
#[derive(Clone, Debug)]
struct Part {
    /// From the hyphens of its delimiter to those of the next one.
    whole: Range<usize>,
    content: Range<usize>,
    /// Without the `[]` that marks one of several.
    name: Box<str>,
    listed: bool,
    is_file: bool,
}

/// Why a body is no form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoForm {
    #[error("the delimiter that its content type announces does not stand in it")]
    NoDelimiter,
    #[error("it has no end: the last delimiter is missing")]
    Cut,
    #[error("the head of a part has no end")]
    NoHead,
    #[error("a part has no `Content-Disposition: form-data` with a `name`")]
    NoName,
    #[error("a field that is no file is not UTF-8")]
    NotText,
    #[error("it has more than {PARTS_MAX} parts")]
    TooManyParts,
}

impl Form {
    /// Reads the body of a request whose content type has this boundary.
    ///
    /// # Errors
    /// It is not a form, or not all of one.
    pub fn parse(boundary: &str, bytes: Bytes) -> Result<Self, NoForm> {
        let delimiters = delimiters(boundary, &bytes)?;
        let mut parts = Vec::new();
        for pair in delimiters.windows(2) {
            if parts.len() == PARTS_MAX {
                return Err(NoForm::TooManyParts);
            }
            // The line end before a delimiter belongs to the delimiter.
            let (start, end) = (pair[0].after, pair[1].at.saturating_sub(2));
            let inside = bytes.get(start..end.max(start)).unwrap_or_default();
            let blank = memmem::find(inside, b"\r\n\r\n").ok_or(NoForm::NoHead)?;
            let head = inside.get(..blank).unwrap_or_default();
            let Disposition { name, is_file } = Disposition::read(head).ok_or(NoForm::NoName)?;
            let content = start + blank + 4..end;
            if !is_file && std::str::from_utf8(&bytes[content.clone()]).is_err() {
                return Err(NoForm::NotText);
            }
            let plain = name.strip_suffix("[]");
            parts.push(Part {
                whole: pair[0].at..pair[1].at,
                content,
                listed: plain.is_some(),
                name: plain.unwrap_or(&name).into(),
                is_file,
            });
        }
        Ok(Self { bytes, boundary: boundary.into(), parts })
    }

    /// Its fields as the JSON object that the same call would be without files. What the gateway
    /// reads itself, and what has a type in every API, is read as JSON where it is some. What is
    /// written several times stands there several times, because all of it is sent on.
    #[must_use]
    pub fn fields(&self) -> Object {
        let mut fields: Vec<(&str, Value)> = Vec::new();
        for part in self.parts.iter().filter(|part| !part.is_file) {
            let text = self.text(part);
            let typed = is_own(&part.name) || TYPED.contains(&&*part.name);
            let value = match serde_json::from_str(text) {
                Ok(value) if typed => value,
                _ => Value::String(text.to_owned()),
            };
            let before = fields.iter_mut().rev().find(|(name, _)| **name == *part.name);
            match before {
                Some((_, Value::Array(list))) if part.listed => list.push(value),
                _ if part.listed => fields.push((&part.name, Value::Array(vec![value]))),
                _ => fields.push((&part.name, value)),
            }
        }
        let fields = fields.iter().map(|(name, value)| format!("{}:{value}", quoted(name)));
        let json = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        Object::parse(json.into()).unwrap_or_else(|_| Object::empty())
    }

    /// The names of its files.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|part| part.is_file).map(|part| &*part.name)
    }

    /// Whether it has a file under this name.
    #[must_use]
    pub fn has_file(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.is_file && *part.name == *name)
    }

    /// Whether it has a field or a file under this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.parts.iter().any(|part| *part.name == *name)
    }

    fn text(&self, part: &Part) -> &str {
        std::str::from_utf8(&self.bytes[part.content.clone()]).unwrap_or_default()
    }
}

/// A line that stands between two parts.
struct Delimiter {
    /// Where its hyphens begin.
    at: usize,
    /// Behind its line end.
    after: usize,
}

/// All of them, the last included.
fn delimiters(boundary: &str, bytes: &[u8]) -> Result<Vec<Delimiter>, NoForm> {
    let mark = format!("--{boundary}");
    let finder = memmem::Finder::new(mark.as_bytes());
    let mut found = Vec::new();
    for at in finder.find_iter(bytes) {
        let begins_line = at == 0 || bytes[..at].ends_with(b"\r\n");
        let rest = &bytes[at + mark.len()..];
        if !begins_line {
            continue;
        }
        if rest.starts_with(b"--") {
            found.push(Delimiter { at, after: at });
            return Ok(found);
        }
        // White space may follow; anything else makes it a longer text that begins alike.
        let spaces = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        if rest[spaces..].starts_with(b"\r\n") {
            let after = at + mark.len() + spaces + 2;
            found.push(Delimiter { at, after });
        }
    }
    Err(if found.is_empty() { NoForm::NoDelimiter } else { NoForm::Cut })
}

#[cfg(test)]
mod tests;
