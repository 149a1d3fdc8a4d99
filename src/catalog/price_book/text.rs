//! The text of a book: its head, and where each model stands in it, without parsing the models.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The head of a book; `models` is missing in LiteLLM's own table.
#[derive(serde::Deserialize)]
pub(super) struct Head<'a> {
    #[serde(borrow)]
    pub(super) models: Option<Names<'a>>,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) date: String,
}

/// Names and unparsed entries, in the order of the text.
pub(super) struct Names<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Names<'a> {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Names<'de>;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("an object of models")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = map.next_key::<CowStr<'de>>()? {
                    if name.0 == "sample_spec" {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        names.push((name.0, map.next_value()?));
                    }
                }
                Ok(Names(names))
            }
        }

        source.deserialize_map(Entries)
    }
}

/// A text that borrows from the source where it holds no escapes.
#[derive(serde::Deserialize)]
struct CowStr<'a>(#[serde(borrow)] Cow<'a, str>);
