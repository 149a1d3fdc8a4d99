//! What replies of embeddings have in common: OpenAI's list, and vectors in the encoding that the
//! client asked for.
//!
//! OpenAI's own SDKs ask for base64 where their user asks for nothing, and that of JavaScript takes
//! what comes for base64. Most other providers write numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Reply;
use crate::usage::Usage;

#[derive(Serialize)]
struct Told<'a, U> {
    object: &'static str,
    data: Vec<Vector<'a>>,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<U>,
}

#[derive(Serialize)]
struct Vector<'a> {
    object: &'static str,
    index: usize,
    embedding: &'a RawValue,
}

#[derive(Serialize)]
struct Counted {
    prompt_tokens: u64,
    total_tokens: u64,
}

/// Writes OpenAI's list of vectors, with what is to be told of their usage.
///
/// # Errors
/// Serde's, which nothing of this can cause.
pub(super) fn list<'a>(
    vectors: impl IntoIterator<Item = &'a RawValue>,
    model: &'a str,
    usage: Option<impl Serialize>,
) -> serde_json::Result<Vec<u8>> {
    let vector = |(index, embedding): (usize, &'a RawValue)| Vector {
        object: "embedding",
        index,
        embedding,
    };
    let data = vectors.into_iter().enumerate().map(vector).collect();
    serde_json::to_vec(&Told { object: "list", data, model, usage })
}

/// The reply of a provider that tells, at most, how many tokens it read.
///
/// # Errors
/// As [`list`].
pub(super) fn reply<'a>(
    vectors: impl IntoIterator<Item = &'a RawValue>,
    model: &'a str,
    tokens: Option<u64>,
) -> serde_json::Result<Reply> {
    let shown = tokens.unwrap_or_default();
    let counted = Counted { prompt_tokens: shown, total_tokens: shown };
    let body = list(vectors, model, Some(counted))?.into();
    let usage = tokens.map(|input_tokens| Usage { input_tokens, ..Usage::default() });
    Ok(Reply { body, usage, model: Some(model.into()) })
}

/// OpenAI's list of vectors, as far as it has to be known.
#[derive(Deserialize)]
struct List<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: &'a RawValue,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Writes vectors of numbers as base64 of their 32 bit floats, little end first. What is no such
/// list, or is encoded already, stays as it is.
#[must_use]
pub fn in_base64(body: Bytes) -> Bytes {
    let Ok(List { data, mut rest }) = serde_json::from_slice::<List<'_>>(&body) else {
        return body;
    };
    let mut vectors = Vec::with_capacity(data.len());
    for Item { embedding, mut rest } in data {
        let Ok(numbers) = serde_json::from_str::<Vec<f32>>(embedding.get()) else { return body };
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        rest.insert("embedding".to_owned(), STANDARD.encode(bytes).into());
        vectors.push(Value::Object(rest));
    }
    rest.insert("data".to_owned(), Value::Array(vectors));
    serde_json::to_vec(&rest).map_or(body, Into::into)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_become_base64_and_all_else_stays() {
        let list = |vector: Value| {
            json!({"object": "list", "model": "m", "usage": {"prompt_tokens": 3},
                   "data": [{"object": "embedding", "index": 0, "embedding": vector}]})
        };
        let written = in_base64(list(json!([1.0, -0.5])).to_string().into());
        let written: Value = serde_json::from_slice(&written).unwrap();
        assert_eq!(written, list(json!("AACAPwAAAL8=")));
        for same in [list(json!("AACAPwAAAL8=")).to_string(), "{}".into(), "[".into()] {
            assert_eq!(in_base64(same.clone().into()), same);
        }
    }
}
