//! The tool `local_shell`, which runs commands where the client is: a function to other models.

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};

use crate::wire::chat::Raw;

/// The tool's type, and its name as a function.
pub(super) const TOOL: &str = "local_shell";

pub(super) const DESCRIPTION: &str =
    "Runs a command in a shell on the user's machine and returns what it printed.";

const PARAMETERS: &str = r#"{"type":"object","properties":{"command":{"type":"array","items":{"type":"string"},"description":"The program and its arguments."},"working_directory":{"type":"string"},"timeout_ms":{"type":"integer"}},"required":["command"],"additionalProperties":false}"#;

/// What the function takes.
pub(super) fn parameters() -> Option<Raw<'static>> {
    serde_json::from_str(PARAMETERS).ok()
}

/// What the client is to run, from the arguments of a call. Models write a whole line as one text, too.
pub(super) fn action(arguments: &str) -> Box<RawValue> {
    let mut fields: Map<String, Value> = serde_json::from_str(arguments).unwrap_or_default();
    let command = match fields.remove("command") {
        Some(Value::String(line)) => json!(["bash", "-lc", line]),
        Some(command @ Value::Array(_)) => command,
        _ => json!([]),
    };
    let mut action = json!({"type": "exec", "command": command, "env": {}});
    for name in ["working_directory", "timeout_ms", "user", "env"] {
        if let Some(value) = fields.remove(name).filter(|value| !value.is_null()) {
            action[name] = value;
        }
    }
    to_raw_value(&action).unwrap_or_default()
}

/// The arguments of the call that an action came from.
pub(super) fn arguments(action: Option<Raw<'_>>) -> String {
    let read = |raw: Raw<'_>| serde_json::from_str::<Map<String, Value>>(raw.get()).ok();
    let mut fields = action.and_then(read).unwrap_or_default();
    fields.remove("type");
    fields.retain(|_, value| !value.is_null() && *value != json!({}));
    Value::from(fields).to_string()
}
