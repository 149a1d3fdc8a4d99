//! A stream of chunks, as frames of `streamGenerateContent`: events, or the elements of one array.
//!
//! Text goes out as it comes. Calls of functions are held until the answer ends, because a call is
//! one part with all its arguments, and so is the end itself, because the last frame tells what was
//! used. What is held is bounded.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::json;
use serde_json::value::RawValue;

use super::super::StreamTranslator;
use super::names::Names;
use super::reply::signature;
use super::request::includes_thoughts;
use super::write::{
    Candidate, Content, FunctionCall, LogprobsResult, Part, PromptFeedback, Response,
    UsageMetadata, citations, finish_reason, with_broken_call,
};
use crate::usage::Usage;
use crate::wire::chat::{CallPiece, Piece, PieceChoice, UNREADABLE, read_usage};
use crate::wire::client::{ClientStream, Telling};
use crate::wire::sse::Splitter;
use crate::wire::{StreamOptions, Translate};

/// Bound of the calls that are held. No model writes as much in one answer.
const MAX_HELD_BYTES: usize = 8 * 1024 * 1024;

/// Told instead of calls beyond the bound.
const TOO_LARGE: &[u8] = br#"{"error":{"code":502,"message":"The provider's function calls are larger than the gateway holds.","status":"INTERNAL"}}"#;

/// A reply's stream in Google's words.
#[derive(Debug)]
pub struct Stream {
    splitter: Splitter,
    frames: Framing,
    thoughts: bool,
    names: Names,
    id: String,
    model: String,
    candidates: Vec<Gathered>,
    usage: Option<Usage>,
    held_bytes: usize,
    /// Nothing but the frames themselves was told so far: no content at all.
    silent: bool,
    /// The last frame is out.
    ended: bool,
    created: u64,
    /// Follows frames of Google's own that go out as they came, so that others can go on from there.
    follower: Option<Box<StreamTranslator>>,
}

/// How frames are told apart.
#[derive(Debug)]
struct Framing {
    array: bool,
    /// The array was begun.
    begun: bool,
    closed: bool,
}

/// What of a candidate is told at its end.
#[derive(Debug, Default)]
struct Gathered {
    index: u32,
    calls: Vec<Held>,
    finish: Option<String>,
    annotations: Vec<Box<RawValue>>,
    refusal: String,
}

/// A call whose arguments are still coming.
#[derive(Debug, Default)]
struct Held {
    index: u32,
    id: Option<String>,
    name: String,
    arguments: String,
    signature: Option<String>,
}

impl Stream {
    #[must_use]
    pub fn new(telling: &Telling<'_>) -> Self {
        Self {
            splitter: Splitter::new(),
            frames: Framing { array: telling.array, begun: false, closed: false },
            thoughts: telling.request.is_some_and(includes_thoughts),
            names: Names::of(telling.request),
            id: telling.request_id.to_owned(),
            model: telling.model.to_owned(),
            candidates: Vec::new(),
            usage: None,
            held_bytes: 0,
            silent: true,
            ended: false,
            created: telling.created,
            follower: None,
        }
    }

