//! What a Messages request can ask for that only Anthropic's own API does.

use std::borrow::Cow;

use crate::failure::Failure;
use crate::wire::fields::impossible;
use crate::wire::json::{Object, elements};

/// Fields that give the model something which lives at Anthropic.
const HOSTED: [&str; 2] = ["mcp_servers", "container"];

/// Refuses a request for what `provider` cannot do, unless it may be dropped: tools that run at
/// Anthropic or that only its models know, and what is kept there. The canonical form has none of
/// it.
///
/// # Errors
/// The field is named.
pub fn unserved(body: &Object, provider: &str, drop_params: bool) -> Result<(), Failure> {
    if drop_params {
        return Ok(());
    }
    for name in HOSTED {
        let asks = body.raw(name).is_some_and(|raw| !matches!(raw, "null" | "[]" | "{}"));
        if asks {
            let message = format!(
                "{name}: only Anthropic's own API has this, and the model is served by {provider}. \
                 Leave it out, or set `drop_params` to have it dropped."
            );
            return Err(impossible(name, message));
        }
    }
    let tools = body.slice("tools").map(|tools| elements(&tools)).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        if let Some(kind) = native_kind(tool) {
            let param = format!("tools.{at}");
            let message = format!(
                "{param}: tools of type `{kind}` are Anthropic's own, and the model is served by \
                 {provider}. Leave it out, or set `drop_params` to have it dropped."
            );
            return Err(impossible(&param, message));
        }
    }
    Ok(())
}

/// The type of a tool that is not the client's own function.
pub(super) fn native_kind(tool: &Object) -> Option<Cow<'_, str>> {
    tool.str("type").filter(|kind| *kind != "custom")
}
