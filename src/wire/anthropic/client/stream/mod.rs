//! Canonical chunks, put into the named events of a Messages stream.
//!
//! Anthropic's blocks come strictly one after the other: each is begun, filled and ended before the
//! next. OpenAI's deltas need not keep that order, so a block that may still grow holds the later
//! ones back (`queue`); text and reasoning end when something else begins, a tool call when its
//! arguments are a whole object.

mod block;
mod event;

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::json;

use block::{Block, Json, Kind};
use event::{Delta, Event, StartUsage, Started, begin, delta, write};

use super::names::LongNames;
use super::reply::{Ended, Stop, image_told, message_id, minted_tool_id, only_sequence, sealed};
use super::sealed::Sealed;
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::StreamOptions;
use crate::wire::Translate as _;
use crate::wire::anthropic::names::tool_id;
use crate::wire::anthropic::stream::StreamTranslator;
use crate::wire::chat::{CallPiece, Piece, PieceDelta, Raw, UNREADABLE, image_url, read_usage};
use crate::wire::client::{ClientStream, Telling};
use crate::wire::fields::Text;
use crate::wire::sse::{self, Splitter};

/// What may wait behind a block that is not finished. A provider that sends more has begun calls
/// that it does not finish.
const WAITING_MAX: usize = 16 * 1024 * 1024;

/// The stream of one reply, across attempts.
#[derive(Debug)]
pub struct MessageStream {
    request_id: String,
    model: String,
    created: u64,
    names: LongNames,
    /// `message_start` is out.
    started: bool,
    /// `message_stop` is out.
    done: bool,
    /// Blocks that are begun or wait; the first one is open if it is `begun`.
    blocks: VecDeque<Block>,
    /// Index of the first of `blocks`.
    index: u64,
    waiting: usize,
    tools: usize,
    finish: Option<String>,
    native: Option<String>,
    /// The stop sequence, as the provider tells it or as the only one of the request.
    sequence: Option<String>,
    refusal: String,
    usage: Option<Usage>,
    text_bytes: u64,
    /// Reads what is passed on as it came, for those who may have to continue it.
    follower: Option<Box<Follower>>,
}

/// What follows a stream that is Anthropic's own.
#[derive(Debug)]
struct Follower {
    splitter: Splitter,
    translator: StreamTranslator,
}

impl MessageStream {
    #[must_use]
    pub fn new(telling: &Telling<'_>) -> Self {
        Self {
            request_id: telling.request_id.to_owned(),
            model: telling.model.to_owned(),
            created: telling.created,
            names: LongNames::of(telling.request),
            started: false,
            done: false,
            blocks: VecDeque::new(),
            index: 0,
            waiting: 0,
            tools: 0,
            finish: None,
            native: None,
            sequence: only_sequence(telling.request),
            refusal: String::new(),
            usage: None,
            text_bytes: 0,
            follower: None,
        }
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        if data == b"[DONE]" {
            return self.end(out);
        }
        let Ok(piece) = Piece::read(data) else {
            self.done = true;
            let problem = json!({
                "type": "error",
                "error": {"type": "api_error", "message": UNREADABLE},
                "request_id": self.request_id,
            });
            return out.extend_from_slice(&self.fail(&problem.to_string().into(), "", ""));
        };
        if !piece.choices.is_empty() {
            self.start(&piece, out);
        }
        if let Some(usage) = piece.usage.and_then(|raw| read_usage(raw.get())) {
            self.usage = Some(usage);
        }
        for choice in piece.choices.into_iter().filter(|choice| choice.index == 0) {
            if let Some(delta) = choice.delta {
                self.delta(delta, out);
            }
            if let Some(Text(sequence)) = choice.stop_sequence {
                self.sequence = Some(sequence.into_owned());
            }
            if let Some(Text(reason)) = choice.finish_reason.filter(|reason| !reason.is_empty()) {
                self.finish = Some(reason.into_owned());
                self.native = choice.native_finish_reason.map(|Text(word)| word.into_owned());
            }
        }
    }

    fn start(&mut self, piece: &Piece<'_>, out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        let id = piece.id.as_ref().filter(|id| !id.is_empty());
        let id = message_id(id.map_or(&self.request_id, |id| &id.0));
        let model = piece.model.as_ref().filter(|model| !model.is_empty());
        let model = model.map_or(&*self.model, |model| &model.0);
        write(
            "message_start",
            &Event::MessageStart {
                message: Started {
                    id: &id,
                    kind: "message",
                    role: "assistant",
                    model,
                    content: [],
                    stop_reason: None,
                    stop_sequence: None,
                    // The counts come at the end; LiteLLM writes zeros here, too.
                    usage: StartUsage { input_tokens: 0, output_tokens: 0 },
                },
            },
            out,
        );
    }

