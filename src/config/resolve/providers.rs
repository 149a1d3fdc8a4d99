//! `custom_providers`: APIs that this program has never heard of, by their address, their
//! authentication, and expressions that say what is where in their bodies.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use super::Sections;
use super::params;
use crate::config::options::{CUSTOM_PROVIDER, RESPONSE_MAPPING, STREAM_MAPPING};
use crate::config::problem::{Finding, Problems, Spot};
use crate::config::section::{At, Section};
use crate::config::yaml::{Entry, Node, Scalar, Value};
use crate::mapping::{Expression, Framing, Mapping, Response, Stream, Template, Wrong};
use crate::provider::{self, Support};

/// Where requests go unless `path` says something else.
const USUAL_PATH: &str = "/chat/completions";

/// A provider that the file describes.
#[derive(Debug)]
pub(crate) struct CustomProvider {
    /// The prefix of its models.
    pub(crate) name: Arc<str>,
    /// `api_base` and `api_key`, where a deployment writes none.
    defaults: Vec<Entry>,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) path: Box<str>,
    pub(crate) stream_path: Option<Box<str>>,
    pub(crate) auth_header: HeaderName,
    pub(crate) auth_prefix: Box<str>,
    pub(crate) mapping: Arc<Mapping>,
}

/// Reads the section.
pub(super) fn read(sections: &mut Sections<'_>) -> Vec<Arc<CustomProvider>> {
    let problems = sections.top.problems;
    let Some(entry) = sections.top.entry("custom_providers") else { return Vec::new() };
    let Some(items) = entry.node.list() else {
        let found = entry.node.found("");
        let message = format!("`custom_providers` must be a list, found {found}");
        problems
            .push(Finding::error(entry.value_spot(), message).help("begin each with `- name:`"));
        return Vec::new();
    };
    let mut providers: Vec<Arc<CustomProvider>> = Vec::new();
    for item in items {
        let Some((name, provider)) = custom(item, problems) else { continue };
        if providers.iter().any(|known| known.name == provider.name) {
            let message = format!("the provider `{}` is written twice", provider.name);
            problems.push(Finding::error(name, message));
        }
        providers.push(Arc::new(provider));
    }
    providers
}

/// The provider whose prefix a model has, and the parameters with those of the provider.
pub(super) fn apply(
    params: Vec<Entry>,
    providers: &[Arc<CustomProvider>],
) -> (Vec<Entry>, Option<Arc<CustomProvider>>) {
    let text = |name: &str| {
        let entry = params.iter().find(|entry| &*entry.key == name);
        entry.and_then(|entry| entry.node.text())
    };
    let model = text("model").unwrap_or_default();
    let prefix = text("custom_llm_provider").or_else(|| Some(model.split_once('/')?.0));
    let found = prefix.and_then(|prefix| providers.iter().find(|it| *it.name == *prefix));
    let Some(provider) = found.map(Arc::clone) else { return (params, None) };
    let mut all = params;
    for entry in &provider.defaults {
        let same = |known: &Entry| {
            known.key == entry.key || (&*known.key, &*entry.key) == ("base_url", "api_base")
        };
        if !all.iter().any(same) {
            all.push(entry.clone());
        }
    }
    (all, Some(provider))
}

