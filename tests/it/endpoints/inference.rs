//! Chat completions, text completions and embeddings, under every path that clients know.

use serde_json::{Value, json};

use crate::harness::*;

fn messages(prompt: &str) -> Value {
    json!([{"role": "user", "content": prompt}])
}
#[test]
fn chat_completions_are_served_under_every_path() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let azure_upstream = upstream::azure().replies(chat("hello")).start();
    let anthropic_upstream = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .and(group("team/gpt 4").deployment(azure(&azure_upstream)))
        .and(group("claude").deployment(anthropic(&anthropic_upstream)))
        .start();
    let client = gateway.client();

    for (path, model) in [
        ("/v1/chat/completions", Some("gpt")),
        ("/chat/completions", Some("gpt")),
        ("/v1/chat/completions/", Some("gpt")),
        ("/v1/chat/completions?beta=true", Some("claude")),
        ("/openai/deployments/gpt/chat/completions?api-version=2024-10-21", None),
        ("/openai/deployments/team%2Fgpt%204/chat/completions", None),
        ("/openai/deployments/team/gpt%204/chat/completions", None),
        ("/engines/claude/chat/completions", None),
        // The path says it, whatever the body says.
        ("/openai/deployments/gpt/chat/completions", Some("something else")),
    ] {
        let mut body = json!({"messages": messages("hi")});
        if let Some(model) = model {
            body["model"] = json!(model);
        }
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        assert_eq!(reply.text(), "hello", "{path}");
        assert_eq!(reply.json()["object"], "chat.completion", "{path}");
        body["stream"] = json!(true);
        assert_eq!(client.post(path).json(&body).stream().text(), "hello", "{path}");
    }
    assert_eq!(upstream.last_request().path, "/v1/chat/completions");
    assert_eq!(upstream.last_request().json()["model"], "gpt-4o-mini");
    assert_eq!(upstream.last_request().key(), Some("sk-upstream-of-the-tests"));
    let azure = azure_upstream.last_request();
    assert_eq!(
        azure.path,
        "/openai/deployments/my-deployment/chat/completions?api-version=2024-10-21"
    );
    assert_eq!(azure.header("api-key"), Some("sk-upstream-of-the-tests"));
    let anthropic = anthropic_upstream.last_request();
    assert_eq!(anthropic.path, "/v1/messages");
    assert_eq!(anthropic.header("x-api-key"), Some("sk-upstream-of-the-tests"));
}

#[test]
fn text_completions_are_served() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let completing = openai(&upstream).model("openai/gpt-3.5-turbo-instruct");
    let gateway = gateway::with(group("gpt").deployment(completing)).start();
    let client = gateway.client();

    for (path, model) in [
        ("/v1/completions", json!("gpt")),
        ("/completions", json!("gpt")),
        ("/openai/deployments/gpt/completions", Value::Null),
    ] {
        let body = json!({"model": model, "prompt": "hi", "max_tokens": 5});
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        assert_eq!(reply.json()["object"], "text_completion", "{path}");
        assert_eq!(reply.json()["choices"][0]["text"], "hello", "{path}");
        assert_eq!(upstream.last_request().path, "/v1/completions");
        assert_eq!(upstream.last_request().json()["prompt"], "hi");
    }
}

#[test]
fn a_model_that_is_known_to_chat_only_is_not_asked_for_completions() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .and(group("server").deployment(openai(&upstream).info("mode: completion")))
        .start();
    let ask = |model: &str, more: Value| {
        let mut body = json!({"model": model, "prompt": "hi", "max_tokens": 5});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let reply = gateway.client().post("/v1/completions").json(&body).send();
        assert_eq!(reply.json()["choices"][0]["text"], "hello", "{}", reply.body_text());
        upstream.last_request().path
    };
    assert_eq!(ask("gpt", json!({})), "/v1/chat/completions");
    assert_eq!(ask("gpt", json!({"suffix": "after"})), "/v1/completions");
    assert_eq!(ask("server", json!({})), "/v1/completions", "the operator knows better");
}

