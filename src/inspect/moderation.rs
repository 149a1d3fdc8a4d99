//! Moderation by any API that has OpenAI's `/moderations`.

use async_trait::async_trait;
use http::{HeaderName, HeaderValue, header};
use serde_json::{Value, json};

use super::client::{Bounds, Client};
use crate::guard::{Answer, Inspector, NoAnswer, Question};
use crate::secret::Secret;

/// LiteLLM's words.
const MESSAGE: &str = "Violated OpenAI moderation policy";

#[derive(Debug)]
pub struct Moderation {
    url: String,
    model: String,
    client: Client,
}

impl Moderation {
    /// `base`: the address of the API, as `https://api.openai.com/v1`.
    #[must_use]
    pub fn new(base: &str, key: Option<Secret>, model: &str, bounds: Bounds) -> Self {
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix("/moderations").unwrap_or(base);
        let key = key.and_then(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose())).ok()?;
            value.set_sensitive(true);
            Some((header::AUTHORIZATION, value))
        });
        let headers: Vec<(HeaderName, HeaderValue)> = key.into_iter().collect();
        let client = Client::new(bounds, headers);
        Self { url: format!("{base}/moderations"), model: model.to_owned(), client }
    }
}

#[async_trait]
impl Inspector for Moderation {
    async fn inspect(&self, question: Question<'_>) -> Result<Answer, NoAnswer> {
        // All of it: whoever asks may write the system's part as well.
        let texts = question.texts.iter().map(|(_, text)| *text);
        let texts: Vec<&str> = texts.filter(|text| !text.trim().is_empty()).collect();
        if texts.is_empty() {
            return Ok(Answer::Pass);
        }
        let asked = json!({"model": self.model, "input": texts});
        let answer = self.client.post(&self.url, &asked).await?;
        let results = answer.get("results").and_then(Value::as_array);
        let results = results.ok_or_else(|| NoAnswer("an answer without results".to_owned()))?;
        if results.len() < texts.len() {
            return Err(NoAnswer("an answer about fewer texts than were asked".to_owned()));
        }
        let mut categories: Vec<&str> = Vec::new();
        let mut is_flagged = false;
        for result in results {
            let Some(flagged) = result.get("flagged").and_then(Value::as_bool) else {
                return Err(NoAnswer("a result that says nothing".to_owned()));
            };
            if !flagged {
                continue;
            }
            is_flagged = true;
            let named = result.get("categories").and_then(Value::as_object);
            let named = named.into_iter().flatten().filter(|(_, is)| **is == Value::Bool(true));
            categories.extend(named.map(|(name, _)| &**name));
        }
        if !is_flagged {
            return Ok(Answer::Pass);
        }
        categories.sort_unstable();
        categories.dedup();
        let categories = categories.join(", ");
        let message = match categories.is_empty() {
            true => MESSAGE.to_owned(),
            false => format!("{MESSAGE}: {categories}"),
        };
        let label = if categories.is_empty() { "flagged".to_owned() } else { categories };
        Ok(Answer::Blocked { message: message.into(), label: label.into() })
    }

    fn masks(&self) -> bool {
        false
    }
}