    /// Takes the data of one canonical event.
    fn take(&mut self, data: &[u8], named: &mut bool, out: &mut Vec<u8>) {
        if data == b"[DONE]" {
            self.end(out);
            return;
        }
        let Ok(piece) = Piece::read(data) else {
            let error = json!({"code": 502, "message": UNREADABLE, "status": "INTERNAL"});
            let problem = json!({"error": error}).to_string();
            return out.extend_from_slice(&self.fail(&problem.into(), "", ""));
        };
        if !*named {
            *named = true;
            let filled = |text: &Option<crate::wire::fields::Text<'_>>| {
                text.as_deref().filter(|text| !text.is_empty()).map(str::to_owned)
            };
            self.id = filled(&piece.id).unwrap_or_else(|| std::mem::take(&mut self.id));
            self.model = filled(&piece.model).unwrap_or_else(|| std::mem::take(&mut self.model));
        }
        if let Some(usage) = piece.usage.and_then(|raw| read_usage(raw.get())) {
            self.usage = Some(usage);
        }
        let mut candidates = Vec::new();
        for choice in &piece.choices {
            candidates.extend(self.choice(choice));
        }
        if self.held_bytes > MAX_HELD_BYTES {
            self.frames.write(TOO_LARGE, out);
            self.frames.close(out);
            self.ended = true;
            return;
        }
        if !candidates.is_empty() {
            self.silent = false;
            self.write(candidates, None, None, out);
        }
    }

    /// Gathers what is told later; what is told now is a candidate.
    fn choice<'p>(&mut self, choice: &'p PieceChoice<'_>) -> Option<Candidate<'p>> {
        let gathered = match self.candidates.iter().position(|it| it.index == choice.index) {
            Some(at) => &mut self.candidates[at],
            None => {
                let gathered = Gathered { index: choice.index, ..Gathered::default() };
                self.candidates.push(gathered);
                self.candidates.last_mut()?
            }
        };
        if let Some(reason) = &choice.finish_reason {
            gathered.finish = Some(reason.0.clone().into_owned());
        }
        let delta = choice.delta.as_ref()?;
        let mut parts = Vec::new();
        let filled = |text: &'p Option<crate::wire::fields::Text<'_>>| {
            text.as_deref().filter(|text| !text.is_empty()).map(Cow::Borrowed)
        };
        if let Some(text) = filled(&delta.reasoning_content).filter(|_| self.thoughts) {
            parts.push(Part::thought(text));
        }
        let signature = signature(delta.extra_content.as_ref());
        match (filled(&delta.content), signature) {
            (Some(text), signature) => parts.push(Part::text(text).signed(signature)),
            (None, Some(signature)) => parts.push(Part::text("".into()).signed(Some(signature))),
            (None, None) => {}
        }
        for image in delta.images.iter().flatten() {
            parts.extend(Part::image(image));
        }
        for call in delta.tool_calls.iter().flatten() {
            self.held_bytes += gathered.hold(call);
        }
        if let Some(text) = filled(&delta.refusal) {
            self.held_bytes += text.len();
            gathered.refusal.push_str(&text);
        }
        for annotation in delta.annotations.iter().flatten() {
            self.held_bytes += annotation.get().len();
            gathered.annotations.push((*annotation).to_owned());
        }
        let (logprobs_result, avg_logprobs) = LogprobsResult::read(choice.logprobs).unzip();
        (!parts.is_empty()).then(|| Candidate {
            content: Content::of(parts),
            index: choice.index,
            avg_logprobs,
            logprobs_result,
            ..Candidate::default()
        })
    }

    /// The last frame: what was held, why each candidate ended, what was used.
    fn end(&mut self, out: &mut Vec<u8>) {
        if self.ended {
            return;
        }
        self.ended = true;
        let gathered = std::mem::take(&mut self.candidates);
        let names = std::mem::take(&mut self.names);
        let usage = self.usage;
        let blocked = match gathered.as_slice() {
            [only] if self.silent && usage.is_none_or(|usage| usage.output_tokens == 0) => {
                only.blocked_prompt()
            }
            _ => None,
        };
        let candidates = match &blocked {
            Some(_) => Vec::new(),
            None => gathered.iter().map(|gathered| gathered.last_words(&names)).collect(),
        };
        self.write(candidates, blocked, usage.map(Into::into), out);
        self.frames.close(out);
    }

    fn write(
        &mut self,
        candidates: Vec<Candidate<'_>>,
        prompt_feedback: Option<PromptFeedback<'_>>,
        usage_metadata: Option<UsageMetadata>,
        out: &mut Vec<u8>,
    ) {
        let response = Response {
            candidates,
            prompt_feedback,
            usage_metadata,
            model_version: &self.model,
            response_id: &self.id,
        };
        let written = serde_json::to_vec(&response)
            .expect("a Vec takes every byte, and the response has string keys only");
        self.frames.write(&written, out);
    }
}

impl ClientStream for Stream {
    fn pass(&mut self, events: &mut Vec<Bytes>) {
        let mut out = Vec::new();
        let mut named = !self.silent;
        for bytes in std::mem::take(events) {
            self.splitter.push(bytes);
            // An event beyond the bound was refused where it was read.
            while let Ok(Some(event)) = self.splitter.next_event() {
                let data = self.splitter.fields(&event).data.map(Cow::into_owned);
                match data {
                    Some(data) if !self.ended => self.take(&data, &mut named, &mut out),
                    _ => {}
                }
            }
        }
        if !out.is_empty() {
            events.push(out.into());
        }
    }

    fn pass_native(&mut self, events: &mut Vec<Bytes>, end: bool) {
        if !self.frames.array {
            return;
        }
        let mut out = Vec::new();
        for bytes in std::mem::take(events) {
            self.splitter.push(bytes);
            while let Ok(Some(event)) = self.splitter.next_event() {
                if let Some(data) = self.splitter.fields(&event).data {
                    self.frames.write(&data, &mut out);
                }
            }
        }
        if end {
            let rest = self.splitter.rest();
            if let Some(data) = crate::wire::sse::Fields::read(&rest).data {
                self.frames.write(&data, &mut out);
            }
            self.frames.close(&mut out);
        }
        if !out.is_empty() {
            events.push(out.into());
        }
    }

