//! A whole reply.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::Call;
use super::{Raw, Shown, loose};
use crate::failure::{Failure, FailureClass};
use crate::wire::fields::Text;

/// A chat completion. Read, `usage` is left to [`super::read_usage`], and nothing is needed but the
/// messages of its choices: see [`Completion::read`].
#[derive(Debug, Deserialize, Serialize)]
pub struct Completion<'a> {
    #[serde(borrow, default, deserialize_with = "loose::name")]
    pub id: Text<'a>,
    #[serde(borrow, default, deserialize_with = "loose::name")]
    pub object: Text<'a>,
    /// Unix seconds.
    #[serde(default, deserialize_with = "loose::number")]
    pub created: u64,
    #[serde(borrow, default, deserialize_with = "loose::name")]
    pub model: Text<'a>,
    #[serde(borrow)]
    pub choices: Vec<Answer<'a>>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Cow<'a, RawValue>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::named",
        skip_serializing_if = "Option::is_none"
    )]
    pub service_tier: Option<Text<'a>>,
}

/// One of the choices.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Answer<'a> {
    #[serde(default, deserialize_with = "loose::number")]
    pub index: u32,
    #[serde(borrow)]
    pub message: Turn<'a>,
    #[serde(borrow, default)]
    pub logprobs: Option<Raw<'a>>,
    /// `stop`, `length`, `tool_calls`, `content_filter`.
    #[serde(borrow, default, deserialize_with = "loose::named")]
    pub finish_reason: Option<Text<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::named",
        skip_serializing_if = "Option::is_none"
    )]
    pub native_finish_reason: Option<Text<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::named",
        skip_serializing_if = "Option::is_none"
    )]
    pub stop_sequence: Option<Text<'a>>,
}

/// What is written as `native_finish_reason` for Anthropic's `stop_reason`: nothing, where OpenAI's word
/// says the same.
#[must_use]
pub fn native_finish_reason(stop_reason: &str) -> Option<&'static str> {
    let more = ["stop_sequence", "model_context_window_exceeded"];
    more.into_iter().find(|known| *known == stop_reason)
}

/// What the assistant said.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct Turn<'a> {
    #[serde(borrow, default, deserialize_with = "loose::name")]
    pub role: Text<'a>,
    /// `null` beside tool calls or a refusal, if nothing was said.
    #[serde(borrow, default, deserialize_with = "loose::said")]
    pub content: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "loose::said")]
    pub refusal: Option<Text<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::said",
        skip_serializing_if = "Option::is_none"
    )]
    pub reasoning_content: Option<Text<'a>>,
    /// The same under its other name; some servers write both.
    #[serde(borrow, default, deserialize_with = "loose::said", skip_serializing)]
    pub reasoning: Option<Text<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub thinking_blocks: Option<Vec<Cow<'a, RawValue>>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub reasoning_items: Option<Vec<Cow<'a, RawValue>>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub annotations: Option<Vec<Cow<'a, RawValue>>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub tool_calls: Option<Vec<Call<'a>>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra_content: Option<super::ExtraContent<'a>>,
    /// Sound and images that were generated, as OpenAI and OpenRouter write them.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub audio: Option<Raw<'a>>,
    #[serde(
        borrow,
        default,
        deserialize_with = "loose::value",
        skip_serializing_if = "Option::is_none"
    )]
    pub images: Option<Vec<Cow<'a, RawValue>>>,
}

impl<'a> Completion<'a> {
    /// Reads a reply, however loosely its provider writes.
    ///
    /// # Errors
    /// [`FailureClass::Server`]: it has no messages in it.
    pub fn read(body: &'a [u8]) -> Result<Self, Failure> {
        let mut completion: Self = serde_json::from_slice(body).map_err(|_| {
            Failure::new(FailureClass::Server, "the provider's reply is not a chat completion")
        })?;
        for turn in completion.choices.iter_mut().map(|answer| &mut answer.message) {
            let other = turn.reasoning.take();
            let reasoning = turn.reasoning_content.take().filter(|text| !text.is_empty());
            turn.reasoning_content = reasoning.or(other);
        }
        Ok(completion)
    }

    /// A reply with the given choices.
    #[must_use]
    pub fn new(id: impl Into<Text<'a>>, model: impl Into<Text<'a>>, created: u64) -> Self {
        Self {
            id: id.into(),
            object: "chat.completion".into(),
            created,
            model: model.into(),
            choices: Vec::new(),
            usage: None,
            service_tier: None,
        }
    }

    /// With what it used.
    #[must_use]
    pub fn with_usage(mut self, usage: Option<Shown>) -> Self {
        self.usage =
            usage.and_then(|usage| serde_json::value::to_raw_value(&usage).ok()).map(Cow::Owned);
        self
    }
}
