//! How much the model thinks before it answers.
//!
//! OpenAI's clients name an effort. Newer models take it as it is and think as they see fit
//! (adaptive); older ones are given a budget of tokens. A client may also send Anthropic's own
//! `thinking`, which is passed on unless the model is known to refuse its type.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::content::Raw;
use super::messages::{Role, Turn};
use super::models::Capabilities;
use crate::failure::Failure;
use crate::wire::fields::{Fields, Text, invalid, read, unsupported};

/// The smallest budget that the API takes.
const MIN_BUDGET: u64 = 1_024;

/// Efforts with the budgets that stand for them; LiteLLM's numbers.
const BUDGETS: [(&str, u64); 6] = [
    ("minimal", MIN_BUDGET),
    ("low", 1_024),
    ("medium", 2_048),
    ("high", 4_096),
    ("xhigh", 8_192),
    ("max", 16_384),
];

/// What is sent about thinking.
#[derive(Debug, Default)]
pub(in crate::wire) struct Thinking<'a> {
    pub(in crate::wire) config: Option<Config<'a>>,
    /// `output_config.effort`.
    pub(in crate::wire) effort: Option<&'static str>,
    /// The budget, if there is one: `max_tokens` has to be larger.
    pub(in crate::wire) budget: Option<u64>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(in crate::wire) enum Config<'a> {
    Ours(Ours),
    Native(Raw<'a>),
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::wire) enum Ours {
    /// Without `display` some models send signatures only, and the client sees no reasoning.
    Adaptive {
        display: &'static str,
    },
    Enabled {
        budget_tokens: u64,
    },
    Disabled,
}

const ADAPTIVE: Ours = Ours::Adaptive { display: "summarized" };

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    budget_tokens: Option<u64>,
}

/// What the rest of the request says that thinking depends on.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) struct Around<'b> {
    pub(in crate::wire) model: &'b Capabilities,
    /// `max_tokens`, if the client set it.
    pub(in crate::wire) max_tokens: Option<u64>,
    /// A tool call is demanded.
    pub(in crate::wire) forced: bool,
    /// Thinking by a budget can go on where the conversation stands: see [`resumes_at`].
    pub(in crate::wire) resumes: bool,
    /// How refusals name the provider.
    pub(in crate::wire) provider: &'static str,
    pub(in crate::wire) drop_params: bool,
    /// An effort alone says how hard the model is to work, not that it is to think.
    pub(in crate::wire) hints: bool,
}

impl<'a> Thinking<'a> {
    pub(in crate::wire) fn of(fields: &Fields<'a>, around: Around<'_>) -> Result<Self, Failure> {
        let effort = effort(fields)?;
        let model = around.model;
        let mut thinking = match fields.pass("thinking")? {
            // Said twice, by clients of other APIs: a wish, which not every model can grant.
            Some(_) if effort.is_some() && !model.thinks() => Self::default(),
            Some(native) => Self::native(native, effort, fields.is_default("thinking"), around)?,
            None => match effort {
                None => Self::default(),
                Some(effort) if around.hints => Self {
                    effort: model.adaptive_thinking.then(|| known(effort, model)),
                    ..Self::default()
                },
                Some(_) if !model.thinks() && !around.drop_params && effort != Some("none") => {
                    return Err(unsupported(around.provider, "reasoning_effort"));
                }
                Some(effort) => Self::effort(effort, around),
            },
        };
        // The API refuses both of these. The client gets what it demanded and loses the thinking; a
        // model that always thinks is no longer told to.
        let refused = around.forced || (thinking.has_budget() && !around.resumes);
        if refused && thinking.is_on() {
            (thinking.config, thinking.budget) = (None, None);
        }
        Ok(thinking)
    }

    /// Whether the model will think because of this.
    pub(in crate::wire) fn is_on(&self) -> bool {
        match &self.config {
            None | Some(Config::Ours(Ours::Disabled)) => false,
            Some(Config::Ours(_)) => true,
            Some(Config::Native(raw)) => !raw.get().contains("\"disabled\""),
        }
    }

    const fn has_budget(&self) -> bool {
        self.budget.is_some()
    }

    fn ours(config: Ours, effort: Option<&'static str>) -> Self {
        let budget = match &config {
            Ours::Enabled { budget_tokens } => Some(*budget_tokens),
            _ => None,
        };
        Self { config: Some(Config::Ours(config)), effort, budget }
    }

    fn effort(effort: &'static str, around: Around<'_>) -> Self {
        let model = around.model;
        match effort {
            "none" if model.always_thinks => Self { effort: Some("low"), ..Self::default() },
            "none" if model.thinks() => Self::ours(Ours::Disabled, None),
            "none" => Self::default(),
            _ if model.adaptive_thinking => Self::ours(ADAPTIVE, Some(known(effort, model))),
            _ if model.budget_thinking => Self::within(budget(effort), around),
            _ => Self::default(),
        }
    }

    /// A budget that leaves room for an answer; none, where there is no room.
    fn within(budget: u64, around: Around<'_>) -> Self {
        let budget = fitting(budget, around.max_tokens);
        budget.map_or_else(Self::default, |budget_tokens| {
            Self::ours(Ours::Enabled { budget_tokens }, None)
        })
    }

