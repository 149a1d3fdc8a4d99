//! The fields of a request, as they are given: in a JSON body, or in a query.
//!
//! A field may be given, given as null, or absent: an update changes the first two and leaves the
//! third alone. Names that nobody asks for are tolerated, as LiteLLM tolerates them, but for those
//! whose loss would open what its sender means to close ([`REFUSED`]).

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::fault::Fault;
use crate::spend::Period;

/// What LiteLLM knows and this gateway does not do: each of them bounds what a key or a team may do,
/// so it is refused where anything is written in it.
const REFUSED: &[&str] = &[
    "access_group_ids",
    "agent_id",
    "allowed_cache_controls",
    "allowed_passthrough_routes",
    "allowed_vector_store_indexes",
    "auto_rotate",
    "budget_fallbacks",
    "budget_limits",
    "denied_passthrough_routes",
    "end_user_budget_id",
    "enforced_params",
    "mcp_rpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "object_permission",
    "object_permission_id",
    "password",
    "permissions",
    "policies",
    "project_id",
    "prompts",
    "router_settings",
    "tag_rpm_limit",
    "tag_tpm_limit",
    "temp_budget_increase",
    "throttle_on_budget_exceeded",
    "tpd_limit",
];

/// Those of them that LiteLLM keeps in the metadata, and obeys there.
const REFUSED_IN_METADATA: &[&str] = &[
    "mcp_rpm_limit",
    "model_itpm_limit",
    "model_otpm_limit",
    "tag_rpm_limit",
    "tag_tpm_limit",
    "tpd_limit",
];

/// The same, but for the routes below these: keys and teams have guardrails.
const REFUSED_ELSEWHERE: (&str, [&str; 2]) = ("guardrails", ["/key/", "/team/"]);

/// What was sent.
#[derive(Clone, Debug, Default)]
pub(super) struct Form {
    fields: Map<String, Value>,
}

/// What an update says of a field.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given<T> {
    Absent,
    Null,
    Value(T),
}

impl<T> Given<T> {
    /// The value, if there is one.
    pub(super) fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Null | Self::Absent => None,
        }
    }

    /// Changes what is there, if anything was said.
    pub(super) fn set(self, into: &mut Option<T>) {
        match self {
            Self::Value(value) => *into = Some(value),
            Self::Null => *into = None,
            Self::Absent => {}
        }
    }

    /// The same where null means the default.
    pub(super) fn put(self, into: &mut T)
    where
        T: Default,
    {
        match self {
            Self::Value(value) => *into = value,
            Self::Null => *into = T::default(),
            Self::Absent => {}
        }
    }
}

