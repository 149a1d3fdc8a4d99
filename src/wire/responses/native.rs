//! Client and provider both speak the Responses API: bodies are edited in place, events passed on.
//!
//! What is changed: the model, parameters of the deployment, fields that are for the gateway, and the
//! ids of responses, which name their deployment towards the client.

use std::ops::Range;

use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::event::{Response, kind};
use super::failure::{garbage, in_event};
use super::ids::{Made, Owner};
use super::reply::{failed, parse, response_failure};
use super::request::dropped;
use super::sealed;
use crate::dialect::Quirks;
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::json::{Edits, Object};
use crate::wire::openai::read_usage;
use crate::wire::request::is_own;
use crate::wire::sse::{Event, Fields, Splitter, on_one_line};
use crate::wire::{Ending, Progress, Reply, RequestOptions, Translate};

/// Writes the body: the client's own with what the deployment says.
///
/// # Errors
/// What a path of `additional_drop_params` leads through is not JSON.
pub fn request(
    body: &Object,
    options: &RequestOptions<'_>,
    owner: Owner,
) -> Result<Bytes, Failure> {
    let mut edits = Edits::new();
    if let Some(input) = body.slice("input").filter(|input| input.starts_with(b"["))
        && let Some(fitted) = sealed::fit(&input, owner)
    {
        edits.set_raw("input", fitted);
    }
    for name in body.names().filter(|name| is_own(name)) {
        edits.remove(name);
    }
    if body
        .object("metadata")
        .is_some_and(|metadata| metadata.iter().any(|(_, value)| !value.starts_with('"')))
    {
        edits.remove("metadata");
    }
    if let Some(extra) = body.object("extra_body") {
        for (name, raw) in extra.iter().filter(|(name, _)| !is_own(name)) {
            edits.set_raw(name.to_owned(), raw.as_bytes().to_vec());
        }
    }
    for (name, value) in options.defaults {
        parameter(body, &mut edits, name, value, false);
    }
    for (name, value) in options.overrides {
        parameter(body, &mut edits, name, value, true);
    }
    if let Some(id) = body.str("previous_response_id")
        && let Some(made) = Made::read(&id)
    {
        edits.set("previous_response_id", made.id);
    }
    if options.stream != (body.bool("stream") == Some(true)) {
        edits.set("stream", &options.stream);
    }
    if let Some(model) = options.model {
        edits.set("model", model);
    }
    let body = body.edit(&edits);
    if options.drop.is_empty() { Ok(body) } else { dropped(body, options) }
}

/// A parameter of the configuration, where its name may be the chat API's.
fn parameter<'a>(
    body: &Object,
    edits: &mut Edits<'a>,
    name: &'a str,
    value: &'a RawValue,
    wins: bool,
) {
    let inner = |top: &'static str, field: &str, edits: &mut Edits<'a>| {
        let written = edits.get(top).unwrap_or_else(|| body.raw_bytes(top));
        let written = written.filter(|raw| *raw != b"null").unwrap_or(b"{}");
        let Ok(object) = Object::parse(Bytes::copy_from_slice(written)) else { return };
        if wins || !object.is_set(field) {
            let mut change = Edits::new();
            change.set_raw(field, value.get().as_bytes());
            edits.set_raw(top, object.edit(&change).to_vec());
        }
    };
    let name = match name {
        "max_tokens" | "max_completion_tokens" => "max_output_tokens",
        "reasoning_effort" => return inner("reasoning", "effort", edits),
        "verbosity" => return inner("text", "verbosity", edits),
        // What only the chat API has.
        "response_format" | "stream_options" | "n" | "stop" | "seed" | "logit_bias"
        | "frequency_penalty" | "presence_penalty" | "modalities" | "functions"
        | "function_call" | "logprobs" => return,
        "extra_body" => {
            let fields = Object::parse(Bytes::copy_from_slice(value.get().as_bytes()));
            for (name, raw) in fields.iter().flat_map(Object::iter) {
                if wins || !body.is_set(name) {
                    edits.set_raw(name.to_owned(), raw.as_bytes().to_vec());
                }
            }
            return;
        }
        name => name,
    };
    if wins || !body.is_set(name) {
        edits.set_raw(name, value.get().as_bytes());
    }
}

