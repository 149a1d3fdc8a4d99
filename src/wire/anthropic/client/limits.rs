//! What a Messages request can ask for that only Anthropic's own API does.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::wire::client::{Obstacle, Search};
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
            let refusal = impossible(&param, message);
            match kind.starts_with("web_search_") {
                true => obstacle.search(search(body, tool, refusal)),
                false => obstacle.parameter(refusal),
            }
        }
    }
    obstacle
}

/// The search in the web that a tool of Anthropic's asks for.
fn search(body: &Object, tool: &Object, refusal: Failure) -> Search {
    let mut options = Map::new();
    let mut filters = Map::new();
    for name in ["allowed_domains", "blocked_domains"] {
        filters.extend(tool.value(name).filter(|it| !it.is_null()).map(|it| (name.to_owned(), it)));
    }
    if !filters.is_empty() {
        options.insert("filters".to_owned(), filters.into());
    }
    if let Some(Value::Object(mut place)) = tool.value("user_location") {
        place.remove("type");
        let location = json!({"type": "approximate", "approximate": place});
        options.insert("user_location".to_owned(), location);
    }
    let choice = body.object("tool_choice").and_then(|choice| {
        let kind = choice.str("type")?;
        let is_it = kind == "tool" && choice.str("name") == tool.str("name");
        let name = json!({"type": "function", "function": {"name": "web_search"}});
        if is_it { Some(name) } else { (kind == "any").then(|| json!("required")) }
    });
    let most = tool.raw("max_uses").and_then(|raw| raw.parse().ok());
    Search { options: options.into(), most, choice, refusal, may_drop: true }
}

/// The type of a tool that is not the client's own function.
pub(super) fn native_kind(tool: &Object) -> Option<Cow<'_, str>> {
    tool.str("type").filter(|kind| *kind != "custom")
}
