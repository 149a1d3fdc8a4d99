//! What one request needs of a deployment, as plain values.
//!
//! Filled by `gateway/needs.rs`, and only if something in force asks for it: see
//! [`super::Settings::reads_requests`]. Routing never sees a body.

use crate::usage::ESTIMATE_ERROR;

/// What a deployment must be able to do, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tokens of the prompt: messages, tools and all; see [`Needs::input_error`].
    pub input_tokens: u64,
    /// They were counted with a model's own table. Otherwise they are an estimate.
    pub is_counted: bool,
    /// The longest reply that the client asked for (`max_tokens` and its other names).
    pub max_output_tokens: Option<u64>,
    /// Replies asked for (`n`); at least 1.
    pub replies: u32,
    pub stream: bool,
    pub tools: bool,
    /// `parallel_tool_calls: true` was written.
    pub parallel_tools: bool,
    pub images: bool,
    pub audio: bool,
    pub files: bool,
    pub format: ReplyFormat,
    /// A reasoning effort or a thinking budget was asked for.
    pub reasoning: bool,
}

/// `response_format`, or what another dialect has in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyFormat {
    #[default]
    Text,
    JsonObject,
    JsonSchema,
}

impl Needs {
    /// How far a count may be off: it was made with the table of one model, and others serve too.
    const COUNT_ERROR: f64 = 0.1;

    /// How far `input_tokens` may be off, as a share: a check must not refuse a request over less.
    #[must_use]
    pub const fn input_error(&self) -> f64 {
        if self.is_counted { Self::COUNT_ERROR } else { ESTIMATE_ERROR }
    }
}
