//! The top-level parameters of a request after defaults, fallback parameters and drops.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Failure, FailureClass};
use crate::wire::RequestOptions;
use crate::wire::json::Object;

/// A string that borrows from the JSON text where it is written without escapes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// What is to be translated. `null` counts as not sent.
#[derive(Debug)]
pub(super) struct Fields<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Fields<'a> {
    /// The client's parameters, the fallback's over them, the deployment's where both are silent.
    pub(super) fn gather(request: &'a Object, options: &RequestOptions<'a>) -> Self {
        let mut fields: Vec<(&str, &str)> = request.iter().collect();
        for (name, value) in options.overrides {
            fields.retain(|(known, _)| *known != &**name);
            fields.push((name, value.get()));
        }
        for (name, value) in options.defaults {
            let sent = fields.iter().any(|(known, raw)| same(known, name) && *raw != "null");
            if !sent {
                fields.push((name, value.get()));
            }
        }
        fields.retain(|(name, raw)| {
            *raw != "null" && !options.drop.iter().any(|dropped| &**dropped == *name)
        });
        Self(fields)
    }

    /// The JSON text of a parameter.
    pub(super) fn raw(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, raw)| *raw)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.iter().copied()
    }

    /// A parameter as the type it has to be.
    ///
    /// # Errors
    /// It is something else: the client is told which parameter and what was expected.
    pub(super) fn read<T: Deserialize<'a>>(&self, name: &str) -> Result<Option<T>, Failure> {
        self.raw(name).map(|raw| read(name, raw)).transpose()
    }

    /// A parameter that is passed on as it is.
    pub(super) fn pass(&self, name: &str) -> Result<Option<&'a RawValue>, Failure> {
        self.read(name)
    }
}

/// Two spellings of one parameter.
fn same(sent: &str, default: &str) -> bool {
    const LIMITS: [&str; 2] = ["max_tokens", "max_completion_tokens"];
    sent == default || (LIMITS.contains(&sent) && LIMITS.contains(&default))
}

/// Reads JSON text that stands at `param` in the request.
pub(super) fn read<'a, T: Deserialize<'a>>(param: &str, raw: &'a str) -> Result<T, Failure> {
    serde_json::from_str(raw).map_err(|error| {
        // The position within the parameter's text means nothing to the client.
        let text = error.to_string();
        let what = text.split(" at line ").next().unwrap_or_default();
        invalid(param, format!("`{param}`: {what}"))
    })
}

/// The request is wrong at `param`.
pub(super) fn invalid(param: &str, message: impl Into<String>) -> Failure {
    refusal(param, "invalid_value", message.into())
}

/// Anthropic has nothing that does what `param` asks for.
pub(super) fn unsupported(param: &str) -> Failure {
    let message = format!(
        "`{param}` is not supported by Anthropic models; leave it out, or set `drop_params` to \
         have it dropped"
    );
    refusal(param, "unsupported_parameter", message)
}

/// As [`unsupported`], where dropping the parameter is not offered.
pub(super) fn impossible(param: &str, message: impl Into<String>) -> Failure {
    refusal(param, "unsupported_value", message.into())
}

fn refusal(param: &str, code: &str, message: String) -> Failure {
    Failure {
        kind: Some("invalid_request_error".to_owned()),
        code: Some(code.to_owned()),
        param: Some(param.to_owned()),
        ..Failure::new(FailureClass::BadRequest, message)
    }
}