fn custom(item: &Node, problems: &Problems) -> Option<(Spot, CustomProvider)> {
    let mut section = Section::new(&CUSTOM_PROVIDER, item, item.spot, problems);
    let name = section.text("name");
    let base = section.text("base_url");
    let key = section.text("api_key");
    let path = section.text("path");
    let stream_path = section.text("stream_path");
    let auth_header = section.text("auth_header");
    let auth_prefix = section.text("auth_prefix");
    let headers = params::headers_of(&mut section, "headers");
    let request = section.entry("request").and_then(|entry| template(entry, problems));
    let error = expression(&mut section, "error");
    let response = section.entry("response").map(|entry| {
        let mut section = Section::new(&RESPONSE_MAPPING, &entry.node, entry.spot, problems);
        let response = parts(&mut section);
        section.finish();
        response
    });
    let stream = section.entry("stream").map(|entry| {
        let mut section = Section::new(&STREAM_MAPPING, &entry.node, entry.spot, problems);
        let framing = framing(&mut section);
        let done = expression(&mut section, "done");
        let event = parts(&mut section);
        section.finish();
        Stream { framing, done, event }
    });
    section.finish();
    let Some(name) = name else {
        if item.map().is_some() {
            problems.push(Finding::error(item.spot, "this provider has no `name`"));
        }
        return None;
    };
    let is_prefix = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.value.is_empty() || !name.value.chars().all(is_prefix) {
        let message = format!("`{}` cannot be the prefix of a model", name.value);
        problems.push(Finding::error(name.spot, message));
    }
    // One that is only known by its name may be described.
    let known = provider::vendor(name.value);
    if known.is_some_and(|vendor| vendor.support != Support::NotYet) {
        let message = format!("`{}` is a provider that is known already", name.value);
        problems.push(Finding::error(name.spot, message).help("choose another name"));
    }
    for at in [path, stream_path].into_iter().flatten() {
        if !at.value.starts_with('/') || at.value.contains(['#', ' ']) {
            let message = format!("`{}` is not a path: it begins with `/`", at.value);
            problems.push(Finding::error(at.spot, message));
        }
    }
    let auth_header = match auth_header.map(|at| (at, at.value.parse::<HeaderName>())) {
        None => header::AUTHORIZATION,
        Some((_, Ok(name))) => name,
        Some((at, Err(_))) => {
            let message = format!("`{}` cannot be the name of a header", at.value);
            problems.push(Finding::error(at.spot, message));
            header::AUTHORIZATION
        }
    };
    let usual_prefix = if auth_header == header::AUTHORIZATION { "Bearer " } else { "" };
    let default = |name: &str, at: At<&str>| Entry {
        key: name.into(),
        spot: at.spot,
        node: Node { spot: at.spot, value: Value::Scalar(Scalar::new(at.value, true)) },
    };
    let defaults = [("api_base", base), ("api_key", key)];
    let provider = CustomProvider {
        name: name.value.into(),
        defaults: defaults.into_iter().filter_map(|(name, at)| Some(default(name, at?))).collect(),
        headers,
        path: path.map_or(USUAL_PATH, |at| at.value).into(),
        stream_path: stream_path.map(|at| at.value.into()),
        auth_header,
        auth_prefix: auth_prefix.map_or(usual_prefix, |at| at.value).into(),
        mapping: Arc::new(Mapping { request, response, stream, error }),
    };
    Some((name.spot, provider))
}

fn framing(section: &mut Section<'_>) -> Framing {
    let Some(at) = section.text("framing") else { return Framing::Sse };
    match at.value {
        "sse" => Framing::Sse,
        "lines" | "ndjson" => Framing::Lines,
        other => {
            let message = format!("`{other}` is no framing of a stream");
            let help = "write `sse` for server-sent events, or `lines` for lines of JSON";
            section.problems.push(Finding::error(at.spot, message).help(help));
            Framing::Sse
        }
    }
}

/// The expressions that both kinds of answer have.
fn parts(section: &mut Section<'_>) -> Response {
    let mut read = |name| expression(section, name);
    Response {
        text: read("text"),
        reasoning: read("reasoning"),
        tool_calls: read("tool_calls"),
        finish_reason: read("finish_reason"),
        id: read("id"),
        model: read("model"),
        input_tokens: read("input_tokens"),
        output_tokens: read("output_tokens"),
        cached_tokens: read("cached_tokens"),
        reasoning_tokens: read("reasoning_tokens"),
        error: read("error"),
    }
}

fn expression(section: &mut Section<'_>, name: &'static str) -> Option<Expression> {
    let at = section.text(name)?;
    match Expression::parse(at.value) {
        Ok(expression) => Some(expression),
        Err(wrong) => {
            section.problems.push(told(at.spot, &wrong));
            None
        }
    }
}

fn template(entry: &Entry, problems: &Problems) -> Option<Template> {
    if entry.node.map().is_none() {
        let message = format!("`request` must be a mapping, found {}", entry.node.found(""));
        problems.push(Finding::error(entry.value_spot(), message));
        return None;
    }
    let tree = serde_json::from_str(&entry.node.json()).ok()?;
    match Template::parse(&tree) {
        Ok(template) => Some(template),
        Err(wrong) => {
            problems.push(told(entry.value_spot(), &wrong));
            None
        }
    }
}

fn told(spot: Spot, wrong: &Wrong) -> Finding {
    Finding::error(spot, wrong.to_string())
        .help("expressions are Jinja's: `body.choices[0].text`, `messages | length`")
}
