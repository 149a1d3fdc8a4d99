//! Providers that speak a dialect of their own, and that every provider of the table can be called.

use serde_json::{Value, json};
use tollgate::dialect::Dialect;
use tollgate::mock::Upstream;
use tollgate::provider::{Support, vendors};

use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

fn at(model: &str, upstream: &Upstream) -> Group {
    group("g").deployment(Deployment::at(model, &upstream.url()))
}

fn weather() -> Value {
    json!([{"type": "function", "function":
        {"name": "weather", "parameters": {"type": "object"}}}])
}

// --- Cohere ---

fn cohere_events(events: &[Value]) -> mock::Reply {
    frames(
        events
            .iter()
            .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap())),
    )
}

fn cohere_text(text: &str) -> Value {
    json!({"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": text}}}})
}

fn cohere_start() -> Value {
    json!({"type": "message-start", "id": "c1", "delta": {"message": {"role": "assistant"}}})
}

fn cohere_end(reason: &str) -> Value {
    json!({"type": "message-end", "delta": {"finish_reason": reason, "error": "it broke",
        "usage": {"tokens": {"input_tokens": 7.0, "output_tokens": 2.0}}}})
}

#[test]
fn cohere_is_asked_and_answers_in_its_own_words() {
    let upstream = upstream::openai()
        .replies(json(&json!({
            "id": "c1", "finish_reason": "TOOL_CALL",
            "message": {"role": "assistant", "tool_plan": "I look.", "tool_calls": [
                {"id": "w1", "type": "function",
                 "function": {"name": "weather", "arguments": "{}"}}]},
            "usage": {"tokens": {"input_tokens": 7.0, "output_tokens": 2.0}},
        })))
        .start();
    let gateway = gateway::with(at("cohere/command-a-03-2025", &upstream)).start();

    let client = gateway.client();
    let ask = client.ask("g", "hi").set("tools", weather()).set("tool_choice", "required");
    let reply = ask.set("top_p", 0.5).send();

    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let body = reply.json();
    assert_eq!(body["model"], "command-a-03-2025", "although Cohere does not say it");
    assert_eq!(body["choices"][0]["message"]["reasoning_content"], "I look.");
    assert_eq!(body["choices"][0]["message"]["tool_calls"][0]["id"], "w1");
    assert_eq!(body["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(body["usage"]["total_tokens"], 9);
    let sent = upstream.last_request();
    assert_eq!(sent.path, "/v2/chat");
    assert_eq!(sent.json()["tool_choice"], "REQUIRED");
    assert_eq!(sent.json()["p"], 0.5);
    assert_eq!(sent.json()["model"], "command-a-03-2025");
    assert_eq!(sent.header("authorization"), Some("Bearer sk-upstream-of-the-tests"));
}

#[test]
fn a_stream_of_coheres_is_a_stream_of_chunks() {
    let events = [cohere_start(), cohere_text("he"), cohere_text("llo"), cohere_end("COMPLETE")];
    let upstream = upstream::openai().replies(cohere_events(&events).in_pieces_of(7)).start();
    let gateway = gateway::with(at("cohere_chat/command-r", &upstream)).start();

    let client = gateway.client();
    let ask = client.ask("g", "hi").set("stream_options", json!({"include_usage": true}));
    let stream = ask.stream();

    assert_eq!(stream.text(), "hello");
    assert_eq!(stream.finish_reason(), Some("stop"));
    assert_eq!(stream.usage().unwrap()["prompt_tokens"], 7);
    assert_eq!(upstream.last_request().json()["stream"], true);
}

#[test]
fn a_stream_of_coheres_that_fails_is_told_as_an_error() {
    let events = [cohere_start(), cohere_text("he"), cohere_end("ERROR")];
    let broken = upstream::openai().replies(cohere_events(&events)).start();
    let gateway = gateway::with(at("cohere/command-r", &broken)).router("num_retries: 0").start();

    let stream = gateway.client().stream("g", "hi");

    assert_eq!(stream.text(), "he");
    assert!(stream.error_code().is_some(), "{stream:?}");
    assert_eq!(stream.finish_reason(), None);
}

#[test]
fn coheres_errors_are_understood() {
    for (sent, body, seen) in [
        (498, "invalid token", 401),
        (429, "too many requests", 429),
        (400, "too many tokens: 9000", 400),
        (404, "model not found", 404),
    ] {
        let reply = json(&json!({"message": body, "id": "e"})).with_status(sent);
        let upstream = upstream::openai().replies(reply).start();
        let group = at("cohere/command-r", &upstream);
        let gateway = gateway::with(group).router("num_retries: 0").start();

        let reply = gateway.client().chat("g", "hi");

        assert_eq!(reply.status, seen, "{sent}: {}", reply.body_text());
        let own = seen == 401 || reply.error_message().contains(body);
        assert!(own, "{}", reply.error_message());
        if body.starts_with("too many tokens") {
            assert_eq!(reply.error_code(), "context_length_exceeded");
        }
    }
}

#[test]
fn what_cohere_cannot_do_is_refused_before_any_call() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(at("cohere/command-r", &upstream)).start();

    let reply = gateway.client().ask("g", "hi").set("logit_bias", json!({"1": 5})).send();

    assert_eq!(reply.status, 400);
    assert!(reply.error_message().contains("drop_params"), "{}", reply.error_message());
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn coheres_embeddings_are_openais() {
    let upstream = upstream::openai()
        .replies(json(&json!({"id": "e", "embeddings": {"float": [[0.5, 0.25]]},
                              "meta": {"billed_units": {"input_tokens": 3}}})))
        .start();
    let gateway = gateway::with(at("cohere/embed-v4.0", &upstream)).start();

    let client = gateway.client();
    let reply = client.post("/v1/embeddings").json(&json!({"model": "g", "input": "hi"})).send();

    assert_eq!(reply.json()["data"][0]["embedding"], json!([0.5, 0.25]), "{}", reply.body_text());
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 3);
    let sent = upstream.last_request();
    assert_eq!((&*sent.path, &sent.json()["texts"]), ("/v2/embed", &json!(["hi"])));
}

// --- Ollama ---

fn ollama_line(fields: &Value) -> Value {
    let mut line =
        json!({"model": "llama3.2", "created_at": "2026-11-21T10:00:00.5Z", "done": false});
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line
}

fn ollama_text(text: &str) -> Value {
    ollama_line(&json!({"message": {"role": "assistant", "content": text}}))
}

fn ollama_end() -> Value {
    ollama_line(&json!({"message": {"role": "assistant", "content": ""}, "done": true,
                        "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 2}))
}

/// Lines as Ollama sends them: no JSON to the eye that looks for `json` alone, but a stream.
fn ollama_lines(lines: &[Value]) -> mock::Reply {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    body_of("application/x-ndjson", text)
}

#[test]
fn ollama_is_asked_and_answers_in_its_own_words() {
    let mut reply = ollama_end();
    reply["message"] = json!({"role": "assistant", "content": "", "tool_calls":
        [{"function": {"name": "weather", "arguments": {"city": "Oslo"}}}]});
    let upstream = upstream::openai().replies(json(&reply)).start();
    let group = group("g")
        .deployment(Deployment::at("ollama_chat/llama3.2", &upstream.url()).with("num_ctx: 8192"));
    let gateway = gateway::with(group).start();

    let client = gateway.client();
    let reply = client.ask("g", "hi").set("tools", weather()).set("max_tokens", 9).send();

    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let choice = &reply.json()["choices"][0];
    assert_eq!(choice["finish_reason"], "tool_calls");
    let call = &choice["message"]["tool_calls"][0];
    assert_eq!(call["function"]["arguments"], "{\"city\":\"Oslo\"}");
    assert!(call["id"].as_str().unwrap().starts_with("call_"));
    assert_eq!(reply.json()["usage"]["total_tokens"], 9);
    let sent = upstream.last_request();
    assert_eq!(sent.path, "/api/chat");
    assert_eq!(sent.json()["options"], json!({"num_predict": 9, "num_ctx": 8192}));
    assert_eq!(sent.json()["stream"], false);
}

#[test]
fn lines_of_ollamas_are_a_stream_of_chunks() {
    let lines = [ollama_text("he"), ollama_text("llo"), ollama_end()];
    let upstream = upstream::openai().replies(ollama_lines(&lines).in_pieces_of(11)).start();
    let gateway = gateway::with(at("ollama/llama3.2", &upstream)).start();

    let client = gateway.client();
    let ask = client.ask("g", "hi").set("stream_options", json!({"include_usage": true}));
    let stream = ask.stream();

    assert_eq!(stream.text(), "hello");
    assert_eq!(stream.finish_reason(), Some("stop"));
    assert_eq!(stream.usage().unwrap()["total_tokens"], 9);
}

#[test]
fn an_error_line_of_ollamas_is_told_as_an_error() {
    let died = json!({"error": "model runner has unexpectedly stopped"});
    let late = ollama_lines(&[ollama_text("he"), died.clone()]);
    let upstream = upstream::openai().replies(late).start();
    let gateway = gateway::with(at("ollama/m", &upstream)).router("num_retries: 0").start();
    let stream = gateway.client().stream("g", "hi");
    assert_eq!((&*stream.text(), stream.finish_reason()), ("he", None));
    assert!(stream.error_code().is_some(), "{stream:?}");

    // Before any content it is another deployment's turn.
    let dead = upstream::openai().replies(ollama_lines(&[died])).start();
    let well =
        upstream::openai().replies(ollama_lines(&[ollama_text("yes"), ollama_end()])).start();
    let group = group("g")
        .deployment(Deployment::at("ollama/m", &dead.url()).order(1))
        .deployment(Deployment::at("ollama/m", &well.url()).order(2));
    let gateway = gateway::with(group).start();
    assert_eq!(gateway.client().stream("g", "hi").text(), "yes");
    assert!(dead.request_count() >= 1);
}

#[test]
fn ollamas_refusals_and_its_compatible_api() {
    let missing = json(&json!({"error": "model 'm' not found, try pulling it first"}));
    let upstream = upstream::openai().replies(missing.with_status(404)).start();
    let gateway = gateway::with(at("ollama/m", &upstream)).router("num_retries: 0").start();
    let reply = gateway.client().chat("g", "hi");
    assert_eq!(reply.status, 404);
    assert!(reply.error_message().contains("try pulling it"), "{}", reply.error_message());

    let upstream = upstream::openai().replies(chat("hello")).start();
    let group = group("g").deployment(Deployment::at("ollama/m", &upstream.api_base()));
    let gateway = gateway::with(group).start();
    assert_eq!(gateway.client().chat("g", "hi").text(), "hello");
    assert_eq!(upstream.last_request().path, PATH);
}

// --- The table ---

/// The words in which a provider of this dialect answers; `None`: it has tests of its own.
fn answers(dialect: Dialect) -> Option<Option<Value>> {
    if dialect == Dialect::Cohere {
        let text = json!([{"type": "text", "text": "hello"}]);
        Some(Some(json!({"id": "c", "finish_reason": "COMPLETE", "message": {"content": text}})))
    } else if dialect == Dialect::Ollama {
        let mut reply = ollama_end();
        reply["message"]["content"] = json!("hello");
        Some(Some(reply))
    } else {
        matches!(dialect, Dialect::OpenAi | Dialect::Azure | Dialect::Anthropic).then_some(None)
    }
}

#[test]
fn every_provider_of_the_table_can_be_called() {
    let plain = upstream::openai().replies(chat("hello")).start();
    let mut own = Vec::new();
    let mut called = Vec::new();
    let mut builder = gateway::empty();
    for vendor in vendors().filter(|vendor| vendor.support != Support::NotYet) {
        let url = match answers(vendor.dialect) {
            None => continue,
            Some(None) => plain.url(),
            Some(Some(reply)) => {
                own.push(upstream::openai().replies(json(&reply)).start());
                own.last().unwrap().url()
            }
        };
        // By its variable where it has one, else by what is written.
        let model = format!("{}/some-model", vendor.name);
        let deployment = Deployment::at(&model, &url);
        let by_variable =
            vendor.base_vars.first().filter(|_| answers(vendor.dialect) == Some(None));
        if let Some(variable) = by_variable {
            builder = builder.variable(variable, &url);
        }
        let deployment =
            if by_variable.is_some() { deployment.without_api_base() } else { deployment };
        builder = builder.and(group(vendor.name).deployment(deployment));
        called.push(vendor);
    }
    assert!(called.len() >= 100, "only {} can be called", called.len());
    let gateway = builder.start();
    let client = gateway.client();

    for vendor in called {
        let (path, body) = match vendor.support {
            Support::VectorsOnly => {
                ("/v1/embeddings", json!({"model": vendor.name, "input": "hi"}))
            }
            Support::CompletionsOnly => {
                ("/v1/completions", json!({"model": vendor.name, "prompt": "hi"}))
            }
            Support::Yes | Support::NotYet => (
                PATH,
                json!({"model": vendor.name, "messages": [{"role": "user", "content": "hi"}]}),
            ),
        };
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{}: {}", vendor.name, reply.body_text());
        if path == PATH {
            assert_eq!(reply.text(), "hello", "{}", vendor.name);
        }
    }
}
