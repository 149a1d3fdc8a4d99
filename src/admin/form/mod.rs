//! The fields of a request, as they are given: in a JSON body, or in a query.
//!
//! A field may be given, given as null, or absent: an update changes the first two and leaves the
//! third alone. Names that nobody asks for are tolerated, as LiteLLM tolerates them, but for those
//! whose loss would open what its sender means to close (`refused.rs`). How a field is read stands in
//! `fields.rs`.

mod fields;
mod refused;

use std::convert::Infallible;

use axum::extract::{FromRequest, FromRequestParts, Request};
use bytes::Bytes;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

use super::fault::Fault;

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
                form.check()?;
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
}

fn wrong(name: &str, expected: &str) -> Fault {
    Fault::shape(name, format!("{name} must be {expected}"))
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Fault;

    async fn from_request(request: Request, state: &S) -> Result<Self, Fault> {
        let cut = |_| Fault::body(400, "The body could not be read.");
        let path = request.uri().path().to_owned();
        let form = Self::of_body(&Bytes::from_request(request, state).await.map_err(cut)?)?;
        form.check_at(&path)?;
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
