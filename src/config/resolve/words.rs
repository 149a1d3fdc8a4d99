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
    if let Some(at) = general.between("maximum_prompt_text_length", TEXT_LEAST..=TEXT_MOST) {
        return at.value as usize;
    }
    let Some(text) = context.var(VARIABLE) else { return TEXT_MAX };
    let number = text.parse::<usize>();
    let used = number
        .as_ref()
        .map_or(TEXT_MAX, |number| (*number).clamp(TEXT_LEAST as usize, TEXT_MOST as usize));
    if number != Ok(used) {
        let wrong = match number {
            Ok(_) => format!("not between {TEXT_LEAST} and {TEXT_MOST}"),
            Err(_) => "no number".to_owned(),
        };
        let message = format!("`{VARIABLE}` is `{text}`, which is {wrong}");
        let help = format!("{used} is used");
        context.problems.push(Finding::warning(general.spot, message).help(help));
    }
    used
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::VARIABLE;
    use crate::config::load_text;

    #[test]
    fn a_variable_out_of_bounds_is_told() {
        let file = "model_list:\n  - {model_name: a, litellm_params: {model: openai/a, api_key: sk}}\n\
                    general_settings: {store_prompts_in_spend_logs: true}\n";
        for (text, used, problem) in [
            ("16", 16, None),
            (" 100 ", 100, None),
            ("15", 16, Some("not between 16 and 1048576")),
            ("2000000", 1_048_576, Some("not between 16 and 1048576")),
            ("many", 2_048, Some("no number")),
        ] {
            let env = BTreeMap::from([(VARIABLE.to_owned(), text.to_owned())]);
            let loaded = load_text(Path::new("tollgate.yaml"), file, &env);
            let told = loaded.problems.iter().filter(|found| found.message.contains(VARIABLE));
            let told: Vec<_> = told.map(|found| found.message.clone()).collect();
            let expected = problem.map(|is| format!("`{VARIABLE}` is `{text}`, which is {is}"));
            assert_eq!(told, Vec::from_iter(expected));
            assert_eq!(loaded.snapshot.unwrap().words.stored, Some(used), "{text}");
        }
    }
}
