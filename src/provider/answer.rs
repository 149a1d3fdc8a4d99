//! What a provider answers, read by the deployment's dialect: whole replies and streams.
//!
//! Chooses the format; the formats themselves are `wire`'s. What was asked is `call.rs`'s.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};

use super::call::Reading;
use super::{media, parts, text_of};
use crate::catalog::Deployment;
use crate::dialect::{Dialect, Endpoint, Quirks};
use crate::failure::Failure;
use crate::mapping::Mapping;
use crate::wire::anthropic::{client as messages, native as messages_native};
use crate::wire::gemini::client::native as gemini_native;
use crate::wire::json::{Edits, Object};
use crate::wire::responses::{Bridge, NativeStream, Owner};
use crate::wire::{self, Origin, Reply, StreamOptions, StreamRelay};

const AMAZON_REQUEST_ID: &str = "x-amzn-requestid";

/// What is known of an answer by its head, and of its request.
#[must_use]
pub fn origin<'a>(model: &'a str, headers: &'a HeaderMap) -> Origin<'a> {
    let request_id = text_of(headers, AMAZON_REQUEST_ID);
    let input_tokens = parts::input_tokens(headers);
    let output_tokens = parts::output_tokens(headers);
    Origin { model, request_id, input_tokens, output_tokens }
}

/// Whether a header of a successful answer is looked at by [`origin`].
#[must_use]
pub fn tells_origin(name: &HeaderName) -> bool {
    [AMAZON_REQUEST_ID, parts::AMAZON_INPUT_TOKENS, parts::AMAZON_OUTPUT_TOKENS]
        .contains(&name.as_str())
}

/// The reply with the model that was called, where the provider names none.
fn named(reply: Reply, model: &str) -> Reply {
    if reply.model.is_some() {
        return reply;
    }
    let parsed = Object::parse(reply.body.clone());
    let unnamed = parsed.ok().filter(|body| body.str("model").is_some_and(|name| name.is_empty()));
    let Some(body) = unnamed else { return reply };
    let mut edits = Edits::new();
    edits.set("model", model);
    Reply { body: body.edit(&edits), ..reply }
}

/// Reads a provider's whole reply.
///
/// # Errors
/// The body is an error, or not a reply at all, although the status said that all is well.
pub fn reply(
    deployment: &Deployment,
    reading: Reading,
    body: Bytes,
    created: u64,
    origin: &Origin<'_>,
) -> Result<Reply, Failure> {
    if !reading.api.is_text() {
        return media::reply(deployment, reading, body);
    }
    if reading.api == Endpoint::Responses {
        return super::responses::reply(deployment, reading, body, created);
    }
    match (deployment.dialect, reading.api) {
        (Dialect::Cohere, Endpoint::Chat) => {
            return wire::cohere::reply(body, origin.model, created);
        }
        (Dialect::Cohere, Endpoint::Embeddings) => {
            return wire::cohere::embeddings(body, origin.model);
        }
        (Dialect::Ollama, Endpoint::Chat) => return wire::ollama::reply(body, created),
        (Dialect::Ollama, Endpoint::Embeddings) => return wire::ollama::embeddings(body),
        _ => {}
    }
    if let Some(map) = mapped(deployment, |map| map.response.is_some()) {
        return wire::custom::reply(body, map, origin.model, created);
    }
    match deployment.dialect {
        Dialect::OpenAi | Dialect::Azure | Dialect::Cohere | Dialect::Ollama | Dialect::Custom => {
            wire::openai::reply(body, deployment.quirks, reading.api)
        }
        Dialect::Anthropic => match (reading.api, reading.native) {
            (Endpoint::CountTokens, native) => {
                let tokens = messages_native::count(&body)?;
                let body = if native.is_some() { body } else { messages::count(tokens) };
                Ok(Reply { body, usage: None, model: None })
            }
            (_, Some(_)) => messages_native::reply(body),
            (_, None) => wire::anthropic::reply(body, created),
        },
        Dialect::Bedrock => match reading.api {
            Endpoint::CountTokens => wire::bedrock::count(&body, origin),
            Endpoint::Embeddings => wire::bedrock::embeddings(&body, origin),
            _ if reading.native.is_some() => messages_native::reply(body),
            _ if deployment.quirks.invoke => wire::anthropic::reply(body, created),
            _ => wire::bedrock::reply(body, created, origin),
        },
        Dialect::Gemini => match reading.native {
            Some(_) => gemini_native::reply(body, reading.api),
            None => Ok(named(wire::gemini::reply(body, reading.api, created)?, origin.model)),
        },
    }
}

/// The relay for a provider's stream.
#[must_use]
pub fn stream(
    deployment: &Deployment,
    reading: Reading,
    options: StreamOptions,
    origin: &Origin<'_>,
) -> StreamRelay {
    if reading.api == Endpoint::Responses {
        return StreamRelay::Translated(match reading.native {
            Some(_) => Box::new(NativeStream::new(Some(Owner::of(&deployment.account)))),
            None => Box::new(Bridge::new(options, Some(Owner::of(&deployment.account)))),
        });
    }
    // The chunks of text completions are like those of a chat, where a dialect has both.
    let has_chunks = matches!(deployment.dialect, Dialect::OpenAi | Dialect::Azure)
        && reading.api == Endpoint::Completions;
    if reading.api != Endpoint::Chat && !has_chunks {
        return StreamRelay::openai(StreamOptions { quirks: Quirks::default(), ..options });
    }
    let options = StreamOptions { quirks: deployment.quirks, ..options };
    match deployment.dialect {
        Dialect::OpenAi => StreamRelay::openai(options),
        Dialect::Azure => StreamRelay::azure(options),
        Dialect::Anthropic if reading.native.is_some() => StreamRelay::anthropic_native(),
        Dialect::Anthropic => StreamRelay::anthropic(options),
        Dialect::Cohere => StreamRelay::cohere(options, origin.model),
        Dialect::Ollama => StreamRelay::ollama(options),
        Dialect::Custom => match mapped(deployment, |map| map.stream.is_some()) {
            Some(map) => StreamRelay::custom(options, Arc::clone(map), origin.model),
            None => StreamRelay::openai(options),
        },
        Dialect::Gemini if reading.native.is_some() => StreamRelay::gemini_native(),
        Dialect::Bedrock if deployment.quirks.invoke => {
            StreamRelay::bedrock_invoked(options, reading.native.is_some())
        }
        Dialect::Bedrock => StreamRelay::bedrock(options, origin),
        Dialect::Gemini => StreamRelay::gemini(options, origin.model),
    }
}

/// The mapping of a deployment, if it has the part that is asked for.
fn mapped(deployment: &Deployment, has: fn(&Mapping) -> bool) -> Option<&Arc<Mapping>> {
    deployment.mapping.as_ref().filter(|map| has(map))
}
