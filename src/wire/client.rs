//! What a client of another dialect says and is told.
//!
//! A request is put into the canonical form (see [`super::chat`]) once, before a deployment is
//! chosen. What a provider answers is canonical too, and is put into the client's words here: whole
//! replies by [`reply`], streams by a [`ClientStream`] that lives as long as the request, so that ids
//! and numbers go on when another deployment continues a broken stream.
//!
//! Where the deployment speaks the client's dialect itself none of this is used for the attempt: its
//! bytes are passed on.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::anthropic::client as messages;
use super::freeform::{self, FreeformStream};
use super::gemini;
use super::json::{Edits, Object};
use crate::dialect::ClientDialect;
use crate::failure::Failure;

/// What the path and the headers of a request say that its body does not.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asked<'a> {
    /// The model, where the path names it.
    pub model: Option<&'a str>,
    /// Whether a stream is wanted, where the path says so.
    pub stream: Option<bool>,
    /// Embeddings are asked for, and not an answer.
    pub embeds: bool,
}

/// A request in the canonical form.
#[derive(Debug)]
pub struct Canonical {
    pub body: Object,
    pub obstacle: Obstacle,
}

impl From<Object> for Canonical {
    fn from(body: Object) -> Self {
        Self { body, obstacle: Obstacle::default() }
    }
}

/// What a request says that has no canonical form, as the refusal that it means for a provider of
/// another dialect than the client's. The first of its kind is kept.
#[derive(Clone, Debug, Default)]
pub struct Obstacle {
    content: Option<Box<Failure>>,
    parameter: Option<Box<Failure>>,
    search: Option<Box<Search>>,
}

/// A search in the web, as the client's own dialect asks for it: some providers of other dialects have
/// one, too.
#[derive(Clone, Debug)]
pub struct Search {
    /// What the canonical form calls `web_search_options`.
    pub options: Value,
    /// The most searches of one answer.
    pub most: Option<u64>,
    /// The canonical `tool_choice`, where the choice is about the search.
    pub choice: Option<Value>,
    /// What it means for a provider that has no search.
    pub refusal: Failure,
    /// It may be left out where that is allowed.
    pub may_drop: bool,
}

impl Obstacle {
    /// The request would not mean the same without it.
    pub fn content(&mut self, failure: Failure) {
        self.content.get_or_insert_with(|| Box::new(failure));
    }

    /// A parameter, which may be dropped where that is allowed.
    pub fn parameter(&mut self, failure: Failure) {
        self.parameter.get_or_insert_with(|| Box::new(failure));
    }

    /// The web is to be searched.
    pub fn search(&mut self, search: Search) {
        self.search.get_or_insert_with(|| Box::new(search));
    }

    /// Why the request cannot go to a provider of another dialect.
    #[must_use]
    pub fn refusal(&self, drop_params: bool) -> Option<&Failure> {
        let search = self.search.as_deref().filter(|search| !(drop_params && search.may_drop));
        self.refusal_beside_search(drop_params).or_else(|| search.map(|search| &search.refusal))
    }

    /// The same for a provider that searches the web.
    #[must_use]
    pub fn refusal_beside_search(&self, drop_params: bool) -> Option<&Failure> {
        let parameter = self.parameter.as_deref().filter(|_| !drop_params);
        self.content.as_deref().or(parameter)
    }

    /// Whether the web is to be searched.
    #[must_use]
    pub const fn searches(&self) -> bool {
        self.search.is_some()
    }

    /// Whether only some of the web is to be searched.
    #[must_use]
    pub fn is_filtered_search(&self) -> bool {
        self.search.as_deref().is_some_and(|search| search.options.get("filters").is_some())
    }

    /// The canonical request with the search that was asked for in it; `None`: there was none.
    #[must_use]
    pub fn with_search(&self, canonical: &Object) -> Option<Object> {
        let search = self.search.as_deref()?;
        let mut edits = Edits::new();
        edits.set("web_search_options", &search.options);
        if let Some(most) = &search.most {
            edits.set("max_tool_calls", most);
        }
        if let Some(choice) = search.choice.as_ref().filter(|_| !canonical.is_set("tool_choice")) {
            edits.set("tool_choice", choice);
        }
        Object::parse(canonical.edit(&edits)).ok()
    }
}

