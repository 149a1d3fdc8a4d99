//! Chunks of a stream, as they are written.

use serde::{Deserialize, Serialize};

use super::usage::Shown;
use super::{ImageUrl, Raw};
use crate::wire::fields::Text;
use crate::wire::sse::on_one_line;

/// One chunk.
#[derive(Debug, Serialize)]
pub struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Choices<'a>,
    /// A client that asked for usage reads `null` until the last chunk; others see no such field.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Shown>>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Choices<'a> {
    None([(); 0]),
    One([Choice<'a>; 1]),
}

#[derive(Debug, Serialize)]
struct Choice<'a> {
    index: u32,
    delta: &'a Delta<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<Raw<'a>>,
    finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    native_finish_reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_sequence: Option<&'a str>,
}

/// What a chunk adds to the message.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Delta<'a> {
    Role {
        role: &'static str,
        content: &'static str,
    },
    /// The first chunk of an answer that is a tool call.
    Opening {
        role: &'static str,
        content: (),
        tool_calls: [ToolCall<'a>; 1],
    },
    Content {
        content: &'a str,
    },
    /// Text with what the provider wants to see again beside it.
    Said {
        content: &'a str,
        extra_content: ExtraContent<'a>,
    },
    Reasoning {
        reasoning_content: &'a str,
    },
    ThinkingBlocks {
        thinking_blocks: [ThinkingBlock<'a>; 1],
    },
    ReasoningItems {
        reasoning_items: [Raw<'a>; 1],
    },
    /// What belongs to the text so far.
    Extra {
        extra_content: ExtraContent<'a>,
    },
    Annotations {
        annotations: &'a [Raw<'a>],
    },
    ToolCalls {
        tool_calls: [ToolCall<'a>; 1],
    },
    Refusal {
        refusal: &'a str,
    },
    Images {
        images: [Image<'a>; 1],
    },
    Audio {
        audio: Audio<'a>,
    },
    Nothing {},
}

/// A whole block of reasoning, to be sent back unchanged.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ThinkingBlock<'a> {
    Thinking { thinking: &'a str, signature: &'a str },
    RedactedThinking { data: &'a str },
}

/// An image that was generated, as OpenRouter and LiteLLM write it.
#[derive(Debug, Serialize)]
pub struct Image<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    index: u32,
    image_url: ImageUrl<'a>,
}

impl<'a> Image<'a> {
    /// `url` is a data URL.
    #[must_use]
    pub fn new(index: u32, url: impl Into<Text<'a>>) -> Self {
        let image_url = ImageUrl { url: url.into(), detail: None, format: None };
        Self { kind: "image_url", index, image_url }
    }
}

/// The address of an image that was generated, as a reply has it: mostly a data URL.
#[must_use]
pub fn image_url(image: Raw<'_>) -> Option<String> {
    #[derive(Deserialize)]
    struct Written<'a> {
        #[serde(borrow)]
        image_url: Address<'a>,
    }
    #[derive(Deserialize)]
    struct Address<'a> {
        #[serde(borrow)]
        url: Text<'a>,
    }
    let written: Written<'_> = serde_json::from_str(image.get()).ok()?;
    Some(written.image_url.url.0.into_owned()).filter(|url| !url.is_empty())
}

/// Sound that was generated: base64.
#[derive(Debug, Serialize)]
pub struct Audio<'a> {
    pub id: &'a str,
    pub data: &'a str,
    /// When the provider forgets it, in Unix seconds.
    pub expires_at: u64,
    pub transcript: &'a str,
}

/// A piece of a tool call.
#[derive(Debug, Serialize)]
pub struct ToolCall<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Function<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Custom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<ExtraContent<'a>>,
}

/// What a provider wants to see again with a tool call or a text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct ExtraContent<'a> {
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub google: Option<Google<'a>>,
}

/// Google's part of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Google<'a> {
    /// Base64: what the model thought, sealed.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub thought_signature: Option<Text<'a>>,
}

impl<'a> ExtraContent<'a> {
    /// With a thought signature of Google's.
    #[must_use]
    pub fn signed(signature: &'a str) -> Self {
        Self { google: Some(Google { thought_signature: Some(signature.into()) }) }
    }

    /// The signature in it.
    #[must_use]
    pub fn signature(&self) -> Option<&str> {
        self.google.as_ref()?.thought_signature.as_deref()
    }
}

/// The name, and a fragment of the arguments.
#[derive(Debug, Serialize)]
pub struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub arguments: &'a str,
}

/// The name, and a fragment of the free text that a custom tool takes.
#[derive(Debug, Serialize)]
pub struct Custom<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<&'a str>,
    pub input: &'a str,
}

impl<'a> ToolCall<'a> {
    const NONE: Self =
        Self { index: 0, id: None, kind: None, function: None, custom: None, extra_content: None };

