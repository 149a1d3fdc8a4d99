//! Thoughts that a client replays as parts of the content, where Anthropic's API and Mistral's put them.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use crate::wire::json::{Edits, Object, elements, map_elements};

/// Both names of such parts end so, and what has none is not read.
const THINKING: &[u8] = b"thinking\"";

/// The conversation with its thoughts where the canonical form has them, in `thinking_blocks`; `None`:
/// none stand elsewhere. `keeps`: a part that the provider itself knows.
#[must_use]
pub fn gather_thoughts(body: &Object, keeps: impl Fn(&Object) -> bool) -> Option<Object> {
    let messages = body.slice("messages")?;
    memmem::find(&messages, THINKING)?;
    let changed = map_elements(&messages, |message| gathered(message, &keeps))?;
    let mut edits = Edits::new();
    edits.set_raw("messages", changed.to_vec());
    Object::parse(body.edit(&edits)).ok()
}

fn gathered(message: &Object, keeps: &impl Fn(&Object) -> bool) -> Option<Bytes> {
    if message.str("role").as_deref() != Some("assistant") {
        return None;
    }
    let content = message.slice("content").filter(|content| content.starts_with(b"["))?;
    let parts = elements(&content);
    let is_thought = |part: &&Object| {
        let kind = part.str("type");
        matches!(kind.as_deref(), Some("thinking" | "redacted_thinking")) && !keeps(part)
    };
    let (thoughts, said): (Vec<&Object>, Vec<&Object>) = parts.iter().partition(is_thought);
    if thoughts.is_empty() {
        return None;
    }
    let joined = |parts: Vec<Vec<u8>>| [b"[", &parts.join(&b","[..])[..], b"]"].concat();
    let mut edits = Edits::new();
    match said.is_empty() {
        true if message.is_set("tool_calls") => edits.set_raw("content", &b"null"[..]),
        true => edits.set("content", ""),
        false => {
            let said = said.into_iter().map(|part| part.bytes().to_vec()).collect();
            edits.set_raw("content", joined(said));
        }
    }
    // A client that keeps both says the same twice.
    if !message.is_set("thinking_blocks") {
        edits.set_raw("thinking_blocks", joined(thoughts.into_iter().map(block).collect()));
    }
    message.changed(&edits)
}

/// A thought as Anthropic's block of it; Mistral's is a list of texts.
fn block(part: &Object) -> Vec<u8> {
    match part.value("thinking") {
        Some(Value::Array(texts)) => {
            let texts = texts.iter().filter_map(|text| text.get("text").and_then(Value::as_str));
            let text = texts.collect::<Vec<_>>().concat();
            json!({"type": "thinking", "thinking": text}).to_string().into_bytes()
        }
        _ => part.bytes().to_vec(),
    }
}
