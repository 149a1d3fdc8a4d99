//! Which body formats there are, and how a provider departs from the one it speaks.
//!
//! Plain facts, shared by the catalog (which deployment is what), `provider` (the table of vendors)
//! and `wire` (the formats themselves).

use serde_json::value::RawValue;

/// What is asked for, whatever the client's dialect; and the place of an API in a provider's table of
/// paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A conversation: chat completions, and what says the same in another dialect.
    Chat,
    /// Legacy text completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// OpenAI's Responses API at a provider. A client's call of it is a [`Endpoint::Chat`] in the
    /// dialect [`ClientDialect::Responses`].
    Responses,
    /// How many tokens a conversation has, counted by the provider.
    CountTokens,
    /// Images from a prompt.
    ImageGenerations,
    /// Images from images; a form.
    ImageEdits,
    /// Images like another image; a form.
    ImageVariations,
    /// Text from sound; a form.
    Transcriptions,
    /// English text from sound; a form.
    Translations,
    /// Sound from text; the reply is the sound.
    Speech,
    /// The order of documents by what they say to a query.
    Rerank,
    /// Whether a text is harmful.
    Moderations,
    /// Files that a provider keeps.
    Files,
    /// Work that a provider does when it has time.
    Batches,
}

impl Endpoint {
    /// Every endpoint, for tables indexed by [`Endpoint::index`].
    pub const ALL: [Self; 15] = [
        Self::Chat,
        Self::Completions,
        Self::Embeddings,
        Self::Responses,
        Self::CountTokens,
        Self::ImageGenerations,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::Rerank,
        Self::Moderations,
        Self::Files,
        Self::Batches,
    ];

    /// Its place in [`Endpoint::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether it is about text in tokens, as conversations are. The others have replies of their own:
    /// sound, images, orders, and whatever a new one may bring; those are passed on as they come.
    #[must_use]
    pub const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Chat | Self::Completions | Self::Embeddings | Self::Responses | Self::CountTokens
        )
    }

    /// Whether it is about something that the provider keeps, and that has an id there.
    #[must_use]
    pub const fn is_stored(self) -> bool {
        matches!(self, Self::Files | Self::Batches)
    }
}

/// The format that a client speaks: of its request, of what it is answered, and of errors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ClientDialect {
    /// OpenAI's chat completions, and its other endpoints.
    #[default]
    OpenAi,
    /// OpenAI's Responses API.
    Responses,
    /// Anthropic's Messages API.
    Anthropic,
    /// Google's `generateContent`.
    Gemini,
}

/// The methods of Google's API that are served.
const GOOGLES: [&str; 5] = [
    ":generateContent",
    ":streamGenerateContent",
    ":countTokens",
    ":embedContent",
    ":batchEmbedContents",
];

impl ClientDialect {
    /// The dialect of those who ask for this path, whether or not it is served.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let below =
            |rest: Option<&str>| rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if path.starts_with("/v1beta/") || path.starts_with("/gemini/") {
            return Self::Gemini;
        }
        // Google's methods stand behind a colon, also below the paths that others share.
        let below_models = ["/v1/models/", "/models/"].iter().any(|base| path.starts_with(base));
        if below_models && GOOGLES.iter().any(|method| path.ends_with(method)) {
            return Self::Gemini;
        }
        let path = path.strip_prefix("/openai").unwrap_or(path);
        let path = path.strip_prefix("/anthropic").unwrap_or(path);
        let path = path.strip_prefix("/v1").unwrap_or(path);
        if below(path.strip_prefix("/messages")) {
            Self::Anthropic
        } else if below(path.strip_prefix("/responses")) {
            Self::Responses
        } else {
            Self::OpenAi
        }
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
    /// Cohere's API, version 2.
    Cohere,
    /// Ollama's own API.
    Ollama,
    /// What the configuration describes.
    Custom,
    /// Amazon Bedrock's Converse API.
    Bedrock,
    /// Google's `generateContent`.
    Gemini,
}

/// When a deployment's Responses API is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponsesApi {
    /// Never: there is none, or it is not to be used.
    #[default]
    None,
    /// For clients that speak it, and for models that need it.
    Offered,
    /// For every conversation.
    Always,
}

/// Where a provider is told to cache what it read so far.
#[derive(Clone, Debug)]
pub struct CachePoint {
    pub spot: CacheSpot,
    /// The marker: `{"type": "ephemeral"}`, or with a `ttl`.
    pub control: Box<RawValue>,
}

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CacheSpot {
    /// The message at `index` (negative: counted from the end), else all messages of `role`.
    Message { role: Option<Box<str>>, index: Option<i64> },
    /// Behind the definitions of the tools.
    Tools,
}

impl Quirks {
    /// No departure at all.
    pub const NONE: Self = Self {
        max_tokens_only: false,
        no_stream_options: false,
        mistral: false,
        voyage: false,
        strip_strict_and_names: false,
        null_content_with_tool_calls: false,
        reasoning_outside_completion: false,
        normalise_stream: false,
        imitates: false,
        closed_messages: false,
        takes_thinking: false,
        continues_final_message: false,
        replays_reasoning: false,
        vertex: false,
        invoke: false,
        cache_markers: false,
        rules: &[],
    };

