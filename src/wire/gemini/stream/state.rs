//! What is known of a stream so far, and the chunks that each frame adds.

use serde_json::value::RawValue;

use super::super::error::{garbage, within};
use super::super::grounding::{Characters, annotations};
use super::super::names::Place;
use super::super::parts::{Blob, Candidate, Generated, Part, finish_reason, refusal};
use super::super::reply::{Called, id};
use super::super::usage::Counts;
use super::{bare_error, bare_json};
use crate::failure::Failure;
use crate::wire::chat::{
    Audio, Chunk, Delta, ExtraContent, Function, Image, Raw, ToolCall, write_done,
};
use crate::wire::sse::Fields;
use crate::wire::{Ending, Progress, StreamOptions};

/// Answers that one stream may have; the API gives eight at most.
const MAX_CANDIDATES: usize = 64;

#[derive(Debug)]
pub(super) struct State {
    options: StreamOptions,
    pub(super) response_id: String,
    /// What the client is told: set when the first chunk is written.
    id: String,
    pub(super) model: String,
    /// The model that was called: told where the provider names none.
    pub(super) called: String,
    candidates: Vec<Answering>,
    /// The prompt was refused, and the client was told so.
    blocked: bool,
    done: bool,
    failure: Option<Failure>,
    failed: bool,
    meaningful: bool,
    pub(super) counts: Option<Counts>,
    pub(super) text_bytes: u64,
}

/// One candidate.
#[derive(Debug, Default)]
struct Answering {
    index: u32,
    /// The first chunk, which names the role, was written.
    started: bool,
    /// Tool calls so far, over all frames.
    tools: u32,
    images: u32,
    finished: bool,
    /// What the model did wrong, if that is how the answer ended.
    fault: Option<Failure>,
    /// The client was told that.
    fault_told: bool,
    characters: Characters,
    /// The newest of these replaces the older ones, and is told at the end.
    grounding: Option<Box<str>>,
    citations: Option<Box<str>>,
}

impl State {
    pub(super) const fn new(options: StreamOptions) -> Self {
        Self {
            options,
            response_id: String::new(),
            id: String::new(),
            model: String::new(),
            called: String::new(),
            candidates: Vec::new(),
            blocked: false,
            done: false,
            failure: None,
            failed: false,
            meaningful: false,
            counts: None,
            text_bytes: 0,
        }
    }

    pub(super) const fn is_reading(&self) -> bool {
        !self.done && !self.failed
    }

    /// Everything that was begun has been ended.
    pub(super) fn is_whole(&self) -> bool {
        let all = self.candidates.iter().all(|answering| answering.finished);
        !self.failed && all && (self.blocked || !self.candidates.is_empty())
    }

