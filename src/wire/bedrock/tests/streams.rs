//! Replies and streams, with what goes wrong in them.

use serde_json::{Value, json};

use super::*;
use crate::failure::FailureClass;
use crate::usage::Usage;
use crate::wire::bedrock::{StreamTranslator, count, reply};
use crate::wire::{Ending, Origin, Progress, StreamOptions, Translate};

const ORIGIN: Origin<'_> =
    Origin { model: CLAUDE, request_id: Some("r"), input_tokens: None, output_tokens: None };

/// One frame with headers of text.
fn frame(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
    let mut written = Vec::new();
    for (name, value) in headers {
        written.push(u8::try_from(name.len()).unwrap());
        written.extend_from_slice(name.as_bytes());
        written.push(7);
        written.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        written.extend_from_slice(value.as_bytes());
    }
    let total = u32::try_from(written.len() + payload.len() + 16).unwrap();
    let mut frame = total.to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(written.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame.extend_from_slice(&written);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
    frame
}

fn event(kind: &str, payload: &Value) -> Vec<u8> {
    // Amazon pads its events with a key that means nothing.
    let mut payload = payload.clone();
    payload["p"] = json!("abcdefgh");
    frame(&[(":message-type", "event"), (":event-type", kind)], &payload.to_string())
}

fn delta(index: u32, delta: &Value) -> Vec<u8> {
    event("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta}))
}

fn stop(index: u32) -> Vec<u8> {
    event("contentBlockStop", &json!({ "contentBlockIndex": index }))
}

fn tool(index: u32, name: &str) -> Vec<u8> {
    let start = json!({"toolUse": {"toolUseId": format!("t{index}"), "name": name}});
    event("contentBlockStart", &json!({"contentBlockIndex": index, "start": start}))
}

fn ending(reason: &str) -> Vec<u8> {
    let usage = json!({"inputTokens": 5, "outputTokens": 3, "totalTokens": 18, "cacheReadInputTokens": 6,
        "cacheWriteInputTokens": 4, "cacheDetails": [{"ttl": "1h", "inputTokens": 3}, {"ttl": "5m", "inputTokens": 1}]});
    [
        event("messageStop", &json!({ "stopReason": reason })),
        event("metadata", &json!({ "usage": usage })),
    ]
    .concat()
}

const USAGE: Usage = Usage {
    input_tokens: 15,
    output_tokens: 3,
    cache_read_tokens: 6,
    cache_write_tokens: 4,
    cache_write_1h_tokens: 3,
    ..Usage::NONE
};

/// The deltas that a client reads, the last progress, how it ended, and the usage.
fn run(frames: &[Vec<u8>]) -> (Vec<Value>, Progress, Ending, Option<Usage>) {
    let options = StreamOptions { show_usage: true, created: 1, ..StreamOptions::default() };
    let mut stream = StreamTranslator::new(options, &ORIGIN);
    let mut out = Vec::new();
    let progress = stream.push(frames.concat().into(), &mut out);
    let ending = stream.finish(&mut out);
    let text = String::from_utf8(out.concat()).unwrap();
    let events = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let deltas = events.filter(|event| *event != "[DONE]").map(|event| {
        let chunk: Value = serde_json::from_str(event).unwrap();
        assert_eq!((&chunk["id"], &chunk["model"]), (&json!("chatcmpl-r"), &json!(CLAUDE)));
        match chunk["choices"].get(0) {
            Some(choice) if choice["finish_reason"].is_string() => choice["finish_reason"].clone(),
            Some(choice) => choice["delta"].clone(),
            None => chunk["usage"].clone(),
        }
    });
    (deltas.collect(), progress, ending, stream.usage())
}

#[test]
fn blocks_of_every_kind_become_deltas() {
    let (deltas, progress, ending, usage) = run(&[
        event("messageStart", &json!({"role": "assistant"})),
        delta(0, &json!({"reasoningContent": {"text": "hm"}})),
        delta(0, &json!({"reasoningContent": {"signature": "sig"}})),
        stop(0),
        delta(1, &json!({"reasoningContent": {"redactedContent": "QQ=="}})),
        delta(1, &json!({"reasoningContent": {"redactedContent": "Qg=="}})),
        // The stop of a block may be missing.
        delta(2, &json!({"text": "a\u{fc}"})),
        delta(2, &json!({"citation": {"title": "T", "location": {"web": {"url": "u"}}}})),
        stop(2),
        tool(3, "_x-f-2Ex"),
        delta(3, &json!({"toolUse": {"input": "{\"a\":"}})),
        delta(3, &json!({"toolUse": {"input": "1}"}})),
        stop(3),
        tool(5, "g"),
        stop(5),
        event("somethingNew", &json!({})),
        ending_frames("tool_use"),
    ]);
    let call = |index: u32, id: &str, name: &str| json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}]});
    let more = |index: u32, text: &str| json!({"tool_calls": [{"index": index, "function": {"arguments": text}}]});
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"reasoning_content": "hm"}),
            json!({"thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "sig"}]}),
            json!({"thinking_blocks": [{"type": "redacted_thinking", "data": "QUI="}]}),
            json!({"content": "a\u{fc}"}),
            json!({"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "T", "start_index": 0, "end_index": 2}}]}),
            call(0, "t3", "f.x"),
            more(0, "{\"a\":"),
            more(0, "1}"),
            call(1, "t5", "g"),
            more(1, "{}"),
            json!("tool_calls"),
            json!({"prompt_tokens": 15, "completion_tokens": 3, "total_tokens": 18, "prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 4}}),
        ]
    );
    assert!(progress.meaningful && progress.done && progress.failure.is_none());
    assert_eq!((ending, usage), (Ending::Complete, Some(USAGE)));
}

fn ending_frames(reason: &str) -> Vec<u8> {
    ending(reason)
}

#[test]
fn a_stop_sequence_is_named_beside_the_reason() {
    let last = |stop: &Value| {
        let mut stream = StreamTranslator::new(StreamOptions::default(), &ORIGIN);
        let mut out = Vec::new();
        let frames = [delta(0, &json!({"text": "x"})), event("messageStop", stop)].concat();
        stream.push(frames.into(), &mut out);
        assert_eq!(stream.finish(&mut out), Ending::Complete);
        let text = String::from_utf8(out.concat()).unwrap();
        let last = text.split("\n\n").filter_map(|event| event.strip_prefix("data: {")).last();
        let chunk: Value = serde_json::from_str(&format!("{{{}", last.unwrap())).unwrap();
        chunk["choices"][0].clone()
    };
    let stopped = last(&json!({"stopReason": "stop_sequence",
        "additionalModelResponseFields": {"stop_sequence": "END"}}));
    assert_eq!(
        stopped,
        json!({"index": 0, "delta": {}, "finish_reason": "stop",
            "native_finish_reason": "stop_sequence", "stop_sequence": "END"})
    );
    let usual = last(&json!({"stopReason": "end_turn", "additionalModelResponseFields": null}));
    assert_eq!(usual, json!({"index": 0, "delta": {}, "finish_reason": "stop"}));
}

#[test]
fn an_answer_by_our_own_tool_is_text() {
    let (deltas, ..) = run(&[
        tool(0, "_json_output"),
        delta(0, &json!({"toolUse": {"input": "{}"}})),
        stop(0),
        ending("tool_use"),
    ]);
    assert_eq!(deltas[1..3], [json!({"content": "{}"}), json!("stop")]);
}

#[test]
fn an_image_reaches_the_client_whole() {
    let begin = |index: u32| {
        let start = json!({"image": {"format": "jpeg"}});
        event("contentBlockStart", &json!({"contentBlockIndex": index, "start": start}))
    };
    let piece =
        |index: u32, data: &str| delta(index, &json!({"image": {"source": {"bytes": data}}}));
    let (deltas, ..) = run(&[
        begin(0),
        piece(0, "QUI="),
        piece(0, "Qw=="),
        stop(0),
        piece(1, "RA=="),
        stop(1),
        ending("end_turn"),
    ]);
    let image = |index: u32, url: &str| json!({"images": [{"type": "image_url", "index": index, "image_url": {"url": url}}]});
    assert_eq!(
        deltas[1..4],
        [
            image(0, "data:image/jpeg;base64,QUJD"),
            image(1, "data:image/png;base64,RA=="),
            json!("stop"),
        ]
    );
}

#[test]
fn exceptions_in_a_stream_are_failures_of_their_class() {
    let text = delta(0, &json!({"text": "x"}));
    for (headers, payload, class, message) in [
        (
            vec![(":message-type", "exception"), (":exception-type", "throttlingException")],
            r#"{"message":"Too many tokens, please wait before trying again."}"#,
            FailureClass::RateLimited,
            "Too many tokens",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "validationException")],
            r#"{"message":"Input is too long for requested model."}"#,
            FailureClass::ContextWindow,
            "Input is too long",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "validationException")],
            r#"{"message":"bad"}"#,
            FailureClass::BadRequest,
            "bad",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "internalServerException")],
            "{}",
            FailureClass::Server,
            "internalServerException",
        ),
        (
            vec![
                (":message-type", "exception"),
                (":exception-type", "serviceUnavailableException"),
            ],
            r#"{"message":"no"}"#,
            FailureClass::Overloaded,
            "no",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "modelTimeoutException")],
            r#"{"message":"late"}"#,
            FailureClass::Timeout,
            "late",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
            r#"{"message":"m","originalStatusCode":529,"originalMessage":"overloaded"}"#,
            FailureClass::Overloaded,
            "m: overloaded",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
            r#"{"message":"m","originalStatusCode":500}"#,
            FailureClass::Server,
            "m",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
            r#"{"message":"prompt is too long","originalStatusCode":424}"#,
            FailureClass::Server,
            "prompt is too long",
        ),
        (
            vec![(":message-type", "exception"), (":exception-type", "modelStreamErrorException")],
            r#"{"message":"prompt is too long","originalStatusCode":400}"#,
            FailureClass::ContextWindow,
            "prompt is too long",
        ),
        (
            vec![
                (":message-type", "error"),
                (":error-code", "InternalFailure"),
                (":error-message", "broke"),
            ],
            "",
            FailureClass::Server,
            "broke",
        ),
        (
            vec![(":message-type", "error"), (":error-code", "AccessDeniedException")],
            "",
            FailureClass::Auth,
            "AccessDenied",
        ),
        (
            vec![(":message-type", "exception")],
            "garbage",
            FailureClass::Server,
            "without saying why",
        ),
        (vec![], "", FailureClass::Server, "has no type"),
        (
            vec![(":message-type", "event"), (":event-type", "contentBlockDelta")],
            "{",
            FailureClass::Server,
            "cannot be read",
        ),
    ] {
        let (deltas, progress, ending, usage) =
            run(&[text.clone(), frame(&headers, payload), text.clone()]);
        let failure = progress.failure.expect(message);
        assert_eq!(failure.class, class, "{message}");
        assert!(failure.message.contains(message), "{}", failure.message);
        assert_eq!((deltas.len(), ending, usage), (2, Ending::Cut, None), "{message}");
    }
    let (_, progress, ..) = run(&[b"<html>Bad Gateway</html>".to_vec()]);
    assert_eq!(progress.failure.unwrap().class, FailureClass::Server);
}

