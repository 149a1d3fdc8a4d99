//! A JSON object read one level deep, and edited without touching what was not asked for.
//!
//! The whole text is checked once, but only the fields of the outermost object are remembered, as
//! spans. An edit copies everything else byte for byte: unknown fields, number spellings, key order
//! and white space survive. That is what lets a new API parameter work on the day it appears.

mod array;
mod cursor;
mod node;

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::Value;

pub(crate) use array::{elements, map_elements, numbered};
pub(crate) use cursor::{Broken, Cursor, MAX_DEPTH};
pub(crate) use node::Node;

/// A JSON object, valid as a whole, whose top-level fields can be looked up.
///
/// Where a name occurs twice, the last one wins, as it does for the JSON readers of the providers.
#[derive(Clone, Debug)]
pub struct Object {
    bytes: Bytes,
    fields: Vec<Field>,
}

#[derive(Clone, Debug)]
struct Field {
    /// From the quote that opens the name.
    start: usize,
    /// The name as written, without the quotes.
    name: Range<usize>,
    /// The name as meant, where it is written with escapes.
    decoded: Option<Box<str>>,
    value: Range<usize>,
    /// A later field has the same name.
    shadowed: bool,
}

/// Why a text is not a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} at line {line} column {column}")]
pub struct Malformed {
    pub message: Cow<'static, str>,
    /// Counted from 1.
    pub line: usize,
    /// In characters, counted from 1.
    pub column: usize,
}

impl Malformed {
    fn new(message: &'static str, text: &[u8], at: usize) -> Self {
        let before = text.get(..at).unwrap_or(text);
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Self {
            message: Cow::Borrowed(message),
            line: 1 + memchr::memchr_iter(b'\n', before).count(),
            column: 1 + String::from_utf8_lossy(&before[line_start..]).chars().count(),
        }
    }
}

impl Object {
    /// An object without fields.
    #[must_use]
    pub const fn empty() -> Self {
        Self { bytes: Bytes::from_static(b"{}"), fields: Vec::new() }
    }

    /// Reads one object and nothing but white space around it.
    pub fn parse(bytes: Bytes) -> Result<Self, Malformed> {
        if let Err(error) = std::str::from_utf8(&bytes) {
            return Err(Malformed::new("not valid UTF-8", &bytes, error.valid_up_to()));
        }
        match Self::read(&bytes) {
            Ok(fields) => Ok(Self { bytes, fields }),
            Err(Broken { message, at }) => Err(Malformed::new(message, &bytes, at)),
        }
    }

    fn read(text: &[u8]) -> Result<Vec<Field>, Broken> {
        let mut cursor = Cursor::new(text);
        cursor.space();
        if cursor.peek().is_none() {
            return Err(cursor.broken("the text is empty"));
        }
        cursor.open(b'{')?;
        let mut fields = Vec::<Field>::with_capacity(16);
        while let Some(name) = cursor.field(fields.is_empty())? {
            let written = &text[name.clone()];
            let decoded = match memchr::memchr(b'\\', written) {
                None => None,
                Some(_) => Some(
                    serde_json::from_slice::<Box<str>>(&text[name.start - 1..=name.end])
                        .map_err(|_| Broken { message: "unpaired surrogate", at: name.start })?,
                ),
            };
            let value = cursor.value()?;
            fields.push(Field { start: name.start - 1, name, decoded, value, shadowed: false });
        }
        cursor.space();
        if cursor.peek().is_some() {
            return Err(cursor.broken("something follows the object"));
        }
        mark_shadowed(text, &mut fields);
        Ok(fields)
    }

