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
    /// Reads the head of a part, its last line end excluded. `None` for what has no name, or more than one: readers
    /// do not agree on which of them counts.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let mut lines = head.split("\r\n").filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim().eq_ignore_ascii_case("content-disposition").then_some(value)
        });
        let line = lines.next().filter(|_| lines.next().is_none())?;
        let (kind, rest) = line.split_once(';')?;
        if !kind.trim().eq_ignore_ascii_case("form-data") {
            return None;
        }
        let is_file = ["filename", "filename*"].iter().any(|it| parameter(rest, it).is_some());
        let is_name = |name: &str| name.eq_ignore_ascii_case("name");
        let mut names = parameters(rest).filter(|(name, _)| is_name(name.trim_end_matches('*')));
        let (which, name) = names.next().filter(|_| names.next().is_none())?;
        if !is_name(which) || name.is_empty() {
            return None;
        }
        Some(Self { name: name.into(), is_file })
    }
}

/// The value of a parameter, its quotes taken off.
fn parameter<'a>(rest: &'a str, wanted: &str) -> Option<Cow<'a, str>> {
    let mut all = parameters(rest);
    all.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

/// Names and values.
fn parameters(mut rest: &str) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    std::iter::from_fn(move || {
        let (name, value) = rest.trim_start_matches([' ', '\t', ';']).split_once('=')?;
        let (value, behind) = value_of(value.trim_start())?;
        rest = behind;
        Some((name.trim(), value))
    })
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
