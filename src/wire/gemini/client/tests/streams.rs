//! Streams in Google's words, wherever they are cut.

use bytes::Bytes;

use super::*;
use crate::wire::client::ClientStream;

const CHUNKS: &str = concat!(
    r#"data: {"id":"chatcmpl-1","model":"gpt-4o","choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"reasoning_content":"hm"}}]}"#,
    "\n\n: ping\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"Gr\u00fc"}}]}"#,
    "\r\n\r\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"ße","extra_content":{"google":{"thought_signature":"c2ln"}}}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"b","function":{"name":"f","arguments":""}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
    "\n\n",
    r#"data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":8,"total_tokens":18}}"#,
    "\n\ndata: [DONE]\n\n",
);

fn stream(asked: &str, array: bool) -> Stream {
    let asked = Object::parse(asked.to_owned().into()).unwrap();
    Stream::new(&Telling {
        request: Some(&asked),
        created: 1,
        model: "public",
        request_id: "req",
        array,
        embeds: false,
    })
}

fn passed(stream: &mut Stream, text: &str) -> String {
    let mut events = vec![Bytes::copy_from_slice(text.as_bytes())];
    stream.pass(&mut events);
    String::from_utf8(events.concat()).unwrap()
}

fn frames(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter(|frame| !frame.is_empty());
    data.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

#[test]
fn a_stream_is_told_in_frames() {
    let seen = frames(&passed(&mut stream(THINKING, false), CHUNKS));
    let part = |part: Value| {
        json!({"candidates": [{"content": {"parts": [part], "role": "model"}, "index": 0}],
               "modelVersion": "gpt-4o", "responseId": "chatcmpl-1"})
    };
    assert_eq!(
        seen,
        [
            part(json!({"thought": true, "text": "hm"})),
            part(json!({"text": "Grü"})),
            part(json!({"text": "ße", "thoughtSignature": "c2ln"})),
            json!({
                "candidates": [{"content": {"role": "model", "parts": [
                    {"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}},
                    {"functionCall": {"id": "b", "name": "f", "args": {}}},
                ]}, "finishReason": "STOP", "index": 0}],
                "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 8,
                                  "totalTokenCount": 18},
                "modelVersion": "gpt-4o", "responseId": "chatcmpl-1",
            }),
        ]
    );
}

#[test]
fn an_array_says_the_same_as_the_events_wherever_they_are_cut() {
    let expected = frames(&passed(&mut stream("{}", false), CHUNKS));
    assert_eq!(expected.len(), 3, "no thoughts");
    for cut in (0..CHUNKS.len()).filter(|cut| CHUNKS.is_char_boundary(*cut)) {
        let (first, second) = CHUNKS.split_at(cut);
        for array in [false, true] {
            let mut stream = stream("{}", array);
            let text = passed(&mut stream, first) + &passed(&mut stream, second);
            let seen = match array {
                true => serde_json::from_str(&text).unwrap(),
                false => frames(&text),
            };
            assert_eq!(seen, expected, "cut at {cut}");
        }
    }
}

#[test]
fn an_error_ends_a_stream_well_formed() {
    let problem =
        Bytes::from_static(br#"{"error":{"code":502,"message":"m","status":"INTERNAL"}}"#);
    let error: Value = serde_json::from_slice(&problem).unwrap();
    for begun in ["", CHUNKS.get(..CHUNKS.find("ße").unwrap() - 70).unwrap()] {
        let mut events = stream("{}", false);
        let text = passed(&mut events, begun);
        let end = events.fail(&problem, "c", "m");
        let seen = frames(&(text + std::str::from_utf8(&end).unwrap()));
        assert_eq!(seen.last(), Some(&error));

        let mut array = stream("{}", true);
        let text = passed(&mut array, begun);
        let ping = std::str::from_utf8(array.ping()).unwrap().to_owned();
        let end = array.fail(&problem, "c", "m");
        let text = text + &ping + std::str::from_utf8(&end).unwrap();
        let seen: Vec<Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(seen.last(), Some(&error));
        assert_eq!(passed(&mut array, CHUNKS), "", "nothing follows the end");
    }
}

#[test]
fn native_events_become_elements_where_an_array_is_wanted() {
    let events = "data: {\"a\":1}\r\n\r\ndata: {\"b\":2}\r\n\r\n";
    let mut array = stream("{}", true);
    let mut seen = String::new();
    for (at, byte) in events.bytes().enumerate() {
        let mut batch = vec![Bytes::copy_from_slice(&[byte])];
        array.pass_native(&mut batch, at + 1 == events.len());
        seen.push_str(std::str::from_utf8(&batch.concat()).unwrap());
    }
    assert_eq!(serde_json::from_str::<Value>(&seen).unwrap(), json!([{"a": 1}, {"b": 2}]));

    let mut same = vec![Bytes::from_static(events.as_bytes())];
    stream("{}", false).pass_native(&mut same, true);
    assert_eq!(same, [events]);
}

#[test]
fn a_refused_prompt_is_told_in_a_stream_too() {
    let chunks = concat!(
        r#"data: {"id":"1","model":"m","choices":[{"index":0,"delta":{"refusal":"no"}}]}"#,
        "\n\n",
        r#"data: {"id":"1","choices":[{"index":0,"delta":{},"finish_reason":"content_filter"}]}"#,
        "\n\ndata: [DONE]\n\n",
    );
    let seen = frames(&passed(&mut stream("{}", false), chunks));
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["promptFeedback"]["blockReasonMessage"], "no");
    assert!(seen[0].get("candidates").is_none());
}

#[test]
fn calls_beyond_the_bound_end_the_stream_with_an_error() {
    let piece = json!({"choices": [{"index": 0, "delta": {"tool_calls": [
        {"index": 0, "function": {"name": "f", "arguments": "x".repeat(1 << 20)}}]}}]});
    let event = format!("data: {piece}\n\n");
    let mut stream = stream("{}", false);
    let mut seen = String::new();
    for _ in 0..9 {
        seen += &passed(&mut stream, &event);
    }
    let seen = frames(&seen);
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["error"]["code"], 502);
    assert_eq!(passed(&mut stream, "data: [DONE]\n\n"), "");
}

