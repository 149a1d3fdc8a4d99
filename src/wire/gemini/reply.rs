//! A whole `generateContent` reply, turned into a chat completion.

use std::borrow::Cow;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::error::{garbage, within};
use super::grounding::{Characters, annotations};
use super::names::{Place, call_id, original_name};
use super::parts::{Candidate, FunctionCall, Generated, finish_reason, refusal};
use super::{ID_PREFIX, count, embed};
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::Reply;
use crate::wire::chat::{Answer, Audio, Call, CallFunction, Completion, ExtraContent, Image, Turn};
use crate::wire::fields::Text;
use crate::wire::json::compact;

/// Turns a whole reply. `api` is what was asked, `created` the time that the client is told, in Unix
/// seconds.
///
/// # Errors
/// The body is an error, is no reply at all, or the model's answer is none.
pub fn reply(body: Bytes, api: Endpoint, created: u64) -> Result<Reply, Failure> {
    match api {
        Endpoint::Embeddings => embed::reply(&body),
        Endpoint::CountTokens => count::reply(&body),
        _ => generated(&body, created),
    }
}

fn generated(body: &[u8], created: u64) -> Result<Reply, Failure> {
    let unreadable = || garbage("the provider's reply is not an answer of Gemini's");
    let whole: Generated<'_> = match serde_json::from_slice(body) {
        Ok(whole) => whole,
        Err(_) => return Err(within(body).unwrap_or_else(unreadable)),
    };
    if whole.error.is_some() {
        return Err(within(body).unwrap_or_else(unreadable));
    }
    let candidates = whole.candidates.as_deref().unwrap_or_default();
    let blocked = whole.block_reason().filter(|_| candidates.is_empty());
    if candidates.is_empty() && blocked.is_none() {
        return Err(garbage("the provider's reply has no candidates"));
    }
    if let Some(fault) = candidates.iter().map(Candidate::fault).collect::<Option<Vec<_>>>() {
        // With nothing to fall back on among the others.
        if let Some(fault) = fault.into_iter().next() {
            return Err(fault);
        }
    }
    let response_id = whole.response_id.as_deref().unwrap_or_default();
    let mut said: Vec<Said<'_>> = candidates
        .iter()
        .zip(0..)
        .map(|(candidate, at)| {
            let candidate_index = candidate.index.unwrap_or(at);
            let place = Place { response_id, created, candidate: candidate_index, number: 0 };
            Said::of(candidate, place)
        })
        .collect();
    if let Some(reason) = blocked {
        said.push(Said {
            refusal: Some(refusal(reason)),
            finish_reason: "content_filter",
            ..Said::default()
        });
    }
    let model = whole.model_version.as_deref().unwrap_or_default();
    let mut completion = Completion::new(id(response_id, created), model, created)
        .with_usage(whole.usage_metadata.as_ref().map(super::usage::Counts::shown));
    completion.choices = said.iter().map(Said::answer).collect();
    let body = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply {
        body: body.into(),
        usage: whole.usage_metadata.map(|counts| counts.usage()),
        model: whole.model_version.map(|model| Box::from(&*model)),
    })
}

/// The reply's id: the provider's, after our prefix.
pub(super) fn id(response_id: &str, created: u64) -> String {
    if response_id.is_empty() {
        format!("{ID_PREFIX}{created}")
    } else {
        format!("{ID_PREFIX}{response_id}")
    }
}

/// A tool call of the model, as a client reads it.
#[derive(Debug)]
pub(super) struct Called<'a> {
    pub(super) id: Cow<'a, str>,
    pub(super) name: Cow<'a, str>,
    /// JSON text of an object.
    pub(super) arguments: String,
    pub(super) signature: Option<&'a str>,
}

impl<'a> Called<'a> {
    pub(super) fn of(
        call: &'a FunctionCall<'_>,
        signature: Option<&'a str>,
        place: Place<'_>,
    ) -> Self {
        let name = call.name.as_deref().unwrap_or_default();
        let args = call.args.map_or("null", RawValue::get);
        let arguments = if args == "null" { "{}".to_owned() } else { compact(args) };
        let id = call.id.as_deref();
        Self {
            id: call_id(id, place, name, &arguments, signature.unwrap_or_default()),
            name: original_name(name),
            arguments,
            signature,
        }
    }
}

/// What one candidate said, sorted into OpenAI's fields.
#[derive(Default)]
struct Said<'a> {
    index: u32,
    text: String,
    reasoning: String,
    refusal: Option<String>,
    signature: Option<&'a str>,
    calls: Vec<Called<'a>>,
    images: Vec<Box<RawValue>>,
    audio: Option<Box<RawValue>>,
    annotations: Vec<Box<RawValue>>,
    logprobs: Option<Box<RawValue>>,
    finish_reason: &'static str,
}

