//! Every route, its keys and headers, what the log and the metrics say of a request, and what they
//! never say.

use std::collections::{BTreeMap, BTreeSet};

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
        (Method::GET, "/v1/messages", "POST"),
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

// --- Request ids and headers of replies ---

#[test]
fn a_request_keeps_the_name_that_the_client_gave_it() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    let ask = |id: &str| client.ask("gpt", "hi").header("x-request-id", id).send();

    let long = "a".repeat(128);
    for id in ["req-1", "7f9c/2:x=%20", long.as_str()] {
        let reply = ask(id);
        assert_eq!((reply.request_id(), reply.header("x-litellm-call-id")), (id, id));
        assert_eq!(gateway.logged(id)["call_id"], id);
    }
    let by_call_id = client.ask("gpt", "hi").header("x-litellm-call-id", "call-9").send();
    assert_eq!(by_call_id.request_id(), "call-9");
    let longer = "a".repeat(129);
    for id in ["two words", "caf\u{e9}", "tab\there", longer.as_str(), ""] {
        let reply = ask(id);
        assert_eq!(reply.status, 200);
        assert_ne!(reply.request_id(), id);
        assert!(reply.request_id().len() >= 16, "a name of its own: {}", reply.request_id());
    }
    for (path, status) in [("/health", 200), ("/nothing", 404), ("/v1/chat/completions", 405)] {
        let reply = client.request(Method::GET, path).header("x-request-id", "mine").send();
        assert_eq!((reply.status, reply.request_id()), (status, "mine"));
    }
    let (one, other) = (client.chat("gpt", "hi"), client.chat("gpt", "hi"));
    assert_ne!(one.request_id(), other.request_id());
}

#[test]
fn replies_tell_what_is_known_of_the_request() {
    let busy = upstream::openai().replies(status(500)).start();
    let free = upstream::openai()
        .replies(
            chat("hello")
                .usage(1_000, 500)
                .header("x-ratelimit-remaining-requests", "59")
                .header("x-ratelimit-limit-tokens", "9000")
                .header("openai-organization", "org-secret")
                .header("set-cookie", "a=b")
                .header("x-request-id", "of-the-provider"),
        )
        .start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).order(1)).deployment(openai(&busy).order(2)),
    )
    .and(
        group("backup").deployment(
            openai(&free)
                .id("the-free-one")
                .info("input_cost_per_token: 0.00000001\noutput_cost_per_token: 0.00000002"),
        ),
    )
    .router("num_retries: 1\nfallbacks: [{gpt: [backup]}]")
    .start();

    let reply = gateway.client().chat("gpt", "hi");

    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.header("x-litellm-model-id"), "the-free-one");
    assert_eq!(reply.header("x-litellm-model-group"), "backup");
    assert_eq!(reply.number("x-litellm-attempted-retries"), 1);
    assert_eq!(reply.number("x-litellm-attempted-fallbacks"), 1);
    assert_eq!(reply.header("x-litellm-response-cost"), "0.00002", "without an exponent");
    let number = |name: &str| reply.header(name).parse::<f64>().unwrap();
    let (overhead, whole) =
        (number("x-litellm-overhead-duration-ms"), number("x-litellm-response-duration-ms"));
    assert!(0.0 < overhead && overhead <= whole, "{overhead} of {whole}");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "59");
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), "9000");
    assert_ne!(reply.request_id(), "of-the-provider");
    for name in ["openai-organization", "set-cookie", "x-litellm-model-api-base", "server"] {
        assert_eq!(reply.header(name), "", "{name} is nobody's business");
    }

    let log = gateway.logged(reply.request_id());
    assert_eq!((&log["retries"], &log["fallbacks"]), (&json!(1), &json!(1)), "{log}");
    assert_eq!((&log["model"], &log["group"]), (&json!("gpt"), &json!("backup")), "{log}");
    let attempts = log["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["server", "server", "success"], "{log}");
    assert_eq!(attempts[0]["status"], 500);
}

