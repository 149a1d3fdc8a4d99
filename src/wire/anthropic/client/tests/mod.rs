//! Clients of Anthropic: what they say, canonically; what they are told; and that a history survives
//! both ways.

mod golden;
mod replies;
mod requests;
mod streams;

use bytes::Bytes;
use serde_json::Value;

use crate::wire::client::Telling;
use crate::wire::json::Object;

fn object(value: &Value) -> Object {
    Object::parse(value.to_string().into()).unwrap()
}

fn canonical(value: &Value) -> Value {
    let request = super::request(&object(value)).unwrap_or_else(|why| panic!("{why:?}"));
    serde_json::from_slice(request.bytes()).unwrap()
}

fn telling(request: Option<&Object>) -> Telling<'_> {
    Telling {
        request,
        created: 1_795_262_400,
        model: "asked",
        request_id: "req-1",
        ..Telling::default()
    }
}

/// The events of a stream: name and data.
fn events(stream: &[Bytes]) -> Vec<(String, Value)> {
    let text = String::from_utf8(stream.concat()).unwrap();
    let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
    frames
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap().to_owned();
            (name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap())
        })
        .collect()
}

/// What a client's accumulator makes of a stream. Panics where the stream breaks the rules that
/// clients hold it to.
fn accumulated(stream: &[Bytes]) -> Value {
    let mut message = Value::Null;
    let mut open: Option<(u64, String)> = None;
    let mut blocks: Vec<Value> = Vec::new();
    let mut ended = false;
    for (name, data) in events(stream) {
        assert!(!ended, "nothing follows the end");
        assert_eq!(data["type"], *name);
        match name.as_str() {
            "message_start" => {
                assert!(message.is_null(), "one start");
                message = data["message"].clone();
            }
            "content_block_start" => {
                assert!(message.is_object() && open.is_none(), "blocks come one after the other");
                assert_eq!(data["index"], blocks.len());
                let mut block = data["content_block"].clone();
                block["json"] = "".into();
                blocks.push(block);
                open = Some((data["index"].as_u64().unwrap(), String::new()));
            }
            "content_block_delta" => {
                let (index, seen) = open.as_mut().expect("a block is open");
                assert_eq!(data["index"], *index);
                let block = &mut blocks[usize::try_from(*index).unwrap()];
                let delta = &data["delta"];
                assert!(!seen.contains("signature"), "the signature comes last");
                let (field, from) = match (delta["type"].as_str().unwrap(), block["type"].as_str())
                {
                    ("text_delta", Some("text")) => ("text", "text"),
                    ("thinking_delta", Some("thinking")) => ("thinking", "thinking"),
                    ("signature_delta", Some("thinking")) => ("signature", "signature"),
                    ("input_json_delta", Some("tool_use")) => ("json", "partial_json"),
                    other => panic!("{other:?} do not fit"),
                };
                if from == "partial_json" && seen.is_empty() {
                    assert_eq!(delta[from], "", "the first fragment is empty");
                }
                seen.push_str(from);
                let said = block[field].as_str().unwrap_or_default().to_owned();
                block[field] = (said + delta[from].as_str().unwrap()).into();
            }
            "content_block_stop" => {
                let (index, _) = open.take().expect("a block is open");
                assert_eq!(data["index"], index);
                let block = &mut blocks[usize::try_from(index).unwrap()];
                let json = block.as_object_mut().unwrap().remove("json").unwrap();
                if block["type"] == "tool_use" && json != "" {
                    block["input"] = serde_json::from_str(json.as_str().unwrap()).unwrap();
                }
            }
            "message_delta" => {
                assert!(open.is_none(), "all blocks have ended");
                for (name, value) in data["delta"].as_object().unwrap() {
                    message[name] = value.clone();
                }
                for (name, value) in data["usage"].as_object().unwrap() {
                    message["usage"][name] = value.clone();
                }
                assert_ne!(data["usage"]["output_tokens"], 0);
            }
            "message_stop" => ended = true,
            other => panic!("{other} is no event"),
        }
    }
    assert!(ended, "the stream ends");
    message["content"] = blocks.into();
    message
}
