//! What a request needs to know of the deployment it is written for.

use serde_json::value::RawValue;

use super::json::{Edits, Malformed, Object};
use crate::dialect::{Endpoint, Quirks};

/// How a client's request becomes a provider's.
#[derive(Clone, Copy, Debug)]
pub struct RequestOptions<'a> {
    pub endpoint: Endpoint,
    /// The model to write; `None` removes it (Azure's deployment path names it).
    pub model: Option<&'a str>,
    /// The reply will be read as a stream.
    pub stream: bool,
    pub quirks: Quirks,
    /// Parameters of the deployment: used where the client sent none.
    pub defaults: &'a [(Box<str>, Box<RawValue>)],
    /// Parameters of the fallback that is being tried: they win over the client's.
    pub overrides: &'a [(Box<str>, Box<RawValue>)],
    /// Parameters never sent (`additional_drop_params`): `name`, or a path into one as in
    /// `tools[*].function.strict`.
    pub drop: &'a [Box<str>],
    /// Parameters that are sent although the model is known to refuse them (`allowed_openai_params`).
    pub allowed: &'a [Box<str>],
    /// Leave out what the model is known to refuse, instead of letting it refuse.
    pub drop_params: bool,
    /// The client speaks a dialect in which models are told other things than in the canonical one:
    /// how it wants the answer made (see [`HINTS`]) is a wish, which not every model can grant.
    pub hints: bool,
    /// Repair what the model is known to refuse.
    pub modify_params: bool,
    /// What the model can generate at most, where a format needs the number.
    pub max_output_tokens: Option<u64>,
    /// The model by which capabilities are judged: the base model where `model` is only a
    /// deployment's name.
    pub model_hint: &'a str,
}

/// Parameters that say how an answer is to be made, not which. Programs that speak Anthropic's or
/// Google's dialect send some with every request, and their users cannot change them.
const HINTS: [&str; 7] = [
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "temperature",
    "top_k",
    "top_p",
];

impl<'a> RequestOptions<'a> {
    /// The model is written, and nothing else is changed.
    #[must_use]
    pub const fn plain(endpoint: Endpoint, model: &'a str) -> Self {
        Self {
            endpoint,
            model: Some(model),
            stream: false,
            quirks: Quirks::NONE,
            defaults: &[],
            overrides: &[],
            drop: &[],
            allowed: &[],
            drop_params: false,
            hints: false,
            modify_params: false,
            max_output_tokens: None,
            model_hint: model,
        }
    }

    /// Whether a parameter that the model refuses is left out in silence.
    #[must_use]
    pub fn leaves_out(&self, name: &str) -> bool {
        self.drop_params || self.is_hint(name)
    }

    /// Whether a parameter is only a wish of the client's.
    #[must_use]
    pub fn is_hint(&self, name: &str) -> bool {
        self.hints && HINTS.contains(&name)
    }
}

/// Fields of a request that are for the gateway, with those LiteLLM's clients send. Providers
/// refuse unknown fields, and some of these hold credentials. See also [`is_own`].
pub(super) const OWN_FIELDS: &[&str] = &[
    "additional_drop_params",
    "allowed_model_region",
    "allowed_openai_params",
    "api_base",
    "api_key",
    "api_version",
    "base_url",
    "cache",
    "caching",
    "content_policy_fallbacks",
    "context_window_fallback_dict",
    "context_window_fallbacks",
    "cooldown_time",
    "custom_llm_provider",
    "default_fallbacks",
    "disable_fallbacks",
    "drop_params",
    "extra_body",
    "extra_headers",
    "fallbacks",
    "guardrail_config",
    "guardrails",
    "input_cost_per_token",
    "max_fallbacks",
    "max_retries",
    "model_info",
    "model_list",
    "modify_params",
    "no-log",
    "num_retries",
    "output_cost_per_token",
    "policies",
    "proxy_server_request",
    "request_timeout",
    "retry_policy",
    "specific_deployment",
    "stream_timeout",
    "tags",
    "target_model_names",
    "timeout",
    "ttl",
    "turn_off_message_logging",
    "user_config",
];

/// True for a field that is addressed to the gateway and not to the provider.
#[must_use]
pub fn is_own(name: &str) -> bool {
    OWN_FIELDS.binary_search(&name).is_ok()
        || name.starts_with("litellm_")
        || name.starts_with("mock_")
}

/// A request with the fields of its `extra_body` among its own, where the official SDKs put them: whoever looks at a
/// request looks at those as well. What only Google has stays there, as in Google's own API for OpenAI's clients.
///
/// # Errors
/// A value in it is no JSON.
pub fn merged(body: Object) -> Result<Object, Malformed> {
    let Some(extra) = body.object("extra_body") else { return Ok(body) };
    let mut edits = Edits::new();
    edits.remove("extra_body");
    for (name, raw) in extra.iter() {
        match name {
            "extra_body" => {}
            "google" => edits.set_raw("extra_body", format!("{{\"google\":{raw}}}").into_bytes()),
            name => edits.set_raw(name.to_owned(), raw.as_bytes().to_vec()),
        }
    }
    Object::parse(body.edit(&edits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_extra_body_is_the_requests_own() {
        let object = |text: &str| Object::parse(text.to_owned().into()).unwrap();
        let body = r#"{"model":"m","n":1,"extra_body":{"n":2,"messages":[],"extra_body":{"n":3},"google":{"a":1}}}"#;
        let merged = merged(object(body)).unwrap();
        assert_eq!((merged.raw("n"), merged.raw("messages")), (Some("2"), Some("[]")));
        assert_eq!(merged.raw("extra_body"), Some(r#"{"google":{"a":1}}"#));
        let without = object(r#"{"model":"m","extra_body":"text"}"#);
        assert_eq!(super::merged(without).unwrap().raw("extra_body"), Some("\"text\""));
    }
}
