//! The events of a response, turned into chat completion chunks.
//!
//! One event is held at a time. Between events only numbers are remembered: which item is which
//! tool call, and whether fragments of it came.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::event::{Event, OutputItem, Response, kind, nested_annotation, nested_logprobs};
use super::failure::{garbage, in_event};
use super::ids::Owner;
use super::reply::{BETWEEN, ID_PREFIX, response_failure};
use super::sealed::marked_item;
use crate::dialect::Quirks;
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::chat::{Chunk, Custom, Delta, Function, Image, Raw, Shown, ToolCall, write_done};
use crate::wire::openai::read_usage;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Tool calls of one response; more are a provider gone wrong.
const MAX_CALLS: usize = 4096;

/// Items of one response of which it is remembered that something was shown.
const MAX_SHOWN: usize = 4096;

/// Turns one response's events into chunks.
#[derive(Debug)]
pub struct Bridge {
    splitter: Splitter,
    state: State,
}

impl Bridge {
    /// `owner`: whom sealed reasoning is to name.
    #[must_use]
    pub fn new(options: StreamOptions, owner: Option<Owner>) -> Self {
        Self { splitter: Splitter::new(), state: State::new(options, owner) }
    }
}

impl Translate for Bridge {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut frames = Vec::new();
        self.splitter.push(chunk);
        while self.state.is_reading() {
            match self.splitter.next_event() {
                Ok(Some(event)) => self.state.take(&self.splitter.fields(&event), &mut frames),
                Ok(None) => break,
                Err(too_large) => self.state.fail(garbage(too_large.to_string())),
            }
        }
        if !frames.is_empty() {
            out.push(frames.into());
        }
        self.state.progress()
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let mut frames = Vec::new();
        let rest = self.splitter.rest();
        let fields = Fields::read(&rest);
        // An event whose blank line is missing counts if its JSON is whole.
        let whole = fields
            .data
            .as_deref()
            .is_some_and(|data| serde_json::from_slice::<&RawValue>(data).is_ok());
        if self.state.is_reading() && whole {
            self.state.take(&fields, &mut frames);
        }
        if !frames.is_empty() {
            out.push(frames.into());
        }
        if self.state.done { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    fn text_bytes(&self) -> u64 {
        self.state.text_bytes
    }
}

#[derive(Debug)]
struct State {
    options: StreamOptions,
    owner: Option<Owner>,
    id: String,
    model: String,
    created: u64,
    /// The first chunk, which names the role, was written.
    started: bool,
    calls: Vec<OpenCall>,
    /// Images that were shown.
    images: u32,
    /// An event told something of the answer.
    told: bool,
    /// Items of which something was shown, by their number.
    shown: Vec<u64>,
    /// Fragments of the text part that is open came.
    fragments: bool,
    /// A message was shown before this one.
    messages: u32,
    /// Something of this message was shown; the next one is kept apart from it.
    said: bool,
    reasoned: bool,
    /// The last part of a summary that was shown: item and number.
    summary: Option<(u64, u64)>,
    done: bool,
    failed: bool,
    failure: Option<Failure>,
    meaningful: bool,
    usage: Option<Usage>,
    text_bytes: u64,
}

/// A tool call, by the number of its item.
#[derive(Debug)]
struct OpenCall {
    output_index: u64,
    custom: bool,
    fragments: bool,
}

impl State {
    const fn new(options: StreamOptions, owner: Option<Owner>) -> Self {
        Self {
            owner,
            created: options.created,
            options,
            id: String::new(),
            model: String::new(),
            started: false,
            calls: Vec::new(),
            images: 0,
            told: false,
            shown: Vec::new(),
            fragments: false,
            messages: 0,
            said: false,
            reasoned: false,
            summary: None,
            done: false,
            failed: false,
            failure: None,
            meaningful: false,
            usage: None,
            text_bytes: 0,
        }
    }

    const fn is_reading(&self) -> bool {
        !self.done && !self.failed
    }

