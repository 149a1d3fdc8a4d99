//! `guardrails`: who looks at requests and replies. Both places are read, and all kinds.
//!
//! A guardrail that cannot be what the file says is an error and no warning: nobody is to believe that
//! something is looked at that is not.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::models::Draft;
use super::{Context, Sections, params};
use crate::config::options::{
    GUARD_API, GUARD_FILTER, GUARD_INJECTION, GUARD_MODERATION, GUARD_PATTERN, GUARD_PII,
    GUARD_PRESIDIO, GUARD_SECRETS, GUARD_WORD, GUARDRAIL, Table,
};
use crate::config::problem::{Finding, Problems, Spot, nearest};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node};
use crate::guard::{
    Check, Entity, Filter, Guardrail, Guardrails, Injection, Mode, Modes, PREBUILT, Pii, Rule,
    Secrets, THRESHOLD, When, Window, Word, prebuilt,
};
use crate::inspect::{self, Bounds, Moderation, Presidio, TheirApi};
use crate::secret::Secret;

/// The kinds, by the table of their options.
const KINDS: [&Table; 7] = [
    &GUARD_FILTER,
    &GUARD_SECRETS,
    &GUARD_PII,
    &GUARD_INJECTION,
    &GUARD_MODERATION,
    &GUARD_API,
    &GUARD_PRESIDIO,
];

const TIMEOUT: Duration = Duration::from_secs(5);
const CONCURRENCY: u32 = 64;
const CONCURRENCY_MAX: u32 = 10_000;
const WINDOW_MAX: u32 = 1_000_000;
const WORDS_FILE_MAX: u64 = 8 * 1024 * 1024;

/// Both lists, and what deployments ask for.
pub(super) fn read(
    sections: &mut Sections<'_>,
    context: &Context<'_>,
    drafts: &[Draft],
) -> Guardrails {
    let problems = context.problems;
    let lists = [sections.top.entry("guardrails"), sections.litellm.entry("guardrails")];
    let mut guardrails = Guardrails::default();
    for entry in lists.into_iter().flatten() {
        let Some(items) = entry.node.list() else {
            let message = format!("`guardrails` must be a list, found {}", entry.node.found(""));
            let help = "begin each with `- guardrail_name:`";
            problems.push(Finding::error(entry.value_spot(), message).help(help));
            continue;
        };
        for item in items {
            if let Some((guardrail, spot)) = one(item, context) {
                if guardrails.named(&guardrail.name).is_some() {
                    let message = format!("the guardrail `{}` is written twice", guardrail.name);
                    problems.push(Finding::error(spot, message));
                }
                guardrails.list.push(Arc::new(guardrail));
            }
        }
    }
    for draft in drafts {
        for (name, spot) in &draft.guardrails {
            if guardrails.named(name).is_none() {
                let near = nearest(name, guardrails.list.iter().map(|known| &*known.name));
                let help = near.map(|(near, _)| format!("did you mean `{near}`?"));
                let message = format!("there is no guardrail `{name}`");
                problems.push(Finding::error(*spot, message).maybe_help(help));
            }
        }
        if !draft.guardrails.is_empty() {
            let names = draft.guardrails.iter().map(|(name, _)| Arc::clone(name)).collect();
            guardrails.of_deployments.insert(Arc::clone(&draft.id), names);
        }
    }
    guardrails
}

