//! A ConverseStream, turned into chat completion chunks.
//!
//! A block of text or reasoning is not announced: it begins with its first delta. Usage comes after
//! the reason for the end, so the stream is done only then. One frame is held at a time, and of the
//! open block what must be said at its end: reasoning goes back to the client whole, because it has
//! to be sent back whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{garbage, within};
use super::frame::{Decoder, Frame};
use super::reply::{Citation, ToolUse, finish_reason, id_of, is_malformed, malformed};
use super::usage::{Written, shown};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::anthropic::names::{JSON_TOOL, original_name};
use crate::wire::chat::{Chunk, Delta, Function, Image, ThinkingBlock, ToolCall, write_done};
use crate::wire::fields::Text;
use crate::wire::{Ending, Origin, Progress, StreamOptions, Translate};

/// Bound of one block of reasoning. A longer one is streamed like any other, but is not given back
/// whole.
const MAX_REASONING: usize = 4 * 1024 * 1024;
/// An image that is longer than this is left out: as much as a frame of Amazon's holds.
const MAX_IMAGE: usize = 24 * 1024 * 1024;

/// Turns one reply's frames into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    decoder: Decoder,
    state: State,
}

impl StreamTranslator {
    #[must_use]
    pub fn new(options: StreamOptions, origin: &Origin<'_>) -> Self {
        // Amazon names every request; where a proxy took the name away, the time has to do.
        let id = id_of(origin, &options.created.to_be_bytes());
        Self { decoder: Decoder::new(), state: State::new(options, id, origin.model.to_owned()) }
    }
}

impl Translate for StreamTranslator {
    /// Takes one read and appends whole chunks for the client to `out`, all in one piece of memory.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut chunks = Vec::new();
        self.decoder.push(&chunk);
        while self.state.is_reading() {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => self.state.take(&frame, &mut chunks),
                Ok(None) => break,
                Err(broken) => self.state.fail(garbage(broken.to_string())),
            }
        }
        emit(chunks, out);
        self.state.progress()
    }

    /// The provider closed the stream. Without usage it is whole if the reason for the end came.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let mut chunks = Vec::new();
        if self.state.is_reading() && self.state.finish_written {
            self.state.end(&mut chunks);
        }
        emit(chunks, out);
        if self.state.done { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    /// Bytes of text, reasoning and arguments that were generated so far.
    fn text_bytes(&self) -> u64 {
        self.state.text_bytes
    }
}

fn emit(chunks: Vec<u8>, out: &mut Vec<Bytes>) {
    if !chunks.is_empty() {
        out.push(chunks.into());
    }
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
    /// Letters of text written, by which citations are placed.
    letters: usize,
    finish_written: bool,
    /// The last chunk was written.
    done: bool,
    failure: Option<Failure>,
    failed: bool,
    meaningful: bool,
    usage: Option<Usage>,
    text_bytes: u64,
    /// Images begun so far.
    images: u32,
}

/// The content block that is being written.
#[derive(Debug)]
struct Open {
    index: u64,
    block: OpenBlock,
}

#[derive(Debug)]
enum OpenBlock {
    /// Text, from the letter at which it began; or a block that the client is not shown.
    Plain {
        start: usize,
    },
    /// A tool call, by its number.
    Tool {
        number: u32,
        fragments: bool,
    },
    /// The tool call that stands for an answer in JSON.
    Json {
        fragments: bool,
    },
    /// What runs at the provider.
    Hidden,
    Reasoning(Reasoned),
    Image(Picture),
}

/// An image so far; the client gets it whole.
#[derive(Debug, Default)]
struct Picture {
    format: String,
    data: Vec<u8>,
    /// Too long to be kept, or in part unreadable.
    spoilt: bool,
}

impl Picture {
    fn add(&mut self, encoded: &str) {
        match STANDARD.decode(encoded) {
            Ok(data) if self.data.len() + data.len() <= MAX_IMAGE => self.data.extend(data),
            Ok(_) | Err(_) => self.spoilt = true,
        }
        if self.spoilt {
            self.data = Vec::new();
        }
    }
}

#[derive(Debug, Default)]
struct Reasoned {
    text: String,
    signature: String,
    redacted: Vec<u8>,
    /// Too long to be kept, or in part unreadable.
    spoilt: bool,
}

impl Reasoned {
    fn keep(&mut self, more: usize) -> bool {
        let length = self.text.len() + self.signature.len() + self.redacted.len() + more;
        self.spoilt |= length > MAX_REASONING;
        if self.spoilt {
            *self = Self { spoilt: true, ..Self::default() };
        }
        !self.spoilt
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStart<'a> {
    content_block_index: u64,
    #[serde(borrow)]
    start: Start<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Start<'a> {
    #[serde(borrow, default)]
    tool_use: Option<ToolUse<'a>>,
    #[serde(borrow, default)]
    image: Option<ImageStart<'a>>,
}

#[derive(Deserialize)]
struct ImageStart<'a> {
    #[serde(borrow, default)]
    format: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    content_block_index: u64,
    #[serde(borrow)]
    delta: Deltas<'a>,
}

