//! The names under which a book may know a provider's model.

use super::{Entry, PriceBook};

impl PriceBook {
    /// The best name for a provider's model: as it is, then without the date of a snapshot.
    pub(super) fn key_of(&self, provider: &str, model: &str) -> Option<(&str, &Entry)> {
        let undated = undated(model);
        // `ft:gpt-4o-2024-08-06:org::id` is priced like every fine-tuned model of that base.
        let tuned =
            model.starts_with("ft:").then(|| model.splitn(3, ':').take(2).collect::<Vec<_>>());
        self.spelled(provider, model)
            .or_else(|| self.spelled(provider, undated?))
            .or_else(|| self.spelled(provider, &tuned?.join(":")))
            .or_else(|| {
                // What chooses an API or a region at Bedrock, or an ARN, stands before the model.
                let (before, rest) = model.split_once('/')?;
                let is_prefix = provider.starts_with("bedrock") && !before.contains('.');
                if is_prefix { self.key_of(provider, rest) } else { None }
            })
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
