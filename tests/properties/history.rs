//! A conversation as it is meant, and as each client's dialect writes it.

use serde_json::{Map, Value, json};

use crate::source::Source;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    System,
    User,
    Assistant,
}

/// What is sealed in a history: whose signatures stand in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sealed {
    Nothing,
    Claude,
    Google,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Text(String),
    /// Base64.
    Image {
        media_type: String,
        data: String,
    },
    /// A PDF, in base64.
    File {
        data: String,
    },
    Thought {
        text: String,
        signature: String,
    },
    Call {
        id: String,
        name: String,
        input: Value,
        signature: Option<String>,
    },
    Result {
        id: String,
        text: String,
        is_error: bool,
    },
}

pub(crate) type Turn = (Side, Vec<Event>);

#[derive(Debug)]
pub(crate) struct History {
    pub(crate) turns: Vec<Turn>,
    pub(crate) sealed: Sealed,
    /// Gemini's clients need no ids.
    pub(crate) has_ids: bool,
}

/// How ids are written by those who make them: ours, Anthropic's, Kimi's, and one that hides something.
fn id(source: &mut Source<'_>, number: usize) -> String {
    match source.below(5) {
        0 => format!("call_{number}"),
        1 => format!("toolu_01A{number}"),
        2 => format!("functions.get:{number}"),
        3 => format!("call_{number}__thought__{}", "s+/=".repeat(40)),
        _ => format!("\u{e9} {number}"),
    }
}

/// A legal conversation: each call is answered right after the turn that made it, in any order, and
/// the user has the last word.
pub(crate) fn history(source: &mut Source<'_>) -> History {
    let sealed = source.pick(&[Sealed::Nothing, Sealed::Claude, Sealed::Google]);
    let has_ids = source.once_in(2);
    let mut turns: Vec<Turn> = Vec::new();
    let mut number = 0;
    let mut said = |source: &mut Source<'_>| {
        number += 1;
        match source.below(10) {
            // Some models refuse what says nothing.
            0 => Event::Text(String::new()),
            1 => Event::Text(source.pick(&[" ", "\n", " \t"]).to_owned()),
            2 => {
                let media_type =
                    source.pick(&["image/png", "image/jpeg", "image/gif", "image/webp"]);
                Event::Image { media_type: media_type.to_owned(), data: source.data(number) }
            }
            3 if source.once_in(4) => Event::File { data: source.data(number) },
            _ => Event::Text(format!("t{number} {}", source.text())),
        }
    };
    let mut made = 0;
    for _ in 0..source.below(8) {
        match source.below(6) {
            0 => {
                turns.push((Side::System, vec![Event::Text(format!("s{made} {}", source.text()))]))
            }
            1 | 2 => {
                let events = (0..=source.below(3)).map(|_| said(source)).collect();
                turns.push((Side::User, events));
            }
            kind => {
                let mut events = Vec::new();
                made += 1;
                if sealed == Sealed::Claude {
                    let (text, signature) = (source.text(), source.data(made));
                    events.push(Event::Thought { text, signature });
                }
                if kind == 3 || source.once_in(2) {
                    events.push(Event::Text(format!("a{made} {}", source.text())));
                } else if source.once_in(4) {
                    events.push(Event::Text(String::new()));
                }
                let mut results = Vec::new();
                for at in 0..if kind == 3 { 0 } else { 1 + source.below(3) } {
                    let id = id(source, made * 10 + at);
                    let signature =
                        (sealed == Sealed::Google && at == 0).then(|| source.data(made));
                    let name =
                        source.pick(&["get_weather", "f", "Search-2", "_private"]).to_owned();
                    events.push(Event::Call {
                        id: id.clone(),
                        name,
                        input: source.object(),
                        signature,
                    });
                    let text = match source.below(5) {
                        0 => String::new(),
                        1 => source.object().to_string(),
                        _ => source.text(),
                    };
                    results.push(Event::Result { id, text, is_error: source.once_in(4) });
                }
                turns.push((Side::Assistant, events));
                if !results.is_empty() {
                    // Without ids they are known by their order.
                    if has_ids {
                        let by = source.below(results.len());
                        results.rotate_left(by);
                    }
                    results.extend((0..source.below(2)).map(|_| said(source)));
                    turns.push((Side::User, results));
                }
            }
        }
    }
    turns.push((Side::User, vec![Event::Text(format!("last {}", source.text()))]));
    History { turns, sealed, has_ids }
}

fn data_url(media_type: &str, data: &str) -> String {
    format!("data:{media_type};base64,{data}")
}

