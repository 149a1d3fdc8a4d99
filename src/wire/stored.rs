//! What a provider keeps (files, batches): ids that say at which deployment, and the lines of a
//! batch.
//!
//! A client gets ids like `file-dGc7...`: the kind as the provider writes it, then base64 of the
//! deployment's id and the provider's own id. Nothing is remembered here, so an id is good after a
//! restart and at every gateway with the same configuration; an id without this form is the
//! provider's own and is passed as it is.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Bytes, BytesMut};

use super::json::{Edits, Object, map_elements, quoted};
use crate::dialect::Endpoint;

/// Begins what an id of ours holds.
const MARK: &str = "tg;";

const FILE: &str = "file-";
const BATCH: &str = "batch_";

/// Fields of an object that are ids, and what each is the id of.
const IDS: [(&str, &str); 3] =
    [("input_file_id", FILE), ("output_file_id", FILE), ("error_file_id", FILE)];

/// An id as the client got it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id {
    pub deployment: Box<str>,
    /// The provider's own.
    pub id: Box<str>,
}

impl Id {
    /// Reads an id of ours; `None` for a provider's own.
    #[must_use]
    pub fn read(written: &str) -> Option<Self> {
        let encoded = written.strip_prefix(FILE).or_else(|| written.strip_prefix(BATCH))?;
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).ok()?).ok()?;
        let (deployment, id) = text.strip_prefix(MARK)?.rsplit_once(';')?;
        Some(Self { deployment: deployment.into(), id: id.into() })
    }

    fn write(kind: &str, deployment: &str, id: &str) -> String {
        let inside = URL_SAFE_NO_PAD.encode(format!("{MARK}{deployment};{id}"));
        format!("{kind}{inside}")
    }
}

/// A provider's object, or list of objects, with ids that say where it is kept. What is no object
/// is returned as it is.
#[must_use]
pub fn told(body: Bytes, api: Endpoint, deployment: &str) -> Bytes {
    let Ok(object) = Object::parse(body.clone()) else { return body };
    let kind = if api == Endpoint::Batches { BATCH } else { FILE };
    let mut edits = Edits::new();
    for name in ["first_id", "last_id"] {
        mark(&object, &mut edits, name, kind, deployment);
    }
    if let Some(list) = object.slice("data")
        && let Some(list) = map_elements(&list, |one| one_told(one, kind, deployment))
    {
        edits.set_raw("data", list.to_vec());
    }
    let object = Object::parse(object.edit(&edits)).unwrap_or(object);
    one_told(&object, kind, deployment).unwrap_or_else(|| object.bytes().clone())
}

fn one_told(object: &Object, kind: &str, deployment: &str) -> Option<Bytes> {
    let mut edits = Edits::new();
    mark(object, &mut edits, "id", kind, deployment);
    for (name, kind) in IDS {
        mark(object, &mut edits, name, kind, deployment);
    }
    object.changed(&edits)
}

fn mark(object: &Object, edits: &mut Edits<'_>, name: &'static str, kind: &str, deployment: &str) {
    if let Some(id) = object.str(name).filter(|id| !id.is_empty()) {
        edits.set(name, &Id::write(kind, deployment, &id));
    }
}

/// How every `file_id` begins that is one of ours.
const OURS: &[u8] = b"\"file-dGc7";

/// The first file of ours that a conversation names in a `file_id`.
#[must_use]
pub fn named(body: &[u8]) -> Option<Id> {
    named_at(body, 0).map(|(_, id)| id)
}

/// The body with the provider's own ids of the files that a deployment keeps.
#[must_use]
pub fn with_own_ids(body: &Bytes, deployment: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(body.len());
    let (mut copied, mut from) = (0, 0);
    while let Some((span, id)) = named_at(body, from) {
        from = span.end;
        if *id.deployment == *deployment {
            out.extend_from_slice(&body[copied..span.start]);
            out.extend_from_slice(quoted(&id.id).as_bytes());
            copied = span.end;
        }
    }
    out.extend_from_slice(&body[copied..]);
    out.freeze()
}

/// The next `file_id` of ours, with its quotes. Ids have nothing that JSON would escape, and within a
/// text the quotes would be escaped.
fn named_at(body: &[u8], from: usize) -> Option<(Range<usize>, Id)> {
    for at in memchr::memmem::find_iter(&body[from..], OURS) {
        let start = from + at;
        let name = body[..start].trim_ascii_end().strip_suffix(b":").map(<[u8]>::trim_ascii_end);
        if !name.is_some_and(|name| name.ends_with(b"\"file_id\"")) {
            continue;
        }
        let length = memchr::memchr(b'"', &body[start + 1..])?;
        let end = start + 1 + length;
        let written = std::str::from_utf8(&body[start + 1..end]).ok();
        if let Some(id) = written.and_then(Id::read) {
            return Some((start..end + 1, id));
        }
    }
    None
}