    fn native(
        raw: Raw<'a>,
        effort: Option<&'static str>,
        is_default: bool,
        around: Around<'_>,
    ) -> Result<Self, Failure> {
        let model = around.model;
        let written: Written<'a> = read("thinking", raw.get())?;
        let adaptive = model.adaptive_thinking;
        let effort_sent = effort.filter(|_| adaptive).map(|effort| known(effort, model));
        Ok(match (&*written.kind.0, written.budget_tokens) {
            ("enabled", budget) if adaptive && !model.budget_thinking => {
                let nearest = budget.map_or("high", nearest_effort);
                Self::ours(ADAPTIVE, effort_sent.or(Some(nearest)))
            }
            ("adaptive", _) if !adaptive && model.budget_thinking => {
                Self::within(budget(effort.unwrap_or("medium")), around)
            }
            // What the client did not write may not cost it its answer.
            ("enabled", Some(budget))
                if is_default && fitting(budget, around.max_tokens) != Some(budget) =>
            {
                Self::within(budget, around)
            }
            ("disabled", _) if model.always_thinks => {
                Self { effort: effort_sent, ..Self::default() }
            }
            (kind, budget) => Self {
                config: Some(Config::Native(raw)),
                effort: effort_sent,
                budget: budget.filter(|_| kind == "enabled"),
            },
        })
    }
}

/// `reasoning_effort`, as a word or as LiteLLM's `{effort, summary}`.
fn effort(fields: &Fields<'_>) -> Result<Option<&'static str>, Failure> {
    #[derive(Deserialize)]
    struct Object<'a> {
        #[serde(borrow)]
        effort: Option<Text<'a>>,
    }

    let param = "reasoning_effort";
    let Some(raw) = fields.raw(param) else {
        return Ok(None);
    };
    let word: Cow<'_, str> = if raw.starts_with('{') {
        match read::<Object<'_>>(param, raw)?.effort {
            Some(word) => word.0,
            None => return Ok(None),
        }
    } else {
        read::<Text<'_>>(param, raw)?.0
    };
    if word == "none" {
        return Ok(Some("none"));
    }
    match BUDGETS.iter().find(|(name, _)| *name == word) {
        Some((name, _)) => Ok(Some(name)),
        None => Err(invalid(param, format!("`{param}`: {word:?} is not an effort"))),
    }
}

fn budget(effort: &str) -> u64 {
    BUDGETS.iter().find(|(name, _)| *name == effort).map_or(MIN_BUDGET, |(_, budget)| *budget)
}

/// The effort in the words of a model.
fn known(effort: &'static str, model: &Capabilities) -> &'static str {
    match effort {
        "minimal" | "none" => "low",
        "xhigh" if !model.xhigh_effort => "high",
        "max" if !model.max_effort => "high",
        effort => effort,
    }
}

fn nearest_effort(budget: u64) -> &'static str {
    let least = BUDGETS.iter().skip(1).find(|(_, known)| budget <= *known);
    match least {
        Some((name @ ("low" | "medium"), _)) => name,
        _ => "high",
    }
}

/// A budget below `max_tokens`, which the answer shares with it. `None`: not even the smallest fits.
fn fitting(budget: u64, max_tokens: Option<u64>) -> Option<u64> {
    match max_tokens {
        Some(limit) if limit <= MIN_BUDGET => None,
        Some(limit) if limit <= budget => Some((limit / 2).max(MIN_BUDGET)),
        _ => Some(budget),
    }
}

/// What of a conversation decides whether it can be gone on with by thinking.
#[derive(Clone, Copy, Debug)]
pub(in crate::wire) enum Step {
    /// `answers`: there is a tool's result in it.
    User { answers: bool },
    /// `thought`: it begins with its reasoning.
    Assistant { thought: bool },
}

/// Whether the assistant can go on with thinking on. Where it waits for a tool's result or where its
/// answer was begun for it, it has to have begun with its thinking; clients of OpenAI do not keep that.
/// In a row of calls it may have thought before the first one only.
pub(in crate::wire) fn resumes_at(steps: impl IntoIterator<Item = Step>) -> bool {
    /// The first and the last message of a turn that goes on, and whether they began with thinking.
    struct Open {
        first: bool,
        last: bool,
    }

    let mut open: Option<Open> = None;
    let mut before = None;
    for step in steps {
        match (step, before) {
            // Messages of one side are one to the API.
            (Step::Assistant { .. }, Some(Step::Assistant { .. }))
            | (Step::User { answers: false }, Some(Step::User { answers: true })) => continue,
            (Step::Assistant { thought }, _) => {
                let first = open.map_or(thought, |open| open.first);
                open = Some(Open { first, last: thought });
            }
            (Step::User { answers: true }, _) => {}
            (Step::User { answers: false }, _) => open = None,
        }
        before = Some(step);
    }
    open.is_none_or(|open| open.first || open.last)
}

/// As [`resumes_at`], of turns that are translated.
pub(super) fn resumes(turns: &[Turn<'_>]) -> bool {
    resumes_at(turns.iter().filter_map(|turn| {
        let first = turn.content.first();
        match turn.role {
            Role::Assistant => Some(Step::Assistant {
                thought: first.is_some_and(super::content::Block::is_thinking),
            }),
            Role::User => {
                let answers = turn.content.iter().any(|block| block.kind() == "tool_result");
                Some(Step::User { answers })
            }
            Role::System => None,
        }
    }))
}

/// Whether JSON text is a number that leaves thinking alone.
pub(in crate::wire) fn is_one(raw: &RawValue) -> bool {
    number(raw.get()).is_some_and(|number| (number - 1.0).abs() < f64::EPSILON)
}

/// JSON text as a number.
pub(super) fn number(raw: &str) -> Option<f64> {
    raw.parse().ok()
}
