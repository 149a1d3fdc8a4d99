//! Clients that speak the Responses API before providers that speak chat.

mod replies;
mod requests;
mod streams;
mod tools;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{events, object};
use crate::wire::client::{ClientStream, Telling};
use crate::wire::json::Object;
use crate::wire::responses::client::{Events, request};

fn canonical(body: &Value) -> Value {
    serde_json::from_slice(request(&object(body)).unwrap().body.bytes()).unwrap()
}

fn telling(request: &Object) -> Telling<'_> {
    Telling {
        request: Some(request),
        created: 7,
        model: "public",
        request_id: "req-1",
        ..Telling::default()
    }
}

/// Events for chunks with these deltas; the last one is a finish reason.
fn streamed(deltas: &[Value], finish: &str) -> Vec<(String, Value)> {
    let asked = object(&json!({"model": "public", "input": "hi"}));
    let mut chunks: Vec<Bytes> = Vec::new();
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({"id": "chatcmpl-1", "model": "m", "choices": choices, "usage": usage});
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    for delta in deltas {
        chunks.push(chunk(json!([{"index": 0, "delta": delta}]), Value::Null));
    }
    chunks.push(chunk(json!([{"index": 0, "delta": {}, "finish_reason": finish}]), Value::Null));
    chunks.push(chunk(json!([]), json!({"prompt_tokens": 1, "completion_tokens": 2})));
    chunks.push(Bytes::from_static(b"data: [DONE]\n\n"));
    // All chunks in one piece are the same as one by one.
    let joined = vec![Bytes::from(chunks.concat())];
    let [apart, together] = [chunks, joined].map(|pieces| {
        let mut stream = Events::new(&telling(&asked));
        let mut out = Vec::new();
        for piece in pieces {
            let mut events = vec![piece];
            stream.pass(&mut events);
            out.extend(events);
        }
        out.concat()
    });
    assert_eq!(apart, together);
    let events = events(&apart);
    for (number, (name, event)) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{name}");
        assert_eq!(event["type"], **name);
    }
    events
}
