//! A stream of `/api/chat`, lines of JSON, turned into chat completion chunks.

use bytes::Bytes;

use super::reply::{Line, finish_reason, garbage, id, shown};
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::chat::Writer;
use crate::wire::lines::Lines;
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Turns one reply's lines into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    lines: Lines,
    state: State,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    /// What ids are made from; empty until the first line came.
    seed: String,
    /// Tool calls so far.
    calls: u32,
    usage: Option<Usage>,
}

impl StreamTranslator {
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        let writer = Writer::new(options, "");
        let state = State { writer, seed: String::new(), calls: 0, usage: None };
        Self { lines: Lines::default(), state }
    }
}

impl State {
    fn take(&mut self, line: &[u8]) {
        if let Err(failure) = self.line(line) {
            self.writer.fail(failure);
        }
    }

    fn line(&mut self, text: &[u8]) -> Result<(), Failure> {
        let line = Line::read(text)?;
        if self.seed.is_empty() {
            self.seed = line.seed();
            self.writer.name(id(&self.seed));
            self.writer.model(line.model.as_deref().unwrap_or_default());
        }
        if let Some(message) = &line.message {
            self.writer.start();
            self.writer.reasoning(message.thinking.as_deref().unwrap_or_default());
            let logprobs = line.logprobs();
            let text = message.content.as_deref().unwrap_or_default();
            self.writer.text_with_logprobs(text, logprobs.as_deref());
            for call in message.calls() {
                let id = call.id(&self.seed, self.calls as usize);
                self.writer.tool_call(self.calls, &id, call.name(), &call.arguments());
                self.calls = self.calls.saturating_add(1);
            }
        }
        if line.done {
            self.usage = line.usage();
            self.writer.finish(finish_reason(line.done_reason.as_deref(), self.calls > 0));
            self.writer.end(self.usage.as_ref().map(shown));
        }
        Ok(())
    }
}

impl Translate for StreamTranslator {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let Self { lines, state } = self;
        lines.push(chunk);
        while state.writer.is_reading() {
            match lines.next_line() {
                Ok(Some(line)) => state.take(&line),
                Ok(None) => break,
                Err(too_large) => state.writer.fail(garbage(too_large.to_string())),
            }
        }
        state.writer.take(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let rest = self.lines.rest();
        // A last line without its end counts if it is whole.
        let whole = serde_json::from_slice::<&serde_json::value::RawValue>(&rest).is_ok();
        if self.state.writer.is_reading() && whole {
            self.state.take(&rest);
        }
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