fn one(item: &Node, context: &Context<'_>) -> Option<(Guardrail, Spot)> {
    let problems = context.problems;
    let mut section = Section::new(&GUARDRAIL, item, item.spot, problems);
    let name = section.text("guardrail_name");
    let info = section.entry("guardrail_info");
    let written = section.entry("litellm_params");
    let spot = section.spot;
    section.finish();
    let (Some(name), Some(written)) = (name, written) else {
        // LiteLLM's first form was a mapping by name.
        let is_old = item.map().is_some_and(|entries| entries.len() == 1 && name.is_none());
        let help = match is_old {
            true => {
                "the form by name is no longer LiteLLM's: write `guardrail_name:` and, as a \
                     mapping, `litellm_params:`"
            }
            false => "write `guardrail_name:` and, as a mapping, `litellm_params:`",
        };
        let message = "a guardrail needs a name and parameters";
        problems.push(Finding::error(spot, message).help(help));
        return None;
    };
    let kind = written.node.get("guardrail");
    let Some((kind, kind_spot)) =
        kind.and_then(|kind| Some((kind.node.text()?.trim(), kind.value_spot())))
    else {
        let message = "a guardrail needs its kind";
        let help = format!("write `guardrail:` with one of {}", kinds());
        problems.push(Finding::error(written.spot, message).help(help));
        return None;
    };
    let Some(table) = KINDS.into_iter().find(|table| is_called(table, kind)) else {
        let message = format!("guardrails of the kind `{kind}` are not available");
        let help = format!("there are {}; others by `generic_guardrail_api`", kinds());
        problems.push(Finding::error(kind_spot, message).help(help));
        return None;
    };
    let mut params = Section::new(table, &written.node, written.spot, problems);
    params.entry("guardrail");
    let when = params.entry("mode").and_then(|entry| when(entry, problems));
    if when.is_none() && !written.node.get("mode").is_some_and(|mode| mode.node.is_unresolved()) {
        let has_mode = written.node.get("mode").is_some_and(|mode| !mode.node.is_null());
        if !has_mode {
            let message = "a guardrail needs to know when it looks";
            let help = "write `mode: pre_call`, or `during_call`, `post_call`, `logging_only`";
            problems.push(Finding::error(written.spot, message).help(help));
        }
    }
    let default_on = params.flag("default_on").is_some_and(|at| at.value);
    let fails_open = params.text("unreachable_fallback").is_some_and(|at| match at.value {
        "fail_open" => true,
        "fail_closed" => false,
        other => {
            let message = format!("`{other}` is neither `fail_open` nor `fail_closed`");
            problems.push(Finding::error(at.spot, message));
            false
        }
    });
    let window = params.count("stream_window", WINDOW_MAX).map(|at| at.value as usize);
    let overlap = params.count("stream_overlap", WINDOW_MAX).map(|at| at.value as usize);
    let at_the_end = params.flag("streaming_end_of_stream_only").is_some_and(|at| at.value);
    let check = check(table, &mut params, name.value, context);
    params.finish();
    let (when, check) = (when?, check?);
    let usual = match &check {
        Check::Here(_) => Window::HERE,
        Check::There(_) => Window::THERE,
    };
    let window = match at_the_end {
        true => Window::WHOLE,
        false => Window {
            bytes: window.unwrap_or(usual.bytes),
            overlap: overlap.unwrap_or(usual.overlap),
        },
    };
    let info = info.and_then(|info| serde_json::from_str(&info.node.json()).ok());
    let guardrail = Guardrail {
        name: name.value.into(),
        kind: table.name,
        when,
        default_on,
        fails_open,
        check,
        window,
        info: info.unwrap_or(Value::Null),
    };
    if guardrail.when.all().has(Mode::DuringCall) && guardrail.masks() {
        let message = format!("the guardrail `{}` masks, which `during_call` cannot", name.value);
        let help = "the request is on its way then: write `pre_call`, or let it block";
        problems.push(Finding::error(written.spot, message).help(help));
    }
    Some((guardrail, name.spot))
}

/// LiteLLM writes some kinds in two ways.
fn is_called(table: &Table, kind: &str) -> bool {
    table.name == kind || table.name.replace('-', "_") == kind.replace('-', "_")
}

fn kinds() -> String {
    KINDS.map(|table| format!("`{}`", table.name)).join(", ")
}

fn when(entry: &Entry, problems: &Problems) -> Option<When> {
    let Some(fields) = entry.node.map() else {
        let otherwise = modes(&entry.node, problems)?;
        return Some(When { otherwise, tagged: Vec::new() });
    };
    let mut when = When::default();
    for field in fields {
        match &*field.key {
            "default" => when.otherwise = modes(&field.node, problems)?,
            "tags" => {
                for tag in field.node.map().unwrap_or_default() {
                    when.tagged.push((tag.key.clone(), modes(&tag.node, problems)?));
                }
            }
            other => {
                let message = format!("unknown option `{other}` in `mode`");
                let help = "write `default:` and, by tag, `tags:`";
                problems.push(Finding::error(field.spot, message).help(help));
                return None;
            }
        }
    }
    Some(when)
}

fn modes(node: &Node, problems: &Problems) -> Option<Modes> {
    let alone = std::slice::from_ref(node);
    let mut modes = Modes::default();
    for item in node.list().unwrap_or(alone) {
        let word = item.text()?.trim();
        let Some(mode) = Mode::ALL.into_iter().find(|mode| mode.word() == word) else {
            let near = nearest(word, Mode::ALL.into_iter().map(Mode::word));
            let help = near.map_or_else(
                || "write `pre_call`, `during_call`, `post_call` or `logging_only`".to_owned(),
                |(near, _)| format!("did you mean `{near}`?"),
            );
            let message = format!("`{word}` is no mode of a guardrail");
            problems.push(Finding::error(item.spot, message).help(help));
            return None;
        };
        modes = modes.with(mode);
    }
    if modes.is_empty() {
        problems.push(Finding::error(node.spot, "`mode` is empty: the guardrail would never look"));
        return None;
    }
    Some(modes)
}

