//! A ConverseStream, turned into chat completion chunks.
//!
//! A block of text or reasoning is not announced: it begins with its first delta. Usage comes after
//! the reason for the end, so the stream is done only then. One frame is held at a time, and of the
//! open block what must be said at its end: reasoning goes back to the client whole, because it has
//! to be sent back whole.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::error::{garbage, within};
use super::event::{
    BlockDelta, BlockStart, BlockStop, MessageStop, Metadata, ReasoningDelta, parse,
};
use super::frame::{Decoder, Frame};
use super::reply::{Additional, finish_reason, id_of, is_lost, malformed};
use super::usage::{Written, shown};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::anthropic::names::{JSON_TOOL, original_name};
use crate::wire::chat::{ThinkingBlock, Writer, native_finish_reason};
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
        let mut writer = Writer::new(options, origin.model);
        // Amazon names every request; where a proxy took the name away, the time has to do.
        writer.name(id_of(origin, &options.created.to_be_bytes()));
        let state = State { writer, open: None, tools: 0, images: 0, letters: 0, usage: None };
        Self { decoder: Decoder::new(), state }
    }
}

impl Translate for StreamTranslator {
    /// Takes one read and appends whole chunks for the client to `out`, all in one piece of memory.
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let Self { decoder, state } = self;
        decoder.push(&chunk);
        while state.writer.is_reading() {
            match decoder.next_frame() {
                Ok(Some(frame)) => state.take(&frame),
                Ok(None) => break,
                Err(broken) => state.writer.fail(garbage(broken.to_string())),
            }
        }
        state.writer.take(out)
    }

    /// The provider closed the stream. Without usage it is whole if the reason for the end came.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if self.state.writer.has_finished() {
            self.state.end();
        }
        let _reported = self.state.writer.take(out);
        self.state.writer.ending()
    }

    fn usage(&self) -> Option<Usage> {
        self.state.usage
    }

    /// Bytes of text, reasoning and arguments that were generated so far.
    fn text_bytes(&self) -> u64 {
        self.state.writer.text_bytes()
    }
}

#[derive(Debug)]
struct State {
    writer: Writer,
    open: Option<Open>,
    /// Tool calls begun. OpenAI numbers them apart from other blocks.
    tools: u32,
    /// Images that the client has.
    images: u32,
    /// Letters of text written, by which citations are placed.
    letters: usize,
    usage: Option<Usage>,
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

impl State {
    fn take(&mut self, frame: &Frame) {
        let taken = match frame.header(":message-type") {
            Some("event") => {
                self.event(frame.header(":event-type").unwrap_or_default(), &frame.payload)
            }
            Some("exception" | "error") => Err(within(frame)),
            // A type that is newer than this program.
            Some(_) => Ok(()),
            None => Err(garbage("a frame of the provider's stream has no type")),
        };
        if let Err(failure) = taken {
            self.writer.fail(failure);
        }
    }

