//! Embeddings: OpenAI's request and reply around InvokeModel, which takes the body of the model's
//! maker as it is.
//!
//! Titan takes one text in a request and Cohere 96, so a longer list is asked for in [`parts`], whose
//! replies are read as one ([`joined`]).

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, json};

use super::PROVIDER;
use super::error::{garbage, in_body};
use crate::failure::{Failure, FailureClass};
use crate::wire::chat::Raw;
use crate::wire::fields::{Fields, Text, impossible, invalid, missing, read, unsupported, written};
use crate::wire::json::{Edits, Object};
use crate::wire::request::is_own;
use crate::wire::{Origin, Reply, RequestOptions, embeddings};

/// What the vectors are for, where the client does not say: Cohere's models must be told. LiteLLM
/// says the same.
const INPUT_TYPE: &str = "search_document";

/// The most texts that one request of a client may hold: OpenAI's own limit.
const MOST_TEXTS: usize = 2048;

/// Whose body a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    /// Of a text, with neither dimensions nor types.
    TitanText,
    /// Its second version.
    TitanText2,
    /// Of a text, an image, or both.
    TitanImage,
    Cohere,
}

impl Family {
    /// By a model's name, with or without a region's prefix, or an ARN that ends with it.
    fn of(model: &str) -> Option<Self> {
        let model = model.to_ascii_lowercase();
        let has = |part: &str| model.contains(part);
        Some(match () {
            () if has("titan-embed-text-v2") => Self::TitanText2,
            () if has("titan-embed-image") => Self::TitanImage,
            () if has("titan-embed") => Self::TitanText,
            () if has("cohere.embed") => Self::Cohere,
            () => return None,
        })
    }

    /// How many texts one request takes.
    const fn texts(self) -> usize {
        match self {
            Self::TitanText | Self::TitanText2 | Self::TitanImage => 1,
            Self::Cohere => 96,
        }
    }
}

fn family(options: &RequestOptions<'_>) -> Result<Family, Failure> {
    Family::of(options.model_hint).ok_or_else(|| {
        let message = format!(
            "`{}` is not known as a model of {PROVIDER} that makes embeddings; `base_model` says \
             what an ARN stands for",
            options.model_hint
        );
        Failure::new(FailureClass::NotFound, message)
    })
}

/// The requests that a client's request is asked in; `None`: it is one.
///
/// # Errors
/// The model makes no embeddings, or there are too many texts.
pub fn parts(
    request: &Object,
    options: &RequestOptions<'_>,
) -> Result<Option<Vec<Object>>, Failure> {
    let most = family(options)?.texts();
    let Some(input) = request.raw("input").filter(|raw| raw.starts_with('[')) else {
        return Ok(None);
    };
    let items: Vec<Raw<'_>> = read("input", input)?;
    if items.len() <= most || items.iter().any(|item| !item.get().starts_with('"')) {
        return Ok(None);
    }
    if items.len() > MOST_TEXTS {
        return Err(invalid("input", format!("`input`: {MOST_TEXTS} texts at most")));
    }
    let part = |texts: &[Raw<'_>]| {
        let mut edits = Edits::default();
        edits.set("input", texts);
        Object::parse(request.edit(&edits)).map_err(|_| missing("input"))
    };
    items.chunks(most).map(part).collect::<Result<_, _>>().map(Some)
}

/// The replies to [`parts`] as one body, for [`embeddings`].
#[must_use]
pub fn joined<'a>(replies: impl Iterator<Item = &'a Bytes>) -> Bytes {
    let mut all = BytesMut::from(&b"["[..]);
    for (at, reply) in replies.enumerate() {
        if at > 0 {
            all.extend_from_slice(b",");
        }
        all.extend_from_slice(reply);
    }
    all.extend_from_slice(b"]");
    all.freeze()
}

