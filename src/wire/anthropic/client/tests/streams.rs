//! Streams: the order that clients hold us to, whatever order the chunks come in.

use bytes::Bytes;
use serde_json::{Value, json};

use super::{accumulated, events, telling};
use crate::wire::anthropic::client::{self, MessageStream};
use crate::wire::client::ClientStream;
use crate::wire::{Origin, bedrock};

fn chunk(delta: Value) -> Value {
    json!({"id": "chatcmpl-1", "model": "m", "choices": [{"index": 0, "delta": delta}]})
}

fn finish(reason: &str) -> Value {
    json!({"id": "chatcmpl-1", "model": "m",
           "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
}

fn call(index: u32, id: &str, arguments: &str) -> Value {
    let mut call = json!({"index": index, "function": {"arguments": arguments}});
    if !id.is_empty() {
        call["id"] = id.into();
        call["function"]["name"] = "f".into();
    }
    chunk(json!({"tool_calls": [call]}))
}

fn stream(chunks: &[Value]) -> Vec<Bytes> {
    let mut voice = MessageStream::new(&telling(None));
    let mut all = Vec::new();
    let texts = chunks.iter().map(Value::to_string).chain(["[DONE]".to_owned()]);
    for text in texts {
        let mut events = vec![Bytes::from(format!("data: {text}\n\n"))];
        voice.pass(&mut events);
        all.append(&mut events);
    }
    all
}

#[test]
fn an_image_is_told_in_words() {
    let image = |url: &str| json!({"type": "image_url", "index": 0, "image_url": {"url": url}});
    let images = json!([image("data:image/png;base64,AAAA"), image("https://h/a.png")]);
    let chunks =
        [chunk(json!({"content": "Look:"})), chunk(json!({"images": images})), finish("stop")];
    let streamed = accumulated(&stream(&chunks));
    let completion = json!({"id": "chatcmpl-1", "object": "o", "created": 1, "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop",
                     "message": {"role": "assistant", "content": "Look:", "images": images}}]});
    let body = Bytes::from(completion.to_string());
    let whole = client::reply(&body, &telling(None)).unwrap();
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    for message in [streamed, whole] {
        let texts: Vec<_> =
            message["content"].as_array().unwrap().iter().map(|b| &b["text"]).collect();
        assert_eq!(texts.len(), 3, "{message}");
        assert_eq!((texts[0], texts[2]), (&json!("Look:"), &json!("![image](https://h/a.png)")));
        let said = texts[1].as_str().unwrap();
        assert!(said.contains("generated an image") && !said.contains("AAAA"), "{said}");
    }
}

#[test]
fn calls_that_interleave_come_one_after_the_other() {
    for order in [
        vec![
            call(0, "a", ""),
            call(1, "b", ""),
            call(0, "", "{\"x\":"),
            call(1, "", "{\"y\":\"}\""),
            call(0, "", "1}"),
            call(1, "", "}"),
        ],
        vec![call(1, "b", "{\"y\":\"}\"}"), call(0, "a", "{\"x\":1"), call(0, "", "}")],
        vec![call(0, "a", "{\"x\":1}"), call(1, "b", "{\"y\":\"}\"}")],
    ] {
        let mut chunks = order;
        chunks.push(finish("tool_calls"));
        let message = accumulated(&stream(&chunks));
        let content = message["content"].as_array().unwrap();
        let input =
            |id: &str| content.iter().find(|block| block["id"] == id).unwrap()["input"].clone();
        assert_eq!(content.len(), 2);
        assert_eq!((input("a"), input("b")), (json!({"x": 1}), json!({"y": "}"})));
        assert_eq!(message["stop_reason"], "tool_use");
    }
}

#[test]
fn a_call_without_arguments_does_not_hold_up_the_next_for_ever() {
    let message = accumulated(&stream(&[
        call(0, "a", ""),
        call(1, "b", "{}"),
        chunk(json!({"content": "x"})),
        finish("tool_calls"),
    ]));
    assert_eq!(
        message["content"][0],
        json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})
    );
    assert_eq!(message["content"][2]["text"], "x");
}

#[test]
fn thoughts_end_with_their_signature() {
    let whole = json!({"type": "thinking", "thinking": "ab", "signature": "s"});
    let message = accumulated(&stream(&[
        chunk(json!({"role": "assistant", "content": ""})),
        chunk(json!({"reasoning_content": "a"})),
        chunk(json!({"reasoning_content": "b"})),
        chunk(json!({"thinking_blocks": [whole]})),
        chunk(json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "d"}]})),
        chunk(json!({"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "t"}]})),
        chunk(json!({"content": "x"})),
        chunk(json!({"reasoning_content": "unsigned"})),
        chunk(json!({"content": "y"})),
        finish("stop"),
        json!({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": 5,
               "prompt_tokens_details": {"cached_tokens": 4}}}),
    ]));
    assert_eq!(
        message["content"],
        json!([
            whole,
            {"type": "redacted_thinking", "data": "d"},
            {"type": "thinking", "thinking": "", "signature": "t"},
            {"type": "text", "text": "x"},
            {"type": "thinking", "thinking": "unsigned", "signature": ""},
            {"type": "text", "text": "y"},
        ])
    );
    assert_eq!(message["usage"]["input_tokens"], 16);
    assert_eq!(message["usage"]["cache_read_input_tokens"], 4);
    assert_eq!((&message["stop_reason"], &message["id"]), (&json!("end_turn"), &json!("msg_1")));
}

