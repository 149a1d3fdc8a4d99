//! What the canonical form can say and OpenAI's API cannot: taken out, or said in its words.
//!
//! OpenAI refuses fields that it does not know, and so do most that copy it. This is also the one
//! rule about cache markers: a provider of this dialect that caches by them says so in its quirks
//! (`cache_markers`), and from requests to all others they are taken out, whoever wrote them; a
//! fallback is treated as any other attempt.

use std::borrow::Cow;

use bytes::Bytes;
use memchr::memmem;
use serde_json::json;

use super::mentions::{Mentions, Name};
use super::params::{Params, nearest_effort};
use super::request::Draft;
use crate::wire::RequestOptions;
use crate::wire::chat::{MAX_CALL_ID, failed, short_call_id};
use crate::wire::json::{Edits, Object, elements, map_elements, text};

const CACHE: &[u8] = b"\"cache_control\"";
const TOOL_RESULT: &[u8] = b"\"tool_call_id\"";

/// What replies have, ours or a provider's, and requests do not.
const REPLIED: [(Name, &str); 5] = [
    (Name::ReasoningContent, "reasoning_content"),
    (Name::ReasoningDetails, "reasoning_details"),
    (Name::Images, "images"),
    (Name::Annotations, "annotations"),
    (Name::ProviderSpecificFields, "provider_specific_fields"),
];

/// Models of OpenAI's that do not reason and refuse to be told how much to.
const UNREASONING: [&str; 3] = ["gpt-3.5", "gpt-4", "chatgpt-"];

/// Fits a chat request to this dialect.
pub(super) fn adapt<'a>(draft: &mut Draft<'a>, options: &RequestOptions<'a>) {
    let hint = options.model_hint;
    if let Some(messages) = draft.slice("messages") {
        // Most requests have none of it, and are not read.
        let named = Mentions::of(&messages);
        let rule = Rule {
            cache: !options.quirks.cache_markers && named.has(Name::CacheControl),
            // Google's own API in this dialect wants its signatures back.
            extra: !hint.contains("gemini") && named.has(Name::ExtraContent),
            thoughts: named.has(Name::ThinkingBlocks),
            // Imitators that show their reasoning want it back; OpenAI knows no such field.
            keeps_reasoning: options.quirks.normalise_stream || options.quirks.imitates,
            others: named.has(Name::ReasoningItems) || named.has(Name::IsError),
            replied: options.quirks.closed_messages
                && REPLIED.iter().any(|(name, _)| named.has(*name)),
            long_ids: options.quirks.closed_messages
                && named.has(Name::ToolCallId)
                && has_long_id(&messages),
        };
        // Mistral's tools return whatever they like.
        let tool_media =
            !options.quirks.mistral && named.has(Name::ToolCallId) && has_tool_media(&messages);
        if tool_media {
            draft.edits.set_raw("messages", rule.messages(&messages));
        } else if rule.applies()
            && let Some(changed) = map_elements(&messages, |message| rule.message(message))
        {
            draft.edits.set_raw("messages", changed.to_vec());
        }
    }
    if !options.quirks.cache_markers
        && let Some(tools) = draft.slice("tools").filter(|t| memmem::find(t, CACHE).is_some())
        && let Some(changed) = map_elements(&tools, without_marker)
    {
        draft.edits.set_raw("tools", changed.to_vec());
    }
    if !options.quirks.cache_markers && draft.is_set("cache_control") {
        draft.edits.remove("cache_control");
    }
    thinking(draft, options, options.quirks.takes_thinking);
}

/// Says in OpenAI's words how much a client of Anthropic's wants the model to think.
/// `takes_disabled`: the provider understands `thinking` with that type.
pub(super) fn thinking(
    params: &mut impl Params,
    options: &RequestOptions<'_>,
    takes_disabled: bool,
) {
    let effort = params.is_set("reasoning_effort");
    // Both are there in a translated request only, and say the same.
    let is_wish = effort && (options.is_hint("reasoning_effort") || params.is_set("thinking"));
    if is_wish {
        params.change("thinking", None);
        let hint = options.model_hint;
        let name = hint.rsplit('/').next().unwrap_or(hint);
        if UNREASONING.iter().any(|start| name.starts_with(start)) {
            params.change("reasoning_effort", None);
        } else if params.raw("reasoning_effort") == Some(b"\"max\"") {
            params.change("reasoning_effort", Some("\"xhigh\""));
        }
    }
    // What another API's client wishes for is granted as far as the model can.
    if is_wish
        && let Some(nearest) =
            params.raw("reasoning_effort").and_then(|effort| nearest_effort(effort, options))
    {
        params.change("reasoning_effort", nearest);
    }
    // A client's wish not to think: to others it says nothing that they understand.
    let off = |raw: &[u8]| memmem::find(raw, b"\"disabled\"").is_some();
    if !takes_disabled && params.raw("thinking").is_some_and(off) {
        params.change("thinking", None);
    }
}

/// What of a message is taken out.
#[derive(Clone, Copy)]
struct Rule {
    cache: bool,
    extra: bool,
    thoughts: bool,
    keeps_reasoning: bool,
    others: bool,
    replied: bool,
    long_ids: bool,
}

impl Rule {
    const fn applies(self) -> bool {
        self.cache || self.extra || self.thoughts || self.others || self.replied || self.long_ids
    }

    fn message(self, message: &Object) -> Option<Bytes> {
        message.changed(&self.edits(message, None))
    }

