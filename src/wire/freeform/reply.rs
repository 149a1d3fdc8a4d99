//! Calls of functions that stand for tools of free text, as a chat client wants them told.

use bytes::Bytes;
use serde_json::{Value, json};

use super::input;
use crate::wire::client::{ClientStream, Telling};
use crate::wire::json::{Edits, Object, map_elements};
use crate::wire::{freeform, sse};

const DONE: &[u8] = b"data: [DONE]\n\n";

/// A whole reply, with the calls of the tools `names` as calls of free text.
#[must_use]
pub fn reply(body: Bytes, names: &[String]) -> Bytes {
    if names.is_empty() {
        return body;
    }
    let told = |completion: Object| {
        let choices = map_elements(&completion.slice("choices")?, |choice| {
            let message = choice.object("message")?;
            let calls = map_elements(&message.slice("tool_calls")?, |call| custom(call, names))?;
            let mut edits = Edits::new();
            edits.set_raw("tool_calls", calls.to_vec());
            let message = message.edit(&edits);
            let mut edits = Edits::new();
            edits.set_raw("message", message.to_vec());
            choice.changed(&edits)
        })?;
        let mut edits = Edits::new();
        edits.set_raw("choices", choices.to_vec());
        completion.changed(&edits)
    };
    Object::parse(body.clone()).ok().and_then(told).unwrap_or(body)
}

fn custom(call: &Object, names: &[String]) -> Option<Bytes> {
    let function = call.object("function")?;
    let name = function.str("name").filter(|name| names.iter().any(|known| *known == **name))?;
    let text = function.str("arguments").unwrap_or_default();
    let mut edits = Edits::new();
    edits.remove("function");
    edits.set("type", "custom");
    edits.set("custom", &json!({"name": name, "input": input(&text)}));
    call.changed(&edits)
}

/// A stream in which such calls are told: their text at once, when it is whole.
#[derive(Debug)]
pub struct FreeformStream {
    names: Vec<String>,
    open: Vec<Open>,
}

/// A call that is not told yet.
#[derive(Debug)]
struct Open {
    choice: u64,
    index: u64,
    arguments: String,
}

impl FreeformStream {
    /// `None`: the client has no such tools.
    #[must_use]
    pub fn new(telling: &Telling<'_>) -> Option<Self> {
        let names = freeform::names(telling.request);
        (!names.is_empty()).then(|| Self { names, open: Vec::new() })
    }

    fn take(&mut self, data: &[u8], out: &mut Vec<u8>) {
        if data == b"[DONE]" {
            out.extend_from_slice(DONE);
            return;
        }
        let chunk = serde_json::from_slice::<Value>(data).ok();
        let Some(mut chunk) = chunk.filter(|chunk| self.concerns(chunk)) else {
            emit(data, out);
            return;
        };
        let mut whole: Vec<Value> = Vec::new();
        let mut says = chunk.get("usage").is_some_and(|usage| !usage.is_null());
        for choice in chunk["choices"].as_array_mut().into_iter().flatten() {
            let number = choice["index"].as_u64().unwrap_or(0);
            if let Some(calls) =
                choice.pointer_mut("/delta/tool_calls").and_then(Value::as_array_mut)
            {
                calls.retain_mut(|call| self.piece(number, call));
                if calls.is_empty()
                    && let Some(delta) = choice["delta"].as_object_mut()
                {
                    delta.remove("tool_calls");
                }
            }
            let is_over = !choice["finish_reason"].is_null();
            if is_over {
                whole.extend(self.close(number));
            }
            says |= is_over || choice["delta"].as_object().is_some_and(|delta| !delta.is_empty());
        }
        if !whole.is_empty() {
            let mut told = chunk.clone();
            told["choices"] = whole.into();
            if let Some(fields) = told.as_object_mut() {
                fields.remove("usage");
            }
            emit(told.to_string().as_bytes(), out);
        }
        if says {
            emit(chunk.to_string().as_bytes(), out);
        }
    }

    /// Whether there is something in a chunk that is told in another way.
    fn concerns(&self, chunk: &Value) -> bool {
        let choices = chunk["choices"].as_array().into_iter().flatten();
        let mut calls = choices.clone().filter_map(|it| it.pointer("/delta/tool_calls"));
        let mut ends = choices.map(|choice| &choice["finish_reason"]);
        calls.any(|calls| !calls.is_null())
            || !self.open.is_empty() && ends.any(|end| !end.is_null())
    }

