//! A canonical reply, put into a message.

use std::borrow::Cow;
use std::fmt::Write as _;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::names::LongNames;
use super::sealed::Sealed;
use super::usage::Counts;
use crate::failure::Failure;
use crate::wire::anthropic::error::garbage;
use crate::wire::anthropic::names::tool_id;
use crate::wire::chat::{Call, Completion, ExtraContent, arguments, image_url, read_usage};
use crate::wire::client::Telling;
use crate::wire::fields::Text;
use crate::wire::json::Object;

/// The answer to `count_tokens`.
#[must_use]
pub fn count(tokens: u64) -> Bytes {
    format!("{{\"input_tokens\":{tokens}}}").into()
}

/// The message that a whole reply comes to.
///
/// # Errors
/// It is no canonical reply, or has no answer in it.
pub fn reply(body: &Bytes, telling: &Telling<'_>) -> Result<Bytes, Failure> {
    let completion = Completion::read(body)?;
    let Some(answer) = completion.choices.into_iter().next() else {
        return Err(garbage("the provider's reply has no answer in it"));
    };
    let names = LongNames::of(telling.request);
    let turn = answer.message;
    let mut content = Vec::new();
    match turn.thinking_blocks {
        Some(blocks) if !blocks.is_empty() => content.extend(blocks.into_iter().map(Block::Raw)),
        _ => {
            let thinking = turn.reasoning_content.map(|text| text.0).unwrap_or_default();
            if !thinking.is_empty() {
                content.push(Block::Thinking { thinking, signature: "" });
            }
        }
    }
    if let Some(items) = turn.reasoning_items.filter(|items| !items.is_empty()) {
        let sealed = Sealed { reasoning_items: Some(items), ..Sealed::default() };
        content.push(Block::RedactedThinking { data: sealed.data() });
    }
    for text in [&turn.content, &turn.refusal].into_iter().flatten() {
        if !text.is_empty() {
            content.push(Block::Text { text: Cow::Borrowed(text) });
        }
    }
    let images = turn.images.into_iter().flatten();
    for url in images.filter_map(|raw| image_url(&raw)) {
        content.push(Block::Text { text: image_told(&url) });
    }
    let mut calls = 0;
    for call in turn.tool_calls.into_iter().flatten() {
        if let Some(extra) = &call.extra_content {
            content.extend(sealed(extra).map(|data| Block::RedactedThinking { data }));
        }
        content.extend(tool_use(call, &names, telling.request_id, calls));
        calls += 1;
    }
    let usage = completion.usage.and_then(|raw| read_usage(raw.get()));
    // The gateway adds its own count where the provider sent none.
    let usage = usage.unwrap_or_default();
    let refusal = turn.refusal.as_ref().map(|text| &*text.0);
    let only = only_sequence(telling.request);
    let stop = Stop::of(&Ended {
        finish: answer.finish_reason.as_deref(),
        native: answer.native_finish_reason.as_deref(),
        sequence: answer.stop_sequence.as_deref().or(only.as_deref()),
        called: calls > 0,
        refusal,
    });
    let message = Message {
        id: &message_id(if completion.id.is_empty() { telling.request_id } else { &completion.id }),
        kind: "message",
        role: "assistant",
        model: if completion.model.is_empty() { telling.model } else { &completion.model },
        content,
        stop,
        usage: usage.into(),
    };
    serde_json::to_vec(&message)
        .map(Bytes::from)
        .map_err(|_| garbage("the provider's reply cannot be put into a message"))
}

/// What is said of an image that was generated: an answer has no blocks for images, and its data as
/// text would come back as part of every later prompt.
pub(super) fn image_told(url: &str) -> Cow<'static, str> {
    match url.starts_with("data:") {
        true => {
            "[The model generated an image, which a message of this API cannot hold. Ask by chat \
                 completions, the Responses API or Google's API to get it.]"
                .into()
        }
        false => format!("![image]({url})").into(),
    }
}