/// Turns a request for embeddings into the one of the model's maker.
///
/// # Errors
/// [`FailureClass::BadRequest`]: it is not about text, or asks for what the model cannot do.
/// [`FailureClass::NotFound`]: the model makes no embeddings.
pub fn embed(request: &Object, options: &RequestOptions<'_>) -> Result<Bytes, Failure> {
    let family = family(options)?;
    let fields = Fields::gather(request, options);
    let mut body = Map::new();
    for (name, raw) in fields.iter() {
        let ours = matches!(
            name,
            "model" | "input" | "encoding_format" | "dimensions" | "user" | "metadata" | "stream"
        );
        if !ours && !is_own(name) {
            body.insert(name.to_owned(), read(name, raw)?);
        }
    }
    let dimensions = fields.read::<u32>("dimensions")?;
    let input = fields.raw("input").ok_or_else(|| missing("input"))?;
    let mut texts = texts(input)?;
    if family == Family::Cohere {
        let (images, texts): (Vec<_>, Vec<_>) =
            texts.into_iter().partition(|text| text.starts_with("data:image/"));
        let is_given = ["texts", "images", "inputs"].iter().any(|name| body.contains_key(*name));
        if !images.is_empty() && !texts.is_empty() {
            let message = "`input`: Cohere's models take either texts or images in a request";
            return Err(impossible("input", message));
        }
        let kind = if images.is_empty() { INPUT_TYPE } else { "image" };
        body.entry("input_type").or_insert_with(|| kind.into());
        if !is_given {
            let (name, list) =
                if images.is_empty() { ("texts", texts) } else { ("images", images) };
            body.insert(name.to_owned(), list.iter().map(|text| json!(&**text)).collect());
        }
        if let Some(dimensions) = dimensions {
            if options.model_hint.contains("embed-v4") {
                body.entry("output_dimension").or_insert_with(|| dimensions.into());
            } else if !options.drop_params {
                return Err(unsupported(PROVIDER, "dimensions"));
            }
        }
        return written(&body, request.bytes().len());
    }
    let (Some(text), true) = (texts.pop(), texts.is_empty()) else {
        return Err(invalid("input", "`input`: there must be a text"));
    };
    match text.split_once(',').filter(|_| family == Family::TitanImage) {
        Some((head, image)) if head.starts_with("data:image/") && head.ends_with(";base64") => {
            body.insert("inputImage".to_owned(), image.into());
        }
        _ => {
            body.insert("inputText".to_owned(), json!(&*text));
        }
    }
    match (family, dimensions) {
        (_, None) => {}
        (Family::TitanText2, Some(dimensions)) => {
            body.entry("dimensions").or_insert_with(|| dimensions.into());
        }
        (Family::TitanImage, Some(dimensions)) => {
            let config = json!({"outputEmbeddingLength": dimensions});
            body.entry("embeddingConfig").or_insert(config);
        }
        (Family::TitanText | Family::Cohere, Some(_)) if options.drop_params => {}
        (Family::TitanText | Family::Cohere, Some(_)) => {
            return Err(unsupported(PROVIDER, "dimensions"));
        }
    }
    written(&body, request.bytes().len())
}

/// A text or a list of texts.
fn texts(raw: &str) -> Result<Vec<Text<'_>>, Failure> {
    if raw.starts_with('"') {
        return Ok(vec![read("input", raw)?]);
    }
    let items: Vec<Raw<'_>> = read("input", raw)?;
    if items.iter().any(|item| !item.get().starts_with('"')) {
        let message = format!("`input`: {PROVIDER} takes texts, not tokens");
        return Err(impossible("input", message));
    }
    read("input", raw)
}

/// The vectors of one reply, in the ways of all makers.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made<'a> {
    /// Titan's one.
    #[serde(borrow, default)]
    embedding: Option<Raw<'a>>,
    /// Titan's by its type, where types were asked for.
    #[serde(borrow, default)]
    embeddings_by_type: Option<Raw<'a>>,
    /// Cohere's: a list, or lists by type.
    #[serde(borrow, default)]
    embeddings: Option<Raw<'a>>,
    #[serde(default)]
    input_text_token_count: Option<u64>,
}

/// Values by the type of a vector's numbers. OpenAI's form has room for one: of several, the first.
#[derive(Deserialize)]
struct ByType<'a> {
    #[serde(borrow, default)]
    float: Option<Raw<'a>>,
    #[serde(borrow, default)]
    int8: Option<Raw<'a>>,
    #[serde(borrow, default)]
    uint8: Option<Raw<'a>>,
    #[serde(borrow, default)]
    binary: Option<Raw<'a>>,
    #[serde(borrow, default)]
    ubinary: Option<Raw<'a>>,
}

impl<'a> ByType<'a> {
    fn only(raw: Raw<'a>) -> Option<Raw<'a>> {
        let Self { float, int8, uint8, binary, ubinary } = serde_json::from_str(raw.get()).ok()?;
        float.or(int8).or(uint8).or(binary).or(ubinary)
    }
}

impl<'a> Made<'a> {
    fn vectors(&self) -> Option<Vec<Raw<'a>>> {
        if let Some(vector) = self.embedding {
            return Some(vec![vector]);
        }
        if let Some(by_type) = self.embeddings_by_type {
            return Some(vec![ByType::only(by_type)?]);
        }
        let list = match self.embeddings? {
            list if list.get().starts_with('[') => list,
            by_type => ByType::only(by_type)?,
        };
        serde_json::from_str(list.get()).ok()
    }
}

/// Turns the reply, or the [`joined`] replies to parts. The tokens are told by the body or by the
/// head.
///
/// # Errors
/// There are no vectors in it.
pub fn embeddings(body: &Bytes, origin: &Origin<'_>) -> Result<Reply, Failure> {
    let lacks = || in_body(body).unwrap_or_else(|| garbage("the reply holds no embeddings"));
    let replies: Vec<&RawValue> = match body.first() {
        Some(b'[') => serde_json::from_slice(body).map_err(|_| lacks())?,
        _ => vec![serde_json::from_slice(body).map_err(|_| lacks())?],
    };
    let mut vectors = Vec::with_capacity(replies.len());
    let mut counted = None;
    for reply in replies {
        let made: Made<'_> = serde_json::from_str(reply.get()).map_err(|_| lacks())?;
        vectors.extend(made.vectors().ok_or_else(lacks)?);
        if let Some(count) = made.input_text_token_count {
            counted = Some(counted.unwrap_or(0u64).saturating_add(count));
        }
    }
    let tokens = counted.or(origin.input_tokens);
    embeddings::reply(vectors, origin.model, tokens).map_err(|_| lacks())
}
