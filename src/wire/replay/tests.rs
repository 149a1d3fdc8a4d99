use serde_json::json;

use super::*;

const USED: Usage = Usage { input_tokens: 3, output_tokens: 2, ..Usage::NONE };

fn value(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

/// A whole reply, streamed, recorded, and put together again.
fn there_and_back(form: Form, body: &Value) -> Value {
    let recorded = stream(form, body.to_string().as_bytes(), &USED).unwrap();
    let all = [&recorded.events[..], &recorded.usage, &recorded.end].concat();
    let again = record(form, all.into(), &USED).unwrap();
    assert_eq!(again, recorded);
    value(&whole(form, &again).unwrap())
}

fn chat() -> Value {
    json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m",
        "system_fingerprint": "fp", "choices": [
        {"index": 0, "finish_reason": "tool_calls", "logprobs": {"content": [{"token": "hi"}]},
            "message": {"role": "assistant", "content": "hi", "reasoning_content": "hm",
                "annotations": [{"type": "url_citation"}],
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "b", "type": "custom", "custom": {"name": "g", "input": "x"}}]}},
        {"index": 1, "finish_reason": "stop", "message": {"role": "assistant", "content": "ho"}}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

fn message() -> Value {
    json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "S"},
            {"type": "text", "text": "hi", "citations": [{"type": "page_location"}]},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": [{"url": "u"}]},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": [1]}}],
        "stop_reason": "tool_use", "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 2}})
}

fn generated() -> Value {
    json!({"candidates": [{"index": 0, "finishReason": "STOP", "content": {"role": "model",
            "parts": [{"text": "hi"}]}}],
        "usageMetadata": {"totalTokenCount": 5}, "modelVersion": "g", "responseId": "r"})
}

fn response() -> Value {
    json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m",
        "incomplete_details": null, "output": [
            {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "hm"}]},
            {"type": "message", "id": "ms", "role": "assistant", "status": "completed", "content": [
                {"type": "output_text", "text": "hi", "annotations": [{"type": "url_citation"}]}]},
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": "{}",
                "status": "completed"}],
        "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}})
}

