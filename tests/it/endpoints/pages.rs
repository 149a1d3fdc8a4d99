//! What is told without calling a provider: models, health, the landing page.

use http::Method;
use serde_json::json;

use crate::harness::*;
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