/// An id as Anthropic's clients know them.
pub(super) fn message_id(id: &str) -> String {
    let id = id.strip_prefix("chatcmpl-").unwrap_or(id);
    let id = id.strip_prefix("msg_").unwrap_or(id);
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let mut minted = String::from("msg_");
    minted.extend(id.chars().take(96).map(plain));
    minted
}

/// An id for a call that came without one.
pub(super) fn minted_tool_id(request_id: &str, number: usize) -> String {
    let mut id = String::from("toolu_");
    for byte in Sha256::digest(format!("{request_id} {number}")).iter().take(12) {
        write!(id, "{byte:02x}").expect("writing to a String cannot fail");
    }
    id
}

/// The data of the block that carries what a provider wants to see again with a call.
pub(super) fn sealed(extra: &ExtraContent<'_>) -> Option<String> {
    let raw = serde_json::value::to_raw_value(extra).ok().filter(|raw| raw.get() != "{}")?;
    Some(Sealed { extra_content: Some(Cow::Owned(raw)), ..Sealed::default() }.data())
}

fn tool_use<'a>(
    call: Call<'a>,
    names: &LongNames,
    request_id: &str,
    number: usize,
) -> Option<Block<'a>> {
    let function = call.function?;
    let id = call
        .id
        .filter(|id| !id.is_empty())
        .map_or_else(|| minted_tool_id(request_id, number), |Text(id)| tool_id(&id).into_owned());
    let name = names.original(&function.name).to_owned();
    let input = arguments(function.arguments.as_deref()).into_owned();
    Some(Block::ToolUse { id, name, input })
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<Block<'a>>,
    #[serde(flatten)]
    stop: Stop<'a>,
    usage: Counts,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block<'a> {
    Text {
        text: Cow<'a, str>,
    },
    Thinking {
        thinking: Cow<'a, str>,
        signature: &'static str,
    },
    RedactedThinking {
        data: String,
    },
    ToolUse {
        id: String,
        name: String,
        input: Box<RawValue>,
    },
    #[serde(untagged)]
    Raw(Cow<'a, RawValue>),
}

/// Why the answer ended.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Stop<'a> {
    stop_reason: &'static str,
    stop_sequence: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_details: Option<Refusal<'a>>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Refusal<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    category: Option<()>,
    explanation: Option<&'a str>,
}

/// What is known of the end of an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended<'a> {
    pub(super) finish: Option<&'a str>,
    pub(super) native: Option<&'a str>,
    /// The stop sequence, if it was one.
    pub(super) sequence: Option<&'a str>,
    pub(super) called: bool,
    /// What the model said in place of an answer.
    pub(super) refusal: Option<&'a str>,
}

/// The stop sequence of a request that names one: whatever stopped at one stopped at this.
pub(super) fn only_sequence(request: Option<&Object>) -> Option<String> {
    match request?.value("stop_sequences")?.as_array()?.as_slice() {
        [one] => one.as_str().map(str::to_owned),
        _ => None,
    }
}

impl<'a> Stop<'a> {
    pub(super) fn of(ended: &Ended<'a>) -> Self {
        let Ended { finish, native, sequence, called, refusal } = *ended;
        let refusal = refusal.filter(|text| !text.is_empty());
        let stop_reason = match finish {
            Some("length") if native == Some("model_context_window_exceeded") => {
                "model_context_window_exceeded"
            }
            Some("length") => "max_tokens",
            Some("content_filter") => "refusal",
            _ if refusal.is_some() => "refusal",
            Some("stop") if native == Some("stop_sequence") => "stop_sequence",
            Some("tool_calls" | "function_call") => "tool_use",
            _ if called => "tool_use",
            _ => "end_turn",
        };
        let stop_details = (stop_reason == "refusal").then_some(Refusal {
            kind: "refusal",
            category: None,
            explanation: refusal,
        });
        let stop_sequence = sequence.filter(|_| stop_reason == "stop_sequence");
        Self { stop_reason, stop_sequence, stop_details }
    }
}
