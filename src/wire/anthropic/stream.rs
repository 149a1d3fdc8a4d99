//! A Messages event stream, turned into chat completion chunks.
//!
//! One event is held at a time. What is remembered between events is the open content block, and of
//! it only what must be said at its end: a thinking block goes back to the client whole, because it
//! has to be replayed whole.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::citations::Annotation;
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
use crate::wire::chat::{ThinkingBlock, Writer, native_finish_reason};
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Bound of one thinking block. A longer one is streamed like any other, but is not given back
/// whole for replay.
const MAX_THINKING_BYTES: usize = 4 * 1024 * 1024;

/// Bound of the citations of one text block; what is more is not told.
const MAX_CITED_BYTES: usize = 1024 * 1024;

/// Turns one reply's events into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    splitter: Splitter,
    state: State,
}

impl StreamTranslator {
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        let state = State {
            writer: Writer::new(options, ""),
            open: None,
            tools: 0,
            chars: 0,
            tally: Tally::new(),
            output_counted: false,
        };
        Self { splitter: Splitter::new(), state }
    }
}

impl Translate for StreamTranslator {
    /// Takes one read and appends whole frames for the client to `out`, all in one piece of memory.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let Self { splitter, state } = self;
        splitter.push(chunk);
        while state.writer.is_reading() {
            match splitter.next_event() {
                Ok(Some(event)) => state.take(&splitter.fields(&event)),
                Ok(None) => break,
                Err(too_large) => state.fail(garbage(too_large.to_string())),
            }
        }
        state.writer.take(out)
    }

    /// The provider closed the stream; without `message_stop` it is whole if a stop reason came.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let Self { splitter, state } = self;
        let rest = splitter.rest();
        let fields = Fields::read(&rest);
        // An event whose blank line is missing counts if its JSON is whole.
        let whole = fields.data.as_deref().is_some_and(is_json);
        if state.writer.is_reading() && whole {
            state.take(&fields);
        }
        if state.writer.is_reading() && state.writer.has_finished() {
            state.end();
        }
        let _reported = state.writer.take(out);
        state.writer.ending()
    }

    /// What the reply used. The provider counts the output when it ends: of a stream that broke off
    /// before, it is an estimate from the text that came.
    fn usage(&self) -> Option<Usage> {
        let usage = self.state.tally.usage()?;
        if self.state.output_counted {
            return Some(usage);
        }
        let output_tokens =
            usage.output_tokens.max(self.state.writer.text_bytes() / BYTES_PER_TOKEN);
        Some(Usage { output_tokens, estimated: true, ..usage })
    }

    /// Bytes of text, reasoning and arguments that were generated so far.
    fn text_bytes(&self) -> u64 {
        self.state.writer.text_bytes()
    }
}

fn is_json(data: &[u8]) -> bool {
    serde_json::from_slice::<&RawValue>(data).is_ok()
}

#[derive(Debug)]
struct State {
    writer: Writer,
    open: Option<Open>,
    /// Tool calls begun. OpenAI numbers them apart from other blocks.
    tools: u32,
    /// Characters of text so far, by which citations say where they stand.
    chars: usize,
    tally: Tally,
    /// `message_delta` brought the count; what `message_start` says of the output is no count yet.
    output_counted: bool,
}

/// The content block that is being written.
#[derive(Debug)]
struct Open {
    index: u64,
    block: OpenBlock,
}

#[derive(Debug)]
enum OpenBlock {
    /// A block that the client is not shown.
    Hidden,
    /// Text, and what it cites.
    Text {
        start: usize,
        cited: Vec<Box<RawValue>>,
        cited_bytes: usize,
    },
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
    fn take(&mut self, fields: &Fields<'_>) {
        let Some(data) = fields.data.as_deref() else {
            return;
        };
        if let Err(failure) = self.event(fields.name, data) {
            self.fail(failure);
        }
    }

    /// What breaks after the stop reason takes nothing from the answer, which is whole.
    fn fail(&mut self, failure: Failure) {
        if self.writer.has_finished() {
            self.end();
        } else {
            self.writer.fail(failure);
        }
    }

