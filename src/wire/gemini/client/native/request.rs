//! A client's own request for a deployment: edited in place.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::embed;
use super::super::read::camel;
use super::super::request::GATEWAYS;
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::gemini::{config, request as canonical};
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;

/// Parameters in OpenAI's spelling, as deployments may drop them, and Google's words for them.
const WORDS: [(&str, &[&str]); 19] = [
    ("temperature", &["temperature"]),
    ("top_p", &["topP"]),
    ("top_k", &["topK"]),
    ("max_tokens", &["maxOutputTokens"]),
    ("max_completion_tokens", &["maxOutputTokens"]),
    ("n", &["candidateCount"]),
    ("stop", &["stopSequences"]),
    ("seed", &["seed"]),
    ("presence_penalty", &["presencePenalty"]),
    ("frequency_penalty", &["frequencyPenalty"]),
    ("logprobs", &["responseLogprobs", "logprobs"]),
    ("top_logprobs", &["logprobs"]),
    ("response_format", &FORMAT),
    ("reasoning_effort", &["thinkingConfig"]),
    ("thinking", &["thinkingConfig"]),
    ("modalities", &["responseModalities"]),
    ("audio", &["speechConfig"]),
    ("tool_choice", &["toolConfig"]),
    ("parallel_tool_calls", &[]),
];

/// What the form of an answer is said with. Who says one of these means all of them.
const FORMAT: [&str; 5] = [
    "responseMimeType",
    "responseSchema",
    "responseJsonSchema",
    "_responseJsonSchema",
    "ResponseJsonSchema",
];

/// What no deployment's list can take out: without it there is no request.
const NEEDED: [&str; 2] = ["contents", "generationConfig"];

/// Writes the client's request for a deployment: with its parameters, and without what is for the
/// gateway. The model is in the path.
///
/// # Errors
/// A parameter of the deployment's that its model does not take.
pub fn request(body: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    if options.endpoint == Endpoint::Embeddings {
        return embed::native(body, options);
    }
    let mut edits = Edits::new();
    for name in body.names() {
        if is_own(name) || GATEWAYS.contains(&name) {
            edits.remove(name.to_owned());
        }
    }
    if options.endpoint == Endpoint::CountTokens {
        for name in ["generateContentRequest", "generate_content_request"] {
            if let Some(inner) = body.object(name) {
                let mut named = Edits::new();
                let model = options.model.unwrap_or_default();
                let model = model.strip_prefix("models/").unwrap_or(model);
                named.set("model", &format!("models/{model}"));
                edits.set_raw(name, inner.edit(&named).to_vec());
            }
        }
        return Ok(body.edit(&edits));
    }
    top(body, options, &mut edits)?;
    let written = written_as(body, "generationConfig");
    let config = body.object(&written);
    let empty = Bytes::from_static(b"{}");
    let config = config.or_else(|| Object::parse(empty).ok());
    if let Some(config) = config
        && let Some(changed) = generation(&config, options)?
    {
        edits.set_raw(written, changed.to_vec());
    }
    Ok(body.edit(&edits))
}

/// The deployment's parameters beside `generationConfig`.
fn top(body: &Object, options: &RequestOptions<'_>, edits: &mut Edits<'_>) -> Result<(), Failure> {
    for (overrides, parameters) in [(false, options.defaults), (true, options.overrides)] {
        if parameters.is_empty() {
            continue;
        }
        for (name, value) in canonical::alone(parameters, options)? {
            let written = written_as(body, &name);
            if overrides || !body.is_set(&written) {
                edits.set_raw(written, value);
            }
        }
    }
    for dropped in options.drop {
        for google in words(dropped) {
            if !NEEDED.contains(&&*google) {
                edits.remove(written_as(body, &google));
            }
        }
    }
    Ok(())
}

/// The parameters of generation; `None` if nothing changes.
fn generation(config: &Object, options: &RequestOptions<'_>) -> Result<Option<Bytes>, Failure> {
    let mut edits = Edits::new();
    for (overrides, parameters) in [(false, options.defaults), (true, options.overrides)] {
        if parameters.is_empty() {
            continue;
        }
        let translated = config::alone(parameters, options)?;
        let tells_format = translated.iter().any(|(name, _)| FORMAT.contains(&&**name));
        let mut said = FORMAT.map(|name| written_as(config, name)).into_iter();
        let has_format = said.any(|name| config.is_set(&name));
        if overrides && tells_format {
            for name in FORMAT {
                edits.remove(written_as(config, name));
            }
        }
        for (name, value) in translated {
            let is_said = match FORMAT.contains(&&*name) {
                true => has_format,
                false => config.is_set(&written_as(config, &name)),
            };
            if overrides || !is_said {
                edits.set_raw(written_as(config, &name), value);
            }
        }
    }
    for dropped in options.drop {
        for google in words(dropped) {
            edits.remove(written_as(config, &google));
        }
    }
    Ok(config.changed(&edits))
}

/// Google's words for a parameter that is dropped, which may be written in either spelling.
fn words(dropped: &str) -> Vec<Cow<'_, str>> {
    match WORDS.iter().find(|(openai, _)| *openai == dropped) {
        Some((_, google)) => google.iter().map(|word| Cow::Borrowed(*word)).collect(),
        None => vec![camel(dropped)],
    }
}

/// The name of a field in the spelling that the client used.
fn written_as(object: &Object, google: &str) -> String {
    let known = object.names().find(|name| camel(name) == google);
    known.unwrap_or(google).to_owned()
}
