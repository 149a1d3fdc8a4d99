//! Embeddings: `batchEmbedContents`, in both directions.

use serde::{Deserialize, Serialize};

use super::PROVIDER;
use super::error::{garbage, within};
use super::usage::Counts;
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, impossible, missing, read};
use crate::wire::{Reply, embeddings};

#[derive(Serialize)]
pub(super) struct Batch<'a> {
    requests: Vec<Request<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    model: String,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    task_type: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<Text<'a>>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
struct Part<'a> {
    text: Text<'a>,
}

/// Turns OpenAI's request. `model` is named in each of the parts, too.
///
/// # Errors
/// The input is no text: token ids mean nothing to another tokeniser.
pub(super) fn request<'a>(fields: &Fields<'a>, model: &str) -> Result<Batch<'a>, Failure> {
    let Some(input) = fields.raw("input") else { return Err(missing("input")) };
    let texts: Vec<Text<'a>> = if input.starts_with('"') {
        vec![read("input", input)?]
    } else {
        let parts: Vec<Raw<'a>> = read("input", input)?;
        if parts.iter().any(|part| !part.get().starts_with('"')) {
            let message = format!("`input`: {PROVIDER} models embed texts, not token ids");
            return Err(impossible("input", message));
        }
        read("input", input)?
    };
    let output_dimensionality = fields.read("dimensions")?;
    let either = |snake: &'static str, camel: &'static str| {
        fields.read::<Text<'a>>(if fields.raw(snake).is_some() { snake } else { camel })
    };
    let (task_type, title) = (either("task_type", "taskType")?, fields.read::<Text<'a>>("title")?);
    // Clients that want base64 read numbers, too; the other way round they could not.
    let requests = texts.into_iter().map(|text| Request {
        model: format!("models/{model}"),
        content: Content { parts: [Part { text }] },
        output_dimensionality,
        task_type: task_type.clone(),
        title: title.clone(),
    });
    Ok(Batch { requests: requests.collect() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Embedded<'a> {
    #[serde(borrow)]
    embeddings: Vec<Values<'a>>,
    #[serde(default)]
    usage_metadata: Option<Counts>,
}

#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: Raw<'a>,
}

/// Turns the reply.
///
/// # Errors
/// The body is an error, or has no embeddings.
pub(super) fn reply(body: &[u8]) -> Result<Reply, Failure> {
    let unreadable = || garbage("the provider's reply has no embeddings");
    let embedded: Embedded<'_> =
        serde_json::from_slice(body).map_err(|_| within(body).unwrap_or_else(unreadable))?;
    let vectors = embedded.embeddings.iter().map(|embedding| embedding.values);
    let counts = embedded.usage_metadata;
    let body = embeddings::list(vectors, "", counts.as_ref().map(Counts::shown));
    let body = body.map_err(|_| unreadable())?;
    Ok(Reply { body: body.into(), usage: counts.map(|counts| counts.usage()), model: None })
}
