//! Writes the canonical stream of a reply that comes in another dialect.
//!
//! Owns what every such stream has in common: the chunk that names the role comes first, the end of
//! the answer is told once, usage follows it, and `[DONE]` is last.

use bytes::Bytes;

use super::{Chunk, Delta, Function, Image, Raw, Shown, ThinkingBlock, ToolCall, write_done};
use crate::failure::Failure;
use crate::wire::{Ending, Progress, StreamOptions};

/// The chunks of one reply, written as its pieces come.
#[derive(Debug)]
pub struct Writer {
    options: StreamOptions,
    id: String,
    model: String,
    /// Whole events that were not taken yet.
    frames: Vec<u8>,
    /// The first chunk, which names the role, was written.
    started: bool,
    finish_written: bool,
    /// The last chunk was written.
    done: bool,
    failure: Option<Failure>,
    failed: bool,
    meaningful: bool,
    text_bytes: u64,
}

impl Writer {
    #[must_use]
    pub fn new(options: StreamOptions, model: &str) -> Self {
        Self {
            options,
            id: String::new(),
            model: model.to_owned(),
            frames: Vec::new(),
            started: false,
            finish_written: false,
            done: false,
            failure: None,
            failed: false,
            meaningful: false,
            text_bytes: 0,
        }
    }

    /// Neither the end nor a failure has come.
    #[must_use]
    pub const fn is_reading(&self) -> bool {
        !self.done && !self.failed
    }

    /// Bytes of text, reasoning and arguments so far.
    #[must_use]
    pub const fn text_bytes(&self) -> u64 {
        self.text_bytes
    }

    /// The end of the answer was told.
    #[must_use]
    pub const fn has_finished(&self) -> bool {
        self.finish_written
    }

    /// The name of the reply.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Unix time of the request, in seconds.
    #[must_use]
    pub const fn created(&self) -> u64 {
        self.options.created
    }

    /// Names the reply, before anything of it is written.
    pub fn name(&mut self, id: String) {
        if !self.started {
            self.id = id;
        }
    }

    /// The model that answers, where the provider tells it.
    pub fn model(&mut self, model: &str) {
        if !self.started {
            model.clone_into(&mut self.model);
        }
    }

    /// Gives what was written since the last time to `out`.
    pub fn take(&mut self, out: &mut Vec<Bytes>) -> Progress {
        if !self.frames.is_empty() {
            out.push(std::mem::take(&mut self.frames).into());
        }
        Progress {
            meaningful: std::mem::take(&mut self.meaningful),
            done: self.done,
            failure: self.failure.take(),
        }
    }

    /// The provider failed; nothing more is read.
    pub fn fail(&mut self, failure: Failure) {
        if !self.failed {
            self.failed = true;
            self.failure = Some(failure);
        }
    }

    /// The chunk that names the role.
    pub fn start(&mut self) {
        if !self.started {
            self.write(&Delta::Role { role: "assistant", content: "" });
        }
    }

    pub fn text(&mut self, text: &str) {
        self.text_with_logprobs(text, None);
    }

    /// The same with how likely its tokens were, as OpenAI writes it.
    pub fn text_with_logprobs(&mut self, text: &str, logprobs: Option<Raw<'_>>) {
        if self.generated(text) {
            let Self { id, model, options, frames, .. } = self;
            let delta = Delta::Content { content: text };
            let chunk = Chunk::new(id, model, options.created, options.show_usage);
            chunk.with_delta(&delta, None).with_logprobs(logprobs).write(frames);
        }
    }

    pub fn reasoning(&mut self, text: &str) {
        if self.generated(text) {
            self.put(&Delta::Reasoning { reasoning_content: text });
        }
    }

    /// A whole block of reasoning, whose text was told before.
    pub fn thinking_block(&mut self, block: ThinkingBlock<'_>) {
        self.meaningful = true;
        self.put(&Delta::ThinkingBlocks { thinking_blocks: [block] });
    }

    /// An image, by its number; `url` holds it.
    pub fn image(&mut self, number: u32, url: String) {
        self.meaningful = true;
        self.put(&Delta::Images { images: [Image::new(number, url)] });
    }

    pub fn refusal(&mut self, text: &str) {
        if self.generated(text) {
            self.put(&Delta::Refusal { refusal: text });
        }
    }

    /// The beginning of a tool call. Its arguments may come with it.
    pub fn tool_call(&mut self, number: u32, id: &str, name: &str, arguments: &str) {
        self.count(arguments);
        let function = Function { name: Some(name), arguments };
        let call = ToolCall::begin(number, Some(id), function);
        self.put(&Delta::ToolCalls { tool_calls: [call] });
    }

    /// A further piece of a call's arguments.
    pub fn arguments(&mut self, number: u32, piece: &str) {
        if self.generated(piece) {
            let function = Function { name: None, arguments: piece };
            let call = ToolCall::go_on(number, function);
            self.put(&Delta::ToolCalls { tool_calls: [call] });
        }
    }

    pub fn annotations(&mut self, annotations: &[Raw<'_>]) {
        if !annotations.is_empty() {
            self.put(&Delta::Annotations { annotations });
        }
    }

    /// Why the answer ended; only the first word counts.
    pub fn finish(&mut self, reason: &'static str) {
        self.finish_as(reason, None, None);
    }

    /// The same with what Anthropic says besides: see [`super::native_finish_reason`].
    pub fn finish_as(
        &mut self,
        reason: &'static str,
        native: Option<&'static str>,
        stop_sequence: Option<&str>,
    ) {
        if !self.finish_written {
            self.finish_written = true;
            self.meaningful = true;
            self.start();
            let Self { id, model, options, frames, .. } = self;
            let chunk = Chunk::new(id, model, options.created, options.show_usage);
            let chunk = chunk.with_delta(&Delta::Nothing {}, Some(reason));
            chunk.with_native_end(native, stop_sequence).write(frames);
        }
    }

    /// The end of the stream.
    pub fn end(&mut self, usage: Option<Shown>) {
        if !self.is_reading() {
            return;
        }
        if let (true, Some(usage)) = (self.options.show_usage, usage) {
            let chunk = Chunk::new(&self.id, &self.model, self.options.created, true);
            chunk.with_usage(usage).write(&mut self.frames);
        }
        write_done(&mut self.frames);
        self.done = true;
    }

    #[must_use]
    pub const fn ending(&self) -> Ending {
        if self.done { Ending::Complete } else { Ending::Cut }
    }

    /// Counts generated text.
    const fn count(&mut self, text: &str) {
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        self.meaningful = true;
    }

    /// A chunk that counts for nothing: neither as generated text nor as the beginning of a reply.
    fn put(&mut self, delta: &Delta<'_>) {
        self.start();
        self.write(delta);
    }

    fn write(&mut self, delta: &Delta<'_>) {
        self.started = true;
        let Self { id, model, options, frames, .. } = self;
        let chunk = Chunk::new(id, model, options.created, options.show_usage);
        chunk.with_delta(delta, None).write(frames);
    }

    /// Counts generated text; false if there is none.
    fn generated(&mut self, text: &str) -> bool {
        if !text.is_empty() {
            self.count(text);
            self.start();
        }
        !text.is_empty()
    }
}