    /// The text of a field's value, white space around it excluded.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.raw_bytes(name).map(as_text)
    }

    /// As [`Object::raw`], without the pass over the text that makes it a `str`.
    #[must_use]
    pub fn raw_bytes(&self, name: &str) -> Option<&[u8]> {
        self.field(name).map(|field| &self.bytes[field.value.clone()])
    }

    /// The value of a field, sharing this object's memory.
    #[must_use]
    pub fn slice(&self, name: &str) -> Option<Bytes> {
        self.field(name).map(|field| self.bytes.slice(field.value.clone()))
    }

    /// A field that is an object itself.
    #[must_use]
    pub fn object(&self, name: &str) -> Option<Self> {
        let bytes = self.slice(name)?;
        let fields = Self::read(&bytes).ok()?;
        Some(Self { bytes, fields })
    }

    /// A field that is a string. Borrowed where it is written without escapes.
    #[must_use]
    pub fn str(&self, name: &str) -> Option<Cow<'_, str>> {
        text(self.raw_bytes(name)?)
    }

    /// A field that is `true` or `false`.
    #[must_use]
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.raw_bytes(name)? {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// A field that is a whole number, not negative. `16.0` counts as one, as it does in Python.
    #[must_use]
    pub fn u64(&self, name: &str) -> Option<u64> {
        let raw = self.raw(name)?;
        raw.parse().ok().or_else(|| raw.strip_suffix(".0")?.parse().ok())
    }

    /// A field as a tree.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        serde_json::from_slice(self.raw_bytes(name)?).ok()
    }

    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    /// True for a field that is there and not `null`: what a client that writes its optional
    /// parameters as `null` means by sending one.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.raw_bytes(name).is_some_and(|raw| raw != b"null")
    }

    /// Names and values as text, in the order written; of fields with one name, only the last.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .filter(|field| !field.shadowed)
            .map(|field| (field.name(&self.bytes), as_text(&self.bytes[field.value.clone()])))
    }

    /// The names alone.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(|field| !field.shadowed).map(|field| field.name(&self.bytes))
    }

    /// The text that was parsed.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Applies the edits. What they do not name is copied as it is written; if nothing changes, the
    /// same memory is returned.
    ///
    /// Of fields with one name only the last survives, so that a provider that lets the first one
    /// win cannot read another request than the one that was checked here.
    #[must_use]
    pub fn edit(&self, edits: &Edits<'_>) -> Bytes {
        self.changed(edits).unwrap_or_else(|| self.bytes.clone())
    }

    /// As [`Object::edit`]; `None` if nothing changes.
    #[must_use]
    pub fn changed(&self, edits: &Edits<'_>) -> Option<Bytes> {
        self.changes(edits).then(|| self.rewritten(edits))
    }

    fn rewritten(&self, edits: &Edits<'_>) -> Bytes {
        let text = &self.bytes[..];
        let added: usize = edits.list.iter().map(|edit| edit.room()).sum();
        let mut out = BytesMut::with_capacity(text.len() + added);
        let first = self.fields.first().map_or_else(
            || memchr::memchr(b'{', text).map_or(0, |brace| brace + 1),
            |field| field.start,
        );
        out.extend_from_slice(&text[..first]);
        let mut empty = true;
        let mut end = first;
        for field in &self.fields {
            // The comma and the white space before this field, as written.
            let separator = &text[end..field.start];
            end = field.value.end;
            let edit = edits.find(field.name(text));
            if field.shadowed || edit.is_some_and(|edit| edit.value.is_none()) {
                continue;
            }
            if !empty {
                // The separator before a field that follows a removed first one has its comma too;
                // before the first field in the text there is none, and it is not needed either.
                out.extend_from_slice(separator);
            }
            empty = false;
            match edit.and_then(|edit| edit.value.as_deref()) {
                Some(value) => {
                    out.extend_from_slice(&text[field.start..field.value.start]);
                    out.extend_from_slice(value);
                }
                None => out.extend_from_slice(&text[field.start..field.value.end]),
            }
        }
        for edit in &edits.list {
            if let Some(value) = edit.value.as_deref().filter(|_| !self.contains(&edit.name)) {
                if !empty {
                    out.extend_from_slice(b",");
                }
                empty = false;
                out.extend_from_slice(quoted(&edit.name).as_bytes());
                out.extend_from_slice(b":");
                out.extend_from_slice(value);
            }
        }
        out.extend_from_slice(&text[end..]);
        out.freeze()
    }

    fn changes(&self, edits: &Edits<'_>) -> bool {
        self.fields.iter().any(|field| field.shadowed)
            || edits.list.iter().any(|edit| self.raw_bytes(&edit.name) != edit.value.as_deref())
    }

    fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().rev().find(|field| field.is(name, &self.bytes))
    }
}

impl Field {
    fn name<'a>(&'a self, text: &'a [u8]) -> &'a str {
        self.decoded.as_deref().unwrap_or_else(|| as_text(&text[self.name.clone()]))
    }

