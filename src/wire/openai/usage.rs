//! Reads the `usage` object in the many ways it is filled in.

use bytes::Bytes;

use crate::dialect::Quirks;
use crate::usage::{Units, Usage};
use crate::wire::json::{Broken, Cursor, Edits, Object};

/// The counts that a usage object states. Missing and `null` ones are `None`.
#[derive(Debug, Default)]
struct Counts {
    prompt: Option<u64>,
    completion: Option<u64>,
    total: Option<u64>,
    /// DeepSeek names the cached part beside the totals.
    cache_hit: Option<u64>,
    input: Details,
    output: Details,
}

/// The parts of one of the totals.
#[derive(Debug, Default)]
struct Details {
    cached: Option<u64>,
    cache_write: Option<u64>,
    reasoning: Option<u64>,
    audio: Option<u64>,
    image: Option<u64>,
}

/// What a usage object says; `None` if it counts nothing. Missing and `null` counts are zero.
pub(in crate::wire) fn read(usage: &[u8], quirks: Quirks) -> Option<Usage> {
    let counts = Counts::scan(usage).ok()?;
    let Counts { prompt, completion, total, cache_hit, ref input, ref output } = counts;
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    let input_tokens = prompt.unwrap_or_else(|| {
        total.unwrap_or_default().saturating_sub(completion.unwrap_or_default())
    });
    let mut output_tokens =
        completion.unwrap_or_else(|| total.unwrap_or(input_tokens).saturating_sub(input_tokens));
    if quirks.reasoning_outside_completion {
        output_tokens += counts.missing_reasoning();
    }
    Some(Usage {
        input_tokens,
        output_tokens,
        cache_read_tokens: input.cached.or(cache_hit).unwrap_or_default(),
        cache_write_tokens: input.cache_write.unwrap_or_default(),
        cache_write_1h_tokens: 0,
        reasoning_tokens: output.reasoning.unwrap_or_default(),
        audio_input_tokens: input.audio.unwrap_or_default(),
        audio_output_tokens: output.audio.unwrap_or_default(),
        image_input_tokens: input.image.unwrap_or_default(),
        units: Units { image_output_tokens: output.image.unwrap_or_default(), ..Units::default() },
        estimated: false,
    })
}

/// A usage object in OpenAI's convention, in which `completion_tokens` is always told and includes
/// reasoning, and what was read from the cache stands in the details; `None` if it follows that
/// already.
pub(super) fn corrected(usage: &[u8], quirks: Quirks) -> Option<Bytes> {
    if !quirks.reasoning_outside_completion && !quirks.is_normalised() {
        return None;
    }
    let counts = Counts::scan(usage).ok()?;
    let read = read(usage, quirks)?;
    let is_told = counts.completion.unwrap_or_default() == read.output_tokens;
    let cached = counts.cache_hit.filter(|_| counts.input.cached.is_none());
    if is_told && cached.is_none() {
        return None;
    }
    let object = Object::parse(Bytes::copy_from_slice(usage)).ok()?;
    let mut edits = Edits::new();
    if !is_told {
        edits.set("completion_tokens", &read.output_tokens);
    }
    if let Some(cached) = cached {
        let details = object.object("prompt_tokens_details");
        let details = details.or_else(|| Object::parse(Bytes::from_static(b"{}")).ok())?;
        let mut added = Edits::new();
        added.set("cached_tokens", &cached);
        edits.set_raw("prompt_tokens_details", details.edit(&added).to_vec());
    }
    Some(object.edit(&edits))
}

impl Counts {
    fn scan(text: &[u8]) -> Result<Self, Broken> {
        let mut counts = Self::default();
        each_field(text, |name, value| match name {
            b"prompt_tokens" => counts.prompt = whole(value).or(counts.prompt),
            b"input_tokens" => counts.prompt = counts.prompt.or_else(|| whole(value)),
            b"completion_tokens" => counts.completion = whole(value).or(counts.completion),
            b"output_tokens" => counts.completion = counts.completion.or_else(|| whole(value)),
            b"total_tokens" => counts.total = whole(value),
            b"prompt_cache_hit_tokens" => counts.cache_hit = whole(value),
            b"prompt_tokens_details" | b"input_tokens_details" | b"input_token_details" => {
                counts.input.add(value);
            }
            b"completion_tokens_details" | b"output_tokens_details" | b"output_token_details" => {
                counts.output.add(value);
            }
            _ => {}
        })?;
        Ok(counts)
    }

    /// The reasoning tokens that `completion_tokens` leaves out (xAI). The total decides: it
    /// includes them either way, so a provider that changes its convention is not counted twice.
    fn missing_reasoning(&self) -> u64 {
        let reasoning = self.output.reasoning.unwrap_or_default();
        let counted =
            self.prompt.unwrap_or_default().saturating_add(self.completion.unwrap_or_default());
        let all = counted.checked_add(reasoning);
        if all == Some(self.total.unwrap_or_default()) { reasoning } else { 0 }
    }
}

