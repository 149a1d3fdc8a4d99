use super::*;

#[test]
fn operators_see_and_empty_the_cache() {
    let provider = changing();
    let gateway = caching(&provider, ", ttl: 60, namespace: prod").start();
    let operator = gateway.client();
    assert_eq!(told(operator.ask("gpt", "a")), pair("MISS", "one"));
    assert_eq!(told(operator.ask("gpt", "b")), pair("MISS", "two"));
    let hit = operator.ask("gpt", "a").send();
    let name = hit.header("x-litellm-cache-key").to_owned();
    assert!(name.starts_with("prod:"), "{name}");

    let ping = operator.get("/cache/ping");
    assert_eq!((ping.status, &ping.json()["status"]), (200, &json!("healthy")));
    let ping = ping.json();
    assert_eq!((&ping["cache_type"], &ping["entries"]), (&json!("local"), &json!(2)));
    assert_eq!(ping["litellm_cache_params"]["ttl"], 60.0);

    let deleted = operator.post("/cache/delete").json(&json!({"keys": [name, "x"]})).send();
    assert_eq!((deleted.status, &deleted.json()["deleted"]), (200, &json!(1)));
    assert_eq!(told(operator.ask("gpt", "a")), pair("MISS", "three"));
    assert_eq!(told(operator.ask("gpt", "b")), pair("HIT", "two"));
    let nothing = operator.post("/cache/delete").json(&json!({"keys": []})).send();
    assert_eq!((nothing.status, &nothing.json()["error"]["param"]), (400, &json!("keys")));

    let flushed = operator.post("/cache/flushall").send();
    assert_eq!((flushed.status, &flushed.json()["status"]), (200, &json!("success")));
    assert_eq!(told(operator.ask("gpt", "b")), pair("MISS", "four"));
    assert_eq!(operator.get("/cache/redis/info").status, 404);

    let user = holder(&gateway, &key(&gateway, json!({})));
    assert_eq!(user.get("/cache/ping").status, 403);
    assert_eq!(user.post("/cache/flushall").send().status, 403);
    assert_eq!(holder(&gateway, "sk-nobody").get("/cache/ping").status, 401);
}

#[test]
fn without_a_cache_the_pages_say_so() {
    let provider = changing();
    let gateway = gateway::with(group("gpt").deployment(&provider)).master_key(MASTER).start();
    for reply in [gateway.get("/cache/ping"), gateway.client().post("/cache/flushall").send()] {
        assert_eq!(reply.status, 503);
        assert!(reply.error_message().contains("the cache is off"), "{reply:?}");
    }
}
