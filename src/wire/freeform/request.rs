//! A chat request whose tools of the type `custom` are functions, for providers that know no others.

use bytes::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

use super::{arguments, description, parameters};
use crate::wire::fields::Text;
use crate::wire::json::{Edits, Object, map_elements};

const CUSTOM: &str = "custom";
const QUOTED: &[u8] = b"\"custom\"";

/// The names of the tools that take free text in a chat client's request.
#[must_use]
pub fn names(request: Option<&Object>) -> Vec<String> {
    let Some(tools) = request.and_then(|request| request.raw("tools")) else { return Vec::new() };
    if memmem::find(tools.as_bytes(), QUOTED).is_none() {
        return Vec::new();
    }
    let tools: Vec<Value> = serde_json::from_str(tools).unwrap_or_default();
    tools.iter().filter_map(name).map(str::to_owned).collect()
}

/// The request with functions in place of such tools, of a choice of them and of their calls; `None`:
/// it has none.
#[must_use]
pub fn as_functions(request: &Object) -> Option<Object> {
    memmem::find(request.bytes(), QUOTED)?;
    let mut edits = Edits::new();
    if let Some(tools) = request.slice("tools").and_then(|all| map_elements(&all, tool)) {
        edits.set_raw("tools", tools.to_vec());
    }
    if let Some(mut choice) = request.value("tool_choice").filter(Value::is_object) {
        named(&mut choice);
        let listed = choice.pointer_mut("/allowed_tools/tools").and_then(Value::as_array_mut);
        listed.into_iter().flatten().for_each(named);
        edits.set("tool_choice", &choice);
    }
    if let Some(messages) = request.slice("messages").and_then(|all| map_elements(&all, message)) {
        edits.set_raw("messages", messages.to_vec());
    }
    Object::parse(request.edit(&edits)).ok()
}

fn name(tool: &Value) -> Option<&str> {
    let is_custom = tool.get("type").and_then(Value::as_str) == Some(CUSTOM);
    tool.pointer("/custom/name").and_then(Value::as_str).filter(|_| is_custom)
}

fn tool(tool: &Object) -> Option<Bytes> {
    let written = Object::value(tool, CUSTOM).filter(|_| is_custom(tool))?;
    let text = |pointer: &str| written.pointer(pointer).and_then(Value::as_str);
    let grammar = text("/format/grammar/syntax").zip(text("/format/grammar/definition"));
    let grammar = grammar.map(|(syntax, rules)| (syntax.into(), rules.into()));
    let mut function = json!({"name": text("/name")?, "parameters": parameters()});
    if let Some(said) = description(text("/description").map(Text::from), grammar) {
        function["description"] = (*said).into();
    }
    let mut edits = Edits::new();
    edits.remove(CUSTOM);
    edits.set("type", "function");
    edits.set("function", &function);
    tool.changed(&edits)
}

fn is_custom(object: &Object) -> bool {
    object.str("type").as_deref() == Some(CUSTOM)
}

fn named(choice: &mut Value) {
    if let Some(name) = name(choice) {
        *choice = json!({"type": "function", "function": {"name": name}});
    }
}

fn message(message: &Object) -> Option<Bytes> {
    let calls = map_elements(&message.slice("tool_calls")?, |call| {
        let custom = call.value(CUSTOM).filter(|_| is_custom(call))?;
        let text = |name: &str| custom.get(name).and_then(Value::as_str);
        let arguments = arguments(text("input").unwrap_or_default());
        let mut edits = Edits::new();
        edits.remove(CUSTOM);
        edits.set("type", "function");
        edits.set("function", &json!({"name": text("name")?, "arguments": arguments}));
        call.changed(&edits)
    })?;
    let mut edits = Edits::new();
    edits.set_raw("tool_calls", calls.to_vec());
    message.changed(&edits)
}
