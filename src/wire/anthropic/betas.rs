//! The value of `anthropic-beta`: what the client named, and what the fields it sent are behind.

use serde::Deserialize;
use serde_json::Value;

use super::content::Raw;
use crate::wire::fields::{Fields, Text};

/// Tools that are behind a beta. Their later versions are not, unless they stand here, too.
const TOOLS: [(&str, &str, &str); 9] = [
    ("computer_20241022", "computer-use-", "2024-10-22"),
    ("text_editor_20241022", "computer-use-", "2024-10-22"),
    ("bash_20241022", "computer-use-", "2024-10-22"),
    ("computer_20250124", "computer-use-", "2025-01-24"),
    ("computer_20251124", "computer-use-", "2025-11-24"),
    ("code_execution_20250522", "code-execution-", "2025-05-22"),
    ("code_execution_20250825", "code-execution-", "2025-08-25"),
    ("memory_20250818", "context-management-", "2025-06-27"),
    ("web_fetch_20250910", "web-fetch-", "2025-09-10"),
];

/// Betas that Claude knows at Amazon Bedrock, behind InvokeModel and behind Converse, where they stand
/// in `anthropic_beta` of the model's own body. Amazon refuses a request that names another one, and
/// clients name them for Anthropic itself.
// Sources: Amazon's documentation of the Messages API at Bedrock, and the tables `bedrock` and
// `bedrock_converse` of LiteLLM 1.106.2 (MIT), November 2026. These disagree on some names: what
// Amazon documents is in, though LiteLLM drops it (`interleaved-thinking`), and
// `structured-outputs`, which InvokeModel refuses, is out: Converse has words of its own for it.
const AT_AMAZON: [&str; 19] = [
    "compact-2026-01-12",
    "computer-use-2024-10-22",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dangerous-tool-use-2026-09-03",
    "dev-full-thinking-2025-05-14",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "token-efficient-tools-2025-02-19",
    "tool-examples-2025-10-29",
    "tool-search-tool-2025-10-19",
];

/// The name of a feature in the clouds, for the one that has another there.
const ALIAS: (&str, &str) = ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19");

/// The features that Claude has at Vertex AI, by the start of their names; the search in the web is
/// behind one there.
const AT_GOOGLE: [&str; 9] = [
    "computer-use-",
    "context-1m-",
    "context-management-",
    "effort-",
    "interleaved-thinking-",
    "output-128k-",
    "token-efficient-tools-",
    "tool-search-tool-",
    WEB_SEARCH.0,
];
const WEB_SEARCH: (&str, &str) = ("web-search-", "2025-03-05");

/// What of a header `anthropic-beta` and of a client's own request Claude at Amazon is to know. What
/// the request names in Amazon's own word for it is Amazon's to judge.
pub(super) fn at_amazon(header: &str, fields: &Fields<'_>) -> Vec<String> {
    let mut betas = Vec::new();
    add_list(&mut betas, header);
    named(fields).iter().for_each(|beta| add(&mut betas, beta));
    let mut own = Vec::new();
    add_value(&mut own, fields.raw("anthropic_beta"));
    let mut told = Vec::new();
    for beta in &betas {
        match own.contains(beta) {
            true => add(&mut told, beta),
            false => known_at_amazon(beta).into_iter().for_each(|known| add(&mut told, known)),
        }
    }
    told
}

/// Amazon's name of a beta, if Claude has it there.
pub(super) fn known_at_amazon(beta: &str) -> Option<&'static str> {
    let name = if beta == ALIAS.0 { ALIAS.1 } else { beta };
    AT_AMAZON.into_iter().find(|known| *known == name)
}

/// What of the betas of a request Claude at Google is to know. `tools`: the types of its tools.
pub(super) fn at_google(betas: &mut Vec<String>, tools: &[String]) {
    let known = betas.iter().map(|beta| if beta == ALIAS.0 { ALIAS.1 } else { beta });
    let mut named = Vec::new();
    known.filter(|beta| is_of(&AT_GOOGLE, beta)).for_each(|beta| add(&mut named, beta));
    *betas = named;
    if tools.iter().any(|kind| kind.starts_with("web_search_")) {
        add_feature(betas, WEB_SEARCH.0, WEB_SEARCH.1);
    }
    tools.iter().for_each(|kind| add_for_tool(betas, kind));
    betas.retain(|beta| is_of(&AT_GOOGLE, beta));
}

