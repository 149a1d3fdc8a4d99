//! LiteLLM's contract for anybody's guardrail (`generic_guardrail_api`).

use async_trait::async_trait;
use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::client::{Bounds, Client};
use crate::guard::{Answer, Inspector, NoAnswer, Question};

/// Where LiteLLM asks.
const PATH: &str = "/beta/litellm_basic_guardrail_api";
/// The longest reason that a client is told.
const REASON_MAX: usize = 500;

#[derive(Debug)]
pub struct TheirApi {
    url: String,
    extra: Map<String, Value>,
    client: Client,
}

impl TheirApi {
    #[must_use]
    pub fn new(
        base: &str,
        headers: Vec<(HeaderName, HeaderValue)>,
        extra: Map<String, Value>,
        bounds: Bounds,
    ) -> Self {
        let base = base.trim_end_matches('/');
        let base = base.strip_suffix(PATH).unwrap_or(base);
        Self { url: format!("{base}{PATH}"), extra, client: Client::new(bounds, headers) }
    }
}

#[async_trait]
impl Inspector for TheirApi {
    async fn inspect(&self, question: Question<'_>) -> Result<Answer, NoAnswer> {
        let texts: Vec<&str> = question.texts.iter().map(|(_, text)| *text).collect();
        let messages = question.texts.iter();
        let messages = messages.map(|(role, text)| json!({"role": role.word(), "content": text}));
        // What the operator says is not the request's to change: it would turn the guardrail down.
        let mut extra = question.extra.cloned().unwrap_or_default();
        extra.extend(self.extra.iter().map(|(name, value)| (name.clone(), value.clone())));
        let asked = json!({
            "texts": texts,
            "images": null,
            "tools": null,
            "tool_calls": null,
            "structured_messages": messages.collect::<Vec<_>>(),
            "request_data": question.asked.who,
            "request_headers": question.asked.headers,
            "input_type": question.side.word(),
            "litellm_call_id": &*question.asked.request_id,
            "litellm_trace_id": &*question.asked.request_id,
            "model": &*question.asked.model,
            "additional_provider_specific_params": extra,
        });
        let answer = self.client.post(&self.url, &asked).await?;
        match answer.get("action").and_then(Value::as_str) {
            Some("NONE") => Ok(Answer::Pass),
            Some("BLOCKED") => {
                let reason = answer.get("blocked_reason").and_then(Value::as_str);
                let reason = reason.filter(|reason| !reason.trim().is_empty());
                let reason: String =
                    reason.unwrap_or("Content violates policy").chars().take(REASON_MAX).collect();
                let message = format!("Content blocked by guardrail: {reason}");
                Ok(Answer::Blocked { message: message.into(), label: "blocked".into() })
            }
            Some("GUARDRAIL_INTERVENED") => {
                let new = answer.get("texts").and_then(Value::as_array);
                let new = new.map(|texts| {
                    let texts = texts.iter().map(|text| text.as_str().map(str::to_owned));
                    texts.collect::<Option<Vec<_>>>()
                });
                match new {
                    None => Ok(Answer::Pass),
                    Some(Some(new)) if new.len() == texts.len() => Ok(Answer::Texts(new)),
                    Some(_) => Err(NoAnswer("other texts than were asked about".to_owned())),
                }
            }
            _ => Err(NoAnswer("an answer without an action".to_owned())),
        }
    }

    fn masks(&self) -> bool {
        // What it may do is known when it has done it. Beside a call other texts come too late, and are
        // not taken.
        false
    }
}