/// Leaves out what is nothing.
fn object(fields: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(fields.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

fn google(signature: &Option<String>) -> Value {
    signature.as_ref().map_or(Value::Null, |it| json!({"google": {"thought_signature": it}}))
}

/// The history as a chat completion, in all the ways in which clients write one.
pub(crate) fn chat(history: &History, source: &mut Source<'_>) -> Value {
    let mut messages = Vec::new();
    for (side, events) in &history.turns {
        let mut parts = Vec::new();
        let (mut calls, mut thoughts) = (Vec::new(), Vec::new());
        for event in events {
            match event {
                Event::Text(text) => parts.push(json!({"type": "text", "text": text})),
                Event::Image { media_type, data } => {
                    let url = data_url(media_type, data);
                    parts.push(json!({"type": "image_url", "image_url": {"url": url}}));
                }
                Event::File { data } => {
                    let file = json!({"filename": "a.pdf", "file_data": data_url("application/pdf", data)});
                    parts.push(json!({"type": "file", "file": file}));
                }
                Event::Thought { text, signature } => thoughts
                    .push(json!({"type": "thinking", "thinking": text, "signature": signature})),
                Event::Call { id, name, input, signature } => {
                    let function = json!({"name": name, "arguments": input.to_string()});
                    calls.push(object([
                        ("id", id.as_str().into()),
                        ("type", "function".into()),
                        ("function", function),
                        ("extra_content", google(signature)),
                    ]));
                }
                Event::Result { id, text, is_error } => messages.push(object([
                    ("role", "tool".into()),
                    ("tool_call_id", id.as_str().into()),
                    ("content", text.as_str().into()),
                    ("is_error", if *is_error { true.into() } else { Value::Null }),
                ])),
            }
        }
        let answers = events.iter().any(|event| matches!(event, Event::Result { .. }));
        if answers && parts.is_empty() {
            continue;
        }
        let role = match side {
            Side::System => source.pick(&["system", "developer"]),
            Side::User => "user",
            Side::Assistant => "assistant",
        };
        let content = match &*parts {
            [] => Value::Null,
            [only] if only["type"] == "text" && source.once_in(2) => only["text"].clone(),
            _ => parts.into(),
        };
        messages.push(object([
            ("role", role.into()),
            ("content", content),
            ("thinking_blocks", if thoughts.is_empty() { Value::Null } else { thoughts.into() }),
            ("tool_calls", if calls.is_empty() { Value::Null } else { calls.into() }),
        ]));
    }
    json!({"model": "m", "messages": messages, "tools": declared("chat")})
}

/// The history for Anthropic's Messages API.
pub(crate) fn messages(history: &History, source: &mut Source<'_>) -> Value {
    let mut system = Vec::new();
    let mut turns: Vec<Value> = Vec::new();
    for (side, events) in &history.turns {
        let blocks: Vec<Value> = events
            .iter()
            .map(|event| match event {
                Event::Text(text) => json!({"type": "text", "text": text}),
                Event::Image { media_type, data } => {
                    let from = json!({"type": "base64", "media_type": media_type, "data": data});
                    json!({"type": "image", "source": from})
                }
                Event::File { data } => {
                    let from =
                        json!({"type": "base64", "media_type": "application/pdf", "data": data});
                    json!({"type": "document", "source": from})
                }
                Event::Thought { text, signature } => {
                    json!({"type": "thinking", "thinking": text, "signature": signature})
                }
                Event::Call { id, name, input, .. } => {
                    json!({"type": "tool_use", "id": id, "name": name, "input": input})
                }
                Event::Result { id, text, is_error } => {
                    let content = if source.once_in(2) {
                        text.as_str().into()
                    } else {
                        json!([{"type": "text", "text": text}])
                    };
                    let (kind, error) = ("tool_result", *is_error);
                    json!({"type": kind, "tool_use_id": id, "content": content, "is_error": error})
                }
            })
            .collect();
        if *side == Side::System && turns.is_empty() {
            system.extend(blocks);
            continue;
        }
        let role = match side {
            Side::System => "system",
            Side::User => "user",
            Side::Assistant => "assistant",
        };
        let content = match &*blocks {
            [only] if only["type"] == "text" && source.once_in(2) => only["text"].clone(),
            _ => blocks.into(),
        };
        turns.push(json!({"role": role, "content": content}));
    }
    let mut body = json!({"model": "m", "max_tokens": 64, "messages": turns});
    body["tools"] = declared("messages");
    if !system.is_empty() {
        body["system"] = system.into();
    }
    body
}

/// The history for OpenAI's Responses API.
pub(crate) fn responses(history: &History, source: &mut Source<'_>) -> Value {
    let mut items = Vec::new();
    for (side, events) in &history.turns {
        let mut parts = Vec::new();
        let mut after = Vec::new();
        let kind = if *side == Side::Assistant { "output_text" } else { "input_text" };
        for event in events {
            match event {
                Event::Text(text) => parts.push(json!({"type": kind, "text": text})),
                Event::Image { media_type, data } => {
                    let url = data_url(media_type, data);
                    parts.push(json!({"type": "input_image", "image_url": url, "detail": "auto"}));
                }
                Event::File { data } => {
                    let data = data_url("application/pdf", data);
                    let part =
                        json!({"type": "input_file", "filename": "a.pdf", "file_data": data});
                    parts.push(part);
                }
                // As this gateway told it: see `wire::responses::client::sealed`.
                Event::Thought { text, signature } => {
                    let block =
                        json!([{"type": "thinking", "thinking": text, "signature": signature}]);
                    let sealed = format!("tollgate.thinking_blocks:{block}");
                    let summary = json!([{"type": "summary_text", "text": text}]);
                    items.push(json!({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": sealed}));
                }
                Event::Call { id, name, input, signature } => after.push(object([
                    ("type", "function_call".into()),
                    ("call_id", id.as_str().into()),
                    ("name", name.as_str().into()),
                    ("arguments", input.to_string().into()),
                    ("extra_content", google(signature)),
                ])),
                Event::Result { id, text, .. } => items
                    .push(json!({"type": "function_call_output", "call_id": id, "output": text})),
            }
        }
        let role = match side {
            Side::System => source.pick(&["system", "developer"]),
            Side::User => "user",
            Side::Assistant => "assistant",
        };
        let content = match &*parts {
            [] => Value::Null,
            [only] if only["text"].is_string() && source.once_in(2) => only["text"].clone(),
            _ => parts.into(),
        };
        if !content.is_null() {
            items.push(json!({"type": "message", "role": role, "content": content}));
        }
        items.append(&mut after);
    }
    json!({"model": "m", "input": items, "tools": declared("responses")})
}

/// The history for Google's `generateContent`.
pub(crate) fn gemini(history: &History) -> Value {
    let mut system = Vec::new();
    let mut contents: Vec<Value> = Vec::new();
    let mut names: Vec<(&str, &str)> = Vec::new();
    for (side, events) in &history.turns {
        let mut parts = Vec::new();
        for event in events {
            parts.push(match event {
                Event::Text(text) => json!({"text": text}),
                Event::Image { media_type, data } => {
                    json!({"inlineData": {"mimeType": media_type, "data": data}})
                }
                Event::File { data } => {
                    json!({"inlineData": {"mimeType": "application/pdf", "data": data}})
                }
                Event::Thought { text, .. } => json!({"text": text, "thought": true}),
                Event::Call { id, name, input, signature } => {
                    names.push((id, name));
                    let id = history.has_ids.then_some(id.as_str());
                    let call = object([
                        ("id", id.into()),
                        ("name", name.as_str().into()),
                        ("args", input.clone()),
                    ]);
                    let signature = signature.as_deref().into();
                    object([("functionCall", call), ("thoughtSignature", signature)])
                }
                Event::Result { id, text, is_error } => {
                    let name = names.iter().rev().find(|(other, _)| other == id);
                    let name = name.map(|(_, name)| *name);
                    let id = history.has_ids.then_some(id.as_str());
                    let how = if *is_error { "error" } else { "output" };
                    let response = json!({ how: text });
                    let fields = [("id", id.into()), ("name", name.into()), ("response", response)];
                    json!({ "functionResponse": object(fields) })
                }
            });
        }
        if *side == Side::System && contents.is_empty() {
            system.extend(parts);
            continue;
        }
        let role = match side {
            Side::System => "system",
            Side::User => "user",
            Side::Assistant => "model",
        };
        contents.push(json!({"role": role, "parts": parts}));
    }
    let mut body = json!({ "contents": contents, "tools": declared("gemini") });
    if !system.is_empty() {
        body["systemInstruction"] = json!({ "parts": system });
    }
    body
}

/// The tools that are called, in a client's words.
fn declared(dialect: &str) -> Value {
    let schema = json!({"type": "object", "properties": {}});
    let names = ["get_weather", "f", "Search-2", "_private"];
    let tools = names.into_iter().map(|name| match dialect {
        "chat" => json!({"type": "function", "function": {"name": name, "parameters": schema}}),
        "messages" => json!({"name": name, "input_schema": schema}),
        "responses" => json!({"type": "function", "name": name, "parameters": schema}),
        _ => json!({"name": name, "parametersJsonSchema": schema}),
    });
    let tools: Vec<Value> = tools.collect();
    if dialect == "gemini" { json!([{ "functionDeclarations": tools }]) } else { tools.into() }
}
