//! The labels that the configuration adds to the metrics of a request: from its metadata, from that of its
//! key and its team, and from its tags.

use serde_json::{Map, Value};

use super::ctx::{Call, RequestCtx};
use crate::keys::Caller;
use crate::snapshot::{CustomLabel, LabelOf};
use crate::wildcard::matches;

/// Names and values; nothing where nothing is configured.
pub(super) fn of(ctx: &RequestCtx, call: &Call) -> Vec<(Box<str>, String)> {
    let custom = &ctx.snapshot.shown.custom;
    if custom.is_empty() {
        return Vec::new();
    }
    let body = call.native.as_ref().unwrap_or(&call.body);
    let written = ["metadata", "litellm_metadata"].into_iter().find_map(|name| body.value(name));
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    let of_team = holder.and_then(|holder| holder.team.as_deref()).map(|team| &team.metadata);
    // What the operators have written is not the client's to change.
    let known = [
        holder.map(|holder| &holder.key.metadata),
        of_team,
        written.as_ref().and_then(Value::as_object),
    ];
    let value = |label: &CustomLabel| match &label.of {
        LabelOf::Tag(pattern) => {
            Some(call.tags.iter().any(|tag| matches(pattern, tag)).to_string())
        }
        LabelOf::Metadata(way) => known.iter().flatten().find_map(|fields| text(fields, way)),
    };
    custom.iter().filter_map(|label| Some((label.name.clone(), value(label)?))).collect()
}

/// What stands at the end of a way.
fn text(fields: &Map<String, Value>, way: &[Box<str>]) -> Option<String> {
    let (first, rest) = way.split_first()?;
    let found = rest.iter().try_fold(fields.get(&**first)?, |value, name| value.get(&**name))?;
    match found {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(found.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_found_by_their_way() {
        let fields = json!({"a": {"b": 1}, "c": "x", "d": [1]});
        let of = |way: &str| {
            let way: Vec<Box<str>> = way.split('.').map(Box::from).collect();
            text(fields.as_object().unwrap(), &way)
        };
        assert_eq!(of("a.b").as_deref(), Some("1"));
        assert_eq!(of("c").as_deref(), Some("x"));
        assert_eq!((of("d"), of("a"), of("a.b.c"), of("e")), (None, None, None, None));
    }
}
