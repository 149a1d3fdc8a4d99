//! Canonical chunks, as the typed events of a response.
//!
//! Items come one after another, each with every event that a client may wait for. What an item says
//! is kept until it is done, because its last events repeat it, and all items until the end, because
//! the last event repeats them: [`MAX_KEPT`] bounds both.

mod item;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;

use self::item::{Call, Kind, Message, Open, Reasoning, image};
use super::echo::{Echo, Problem, Says, Status, stem};
use super::names::Names;
use super::output::{flat_annotation, image_data, token_logprobs};
use crate::usage::Usage;
use crate::wire::chat::{CallPiece, Piece, PieceDelta, UNREADABLE, image_url, read_usage};
use crate::wire::client::{ClientStream, Telling};
use crate::wire::responses::event::kind;
use crate::wire::responses::reply::BETWEEN;
use crate::wire::sse::{Splitter, on_one_line};

/// Bytes of one response that are kept to be repeated.
const MAX_KEPT: usize = 16 * 1024 * 1024;

/// The events of one response.
#[derive(Debug)]
pub struct Events {
    splitter: Splitter,
    state: State,
    /// The last of a provider's own events that were passed on.
    heard: Option<Bytes>,
}

/// What was told, and what is open.
#[derive(Debug)]
pub(super) struct State {
    echo: Echo,
    /// The client's tools that are functions to the model.
    names: Names,
    request_id: String,
    stem: String,
    id: String,
    model: String,
    /// The tier that served it.
    service_tier: Option<String>,
    started: bool,
    /// The number of the next event.
    sequence: u64,
    /// The number of the next item.
    next_item: u64,
    /// Items that are done, with their numbers.
    done: Vec<(u64, Box<RawValue>)>,
    open: Option<Open>,
    calls: Vec<Call>,
    finish: Option<String>,
    usage: Option<Usage>,
    kept: usize,
    over: bool,
}

#[derive(Serialize)]
struct WithResponse<'a> {
    response: &'a RawValue,
}

#[derive(Serialize)]
struct ErrorEvent<'a> {
    code: &'a str,
    message: &'a str,
    param: Option<&'a str>,
}

impl Events {
    #[must_use]
    pub fn new(telling: &Telling<'_>) -> Self {
        Self {
            splitter: Splitter::new(),
            heard: None,
            state: State {
                echo: Echo::of(telling),
                names: Names::of(telling.request),
                request_id: telling.request_id.to_owned(),
                stem: String::new(),
                id: String::new(),
                model: telling.model.to_owned(),
                service_tier: None,
                started: false,
                sequence: 0,
                next_item: 0,
                done: Vec::new(),
                open: None,
                calls: Vec::new(),
                finish: None,
                usage: None,
                kept: 0,
                over: false,
            },
        }
    }
}

impl ClientStream for Events {
    fn pass(&mut self, events: &mut Vec<Bytes>) {
        let mut out = Vec::new();
        for bytes in events.drain(..) {
            self.splitter.push(bytes);
            // What is canonical was bounded where it was read.
            while let Ok(Some(event)) = self.splitter.next_event() {
                let fields = self.splitter.fields(&event);
                match fields.data.as_deref().map(<[u8]>::trim_ascii) {
                    Some(b"[DONE]") => self.state.end(&mut out),
                    Some(data) if !data.is_empty() => self.state.chunk(data, &mut out),
                    // A comment, which keeps the connection alive.
                    _ => out.extend_from_slice(self.splitter.bytes(&event)),
                }
            }
        }
        if !out.is_empty() {
            events.push(out.into());
        }
    }

    fn pass_native(&mut self, events: &mut Vec<Bytes>, _end: bool) {
        if let Some(last) = events.last() {
            self.heard = Some(last.clone());
        }
    }

    fn fail(&mut self, problem: &Bytes, code: &str, message: &str) -> Bytes {
        let mut out = Vec::new();
        if let Some(heard) = self.heard.take() {
            if told(&heard) {
                return Bytes::new();
            }
            self.state.sequence = sequence(&heard).map_or(0, |last| last + 1);
        }
        let param = param(problem);
        self.state.fail(code, message, param.as_deref(), &mut out);
        out.into()
    }
}

/// Whether the last event said already that the response failed.
fn told(events: &[u8]) -> bool {
    const DATA: &[u8] = b"data:";
    let last = memchr::memmem::rfind(events, DATA).and_then(|at| events.get(at + DATA.len()..));
    let kind = last.and_then(|data| kind(None, data));
    kind.is_some_and(|kind| matches!(&*kind, "response.failed" | "error"))
}