#[test]
fn reasons_for_the_end_are_told_and_lost_answers_are_failures() {
    for (reason, told) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("guardrail_intervened", "content_filter"),
        ("content_filtered", "content_filter"),
        ("malformed_model_output", "stop"),
        ("something_new", "stop"),
    ] {
        let (deltas, ..) = run(&[delta(0, &json!({"text": "x"})), ending(reason)]);
        assert_eq!(deltas[2], json!(told), "{reason}");
        let body =
            json!({"output": {"message": {"content": [{"text": "x"}]}}, "stopReason": reason});
        let reply = reply(body.to_string().into(), 1, &ORIGIN).unwrap();
        let reply: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!(reply["choices"][0]["finish_reason"], told, "{reason}");
        let more = ["stop_sequence", "model_context_window_exceeded"].contains(&reason);
        let native = reply["choices"][0].get("native_finish_reason");
        assert_eq!(native, more.then(|| json!(reason)).as_ref(), "{reason}");
    }
    let lost = ending("malformed_tool_use");
    let (_, progress, how, _) =
        run(&[event("messageStart", &json!({"role": "assistant"})), lost.clone()]);
    assert_eq!((progress.failure.unwrap().class, how), (FailureClass::Server, Ending::Cut));
    let body = json!({"output": {"message": {"content": []}}, "stopReason": "malformed_tool_use"});
    assert!(reply(body.to_string().into(), 1, &ORIGIN).is_err());
    let (_, progress, ..) = run(&[delta(0, &json!({"text": "x"})), lost]);
    assert!(progress.failure.is_some(), "a call that was lost is no answer");
    let body = json!({"output": {"message": {"content": [{"text": "x"}]}},
        "stopReason": "malformed_tool_use"});
    assert!(reply(body.to_string().into(), 1, &ORIGIN).is_err());
}

