//! What a passed answer used, read from it as it passes by. Nothing is changed and nothing is held up;
//! an answer that cannot be read is not metered.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Deserialize;

use super::frames::Frames;
use crate::catalog::Deployment;
use crate::failure::Failure;
use crate::provider::{self, Passed};
use crate::usage::Usage;
use crate::wire::sse::Splitter;
use crate::wire::{Ending, Origin, StreamOptions, StreamRelay};

/// A reply of a longer text than this is not metered: it holds files or images.
const MAX_REPLY_BYTES: usize = 8 * 1024 * 1024;

/// Events of a stream in which the model's name is looked for.
const NAMING_EVENTS: usize = 4;

/// Reads one answer.
pub(super) enum Meter {
    /// A reply that is read when it is whole.
    Whole {
        body: BytesMut,
        read: Box<dyn Fn(Bytes) -> Metered + Send + Sync>,
    },
    Stream(Box<Events>),
    Realtime(Frames),
    /// Too long to be read.
    Lost,
}

/// What an answer told.
#[derive(Debug, Default)]
pub(super) struct Metered {
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<Box<str>>,
    /// What a stream said that went wrong, after a head that said that all is well.
    pub(super) failure: Option<Failure>,
}

/// An event stream.
pub(super) struct Events {
    relay: StreamRelay,
    naming: Splitter,
    /// Events that were looked at for a name.
    looked: usize,
    model: Option<Box<str>>,
    unread: Vec<Bytes>,
    failure: Option<Failure>,
}

/// Where a model's name stands in the formats that are known.
#[derive(Deserialize)]
struct Named {
    #[serde(alias = "modelVersion")]
    model: Option<Box<str>>,
    message: Option<Inner>,
    response: Option<Inner>,
}

#[derive(Deserialize)]
struct Inner {
    model: Option<Box<str>>,
}

impl Meter {
    /// A meter for the answer to a request for `path` about `model`; `None` where nothing is known
    /// of its use.
    pub(super) fn of(
        deployment: &Arc<Deployment>,
        (path, model): (&str, &str),
        headers: &HeaderMap,
        created: u64,
    ) -> Option<Self> {
        let passed = Passed::of(deployment, path)?;
        let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
        let options = StreamOptions { created, quirks: deployment.quirks, ..Default::default() };
        let origin = provider::origin(model, headers);
        let Some(relay) = passed.stream(deployment, content_type, options, &origin) else {
            if !content_type.contains("json") {
                return None;
            }
            let (deployment, model) = (Arc::clone(deployment), Box::<str>::from(model));
            let Origin { input_tokens, output_tokens, .. } = origin;
            let read = Box::new(move |body| {
                let origin =
                    Origin { model: &model, input_tokens, output_tokens, ..Origin::default() };
                whole(&deployment, passed, body, created, &origin)
            });
            return Some(Self::Whole { body: BytesMut::new(), read });
        };
        Some(Self::Stream(Box::new(Events {
            relay,
            naming: Splitter::new(),
            looked: 0,
            model: None,
            unread: Vec::new(),
            failure: None,
        })))
    }

    /// A meter for a realtime conversation.
    pub(super) fn realtime() -> Self {
        Self::Realtime(Frames::default())
    }

    /// The frames of a realtime conversation.
    pub(super) const fn frames(&self) -> Option<&Frames> {
        match self {
            Self::Realtime(frames) => Some(frames),
            Self::Whole { .. } | Self::Stream(_) | Self::Lost => None,
        }
    }

    /// Takes what passes by.
    pub(super) fn push(&mut self, chunk: &Bytes) {
        match self {
            Self::Whole { body, .. } if body.len() + chunk.len() > MAX_REPLY_BYTES => {
                *self = Self::Lost;
            }
            Self::Whole { body, .. } => body.extend_from_slice(chunk),
            Self::Stream(events) => events.push(chunk),
            Self::Realtime(frames) => frames.push(chunk),
            Self::Lost => {}
        }
    }

    /// What the answer told.
    pub(super) fn finish(self) -> Metered {
        match self {
            Self::Whole { body, read } => read(body.freeze()),
            Self::Stream(mut events) => {
                // Whether a stream has an end mark is the client's business; that it broke is told by
                // the connection.
                let (Ending::Complete | Ending::Cut) = events.relay.finish(&mut events.unread);
                let usage = events.relay.usage();
                Metered { usage, model: events.model, failure: events.failure }
            }
            Self::Realtime(frames) => Metered { usage: frames.usage(), ..Metered::default() },
            Self::Lost => Metered::default(),
        }
    }
}

fn whole(
    deployment: &Deployment,
    passed: Passed,
    body: Bytes,
    created: u64,
    origin: &Origin<'_>,
) -> Metered {
    match passed.reply(deployment, body, created, origin) {
        Ok(reply) => Metered { usage: reply.usage, model: reply.model, failure: None },
        Err(failure) => {
            tracing::debug!(message = failure.message, "a passed reply is not metered");
            Metered::default()
        }
    }
}

impl Events {
    fn push(&mut self, chunk: &Bytes) {
        if self.model.is_none() && self.looked < NAMING_EVENTS {
            self.look(chunk);
        }
        if self.failure.is_none() {
            self.failure = self.relay.push(chunk.clone(), &mut self.unread).failure;
            self.unread.clear();
        }
    }

    fn look(&mut self, chunk: &Bytes) {
        self.naming.push(chunk.clone());
        while let Ok(Some(event)) = self.naming.next_event() {
            self.looked += 1;
            let fields = self.naming.fields(&event);
            let named = fields.data.and_then(|data| serde_json::from_slice::<Named>(&data).ok());
            self.model = named.and_then(|named| {
                let inner = named.message.or(named.response).and_then(|inner| inner.model);
                named.model.or(inner).filter(|model| !model.is_empty())
            });
            if self.model.is_some() || self.looked >= NAMING_EVENTS {
                break;
            }
        }
    }
}
