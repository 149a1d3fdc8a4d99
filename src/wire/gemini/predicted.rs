//! Embeddings as Vertex AI gives them (`:predict`): only what they used is read.

use bytes::Bytes;
use serde::Deserialize;

use crate::usage::Usage;
use crate::wire::Reply;

#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Option<Embedding>,
}

#[derive(Deserialize)]
struct Embedding {
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    /// Written as a float by some models.
    token_count: Option<f64>,
}

/// A whole reply, as it came. Predictions of other kinds tell nothing.
#[must_use]
pub fn predicted(body: Bytes) -> Reply {
    let counts = serde_json::from_slice::<Predictions>(&body).ok().and_then(|told| {
        let each = told.predictions.iter();
        each.map(|one| one.embeddings.as_ref()?.statistics.as_ref()?.token_count).sum()
    });
    let counts = counts.filter(|count: &f64| (1.0..1e15).contains(count));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    let usage =
        counts.map(|count| Usage { input_tokens: count.round() as u64, ..Usage::default() });
    Reply { body, usage, model: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tokens_of_every_text_count() {
        let of = |text: &'static str| {
            predicted(Bytes::from_static(text.as_bytes())).usage.map(|usage| usage.input_tokens)
        };
        let one = r#"{"predictions":[{"embeddings":{"statistics":{"token_count":4.0,"truncated":false},"values":[0.1]}},{"embeddings":{"statistics":{"token_count":3}}}]}"#;
        assert_eq!(of(one), Some(7));
        assert_eq!(of(r#"{"predictions":[{"bytesBase64Encoded":"x"}]}"#), None);
        assert_eq!(of(r#"{"predictions":[]}"#), None);
        assert_eq!(of("[]"), None);
    }
}
