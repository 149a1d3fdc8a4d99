//! Messages and tools, respelled for providers whose schemas are narrower than OpenAI's.
//!
//! Each message is read one level deep and edited where a quirk concerns it; its content, however
//! large, is copied and not built as a tree.

use bytes::Bytes;
use memchr::memmem;

use super::request::Draft;
use super::tool_calls::nine_letters;
use crate::dialect::Quirks;
use crate::wire::RequestOptions;
use crate::wire::json::{Edits, Object, elements, map_elements};

/// What clients send back in messages because some provider, or a gateway, once put it there.
/// Mistral's schema knows none of it.
const FOREIGN_TO_MISTRAL: [&str; 13] = [
    "refusal",
    "annotations",
    "audio",
    "function_call",
    "reasoning",
    "reasoning_content",
    "thinking_blocks",
    "reasoning_items",
    "extra_content",
    "is_error",
    "provider_specific_fields",
    "cache_control",
    "images",
];

/// Respells messages and tools where a quirk asks for it.
pub(super) fn adapt<'a>(draft: &mut Draft<'a>, options: &RequestOptions<'a>) {
    let quirks = options.quirks;
    let thinks =
        quirks.null_content_with_tool_calls && think_as_deepseek(draft, options.model_hint);
    if quirks.copies_older_api() {
        make_developers_system(draft);
    }
    if quirks.mistral || quirks.strip_strict_and_names || quirks.null_content_with_tool_calls {
        let messages = draft.slice("messages");
        if let Some(changed) = messages
            .and_then(|all| map_elements(&all, |message| adapt_message(message, quirks, thinks)))
        {
            draft.edits.set_raw("messages", changed.to_vec());
        }
    }
    if quirks.mistral
        && let Some(kept) = draft.slice("messages").and_then(|all| without_empty_turns(&all))
    {
        draft.edits.set_raw("messages", kept);
    }
    if quirks.mistral || quirks.strip_strict_and_names {
        let tools = draft.slice("tools");
        if let Some(changed) = tools.and_then(|tools| map_elements(&tools, without_strict)) {
            draft.edits.set_raw("tools", changed.to_vec());
        }
    }
}

/// The messages without turns of the assistant in which it said and did nothing, which Mistral refuses.
fn without_empty_turns(messages: &Bytes) -> Option<Vec<u8>> {
    let all = elements(messages);
    let is_empty = |message: &&Object| {
        let content = message.raw_bytes("content").unwrap_or(b"null");
        let calls = message.raw_bytes("tool_calls").unwrap_or(b"null");
        message.str("role").as_deref() == Some("assistant")
            && matches!(content, b"null" | b"\"\"" | b"[]")
            && matches!(calls, b"null" | b"[]")
    };
    if !all.iter().any(|message| is_empty(&message)) {
        return None;
    }
    let kept = all.iter().filter(|message| !is_empty(message));
    let kept: Vec<&[u8]> = kept.map(|message| &message.bytes()[..]).collect();
    Some([b"[", &kept.join(&b","[..])[..], b"]"].concat())
}

/// A `developer` is OpenAI's later word for `system`, and unknown to most that copy its API.
fn make_developers_system(draft: &mut Draft<'_>) {
    let Some(messages) = draft.slice("messages") else { return };
    if memmem::find(&messages, b"\"developer\"").is_none() {
        return;
    }
    let changed = map_elements(&messages, |message| {
        let mut edits = Edits::new();
        if message.str("role").as_deref() == Some("developer") {
            edits.set("role", "system");
        }
        message.changed(&edits)
    });
    if let Some(changed) = changed {
        draft.edits.set_raw("messages", changed.to_vec());
    }
}