    fn progress(&mut self) -> Progress {
        Progress {
            meaningful: std::mem::take(&mut self.meaningful),
            done: self.done,
            failure: self.failure.take(),
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.failed = true;
        self.failure = Some(failure);
    }

    fn take(&mut self, fields: &Fields<'_>, out: &mut Vec<u8>) {
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii) else { return };
        if data.is_empty() || data == b"[DONE]" {
            return;
        }
        if let Err(failure) = self.event(fields.name, data, out) {
            self.fail(failure);
        }
    }

    fn event(
        &mut self,
        name: Option<&[u8]>,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let Some(kind) = kind(name, data) else {
            // An error without a type, as servers in between write it.
            return match serde_json::from_slice::<Response<'_>>(data) {
                Ok(Response { error: None, .. }) => Ok(()),
                _ => Err(in_event(data)),
            };
        };
        if kind == "error" {
            return Err(in_event(data));
        }
        let event: Event<'_> = serde_json::from_slice(data)
            .map_err(|_| garbage("the provider sent an event that cannot be read"))?;
        self.told |= !matches!(
            &*kind,
            "response.created"
                | "response.in_progress"
                | "response.queued"
                | "response.completed"
                | "response.incomplete"
        );
        match &*kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.begin(&response(&event)?, out);
            }
            "response.output_item.added" => self.item_added(&event, out)?,
            "response.output_item.done" => self.item_done(&event, out)?,
            "response.content_part.added" => self.fragments = false,
            "response.output_text.delta" => {
                self.show(event.output_index);
                self.text(&event.fragment(), event.logprobs.as_deref(), out);
            }
            "response.output_text.done" if !self.fragments => {
                self.show(event.output_index);
                self.text(&event.text.unwrap_or_default(), event.logprobs.as_deref(), out);
            }
            "response.refusal.delta" => {
                self.show(event.output_index);
                self.refusal(&event.fragment(), out);
            }
            "response.refusal.done" if !self.fragments => {
                self.show(event.output_index);
                self.refusal(&event.refusal.unwrap_or_default(), out);
            }
            "response.output_text.annotation.added" => {
                if let Some(annotation) = event.annotation.and_then(nested_annotation) {
                    self.write(&Delta::Annotations { annotations: &[&annotation] }, None, out);
                }
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.show(event.output_index);
                let part = (event.output_index, event.summary_index);
                self.reasoning(&event.fragment(), part, out);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.fragment(event.output_index, &event.fragment(), out);
            }
            "response.function_call_arguments.done" => {
                self.whole(event.output_index, &event.arguments.unwrap_or_default(), out);
            }
            "response.custom_tool_call_input.done" => {
                self.whole(event.output_index, &event.input.unwrap_or_default(), out);
            }
            "response.completed" | "response.incomplete" => self.end(&event, out)?,
            "response.failed" => {
                let response = event.response.map_or("{}", RawValue::get);
                return Err(response_failure(response.as_bytes()));
            }
            "response.cancelled" => {
                return Err(garbage("the response was cancelled at the provider"));
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, response: &Response<'_>, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.created = response.created().unwrap_or(self.created);
        self.id = format!("{ID_PREFIX}{}", response.id.as_deref().unwrap_or_default());
        self.model = response.model.as_deref().unwrap_or_default().to_owned();
        self.start(out);
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            let role = Delta::Role { role: "assistant", content: "" };
            self.chunk().with_delta(&role, None).write(out);
        }
    }

    fn item_added(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        // The model is at work: what follows may take its time.
        self.meaningful = true;
        self.fragments = false;
        let item = item(event)?;
        match item.kind.as_deref() {
            Some("message") => self.messages += u32::from(std::mem::take(&mut self.said)),
            Some("function_call" | "custom_tool_call") => {
                self.open(event.output_index, item, out)?
            }
            _ => {}
        }
        Ok(())
    }

    /// A tool call that begins.
    fn open(
        &mut self,
        output_index: u64,
        item: OutputItem<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let custom = item.kind.as_deref() == Some("custom_tool_call");
        if self.calls.len() == MAX_CALLS {
            return Err(garbage(format!("the provider's reply has more than {MAX_CALLS} calls")));
        }
        let number = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        self.calls.push(OpenCall { output_index, custom, fragments: false });
        let (id, name) = (item.call_id.unwrap_or_default(), item.name.unwrap_or_default());
        let call = if custom {
            ToolCall::begin_custom(number, Some(&id), Custom { name: Some(&name), input: "" })
        } else {
            ToolCall::begin(number, Some(&id), Function { name: Some(&name), arguments: "" })
        };
        self.write(&Delta::ToolCalls { tool_calls: [call] }, None, out);
        Ok(())
    }

    fn item_done(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let Some(raw) = event.item else { return Ok(()) };
        let item = item(event)?;
        match item.kind.as_deref() {
            Some("reasoning") => {
                let sealed = item.encrypted_content.is_some();
                if !self.shown.contains(&event.output_index) {
                    self.whole_reasoning(event.output_index, item, out);
                }
                if sealed {
                    let marked = marked_item(raw, self.owner);
                    let raw = marked.as_deref().unwrap_or(raw);
                    self.write(&Delta::ReasoningItems { reasoning_items: [raw] }, None, out);
                }
            }
            Some("image_generation_call") => {
                if let Some(url) = item.image() {
                    let image = Image::new(self.images, url);
                    self.images += 1;
                    self.meaningful = true;
                    self.write(&Delta::Images { images: [image] }, None, out);
                }
            }
            Some("message") if !self.shown.contains(&event.output_index) => {
                self.whole_message(event.output_index, item, out);
            }
            Some("function_call" | "custom_tool_call") => {
                let whole = item.arguments.clone().or_else(|| item.input.clone());
                if !self.calls.iter().any(|call| call.output_index == event.output_index) {
                    self.open(event.output_index, item, out)?;
                }
                self.whole(event.output_index, &whole.unwrap_or_default(), out);
            }
            _ => {}
        }
        Ok(())
    }

    /// A message of which nothing was shown before it was done.
    fn whole_message(&mut self, output_index: u64, item: OutputItem<'_>, out: &mut Vec<u8>) {
        self.show(output_index);
        self.messages += u32::from(std::mem::take(&mut self.said));
        for part in item.content.into_iter().flatten() {
            self.text(&part.text.unwrap_or_default(), part.logprobs.as_deref(), out);
            self.refusal(&part.refusal.unwrap_or_default(), out);
            for raw in part.annotations.into_iter().flatten() {
                if let Some(annotation) = nested_annotation(raw) {
                    self.write(&Delta::Annotations { annotations: &[&annotation] }, None, out);
                }
            }
        }
    }

    /// The same of reasoning.
    fn whole_reasoning(&mut self, output_index: u64, item: OutputItem<'_>, out: &mut Vec<u8>) {
        let summary = item.summary.filter(|summary| !summary.is_empty());
        for (at, part) in (0..).zip(summary.or(item.content).into_iter().flatten()) {
            self.reasoning(&part.text.unwrap_or_default(), (output_index, at), out);
        }
    }

    /// Something of an item is shown.
    fn show(&mut self, output_index: u64) {
        if self.shown.last() != Some(&output_index)
            && self.shown.len() < MAX_SHOWN
            && !self.shown.contains(&output_index)
        {
            self.shown.push(output_index);
        }
    }

    fn text(&mut self, text: &str, logprobs: Option<&[Raw<'_>]>, out: &mut Vec<u8>) {
        self.fragments = true;
        if text.is_empty() {
            return;
        }
        if std::mem::take(&mut self.messages) > 0 {
            self.write(&Delta::Content { content: BETWEEN }, None, out);
        }
        self.said = true;
        self.generated(text);
        self.start(out);
        let logprobs = logprobs.and_then(nested_logprobs);
        let chunk = self.chunk();
        let delta = Delta::Content { content: text };
        chunk.with_delta(&delta, None).with_logprobs(logprobs.as_deref()).write(out);
    }

    fn refusal(&mut self, text: &str, out: &mut Vec<u8>) {
        self.fragments = true;
        if !text.is_empty() {
            self.generated(text);
            self.write(&Delta::Refusal { refusal: text }, None, out);
        }
    }

    /// `part`: the numbers of the item and of its part.
    fn reasoning(&mut self, text: &str, part: (u64, u64), out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        let part = Some(part);
        if self.reasoned && self.summary != part {
            self.write(&Delta::Reasoning { reasoning_content: BETWEEN }, None, out);
        }
        (self.reasoned, self.summary) = (true, part);
        self.generated(text);
        self.write(&Delta::Reasoning { reasoning_content: text }, None, out);
    }

    /// A fragment of a call's arguments.
    fn fragment(&mut self, output_index: u64, text: &str, out: &mut Vec<u8>) {
        let mut calls = (0_u32..).zip(self.calls.iter_mut());
        let found = calls.find(|(_, call)| call.output_index == output_index);
        let Some((number, call)) = found.filter(|_| !text.is_empty()) else { return };
        call.fragments = true;
        let custom = call.custom;
        self.generated(text);
        let call = if custom {
            ToolCall::go_on_custom(number, Custom { name: None, input: text })
        } else {
            ToolCall::go_on(number, Function { name: None, arguments: text })
        };
        self.write(&Delta::ToolCalls { tool_calls: [call] }, None, out);
    }

    /// The whole of a call's arguments, for those who send no fragments.
    fn whole(&mut self, output_index: u64, text: &str, out: &mut Vec<u8>) {
        let known = self.calls.iter().rev().find(|call| call.output_index == output_index);
        if known.is_some_and(|call| !call.fragments) {
            self.fragment(output_index, text, out);
        }
    }

    fn end(&mut self, event: &Event<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let response = response(event)?;
        let usage = response.usage;
        self.usage = usage.and_then(|raw| read_usage(raw.get().as_bytes(), Quirks::default()));
        self.begin(&response, out);
        if !self.told {
            // Servers that only look like a stream send the whole response at once.
            for (output_index, item) in (0..).zip(response.output.iter().copied()) {
                let done = Event { output_index, item: Some(item), ..Event::default() };
                self.item_done(&done, out)?;
            }
        }
        let reason = response.finish_reason(!self.calls.is_empty());
        self.write(&Delta::Nothing {}, Some(reason), out);
        if let (true, Some(usage)) = (self.options.show_usage, &self.usage) {
            self.chunk().with_usage(Shown::of(usage, true)).write(out);
        }
        write_done(out);
        (self.meaningful, self.done) = (true, true);
        Ok(())
    }

    fn generated(&mut self, text: &str) {
        self.meaningful = true;
        self.text_bytes += text.len() as u64;
    }

    fn write(&mut self, delta: &Delta<'_>, finish: Option<&'static str>, out: &mut Vec<u8>) {
        self.start(out);
        self.chunk().with_delta(delta, finish).write(out);
    }

    fn chunk(&self) -> Chunk<'_> {
        Chunk::new(&self.id, &self.model, self.created, self.options.show_usage)
    }
}

fn response<'a>(event: &Event<'a>) -> Result<Response<'a>, Failure> {
    let raw = event.response.map_or("{}", RawValue::get);
    serde_json::from_str(raw)
        .map_err(|_| garbage("the provider sent a response that cannot be read"))
}

fn item<'a>(event: &Event<'a>) -> Result<OutputItem<'a>, Failure> {
    let raw = event.item.map_or("{}", RawValue::get);
    serde_json::from_str(raw).map_err(|_| garbage("the provider sent an item that cannot be read"))
}
