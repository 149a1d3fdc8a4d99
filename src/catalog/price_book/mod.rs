//! The price book: what is known of every model that LiteLLM lists.
//!
//! `conf/prices.json` is compiled in; a file of the same form, or LiteLLM's own model table, may take
//! its place at run time. Only the names are read at first; a model is parsed when it is asked for.

mod names;
mod text;

use std::fmt;
use std::io::Read as _;
use std::sync::{Arc, LazyLock, OnceLock};

use flate2::read::GzDecoder;
use rustc_hash::FxHashMap;
use serde_json::{Map, Value};
use thiserror::Error;

use super::price::Price;
use text::Head;

/// Everything known of one model.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// LiteLLM's name of the provider.
    pub provider: Box<str>,
    /// `None`: not priced by token, or the price is not known.
    pub price: Option<Arc<Price>>,
    pub max_input_tokens: Option<u64>,
    pub max_output_tokens: Option<u64>,
    /// `chat`, `embedding`, `completion`, ... as LiteLLM writes it.
    pub mode: Option<Box<str>>,
    /// When the provider stops serving the model, as `YYYY-MM-DD`.
    pub deprecation_date: Option<Box<str>>,
    /// Capabilities by name without `supports_`, and whether the model has them.
    flags: Vec<(Box<str>, bool)>,
}

impl Listed {
    /// Whether the model has a capability (`vision`, `function_calling`); `None` if not known.
    #[must_use]
    pub fn supports(&self, capability: &str) -> Option<bool> {
        self.flags.iter().find(|(name, _)| **name == *capability).map(|(_, has)| *has)
    }

    fn from_fields(fields: &Map<String, Value>) -> Self {
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(Box::from);
        let count = |name: &str| {
            let value = fields.get(name)?;
            // Tables write some limits as `8192.0`.
            value
                .as_u64()
                .or_else(|| value.as_f64().filter(|count| *count >= 1.0).map(|n| n as u64))
        };
        Self {
            provider: text("litellm_provider").unwrap_or_default(),
            // A price that cannot be read is one that is not known.
            price: Price::from_fields(fields).ok().flatten().map(Arc::new),
            max_input_tokens: count("max_input_tokens"),
            max_output_tokens: count("max_output_tokens"),
            mode: text("mode"),
            deprecation_date: text("deprecation_date"),
            flags: flags(fields),
        }
    }
}

/// Capabilities in both forms: `supports: [vision]`, `lacks: [..]` and `supports_vision: true`.
fn flags(fields: &Map<String, Value>) -> Vec<(Box<str>, bool)> {
    let mut flags = Vec::new();
    for (list, has) in [("supports", true), ("lacks", false)] {
        let names = fields.get(list).and_then(Value::as_array).into_iter().flatten();
        flags.extend(names.filter_map(Value::as_str).map(|name| (Box::from(name), has)));
    }
    for (field, value) in fields {
        if let (Some(name), Value::Bool(has)) = (field.strip_prefix("supports_"), value) {
            flags.push((Box::from(name), *has));
        }
    }
    flags
}

