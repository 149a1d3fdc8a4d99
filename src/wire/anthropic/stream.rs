//! A Messages event stream, turned into chat completion chunks.
//!
//! One event is held at a time. What is remembered between events is the open content block, and of
//! it only what must be said at its end: a thinking block goes back to the client whole, because it
//! has to be replayed whole.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::error::{garbage, within};
use super::event::{
    BlockDelta, BlockStart, BlockStop, DeltaFields, Message, MessageDelta, MessageStart,
    event_kind, parse,
};
use super::names::{JSON_TOOL, original_name};
use super::reply::{ID_PREFIX, fields_of, finish_reason, kind_of};
use super::usage::Tally;
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::chat::{Chunk, Delta, Function, ThinkingBlock, ToolCall, write_done};
use crate::wire::fields::Text;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Bound of one thinking block. A longer one is streamed like any other, but is not given back
/// whole for replay.
const MAX_THINKING_BYTES: usize = 4 * 1024 * 1024;

/// Turns one reply's events into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    splitter: Splitter,
    state: State,
}

impl StreamTranslator {
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        Self { splitter: Splitter::new(), state: State::new(options) }
    }
}

impl Translate for StreamTranslator {
    /// Takes one read and appends whole frames for the client to `out`, all in one piece of memory.
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
        emit(frames, out);
        self.state.progress()
    }

    /// The provider closed the stream.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let mut frames = Vec::new();
        let rest = self.splitter.rest();
        let fields = Fields::read(&rest);
        // An event whose blank line is missing counts if its JSON is whole.
        let whole = fields.data.as_deref().is_some_and(is_json);
        if self.state.is_reading() && whole {
            self.state.take(&fields, &mut frames);
        }
        let ending = self.state.close(&mut frames);
        emit(frames, out);
        ending
    }

    /// What the reply used. The provider counts the output when it ends: of a stream that broke off
    /// before, it is an estimate from the text that came.
    fn usage(&self) -> Option<Usage> {
        let usage = self.state.tally.usage()?;
        if self.state.output_counted {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.state.text_bytes / BYTES_PER_TOKEN);
        Some(Usage { output_tokens, estimated: true, ..usage })
    }

    /// Bytes of text, reasoning and arguments that were generated so far.
    fn text_bytes(&self) -> u64 {
        self.state.text_bytes
    }
}

fn emit(frames: Vec<u8>, out: &mut Vec<Bytes>) {
    if !frames.is_empty() {
        out.push(frames.into());
    }
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(data).is_ok()
}

#[derive(Debug)]
struct State {
    options: StreamOptions,
    id: String,
    model: String,
    /// The first chunk, which names the role, was written.
    started: bool,
    open: Option<Open>,
    /// Tool calls begun. OpenAI numbers them apart from other blocks.
    tools: u32,
    finish_written: bool,
    /// The last chunk was written.
    done: bool,
    failure: Option<Failure>,
    failed: bool,
    meaningful: bool,
    tally: Tally,
    /// `message_delta` brought the count; what `message_start` says of the output is no count yet.
    output_counted: bool,
    text_bytes: u64,
}

/// The content block that is being written.
#[derive(Debug)]
struct Open {
    index: u64,
    block: OpenBlock,
}

#[derive(Debug)]
enum OpenBlock {
    /// Text, or a block that the client is not shown.
    Plain,
    /// A tool call, by its number. The input that came with its start is used if no fragment came.
    Tool {
        number: u32,
        input: Option<String>,
        fragments: bool,
    },
    /// The tool call that stands for an answer in JSON.
    Json {
        input: Option<String>,
        fragments: bool,
    },
    Thinking {
        text: String,
        signature: String,
        too_long: bool,
    },
    Redacted {
        data: String,
    },
}

