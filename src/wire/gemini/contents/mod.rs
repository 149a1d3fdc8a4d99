//! A conversation in OpenAI's form, turned into `systemInstruction` and `contents`.
//!
//! Gemini has turns. Messages of one side are gathered into one turn, and all tool results of a turn
//! of calls stand at the start of the very next one, as many as there were calls and in their order.

mod turn;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use turn::{Content, Part};
use turn::{Response, Role, Said, returned};

use super::PROVIDER;
use super::media::{Media, Place};
use super::models::Capabilities;
use super::names::known_name;
use crate::failure::Failure;
use crate::wire::chat::{
    ExtraContent, ImageUrl, Part as ChatPart, Raw, arguments, parts, unknown_role,
};
use crate::wire::fields::{Text, impossible, invalid, missing, read};

/// Said for a side that has to speak and said nothing.
const PLACEHOLDER: &str = ".";

/// One message, as far as Gemini has words for it.
#[derive(Debug, Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Text<'a>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
    #[serde(borrow)]
    refusal: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow)]
    function_call: Option<Function<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    is_error: Option<bool>,
    #[serde(borrow)]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Function<'a>>,
    #[serde(borrow)]
    extra_content: Option<ExtraContent<'a>>,
}

#[derive(Debug, Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    arguments: Option<Raw<'a>>,
}

#[derive(Deserialize)]
struct Video<'a> {
    #[serde(borrow)]
    video_url: ImageUrl<'a>,
}

/// What the provider is sent of the conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub(super) system: Vec<Part<'a>>,
    pub(super) contents: Vec<Content<'a>>,
}

/// Turns the messages of a request.
///
/// # Errors
/// A message that cannot be said to this model; a tool result without its call, or a call without
/// its result, unless `modify` allows to mend it.
pub(super) fn translate<'a>(
    raw: &'a str,
    place: Place<'_>,
    modify: bool,
) -> Result<Conversation<'a>, Failure> {
    let messages: Vec<Raw<'a>> = read("messages", raw)?;
    if messages.is_empty() {
        return Err(invalid("messages", "`messages` is empty"));
    }
    let mut builder = Builder {
        conversation: Conversation::default(),
        place,
        modify,
        pending: Vec::new(),
        pending_at: 0,
    };
    for (position, message) in messages.into_iter().enumerate() {
        builder.message(position, message)?;
    }
    builder.finish()
}

struct Builder<'a, 'm> {
    conversation: Conversation<'a>,
    place: Place<'m>,
    modify: bool,
    /// The calls of the last turn of the model's.
    pending: Vec<Pending<'a>>,
    /// The message that called.
    pending_at: usize,
}

/// A call, and its result once it came.
struct Pending<'a> {
    id: Cow<'a, str>,
    /// As the provider knows it.
    name: Cow<'a, str>,
    result: Option<Part<'a>>,
}

