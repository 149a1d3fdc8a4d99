//! Bodies as they are taken down: without credentials, short enough, and with other texts in the places of some.

use bytes::Bytes;
use serde_json::Value;

use crate::gateway::spoken;
use crate::guard::{Redaction, Vault};
use crate::wire::is_own;
use crate::wire::json::{Edits, Object};

/// The most of one request, and of one reply: beyond it long texts are cut, pictures mostly.
const BODY_MAX: usize = 1024 * 1024;
/// What is not read any more to be cut.
const READ_MAX: usize = 16 * 1024 * 1024;
/// Where bodies are too long, no text in them is longer.
const TEXT_MAX: usize = 16 * 1024;
/// What of a tool is a credential.
const TOOL_SECRETS: [&str; 2] = ["headers", "authorization"];

/// A request without what is for the gateway, and without credentials for tools.
pub(super) fn without_secrets(body: &Object) -> Bytes {
    let mut edits = Edits::new();
    for name in body.names().filter(|name| is_own(name)) {
        edits.remove(name.to_owned());
    }
    if let Some(tools) = plain_tools(body) {
        edits.set("tools", &tools);
    }
    if edits.is_empty() { body.bytes().clone() } else { body.edit(&edits) }
}

/// A reply without the credentials of the tools that it repeats.
pub(super) fn without_tool_secrets(reply: Bytes) -> Bytes {
    let Ok(body) = Object::parse(reply.clone()) else { return reply };
    let Some(tools) = plain_tools(&body) else { return reply };
    let mut edits = Edits::new();
    edits.set("tools", &tools);
    body.edit(&edits)
}

/// The tools of a body without credentials; `None`: there are none.
fn plain_tools(body: &Object) -> Option<Value> {
    let written = body.raw("tools")?;
    if !TOOL_SECRETS.iter().any(|name| written.contains(&format!("\"{name}\""))) {
        return None;
    }
    let mut tools = body.value("tools")?;
    for tool in tools.as_array_mut()?.iter_mut().filter_map(Value::as_object_mut) {
        TOOL_SECRETS.iter().for_each(|name| drop(tool.remove(*name)));
    }
    Some(tools)
}

/// A body that is short enough, by cutting its long texts if it must be; `None`: it does not become so.
pub(super) fn fit(body: Bytes) -> Option<Bytes> {
    if body.len() <= BODY_MAX {
        return Some(body);
    }
    if body.len() > READ_MAX {
        return None;
    }
    let cut = changed(&body, VALUES, &mut |text| {
        (text.len() > TEXT_MAX).then(|| {
            let front = spoken::beginning(text, TEXT_MAX);
            format!("{front}... ({} bytes left out)", text.len() - front.len())
        })
    })?;
    (cut.len() <= BODY_MAX).then_some(cut)
}

/// What the client got back of what was hidden is hidden again.
pub(super) fn hidden(body: &Bytes, vault: &Vault) -> Option<Bytes> {
    changed(body, NAMES, &mut |text| {
        let hidden = vault.hidden(text);
        // Arguments of a call are JSON within a text.
        let is_json = text.starts_with(['{', '[']);
        let inner = hidden.as_deref().unwrap_or(text);
        let inner = is_json.then(|| changed_text(inner, &mut |text| vault.hidden(text))).flatten();
        inner.or(hidden)
    })
}

pub(super) fn redacted(body: &Bytes, redaction: &Redaction) -> Option<Bytes> {
    changed(body, VALUES, &mut |text| redaction.redacted(text))
}

/// Which texts of a body are changed: values alone, or the names of fields as well.
const VALUES: bool = false;
const NAMES: bool = true;

/// A body with other texts in the place of some, wherever they stand; `None`: it is no JSON.
fn changed(
    body: &Bytes,
    names: bool,
    change: &mut dyn FnMut(&str) -> Option<String>,
) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    match each(&mut value, names, change) {
        true => serde_json::to_vec(&value).ok().map(Into::into),
        false => Some(body.clone()),
    }
}

/// The same for JSON that is written as a text, and for the names in it; `None`: nothing changes.
fn changed_text(text: &str, change: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    each(&mut value, NAMES, change).then(|| value.to_string())
}

/// Whether anything was changed.
fn each(value: &mut Value, names: bool, change: &mut dyn FnMut(&str) -> Option<String>) -> bool {
    let mut is_changed = false;
    match value {
        Value::String(text) => {
            if let Some(new) = change(text) {
                *text = new;
                is_changed = true;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|it| is_changed |= each(it, names, change)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|it| is_changed |= each(it, names, change));
            let new = fields
                .keys()
                .filter(|_| names)
                .filter_map(|name| Some((name.clone(), change(name)?)));
            for (name, new) in new.collect::<Vec<_>>() {
                if let Some(value) = fields.remove(&name) {
                    fields.insert(new, value);
                    is_changed = true;
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Object {
        Object::parse(value.to_string().into()).unwrap()
    }

    #[test]
    fn credentials_in_a_request_are_not_taken_down() {
        let written = object(&json!({
            "model": "m", "api_key": "sk-1", "extra_headers": {"x": "sk-2"},
            "tools": [{"type": "mcp", "server_label": "s", "headers": {"a": "sk-3"}, "authorization": "sk-4"}],
            "messages": [{"role": "user", "content": "hi"}],
        }));
        let told: Value = serde_json::from_slice(&without_secrets(&written)).unwrap();
        assert_eq!(
            told,
            json!({
                "model": "m", "tools": [{"type": "mcp", "server_label": "s"}],
                "messages": [{"role": "user", "content": "hi"}],
            })
        );
        let told = without_tool_secrets(written.bytes().clone());
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(!told.contains("sk-3") && !told.contains("sk-4"), "{told}");
        let plain = object(&json!({"model": "m", "messages": []}));
        assert_eq!(without_secrets(&plain).as_ptr(), plain.bytes().as_ptr(), "not copied");
    }

    #[test]
    fn a_body_that_is_too_long_has_its_long_texts_cut() {
        let picture = "A".repeat(2 * BODY_MAX);
        let body =
            json!({"messages": [{"content": [{"text": "what is this?"}, {"url": picture}]}]});
        let told = fit(body.to_string().into()).unwrap();
        assert!(told.len() < 2 * TEXT_MAX);
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["messages"][0]["content"][0]["text"], "what is this?");
        let cut = told["messages"][0]["content"][1]["url"].as_str().unwrap();
        assert!(cut.ends_with("bytes left out)"), "{cut}");
        let many: Value = (0..BODY_MAX).map(|_| "AAAA").collect();
        assert_eq!(fit(many.to_string().into()), None, "it stays too long");
        assert_eq!(fit("A".repeat(READ_MAX + 1).into()), None, "not read at all");
    }

    #[test]
    fn what_was_put_back_is_hidden_again_wherever_it_stands() {
        let mut vault = Vault::default();
        let (mail, quoted) = ("a@b.example", "the \"Ox\"");
        vault.hide("EMAIL_ADDRESS", mail);
        vault.hide("PERSON", quoted);
        let arguments = json!({"to": mail, "of": quoted, mail: 1}).to_string();
        let body = json!({"instructions": mail, "output": [{"arguments": arguments}, {"text": quoted, mail: 1}]});
        let told = hidden(&body.to_string().into(), &vault).unwrap();
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(!told.contains(mail) && !told.contains("Ox"), "{told}");
        assert_eq!(told.matches("<EMAIL_ADDRESS_1>").count(), 4, "{told}");
        assert_eq!(told.matches("<PERSON_1>").count(), 2, "{told}");
    }
}