    fn event(&mut self, name: Option<&[u8]>, data: &[u8]) -> Result<(), Failure> {
        let Some(kind) = event_kind(name, data)? else {
            return Ok(());
        };
        match &*kind {
            b"content_block_delta" => self.delta(parse(data)?),
            b"content_block_start" => self.block_start(parse(data)?)?,
            b"content_block_stop" => {
                let stop: BlockStop = parse(data)?;
                if self.open.as_ref().is_some_and(|open| open.index == stop.index) {
                    self.close_block();
                }
            }
            b"message_start" => self.message_start(&parse::<MessageStart<'_>>(data)?.message),
            b"message_delta" => self.message_delta(parse(data)?),
            b"message_stop" => self.end(),
            b"error" => {
                let unreadable = || garbage("the provider sent an error that cannot be read");
                return Err(within(data).unwrap_or_else(unreadable));
            }
            _ => {}
        }
        Ok(())
    }

    fn message_start(&mut self, message: &Message<'_>) {
        if let Some(usage) = &message.usage {
            self.tally.update(usage);
        }
        let id = message.id.as_ref().map_or("", |id| &id.0);
        self.writer.name(format!("{ID_PREFIX}{id}"));
        self.writer.model(message.model.as_ref().map_or("", |model| &model.0));
        self.writer.start();
    }

    fn block_start(&mut self, event: BlockStart<'_>) -> Result<(), Failure> {
        // The stop of the block before is missing at times.
        self.close_block();
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
                    self.writer.tool_call(number, &id, &original_name(&name), "");
                    OpenBlock::Tool { number, input, fragments: false }
                }
            }
            "thinking" => {
                let fields = fields_of(event.content_block)?;
                let signature = fields.signature.map(|text| text.0.into_owned());
                let signature = signature.unwrap_or_default();
                let text = fields.thinking.map(|text| text.0.into_owned()).unwrap_or_default();
                self.writer.reasoning(&text);
                OpenBlock::Thinking { text, signature, too_long: false }
            }
            "redacted_thinking" => {
                let data = fields_of(event.content_block)?.data;
                OpenBlock::Redacted {
                    data: data.map(|data| data.0.into_owned()).unwrap_or_default(),
                }
            }
            "text" => {
                let fields = fields_of(event.content_block)?;
                let block =
                    OpenBlock::Text { start: self.chars, cited: Vec::new(), cited_bytes: 0 };
                self.open = Some(Open { index: event.index, block });
                self.text(&fields.text.map(|text| text.0).unwrap_or_default());
                for citation in fields.citations.into_iter().flatten() {
                    self.cite(event.index, citation);
                }
                return Ok(());
            }
            _ => OpenBlock::Hidden,
        };
        self.open = Some(Open { index: event.index, block });
        Ok(())
    }

    fn delta(&mut self, event: BlockDelta<'_>) {
        let DeltaFields { kind, text, partial_json, thinking, signature, citation } = event.delta;
        match &*kind.0 {
            "text_delta" => self.text(&text.map(|text| text.0).unwrap_or_default()),
            "citations_delta" => {
                if let Some(citation) = citation {
                    self.cite(event.index, citation);
                }
            }
            "thinking_delta" => {
                let thought = thinking.map(|text| text.0).unwrap_or_default();
                self.writer.reasoning(&thought);
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
                    self.fragment(event.index, &fragment);
                }
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        self.chars += text.chars().count();
        self.writer.text(text);
    }

    /// Keeps what a text cites until it is known where the text ends.
    fn cite(&mut self, index: u64, citation: &RawValue) {
        if let Some(OpenBlock::Text { cited, cited_bytes, .. }) = self.block(index) {
            *cited_bytes += citation.get().len();
            if *cited_bytes <= MAX_CITED_BYTES {
                cited.push(citation.to_owned());
            }
        }
    }

    fn fragment(&mut self, index: u64, text: &str) {
        match self.block(index) {
            Some(OpenBlock::Tool { number, fragments, .. }) => {
                *fragments = true;
                let number = *number;
                self.writer.arguments(number, text);
            }
            Some(OpenBlock::Json { fragments, .. }) => {
                *fragments = true;
                self.text(text);
            }
            // The input of a tool that runs at the provider.
            _ => {}
        }
    }

    fn block(&mut self, index: u64) -> Option<&mut OpenBlock> {
        self.open.as_mut().filter(|open| open.index == index).map(|open| &mut open.block)
    }

    fn close_block(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.block {
            OpenBlock::Text { start, cited, .. } => {
                let cited = cited.iter().filter_map(|raw| Annotation::of(raw, start, self.chars));
                let told = cited.filter_map(|one| serde_json::value::to_raw_value(&one).ok());
                let told: Vec<Box<RawValue>> = told.collect();
                self.writer.annotations(&told.iter().map(|one| &**one).collect::<Vec<_>>());
            }
            OpenBlock::Hidden
            | OpenBlock::Tool { fragments: true, .. }
            | OpenBlock::Json { fragments: true, .. } => {}
            OpenBlock::Tool { number, input, fragments: false } => {
                self.writer.arguments(number, input.as_deref().unwrap_or("{}"));
            }
            OpenBlock::Json { input, fragments: false } => {
                self.text(input.as_deref().unwrap_or("{}"));
            }
            OpenBlock::Thinking { text, signature, too_long } => {
                // Without its signature it was cut off, and could not be replayed.
                if !too_long && !signature.is_empty() {
                    let (thinking, signature) = (&*text, &*signature);
                    self.writer.thinking_block(ThinkingBlock::Thinking { thinking, signature });
                }
            }
            OpenBlock::Redacted { data } => {
                self.writer.thinking_block(ThinkingBlock::RedactedThinking { data: &data });
            }
        }
    }

    fn message_delta(&mut self, event: MessageDelta<'_>) {
        if let Some(usage) = &event.usage {
            self.tally.update(usage);
            self.output_counted = true;
        }
        let Some(reason) = event.delta.stop_reason else {
            return;
        };
        self.close_block();
        if reason.0 == "refusal" {
            let explanation = event.delta.stop_details.and_then(|details| details.explanation);
            self.writer.refusal(&explanation.map(|text| text.0).unwrap_or_default());
        }
        let sequence = event.delta.stop_sequence.as_deref();
        self.write_finish(Some(&reason.0), sequence);
    }

    fn write_finish(&mut self, stop_reason: Option<&str>, stop_sequence: Option<&str>) {
        let native = stop_reason.and_then(native_finish_reason);
        self.writer.finish_as(finish_reason(stop_reason, self.tools > 0), native, stop_sequence);
    }

    /// The end of the stream.
    fn end(&mut self) {
        self.close_block();
        self.write_finish(None, None);
        self.writer.end(self.tally.shown());
    }
}
