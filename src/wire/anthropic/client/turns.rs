//! The conversation: `system` and turns of blocks, put into messages.
//!
//! A user's turn may hold results of tools beside what the user says. Each result becomes a message
//! of its own, before the rest, because it has to follow the call.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::blocks::{Block, Place, block, content, parts};
use super::names::short;
use super::sealed::Sealed;
use crate::failure::Failure;
use crate::wire::anthropic::names::original_name;
use crate::wire::chat::{Call, CallFunction, Message, Part, Raw};
use crate::wire::fields::{Text, invalid, mistyped, read};

/// The messages, as JSON text. `marker` is the request's own `cache_control`: the whole prompt is to
/// be cached.
pub(super) fn messages(
    system: Option<&str>,
    turns: &str,
    marker: Option<&str>,
) -> Result<String, Failure> {
    #[derive(Deserialize)]
    struct Turn<'a> {
        #[serde(borrow)]
        role: Text<'a>,
        #[serde(borrow, default)]
        content: Option<Raw<'a>>,
    }

    let marker: Option<Raw<'_>> = marker.map(|raw| read("cache_control", raw)).transpose()?;
    let turns: Vec<Raw<'_>> = read("messages", turns)?;
    let mut out = Out::default();
    if let Some(raw) = system {
        let raw: Raw<'_> = read("system", raw)?;
        let mut said = parts(&Place::system("system"), raw)?;
        said.retain(|part| !matches!(part, Part::Text { text, .. } if is_billing_note(text)));
        out.said("system", said);
    }
    let last = turns.len().saturating_sub(1);
    for (at, raw) in turns.into_iter().enumerate() {
        let param = format!("messages.{at}");
        let turn: Turn<'_> = read(&param, raw.get())?;
        let marker = marker.filter(|_| at == last);
        let param = format!("{param}.content");
        let Some(content) = turn.content else {
            return Err(crate::wire::fields::missing(&param));
        };
        match &*turn.role {
            "user" => out.user(&param, content, marker)?,
            "assistant" => out.assistant(&param, content, marker)?,
            "system" => out.said("system", parts(&Place::system(&param), content)?),
            _ => {
                let message =
                    format!("messages.{at}.role: it is one of `user`, `assistant` and `system`.");
                return Err(invalid(&format!("messages.{at}.role"), message));
            }
        }
    }
    Ok(out.finish())
}

/// What Claude Code tells Anthropic of its accounts, as a block of the system prompt. There is a hash
/// in it, so before every other prompt it would keep providers from finding the rest in their caches.
fn is_billing_note(text: &str) -> bool {
    text.starts_with("x-anthropic-billing-header:")
}

#[derive(Default)]
struct Out(String);

impl Out {
    fn write(&mut self, message: &Message<'_>) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        self.0.push_str(&serde_json::to_string(message).unwrap_or_default());
    }

    fn finish(self) -> String {
        format!("[{}]", self.0)
    }

    /// A message of parts, if there are any.
    fn said(&mut self, role: &str, parts: Vec<Part<'_>>) {
        if let Some(content) = content(&parts) {
            self.write(&Message { content: Some(Cow::Owned(content)), ..Message::new(role) });
        }
    }

