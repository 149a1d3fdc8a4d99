//! Parameters of headers (`name="value"`): the boundary of a form, and the name of a part.

use std::borrow::Cow;

/// Longest boundary that RFC 2046 allows.
const BOUNDARY_MAX: usize = 70;

/// The boundary that a content type announces; `None` for what is no form.
#[must_use]
pub fn boundary(content_type: &str) -> Option<Box<str>> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameter(rest, "boundary")?;
    let fits = !value.is_empty() && value.len() <= BOUNDARY_MAX;
    (fits && !value.contains(['\r', '\n', '"', '\\'])).then(|| value.into())
}

/// What a part is called.
pub(super) struct Disposition {
    pub(super) name: Box<str>,
    pub(super) is_file: bool,
}

impl Disposition {
    /// Reads the head of a part, its last line end excluded.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let line = head.split("\r\n").find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        })?;
        let (kind, rest) = line.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return None;
        }
        let is_file = ["filename", "filename*"].iter().any(|it| parameter(rest, it).is_some());
        let name = parameter(rest, "name").filter(|name| !name.is_empty())?;
        Some(Self { name: name.into(), is_file })
    }
}

/// The value of a parameter, its quotes taken off.
fn parameter<'a>(mut rest: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, value) = rest.split_once('=')?;
        let (value, behind) = value_of(value.trim_start())?;
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = behind;
    }
}

/// A value, quoted or not, and what follows it.
fn value_of(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, behind) = text.split_at(end);
        return Some((Cow::Borrowed(value.trim()), behind));
    };
    let mut escaped = false;
    let end = quoted.find(|letter| {
        let ends = letter == '"' && !escaped;
        escaped = letter == '\\' && !escaped;
        ends
    })?;
    let (value, behind) = quoted.split_at(end);
    let value = match value.contains('\\') {
        true => Cow::Owned(value.replace("\\\"", "\"").replace("\\\\", "\\")),
        false => Cow::Borrowed(value),
    };
    Some((value, behind.strip_prefix('"').unwrap_or(behind)))
}