fn completion() -> Value {
    json!({"id": "cmpl-1", "object": "text_completion", "created": 7, "model": "m",
        "choices": [{"text": "hi", "index": 0, "logprobs": null, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
}

#[test]
fn nothing_is_lost_between_a_reply_and_its_stream() {
    for (form, body) in [
        (Form::Chat, chat()),
        (Form::Text, completion()),
        (Form::Messages, message()),
        (Form::GenerateContent, generated()),
        (Form::Responses, response()),
    ] {
        assert!(is_fit(form, body.to_string().as_bytes()), "{form:?}");
        let mut expected = body.clone();
        if form == Form::Chat {
            // As a stream says it.
            expected["choices"][0]["message"]["role"] = json!("assistant");
        }
        assert_eq!(there_and_back(form, &body), expected, "{form:?}");
    }
}

#[test]
fn pieces_are_put_together() {
    let events = concat!(
        ": hello\n\n",
        "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\"}}]}\n\n",
        ": ping\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"i\"}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]}}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
        "data: [DONE]\n\n",
    );
    let recorded = record(Form::Chat, Bytes::from_static(events.as_bytes()), &USED).unwrap();
    assert!(!recorded.events.starts_with(b":"), "comments are not kept");
    assert!(!recorded.events.windows(6).any(|it| it == b": ping"), "nor in the middle");
    assert_eq!(recorded.end, DONE);
    let usage: Value =
        serde_json::from_slice(recorded.usage.strip_prefix(b"data: ").unwrap()).unwrap();
    assert_eq!(usage["usage"]["total_tokens"], 5);
    assert_eq!((&usage["id"], &usage["choices"]), (&json!("c"), &json!([])));
    let whole = value(&whole(Form::Chat, &recorded).unwrap());
    assert_eq!(
        whole,
        json!({"id": "c", "object": "chat.completion", "created": 7, "model": "m",
            "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
                "role": "assistant", "content": "hi", "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})
    );
}

#[test]
fn usage_is_apart_from_what_every_client_gets() {
    let told = concat!(
        "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"h\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"total_tokens\":9}}\n\ndata: [DONE]\n\n",
    );
    let recorded = record(Form::Chat, Bytes::from_static(told.as_bytes()), &USED).unwrap();
    assert!(!recorded.events.windows(5).any(|it| it == b"usage"));
    assert!(recorded.usage.ends_with(b"\"usage\":{\"total_tokens\":9}}\n\n"));
}

#[test]
fn text_of_gemini_goes_on_and_other_parts_stay_apart() {
    let part = |part: Value, reason: Value| {
        json!({"candidates": [{"content": {"role": "model", "parts": [part]},
            "finishReason": reason}]})
    };
    let events = [
        part(json!({"text": "a", "thought": true}), Value::Null),
        part(json!({"text": "b"}), Value::Null),
        part(json!({"text": "c"}), Value::Null),
        part(json!({"text": "", "thoughtSignature": "S"}), Value::Null),
        part(json!({"functionCall": {"name": "f"}}), json!("STOP")),
    ];
    let whole = generate::gathered(&events).unwrap();
    assert_eq!(
        whole["candidates"][0]["content"]["parts"],
        json!([{"text": "a", "thought": true}, {"text": "bc"},
            {"text": "", "thoughtSignature": "S"}, {"functionCall": {"name": "f"}}])
    );
    assert!(generate::is_complete(&whole));
}

#[test]
fn what_is_cut_off_filtered_or_wrong_is_not_recorded() {
    let set = |body: Value, place: &str, to: Value| {
        let mut body = body;
        *body.pointer_mut(place).unwrap() = to;
        body
    };
    for (form, body) in [
        (Form::Chat, set(chat(), "/choices/1/finish_reason", json!("content_filter"))),
        (Form::Chat, set(chat(), "/choices/1/finish_reason", Value::Null)),
        (Form::Chat, set(chat(), "/choices/1/message/content", json!(""))),
        (Form::Chat, set(chat(), "/choices", json!([]))),
        (Form::Chat, json!({"error": {"message": "x"}, "choices": chat()["choices"]})),
        (Form::Text, set(completion(), "/choices/0/finish_reason", json!("error"))),
        (Form::Messages, set(message(), "/stop_reason", json!("refusal"))),
        (Form::Messages, set(message(), "/stop_reason", json!("pause_turn"))),
        (Form::Messages, set(message(), "/content", json!([]))),
        (Form::GenerateContent, set(generated(), "/candidates/0/finishReason", json!("SAFETY"))),
        (Form::GenerateContent, json!({"promptFeedback": {"blockReason": "OTHER"}})),
        (Form::Responses, set(response(), "/status", json!("failed"))),
        (Form::Responses, set(response(), "/status", json!("queued"))),
        (
            Form::Responses,
            json!({"status": "incomplete", "output": [1],
            "incomplete_details": {"reason": "content_filter"}}),
        ),
        (Form::List, json!({"data": []})),
        (Form::List, json!([1])),
    ] {
        let text = body.to_string();
        assert!(!is_fit(form, text.as_bytes()), "{form:?} {text}");
        if let Some(told) = stream(form, text.as_bytes(), &USED) {
            let all = [&told.events[..], &told.usage, &told.end].concat();
            assert_eq!(record(form, all.into(), &USED), None, "{form:?} {text}");
        }
    }
    assert!(is_fit(Form::List, br#"{"data":[{"embedding":[0.1]}]}"#));
    // Half of a stream.
    for (form, body) in
        [(Form::Chat, chat()), (Form::Messages, message()), (Form::Responses, response())]
    {
        let told = stream(form, body.to_string().as_bytes(), &USED).unwrap();
        let half = told.events.slice(..told.events.len() / 2);
        assert_eq!(record(form, half, &USED), None, "{form:?}");
    }
}

#[test]
fn of_a_stream_that_breaks_off_everything_is_there_that_it_has_said() {
    let bodies = [
        (Form::Chat, chat(), "/choices/0/message/content"),
        (Form::Text, completion(), "/choices/0/text"),
        (Form::Messages, message(), "/content/1/text"),
        (Form::Responses, response(), "/output/1/content/0/text"),
        (Form::GenerateContent, generated(), "/candidates/0/content/parts/0/text"),
    ];
    for (form, body, at) in bodies {
        let told = stream(form, &body.to_string().into_bytes(), &Usage::default()).unwrap();
        let whole = value(&whole(form, &told).unwrap());
        let said = whole.pointer(at).cloned();
        // Wherever it breaks, it says a beginning of what it would have said.
        let sent = String::from_utf8(told.events.to_vec()).unwrap();
        let ends = sent.match_indices("\n\n").map(|(at, end)| at + end.len());
        let mut longest = None;
        for end in ends {
            let cut = Bytes::copy_from_slice(&sent.as_bytes()[..end]);
            let Some(begun) = begun(form, cut.clone(), false) else { continue };
            longest = value(&begun).pointer(at).cloned().or(longest);
            let failed =
                b"event: error\ndata: {\"type\":\"error\",\"error\":{\"message\":\"m\"}}\n\n";
            let failed = Bytes::from([&cut[..], failed].concat());
            assert_eq!(super::begun(form, failed, false), Some(begun), "{form:?}");
        }
        assert_eq!(longest, said, "{form:?}");
    }
    let nothing = Bytes::from_static(b"data: {\"error\":{\"message\":\"m\"}}\n\n");
    for form in [Form::Chat, Form::Messages, Form::Responses, Form::GenerateContent] {
        assert_eq!(begun(form, nothing.clone(), false), None, "{form:?}");
    }
}

#[test]
fn a_response_that_breaks_off_is_put_together_of_its_pieces() {
    let events = [
        json!({"type": "response.created", "response": {"id": "r", "status": "in_progress", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hel"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "lo"}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"a\""}),
    ];
    let sent: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    let told = value(&begun(Form::Responses, sent.into(), false).unwrap());
    assert_eq!(told["status"], "incomplete");
    assert_eq!(told["output"][0]["content"], json!([{"type": "output_text", "text": "Hello"}]));
    assert_eq!(told["output"][1]["arguments"], "{\"a\"");
}