#[test]
fn prompts_of_every_form_pass_as_they_are() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let claude = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(anthropic(&claude).order(1))
            .deployment(openai(&upstream).model("openai/gpt-3.5-turbo-instruct").order(2)),
    )
    .start();
    for prompt in [json!("a"), json!(["a", "b"]), json!([1, 2, 3]), json!([[1, 2], [3]])] {
        let body = json!({"model": "gpt", "prompt": prompt, "n": 2, "best_of": 3, "echo": true,
            "suffix": "z", "logprobs": 1});
        let reply = gateway.client().post("/v1/completions").json(&body).send();
        assert_eq!(reply.status, 200, "{prompt}: {}", reply.body_text());
        let mut expected = body;
        expected["model"] = json!("gpt-3.5-turbo-instruct");
        assert_eq!(upstream.last_request().json(), expected);
    }
    assert_eq!(claude.request_count(), 0, "Claude has no words for these");
    let ask = json!({"model": "gpt", "prompt": "a"});
    let stream = gateway.client().post("/v1/completions").json(&ask).stream();
    assert!(stream.ended_with_done, "{stream:?}");
    let text: String =
        stream.events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!((text.as_str(), claude.request_count()), ("hello", 1), "Claude chats");
    assert!(gateway.logged(stream.request_id())["usage"]["output_tokens"].as_u64() > Some(0));
}

#[test]
fn tokens_of_openai_are_not_sent_to_models_of_others() {
    let upstream = upstream::openai().start();
    let at = |model: &str| openai(&upstream).model(model);
    let gateway = gateway::with(group("own").deployment(at("openai/bge-m3")))
        .and(group("vllm").deployment(at("hosted_vllm/bge-m3")))
        .and(group("openais").deployment(at("openai/text-embedding-3-small")))
        .start();
    for (model, sent) in [
        ("own", json!(["hello world", "hi"])),
        ("vllm", json!(["hello world", "hi"])),
        ("openais", json!([[15339, 1917], [6151]])),
    ] {
        let body = json!({"model": model, "input": [[15339, 1917], [6151]]});
        let reply = gateway.client().post("/v1/embeddings").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        assert_eq!(upstream.last_request().json()["input"], sent, "{model}");
        assert_eq!(upstream.last_request().header("accept-encoding"), Some("identity"));
    }
}

#[test]
fn embeddings_are_served_by_openai_and_azure() {
    let upstream = upstream::openai().start();
    let azure_upstream = upstream::azure().start();
    let gateway = gateway::with(
        group("small").deployment(openai(&upstream).model("openai/text-embedding-3-small")),
    )
    .and(
        group("azure").deployment(
            Deployment::at("azure/embed", &azure_upstream.api_base())
                .with("api_version: '2024-10-21'")
                .info("base_model: text-embedding-3-small"),
        ),
    )
    .start();
    let client = gateway.client();

    for (path, model, input) in [
        ("/v1/embeddings", json!("small"), json!("hello")),
        ("/embeddings", json!("small"), json!(["hello", "there"])),
        ("/v1/embeddings", json!("small"), json!([[1, 2, 3], [4]])),
        ("/v1/embeddings", json!("azure"), json!(["hello"])),
        ("/openai/deployments/azure/embeddings?api-version=2024-10-21", Value::Null, json!("a")),
    ] {
        let body = json!({"model": model, "input": input, "encoding_format": "float"});
        let reply = client.post(path).json(&body).send();
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        let reply_body = reply.json();
        assert_eq!(reply_body["object"], "list", "{path}");
        let count = input.as_array().map_or(1, Vec::len);
        assert_eq!(reply_body["data"].as_array().map(Vec::len), Some(count), "{path}");
        assert!(reply_body["data"][0]["embedding"][0].is_number(), "{path}");
        let log = gateway.logged(reply.request_id());
        assert!(log["usage"]["input_tokens"].as_u64() > Some(0), "{log}");
        assert!(log["cost_usd"].as_f64() > Some(0.0), "{log}");
    }
    assert_eq!(upstream.last_request().path, "/v1/embeddings");
    assert_eq!(upstream.last_request().json()["input"], json!([[1, 2, 3], [4]]));
    assert_eq!(
        azure_upstream.last_request().path,
        "/openai/deployments/embed/embeddings?api-version=2024-10-21"
    );
}

#[test]
fn a_provider_that_has_no_such_endpoint_is_told_apart() {
    let upstream = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&upstream))).start();

    let body = json!({"model": "claude", "input": "hello"});
    let reply = gateway.client().post("/v1/embeddings").json(&body).send();

    assert_eq!((reply.status, reply.error_code().as_str()), (404, "upstream_not_found"));
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    assert_eq!(upstream.request_count(), 0);
    assert_eq!(gateway.cooling("claude"), 0, "the deployment has done nothing");
}