    fn delta(&mut self, delta: PieceDelta<'_>, out: &mut Vec<u8>) {
        if let Some(text) = delta.reasoning_content.filter(|text| !text.is_empty()) {
            self.add(|kind| *kind == Kind::Thinking, || Kind::Thinking, &text, out);
        }
        for raw in delta.thinking_blocks.into_iter().flatten() {
            self.thought(raw, out);
        }
        if let Some(items) = delta.reasoning_items.filter(|items| !items.is_empty()) {
            let items = items.into_iter().map(std::borrow::Cow::Borrowed).collect();
            let sealed = Sealed { reasoning_items: Some(items), ..Sealed::default() };
            self.push(Kind::Redacted(sealed.data()));
        }
        for text in [delta.content, delta.refusal.clone()].into_iter().flatten() {
            if !text.is_empty() {
                self.add(|kind| *kind == Kind::Text, || Kind::Text, &text, out);
            }
        }
        if let Some(Text(refusal)) = delta.refusal {
            self.refusal.push_str(&refusal);
        }
        for url in delta.images.into_iter().flatten().filter_map(image_url) {
            self.push(Kind::Text);
            self.add(|kind| *kind == Kind::Text, || Kind::Text, &image_told(&url), out);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, out);
        }
        self.flush(false, out);
    }

    /// Adds text to the block of its kind, which is the last one, or begins it.
    fn add(
        &mut self,
        fits: impl Fn(&Kind) -> bool,
        kind: impl FnOnce() -> Kind,
        text: &str,
        out: &mut Vec<u8>,
    ) {
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        if self.blocks.back().is_none_or(|last| last.closed || !fits(&last.kind)) {
            self.push(kind());
        }
        if let Some(last) = self.blocks.back_mut() {
            last.held.push_str(text);
            self.waiting += text.len();
        }
        self.flush(false, out);
    }

    fn push(&mut self, kind: Kind) {
        if let Some(last) = self.blocks.back_mut() {
            last.closed |= !matches!(last.kind, Kind::Tool { .. });
        }
        self.blocks.push_back(Block::new(kind));
    }

    /// A whole block of reasoning: the end of the one whose text has come, or one without text.
    fn thought(&mut self, raw: Raw<'_>, out: &mut Vec<u8>) {
        #[derive(serde::Deserialize)]
        struct Thought<'a> {
            #[serde(borrow, default)]
            thinking: Option<Text<'a>>,
            #[serde(borrow, default)]
            signature: Option<Text<'a>>,
            #[serde(borrow, default)]
            data: Option<Text<'a>>,
        }

        let Ok(thought) = serde_json::from_str::<Thought<'_>>(raw.get()) else { return };
        if let Some(Text(data)) = thought.data {
            self.push(Kind::Redacted(data.into_owned()));
            return self.flush(false, out);
        }
        let signature = thought.signature.map(|text| text.0).unwrap_or_default();
        let open = |block: &&mut Block| block.kind == Kind::Thinking && !block.closed;
        if self.blocks.back_mut().filter(open).is_none() {
            let text = thought.thinking.map(|text| text.0).unwrap_or_default();
            self.push(Kind::Thinking);
            if let Some(last) = self.blocks.back_mut() {
                last.held.push_str(&text);
            }
        }
        if let Some(last) = self.blocks.back_mut() {
            last.signature = signature.into_owned();
            last.closed = true;
        }
        self.flush(false, out);
    }

    fn call(&mut self, piece: CallPiece<'_>, out: &mut Vec<u8>) {
        let number = piece.index;
        let (name, fragment) = piece.function.map_or((None, None), |f| (f.name, f.arguments));
        let is_this =
            |kind: &Kind| matches!(kind, Kind::Tool { number: own, .. } if *own == number);
        if !self.blocks.iter().any(|block| is_this(&block.kind)) {
            let Some(Text(name)) = name.filter(|name| !name.is_empty()) else {
                // A fragment of a call that has ended, or that never began.
                return;
            };
            if let Some(data) = piece.extra_content.as_ref().and_then(sealed) {
                self.push(Kind::Redacted(data));
            }
            let id = piece.id.filter(|id| !id.is_empty()).map_or_else(
                || minted_tool_id(&self.request_id, self.tools),
                |Text(id)| tool_id(&id).into_owned(),
            );
            self.tools += 1;
            let name = self.names.original(&name).to_owned();
            self.push(Kind::Tool { number, id, name, json: Json::default() });
        }
        let Some(text) = fragment.filter(|text| !text.is_empty()) else {
            return self.flush(false, out);
        };
        self.text_bytes = self.text_bytes.saturating_add(text.len() as u64);
        if let Some(block) = self.blocks.iter_mut().find(|block| is_this(&block.kind)) {
            if let Kind::Tool { json, .. } = &mut block.kind {
                json.take(&text);
            }
            block.held.push_str(&text);
            self.waiting += text.len();
        }
        self.flush(false, out);
    }

    /// Sends what may be sent; `all`: nothing more will come.
    fn flush(&mut self, all: bool, out: &mut Vec<u8>) {
        // What waits for a call that never ends is sent rather than kept.
        let all = all || self.waiting > WAITING_MAX;
        loop {
            let more = self.blocks.len() > 1;
            let Some(first) = self.blocks.front_mut() else { return };
            if !first.begun {
                first.begun = true;
                begin(self.index, first, out);
            }
            let sealed = matches!(first.kind, Kind::Redacted(_));
            let ends = all
                || sealed
                || (first.closed && first.kind == Kind::Thinking)
                || (more && first.may_end());
            let waited = first.held.len();
            let ready = first.ready(ends);
            self.waiting = self.waiting.saturating_sub(waited - first.held.len());
            if !ready.is_empty() {
                delta(self.index, &first.kind, &ready, out);
            }
            if !ends {
                return;
            }
            self.end_first(out);
        }
    }

    fn end_first(&mut self, out: &mut Vec<u8>) {
        let Some(first) = self.blocks.pop_front() else { return };
        let index = self.index;
        self.index += 1;
        if !first.signature.is_empty() {
            let delta = Delta::Signature { signature: &first.signature };
            write("content_block_delta", &Event::ContentBlockDelta { index, delta }, out);
        }
        write("content_block_stop", &Event::ContentBlockStop { index }, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.done = true;
        self.start(&Piece::default(), out);
        self.flush(true, out);
        let usage = self.usage.unwrap_or_else(|| Usage {
            output_tokens: self.text_bytes / BYTES_PER_TOKEN,
            ..Usage::default()
        });
        let stop = Stop::of(&Ended {
            finish: self.finish.as_deref(),
            native: self.native.as_deref(),
            sequence: self.sequence.as_deref(),
            called: self.tools > 0,
            refusal: Some(&self.refusal),
        });
        write("message_delta", &Event::MessageDelta { delta: stop, usage: usage.into() }, out);
        write("message_stop", &Event::MessageStop {}, out);
    }

    /// Takes an event of Anthropic's own as said by this stream.
    fn note(&mut self, name: Option<&[u8]>, data: &[u8]) {
        #[derive(serde::Deserialize)]
        struct Indexed {
            index: u64,
        }

        match name {
            Some(b"message_start") => self.started = true,
            Some(b"message_stop") => self.done = true,
            Some(b"content_block_start") => {
                if let Ok(Indexed { index }) = serde_json::from_slice(data) {
                    self.index = index;
                    let kind =
                        if is_text(data) { Kind::Text } else { Kind::Redacted(String::new()) };
                    self.blocks.clear();
                    self.blocks.push_back(Block { begun: true, ..Block::new(kind) });
                }
            }
            Some(b"content_block_stop") if self.blocks.pop_front().is_some() => self.index += 1,
            _ => {}
        }
    }
}

