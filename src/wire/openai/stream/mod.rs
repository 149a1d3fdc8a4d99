//! Relays a stream of chunks in OpenAI's format to a client of the same format.
//!
//! Every event is scanned ([`Chunk`]) and, as a rule, passed on as the bytes that were read:
//! neighbouring events leave as one slice. A [`Rewrite`] says which events are not.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;

use super::chunk::Chunk;
use super::error::ErrorBody;
use super::likeness::Likeness;
use super::usage;
use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;
use crate::wire::json::Object;
use crate::wire::sse::{Event, Fields, Splitter, event};
use crate::wire::stream::{Ending, Progress, StreamOptions};

/// The event that ends a stream.
const DONE: &[u8] = b"data: [DONE]\n\n";

/// How a provider's chunks become the client's.
pub trait Rewrite: Default + fmt::Debug {
    /// Comments (keep-alives of the provider) go on to the client.
    fn keeps_comments(options: &StreamOptions) -> bool;

    /// Decides on one chunk.
    ///
    /// # Errors
    /// The chunk says that the provider failed.
    fn chunk(
        &mut self,
        chunk: &Chunk,
        data: &[u8],
        options: &StreamOptions,
    ) -> Result<Verdict, Failure>;

    /// What the client still has to get before `[DONE]`: whole events, or nothing.
    fn closing(&mut self, options: &StreamOptions) -> Bytes {
        let _nothing_to_close = options;
        Bytes::new()
    }
}

/// What becomes of one event.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is passed on as it is.
    Keep,
    /// The client does not see it.
    Drop,
    /// The client gets these events instead.
    Replace(Bytes),
}

/// Chunks of a provider that follows OpenAI: they are passed as they were sent.
#[derive(Debug, Default)]
pub struct AsSent;

impl Rewrite for AsSent {
    fn keeps_comments(_: &StreamOptions) -> bool {
        true
    }

    fn chunk(&mut self, _: &Chunk, _: &[u8], _: &StreamOptions) -> Result<Verdict, Failure> {
        Ok(Verdict::Keep)
    }
}

/// A stream between a provider and a client that both speak OpenAI's format.
#[derive(Debug)]
pub struct ChatStream<R> {
    splitter: Splitter,
    tally: Tally<R>,
}

/// Everything about the stream except where its events begin and end.
#[derive(Debug)]
struct Tally<R> {
    options: StreamOptions,
    rewrite: R,
    likeness: Likeness,
    usage: Option<Usage>,
    text_bytes: u64,
    /// A choice has ended.
    finished: bool,
    /// `[DONE]` was seen.
    done: bool,
    /// An error was seen: nothing that follows is read.
    failed: bool,
}

impl<R: Rewrite> ChatStream<R> {
    #[must_use]
    pub fn new(options: StreamOptions) -> Self {
        Self {
            splitter: Splitter::new(),
            tally: Tally {
                options,
                rewrite: R::default(),
                likeness: Likeness::default(),
                usage: None,
                text_bytes: 0,
                finished: false,
                done: false,
                failed: false,
            },
        }
    }

    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        let Self { splitter, tally } = self;
        if tally.over() {
            progress.done = tally.done;
            return progress;
        }
        splitter.push(chunk);
        // Neighbouring events that are passed on are gathered into one slice of the chunk.
        let mut run: Range<usize> = 0..0;
        while !tally.over() {
            let event = match splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    progress.failure = Some(server_failure(error.to_string()));
                    tally.failed = true;
                    break;
                }
            };
            let verdict = match tally.judge(&splitter.fields(&event), &mut progress) {
                Ok(verdict) => verdict,
                Err(failure) => {
                    progress.failure = Some(failure);
                    tally.failed = true;
                    break;
                }
            };
            match (verdict, event) {
                (Verdict::Keep, Event::Here(range)) if range.start == run.end => {
                    run.end = range.end;
                }
                (Verdict::Keep, event) => {
                    splitter.flush(&mut run, out);
                    match event {
                        Event::Here(range) => run = range,
                        Event::Joined => out.push(splitter.take(&event)),
                    }
                }
                (Verdict::Replace(events), _) => {
                    splitter.flush(&mut run, out);
                    out.push(events);
                }
                (Verdict::Drop, _) => {}
            }
        }
        splitter.flush(&mut run, out);
        progress.done = tally.done;
        progress
    }

    pub fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let Self { splitter, tally } = self;
        if tally.failed {
            return Ending::Cut;
        }
        if !tally.done {
            // Some servers forget the blank line after their last event. An event that is complete
            // in itself is believed.
            let rest = splitter.rest();
            let fields = Fields::read(&rest);
            if fields.data.as_deref().is_some_and(|data| !data.trim_ascii().is_empty()) {
                match tally.judge(&fields, &mut Progress::default()) {
                    Ok(Verdict::Keep) => {
                        out.push(event(fields.data.as_deref().unwrap_or_default()));
                    }
                    Ok(Verdict::Replace(events)) => out.push(events),
                    Ok(Verdict::Drop) => {}
                    // Cut in the middle of an event, or an error: the same for the client.
                    Err(_) if tally.finished => {}
                    Err(_) => return Ending::Cut,
                }
            }
        }
        if tally.done {
            return Ending::Complete;
        }
        if !tally.finished {
            return Ending::Cut;
        }
        out.push(tally.close());
        tally.done = true;
        Ending::Complete
    }

    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        self.tally.usage
    }

    #[must_use]
    pub const fn text_bytes(&self) -> u64 {
        self.tally.text_bytes
    }
}