fn check(
    table: &Table,
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
) -> Option<Check> {
    let (problems, spot) = (params.problems, params.spot);
    let failed = |why: String| problems.push(Finding::error(spot, why));
    Some(match table.name {
        "litellm_content_filter" => Check::Here(Arc::new(filter(params, context)?)),
        "hide-secrets" => {
            let blocks = params.text("action").is_some_and(|at| blocks(at, problems));
            Check::Here(Arc::new(Secrets::new(blocks).map_err(failed).ok()?))
        }
        "pii" => {
            let entities = entities(params, true)?.into_iter();
            let known = entities
                .filter_map(|(name, blocks)| Some(Entity { known: prebuilt(&name)?, blocks }));
            let mut known: Vec<_> = known.collect();
            if known.is_empty() {
                known = Entity::all().collect();
            }
            let gives_back = params.flag("output_parse_pii").is_none_or(|at| at.value);
            Check::Here(Arc::new(Pii::new(name, known, gives_back).map_err(failed).ok()?))
        }
        "prompt_injection" => {
            let threshold = params.number("threshold").map_or(THRESHOLD, |at| at.value);
            Check::Here(Arc::new(Injection::new(threshold).map_err(failed).ok()?))
        }
        _ => return elsewhere(table, params, name, context),
    })
}

fn blocks(At { value, spot }: At<&str>, problems: &Problems) -> bool {
    match value {
        _ if value.eq_ignore_ascii_case("BLOCK") => true,
        _ if value.eq_ignore_ascii_case("MASK") => false,
        other => {
            let message = format!("`{other}` is no action: write `BLOCK` or `MASK`");
            problems.push(Finding::error(spot, message));
            true
        }
    }
}