/// Reads the body of a 200: a response, or what counting and compacting give.
///
/// # Errors
/// It is a response that failed.
pub fn reply(body: Bytes, owner: Option<Owner>) -> Result<Reply, Failure> {
    let response = parse(&body)?;
    let object = Object::parse(body.clone())
        .map_err(|broken| garbage(format!("the provider's reply is not an object: {broken}")))?;
    let is_response = object.str("object").is_none_or(|object| object == "response");
    if is_response && let Some(failure) = failed(&body, &response) {
        return Err(failure);
    }
    let usage = response.usage.and_then(|raw| read_usage(raw.get().as_bytes(), Quirks::default()));
    // What is made in the background, or was only counted, has used nothing yet.
    let nothing = !is_response || response.is_unfinished();
    let usage = usage.or_else(|| nothing.then(Usage::default));
    let model = response.model.as_deref().map(Box::from);
    Ok(Reply { usage, model, body: renamed(&object, owner).unwrap_or(body) })
}

/// The body of a 200 about something that was made before, whatever its state.
#[must_use]
pub fn stored(body: Bytes, owner: Owner) -> Bytes {
    let renamed = Object::parse(body.clone()).ok().and_then(|it| renamed(&it, Some(owner)));
    renamed.unwrap_or(body)
}

/// The response with ids that name its deployment; `None` if nothing changes.
fn renamed(response: &Object, owner: Option<Owner>) -> Option<Bytes> {
    let by = owner?;
    // Lists and compactions have no id that could be asked for.
    if response.str("object").is_some_and(|object| object != "response") {
        return None;
    }
    let mut edits = Edits::new();
    for name in ["id", "previous_response_id"] {
        if let Some(id) = response.str(name) {
            edits.set(name, &Made { by, id: &id }.to_string());
        }
    }
    let whole = response.changed(&edits);
    let marked = match &whole {
        Some(whole) => Object::parse(whole.clone()).ok().and_then(|it| sealed::mark(&it, by)),
        None => sealed::mark(response, by),
    };
    marked.or(whole)
}

/// A stream of events that is passed on as it was read, and scanned for what the gateway has to
/// know. Events of unknown types are passed like all others.
#[derive(Debug)]
pub struct NativeStream {
    splitter: Splitter,
    scan: Scan,
}

#[derive(Debug)]
struct Scan {
    owner: Option<Owner>,
    usage: Option<Usage>,
    text_bytes: u64,
    /// Something was generated, so that an error is the client's to see.
    began: bool,
    done: bool,
    failed: bool,
}

/// What becomes of one event.
enum Verdict {
    Keep,
    Replace(Bytes),
    /// The provider failed. The client sees its words for it if anything was generated.
    Fail {
        failure: Failure,
        show: Show,
    },
}

/// What the client sees of a failure.
enum Show {
    Nothing,
    AsSent,
    This(Bytes),
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Terminal<'a> {
    #[serde(borrow, default)]
    response: Option<&'a RawValue>,
}

impl NativeStream {
    /// `owner`: the deployment, which the ids of responses shall name.
    #[must_use]
    pub fn new(owner: Option<Owner>) -> Self {
        Self {
            splitter: Splitter::new(),
            scan: Scan {
                owner,
                usage: None,
                text_bytes: 0,
                began: false,
                done: false,
                failed: false,
            },
        }
    }
}

impl Translate for NativeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let Self { splitter, scan } = self;
        let mut progress = Progress { done: scan.done, ..Progress::default() };
        if scan.is_over() {
            return progress;
        }
        splitter.push(chunk);
        // Neighbouring events that are passed on are gathered into one slice of the chunk.
        let mut run: Range<usize> = 0..0;
        while !scan.is_over() {
            let event = match splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    scan.failed = true;
                    progress.failure = Some(garbage(error.to_string()));
                    break;
                }
            };
            let verdict = scan.judge(&splitter.fields(&event), &mut progress);
            let keep = matches!(verdict, Verdict::Keep | Verdict::Fail { show: Show::AsSent, .. });
            match (keep, event) {
                (true, Event::Here(range)) if range.start == run.end => run.end = range.end,
                (true, event) => {
                    splitter.flush(&mut run, out);
                    match event {
                        Event::Here(range) => run = range,
                        Event::Joined => out.push(splitter.take(&event)),
                    }
                }
                (false, _) => splitter.flush(&mut run, out),
            }
            match verdict {
                Verdict::Keep => {}
                Verdict::Replace(event) => out.push(event),
                Verdict::Fail { failure, show } => {
                    if let Show::This(event) = show {
                        out.push(event);
                    }
                    scan.failed = true;
                    progress.failure = Some(failure);
                }
            }
        }
        splitter.flush(&mut run, out);
        progress.done = scan.done;
        progress
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let Self { splitter, scan } = self;
        let rest = splitter.rest();
        let fields = Fields::read(&rest);
        // The blank line after the last event is missing at times.
        let whole = fields
            .data
            .as_deref()
            .is_some_and(|data| serde_json::from_slice::<&RawValue>(data).is_ok());
        if !scan.is_over() && whole {
            match scan.judge(&fields, &mut Progress::default()) {
                Verdict::Keep => out.push(Bytes::from([rest.trim_ascii_end(), b"\n\n"].concat())),
                Verdict::Replace(event) => out.push(event),
                Verdict::Fail { .. } => scan.failed = true,
            }
        }
        if scan.done { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        self.scan.usage
    }

    fn text_bytes(&self) -> u64 {
        self.scan.text_bytes
    }
}

