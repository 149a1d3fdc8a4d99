//! Embeddings: OpenAI's request and reply around `/v2/embed`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::PROVIDER;
use super::reply::garbage;
use super::usage::whole;
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, as_map, impossible, missing, read, written};
use crate::wire::json::Object;
use crate::wire::request::is_own;
use crate::wire::{Reply, RequestOptions, embeddings};

/// What the vectors are for, where the client does not say. Models of version 3 and later must be
/// told; LiteLLM says the same.
const INPUT_TYPE: &str = "search_document";

#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    texts: Option<Vec<Text<'a>>>,
    input_type: Text<'a>,
    embedding_types: Vec<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimension: Option<Raw<'a>>,
    #[serde(flatten)]
    passed: Passed<'a>,
}

/// Cohere's own parameters, such as `truncate`, and `images` in place of `input`.
#[derive(Serialize)]
#[serde(transparent)]
struct Passed<'a>(#[serde(serialize_with = "as_map")] Vec<(&'a str, Raw<'a>)>);

/// Turns a request for embeddings into Cohere's.
///
/// # Errors
/// [`BadRequest`](crate::failure::FailureClass::BadRequest): there is nothing to embed, or it is given as tokens.
pub fn request(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let fields = Fields::gather(request, options);
    let mut passed = Vec::new();
    for (name, raw) in fields.iter() {
        let ours = matches!(
            name,
            "model"
                | "input"
                | "texts"
                | "input_type"
                | "embedding_types"
                | "encoding_format"
                | "dimensions"
                | "output_dimension"
                | "user"
                | "metadata"
                | "stream"
        );
        if !ours && !is_own(name) {
            passed.push((name, read(name, raw)?));
        }
    }
    let given = ["input", "texts"].into_iter().find_map(|name| Some((name, fields.raw(name)?)));
    let texts = match given {
        Some((name, raw)) => Some(texts(name, raw)?),
        None if fields.raw("images").is_some() || fields.raw("inputs").is_some() => None,
        None => return Err(missing("input")),
    };
    let types = match fields.read("embedding_types")? {
        Some(types) => types,
        None => vec![match fields.read::<Text<'_>>("encoding_format")? {
            Some(format) if *format == *"base64" => "base64".into(),
            _ => "float".into(),
        }],
    };
    let dimension = match fields.pass("output_dimension")? {
        Some(written) => Some(written),
        None => fields.pass("dimensions")?,
    };
    let body = Body {
        model: options.model,
        texts,
        input_type: fields.read("input_type")?.unwrap_or_else(|| INPUT_TYPE.into()),
        embedding_types: types,
        output_dimension: dimension,
        passed: Passed(passed),
    };
    written(&body, request.bytes().len())
}

/// A text or a list of texts.
fn texts<'a>(name: &str, raw: &'a str) -> Result<Vec<Text<'a>>, Failure> {
    if raw.starts_with('"') {
        return Ok(vec![read(name, raw)?]);
    }
    let items: Vec<Raw<'a>> = read(name, raw)?;
    if items.iter().any(|item| !item.get().starts_with('"')) {
        let message = format!("`{name}`: {PROVIDER} takes texts, not tokens");
        return Err(impossible(name, message));
    }
    read(name, raw)
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    embeddings: Option<Raw<'a>>,
    #[serde(default)]
    meta: Option<Meta>,
    /// Of an error only.
    #[serde(borrow, default)]
    message: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
struct Meta {
    billed_units: Option<Billed>,
    tokens: Option<Billed>,
}

#[derive(Default, Deserialize)]
struct Billed {
    input_tokens: Option<f64>,
}

/// The vectors by their type.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ByType<'a> {
    #[serde(borrow)]
    float: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    base64: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    int8: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    uint8: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    binary: Option<Vec<Raw<'a>>>,
    #[serde(borrow)]
    ubinary: Option<Vec<Raw<'a>>>,
}

impl<'a> ByType<'a> {
    /// Those of the one type that was asked for. OpenAI's form has room for one: of several, the
    /// first of this order.
    fn only(self) -> Option<Vec<Raw<'a>>> {
        let Self { float, base64, int8, uint8, binary, ubinary } = self;
        float.or(base64).or(int8).or(uint8).or(binary).or(ubinary)
    }
}

/// Turns the reply to it. Cohere does not name the model: `model` is the one asked for.
///
/// # Errors
/// There are no vectors in it.
pub fn reply(body: Bytes, model: &str) -> Result<Reply, Failure> {
    let lacks = || garbage("the provider's reply holds no embeddings");
    let written: Written<'_> = serde_json::from_slice(&body).map_err(|_| lacks())?;
    let Some(written_vectors) = written.embeddings else {
        return Err(written.message.map_or_else(lacks, |message| garbage(message.0)));
    };
    let vectors: Vec<Raw<'_>> = if written_vectors.get().starts_with('[') {
        serde_json::from_str(written_vectors.get()).map_err(|_| lacks())?
    } else {
        let by_type: ByType<'_> =
            serde_json::from_str(written_vectors.get()).map_err(|_| lacks())?;
        by_type.only().ok_or_else(lacks)?
    };
    let meta = written.meta.unwrap_or_default();
    let counted = meta.billed_units.or(meta.tokens).and_then(|units| units.input_tokens);
    let tokens = counted.map(|count| whole(Some(count)));
    embeddings::reply(vectors, model, tokens).map_err(|_| lacks())
}
