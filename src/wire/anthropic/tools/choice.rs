//! The choice among tools: what the client wants, and what Anthropic is told.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::super::PROVIDER;
use super::encode_name;
use crate::failure::Failure;
use crate::wire::fields::{Fields, Text, invalid, read, unsupported};

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(in crate::wire::anthropic) enum Choice<'a> {
    Auto {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Any {
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    Tool {
        name: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        disable_parallel_tool_use: Option<bool>,
    },
    None,
}

impl Choice<'_> {
    pub(in crate::wire::anthropic) const fn is_forced(&self) -> bool {
        matches!(self, Self::Any { .. } | Self::Tool { .. })
    }
}

/// What the client wants of its tools. Names are in the provider's alphabet.
pub(super) struct Wanted<'a> {
    pub(super) mode: Mode<'a>,
    /// Names or types of the only tools that may be called, if it is not all of them.
    pub(super) allowed: Option<Vec<Cow<'a, str>>>,
}

pub(super) enum Mode<'a> {
    Unsaid,
    Auto,
    Required,
    None,
    Named(Cow<'a, str>),
    /// A tool of the provider's own, by its type.
    Typed(Cow<'a, str>),
}

#[derive(Deserialize)]
struct WrittenChoice<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    function: Option<Named<'a>>,
    #[serde(borrow)]
    allowed_tools: Option<AllowedTools<'a>>,
    /// Anthropic's form, and that of the deprecated `function_call`.
    #[serde(borrow)]
    name: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

#[derive(Deserialize)]
struct AllowedTools<'a> {
    #[serde(borrow)]
    mode: Option<Text<'a>>,
    #[serde(borrow, default)]
    tools: Vec<WrittenChoice<'a>>,
}

impl<'a> Wanted<'a> {
    pub(super) fn of(fields: &Fields<'a>, drop_params: bool) -> Result<Self, Failure> {
        let written = ["tool_choice", "function_call"]
            .into_iter()
            .find_map(|param| fields.raw(param).map(|raw| (param, raw)));
        let all = |mode| Ok(Self { mode, allowed: None });
        let Some((param, raw)) = written else {
            return all(Mode::Unsaid);
        };
        if raw.starts_with('"') {
            let word: Text<'a> = read(param, raw)?;
            return all(mode(param, &word.0)?);
        }
        let choice: WrittenChoice<'a> = read(param, raw)?;
        let kind = choice.kind.as_ref().map(|kind| kind.0.clone());
        if let Some(allowed) = choice.allowed_tools {
            let mode = match &allowed.mode {
                Some(word) => mode(param, &word.0)?,
                None => Mode::Auto,
            };
            let mut names = Vec::new();
            for tool in allowed.tools {
                let kind = tool.kind.as_ref().map(|kind| kind.0.clone());
                match tool.into_name() {
                    Some(name) => names.push(encode_name(param, name)?),
                    None => names.extend(kind),
                }
            }
            return Ok(Self { mode, allowed: Some(names) });
        }
        match kind.as_deref() {
            Some("custom") if drop_params => all(Mode::Unsaid),
            Some("custom") => Err(unsupported(PROVIDER, param)),
            Some(word @ ("auto" | "any" | "none")) => all(mode(param, word)?),
            _ => match (choice.into_name(), kind) {
                (Some(name), _) => all(Mode::Named(encode_name(param, name)?)),
                (None, Some(kind)) if kind != "function" && kind != "tool" => {
                    all(Mode::Typed(kind))
                }
                (None, _) => Err(invalid(param, format!("`{param}` names no tool"))),
            },
        }
    }
}

impl<'a> WrittenChoice<'a> {
    fn into_name(self) -> Option<Cow<'a, str>> {
        self.function.map(|function| function.name).or(self.name).map(|name| name.0)
    }
}

fn mode<'a>(param: &str, word: &str) -> Result<Mode<'a>, Failure> {
    match word {
        "auto" => Ok(Mode::Auto),
        "required" | "any" => Ok(Mode::Required),
        "none" => Ok(Mode::None),
        _ => Err(invalid(param, format!("`{param}`: {word:?} is not a choice of tools"))),
    }
}
