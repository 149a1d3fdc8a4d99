//! Streams: whatever the provider speaks, the client reads chat completion chunks.
//!
//! A relay takes the provider's bytes as they are read and gives back whole events for the client.
//! It also tells what the attempt loop must know: when the reply has really begun, whether it ended
//! or was cut, and what it used.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::anthropic::StreamTranslator;
use super::gemini;
use super::media::{ByteStream, MediaEvents};
use super::openai::{AsSent, Azure, ChatStream, Normalise};
use super::{Origin, bedrock};
use crate::dialect::{Endpoint, Quirks};
use crate::failure::Failure;
use crate::mapping::Mapping;
use crate::usage::Usage;

/// What a relay needs to know of the request it answers.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamOptions {
    /// The client asked for usage. Otherwise it is counted and kept from the client.
    pub show_usage: bool,
    /// When the reply began, in seconds since 1970, for formats that do not say.
    pub created: u64,
    pub quirks: Quirks,
}

impl StreamOptions {
    /// The provider counts because the gateway asked it to, and the client did not: what comes of
    /// that, down to the `"usage":null` of every chunk, is not for the client.
    #[must_use]
    pub const fn hides_usage(&self) -> bool {
        !self.show_usage && !self.quirks.never_asked_for_usage()
    }
}

/// What one read brought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Something was generated: content, a tool call, a refusal, reasoning, or the end of a choice.
    /// A chunk with only a role, a ping or a comment is passed on but is not meaningful.
    pub meaningful: bool,
    /// The provider's own end of the stream was seen; what follows is ignored.
    pub done: bool,
    /// The provider sent an error instead of going on. Events before it are in the output, nothing
    /// of it is, and what follows is ignored.
    pub failure: Option<Failure>,
}

/// How a stream ended when the provider closed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was generated, and the client has been told so.
    Complete,
    /// The provider stopped in the middle, or had failed before.
    Cut,
}

/// One stream, from a provider's dialect to chat completion chunks.
#[derive(Debug)]
pub enum StreamRelay {
    /// The provider follows OpenAI: events are forwarded as the bytes that were read.
    PassThrough(ChatStream<AsSent>),
    /// The provider nearly follows OpenAI: the chunks that differ are rewritten.
    Normalise(ChatStream<Normalise>),
    /// Azure: frames about its content filter are taken out.
    Azure(ChatStream<Azure>),
    /// No events at all: sound, or a file.
    Bytes(ByteStream),
    /// Another dialect: events become chunks; or the client's own, which are passed on.
    Translated(Box<dyn Translate>),
}

/// A stream of another dialect than OpenAI's. What its methods do is told at [`StreamRelay`].
pub trait Translate: fmt::Debug + Send + Sync {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress;
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending;
    fn usage(&self) -> Option<Usage>;
    fn text_bytes(&self) -> u64;
}

/// Calls the same method on whichever relay it is.
macro_rules! each {
    ($relay:expr, $stream:ident => $call:expr) => {
        match $relay {
            StreamRelay::PassThrough($stream) => $call,
            StreamRelay::Normalise($stream) => $call,
            StreamRelay::Azure($stream) => $call,
            StreamRelay::Bytes($stream) => $call,
            StreamRelay::Translated($stream) => $call,
        }
    };
}

impl StreamRelay {
    /// The relay for a provider of the OpenAI dialect.
    #[must_use]
    pub fn openai(options: StreamOptions) -> Self {
        if options.quirks.is_normalised() {
            Self::Normalise(ChatStream::new(options))
        } else {
            Self::PassThrough(ChatStream::new(options))
        }
    }

    /// The relay for Anthropic.
    #[must_use]
    pub fn anthropic(options: StreamOptions) -> Self {
        Self::Translated(Box::new(StreamTranslator::new(options)))
    }

    /// The relay for Cohere, which does not name the model that answers.
    #[must_use]
    pub fn cohere(options: StreamOptions, model: &str) -> Self {
        Self::Translated(Box::new(super::cohere::StreamTranslator::new(options, model)))
    }

    /// The relay for what is passed of Cohere's older APIs as it is: nothing comes out but counts.
    #[must_use]
    pub fn cohere_counting() -> Self {
        Self::Translated(Box::<super::cohere::CountedStream>::default())
    }

    /// The relay for Ollama's own API.
    #[must_use]
    pub fn ollama(options: StreamOptions) -> Self {
        Self::Translated(Box::new(super::ollama::StreamTranslator::new(options)))
    }

    /// The relay for Anthropic where the client speaks its dialect.
    #[must_use]
    pub fn anthropic_native() -> Self {
        Self::Translated(Box::<super::anthropic::native::NativeStream>::default())
    }

    /// The relay for Bedrock.
    #[must_use]
    pub fn bedrock(options: StreamOptions, origin: &Origin<'_>) -> Self {
        Self::Translated(Box::new(bedrock::StreamTranslator::new(options, origin)))
    }

    /// The relay for Claude at Bedrock in its own format; `native`: the client speaks it, too.
    #[must_use]
    pub fn bedrock_invoked(options: StreamOptions, native: bool) -> Self {
        let inner: Box<dyn Translate> = match native {
            true => Box::<super::anthropic::native::NativeStream>::default(),
            false => Box::new(StreamTranslator::new(options)),
        };
        Self::Translated(Box::new(bedrock::InvokeStream::around(inner)))
    }

    /// The relay for what is passed of InvokeModel as it is: nothing comes out of it but counts.
    #[must_use]
    pub fn bedrock_counting() -> Self {
        Self::Translated(Box::new(bedrock::InvokeStream::counting()))
    }

    /// The relay for Gemini, which need not name the model that answers.
    #[must_use]
    pub fn gemini(options: StreamOptions, model: &str) -> Self {
        Self::Translated(Box::new(gemini::StreamTranslator::new(options).called(model)))
    }

    /// The relay for Gemini where the client speaks its dialect.
    #[must_use]
    pub fn gemini_native() -> Self {
        Self::Translated(Box::<gemini::client::native::NativeStream>::default())
    }

    /// The relay for Azure.
    #[must_use]
    pub fn azure(options: StreamOptions) -> Self {
        Self::Azure(ChatStream::new(options))
    }

    /// The relay for replies that are not about text: `api` is the one that was called, `events` says
    /// that they come as events and not as bytes.
    #[must_use]
    pub fn media(api: Endpoint, events: bool) -> Self {
        if events {
            Self::Translated(Box::new(MediaEvents::new(api)))
        } else {
            Self::Bytes(ByteStream)
        }
    }

    /// Whether a reply without content is one: a file may be empty.
    #[must_use]
    pub const fn may_be_empty(&self) -> bool {
        matches!(self, Self::Bytes(_))
    }

    /// The relay for an API that the configuration describes; `mapping` has a stream.
    #[must_use]
    pub fn custom(options: StreamOptions, mapping: Arc<Mapping>, model: &str) -> Self {
        let stream = super::custom::StreamTranslator::new(mapping, model, options);
        Self::Translated(Box::new(stream))
    }

    /// Takes one read and appends whole events for the client to `out`.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        each!(self, stream => stream.push(chunk, out))
    }

    /// Takes the end of the provider's body; appends what the client still lacks.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        each!(self, stream => stream.finish(out))
    }

    /// What the provider said it used, so far.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        each!(self, stream => stream.usage())
    }

    /// Bytes of generated text so far, to estimate usage when the provider sends none.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        each!(self, stream => stream.text_bytes())
    }
}
