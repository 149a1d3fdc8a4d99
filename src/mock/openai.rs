//! Answers in OpenAI's bodies and frames, and in Azure's, which are OpenAI's with a content filter.
//!
//! The order of frames is OpenAI's: role, deltas, finish, usage if asked for, `[DONE]`. Azure sends
//! a preamble with empty `choices` before them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};

use super::asked::{Asked, rough_tokens};
use super::speech::{Call, Finish, Frame, Place, Speech, fragments};
use crate::dialect::Dialect;

/// The time every reply claims to be made at: the same request gives the same bytes.
pub(super) const CREATED: u64 = 1_767_225_600;
/// Numbers in an embedding if the request does not say.
const DIMENSIONS: usize = 8;
/// The most numbers in an embedding.
const DIMENSIONS_MAX: usize = 4096;

/// The head that a whole reply and every chunk begin with.
#[derive(Serialize)]
struct Envelope<'a, C> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: &'a [C],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Value>,
    service_tier: &'static str,
    system_fingerprint: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt_filter_results: Option<Value>,
}

#[derive(Serialize)]
struct Choice {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    finish_reason: Option<String>,
    logprobs: Option<()>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_filter_results: Option<Value>,
}

/// Writes the bodies of one reply.
struct Writer<'a> {
    asked: &'a Asked,
    speech: &'a Speech,
    id: String,
    legacy: bool,
}

/// A whole reply of chat or text completions.
pub(super) fn whole(asked: &Asked, speech: &Speech, legacy: bool) -> Bytes {
    let writer = Writer::new(asked, speech, legacy);
    let choice = |index| Choice {
        message: (!legacy).then(|| writer.message()),
        text: legacy.then(|| speech.text()),
        ..writer.choice(index, Some(writer.finish_reason()))
    };
    let choices: Vec<Choice> = (0..asked.choices).map(choice).collect();
    let usage = (!speech.hide_usage).then(|| writer.usage());
    let object = if legacy { "text_completion" } else { "chat.completion" };
    Bytes::from(writer.envelope(object, &choices, usage))
}

/// The frames of chat or text completions.
pub(super) fn frames(asked: &Asked, speech: &Speech, legacy: bool) -> Vec<Frame> {
    let writer = Writer::new(asked, speech, legacy);
    let mut frames = Vec::with_capacity(speech.chunks.len() + 6);
    writer.opening(&mut frames);
    if legacy {
        for chunk in &speech.chunks {
            let text = || Choice { text: Some(chunk.to_string()), ..writer.choice(0, None) };
            writer.push(&mut frames, Place::Content, rough_tokens(chunk), text);
        }
    } else {
        writer.deltas(&mut frames);
    }
    let finish = || Choice {
        delta: (!legacy).then(|| json!({})),
        text: legacy.then(String::new),
        ..writer.choice(0, Some(writer.finish_reason()))
    };
    writer.push(&mut frames, Place::Closing, 0, finish);
    if asked.include_usage && !speech.hide_usage {
        let text = writer.envelope(writer.chunk_object(), &[], Some(writer.usage()));
        frames.push(sse(&text, Place::Closing, 0));
    }
    frames.push(sse("[DONE]", Place::Closing, 0));
    frames
}

