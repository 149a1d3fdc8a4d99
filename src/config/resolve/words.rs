//! Who is told what is said in requests: what is stored of it, what is redacted, and what keeps everybody from
//! it.

use super::spending::span;
use super::{Context, Sections};
use crate::config::options::REDACTED;
use crate::config::problem::{Finding, nearest};
use crate::config::section::Section;
use crate::guard::{PREBUILT, Redacted, Redaction, prebuilt};
use crate::snapshot::{Spending, Words};

/// LiteLLM's bound, and its variable.
const TEXT_MAX: usize = 2_048;
const TEXT_LEAST: u32 = 16;
const TEXT_MOST: u32 = 1024 * 1024;
const VARIABLE: &str = "MAX_STRING_LENGTH_PROMPT_IN_DB";
/// They go with the rows, which are looked at no more often.
const KEEP_MIN: std::time::Duration = std::time::Duration::from_secs(60);

pub(super) fn words(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
    spending: &Spending,
) -> Words {
    let litellm = &mut sections.litellm;
    let off = litellm.flag("turn_off_message_logging").is_some_and(|at| at.value);
    let deaf = litellm.flag("global_disable_no_log_param").is_some_and(|at| at.value);
    let redaction = redaction(sections);
    let general = &mut sections.general;
    let stores = general.flag("store_prompts_in_spend_logs").is_some_and(|at| at.value);
    let keep = span(general, "maximum_prompt_retention_period", KEEP_MIN);
    let text_max = text_max(general, context);
    // No longer than the rows beside which they are shown.
    let keep = [keep, spending.keep].into_iter().flatten().min();
    Words { off, heeds_requests: !deaf, redaction, stored: stores.then_some(text_max), keep }
}

fn text_max(general: &mut Section<'_>, context: &Context<'_>) -> usize {
    let written = general.count("maximum_prompt_text_length", TEXT_MOST);
    let spot = written.map_or(general.spot, |at| at.spot);
    let number: u32 = match written {
        Some(at) => at.value,
        None => {
            let Some(text) = context.env.var(VARIABLE) else { return TEXT_MAX };
            match text.trim().parse() {
                Ok(number) => number,
                Err(_) => {
                    let message = format!("`{VARIABLE}` is `{text}`, which is no number");
                    let help = format!("{TEXT_MAX} is used");
                    context.problems.push(Finding::warning(spot, message).help(help));
                    return TEXT_MAX;
                }
            }
        }
    };
    number.clamp(TEXT_LEAST, TEXT_MOST) as usize
}

/// A pattern that is known by its name, or `pattern` with what stands in its place.
fn redaction(sections: &mut Sections<'_>) -> Option<Redaction> {
    let general = &mut sections.general;
    let problems = general.problems;
    let entry = general.entry("redact")?;
    let Some(items) = entry.node.list() else {
        let message = format!("`redact` must be a list, found {}", entry.node.found(""));
        problems.push(Finding::error(entry.value_spot(), message));
        return None;
    };
    let (mut rules, mut spots) = (Vec::new(), Vec::new());
    for item in items {
        if let Some(name) = item.text().map(str::trim) {
            match prebuilt(name) {
                Some(known) => {
                    let mark = format!("[{}]", known.name.to_uppercase()).into();
                    rules.push(Redacted { pattern: known.name.into(), is_name: true, mark });
                    spots.push(item.spot);
                }
                None => {
                    let near = nearest(name, PREBUILT.iter().map(|known| known.name));
                    let help = match near {
                        Some((near, _)) => format!("did you mean `{near}`?"),
                        None => "an expression is written as `- pattern: '...'`".to_owned(),
                    };
                    let message = format!("no pattern is called `{name}`");
                    problems.push(Finding::error(item.spot, message).help(help));
                }
            }
            continue;
        }
        let mut section = Section::new(&REDACTED, item, item.spot, problems);
        let pattern = section.text("pattern");
        let mark = section.text("replacement").map_or("[REDACTED]", |at| at.value);
        match pattern {
            Some(at) => {
                rules.push(Redacted {
                    pattern: at.value.into(),
                    is_name: false,
                    mark: mark.into(),
                });
                spots.push(at.spot);
            }
            None => {
                problems.push(Finding::error(item.spot, "an entry of `redact` has no `pattern`"))
            }
        }
        section.finish();
    }
    match Redaction::new(&rules) {
        Ok(redaction) => (!rules.is_empty()).then_some(redaction),
        Err((at, why)) => {
            let spot = spots.get(at).copied().unwrap_or(entry.spot);
            // The library shows the expression with a caret, over several lines.
            let why = why.lines().last().unwrap_or_default().trim().to_owned();
            let message = format!("a pattern of `redact` is no expression: {why}");
            problems.push(Finding::error(spot, message));
            None
        }
    }
}