impl<'a> Builder<'a, '_> {
    const fn model(&self) -> &Capabilities {
        self.place.model
    }

    fn message(&mut self, position: usize, raw: Raw<'a>) -> Result<(), Failure> {
        let param = format!("messages[{position}]");
        let message: Message<'a> = read(&param, raw.get())?;
        match &*message.role {
            "system" | "developer" => {
                let said = self.parts(&param, message.content)?;
                self.conversation.system.extend(said);
            }
            "user" => {
                let said = self.parts(&param, message.content)?;
                self.say(Role::User, said);
            }
            "assistant" => self.assistant(&param, position, message)?,
            "tool" | "function" => self.result(&param, &message)?,
            role => return Err(unknown_role(&param, role)),
        }
        Ok(())
    }

    /// The parts of a message's content; empty texts are none.
    fn parts(&self, param: &str, content: Option<&'a RawValue>) -> Result<Vec<Part<'a>>, Failure> {
        let param = format!("{param}.content");
        let mut said = Vec::new();
        for (at, part) in parts(&param, content)?.into_iter().enumerate() {
            let param = format!("{param}[{at}]");
            said.push(match part {
                ChatPart::Text { text, .. } | ChatPart::Refusal { refusal: text } => {
                    if text.is_empty() {
                        continue;
                    }
                    Part::text(text)
                }
                part => Said::Media(self.media(&param, part)?).into(),
            });
        }
        Ok(said)
    }

    fn media(&self, param: &str, part: ChatPart<'a>) -> Result<Media<'a>, Failure> {
        match part {
            ChatPart::ImageUrl { image_url, .. } => Media::image(param, image_url, self.place),
            ChatPart::InputAudio { input_audio, .. } => Media::sound(param, input_audio),
            ChatPart::File { file, .. } => Media::file(param, file, self.place),
            ChatPart::Foreign(part) if part.kind == "video_url" => {
                let video: Video<'a> = read(param, part.raw.get())?;
                let (url, format) = (video.video_url.url.0, video.video_url.format);
                let param = format!("{param}.video_url");
                Media::source(&param, url, format.map(|text| text.0), None, self.place)
            }
            ChatPart::Foreign(part) => {
                let message =
                    format!("`{param}`: {PROVIDER} models take no part of type `{}`", part.kind);
                Err(impossible(param, message))
            }
            ChatPart::Text { .. } | ChatPart::Refusal { .. } => {
                Err(invalid(param, format!("`{param}` is a text")))
            }
        }
    }

    fn assistant(
        &mut self,
        param: &str,
        position: usize,
        message: Message<'a>,
    ) -> Result<(), Failure> {
        let mut said = self.parts(param, message.content)?;
        if let Some(refusal) = message.refusal.filter(|refusal| !refusal.is_empty()) {
            said.push(Part::text(refusal.0));
        }
        let signature = message.extra_content.and_then(|extra| extra.google?.thought_signature);
        if let Some(last) = said.last_mut() {
            last.thought_signature = signature;
        }
        let is_calling = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
        if said.is_empty() && !is_calling && message.function_call.is_none() {
            return Ok(());
        }
        self.settle()?;
        self.pending_at = position;
        let mut calls = Vec::new();
        for (at, call) in message.tool_calls.into_iter().flatten().enumerate() {
            calls.push(self.call(&format!("{param}.tool_calls[{at}]"), call)?);
        }
        if let Some(function) = message.function_call {
            // The old form has no ids, and one call at a time.
            let call = self.function(&format!("{param}.function_call"), "".into(), function)?;
            calls.push(call);
        }
        said.extend(calls);
        self.say(Role::Model, said);
        Ok(())
    }

    fn call(&mut self, param: &str, call: Call<'a>) -> Result<Part<'a>, Failure> {
        let id = call.id.map(|id| id.0).unwrap_or_default();
        let Some(function) = call.function else {
            let kind = call.kind.as_deref().unwrap_or("function");
            if kind == "function" {
                return Err(missing(&format!("{param}.function")));
            }
            let message = format!("`{param}`: {PROVIDER} models have no calls of type `{kind}`");
            return Err(impossible(param, message));
        };
        let mut part = self.function(param, id, function)?;
        part.thought_signature =
            call.extra_content.and_then(|extra| extra.google?.thought_signature);
        Ok(part)
    }

    fn function(
        &mut self,
        param: &str,
        id: Cow<'a, str>,
        function: Function<'a>,
    ) -> Result<Part<'a>, Failure> {
        let name = known_name(&format!("{param}.function.name"), function.name.0)?;
        let args = arguments(function.arguments);
        let shown = self.shown(&id);
        self.pending.push(Pending { id, name: name.clone(), result: None });
        Ok(Said::FunctionCall { id: shown, name, args }.into())
    }

    /// Ids are told to the models that have them.
    fn shown(&self, id: &Cow<'a, str>) -> Option<Cow<'a, str>> {
        (self.model().call_ids && !id.is_empty()).then(|| id.clone())
    }

    fn result(&mut self, param: &str, message: &Message<'a>) -> Result<(), Failure> {
        let id = message.tool_call_id.as_ref().map(|id| id.0.clone()).unwrap_or_default();
        let is_old = &*message.role == "function";
        let waits = |call: &Pending<'_>| call.result.is_none() && (is_old || call.id == id);
        let Some(at) = self.pending.iter().position(waits) else {
            if id.is_empty() && !is_old {
                return Err(missing(&format!("{param}.tool_call_id")));
            }
            if !self.modify {
                let message = format!(
                    "Invalid parameter: messages with role 'tool' must be a response to a \
                     preceding message with 'tool_calls'; no call before '{param}' that waits for \
                     a result has its id"
                );
                return Err(invalid(param, message));
            }
            // The model may still read what it was.
            let said = self.parts(param, message.content)?;
            self.say(Role::User, said);
            return Ok(());
        };
        let mut texts: Vec<Cow<'a, str>> = Vec::new();
        let mut media = Vec::new();
        for part in self.parts(param, message.content)? {
            match part.said {
                Said::Text(text) => texts.push(text),
                Said::Media(part) => media.push(part),
                Said::FunctionCall { .. } | Said::FunctionResponse { .. } => {}
            }
        }
        let text = if texts.len() == 1 { texts.remove(0) } else { Cow::Owned(texts.join("\n")) };
        let response = match message.is_error {
            Some(true) => Response::Error(text),
            _ => Response::Output(returned(text)),
        };
        let id = self.shown(&self.pending[at].id);
        let name = self.pending[at].name.clone();
        let beside =
            if self.model().media_results { Vec::new() } else { std::mem::take(&mut media) };
        let response = Said::FunctionResponse { id, name, response, parts: media };
        self.pending[at].result = Some(response.into());
        // Older models look at what a tool returned if the user shows it.
        self.say(Role::User, beside.into_iter().map(|media| Said::Media(media).into()).collect());
        Ok(())
    }

    fn say(&mut self, role: Role, said: Vec<Part<'a>>) {
        if said.is_empty() {
            return;
        }
        match self.conversation.contents.last_mut() {
            Some(last) if last.role == role => last.parts.extend(said),
            _ => self.conversation.contents.push(Content { role, parts: said }),
        }
    }

    /// Puts the results of the last turn of calls at the start of the turn after it.
    fn settle(&mut self) -> Result<(), Failure> {
        if self.pending.iter().all(|call| call.result.is_none()) && !self.pending.is_empty() {
            // Calls of one turn may be told in several messages.
            let goes_on =
                self.conversation.contents.last().is_some_and(|last| last.role == Role::Model);
            if goes_on {
                return Ok(());
            }
        }
        let pending = std::mem::take(&mut self.pending);
        let mut results = Vec::with_capacity(pending.len());
        for call in pending {
            match call.result {
                Some(result) => results.push(result),
                None if self.modify => {
                    let id = self.shown(&call.id);
                    let response = Response::Error(Cow::Borrowed("the call was not answered"));
                    let (name, parts) = (call.name, Vec::new());
                    results.push(Said::FunctionResponse { id, name, response, parts }.into());
                }
                None => {
                    let param = format!("messages[{}]", self.pending_at);
                    let message = format!(
                        "An assistant message with 'tool_calls' must be followed by tool messages \
                         responding to each 'tool_call_id'. '{}' of '{param}' has no response; \
                         `modify_params` mends it.",
                        if call.id.is_empty() { &call.name } else { &call.id }
                    );
                    return Err(invalid(&param, message));
                }
            }
        }
        if results.is_empty() {
            return Ok(());
        }
        match self.conversation.contents.last_mut() {
            Some(last) if last.role == Role::User => {
                last.parts.splice(0..0, results);
            }
            _ => self.conversation.contents.push(Content { role: Role::User, parts: results }),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Conversation<'a>, Failure> {
        let waits = self.pending.iter().any(|call| call.result.is_none());
        let ends = self.conversation.contents.last().is_some_and(|last| last.role == Role::Model);
        if waits && ends && !self.modify {
            let message = "The conversation ends with tool calls that have no response.";
            return Err(invalid(&format!("messages[{}]", self.pending_at), message));
        }
        self.settle()?;
        let model = *self.model();
        let Conversation { mut system, mut contents } = self.conversation;
        if system.iter().any(|part| !part.is_text()) {
            let message = format!("{PROVIDER} models take system messages of text alone");
            return Err(impossible("messages", message));
        }
        if !model.system && !system.is_empty() {
            // Such a model reads it as the user's first words.
            match contents.first_mut().filter(|first| first.role == Role::User) {
                Some(first) => {
                    first.parts.splice(0..0, std::mem::take(&mut system));
                }
                None => contents
                    .insert(0, Content { role: Role::User, parts: std::mem::take(&mut system) }),
            }
        }
        if contents.first().is_none_or(|first| first.role == Role::Model) {
            let parts = vec![Part::text(PLACEHOLDER)];
            contents.insert(0, Content { role: Role::User, parts });
        }
        for content in &mut contents {
            content.complete(&model);
        }
        Ok(Conversation { system, contents })
    }
}