    fn event(&mut self, kind: &str, payload: &[u8]) -> Result<(), Failure> {
        match kind {
            "contentBlockDelta" => self.delta(&parse(payload)?),
            "contentBlockStart" => self.block_start(&parse(payload)?),
            "contentBlockStop" => {
                let stop: BlockStop = parse(payload)?;
                if self.open.as_ref().is_some_and(|open| open.index == stop.content_block_index) {
                    self.close_block();
                }
            }
            "messageStart" => self.writer.start(),
            "messageStop" => self.message_stop(parse(payload)?)?,
            "metadata" => {
                let metadata: Metadata<'_> = parse(payload)?;
                self.usage = metadata.usage.as_ref().map(Written::usage).or(self.usage);
                if self.writer.has_finished() {
                    self.end();
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn block_start(&mut self, event: &BlockStart<'_>) {
        // The stop of the block before is missing at times.
        self.close_block();
        let block = match &event.start.tool_use {
            Some(tool) if tool.kind.is_none() && &*tool.name == JSON_TOOL => {
                OpenBlock::Json { fragments: false }
            }
            Some(tool) if tool.kind.is_none() => {
                let number = self.tools;
                self.tools += 1;
                let name = original_name(&tool.name);
                self.writer.tool_call(number, &tool.tool_use_id, &name, "");
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
    fn block(&mut self, index: u64, begun: OpenBlock) -> &mut OpenBlock {
        if self.open.as_ref().is_none_or(|open| open.index != index) {
            self.close_block();
        }
        &mut self.open.get_or_insert(Open { index, block: begun }).block
    }

    fn delta(&mut self, event: &BlockDelta<'_>) {
        let index = event.content_block_index;
        if let Some(text) = &event.delta.text {
            let start = self.letters;
            self.block(index, OpenBlock::Plain { start });
            self.text(text);
        }
        if let Some(fragment) = &event.delta.tool_use {
            self.fragment(index, &fragment.input);
        }
        if let Some(reasoning) = &event.delta.reasoning_content {
            self.reasoning_delta(index, reasoning);
        }
        if let Some(image) = &event.delta.image
            && let Some(data) = image.source.as_ref().and_then(|source| source.bytes.as_deref())
            && let OpenBlock::Image(picture) =
                self.block(index, OpenBlock::Image(Picture::default()))
        {
            picture.add(data);
        }
        if let Some(citation) = &event.delta.citation {
            let end = self.letters;
            let start = match self.block(index, OpenBlock::Plain { start: end }) {
                OpenBlock::Plain { start } => *start,
                _ => end,
            };
            if let Some(annotation) = citation.annotation(start, end) {
                self.writer.annotations(&[&annotation]);
            }
        }
    }

    fn fragment(&mut self, index: u64, text: &str) {
        let block = self.open.as_mut().filter(|open| open.index == index);
        match block.map(|open| &mut open.block) {
            Some(OpenBlock::Tool { number, fragments }) => {
                *fragments |= !text.is_empty();
                self.writer.arguments(*number, text);
            }
            Some(OpenBlock::Json { fragments }) => {
                *fragments |= !text.is_empty();
                self.text(text);
            }
            // The input of a tool that runs at the provider.
            _ => {}
        }
    }

    fn reasoning_delta(&mut self, index: u64, delta: &ReasoningDelta<'_>) {
        let begun = OpenBlock::Reasoning(Reasoned::default());
        if let OpenBlock::Reasoning(reasoned) = self.block(index, begun) {
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
        self.writer.reasoning(delta.text.as_deref().unwrap_or_default());
    }

    fn close_block(&mut self) {
        let Some(open) = self.open.take() else {
            return;
        };
        match open.block {
            OpenBlock::Plain { .. }
            | OpenBlock::Hidden
            | OpenBlock::Tool { fragments: true, .. }
            | OpenBlock::Json { fragments: true } => {}
            OpenBlock::Tool { number, fragments: false } => self.writer.arguments(number, "{}"),
            OpenBlock::Json { fragments: false } => self.text("{}"),
            OpenBlock::Image(picture) => self.image(&picture),
            OpenBlock::Reasoning(Reasoned { spoilt: true, .. }) => {}
            OpenBlock::Reasoning(Reasoned { text, signature, redacted, .. }) => {
                // Without its signature it was cut off, or is of a model that takes none back.
                if !signature.is_empty() {
                    let (thinking, signature) = (&*text, &*signature);
                    self.writer.thinking_block(ThinkingBlock::Thinking { thinking, signature });
                }
                if !redacted.is_empty() {
                    let data = STANDARD.encode(redacted);
                    self.writer.thinking_block(ThinkingBlock::RedactedThinking { data: &data });
                }
            }
        }
    }

    fn image(&mut self, picture: &Picture) {
        if picture.data.is_empty() {
            return;
        }
        let format = if picture.format.is_empty() { "png" } else { &picture.format };
        let url = format!("data:image/{format};base64,{}", STANDARD.encode(&picture.data));
        self.writer.image(self.images, url);
        self.images += 1;
    }

    fn message_stop(&mut self, event: MessageStop<'_>) -> Result<(), Failure> {
        let reason = &*event.stop_reason;
        self.close_block();
        let is_empty = self.writer.text_bytes() == 0 && self.tools + self.images == 0;
        if is_lost(reason, is_empty) {
            return Err(malformed(reason));
        }
        let sequence = event.additional_model_response_fields.and_then(Additional::stop_sequence);
        self.writer.finish_as(
            finish_reason(reason, self.tools > 0),
            native_finish_reason(reason),
            sequence.as_deref(),
        );
        // Usage comes last, but need not.
        if self.usage.is_some() {
            self.end();
        }
        Ok(())
    }

    /// The last chunks: nothing of the stream is missing but, perhaps, its usage.
    fn end(&mut self) {
        self.writer.end(self.usage.as_ref().map(shown));
    }

    fn text(&mut self, text: &str) {
        self.letters = self.letters.saturating_add(text.chars().count());
        self.writer.text(text);
    }
}
