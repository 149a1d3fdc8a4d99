//! A stream of Anthropic's, passed on to a client of Anthropic's.
//!
//! The bytes of an event stay as they are. Vendors that copy the API leave out the line that names an
//! event; Anthropic's SDKs skip such events, so it is written for them.

use bytes::Bytes;
use serde::Deserialize;

use super::super::error::{garbage, within};
use super::super::event::{BlockStart, DeltaFields, MessageDelta, MessageStart, event_kind, parse};
use super::super::reply::kind_of;
use super::super::usage::Tally;
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::fields::Text;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, Translate};

/// The event that ends every stream.
const END: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// A stream that is passed on as it comes.
#[derive(Debug)]
pub struct NativeStream {
    splitter: Splitter,
    tally: Tally,
    output_counted: bool,
    text_bytes: u64,
    /// A stop reason has come: the answer is whole even if the last event is missing.
    stopped: bool,
    done: bool,
    failed: bool,
}

impl Default for NativeStream {
    fn default() -> Self {
        Self {
            splitter: Splitter::new(),
            tally: Tally::new(),
            output_counted: false,
            text_bytes: 0,
            stopped: false,
            done: false,
            failed: false,
        }
    }
}

impl NativeStream {
    /// Looks at an event of a kind; true if it brings something of the answer.
    fn look(&mut self, kind: &[u8], data: &[u8]) -> Result<bool, Failure> {
        #[derive(Deserialize)]
        struct Filled<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
            #[serde(borrow, default)]
            thinking: Option<Text<'a>>,
        }
        #[derive(Deserialize)]
        struct AnyDelta<'a> {
            #[serde(borrow)]
            delta: DeltaFields<'a>,
        }

        Ok(match kind {
            b"content_block_delta" => {
                let AnyDelta { delta } = parse(data)?;
                let DeltaFields { text, partial_json, thinking, signature, .. } = delta;
                let generated = [text, partial_json, thinking].into_iter().flatten();
                let bytes: usize = generated.map(|text| text.len()).sum();
                self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
                bytes > 0 || signature.is_some_and(|signature| !signature.is_empty())
            }
            b"content_block_start" => {
                let start: BlockStart<'_> = parse(data)?;
                match &*kind_of(start.content_block)? {
                    "text" | "thinking" => {
                        let filled: Filled<'_> = parse(start.content_block.get().as_bytes())?;
                        let texts = [filled.text, filled.thinking].into_iter().flatten();
                        let bytes: usize = texts.map(|text| text.len()).sum();
                        self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
                        bytes > 0
                    }
                    _ => true,
                }
            }
            b"message_start" => {
                if let Some(usage) = &parse::<MessageStart<'_>>(data)?.message.usage {
                    self.tally.update(usage);
                }
                false
            }
            b"message_delta" => {
                let delta: MessageDelta<'_> = parse(data)?;
                if let Some(usage) = &delta.usage {
                    self.tally.update(usage);
                    self.output_counted = true;
                }
                self.stopped |= delta.delta.stop_reason.is_some();
                self.stopped
            }
            b"message_stop" => {
                self.done = true;
                true
            }
            b"error" => {
                let unreadable = || garbage("the provider sent an error that cannot be read");
                return Err(within(data).unwrap_or_else(unreadable));
            }
            _ => false,
        })
    }
}

impl NativeStream {
    /// Takes one event: whether it brings something, and the event with its name, if it had none.
    fn event(&mut self, bytes: &Bytes) -> Result<(bool, Option<Bytes>), Failure> {
        let fields = Fields::read(bytes);
        let Some(data) = fields.data.as_deref() else { return Ok((false, None)) };
        let Some(kind) = event_kind(fields.name, data)? else { return Ok((false, None)) };
        let meaningful = self.look(&kind, data)?;
        let named = (fields.name != Some(&*kind)).then(|| named(&kind, data));
        Ok((meaningful, named))
    }

    /// What breaks after the stop reason takes nothing from the answer, which is whole.
    fn fail(&mut self, failure: Failure, out: &mut Vec<Bytes>) -> Option<Failure> {
        if self.stopped {
            self.end(out);
            return None;
        }
        self.failed = true;
        Some(failure)
    }

    fn end(&mut self, out: &mut Vec<Bytes>) {
        self.done = true;
        out.push(Bytes::from_static(END));
    }
}

/// The event under its name.
fn named(kind: &[u8], data: &[u8]) -> Bytes {
    let mut event = Vec::with_capacity(kind.len() + data.len() + 16);
    event.extend_from_slice(b"event: ");
    event.extend_from_slice(kind);
    for line in data.split(|byte| *byte == b'\n') {
        event.extend_from_slice(b"\ndata: ");
        event.extend_from_slice(line);
    }
    event.extend_from_slice(b"\n\n");
    event.into()
}

impl Translate for NativeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.splitter.push(chunk);
        while !self.done && !self.failed {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(too_large) => {
                    progress.failure = self.fail(garbage(too_large.to_string()), out);
                    break;
                }
            };
            let bytes = self.splitter.take(&event);
            match self.event(&bytes) {
                Ok((meaningful, named)) => {
                    progress.meaningful |= meaningful;
                    out.push(named.unwrap_or(bytes));
                }
                Err(failure) => {
                    progress.failure = self.fail(failure, out);
                    break;
                }
            }
        }
        progress.done = self.done;
        progress
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if !self.done && !self.failed && self.stopped {
            self.end(out);
        }
        if self.done { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        let usage = self.tally.usage()?;
        if self.output_counted {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.text_bytes / BYTES_PER_TOKEN);
        Some(Usage { output_tokens, estimated: true, ..usage })
    }

    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}
