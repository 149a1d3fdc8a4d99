//! What a Messages request can ask for that only Anthropic's own API does.

use std::borrow::Cow;

use crate::wire::client::Obstacle;
use crate::wire::fields::impossible;
use crate::wire::json::{Object, elements};

/// Fields that give the model something which lives at Anthropic.
const HOSTED: [&str; 2] = ["mcp_servers", "container"];

/// What no provider but Anthropic can do: tools that run at Anthropic or that only its models know,
/// and what is kept there. The canonical form has none of it.
pub fn unserved(body: &Object) -> Obstacle {
    unserved_but(body, |_| false)
}

/// The same for a provider that gives the model the tools of Anthropic's whose types `passes` names.
pub fn unserved_but(body: &Object, passes: impl Fn(&str) -> bool) -> Obstacle {
    const ELSEWHERE: &str = "and the model is served by another provider. Leave it out, or set \
                             `drop_params` to have it dropped.";
    let mut obstacle = Obstacle::default();
    for name in HOSTED {
        if body.raw(name).is_some_and(|raw| !matches!(raw, "null" | "[]" | "{}")) {
            let message = format!("{name}: only Anthropic's own API has this, {ELSEWHERE}");
            obstacle.parameter(impossible(name, message));
        }
    }
    let tools = body.slice("tools").map(|tools| elements(&tools)).unwrap_or_default();
    for (at, tool) in tools.iter().enumerate() {
        if let Some(kind) = native_kind(tool).filter(|kind| !passes(kind)) {
            let param = format!("tools.{at}");
            let message =
                format!("{param}: tools of type `{kind}` are Anthropic's own, {ELSEWHERE}");
            obstacle.parameter(impossible(&param, message));
        }
    }
    obstacle
}

/// The type of a tool that is not the client's own function.
pub(super) fn native_kind(tool: &Object) -> Option<Cow<'_, str>> {
    tool.str("type").filter(|kind| *kind != "custom")
}