    /// All messages, where what a tool returned besides text has to become the user's.
    fn messages(self, messages: &Bytes) -> Vec<u8> {
        let mut out = Vec::with_capacity(messages.len() + 256);
        let mut waiting: Vec<Bytes> = Vec::new();
        out.push(b'[');
        let push = |out: &mut Vec<u8>, text: &[u8]| {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(text);
        };
        for message in elements(messages) {
            let is_tool = message.str("role").as_deref() == Some("tool");
            if !is_tool && !waiting.is_empty() {
                push(&mut out, &said_by_user(&std::mem::take(&mut waiting)));
            }
            let content = message.slice("content").filter(|content| content.starts_with(b"["));
            let parted = content.filter(|_| is_tool).map(|content| {
                let (texts, media): (Vec<Object>, Vec<Object>) =
                    elements(&content).into_iter().partition(is_text);
                waiting.extend(media.iter().map(|part| part.bytes().clone()));
                let texts: Vec<Cow<'_, str>> =
                    texts.iter().filter_map(|part| part.str("text")).collect();
                match (texts.is_empty(), media.is_empty()) {
                    (true, false) => "What the tool returned follows.".to_owned(),
                    _ => texts.join("\n"),
                }
            });
            let edits = self.edits(&message, parted);
            push(&mut out, &message.edit(&edits));
        }
        if !waiting.is_empty() {
            push(&mut out, &said_by_user(&waiting));
        }
        out.push(b']');
        out
    }

    fn edits<'m>(self, message: &'m Object, content: Option<String>) -> Edits<'m> {
        let mut edits = Edits::new();
        if let Some(content) = &content {
            edits.set("content", content);
        }
        if message.bool("is_error") == Some(true) {
            let said = content.map(Cow::Owned).or_else(|| message.str("content"));
            if let Some(said) = said {
                edits.set("content", &failed(said));
            }
        }
        if self.thoughts && message.contains("thinking_blocks") {
            edits.remove("thinking_blocks");
            if !self.keeps_reasoning {
                edits.remove("reasoning_content");
            }
        }
        edits.remove("reasoning_items");
        edits.remove("is_error");
        if self.replied {
            for (_, name) in REPLIED {
                edits.remove(name);
            }
        }
        if self.long_ids
            && let Some(id) = message.str("tool_call_id").filter(|id| id.len() > MAX_CALL_ID)
        {
            edits.set("tool_call_id", &short_call_id(&id));
        }
        if self.extra {
            edits.remove("extra_content");
        }
        if self.cache {
            edits.remove("cache_control");
            if edits.get("content").is_none()
                && let Some(parts) =
                    message.slice("content").and_then(|parts| map_elements(&parts, without_marker))
            {
                edits.set_raw("content", parts.to_vec());
            }
        }
        if (self.cache || self.extra || self.replied || self.long_ids)
            && let Some(calls) = message.slice("tool_calls")
            && let Some(changed) = map_elements(&calls, |call| {
                let mut edits = Edits::new();
                if self.cache {
                    edits.remove("cache_control");
                }
                if self.extra {
                    edits.remove("extra_content");
                }
                if self.replied {
                    edits.remove("provider_specific_fields");
                }
                if self.long_ids
                    && let Some(id) = call.str("id").filter(|id| id.len() > MAX_CALL_ID)
                {
                    edits.set("id", &short_call_id(&id));
                }
                call.changed(&edits)
            })
        {
            edits.set_raw("tool_calls", changed.to_vec());
        }
        edits
    }
}

fn without_marker(object: &Object) -> Option<Bytes> {
    let mut edits = Edits::new();
    edits.remove("cache_control");
    if let Some(function) = object.object("function").and_then(|function| function.changed(&edits))
    {
        edits.set_raw("function", function.to_vec());
    }
    object.changed(&edits)
}

/// Whether a result is of a call whose id is too long. Nothing is parsed for this.
fn has_long_id(messages: &[u8]) -> bool {
    memmem::find_iter(messages, TOOL_RESULT).any(|at| {
        let rest = messages[at + TOOL_RESULT.len()..].trim_ascii_start();
        let Some(id) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { return false };
        let Some(id) = id.strip_prefix(b"\"") else { return false };
        memchr::memchr(b'"', id).is_some_and(|end| end > MAX_CALL_ID)
    })
}

fn is_text(part: &Object) -> bool {
    part.raw_bytes("type").and_then(text).is_none_or(|kind| kind == "text")
}

/// Whether a tool returned something else than text, which this dialect takes from users only.
fn has_tool_media(messages: &Bytes) -> bool {
    let media = [&b"\"image_url\""[..], b"\"file\"", b"\"input_audio\""];
    media.iter().any(|kind| memmem::find(messages, kind).is_some())
        && elements(messages).iter().any(|message| {
            message.str("role").as_deref() == Some("tool")
                && message
                    .slice("content")
                    .is_some_and(|content| elements(&content).iter().any(|part| !is_text(part)))
        })
}

fn said_by_user(parts: &[Bytes]) -> Vec<u8> {
    let parts: Vec<Cow<'_, str>> = parts.iter().map(|part| String::from_utf8_lossy(part)).collect();
    let mut message = br#"{"role":"user","content":["#.to_vec();
    let lead = json!({"type": "text", "text": "Returned by the tool:"}).to_string();
    message.extend_from_slice(lead.as_bytes());
    for part in parts {
        message.push(b',');
        message.extend_from_slice(part.as_bytes());
    }
    message.extend_from_slice(b"]}");
    message
}
