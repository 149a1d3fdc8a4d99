//! Every route, and the keys that are asked for.

use http::Method;
use serde_json::{Value, json};

use crate::harness::http2::Http2;
use crate::harness::*;

fn messages(prompt: &str) -> Value {
    json!([{"role": "user", "content": prompt}])
}

// --- Inference routes ---

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
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
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
fn prompts_of_every_form_pass_as_they_are() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let claude = upstream::anthropic().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt").deployment(anthropic(&claude).order(1)).deployment(openai(&upstream).order(2)),
    )
    .start();
    for prompt in [json!("a"), json!(["a", "b"]), json!([1, 2, 3]), json!([[1, 2], [3]])] {
        let body = json!({"model": "gpt", "prompt": prompt, "n": 2, "best_of": 3, "echo": true,
            "suffix": "z", "logprobs": 1});
        let reply = gateway.client().post("/v1/completions").json(&body).send();
        assert_eq!(reply.status, 200, "{prompt}: {}", reply.body_text());
        let mut expected = body;
        expected["model"] = json!("gpt-4o-mini");
        assert_eq!(upstream.last_request().json(), expected);
    }
    let ask = json!({"model": "gpt", "prompt": "a"});
    let stream = gateway.client().post("/v1/completions").json(&ask).stream();
    assert!(stream.ended_with_done, "{stream:?}");
    let text: String =
        stream.events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect();
    assert_eq!((text.as_str(), claude.request_count()), ("hello", 0), "Claude has no such API");
    assert!(gateway.logged(stream.request_id())["usage"]["output_tokens"].as_u64() > Some(0));
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

// --- Models ---

#[test]
fn models_are_listed_as_clients_may_ask_for_them() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream).deployment(openai(&upstream).id("b")))
            .and(group("team/llama").deployment(&upstream))
            .and(group("openai/*").deployment(openai(&upstream).model("openai/*")))
            .router("model_group_alias:\n  other: gpt\n  hidden: {model: gpt, hidden: true}")
            .start();
    let client = gateway.client();

    for path in ["/v1/models", "/models", "/v1/models/"] {
        let list = client.get(path);
        assert_eq!((list.status, list.json()["object"].clone()), (200, json!("list")), "{path}");
        let entries = list.json()["data"].as_array().unwrap().clone();
        let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["gpt", "team/llama", "openai/*", "other"], "{path}");
        for entry in &entries {
            assert_eq!(entry["object"], "model");
            assert!(entry["created"].is_u64() && entry["owned_by"].is_string(), "{entry}");
        }
    }
    for (path, id) in [
        ("/v1/models/gpt", "gpt"),
        ("/models/gpt", "gpt"),
        ("/v1/models/team/llama", "team/llama"),
        ("/v1/models/team%2Fllama", "team/llama"),
        ("/v1/models/openai/*", "openai/*"),
        ("/v1/models/openai/gpt-4.1", "openai/gpt-4.1"),
        ("/v1/models/other", "other"),
        ("/v1/models/hidden", "hidden"),
        ("/v1/models/b", "b"),
    ] {
        let one = client.get(path);
        assert_eq!((one.status, one.json()["id"].as_str()), (200, Some(id)), "{path}");
    }
    for path in ["/v1/models/nothing", "/v1/models/%ff"] {
        let unknown = client.get(path);
        assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "model_not_found"));
    }
    for name in ["gpt", "team/llama", "openai/gpt-4.1", "other", "hidden", "b"] {
        assert_eq!(client.chat(name, "hi").status, 200, "{name}");
    }
    let unknown = client.chat("nothing", "hi");
    assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "model_not_found"));
    assert_eq!(unknown.json()["error"]["param"], "model");
}

// --- Health ---

#[test]
fn health_is_open_and_passive() {
    let upstream = upstream::openai().replies(status(500)).start();
    let sound = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&upstream).order(1)).deployment(openai(&sound).order(2)),
    )
    .master_key("sk-right")
    .router("allowed_fails: 0\ncooldown_time: 60")
    .start();
    let stranger = gateway.client().with_key(None);

    for path in ["/health/liveliness", "/health/liveness"] {
        let alive = stranger.get(path);
        assert_eq!((alive.status, alive.json()), (200, json!("I'm alive!")), "{path}");
    }
    let ready = stranger.get("/health/readiness");
    assert_eq!((ready.status, ready.json()["status"].clone()), (200, json!("healthy")));
    let before = stranger.get("/health");
    assert_eq!((before.status, before.json()["status"].clone()), (200, json!("healthy")));
    assert_eq!(before.json()["healthy_endpoints"], 2);
    assert_eq!(upstream.request_count() + sound.request_count(), 0, "health asks nobody");

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    let after = stranger.get("/health").json();
    assert_eq!(after["status"], "degraded", "{after}");
    assert_eq!(
        (&after["healthy_endpoints"], &after["unhealthy_endpoints"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(after["groups"]["gpt"]["cooling"], 1, "{after}");
    assert!(!after.to_string().contains("127.0.0.1"), "addresses are nobody's business: {after}");
}

// --- The landing page, unknown routes, methods ---

#[test]
fn the_landing_page_is_for_people_and_programs() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).master_key("sk-right").start();
    let stranger = gateway.client().with_key(None);

    let page = stranger.request(Method::GET, "/").header("accept", "text/html,*/*").send();
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.body_text().contains("/v1/chat/completions"));
    let program = stranger.get("/");
    assert_eq!(program.json()["name"], "tollgate");
    assert!(!program.body_text().contains("gpt"), "models are for those with a key");
}

