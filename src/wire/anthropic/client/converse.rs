//! What of a Messages request Amazon's Converse passes on to Claude as Anthropic says it.
//!
//! The canonical form has no place for it; for Bedrock alone it is added to it.

use super::limits::native_kind;
use crate::wire::RequestOptions;
use crate::wire::anthropic::betas;
use crate::wire::fields::Fields;
use crate::wire::json::{Edits, Object, elements};

/// Adds betas and Anthropic's own tools to a canonical request. `header` is the client's
/// `anthropic-beta`, `passes` says which types of tools the model gets. `None`: there is nothing.
#[must_use]
pub fn for_converse(
    body: &Object,
    header: &str,
    canonical: &Object,
    options: &RequestOptions<'_>,
    passes: impl Fn(&str) -> bool,
) -> Option<Object> {
    let betas = betas::at_amazon(header, &Fields::gather(body, options));
    let tools = body.slice("tools").map(|tools| elements(&tools)).unwrap_or_default();
    let own = tools.iter().filter(|tool| native_kind(tool).is_some_and(|kind| passes(&kind)));
    let own: Vec<&str> = own.filter_map(|tool| std::str::from_utf8(tool.bytes()).ok()).collect();
    if betas.is_empty() && own.is_empty() {
        return None;
    }
    let mut edits = Edits::new();
    if !betas.is_empty() {
        edits.set("anthropic_beta", &betas);
    }
    if !own.is_empty() {
        let functions = canonical.raw("tools").unwrap_or("[]").trim();
        let functions = functions.trim_start_matches('[').trim_end_matches(']').trim();
        let all = [functions].into_iter().filter(|text| !text.is_empty()).chain(own);
        let all = format!("[{}]", all.collect::<Vec<_>>().join(","));
        edits.set_raw("tools", all.into_bytes());
    }
    Object::parse(canonical.edit(&edits)).ok()
}