/// What a reply tells besides what the provider said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling<'a> {
    /// The client's own request, in its dialect: some replies repeat parts of it.
    pub request: Option<&'a Object>,
    /// When the reply began, in seconds since 1970.
    pub created: u64,
    /// The model as the client named it.
    pub model: &'a str,
    /// Names the reply where the dialect has an id and the provider sent none.
    pub request_id: &'a str,
    /// A stream is wanted as one JSON array and not as events.
    pub array: bool,
    /// It is a list of embeddings.
    pub embeds: bool,
}

/// A stream in a client's dialect.
pub trait ClientStream: fmt::Debug + Send {
    /// Takes canonical events (whole ones, `[DONE]` included), replaces them by the client's.
    fn pass(&mut self, events: &mut Vec<Bytes>);

    /// Takes events of a provider that speaks the client's dialect itself; `end`: the last ones.
    fn pass_native(&mut self, _events: &mut Vec<Bytes>, _end: bool) {}

    /// The events that end a stream whose head is out with an error. `problem` is the error's body in
    /// the client's dialect, `code` and `message` what it says. Nothing, if the client was told.
    fn fail(&mut self, problem: &Bytes, code: &str, message: &str) -> Bytes;

    /// Events of the client's own dialect went out as they came: the stream has begun.
    fn begun(&mut self) {}

    /// Takes such events into account, so that the stream can be gone on with in the canonical form,
    /// and tells what they say in it. `None`: it cannot be gone on with.
    fn follow(&mut self, _events: &[Bytes]) -> Option<Vec<Bytes>> {
        None
    }

    /// What keeps a silent stream alive; a comment is understood by everybody.
    fn ping(&self) -> &'static [u8] {
        b": ping\n\n"
    }
}

/// Puts a client's request into the canonical form.
///
/// # Errors
/// [`FailureClass::BadRequest`]: it is wrong, or cannot be said canonically. `param` names what the
/// client wrote.
pub fn request(
    dialect: ClientDialect,
    body: &Object,
    asked: Asked<'_>,
) -> Result<Canonical, Failure> {
    match dialect {
        ClientDialect::OpenAi => Ok(body.clone().into()),
        ClientDialect::Anthropic => {
            Ok(Canonical { body: messages::request(body)?, obstacle: messages::unserved(body) })
        }
        ClientDialect::Gemini => gemini::client::request(body, asked),
        ClientDialect::Responses => super::responses::client::request(body),
    }
}

/// Puts a canonical reply into the client's words.
///
/// # Errors
/// [`FailureClass::Server`]: it is no canonical reply.
pub fn reply(dialect: ClientDialect, body: Bytes, telling: &Telling<'_>) -> Result<Bytes, Failure> {
    match dialect {
        ClientDialect::Responses => super::responses::client::reply(&body, telling),
        ClientDialect::Anthropic => messages::reply(&body, telling),
        ClientDialect::Gemini => gemini::client::reply(&body, telling),
        ClientDialect::OpenAi => Ok(freeform::reply(body, &freeform::names(telling.request))),
    }
}

/// The number of tokens of a prompt, in the client's words.
#[must_use]
pub fn count(dialect: ClientDialect, tokens: u64) -> Bytes {
    match dialect {
        ClientDialect::Gemini => format!("{{\"totalTokens\":{tokens}}}").into(),
        ClientDialect::Anthropic | ClientDialect::OpenAi | ClientDialect::Responses => {
            messages::count(tokens)
        }
    }
}

/// The stream of a reply; `None` for clients that read canonical chunks as they are.
#[must_use]
pub fn stream(dialect: ClientDialect, telling: &Telling<'_>) -> Option<Box<dyn ClientStream>> {
    match dialect {
        ClientDialect::Responses => Some(Box::new(super::responses::client::Events::new(telling))),
        ClientDialect::Anthropic => Some(Box::new(messages::MessageStream::new(telling))),
        ClientDialect::Gemini => Some(Box::new(gemini::client::Stream::new(telling))),
        ClientDialect::OpenAi => {
            FreeformStream::new(telling).map(|stream| Box::new(stream) as Box<dyn ClientStream>)
        }
    }
}