#[test]
fn wrong_paths_and_methods_are_told_in_the_usual_shape() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    let ask = |method: Method, path: &str| client.request(method, path).send();

    for (method, path) in [
        (Method::GET, "/v1/nothing"),
        (Method::POST, "/v1/nothing"),
        (Method::POST, "/v2/chat/completions"),
        (Method::GET, "/v1/chat/completions/more"),
        (Method::POST, "/engines//chat/completions"),
        (Method::GET, "/.env"),
        (Method::GET, "/v1/../etc/passwd"),
        (Method::DELETE, "/"),
    ] {
        let reply = ask(method.clone(), path);
        let error = &reply.json()["error"];
        if path == "/" {
            assert_eq!((reply.status, error["code"].as_str()), (405, Some("method_not_allowed")));
            continue;
        }
        assert_eq!((reply.status, error["code"].as_str()), (404, Some("unknown_route")), "{path}");
        assert_eq!(error["type"], "invalid_request_error", "{path}");
        assert_eq!(error["request_id"].as_str(), Some(reply.request_id()), "{path}");
        assert!(error["message"].as_str().unwrap().contains(method.as_str()), "{error}");
    }
    for (method, path, allow) in [
        (Method::GET, "/v1/chat/completions", "POST"),
        (Method::PUT, "/chat/completions", "POST"),
        (Method::DELETE, "/openai/deployments/gpt/chat/completions", "POST"),
        (Method::PATCH, "/v1/embeddings", "POST"),
        (Method::HEAD, "/v1/completions", "POST"),
        (Method::HEAD, "/v1/messages", "POST"),
        (Method::HEAD, "/v1/messages/count_tokens", "POST"),
        (Method::GET, "/v1/responses", "POST"),
        (Method::POST, "/v1/models", "GET"),
        (Method::DELETE, "/v1/models/gpt", "GET"),
        (Method::POST, "/health", "GET"),
        (Method::POST, "/metrics", "GET"),
    ] {
        let reply = ask(method.clone(), path);
        assert_eq!(reply.status, 405, "{method} {path}");
        assert!(
            reply.header("allow").contains(allow),
            "{method} {path}: {}",
            reply.header("allow")
        );
        if method != Method::HEAD {
            assert_eq!(reply.error_code(), "method_not_allowed", "{method} {path}");
        }
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn head_tells_what_get_would() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();

    for path in
        ["/", "/health", "/health/liveliness", "/health/readiness", "/v1/models", "/nothing"]
    {
        let get = client.get(path);
        let head = client.request(Method::HEAD, path).send();
        assert_eq!((head.status, head.body.len()), (get.status, 0), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"), "{path}");
        // The message of a refusal names the method.
        if path != "/nothing" {
            assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        }
    }
    assert_eq!(client.request(Method::HEAD, "/metrics").send().status, 200);
}

// --- Browsers ---

#[test]
fn web_pages_may_call_from_the_configured_origins() {
    let upstream = upstream::openai().first_replies([chat("hello")]).replies(status(400)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .master_key("sk-right")
        .general("cors_allow_origins: ['https://app.example.com']")
        .start();
    let client = gateway.client();
    let allowed = |reply: &Reply| reply.header("access-control-allow-origin").to_owned();
    let page = ("origin", "https://app.example.com");

    for path in ["/v1/chat/completions", "/v1/models", "/nothing"] {
        let preflight = client
            .clone()
            .with_key(None)
            .request(Method::OPTIONS, path)
            .header(page.0, page.1)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type,x-stainless-os")
            .send();
        assert_eq!((preflight.status, allowed(&preflight).as_str()), (204, page.1), "{path}");
        assert!(preflight.header("access-control-allow-methods").contains("POST"), "{path}");
        let headers = preflight.header("access-control-allow-headers");
        assert!(headers.contains("authorization") && headers.contains("x-stainless-os"), "{path}");
        assert!(preflight.headers.get_all("vary").iter().any(|vary| vary == "Origin"), "{path}");
    }
    let answered = client.ask("gpt", "hi").header(page.0, page.1).send();
    assert_eq!((answered.status, allowed(&answered).as_str()), (200, page.1));
    assert!(!answered.header("access-control-expose-headers").is_empty());
    for refused in [
        client.ask("gpt", "hi").header(page.0, page.1).send(),
        client.ask("unknown", "hi").header(page.0, page.1).send(),
        client.clone().with_key(Some("sk-wrong")).ask("gpt", "hi").header(page.0, page.1).send(),
        client.request(Method::GET, "/nothing").header(page.0, page.1).send(),
    ] {
        assert!(refused.status >= 400);
        assert_eq!(allowed(&refused), page.1, "a page must be able to read why");
    }
    let stranger = client.ask("gpt", "hi").header("origin", "https://evil.example").send();
    assert_eq!(allowed(&stranger), "");
    let preflight = client
        .request(Method::OPTIONS, "/v1/chat/completions")
        .header("origin", "https://evil.example")
        .header("access-control-request-method", "POST")
        .send();
    assert_eq!(allowed(&preflight), "");
    assert_eq!(allowed(&client.get("/health")), "", "no page asked");
}

// --- Keys ---

#[test]
fn keys_are_taken_from_every_usual_header() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .master_key("sk-right")
        .general("litellm_key_header_name: X-Gateway-Key")
        .start();
    let client = gateway.client().with_key(None);

    for (name, value) in [
        ("authorization", "Bearer sk-right"),
        ("Authorization", "bearer sk-right"),
        ("x-api-key", "sk-right"),
        ("api-key", "sk-right"),
        ("x-gateway-key", "sk-right"),
        ("x-gateway-key", "Bearer sk-right"),
    ] {
        assert_eq!(
            client.ask("gpt", "hi").header(name, value).send().status,
            200,
            "{name}: {value}"
        );
        let models = client.request(Method::GET, "/v1/models").header(name, value).send();
        assert_eq!(models.status, 200, "{name}: {value}");
    }
    let ask = client.ask("gpt", "hi").header("x-api-key", "sk-wrong").send();
    let list = client.request(Method::GET, "/v1/models").header("x-api-key", "sk-wrong").send();
    let words = |reply: &Reply| {
        let error = &reply.json()["error"];
        ["message", "type", "param", "code"].map(|field| error[field].clone())
    };
    assert_eq!(words(&ask), words(&list), "the same words everywhere");
    for (name, value) in [
        ("authorization", "Bearer sk-wrong"),
        ("authorization", "Bearer sk-righ"),
        ("authorization", "Bearer sk-right2"),
        ("x-api-key", "SK-RIGHT"),
        ("api-key", "sk-wrong"),
        ("x-gateway-key", "sk-wrong"),
    ] {
        let refused = client.ask("gpt", "hi").header(name, value).send();
        let told = (refused.status, refused.error_code());
        assert_eq!(told, (401, "invalid_api_key".to_owned()), "{name}: {value}");
        assert_eq!(refused.json()["error"]["type"], "auth_error");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
        assert!(!refused.body_text().contains(value), "the key is not repeated");
    }
    for (name, value) in [
        ("x-nothing", ""),
        ("authorization", "Basic c2stcmlnaHQ="),
        ("authorization", "sk-right"),
        ("authorization", "Bearer "),
        ("x-api-key", ""),
        ("cookie", "key=sk-right"),
    ] {
        let refused = client.ask("gpt", "hi").header(name, value).send();
        let told = (refused.status, refused.error_code());
        assert_eq!(told, (401, "missing_api_key".to_owned()), "{name}: {value}");
    }
    assert_eq!(upstream.request_count(), 6);
    let seen = upstream.last_request();
    for name in ["x-gateway-key", "x-api-key", "api-key"] {
        assert_eq!(seen.header(name), None, "the client's key stays here");
    }
    let http2 = Http2::connect(&gateway).with_key("sk-wrong");
    let refused = http2.post("/v1/chat/completions", b"{}");
    assert_eq!((refused.status, refused.error_code().as_str()), (401, "invalid_api_key"));
}

#[test]
fn a_key_is_asked_for_before_the_body_is_looked_at() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).master_key("sk-right").start();
    let stranger = gateway.client().with_key(None);

    assert_eq!(stranger.post("/v1/chat/completions").bytes("{").send().status, 401);
    assert_eq!(stranger.chat("unknown", "hi").status, 401);
    assert_eq!(stranger.get("/v1/models/unknown").status, 401);
    let log = gateway.logged(stranger.chat("gpt", "hi").request_id());
    assert_eq!((&log["key"], &log["error_code"]), (&json!("none"), &json!("missing_api_key")));
}

#[test]
fn no_more_requests_are_taken_than_may_be_in_flight() {
    let upstream = upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("global_max_parallel_requests: 1")
        .start();
    let client = gateway.client();
    let mut open = client.ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("a"));

    let refused = client.chat("gpt", "hi");
    let told = (refused.status, refused.error_code());
    assert_eq!(told, (429, "gateway_at_max_parallel_requests".to_owned()));
    assert_eq!(refused.json()["error"]["type"], "rate_limit_error");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(client.get("/v1/models").status, 200, "pages are no calls");
    upstream.release();
    assert!(open.read_to_end().ended_with_done);
    upstream.now_replies(chat("hello"));
    eventually("there is room again", || client.chat("gpt", "hi").status == 200);

    upstream.now_replies(stream(["a", "b"]).stall_after(1));
    let mut open = client.ask("gpt", "hi").open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    drop(open);
    upstream.now_replies(chat("hello"));
    eventually("who leaves makes room", || client.chat("gpt", "hi").status == 200);
}