#[test]
fn a_line_of_the_access_log_has_the_documented_fields() {
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).id("one")))
        .master_key("sk-right")
        .start();
    let body = json!({"model": "gpt", "messages": messages("hi"), "stream": true});
    let length = body.to_string().len();
    let asked = gateway.client().post("/v1/chat/completions").json(&body);
    let stream = asked.header("user-agent", "tests/1 \"quoted\"").stream();

    let log = gateway.logged(stream.request_id());
    for (field, value) in [
        ("call_id", json!(stream.request_id())),
        ("method", json!("POST")),
        ("path", json!("/v1/chat/completions")),
        ("route", json!("/v1/chat/completions")),
        ("status", json!(200)),
        ("client_ip", json!("127.0.0.1")),
        ("user_agent", json!("tests/1 \"quoted\"")),
        ("key", json!("master")),
        ("model", json!("gpt")),
        ("group", json!("gpt")),
        ("deployment", json!("one")),
        ("provider", json!("openai")),
        ("upstream_model", json!("gpt-4o-mini")),
        ("stream", json!(true)),
        ("retries", json!(0)),
        ("fallbacks", json!(0)),
        ("bytes_in", json!(length)),
        ("bytes_out", json!(stream.bytes.len())),
        ("client_disconnected", json!(false)),
    ] {
        assert_eq!(log[field], value, "{field} of {log}");
    }
    for field in ["total_ms", "upstream_ms", "overhead_ms", "ttft_ms"] {
        assert!(log[field].as_f64() >= Some(0.0), "{field} of {log}");
    }
    let time = log["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    assert!(log["error"].is_null() && log["attempts"].is_null(), "{log}");
}

#[test]
fn the_access_log_can_be_turned_off_or_sent_to_a_file() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let silent =
        gateway::with(group("gpt").deployment(&upstream)).general("access_log: false").start();
    assert_eq!(silent.client().chat("gpt", "hi").status, 200);
    let filed = gateway::with(group("gpt").deployment(&upstream))
        .litellm("log_to_file: true\nlog_file_path: access.log")
        .start();
    let id = filed.client().chat("gpt", "hi").request_id().to_owned();
    let path = filed.folder().join("access.log");
    let has = |path: &std::path::Path, id: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(id))
    };
    eventually("the line is in the file", || has(&path, &id));

    // As logrotate does it.
    let rotated = filed.folder().join("access.log.1");
    std::fs::rename(&path, &rotated).unwrap();
    filed.signal("HUP");
    eventually("the file is opened anew", || path.exists());
    let later = filed.client().chat("gpt", "hi").request_id().to_owned();
    eventually("the line is in the new file", || has(&path, &later));
    assert!(!has(&rotated, &later));
    assert!(silent.access_log().is_empty() && filed.access_log().is_empty());
}

// --- Metrics ---

/// A page of metrics, understood.
#[derive(Default)]
struct Metrics {
    /// Type by family.
    families: BTreeMap<String, String>,
    /// Value by name and labels, as written.
    samples: BTreeMap<String, f64>,
    labels: BTreeSet<String>,
}

impl Metrics {
    /// Reads the page as Prometheus does, and refuses what it would refuse.
    #[track_caller]
    fn parse(page: &str) -> Self {
        let mut metrics = Self::default();
        let mut helped = BTreeSet::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(help.split(' ').next().unwrap()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "no help: {line}");
                metrics.families.insert(name.to_owned(), kind.to_owned());
            } else {
                metrics.sample(line);
            }
        }
        assert!(page.ends_with('\n'));
        metrics
    }

    #[track_caller]
    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            (self.families.get(family)? == "histogram").then_some(family)
        });
        let family = family.unwrap_or(name);
        let kind = self.families.get(family).unwrap_or_else(|| panic!("no type: {line}"));
        assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let inner = inner.unwrap_or_else(|| panic!("no labels: {line}"));
            for label in inner.trim_end_matches('"').split("\",") {
                let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
                self.labels.insert(format!("{name}={value}"));
            }
        }
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(self.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }

    /// The sum over a family's samples whose labels contain all of these.
    fn sum(&self, family: &str, labels: &[&str]) -> f64 {
        let wanted = |series: &&String| {
            series.split('{').next() == Some(family) && labels.iter().all(|it| series.contains(it))
        };
        self.samples.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }
}