/// A text that is not a price book.
#[derive(Debug, Error)]
pub enum NotAPriceBook {
    #[error("a price book must be UTF-8 text")]
    NotText,
    #[error("not a price book: {0}")]
    NotJson(#[from] serde_json::Error),
}

/// Prices, limits and capabilities by model.
pub struct PriceBook {
    text: Box<str>,
    models: FxHashMap<Box<str>, Entry>,
    version: Box<str>,
    date: Box<str>,
}

/// Where a model stands in the text, and what it says once it was asked for.
struct Entry {
    start: usize,
    end: usize,
    listed: OnceLock<Box<Listed>>,
}

impl PriceBook {
    /// The book that was compiled in.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        static BOOK: LazyLock<Arc<PriceBook>> = LazyLock::new(|| {
            // Packed by build.rs: a sixteenth of the text.
            let packed: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prices.json.gz"));
            let mut text = String::new();
            GzDecoder::new(packed).read_to_string(&mut text).expect("build.rs packed a text");
            Arc::new(PriceBook::from_text(text.into()).expect("a test parses conf/prices.json"))
        });
        Arc::clone(&BOOK)
    }

    /// Reads a book: the form of `conf/prices.json`, or LiteLLM's table itself.
    ///
    /// # Errors
    /// The bytes are not JSON, or not an object of objects.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAPriceBook> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAPriceBook::NotText)?;
        Self::from_text(text.into())
    }

    fn from_text(text: Box<str>) -> Result<Self, NotAPriceBook> {
        let head: Head<'_> = serde_json::from_str(&text)?;
        let names = match head.models {
            Some(models) => models,
            None => serde_json::from_str(&text)?,
        };
        let origin = text.as_ptr().addr();
        let models = names
            .0
            .into_iter()
            .filter(|(_, model)| model.get().starts_with('{'))
            .map(|(name, model)| {
                let start = model.get().as_ptr().addr() - origin;
                let end = start + model.get().len();
                (Box::from(name), Entry { start, end, listed: OnceLock::new() })
            })
            .collect();
        let (version, date) = (head.version.into(), head.date.into());
        Ok(Self { text, models, version, date })
    }

    /// The LiteLLM release that the facts are from, if the book says so.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// When the facts were taken, if the book says so.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// How many models are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.models.len()
    }

    /// Whether no model is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.models.is_empty()
    }

    /// What is known of a deployment's model: by its `base_model` if that is written, else by
    /// provider and model.
    #[must_use]
    pub fn lookup(&self, base_model: Option<&str>, provider: &str, model: &str) -> Option<&Listed> {
        let Some(base) = base_model else { return self.get(provider, model) };
        let (prefix, rest) = base.split_once('/').unwrap_or((provider, base));
        self.find(base)
            .or_else(|| self.key_of(provider, base))
            .or_else(|| self.key_of(prefix, rest))
            .map(|(_, entry)| self.open(entry))
    }

    /// What is known of a provider's model (without the provider's prefix).
    #[must_use]
    pub fn get(&self, provider: &str, model: &str) -> Option<&Listed> {
        self.key_of(provider, model).map(|(_, entry)| self.open(entry))
    }

    /// All facts of a model with LiteLLM's names, for `/model/info`.
    #[must_use]
    pub fn facts(&self, provider: &str, model: &str) -> Option<Map<String, Value>> {
        let (name, entry) = self.key_of(provider, model)?;
        let mut facts = self.fields(entry);
        let flags = flags(&facts);
        facts.remove("supports");
        facts.remove("lacks");
        facts.extend(
            flags.into_iter().map(|(flag, has)| (format!("supports_{flag}"), Value::Bool(has))),
        );
        facts.insert("key".into(), Value::String(name.to_owned()));
        Some(facts)
    }

    /// Whether some model is called that, or that with a date or `latest` behind it.
    #[must_use]
    pub fn knows(&self, name: &str) -> bool {
        let dated = |known: &str| {
            known.strip_prefix(name).and_then(|rest| rest.strip_prefix('-')).is_some_and(|rest| {
                let date = |byte: u8| byte.is_ascii_digit() || byte == b'-';
                rest == "latest" || (rest.len() > 3 && rest.bytes().all(date))
            })
        };
        self.find(name).is_some() || self.models.keys().any(|known| dated(known))
    }

    fn find(&self, name: &str) -> Option<(&str, &Entry)> {
        self.models.get_key_value(name).map(|(name, entry)| (name.as_ref(), entry))
    }

    fn open<'a>(&'a self, entry: &'a Entry) -> &'a Listed {
        entry.listed.get_or_init(|| Box::new(Listed::from_fields(&self.fields(entry))))
    }

    fn fields(&self, entry: &Entry) -> Map<String, Value> {
        let text = self.text.get(entry.start..entry.end).unwrap_or_default();
        serde_json::from_str(text).unwrap_or_default()
    }
}

impl fmt::Debug for PriceBook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "PriceBook({} models, {})", self.models.len(), self.version)
    }
}

#[cfg(test)]
mod tests;