/// Whether the block that begins is text, to which another deployment can add.
fn is_text(data: &[u8]) -> bool {
    #[derive(serde::Deserialize)]
    struct Start<'a> {
        #[serde(borrow)]
        content_block: Kind<'a>,
    }
    #[derive(serde::Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Text<'a>,
    }
    serde_json::from_slice::<Start<'_>>(data)
        .is_ok_and(|start| *start.content_block.kind == *"text")
}

impl ClientStream for MessageStream {
    fn pass(&mut self, events: &mut Vec<Bytes>) {
        sse::rewrite(events, |data, out| self.event(data, out));
    }

    fn fail(&mut self, problem: &Bytes, _code: &str, _message: &str) -> Bytes {
        [b"event: error\ndata: ", &problem[..], b"\n\n"].concat().into()
    }

    fn ping(&self) -> &'static [u8] {
        // Before the start there must be no event; after it clients count events, not bytes.
        if self.started { b"event: ping\ndata: {\"type\": \"ping\"}\n\n" } else { b": ping\n\n" }
    }

    fn begun(&mut self) {
        self.started = true;
    }

    fn follow(&mut self, events: &[Bytes]) -> Option<Vec<Bytes>> {
        let options = StreamOptions { created: self.created, ..StreamOptions::default() };
        let mut follower = self.follower.take().unwrap_or_else(|| {
            let (splitter, translator) = (Splitter::new(), StreamTranslator::new(options));
            Box::new(Follower { splitter, translator })
        });
        let mut canonical = Vec::new();
        for bytes in events {
            follower.translator.push(bytes.clone(), &mut canonical);
            follower.splitter.push(bytes.clone());
            while let Ok(Some(event)) = follower.splitter.next_event() {
                let fields = follower.splitter.fields(&event);
                self.note(fields.name, fields.data.as_deref().unwrap_or_default());
            }
        }
        self.follower = Some(follower);
        Some(canonical)
    }
}
