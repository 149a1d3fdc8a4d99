//! What a JSON string means, whatever is wrong with it.

use std::borrow::Cow;

use crate::wire::json::text;

/// What a JSON string means. Half a pair of surrogates means nothing, and must not hide what stands
/// around it.
pub(super) fn meant(raw: &[u8]) -> Cow<'_, str> {
    if let Some(text) = text(raw) {
        return text;
    }
    let inner = raw.strip_prefix(b"\"").and_then(|raw| raw.strip_suffix(b"\""));
    let inner = String::from_utf8_lossy(inner.unwrap_or_default());
    let mut out = String::with_capacity(inner.len());
    let mut rest = &*inner;
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        // An escape is at most a pair of surrogates: twelve characters of ASCII.
        let lengths = [12, 6, 2].into_iter().filter(|length| *length <= behind.len() + 1);
        let escape = lengths.filter_map(|length| {
            let raw = rest.get(before.len()..before.len() + length)?;
            let text: String = serde_json::from_str(&format!("\"{raw}\"")).ok()?;
            // Longer ones may hold more than the escape; that is decoded in its turn.
            (length == 2 || text.chars().count() == 1).then_some((text, length))
        });
        let (text, length) = escape.into_iter().next().unwrap_or_else(|| {
            let is_half = behind.starts_with('u') && behind.len() >= 5;
            ('\u{fffd}'.to_string(), if is_half { 6 } else { 1 })
        });
        out.push_str(&text);
        rest = rest.get(before.len() + length..).unwrap_or_default();
    }
    out.push_str(rest);
    Cow::Owned(out)
}
