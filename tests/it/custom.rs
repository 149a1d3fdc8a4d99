//! Providers that the configuration describes.

use serde_json::{Value, json};

use crate::harness::*;

/// A gateway with a provider `acme` at the upstream.
fn acme(upstream: &Upstream, mapping: &str) -> Gateway {
    gateway::empty()
        .top(&format!(
            "custom_providers:\n\
             \x20 - name: acme\n\
             \x20   base_url: {}\n\
             \x20   api_key: sk-acme\n\
             {mapping}\n\
             model_list:\n\
             \x20 - model_name: house\n\
             \x20   litellm_params: {{model: acme/large-2, input_cost_per_token: 0.1, output_cost_per_token: 1}}\n",
            upstream.url()
        ))
        .start()
}

const MAPPING: &str = "    path: /v2/{model}/generate
    stream_path: /v2/{model}/live
    auth_header: x-acme-key
    headers: {x-acme-version: '2'}
    request:
      engine: '{{ model }}'
      input: '{{ messages | map(attribute=\"content\") | join(\"|\") }}'
      limit: '{{ max_tokens }}'
    response: {text: body.out, finish_reason: body.why, input_tokens: body.read, output_tokens: body.wrote}
    stream: {text: event.piece, finish_reason: event.why, done: event.over, input_tokens: event.read,
      output_tokens: event.wrote, error: event.problem}
    error: body.problem";

#[test]
fn the_api_of_the_seed_document_works_without_a_mapping() {
    let answer = json!({"id": "c-1", "object": "chat.completion", "created": 1, "model": "custom-model",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "AI is"}}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}});
    let upstream = upstream::openai().replies(json(&answer)).start();
    let gateway = gateway::empty()
        .top(&format!(
            "custom_providers: [{{name: custom, base_url: '{}/llm', path: /completions, api_key: custom-key}}]\n\
             model_list:\n\
             \x20 - model_name: custom-model\n\
             \x20   litellm_params: {{model: custom/custom-model}}\n",
            upstream.url()
        ))
        .start();
    let body = json!({"model": "custom-model", "temperature": 0.7, "max_tokens": 1000,
        "messages": [{"role": "user", "content": "What is AI?"}]});
    let reply = gateway.client().post("/v1/chat/completions").json(&body).send();
    assert_eq!((reply.status, &*reply.text()), (200, "AI is"), "{}", reply.body_text());
    let request = upstream.last_request();
    assert_eq!(request.path, "/llm/completions");
    assert_eq!(request.header("authorization"), Some("Bearer custom-key"));
    assert_eq!(request.json(), body);
}

#[test]
fn bodies_are_made_and_read_by_the_mapping() {
    let answer = json!({"out": "hello", "why": "MAX_TOKENS", "read": 10, "wrote": 2});
    let upstream = upstream::openai().replies(json(&answer)).start();
    let gateway = acme(&upstream, MAPPING);
    let body = json!({"model": "house", "max_tokens": 7, "messages": [
        {"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"},
    ]});

    let reply = gateway.client().post("/v1/chat/completions").json(&body).send();
    assert_eq!((reply.status, &*reply.text()), (200, "hello"), "{}", reply.body_text());
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "length");
    assert_eq!(reply.json()["usage"]["total_tokens"], 12);
    let request = upstream.last_request();
    assert_eq!(request.path, "/v2/large-2/generate");
    assert_eq!(request.header("x-acme-key"), Some("sk-acme"));
    assert_eq!(request.header("x-acme-version"), Some("2"));
    assert_eq!(request.header("authorization"), None);
    assert_eq!(request.json(), json!({"engine": "large-2", "input": "be brief|hi", "limit": 7}));
    let line = gateway.logged(reply.request_id());
    assert_eq!((&line["provider"], line["cost_usd"].as_f64()), (&json!("acme"), Some(3.0)));
}

#[test]
fn a_stream_of_any_api_becomes_chunks() {
    let events = [
        r#"{"piece":"hel"}"#,
        r#"{"piece":"lo"}"#,
        r#"{"why":"end","over":true,"read":3,"wrote":2}"#,
    ];
    let events = events.map(|event| format!("data: {event}\n\n"));
    let upstream = upstream::openai().replies(frames(events)).start();
    let gateway = acme(&upstream, MAPPING);
    let stream = gateway.client().stream("house", "hi");
    assert_eq!((&*stream.text(), stream.finish_reason()), ("hello", Some("stop")));
    assert_eq!(upstream.last_request().path, "/v2/large-2/live");
    assert_eq!(gateway.logged(stream.request_id())["usage"]["output_tokens"], 2);

    upstream.now_replies(frames([
        "data: {\"piece\":\"a\"}\n\n",
        "data: {\"problem\":\"out of memory\"}\n\n",
    ]));
    let stream = gateway.client().stream("house", "hi");
    assert_eq!(stream.text(), "a");
    assert!(stream.error_code().is_some(), "an error in the middle is no success");
}

#[test]
fn failures_of_such_a_provider_are_told_and_classified() {
    let upstream = upstream::openai().start();
    let gateway = acme(&upstream, MAPPING);
    for (reply, status, told) in [
        (json(&json!({"problem": "too heavy"})).with_status(400), 400, "too heavy"),
        (json(&json!({"problem": "slow down"})).with_status(429), 429, "slow down"),
        (json(&json!({"elsewhere": 1})), 502, "no text where its mapping looks"),
    ] {
        upstream.now_replies(reply);
        let answer = gateway.client().ask("house", "hi").set("num_retries", 0).send();
        assert_eq!(answer.status, status, "{}", answer.body_text());
        assert!(answer.error_message().contains(told), "{}", answer.body_text());
    }
    let odd = json!({"model": "house", "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]});
    upstream.now_replies(json(&json!({"out": "fine"})));
    let answer = gateway.client().post("/v1/chat/completions").json(&odd).send();
    assert_eq!(answer.status, 200, "parts become a text: {}", answer.body_text());
    assert_eq!(upstream.last_request().json()["input"], "a");
}