/// One of these is there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deltas<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    tool_use: Option<Fragment<'a>>,
    #[serde(borrow, default)]
    reasoning_content: Option<ReasoningDelta<'a>>,
    #[serde(borrow, default)]
    citation: Option<Citation<'a>>,
    #[serde(borrow, default)]
    image: Option<ImageDelta<'a>>,
}

#[derive(Deserialize)]
struct ImageDelta<'a> {
    #[serde(borrow, default)]
    source: Option<ImageBytes<'a>>,
}

#[derive(Deserialize)]
struct ImageBytes<'a> {
    #[serde(borrow, default)]
    bytes: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Fragment<'a> {
    #[serde(borrow, default)]
    input: Text<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReasoningDelta<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    redacted_content: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlockStop {
    content_block_index: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageStop<'a> {
    #[serde(borrow, default)]
    stop_reason: Text<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow, default)]
    usage: Option<Written<'a>>,
}

fn parse<'a, T: Deserialize<'a>>(payload: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_slice(payload)
        .map_err(|_| garbage("an event of the provider's stream cannot be read"))
}

impl State {
    const fn new(options: StreamOptions, id: String, model: String) -> Self {
        Self {
            options,
            id,
            model,
            started: false,
            open: None,
            tools: 0,
            images: 0,
            letters: 0,
            finish_written: false,
            done: false,
            failure: None,
            failed: false,
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

    fn take(&mut self, frame: &Frame, out: &mut Vec<u8>) {
        let taken = match frame.header(":message-type") {
            Some("event") => {
                self.event(frame.header(":event-type").unwrap_or_default(), &frame.payload, out)
            }
            Some("exception" | "error") => Err(within(frame)),
            // A type that is newer than this program.
            Some(_) => Ok(()),
            None => Err(garbage("a frame of the provider's stream has no type")),
        };
        if let Err(failure) = taken {
            self.fail(failure);
        }
    }

    fn event(&mut self, kind: &str, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match kind {
            "contentBlockDelta" => self.delta(&parse(payload)?, out),
            "contentBlockStart" => self.block_start(&parse(payload)?, out),
            "contentBlockStop" => {
                let stop: BlockStop = parse(payload)?;
                if self.open.as_ref().is_some_and(|open| open.index == stop.content_block_index) {
                    self.close_block(out);
                }
            }
            "messageStart" => self.start(out),
            "messageStop" => self.message_stop(&parse::<MessageStop<'_>>(payload)?, out)?,
            "metadata" => {
                let metadata: Metadata<'_> = parse(payload)?;
                self.usage = metadata.usage.as_ref().map(Written::usage).or(self.usage);
                if self.finish_written {
                    self.end(out);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            self.write(&Delta::Role { role: "assistant", content: "" }, None, out);
        }
    }

    fn block_start(&mut self, event: &BlockStart<'_>, out: &mut Vec<u8>) {
        // The stop of the block before is missing at times.
        self.close_block(out);
        let block = match &event.start.tool_use {
            Some(tool) if tool.kind.is_none() && &*tool.name == JSON_TOOL => {
                OpenBlock::Json { fragments: false }
            }
            Some(tool) if tool.kind.is_none() => {
                let number = self.tools;
                self.tools += 1;
                let name = original_name(&tool.name);
                let function = Function { name: Some(&name), arguments: "" };
                self.tool_call(ToolCall::begin(number, Some(&tool.tool_use_id), function), out);
                OpenBlock::Tool { number, fragments: false }
            }
            Some(_) => OpenBlock::Hidden,
            None => match &event.start.image {
                Some(image) => {
                    let format = image.format.to_string();
                    OpenBlock::Image(Picture { format, ..Picture::default() })
                }
                None => OpenBlock::Hidden,
            },
        };
        self.open = Some(Open { index: event.content_block_index, block });
    }

    /// The block with this index, which begins now if no other event said so before.
    fn block(&mut self, index: u64, begun: OpenBlock, out: &mut Vec<u8>) -> &mut OpenBlock {
        if self.open.as_ref().is_none_or(|open| open.index != index) {
            self.close_block(out);
        }
        &mut self.open.get_or_insert(Open { index, block: begun }).block
    }

    fn delta(&mut self, event: &BlockDelta<'_>, out: &mut Vec<u8>) {
        let index = event.content_block_index;
        if let Some(text) = &event.delta.text {
            let start = self.letters;
            self.block(index, OpenBlock::Plain { start }, out);
            self.text(text, out);
        }
        if let Some(fragment) = &event.delta.tool_use {
            self.fragment(index, &fragment.input, out);
        }
        if let Some(reasoning) = &event.delta.reasoning_content {
            self.reasoning_delta(index, reasoning, out);
        }
        if let Some(image) = &event.delta.image
            && let Some(data) = image.source.as_ref().and_then(|source| source.bytes.as_deref())
            && let OpenBlock::Image(picture) =
                self.block(index, OpenBlock::Image(Picture::default()), out)
        {
            picture.add(data);
        }
        if let Some(citation) = &event.delta.citation {
            let end = self.letters;
            let start = match self.block(index, OpenBlock::Plain { start: end }, out) {
                OpenBlock::Plain { start } => *start,
                _ => end,
            };
            if let Some(annotation) = citation.annotation(start, end) {
                let annotation: &RawValue = &annotation;
                self.start(out);
                self.write(&Delta::Annotations { annotations: &[annotation] }, None, out);
            }
        }
    }

    fn fragment(&mut self, index: u64, text: &str, out: &mut Vec<u8>) {
        let block = self.open.as_mut().filter(|open| open.index == index);
        match block.map(|open| &mut open.block) {
            Some(OpenBlock::Tool { number, fragments }) => {
                *fragments |= !text.is_empty();
                let number = *number;
                self.arguments(number, text, out);
            }
            Some(OpenBlock::Json { fragments }) => {
                *fragments |= !text.is_empty();
                self.text(text, out);
            }
            // The input of a tool that runs at the provider.
            _ => {}
        }
    }

    fn reasoning_delta(&mut self, index: u64, delta: &ReasoningDelta<'_>, out: &mut Vec<u8>) {
        let begun = OpenBlock::Reasoning(Reasoned::default());
        if let OpenBlock::Reasoning(reasoned) = self.block(index, begun, out) {
            if let Some(text) = delta.text.as_deref().filter(|text| reasoned.keep(text.len())) {
                reasoned.text.push_str(text);
            }
            if let Some(proof) = delta.signature.as_deref().filter(|it| reasoned.keep(it.len())) {
                reasoned.signature.push_str(proof);
            }
            if let Some(data) = delta.redacted_content.as_deref() {
                match STANDARD.decode(data) {
                    Ok(data) if reasoned.keep(data.len()) => reasoned.redacted.extend(data),
                    Ok(_) => {}
                    Err(_) => reasoned.spoilt = true,
                }
            }
        }
        if let Some(text) = delta.text.as_deref()
            && self.generated(text, out)
        {
            self.write(&Delta::Reasoning { reasoning_content: text }, None, out);
        }
    }

    fn close_block(&mut self, out: &mut Vec<u8>) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.block {
            OpenBlock::Plain { .. }
            | OpenBlock::Hidden
            | OpenBlock::Tool { fragments: true, .. }
            | OpenBlock::Json { fragments: true } => {}
            OpenBlock::Tool { number, fragments: false } => self.arguments(number, "{}", out),
            OpenBlock::Json { fragments: false } => self.text("{}", out),
            OpenBlock::Image(picture) => self.image(&picture, out),
            OpenBlock::Reasoning(Reasoned { spoilt: true, .. }) => {}
            OpenBlock::Reasoning(Reasoned { text, signature, redacted, .. }) => {
                // Without its signature it was cut off, or is of a model that takes none back.
                if !signature.is_empty() {
                    let (thinking, signature) = (&*text, &*signature);
                    self.reasoned(ThinkingBlock::Thinking { thinking, signature }, out);
                }
                if !redacted.is_empty() {
                    let data = STANDARD.encode(redacted);
                    self.reasoned(ThinkingBlock::RedactedThinking { data: &data }, out);
                }
            }
        }
    }

    fn message_stop(&mut self, event: &MessageStop<'_>, out: &mut Vec<u8>) -> Result<(), Failure> {
        let reason = &*event.stop_reason;
        self.close_block(out);
        if is_malformed(reason) && self.text_bytes == 0 && self.tools == 0 && self.images == 0 {
            return Err(malformed(reason));
        }
        if !self.finish_written {
            self.finish_written = true;
            self.meaningful = true;
            self.start(out);
            let reason = finish_reason(reason, self.tools > 0);
            self.write(&Delta::Nothing {}, Some(reason), out);
        }
        // Usage comes last, but need not.
        if self.usage.is_some() {
            self.end(out);
        }
        Ok(())
    }

    /// The last chunks: nothing of the stream is missing but, perhaps, its usage.
    fn end(&mut self, out: &mut Vec<u8>) {
        if let (true, Some(usage)) = (self.options.show_usage, &self.usage) {
            self.chunk().with_usage(shown(usage)).write(out);
        }
        write_done(out);
        self.done = true;
    }

    fn text(&mut self, text: &str, out: &mut Vec<u8>) {
        if self.generated(text, out) {
            self.letters = self.letters.saturating_add(text.chars().count());
            self.write(&Delta::Content { content: text }, None, out);
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

    fn image(&mut self, picture: &Picture, out: &mut Vec<u8>) {
        if picture.data.is_empty() {
            return;
        }
        let format = if picture.format.is_empty() { "png" } else { &picture.format };
        let url = format!("data:image/{format};base64,{}", STANDARD.encode(&picture.data));
        let image = Image::new(self.images, url);
        self.images += 1;
        self.meaningful = true;
        self.start(out);
        self.write(&Delta::Images { images: [image] }, None, out);
    }

    fn reasoned(&mut self, block: ThinkingBlock<'_>, out: &mut Vec<u8>) {
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