impl Details {
    fn add(&mut self, text: &[u8]) {
        // `null`, or something else that says nothing.
        let _nothing = each_field(text, |name, value| {
            let place = match name {
                b"cached_tokens" => &mut self.cached,
                b"cache_write_tokens" | b"cache_creation_tokens" => &mut self.cache_write,
                b"reasoning_tokens" => &mut self.reasoning,
                b"audio_tokens" => &mut self.audio,
                b"image_tokens" => &mut self.image,
                _ => return,
            };
            *place = whole(value).or(*place);
        });
    }
}

fn each_field(text: &[u8], mut visit: impl FnMut(&[u8], &[u8])) -> Result<(), Broken> {
    let mut cursor = Cursor::new(text);
    cursor.open(b'{')?;
    let mut first = true;
    while let Some(name) = cursor.field(first)? {
        first = false;
        let value = cursor.value()?;
        visit(&text[name], &text[value]);
    }
    Ok(())
}

/// A count; some servers write it as `12.0`.
fn whole(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok().filter(|number| (0.0..1e15).contains(number))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(usage: &Value, quirks: Quirks) -> Option<Usage> {
        super::read(usage.to_string().as_bytes(), quirks)
    }

    #[test]
    fn the_details_are_parts_of_the_totals() {
        let usage = json!({
            "prompt_tokens": 100, "completion_tokens": 50.0, "total_tokens": 150,
            "prompt_tokens_details": {
                "cached_tokens": 40, "cache_write_tokens": 5, "audio_tokens": 3, "image_tokens": 2
            },
            "completion_tokens_details": {"reasoning_tokens": 20, "audio_tokens": 1},
        });
        let expected = Usage {
            input_tokens: 100,
            output_tokens: 50,
            cache_read_tokens: 40,
            cache_write_tokens: 5,
            reasoning_tokens: 20,
            audio_input_tokens: 3,
            audio_output_tokens: 1,
            image_input_tokens: 2,
            ..Usage::default()
        };
        assert_eq!(read(&usage, Quirks::default()), Some(expected));
    }

    #[test]
    fn missing_and_null_counts_are_made_up_from_the_others() {
        let read = |usage: Value| read(&usage, Quirks::default());
        let embedding = read(json!({"prompt_tokens": 8, "total_tokens": 8})).unwrap();
        assert_eq!((embedding.input_tokens, embedding.output_tokens), (8, 0));
        let null = read(json!({
            "prompt_tokens": 8, "completion_tokens": null, "total_tokens": 10,
            "prompt_tokens_details": null, "prompt_cache_hit_tokens": 4,
        }));
        let null = null.unwrap();
        assert_eq!((null.output_tokens, null.cache_read_tokens), (2, 4));
        assert_eq!(read(json!({})), None);
        assert_eq!(read(json!({"prompt_tokens": "many"})), None);
    }

    #[test]
    fn reasoning_is_added_only_where_the_total_says_it_is_missing() {
        let quirks = Quirks { reasoning_outside_completion: true, ..Quirks::default() };
        let usage = json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
            "completion_tokens_details": {"reasoning_tokens": 20},
        });
        assert_eq!(read(&usage, quirks).unwrap().output_tokens, 25);
        let text = usage.to_string();
        let correct = corrected(text.as_bytes(), quirks).unwrap();
        let usage: Value = serde_json::from_slice(&correct).unwrap();
        assert_eq!(usage["completion_tokens"], 25);
        assert_eq!(corrected(&correct, quirks), None, "corrected once");
        assert_eq!(read(&usage, quirks).unwrap().output_tokens, 25);
        assert_eq!(corrected(text.as_bytes(), Quirks::default()), None);
        let copy = Quirks { imitates: true, ..Quirks::NONE };
        let fitted = |text: &str| corrected(text.as_bytes(), copy).map(|it| it.to_vec());
        let deepseeks = r#"{"prompt_tokens":9,"completion_tokens":null,"total_tokens":12,"prompt_cache_hit_tokens":4}"#;
        let told: Value = serde_json::from_slice(&fitted(deepseeks).unwrap()).unwrap();
        assert_eq!(told["completion_tokens"], 3);
        assert_eq!(told["prompt_tokens_details"]["cached_tokens"], 4);
        assert_eq!(fitted(r#"{"prompt_tokens":9,"total_tokens":9}"#), None, "of embeddings");
    }

    #[test]
    fn what_is_no_count_counts_nothing() {
        for text in ["null", "[]", "12", "\"text\"", "{\"prompt_tokens\": [1]}", "{"] {
            assert_eq!(super::read(text.as_bytes(), Quirks::default()), None, "{text}");
        }
        let usage = json!({
            "prompt_tokens": 3, "completion_tokens": -1, "input_tokens": 4, "output_tokens": 5,
            "prompt_tokens_details": "none", "completion_tokens_details": [1],
        });
        let usage = read(&usage, Quirks::default()).unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (3, 5));
    }
}
