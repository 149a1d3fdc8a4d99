//! Whose a model is: by the prefix of its name, else by the name itself.
//!
//! The rules are LiteLLM's, so that its configuration files work.

use super::table::{VENDORS, Vendor, vendor};

/// Names of models that tell their provider without a prefix. The first that fits decides.
const BY_MODEL: &[(&str, &str)] = &[
    // Open weights: many serve them, OpenAI does not.
    ("gpt-oss", ""),
    ("gpt", "openai"),
    ("chatgpt", "openai"),
    ("ft:gpt", "openai"),
    ("ft:davinci", "openai"),
    ("ft:babbage", "openai"),
    ("o1", "openai"),
    ("o3", "openai"),
    ("o4", "openai"),
    ("codex-", "openai"),
    ("computer-use-preview", "openai"),
    ("text-embedding-3-", "openai"),
    ("text-embedding-ada-", "openai"),
    ("text-davinci-", "openai"),
    ("davinci", "openai"),
    ("babbage", "openai"),
    ("claude", "anthropic"),
    ("gemini", "gemini"),
    ("command", "cohere"),
    ("c4ai-aya", "cohere"),
    ("embed-english", "cohere"),
    ("embed-multilingual", "cohere"),
    ("embed-v", "cohere"),
    ("mistral-", "mistral"),
    ("ministral-", "mistral"),
    ("magistral-", "mistral"),
    ("open-mistral-", "mistral"),
    ("open-mixtral-", "mistral"),
    ("pixtral-", "mistral"),
    ("devstral-", "mistral"),
    ("codestral", "mistral"),
    ("deepseek-", "deepseek"),
    ("grok-", "xai"),
    ("sonar", "perplexity"),
    ("kimi-", "moonshot"),
    ("moonshot-", "moonshot"),
    ("jamba-", "ai21_chat"),
    ("glm-", "zai"),
];

/// Parts that LiteLLM puts before a model to choose a translation; not part of the model's name.
const MODEL_MARKS: &[(&str, &str)] = &[
    ("azure", "o_series/"),
    ("azure", "gpt5_series/"),
    ("azure", "responses/"),
    ("openai", "chat/"),
    ("openai", "responses/"),
];

/// The provider that `model` belongs to, and the model's name there: by the prefix (`groq/llama`),
/// else by the model's own name. `None` if neither tells.
#[must_use]
pub fn recognise(model: &str) -> Option<(&'static Vendor, &str)> {
    if let Some((prefix, rest)) = model.split_once('/') {
        let vendor = vendor(prefix)?;
        let rest = MODEL_MARKS
            .iter()
            .filter(|(name, _)| *name == vendor.name)
            .find_map(|(_, mark)| rest.strip_prefix(mark))
            .unwrap_or(rest);
        return Some((vendor, rest));
    }
    if model == "*" {
        return Some((&VENDORS[0], model));
    }
    let (pattern, name) = BY_MODEL.iter().find(|(start, _)| model.starts_with(start))?;
    // `o1` and `o1-mini` are OpenAI's; `o1abc` is somebody's own name.
    let is_reasoning = matches!(*pattern, "o1" | "o3" | "o4");
    if is_reasoning && !matches!(model.as_bytes().get(2), None | Some(b'-')) {
        return None;
    }
    vendor(name).map(|vendor| (vendor, model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_tells_its_provider_by_prefix_or_by_name() {
        for (written, expected) in [
            ("openai/gpt-4o", Some(("openai", "gpt-4o"))),
            ("gpt-4o", Some(("openai", "gpt-4o"))),
            ("gpt-3.5-turbo-instruct", Some(("openai", "gpt-3.5-turbo-instruct"))),
            ("chatgpt-4o-latest", Some(("openai", "chatgpt-4o-latest"))),
            ("ft:gpt-4o:acme::x", Some(("openai", "ft:gpt-4o:acme::x"))),
            ("o1", Some(("openai", "o1"))),
            ("o3-mini", Some(("openai", "o3-mini"))),
            ("o1abc", None),
            ("text-embedding-3-small", Some(("openai", "text-embedding-3-small"))),
            ("text-embedding-004", None),
            ("davinci-002", Some(("openai", "davinci-002"))),
            ("*", Some(("openai", "*"))),
            ("openai/*", Some(("openai", "*"))),
            ("azure/my/deployment", Some(("azure", "my/deployment"))),
            ("azure/o_series/mine", Some(("azure", "mine"))),
            ("openai/responses/gpt-5-pro", Some(("openai", "gpt-5-pro"))),
            ("claude-3-opus-20240229", Some(("anthropic", "claude-3-opus-20240229"))),
            ("anthropic/claude-x", Some(("anthropic", "claude-x"))),
            ("gemini-2.5-pro", Some(("gemini", "gemini-2.5-pro"))),
            ("command", Some(("cohere", "command"))),
            ("command-r-plus", Some(("cohere", "command-r-plus"))),
            ("embed-english-v3.0", Some(("cohere", "embed-english-v3.0"))),
            ("mistral-large-latest", Some(("mistral", "mistral-large-latest"))),
            ("codestral-latest", Some(("mistral", "codestral-latest"))),
            ("codestral/codestral-latest", Some(("codestral", "codestral-latest"))),
            ("deepseek-chat", Some(("deepseek", "deepseek-chat"))),
            ("grok-4", Some(("xai", "grok-4"))),
            ("vllm/meta-llama/Llama-2-70b-hf", Some(("vllm", "meta-llama/Llama-2-70b-hf"))),
            ("openrouter/openai/gpt-4o", Some(("openrouter", "openai/gpt-4o"))),
            ("bedrock/anthropic.claude", Some(("bedrock", "anthropic.claude"))),
            ("meta-llama/Llama-2-70b-hf", None),
            ("gpt-oss-20b", None),
            ("my-model", None),
            ("", None),
        ] {
            let found = recognise(written).map(|(vendor, model)| (vendor.name, model));
            assert_eq!(found, expected, "{written}");
        }
    }

    #[test]
    fn every_model_leads_to_a_provider() {
        for (start, name) in BY_MODEL {
            assert!(name.is_empty() || vendor(name).is_some(), "{start} leads to {name}");
        }
    }
}