/// DeepSeek's models think unless they are told not to, much or very much. True if this request has
/// the model think.
fn think_as_deepseek(draft: &mut Draft<'_>, model: &str) -> bool {
    let effort = draft.slice("reasoning_effort").filter(|effort| effort[..] != b"null"[..]);
    if let Some(effort) = effort {
        let level = match &effort[..] {
            b"\"none\"" => None,
            b"\"xhigh\"" | b"\"max\"" => Some("max"),
            _ => Some("high"),
        };
        if !draft.is_set("thinking") {
            let kind = if level.is_some() { "enabled" } else { "disabled" };
            draft.edits.set("thinking", &serde_json::json!({"type": kind}));
        }
        match level {
            Some(level) => draft.edits.set("reasoning_effort", level),
            None => draft.edits.remove("reasoning_effort"),
        }
    }
    let thinking = draft.slice("thinking").and_then(|thinking| Object::parse(thinking).ok());
    match thinking {
        Some(thinking) if thinking.str("type").as_deref() == Some("disabled") => {
            draft.edits.remove("reasoning_effort");
            false
        }
        Some(_) => true,
        // The name of the mode without thoughts.
        None => !model.contains("deepseek-chat"),
    }
}

/// `thinks`: DeepSeek will think, and then wants to see what it thought before each tool call.
fn adapt_message(message: &Object, quirks: Quirks, thinks: bool) -> Option<Bytes> {
    let mut edits = Edits::new();
    if quirks.strip_strict_and_names {
        edits.remove("name");
    }
    if quirks.null_content_with_tool_calls
        && message.raw_bytes("content") == Some(b"\"\"")
        && message.raw_bytes("tool_calls").is_some_and(|calls| calls.starts_with(b"["))
    {
        edits.set_raw("content", &b"null"[..]);
    }
    // Clients of OpenAI do not keep it; any text will do.
    if thinks && message.is_set("tool_calls") && !message.is_set("reasoning_content") {
        edits.set("reasoning_content", " ");
    }
    if quirks.mistral {
        adapt_to_mistral(message, &mut edits);
    }
    message.changed(&edits)
}

fn adapt_to_mistral<'a>(message: &'a Object, edits: &mut Edits<'a>) {
    let role = message.str("role").unwrap_or_default();
    if role == "developer" {
        edits.set("role", "system");
    }
    if role != "tool" {
        edits.remove("name");
    }
    for name in FOREIGN_TO_MISTRAL {
        edits.remove(name);
    }
    for (name, value) in message.iter() {
        if value == "null" && name != "content" {
            edits.remove(name);
        }
    }
    if let Some(id) = message.str("tool_call_id") {
        edits.set("tool_call_id", &nine_letters(&id));
    }
    let calls = message.slice("tool_calls").and_then(|calls| {
        map_elements(&calls, |call| {
            let mut edits = Edits::new();
            if let Some(id) = call.str("id") {
                edits.set("id", &nine_letters(&id));
            }
            edits.remove("provider_specific_fields");
            edits.remove("extra_content");
            call.changed(&edits)
        })
    });
    if let Some(calls) = calls {
        edits.set_raw("tool_calls", calls.to_vec());
    }
    let parts = message.slice("content").and_then(|parts| map_elements(&parts, part_for_mistral));
    if let Some(parts) = parts {
        edits.set_raw("content", parts.to_vec());
    }
}

fn part_for_mistral(part: &Object) -> Option<Bytes> {
    let mut edits = Edits::new();
    edits.remove("cache_control");
    edits.remove("prompt_cache_breakpoint");
    // OpenAI wraps audio in an object with its format; Mistral takes the base64 text alone.
    if let Some(data) = part.object("input_audio").and_then(|audio| audio.slice("data")) {
        edits.set_raw("input_audio", data.to_vec());
    }
    let file = part.object("file");
    let told = |name: &str| file.as_ref()?.slice(name).filter(|raw| raw[..] != b"null"[..]);
    if let Some(id) = told("file_id") {
        edits.remove("file");
        edits.set_raw("file_id", id.to_vec());
    } else if let Some(data) = told("file_data") {
        edits.remove("file");
        edits.set("type", "document_url");
        edits.set_raw("document_url", data.to_vec());
        if let Some(name) = told("filename") {
            edits.set_raw("document_name", name.to_vec());
        }
    }
    part.changed(&edits)
}

fn without_strict(tool: &Object) -> Option<Bytes> {
    let mut edits = Edits::new();
    edits.remove("strict");
    let function = tool.object("function")?.changed(&edits)?;
    let mut edits = Edits::new();
    edits.set_raw("function", function.to_vec());
    tool.changed(&edits)
}
