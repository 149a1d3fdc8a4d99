//! Streams of images, sound and transcripts: passed on as they are sent.

use bytes::Bytes;

use super::{Endpoint, Quirks, Usage, usage};
use crate::failure::{Failure, FailureClass};
use crate::wire::json::Object;
use crate::wire::openai::{self, ErrorBody};
use crate::wire::sse::Splitter;
use crate::wire::{Ending, Progress, Translate};

/// A reply of bytes that mean nothing here.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByteStream;

impl ByteStream {
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let progress = Progress { meaningful: !chunk.is_empty(), ..Progress::default() };
        out.push(chunk);
        progress
    }

    /// HTTP itself says where such a body ends.
    pub fn finish(&mut self, _out: &mut Vec<Bytes>) -> Ending {
        Ending::Complete
    }

    #[must_use]
    pub const fn usage(&self) -> Option<Usage> {
        None
    }

    #[must_use]
    pub const fn text_bytes(&self) -> u64 {
        0
    }
}

/// Events of OpenAI's APIs for images, speech and transcripts. Each says in `type` what it is; the
/// last one has the usage.
#[derive(Debug)]
pub struct MediaEvents {
    api: Endpoint,
    splitter: Splitter,
    usage: Option<Usage>,
    images: u64,
    /// The last event was a part of something that goes on.
    open: bool,
    done: bool,
    failed: bool,
}

impl MediaEvents {
    #[must_use]
    pub fn new(api: Endpoint) -> Self {
        Self {
            api,
            splitter: Splitter::new(),
            usage: None,
            images: 0,
            open: true,
            done: false,
            failed: false,
        }
    }

    fn judge(&mut self, data: &[u8], progress: &mut Progress) -> Result<(), Failure> {
        if data == b"[DONE]" {
            (self.done, self.open) = (true, false);
            return Ok(());
        }
        let event = Object::parse(Bytes::copy_from_slice(data)).map_err(|_| {
            Failure::new(FailureClass::Server, "the provider sent an event that is not JSON")
        })?;
        let kind = event.str("type").unwrap_or_default();
        if event.is_set("error") || kind == "error" {
            let unknown = || Failure::new(FailureClass::Server, "the provider sent an error");
            return Err(ErrorBody::read(data).map_or_else(unknown, ErrorBody::into_failure));
        }
        self.open = kind.ends_with(".delta") || kind.ends_with(".partial_image");
        if kind.starts_with("image") && kind.ends_with(".completed") {
            self.images += 1;
        }
        let usage = event.raw_bytes("usage");
        if let Some(usage) = usage.and_then(|usage| openai::read_usage(usage, Quirks::default())) {
            self.usage = Some(self.usage.map_or(usage, |before| before.plus(usage)));
        } else if let Some(whole) = usage::of(&event, self.api).filter(|_| usage.is_some()) {
            self.usage = Some(whole);
        }
        progress.meaningful = true;
        Ok(())
    }
}

impl Translate for MediaEvents {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.splitter.push(chunk);
        while !self.failed && !self.done {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => break,
                Err(error) => {
                    progress.failure = Some(Failure::new(FailureClass::Server, error.to_string()));
                    self.failed = true;
                    break;
                }
            };
            let fields = self.splitter.fields(&event);
            let data = fields.data.map(std::borrow::Cow::into_owned).unwrap_or_default();
            if !data.trim_ascii().is_empty()
                && let Err(failure) = self.judge(data.trim_ascii(), &mut progress)
            {
                progress.failure = Some(failure);
                self.failed = true;
                break;
            }
            out.push(self.splitter.take(&event));
        }
        progress.done = self.done;
        progress
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        if self.failed || self.done {
            return if self.done { Ending::Complete } else { Ending::Cut };
        }
        // Some servers forget the blank line behind their last event.
        let rest = self.splitter.rest();
        if !rest.trim_ascii().is_empty() {
            let rest = Bytes::from([rest.trim_ascii(), b"\n\n"].concat());
            if self.push(rest, out).failure.is_some() {
                return Ending::Cut;
            }
        }
        if self.open { Ending::Cut } else { Ending::Complete }
    }

    fn usage(&self) -> Option<Usage> {
        match self.api {
            // Images were made, whether or not their tokens are told.
            Endpoint::ImageGenerations | Endpoint::ImageEdits if self.images > 0 => {
                Some(usage::of_images(self.usage.unwrap_or_default(), self.images))
            }
            Endpoint::Speech => {
                self.usage.map(|it| Usage { audio_output_tokens: it.output_tokens, ..it })
            }
            _ => self.usage,
        }
    }

    /// Of no use for an estimate but in transcripts, which say what they used.
    fn text_bytes(&self) -> u64 {
        0
    }
}