#[test]
fn metrics_count_what_happened() {
    let busy = upstream::openai()
        .replies(rate_limited().header("x-ratelimit-remaining-requests", "0"))
        .start();
    let free = upstream::openai().replies(chat("hello").usage(100, 50)).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).id("busy").order(1)).deployment(
            openai(&free)
                .id("free")
                .order(2)
                .info("input_cost_per_token: 0.01\noutput_cost_per_token: 0.02"),
        ),
    )
    .start();
    let client = gateway.client();

    for _ in 0..3 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    assert!(client.stream("gpt", "hi").ended_with_done);
    assert_eq!(client.chat("unknown", "hi").status, 404);
    assert_eq!(client.get("/nothing").status, 404);
    let metrics = eventually_some("everything is counted", || {
        let page = client.get("/metrics");
        assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let metrics = Metrics::parse(&page.body_text());
        let requests = metrics.sum("litellm_proxy_total_requests_metric_total", &[]);
        (requests >= 5.0).then_some(metrics)
    });

    for (family, labels, expected) in [
        ("litellm_proxy_total_requests_metric_total", &["status_code=\"200\""][..], 4.0),
        ("litellm_proxy_total_requests_metric_total", &["requested_model=\"gpt\""], 4.0),
        ("litellm_proxy_total_requests_metric_total", &["requested_model=\"other\""], 1.0),
        ("litellm_proxy_total_requests_metric_total", &["model_id=\"free\""], 4.0),
        ("litellm_proxy_failed_requests_metric_total", &["exception_status=\"404\""], 1.0),
        ("litellm_proxy_failed_requests_metric_total", &[], 1.0),
        ("litellm_request_total_latency_metric_count", &["model_id=\"free\""], 4.0),
        ("litellm_llm_api_time_to_first_token_metric_count", &[], 1.0),
        ("litellm_input_tokens_metric_total", &[], 400.0),
        ("litellm_output_tokens_metric_total", &[], 200.0),
        ("litellm_total_tokens_metric_total", &[], 600.0),
        ("litellm_spend_metric_total", &[], 8.0),
        ("litellm_deployment_success_responses_total", &["model_id=\"free\""], 4.0),
        ("litellm_deployment_failure_responses_total", &["model_id=\"busy\""], 1.0),
        ("litellm_deployment_failure_responses_total", &["exception_status=\"429\""], 1.0),
        ("litellm_deployment_cooled_down_total", &["model_id=\"busy\""], 1.0),
        ("litellm_deployment_state", &["model_id=\"busy\""], 2.0),
        ("litellm_deployment_state", &["model_id=\"free\""], 0.0),
        ("litellm_remaining_requests_metric", &["model_id=\"busy\""], 0.0),
        ("litellm_in_flight_requests", &[], 0.0),
        ("tollgate_open_streams", &[], 0.0),
        ("tollgate_attempts_total", &["outcome=\"success\""], 4.0),
        ("tollgate_attempts_total", &["outcome=\"rate_limited\""], 1.0),
        ("tollgate_other_requests_total", &["status_code=\"404\""], 1.0),
        ("tollgate_build_info", &[], 1.0),
    ] {
        assert_eq!(metrics.sum(family, labels), expected, "{family} {labels:?}");
    }
    assert!(metrics.sum("process_resident_memory_bytes", &[]) > 1e6);
    let buckets = metrics.sum("litellm_request_total_latency_metric_bucket", &["le=\"+Inf\""]);
    assert_eq!(buckets, 5.0, "the unknown model took its time, too");
}

