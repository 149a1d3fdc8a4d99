//! What a model can do beside answering text with text.

use super::price_book::Listed;

/// One thing that a request may need, known by LiteLLM's `supports_*` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    Tools,
    ParallelTools,
    Images,
    Audio,
    Files,
    JsonSchema,
    Reasoning,
}

impl Capability {
    pub const ALL: [Self; 7] = [
        Self::Tools,
        Self::ParallelTools,
        Self::Images,
        Self::Audio,
        Self::Files,
        Self::JsonSchema,
        Self::Reasoning,
    ];

    /// LiteLLM's name of the field in `model_info`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tools => "supports_function_calling",
            Self::ParallelTools => "supports_parallel_function_calling",
            Self::Images => "supports_vision",
            Self::Audio => "supports_audio_input",
            Self::Files => "supports_pdf_input",
            Self::JsonSchema => "supports_response_schema",
            Self::Reasoning => "supports_reasoning",
        }
    }

    /// What a client has to do with it.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Tools => "tool calls (`tools`)",
            Self::ParallelTools => "parallel tool calls (`parallel_tool_calls`)",
            Self::Images => "images in messages",
            Self::Audio => "audio in messages",
            Self::Files => "files in messages",
            Self::JsonSchema => "replies by a JSON schema (`response_format`)",
            Self::Reasoning => "reasoning",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// What is known of a model's capabilities: it has them, lacks them, or nothing is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    has: u8,
    lacks: u8,
}

impl Capabilities {
    /// What the price book knows.
    #[must_use]
    pub fn listed(listed: &Listed) -> Self {
        let mut known = Self::default();
        for capability in Capability::ALL {
            let name = capability.name();
            if let Some(has) = listed.supports(name.strip_prefix("supports_").unwrap_or(name)) {
                known.set(capability, has);
            }
        }
        known
    }

    /// `None`: not known.
    #[must_use]
    pub const fn get(self, capability: Capability) -> Option<bool> {
        if self.has & capability.bit() != 0 {
            Some(true)
        } else if self.lacks & capability.bit() != 0 {
            Some(false)
        } else {
            None
        }
    }

    pub const fn set(&mut self, capability: Capability, has: bool) {
        let bit = capability.bit();
        if has {
            self.has |= bit;
            self.lacks &= !bit;
        } else {
            self.lacks |= bit;
            self.has &= !bit;
        }
    }
}