impl<'a> Said<'a> {
    fn of(candidate: &'a Candidate<'_>, place: Place<'_>) -> Self {
        let mut said = Self { index: place.candidate, ..Self::default() };
        for part in candidate.parts() {
            if let Some(call) = &part.function_call {
                let number = u32::try_from(said.calls.len()).unwrap_or(u32::MAX);
                said.calls.push(Called::of(call, part.signature(), Place { number, ..place }));
                continue;
            }
            if let Some(blob) = &part.inline_data {
                said.blob(blob, place);
            } else if let Some(text) = part.text() {
                let into =
                    if part.thought == Some(true) { &mut said.reasoning } else { &mut said.text };
                into.push_str(&text);
            }
            said.signature = part.signature().or(said.signature);
        }
        let reason = candidate.finish_reason().unwrap_or_default();
        said.finish_reason = finish_reason(reason, !said.calls.is_empty());
        let silent = said.text.is_empty() && said.calls.is_empty() && said.images.is_empty();
        let is_fault = candidate.fault().is_some();
        if silent && (is_fault || said.finish_reason == "content_filter") {
            said.refusal = Some(match candidate.fault() {
                Some(fault) => fault.message,
                None => refusal(reason),
            });
        }
        let mut characters = Characters::default();
        let (grounding, citations) = (candidate.grounding_metadata, candidate.citation_metadata);
        if grounding.is_some() || citations.is_some() {
            characters.push(&said.text);
            let [grounding, citations] = [grounding, citations].map(|raw| raw.map(RawValue::get));
            said.annotations = annotations(grounding, citations, &characters);
        }
        said.logprobs = candidate.logprobs_result.and_then(|raw| logprobs(raw.get()));
        said
    }

    fn blob(&mut self, blob: &super::parts::Blob<'_>, place: Place<'_>) {
        if blob.is_audio() {
            let id = format!("audio_{}", place.response_id);
            let data = &*blob.data;
            let audio = Audio { id: &id, data, expires_at: place.created, transcript: "" };
            self.audio = to_raw_value(&audio).ok().or_else(|| self.audio.take());
        } else {
            let index = u32::try_from(self.images.len()).unwrap_or(u32::MAX);
            self.images.extend(to_raw_value(&Image::new(index, blob.url())).ok());
        }
    }

    fn answer(&self) -> Answer<'_> {
        // Where there is something else to look at, no text is `null`; otherwise it is empty.
        let silent = self.calls.is_empty() && self.refusal.is_none();
        let has_text = silent || !self.text.is_empty();
        Answer {
            index: self.index,
            message: Turn {
                role: "assistant".into(),
                content: has_text.then(|| Text::from(&*self.text)),
                refusal: self.refusal.as_deref().map(Text::from),
                reasoning_content: (!self.reasoning.is_empty())
                    .then(|| Text::from(&*self.reasoning)),
                annotations: listed(&self.annotations),
                tool_calls: (!self.calls.is_empty())
                    .then(|| self.calls.iter().map(Called::written).collect()),
                extra_content: self.signature.map(ExtraContent::signed),
                audio: self.audio.as_deref(),
                images: listed(&self.images),
                ..Turn::default()
            },
            logprobs: self.logprobs.as_deref(),
            finish_reason: Some(self.finish_reason.into()),
            ..Answer::default()
        }
    }
}

fn listed(list: &[Box<RawValue>]) -> Option<Vec<Cow<'_, RawValue>>> {
    (!list.is_empty()).then(|| list.iter().map(|raw| Cow::Borrowed(&**raw)).collect())
}

impl Called<'_> {
    fn written(&self) -> Call<'_> {
        Call {
            id: Some(Text::from(&*self.id)),
            kind: Some("function".into()),
            function: Some(CallFunction {
                name: Text::from(&*self.name),
                arguments: to_raw_value(&self.arguments).ok().map(Cow::Owned),
            }),
            custom: None,
            cache_control: None,
            extra_content: self.signature.map(ExtraContent::signed),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Logprobs<'a> {
    #[serde(borrow, default)]
    top_candidates: Vec<Top<'a>>,
    #[serde(borrow, default)]
    chosen_candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
struct Top<'a> {
    #[serde(borrow, default)]
    candidates: Vec<Token<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Token<'a> {
    #[serde(borrow, default)]
    token: Text<'a>,
    #[serde(default)]
    log_probability: f64,
}

#[derive(Serialize)]
struct Chosen<'a> {
    #[serde(flatten)]
    token: Likely<'a>,
    top_logprobs: Vec<Likely<'a>>,
}

#[derive(Serialize)]
struct Likely<'a> {
    token: &'a str,
    logprob: f64,
    bytes: &'a [u8],
}

impl<'a> From<&'a Token<'_>> for Likely<'a> {
    fn from(token: &'a Token<'_>) -> Self {
        Self { token: &token.token, logprob: token.log_probability, bytes: token.token.as_bytes() }
    }
}

/// How likely the tokens were, as OpenAI writes it.
fn logprobs(raw: &str) -> Option<Box<RawValue>> {
    #[derive(Serialize)]
    struct Written<'a> {
        content: Vec<Chosen<'a>>,
    }

    let read: Logprobs<'_> = serde_json::from_str(raw).ok()?;
    let content = read.chosen_candidates.iter().enumerate().map(|(at, token)| Chosen {
        token: token.into(),
        top_logprobs: read
            .top_candidates
            .get(at)
            .map(|top| top.candidates.iter().map(Likely::from).collect())
            .unwrap_or_default(),
    });
    to_raw_value(&Written { content: content.collect() }).ok()
}