    /// What it answers is looked at, and brought to OpenAI's form where it departs from it.
    #[must_use]
    pub const fn is_normalised(&self) -> bool {
        self.normalise_stream || self.imitates || self.mistral || self.reasoning_outside_completion
    }

    /// `stream_options` is not sent to such a provider.
    #[must_use]
    pub const fn never_asked_for_usage(&self) -> bool {
        self.no_stream_options || self.mistral
    }

    /// It copies OpenAI's API as that was: there are no `developer`s, only `system`.
    #[must_use]
    pub const fn copies_older_api(&self) -> bool {
        self.normalise_stream || self.max_tokens_only
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
    /// Voyage's spellings of what is asked of embeddings.
    pub voyage: bool,
    /// Refuses `strict` in tool definitions and `name` on messages (xAI).
    pub strip_strict_and_names: bool,
    /// Refuses `content: ""` beside tool calls: `null` is sent (DeepSeek).
    pub null_content_with_tool_calls: bool,
    /// `completion_tokens` excludes reasoning; it is added (xAI).
    pub reasoning_outside_completion: bool,
    /// Frames need normalising: usage on the finish chunk, missing `type` or index of tool calls,
    /// unknown finish reasons. Other streams are passed as they are.
    pub normalise_stream: bool,
    /// Somebody's server under OpenAI's name. What it answers is normalised as above; what it is asked
    /// is said as to OpenAI, because nothing is known of what it takes.
    pub imitates: bool,
    /// Refuses messages with fields that it does not know, and ids of calls over 64 bytes (OpenAI,
    /// Azure, Groq): what only replies have is taken out of a history.
    pub closed_messages: bool,
    /// Understands `thinking` with a `type` of `disabled`.
    pub takes_thinking: bool,
    /// Goes on with an assistant message that ends the conversation, if `continue_final_message`
    /// says so (vLLM).
    pub continues_final_message: bool,
    /// Wants the reasoning of a turn back beside its tool calls (DeepSeek).
    pub replays_reasoning: bool,
    /// As Vertex AI serves it. Gemini: takes labels and `gs://` addresses, has no file search.
    /// Claude: the model stands in the path, the version in the body.
    pub vertex: bool,
    /// Claude at Bedrock by InvokeModel: in its own format, as at Anthropic.
    pub invoke: bool,
    /// Takes Anthropic's `cache_control` on parts, messages and tools. From requests to all others
    /// the markers are taken out.
    pub cache_markers: bool,
    /// What its models refuse of what OpenAI's API has.
    pub rules: &'static [ModelRules],
}

/// What some models of a provider refuse. What no rule names is passed on for the provider to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelRules {
    /// How the models' names begin, behind a publisher; with a `$` at its end it is the whole name.
    /// Empty: all models.
    pub models: &'static [&'static str],
    /// Words in the names of models that begin so and are not meant.
    pub except: &'static [&'static str],
    pub refused: &'static [Refused],
    /// Messages must not have a `name`; who is speaking is not said then.
    pub nameless: bool,
}

/// Parameters that are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    pub params: &'static [&'static str],
    pub values: Values,
    /// Only while the model reasons, which depends on `reasoning_effort` for some.
    pub reasoning: bool,
    /// What `modify_params` sends in their place, as JSON.
    pub instead: Option<&'static str>,
}

/// Which values of a parameter are meant, as JSON; numbers are compared as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    Any,
    /// All but these.
    Except(&'static [&'static str]),
    Only(&'static [&'static str]),
    /// Numbers above this one.
    Above(&'static str),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_tells_the_dialect() {
        for (path, dialect) in [
            ("/v1/messages", ClientDialect::Anthropic),
            ("/messages", ClientDialect::Anthropic),
            ("/v1/messages/count_tokens", ClientDialect::Anthropic),
            ("/v1/messages/", ClientDialect::Anthropic),
            ("/anthropic/v1/messages", ClientDialect::Anthropic),
            ("/v1/responses", ClientDialect::Responses),
            ("/responses/resp_1", ClientDialect::Responses),
            ("/openai/v1/responses", ClientDialect::Responses),
            ("/v1beta/models/m:generateContent", ClientDialect::Gemini),
            ("/models/a/b:streamGenerateContent", ClientDialect::Gemini),
            ("/v1/models/m:countTokens", ClientDialect::Gemini),
            ("/models/m:batchEmbedContents", ClientDialect::Gemini),
            ("/v1/models/m", ClientDialect::OpenAi),
            ("/v1/chat/completions", ClientDialect::OpenAi),
            ("/v1/messagesx", ClientDialect::OpenAi),
            ("/v1/responsesx", ClientDialect::OpenAi),
            ("/", ClientDialect::OpenAi),
            ("", ClientDialect::OpenAi),
            ("/anthropic", ClientDialect::OpenAi),
        ] {
            assert_eq!(ClientDialect::of_path(path), dialect, "{path}");
        }
    }

    #[test]
    fn endpoints_have_their_places() {
        for (place, endpoint) in Endpoint::ALL.into_iter().enumerate() {
            assert_eq!(endpoint.index(), place);
        }
    }
}