/// The lines of a batch with the provider's model in place of `asked`. Other lines stay as they
/// are; `None` if all of them do.
#[must_use]
pub fn batch_lines(lines: &Bytes, asked: &str, model: &str) -> Option<Bytes> {
    let mut out = BytesMut::new();
    let mut copied = 0;
    let mut start = 0;
    while start < lines.len() {
        let length = memchr::memchr(b'\n', &lines[start..]).unwrap_or(lines.len() - start);
        let end = start + length;
        if let Some(line) = renamed(lines.slice(start..end), asked, model) {
            out.extend_from_slice(&lines[copied..start]);
            out.extend_from_slice(&line);
            copied = end;
        }
        start = end + 1;
    }
    if copied == 0 {
        return None;
    }
    out.extend_from_slice(&lines[copied..]);
    Some(out.freeze())
}

fn renamed(line: Bytes, asked: &str, model: &str) -> Option<Bytes> {
    let line = Object::parse(line).ok()?;
    let body = line.object("body")?;
    body.str("model").filter(|named| *named == *asked)?;
    let mut edits = Edits::new();
    edits.set("model", model);
    let body = body.changed(&edits)?;
    let mut edits = Edits::new();
    edits.set_raw("body", body.to_vec());
    line.changed(&edits)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(deployment: &str, id: &str) -> Option<Id> {
        Some(Id { deployment: deployment.into(), id: id.into() })
    }

    #[test]
    fn an_id_says_where_and_can_be_read_again() {
        for (kind, deployment, id) in
            [(FILE, "gpt-1", "file-abc"), (BATCH, "a;b/c d", "batch_1"), (FILE, "\u{e4}", "f")]
        {
            let written = Id::write(kind, deployment, id);
            assert!(written.starts_with(kind), "{written}");
            assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)));
            assert_eq!(Id::read(&written), of(deployment, id), "{written}");
        }
        for foreign in
            ["file-abc", "file-", "batch_6812", "", "file-dGc7YQ", "assistant-1", "file-\u{e4}"]
        {
            assert_eq!(Id::read(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn files_in_a_conversation_are_the_providers_again() {
        let [mine, other] = ["d", "e"].map(|deployment| Id::write(FILE, deployment, "file-1"));
        let part = |id: &str| json!({"type": "file", "file": {"file_id": id}});
        let quoted = format!("see {{\"file_id\": \"{mine}\"}}");
        let body = json!({"messages": [{"role": "user", "content": [
            {"type": "text", "text": quoted}, part("file-plain"), part(&mine), part(&other)]}]});
        let text = Bytes::from(serde_json::to_vec_pretty(&body).unwrap());
        assert_eq!(named(&text), of("d", "file-1"));
        let seen: Value = serde_json::from_slice(&with_own_ids(&text, "d")).unwrap();
        let parts = &seen["messages"][0]["content"];
        assert_eq!(parts[0]["text"], quoted);
        assert_eq!((&parts[1], &parts[2]), (&part("file-plain"), &part("file-1")));
        assert_eq!(parts[3], part(&other));
        let text = json!({"content": quoted}).to_string();
        assert_eq!(named(text.as_bytes()), None, "no field of the body");
    }

    #[test]
    fn every_id_of_a_reply_is_told() {
        let body = json!({"object": "list", "has_more": true, "first_id": "batch_1", "last_id": "batch_2",
            "data": [{"id": "batch_1", "input_file_id": "file-1", "output_file_id": null, "x": 1.50},
                     {"id": "batch_2", "error_file_id": "file-2"}]});
        let body = told(body.to_string().into(), Endpoint::Batches, "d");
        let value: Value = serde_json::from_slice(&body).unwrap();
        let read = |value: &Value| Id::read(value.as_str().unwrap());
        assert_eq!(read(&value["first_id"]), of("d", "batch_1"));
        assert_eq!(read(&value["data"][0]["input_file_id"]), of("d", "file-1"));
        assert_eq!(read(&value["data"][1]["error_file_id"]), of("d", "file-2"));
        assert_eq!(value["data"][0]["output_file_id"], Value::Null);
        assert_eq!(value["data"][1]["id"], value["last_id"]);
        let file =
            told(Bytes::from_static(br#"{"id":"file-1","deleted":true}"#), Endpoint::Files, "d");
        let value: Value = serde_json::from_slice(&file).unwrap();
        assert_eq!(read(&value["id"]), of("d", "file-1"));
        let text = Bytes::from_static(b"no object");
        assert_eq!(told(text.clone(), Endpoint::Files, "d"), text);
    }

    #[test]
    fn only_lines_that_name_the_group_change() {
        let lines = "{\"custom_id\":\"1\",\"body\":{\"model\":\"group\",\"temperature\":0.50}}\r\n\n\
             {\"custom_id\":\"2\",\"body\":{\"model\":\"other\"}}\nno json\n\
             {\"body\":{\"model\":\"group\"},\"custom_id\":\"3\"}";
        let changed =
            batch_lines(&Bytes::from_static(lines.as_bytes()), "group", "gpt-4o").unwrap();
        let expected = lines.replace("\"group\"", "\"gpt-4o\"");
        // White space around an object that is edited goes with it.
        assert_eq!(changed, expected.as_bytes(), "{changed:?}");
        let other = Bytes::from_static(lines.as_bytes());
        assert_eq!(batch_lines(&other, "nothing", "gpt-4o"), None);
    }
}
