//! Google's own API behind clients of OpenAI, and what the gateway keeps for clients that forget.

use serde_json::{Value, json};

use crate::harness::*;

const SIGNATURE: &str = "c2lnbmF0dXJl";

fn frame(parts: &Value, finish: Option<&str>) -> String {
    let mut candidate = json!({"index": 0, "content": {"role": "model", "parts": parts}});
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    let frame = json!({
        "candidates": [candidate],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 8},
        "modelVersion": "gemini-3.5-flash",
        "responseId": "r1",
    });
    format!("data: {frame}\r\n\r\n")
}

fn calls() -> Value {
    json!([
        {"functionCall": {"name": "get_weather", "args": {"city": "Oslo"}}, "thoughtSignature": SIGNATURE},
        {"functionCall": {"name": "get_weather", "args": {"city": "Quito"}}},
    ])
}

fn tools() -> Value {
    json!([{"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}])
}

/// The next request of a client that keeps of a call what OpenAI's documentation names.
fn next_turn(model: &str, calls: &[Value]) -> Value {
    let kept: Vec<Value> = calls
        .iter()
        .map(|call| json!({"id": call["id"], "type": "function", "function": call["function"]}))
        .collect();
    let mut messages = vec![
        json!({"role": "user", "content": "the weather?"}),
        json!({"role": "assistant", "content": null, "tool_calls": kept}),
    ];
    for call in calls {
        messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": "cold"}));
    }
    json!({"model": model, "messages": messages, "tools": tools()})
}

#[test]
fn a_chat_is_told_in_googles_words() {
    let upstream = upstream::gemini().replies(chat("hello")).start();
    let gateway = gateway::with(group("g").deployment(gemini(&upstream))).start();

    let reply = gateway.client().chat("g", "hi");
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(reply.text(), "hello");
    let sent = upstream.last_request();
    assert_eq!(sent.path, "/v1beta/models/gemini-3.5-flash:generateContent");
    assert_eq!(sent.header("x-goog-api-key"), Some("sk-upstream-of-the-tests"));
    assert_eq!(sent.json()["contents"][0], json!({"role": "user", "parts": [{"text": "hi"}]}));

    let stream = gateway.client().stream("g", "hi");
    assert_eq!(stream.text(), "hello");
    assert_eq!(stream.finish_reason(), Some("stop"));
    let sent = upstream.last_request();
    assert_eq!(sent.path, "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse");
}

#[test]
fn signatures_that_a_client_forgets_come_back() {
    for streamed in [false, true] {
        let first = match streamed {
            true => frames([frame(&calls(), None), frame(&json!([{"text": ""}]), Some("STOP"))]),
            false => json(
                &json!({"candidates": [{"content": {"parts": calls()}, "finishReason": "STOP"}],
                "responseId": "r1", "modelVersion": "m"}),
            ),
        };
        let upstream = upstream::gemini().first_replies([first]).replies(chat("done")).start();
        let gateway = gateway::with(group("g").deployment(gemini(&upstream))).start();
        let client = gateway.client();
        let ask = json!({"model": "g", "messages": [{"role": "user", "content": "?"}],
            "tools": tools(), "stream": streamed});

        let told: Vec<Value> = if streamed {
            let stream = client.post("/v1/chat/completions").json(&ask).stream();
            assert_eq!(stream.finish_reason(), Some("tool_calls"));
            stream
                .events
                .iter()
                .filter_map(|chunk| Some(chunk.pointer("/choices/0/delta/tool_calls/0")?.clone()))
                .collect()
        } else {
            let reply = client.post("/v1/chat/completions").json(&ask).send();
            let message = reply.json()["choices"][0]["message"].clone();
            message["tool_calls"].as_array().unwrap().clone()
        };
        assert_eq!(told.len(), 2);
        assert_eq!(told[0]["extra_content"]["google"]["thought_signature"], SIGNATURE);
        let reply = client.post("/v1/chat/completions").json(&next_turn("g", &told)).send();
        assert_eq!(reply.text(), "done");
        let sent = upstream.last_request().json();
        let parts = sent["contents"][1]["parts"].clone();
        assert_eq!(parts[0]["thoughtSignature"], SIGNATURE, "streamed: {streamed}");
        assert_eq!(parts[1].get("thoughtSignature"), None);
        assert_eq!(sent["contents"][2]["parts"].as_array().unwrap().len(), 2);
        assert_eq!(sent["contents"][2]["parts"][0]["functionResponse"]["id"], told[0]["id"]);
    }
}

#[test]
fn the_memory_can_be_switched_off() {
    let first =
        json(&json!({"candidates": [{"content": {"parts": calls()}, "finishReason": "STOP"}]}));
    let upstream = upstream::gemini().first_replies([first]).replies(chat("done")).start();
    let gateway = gateway::with(group("g").deployment(gemini(&upstream)))
        .general("tool_call_memory: 0")
        .start();
    let client = gateway.client();
    let ask =
        json!({"model": "g", "messages": [{"role": "user", "content": "?"}], "tools": tools()});
    let reply = client.post("/v1/chat/completions").json(&ask).send();
    let told = reply.json()["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    client.post("/v1/chat/completions").json(&next_turn("g", &told)).send();
    let sent = upstream.last_request().json();
    assert_eq!(
        sent["contents"][1]["parts"][0]["thoughtSignature"],
        "skip_thought_signature_validator"
    );
}

#[test]
fn reasoning_that_deepseek_wants_again_comes_back() {
    let first = json(
        &json!({"id": "1", "object": "chat.completion", "created": 1, "model": "deepseek-chat",
        "choices": [{"index": 0, "finish_reason": "tool_calls", "message": {"role": "assistant",
            "content": "", "reasoning_content": "They want weather.", "tool_calls": [{"id": "call_1",
            "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]}}]}),
    );
    let upstream = upstream::openai().first_replies([first]).replies(chat("done")).start();
    let deployment = Deployment::at("deepseek/deepseek-chat", &upstream.api_base());
    let gateway = gateway::with(group("d").deployment(deployment)).start();
    let client = gateway.client();
    let ask =
        json!({"model": "d", "messages": [{"role": "user", "content": "?"}], "tools": tools()});
    let reply = client.post("/v1/chat/completions").json(&ask).send();
    let told = reply.json()["choices"][0]["message"]["tool_calls"].as_array().unwrap().clone();
    client.post("/v1/chat/completions").json(&next_turn("d", &told)).send();
    let sent = upstream.last_request().json();
    assert_eq!(sent["messages"][1]["reasoning_content"], "They want weather.");
}

#[test]
fn errors_are_classified_and_waits_are_obeyed() {
    let limited = json(
        &json!({"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slow down",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}]}}),
    );
    let key = json(&json!([{"error": {"code": 400, "status": "INVALID_ARGUMENT",
        "message": "API key not valid. Please pass a valid API key.",
        "details": [{"reason": "API_KEY_INVALID"}]}}]));
    let long = json(&json!({"error": {"code": 400, "status": "INVALID_ARGUMENT",
        "message": "The input token count (9) exceeds the maximum number of tokens allowed (8)."}}));
    for (reply, status, seen, code) in [
        (limited, 429, 429, "rate_limit_exceeded"),
        (key, 400, 401, "upstream_authentication_error"),
        (long, 400, 400, "context_length_exceeded"),
    ] {
        let upstream = upstream::gemini().replies(reply.with_status(status)).start();
        let gateway = gateway::with(group("g").deployment(gemini(&upstream)))
            .router("num_retries: 0")
            .start();
        let reply = gateway.client().chat("g", "hi");
        assert_eq!(
            (reply.status, reply.error_code()),
            (seen, code.to_owned()),
            "{}",
            reply.body_text()
        );
        if seen == 429 {
            assert_eq!(reply.header("retry-after"), "34");
        }
    }
}

#[test]
fn an_error_in_the_middle_of_a_stream_is_never_a_success() {
    let error =
        r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    for last in [format!("data: {error}\r\n\r\n"), format!("{error}\n")] {
        let upstream = upstream::gemini()
            .replies(frames([frame(&json!([{"text": "one"}]), None), last]))
            .start();
        let gateway = gateway::with(group("g").deployment(gemini(&upstream)))
            .router("num_retries: 0")
            .start();
        let stream = gateway.client().stream("g", "hi");
        assert_eq!(stream.text(), "one");
        assert_eq!(stream.error_code().as_deref(), Some("overloaded"));
        assert_eq!(stream.finish_reason(), None);
    }
}

#[test]
fn a_stream_without_a_reason_to_end_is_cut() {
    let upstream =
        upstream::gemini().replies(frames([frame(&json!([{"text": "one"}]), None)])).start();
    let gateway =
        gateway::with(group("g").deployment(gemini(&upstream))).router("num_retries: 0").start();
    let stream = gateway.client().stream("g", "hi");
    assert_eq!(stream.text(), "one");
    assert!(stream.error_code().is_some());
}