    pub(super) fn progress(&mut self) -> Progress {
        Progress {
            meaningful: std::mem::take(&mut self.meaningful),
            done: self.done,
            failure: self.failure.take(),
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) {
        self.failed = true;
        self.failure = Some(failure);
    }

    pub(super) fn take(&mut self, event: &[u8], out: &mut Vec<u8>) {
        let fields = Fields::read(event);
        let data = fields.data.as_deref().filter(|data| !data.is_empty() && *data != b"[DONE]");
        if let Some(Err(failure)) = data.map(|data| self.data(data, out)) {
            self.fail(failure);
        }
        let failure = bare_json(event).and_then(bare_error).filter(|_| self.is_reading());
        if let Some(failure) = failure {
            self.fail(failure);
        }
    }

    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        let unreadable = || garbage("the provider sent a frame that cannot be read");
        let frame: Generated<'_> = match serde_json::from_slice(data) {
            Ok(frame) => frame,
            Err(_) => return Err(within(data).unwrap_or_else(unreadable)),
        };
        if frame.error.is_some() {
            return Err(within(data).unwrap_or_else(unreadable));
        }
        if let Some(id) = frame.response_id.as_deref().filter(|_| self.response_id.is_empty()) {
            id.clone_into(&mut self.response_id);
        }
        if let Some(model) = frame.model_version.as_deref().filter(|_| self.model.is_empty()) {
            model.clone_into(&mut self.model);
        }
        let candidates = frame.candidates.as_deref().unwrap_or_default();
        if let Some(reason) = frame.block_reason().filter(|_| candidates.is_empty()) {
            self.block(reason, out);
        }
        for (candidate, at) in candidates.iter().zip(0..) {
            self.candidate(candidate, candidate.index.unwrap_or(at), out)?;
        }
        // Frames count up to themselves: the last one has it all.
        self.counts = frame.usage_metadata.or_else(|| self.counts.take());
        self.faults(out)
    }

    /// An answer that is none fails the stream if there is no other; otherwise the others go on, and
    /// the client is told what became of this one.
    fn faults(&mut self, out: &mut Vec<u8>) -> Result<(), Failure> {
        if self.candidates.iter().all(|answering| answering.fault.is_some()) {
            let first = self.candidates.iter_mut().find_map(|answering| answering.fault.take());
            return first.map_or(Ok(()), Err);
        }
        for at in 0..self.candidates.len() {
            let answering = &mut self.candidates[at];
            if answering.fault.is_none() || answering.fault_told {
                continue;
            }
            let mut answering = std::mem::take(answering);
            answering.fault_told = true;
            let is_silent = !answering.started;
            self.start(&mut answering, out);
            if let Some(fault) = answering.fault.as_ref().filter(|_| is_silent) {
                let refusal = Delta::Refusal { refusal: &fault.message };
                self.write(answering.index, &refusal, None, out);
            }
            let word = finish_reason("", answering.tools > 0);
            self.write(answering.index, &Delta::Nothing {}, Some(word), out);
            self.candidates[at] = answering;
        }
        Ok(())
    }

    fn block(&mut self, reason: &str, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.blocked, true) && self.candidates.is_empty() {
            self.meaningful = true;
            let mut answering = Answering::default();
            self.start(&mut answering, out);
            self.write(0, &Delta::Refusal { refusal: &refusal(reason) }, None, out);
            self.write(0, &Delta::Nothing {}, Some("content_filter"), out);
        }
    }

    fn candidate(
        &mut self,
        candidate: &Candidate<'_>,
        index: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let known = self.candidates.iter().position(|answering| answering.index == index);
        let at = match known {
            Some(at) => at,
            None if self.candidates.len() < MAX_CANDIDATES => {
                self.candidates.push(Answering { index, ..Answering::default() });
                self.candidates.len() - 1
            }
            None => return Err(garbage("the provider sent more answers than it was asked for")),
        };
        let mut answering = std::mem::take(&mut self.candidates[at]);
        self.tell(&mut answering, candidate, out);
        self.candidates[at] = answering;
        Ok(())
    }

    fn tell(&mut self, answering: &mut Answering, candidate: &Candidate<'_>, out: &mut Vec<u8>) {
        if answering.finished {
            return;
        }
        let reason = candidate.finish_reason();
        for part in candidate.parts() {
            self.part(answering, part, reason.is_some(), out);
        }
        let keep = |raw: Option<Raw<'_>>| raw.map(|raw| Box::from(raw.get()));
        let grounding = keep(candidate.grounding_metadata);
        answering.grounding = grounding.or_else(|| answering.grounding.take());
        let citations = keep(candidate.citation_metadata);
        answering.citations = citations.or_else(|| answering.citations.take());
        answering.fault = candidate.fault();
        if answering.fault.is_some() {
            answering.finished = true;
        } else if let Some(reason) = reason {
            self.end(answering, reason, out);
        }
    }

    fn part(&mut self, answering: &mut Answering, part: &Part<'_>, last: bool, out: &mut Vec<u8>) {
        let signature = part.signature();
        if let Some(call) = &part.function_call {
            let place = Place {
                response_id: &self.response_id,
                created: self.options.created,
                candidate: answering.index,
                number: answering.tools,
            };
            let called = Called::of(call, signature, place);
            self.tool_call(answering, &called, out);
            return;
        }
        if let Some(blob) = &part.inline_data {
            self.blob(answering, blob, out);
            if let Some(signature) = signature {
                self.sign(answering, signature, out);
            }
            return;
        }
        let text = part.text().unwrap_or_default();
        if text.is_empty() {
            // At the end of an answer it has no text to go with, and nothing follows that needs it.
            if let Some(signature) = signature.filter(|_| !last) {
                self.sign(answering, signature, out);
            }
            return;
        }
        self.generated(text.len());
        self.start(answering, out);
        let content = &*text;
        let delta = match (part.thought, signature) {
            (Some(true), _) => Delta::Reasoning { reasoning_content: content },
            (_, None) => Delta::Content { content },
            (_, Some(signature)) => {
                Delta::Said { content, extra_content: ExtraContent::signed(signature) }
            }
        };
        if part.thought != Some(true) {
            answering.characters.push(content);
        }
        self.write(answering.index, &delta, None, out);
        if let Some(signature) = signature.filter(|_| part.thought == Some(true)) {
            self.sign(answering, signature, out);
        }
    }

    /// The seal of a part that has no place for it in its own chunk.
    fn sign(&mut self, answering: &mut Answering, signature: &str, out: &mut Vec<u8>) {
        self.start(answering, out);
        let extra_content = ExtraContent::signed(signature);
        self.write(answering.index, &Delta::Extra { extra_content }, None, out);
    }

    fn tool_call(&mut self, answering: &mut Answering, called: &Called<'_>, out: &mut Vec<u8>) {
        self.generated(called.arguments.len());
        let function = Function { name: Some(&called.name), arguments: &called.arguments };
        let call = ToolCall::begin(answering.tools, Some(&called.id), function)
            .with_extra(called.signature.map(ExtraContent::signed));
        answering.tools += 1;
        let tool_calls = [call];
        let delta = if self.opens(answering) {
            Delta::Opening { role: "assistant", content: (), tool_calls }
        } else {
            Delta::ToolCalls { tool_calls }
        };
        self.write(answering.index, &delta, None, out);
    }

    fn blob(&mut self, answering: &mut Answering, blob: &Blob<'_>, out: &mut Vec<u8>) {
        self.meaningful = true;
        self.start(answering, out);
        if blob.is_audio() {
            let id = format!("audio_{}", self.response_id);
            let (data, expires_at) = (&*blob.data, self.options.created);
            let audio = Audio { id: &id, data, expires_at, transcript: "" };
            self.write(answering.index, &Delta::Audio { audio }, None, out);
        } else {
            let image = Image::new(answering.images, blob.url());
            answering.images += 1;
            self.write(answering.index, &Delta::Images { images: [image] }, None, out);
        }
    }

    fn end(&mut self, answering: &mut Answering, reason: &str, out: &mut Vec<u8>) {
        self.meaningful = true;
        answering.finished = true;
        let finish_reason = finish_reason(reason, answering.tools > 0);
        let is_silent = !answering.started;
        self.start(answering, out);
        if is_silent && finish_reason == "content_filter" {
            let refusal = refusal(reason);
            self.write(answering.index, &Delta::Refusal { refusal: &refusal }, None, out);
        }
        let (grounding, citations) = (answering.grounding.take(), answering.citations.take());
        let found = annotations(grounding.as_deref(), citations.as_deref(), &answering.characters);
        if !found.is_empty() {
            let annotations: Vec<&RawValue> = found.iter().map(|raw| &**raw).collect();
            let delta = Delta::Annotations { annotations: &annotations };
            self.write(answering.index, &delta, None, out);
        }
        self.write(answering.index, &Delta::Nothing {}, Some(finish_reason), out);
    }

    /// The provider closed the stream.
    pub(super) fn close(&mut self, out: &mut Vec<u8>) -> Ending {
        if self.is_reading() && self.is_whole() {
            if let Some(counts) = self.counts.as_ref().filter(|_| self.options.show_usage) {
                self.chunk().with_usage(counts.shown()).write(out);
            }
            write_done(out);
            self.done = true;
        }
        if self.done { Ending::Complete } else { Ending::Cut }
    }

    fn generated(&mut self, bytes: usize) {
        self.text_bytes = self.text_bytes.saturating_add(bytes as u64);
        self.meaningful = true;
    }

    /// Whether the next chunk of a candidate is its first, which names the role.
    fn opens(&mut self, answering: &mut Answering) -> bool {
        if self.id.is_empty() {
            self.id = id(&self.response_id, self.options.created);
        }
        !std::mem::replace(&mut answering.started, true)
    }

    fn start(&mut self, answering: &mut Answering, out: &mut Vec<u8>) {
        if self.opens(answering) {
            let delta = Delta::Role { role: "assistant", content: "" };
            self.write(answering.index, &delta, None, out);
        }
    }

    fn write(
        &self,
        index: u32,
        delta: &Delta<'_>,
        finish_reason: Option<&'static str>,
        out: &mut Vec<u8>,
    ) {
        self.chunk().with_choice(index, delta, finish_reason).write(out);
    }

    fn chunk(&self) -> Chunk<'_> {
        let model = if self.model.is_empty() { &self.called } else { &self.model };
        Chunk::new(&self.id, model, self.options.created, self.options.show_usage)
    }
}