    fn follow(&mut self, events: &[Bytes]) -> Option<Vec<Bytes>> {
        let options = StreamOptions { created: self.created, ..StreamOptions::default() };
        let follower =
            self.follower.get_or_insert_with(|| Box::new(StreamTranslator::new(options)));
        let mut canonical = Vec::new();
        for bytes in events {
            if follower.push(bytes.clone(), &mut canonical).failure.is_some() {
                return None;
            }
        }
        // What follows belongs to the answer that was begun.
        let (id, model) = follower.names();
        if !canonical.is_empty() && self.silent {
            self.silent = false;
            id.clone_into(&mut self.id);
            model.clone_into(&mut self.model);
        }
        Some(canonical)
    }

    fn fail(&mut self, problem: &Bytes, _code: &str, _message: &str) -> Bytes {
        let mut out = Vec::with_capacity(problem.len() + 16);
        self.ended = true;
        self.frames.write(problem, &mut out);
        self.frames.close(&mut out);
        out.into()
    }

    fn ping(&self) -> &'static [u8] {
        // White space is allowed anywhere between the elements.
        if self.frames.array { b"\n" } else { b": ping\n\n" }
    }
}

impl Framing {
    fn write(&mut self, frame: &[u8], out: &mut Vec<u8>) {
        if !self.array {
            out.extend_from_slice(b"data: ");
            // Arguments stand in it as the model wrote them, which may be over several lines; an
            // event's data is one. In JSON a line end is only ever between two tokens.
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            out.extend(frame.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
            out.extend_from_slice(b"\n\n");
            return;
        }
        if self.closed {
            return;
        }
        out.extend_from_slice(if self.begun { b",\n" } else { b"[" });
        self.begun = true;
        out.extend_from_slice(frame);
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.array && !self.closed {
            self.closed = true;
            out.extend_from_slice(if self.begun { b"]\n" } else { b"[]\n" });
        }
    }
}

impl Gathered {
    /// Takes a piece of a call; the bytes that are held for it.
    fn hold(&mut self, piece: &CallPiece<'_>) -> usize {
        let at = match self.calls.iter().position(|call| call.index == piece.index) {
            Some(at) => at,
            None => {
                self.calls.push(Held { index: piece.index, ..Held::default() });
                self.calls.len() - 1
            }
        };
        let call = &mut self.calls[at];
        let function = piece.function.as_ref();
        if let Some(id) = piece.id.as_deref().filter(|id| !id.is_empty()) {
            call.id = Some(id.to_owned());
        }
        if let Some(name) = function.and_then(|function| function.name.as_deref())
            && call.name.is_empty()
        {
            name.clone_into(&mut call.name);
        }
        if let Some(text) = signature(piece.extra_content.as_ref()) {
            call.signature = Some(text.into_owned());
        }
        let more = function.and_then(|function| function.arguments.as_deref()).unwrap_or_default();
        call.arguments.push_str(more);
        more.len() + size_of::<Held>()
    }

    /// The candidate of the last frame. It always has a part: the SDKs take a content without one
    /// for a broken answer and leave the whole turn out of the history of a chat.
    fn last_words<'g>(&'g self, names: &'g Names) -> Candidate<'g> {
        let mut finish = (finish_reason(self.finish.as_deref()), None);
        let mut parts = Vec::new();
        if !self.refusal.is_empty() {
            parts.push(Part::text(Cow::Borrowed(&self.refusal)));
        }
        for call in &self.calls {
            let id = call.id.as_deref().map(Cow::Borrowed);
            match FunctionCall::gathered(
                id,
                Cow::Borrowed(names.original(&call.name)),
                &call.arguments,
            ) {
                Some(written) => {
                    let signature = call.signature.as_deref().map(Cow::Borrowed);
                    parts.push(Part::call(written).signed(signature));
                }
                None => finish = with_broken_call(finish.0),
            }
        }
        if parts.is_empty() {
            parts.push(Part::text("".into()));
        }
        Candidate {
            content: Content::of(parts),
            finish_reason: Some(finish.0),
            finish_message: finish.1,
            index: self.index,
            citation_metadata: citations(self.annotations.iter().map(|raw| &**raw)),
            ..Candidate::default()
        }
    }

    /// A prompt that a filter refused: nothing was generated.
    fn blocked_prompt(&self) -> Option<PromptFeedback<'_>> {
        let blocked = self.finish.as_deref() == Some("content_filter") && self.calls.is_empty();
        let message = (!self.refusal.is_empty()).then_some(Cow::Borrowed(&*self.refusal));
        blocked.then_some(PromptFeedback { block_reason: "SAFETY", block_reason_message: message })
    }
}
