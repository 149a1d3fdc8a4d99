//! What a client's history holds of reasoning: thoughts of other providers are taken out, and a turn
//! that goes on without any is found.

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::Value;

use super::super::client::sealed::MARK;
use super::super::content::Raw;
use super::super::thinking::{Step, resumes_at};
use super::added::Request;
use crate::wire::fields::Text;
use crate::wire::json::{Edits, elements, map_elements};

/// The messages without thoughts of other providers, which the API refuses: those without a
/// signature, and those in which something of another provider is sealed. `None`: there are none.
pub(super) fn without_foreign(messages: &Bytes) -> Option<Bytes> {
    let has = |text: &[u8]| memmem::find(messages, text).is_some();
    if !has(MARK.as_bytes()) && !has(b"\"thinking\"") {
        return None;
    }
    map_elements(messages, |message| {
        if message.str("role").as_deref() != Some("assistant") {
            return None;
        }
        let content = message.slice("content").filter(|content| content.starts_with(b"["))?;
        let blocks: Vec<Raw<'_>> = serde_json::from_slice(&content).ok()?;
        let kept: Vec<Raw<'_>> =
            blocks.iter().copied().filter(|block| !is_foreign(block)).collect();
        if kept.len() == blocks.len() {
            return None;
        }
        let mut edits = Edits::new();
        if kept.is_empty() {
            // A turn has to say something.
            edits.set("content", ".");
        } else {
            edits.set("content", &kept);
        }
        message.changed(&edits)
    })
}

fn is_foreign(block: &Raw<'_>) -> bool {
    #[derive(Deserialize)]
    struct Thought<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
        #[serde(borrow, default)]
        signature: Option<Text<'a>>,
        #[serde(borrow, default)]
        data: Option<Text<'a>>,
    }

    serde_json::from_str::<Thought<'_>>(block.get()).is_ok_and(|thought| match &*thought.kind.0 {
        "thinking" => thought.signature.is_none_or(|signature| signature.is_empty()),
        "redacted_thinking" => thought.data.is_some_and(|data| data.starts_with(MARK)),
        _ => false,
    })
}

/// Whether the conversation can be gone on with thinking on: see [`resumes_at`].
pub(super) fn resume(messages: &Bytes) -> bool {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
    }

    let steps = elements(messages).into_iter().filter_map(|message| {
        let content = message.slice("content").unwrap_or_default();
        let blocks: Vec<Block<'_>> = serde_json::from_slice(&content).unwrap_or_default();
        let first = blocks.first().map(|block| &*block.kind.0);
        match message.str("role").as_deref() {
            Some("assistant") => Some(Step::Assistant {
                thought: matches!(first, Some("thinking" | "redacted_thinking")),
            }),
            Some("user") => {
                let answers = blocks.iter().any(|block| block.kind.0 == "tool_result");
                Some(Step::User { answers })
            }
            _ => None,
        }
    });
    resumes_at(steps)
}

/// Takes out the order to clear thoughts from the context, which is refused where nobody thinks.
pub(super) fn forget_clearing(request: &mut Request<'_, '_>) {
    let Some(mut management) = request.body.value("context_management") else { return };
    let Some(Value::Array(edits)) = management.get_mut("edits") else { return };
    let before = edits.len();
    edits.retain(|edit| {
        let kind = edit.get("type").and_then(Value::as_str);
        kind.is_none_or(|kind| !kind.starts_with("clear_thinking"))
    });
    match (edits.len(), before) {
        (left, before) if left == before => {}
        (0, _) => request.edits.remove("context_management"),
        _ => request.edits.set("context_management", &management),
    }
}