impl Form {
    /// The fields of a JSON body; no body has no fields.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, Fault> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => {
                let form = Self { fields };
                form.refuse_of(REFUSED)?;
                form.refuse_in_metadata(REFUSED_IN_METADATA)?;
                Ok(form)
            }
            Ok(_) => Err(Fault::body(422, "The body must be a JSON object.")),
            Err(error) => Err(Fault::body(400, &format!("The body is no JSON: {error}"))),
        }
    }

    /// The fields of a query: the last of each name.
    pub(super) fn of_query(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        let fields = pairs.map(|(name, value)| (decoded(name), Value::String(decoded(value))));
        Self { fields: fields.collect() }
    }

    /// The fields of one value, which must be an object.
    pub(super) fn of_value(name: &str, value: Value) -> Result<Self, Fault> {
        match value {
            Value::Object(fields) => Ok(Self { fields }),
            _ => Err(wrong(name, "an object")),
        }
    }

    fn refuse_of(&self, names: &[&'static str]) -> Result<(), Fault> {
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::String(text) => !text.is_empty(),
            Value::Bool(true) | Value::Number(_) => true,
        };
        let refused = names.iter().find(|name| self.fields.get(**name).is_some_and(says));
        refused.map_or(Ok(()), |name| Err(unsupported(name)))
    }

    /// The same, for what stands in the metadata.
    fn refuse_in_metadata(&self, names: &[&'static str]) -> Result<(), Fault> {
        let Some(Value::Object(metadata)) = self.fields.get("metadata") else { return Ok(()) };
        let said = |name: &&&str| metadata.get(**name).is_some_and(|value| !value.is_null());
        let refused = names.iter().find(said);
        refused.map_or(Ok(()), |name| Err(unsupported(&format!("metadata.{name}"))))
    }

    /// Refuses fields that would be accepted here and bound nothing, wherever LiteLLM reads them.
    pub(super) fn unsupported(&self, names: &[&'static str]) -> Result<(), Fault> {
        self.refuse_of(names)?;
        self.refuse_in_metadata(names)
    }

    /// A form of some of the fields.
    pub(super) fn only(&self, names: &[&str]) -> Self {
        let fields = names
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.fields.get(*name)?.clone())));
        Self { fields: fields.collect() }
    }

    /// All fields.
    pub(super) fn fields(self) -> Map<String, Value> {
        self.fields
    }

    /// Whether there are fields beyond these.
    pub(super) fn says_more_than(&self, names: &[&str]) -> bool {
        self.fields.keys().any(|name| !names.contains(&name.as_str()))
    }

    /// Whether anything, null included, is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// A value of any type.
    pub(super) fn any(&self, name: &str) -> Given<Value> {
        match self.fields.get(name) {
            None => Given::Absent,
            Some(Value::Null) => Given::Null,
            Some(value) => Given::Value(value.clone()),
        }
    }

    fn read<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Result<Given<T>, Fault> {
        match self.fields.get(name) {
            None => Ok(Given::Absent),
            Some(Value::Null) => Ok(Given::Null),
            Some(value) => read(value).map(Given::Value).ok_or_else(|| wrong(name, expected)),
        }
    }

    pub(super) fn text(&self, name: &str) -> Result<Given<String>, Fault> {
        let given = self.read(name, "a text", |value| value.as_str().map(str::to_owned))?;
        if let Given::Value(text) = &given {
            check_text(name, text)?;
        }
        Ok(given)
    }

    /// A text that names something: an empty one names nothing.
    pub(super) fn name(&self, name: &str) -> Result<Given<String>, Fault> {
        Ok(match self.text(name)? {
            Given::Value(text) if text.is_empty() => Given::Null,
            Given::Value(text) if text.chars().count() > NAME_CHARS_MAX => {
                let message = format!("{name} is longer than {NAME_CHARS_MAX} characters");
                return Err(Fault::value(name, message));
            }
            given => given,
        })
    }

    /// A text that asks for something: an empty one asks for nothing.
    pub(super) fn filled(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.text(name)?.value().filter(|text| !text.is_empty()))
    }

    /// A name that must be there.
    pub(super) fn required(&self, name: &str) -> Result<String, Fault> {
        self.name(name)?.value().ok_or_else(|| missing(name))
    }

    pub(super) fn flag(&self, name: &str) -> Result<Given<bool>, Fault> {
        self.read(name, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Some(true),
                "false" | "0" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    /// A whole number that is not negative; one may write it as a text.
    pub(super) fn count(&self, name: &str) -> Result<Given<u64>, Fault> {
        let number = self.number(name)?;
        let Given::Value(number) = number else {
            return Ok(if number == Given::Null { Given::Null } else { Given::Absent });
        };
        if number < 0.0 {
            return Err(Fault::value(name, format!("{name} cannot be negative")));
        }
        if number.fract() != 0.0 {
            return Err(wrong(name, "a whole number"));
        }
        // Beyond it a float does not know its neighbours; no limit is that high.
        if number > COUNT_MAX {
            return Err(Fault::value(name, format!("{name} cannot be beyond {COUNT_MAX}")));
        }
        Ok(Given::Value(number as u64))
    }

    /// A finite number; one may write it as a text.
    fn number(&self, name: &str) -> Result<Given<f64>, Fault> {
        self.read(name, "a number", |value| match value {
            Value::Number(number) => number.as_f64().filter(|number| number.is_finite()),
            Value::String(text) => {
                text.trim().parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        })
    }

    /// Whether a field is there and says nothing: forms send it so.
    fn is_blank(&self, name: &str) -> bool {
        matches!(self.fields.get(name), Some(Value::String(text)) if text.trim().is_empty())
    }

    /// US dollars; not negative.
    pub(super) fn dollars(&self, name: &str) -> Result<Given<f64>, Fault> {
        if self.is_blank(name) {
            return Ok(Given::Null);
        }
        match self.number(name)? {
            Given::Value(dollars) if dollars < 0.0 => {
                Err(Fault::value(name, format!("{name} cannot be negative")))
            }
            given => Ok(given),
        }
    }

    /// What somebody has spent, in US dollars.
    pub(super) fn spent(&self, name: &str) -> Result<Given<f64>, Fault> {
        match self.dollars(name)? {
            Given::Value(dollars) if dollars > SPENT_MAX => {
                Err(Fault::value(name, format!("{name} cannot be beyond {SPENT_MAX} dollars")))
            }
            given => Ok(given),
        }
    }

    /// A duration such as `30d`, as it is written.
    pub(super) fn period(&self, name: &str) -> Result<Given<String>, Fault> {
        let given = self.name(name)?;
        if let Given::Value(text) = &given
            && let Err(error) = text.parse::<Period>()
        {
            return Err(Fault::value(name, format!("{name}: {error}")));
        }
        Ok(given)
    }

    /// A list of texts.
    pub(super) fn texts(&self, name: &str) -> Result<Given<Vec<String>>, Fault> {
        let given = self.typed::<Vec<String>>(name, "a list of texts")?;
        if let Given::Value(texts) = &given {
            texts.iter().try_for_each(|text| check_text(name, text))?;
        }
        Ok(given)
    }

    /// A list of texts that must be there.
    pub(super) fn required_texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        self.texts(name)?.value().ok_or_else(|| missing(name))
    }

    /// A list that must name somebody: of no one there is nothing to do.
    pub(super) fn filled_texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        let texts = self.required_texts(name)?;
        match texts.is_empty() {
            true => Err(Fault::shape(name, format!("{name} is empty"))),
            false => Ok(texts),
        }
    }

    /// What a type of records reads; `expected` says so in words.
    pub(super) fn typed<T: DeserializeOwned>(
        &self,
        name: &str,
        expected: &str,
    ) -> Result<Given<T>, Fault> {
        self.read(name, expected, |value| serde_json::from_value(value.clone()).ok())
    }
}

