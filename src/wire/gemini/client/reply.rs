//! A chat completion, as the `GenerateContentResponse` that says the same.

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::names::Names;
use super::request::includes_thoughts;
use super::write::{
    Candidate, Content, FunctionCall, LogprobsResult, Part, PromptFeedback, Response, citations,
    finish_reason, with_broken_call,
};
use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;
use crate::wire::chat::{Answer, Completion, ExtraContent, Turn, read_usage};
use crate::wire::client::Telling;
use crate::wire::fields::Text;

/// Puts a reply into Google's words.
///
/// # Errors
/// [`FailureClass::Server`]: it is no chat completion, or no list of embeddings if that was asked for.
pub fn reply(body: &[u8], telling: &Telling<'_>) -> Result<Bytes, Failure> {
    if telling.embeds {
        return super::embed::reply(body, telling);
    }
    let completion = Completion::read(body)?;
    let usage = completion.usage.and_then(|raw| read_usage(raw.get()));
    let names = Names::of(telling.request);
    let thoughts = telling.request.is_some_and(includes_thoughts);
    let refused = refused_prompt(&completion.choices, usage.as_ref());
    let candidates = match &refused {
        Some(_) => Vec::new(),
        None => {
            completion.choices.iter().map(|answer| candidate(answer, thoughts, &names)).collect()
        }
    };
    let (id, model) = (&*completion.id, &*completion.model);
    let response = Response {
        candidates,
        prompt_feedback: refused.map(|message| PromptFeedback {
            block_reason: "SAFETY",
            block_reason_message: message.map(Cow::Borrowed),
        }),
        usage_metadata: usage.map(Into::into),
        model_version: if model.is_empty() { telling.model } else { model },
        response_id: if id.is_empty() { telling.request_id } else { id },
    };
    let written = serde_json::to_vec(&response);
    written.map(Bytes::from).map_err(|_| {
        Failure::new(FailureClass::Server, "the provider's reply cannot be told to this client")
    })
}

/// A prompt that was refused: nothing was generated, and the reason is a filter's. With what was
/// said about it.
fn refused_prompt<'a>(choices: &'a [Answer<'_>], usage: Option<&Usage>) -> Option<Option<&'a str>> {
    let [answer] = choices else { return None };
    let turn = &answer.message;
    let is_empty = |text: &Option<Text<'_>>| text.as_deref().is_none_or(str::is_empty);
    let silent = is_empty(&turn.content)
        && is_empty(&turn.reasoning_content)
        && turn.tool_calls.as_ref().is_none_or(Vec::is_empty)
        && usage.is_none_or(|usage| usage.output_tokens == 0);
    let filtered = answer.finish_reason.as_deref() == Some("content_filter");
    (silent && filtered).then(|| turn.refusal.as_deref().filter(|text| !text.is_empty()))
}

fn candidate<'a>(answer: &'a Answer<'_>, thoughts: bool, names: &'a Names) -> Candidate<'a> {
    let turn = &answer.message;
    let mut finish = (finish_reason(answer.finish_reason.as_deref()), None);
    let mut parts = Vec::new();
    if let Some(text) = filled(turn.reasoning_content.as_ref()).filter(|_| thoughts) {
        parts.push(Part::thought(Cow::Borrowed(text)));
    }
    let signature = signature(turn.extra_content.as_ref());
    let texts = [filled(turn.content.as_ref()), filled(turn.refusal.as_ref())];
    let mut said: Vec<_> =
        texts.into_iter().flatten().map(|text| Part::text(Cow::Borrowed(text))).collect();
    match (said.last_mut(), signature) {
        (_, None) => {}
        (Some(last), signature) => last.thought_signature = signature,
        (None, signature) => said.push(Part::text("".into()).signed(signature)),
    }
    parts.append(&mut said);
    for image in turn.images.iter().flatten() {
        parts.extend(Part::image(image));
    }
    for call in turn.tool_calls.iter().flatten() {
        let Some(function) = &call.function else { continue };
        let id = call.id.as_deref().map(Cow::Borrowed);
        let name = Cow::Borrowed(names.original(&function.name.0));
        match FunctionCall::new(id, name, function.arguments.as_deref()) {
            Some(written) => {
                let signature = self::signature(call.extra_content.as_ref());
                parts.push(Part::call(written).signed(signature));
            }
            None => finish = with_broken_call(finish.0),
        }
    }
    let (logprobs_result, avg_logprobs) = LogprobsResult::read(answer.logprobs).unzip();
    Candidate {
        content: Content::of(parts),
        finish_reason: Some(finish.0),
        finish_message: finish.1,
        index: answer.index,
        citation_metadata: annotations(turn),
        avg_logprobs,
        logprobs_result,
    }
}

fn annotations<'a>(turn: &'a Turn<'_>) -> Option<super::write::CitationMetadata<'a>> {
    let raws = turn.annotations.iter().flatten().map(|raw| -> &RawValue { raw });
    citations(raws)
}

fn filled<'a>(text: Option<&'a Text<'_>>) -> Option<&'a str> {
    text.map(|text| &*text.0).filter(|text| !text.is_empty())
}

/// Google's signature, to be sent back with the part.
pub(super) fn signature<'a>(extra: Option<&'a ExtraContent<'_>>) -> Option<Cow<'a, str>> {
    extra.and_then(ExtraContent::signature).map(Cow::Borrowed)
}
