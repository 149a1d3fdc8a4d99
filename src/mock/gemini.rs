//! Answers in Google's `generateContent`: one body, or frames that end with the connection.

use bytes::Bytes;
use serde_json::{Value, json};

use super::asked::{Asked, Forced, Operation, Tool, rough_tokens, shortened};
use super::openai;
use super::problem::Problem;
use super::speech::{Finish, Frame, Place, Speech};

/// Stands where the provider would seal what the model thought.
const SIGNATURE: &str = "bW9jay1zaWduYXR1cmU=";

/// Reads a request; whether it is one for a stream, the path has told.
pub(super) fn read(asked: &mut Asked, body: &[u8]) {
    let Some(body) = asked.object(body) else { return };
    if asked.operation == Operation::Embeddings {
        embed(asked, &body);
        return;
    }
    let Some(last) = body["contents"].as_array().and_then(|contents| contents.last()) else {
        asked.refused = Some(Problem::saying(400, "* contents is not specified"));
        return;
    };
    asked.prompt_tokens = rough_tokens(&body["contents"].to_string());
    let parts = last["parts"].as_array().map_or(&[][..], Vec::as_slice);
    let said = parts.iter().find_map(|part| part["text"].as_str()).unwrap_or_default();
    asked.said = shortened(said.into());
    asked.tool_answered = parts.iter().any(|part| part.get("functionResponse").is_some());
    asked.images = parts.iter().filter(|part| part.get("inlineData").is_some()).count();
    let config = &body["generationConfig"];
    asked.max_tokens = config["maxOutputTokens"].as_u64();
    asked.schema =
        config.get("responseJsonSchema").or_else(|| config.get("responseSchema")).cloned();
    let declared = body["tools"].as_array().into_iter().flatten();
    let declared = declared.filter_map(|tool| tool["functionDeclarations"].as_array()).flatten();
    let tool = |function: &Value| {
        // Google reads both spellings, and its own SDK for Python writes the second.
        let names = ["parametersJsonSchema", "parameters_json_schema", "parameters"];
        let schema = names.into_iter().find_map(|name| function.get(name));
        let schema = schema.cloned().unwrap_or_default();
        Some(Tool { name: function["name"].as_str()?.to_owned(), schema })
    };
    asked.tools = declared.filter_map(tool).collect();
    if body["toolConfig"]["functionCallingConfig"]["mode"] == "ANY" {
        asked.forced = Forced::Any;
    }
}

/// A whole reply.
pub(super) fn whole(asked: &Asked, speech: &Speech) -> Bytes {
    let mut parts = Vec::new();
    if let Some(thought) = speech.reasoning_text() {
        parts.push(json!({"text": thought, "thought": true}));
    }
    if !speech.chunks.is_empty() {
        parts.push(json!({"text": speech.text()}));
    }
    parts.extend(calls(speech));
    Bytes::from(reply(asked, speech, &json!(parts), Some(finish(speech))).to_string())
}

/// The frames of a stream.
pub(super) fn frames(asked: &Asked, speech: &Speech) -> Vec<Frame> {
    let mut frames = Vec::with_capacity(speech.chunks.len() + 2);
    let mut push = |part: Value, finish: Option<&str>, place: Place, tokens: u64| {
        let data = reply(asked, speech, &json!([part]), finish);
        frames.push(Frame { bytes: format!("data: {data}\r\n\r\n").into(), place, tokens });
    };
    for chunk in &speech.reasoning {
        let part = json!({"text": **chunk, "thought": true});
        push(part, None, Place::Content, rough_tokens(chunk));
    }
    for chunk in &speech.chunks {
        push(json!({"text": **chunk}), None, Place::Content, rough_tokens(chunk));
    }
    for call in calls(speech) {
        push(call, None, Place::Content, 1);
    }
    push(json!({"text": ""}), Some(finish(speech)), Place::Closing, 0);
    frames
}

/// Reads a request for embeddings: of one content, or of several.
fn embed(asked: &mut Asked, body: &Value) {
    let requests = body["requests"].as_array();
    asked.batch = requests.is_some();
    let one = std::slice::from_ref(body);
    let requests = requests.map_or(one, Vec::as_slice);
    if requests.iter().any(|request| !request["content"]["parts"].is_array()) {
        asked.refused = Some(Problem::saying(400, "* content is not specified"));
        return;
    }
    asked.prompt_tokens = rough_tokens(&body.to_string());
    asked.inputs = requests.len();
    let dimensions = requests.first().and_then(|it| it["outputDimensionality"].as_u64());
    asked.dimensions = dimensions.and_then(|number| usize::try_from(number).ok());
}

/// The answer of `embedContent` and of `batchEmbedContents`.
pub(super) fn embeddings(asked: &Asked) -> Bytes {
    let mut vectors: Vec<Value> =
        openai::vectors(asked).iter().map(|numbers| json!({"values": numbers})).collect();
    let body = match asked.batch {
        true => json!({ "embeddings": vectors }),
        false => json!({ "embedding": vectors.pop() }),
    };
    Bytes::from(body.to_string())
}

/// The answer of `countTokens`.
pub(super) fn count(asked: &Asked) -> Bytes {
    Bytes::from(json!({ "totalTokens": asked.prompt_tokens }).to_string())
}

/// Only the first of several calls is sealed.
fn calls(speech: &Speech) -> impl Iterator<Item = Value> {
    speech.calls.iter().enumerate().map(|(at, call)| {
        let args: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
        let mut part = json!({"functionCall": {"name": call.name, "args": args}});
        if at == 0 {
            part["thoughtSignature"] = json!(SIGNATURE);
        }
        part
    })
}

fn reply(asked: &Asked, speech: &Speech, parts: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({"content": {"role": "model", "parts": parts}, "index": 0});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    let mut reply = json!({
        "candidates": [candidate],
        "modelVersion": asked.model,
        "responseId": format!("mock{:016x}", asked.id),
    });
    if !speech.hide_usage {
        let usage = speech.usage;
        reply["usageMetadata"] = json!({
            "promptTokenCount": usage.input,
            "cachedContentTokenCount": usage.cache_read,
            "candidatesTokenCount": usage.output - usage.reasoning.min(usage.output),
            "thoughtsTokenCount": usage.reasoning,
            "totalTokenCount": usage.input + usage.output,
        });
    }
    reply
}

/// Google has no word of its own for an answer that ends with calls.
fn finish(speech: &Speech) -> &str {
    match (&speech.finish_word, speech.finish) {
        (Some(word), _) => word,
        (None, Finish::Stop | Finish::Tools) => "STOP",
        (None, Finish::Length) => "MAX_TOKENS",
        (None, Finish::Filtered | Finish::Refused) => "SAFETY",
    }
}
