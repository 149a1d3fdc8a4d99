//! What a client says of its request: for whom it is, what it is to be counted and found by. Limits, budgets
//! and the ledger know all of it by the same names.

use std::sync::Arc;

use http::HeaderMap;

use super::error::GatewayError;
use crate::spend::{APPLIED_GUARDRAILS, SIMILARITY};
use crate::wire::json::Object;

/// Headers that name a session: ours and LiteLLM's.
pub(super) const SESSION_HEADERS: [&str; 2] = ["x-tollgate-session", "x-litellm-session-id"];

/// LiteLLM's header that names a trace.
const TRACE_HEADER: &str = "x-litellm-trace-id";

/// What is longer is cut: it is a name, and the ledger keeps it with every row. A tag is refused then: it
/// may decide where a request goes.
pub(super) const NAME_CHARS_MAX: usize = 256;

/// The most tags that a client may give a request: each of them is a budget to look after.
pub(super) const TAGS_MAX: usize = 32;

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

/// Tags of a client, as they are counted: each once.
///
/// # Errors
/// `BadBody`: there are too many of them, or one is too long.
pub(super) fn tags(written: &[Box<str>]) -> Result<Vec<Box<str>>, GatewayError> {
    let refused = |message: String, code| {
        Err(GatewayError::BadBody { message, param: Some("metadata.tags"), code })
    };
    let mut tags: Vec<Box<str>> = Vec::new();
    for tag in written {
        if tag.trim().chars().nth(NAME_CHARS_MAX).is_some() {
            let message = format!("A tag has at most {NAME_CHARS_MAX} characters.");
            return refused(message, "tag_too_long");
        }
        add_tag(&mut tags, tag);
    }
    if tags.len() > TAGS_MAX {
        let message =
            format!("A request has at most {TAGS_MAX} tags, and this one has {}.", tags.len());
        return refused(message, "too_many_tags");
    }
    Ok(tags)
}

/// Adds a tag, unless it is there: twice the same one would pay twice.
pub(super) fn add_tag(tags: &mut Vec<Box<str>>, written: &str) {
    if let Some(tag) = name(written)
        && !tags.iter().any(|known| **known == *tag)
    {
        tags.push((&*tag).into());
    }
}

/// The session that the client says that a request belongs to.
pub(super) fn session(headers: &HeaderMap) -> Option<Arc<str>> {
    SESSION_HEADERS.into_iter().find_map(|header| named(headers, header))
}

/// The trace, likewise.
pub(super) fn trace(headers: &HeaderMap) -> Option<Arc<str>> {
    named(headers, TRACE_HEADER)
}

/// What a header names.
pub(super) fn named(headers: &HeaderMap, header: &str) -> Option<Arc<str>> {
    headers.get(header)?.to_str().ok().and_then(name)
}

/// `metadata.spend_logs_metadata`, as it is written.
pub(super) fn metadata(body: &Object) -> Option<Arc<str>> {
    let metadata = body.object("metadata").or_else(|| body.object("litellm_metadata"))?;
    let written = metadata.raw("spend_logs_metadata")?;
    // These marks are nobody's but the gateway's, in no spelling.
    let marks = [APPLIED_GUARDRAILS, SIMILARITY];
    let is_forged = || {
        (marks.iter().any(|mark| written.contains(mark)) || written.contains("\\u"))
            && serde_json::from_str::<serde_json::Value>(written)
                .is_ok_and(|it| marks.iter().any(|mark| it.get(mark).is_some()))
    };
    (written.len() <= METADATA_BYTES_MAX && !is_forged()).then(|| written.into())
}

/// The same with a mark of the gateway's: the names of the guardrails that applied, or how near the
/// question was that was answered before.
pub(super) fn marked(
    metadata: Option<&str>,
    mark: &str,
    value: impl Into<serde_json::Value>,
) -> Arc<str> {
    let written = metadata.and_then(|text| serde_json::from_str(text).ok());
    let mut fields = match written {
        Some(serde_json::Value::Object(fields)) => fields,
        Some(other) => [("value".to_owned(), other)].into_iter().collect(),
        None => serde_json::Map::new(),
    };
    fields.insert(mark.to_owned(), value.into());
    serde_json::Value::Object(fields).to_string().into()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::provider::sample::headers;

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
    fn sessions_and_traces_are_told_apart() {
        let (litellm, trace_of) = (("x-litellm-session-id", "s1"), ("x-litellm-trace-id", "t1"));
        let both = headers(&[trace_of, litellm]);
        assert_eq!((session(&both).as_deref(), trace(&both).as_deref()), (Some("s1"), Some("t1")));
        let empty = headers(&[("x-tollgate-session", " "), litellm]);
        assert_eq!(session(&empty).as_deref(), Some("s1"), "nothing is no name");
        assert_eq!(session(&headers(&[trace_of])), None);
    }

    #[test]
    fn tags_are_each_counted_once_and_bounded() {
        let boxed =
            |tags: &[&str]| tags.iter().map(|tag| Box::from(*tag)).collect::<Vec<Box<str>>>();
        assert_eq!(tags(&boxed(&[" a", "b", "a ", "", "b"])).unwrap(), boxed(&["a", "b"]));
        let code = |tags: Result<_, GatewayError>| {
            tags.map(|_: Vec<Box<str>>| ()).unwrap_err().code().into_owned()
        };
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        assert_eq!(code(tags(&boxed(&[&long]))), "tag_too_long");
        let many: Vec<_> = (0..=TAGS_MAX).map(|tag| tag.to_string().into()).collect();
        assert_eq!(code(tags(&many)), "too_many_tags");
        assert_eq!(tags(many.get(1..).unwrap()).unwrap().len(), TAGS_MAX);
    }

    #[test]
    fn metadata_for_the_ledger_are_kept_as_they_are_written() {
        let body = object(r#"{"metadata":{"spend_logs_metadata":{"job":"j1"}}}"#);
        assert_eq!(metadata(&body).as_deref(), Some(r#"{"job":"j1"}"#));
        let large = format!(r#"{{"metadata":{{"spend_logs_metadata":"{}"}}}}"#, "x".repeat(9_000));
        assert_eq!(metadata(&object(&large)), None);
        let forged = r#"{"metadata":{"spend_logs_metadata":{"_applied_guardrails":["pii"]}}}"#;
        assert_eq!(metadata(&object(forged)), None);
        let marked = marked(Some(r#"{"job":"j1"}"#), APPLIED_GUARDRAILS, vec!["pii"]);
        assert_eq!(&*marked, r#"{"_applied_guardrails":["pii"],"job":"j1"}"#);
    }
}
