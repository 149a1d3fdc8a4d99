//! Calls that are not about text: forms, orders of documents, and what a provider keeps.

use bytes::Bytes;
use http::{HeaderValue, Method, header};
use percent_encoding::utf8_percent_encode;

use super::call::{Call, Outgoing, Reading, SEGMENT};
use super::rerank;
use crate::catalog::Deployment;
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::wire::form::Form;
use crate::wire::json::{Edits, Object};
use crate::wire::{self, RequestOptions, stored};

/// How a request is sent that is no POST of one JSON text.
#[derive(Debug)]
pub struct Sending {
    pub method: Method,
    /// The rest of the body, behind [`Outgoing::body`].
    pub rest: Vec<Bytes>,
    /// The whole head of the answer is wanted, not only what the gateway has a use for.
    pub whole_head: bool,
}

/// A call about something that a provider keeps, as its path says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    pub method: Method,
    /// The provider's own id.
    pub id: Option<Box<str>>,
    /// What is below the id.
    pub action: Action,
    /// Parameters that go to the provider, as they are written in a query.
    pub query: Box<str>,
    /// The group that a file was uploaded for, as the client named it.
    pub group: Option<Box<str>>,
}

impl Stored {
    /// Whether it begins a batch, which costs money.
    #[must_use]
    pub fn is_new_batch(&self, api: Endpoint) -> bool {
        api == Endpoint::Batches && self.method == Method::POST && self.id.is_none()
    }
}

/// What is asked of something that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The thing itself.
    Itself,
    /// What is in a file.
    Content,
    /// To end a batch.
    Cancel,
}

impl Action {
    /// Its path, below the id.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Itself => "",
            Self::Content => "/content",
            Self::Cancel => "/cancel",
        }
    }
}

/// Writes such a call.
pub(super) fn request<'a>(
    deployment: &Deployment,
    outgoing: Outgoing<'a>,
    body: &Object,
    call: &Call<'_>,
    options: &RequestOptions<'_>,
) -> Result<Outgoing<'a>, Failure> {
    match (call.form, call.stored) {
        (form, Some(stored)) => self::stored(outgoing, stored, body, form, options),
        (Some(form), None) => Ok(form_of(outgoing, form, options, Method::POST)),
        (None, None) if call.endpoint == Endpoint::Rerank => {
            let form = rerank::form(&deployment.provider);
            Ok(Outgoing { body: wire::rerank::request(body, form, options)?, ..outgoing })
        }
        (None, None) => Ok(Outgoing { body: wire::openai::request(body, options)?, ..outgoing }),
    }
}

/// Reads the JSON of a reply.
///
/// # Errors
/// It is an error, or no reply.
pub(super) fn reply(
    deployment: &Deployment,
    reading: Reading,
    body: Bytes,
) -> Result<wire::Reply, Failure> {
    let quirks = deployment.quirks;
    match reading.api {
        Endpoint::Rerank => wire::rerank::reply(body, rerank::form(&deployment.provider)),
        api if api.is_stored() => {
            let reply = wire::openai::reply(body, quirks, api)?;
            Ok(wire::Reply { body: stored::told(reply.body, api, &deployment.id), ..reply })
        }
        api => wire::openai::reply(body, quirks, api),
    }
}

fn form_of<'a>(
    outgoing: Outgoing<'a>,
    form: &Form,
    options: &RequestOptions<'_>,
    method: Method,
) -> Outgoing<'a> {
    let mut headers = outgoing.headers;
    if let Ok(kind) = HeaderValue::try_from(form.content_type()) {
        headers.push((header::CONTENT_TYPE, kind));
    }
    let mut pieces = form.write(options).into_iter();
    let body = pieces.next().unwrap_or_default();
    let sending = Some(Box::new(Sending { method, rest: pieces.collect(), whole_head: false }));
    Outgoing { headers, body, sending, ..outgoing }
}

fn stored<'a>(
    outgoing: Outgoing<'a>,
    stored: &Stored,
    body: &Object,
    form: Option<&Form>,
    options: &RequestOptions<'_>,
) -> Result<Outgoing<'a>, Failure> {
    let path = stored_path(&outgoing.path, stored)?.into();
    let outgoing = Outgoing { path, ..outgoing };
    let method = stored.method.clone();
    if let Some(form) = form {
        let for_batches = body.str("purpose").is_some_and(|purpose| purpose == "batch");
        return Ok(match (&stored.group, options.model) {
            (Some(group), model) if for_batches => {
                let model = model.unwrap_or(options.model_hint);
                let form = form.with_file("file", |lines| stored::batch_lines(lines, group, model));
                form_of(outgoing, &form, options, method)
            }
            _ => form_of(outgoing, form, options, method),
        });
    }
    let sends_body = method == Method::POST && stored.action == Action::Itself;
    let body = if sends_body { batch(body) } else { Bytes::new() };
    let sending = Some(Box::new(Sending { method, rest: Vec::new(), whole_head: false }));
    Ok(Outgoing { body, sending, ..outgoing })
}

/// A new batch, with the provider's id of its file. Its `metadata` is the provider's to keep.
fn batch(body: &Object) -> Bytes {
    let mut edits = Edits::new();
    for name in body.names().filter(|name| *name == "model" || wire::is_own(name)) {
        edits.remove(name);
    }
    if let Some(id) = body.str("input_file_id").and_then(|id| stored::Id::read(&id)) {
        edits.set("input_file_id", &*id.id);
    }
    body.edit(&edits)
}

/// The provider's path of something that it keeps, in `template` for all of its kind.
fn stored_path(template: &str, stored: &Stored) -> Result<String, Failure> {
    let (path, query) = template.split_once('?').unwrap_or((template, ""));
    let mut whole = path.to_owned();
    if let Some(id) = &stored.id {
        if matches!(&**id, "" | "." | "..") {
            let message = format!("{id:?} is not an id");
            return Err(Failure::new(FailureClass::BadRequest, message));
        }
        whole.push('/');
        whole.extend(utf8_percent_encode(id, SEGMENT));
        whole.push_str(stored.action.path());
    }
    for (at, part) in [query, &*stored.query].into_iter().filter(|it| !it.is_empty()).enumerate() {
        whole.push(if at == 0 { '?' } else { '&' });
        whole.push_str(part);
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_what_is_kept() {
        let stored = |id: Option<&str>, action, query: &str| Stored {
            method: Method::GET,
            id: id.map(Box::from),
            action,
            query: query.into(),
            group: None,
        };
        for (template, stored, path) in [
            ("/v1/files", stored(None, Action::Itself, ""), "/v1/files"),
            ("/v1/files", stored(None, Action::Itself, "limit=2"), "/v1/files?limit=2"),
            ("/v1/files", stored(Some("file-1"), Action::Content, ""), "/v1/files/file-1/content"),
            (
                "/openai/batches?api-version=1",
                stored(Some("a/../b"), Action::Cancel, "x=1"),
                "/openai/batches/a%2F..%2Fb/cancel?api-version=1&x=1",
            ),
        ] {
            assert_eq!(stored_path(template, &stored).unwrap(), path);
        }
        for id in ["", ".", ".."] {
            let refused = stored_path("/v1/files", &stored(Some(id), Action::Itself, ""));
            assert_eq!(refused.unwrap_err().class, FailureClass::BadRequest);
        }
    }
}