    /// Takes a piece of a call; says whether it is told.
    fn piece(&mut self, choice: u64, call: &mut Value) -> bool {
        let index = call["index"].as_u64().unwrap_or(0);
        let text = call.pointer("/function/arguments").and_then(Value::as_str).unwrap_or_default();
        let known = self.open.iter_mut().find(|open| open.choice == choice && open.index == index);
        if let Some(open) = known {
            open.arguments.push_str(text);
            return false;
        }
        let name = call.pointer("/function/name").and_then(Value::as_str).unwrap_or_default();
        if !self.names.iter().any(|known| known == name) {
            return true;
        }
        let custom = json!({"name": name, "input": ""});
        self.open.push(Open { choice, index, arguments: text.to_owned() });
        if let Some(fields) = call.as_object_mut() {
            fields.remove("function");
            fields.insert("type".to_owned(), "custom".into());
            fields.insert("custom".to_owned(), custom);
        }
        true
    }

    /// The texts of a choice's calls, which are whole now.
    fn close(&mut self, choice: u64) -> Option<Value> {
        let over: Vec<Open> = self.open.extract_if(.., |open| open.choice == choice).collect();
        let told =
            |open: &Open| json!({"index": open.index, "custom": {"input": input(&open.arguments)}});
        let calls: Vec<Value> = over.iter().map(told).collect();
        (!calls.is_empty()).then(
            || json!({"index": choice, "delta": {"tool_calls": calls}, "finish_reason": null}),
        )
    }
}

fn emit(data: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\n\n");
}

impl ClientStream for FreeformStream {
    fn pass(&mut self, events: &mut Vec<Bytes>) {
        sse::rewrite(events, |data, out| self.take(data, out));
    }

    fn fail(&mut self, problem: &Bytes, _code: &str, _message: &str) -> Bytes {
        [b"data: ", &problem[..], b"\n\n"].concat().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Object {
        let request = json!({"tools": [{"type": "custom", "custom": {"name": "patch"}},
            {"type": "function", "function": {"name": "f"}}]});
        Object::parse(request.to_string().into()).unwrap()
    }

    #[test]
    fn a_call_is_one_of_free_text_again() {
        let request = request();
        let names = freeform::names(Some(&request));
        let call = |name: &str, arguments: &str| json!({"id": "c", "type": "function", "function": {"name": name, "arguments": arguments}});
        let body = json!({"choices": [{"index": 0, "message": {"role": "assistant",
            "tool_calls": [call("f", "{}"), call("patch", r#"{"input":"+ a"}"#)]}}]});
        let told: Value = serde_json::from_slice(&reply(body.to_string().into(), &names)).unwrap();
        let custom =
            json!({"id": "c", "type": "custom", "custom": {"name": "patch", "input": "+ a"}});
        assert_eq!(told["choices"][0]["message"]["tool_calls"], json!([call("f", "{}"), custom]));

        let telling = Telling { request: Some(&request), ..Telling::default() };
        let mut stream = FreeformStream::new(&telling).unwrap();
        let piece =
            |call: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
        let chunks = [
            json!({"choices": [{"index": 0, "delta": {"content": "x"}}]}),
            piece(json!({"index": 0, "id": "c", "type": "function",
                "function": {"name": "patch", "arguments": ""}})),
            piece(json!({"index": 0, "function": {"arguments": "{\"input\":"}})),
            piece(json!({"index": 0, "function": {"arguments": "\"+ a\"}"}})),
            piece(json!({"index": 1, "id": "d", "type": "function",
                "function": {"name": "f", "arguments": "{}"}})),
            json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
        ];
        let mut events: Vec<Bytes> =
            chunks.iter().map(|chunk| format!("data: {chunk}\n\n").into()).collect();
        events.push(Bytes::from_static(DONE));
        stream.pass(&mut events);
        let told = String::from_utf8(events.concat()).unwrap();
        assert!(told.ends_with("data: [DONE]\n\n"));
        let told: Vec<Value> = told
            .split("\n\n")
            .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
            .collect();
        assert_eq!(told.len(), 5, "{told:?}");
        let call = |at: usize| &told[at]["choices"][0]["delta"]["tool_calls"][0];
        assert_eq!(told[0], chunks[0]);
        let begun = json!({"index": 0, "id": "c", "type": "custom",
            "custom": {"name": "patch", "input": ""}});
        assert_eq!(*call(1), begun);
        assert_eq!(told[2], chunks[4]);
        assert_eq!(*call(3), json!({"index": 0, "custom": {"input": "+ a"}}));
        assert_eq!(told[4], chunks[5]);
        assert!(FreeformStream::new(&Telling::default()).is_none());
    }
}
