//! The price book: what is known of every model that LiteLLM lists.
//!
//! `conf/prices.json` is compiled in; a file of the same form, or LiteLLM's own model table, may take
//! its place at run time. Only the names are read at first; a model is parsed when it is asked for.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use rustc_hash::FxHashMap;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use thiserror::Error;

use super::price::Price;

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
    text: Cow<'static, str>,
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
            let text = Cow::Borrowed(include_str!("../../conf/prices.json"));
            Arc::new(PriceBook::from_text(text).expect("a test parses conf/prices.json"))
        });
        Arc::clone(&BOOK)
    }

    /// Reads a book: the form of `conf/prices.json`, or LiteLLM's table itself.
    ///
    /// # Errors
    /// The bytes are not JSON, or not an object of objects.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotAPriceBook> {
        let text = std::str::from_utf8(bytes).map_err(|_| NotAPriceBook::NotText)?;
        Self::from_text(Cow::Owned(text.to_owned()))
    }

    fn from_text(text: Cow<'static, str>) -> Result<Self, NotAPriceBook> {
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

    /// The best name for a provider's model: as it is, then without the date of a snapshot.
    fn key_of(&self, provider: &str, model: &str) -> Option<(&str, &Entry)> {
        let undated = undated(model);
        // `ft:gpt-4o-2024-08-06:org::id` is priced like every fine-tuned model of that base.
        let tuned =
            model.starts_with("ft:").then(|| model.splitn(3, ':').take(2).collect::<Vec<_>>());
        self.spelled(provider, model)
            .or_else(|| self.spelled(provider, undated?))
            .or_else(|| self.spelled(provider, &tuned?.join(":")))
            .or_else(|| {
                // A marketplace names the maker's model, and passes its price on.
                let (maker, rest) = model.split_once('/').filter(|_| provider == "openrouter")?;
                let maker = match maker {
                    "google" => "gemini",
                    "x-ai" => "xai",
                    "mistralai" => "mistral",
                    other => other,
                };
                self.spelled(maker, rest)
            })
    }

    /// The name of a model under its provider, under a provider that serves the same models, or
    /// alone if it is one of that provider's.
    fn spelled(&self, provider: &str, model: &str) -> Option<(&str, &Entry)> {
        for family in families(provider) {
            if let Some(found) = self.find(&format!("{family}/{model}")) {
                return Some(found);
            }
        }
        if provider == "fireworks_ai" {
            let full = format!("fireworks_ai/accounts/fireworks/models/{model}");
            if let Some(found) = self.find(&full) {
                return Some(found);
            }
        }
        let (name, entry) = self.find(model)?;
        // A model of the same name on somebody's own server does not cost the same.
        let owner = &self.open(entry).provider;
        families(provider).any(|family| owner.starts_with(family)).then_some((name, entry))
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

/// The providers whose models a provider serves at the same price, itself first.
fn families(provider: &str) -> impl Iterator<Item = &str> {
    let others: &[&str] = match provider {
        "azure" => &["azure_ai", "openai"],
        "azure_ai" => &["azure", "openai", "anthropic", "mistral"],
        "azure_text" => &["azure", "text-completion-openai"],
        "openai" => &["text-completion-openai"],
        "text-completion-openai" => &["openai"],
        "anthropic_text" => &["anthropic"],
        "gemini" => &["vertex_ai"],
        "cohere" | "cohere_chat" => &["cohere_chat", "cohere"],
        "codestral" => &["mistral"],
        "ollama_chat" => &["ollama"],
        _ => &[],
    };
    std::iter::once(provider).chain(others.iter().copied())
}

/// The model without the date of its snapshot: `-2024-11-20`, `-20241022` or `-latest`.
fn undated(model: &str) -> Option<&str> {
    let bytes = model.as_bytes();
    let is_date = |from: usize, shape: &[u8]| {
        bytes.len() > from + shape.len() - 1
            && bytes.iter().rev().zip(shape.iter().rev()).all(|(byte, shape)| match shape {
                b'9' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    let shapes: [&[u8]; 3] = [b"-9999-99-99", b"-99999999", b"-latest"];
    let shape = shapes.into_iter().find(|shape| is_date(1, shape))?;
    model.get(..model.len() - shape.len())
}

/// The head of a book; `models` is missing in LiteLLM's own table.
#[derive(serde::Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    models: Option<Names<'a>>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    date: String,
}

/// Names and unparsed entries, in the order of the text.
struct Names<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Usd;
    use crate::usage::Usage;

    fn book() -> Arc<PriceBook> {
        PriceBook::built_in()
    }

    fn dollars(dollars: f64) -> Usd {
        Usd::from_dollars(dollars).unwrap()
    }

    #[test]
    fn the_compiled_in_book_says_where_it_is_from() {
        assert!(book().len() > 4000);
        assert!(!book().version().is_empty());
        assert_eq!(book().date().len(), "2026-11-21".len());
        let head: Map<String, Value> =
            serde_json::from_str(include_str!("../../conf/prices.json")).unwrap();
        assert_eq!(head["licence"], "MIT");
        assert!(head["licence_text"].as_str().unwrap().contains("Berri AI"));
    }

    /// Numbers from the providers' price pages, so that a wrong field name is noticed.
    #[test]
    fn well_known_prices_are_right() {
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 1_000_000,
            cache_read_tokens: 200_000,
            ..Usage::default()
        };
        for (provider, model, cost) in [
            // 0.8 x 2.50 + 0.2 x 1.25 + 10
            ("openai", "gpt-4o", 12.25),
            // 0.8 x 0.15 + 0.2 x 0.075 + 0.60
            ("openai", "gpt-4o-mini", 0.735),
            ("azure", "gpt-4o", 12.25),
            // 0.8 x 3 + 0.2 x 0.30 + 15
            ("anthropic", "claude-sonnet-4-5", 17.46),
            ("anthropic", "claude-3-5-sonnet-20241022", 17.46),
            // Above 200,000 tokens: 0.8 x 2.50 + 0.2 x 0.25 + 15
            ("gemini", "gemini-2.5-pro", 17.05),
            ("openai", "text-embedding-3-small", 0.02),
        ] {
            let book = book();
            let listed = book.get(provider, model).expect(model);
            let price = listed.price.as_ref().expect(model);
            assert_eq!(price.cost(&usage), dollars(cost), "{provider}/{model}");
        }
        let book = book();
        let haiku = book.get("anthropic", "claude-haiku-4-5").unwrap().price.as_ref().unwrap();
        assert_eq!(haiku.cache_write, Some(dollars(1.25e-6)));
        assert_eq!(haiku.cache_write_1h, Some(dollars(2e-6)));
    }

    #[test]
    fn limits_modes_and_capabilities_are_known() {
        let book = book();
        let listed = book.get("openai", "gpt-4o").unwrap();
        assert_eq!(listed.max_input_tokens, Some(128_000));
        assert_eq!(listed.max_output_tokens, Some(16_384));
        assert_eq!(listed.mode.as_deref(), Some("chat"));
        assert_eq!(listed.supports("vision"), Some(true));
        assert_eq!(listed.supports("telepathy"), None);
        let newest = book.get("anthropic", "claude-haiku-5-5").unwrap();
        assert_eq!(newest.supports("sampling_params"), Some(false));
        let facts = book.facts("openai", "gpt-4o").unwrap();
        assert_eq!(facts["supports_vision"], true);
        assert_eq!(facts["key"], "gpt-4o");
        assert_eq!(facts["input_cost_per_token"], 2.5e-6);
    }

    #[test]
    fn a_model_is_found_under_the_names_it_goes_by() {
        let book = PriceBook::parse(
            br#"{"models":{
            "gpt-4o":{"litellm_provider":"openai","max_input_tokens":1},
            "azure/gpt-4o":{"litellm_provider":"azure","max_input_tokens":2},
            "gpt-5":{"litellm_provider":"openai","max_input_tokens":3},
            "ft:gpt-4o-2024-08-06":{"litellm_provider":"openai","max_input_tokens":4},
            "groq/llama":{"litellm_provider":"groq","max_input_tokens":5},
            "fireworks_ai/accounts/fireworks/models/k2":{"litellm_provider":"fireworks_ai","max_input_tokens":6},
            "gemini-9":{"litellm_provider":"vertex_ai-language-models","max_input_tokens":7},
            "command":{"litellm_provider":"cohere","max_input_tokens":8},
            "claude-9":{"litellm_provider":"anthropic","max_input_tokens":9},
            "together_ai/meta/llama":{"litellm_provider":"together_ai","max_input_tokens":10}
            }}"#,
        )
        .unwrap();
        for (base, provider, model, expected) in [
            (None, "openai", "gpt-4o", Some(1)),
            (None, "azure", "gpt-4o", Some(2)),
            (None, "azure", "gpt-5", Some(3)),
            (None, "openai", "gpt-5-2025-08-07", Some(3)),
            (None, "openai", "gpt-5-20250807", Some(3)),
            (None, "openai", "gpt-5-latest", Some(3)),
            (None, "openai", "ft:gpt-4o-2024-08-06:acme::x1", Some(4)),
            (None, "groq", "llama", Some(5)),
            (None, "fireworks_ai", "k2", Some(6)),
            (None, "fireworks_ai", "accounts/fireworks/models/k2", Some(6)),
            (None, "gemini", "gemini-9", Some(7)),
            (None, "cohere", "command", Some(8)),
            (None, "openrouter", "anthropic/claude-9", Some(9)),
            (None, "openrouter", "openai/gpt-4o", Some(1)),
            (None, "together_ai", "meta/llama", Some(10)),
            (None, "hosted_vllm", "gpt-4o", None),
            (None, "openai", "claude-9", None),
            (None, "openai", "nobody-knows", None),
            (Some("azure/gpt-4o"), "azure", "my-deployment", Some(2)),
            (Some("gpt-4o"), "azure", "my-deployment", Some(1)),
            (Some("gpt-5"), "azure", "my-deployment", Some(3)),
            (Some("openai/gpt-4o"), "hosted_vllm", "mine", Some(1)),
            (Some("nobody-knows"), "openai", "gpt-4o", None),
        ] {
            let found = book.lookup(base, provider, model).and_then(|it| it.max_input_tokens);
            assert_eq!(found, expected, "{base:?} {provider}/{model}");
        }
    }

    #[test]
    fn a_name_is_known_with_and_without_its_date() {
        let known = |name| book().knows(name);
        assert!(known("gpt-4o-mini") && known("claude-3-5-haiku") && known("gpt-4o"));
        assert!(!known("gpt-4-mini") && !known("claude") && !known("claude-3-5") && !known(""));
    }

    #[test]
    fn litellms_own_table_is_a_book_too() {
        let book = PriceBook::parse(
            br#"{"sample_spec": {"max_input_tokens": "words"},
                "some-\"model\"": {"litellm_provider": "openai", "input_cost_per_token": 1e-06,
                                   "supports_vision": true, "supports_tool_choice": false}}"#,
        )
        .unwrap();
        assert_eq!(book.len(), 1);
        let listed = book.get("openai", "some-\"model\"").unwrap();
        assert_eq!(listed.price.as_ref().unwrap().input, dollars(1e-6));
        assert_eq!(listed.supports("vision"), Some(true));
        assert_eq!(listed.supports("tool_choice"), Some(false));
    }

    #[test]
    fn what_is_no_book_is_refused() {
        for text in ["", "[]", "{\"models\": 3}", "{\"models\": {\"a\": }}"] {
            assert!(PriceBook::parse(text.as_bytes()).is_err(), "{text}");
        }
        let odd = PriceBook::parse(br#"{"models": {"a": 1}}"#).unwrap();
        assert!(odd.is_empty());
    }
}