/// The number of the last event.
fn sequence(events: &[u8]) -> Option<u64> {
    // Within a text its quotes would be escaped.
    const NAME: &[u8] = b"\"sequence_number\":";
    let at = memchr::memmem::rfind(events, NAME)? + NAME.len();
    let rest = events.get(at..)?.trim_ascii_start();
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

/// The field that an error blames.
fn param(problem: &[u8]) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(problem).ok()?;
    problem.get("error")?.get("param")?.as_str().map(str::to_owned)
}

impl State {
    /// Appends one event.
    fn emit<T: Serialize>(&mut self, kind: &str, fields: &T, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(kind.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        let brace = out.len();
        serde_json::to_writer(&mut *out, fields)
            .expect("a Vec takes every byte, and events have string keys only");
        // What a client or a provider wrote is repeated as it is, which may be over several lines.
        on_one_line(&mut out[brace..]);
        // The fields follow the type: their opening brace becomes a comma.
        out[brace] = b',';
        out.pop();
        out.extend_from_slice(b",\"sequence_number\":");
        out.extend_from_slice(itoa::Buffer::new().format(self.sequence).as_bytes());
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    fn chunk(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        // What cannot be read might be a call, or the end: without it the rest would be a lie.
        let Ok(piece) = Piece::read(data) else {
            return self.fail("server_error", UNREADABLE, None, out);
        };
        if let Some(usage) = piece.usage.and_then(|raw| read_usage(raw.get())) {
            self.usage = Some(usage);
        }
        if let Some(tier) = &piece.service_tier {
            self.service_tier = Some(tier.to_string());
        }
        if piece.choices.is_empty() && !self.started {
            return;
        }
        self.start(&piece, out);
        let first = piece.choices.into_iter().find(|choice| choice.index == 0);
        let Some(choice) = first else { return };
        if let Some(delta) = choice.delta {
            self.delta(delta, token_logprobs(choice.logprobs), out);
        }
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(reason.0.into_owned());
        }
        if self.kept > MAX_KEPT {
            let message = "The response is longer than can be repeated at its end.";
            self.fail("response_too_long", message, None, out);
        }
    }

    fn start(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        self.stem = stem(piece.id.as_deref(), &self.request_id);
        self.id = format!("resp_{}", self.stem);
        if let Some(model) = piece.model.as_deref().filter(|model| !model.is_empty()) {
            model.clone_into(&mut self.model);
        }
        let response = self.response(Status::InProgress, None);
        self.emit("response.created", &WithResponse { response: &response }, out);
        self.emit("response.in_progress", &WithResponse { response: &response }, out);
    }

    fn response(&mut self, status: Status, problem: Option<Problem<'_>>) -> Box<RawValue> {
        self.done.sort_by_key(|(number, _)| *number);
        let output: Vec<Box<RawValue>> = match status {
            Status::InProgress => Vec::new(),
            _ => self.done.iter().map(|(_, item)| item.clone()).collect(),
        };
        self.echo.response(&Says {
            id: &self.id,
            model: &self.model,
            service_tier: self.service_tier.as_deref(),
            status,
            output: &output,
            usage: self.usage.as_ref().filter(|_| status != Status::InProgress),
            problem,
        })
    }

    fn delta(&mut self, delta: PieceDelta<'_>, logprobs: Vec<Box<RawValue>>, out: &mut Vec<u8>) {
        let text = |text: Option<crate::wire::fields::Text<'_>>| {
            text.map(|text| text.0.into_owned()).filter(|text| !text.is_empty())
        };
        // What the bridge puts between two items is no part of the second.
        let begins = !matches!(self.open, Some(Open::Reasoning(_)));
        let thought = text(delta.reasoning_content);
        if let Some(thought) = thought.filter(|text| !begins || text != BETWEEN) {
            self.reasoning(out).text(&thought);
            self.reasoning_delta(&thought, out);
        }
        for block in delta.thinking_blocks.into_iter().flatten() {
            self.kept += block.get().len();
            self.reasoning(out).blocks.push(block.to_owned());
        }
        for item in delta.reasoning_items.into_iter().flatten() {
            self.kept += item.get().len();
            self.reasoning(out).sealed(item);
            // It is whole: what is thought after it is an item of its own.
            self.close_open(out);
        }
        if let Some(said) = text(delta.content) {
            self.say(&said, &logprobs, false, out);
        }
        if let Some(refused) = text(delta.refusal) {
            self.say(&refused, &[], true, out);
        }
        for annotation in delta.annotations.into_iter().flatten() {
            if let Some(annotation) = flat_annotation(annotation) {
                self.annotate(annotation, out);
            }
        }
        for url in delta.images.into_iter().flatten().filter_map(image_url) {
            self.image(&url, out);
        }
        for piece in delta.tool_calls.into_iter().flatten() {
            self.call(piece, out);
        }
    }

    fn image(&mut self, url: &str, out: &mut Vec<u8>) {
        let Some((format, data)) = image_data(url) else {
            return self.say(&format!("![image]({url})"), &[], false, out);
        };
        self.kept += data.len();
        self.close_open(out);
        image(format, data, self, out);
    }

