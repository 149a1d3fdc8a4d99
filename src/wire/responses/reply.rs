//! A whole response, as a chat completion.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::event::{OutputItem, Response, nested_annotation, nested_logprobs};
use super::failure::garbage;
use super::ids::Owner;
use super::sealed::marked_item;
use crate::dialect::Quirks;
use crate::failure::Failure;
use crate::wire::Reply;
use crate::wire::chat::{Answer, Call, CallFunction, Completion, Image, Shown, Turn};
use crate::wire::fields::Text;
use crate::wire::openai::{ErrorBody, read_usage};

/// Before the ids of chat completions.
pub(super) const ID_PREFIX: &str = "chatcmpl-";

/// Between two messages of one response: a chat completion has one.
pub(super) const BETWEEN: &str = "\n\n";

/// Reads the body of a 200 from `owner`, whom sealed reasoning is to name.
///
/// # Errors
/// It is no response, or one that failed.
pub fn reply(body: Bytes, created: u64, owner: Option<Owner>) -> Result<Reply, Failure> {
    let response = parse(&body)?;
    if let Some(failure) = failed(&body, &response) {
        return Err(failure);
    }
    if response.is_unfinished() {
        return Err(garbage("the provider sent a response that is not finished"));
    }
    let mut said = Said::default();
    for raw in &response.output {
        let item = serde_json::from_str(raw.get())
            .map_err(|_| garbage("an item of the provider's reply cannot be read"))?;
        said.add(raw, item, owner);
    }
    let usage = response.usage.and_then(|raw| read_usage(raw.get().as_bytes(), Quirks::default()));
    let model = response.model.clone().unwrap_or_default();
    let id = format!("{ID_PREFIX}{}", response.id.as_deref().unwrap_or_default());
    let finish_reason = response.finish_reason(!said.calls.is_empty());
    let mut completion =
        Completion::new(id, Text(Cow::Borrowed(&model)), response.created().unwrap_or(created))
            .with_usage(usage.as_ref().map(|usage| Shown::of(usage, true)));
    completion.service_tier.clone_from(&response.service_tier);
    let logprobs = said.logprobs();
    completion.choices.push(Answer {
        index: 0,
        logprobs: logprobs.as_deref(),
        message: said.into_turn(),
        finish_reason: Some(finish_reason.into()),
        ..Answer::default()
    });
    let written = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be written"))?;
    Ok(Reply { body: written.into(), usage, model: Some(model.0.as_ref().into()) })
}

pub(super) fn parse(body: &[u8]) -> Result<Response<'_>, Failure> {
    serde_json::from_slice(body).map_err(|broken| {
        // A status of 200 may come with an error all the same.
        ErrorBody::read(body).map_or_else(
            || garbage(format!("the provider's reply is not a response: {broken}")),
            ErrorBody::into_failure,
        )
    })
}

/// What a response says went wrong.
pub(super) fn failed(body: &[u8], response: &Response<'_>) -> Option<Failure> {
    match response.status.as_deref() {
        Some("failed") => Some(response_failure(body)),
        Some("cancelled") => Some(garbage("the response was cancelled at the provider")),
        Some(_) => None,
        None if response.error.is_some() => Some(ErrorBody::read(body).map_or_else(
            || garbage("the provider sent an error in a reply of status 200"),
            ErrorBody::into_failure,
        )),
        None if response.output.is_empty() => {
            Some(garbage("the provider's reply has neither `status` nor `output`"))
        }
        None => None,
    }
}

/// The failure of a response whose status is `failed`.
pub(super) fn response_failure(response: &[u8]) -> Failure {
    let response: Response<'_> = serde_json::from_slice(response).unwrap_or_default();
    response.error.unwrap_or_default().into_failure()
}

/// The items, sorted into the fields of a message.
#[derive(Default)]
struct Said<'a> {
    text: Option<String>,
    refusal: Option<String>,
    reasoning: String,
    items: Vec<Cow<'a, RawValue>>,
    annotations: Vec<Cow<'a, RawValue>>,
    logprobs: Vec<&'a RawValue>,
    images: Vec<Cow<'a, RawValue>>,
    calls: Vec<Call<'a>>,
}

