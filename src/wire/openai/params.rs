//! Parameters that a model refuses: repaired, left out, or told to the client before any call.
//!
//! What is refused stands in the provider's rules (`Quirks::rules`); a model without rules costs a look
//! at an empty list.

use memchr::memmem;

use super::foreign;
use super::request::Draft;
use crate::dialect::{ModelRules, Refused, Values};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::fields::{self, Fields};
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

/// Parameters that are looked at and changed.
pub(super) trait Params {
    /// The JSON text of one, as it stands now.
    fn raw(&self, name: &str) -> Option<&[u8]>;

    /// Gives one another value, as JSON; `None` takes it out.
    fn change(&mut self, name: &'static str, value: Option<&'static str>);

    fn is_set(&self, name: &str) -> bool {
        self.raw(name).is_some_and(|raw| raw != b"null")
    }
}

impl Params for Draft<'_> {
    fn raw(&self, name: &str) -> Option<&[u8]> {
        Draft::raw(self, name)
    }

    fn change(&mut self, name: &'static str, value: Option<&'static str>) {
        match value {
            Some(value) => self.edits.set_raw(name, value.as_bytes()),
            None => self.edits.remove(name),
        }
    }
}

/// A parameter, and its new value as JSON; `None`: it is taken out.
pub(in crate::wire) type Change = (&'static str, Option<&'static str>);

/// Parameters that stay as they are, and what is to be changed in them.
struct Changes<'f> {
    fields: &'f Fields<'f>,
    list: Vec<Change>,
}

impl Params for Changes<'_> {
    fn raw(&self, name: &str) -> Option<&[u8]> {
        match self.list.iter().find(|(known, _)| *known == name) {
            Some((_, value)) => value.map(str::as_bytes),
            None => self.fields.raw(name).map(str::as_bytes),
        }
    }

    fn change(&mut self, name: &'static str, value: Option<&'static str>) {
        self.list.retain(|(known, _)| *known != name);
        self.list.push((name, value));
    }
}

/// What is to be changed in a chat request before it is put into another of OpenAI's formats: its
/// models refuse there what they refuse here, but for what it says in other words (`translated`).
/// `reasons`: the model will, asked for this effort.
///
/// # Errors
/// As [`adapt`].
pub(in crate::wire) fn changes(
    fields: &Fields<'_>,
    options: &RequestOptions<'_>,
    translated: &[&str],
    reasons: impl FnOnce(Option<&[u8]>) -> bool,
) -> Result<Vec<Change>, Failure> {
    let mut changes = Changes { fields, list: Vec::new() };
    foreign::thinking(&mut changes, options, false);
    let reasons = reasons(changes.raw("reasoning_effort"));
    judge(&mut changes, options, reasons, translated)?;
    Ok(changes.list)
}

/// Fits the parameters of a chat request to its model. `reasons`: the model will, as it is asked.
///
/// # Errors
/// One is refused, and neither `modify_params` nor `drop_params` allows for an end of it.
pub(super) fn adapt(
    draft: &mut Draft<'_>,
    options: &RequestOptions<'_>,
    reasons: bool,
) -> Result<(), Failure> {
    judge(draft, options, reasons, &[])?;
    let model = base_name(options);
    if options.quirks.rules.iter().any(|rule| rule.nameless && is_about(rule, model)) {
        take_names_out(draft);
    }
    Ok(())
}

fn judge(
    params: &mut impl Params,
    options: &RequestOptions<'_>,
    reasons: bool,
    translated: &[&str],
) -> Result<(), Failure> {
    let model = base_name(options);
    for rule in options.quirks.rules.iter().filter(|rule| is_about(rule, model)) {
        for refused in rule.refused.iter().filter(|refused| reasons || !refused.reasoning) {
            for param in refused.params.iter().filter(|param| !translated.contains(param)) {
                fit(params, options, model, refused, param)?;
            }
        }
    }
    Ok(())
}

fn base_name<'a>(options: &RequestOptions<'a>) -> &'a str {
    options.model_hint.rsplit('/').next().unwrap_or(options.model_hint)
}

fn is_about(rule: &ModelRules, model: &str) -> bool {
    let begins = |start: &&str| match start.strip_suffix('$') {
        Some(whole) => model == whole,
        None => model.starts_with(start),
    };
    (rule.models.is_empty() || rule.models.iter().any(begins))
        && !rule.except.iter().any(|word| model.contains(word))
}

fn fit(
    params: &mut impl Params,
    options: &RequestOptions<'_>,
    model: &str,
    refused: &Refused,
    param: &'static str,
) -> Result<(), Failure> {
    let listed = |names: &[Box<str>]| names.iter().any(|name| **name == *param);
    let Some(value) = params.raw(param).filter(|value| *value != b"null") else { return Ok(()) };
    if !is_meant(refused.values, value) || listed(options.allowed) || listed(options.drop) {
        return Ok(());
    }
    if IDLE.iter().any(|(name, idle)| *name == param && is_same(value, idle)) {
        params.change(param, None);
        return Ok(());
    }
    let repairs = options.modify_params || options.is_hint(param);
    match refused.instead.filter(|_| repairs) {
        Some(instead) => params.change(param, Some(instead)),
        None if options.leaves_out(param) => params.change(param, None),
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