/// Embeddings: deterministic numbers, one vector per input.
pub(super) fn embeddings(asked: &Asked) -> Bytes {
    let vector = |(index, numbers): (usize, Vec<f32>)| {
        let embedding = match asked.base64 {
            true => {
                let bytes: Vec<u8> = numbers.iter().flat_map(|it| it.to_le_bytes()).collect();
                json!(STANDARD.encode(bytes))
            }
            false => json!(numbers),
        };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let data: Vec<Value> = vectors(asked).into_iter().enumerate().map(vector).collect();
    let tokens = asked.prompt_tokens;
    let body = json!({
        "object": "list",
        "data": data,
        "model": asked.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    Bytes::from(body.to_string())
}

/// A vector for each input; the same request gives the same ones.
pub(super) fn vectors(asked: &Asked) -> Vec<Vec<f32>> {
    let dimensions = asked.dimensions.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS_MAX);
    let mut random = fastrand::Rng::with_seed(asked.id);
    let mut vector = || (0..dimensions).map(|_| random.f32() - 0.5).collect();
    (0..asked.inputs).map(|_| vector()).collect()
}

impl<'a> Writer<'a> {
    fn new(asked: &'a Asked, speech: &'a Speech, legacy: bool) -> Self {
        let prefix = if legacy { "cmpl" } else { "chatcmpl" };
        Self { asked, speech, id: format!("{prefix}-mock{:016x}", asked.id), legacy }
    }

    fn azure(&self) -> bool {
        self.asked.dialect == Dialect::Azure
    }

    const fn chunk_object(&self) -> &'static str {
        if self.legacy { "text_completion" } else { "chat.completion.chunk" }
    }

    fn envelope(&self, object: &'static str, choices: &[Choice], usage: Option<Value>) -> String {
        let whole = object == "chat.completion";
        let envelope = Envelope {
            id: &self.id,
            object,
            created: CREATED,
            model: &self.asked.model,
            choices,
            usage,
            service_tier: "default",
            system_fingerprint: "fp_mock",
            prompt_filter_results: (self.azure() && whole).then(prompt_filter_results),
        };
        serde_json::to_string(&envelope).unwrap_or_default()
    }

    fn choice(&self, index: u64, finish_reason: Option<String>) -> Choice {
        let blocked = finish_reason.is_some() && self.speech.finish == Finish::Filtered;
        Choice {
            index,
            message: None,
            delta: None,
            text: None,
            finish_reason,
            logprobs: None,
            content_filter_results: self.azure().then(|| filter_results(blocked)),
        }
    }

    fn finish_reason(&self) -> String {
        if let Some(word) = &self.speech.finish_word {
            return word.clone();
        }
        let word = match self.speech.finish {
            Finish::Stop | Finish::Refused => "stop",
            Finish::Length => "length",
            Finish::Tools => "tool_calls",
            Finish::Filtered => "content_filter",
        };
        word.to_owned()
    }

    fn message(&self) -> Value {
        let speech = self.speech;
        let silent = speech.chunks.is_empty();
        let mut message = json!({
            "role": "assistant",
            "content": (!silent || speech.finish == Finish::Stop).then(|| speech.text()),
            "refusal": speech.refusal,
            "annotations": [],
        });
        if let Some(reasoning) = speech.reasoning_text() {
            message["reasoning_content"] = json!(reasoning);
        }
        if !speech.calls.is_empty() {
            message["tool_calls"] = speech.calls.iter().map(|call| call_of(call, None)).collect();
        }
        message
    }

    fn usage(&self) -> Value {
        let usage = self.speech.usage;
        json!({
            "prompt_tokens": usage.input,
            "completion_tokens": usage.output,
            "total_tokens": usage.input + usage.output,
            "prompt_tokens_details": {
                "cached_tokens": usage.cache_read,
                "cache_write_tokens": usage.cache_write,
                "audio_tokens": 0,
            },
            "completion_tokens_details": {
                "reasoning_tokens": usage.reasoning,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        })
    }

    /// The frames before any content.
    fn opening(&self, frames: &mut Vec<Frame>) {
        if self.azure() && !self.legacy {
            let text = json!({
                "choices": [],
                "created": 0,
                "id": "",
                "model": "",
                "object": "",
                "prompt_filter_results": prompt_filter_results(),
            });
            frames.push(sse(&text.to_string(), Place::Preamble, 0));
        }
        let only_calls = self.speech.chunks.is_empty()
            && self.speech.reasoning.is_empty()
            && !self.speech.calls.is_empty();
        // OpenAI puts the role into the frame that opens the first tool call.
        if !self.legacy && !only_calls {
            let delta = json!({"role": "assistant", "content": "", "refusal": null});
            self.push_delta(frames, Place::Preamble, 0, &delta);
        }
    }

    fn deltas(&self, frames: &mut Vec<Frame>) {
        let speech = self.speech;
        for chunk in &speech.reasoning {
            let delta = json!({ "reasoning_content": chunk.as_ref() });
            self.push_delta(frames, Place::Content, rough_tokens(chunk), &delta);
        }
        let mut previous: Option<(&str, usize)> = None;
        for chunk in &speech.chunks {
            let start = frames.len();
            match previous {
                // A repeated chunk shares the bytes of the frame before it.
                Some((text, from)) if text == chunk.as_ref() => {
                    frames.extend_from_within(from..start);
                }
                _ => {
                    let delta = json!({ "content": chunk.as_ref() });
                    self.push_delta(frames, Place::Content, rough_tokens(chunk), &delta);
                    previous = Some((chunk, start));
                }
            }
            if let Some((_, from)) = &mut previous {
                *from = start;
            }
        }
        if let Some(refusal) = &speech.refusal {
            for piece in refusal.split_inclusive(' ') {
                let delta = json!({ "refusal": piece });
                self.push_delta(frames, Place::Content, rough_tokens(piece), &delta);
            }
        }
        for (index, call) in speech.calls.iter().enumerate() {
            let opening = Call { arguments: String::new(), id: call.id.clone(), ..call_name(call) };
            let mut delta = json!({ "tool_calls": [call_of(&opening, Some(index))] });
            if index == 0 && speech.chunks.is_empty() && speech.reasoning.is_empty() {
                delta["role"] = json!("assistant");
                delta["content"] = Value::Null;
                delta["refusal"] = Value::Null;
            }
            self.push_delta(frames, Place::Content, 1, &delta);
            for piece in fragments(&call.arguments) {
                let function = json!({ "arguments": piece });
                let delta = json!({ "tool_calls": [{"index": index, "function": function}] });
                self.push_delta(frames, Place::Content, rough_tokens(piece), &delta);
            }
        }
    }

    fn push_delta(&self, frames: &mut Vec<Frame>, place: Place, tokens: u64, delta: &Value) {
        let choice = || Choice { delta: Some(delta.clone()), ..self.choice(0, None) };
        self.push(frames, place, tokens, choice);
    }

    /// One frame for each of the choices asked for.
    fn push(
        &self,
        frames: &mut Vec<Frame>,
        place: Place,
        tokens: u64,
        choice: impl Fn() -> Choice,
    ) {
        let usage = self.asked.include_usage.then_some(Value::Null);
        for index in 0..self.asked.choices {
            let choice = Choice { index, ..choice() };
            let text = self.envelope(self.chunk_object(), &[choice], usage.clone());
            frames.push(sse(&text, place, tokens));
        }
    }
}

fn sse(data: &str, place: Place, tokens: u64) -> Frame {
    Frame { bytes: Bytes::from(format!("data: {data}\n\n")), place, tokens }
}

fn call_name(call: &Call) -> Call {
    Call { id: String::new(), name: call.name.clone(), arguments: String::new() }
}

fn call_of(call: &Call, index: Option<usize>) -> Value {
    let function = json!({"name": call.name, "arguments": call.arguments});
    let mut value = json!({"id": call.id, "type": "function", "function": function});
    if let Some(index) = index {
        value["index"] = json!(index);
    }
    value
}

fn filter_results(blocked: bool) -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    let violence = match blocked {
        true => json!({"filtered": true, "severity": "high"}),
        false => safe.clone(),
    };
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": violence})
}

fn prompt_filter_results() -> Value {
    let mut results = filter_results(false);
    results["jailbreak"] = json!({"filtered": false, "detected": false});
    json!([{"prompt_index": 0, "content_filter_results": results}])
}
