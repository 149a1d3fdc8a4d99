//! Where providers have their rerank API, and in which form.

use super::{Layout, Vendor};
use crate::dialect::Endpoint;
use crate::wire::rerank::Form;

/// Providers whose rerank API is not beside their others, or not in the common form: where it is
/// below the host, and in which form. `{root}` stands for what their other APIs are under.
const UNCOMMON: [(&str, &str, Form); 9] = [
    ("cohere", IN_LAYOUT, Form::CohereV2),
    ("cohere_chat", IN_LAYOUT, Form::CohereV2),
    ("azure_ai", "/v1/rerank", Form::Common),
    ("voyage", "{root}/rerank", Form::Voyage),
    ("huggingface", "/rerank", Form::TextEmbeddingsInference),
    // Cohere's form, and beside the API that is like OpenAI's.
    ("deepinfra", "/v1/rerank", Form::Common),
    ("fireworks_ai", "{root}/rerank", Form::Common),
    ("bedrock", IN_LAYOUT, Form::Bedrock),
    ("bedrock_converse", IN_LAYOUT, Form::Bedrock),
];

/// The provider's layout has the path.
const IN_LAYOUT: &str = "";

fn uncommon(provider: &str) -> Option<(&'static str, Form)> {
    let found = UNCOMMON.iter().find(|(name, ..)| *name == provider);
    found.map(|(_, path, form)| (*path, *form))
}

/// How this provider says it.
pub(super) fn form(provider: &str) -> Form {
    uncommon(provider).map_or(Form::Common, |(_, form)| form)
}

/// Puts the path of the rerank API into a provider's layout. `query` goes with every path.
pub(super) fn place(layout: &mut Layout, vendor: &Vendor, query: Option<&str>) {
    let uncommon = uncommon(vendor.name).filter(|(path, _)| *path != IN_LAYOUT);
    let Some((path, _)) = uncommon else { return };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let path = path.replace("{root}", &layout.root);
    layout.paths[Endpoint::Rerank.index()] = Some(format!("{path}{query}").into());
}
