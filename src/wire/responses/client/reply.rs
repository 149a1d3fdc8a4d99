//! A canonical reply, as a response object.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::echo::{Echo, Says, Status, stem};
use super::names::{Kind, Names};
use super::output::{
    IdOf, Item, Part, extra, flat_annotation, id, image_data, sealed_in, summary_in, token_logprobs,
};
use super::{sealed, shell};
use crate::failure::Failure;
use crate::wire::chat::{Completion, Turn, arguments, image_url, read_usage};
use crate::wire::client::Telling;
use crate::wire::fields::Text;
use crate::wire::freeform;
use crate::wire::responses::failure::garbage;
use crate::wire::responses::reply::BETWEEN;

/// Writes the response.
///
/// # Errors
/// The body is no chat completion.
pub fn reply(body: &Bytes, telling: &Telling<'_>) -> Result<Bytes, Failure> {
    let completion = Completion::read(body)?;
    let stem = stem(Some(&completion.id), telling.request_id);
    let mut choices = completion.choices.into_iter();
    let Some(answer) = choices.next() else {
        return Err(garbage("the provider's reply has no choices"));
    };
    let status = Status::of(answer.finish_reason.as_deref());
    let names = Names::of(telling.request);
    let output = items(answer.message, &token_logprobs(answer.logprobs), status, &stem, &names);
    let usage = completion.usage.and_then(|raw| read_usage(raw.get()));
    let model = if completion.model.is_empty() { telling.model } else { &*completion.model };
    let mut out = Vec::with_capacity(body.len() + 512);
    let says = Says {
        id: &format!("resp_{stem}"),
        model,
        service_tier: completion.service_tier.as_deref(),
        status,
        output: &output,
        usage: usage.as_ref(),
        problem: None,
    };
    Echo::of(telling).write(&says, &mut out);
    Ok(out.into())
}

/// One item of reasoning.
struct Thought {
    summary: Vec<String>,
    sealed: Option<String>,
}

