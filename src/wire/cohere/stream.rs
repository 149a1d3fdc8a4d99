//! An event stream of `/v2/chat`, turned into chat completion chunks.
//!
//! One event is held at a time. What is remembered between events is which tool call an index means.

use bytes::Bytes;
use serde::Deserialize;

use super::reply::{
    Citation, ID_PREFIX, PartFields, TokenLog, ToolCall, annotations, finish_reason, garbage,
    is_nothing, logprobs,
};
use super::usage::{Written, shown};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::chat::{Raw, Writer};
use crate::wire::fields::Text;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Bound of the tool calls that are kept apart.
const MAX_CALLS: usize = 512;

/// Bound of the blanks that may stand around arguments that are none.
const MAX_HELD_BYTES: usize = 64;

/// Turns one reply's events into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    splitter: Splitter,
    state: State,
}

impl StreamTranslator {
    /// Cohere does not name the model that answers: `model` is the one asked for.
    #[must_use]
    pub fn new(options: StreamOptions, model: &str) -> Self {
        let writer = Writer::new(options, model);
        let state = State { writer, calls: Vec::new(), usage: None };
        Self { splitter: Splitter::new(), state }
    }
}

#[derive(Debug)]
struct State {
    writer: Writer,
    /// The tool calls, in the order in which they began.
    calls: Vec<Calling>,
    usage: Option<Usage>,
}

/// A tool call that began.
#[derive(Debug)]
struct Calling {
    /// The provider's.
    index: u64,
    /// The arguments so far, while they may still turn out to be none.
    held: Option<String>,
}

impl Calling {
    /// What of a further piece can be told now.
    fn take(&mut self, piece: &str) -> Option<String> {
        let Some(held) = &mut self.held else { return Some(piece.to_owned()) };
        held.push_str(piece);
        if "null".starts_with(held.trim()) && held.len() <= MAX_HELD_BYTES {
            return None;
        }
        self.held.take()
    }

    /// What is left to be told when no further piece comes.
    fn rest(&mut self) -> Option<String> {
        let held = self.held.take()?;
        Some(if is_nothing(&held) { "{}".to_owned() } else { held })
    }
}

impl State {
    /// Further arguments of the call at `place`.
    fn arguments(&mut self, place: usize, piece: &str) {
        let told = self.calls.get_mut(place).and_then(|calling| calling.take(piece));
        self.writer.arguments(u32::try_from(place).unwrap_or(u32::MAX), &told.unwrap_or_default());
    }

    /// No further arguments of the call at `place` come.
    fn end_call(&mut self, place: usize) {
        let told = self.calls.get_mut(place).and_then(Calling::rest);
        self.writer.arguments(u32::try_from(place).unwrap_or(u32::MAX), &told.unwrap_or_default());
    }

    /// The last call that began with an index; without one, the last of all.
    fn place(&self, index: Option<u64>) -> Option<usize> {
        match index {
            Some(index) => self.calls.iter().rposition(|known| known.index == index),
            None => self.calls.len().checked_sub(1),
        }
    }

    fn take(&mut self, data: &[u8]) {
        if data.trim_ascii() == b"[DONE]" {
            self.end();
            return;
        }
        // Cohere's own clients skip what they cannot read, too: a stream that lacks its end by that
        // is not taken for a whole one.
        let Ok(event) = serde_json::from_slice::<Event<'_>>(data) else { return };
        if let Err(failure) = self.event(event) {
            self.writer.fail(failure);
        }
    }

