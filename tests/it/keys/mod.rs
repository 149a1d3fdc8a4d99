//! Keys: who is let in, and what each may call.

mod access;
mod away;
mod passed;

use serde_json::{Value, json};

use crate::harness::gateway::Builder;
use crate::harness::*;

const MASTER: &str = "sk-master-of-the-gateway";

/// Two groups, `gpt` and `other`, of one provider each.
fn two_groups() -> (Upstream, Upstream, Builder) {
    let provider = |name: &str| upstream::openai().replies(chat(name)).start();
    let (one, other) = (provider("one"), provider("other"));
    let gateway = gateway::with(group("gpt").deployment(openai(&one)))
        .and(group("other").deployment(openai(&other)))
        .master_key(MASTER);
    (one, other, gateway)
}

/// Makes something by a management route.
#[track_caller]
fn make(gateway: &Gateway, path: &str, body: &Value) -> Value {
    let reply = gateway.client().post(path).json(body).send();
    assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
    reply.json()
}

/// A client with a new key.
#[track_caller]
fn holder(gateway: &Gateway, key: &Value) -> (Client, String) {
    let made = make(gateway, "/key/generate", key);
    let key = made["key"].as_str().unwrap_or_else(|| panic!("no key: {made}")).to_owned();
    (gateway.client().with_key(Some(&key)), key)
}

fn models(client: &Client) -> Vec<String> {
    let listed = client.get("/v1/models").json();
    let listed = listed["data"].as_array().unwrap_or_else(|| panic!("no list: {listed}")).iter();
    listed.map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_key_opens_what_it_may_and_the_log_says_whose_it_was() {
    let (one, other, gateway) = two_groups();
    let gateway = gateway.start();
    let key = json!({"models": ["gpt"], "key_alias": "ci", "user_id": "ann", "metadata": {}});
    let (client, text) = holder(&gateway, &key);

    let reply = client.chat("gpt", "hi");
    assert_eq!((reply.status, &*reply.text()), (200, "one"));
    let logged = gateway.logged(reply.request_id());
    assert_eq!(logged["key"], "virtual");
    assert_eq!(logged["key_alias"], "ci");
    assert_eq!(logged["user"], "ann");
    assert_eq!(logged["key_hash"].as_str().map(str::len), Some(64));

    let refused = client.chat("other", "hi");
    assert_eq!(refused.status, 403, "{}", refused.body_text());
    let error = &refused.json()["error"];
    assert_eq!(
        (&error["type"], &error["param"]),
        (&json!("key_model_access_denied"), &json!("model"))
    );
    assert_eq!(models(&client), ["gpt"]);
    assert_eq!(models(&gateway.client()), ["gpt", "other"]);
    assert_eq!(client.get("/v1/models/other").status, 404);
    assert!(other.requests().is_empty());
    assert_eq!(one.requests().len(), 1);

    let metrics = gateway.get("/metrics").body_text();
    let mut lines = metrics.lines().filter(|line| line.starts_with("litellm_proxy_total_requests"));
    assert!(lines.any(|line| line.contains(r#"api_key_alias="ci""#)), "{metrics}");
    assert!(!gateway.output().contains(&text), "the key is in the log");
    assert!(!gateway.messages().contains(&text), "the key is in the messages");
    assert!(!metrics.contains(&text));
}

#[test]
fn strangers_and_blocked_keys_are_told_so() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let kind = |reply: &Reply| reply.json()["error"]["type"].as_str().unwrap().to_owned();
    let nobody = gateway.client().with_key(Some("sk-nobodys-key-at-all-000")).chat("gpt", "hi");
    assert_eq!((nobody.status, &*kind(&nobody)), (401, "token_not_found_in_db"));
    assert!(!nobody.body_text().contains("nobodys"));
    let none = gateway.client().with_key(None).chat("gpt", "hi");
    assert_eq!((none.status, &*none.error_code()), (401, "missing_api_key"));

    let (client, key) = holder(&gateway, &json!({}));
    assert_eq!(client.chat("gpt", "hi").status, 200);
    make(&gateway, "/key/block", &json!({"key": key}));
    let blocked = client.chat("gpt", "hi");
    assert_eq!((blocked.status, &*blocked.error_code()), (401, "blocked_key"));
    make(&gateway, "/key/unblock", &json!({"key": key}));
    assert_eq!(client.chat("gpt", "hi").status, 200);
    make(&gateway, "/key/delete", &json!({"keys": [key]}));
    assert_eq!(client.chat("gpt", "hi").status, 401);
}

#[test]
fn a_placeholder_beside_the_key_does_no_harm() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let (_, key) = holder(&gateway, &json!({}));
    let with = |name: &str, value: &str| {
        let client = gateway.client().with_key(Some("sk-placeholder-of-an-sdk"));
        client.ask("gpt", "hi").header(name, value).send().status
    };
    assert_eq!(with("x-api-key", &key), 200);
    assert_eq!(with("api-key", MASTER), 200);
    assert_eq!(with("x-api-key", "sk-another-placeholder-00"), 401);
}

#[test]
fn keys_of_the_file_need_neither_database_nor_master_key() {
    let one = upstream::openai().replies(chat("one")).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&one)))
        .and(group("other").deployment(openai(&one)))
        .top(
            "key_settings:\n\
             - {api_key: user-key-123, alias: team-a, models: [gpt], aliases: {fast: gpt}}\n\
             - {api_key: user-key-456, expires: 2020-01-01T00:00:00Z}\n\
             - {api_key: os.environ/TEAM_KEY}",
        )
        .variable("TEAM_KEY", "sk-from-the-environment")
        .start();
    let as_holder = |key| gateway.client().with_key(key);
    let client = as_holder(Some("user-key-123"));
    assert_eq!(client.chat("gpt", "hi").status, 200);
    assert_eq!(client.chat("fast", "hi").status, 200);
    assert_eq!(client.chat("other", "hi").status, 403);
    assert_eq!(models(&client), ["fast", "gpt"]);
    assert_eq!(as_holder(Some("sk-from-the-environment")).chat("other", "hi").status, 200);
    let expired = as_holder(Some("user-key-456")).chat("gpt", "hi");
    assert_eq!(expired.status, 401);
    let error = &expired.json()["error"];
    assert_eq!((&error["type"], &error["param"]), (&json!("expired_key"), &json!("api_key")));
    for stranger in [None, Some("user-key-12"), Some("sk-nobodys-key")] {
        assert_eq!(as_holder(stranger).chat("gpt", "hi").status, 401, "{stranger:?}");
    }
    let manages = client.post("/key/generate").json(&json!({})).send();
    assert_eq!(manages.status, 403, "{}", manages.body_text());
}

