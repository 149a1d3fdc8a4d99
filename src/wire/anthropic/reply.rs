//! A Messages reply, turned into a chat completion.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::citations::Annotation;
use super::content::Raw;
use super::error::{garbage, within};
use super::names::{JSON_TOOL, original_name};
use super::usage::{Tally, Written};
use crate::failure::Failure;
use crate::wire::Reply;
use crate::wire::chat::{Shown, native_finish_reason};
use crate::wire::fields::Text;
use crate::wire::json::compact;

/// Before the provider's id in ours.
pub(super) const ID_PREFIX: &str = "chatcmpl-";

/// Turns a whole reply. `created` is the time that the client is told, in Unix seconds.
///
/// # Errors
/// The body is an error object, or is no message at all.
pub fn reply(body: Bytes, created: u64) -> Result<Reply, Failure> {
    let message: Message<'_> = match serde_json::from_slice(&body) {
        Ok(message) => message,
        Err(_) => {
            return Err(
                within(&body).unwrap_or_else(|| garbage("the provider's reply is not a message"))
            );
        }
    };
    let mut tally = Tally::new();
    if let Some(usage) = &message.usage {
        tally.update(usage);
    }
    let model = message.model.as_ref().map(|model| Box::from(&*model.0));
    let answer = Answer::of(&message)?;
    let finish_reason = answer.finish(message.stop_reason.as_ref().map(|reason| &*reason.0));
    let native = message.stop_reason.as_ref().and_then(|reason| native_finish_reason(&reason.0));
    let refusal = message.stop_details.and_then(|details| details.explanation).map(|text| text.0);
    let refusal = refusal.filter(|text| finish_reason == "content_filter" && !text.is_empty());
    let completion = Completion {
        id: format!("{ID_PREFIX}{}", message.id.map(|id| id.0).unwrap_or_default()),
        object: "chat.completion",
        created,
        model: model.as_deref().unwrap_or_default(),
        choices: [Choice {
            index: 0,
            finish_reason,
            native_finish_reason: native,
            stop_sequence: message.stop_sequence,
            logprobs: None,
            message: answer.into_message(refusal),
        }],
        usage: tally.shown(),
    };
    let body = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply { body: body.into(), usage: tally.usage(), model })
}

/// OpenAI's word for why the answer ended.
///
/// `tools`: tools of the client were called. A model that answered by our own tool has only stopped.
pub(super) fn finish_reason(stop_reason: Option<&str>, tools: bool) -> &'static str {
    match stop_reason {
        Some("max_tokens" | "model_context_window_exceeded") => "length",
        Some("refusal") => "content_filter",
        Some("tool_use") | None if tools => "tool_calls",
        _ => "stop",
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    content: Vec<Raw<'a>>,
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    stop_details: Option<StopDetails<'a>>,
    usage: Option<Written>,
}

/// Why the model refused.
#[derive(Deserialize)]
pub(super) struct StopDetails<'a> {
    #[serde(borrow)]
    pub(super) explanation: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// Type of a content block.
pub(super) fn kind_of(raw: &RawValue) -> Result<Cow<'_, str>, Failure> {
    serde_json::from_str::<Kind<'_>>(raw.get())
        .map(|block| block.kind.0)
        .map_err(|_| garbage("a content block of the provider's reply has no type"))
}

/// The fields of the content blocks that a client of OpenAI can be shown.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct BlockFields<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) citations: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) input: Option<Raw<'a>>,
    #[serde(borrow)]
    pub(super) thinking: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) signature: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) data: Option<Text<'a>>,
}

/// Reads a block of a type that is known here.
pub(super) fn fields_of(raw: &RawValue) -> Result<BlockFields<'_>, Failure> {
    serde_json::from_str(raw.get())
        .map_err(|_| garbage("a content block of the provider's reply cannot be read"))
}

/// The content blocks, sorted into OpenAI's fields.
#[derive(Default)]
struct Answer<'a> {
    text: Option<String>,
    reasoning: String,
    thinking: Vec<Raw<'a>>,
    tool_calls: Vec<ToolCall<'a>>,
    annotations: Vec<Annotation<'a>>,
}

impl<'a> Answer<'a> {
    fn of(message: &Message<'a>) -> Result<Self, Failure> {
        let mut answer = Self::default();
        for raw in &message.content {
            let kind = kind_of(raw)?;
            if !matches!(&*kind, "text" | "thinking" | "redacted_thinking" | "tool_use") {
                // What a server-side tool did is Anthropic's own story; its outcome is in the text.
                continue;
            }
            let block = fields_of(raw)?;
            match &*kind {
                "text" => answer.add_text(block),
                "tool_use" => answer.add_tool_use(block),
                _ => {
                    answer.reasoning.push_str(&block.thinking.map(|t| t.0).unwrap_or_default());
                    let proof = block.signature.or(block.data);
                    if proof.is_some_and(|proof| !proof.0.is_empty()) {
                        answer.thinking.push(raw);
                    }
                }
            }
        }
        Ok(answer)
    }

    fn add_text(&mut self, block: BlockFields<'a>) {
        let text = self.text.get_or_insert_default();
        let start_index = text.chars().count();
        text.push_str(&block.text.map(|text| text.0).unwrap_or_default());
        let end_index = text.chars().count();
        let cited = block.citations.into_iter().flatten();
        let cited = cited.filter_map(|raw| Annotation::of(raw, start_index, end_index));
        self.annotations.extend(cited);
    }

    fn add_tool_use(&mut self, block: BlockFields<'a>) {
        let input = block.input.map_or_else(|| "{}".to_owned(), |raw| compact(raw.get()));
        let name = block.name.map(|name| name.0).unwrap_or_default();
        if name == JSON_TOOL {
            self.text.get_or_insert_default().push_str(&input);
            return;
        }
        self.tool_calls.push(ToolCall {
            id: block.id.map(|id| id.0).unwrap_or_default(),
            kind: "function",
            function: Function { name: original_name(&name).into_owned(), arguments: input },
        });
    }

    fn finish(&self, stop_reason: Option<&str>) -> &'static str {
        finish_reason(stop_reason, !self.tool_calls.is_empty())
    }

    fn into_message(self, refusal: Option<Cow<'a, str>>) -> Answered<'a> {
        // Where there is something else to look at, no text is `null`; otherwise it is empty.
        let silent = self.tool_calls.is_empty() && refusal.is_none();
        let said = self.text.filter(|text| !text.is_empty());
        Answered {
            role: "assistant",
            content: if silent { Some(said.unwrap_or_default()) } else { said },
            refusal,
            reasoning_content: (!self.reasoning.is_empty()).then_some(self.reasoning),
            thinking_blocks: self.thinking,
            annotations: self.annotations,
            tool_calls: self.tool_calls,
        }
    }
}

#[derive(Serialize)]
struct Completion<'a> {
    id: String,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: [Choice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Shown>,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Answered<'a>,
    logprobs: Option<()>,
    finish_reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequence: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Answered<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    thinking_blocks: Vec<Raw<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<ToolCall<'a>>,
}

#[derive(Serialize)]
struct ToolCall<'a> {
    id: Cow<'a, str>,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    name: String,
    arguments: String,
}