    fn event(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let Event { kind, id, index, delta, message, logprobs: logs } = event;
        let delta = delta.unwrap_or_default();
        let Some(kind) = kind else {
            // An error body where an event should be.
            return match message {
                Some(Text(message)) => Err(garbage(message)),
                None => Ok(()),
            };
        };
        let said = delta.message.unwrap_or_default();
        match &*kind {
            "message-start" => {
                self.writer.name(format!("{ID_PREFIX}{}", id.as_deref().unwrap_or_default()));
                self.writer.start();
            }
            "content-start" | "content-delta" => {
                let part: PartFields<'_> = said.read(said.content);
                self.writer.reasoning(part.thinking.as_deref().unwrap_or_default());
                let logs = logs.and_then(TokenLogs::read);
                let text = part.text.as_deref().unwrap_or_default();
                self.writer.text_with_logprobs(text, logs.as_deref());
            }
            "tool-plan-delta" => {
                let plan = said.tool_plan.as_deref().unwrap_or_default();
                self.writer.reasoning(plan);
            }
            "tool-call-start" => {
                let call: Option<ToolCall<'_>> = said.call();
                let Some(call) = call else { return Ok(()) };
                let number = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
                if self.calls.len() >= MAX_CALLS {
                    return Err(garbage("the provider's stream has too many tool calls"));
                }
                let index = index.unwrap_or_else(|| number.into());
                self.calls.push(Calling { index, held: Some(String::new()) });
                let (name, arguments) =
                    call.function.map_or((None, None), |it| (it.name, it.arguments));
                self.writer.tool_call(
                    number,
                    call.id.as_deref().unwrap_or_default(),
                    name.as_deref().unwrap_or_default(),
                    "",
                );
                self.arguments(self.calls.len() - 1, arguments.as_deref().unwrap_or_default());
            }
            "tool-call-delta" => {
                let call: Option<ToolCall<'_>> = said.call();
                let piece = call.and_then(|call| call.function?.arguments);
                if let (Some(piece), Some(place)) = (piece, self.place(index)) {
                    self.arguments(place, &piece);
                }
            }
            "tool-call-end" => {
                if let Some(place) = self.place(index) {
                    self.end_call(place);
                }
            }
            "citation-start" => {
                let citation: Option<Citation<'_>> =
                    said.citations.and_then(|raw| serde_json::from_str(raw.get()).ok());
                let annotations = citation.as_ref().map(annotations).unwrap_or_default();
                let annotations: Vec<Raw<'_>> = annotations.iter().map(|it| &**it).collect();
                self.writer.annotations(&annotations);
            }
            "message-end" => {
                self.usage = delta.usage.as_ref().and_then(Written::usage).or(self.usage);
                let (reason, error) = (delta.finish_reason.as_deref(), delta.error.as_deref());
                let reason = finish_reason(reason, !self.calls.is_empty(), error)?;
                (0..self.calls.len()).for_each(|place| self.end_call(place));
                self.writer.finish(reason);
                self.end();
            }
            _ => {}
        }
        Ok(())
    }

    /// The stream is over if the answer was.
    fn end(&mut self) {
        if self.writer.has_finished() {
            self.writer.end(self.usage.as_ref().map(shown));
        }
    }
}

impl Translate for StreamTranslator {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let Self { splitter, state } = self;
        splitter.push(chunk);
        while state.writer.is_reading() {
            match splitter.next_event() {
                Ok(Some(event)) => {
                    if let Some(data) = splitter.fields(&event).data {
                        state.take(&data);
                    }
                }
                Ok(None) => break,
                Err(too_large) => state.writer.fail(garbage(too_large.to_string())),
            }
        }
        state.writer.take(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let rest = self.splitter.rest();
        // An event whose blank line is missing counts if it is whole.
        if self.state.writer.is_reading()
            && let Some(data) = Fields::read(&rest).data
        {
            self.state.take(&data);
        }
        self.state.end();
        let _reported = self.state.writer.take(out);
        self.state.writer.ending()
    }

    fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    fn text_bytes(&self) -> u64 {
        self.state.writer.text_bytes()
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(default)]
    index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<Delta<'a>>,
    /// Of an error only.
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
    #[serde(borrow, default)]
    logprobs: Option<TokenLogs<'a>>,
}

#[derive(Default, Deserialize)]
struct Delta<'a> {
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
    #[serde(borrow, default)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
    #[serde(default)]
    usage: Option<Written>,
}

/// What an event adds to the message. At the start of the message these are empty lists, later
/// single objects.
#[derive(Default, Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    tool_plan: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_calls: Option<Raw<'a>>,
    #[serde(borrow, default)]
    citations: Option<Raw<'a>>,
}

impl<'a> Said<'a> {
    fn read<T: Default + Deserialize<'a>>(&self, raw: Option<Raw<'a>>) -> T {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
    }

    /// The tool call: an object, or a list of one.
    fn call(&self) -> Option<ToolCall<'a>> {
        let raw = self.tool_calls?.get();
        if raw.starts_with('[') {
            return serde_json::from_str::<Vec<ToolCall<'a>>>(raw).ok()?.into_iter().next();
        }
        serde_json::from_str(raw).ok()
    }
}

/// One object in an event, a list in a whole reply.
#[derive(Deserialize)]
#[serde(transparent)]
struct TokenLogs<'a>(#[serde(borrow)] Raw<'a>);

impl TokenLogs<'_> {
    fn read(self) -> Option<Box<serde_json::value::RawValue>> {
        let raw = self.0.get();
        let logs: Vec<TokenLog<'_>> = if raw.starts_with('[') {
            serde_json::from_str(raw).ok()?
        } else {
            vec![serde_json::from_str(raw).ok()?]
        };
        logprobs(&logs)
    }
}
