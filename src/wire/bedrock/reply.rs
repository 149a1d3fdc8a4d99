//! A Converse reply, turned into a chat completion.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::error::{garbage, in_body};
use super::usage::{Written, shown};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::anthropic::names::{JSON_TOOL, original_name};
use crate::wire::chat::{
    Answer, Call, CallFunction, Completion, Raw, ThinkingBlock, Turn, native_finish_reason,
};
use crate::wire::fields::Text;
use crate::wire::json::compact;
use crate::wire::{Origin, Reply};

/// Before the provider's id in ours.
const ID_PREFIX: &str = "chatcmpl-";

/// The id that the client is told: that of the request, or one made of `seed`.
pub(super) fn id_of(origin: &Origin<'_>, seed: &[u8]) -> String {
    if let Some(id) = origin.request_id {
        return format!("{ID_PREFIX}{id}");
    }
    let digest = Sha256::digest(seed);
    digest.iter().take(12).fold(ID_PREFIX.to_owned(), |id, byte| format!("{id}{byte:02x}"))
}

/// OpenAI's word for why the answer ended. `tools`: tools of the client were called.
pub(super) fn finish_reason(stop_reason: &str, tools: bool) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "guardrail_intervened" | "content_filtered" => "content_filter",
        "tool_use" | "end_turn" | "" if tools => "tool_calls",
        _ => "stop",
    }
}

/// Whether the model's words made no sense to Bedrock, and the answer is lost with them: a call of a
/// tool always is, what was said before it does not stand for it.
pub(super) fn is_lost(stop_reason: &str, is_empty: bool) -> bool {
    stop_reason == "malformed_tool_use" || is_empty && stop_reason.starts_with("malformed_")
}

/// The answer was lost.
pub(super) fn malformed(stop_reason: &str) -> Failure {
    garbage(format!("the model's answer could not be read ({stop_reason})"))
}

/// Turns a whole reply. `created` is the time that the client is told, in Unix seconds.
///
/// # Errors
/// The body is an error object, is no reply at all, or tells that the model's answer was lost.
pub fn reply(body: Bytes, created: u64, origin: &Origin<'_>) -> Result<Reply, Failure> {
    let Ok(reply) = serde_json::from_slice::<Converse<'_>>(&body) else {
        return Err(in_body(&body).unwrap_or_else(|| {
            garbage("the provider's reply is not one of Bedrock's Converse API")
        }));
    };
    let mut answer = Answered::default();
    for raw in &reply.output.message.content {
        let block = serde_json::from_str(raw.get());
        answer
            .add(block.map_err(|_| garbage("a block of the provider's reply cannot be read"))?)?;
    }
    let stop_reason = reply.stop_reason.as_deref().unwrap_or_default();
    if is_lost(stop_reason, answer.is_empty()) {
        return Err(malformed(stop_reason));
    }
    let usage = reply.usage.as_ref().map(Written::usage);
    let finish_reason = finish_reason(stop_reason, !answer.tool_calls.is_empty());
    let mut completion = Completion::new(id_of(origin, &body), origin.model, created)
        .with_usage(usage.as_ref().map(shown));
    completion.service_tier = reply.service_tier.map(|tier| tier.kind);
    completion.choices.push(Answer {
        index: 0,
        message: answer.into_turn()?,
        logprobs: None,
        finish_reason: Some(finish_reason.into()),
        native_finish_reason: native_finish_reason(stop_reason).map(Text::from),
        stop_sequence: reply.additional_model_response_fields.and_then(Additional::stop_sequence),
    });
    let body = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply { body: body.into(), usage, model: Some(origin.model.into()) })
}

/// Turns the number of a conversation's tokens into `{"input_tokens"}`.
///
/// # Errors
/// There is no number.
pub fn count(body: &[u8], origin: &Origin<'_>) -> Result<Reply, Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Counted {
        input_tokens: u64,
    }

    let Ok(Counted { input_tokens }) = serde_json::from_slice(body) else {
        return Err(in_body(body).unwrap_or_else(|| garbage("the provider counted no tokens")));
    };
    let body = json!({ "input_tokens": input_tokens }).to_string();
    Ok(Reply { body: body.into(), usage: Some(Usage::default()), model: Some(origin.model.into()) })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Converse<'a> {
    #[serde(borrow)]
    output: Output<'a>,
    #[serde(borrow, default)]
    stop_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    usage: Option<Written<'a>>,
    #[serde(borrow, default)]
    additional_model_response_fields: Option<Additional<'a>>,
    #[serde(borrow, default)]
    service_tier: Option<Tier<'a>>,
}

/// What the request asked to be shown of the model's own reply, in
/// `additionalModelResponseFieldPaths`; of a Claude `/stop_sequence` may be.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Additional<'a>(#[serde(borrow)] Raw<'a>);

impl<'a> Additional<'a> {
    pub(super) fn stop_sequence(self) -> Option<Text<'a>> {
        #[derive(Deserialize)]
        struct Own<'a> {
            #[serde(borrow, default)]
            stop_sequence: Option<Text<'a>>,
        }
        serde_json::from_str::<Own<'_>>(self.0.get()).ok()?.stop_sequence
    }
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    message: Message<'a>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    content: Vec<Raw<'a>>,
}

#[derive(Deserialize)]
struct Tier<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
}

