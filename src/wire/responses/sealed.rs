//! Reasoning that an account sealed, and who may get it back.
//!
//! Only the account that sealed it can open it; to others it is an error. So the `encrypted_content`
//! of a reasoning item names its deployment towards the client, as the id of a response does: `tg1.`,
//! sixteen hex digits, `.`, and what the provider wrote. Nothing is remembered for it.

use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::client::SEALED_BLOCKS;
use super::ids::Owner;
use crate::wire::chat::{MAX_CALL_ID, short_call_id};
use crate::wire::json::{Edits, Object, elements, map_elements};

const MARK: &str = "tg1.";
const DIGITS: usize = 16;
const FIELD: &str = "encrypted_content";
const NEEDLE: &[u8] = b"\"encrypted_content\"";
/// The longest id of an item that OpenAI takes.
const MAX_ID: usize = 64;

/// What a client shows, as the provider sealed it; `None`: somebody else did, and this deployment
/// cannot open it. What names nobody is taken for its own.
pub(super) fn opened(shown: &str, owner: Option<Owner>) -> Option<&str> {
    match read(shown) {
        Some((by, sealed)) => (owner == Some(by)).then_some(sealed),
        None => (!shown.starts_with(SEALED_BLOCKS)).then_some(shown),
    }
}

/// A reasoning item that came from `owner`, as the client gets it; `None`: as it is.
pub(super) fn marked_item(item: &RawValue, owner: Option<Owner>) -> Option<Box<RawValue>> {
    let object = Object::parse(Bytes::copy_from_slice(item.get().as_bytes())).ok()?;
    let marked = mark(&object, owner?)?;
    RawValue::from_string(String::from_utf8(marked.to_vec()).ok()?).ok()
}

/// What a client shows of an owner's sealed text.
fn marked(owner: Owner, sealed: &str) -> String {
    format!("{MARK}{owner}.{sealed}")
}

/// The owner and the provider's text; `None` if it was not marked here.
fn read(shown: &str) -> Option<(Owner, &str)> {
    let (digits, sealed) = shown.strip_prefix(MARK)?.split_at_checked(DIGITS)?;
    Some((Owner::read(digits)?, sealed.strip_prefix('.')?))
}

/// An item, or something else with items in its `item`, `output` or `response`, as the client sees
/// it; `None` if nothing is sealed in it.
pub(super) fn mark(object: &Object, owner: Owner) -> Option<Bytes> {
    memmem::find(object.bytes(), NEEDLE)?;
    let mut edits = Edits::new();
    // What a conversation was compacted to is another matter: it must not be lost.
    if object.str("type").as_deref() == Some("reasoning")
        && let Some(sealed) = object.str(FIELD).filter(|sealed| !sealed.is_empty())
    {
        edits.set(FIELD, &marked(owner, &sealed));
    }
    for name in ["item", "response"] {
        if let Some(inner) = object.object(name).and_then(|inner| mark(&inner, owner)) {
            edits.set_raw(name, inner.to_vec());
        }
    }
    let output = object.slice("output").filter(|output| output.starts_with(b"["));
    if let Some(output) = output.and_then(|all| map_elements(&all, |item| mark(item, owner))) {
        edits.set_raw("output", output.to_vec());
    }
    object.changed(&edits)
}

/// A history that a client sends, fitted to the API of one deployment; `None` if it fits.
///
/// Reasoning that it cannot open goes, and with it the ids of all items: the API looks for the
/// reasoning before a call whose id it knows. Ids that no such API made go, too, and ids of calls
/// are shortened.
pub(super) fn fit(input: &Bytes, owner: Owner) -> Option<Vec<u8>> {
    if memmem::find(input, b"id\"").is_none() && memmem::find(input, NEEDLE).is_none() {
        return None;
    }
    let items = elements(input);
    let is_lost = |item: &&Object| is_lost(item, owner);
    let any_lost = items.iter().any(|item| is_lost(&item));
    let mut changed = any_lost;
    let mut kept = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !is_lost(item)) {
        let fitted = item.changed(&edits(item, owner, any_lost));
        changed |= fitted.is_some();
        kept.push(fitted.unwrap_or_else(|| item.bytes().clone()));
    }
    let kept: Vec<&[u8]> = kept.iter().map(|item| &item[..]).collect();
    changed.then(|| [b"[", &kept.join(&b","[..])[..], b"]"].concat())
}

/// Reasoning that this deployment cannot make anything of.
fn is_lost(item: &Object, owner: Owner) -> bool {
    if item.str("type").as_deref() != Some("reasoning") {
        return false;
    }
    match item.str(FIELD) {
        Some(sealed) if sealed.starts_with(SEALED_BLOCKS) => true,
        Some(sealed) => read(&sealed).is_some_and(|(by, _)| by != owner),
        // Nobody keeps what was made up here.
        None => item.str("id").is_some_and(|id| is_made_up(&id)),
    }
}

