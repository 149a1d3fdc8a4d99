//! An API that the configuration describes: its mapping's expressions make the requests and read the
//! answers.
//!
//! The names in an expression: for a request `body` (the canonical one) and each of its fields by
//! itself, `model` being the provider's; for a reply `body`; for an event of a stream `event`, and
//! `data`, its text.

mod fit;
mod read;
mod stream;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use self::read::{Said, mapped};
pub use self::stream::StreamTranslator;
use super::chat::{Answer, Completion, Turn};
use super::fields::{Fields, written};
use super::json::Object;
use super::openai::ErrorBody;
use super::{Reply, RequestOptions};
use crate::failure::{Failure, FailureClass};
use crate::mapping::{Mapping, Response, Scope, Template, Wrong};

/// Writes a request. Parameters that the mapping does not use are not sent; those that change what an
/// answer is are refused.
///
/// # Errors
/// [`FailureClass::BadRequest`]: the mapping has no place for something that is asked for, or an
/// expression cannot be evaluated for this request.
pub fn request(
    request: &Object,
    options: &RequestOptions<'_>,
    template: &Template,
) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let model = Value::from(options.model.unwrap_or_default()).to_string();
    let stream = Value::from(options.stream).to_string();
    let own = [("model", model.as_str()), ("stream", stream.as_str())];
    let conversation = fit::messages(template, options, fields.raw("messages").unwrap_or("[]"))?;
    let own = own.into_iter().chain([("messages", &*conversation)]);
    let mut names: Vec<(&str, &str)> = own.collect();
    for (name, raw) in fields.iter() {
        let mine = names.iter().any(|(mine, _)| *mine == name);
        if !mine && !super::request::is_own(name) && fit::takes(template, options, (name, raw))? {
            names.push((name, raw));
        }
    }
    let mut body = String::from("{");
    for (name, raw) in &names {
        let comma = if body.len() > 1 { "," } else { "" };
        body.push_str(&format!("{comma}{}:{raw}", Value::from(*name)));
    }
    body.push('}');
    let names = names.into_iter().chain([("body", body.as_str())]);
    let scope = Scope::of(names.map(|(name, raw)| (name, raw.as_bytes())));
    let value = template.evaluate(&scope).map_err(|wrong| unsayable(&wrong))?;
    written(&value, request.bytes().len())
}

/// The request asks for something on which the mapping's filters do not work.
fn unsayable(wrong: &Wrong) -> Failure {
    let message = format!("the mapping of this provider cannot be applied to the request: {wrong}");
    Failure::new(FailureClass::BadRequest, message)
}

/// Reads a whole reply.
///
/// # Errors
/// It is no JSON, holds an error, or has nothing where the mapping looks.
pub fn reply(body: Bytes, mapping: &Mapping, model: &str, created: u64) -> Result<Reply, Failure> {
    let Some(map) = &mapping.response else {
        return super::openai::reply(body, Default::default(), crate::dialect::Endpoint::Chat);
    };
    if serde_json::from_slice::<&RawValue>(&body).is_err() {
        return Err(garbage("the provider's reply is not JSON"));
    }
    if let Some(failure) = unmapped_error(map, &body) {
        return Err(failure);
    }
    let scope = Scope::of([("body", &body[..])]);
    let Said { text, reasoning, mut calls, finish, id, model: named, usage, failure } =
        mapped(map, &scope)?;
    if let Some(failure) = failure {
        return Err(failure);
    }
    if text.is_none() && calls.is_empty() {
        return Err(garbage("the provider's reply has no text where its mapping looks"));
    }
    let finish = read::finish_reason(finish.as_deref(), !calls.is_empty());
    let model = named.as_deref().unwrap_or(model);
    let id = reply_id(id.as_deref(), &body, created);
    calls.iter_mut().enumerate().for_each(|(place, call)| call.identify(&id, place));
    let calls: Vec<_> = calls.iter().map(read::ToolCall::call).collect();
    let text = text.filter(|text| !text.is_empty() || calls.is_empty());
    let turn = Turn {
        role: "assistant".into(),
        content: text.map(Into::into),
        reasoning_content: reasoning.filter(|text| !text.is_empty()).map(Into::into),
        tool_calls: (!calls.is_empty()).then_some(calls),
        ..Turn::default()
    };
    let mut completion = Completion::new(id, model, created);
    completion.choices.push(Answer {
        index: 0,
        message: turn,
        logprobs: None,
        finish_reason: Some(finish.into()),
        ..Answer::default()
    });
    let completion = completion.with_usage(usage.as_ref().map(read::shown));
    let written = serde_json::to_vec(&completion)
        .map_err(|_| garbage("the provider's reply cannot be put into chat completions"))?;
    Ok(Reply { body: written.into(), usage, model: Some(model.into()) })
}

/// The error in an answer, in one of the usual shapes, where the mapping does not say what one looks
/// like.
fn unmapped_error(map: &Response, json: &[u8]) -> Option<Failure> {
    if map.error.is_some() {
        return None;
    }
    memchr::memmem::find(json, b"\"error\"")?;
    ErrorBody::read(json).map(ErrorBody::into_failure)
}

/// The message of an error's body, where the mapping finds one.
#[must_use]
pub fn error_message(mapping: &Mapping, body: &[u8]) -> Option<String> {
    let value = mapping.error.as_ref()?.evaluate(&Scope::of([("body", body)])).ok()?;
    match value {
        Value::String(text) if !text.is_empty() => Some(text),
        Value::Null | Value::String(_) => None,
        other => Some(other.to_string()),
    }
}

/// The provider's id of a reply, or one that follows from its bytes and its time.
fn reply_id(id: Option<&str>, bytes: &[u8], created: u64) -> String {
    use std::hash::Hasher;
    match id.filter(|id| !id.is_empty()) {
        Some(id) if id.starts_with("chatcmpl-") => id.to_owned(),
        Some(id) => format!("chatcmpl-{id}"),
        None => {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(bytes);
            hasher.write_u64(created);
            format!("chatcmpl-{:016x}", hasher.finish())
        }
    }
}

fn garbage(message: &str) -> Failure {
    Failure::new(FailureClass::Server, message)
}

#[cfg(test)]
mod tests;