    /// The reasoning item that is open; begins one if there is none.
    fn reasoning(&mut self, out: &mut Vec<u8>) -> &mut Reasoning {
        if !matches!(self.open, Some(Open::Reasoning(_))) {
            self.close_open(out);
            let item = Reasoning::begin(self, out);
            self.open = Some(Open::Reasoning(item));
        }
        match &mut self.open {
            Some(Open::Reasoning(item)) => item,
            _ => unreachable!("it was opened above"),
        }
    }

    /// The message that is open; begins one if there is none.
    fn message(&mut self, out: &mut Vec<u8>) {
        if !matches!(self.open, Some(Open::Message(_))) {
            self.close_open(out);
            let item = Message::begin(self, out);
            self.open = Some(Open::Message(item));
        }
    }

    fn reasoning_delta(&mut self, text: &str, out: &mut Vec<u8>) {
        self.kept += text.len();
        if let Some(Open::Reasoning(mut item)) = self.open.take() {
            item.delta(text, self, out);
            self.open = Some(Open::Reasoning(item));
        }
    }

    fn say(&mut self, text: &str, logprobs: &[Box<RawValue>], refused: bool, out: &mut Vec<u8>) {
        self.kept += text.len();
        self.kept += logprobs.iter().map(|raw| raw.get().len()).sum::<usize>();
        self.message(out);
        if let Some(Open::Message(mut item)) = self.open.take() {
            item.delta(text, logprobs, refused, self, out);
            self.open = Some(Open::Message(item));
        }
    }

    fn annotate(&mut self, annotation: Box<RawValue>, out: &mut Vec<u8>) {
        self.kept += annotation.get().len();
        self.message(out);
        if let Some(Open::Message(mut item)) = self.open.take() {
            item.annotate(annotation, self, out);
            self.open = Some(Open::Message(item));
        }
    }

    fn call(&mut self, piece: CallPiece<'_>, out: &mut Vec<u8>) {
        let known = self.calls.iter().position(|call| call.index == piece.index);
        let at = match known {
            Some(at) => at,
            None => {
                self.close_open(out);
                self.close_calls(false, out);
                let call = Call::begin(&piece, self, out);
                self.calls.push(call);
                self.calls.len() - 1
            }
        };
        let mut call = self.calls.swap_remove(at);
        call.add(&piece, self, out);
        self.calls.push(call);
    }

    /// Ends the calls that are whole; with `all` also those that are not.
    fn close_calls(&mut self, all: bool, out: &mut Vec<u8>) {
        let mut calls = std::mem::take(&mut self.calls);
        calls.sort_by_key(|call| call.number);
        for call in &mut calls {
            if all || call.is_whole() {
                let is_cut = matches!(self.status(), Status::Incomplete(_)) && !call.is_whole();
                call.close(if is_cut { "incomplete" } else { "completed" }, self, out);
            }
        }
        self.calls = calls;
    }

    fn close_open(&mut self, out: &mut Vec<u8>) {
        self.close_open_as("completed", out);
    }

    fn close_open_as(&mut self, status: &'static str, out: &mut Vec<u8>) {
        match self.open.take() {
            Some(Open::Message(item)) => item.close(status, self, out),
            Some(Open::Reasoning(item)) => item.close(self, out),
            None => {}
        }
    }

    fn status(&self) -> Status {
        Status::of(self.finish.as_deref())
    }

    /// The chat ended as it should.
    fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.start(&Piece::default(), out);
        if self.next_item == 0 {
            // A reply without a word is an empty message, here as in the chat API.
            self.message(out);
        }
        let status = self.status();
        self.close_open_as(status.word(), out);
        self.close_calls(true, out);
        let response = self.response(status, None);
        let kind = match status {
            Status::Incomplete(_) => "response.incomplete",
            _ => "response.completed",
        };
        self.emit(kind, &WithResponse { response: &response }, out);
    }

    fn fail(&mut self, code: &str, message: &str, param: Option<&str>, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        if !self.started {
            self.emit("error", &ErrorEvent { code, message, param }, out);
        } else {
            let word =
                if code.contains("rate_limit") { "rate_limit_exceeded" } else { "server_error" };
            let problem = Problem { code: word, message };
            let response = self.response(Status::Failed, Some(problem));
            self.emit("response.failed", &WithResponse { response: &response }, out);
        }
    }

    /// Takes the next number and begins an item.
    fn begin(&mut self, kind: Kind) -> (u64, String) {
        let number = self.next_item;
        self.next_item += 1;
        (number, kind.id(&self.stem, number))
    }

    fn finished(&mut self, number: u64, item: Box<RawValue>) {
        self.done.push((number, item));
    }
}
