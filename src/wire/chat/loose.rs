//! Reading what providers write loosely: an answer that was generated, and is paid, is not thrown away
//! for a field that nobody needs. What cannot be read counts as not sent.

use std::fmt;

use serde::de::{DeserializeOwned, Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::wire::fields::Text;

/// A value of the type, or its default.
pub(super) fn value<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).unwrap_or_default())
}

/// A list; `null` is an empty one. Unlike the rest, one that cannot be read is not taken for nothing.
pub(super) fn list<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// A whole number; a fraction is cut off.
pub(super) fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
    let whole = raw.get().trim_matches('"').split('.').next().unwrap_or_default();
    Ok(serde_json::from_str(whole).unwrap_or_default())
}

/// A name; a number stands for its digits.
pub(super) fn name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Text<'de>, D::Error> {
    let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
    Ok(match serde_json::from_str(raw.get()) {
        Ok(text) => text,
        Err(_) if raw.get().parse::<f64>().is_ok() => raw.get().into(),
        Err(_) => Text::default(),
    })
}

/// A name that may be missing.
pub(super) fn named<'de, D>(deserializer: D) -> Result<Option<Text<'de>>, D::Error>
where
    D: Deserializer<'de>,
{
    name(deserializer).map(|name| Some(name).filter(|name| !name.is_empty()))
}

/// What was said: a text, or the texts of a list of parts. Half of a surrogate pair, which some
/// tokenisers leave behind, becomes U+FFFD.
pub(super) fn said<'de, D>(deserializer: D) -> Result<Option<Text<'de>>, D::Error>
where
    D: Deserializer<'de>,
{
    let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
    Ok(match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).ok().or_else(|| lossy(raw.get())),
        Some(b'[') => {
            let parts: Vec<Value> = serde_json::from_str(raw.get()).unwrap_or_default();
            let text = |part: &'_ Value| match part {
                Value::String(text) => Some(text.clone()),
                part => part.get("text")?.as_str().map(str::to_owned),
            };
            Some(parts.iter().filter_map(text).collect::<String>().into())
        }
        _ => None,
    })
}

/// A JSON string whose escapes name no text.
fn lossy(json: &str) -> Option<Text<'static>> {
    struct Wide;

    impl Visitor<'_> for Wide {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<String, E> {
            Ok(String::from_utf8_lossy(bytes).into_owned())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_str(json);
    deserializer.deserialize_bytes(Wide).ok().map(Into::into)
}
