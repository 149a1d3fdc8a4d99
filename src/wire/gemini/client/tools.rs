//! `tools` and `toolConfig`, as canonical tools and the choice among them.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::names::fitted;
use super::read::{Message, camel, list, word};
use super::schema::json_schema;
use crate::failure::Failure;
use crate::wire::chat::Raw;
use crate::wire::client::{Obstacle, Search};
use crate::wire::fields::{Text, impossible, invalid, missing, read};

/// The functions of a request, and whether the model must call one.
#[derive(Debug, Default)]
pub(super) struct Tooling<'a> {
    pub tools: Vec<Tool<'a>>,
    pub choice: Option<Choice<'a>>,
}

/// A tool in OpenAI's shape.
#[derive(Debug, Serialize)]
pub(super) struct Tool<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function<'a>,
}

#[derive(Debug, Serialize)]
struct Function<'a> {
    name: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Cow<'a, RawValue>>,
}

/// `tool_choice` in OpenAI's shape.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Choice<'a> {
    Word(&'static str),
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        function: Name<'a>,
    },
}

#[derive(Debug, Serialize)]
pub(super) struct Name<'a> {
    name: Text<'a>,
}

impl<'a> Tooling<'a> {
    /// Takes `tools`.
    ///
    /// # Errors
    /// They are no tools. Those that run at Google are obstacles.
    pub(super) fn tools(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        for (param, raw) in list(param, raw)? {
            for (written, raw) in Message::read(&param, raw.get())?.written() {
                let place = format!("{param}.{written}");
                if camel(written) != "functionDeclarations" {
                    let message = format!(
                        "`{place}` is a tool that runs at Google: no other provider's model has it"
                    );
                    let refusal = impossible(&place, message);
                    let is_plain = camel(written) == "googleSearch" && raw.get() == "{}";
                    match is_plain {
                        true => obstacle.search(Search {
                            options: json!({}),
                            most: None,
                            choice: None,
                            refusal,
                            may_drop: false,
                        }),
                        false => obstacle.content(refusal),
                    }
                    continue;
                }
                for (place, raw) in list(&place, raw)? {
                    self.tools.push(declaration(&place, raw)?);
                }
            }
        }
        Ok(())
    }

    /// Takes `toolConfig`.
    ///
    /// # Errors
    /// It is none. What configures Google's own tools is left out with them.
    pub(super) fn config(
        &mut self,
        param: &str,
        raw: Raw<'a>,
        obstacle: &mut Obstacle,
    ) -> Result<(), Failure> {
        let config = Message::read(param, raw.get())?;
        let Some((written, raw)) = config.find("functionCallingConfig") else { return Ok(()) };
        let param = format!("{param}.{written}");
        let calling = Message::read(&param, raw.get())?;
        if calling.is_true("streamFunctionCallArguments") {
            let place = format!("{param}.streamFunctionCallArguments");
            let message = format!(
                "`{place}`: only Google's models tell arguments in pieces with their paths"
            );
            obstacle.parameter(impossible(&place, message));
        }
        let allowed: Vec<Text<'a>> = match calling.find("allowedFunctionNames") {
            Some((written, raw)) => read(&format!("{param}.{written}"), raw.get())?,
            None => Vec::new(),
        };
        let mode = match calling.find("mode") {
            Some((written, raw)) => word(&format!("{param}.{written}"), raw)?,
            None => String::new(),
        };
        self.choice = match &*mode {
            "NONE" => Some(Choice::Word("none")),
            "ANY" => Some(Choice::Word("required")),
            // VALIDATED: a call or a text, and calls are as declared.
            "AUTO" | "VALIDATED" | "MODE_UNSPECIFIED" | "" => None,
            _ => {
                let message = format!("`{param}.mode` is AUTO, ANY, NONE or VALIDATED");
                return Err(invalid(&format!("{param}.mode"), message));
            }
        };
        if allowed.is_empty() || mode == "NONE" {
            return Ok(());
        }
        // Who may call only some functions is shown only those: every provider understands that.
        let allowed: Vec<_> = allowed.into_iter().map(|name| Text(fitted(name.0))).collect();
        self.tools.retain(|tool| allowed.iter().any(|name| **name == *tool.function.name));
        if self.tools.is_empty() {
            let message = format!("`{param}.allowedFunctionNames` names no declared function");
            return Err(invalid(&format!("{param}.allowedFunctionNames"), message));
        }
        if let ([_], "ANY") = (allowed.as_slice(), &*mode) {
            let name = allowed.into_iter().next().unwrap_or_default();
            self.choice = Some(Choice::Function { kind: "function", function: Name { name } });
        }
        Ok(())
    }
}

fn declaration<'a>(param: &str, raw: Raw<'a>) -> Result<Tool<'a>, Failure> {
    let declared = Message::read(param, raw.get())?;
    let name = declared.text(param, "name")?.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| missing(&format!("{param}.name")))?;
    let parameters = match (declared.get("parametersJsonSchema"), declared.find("parameters")) {
        (Some(schema), _) => Some(Cow::Borrowed(schema)),
        (None, Some((written, raw))) => {
            let schema = json_schema(&format!("{param}.{written}"), raw)?;
            RawValue::from_string(schema).ok().map(Cow::Owned)
        }
        (None, None) => None,
    };
    let description = declared.text(param, "description")?;
    let name = fitted(name);
    Ok(Tool { kind: "function", function: Function { name, description, parameters } })
}
