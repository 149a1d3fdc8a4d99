//! How a deployment is made to go on with a reply that another one began.

use crate::catalog::Deployment;
use crate::dialect::Dialect;
use crate::wire;
use crate::wire::json::Object;
use crate::wire::resume::Style;

/// Parameters that make a Claude think, after which it does not take the beginning of an answer.
const THINKING: [&str; 2] = ["thinking", "reasoning_effort"];

/// The style in which `model` of this deployment is asked to go on with the reply to `body`.
#[must_use]
pub fn continuation(deployment: &Deployment, model: &str, body: &Object) -> Style {
    let hint = deployment.info.base_model.as_deref().unwrap_or(model);
    match deployment.dialect {
        Dialect::Anthropic if wire::anthropic::takes_prefill(hint) && !thinks(deployment, body) => {
            Style::Prefix
        }
        // Of other makers' models behind Converse it is not known.
        Dialect::Bedrock
            if hint.contains("claude")
                && wire::anthropic::takes_prefill(hint)
                && !thinks(deployment, body) =>
        {
            Style::Prefix
        }
        Dialect::OpenAi if deployment.quirks.mistral => Style::MarkedPrefix,
        Dialect::OpenAi if deployment.quirks.continues_final_message => Style::FinalMessage,
        Dialect::Anthropic
        | Dialect::OpenAi
        | Dialect::Azure
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Custom
        | Dialect::Bedrock
        | Dialect::Gemini => Style::Instruction,
    }
}

fn thinks(deployment: &Deployment, body: &Object) -> bool {
    let default = |name: &str| deployment.defaults.iter().any(|(written, _)| **written == *name);
    THINKING.into_iter().any(|name| body.is_set(name) || default(name))
}