fn filter(params: &mut Section<'_>, context: &Context<'_>) -> Option<Filter> {
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

/// What becomes of which entity. `here`: only those that can be known by their form.
fn entities(params: &mut Section<'_>, here: bool) -> Option<Vec<(String, bool)>> {
    let problems = params.problems;
    let mut entities = Vec::new();
    let Some(entry) = params.entry("pii_entities_config") else { return Some(entities) };
    for field in entry.node.map().unwrap_or_default() {
        let name = &*field.key;
        let is_known = prebuilt(name).is_some_and(|known| known.entity == name);
        if here && !is_known {
            let known = PREBUILT.iter().map(|known| known.entity).filter(|name| !name.is_empty());
            let known: Vec<_> = known.collect();
            let message = format!("`{name}` cannot be known by its form");
            let help = format!("`guardrail: presidio` finds it; `pii` knows {}", known.join(", "));
            problems.push(Finding::error(field.spot, message).help(help));
            return None;
        }
        let action = field.node.text().unwrap_or_default();
        let blocks = blocks(At { value: action.trim(), spot: field.node.spot }, problems);
        entities.push((name.to_owned(), blocks));
    }
    Some(entities)
}

fn elsewhere(
    table: &Table,
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
) -> Option<Check> {
    let (problems, spot) = (params.problems, params.spot);
    let bounds = Bounds {
        timeout: params.timeout("timeout").map_or(TIMEOUT, |at| at.value),
        at_once: params
            .count("max_concurrency", CONCURRENCY_MAX)
            .map_or(CONCURRENCY, |at| at.value)
            .max(1) as usize,
    };
    let var = |name: &str| context.env.var(name).filter(|value| !value.trim().is_empty());
    Some(Check::There(match table.name {
        "openai_moderation" => {
            let base = address(params, "api_base", problems)?;
            let key = params.text("api_key").map(|at| at.value.to_owned());
            let key = key.or_else(|| base.is_none().then(|| var("OPENAI_API_KEY")).flatten());
            let is_named = params.has("api_key");
            if key.is_none() && base.is_none() {
                if !is_named {
                    let message = "OpenAI's moderation needs a key";
                    let help = "add `api_key: os.environ/OPENAI_API_KEY` beside `guardrail`";
                    problems.push(Finding::error(spot, message).help(help));
                }
                return None;
            }
            let base = base.unwrap_or_else(|| "https://api.openai.com/v1".to_owned());
            let model = params.text("model").map_or("omni-moderation-latest", |at| at.value);
            let key = key.map(|key| {
                problems.keep_secret(&key);
                Secret::new(key)
            });
            Arc::new(Moderation::new(&base, key, model, bounds))
        }
        "generic_guardrail_api" => {
            let base = address(params, "api_base", problems)?;
            let base = base.or_else(|| var("GENERIC_GUARDRAIL_API_BASE"));
            let key = params.text("api_key").map(|at| at.value.to_owned());
            let mut headers = params::headers_of(params, "headers");
            let extra = object(params, "additional_provider_specific_params");
            if let Some(key) = key {
                problems.keep_secret(&key);
                let value = HeaderValue::from_str(&key).map(|mut value| {
                    value.set_sensitive(true);
                    value
                });
                match value {
                    Ok(value) => headers.push((HeaderName::from_static("x-api-key"), value)),
                    Err(_) => {
                        problems.push(Finding::error(spot, "`api_key` must be a text on one line"));
                    }
                }
            }
            let Some(base) = base else {
                let message = "a guardrail elsewhere needs its address";
                problems.push(Finding::error(spot, message).help("add `api_base:`"));
                return None;
            };
            Arc::new(TheirApi::new(&base, headers, extra, bounds))
        }
        _ => Arc::new(presidio(params, name, context, bounds)?),
    }))
}

fn presidio(
    params: &mut Section<'_>,
    name: &str,
    context: &Context<'_>,
    bounds: Bounds,
) -> Option<Presidio> {
    let (problems, spot) = (params.problems, params.spot);
    let var = |name: &str| context.env.var(name).filter(|value| !value.trim().is_empty());
    let analyzer = address(params, "presidio_analyzer_api_base", problems)?;
    let analyzer = analyzer.or_else(|| var("PRESIDIO_ANALYZER_API_BASE"));
    let anonymizer = address(params, "presidio_anonymizer_api_base", problems)?;
    let anonymizer = anonymizer.or_else(|| var("PRESIDIO_ANONYMIZER_API_BASE"));
    let entities = entities(params, false)?;
    let gives_back = params.flag("output_parse_pii").is_some_and(|at| at.value);
    let language = params.text("presidio_language").map_or("en", |at| at.value).to_owned();
    let mut thresholds = Vec::new();
    if let Some(entry) = params.entry("presidio_score_thresholds") {
        for field in entry.node.map().unwrap_or_default() {
            let score = field.node.text().and_then(|text| text.trim().parse::<f64>().ok());
            match score.filter(|score| (0.0..=1.0).contains(score)) {
                Some(score) => thresholds.push((field.key.to_string(), score)),
                None => problems.push(Finding::error(
                    field.value_spot(),
                    "a score must be a number between 0 and 1",
                )),
            }
        }
    }
    let ad_hoc = params.text("presidio_ad_hoc_recognizers").and_then(|at| {
        let path = context.file(at.value);
        let read = std::fs::read_to_string(&*path).map_err(|error| error.to_string());
        let read = read.and_then(|text| {
            serde_json::from_str::<Value>(&text).map_err(|error| error.to_string())
        });
        read.map_err(|why| {
            let message = format!("the recognizers in `{path}` cannot be read: {why}");
            problems.push(Finding::error(at.spot, message));
        })
        .ok()
    });
    let Some(analyzer) = analyzer else {
        let message = "Presidio needs the address of its analyzer";
        let help = "add `presidio_analyzer_api_base:`, or set PRESIDIO_ANALYZER_API_BASE";
        problems.push(Finding::error(spot, message).help(help));
        return None;
    };
    let settings = inspect::PresidioSettings {
        analyzer,
        anonymizer,
        entities,
        gives_back,
        language,
        thresholds,
        ad_hoc,
    };
    Some(Presidio::new(name, settings, bounds))
}

/// An address of HTTP. `None`: it is written, and is none.
fn address(
    params: &mut Section<'_>,
    name: &'static str,
    problems: &Problems,
) -> Option<Option<String>> {
    let has = params.has(name);
    let Some(At { value, spot }) = params.text(name) else { return (!has).then_some(None) };
    let is_one = value.starts_with("http://") || value.starts_with("https://");
    if !is_one || value.parse::<http::Uri>().is_err() {
        let message = format!("`{name}` must be an address of http or https");
        problems.push(Finding::error(spot, message));
        return None;
    }
    Some(Some(value.to_owned()))
}

fn object(params: &mut Section<'_>, name: &'static str) -> Map<String, Value> {
    let written =
        params.entry(name).and_then(|entry| serde_json::from_str(&entry.node.json()).ok());
    match written {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::config::load_text;

    /// What is read, and what is said of it.
    fn load(yaml: &str) -> (Option<Arc<Guardrails>>, String) {
        let yaml = format!("model_list: []\n{yaml}");
        let loaded = load_text(Path::new("t.yaml"), &yaml, &BTreeMap::new());
        let (report, _) = crate::config::report(&loaded.problems, false, false);
        (loaded.snapshot.map(|snapshot| snapshot.guardrails), report)
    }

    fn entry(params: &str) -> String {
        format!("guardrails:\n- guardrail_name: g\n  litellm_params: {{{params}}}\n")
    }

    #[test]
    fn both_places_are_read() {
        let item = "- {guardrail_name: NAME, litellm_params: {guardrail: pii, mode: pre_call}}";
        let yaml = format!(
            "guardrails:\n{}\nlitellm_settings:\n  guardrails:\n  {}\n",
            item.replace("NAME", "a"),
            item.replace("NAME", "b")
        );
        let (found, report) = load(&yaml);
        let found = found.unwrap();
        let names: Vec<_> = found.list.iter().map(|it| &*it.name).collect();
        assert_eq!(names, ["a", "b"], "{report}");
        assert!(!report.contains("guardrail"), "{report}");
        let twice = yaml.replace("NAME", "a").replace("guardrail_name: b", "guardrail_name: a");
        assert!(load(&twice).1.contains("the guardrail `a` is written twice"));
    }

    #[test]
    fn modes_may_depend_on_tags() {
        let (found, report) = load(&entry(
            "guardrail: hide_secrets, default_on: true, unreachable_fallback: fail_open, mode: \
             {default: logging_only, tags: {prod: [pre_call, post_call]}}",
        ));
        let found = found.expect(&report);
        let one = &found.list[0];
        assert!(one.default_on && one.fails_open && one.kind == "hide-secrets");
        assert_eq!(one.when.modes(&[]), Modes::default().with(Mode::LoggingOnly));
        let of_prod = Modes::default().with(Mode::PreCall).with(Mode::PostCall);
        assert_eq!(one.when.modes(&["x".into(), "prod".into()]), of_prod);
    }

    #[test]
    fn what_would_not_look_is_an_error() {
        for (params, problem) in [
            ("mode: pre_call", "needs its kind"),
            ("guardrail: lakera_v2, mode: pre_call", "`lakera_v2` are not available"),
            ("guardrail: pii", "needs to know when it looks"),
            ("guardrail: pii, mode: []", "would never look"),
            ("guardrail: pii, mode: precall", "did you mean `pre_call`?"),
            ("guardrail: pii, mode: during_call", "which `during_call` cannot"),
            ("guardrail: litellm_content_filter, mode: pre_call", "looks for nothing"),
            (
                "guardrail: litellm_content_filter, mode: pre_call, patterns: [{pattern: '('}]",
                "the expression cannot be used",
            ),
            (
                "guardrail: litellm_content_filter, mode: pre_call, patterns: [{pattern_name: mail}]",
                "there is no prebuilt pattern `mail`",
            ),
            (
                "guardrail: pii, mode: pre_call, pii_entities_config: {PERSON: MASK}",
                "`guardrail: presidio` finds it",
            ),
            ("guardrail: openai_moderation, mode: pre_call", "needs a key"),
            ("guardrail: generic_guardrail_api, mode: pre_call", "needs its address"),
            ("guardrail: presidio, mode: pre_call", "needs the address of its analyzer"),
            (
                "guardrail: presidio, mode: pre_call, presidio_analyzer_api_base: here",
                "must be an address of http or https",
            ),
        ] {
            let (found, report) = load(&entry(params));
            assert!(found.is_none() && report.contains(problem), "{params}: {report}");
        }
        let old = "guardrails:\n- prompt_injection: {callbacks: [lakera], default_on: true}\n";
        assert!(load(old).1.contains("no longer LiteLLM's"));
        let of_model = "guardrails: []\nmodel_list:\n- {model_name: a, litellm_params: \
                        {model: openai/a, api_key: k, guardrails: [nobody]}}\n";
        let loaded = load_text(Path::new("t.yaml"), of_model, &BTreeMap::new());
        let (report, _) = crate::config::report(&loaded.problems, false, false);
        assert!(report.contains("there is no guardrail `nobody`"), "{report}");
    }
}
