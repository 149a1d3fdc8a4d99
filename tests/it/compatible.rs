//! Servers that nearly follow OpenAI, under OpenAI's own name: the most common way to write one.

use bytes::Bytes;
use serde_json::{Value, json};

use crate::harness::*;

fn events(chunks: &[Value]) -> mock::Reply {
    let mut all: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    all.push("data: [DONE]\n\n".to_owned());
    frames(all.into_iter().map(Bytes::from))
}

fn chunk(delta: Value, reason: Value) -> Value {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]})
}

/// Two calls of index 0, the first with its arguments as an object, an end that says nothing of them,
/// and usage beside it.
fn crooked() -> mock::Reply {
    let call = |id: &str, arguments: Value| json!({"tool_calls": [{"index": 0, "id": id, "function": {"name": "f", "arguments": arguments}}]});
    let mut end = chunk(json!({}), json!("eos"));
    end["usage"] = json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7});
    events(&[
        chunk(json!({"role": "assistant", "reasoning": "hm"}), Value::Null),
        chunk(call("a", json!({"x": 1})), Value::Null),
        chunk(call("b", json!("{}")), Value::Null),
        end,
    ])
}

#[test]
fn clients_of_every_dialect_get_both_calls() {
    let server = upstream::openai().replies(crooked()).start();
    let gateway = gateway::with(group("own").deployment(&server)).start();
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let chat = gateway.client().ask("own", "hi").set("tools", tools).stream();
    assert_eq!(chat.finish_reason(), Some("tool_calls"), "{chat:?}");
    let deltas = chat.events.iter().map(|event| &event["choices"][0]["delta"]);
    let calls: Vec<Value> = deltas.clone().map(|delta| delta["tool_calls"][0].clone()).collect();
    let calls: Vec<&Value> = calls.iter().filter(|call| call.is_object()).collect();
    assert_eq!((&calls[0]["index"], &calls[1]["index"]), (&json!(0), &json!(1)));
    assert_eq!(calls[0]["function"]["arguments"], "{\"x\":1}");
    assert!(deltas.clone().any(|delta| delta["reasoning_content"] == "hm"), "{chat:?}");
    assert!(chat.usage().is_none(), "it was not asked for");

    let asked = gateway.client().post("/v1/messages").json(&json!({
        "model": "own", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}]}));
    let stream = asked.stream();
    let blocks = stream.events.iter().map(|event| &event["content_block"]);
    let calls: Vec<&Value> = blocks.filter(|block| block["type"] == "tool_use").collect();
    assert_eq!(calls.len(), 2, "{stream:?}");
    let stop = stream.events.iter().find_map(|event| event["delta"]["stop_reason"].as_str());
    assert_eq!(stop, Some("tool_use"));

    let asked = gateway.client().post("/v1/responses").json(&json!({"model": "own", "input": "hi",
        "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}}]}));
    let stream = asked.stream();
    let output = &stream.events.last().unwrap()["response"]["output"];
    let calls: Vec<&Value> = output.as_array().unwrap().iter().collect();
    let calls: Vec<&Value> = calls.into_iter().filter(|it| it["type"] == "function_call").collect();
    let arguments: Vec<&Value> = calls.iter().map(|call| &call["arguments"]).collect();
    assert_eq!(arguments, ["{\"x\":1}", "{}"], "{output}");
}

#[test]
fn a_chunk_that_cannot_be_read_is_an_error_and_no_end() {
    let broken = json!({"id": "c", "choices": [{"index": 0, "delta": {"content": 5}}]});
    let text = chunk(json!({"content": "a"}), Value::Null);
    let end = chunk(json!({}), json!("stop"));
    let server = upstream::openai().replies(events(&[text, broken, end])).start();
    let gateway = gateway::with(group("own").deployment(&server)).start();
    let asked = gateway.client().post("/v1/messages").json(&json!({
        "model": "own", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}));
    let stream = asked.stream();
    assert_eq!(stream.error.as_ref().unwrap()["type"], "api_error", "{stream:?}");
    let asked =
        gateway.client().post("/v1/responses").json(&json!({"model": "own", "input": "hi"}));
    assert_eq!(asked.stream().events.last().unwrap()["type"], "response.failed");
}

#[test]
fn a_reason_of_a_text_completion_is_openais() {
    let body = json!({"id": "c", "object": "text_completion", "created": 1, "model": "m",
        "choices": [{"index": 0, "text": "a", "finish_reason": "eos"}]});
    let server = upstream::openai().replies(json(&body)).start();
    let completing = openai(&server).info("mode: completion");
    let gateway = gateway::with(group("own").deployment(completing)).start();
    let asked = gateway.client().post("/v1/completions");
    let reply = asked.json(&json!({"model": "own", "prompt": "hi"})).send();
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "stop");
    server.now_replies(events(&[body]));
    let asked = gateway.client().post("/v1/completions");
    let stream = asked.json(&json!({"model": "own", "prompt": "hi", "stream": true})).stream();
    assert_eq!(stream.events[0]["choices"][0]["finish_reason"], "stop", "{stream:?}");
}

#[test]
fn a_quota_that_is_used_up_is_not_asked_for_again() {
    let server = upstream::openai()
        .replies(status(429).json_error("insufficient_quota", "used up").retry_after(2));
    let server = server.start();
    let gateway = gateway::with(group("own").deployment(&server)).router("num_retries: 0").start();
    let reply = gateway.client().chat("own", "hi");
    assert_eq!((reply.status, reply.header("x-should-retry")), (429, "false"));
    assert_eq!(reply.header("retry-after"), "");
}

#[test]
fn what_groq_generated_before_it_failed_can_be_saved() {
    let error = json!({"error": {"message": "Failed to call a function.", "type": "invalid_request_error",
        "code": "tool_use_failed", "failed_generation": "<function=f>{}</function>"}});
    let server = upstream::openai().replies(json(&error).with_status(400)).start();
    let gateway = gateway::with(group("own").deployment(openai(&server).model("groq/m"))).start();
    let reply = gateway.client().chat("own", "hi");
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "tool_use_failed"));
    let told = reply.error_message();
    assert!(told.ends_with("failed_generation: <function=f>{}</function>"), "{told}");
}
