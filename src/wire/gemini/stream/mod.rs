//! A `streamGenerateContent` stream, turned into chat completion chunks.
//!
//! Each frame is a reply of its own with what is new, and nothing marks the end but the end of the
//! connection: the stream is whole if every candidate has said why it ended. An error comes as a
//! frame or as a bare line of JSON.

mod state;

use bytes::Bytes;
use serde_json::value::RawValue;
use state::State;

use super::error::{garbage, within};
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Turns one reply's frames into chunks.
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

    /// The model that was called, for replies that do not name the one that answers.
    #[must_use]
    pub fn called(mut self, model: &str) -> Self {
        model.clone_into(&mut self.state.called);
        self
    }

    /// The provider's id of the reply and its name of the model; empty before the first frame.
    pub(super) fn names(&self) -> (&str, &str) {
        (&self.state.response_id, &self.state.model)
    }
}

impl Translate for StreamTranslator {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut frames = Vec::new();
        self.splitter.push(chunk);
        while self.state.is_reading() {
            match self.splitter.next_event() {
                Ok(Some(event)) => self.state.take(self.splitter.bytes(&event), &mut frames),
                Ok(None) => {
                    // An error may be a line that no blank line follows.
                    let failure = bare_error(self.splitter.pending());
                    failure.into_iter().for_each(|failure| self.state.fail(failure));
                    break;
                }
                Err(too_large) => self.state.fail(garbage(too_large.to_string())),
            }
        }
        emit(frames, out);
        self.state.progress()
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let mut frames = Vec::new();
        let rest = self.splitter.rest();
        // A frame whose blank line is missing counts if its JSON is whole.
        let data = Fields::read(&rest).data;
        let whole = data.is_some_and(|data| serde_json::from_slice::<&RawValue>(&data).is_ok());
        if self.state.is_reading() && whole {
            self.state.take(&rest, &mut frames);
        }
        let ending = self.state.close(&mut frames);
        emit(frames, out);
        ending
    }

    /// What the reply used. Of a stream that broke off, what was said after the last count is
    /// estimated.
    fn usage(&self) -> Option<Usage> {
        let usage = self.state.counts.as_ref()?.usage();
        if self.state.is_whole() {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.state.text_bytes / BYTES_PER_TOKEN);
        let estimated = output_tokens > usage.output_tokens;
        Some(Usage { output_tokens, estimated, ..usage })
    }

    fn text_bytes(&self) -> u64 {
        self.state.text_bytes
    }
}

fn emit(frames: Vec<u8>, out: &mut Vec<Bytes>) {
    if !frames.is_empty() {
        out.push(frames.into());
    }
}

/// The error in a text that is JSON without an SSE field before it.
fn bare_error(text: &[u8]) -> Option<Failure> {
    let text = text.trim_ascii();
    let is_json =
        matches!(text.first(), Some(b'{' | b'[')) && matches!(text.last(), Some(b'}' | b']'));
    if is_json { within(text) } else { None }
}

/// A line of an event that begins like JSON, to the event's end.
fn bare_json(event: &[u8]) -> Option<&[u8]> {
    let begins = |at: usize| matches!(event.get(at), Some(b'{' | b'['));
    if begins(0) {
        return Some(event);
    }
    let line = memchr::memchr2_iter(b'\n', b'\r', event).find(|end| begins(end + 1))?;
    event.get(line + 1..)
}
