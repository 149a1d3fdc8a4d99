//! `contents` and `systemInstruction`, as canonical messages.
//!
//! A call of a function and its result meet by the call's id, by the function's name, or by their
//! order. Ids that were not written are made from the place of the call, so that the same history
//! always gives the same ids, which prompt caches count on.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::media;
use super::names::fitted;
use super::read::{Message as Fields, camel, list, standard_base64, word};
use crate::failure::Failure;
use crate::wire::chat::{Call, CallFunction, ExtraContent, Message, Part, Raw};
use crate::wire::client::Obstacle;
use crate::wire::fields::{Text, impossible, invalid, missing, mistyped, read};

/// The conversation of a request.
#[derive(Debug, Default)]
pub(super) struct Conversation<'a> {
    pub messages: Vec<Message<'a>>,
    /// Calls of the last turn that had any, and whether their results came.
    calls: Vec<Pending<'a>>,
}

#[derive(Debug)]
struct Pending<'a> {
    id: Cow<'a, str>,
    name: Cow<'a, str>,
    answered: bool,
}

impl<'a> Conversation<'a> {
    /// Takes `systemInstruction`: a content, or a text.
    ///
    /// # Errors
    /// It is neither, or holds something else than text.
    pub(super) fn system(&mut self, param: &str, raw: Raw<'a>) -> Result<(), Failure> {
        let mut texts = Vec::new();
        if raw.get().starts_with('"') {
            texts.push(read::<Text<'a>>(param, raw.get())?.0);
        } else {
            let content = Fields::read(param, raw.get())?;
            if let Some((written, parts)) = content.find("parts") {
                for (param, raw) in list(&format!("{param}.{written}"), parts)? {
                    let part = Fields::read(&param, raw.get())?;
                    let text = part.text(&param, "text")?;
                    texts.push(text.ok_or_else(|| missing(&format!("{param}.text")))?);
                }
            }
        }
        texts.retain(|text| !text.is_empty());
        let parts = texts.into_iter().map(|text| Part::Text { text, cache_control: None });
        if let Some(content) = content_of(parts.collect()) {
            let content = Some(Cow::Owned(content));
            self.messages.push(Message { content, ..Message::new("system") });
        }
        Ok(())
    }

    /// Takes `contents`: a list, one content, or a text.
    ///
    /// # Errors
    /// They are something else. What has no canonical form is an obstacle.
    pub(super) fn contents(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        for (turn, (param, raw)) in list(param, raw)?.into_iter().enumerate() {
            if raw.get().starts_with('"') {
                let content = Some(Cow::Borrowed(raw));
                self.messages.push(Message { content, ..Message::new("user") });
                continue;
            }
            let content = Fields::read(&param, raw.get())?;
            let role = match content.find("role") {
                None => "USER".to_owned(),
                Some((written, raw)) => word(&format!("{param}.{written}"), raw)?,
            };
            let parts = match content.find("parts") {
                None => Vec::new(),
                Some((written, raw)) => list(&format!("{param}.{written}"), raw)?,
            };
            match &*role {
                "MODEL" | "ASSISTANT" => self.model(turn, parts, obstacle)?,
                "USER" | "FUNCTION" | "TOOL" | "" => self.user(parts, obstacle)?,
                "SYSTEM" => self.system(&param, raw)?,
                _ => {
                    let message = "Please use a valid role: user, model.";
                    return Err(invalid(&format!("{param}.role"), message));
                }
            }
        }
        Ok(())
    }

    /// A turn of the user: results of functions first, because they belong to the turn before.
    fn user(
        &mut self,
        parts: Vec<(String, Raw<'a>)>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        let mut said = Vec::new();
        for (param, raw) in parts {
            let part = Fields::read(&param, raw.get())?;
            if let Some((written, raw)) = part.find("functionResponse") {
                self.result(&format!("{param}.{written}"), raw, obstacle)?;
            } else {
                said.extend(part_of(&param, &part, obstacle)?);
            }
        }
        if let Some(content) = content_of(said) {
            let content = Some(Cow::Owned(content));
            self.messages.push(Message { content, ..Message::new("user") });
        }
        Ok(())
    }

    /// What a function returned.
    fn result(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        let result = Fields::read(param, raw.get())?;
        let id = result.text(param, "id")?.filter(|id| !id.is_empty());
        let written = result.text(param, "name")?.unwrap_or_default();
        let name = fitted(written.clone());
        let open = |call: &&mut Pending<'a>| !call.answered;
        let found = match &id {
            Some(id) if self.calls.iter().any(|call| call.id == *id) => {
                self.calls.iter_mut().find(|call| call.id == *id)
            }
            _ => self.calls.iter_mut().filter(open).find(|call| call.name == name),
        };
        let id = match found {
            Some(call) => {
                call.answered = true;
                call.id.clone()
            }
            None => {
                let message = format!(
                    "`{param}`: there is no call of the function {written:?} before this result"
                );
                obstacle.content(invalid(param, message));
                id.unwrap_or_else(|| name.clone())
            }
        };
        let (mut said, is_error) = match result.find("response") {
            None => (Vec::new(), None),
            Some((written, raw)) => returned(&format!("{param}.{written}"), raw)?,
        };
        if let Some((written, raw)) = result.find("parts") {
            for (param, raw) in list(&format!("{param}.{written}"), raw)? {
                let part = Fields::read(&param, raw.get())?;
                said.extend(part_of(&param, &part, obstacle)?);
            }
        }
        let content = content_of(said).or_else(|| to_raw_value("").ok());
        self.messages.push(Message {
            content: content.map(Cow::Owned),
            tool_call_id: Some(Text(id)),
            name: (!name.is_empty()).then_some(Text(name)),
            is_error,
            ..Message::new("tool")
        });
        Ok(())
    }

    /// A turn of the model. The SDKs keep each piece of a streamed answer as a content of its own;
    /// here they are one message again.
    fn model(
        &mut self,
        turn: usize,
        parts: Vec<(String, Raw<'a>)>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        let mut said = Said::default();
        for (param, raw) in parts {
            let part = Fields::read(&param, raw.get())?;
            let signature = part.text(&param, "thoughtSignature")?;
            let signature = signature.filter(|text| !text.is_empty());
            let signature = match signature {
                Some(text) => Some(standard_base64(&format!("{param}.thoughtSignature"), text)?),
                None => None,
            };
            let extra = signature.map(signed);
            if let Some((written, raw)) = part.find("functionCall") {
                let param = format!("{param}.{written}");
                said.calls.push(self.call(&param, raw, (turn, said.calls.len()), extra)?);
                continue;
            }
            said.extra = extra.or(said.extra);
            match part_of(&param, &part, obstacle)? {
                Some(Part::Text { text, .. }) if part.is_true("thought") => {
                    said.thoughts.push_str(&text);
                }
                Some(Part::Text { text, .. }) => said.text.push_str(&text),
                None => {}
                Some(_) => obstacle.content(impossible(
                    &param,
                    format!(
                        "`{param}`: other models than Google's take only text in a model's turn"
                    ),
                )),
            }
        }
        self.say(said);
        Ok(())
    }

    fn say(&mut self, said: Said<'a>) {
        let Said { text, thoughts, calls, extra } = said;
        let pending = calls.iter().filter_map(|call| {
            let name = call.function.as_ref()?.name.0.clone();
            Some(Pending { id: call.id.as_ref()?.0.clone(), name, answered: false })
        });
        let goes_on = self.messages.last().is_some_and(|message| &*message.role == "assistant");
        if !calls.is_empty() {
            if !goes_on {
                self.calls.clear();
            }
            self.calls.extend(pending.collect::<Vec<_>>());
        }
        if !goes_on {
            self.messages.push(Message::new("assistant"));
        }
        let Some(message) = self.messages.last_mut() else { return };
        if !text.is_empty() {
            let before =
                message.raw_content().map(|raw| serde_json::from_str::<Text<'_>>(raw.get()));
            let before = before.and_then(Result::ok).map(|text| text.0.into_owned());
            let whole = before.unwrap_or_default() + &text;
            message.content = to_raw_value(&whole).ok().map(Cow::Owned);
        }
        if !thoughts.is_empty() {
            let before = message.reasoning_content.take().map(|text| text.0.into_owned());
            message.reasoning_content = Some((before.unwrap_or_default() + &thoughts).into());
        }
        if !calls.is_empty() {
            message.tool_calls.get_or_insert_with(Vec::new).extend(calls);
        }
        message.extra_content = extra.or_else(|| message.extra_content.take());
    }

    fn call(
        &self,
        param: &str,
        raw: Raw<'a>,
        (turn, place): (usize, usize),
        extra_content: Option<ExtraContent<'a>>,
    ) -> Result<Call<'a>, Failure> {
        let call = Fields::read(param, raw.get())?;
        let name = call.text(param, "name")?.filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| missing(&format!("{param}.name")))?;
        let name = fitted(name);
        let id = call.text(param, "id")?.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| Cow::Owned(format!("call_{turn}_{place}")));
        let args = match call.find("args") {
            None => "{}",
            Some((_, raw)) if raw.get().starts_with('{') => raw.get(),
            Some((written, raw)) => {
                return Err(mistyped(&format!("{param}.{written}"), "an object", raw.get()));
            }
        };
        let arguments = to_raw_value(args).ok().map(Cow::Owned);
        Ok(Call {
            id: Some(Text(id)),
            kind: Some("function".into()),
            function: Some(CallFunction { name: Text(name), arguments }),
            custom: None,
            cache_control: None,
            extra_content,
        })
    }
}

/// What a turn of the model says.
#[derive(Default)]
struct Said<'a> {
    text: String,
    thoughts: String,
    calls: Vec<Call<'a>>,
    /// What belongs to the text, or to the turn as a whole.
    extra: Option<ExtraContent<'a>>,
}