#[test]
fn a_reload_brings_and_takes_keys_of_the_file() {
    let one = upstream::openai().replies(chat("one")).start();
    let written = |key: &str| format!("key_settings:\n- {{api_key: {key}}}");
    let gateway = gateway::with(group("gpt").deployment(openai(&one)))
        .master_key(MASTER)
        .top(&written("first-key-of-all"))
        .start();
    let status = |key| gateway.client().with_key(Some(key)).chat("gpt", "hi").status;
    assert_eq!((status("first-key-of-all"), status("second-key-of-all")), (200, 401));
    let text = std::fs::read_to_string(gateway.config_path()).unwrap();
    let text = text.replace("first-key-of-all", "second-key-of-all");
    std::fs::write(gateway.config_path(), text).unwrap();
    let reloaded = gateway.client().post("/config/reload").send();
    assert_eq!(reloaded.status, 200, "{}", reloaded.body_text());
    assert_eq!((status("first-key-of-all"), status("second-key-of-all")), (401, 200));
}

#[test]
fn gateways_that_share_a_database_hear_of_each_others_changes() {
    let folder = tempfile::tempdir().unwrap();
    let shared = folder.path().join("shared.db");
    let (_one, _other, here) = two_groups();
    let (_one, _other, there) = two_groups();
    let database = format!("database: {{path: {}}}", shared.display());
    let (here, there) = (here.top(&database).start(), there.top(&database).start());

    // Asked for before it is there: that it is unknown is remembered, too.
    let key = "sk-one-that-is-chosen-by-hand";
    let client = there.client().with_key(Some(key));
    assert_eq!(client.chat("gpt", "hi").status, 401);
    make(&here, "/key/generate", &json!({"key": key, "user_id": "u"}));
    eventually("the other gateway knows the key", || client.chat("gpt", "hi").status == 200);
    make(&here, "/key/update", &json!({"key": key, "models": ["other"]}));
    eventually("the other gateway obeys the change", || client.chat("gpt", "hi").status == 403);
    assert_eq!(client.chat("other", "hi").status, 200);
    make(&here, "/key/delete", &json!({"keys": [key]}));
    eventually("the other gateway refuses the key", || client.chat("other", "hi").status == 401);
}

#[test]
fn errors_about_keys_are_in_the_words_of_the_clients_api() {
    let (_one, _other, gateway) = two_groups();
    let gateway = gateway.start();
    let (client, key) = holder(&gateway, &json!({"models": ["gpt"]}));
    let message = json!({"model": "other", "max_tokens": 9,
                         "messages": [{"role": "user", "content": "hi"}]});
    let anthropic = client.post("/v1/messages").json(&message).send();
    assert_eq!(anthropic.status, 403);
    assert_eq!(anthropic.json()["error"]["type"], "permission_error");
    let asks = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]});
    let plain = gateway.client().with_key(None);
    let google = |model: &str| {
        plain.post(&format!("/v1beta/models/{model}:generateContent?key={key}")).json(&asks).send()
    };
    assert_eq!(google("gpt").status, 200, "the key is in the query");
    let refused = google("other");
    assert_eq!(
        (refused.status, &refused.json()["error"]["status"]),
        (403, &json!("PERMISSION_DENIED"))
    );
    let listed = plain.get(&format!("/v1beta/models?key={key}")).json();
    assert_eq!(listed["models"].as_array().map(Vec::len), Some(1), "{listed}");
}