#[test]
fn a_refusal_and_a_silent_reply_end_as_they_should() {
    let refused =
        accumulated(&stream(&[chunk(json!({"refusal": "no"})), finish("content_filter")]));
    assert_eq!(refused["stop_reason"], "refusal");
    assert_eq!(refused["stop_details"]["explanation"], "no");
    let silent = accumulated(&stream(&[finish("length")]));
    assert_eq!((&silent["stop_reason"], &silent["content"]), (&json!("max_tokens"), &json!([])));
}

#[test]
fn the_stop_sequence_and_a_full_window_keep_their_names() {
    let ended = |finish: &str, native: &str, sequence: Option<&str>| {
        let mut last = self::finish(finish);
        last["choices"][0]["native_finish_reason"] = native.into();
        last["choices"][0]["stop_sequence"] = sequence.into();
        let message = accumulated(&stream(&[chunk(json!({"content": "a"})), last]));
        (message["stop_reason"].clone(), message["stop_sequence"].clone())
    };
    for (finish, native, sequence, told) in [
        ("stop", "stop_sequence", Some("END"), (json!("stop_sequence"), json!("END"))),
        ("stop", "stop_sequence", None, (json!("stop_sequence"), Value::Null)),
        ("stop", "end_turn", Some("END"), (json!("end_turn"), Value::Null)),
        (
            "length",
            "model_context_window_exceeded",
            None,
            (json!("model_context_window_exceeded"), Value::Null),
        ),
        ("length", "max_tokens", None, (json!("max_tokens"), Value::Null)),
    ] {
        assert_eq!(ended(finish, native, sequence), told, "{native} {sequence:?}");
    }
}

/// From Bedrock's frames to Anthropic's events and messages: what Converse tells is told.
#[test]
fn a_stop_sequence_at_converse_is_one_for_anthropics_clients() {
    let asked = |stops: Value| super::object(&json!({"stop_sequences": stops}));
    let (one, two) = (asked(json!(["END"])), asked(json!(["END", "X"])));
    for (request, fields, told) in [
        (&one, Value::Null, json!("END")),
        (&two, Value::Null, Value::Null),
        (&two, json!({"stop_sequence": "X"}), json!("X")),
        (&two, json!({"stop_sequence": 1}), Value::Null),
    ] {
        let reply = json!({"output": {"message": {"content": [{"text": "x"}]}},
            "stopReason": "stop_sequence", "additionalModelResponseFields": fields});
        let origin = Origin { model: "m", ..Origin::default() };
        let reply = bedrock::reply(reply.to_string().into(), 1, &origin).unwrap();
        let message = client::reply(&reply.body, &telling(Some(request))).unwrap();
        let message: Value = serde_json::from_slice(&message).unwrap();
        assert_eq!(message["stop_reason"], "stop_sequence");
        assert_eq!(message["stop_sequence"], told, "{fields}");
    }
}

#[test]
fn an_error_is_a_named_event_and_a_ping_waits_for_the_start() {
    let mut voice = MessageStream::new(&telling(None));
    assert_eq!(voice.ping(), b": ping\n\n");
    let mut out = vec![Bytes::from(format!("data: {}\n\n", chunk(json!({"content": "a"}))))];
    voice.pass(&mut out);
    assert!(voice.ping().starts_with(b"event: ping\ndata: {"));
    let frame = voice.fail(&Bytes::from_static(br#"{"type":"error"}"#), "", "");
    assert_eq!(frame, "event: error\ndata: {\"type\":\"error\"}\n\n");
}

#[test]
fn anthropics_own_stream_is_gone_on_with_in_the_same_block() {
    let native = concat!(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",",
        "\"model\":\"claude\",\"role\":\"assistant\",\"usage\":{\"input_tokens\":5}}}\n\n",
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,",
        "\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
        "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,",
        "\"delta\":{\"type\":\"text_delta\",\"text\":\"one \"}}\n\n",
    );
    let mut voice = MessageStream::new(&telling(None));
    voice.begun();
    let canonical = voice.follow(&[Bytes::from_static(native.as_bytes())]).unwrap();
    assert!(String::from_utf8(canonical.concat()).unwrap().contains("\"content\":\"one \""));
    let mut rest = vec![
        Bytes::from(format!("data: {}\n\n", chunk(json!({"content": "two"})))),
        Bytes::from(format!("data: {}\n\n", finish("stop"))),
        Bytes::from_static(b"data: [DONE]\n\n"),
    ];
    voice.pass(&mut rest);
    assert_eq!(events(&rest)[0].0, "content_block_delta", "neither a new start nor a new block");
    let mut all = vec![Bytes::from_static(
        native
            .replace("\"role\":\"assistant\",", "\"role\":\"assistant\",\"content\":[],")
            .leak()
            .as_bytes(),
    )];
    all.append(&mut rest);
    assert_eq!(accumulated(&all)["content"], json!([{"type": "text", "text": "one two"}]));
}

#[test]
fn arguments_that_are_no_object_become_one() {
    for (pieces, input) in [
        (&["nu", "ll"][..], json!({})),
        (&["[1", "]"], json!({"INVALID_JSON": "[1]"})),
        (&[" ", "{\"a\":", "1}"], json!({"a": 1})),
        (&["\"x\""], json!({"INVALID_JSON": "\"x\""})),
        (&[], json!({})),
    ] {
        let mut chunks = vec![call(0, "a", "")];
        chunks.extend(pieces.iter().map(|piece| call(0, "", piece)));
        chunks.push(call(1, "b", "{\"y\":2}"));
        chunks.push(finish("tool_calls"));
        let message = accumulated(&stream(&chunks));
        assert_eq!(message["content"][0]["input"], input, "{pieces:?}");
        assert_eq!(message["content"][1]["input"], json!({"y": 2}), "{pieces:?}");
    }
}