fn signed(signature: Cow<'_, str>) -> ExtraContent<'_> {
    let google = crate::wire::chat::Google { thought_signature: Some(Text(signature)) };
    ExtraContent { google: Some(google) }
}

/// A part that is neither a call nor a result; `None` where it says nothing.
fn part_of<'a>(
    param: &str,
    part: &Fields<'a>,
    obstacle: &mut Obstacle,
) -> Result<Option<Part<'a>>, Failure> {
    if let Some(text) = part.text(param, "text")? {
        let said = (!text.is_empty()).then_some(Part::Text { text, cache_control: None });
        return Ok(said);
    }
    for (written, raw) in part.written() {
        let place = format!("{param}.{written}");
        match &*camel(written) {
            "inlineData" => {
                let blob = Fields::read(&place, raw.get())?;
                return media::inline(&place, &blob).map(Some);
            }
            "fileData" => {
                let file = Fields::read(&place, raw.get())?;
                return Ok(media::linked(&place, &file)?.map_err(|it| obstacle.content(it)).ok());
            }
            "executableCode" => {
                let code = Fields::read(&place, raw.get())?;
                let language = code.text(&place, "language")?.unwrap_or_default();
                let text = code.text(&place, "code")?.unwrap_or_default();
                return Ok(Some(fenced(&language.to_ascii_lowercase(), &text)));
            }
            "codeExecutionResult" => {
                let result = Fields::read(&place, raw.get())?;
                let text = result.text(&place, "output")?.unwrap_or_default();
                return Ok(Some(fenced("", &text)));
            }
            // How to look at what another field holds, or what only Google reads in it.
            "thought" | "thoughtSignature" | "videoMetadata" | "mediaResolution"
            | "partMetadata" => {}
            _ => {
                let message = format!("`{place}` has a meaning for Google's models only");
                obstacle.content(impossible(&place, message));
            }
        }
    }
    Ok(None)
}