#[test]
fn clients_cannot_write_labels() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .and(group("openai/*").deployment(openai(&upstream).model("openai/*")))
        .start();
    let client = gateway.client();
    let series = || Metrics::parse(&client.get("/metrics").body_text());

    for round in 0..30 {
        let canary = format!("canary-{round}");
        assert_eq!(client.chat(&canary, "hi").status, 404);
        assert_eq!(client.get(&format!("/v1/{canary}")).status, 404);
        assert_eq!(client.request(Method::DELETE, &format!("/{canary}")).send().status, 404);
        let ask = client.ask("gpt", &canary).header("user-agent", &canary);
        let ask = ask.header("x-request-id", &canary).header("x-litellm-tags", &canary);
        assert_eq!(ask.set("user", canary.as_str()).send().status, 200);
    }
    let metrics = series();
    let found = metrics.labels.iter().find(|label| label.contains("canary"));
    assert_eq!(found, None, "a label that a client chose");

    // Names behind a wildcard are counted by name, but not without end.
    upstream.now_replies(status(404));
    for round in 0..30 {
        client.chat(&format!("openai/no-such-{round}"), "hi");
    }
    let found = series().labels.into_iter().find(|label| label.contains("no-such"));
    assert_eq!(found, None, "only what a provider answered to has a name");
}

#[test]
fn metrics_ask_for_a_key_if_they_are_to() {
    let upstream = upstream::openai().start();
    for (option, stranger) in [("", 200), ("require_auth_for_metrics_endpoint: true", 401)] {
        let gateway = gateway::with(group("gpt").deployment(&upstream))
            .master_key("sk-right")
            .general(option)
            .start();
        assert_eq!(gateway.get("/metrics").status, 200, "{option}");
        assert_eq!(gateway.client().with_key(None).get("/metrics").status, stranger, "{option}");
    }
}

// --- What is never said ---

#[test]
fn secrets_and_prompts_are_never_printed() {
    let master = "sk-canary-of-the-master-8c1f";
    let provider = "sk-canary-of-the-provider-77aa";
    let extra = "canary-of-an-extra-header-31d0";
    let prompt = "canary-of-the-prompt-5e5e";
    let wrong = "sk-canary-of-a-wrong-key-0b0b";
    let echoing = format!(
        "{{\"error\":{{\"message\":\"Incorrect API key provided: {provider}\",\"type\":\
         \"invalid_request_error\",\"code\":\"invalid_api_key\"}}}}"
    );
    let upstream = upstream::openai()
        .first_replies([
            chat("fine"),
            status(401).body("application/json", echoing.clone()),
            status(403).body("application/json", echoing),
            status(500),
            garbage(),
            reset(),
            stream(["a", "b"]).cut_after(1),
        ])
        .replies(chat("fine"))
        .start();
    let refusing = upstream::openai().refuses_connections().start();
    let deployment = |upstream: &Upstream| {
        openai(upstream).key(provider).with(&format!("extra_headers: {{x-secret: {extra}}}"))
    };
    let mut gateway = gateway::with(group("gpt").deployment(deployment(&upstream)))
        .and(group("refusing").deployment(deployment(&refusing)))
        .master_key(master)
        .router("num_retries: 0\ndisable_cooldowns: true")
        .argument("--detailed_debug")
        .variable("RUST_LOG", "trace,h2=trace,pingora_core::protocols=trace")
        .start();
    let client = gateway.client();

    let mut said = String::new();
    for _ in 0..6 {
        said += &client.chat("gpt", prompt).body_text();
    }
    said += &String::from_utf8_lossy(&client.stream("gpt", prompt).bytes);
    said += &client.chat("refusing", prompt).body_text();
    said += &client.clone().with_key(Some(wrong)).chat("gpt", prompt).body_text();
    said += &client.clone().with_key(Some(wrong)).get("/v1/models").body_text();
    said += &client.get(&format!("/v1/models?api_key={wrong}")).body_text();
    said += &client
        .post("/v1/chat/completions")
        .bytes(format!("{{\"model\": \"{prompt}"))
        .send()
        .body_text();
    for page in ["/", "/health", "/metrics", "/v1/models"] {
        said += &client.get(page).body_text();
    }
    assert_eq!(upstream.last_request().key(), Some(provider), "the provider got its key");
    assert_eq!(upstream.last_request().header("x-secret"), Some(extra));
    gateway.signal("HUP");
    gateway.wait_for_message("reload");
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_end().code(), Some(0));

    for (what, text) in
        [("replies", said), ("messages", gateway.messages()), ("access log", gateway.output())]
    {
        for secret in [master, provider, extra, wrong, prompt] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what}");
        }
    }
}