impl<R: Rewrite> Tally<R> {
    const fn over(&self) -> bool {
        self.done || self.failed
    }

    fn judge(&mut self, fields: &Fields<'_>, progress: &mut Progress) -> Result<Verdict, Failure> {
        let comment = if R::keeps_comments(&self.options) { Verdict::Keep } else { Verdict::Drop };
        let Some(data) = fields.data.as_deref().map(<[u8]>::trim_ascii) else {
            return Ok(comment);
        };
        if data.is_empty() {
            return Ok(comment);
        }
        if data == b"[DONE]" {
            self.done = true;
            let closing = self.close();
            return Ok(if closing.len() == DONE.len() {
                Verdict::Keep
            } else {
                Verdict::Replace(closing)
            });
        }
        let chunk = self
            .likeness
            .scan(data)
            .map_err(|_| server_failure("the provider sent an event that is not JSON"))?;
        if chunk.error || fields.name == Some(b"error") {
            return Err(failure_in(data));
        }
        if let Some(span) = &chunk.usage {
            let usage = usage::read(&data[span.clone()], self.options.quirks);
            self.usage = usage.or(self.usage);
        }
        let verdict = self.rewrite.chunk(&chunk, data, &self.options)?;
        self.text_bytes += chunk.text_bytes;
        self.finished |= chunk.finish;
        progress.meaningful |= chunk.meaningful && verdict != Verdict::Drop;
        // A chunk that only counts tokens is for the gateway, unless the client asked for it.
        if chunk.usage.is_some() && !chunk.choices && !self.options.show_usage {
            return Ok(Verdict::Drop);
        }
        if let Some(Range { start, end }) = chunk.null_usage
            && verdict == Verdict::Keep
            && self.options.hides_usage()
        {
            return Ok(Verdict::Replace(event(&[&data[..start], &data[end..]].concat())));
        }
        match verdict {
            // The clients of some providers read nothing from events with a name.
            Verdict::Keep if fields.name.is_some() => Ok(Verdict::Replace(event(data))),
            verdict => Ok(verdict),
        }
    }

    /// The events that end the stream for the client.
    fn close(&mut self) -> Bytes {
        let closing = self.rewrite.closing(&self.options);
        if closing.is_empty() {
            return Bytes::from_static(DONE);
        }
        Bytes::from([&closing, DONE].concat())
    }
}

/// The failure that a chunk with an error in it means.
fn failure_in(data: &[u8]) -> Failure {
    let whole = serde_json::from_slice::<serde_json::Value>(data).unwrap_or_default();
    let nested = || {
        let choices = whole.get("choices")?.as_array()?;
        choices.iter().find_map(ErrorBody::of).or_else(|| ErrorBody::of(whole.get("x_groq")?))
    };
    // An event that is named so may be the error itself.
    let itself = || ErrorBody::of(&serde_json::json!({"error": whole}));
    ErrorBody::of(&whole)
        .or_else(nested)
        .or_else(itself)
        .map_or_else(|| server_failure("the provider sent an error"), ErrorBody::into_failure)
}

pub(super) fn server_failure(message: impl Into<String>) -> Failure {
    Failure::new(FailureClass::Server, message)
}

/// A chunk to be edited. The scan has accepted it; what it does not check is UTF-8.
pub(super) fn object(data: &[u8]) -> Result<Object, Failure> {
    Object::parse(Bytes::copy_from_slice(data))
        .map_err(|_| server_failure("the provider sent an event that is not JSON"))
}

/// A set of choices, by their index. Only the first 128 are kept apart; no provider offers more.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ChoiceSet(u128);

impl ChoiceSet {
    pub(super) const LIMIT: u64 = u128::BITS as u64;

    pub(super) const fn add(&mut self, index: u64) {
        if index < Self::LIMIT {
            self.0 |= 1 << index;
        }
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn contains(self, index: u64) -> bool {
        index < Self::LIMIT && self.0 >> index & 1 == 1
    }

    /// Those that are in this set and not in the other.
    pub(super) fn missing_in(self, other: Self) -> impl Iterator<Item = u64> {
        (0..Self::LIMIT).filter(move |index| self.contains(*index) && !other.contains(*index))
    }
}

#[cfg(test)]
mod tests;
