//! What one request needs of a deployment, as plain values.
//!
//! Filled by `gateway/needs.rs`, and only if something in force asks for it: see
//! [`super::Settings::reads_requests`]. Routing never sees a body.

/// What a deployment must be able to do, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tokens of the prompt: messages, tools and all. An estimate, see [`Needs::INPUT_ERROR`].
    pub input_tokens: u64,
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
    /// How far `input_tokens` may be off, as a share: a check must not refuse a request over less.
    pub const INPUT_ERROR: f64 = 0.1;
}