fn edits<'a>(item: &'a Object, owner: Owner, without_ids: bool) -> Edits<'a> {
    let mut edits = Edits::new();
    if let Some(sealed) = item.str(FIELD)
        && let Some((by, own)) = read(&sealed)
        && by == owner
    {
        edits.set(FIELD, own);
    }
    let kind = item.str("type");
    let start = match kind.as_deref() {
        None | Some("message") => Some("msg_"),
        Some("function_call") => Some("fc_"),
        Some("custom_tool_call") => Some("ctc_"),
        Some("reasoning") => Some("rs_"),
        Some(_) => None,
    };
    if let Some(id) = item.str("id") {
        let is_foreign = start.is_some_and(|start| !id.starts_with(start) || is_made_up(&id));
        if is_foreign || id.len() > MAX_ID || without_ids && start.is_some() {
            edits.remove("id");
        }
    }
    if let Some(id) = item.str("call_id").filter(|id| id.len() > MAX_CALL_ID) {
        edits.set("call_id", &short_call_id(&id));
    }
    edits
}

/// Whether an id was made up here for an item of another API: a number follows the stem.
fn is_made_up(id: &str) -> bool {
    id.split_once('_').and_then(|(_, rest)| rest.rsplit_once('_')).is_some_and(|(_, number)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn own() -> Owner {
        Owner::of("one")
    }

    fn fitted(input: &Value) -> Option<Value> {
        let fitted = fit(&input.to_string().into(), own())?;
        Some(serde_json::from_slice(&fitted).unwrap())
    }

    #[test]
    fn what_is_sealed_goes_back_to_whom_it_came_from() {
        let made = json!({"type": "response.completed", "response": {"id": "r", "output": [
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            {"type": "message", "id": "msg_1", "content": []}]}});
        let object = |value: &Value| Object::parse(value.to_string().into()).unwrap();
        let shown: Value = serde_json::from_slice(&mark(&object(&made), own()).unwrap()).unwrap();
        let item = &shown["response"]["output"][0];
        assert!(item["encrypted_content"].as_str().unwrap().starts_with("tg1."), "{shown}");
        let input = json!([item, {"type": "message", "id": "msg_1", "role": "assistant"}]);
        let back = fitted(&input).unwrap();
        assert_eq!(back[0], made["response"]["output"][0]);
        assert_eq!(back[1]["id"], "msg_1");
        // Another account gets none of it, and no ids that belong to it.
        let other = fit(&input.to_string().into(), Owner::of("two")).unwrap();
        let other: Value = serde_json::from_slice(&other).unwrap();
        assert_eq!(other, json!([{"type": "message", "role": "assistant"}]));
        assert!(mark(&object(&json!({"item": {"type": "message"}})), own()).is_none());
    }

    #[test]
    fn what_no_such_api_made_is_not_sent_to_one() {
        let long = "x".repeat(80);
        let call = format!("call_{long}");
        let input = json!([
            {"type": "reasoning", "id": "rs_abc_0", "summary": []},
            {"type": "reasoning", "summary": [],
             "encrypted_content": "tollgate.thinking_blocks:[{\"type\":\"thinking\"}]"},
            {"role": "assistant", "id": "chatcmpl-bad", "content": "a"},
            {"type": "function_call", "id": format!("fc_{long}"), "call_id": call, "name": "f"},
            {"type": "function_call_output", "call_id": call, "output": "1"},
        ]);
        let seen = fitted(&input).unwrap();
        assert_eq!(seen.as_array().unwrap().len(), 3);
        assert_eq!(seen[0], json!({"role": "assistant", "content": "a"}));
        assert_eq!(seen[1].get("id"), None);
        let id = seen[1]["call_id"].as_str().unwrap();
        assert!(id.len() <= 64);
        assert_eq!(seen[2]["call_id"], id);
    }

    #[test]
    fn a_history_of_its_own_is_left_as_it_is() {
        for input in [
            json!([{"type": "reasoning", "id": "rs_68af", "summary": []},
                   {"type": "function_call", "id": "fc_68af", "call_id": "call_1"},
                   {"type": "web_search_call", "id": "ws_1"},
                   {"type": "reasoning", "id": "rs_2", "encrypted_content": "gAAA"}]),
            json!([{"role": "user", "content": "hi"}]),
            json!("a text with an id\" in it"),
        ] {
            assert_eq!(fitted(&input), None, "{input}");
        }
    }
}
