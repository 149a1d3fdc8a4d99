//! Which body formats there are, and how a provider departs from the one it speaks.
//!
//! Plain facts, shared by the catalog (which deployment is what), `provider` (the table of vendors)
//! and `wire` (the formats themselves).

/// What a client asks for, and so which API of a provider is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// Chat completions.
    Chat,
    /// Legacy text completions.
    Completions,
    /// Embeddings.
    Embeddings,
}

impl Endpoint {
    /// Every endpoint, for tables indexed by [`Endpoint::index`].
    pub const ALL: [Self; 3] = [Self::Chat, Self::Completions, Self::Embeddings];

    /// Its place in [`Endpoint::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }
}

/// The protocol that a provider speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI's API and everything that copies it.
    OpenAi,
    /// OpenAI's bodies behind Azure's paths, keys and content-filter frames.
    Azure,
    /// Anthropic's Messages API.
    Anthropic,
}

impl Quirks {
    /// `stream_options` is not sent to such a provider.
    #[must_use]
    pub const fn never_asked_for_usage(&self) -> bool {
        self.no_stream_options || self.mistral
    }
}

/// How a provider of the OpenAI dialect departs from OpenAI. Default: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Knows only `max_tokens`: `max_completion_tokens` is renamed.
    pub max_tokens_only: bool,
    /// Refuses or ignores `stream_options`; usage comes by itself.
    pub no_stream_options: bool,
    /// Mistral's spellings: `random_seed`, tool choice `any`, nine-letter tool ids, no `user`, no
    /// `name` on messages.
    pub mistral: bool,
    /// Refuses `strict` in tool definitions and `name` on messages (xAI).
    pub strip_strict_and_names: bool,
    /// Refuses `content: ""` beside tool calls: `null` is sent (DeepSeek).
    pub null_content_with_tool_calls: bool,
    /// `completion_tokens` excludes reasoning; it is added (xAI).
    pub reasoning_outside_completion: bool,
    /// Frames need normalising: usage on the finish chunk, missing `type` or index of tool calls,
    /// unknown finish reasons. Other streams are passed as they are.
    pub normalise_stream: bool,
    /// Goes on with an assistant message that ends the conversation, if `continue_final_message`
    /// says so (vLLM).
    pub continues_final_message: bool,
}