impl<'a> Said<'a> {
    fn add(&mut self, raw: &'a RawValue, item: OutputItem<'a>, owner: Option<Owner>) {
        match item.kind.as_deref() {
            Some("message") => {
                if self.text.as_ref().is_some_and(|text| !text.is_empty()) {
                    self.text.get_or_insert_default().push_str(BETWEEN);
                }
                for part in item.content.into_iter().flatten() {
                    if let Some(text) = part.text {
                        self.text.get_or_insert_default().push_str(&text);
                    }
                    if let Some(refusal) = part.refusal {
                        self.refusal.get_or_insert_default().push_str(&refusal);
                    }
                    let annotations = part.annotations.into_iter().flatten();
                    let nested = annotations.filter_map(nested_annotation).map(Cow::Owned);
                    self.annotations.extend(nested);
                    self.logprobs.extend(part.logprobs.into_iter().flatten());
                }
            }
            Some("reasoning") => {
                let summary = item.summary.filter(|summary| !summary.is_empty());
                for part in summary.or(item.content).into_iter().flatten() {
                    if !self.reasoning.is_empty() {
                        self.reasoning.push_str(BETWEEN);
                    }
                    self.reasoning.push_str(&part.text.unwrap_or_default());
                }
                if item.encrypted_content.is_some() {
                    let marked = marked_item(raw, owner).map(Cow::Owned);
                    self.items.push(marked.unwrap_or(Cow::Borrowed(raw)));
                }
            }
            Some("function_call") => {
                let arguments = item.arguments.unwrap_or_default();
                let arguments = serde_json::value::to_raw_value(&arguments).ok();
                self.calls.push(Call {
                    function: Some(CallFunction {
                        name: item.name.unwrap_or_default(),
                        arguments: arguments.map(Cow::Owned),
                    }),
                    ..call(item.call_id, "function")
                });
            }
            Some("custom_tool_call") => {
                let (name, input) = (item.name.unwrap_or_default(), item.input.unwrap_or_default());
                let custom = serde_json::json!({"name": name, "input": input});
                let custom = serde_json::value::to_raw_value(&custom).ok().map(Cow::Owned);
                self.calls.push(Call { custom, ..call(item.call_id, "custom") });
            }
            Some("image_generation_call") => {
                let number = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
                let image = item.image().map(|url| Image::new(number, url));
                let raw = image.and_then(|image| serde_json::value::to_raw_value(&image).ok());
                self.images.extend(raw.map(Cow::Owned));
            }
            // What a tool did that runs at the provider; its outcome is in the text.
            _ => {}
        }
    }

    /// The probabilities, as the chat API wraps them.
    fn logprobs(&self) -> Option<Box<RawValue>> {
        nested_logprobs(&self.logprobs)
    }

    fn into_turn(self) -> Turn<'a> {
        // Where there is something else to look at, no text is `null`; otherwise it is empty.
        let silent = self.calls.is_empty() && self.refusal.is_none();
        let said = self.text.filter(|text| !text.is_empty());
        let some = |list: Vec<Cow<'a, RawValue>>| (!list.is_empty()).then_some(list);
        Turn {
            role: "assistant".into(),
            content: said.or_else(|| silent.then(String::new)).map(Text::from),
            refusal: self.refusal.map(Text::from),
            reasoning_content: (!self.reasoning.is_empty()).then(|| self.reasoning.into()),
            reasoning_items: some(self.items),
            annotations: some(self.annotations),
            images: some(self.images),
            tool_calls: (!self.calls.is_empty()).then_some(self.calls),
            ..Turn::default()
        }
    }
}

fn call<'a>(id: Option<Text<'a>>, kind: &'static str) -> Call<'a> {
    Call {
        id: Some(id.unwrap_or_default()),
        kind: Some(kind.into()),
        function: None,
        custom: None,
        cache_control: None,
        extra_content: None,
    }
}
