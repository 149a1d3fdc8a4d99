//! Parameters that a model refuses: repaired, left out, or told to the client before any call.
//!
//! What is refused stands in the provider's rules (`Quirks::rules`); a model without rules costs a look
//! at an empty list.

use memchr::memmem;

use super::request::Draft;
use crate::dialect::{ModelRules, Refused, Values};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::fields;
use crate::wire::json::{Edits, map_elements};

/// Values that ask for nothing: what is done without the parameter. They are left out unasked, because
/// many clients send all that they have a field for.
const IDLE: [(&str, &str); 11] = [
    ("top_p", "1"),
    ("presence_penalty", "0"),
    ("frequency_penalty", "0"),
    ("n", "1"),
    ("logprobs", "false"),
    ("top_logprobs", "0"),
    ("logit_bias", "{}"),
    ("stop", "[]"),
    ("tools", "[]"),
    ("functions", "[]"),
    ("parallel_tool_calls", "true"),
];

/// Fits the parameters of a chat request to its model. `reasons`: the model will, as it is asked.
///
/// # Errors
/// One is refused, and neither `modify_params` nor `drop_params` allows for an end of it.
pub(super) fn adapt<'a>(
    draft: &mut Draft<'a>,
    options: &RequestOptions<'a>,
    reasons: bool,
) -> Result<(), Failure> {
    let rules = options.quirks.rules;
    if rules.is_empty() {
        return Ok(());
    }
    let model = options.model_hint.rsplit('/').next().unwrap_or(options.model_hint);
    for rule in rules.iter().filter(|rule| is_about(rule, model)) {
        for refused in rule.refused.iter().filter(|refused| reasons || !refused.reasoning) {
            for param in refused.params {
                fit(draft, options, model, refused, param)?;
            }
        }
        if rule.nameless {
            take_names_out(draft);
        }
    }
    Ok(())
}

fn is_about(rule: &ModelRules, model: &str) -> bool {
    let begins = |start: &&str| match start.strip_suffix('$') {
        Some(whole) => model == whole,
        None => model.starts_with(start),
    };
    (rule.models.is_empty() || rule.models.iter().any(begins))
        && !rule.except.iter().any(|word| model.contains(word))
}

fn fit<'a>(
    draft: &mut Draft<'a>,
    options: &RequestOptions<'_>,
    model: &str,
    refused: &Refused,
    param: &'static str,
) -> Result<(), Failure> {
    let listed = |names: &[Box<str>]| names.iter().any(|name| **name == *param);
    let Some(value) = draft.raw(param).filter(|value| *value != b"null") else { return Ok(()) };
    if !is_meant(refused.values, value) || listed(options.allowed) || listed(options.drop) {
        return Ok(());
    }
    if IDLE.iter().any(|(name, idle)| *name == param && is_same(value, idle)) {
        draft.edits.remove(param);
        return Ok(());
    }
    match refused.instead.filter(|_| options.modify_params) {
        Some(instead) => draft.edits.set_raw(param, instead.as_bytes()),
        None if options.drop_params => draft.edits.remove(param),
        None if refused.values == Values::Any => return Err(fields::unsupported(model, param)),
        None => {
            let value = String::from_utf8_lossy(value);
            return Err(fields::unsupported_value(model, param, &value));
        }
    }
    Ok(())
}

fn is_meant(values: Values, value: &[u8]) -> bool {
    let one_of = |list: &[&str]| list.iter().any(|known| is_same(value, known));
    match values {
        Values::Any => true,
        Values::Except(list) => !one_of(list),
        Values::Only(list) => one_of(list),
        Values::Above(most) => match (number(value), number(most.as_bytes())) {
            (Some(value), Some(most)) => value > most,
            // What is no number is the provider's to refuse.
            _ => false,
        },
    }
}

fn is_same(value: &[u8], known: &str) -> bool {
    if value == known.as_bytes() {
        return true;
    }
    match (number(value), number(known.as_bytes())) {
        (Some(value), Some(known)) => value == known,
        _ => {
            let written = value.iter().filter(|byte| !byte.is_ascii_whitespace());
            written.eq(known.as_bytes())
        }
    }
}

fn number(json: &[u8]) -> Option<f64> {
    std::str::from_utf8(json).ok()?.parse().ok()
}

/// What a model takes in place of an effort that it refuses; `None`: it takes the effort, or its rules
/// say nothing of it. `Some(None)`: there is nothing near it.
pub(super) fn nearest_effort(
    effort: &[u8],
    options: &RequestOptions<'_>,
) -> Option<Option<&'static str>> {
    const PARAM: &str = "reasoning_effort";
    if options.allowed.iter().any(|name| **name == *PARAM) {
        return None;
    }
    let model = options.model_hint.rsplit('/').next().unwrap_or(options.model_hint);
    let rules = options.quirks.rules.iter().filter(|rule| is_about(rule, model));
    rules
        .flat_map(|rule| rule.refused)
        .find(|refused| refused.params.contains(&PARAM) && is_meant(refused.values, effort))
        .map(|refused| refused.instead)
}

fn take_names_out(draft: &mut Draft<'_>) {
    let Some(messages) = draft.slice("messages") else { return };
    if memmem::find(&messages, b"\"name\"").is_none() {
        return;
    }
    let nameless = map_elements(&messages, |message| {
        let mut edits = Edits::new();
        edits.remove("name");
        message.changed(&edits)
    });
    if let Some(nameless) = nameless {
        draft.edits.set_raw("messages", nameless.to_vec());
    }
}
