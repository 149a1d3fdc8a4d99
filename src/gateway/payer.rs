//! What a client wants its request to be found by.

use std::sync::Arc;

use http::HeaderMap;

use crate::wire::json::Object;

/// LiteLLM's headers for what belongs together.
const SESSION_HEADERS: [&str; 3] =
    ["x-litellm-session-id", "x-litellm-trace-id", "x-tollgate-session"];

/// What is longer is cut: it is a name, and the ledger keeps it with every row.
pub(super) const NAME_CHARS_MAX: usize = 256;

/// Larger metadata are left out.
const METADATA_BYTES_MAX: usize = 8 * 1024;

/// A name as databases take it.
pub(super) fn name(written: &str) -> Option<Arc<str>> {
    let written = written.trim();
    if written.is_empty() {
        return None;
    }
    let end = written.char_indices().nth(NAME_CHARS_MAX).map_or(written.len(), |(end, _)| end);
    let (name, _) = written.split_at(end);
    // PostgreSQL has no place for it.
    Some(if name.contains('\0') { name.replace('\0', "\u{fffd}").into() } else { name.into() })
}

/// What belongs together by the client's word.
pub(super) fn session(headers: &HeaderMap) -> Option<Arc<str>> {
    let header = |header| headers.get(header)?.to_str().ok().and_then(name);
    SESSION_HEADERS.into_iter().find_map(header)
}

/// `metadata.spend_logs_metadata`, as it is written.
pub(super) fn metadata(body: &Object) -> Option<Arc<str>> {
    let metadata = body.object("metadata").or_else(|| body.object("litellm_metadata"))?;
    let written = metadata.raw("spend_logs_metadata")?;
    (written.len() <= METADATA_BYTES_MAX).then(|| written.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn object(body: &str) -> Object {
        Object::parse(Bytes::copy_from_slice(body.as_bytes())).unwrap()
    }

    #[test]
    fn names_are_such_that_every_database_takes_them() {
        assert_eq!(name("a\0b").as_deref(), Some("a\u{fffd}b"));
        assert_eq!(name(&"é".repeat(300)).unwrap().chars().count(), NAME_CHARS_MAX);
        assert_eq!(name(" "), None);
    }

    #[test]
    fn metadata_for_the_ledger_are_kept_as_they_are_written() {
        let body = object(r#"{"metadata":{"spend_logs_metadata":{"job":"j1"}}}"#);
        assert_eq!(metadata(&body).as_deref(), Some(r#"{"job":"j1"}"#));
        let large = format!(r#"{{"metadata":{{"spend_logs_metadata":"{}"}}}}"#, "x".repeat(9_000));
        assert_eq!(metadata(&object(&large)), None);
    }
}
