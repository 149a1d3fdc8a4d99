//! The turns of a conversation as they are written, and what each of them has to have.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::super::media::Media;
use super::super::models::Capabilities;
use crate::wire::fields::Text;

/// What goes with pictures alone: some models want a text in every turn of the user's.
const BLANK: &str = " ";

/// Google's word for calls of another model, which have no signature. It costs the model some of
/// its quality, so it is used only where there is none.
const UNSIGNED: &str = "skip_thought_signature_validator";

/// Digits from which a number in a tool's result may lose some: Gemini reads all as floating point.
const EXACT_DIGITS: usize = 16;

#[derive(Debug, Serialize)]
pub(in crate::wire::gemini) struct Content<'a> {
    pub(super) role: Role,
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    User,
    Model,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::wire::gemini) struct Part<'a> {
    #[serde(flatten)]
    pub(super) said: Said<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thought_signature: Option<Text<'a>>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Said<'a> {
    Text(Cow<'a, str>),
    FunctionCall {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        args: Cow<'a, RawValue>,
    },
    FunctionResponse {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<Cow<'a, str>>,
        name: Cow<'a, str>,
        response: Response<'a>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        parts: Vec<Media<'a>>,
    },
    #[serde(untagged)]
    Media(Media<'a>),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Response<'a> {
    Output(Returned<'a>),
    Error(Cow<'a, str>),
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Returned<'a> {
    Text(Cow<'a, str>),
    Object(Box<RawValue>),
}

impl<'a> Part<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Said::Text(text.into()).into()
    }

    pub(super) const fn is_response(&self) -> bool {
        matches!(self.said, Said::FunctionResponse { .. })
    }

    pub(super) const fn is_call(&self) -> bool {
        matches!(self.said, Said::FunctionCall { .. })
    }

    pub(super) const fn is_text(&self) -> bool {
        matches!(self.said, Said::Text(_))
    }
}

impl<'a> From<Said<'a>> for Part<'a> {
    fn from(said: Said<'a>) -> Self {
        Self { said, thought_signature: None }
    }
}

impl Content<'_> {
    /// Adds what a turn has to have: a text of the user's, a signature on the first call.
    pub(super) fn complete(&mut self, model: &Capabilities) {
        match self.role {
            Role::User => {
                if !self.parts.iter().any(|part| part.is_text() || part.is_response()) {
                    self.parts.push(Part::text(BLANK));
                }
            }
            Role::Model if model.wants_signatures => {
                let first = self.parts.iter_mut().find(|part| part.is_call());
                if let Some(first) = first {
                    first.thought_signature.get_or_insert_with(|| UNSIGNED.into());
                }
            }
            Role::Model => {}
        }
    }
}

/// What a tool returned: an object as an object, everything else as its text.
pub(super) fn returned(text: Cow<'_, str>) -> Returned<'_> {
    let trimmed = text.trim();
    let is_object = trimmed.starts_with('{') && !has_long_number(trimmed);
    match is_object.then(|| serde_json::from_str::<Box<RawValue>>(trimmed)) {
        Some(Ok(object)) => Returned::Object(object),
        _ => Returned::Text(text),
    }
}

fn has_long_number(text: &str) -> bool {
    let digits = text.split(|c: char| !c.is_ascii_digit()).map(str::len);
    digits.max().unwrap_or(0) >= EXACT_DIGITS
}