impl Scan {
    const fn is_over(&self) -> bool {
        self.done || self.failed
    }

    fn judge(&mut self, fields: &Fields<'_>, progress: &mut Progress) -> Verdict {
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii) else {
            return Verdict::Keep;
        };
        if data.is_empty() || data == b"[DONE]" {
            return Verdict::Keep;
        }
        let Some(kind) = kind(fields.name, data) else {
            return match serde_json::from_slice::<Response<'_>>(data) {
                Ok(Response { error: None, .. }) => Verdict::Keep,
                _ => Verdict::Fail { failure: in_event(data), show: Show::Nothing },
            };
        };
        match &*kind {
            "error" => {
                let show = if self.began { Show::AsSent } else { Show::Nothing };
                return Verdict::Fail { failure: in_event(data), show };
            }
            "response.failed" => {
                let response = terminal(data).map_or("{}", RawValue::get);
                let failure = response_failure(response.as_bytes());
                let show = match (self.began, self.respelled(fields, data)) {
                    (false, _) => Show::Nothing,
                    (true, None) => Show::AsSent,
                    (true, Some(event)) => Show::This(event),
                };
                return Verdict::Fail { failure, show };
            }
            "response.completed" | "response.incomplete" | "response.cancelled" => {
                let response = terminal(data).map_or("{}", RawValue::get);
                let response: Response<'_> = serde_json::from_str(response).unwrap_or_default();
                let usage = response.usage.map(|raw| raw.get().as_bytes());
                self.usage = usage.and_then(|raw| read_usage(raw, Quirks::default()));
                (self.done, self.began, progress.meaningful) = (true, true, true);
            }
            "response.created" | "response.in_progress" | "response.queued" => {}
            kind if kind.ends_with(".delta") => {
                let delta = serde_json::from_slice(data).ok().and_then(|it: Delta<'_>| it.delta);
                let length = delta.map_or(0, |raw| raw.get().len().saturating_sub(2));
                self.text_bytes += length as u64;
                (self.began, progress.meaningful) = (true, true);
                return Verdict::Keep;
            }
            // The model is at work: what follows may take its time.
            "response.output_item.added" => {
                (self.began, progress.meaningful) = (true, true);
                return self.marked(fields, data);
            }
            "response.output_item.done" => return self.marked(fields, data),
            _ => return Verdict::Keep,
        }
        self.respelled(fields, data).map_or(Verdict::Keep, Verdict::Replace)
    }

    /// The event with sealed reasoning that names the deployment.
    fn marked(&self, fields: &Fields<'_>, data: &[u8]) -> Verdict {
        let marked = self.owner.filter(|_| memmem::find(data, b"\"encrypted_content\"").is_some());
        let event = marked.and_then(|by| {
            let item = Object::parse(Bytes::copy_from_slice(data)).ok()?;
            Some(event(fields, &sealed::mark(&item, by)?))
        });
        event.map_or(Verdict::Keep, Verdict::Replace)
    }

    /// The event with ids that name the deployment.
    fn respelled(&self, fields: &Fields<'_>, data: &[u8]) -> Option<Bytes> {
        self.owner?;
        let event = Object::parse(Bytes::copy_from_slice(data)).ok()?;
        let mut edits = Edits::new();
        let response = renamed(&event.object("response")?, self.owner)?;
        edits.set_raw("response", response.to_vec());
        Some(self::event(fields, &event.edit(&edits)))
    }
}

/// An event with other data.
fn event(fields: &Fields<'_>, data: &[u8]) -> Bytes {
    let name = fields.name.unwrap_or_default();
    let lines: [&[u8]; 3] =
        if name.is_empty() { [b"", b"", b"data: "] } else { [b"event: ", name, b"\ndata: "] };
    let mut data = data.to_vec();
    on_one_line(&mut data);
    Bytes::from([&lines.concat()[..], &data, b"\n\n"].concat())
}

fn terminal(data: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice::<Terminal<'_>>(data).ok()?.response
}