    fn is(&self, name: &str, text: &[u8]) -> bool {
        match &self.decoded {
            Some(decoded) => **decoded == *name,
            None => text[self.name.clone()] == *name.as_bytes(),
        }
    }
}

/// Marks every field that a later one of the same name replaces.
fn mark_shadowed(text: &[u8], fields: &mut [Field]) {
    // Requests have a dozen fields: comparing each with each is faster than hashing. An object with
    // thousands of names would make that quadratic, so those are sorted instead.
    const FEW: usize = 48;
    if fields.len() <= FEW {
        for at in 0..fields.len() {
            let (earlier, later) = fields.split_at_mut(at + 1);
            let field = &mut earlier[at];
            field.shadowed = later.iter().any(|other| other.is(field.name(text), text));
        }
        return;
    }
    let mut order: Vec<usize> = (0..fields.len()).collect();
    order.sort_by(|&a, &b| fields[a].name(text).cmp(fields[b].name(text)).then(a.cmp(&b)));
    for pair in order.windows(2) {
        if fields[pair[0]].name(text) == fields[pair[1]].name(text) {
            fields[pair[0]].shadowed = true;
        }
    }
}

/// Changes to the top-level fields of an [`Object`]. The last change of a name counts.
#[derive(Debug, Default)]
pub struct Edits<'a> {
    list: Vec<Edit<'a>>,
}

#[derive(Debug)]
struct Edit<'a> {
    name: Cow<'a, str>,
    /// `None` removes the field.
    value: Option<Cow<'a, [u8]>>,
}

impl Edit<'_> {
    fn room(&self) -> usize {
        self.value.as_ref().map_or(0, |value| value.len() + self.name.len() + 4)
    }
}

impl<'a> Edits<'a> {
    #[must_use]
    pub const fn new() -> Self {
        Self { list: Vec::new() }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Gives a field a value that is JSON text already.
    pub fn set_raw(&mut self, name: impl Into<Cow<'a, str>>, json: impl Into<Cow<'a, [u8]>>) {
        self.put(name.into(), Some(json.into()));
    }

    /// Gives a field a value.
    pub fn set<T: Serialize + ?Sized>(&mut self, name: impl Into<Cow<'a, str>>, value: &T) {
        // Writing to memory cannot fail, and nothing in this crate serialises a map whose keys are
        // not strings; `null` stands in for what cannot be written.
        let json = serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec());
        self.put(name.into(), Some(json.into()));
    }

    pub fn remove(&mut self, name: impl Into<Cow<'a, str>>) {
        self.put(name.into(), None);
    }

    /// What these edits say of a field: `Some(None)` is its removal.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Option<&[u8]>> {
        self.find(name).map(|edit| edit.value.as_deref())
    }

    fn find(&self, name: &str) -> Option<&Edit<'a>> {
        self.list.iter().find(|edit| edit.name == name)
    }

    fn put(&mut self, name: Cow<'a, str>, value: Option<Cow<'a, [u8]>>) {
        match self.list.iter_mut().find(|edit| edit.name == name) {
            Some(edit) => edit.value = value,
            None => self.list.push(Edit { name, value }),
        }
    }
}

/// The meaning of a JSON string, quotes included in `raw`; `None` for any other value.
pub(crate) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    match memchr::memchr(b'\\', inner) {
        None => std::str::from_utf8(inner).ok().map(Cow::Borrowed),
        Some(_) => serde_json::from_slice::<String>(raw).ok().map(Cow::Owned),
    }
}

/// JSON text without the white space between its tokens. Numbers and strings stay as written.
pub(crate) fn compact(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let (mut quoted, mut escaped) = (false, false);
    for c in json.chars() {
        if quoted {
            quoted = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if c.is_ascii_whitespace() {
            continue;
        } else {
            quoted = c == '"';
        }
        text.push(c);
    }
    text
}

/// A string as JSON text, with its quotes.
pub(crate) fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// The spans of an [`Object`] begin and end beside ASCII bytes of a text that was checked.
fn as_text(span: &[u8]) -> &str {
    std::str::from_utf8(span).expect("a span of valid UTF-8 between ASCII bytes is valid UTF-8")
}

#[cfg(test)]
mod tests;