/// The items of reasoning, in their order: of `made`, which came whole, each as it was. `blocks` is
/// what another provider wants back.
fn thoughts(
    text: Option<&str>,
    blocks: Option<String>,
    made: &[std::borrow::Cow<'_, RawValue>],
) -> Vec<Thought> {
    let mut thoughts: Vec<Thought> = made
        .iter()
        .map(|item| Thought { summary: summary_in(item), sealed: sealed_in(item) })
        .filter(|thought| thought.sealed.is_some())
        .collect();
    let told: Vec<&str> =
        thoughts.iter().flat_map(|thought| &thought.summary).map(String::as_str).collect();
    let is_told = text.is_none_or(|text| told.join(BETWEEN) == text);
    if blocks.is_some() || (thoughts.is_empty() && text.is_some()) {
        thoughts.insert(0, Thought { summary: Vec::new(), sealed: blocks });
    }
    // Some of the text is of an item that did not come whole: it is told once, at the front.
    if !is_told {
        thoughts.iter_mut().for_each(|thought| thought.summary.clear());
        if let (Some(first), Some(text)) = (thoughts.first_mut(), text) {
            first.summary.push(text.to_owned());
        }
    }
    thoughts
}

fn items(
    turn: Turn<'_>,
    logprobs: &[Box<RawValue>],
    status: Status,
    stem: &str,
    names: &Names,
) -> Vec<Box<RawValue>> {
    let mut items = Vec::new();
    let place = |items: &Vec<Box<RawValue>>| items.len() as u64;
    let blocks = turn.thinking_blocks.unwrap_or_default();
    let blocks: Vec<Box<RawValue>> = blocks.into_iter().map(|raw| raw.into_owned()).collect();
    let made = turn.reasoning_items.unwrap_or_default();
    let thought = turn.reasoning_content.filter(|text| !text.is_empty());
    for thought in thoughts(thought.as_deref(), sealed::seal(&blocks), &made) {
        let id = id(IdOf::Reasoning, stem, place(&items));
        let Thought { summary, sealed } = &thought;
        let summary: Vec<Part<'_>> =
            summary.iter().map(|text| Part::SummaryText { text }).collect();
        let item =
            Item::Reasoning { id: &id, summary: &summary, encrypted_content: sealed.as_deref() };
        items.push(item.raw());
    }
    let calls = turn.tool_calls.unwrap_or_default();
    let text = turn.content.as_deref().unwrap_or_default();
    let refusal = turn.refusal.as_deref().filter(|text| !text.is_empty());
    let images = turn.images.unwrap_or_default();
    let images: Vec<String> = images.iter().filter_map(|raw| image_url(raw)).collect();
    if !text.is_empty() || refusal.is_some() || (calls.is_empty() && images.is_empty()) {
        let annotations = turn.annotations.unwrap_or_default();
        let annotations: Vec<_> =
            annotations.iter().filter_map(|raw| flat_annotation(raw)).collect();
        let mut content = Vec::new();
        if !text.is_empty() || refusal.is_none() {
            content.push(Part::OutputText { text, annotations: &annotations, logprobs }.raw());
        }
        content.extend(refusal.map(|refusal| Part::Refusal { refusal }.raw()));
        let id = id(IdOf::Message, stem, place(&items));
        // What was cut off is the last item, and only a text is known to be cut.
        let status = if calls.is_empty() { status.word() } else { "completed" };
        items.push(Item::Message { id: &id, status, role: "assistant", content: &content }.raw());
    }
    for url in images {
        let index = place(&items);
        items.push(match image_data(&url) {
            Some((output_format, data)) => {
                let id = id(IdOf::Image, stem, index);
                let (status, result) = ("completed", Some(data));
                Item::ImageGenerationCall { id: &id, status, result, output_format }.raw()
            }
            None => {
                let text = &format!("![image]({url})");
                let content = [Part::OutputText { text, annotations: &[], logprobs: &[] }.raw()];
                let (id, role) = (id(IdOf::Message, stem, index), "assistant");
                Item::Message { id: &id, status: "completed", role, content: &content }.raw()
            }
        });
    }
    for call in calls {
        let call_id = call.id.unwrap_or_default();
        let index = place(&items);
        if let Some(function) = call.function {
            let written = function.arguments.as_deref();
            let text = written.and_then(|raw| serde_json::from_str::<Text<'_>>(raw.get()).ok());
            let text = text.map_or_else(|| arguments(written).get().to_owned(), |t| t.0.into());
            let extra = extra(call.extra_content.as_ref());
            // What was cut off is no JSON.
            let is_whole = serde_json::from_str::<&RawValue>(&text).is_ok();
            let status = if is_whole { "completed" } else { status.word() };
            let tool = names.find(&function.name);
            let namespace = tool.and_then(|tool| tool.namespace.as_deref());
            let name = tool.map_or(&*function.name, |tool| &*tool.name);
            let (call_id, extra_content) = (&*call_id, extra.as_deref());
            items.push(match tool.map(|tool| tool.kind) {
                Some(Kind::Custom) => {
                    let (id, input) = (&*id(IdOf::Custom, stem, index), &*freeform::input(&text));
                    Item::CustomToolCall {
                        id,
                        status,
                        call_id,
                        namespace,
                        name,
                        input,
                        extra_content,
                    }
                    .raw()
                }
                Some(Kind::Shell) => {
                    let (id, action) = (&*id(IdOf::Shell, stem, index), &*shell::action(&text));
                    Item::LocalShellCall { id, status, call_id, action, extra_content }.raw()
                }
                None | Some(Kind::Function) => {
                    let (id, arguments) = (&*id(IdOf::Function, stem, index), &*text);
                    Item::FunctionCall {
                        id,
                        status,
                        call_id,
                        namespace,
                        name,
                        arguments,
                        extra_content,
                    }
                    .raw()
                }
            });
        } else if let Some(raw) = call.custom {
            let custom: serde_json::Value = serde_json::from_str(raw.get()).unwrap_or_default();
            let text = |name: &str| custom.get(name).and_then(|text| text.as_str());
            let item = Item::CustomToolCall {
                id: &id(IdOf::Custom, stem, index),
                status: "completed",
                call_id: &call_id,
                namespace: None,
                name: text("name").unwrap_or_default(),
                input: text("input").unwrap_or_default(),
                extra_content: None,
            };
            items.push(item.raw());
        }
    }
    items
}
