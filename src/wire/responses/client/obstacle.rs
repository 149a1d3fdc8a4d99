//! What only a provider with a Responses API of its own can do.

use serde::Deserialize;

use super::items::is_known;
use super::shell;
use super::tools::is_search;
use crate::failure::{Failure, FailureClass};
use crate::wire::chat::Raw;
use crate::wire::fields::Text;
use crate::wire::json::Object;

#[derive(Default, Deserialize)]
struct Kind<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<Raw<'a>>,
    #[serde(borrow, default)]
    output: Option<Raw<'a>>,
    #[serde(borrow, default)]
    image_url: Option<Raw<'a>>,
}

/// Why a request cannot go to a provider without a Responses API; `None` if it can. Another
/// deployment may be able to serve it. `drops`: tools that run at OpenAI may be left out, as
/// [`super::request`] does. `searches`: the provider has a search in the web of its own.
#[must_use]
pub fn obstacle(body: &Object, drops: bool, searches: bool) -> Option<Failure> {
    if body.is_set("previous_response_id") {
        return Some(refusal(
            "previous_response_id",
            "previous_response_not_supported",
            "The provider of this model keeps no responses, so there is none to go on from: send \
             the whole conversation in `input`.",
        ));
    }
    for name in ["conversation", "prompt"] {
        if body.is_set(name) {
            let message = format!("The provider of this model has no `{name}` objects.");
            return Some(refusal(name, "unsupported_parameter", message));
        }
    }
    if body.bool("background") == Some(true) {
        let message = "The provider of this model cannot make a response in the background.";
        return Some(refusal("background", "background_not_supported", message));
    }
    let is_served = |kind: &str| searches && is_search(kind);
    let tool = match drops {
        true => None,
        false => tools(body, is_served).or_else(|| choice(body, is_served)),
    };
    tool.or_else(|| input(body))
}

fn tools(body: &Object, is_served: impl Fn(&str) -> bool) -> Option<Failure> {
    let tools = list(body.raw("tools")?);
    tools.iter().enumerate().find_map(|(at, raw)| {
        let kind = kind_of(raw).kind?;
        let is_clients = matches!(&*kind, "function" | "custom" | "namespace" | shell::TOOL);
        (!is_clients && !is_served(&kind)).then(|| no_tool(&format!("tools[{at}]"), &kind))
    })
}

/// The refusal of a tool that the provider has not.
pub(super) fn no_tool(param: &str, kind: &str) -> Failure {
    // These run at the client, but the model has to know them.
    let of_models = ["apply_patch", "shell", "computer", "tool_search"];
    let why = match of_models.iter().any(|start| kind.starts_with(start)) {
        true => "is known to OpenAI's models only",
        false => "runs at OpenAI",
    };
    let message = format!(
        "The tool `{kind}` {why}; the provider of this model has none of that type. Leave it out, \
         or set `drop_params` to have it dropped."
    );
    refusal(param, "unsupported_tool", message)
}

fn choice(body: &Object, is_served: impl Fn(&str) -> bool) -> Option<Failure> {
    let raw = body.raw("tool_choice").filter(|raw| raw.starts_with('{'))?;
    let kind = serde_json::from_str::<Kind<'_>>(raw).ok()?.kind?;
    let is_clients = matches!(&*kind, "function" | "custom" | "allowed_tools" | shell::TOOL);
    if is_clients || is_served(&kind) {
        return None;
    }
    let message = format!("The provider of this model has no tools of the type `{}`.", kind.0);
    Some(refusal("tool_choice", "unsupported_tool", message))
}

fn input(body: &Object) -> Option<Failure> {
    let items = list(body.raw("input").filter(|raw| raw.starts_with('['))?);
    items.iter().enumerate().find_map(|(at, raw)| {
        let item = kind_of(raw);
        let kind = item.kind.as_deref().unwrap_or("message");
        let param = format!("input[{at}]");
        if kind == "item_reference" {
            let message = "The provider of this model keeps no items: send the item itself.";
            return Some(refusal(&param, "previous_response_not_supported", message));
        }
        if !is_known(kind) {
            let message = format!("The provider of this model has no items of the type `{kind}`.");
            return Some(refusal(&param, "unsupported_item", message));
        }
        let parts = [("content", item.content), ("output", item.output)];
        let parts = parts.into_iter().filter_map(|(name, raw)| {
            let raw = raw.filter(|raw| raw.get().starts_with('['))?;
            Some((name, list(raw.get())))
        });
        parts.flat_map(|(name, parts)| parts.into_iter().map(move |part| (name, part))).find_map(
            |(name, part)| {
                let part = kind_of(part);
                let is_stored = part.kind.as_deref() == Some("input_image")
                    && part.image_url.is_none_or(|url| url.get() == "null");
                let message = "An image that is kept at OpenAI can only be shown there: send its \
                               `image_url`.";
                is_stored.then(|| refusal(&format!("{param}.{name}"), "unsupported_value", message))
            },
        )
    })
}

fn list(raw: &str) -> Vec<Raw<'_>> {
    serde_json::from_str(raw).unwrap_or_default()
}

fn kind_of(raw: Raw<'_>) -> Kind<'_> {
    serde_json::from_str(raw.get()).unwrap_or_default()
}

/// A refusal after which another deployment is asked: it may be one that can.
fn refusal(param: &str, code: &str, message: impl Into<String>) -> Failure {
    // Nobody was asked, so another deployment may be.
    Failure {
        kind: Some("invalid_request_error".into()),
        code: Some(code.into()),
        param: Some(param.into()),
        blameless: true,
        ..Failure::new(FailureClass::BadRequest, message)
    }
}
