//! Keys on requests that are passed as they are.

use serde_json::json;

use super::{MASTER, holder};
use crate::harness::*;

fn body(model: &str) -> serde_json::Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

#[test]
fn a_key_reaches_only_its_models_below_a_providers_path() {
    let provider = upstream::openai().replies(chat("one")).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&provider).model("openai/gpt-4o").with("use_in_pass_through: true")),
    )
    .master_key(MASTER)
    .start();
    let path = "/openai_passthrough/v1/chat/completions";
    let before = provider.requests().len();
    let (client, _) = holder(&gateway, &json!({"models": ["gpt-4o"]}));
    let denied = client.post(path).json(&body("o3")).send();
    assert_eq!(denied.status, 403, "{}", denied.body_text());
    assert_eq!(denied.json()["error"]["type"], "key_model_access_denied");
    let twice = r#"{"model":"gpt-4o","messages":[],"model":"o3"}"#;
    let header = ("content-type", "application/json");
    let hidden = client.post(path).header(header.0, header.1).bytes(twice).send();
    assert_eq!(hidden.status, 403, "{}", hidden.body_text());
    let form = client.post(path).header("content-type", "text/plain").bytes("model=gpt-4o").send();
    assert_eq!(form.status, 403, "what cannot be read is not let through");
    for refused in [&denied, &hidden] {
        assert_eq!(refused.header("connection"), "close", "a dead connection is said to be so");
    }
    assert_eq!(provider.requests().len(), before, "nothing reached the provider");

    let allowed = client.post(path).json(&body("gpt-4o")).send();
    assert_eq!(allowed.status, 200, "{}", allowed.body_text());
    let logged = gateway.logged(allowed.request_id());
    assert_eq!(logged["key"], "virtual");

    let (all, _) = holder(&gateway, &json!({"models": ["openai/*"]}));
    assert_eq!(all.post(path).json(&body("o3")).send().status, 200);
    let (free, _) = holder(&gateway, &json!({}));
    assert_eq!(free.post(path).json(&body("o3")).send().status, 200);
    let nobody = gateway.client().with_key(Some("sk-nobodys-key"));
    assert_eq!(nobody.post(path).json(&body("gpt-4o")).send().status, 401);
}

#[test]
fn a_conversation_is_opened_only_with_a_model_that_the_key_may_call() {
    let provider = upstream::openai().replies(chat("one")).start();
    let gateway = gateway::with(group("gpt-realtime").deployment(openai(&provider)))
        .master_key(MASTER)
        .start();
    let (client, _) = holder(&gateway, &json!({"models": ["gpt"]}));
    let asked = client
        .request(http::Method::GET, "/v1/realtime?model=gpt-realtime")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .send();
    assert_eq!(asked.status, 403, "{}", asked.body_text());
    assert!(provider.requests().is_empty());
}

#[test]
fn endpoints_of_the_operators_own_need_no_model_but_may_not_name_another() {
    let target = upstream::openai().replies(json(&json!({"found": 1}))).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&target)))
        .general(&format!(
            "pass_through_endpoints: [{{path: /search, target: \"{}/v1/chat/completions\"}}]",
            target.url()
        ))
        .master_key(MASTER)
        .start();
    let (client, _) = holder(&gateway, &json!({"models": ["gpt"]}));
    let asks = |body: &serde_json::Value| client.post("/search").json(body).send().status;
    assert_eq!(asks(&json!({"query": "x"})), 200);
    assert_eq!(asks(&body("gpt")), 200);
    assert_eq!(asks(&body("o3")), 403);
}
