//! A stream of an API that the configuration describes, turned into chat completion chunks.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::read::{self, Said, mapped};
use super::{garbage, reply_id, unmapped_error};
use crate::failure::Failure;
use crate::mapping::{Framing, Mapping, Scope, Stream};
use crate::usage::Usage;
use crate::wire::chat::Writer;
use crate::wire::lines::Lines;
use crate::wire::sse::{Fields, Splitter};
use crate::wire::{Ending, Progress, StreamOptions, Translate};

/// Bound of the tool calls that are kept apart.
const MAX_CALLS: usize = 512;

/// Turns one reply's events into chunks.
#[derive(Debug)]
pub struct StreamTranslator {
    mapping: Arc<Mapping>,
    splitter: Splitter,
    lines: Lines,
    state: State,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    named: bool,
    /// Tool calls that were begun, by the index that the provider gives them.
    calls: Vec<u32>,
    finish: Option<String>,
    usage: Option<Usage>,
}

impl StreamTranslator {
    /// `mapping` has a stream.
    #[must_use]
    pub fn new(mapping: Arc<Mapping>, model: &str, options: StreamOptions) -> Self {
        let writer = Writer::new(options, model);
        let state = State { writer, named: false, calls: Vec::new(), finish: None, usage: None };
        Self { mapping, splitter: Splitter::new(), lines: Lines::default(), state }
    }

    fn read(&mut self) {
        let Self { mapping, splitter, lines, state } = self;
        let Some(map) = &mapping.stream else { return };
        while state.writer.is_reading() {
            let next = match map.framing {
                Framing::Sse => splitter.next_event().map(|event| {
                    let Some(event) = event else { return false };
                    // A comment, or a blank line, has no data.
                    if let Some(data) = splitter.fields(&event).data {
                        state.take(map, &data);
                    }
                    true
                }),
                Framing::Lines => lines
                    .next_line()
                    .map(|line| line.inspect(|line| state.take(map, line)).is_some()),
            };
            match next {
                Ok(true) => {}
                Ok(false) => break,
                Err(too_large) => state.writer.fail(garbage(&too_large.to_string())),
            }
        }
    }
}

impl State {
    fn take(&mut self, map: &Stream, data: &[u8]) {
        if let Err(failure) = self.event(map, data) {
            self.writer.fail(failure);
        }
    }

    fn event(&mut self, map: &Stream, data: &[u8]) -> Result<(), Failure> {
        let data = data.trim_ascii();
        let is_json = serde_json::from_slice::<&RawValue>(data).is_ok();
        // `[DONE]` is no JSON; it can be asked for by `data`.
        let text = Value::from(String::from_utf8_lossy(data)).to_string();
        let names = [("data", text.as_bytes())].into_iter();
        let scope = Scope::of(names.chain(is_json.then_some(("event", data))));
        let done = map.done.as_ref().map(|done| done.evaluate(&scope)).transpose();
        let done = done.map_err(|wrong| garbage(&wrong.to_string()))?;
        let ends = done == Some(Value::Bool(true)) || data == b"[DONE]";
        if !is_json {
            if !ends {
                return Err(garbage("the provider sent an event that is not JSON"));
            }
            self.end();
            return Ok(());
        }
        if let Some(failure) = unmapped_error(&map.event, data) {
            return Err(failure);
        }
        let said = mapped(&map.event, &scope)?;
        self.say(said, data)?;
        if ends {
            self.end();
        }
        Ok(())
    }

    fn say(&mut self, said: Said, data: &[u8]) -> Result<(), Failure> {
        let Said { text, reasoning, mut calls, finish, id, model, usage, failure } = said;
        if let Some(failure) = failure {
            return Err(failure);
        }
        if !std::mem::replace(&mut self.named, true) {
            self.writer.name(reply_id(id.as_deref(), data, self.writer.created()));
            if let Some(model) = &model {
                self.writer.model(model);
            }
            self.writer.start();
        }
        self.writer.reasoning(reasoning.as_deref().unwrap_or_default());
        self.writer.text(text.as_deref().unwrap_or_default());
        for call in &mut calls {
            // Without an index each piece with a name is a call of its own.
            let next = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
            let index = call.index.unwrap_or(next);
            match self.calls.iter().position(|known| *known == index) {
                Some(number) => {
                    self.writer
                        .arguments(u32::try_from(number).unwrap_or(u32::MAX), &call.arguments);
                }
                None if self.calls.len() >= MAX_CALLS => {
                    return Err(garbage("the provider's stream has too many tool calls"));
                }
                None => {
                    call.identify(self.writer.id(), self.calls.len());
                    self.calls.push(index);
                    self.writer.tool_call(next, &call.id, &call.name, &call.arguments);
                }
            }
        }
        self.finish = finish.filter(|word| !word.is_empty()).or_else(|| self.finish.take());
        self.usage = usage.or(self.usage);
        Ok(())
    }

    fn end(&mut self) {
        let reason = read::finish_reason(self.finish.as_deref(), !self.calls.is_empty());
        self.writer.finish(reason);
        self.writer.end(self.usage.as_ref().map(read::shown));
    }
}

impl Translate for StreamTranslator {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        match self.mapping.stream.as_ref().map(|map| map.framing) {
            Some(Framing::Lines) => self.lines.push(chunk),
            Some(Framing::Sse) | None => self.splitter.push(chunk),
        }
        self.read();
        self.state.writer.take(out)
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        let mapping = Arc::clone(&self.mapping);
        if let Some(map) = &mapping.stream
            && self.state.writer.is_reading()
        {
            let rest = match map.framing {
                Framing::Lines => Some(self.lines.rest().to_vec()),
                Framing::Sse => {
                    let rest = self.splitter.rest();
                    Fields::read(&rest).data.map(|data| data.into_owned())
                }
            };
            if let Some(rest) = rest.filter(|rest| !rest.trim_ascii().is_empty()) {
                self.state.take(map, &rest);
            }
            // An API without an end mark ends with its connection, once it has said why.
            if map.done.is_none() && self.state.finish.is_some() && self.state.writer.is_reading() {
                self.state.end();
            }
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
