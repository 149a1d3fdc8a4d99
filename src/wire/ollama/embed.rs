//! Embeddings: OpenAI's request and reply around `/api/embed`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::PROVIDER;
use super::reply::garbage;
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, impossible, missing, written};
use crate::wire::json::Object;
use crate::wire::{Reply, RequestOptions, embeddings};

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    input: Raw<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncate: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<Raw<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Raw<'a>>,
}

/// Turns a request for embeddings into Ollama's. Vectors come as numbers, whatever `encoding_format`
/// says: Ollama has no other form, and clients of OpenAI read both.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): there is nothing to embed, or it is given as tokens.
pub fn request(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let Some(input) = fields.pass("input")? else { return Err(missing("input")) };
    let texts =
        input.get().starts_with('"') || serde_json::from_str::<Vec<Text<'_>>>(input.get()).is_ok();
    if !texts {
        let message = format!("`input`: {PROVIDER} takes a text or a list of texts");
        return Err(impossible("input", message));
    }
    let body = Body {
        model: options.model,
        input,
        dimensions: fields.pass("dimensions")?,
        truncate: fields.pass("truncate")?,
        keep_alive: fields.pass("keep_alive")?,
        options: fields.pass("options")?,
    };
    written(&body, request.bytes().len())
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    embeddings: Option<Vec<Raw<'a>>>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(borrow, default)]
    error: Option<Text<'a>>,
}

/// Turns the reply to it.
///
/// # Errors
/// There are no vectors in it.
pub fn reply(body: Bytes) -> Result<Reply, Failure> {
    let lacks = || garbage("the provider's reply holds no embeddings");
    let written: Written<'_> = serde_json::from_slice(&body).map_err(|_| lacks())?;
    let Some(vectors) = written.embeddings else {
        return Err(written.error.map_or_else(lacks, |error| garbage(error.0)));
    };
    let model = written.model.as_deref().unwrap_or_default();
    embeddings::reply(vectors, model, written.prompt_eval_count).map_err(|_| lacks())
}
