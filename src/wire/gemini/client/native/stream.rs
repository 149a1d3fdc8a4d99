//! Replies and streams that are passed on as they come, and what is looked at in them.

use bytes::Bytes;
use serde::Deserialize;

use super::super::super::error::{garbage, within};
use super::super::super::usage::Counts;
use super::super::embed;
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::chat::Raw;
use crate::wire::fields::Text;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, Reply, Translate};

/// Answers that one stream may have; the API gives eight at most.
const MAX_CANDIDATES: usize = 64;

/// What is looked at in a reply, and in each frame of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Frame<'a> {
    #[serde(borrow)]
    error: Option<Raw<'a>>,
    #[serde(borrow)]
    candidates: Option<Vec<Candidate<'a>>>,
    #[serde(borrow)]
    prompt_feedback: Option<Feedback<'a>>,
    usage_metadata: Option<Counts>,
    #[serde(borrow)]
    model_version: Option<Text<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Candidate<'a> {
    index: Option<u32>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Content<'a> {
    #[serde(borrow)]
    parts: Option<Vec<Raw<'a>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Feedback<'a> {
    #[serde(borrow)]
    block_reason: Option<Text<'a>>,
}

/// Reads a provider's whole reply, which is passed on.
///
/// # Errors
/// The body is an error, or no reply at all.
pub fn reply(body: Bytes, api: Endpoint) -> Result<Reply, Failure> {
    let frame: Frame<'_> = serde_json::from_slice(&body).map_err(|_| {
        within(&body).unwrap_or_else(|| garbage("the provider's reply is not one of Gemini's API"))
    })?;
    if frame.error.is_some() {
        return Err(within(&body).unwrap_or_else(|| garbage("the provider failed")));
    }
    let usage = frame.usage_metadata.as_ref().map(Counts::usage);
    let model = frame.model_version.as_deref().map(Box::from);
    match api {
        Endpoint::CountTokens => return Ok(Reply { body, usage: Some(Usage::default()), model }),
        Endpoint::Embeddings => {
            embed::has_vectors(&body)?;
            return Ok(Reply { body, usage, model });
        }
        _ => {}
    }
    if frame.candidates.is_none() && frame.prompt_feedback.is_none() {
        return Err(garbage("the provider's reply has no candidates"));
    }
    Ok(Reply { body, usage, model })
}

/// A stream that is passed on.
#[derive(Debug, Default)]
pub struct NativeStream {
    splitter: Splitter,
    /// The candidates that were seen, and whether they have ended.
    candidates: Vec<(u32, bool)>,
    blocked: bool,
    usage: Option<Usage>,
    text_bytes: u64,
    failed: bool,
}

impl NativeStream {
    /// Looks at one event. Its failure, and whether it has content.
    fn look(&mut self, bytes: &[u8]) -> Result<bool, Failure> {
        let Some(data) = Fields::read(bytes).data else {
            // An error also comes as bare JSON.
            return within(bytes).map_or(Ok(false), Err);
        };
        let Ok(frame) = serde_json::from_slice::<Frame<'_>>(&data) else {
            return Err(within(&data)
                .unwrap_or_else(|| garbage("the provider sent a frame that cannot be read")));
        };
        if frame.error.is_some() {
            return Err(within(&data).unwrap_or_else(|| garbage("the provider failed")));
        }
        self.usage = frame.usage_metadata.map(|counts| counts.usage()).or(self.usage);
        let mut meaningful = false;
        if frame.prompt_feedback.is_some_and(|feedback| feedback.block_reason.is_some()) {
            self.blocked = true;
            meaningful = true;
        }
        for candidate in frame.candidates.into_iter().flatten() {
            let index = candidate.index.unwrap_or(0);
            let at = match self.candidates.iter().position(|(known, _)| *known == index) {
                Some(at) => at,
                None if self.candidates.len() == MAX_CANDIDATES => {
                    return Err(garbage("the provider sent too many answers"));
                }
                None => {
                    self.candidates.push((index, false));
                    self.candidates.len() - 1
                }
            };
            if candidate.finish_reason.is_some() {
                self.candidates[at].1 = true;
                meaningful = true;
            }
            for part in candidate.content.and_then(|content| content.parts).into_iter().flatten() {
                let generated = generated(part);
                self.text_bytes += generated as u64;
                meaningful |= generated > 0;
            }
        }
        Ok(meaningful)
    }

    fn is_whole(&self) -> bool {
        !self.failed
            && (self.blocked
                || !self.candidates.is_empty() && self.candidates.iter().all(|(_, ended)| *ended))
    }
}

/// Bytes that the model generated in a part: of a text, the text; of anything else, all of it.
fn generated(part: Raw<'_>) -> usize {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow, default)]
        text: Option<Text<'a>>,
    }
    match serde_json::from_str(part.get()) {
        Ok(Said { text: Some(text) }) => text.len(),
        Ok(Said { text: None }) | Err(_) => part.get().len(),
    }
}

impl Translate for NativeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.splitter.push(chunk);
        while !self.failed {
            let event = match self.splitter.next_event() {
                Ok(Some(event)) => event,
                Ok(None) => {
                    // An error may be a line that no blank line follows.
                    progress.failure = within(self.splitter.pending());
                    break;
                }
                Err(too_large) => {
                    progress.failure = Some(garbage(too_large.to_string()));
                    break;
                }
            };
            let bytes = self.splitter.take(&event);
            match self.look(&bytes) {
                Ok(meaningful) => progress.meaningful |= meaningful,
                Err(failure) => {
                    progress.failure = Some(failure);
                    break;
                }
            }
            out.push(bytes);
        }
        self.failed |= progress.failure.is_some();
        progress
    }

    /// Nothing but the end of the body marks the end: it is whole if every candidate said why it
    /// ended.
    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let rest = self.splitter.rest();
        if !self.failed && !rest.is_empty() {
            let is_event = Fields::read(&rest).data.is_some();
            match self.look(&rest) {
                Ok(_) if is_event => out.push([&rest, &b"\n\n"[..]].concat().into()),
                // The end of a line whose start was read with the event before.
                Ok(_) => out.push(rest),
                Err(_) => self.failed = true,
            }
        }
        if self.is_whole() { Ending::Complete } else { Ending::Cut }
    }

    /// What the reply used. Of a stream that broke off, what was said after the last count is
    /// estimated.
    fn usage(&self) -> Option<Usage> {
        let usage = self.usage?;
        if self.is_whole() {
            return Some(usage);
        }
        let output_tokens = usage.output_tokens.max(self.text_bytes / BYTES_PER_TOKEN);
        let estimated = output_tokens > usage.output_tokens;
        Some(Usage { output_tokens, estimated, ..usage })
    }

    fn text_bytes(&self) -> u64 {
        self.text_bytes
    }
}
