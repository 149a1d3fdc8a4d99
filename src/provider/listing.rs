//! The page of docs that lists the providers, held to the table.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use super::*;

const HEAD: &str = "\
# Providers

Written from the table of providers in `src/provider/`; `TOLLGATE_BLESS=1 cargo test --lib provider::` writes it anew.

A model is written `<name>/<model>`. Address and key come from `api_base` and `api_key`, else from the
variables of the provider, first found first. Every other server that speaks OpenAI's API is
`openai/<model>` with `api_base`, and every one that speaks Anthropic's is `anthropic/<model>` with
`api_base`. An `api_base` that has `/anthropic` in its path is spoken to as Anthropic's Messages API,
whichever provider it is of: `https://api.deepseek.com/anthropic`, `https://api.minimax.io/anthropic`.

Beside their own APIs, Cohere (`https://api.cohere.ai/compatibility/v1`) and Ollama
(`http://localhost:11434/v1`) have one that copies OpenAI's; it is used if `api_base` names it.

";

const DEPARTURES: &str = "
## Departures

What a provider does otherwise than OpenAI, and what is done about it:

| word | meaning |
| --- | --- |
| max_tokens | `max_completion_tokens` is sent as `max_tokens` |
| no stream_options | usage is not asked for: it comes by itself |
| mistral | Mistral's spellings: `random_seed`, `any`, tool ids of nine letters, a closed schema |
| no strict, no names | `strict` of tools and `name` of messages are left out |
| null content | `null` is sent for an empty text beside tool calls |
| reasoning apart | reasoning is added to `completion_tokens` |
| normalised | replies and streams are brought to OpenAI's form: finish reasons, usage, tool calls, names of reasoning |
| goes on | a broken reply is continued with `continue_final_message` |

## Not called

";

fn departures(quirks: crate::dialect::Quirks) -> String {
    let words = [
        (quirks.max_tokens_only, "max_tokens"),
        (quirks.no_stream_options, "no stream_options"),
        (quirks.mistral, "mistral"),
        (quirks.strip_strict_and_names, "no strict, no names"),
        (quirks.null_content_with_tool_calls, "null content"),
        (quirks.reasoning_outside_completion, "reasoning apart"),
        (quirks.normalise_stream, "normalised"),
        (quirks.continues_final_message, "goes on"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    words.join("; ")
}

fn listing() -> String {
    let mut page = HEAD.to_owned();
    page.push_str("| name | speaks | address | key | address in | departures |\n");
    page.push_str("| --- | --- | --- | --- | --- | --- |\n");
    let mut all: Vec<&Vendor> = vendors().collect();
    all.sort_by_key(|vendor| vendor.name);
    let code = |names: &[&str]| {
        names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    };
    let (called, others): (Vec<&Vendor>, Vec<&Vendor>) =
        all.into_iter().partition(|vendor| vendor.support != Support::NotYet);
    for vendor in called {
        let only = match vendor.support {
            Support::Yes | Support::NotYet => "",
            Support::CompletionsOnly => ", text completions only",
            Support::VectorsOnly => ", embeddings and reranking only",
        };
        let (name, dialect) = (vendor.name, vendor.dialect);
        let address = match (vendor.base_url, vendor.cloud()) {
            (Some(url), _) => url,
            (None, Some(_)) => "by its region",
            (None, None) => "has to be written",
        };
        let (keys, bases) = (code(vendor.key_vars), code(vendor.base_vars));
        let departures = departures(vendor.quirks);
        writeln!(
            page,
            "| `{name}` | {dialect:?}{only} | {address} | {keys} | {bases} | {departures} |"
        )
        .unwrap();
    }
    page.push_str(DEPARTURES);
    for vendor in others {
        let reason = why_not(vendor.name).unwrap_or("not yet");
        writeln!(page, "- `{}`: {reason}", vendor.name).unwrap();
    }
    page
}

#[test]
fn the_page_of_providers_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/providers.md");
    let expected = listing();
    if env::var_os("TOLLGATE_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(written == expected, "docs/providers.md: write it anew with TOLLGATE_BLESS=1");
}
