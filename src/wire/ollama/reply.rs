//! A reply of `/api/chat`, turned into a chat completion; and what a line of a stream shares with it.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};

use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;
use crate::wire::Reply;
use crate::wire::chat::{Answer, Call, CallFunction, Completion, Raw, Shown, Turn};
use crate::wire::fields::Text;

/// Turns a whole reply.
///
/// # Errors
/// The body is an error, or no reply at all.
pub fn reply(body: Bytes, created: u64) -> Result<Reply, Failure> {
    let line = Line::read(&body)?;
    let Some(message) = &line.message else {
        return Err(garbage("the provider's reply holds no message"));
    };
    let seed = line.seed();
    let calls: Vec<Call<'_>> = message
        .calls()
        .enumerate()
        .map(|(number, call)| Call {
            id: Some(call.id(&seed, number).into()),
            kind: Some("function".into()),
            function: Some(CallFunction {
                name: Text(Cow::Borrowed(call.name())),
                arguments: to_raw_value(&call.arguments()).ok().map(Cow::Owned),
            }),
            custom: None,
            cache_control: None,
            extra_content: None,
        })
        .collect();
    let finish_reason = finish_reason(line.done_reason.as_deref(), !calls.is_empty());
    let usage = line.usage();
    let model = line.model.as_deref().unwrap_or_default();
    let text = message.content.as_deref().unwrap_or_default();
    let thinking = message.thinking.as_deref().filter(|text| !text.is_empty());
    let logprobs = line.logprobs();
    let turn = Turn {
        role: "assistant".into(),
        content: (!text.is_empty() || calls.is_empty()).then(|| text.into()),
        reasoning_content: thinking.map(Into::into),
        tool_calls: (!calls.is_empty()).then_some(calls),
        ..Turn::default()
    };
    let mut completion = Completion::new(id(&seed), model, created);
    completion.choices.push(Answer {
        index: 0,
        message: turn,
        logprobs: logprobs.as_deref(),
        finish_reason: Some(finish_reason.into()),
        ..Answer::default()
    });
    let completion = completion.with_usage(usage.as_ref().map(shown));
    let body = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply { body: body.into(), usage, model: Some(model.into()) })
}

pub(super) fn garbage(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

/// The counts that a client is shown. Ollama counts the whole, and no parts of it.
pub(super) fn shown(usage: &Usage) -> Shown {
    Shown::of(usage, false).without_cache_writes()
}

/// The id of a reply, which Ollama does not give.
pub(super) fn id(seed: &str) -> String {
    format!("chatcmpl-{}", digest(&[seed], 12))
}

/// OpenAI's word for why the answer ended. `load` and `unload` answer requests without messages.
pub(super) fn finish_reason(reason: Option<&str>, calls: bool) -> &'static str {
    match reason {
        Some("length") => "length",
        _ if calls => "tool_calls",
        _ => "stop",
    }
}

/// Some bytes of a hash, in hexadecimal: names what has no name, always the same.
fn digest(texts: &[&str], bytes: usize) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(bytes).map(|byte| format!("{byte:02x}")).collect()
}

/// A whole reply, or one line of a stream.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(borrow, default)]
    pub(super) model: Option<Text<'a>>,
    /// A moment with nanoseconds, and so as good as an id.
    #[serde(borrow, default)]
    created_at: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) message: Option<Said<'a>>,
    #[serde(default)]
    pub(super) done: bool,
    #[serde(borrow, default)]
    pub(super) done_reason: Option<Text<'a>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(borrow, default)]
    logprobs: Option<Raw<'a>>,
    #[serde(borrow, default)]
    error: Option<Raw<'a>>,
}

impl<'a> Line<'a> {
    /// # Errors
    /// It is an error, or not Ollama's.
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Failure> {
        let line: Self = serde_json::from_slice(text)
            .map_err(|_| garbage("the provider sent something that is not Ollama's"))?;
        match line.error {
            None => Ok(line),
            Some(error) => Err(match serde_json::from_str::<Text<'_>>(error.get()) {
                Ok(text) => garbage(text.0),
                // A proxy in front of it speaks in OpenAI's words.
                Err(_) => crate::wire::openai::ErrorBody::read(text).map_or_else(
                    || garbage("the provider sent an error"),
                    crate::wire::openai::ErrorBody::into_failure,
                ),
            }),
        }
    }

    pub(super) fn seed(&self) -> String {
        let created = self.created_at.as_deref().unwrap_or_default();
        format!("{created} {}", self.model.as_deref().unwrap_or_default())
    }

    /// `prompt_eval_count` is missing where the whole prompt was in the cache (older builds).
    pub(super) fn usage(&self) -> Option<Usage> {
        let (input, output) = (self.prompt_eval_count, self.eval_count);
        (input.is_some() || output.is_some()).then(|| Usage {
            input_tokens: input.unwrap_or_default(),
            output_tokens: output.unwrap_or_default(),
            ..Usage::default()
        })
    }

    /// How likely the tokens were; Ollama writes each as OpenAI does.
    pub(super) fn logprobs(&self) -> Option<Box<RawValue>> {
        let content = self.logprobs.filter(|raw| raw.get().starts_with('['))?;
        RawValue::from_string(format!("{{\"content\":{content},\"refusal\":null}}")).ok()
    }
}

#[derive(Default, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow, default)]
    pub(super) content: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub(super) thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Vec<ToolCall<'a>>>,
}

impl<'a> Said<'a> {
    pub(super) fn calls(&self) -> impl Iterator<Item = &ToolCall<'a>> {
        self.tool_calls.iter().flatten()
    }
}

#[derive(Deserialize)]
pub(super) struct ToolCall<'a> {
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    /// An object; some models' templates give a string.
    #[serde(borrow, default)]
    arguments: Option<Raw<'a>>,
}

impl ToolCall<'_> {
    /// The id of the call; older builds give none. `number` is its place in the reply.
    pub(super) fn id(&self, seed: &str, number: usize) -> String {
        match self.id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => id.to_owned(),
            None => format!("call_{}", digest(&[seed, &number.to_string()], 12)),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.function.as_ref().and_then(|it| it.name.as_deref()).unwrap_or_default()
    }

    /// The arguments as JSON text.
    pub(super) fn arguments(&self) -> Cow<'_, str> {
        let Some(raw) = self.function.as_ref().and_then(|it| it.arguments) else {
            return Cow::Borrowed("{}");
        };
        match serde_json::from_str::<Text<'_>>(raw.get()) {
            Ok(text) if text.trim().is_empty() => Cow::Borrowed("{}"),
            Ok(text) => text.0,
            Err(_) if raw.get() == "null" => Cow::Borrowed("{}"),
            Err(_) => Cow::Borrowed(raw.get()),
        }
    }
}
