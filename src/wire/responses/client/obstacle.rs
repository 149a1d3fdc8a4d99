//! What only a provider with a Responses API of its own can do.

use serde::Deserialize;

use super::items::is_known;
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
/// [`super::request`] does.
#[must_use]
pub fn obstacle(body: &Object, drops: bool) -> Option<Failure> {
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
    let tool = if drops { None } else { tools(body).or_else(|| choice(body)) };
    tool.or_else(|| input(body))
}

fn tools(body: &Object) -> Option<Failure> {
    let tools = list(body.raw("tools")?);
    let foreign = tools.iter().enumerate().find_map(|(at, raw)| {
        let kind = kind_of(raw).kind?;
        (!matches!(&*kind, "function" | "custom")).then_some((at, kind))
    });
    let (at, kind) = foreign?;
    let message = format!(
        "The tool `{}` runs at OpenAI; the provider of this model has none of that type. Leave it \
         out, or set `drop_params` to have it dropped.",
        kind.0
    );
    Some(refusal(&format!("tools[{at}]"), "unsupported_tool", message))
}

fn choice(body: &Object) -> Option<Failure> {
    let raw = body.raw("tool_choice").filter(|raw| raw.starts_with('{'))?;
    let kind = serde_json::from_str::<Kind<'_>>(raw).ok()?.kind?;
    if matches!(&*kind, "function" | "custom" | "allowed_tools") {
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
