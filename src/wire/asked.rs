//! Parameters of a request that several dialects read in the same way.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::RequestOptions;
use super::fields::{Fields, Text, invalid, read};
use crate::failure::Failure;

/// The client's bound of the answer, in tokens.
///
/// # Errors
/// It is no whole number.
pub(super) fn limit(fields: &Fields<'_>) -> Result<Option<u64>, Failure> {
    for name in ["max_completion_tokens", "max_tokens"] {
        let Some(raw) = fields.raw(name) else { continue };
        let number: Option<u64> = raw.parse().ok().or_else(|| raw.strip_suffix(".0")?.parse().ok());
        return match number {
            Some(limit) => Ok(Some(limit)),
            None => Err(invalid(name, format!("`{name}`: {raw} is not a number of tokens"))),
        };
    }
    Ok(None)
}

/// The same, and no higher than what the model can generate, if what it refuses may be repaired.
///
/// # Errors
/// It is no whole number.
pub(super) fn fitting_limit(
    fields: &Fields<'_>,
    options: &RequestOptions<'_>,
) -> Result<Option<u64>, Failure> {
    let most = options.max_output_tokens.filter(|_| options.modify_params).unwrap_or(u64::MAX);
    Ok(limit(fields)?.map(|limit| limit.min(most)))
}

/// `stop` and `stop_sequences`: one string or a list of them.
///
/// # Errors
/// It is neither.
pub(super) fn stop<'a>(fields: &Fields<'a>) -> Result<Vec<Text<'a>>, Failure> {
    let mut sequences: Vec<Text<'a>> = Vec::new();
    for name in ["stop", "stop_sequences"] {
        match fields.raw(name) {
            None => {}
            Some(raw) if raw.starts_with('"') => sequences.push(read(name, raw)?),
            Some(raw) => sequences.extend(read::<Vec<Text<'a>>>(name, raw)?),
        }
    }
    sequences.retain(|sequence| !sequence.0.is_empty());
    Ok(sequences)
}

/// `reasoning_effort`, as a word or as LiteLLM's `{effort, summary}`.
///
/// # Errors
/// It is neither.
pub(super) fn effort<'a>(fields: &Fields<'a>) -> Result<Option<Cow<'a, str>>, Failure> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        effort: Option<Text<'a>>,
    }

    let param = "reasoning_effort";
    let Some(raw) = fields.raw(param) else { return Ok(None) };
    if raw.starts_with('{') {
        return Ok(read::<Object<'a>>(param, raw)?.effort.map(|word| word.0));
    }
    Ok(Some(read::<Text<'a>>(param, raw)?.0))
}

/// Whether a parameter has the value that it has when it is not sent.
pub(super) fn asks_nothing(name: &str, raw: &str) -> bool {
    match name {
        "n" | "best_of" => raw.parse::<f64>().is_ok_and(|n| n <= 1.0),
        "logprobs" => raw == "false",
        "parallel_tool_calls" => raw == "true",
        "top_logprobs" | "presence_penalty" | "frequency_penalty" => {
            raw.parse::<f64>().is_ok_and(|number| number == 0.0)
        }
        "logit_bias" => serde_json::from_str::<Map<String, Value>>(raw).is_ok_and(|m| m.is_empty()),
        "modalities" => serde_json::from_str::<Vec<String>>(raw)
            .is_ok_and(|all| all.iter().all(|m| m == "text")),
        "verbosity" => raw == "\"medium\"",
        _ => false,
    }
}

/// A schema that allows every object: for functions that are declared without parameters.
pub(super) fn any_object<'a>() -> Cow<'a, RawValue> {
    let schema = r#"{"type":"object","properties":{}}"#.to_owned();
    Cow::Owned(RawValue::from_string(schema).expect("the text is valid JSON"))
}
