//! What Mistral spells otherwise than OpenAI, outside of messages. Its schema is closed: what it does
//! not know is refused.

use bytes::Bytes;
use serde_json::Value;

use super::request::Draft;
use crate::dialect::Endpoint;
use crate::failure::Failure;
use crate::wire::RequestOptions;
use crate::wire::fields::unsupported;
use crate::wire::json::{Edits, Object, elements};

/// Parameters that change nothing in what is answered, and that it does not know.
const UNKNOWN: [&str; 7] = [
    "user",
    "stream_options",
    "store",
    "safety_identifier",
    "prompt_cache_options",
    "prompt_cache_retention",
    "moderation",
];

/// Respells the parameters of a request.
///
/// # Errors
/// There are tools that take free text, which it has not, and `drop_params` is not set.
pub(super) fn respell(draft: &mut Draft<'_>, options: &RequestOptions<'_>) -> Result<(), Failure> {
    draft.rename("seed", "random_seed");
    if options.endpoint == Endpoint::Embeddings {
        draft.rename("dimensions", "output_dimension");
    }
    for name in UNKNOWN {
        draft.edits.remove(name);
    }
    tools(draft, options)?;
    if draft.raw("tool_choice") == Some(b"\"required\"") {
        draft.edits.set_raw("tool_choice", &b"\"any\""[..]);
    }
    // A parameter that is sent as `null` is refused like a foreign one.
    draft.remove_nulls();
    Ok(())
}

/// Functions only, and of these the ones that may be called: it has no list of allowed tools.
fn tools(draft: &mut Draft<'_>, options: &RequestOptions<'_>) -> Result<(), Failure> {
    let Some(written) = draft.slice("tools").filter(|tools| tools.starts_with(b"[")) else {
        return Ok(());
    };
    let choice = draft.slice("tool_choice").and_then(|choice| Object::parse(choice).ok());
    let kind = choice.as_ref().and_then(|choice| choice.str("type")).unwrap_or_default();
    let allowed = choice.as_ref().filter(|_| kind == "allowed_tools").map(Allowed::read);
    let all = elements(&written);
    let (custom, mut kept): (Vec<&Object>, Vec<&Object>) =
        all.iter().partition(|tool| tool.str("type").as_deref() == Some("custom"));
    let lacks = |tool: &&Object| tool.object("function").is_some_and(|it| !it.is_set("parameters"));
    let is_whole = !all.iter().any(|tool| lacks(&tool));
    if custom.is_empty() && allowed.is_none() && is_whole {
        return Ok(());
    }
    if !custom.is_empty() && !options.drop_params {
        return Err(unsupported("Mistral's", "tools[].custom"));
    }
    if let Some(allowed) = &allowed {
        kept.retain(|tool| name_of(tool).is_some_and(|name| allowed.names.contains(&name)));
        draft.edits.set("tool_choice", allowed.mode);
    } else if kind == "custom" {
        draft.edits.remove("tool_choice");
    }
    if kept.is_empty() {
        draft.edits.remove("tools");
        draft.edits.remove("tool_choice");
        return Ok(());
    }
    let kept: Vec<Bytes> = kept.into_iter().map(with_parameters).collect();
    let texts: Vec<&[u8]> = kept.iter().map(|tool| &tool[..]).collect();
    draft.edits.set_raw("tools", [b"[", &texts.join(&b","[..])[..], b"]"].concat());
    Ok(())
}

/// A function that takes nothing has to say so.
fn with_parameters(tool: &Object) -> Bytes {
    let function = tool.object("function").filter(|function| !function.is_set("parameters"));
    let Some(function) = function else { return tool.bytes().clone() };
    let mut parameters = Edits::new();
    parameters.set_raw("parameters", &br#"{"type":"object","properties":{}}"#[..]);
    let mut edits = Edits::new();
    edits.set_raw("function", function.edit(&parameters).to_vec());
    tool.edit(&edits)
}

/// A choice among some of the tools.
struct Allowed {
    mode: &'static str,
    names: Vec<String>,
}

impl Allowed {
    fn read(choice: &Object) -> Self {
        let nested = choice.object("allowed_tools");
        let list = nested.as_ref().unwrap_or(choice);
        let is_forced = list.str("mode").as_deref() == Some("required");
        let tools = list.slice("tools").map(|tools| elements(&tools)).unwrap_or_default();
        Self {
            mode: if is_forced { "any" } else { "auto" },
            names: tools.iter().filter_map(name_of).collect(),
        }
    }
}

fn name_of(tool: &Object) -> Option<String> {
    let nested = tool.value("function");
    let name = nested.as_ref().and_then(|function| function.get("name")).and_then(Value::as_str);
    name.map(str::to_owned).or_else(|| tool.str("name").map(Into::into))
}