/// Code that ran at Google, or what it printed, as a text that any model understands.
fn fenced(language: &str, code: &str) -> Part<'static> {
    let mut text = String::with_capacity(code.len() + language.len() + 10);
    let end = if code.ends_with('\n') { "" } else { "\n" };
    write!(text, "\n```{language}\n{code}{end}```\n").expect("a String takes every text");
    Part::Text { text: Cow::Owned(text), cache_control: None }
}

/// What a function returned, and whether it is an error. `{"output": ...}` and `{"error": ...}` are
/// Google's own words for that, `{"result": ...}` its SDKs'; anything else is the result itself.
fn returned<'a>(param: &str, raw: Raw<'a>) -> Result<(Vec<Part<'a>>, Option<bool>), Failure> {
    let response = Fields::read(param, raw.get())?;
    let mut fields = response.written();
    let (value, is_error) = match (fields.next(), fields.next()) {
        (Some(("output" | "result", value)), None) => (value, None),
        (Some(("error", value)), None) => (value, Some(true)),
        _ => (raw, None),
    };
    let text = match value.get().starts_with('"') {
        true => read::<Text<'a>>(param, value.get())?.0,
        false => Cow::Borrowed(value.get()),
    };
    Ok((vec![Part::Text { text, cache_control: None }], is_error))
}

/// Parts as content: one text is a string, nothing is none.
fn content_of(parts: Vec<Part<'_>>) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Parts<'a>(Vec<Part<'a>>);

    match parts.as_slice() {
        [] => None,
        [Part::Text { text, .. }] => to_raw_value(text).ok(),
        _ => to_raw_value(&Parts(parts)).ok(),
    }
}
