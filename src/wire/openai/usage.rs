//! Reads the `usage` object in the many ways it is filled in.

use serde_json::Value;

use crate::dialect::Quirks;
use crate::usage::Usage;

/// What a usage object says; `None` if it counts nothing. Missing and `null` counts are zero.
pub(super) fn read(usage: &Value, quirks: Quirks) -> Option<Usage> {
    let count = |name: &str| usage.get(name).and_then(whole);
    let prompt = count("prompt_tokens").or_else(|| count("input_tokens"));
    let completion = count("completion_tokens").or_else(|| count("output_tokens"));
    let total = count("total_tokens");
    if prompt.is_none() && completion.is_none() && total.is_none() {
        return None;
    }
    let detail = |of: [&str; 2], name: &str| {
        of.iter().find_map(|details| usage.get(*details)?.get(name)).and_then(whole)
    };
    let input = |name| detail(["prompt_tokens_details", "input_tokens_details"], name);
    let output = |name| detail(["completion_tokens_details", "output_tokens_details"], name);
    let input_tokens = prompt.unwrap_or_else(|| {
        total.unwrap_or_default().saturating_sub(completion.unwrap_or_default())
    });
    let reasoning_tokens = output("reasoning_tokens").unwrap_or_default();
    let mut output_tokens =
        completion.unwrap_or_else(|| total.unwrap_or(input_tokens).saturating_sub(input_tokens));
    if quirks.reasoning_outside_completion {
        output_tokens += missing_reasoning(usage);
    }
    Some(Usage {
        input_tokens,
        output_tokens,
        // DeepSeek names the cached part beside the totals.
        cache_read_tokens: input("cached_tokens")
            .or_else(|| count("prompt_cache_hit_tokens"))
            .unwrap_or_default(),
        cache_write_tokens: input("cache_write_tokens")
            .or_else(|| input("cache_creation_tokens"))
            .unwrap_or_default(),
        cache_write_1h_tokens: 0,
        reasoning_tokens,
        audio_input_tokens: input("audio_tokens").unwrap_or_default(),
        audio_output_tokens: output("audio_tokens").unwrap_or_default(),
        image_input_tokens: input("image_tokens").unwrap_or_default(),
        estimated: false,
    })
}

/// Brings a usage object to OpenAI's convention, in which `completion_tokens` includes reasoning.
/// True if it was changed.
pub(super) fn correct(usage: &mut Value, quirks: Quirks) -> bool {
    if !quirks.reasoning_outside_completion {
        return false;
    }
    let missing = missing_reasoning(usage);
    let completion = usage.get("completion_tokens").and_then(whole).unwrap_or_default();
    if missing > 0 {
        usage["completion_tokens"] = Value::from(completion + missing);
    }
    missing > 0
}

/// The reasoning tokens that `completion_tokens` leaves out (xAI). The total decides: it includes
/// them either way, so a provider that changes its convention is not counted twice.
fn missing_reasoning(usage: &Value) -> u64 {
    let count = |name: &str| usage.get(name).and_then(whole).unwrap_or_default();
    let reasoning = usage
        .get("completion_tokens_details")
        .and_then(|details| details.get("reasoning_tokens"))
        .and_then(whole)
        .unwrap_or_default();
    let counted = count("prompt_tokens").saturating_add(count("completion_tokens"));
    if counted.checked_add(reasoning) == Some(count("total_tokens")) { reasoning } else { 0 }
}

/// A count; some servers write it as `12.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let number = value.as_f64().filter(|number| (0.0..1e15).contains(number))?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(number as u64)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
        let read = |usage| read(&usage, Quirks::default());
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
        let mut usage = json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35,
            "completion_tokens_details": {"reasoning_tokens": 20},
        });
        assert_eq!(read(&usage, quirks).unwrap().output_tokens, 25);
        assert!(correct(&mut usage, quirks));
        assert_eq!(usage["completion_tokens"], 25);
        assert!(!correct(&mut usage, quirks), "corrected once");
        assert_eq!(read(&usage, quirks).unwrap().output_tokens, 25);
        assert!(!correct(&mut usage, Quirks::default()));
    }
}
