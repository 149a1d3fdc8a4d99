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

/// The betas that a request names, without repetition.
pub(super) fn named(fields: &Fields<'_>) -> Vec<String> {
    let mut betas = Vec::new();
    for name in ["betas", "anthropic_beta"] {
        if let Some(raw) = fields.raw(name) {
            match serde_json::from_str(raw) {
                Ok(Value::String(list)) => add_list(&mut betas, &list),
                Ok(Value::Array(list)) => {
                    list.iter().filter_map(Value::as_str).for_each(|beta| add(&mut betas, beta));
                }
                _ => {}
            }
        }
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
        if let Some((_, feature, date)) = TOOLS.iter().find(|(known, ..)| *known == kind) {
            add_feature(betas, feature, date);
        }
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