fn is_of(features: &[&str], beta: &str) -> bool {
    features.iter().any(|feature| beta.starts_with(feature))
}

/// The betas that a request names, without repetition.
pub(in crate::wire) fn named(fields: &Fields<'_>) -> Vec<String> {
    let mut betas = Vec::new();
    for name in ["betas", "anthropic_beta"] {
        add_value(&mut betas, fields.raw(name));
    }
    // LiteLLM's clients write headers into the body.
    let headers = fields.raw("extra_headers").map(serde_json::from_str::<Value>);
    if let Some(Ok(Value::Object(headers))) = headers {
        for (name, value) in &headers {
            if name.eq_ignore_ascii_case("anthropic-beta") {
                add_list(&mut betas, value.as_str().unwrap_or_default());
            }
        }
    }
    betas
}

/// The betas of a request, without repetition, the client's first.
pub(super) fn needed(fields: &Fields<'_>) -> Vec<String> {
    let mut betas = named(fields);
    let toolset = add_for_tools(fields, &mut betas);
    if fields.raw("mcp_servers").is_some() {
        let date = if toolset { "2025-11-20" } else { "2025-04-04" };
        add_feature(&mut betas, "mcp-client-", date);
    }
    if let Some(raw) = fields.raw("context_management") {
        if raw.contains("\"compact_") {
            add_feature(&mut betas, "compact-", "2026-01-12");
        } else {
            add_feature(&mut betas, "context-management-", "2025-06-27");
        }
    }
    if fields.raw("container").is_some_and(|raw| raw.contains("\"skills\"")) {
        add_feature(&mut betas, "skills-", "2025-10-02");
        add_feature(&mut betas, "code-execution-", "2025-08-25");
    }
    if fields.raw("speed") == Some("\"fast\"") {
        add_feature(&mut betas, "fast-mode-", "2026-02-01");
    }
    if fields
        .raw("messages")
        .is_some_and(|raw| memchr::memmem::find(raw.as_bytes(), b"\"file_id\"").is_some())
    {
        add_feature(&mut betas, "files-api-", "2025-04-14");
    }
    betas
}

/// Adds a list, or words between commas.
fn add_value(betas: &mut Vec<String>, raw: Option<&str>) {
    match raw.map(serde_json::from_str) {
        Some(Ok(Value::String(list))) => add_list(betas, &list),
        Some(Ok(Value::Array(list))) => {
            list.iter().filter_map(Value::as_str).for_each(|beta| add(betas, beta));
        }
        _ => {}
    }
}

/// Adds what a tool of Anthropic's own is behind, by its type.
pub(in crate::wire) fn add_for_tool(betas: &mut Vec<String>, kind: &str) {
    if let Some((_, feature, date)) = TOOLS.iter().find(|(known, ..)| *known == kind) {
        add_feature(betas, feature, date);
    }
}

/// Adds what the tools are behind; says whether one of them is a set of MCP tools.
fn add_for_tools(fields: &Fields<'_>, betas: &mut Vec<String>) -> bool {
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<Text<'a>>,
    }

    let tools: Vec<Raw<'_>> = fields.read("tools").ok().flatten().unwrap_or_default();
    let mut toolset = false;
    for tool in tools {
        let kind = serde_json::from_str::<Typed<'_>>(tool.get()).ok().and_then(|tool| tool.kind);
        let Some(kind) = kind.map(|kind| kind.0) else { continue };
        toolset |= kind == "mcp_toolset";
        add_for_tool(betas, &kind);
    }
    toolset
}

fn add_list(betas: &mut Vec<String>, list: &str) {
    list.split(',').for_each(|beta| add(betas, beta.trim()));
}

fn add(betas: &mut Vec<String>, beta: &str) {
    if !beta.is_empty() && !betas.iter().any(|known| known == beta) {
        betas.push(beta.to_owned());
    }
}

/// Adds a beta unless the client named another version of it.
fn add_feature(betas: &mut Vec<String>, feature: &str, date: &str) {
    if !betas.iter().any(|known| known.starts_with(feature)) {
        betas.push(format!("{feature}{date}"));
    }
}
