//! The content filter: its patterns, and its words, in the file or in one of their own.

use std::path::Path;

use super::super::Context;
use super::blocks;
use crate::config::options::{GUARD_PATTERN, GUARD_WORD};
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::Node;
use crate::guard::{Filter, PREBUILT, Rule, Word, prebuilt};

const WORDS_FILE_MAX: u64 = 8 * 1024 * 1024;

pub(super) fn read(params: &mut Section<'_>, context: &Context<'_>) -> Option<Filter> {
    let problems = params.problems;
    let (mut rules, mut spots) = (Vec::new(), Vec::new());
    let patterns = params.entry("patterns");
    for item in patterns.and_then(|entry| entry.node.list()).unwrap_or_default() {
        let (rule, spot) = rule(item, problems)?;
        rules.push(rule);
        spots.push(spot);
    }
    let mut words = Vec::new();
    if let Some(entry) = params.entry("blocked_words") {
        words.extend(listed(&entry.node, problems));
    }
    if let Some(At { value, spot }) = params.text("blocked_words_file") {
        words.extend(words_of_file(&context.file(value), spot, problems)?);
    }
    let tag = params.text("pattern_redaction_format").map(|at| at.value);
    let word_tag = params.text("keyword_redaction_tag").map(|at| at.value);
    let has_categories = params.has("categories") || params.has("competitor_intent_config");
    if rules.is_empty() && words.is_empty() {
        let message = "the content filter looks for nothing";
        let help = match has_categories {
            true => "no category is built in: write `blocked_words:` or `patterns:`",
            false => "write `patterns:` or `blocked_words:`",
        };
        problems.push(Finding::error(params.spot, message).help(help));
        return None;
    }
    let tag = tag.unwrap_or("[{pattern_name}_REDACTED]");
    match Filter::new(&rules, &words, tag, word_tag.unwrap_or("[KEYWORD_REDACTED]")) {
        Ok(filter) => Some(filter),
        Err((at, why)) => {
            let spot = spots.get(at).copied().unwrap_or(params.spot);
            let why = why.lines().last().unwrap_or_default().trim().to_owned();
            let message = format!("the expression cannot be used: {why}");
            problems.push(Finding::error(spot, message));
            None
        }
    }
}

fn rule(item: &Node, problems: &Problems) -> Option<(Rule, Spot)> {
    let mut section = Section::new(&GUARD_PATTERN, item, item.spot, problems);
    let kind = section.text("pattern_type");
    let named = section.text("pattern_name");
    let pattern = section.text("pattern");
    let name = section.text("name");
    let blocks = section.text("action").is_none_or(|at| blocks(at, problems));
    let spot = section.spot;
    section.finish();
    let is_prebuilt = match kind.map(|at| at.value) {
        Some("prebuilt") => true,
        Some("regex") => false,
        None => pattern.is_none() && named.is_some(),
        Some(other) => {
            let message = format!("`{other}` is no type of patterns: write `prebuilt` or `regex`");
            problems.push(Finding::error(kind.map(|at| at.spot), message));
            return None;
        }
    };
    if is_prebuilt {
        let At { value, spot } = named.or_else(|| {
            let message = "a prebuilt pattern needs its name";
            problems.push(Finding::error(spot, message).help("write `pattern_name:`"));
            None
        })?;
        // LiteLLM has one for each maker of cards, and calls some otherwise.
        let meant = match value {
            "visa" | "mastercard" | "amex" | "discover" => "credit_card",
            "us_phone" | "phone_number" => "phone",
            "ipv4" | "ipv6" => "ip_address",
            "generic_api_key" => "generic_secret",
            "slack_bot_token" => "slack_token",
            other => other,
        };
        let Some(known) = prebuilt(meant) else {
            let near = nearest(value, PREBUILT.iter().map(|known| known.name));
            let names: Vec<_> = PREBUILT.iter().map(|known| known.name).collect();
            let help = near.filter(|(_, score)| *score > 0.75).map_or_else(
                || format!("there are {}", names.join(", ")),
                |(near, _)| format!("did you mean `{near}`?"),
            );
            let message = format!("there is no prebuilt pattern `{value}`");
            problems.push(Finding::error(spot, message).help(help));
            return None;
        };
        let name = name.map_or(value, |at| at.value).to_owned();
        let pattern = known.pattern.to_owned();
        return Some((Rule { name, pattern, known: Some(known), blocks }, spot));
    }
    let Some(At { value, spot }) = pattern else {
        let message = "a pattern needs an expression";
        problems.push(Finding::error(spot, message).help("write `pattern:`"));
        return None;
    };
    let name = name.or(named).map_or("custom", |at| at.value).to_owned();
    Some((Rule { name, pattern: value.to_owned(), known: None, blocks }, spot))
}

fn listed(node: &Node, problems: &Problems) -> Vec<Word> {
    let mut words = Vec::new();
    for item in node.list().unwrap_or_default() {
        if let Some(keyword) = item.text() {
            words.push(Word { keyword: keyword.to_owned(), blocks: true, description: None });
            continue;
        }
        let mut section = Section::new(&GUARD_WORD, item, item.spot, problems);
        let keyword = section.text("keyword");
        let blocks = section.text("action").is_none_or(|at| blocks(at, problems));
        let description = section.text("description").map(|at| at.value.to_owned());
        match keyword {
            Some(At { value, .. }) => {
                words.push(Word { keyword: value.to_owned(), blocks, description });
            }
            None => problems.push(
                Finding::error(section.spot, "a blocked word needs the word")
                    .help("write `keyword:`"),
            ),
        }
        section.finish();
    }
    words
}

/// A file of LiteLLM's form: a list under `blocked_words`.
fn words_of_file(path: &str, spot: Spot, problems: &Problems) -> Option<Vec<Word>> {
    #[derive(serde::Deserialize)]
    struct File {
        blocked_words: Vec<Written>,
    }
    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Alone(String),
        Whole { keyword: String, action: Option<String>, description: Option<String> },
    }
    let failed = |why: String| {
        problems.push(Finding::error(spot, format!("the words in `{path}` cannot be read: {why}")));
    };
    let file = Path::new(path);
    let size = std::fs::metadata(file).map_err(|error| failed(error.to_string())).ok()?.len();
    if size > WORDS_FILE_MAX {
        failed(format!("it is larger than {WORDS_FILE_MAX} bytes"));
        return None;
    }
    let text = std::fs::read_to_string(file).map_err(|error| failed(error.to_string())).ok()?;
    let read: File = serde_yaml::from_str(&text).map_err(|error| failed(error.to_string())).ok()?;
    let words = read.blocked_words.into_iter().map(|written| match written {
        Written::Alone(keyword) => Word { keyword, blocks: true, description: None },
        Written::Whole { keyword, action, description } => {
            let blocks = action.is_none_or(|action| blocks(At { value: &action, spot }, problems));
            Word { keyword, blocks, description }
        }
    });
    Some(words.filter(|word| !word.keyword.trim().is_empty()).collect())
}
