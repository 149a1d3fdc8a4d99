//! What of a request a mapping takes: nothing that changes an answer's form is left out in silence, and
//! a mapping that takes the texts of messages gets texts.

use std::borrow::Cow;

use serde_json::Value;

use crate::failure::Failure;
use crate::mapping::Template;
use crate::wire::RequestOptions;
use crate::wire::fields::{impossible, unsupported};

const PROVIDER: &str = "this provider's";

/// What changes the form of an answer. A client that asks for it and gets another one is misled; the
/// settings of a model (`temperature`, `top_p`, ...) change only which answer comes.
const FORMS: &[&str] = &[
    "audio",
    "function_call",
    "functions",
    "logprobs",
    "modalities",
    "n",
    "response_format",
    "tool_choice",
    "tools",
    "top_logprobs",
    "web_search_options",
];

/// Whether a parameter is to be sent.
///
/// # Errors
/// The mapping does not use it, the answer would have another form without it, and dropping it is not
/// allowed.
pub(super) fn takes(
    template: &Template,
    options: &RequestOptions<'_>,
    (name, raw): (&str, &str),
) -> Result<bool, Failure> {
    let lacks = FORMS.contains(&name) && asks(name, raw) && !template.uses(name);
    if !lacks || options.allowed.iter().any(|allowed| **allowed == *name) {
        return Ok(true);
    }
    if options.drop_params { Ok(false) } else { Err(unsupported(PROVIDER, name)) }
}

/// Whether the value asks for something.
fn asks(name: &str, raw: &str) -> bool {
    match name {
        "n" => raw != "1",
        "tools" | "functions" => raw != "[]",
        "tool_choice" | "function_call" => !matches!(raw, "\"auto\"" | "\"none\""),
        "logprobs" => raw != "false",
        "top_logprobs" => raw != "0",
        "modalities" => raw != "[\"text\"]",
        "response_format" => {
            let format: Value = serde_json::from_str(raw).unwrap_or_default();
            format.get("type").and_then(Value::as_str) != Some("text")
        }
        _ => true,
    }
}

/// The messages as the mapping takes them. One that looks at their `content` expects a text there, so
/// parts become one, and nothing the empty one; unless it looks for other parts itself. One that sends
/// the messages on as they are sends all of them. Calls of tools that it does not look for are refused
/// as tools are: without them their results would answer nothing.
///
/// # Errors
/// There is something in a message that is no text, or a call.
pub(super) fn messages<'a>(
    template: &Template,
    options: &RequestOptions<'_>,
    raw: &'a str,
) -> Result<Cow<'a, str>, Failure> {
    const OTHER_PARTS: [&str; 4] = ["image_url", "input_audio", "file", "type"];
    if !template.uses("content") || OTHER_PARTS.iter().any(|word| template.uses(word)) {
        return Ok(raw.into());
    }
    let Ok(Value::Array(mut messages)) = serde_json::from_str(raw) else { return Ok(raw.into()) };
    for (at, message) in messages.iter_mut().enumerate() {
        let Value::Object(message) = message else { continue };
        for name in ["tool_calls", "function_call"] {
            let calls = message.get(name).is_some_and(|calls| match calls {
                Value::Array(calls) => !calls.is_empty(),
                other => !other.is_null(),
            });
            if calls && !template.uses(name) && !options.drop_params {
                let param = format!("messages[{at}].{name}");
                let message = format!(
                    "the mapping of this provider has no place for calls of tools: '{param}'"
                );
                return Err(impossible(&param, message));
            }
        }
        match message.get("content") {
            None | Some(Value::Null) => {
                message.insert("content".to_owned(), "".into());
            }
            Some(Value::Array(parts)) => {
                let text = joined(parts, at)?;
                message.insert("content".to_owned(), text.into());
            }
            Some(_) => {}
        }
    }
    Ok(Value::Array(messages).to_string().into())
}

fn joined(parts: &[Value], message: usize) -> Result<String, Failure> {
    let mut texts = Vec::with_capacity(parts.len());
    for (at, part) in parts.iter().enumerate() {
        let text = ["text", "refusal"].into_iter().find_map(|name| part.get(name)?.as_str());
        let Some(text) = text.or(part.as_str()) else {
            let kind = part.get("type").and_then(Value::as_str).unwrap_or("unknown");
            let param = format!("messages[{message}].content[{at}]");
            let message = format!(
                "the mapping of this provider takes texts only, and '{param}' is of type `{kind}`"
            );
            return Err(impossible(&param, message));
        };
        texts.push(text);
    }
    Ok(texts.join("\n"))
}