/// A content block: one of these is there. Blocks that a client of OpenAI has no place for are
/// passed over.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Block<'a> {
    #[serde(borrow)]
    text: Option<Text<'a>>,
    #[serde(borrow)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow)]
    reasoning_content: Option<Reasoning<'a>>,
    #[serde(borrow)]
    citations_content: Option<Cited<'a>>,
    #[serde(borrow)]
    image: Option<Image<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToolUse<'a> {
    #[serde(borrow, default)]
    pub(super) tool_use_id: Text<'a>,
    #[serde(borrow, default)]
    pub(super) name: Text<'a>,
    #[serde(borrow, default)]
    input: Option<Raw<'a>>,
    /// Set for tools that run at the provider.
    #[serde(borrow, default, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Reasoning<'a> {
    #[serde(borrow)]
    reasoning_text: Option<ReasoningText<'a>>,
    #[serde(borrow)]
    redacted_content: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ReasoningText<'a> {
    #[serde(borrow)]
    text: Text<'a>,
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Cited<'a> {
    #[serde(borrow)]
    content: Vec<Said<'a>>,
    #[serde(borrow)]
    citations: Vec<Citation<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

/// Where something was read. Clients of OpenAI can be shown addresses.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Citation<'a> {
    #[serde(borrow)]
    title: Option<Text<'a>>,
    #[serde(borrow)]
    location: Option<Location<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Location<'a> {
    #[serde(borrow)]
    web: Option<Web<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Web<'a> {
    #[serde(borrow)]
    url: Text<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Image<'a> {
    #[serde(borrow)]
    format: Text<'a>,
    #[serde(borrow)]
    source: ImageSource<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ImageSource<'a> {
    #[serde(borrow)]
    bytes: Option<Text<'a>>,
}

impl Citation<'_> {
    /// OpenAI's annotation, of the letters from `start` to `end` of the text.
    pub(super) fn annotation(&self, start: usize, end: usize) -> Option<Box<RawValue>> {
        let web = self.location.as_ref()?.web.as_ref()?;
        let title = self.title.as_deref();
        let citation =
            json!({"url": &*web.url, "title": title, "start_index": start, "end_index": end});
        to_raw_value(&json!({"type": "url_citation", "url_citation": citation})).ok()
    }
}

/// What the assistant said, gathered from the blocks.
#[derive(Default)]
struct Answered<'a> {
    text: String,
    reasoning: String,
    thinking: Vec<Cow<'a, RawValue>>,
    annotations: Vec<Cow<'a, RawValue>>,
    tool_calls: Vec<Call<'a>>,
    images: Vec<Cow<'a, RawValue>>,
}

impl<'a> Answered<'a> {
    fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tool_calls.is_empty() && self.images.is_empty()
    }

    fn add(&mut self, block: Block<'a>) -> Result<(), Failure> {
        if let Some(text) = block.text {
            self.text.push_str(&text);
        }
        if let Some(tool_use) = block.tool_use {
            self.call(tool_use)?;
        }
        if let Some(reasoning) = block.reasoning_content {
            self.reason(&reasoning)?;
        }
        if let Some(cited) = block.citations_content {
            let start = self.text.chars().count();
            cited.content.iter().for_each(|said| self.text.push_str(&said.text));
            let end = self.text.chars().count();
            let annotations = cited.citations.iter().filter_map(|it| it.annotation(start, end));
            self.annotations.extend(annotations.map(Cow::Owned));
        }
        if let Some(Image { format, source: ImageSource { bytes: Some(data) } }) = block.image {
            let url = format!("data:image/{};base64,{}", &*format, &*data);
            let image = json!({"type": "image_url", "image_url": {"url": url}});
            self.images.push(owned(&image)?);
        }
        Ok(())
    }

    fn call(&mut self, tool_use: ToolUse<'a>) -> Result<(), Failure> {
        let ToolUse { tool_use_id, name, input, kind } = tool_use;
        if kind.is_some() {
            return Ok(());
        }
        let input = input.map_or_else(|| "{}".to_owned(), |raw| compact(raw.get()));
        if &*name == JSON_TOOL {
            self.text.push_str(&input);
            return Ok(());
        }
        let name = original_name(&name).into_owned();
        self.tool_calls.push(Call {
            id: Some(tool_use_id),
            kind: Some("function".into()),
            function: Some(CallFunction {
                name: name.into(),
                arguments: Some(owned(&Value::String(input))?),
            }),
            custom: None,
            cache_control: None,
            extra_content: None,
        });
        Ok(())
    }

    fn reason(&mut self, reasoning: &Reasoning<'a>) -> Result<(), Failure> {
        if let Some(ReasoningText { text, signature }) = &reasoning.reasoning_text {
            self.reasoning.push_str(text);
            // Without a signature it could not be sent back.
            if let Some(signature) = signature.as_deref().filter(|signature| !signature.is_empty())
            {
                self.thinking.push(owned(&ThinkingBlock::Thinking { thinking: text, signature })?);
            }
        }
        if let Some(data) = &reasoning.redacted_content {
            self.thinking.push(owned(&ThinkingBlock::RedactedThinking { data })?);
        }
        Ok(())
    }

    fn into_turn(self) -> Result<Turn<'a>, Failure> {
        // Where there is something else to look at, no text is `null`; otherwise it is empty.
        let silent = self.tool_calls.is_empty() && self.images.is_empty();
        let said = !self.text.is_empty() || silent;
        Ok(Turn {
            role: "assistant".into(),
            content: said.then(|| self.text.into()),
            reasoning_content: (!self.reasoning.is_empty()).then(|| self.reasoning.into()),
            thinking_blocks: filled(self.thinking),
            annotations: filled(self.annotations),
            tool_calls: filled(self.tool_calls),
            images: filled(self.images),
            ..Turn::default()
        })
    }
}

fn filled<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn owned<'a>(value: &impl Serialize) -> Result<Cow<'a, RawValue>, Failure> {
    let unwritable = |_| garbage("a block of the provider's reply cannot be passed on");
    to_raw_value(value).map(Cow::Owned).map_err(unwritable)
}