impl State {
    const fn new(options: StreamOptions) -> Self {
        Self {
            options,
            id: String::new(),
            model: String::new(),
            started: false,
            open: None,
            tools: 0,
            finish_written: false,
            done: false,
            failure: None,
            failed: false,
            meaningful: false,
            tally: Tally::new(),
            output_counted: false,
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
        let Some(data) = fields.data.as_deref() else {
            return;
        };
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
        let Some(kind) = event_kind(name, data)? else {
            return Ok(());
        };
        match &*kind {
            b"content_block_delta" => self.delta(parse(data)?, out),
            b"content_block_start" => self.block_start(parse(data)?, out)?,
            b"content_block_stop" => {
                let stop: BlockStop = parse(data)?;
                if self.open.as_ref().is_some_and(|open| open.index == stop.index) {
                    self.close_block(out);
                }
            }
            b"message_start" => self.message_start(&parse::<MessageStart<'_>>(data)?.message, out),
            b"message_delta" => self.message_delta(parse(data)?, out),
            b"message_stop" => self.end(out),
            b"error" => {
                let unreadable = || garbage("the provider sent an error that cannot be read");
                return Err(within(data).unwrap_or_else(unreadable));
            }
            _ => {}
        }
        Ok(())
    }

    fn message_start(&mut self, message: &Message<'_>, out: &mut Vec<u8>) {
        if let Some(usage) = &message.usage {
            self.tally.update(usage);
        }
        if !self.started {
            let id = message.id.as_ref().map_or("", |id| &id.0);
            self.id = format!("{ID_PREFIX}{id}");
            self.model = message.model.as_ref().map_or("", |model| &model.0).to_owned();
            self.start(out);
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            self.write(&Delta::Role { role: "assistant", content: "" }, None, out);
        }
    }

    fn block_start(&mut self, event: BlockStart<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        // The stop of the block before is missing at times.
        self.close_block(out);
        let kind = kind_of(event.content_block)?;
        let block = match &*kind {
            "tool_use" => {
                let fields = fields_of(event.content_block)?;
                let name = fields.name.map(|name| name.0).unwrap_or_default();
                let input = fields.input.map(|input| input.get().to_owned());
                let input = input.filter(|input| input != "{}" && input != "null");
                if name == JSON_TOOL {
                    OpenBlock::Json { input, fragments: false }
                } else {
                    let number = self.tools;
                    self.tools += 1;
                    let id = fields.id.map(|id| id.0).unwrap_or_default();
                    let (id, name) = (Some(&*id), original_name(&name));
                    let function = Function { name: Some(&name), arguments: "" };
                    self.tool_call(ToolCall::begin(number, id, function), out);
                    OpenBlock::Tool { number, input, fragments: false }
                }
            }
            "thinking" => {
                let fields = fields_of(event.content_block)?;
                let signature = fields.signature.map(|text| text.0.into_owned());
                let signature = signature.unwrap_or_default();
                let text = fields.thinking.map(|text| text.0.into_owned()).unwrap_or_default();
                self.reasoning(&text, out);
                OpenBlock::Thinking { text, signature, too_long: false }
            }
            "redacted_thinking" => {
                let data = fields_of(event.content_block)?.data;
                OpenBlock::Redacted {
                    data: data.map(|data| data.0.into_owned()).unwrap_or_default(),
                }
            }
            "text" => {
                let text = fields_of(event.content_block)?.text;
                self.text(&text.map(|text| text.0).unwrap_or_default(), out);
                OpenBlock::Plain
            }
            _ => OpenBlock::Plain,
        };
        self.open = Some(Open { index: event.index, block });
        Ok(())
    }

    fn delta(&mut self, event: BlockDelta<'_>, out: &mut Vec<u8>) {
        let DeltaFields { kind, text, partial_json, thinking, signature } = event.delta;
        match &*kind.0 {
            "text_delta" => self.text(&text.map(|text| text.0).unwrap_or_default(), out),
            "thinking_delta" => {
                let thought = thinking.map(|text| text.0).unwrap_or_default();
                self.reasoning(&thought, out);
                if let Some(OpenBlock::Thinking { text, too_long, .. }) = self.block(event.index) {
                    *too_long |= text.len() + thought.len() > MAX_THINKING_BYTES;
                    if !*too_long {
                        text.push_str(&thought);
                    }
                }
            }
            "signature_delta" => {
                let more = signature.map(|text| text.0).unwrap_or_default();
                if let Some(OpenBlock::Thinking { signature, too_long, .. }) =
                    self.block(event.index)
                {
                    *too_long |= signature.len() + more.len() > MAX_THINKING_BYTES;
                    if !*too_long {
                        signature.push_str(&more);
                    }
                }
            }
            "input_json_delta" => {
                let fragment = partial_json.map(|text| text.0).unwrap_or_default();
                if !fragment.is_empty() {
                    self.fragment(event.index, &fragment, out);
                }
            }
            _ => {}
        }
    }

    fn fragment(&mut self, index: u64, text: &str, out: &mut Vec<u8>) {
        match self.block(index) {
            Some(OpenBlock::Tool { number, fragments, .. }) => {
                *fragments = true;
                let number = *number;
                self.arguments(number, text, out);
            }
            Some(OpenBlock::Json { fragments, .. }) => {
                *fragments = true;
                self.text(text, out);
            }
            // The input of a tool that runs at the provider.
            _ => {}
        }
    }

    fn block(&mut self, index: u64) -> Option<&mut OpenBlock> {
        self.open.as_mut().filter(|open| open.index == index).map(|open| &mut open.block)
    }

    fn close_block(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.block {
            OpenBlock::Plain
            | OpenBlock::Tool { fragments: true, .. }
            | OpenBlock::Json { fragments: true, .. } => {}
            OpenBlock::Tool { number, input, fragments: false } => {
                self.arguments(number, input.as_deref().unwrap_or("{}"), out);
            }
            OpenBlock::Json { input, fragments: false } => {
                self.text(input.as_deref().unwrap_or("{}"), out);
            }
            OpenBlock::Thinking { text, signature, too_long } => {
                // Without its signature it was cut off, and could not be replayed.
                if !too_long && !signature.is_empty() {
                    let (thinking, signature) = (&*text, &*signature);
                    self.thinking_block(ThinkingBlock::Thinking { thinking, signature }, out);
                }
            }
            OpenBlock::Redacted { data } => {
                self.thinking_block(ThinkingBlock::RedactedThinking { data: &data }, out);
            }
        }
    }

    fn message_delta(&mut self, event: MessageDelta<'_>, out: &mut Vec<u8>) {
        if let Some(usage) = &event.usage {
            self.tally.update(usage);
            self.output_counted = true;
        }
        let Some(reason) = event.delta.stop_reason else {
            return;
        };
        self.close_block(out);
        if reason.0 == "refusal" {
            let explanation = event.delta.stop_details.and_then(|details| details.explanation);
            if let Some(Text(refusal)) = explanation.filter(|text| !text.0.is_empty()) {
                self.meaningful = true;
                self.start(out);
                self.write(&Delta::Refusal { refusal: &refusal }, None, out);
            }
        }
        self.write_finish(Some(&reason.0), out);
    }

    fn write_finish(&mut self, stop_reason: Option<&str>, out: &mut Vec<u8>) {
        if !self.finish_written {
            self.finish_written = true;
            self.meaningful = true;
            self.start(out);
            let reason = finish_reason(stop_reason, self.tools > 0);
            self.write(&Delta::Nothing {}, Some(reason), out);
        }
    }

    /// The provider's own end of the stream.
    fn end(&mut self, out: &mut Vec<u8>) {
        self.close_block(out);
        self.write_finish(None, out);
        if let (true, Some(usage)) = (self.options.show_usage, self.tally.shown()) {
            self.chunk().with_usage(usage).write(out);
        }
        write_done(out);
        self.done = true;
    }

    /// The provider closed the stream; without `message_stop` it is whole if a stop reason came.
    fn close(&mut self, out: &mut Vec<u8>) -> Ending {
        if self.is_reading() && self.finish_written {
            self.end(out);
        }
        if self.done { Ending::Complete } else { Ending::Cut }
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.generated(text, out) {
            self.write(&Delta::Content { content: text }, None, out);
        }
    }

    fn reasoning(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.generated(text, out) {
            self.write(&Delta::Reasoning { reasoning_content: text }, None, out);
        }
    }

    fn arguments(&mut self, number: u32, text: &str, out: &mut Vec<u8>) {
        if self.generated(text, out) {
            let function = Function { name: None, arguments: text };
            self.tool_call(ToolCall::go_on(number, function), out);
        }
    }

    /// Counts generated text; false if there is none.
    fn generated(&mut self, text: &str, out: &mut Vec<u8>) -> bool {
        if text.is_empty() {
            return false;
        }
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        self.meaningful = true;
        self.start(out);
        true
    }

    fn tool_call(&mut self, call: ToolCall<'_>, out: &mut Vec<u8>) {
        self.meaningful = true;
        self.start(out);
        self.write(&Delta::ToolCalls { tool_calls: [call] }, None, out);
    }

    fn thinking_block(&mut self, block: ThinkingBlock<'_>, out: &mut Vec<u8>) {
        self.meaningful = true;
        self.start(out);
        self.write(&Delta::ThinkingBlocks { thinking_blocks: [block] }, None, out);
    }

    fn write(&self, delta: &Delta<'_>, finish_reason: Option<&'static str>, out: &mut Vec<u8>) {
        self.chunk().with_delta(delta, finish_reason).write(out);
    }

    fn chunk(&self) -> Chunk<'_> {
        Chunk::new(&self.id, &self.model, self.options.created, self.options.show_usage)
    }
}