    /// The first piece of a call.
    #[must_use]
    pub const fn begin(index: u32, id: Option<&'a str>, function: Function<'a>) -> Self {
        Self { index, id, kind: Some("function"), function: Some(function), ..Self::NONE }
    }

    /// The same with what the provider wants to see again.
    #[must_use]
    pub fn with_extra(self, extra_content: Option<ExtraContent<'a>>) -> Self {
        Self { extra_content, ..self }
    }

    /// A further piece.
    #[must_use]
    pub const fn go_on(index: u32, function: Function<'a>) -> Self {
        Self { index, function: Some(function), ..Self::NONE }
    }

    /// The first piece of a call of a custom tool.
    #[must_use]
    pub const fn begin_custom(index: u32, id: Option<&'a str>, custom: Custom<'a>) -> Self {
        Self { index, id, kind: Some("custom"), custom: Some(custom), ..Self::NONE }
    }

    /// A further piece.
    #[must_use]
    pub const fn go_on_custom(index: u32, custom: Custom<'a>) -> Self {
        Self { index, custom: Some(custom), ..Self::NONE }
    }
}

impl<'a> Chunk<'a> {
    /// A chunk without choices. `shows_usage`: the client asked for it.
    #[must_use]
    pub fn new(id: &'a str, model: &'a str, created: u64, shows_usage: bool) -> Self {
        let usage = shows_usage.then_some(None);
        let (object, choices) = ("chat.completion.chunk", Choices::None([]));
        Self { id, object, created, model, choices, usage }
    }

    #[must_use]
    pub fn with_delta(self, delta: &'a Delta<'a>, finish_reason: Option<&'static str>) -> Self {
        self.with_choice(0, delta, finish_reason)
    }

    /// With how likely the tokens of the delta were, as OpenAI writes it.
    #[must_use]
    pub const fn with_logprobs(mut self, logprobs: Option<Raw<'a>>) -> Self {
        if let Choices::One([choice]) = &mut self.choices {
            choice.logprobs = logprobs;
        }
        self
    }

    /// With what Anthropic says of the end besides: see [`super::native_finish_reason`].
    #[must_use]
    pub const fn with_native_end(
        mut self,
        reason: Option<&'static str>,
        stop_sequence: Option<&'a str>,
    ) -> Self {
        if let Choices::One([choice]) = &mut self.choices {
            choice.native_finish_reason = reason;
            choice.stop_sequence = stop_sequence;
        }
        self
    }

    /// As [`Self::with_delta`], of one answer among several.
    #[must_use]
    pub fn with_choice(
        self,
        index: u32,
        delta: &'a Delta<'a>,
        finish_reason: Option<&'static str>,
    ) -> Self {
        Self {
            choices: Choices::One([Choice {
                index,
                delta,
                logprobs: None,
                finish_reason,
                native_finish_reason: None,
                stop_sequence: None,
            }]),
            ..self
        }
    }

    #[must_use]
    pub fn with_usage(self, usage: Shown) -> Self {
        Self { usage: Some(Some(usage)), ..self }
    }

    /// Appends the chunk as a whole event.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        let start = out.len();
        serde_json::to_writer(&mut *out, self)
            .expect("a Vec takes every byte, and the chunk has string keys only");
        // What is passed on as it was read may stand on several lines.
        on_one_line(&mut out[start..]);
        out.extend_from_slice(b"\n\n");
    }
}

/// Appends the event that ends every stream.
pub fn write_done(out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: [DONE]\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::sse::Splitter;

    #[test]
    fn json_that_a_provider_wrote_over_several_lines_stays_one_event() {
        let raw = |text: &str| serde_json::value::RawValue::from_string(text.to_owned()).unwrap();
        let pretty = raw("{\n  \"a\": \"x\\ny\",\r\n\r\n  \"b\": [\n    1\n  ]\n}");
        let deltas = [
            Delta::Annotations { annotations: &[&pretty] },
            Delta::ReasoningItems { reasoning_items: [&pretty] },
            Delta::Content { content: "a\n\nb" },
        ];
        for delta in deltas {
            let mut out = Vec::new();
            let chunk = Chunk::new("i", "m", 1, false).with_delta(&delta, None);
            let chunk = chunk.with_logprobs(Some(&*pretty));
            let meant = serde_json::to_value(&chunk).unwrap();
            chunk.write(&mut out);
            let mut splitter = Splitter::new();
            splitter.push(out.into());
            let event = splitter.next_event().unwrap().unwrap();
            let data = splitter.fields(&event).data.unwrap().into_owned();
            assert_eq!(serde_json::from_slice::<serde_json::Value>(&data).unwrap(), meant);
            assert!(!data.contains(&b'\n') && !data.contains(&b'\r'));
            assert_eq!(splitter.next_event(), Ok(None), "one event, not two");
            assert_eq!(splitter.rest(), "");
        }
    }
}