    fn user<'a>(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        marker: Option<Raw<'a>>,
    ) -> Result<(), Failure> {
        let (mut said, mut results) = (Vec::new(), Vec::new());
        for (place, raw) in elements(param, raw)? {
            match raw {
                Element::Text(text) => said.push(Part::Text { text, cache_control: None }),
                Element::Block(raw) => match block(&Place::user(&place), raw)? {
                    Block::Parts(parts) => said.extend(parts),
                    Block::Result { id, content, is_error, cache_control } => {
                        results.push(Message {
                            content: Some(Cow::Owned(content)),
                            tool_call_id: Some(Text(own(id))),
                            is_error: is_error.then_some(true),
                            cache_control,
                            ..Message::new("tool")
                        });
                    }
                    Block::Thinking(_) | Block::Sealed(_) | Block::Call { .. } | Block::Hosted => {}
                },
            }
        }
        match results.last_mut().filter(|_| said.is_empty()) {
            Some(last) => last.cache_control = last.cache_control.or(marker),
            None => mark(&mut said, marker),
        }
        results.iter().for_each(|result| self.write(result));
        self.said("user", said);
        Ok(())
    }

    fn assistant<'a>(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        marker: Option<Raw<'a>>,
    ) -> Result<(), Failure> {
        let (mut said, mut thoughts, mut calls) = (Vec::new(), Vec::new(), Vec::new());
        let mut reasoning = String::new();
        let mut items: Vec<Cow<'_, RawValue>> = Vec::new();
        let mut extra: Vec<(usize, Box<str>)> = Vec::new();
        for (place, raw) in elements(param, raw)? {
            match raw {
                Element::Text(text) => said.push(Part::Text { text, cache_control: None }),
                Element::Block(raw) => match block(&Place::assistant(&place), raw)? {
                    Block::Parts(parts) => said.extend(parts),
                    Block::Thinking(text) => {
                        reasoning.push_str(&text);
                        thoughts.push(raw);
                    }
                    Block::Sealed(Sealed { extra_content, reasoning_items }) => {
                        items.extend(reasoning_items.into_iter().flatten());
                        extra.extend(extra_content.map(|raw| (calls.len(), raw.get().into())));
                    }
                    Block::Call { id, name, input, cache_control } => calls.push(Call {
                        id: Some(Text(own(id))),
                        kind: Some("function".into()),
                        function: Some(CallFunction {
                            name: Text(match name {
                                Cow::Borrowed(name) => short(name),
                                Cow::Owned(name) => Cow::Owned(short(&name).into_owned()),
                            }),
                            arguments: Some(Cow::Owned(text_of(input))),
                        }),
                        custom: None,
                        cache_control,
                        extra_content: None,
                    }),
                    Block::Result { .. } | Block::Hosted => {}
                },
            }
        }
        match calls.last_mut() {
            Some(last) => last.cache_control = last.cache_control.or(marker),
            None => mark(&mut said, marker),
        }
        for (at, json) in &extra {
            if let Some(call) = calls.get_mut(*at) {
                call.extra_content = serde_json::from_str(json).ok();
            }
        }
        let said = content(&said).map(Cow::Owned);
        let nothing = said.is_none() && calls.is_empty() && thoughts.is_empty();
        if nothing && items.is_empty() {
            return Ok(());
        }
        self.write(&Message {
            content: said,
            reasoning_content: (!reasoning.is_empty()).then(|| reasoning.into()),
            thinking_blocks: (!thoughts.is_empty()).then_some(thoughts),
            reasoning_items: (!items.is_empty())
                .then(|| items.iter().map(|item| &**item).collect()),
            tool_calls: (!calls.is_empty()).then_some(calls),
            ..Message::new("assistant")
        });
        Ok(())
    }
}

enum Element<'a> {
    Text(Cow<'a, str>),
    Block(Raw<'a>),
}

/// The elements of a turn's content, each with its place in the request.
fn elements<'a>(param: &str, raw: Raw<'a>) -> Result<Vec<(String, Element<'a>)>, Failure> {
    match raw.get().as_bytes().first() {
        Some(b'"') => {
            let text: Text<'a> = read(param, raw.get())?;
            Ok(vec![(param.to_owned(), Element::Text(text.0))])
        }
        Some(b'[') => {
            let list: Vec<Raw<'a>> = read(param, raw.get())?;
            let placed = list.into_iter().enumerate();
            Ok(placed.map(|(at, raw)| (format!("{param}.{at}"), Element::Block(raw))).collect())
        }
        _ => Err(mistyped(param, "a string or an array", raw.get())),
    }
}

/// Puts a marker on the last part, unless that has one.
fn mark<'a>(parts: &mut [Part<'a>], marker: Option<Raw<'a>>) {
    match parts.last_mut() {
        Some(
            Part::Text { cache_control, .. }
            | Part::ImageUrl { cache_control, .. }
            | Part::InputAudio { cache_control, .. }
            | Part::File { cache_control, .. },
        ) => *cache_control = cache_control.or(marker),
        Some(Part::Refusal { .. } | Part::Foreign(_)) | None => {}
    }
}

/// The id as its provider wrote it: one that Anthropic's alphabet lacks was escaped for the client.
fn own(id: Cow<'_, str>) -> Cow<'_, str> {
    match id {
        Cow::Borrowed(id) => original_name(id),
        Cow::Owned(id) => Cow::Owned(original_name(&id).into_owned()),
    }
}

/// An input as the text that OpenAI wants arguments to be.
fn text_of(input: Option<Raw<'_>>) -> Box<RawValue> {
    let text = input.map_or("{}", RawValue::get);
    serde_json::value::to_raw_value(text).unwrap_or_default()
}
