//! What replies of embeddings have in common: vectors in the encoding that the client asked for.
//!
//! OpenAI's own SDKs ask for base64 where their user asks for nothing, and that of JavaScript takes
//! what comes for base64. Most other providers write numbers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

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
