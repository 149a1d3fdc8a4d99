//! How much a model is to think: `reasoning_effort`, and `thinking` as Anthropic writes it.

use serde::{Deserialize, Serialize};

use super::PROVIDER;
use super::models::{Capabilities, Thinks};
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::fields::{Fields, Text, invalid, read, unsupported};

/// Efforts from none to most, with the budgets that Google's own API for OpenAI's clients gives
/// them.
const EFFORTS: [(&str, u64); 7] = [
    ("none", 0),
    ("minimal", 1_024),
    ("low", 1_024),
    ("medium", 8_192),
    ("high", 24_576),
    ("xhigh", 32_768),
    ("max", 32_768),
];

/// The largest budget that all models with budgets take.
const MOST: u64 = 24_576;

/// The largest of 2.5 Pro's.
const MOST_OF_PRO: u64 = 32_768;

/// `thinkingConfig`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Config {
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    /// Tokens; -1: as the model sees fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<i64>,
    include_thoughts: bool,
}

/// What a client asks for.
enum Wanted {
    /// One of [`EFFORTS`].
    Effort(&'static str),
    Tokens(u64),
    AsItSeesFit,
}

#[derive(Deserialize)]
struct Thinking<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    budget_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Reasoning<'a> {
    #[serde(borrow)]
    effort: Option<Text<'a>>,
}

/// What the request says about thinking, in the words of the model's generation.
pub(super) fn config(
    fields: &Fields<'_>,
    model: &Capabilities,
    options: &RequestOptions<'_>,
) -> Result<Option<Config>, Failure> {
    let Some((param, wanted)) = wanted(fields)? else { return Ok(None) };
    // Said twice, by clients of other APIs: a wish, which not every model can grant.
    let is_wish = fields.raw("thinking").is_some() && fields.raw("reasoning_effort").is_some();
    let rests = matches!(wanted, Wanted::Effort("none") | Wanted::Tokens(0));
    Ok(match model.thinks {
        Thinks::No if rests || is_wish || options.leaves_out("reasoning_effort") => None,
        Thinks::No => return Err(unsupported(PROVIDER, param)),
        Thinks::Budget { least, can_rest } => {
            let most = if can_rest { MOST } else { MOST_OF_PRO };
            let tokens = match wanted {
                Wanted::AsItSeesFit => None,
                Wanted::Effort(effort) => Some(budget(effort)),
                Wanted::Tokens(tokens) => Some(tokens),
            };
            let fit = |tokens: u64| {
                if tokens == 0 && can_rest { 0 } else { tokens.clamp(least, most) }
            };
            let budget = tokens.map_or(-1, |tokens| i64::try_from(fit(tokens)).unwrap_or(-1));
            Some(Config {
                thinking_level: None,
                thinking_budget: Some(budget),
                include_thoughts: !rests,
            })
        }
        Thinks::Level(words) => {
            let level = match wanted {
                Wanted::AsItSeesFit => None,
                Wanted::Effort(effort) => Some(level(effort, words)),
                Wanted::Tokens(tokens) => Some(level(nearest(tokens), words)),
            };
            Some(Config { thinking_level: level, thinking_budget: None, include_thoughts: !rests })
        }
    })
}

fn wanted(fields: &Fields<'_>) -> Result<Option<(&'static str, Wanted)>, Failure> {
    if let Some(thinking) = fields.read::<Thinking<'_>>("thinking")? {
        let wanted = match (&*thinking.kind, thinking.budget_tokens) {
            ("disabled", _) => Wanted::Effort("none"),
            ("enabled", Some(tokens)) => Wanted::Tokens(tokens),
            ("enabled" | "adaptive", _) => match effort(fields)? {
                Some(effort) => Wanted::Effort(effort),
                None => Wanted::AsItSeesFit,
            },
            (kind, _) => {
                let message = format!("`thinking.type`: {kind:?} is no way to think");
                return Err(invalid("thinking.type", message));
            }
        };
        return Ok(Some(("thinking", wanted)));
    }
    Ok(effort(fields)?.map(|effort| ("reasoning_effort", Wanted::Effort(effort))))
}

/// `reasoning_effort`, as a word or as LiteLLM's `{effort, summary}`.
fn effort(fields: &Fields<'_>) -> Result<Option<&'static str>, Failure> {
    let param = "reasoning_effort";
    let Some(raw) = fields.raw(param) else { return Ok(None) };
    let word: Text<'_> = if raw.starts_with('{') {
        match read::<Reasoning<'_>>(param, raw)?.effort {
            Some(word) => word,
            None => return Ok(None),
        }
    } else {
        read(param, raw)?
    };
    match EFFORTS.iter().find(|(name, _)| *name == &*word) {
        Some((name, _)) => Ok(Some(name)),
        None => Err(invalid(param, format!("`{param}`: {:?} is not an effort", &*word))),
    }
}

fn budget(effort: &str) -> u64 {
    EFFORTS.iter().find(|(name, _)| *name == effort).map_or(0, |(_, budget)| *budget)
}

/// The effort that a budget comes to.
const fn nearest(tokens: u64) -> &'static str {
    match tokens {
        0 => "none",
        1..=1_024 => "low",
        1_025..=8_192 => "medium",
        8_193..=24_576 => "high",
        _ => "max",
    }
}

/// The word for an effort, or the next one that the model knows: the one above it, if there is one.
fn level(effort: &str, words: &'static [&'static str]) -> &'static str {
    const ORDER: [&str; 5] = ["MINIMAL", "LOW", "MEDIUM", "HIGH", "XHIGH"];
    let wanted = match effort {
        "none" | "minimal" => 0,
        "low" => 1,
        "medium" => 2,
        "high" => 3,
        _ => 4,
    };
    let known = ORDER.iter().skip(wanted).find(|word| words.contains(word));
    known.copied().or_else(|| words.last().copied()).unwrap_or("HIGH")
}