#[test]
fn a_stream_without_usage_is_whole_and_one_without_an_end_is_not() {
    let end = event("messageStop", &json!({"stopReason": "end_turn"}));
    let (_, progress, ending, usage) = run(&[delta(0, &json!({"text": "x"})), end.clone()]);
    assert_eq!((progress.done, ending, usage), (false, Ending::Complete, None));
    let (_, _, ending, _) = run(&[delta(0, &json!({"text": "x"})), end[..end.len() - 1].to_vec()]);
    assert_eq!(ending, Ending::Cut);
}

#[test]
fn whole_replies_say_everything() {
    let body = json!({
        "output": {"message": {"role": "assistant", "content": [
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"reasoningContent": {"reasoningText": {"text": "!"}}},
            {"reasoningContent": {"redactedContent": "QQ=="}},
            {"citationsContent": {"content": [{"text": "ab"}], "citations": [{"location": {"web": {"url": "u"}}}, {"location": {"documentChar": {}}}]}},
            {"toolUse": {"toolUseId": "t", "name": "_x-f-2Ex", "input": {"a": [1, " b"]}}},
            {"toolUse": {"toolUseId": "s", "name": "search", "type": "server_tool_use", "input": {}}},
            {"somethingNew": {}},
        ]}},
        "stopReason": "tool_use",
        "usage": {"inputTokens": 1, "outputTokens": 2, "cacheDetails": [{"ttl": "5m", "inputTokens": 4}]},
        "serviceTier": {"type": "flex"},
    });
    let told = reply(body.to_string().into(), 7, &Origin { request_id: None, ..ORIGIN }).unwrap();
    let usage = told.usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cache_write_tokens), (5, 4));
    let again = reply(body.to_string().into(), 7, &Origin { request_id: None, ..ORIGIN }).unwrap();
    assert_eq!(told, again, "an id that is made up is the same for the same reply");
    let told: Value = serde_json::from_slice(&told.body).unwrap();
    assert!(told["id"].as_str().unwrap().len() > 20);
    assert_eq!(told["service_tier"], "flex");
    let message = &told["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&json!("ab"), &json!("hm!")));
    assert_eq!(message["thinking_blocks"].as_array().unwrap().len(), 2);
    assert_eq!(message["annotations"].as_array().unwrap().len(), 1);
    assert_eq!(
        message["tool_calls"],
        json!([{"id": "t", "type": "function", "function": {"name": "f.x", "arguments": "{\"a\":[1,\" b\"]}"}}])
    );
}

#[test]
fn what_is_no_reply_is_a_failure() {
    for (body, class) in [
        ("", FailureClass::Server),
        ("[]", FailureClass::Server),
        (r#"{"output":{}}"#, FailureClass::Server),
        (r#"{"message":"no"}"#, FailureClass::Server),
        (
            r#"{"__type":"com.amazon#ThrottlingException","Message":"wait"}"#,
            FailureClass::RateLimited,
        ),
    ] {
        let failed = reply(Bytes::from_static(body.as_bytes()), 1, &ORIGIN).unwrap_err();
        assert_eq!(failed.class, class, "{body}");
        assert!(count(body.as_bytes(), &ORIGIN).is_err());
    }
    assert_eq!(count(br#"{"inputTokens":7}"#, &ORIGIN).unwrap().body, r#"{"input_tokens":7}"#);
}