/// What a client was told goes back with its next request and means the same.
#[test]
fn history_comes_back_as_it_went() {
    let message = json!({
        "role": "assistant", "content": "Hello", "reasoning_content": "hm",
        "tool_calls": [
            {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"},
             "extra_content": {"google": {"thought_signature": "c2lnMg=="}}},
            {"id": "call_2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
        "extra_content": {"google": {"thought_signature": "c2ln"}},
    });
    let whole = told(&completion(&message, "tool_calls"), THINKING);
    let contents = json!([whole["candidates"][0]["content"]]);
    assert_eq!(messages(&contents), json!([message]));

    let pieces = frames(&passed(&mut stream(THINKING, false), CHUNKS));
    let contents: Vec<_> =
        pieces.iter().map(|frame| frame["candidates"][0]["content"].clone()).collect();
    let seen = messages(&json!(contents));
    assert_eq!(seen.as_array().map(Vec::len), Some(1));
    assert_eq!(seen[0]["content"], "Grüße");
    assert_eq!(seen[0]["reasoning_content"], "hm");
    assert_eq!(seen[0]["tool_calls"][1]["id"], "b");
    assert_eq!(seen[0]["tool_calls"][0]["function"]["arguments"], r#"{"x":1}"#);
}

#[test]
fn another_goes_on_where_googles_own_stream_broke_off() {
    let native = concat!(
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"one \",\"new\":1.50}]},\"index\":0}],",
        "\"modelVersion\":\"gemini-3\",\"responseId\":\"resp\"}\r\n\r\n",
    );
    let rest = concat!(
        r#"data: {"id":"chatcmpl-resp","model":"gemini-3","choices":[{"index":0,"delta":{"content":"two"}}]}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-resp","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\n\n",
        r#"data: {"id":"chatcmpl-resp","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
        "\n\ndata: [DONE]\n\n",
    );
    for array in [false, true] {
        let mut stream = stream("{}", array);
        let mut events = vec![Bytes::from_static(native.as_bytes())];
        let canonical = stream.follow(&events).unwrap().concat();
        let canonical = String::from_utf8(canonical).unwrap();
        assert!(canonical.contains(r#""delta":{"content":"one "}"#), "{canonical}");
        stream.pass_native(&mut events, false);
        let mut text = String::from_utf8(events.concat()).unwrap();
        text.push_str(&passed(&mut stream, rest));
        let seen: Vec<Value> = match array {
            true => serde_json::from_str(&text).unwrap(),
            false => frames(&text.replace('\r', "")),
        };
        let said: String = seen
            .iter()
            .filter_map(|frame| frame["candidates"][0]["content"]["parts"][0]["text"].as_str())
            .collect();
        assert_eq!(said, "one two");
        for frame in &seen {
            assert_eq!(
                (&frame["responseId"], &frame["modelVersion"]),
                (&json!("resp"), &json!("gemini-3"))
            );
        }
        let last = seen.last().unwrap();
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["usageMetadata"]["totalTokenCount"], 5);
    }
    let broken = Bytes::from_static(b"data: {\"error\":{\"code\":503}}\n\n");
    assert!(stream("{}", false).follow(&[broken]).is_none());
}
