//! What of a canonical conversation is said in another way, or left out, at a deployment, whatever its
//! dialect: done here once, so that no translator needs to know it.

use super::call::Call;
use crate::catalog::{Capability, Deployment, PriceBook};
use crate::dialect::{Dialect, Endpoint};
use crate::wire;
use crate::wire::json::{Edits, Object};

/// The conversation of a chat client with its thoughts where all translators look for them, unless the
/// provider reads them as they stand.
pub(super) fn thoughts(deployment: &Deployment, body: &Object, call: &Call<'_>) -> Option<Object> {
    if call.endpoint != Endpoint::Chat || call.native.is_some() {
        return None;
    }
    let (dialect, quirks) = (deployment.dialect, deployment.quirks);
    if dialect == Dialect::Anthropic || dialect == Dialect::Bedrock && quirks.invoke {
        return None;
    }
    wire::chat::gather_thoughts(body, |part| {
        let is_list = part.raw("thinking").is_some_and(|raw| raw.starts_with('['));
        match dialect {
            Dialect::Cohere => !is_list && part.is_set("thinking") && !part.is_set("signature"),
            _ => quirks.mistral && is_list,
        }
    })
}

/// A conversation without the client's wish that the model think, where it is one and the model is
/// known not to. The other dialects know their models themselves.
pub(super) fn without_thinking(
    deployment: &Deployment,
    body: &Object,
    call: &Call<'_>,
    model: &str,
) -> Option<Object> {
    const WISHES: [&str; 2] = ["reasoning_effort", "thinking"];
    let by_book = matches!(deployment.dialect, Dialect::OpenAi | Dialect::Azure | Dialect::Cohere);
    let wished = WISHES.iter().any(|name| body.is_set(name));
    if !(by_book && wished && call.endpoint == Endpoint::Chat && call.has_hints()) {
        return None;
    }
    let thinks = deployment.info.capabilities.get(Capability::Reasoning).or_else(|| {
        let book = PriceBook::built_in();
        let listed = book.get(&deployment.provider, model)?;
        let is_described = listed.supports("function_calling").is_some()
            || listed.supports("tool_choice").is_some()
            || listed.supports("web_search").is_some();
        is_described.then(|| listed.supports("reasoning") == Some(true))
    });
    if thinks != Some(false) {
        return None;
    }
    let mut edits = Edits::new();
    WISHES.iter().for_each(|name| edits.remove(*name));
    Object::parse(body.edit(&edits)).ok()
}

/// A conversation whose tools of free text are functions, for providers that know no others; `None`:
/// there are none, or the provider may know them, as OpenAI's models do.
pub(super) fn functions(deployment: &Deployment, body: &Object, call: &Call<'_>) -> Option<Object> {
    let lacks = match deployment.dialect {
        Dialect::OpenAi => deployment.quirks.mistral,
        Dialect::Azure | Dialect::Custom => false,
        Dialect::Anthropic
        | Dialect::Bedrock
        | Dialect::Gemini
        | Dialect::Cohere
        | Dialect::Ollama => true,
    };
    if lacks && call.endpoint == Endpoint::Chat { wire::freeform::as_functions(body) } else { None }
}
