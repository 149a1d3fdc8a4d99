//! The page of docs that lists the providers, held to the table.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use super::*;
use crate::dialect::Values;

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

What a provider does otherwise than OpenAI, and what is done about it. `openai/...` with another `api_base` than
OpenAI's is *normalised*, too:

| word | meaning |
| --- | --- |
| max_tokens | `max_completion_tokens` is sent as `max_tokens` |
| no stream_options | usage is not asked for: it comes by itself |
| mistral | Mistral's spellings: `random_seed`, `any`, tool ids of nine letters, a closed schema |
| no strict, no names | `strict` of tools and `name` of messages are left out |
| null content | `null` is sent for an empty text beside tool calls |
| reasoning apart | reasoning is added to `completion_tokens` |
| normalised | replies and streams are brought to OpenAI's form: finish reasons, usage, tool calls, names of reasoning |
| closed messages | what only replies have (`reasoning_content`, `images`, `annotations`, `provider_specific_fields`) is taken out of a history, ids of calls over 64 bytes are shortened |
| thinking | `thinking` with a `type` of `disabled` is sent; to others it is not |
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
        (quirks.normalise_stream || quirks.imitates, "normalised"),
        (quirks.closed_messages, "closed messages"),
        (quirks.takes_thinking, "thinking"),
        (quirks.continues_final_message, "goes on"),
    ];
    let words: Vec<&str> = words.into_iter().filter(|(is, _)| *is).map(|(_, word)| word).collect();
    words.join("; ")
}

const REFUSED: &str = "
## Parameters that models refuse

A request with one of these is answered with a 400 that names it, before any call. `drop_params` (under
`litellm_settings`, at a deployment or in the request) leaves it out, `modify_params` sends the value in
brackets, `allowed_openai_params` (at a deployment or in the request) sends it all the same. A value that asks
for nothing (`top_p: 1`, `presence_penalty: 0`) is left out without a word. OpenAI's rules hold at Azure and
GitHub too; a deployment with a name of its own needs `base_model`. What is not listed is passed on.

What only says how, and not what, is fitted without a word where a request is put into another dialect: a
`temperature` or `top_p` beyond what Anthropic takes becomes the nearest that it does, `reasoning_effort` is left
out for Claude where `max_tokens` has no room for thinking (1,024 tokens and an answer) or a tool is demanded, and
for models of Ollama's library that do not think (`llama3.2`, `gemma3`, ...; `think` is always sent), what it stands
for at Cohere is half of `max_tokens` at most, how much a client of Anthropic's or Google's API wants a model to think
becomes the nearest that the model knows, or is left out for one that does not think, and hints that do not change an
answer (`user`, `store`, keys and lifetimes of caches) are left out where there is no such field.

| provider | models | refused |
| --- | --- | --- |
";

fn refused(name: &str, rule: &crate::dialect::ModelRules) -> String {
    let bare = |start: &&str| match start.strip_suffix('$') {
        Some(whole) => format!("`{whole}`"),
        None => format!("`{start}*`"),
    };
    let mut models: Vec<String> = rule.models.iter().map(bare).collect();
    if models.is_empty() {
        models.push("all".to_owned());
    }
    let mut models = models.join(", ");
    if !rule.except.is_empty() {
        let except: Vec<String> = rule.except.iter().map(|word| format!("`*{word}*`")).collect();
        write!(models, "; not {}", except.join(", ")).unwrap();
    }
    let mut cells = Vec::new();
    for refused in rule.refused {
        let params: Vec<String> = refused.params.iter().map(|name| format!("`{name}`")).collect();
        let mut cell = params.join(", ");
        match refused.values {
            Values::Any => {}
            Values::Except(values) => write!(cell, " except {}", values.join(", ")).unwrap(),
            Values::Only(values) => write!(cell, " {}", values.join(", ")).unwrap(),
            Values::Above(most) => write!(cell, " above {most}").unwrap(),
        }
        if let Some(instead) = refused.instead {
            write!(cell, " ({instead})").unwrap();
        }
        if refused.reasoning {
            cell.push_str(" while it reasons");
        }
        cells.push(cell);
    }
    if rule.nameless {
        cells.push("`name` of messages (left out)".to_owned());
    }
    format!("| `{name}` | {models} | {} |", cells.join("; "))
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
    let (departures, not_called) = DEPARTURES.split_at(DEPARTURES.find("\n## Not called").unwrap());
    page.push_str(departures);
    page.push_str(REFUSED);
    for vendor in vendors().filter(|vendor| !vendor.quirks.rules.is_empty()) {
        if vendor.dialect != Dialect::OpenAi || vendor.support == Support::NotYet {
            continue;
        }
        // They are said once.
        let is_openai = vendor.quirks.rules == params::OPENAI;
        if is_openai && vendor.name != "openai" {
            continue;
        }
        for rule in vendor.quirks.rules {
            writeln!(page, "{}", refused(vendor.name, rule)).unwrap();
        }
    }
    page.push_str(not_called);
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