/// 2^53.
const COUNT_MAX: f64 = 9_007_199_254_740_992.0;
/// The ledger counts in pico-dollars, of which 63 bits hold some nine million dollars.
const SPENT_MAX: f64 = 1_000_000.0;
/// Longer ids and aliases do not fit the indexes of a database.
const NAME_CHARS_MAX: usize = 500;

/// PostgreSQL keeps no NUL in a text.
fn check_text(name: &str, text: &str) -> Result<(), Fault> {
    match text.contains('\0') {
        true => Err(Fault::value(name, format!("{name} cannot hold the character NUL"))),
        false => Ok(()),
    }
}

fn unsupported(name: &str) -> Fault {
    Fault::value(name, format!("{name} is not supported: it would be accepted and bound nothing"))
}

fn missing(name: &str) -> Fault {
    Fault::shape(name, format!("{name} is required"))
}

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::shape(name, format!("{name} must be {expected}"))
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let cut = |_| Fault::body(400, "The body could not be read.");
        let (name, takes) = REFUSED_ELSEWHERE;
        let path = request.uri().path();
        let is_taken = takes.iter().any(|below| path.starts_with(below));
        let form = Self::of_body(&Bytes::from_request(request, state).await.map_err(cut)?)?;
        if !is_taken {
            form.refuse_of(&[name])?;
        }
        Ok(form)
    }
}

/// The fields of a request's query, as a handler takes them.
pub(super) struct Parameters(pub(super) Form);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(Form::of_query(parts.uri.query())))
    }
}

#[cfg(test)]
mod tests;
