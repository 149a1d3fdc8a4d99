//! Files and batches: what a provider keeps, and ids that say where.

use http::Method;
use serde_json::{Value, json};

use crate::harness::*;
use crate::media::{form, holds};

const LINES: &str = "{\"custom_id\":\"1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"cheap\",\"messages\":[]}}\n\
    {\"custom_id\":\"2\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"other\",\"messages\":[]}}\n";

fn file() -> Value {
    json!({"id": "file-abc", "object": "file", "bytes": 3, "filename": "a.jsonl", "purpose": "batch"})
}

fn batch() -> Value {
    json!({"id": "batch_1", "object": "batch", "input_file_id": "file-abc", "output_file_id": "file-out",
        "error_file_id": null, "status": "completed", "metadata": {"a": "b"}})
}

/// A provider that has one file and one batch.
fn provider() -> Upstream {
    let on = |method: &'static str, path: &'static str| {
        move |request: &Recorded| {
            request.method == method && request.path.split('?').next() == Some(path)
        }
    };
    let list = json!({"object": "list", "data": [batch()], "first_id": "batch_1", "last_id": "batch_1",
        "has_more": false});
    upstream::openai()
        .when(on("POST", "/v1/files"), json(&file()))
        .when(on("GET", "/v1/files"), json(&json!({"object": "list", "data": [file()]})))
        .when(on("GET", "/v1/files/file-abc"), json(&file()))
        .when(on("DELETE", "/v1/files/file-abc"), json(&json!({"id": "file-abc", "deleted": true})))
        .when(on("GET", "/v1/files/file-out/content"), body_of("application/jsonl", LINES))
        .when(
            on("GET", "/v1/files/file-abc/content"),
            body_of("application/json", "{\"id\": \"file-1\"}"),
        )
        .when(on("GET", "/v1/files/file-empty/content"), body_of("text/plain", ""))
        .when(on("POST", "/v1/batches"), json(&batch()))
        .when(on("GET", "/v1/batches"), json(&list))
        .when(on("GET", "/v1/batches/batch_1"), json(&batch()))
        .when(on("POST", "/v1/batches/batch_1/cancel"), json(&batch()))
        .replies(status(404))
        .start()
}

fn upload(gateway: &Gateway, fields: &[(&str, &str)]) -> Reply {
    let fields = [&[("purpose", "batch")], fields].concat();
    form(gateway.client().post("/v1/files"), &fields, Some(("file", LINES.as_bytes()))).send()
}

#[test]
fn what_was_uploaded_for_a_group_is_found_again_by_its_id_alone() {
    let (busy, upstream) = (upstream::openai().replies(status(429)).start(), provider());
    let other = provider();
    let configured = || {
        gateway::with(group("other").deployment(openai(&other).id("first")))
            .and(
                group("cheap")
                    .deployment(openai(&busy).order(1).id("busy"))
                    .deployment(openai(&upstream).order(2).id("a;b c")),
            )
            .start()
    };
    let gateway = configured();
    let uploaded = upload(&gateway, &[("target_model_names", "cheap")]);
    assert_eq!(uploaded.status, 200, "{}", uploaded.body_text());
    let id = uploaded.json()["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("file-") && id != "file-abc", "{id}");
    let sent = upstream.last_request();
    let lines = LINES.replace("\"cheap\"", "\"gpt-4o-mini\"");
    assert!(holds(&sent.body, lines.as_bytes()), "{}", String::from_utf8_lossy(&sent.body));
    assert!(!holds(&sent.body, b"target_model_names"));
    assert_eq!(sent.key(), Some("sk-upstream-of-the-tests"));

    // Another process knows as much.
    drop(gateway);
    let gateway = configured();
    let client = gateway.client();
    let shown = client.get(&format!("/v1/files/{id}"));
    assert_eq!((shown.status, shown.json()["id"].as_str()), (200, Some(&*id)));
    let content = client.get(&format!("/v1/files/{id}/content"));
    assert_eq!(
        content.body_text(),
        "{\"id\": \"file-1\"}",
        "what is in a file is nobody's business"
    );
    assert_eq!(content.header("content-type"), "application/json");

    let body = json!({"input_file_id": id, "endpoint": "/v1/chat/completions",
        "completion_window": "24h", "metadata": {"a": "b"}});
    let begun = client.post("/v1/batches").json(&body).send();
    assert_eq!(begun.status, 200, "{}", begun.body_text());
    let mut sent = body;
    sent["input_file_id"] = json!("file-abc");
    assert_eq!(upstream.last_request().json(), sent);
    let begun = begun.json();
    assert_eq!(begun["input_file_id"], json!(id));
    assert_eq!(begun["metadata"], json!({"a": "b"}));
    let batch_id = begun["id"].as_str().unwrap();
    assert!(batch_id.starts_with("batch_"), "{batch_id}");

    let got = client.get(&format!("/v1/batches/{batch_id}"));
    assert_eq!(got.json(), begun);
    let output = got.json()["output_file_id"].as_str().unwrap().to_owned();
    let output = client.get(&format!("/v1/files/{output}/content"));
    assert_eq!((output.status, output.body_text().as_str()), (200, LINES));
    assert_eq!(output.header("content-type"), "application/jsonl");
    let cancelled = client.post(&format!("/v1/batches/{batch_id}/cancel")).send();
    assert_eq!((cancelled.status, cancelled.json()), (200, begun.clone()));

    let listed = client.get(&format!("/v1/batches?limit=5&after={batch_id}"));
    assert_eq!(listed.json()["data"][0], begun);
    assert_eq!(listed.json()["last_id"].as_str(), Some(batch_id));
    assert_eq!(upstream.last_request().path, "/v1/batches?limit=5&after=batch_1");

    let gone = client.request(Method::DELETE, &format!("/v1/files/{id}")).send();
    assert_eq!(gone.json(), json!({"id": id, "deleted": true}));
    assert_eq!(upstream.last_request().method, "DELETE");
    assert_eq!(other.request_count(), 0);
    let log = gateway.logged(gone.request_id());
    assert_eq!(
        (&log["route"], &log["deployment"]),
        (&json!("/v1/files"), &json!("a;b c")),
        "{log}"
    );
}

#[test]
fn without_an_id_of_ours_the_provider_is_chosen() {
    let (openai_upstream, azure_upstream) =
        (provider(), upstream::azure().replies(json(&file())).start());
    let gateway = gateway::with(group("azure").deployment(azure(&azure_upstream)))
        .and(group("gpt").deployment(&openai_upstream))
        .start();
    let client = gateway.client();
    for (path, sent) in [
        ("/v1/files/file-abc", "/v1/files/file-abc"),
        ("/files?purpose=batch", "/v1/files?purpose=batch"),
        ("/v1/batches?custom_llm_provider=openai&limit=1", "/v1/batches?limit=1"),
        ("/v1/files?model=gpt", "/v1/files"),
    ] {
        let reply = client.get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        assert_eq!(openai_upstream.last_request().path, sent, "{path}");
        let cost = reply.header("x-litellm-response-cost");
        assert_eq!(cost, "", "{path}: what a batch costs is not known");
    }
    let plain = upload(&gateway, &[]);
    assert_eq!(plain.status, 200);
    assert!(holds(&openai_upstream.last_request().body, LINES.as_bytes()), "no line changes");
    assert_eq!(azure_upstream.request_count(), 0);
    let reply = upload(&gateway, &[("custom_llm_provider", "azure")]);
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(azure_upstream.last_request().path, "/openai/files?api-version=2024-10-21");
    assert!(!holds(&azure_upstream.last_request().body, b"custom_llm_provider"));
    let reply =
        client.request(Method::GET, "/v1/files").header("custom-llm-provider", "azure").send();
    assert_eq!((reply.status, azure_upstream.request_count()), (200, 2));
}

#[test]
fn mistakes_are_told_before_any_call() {
    let upstream = provider();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream).deployment(openai(&upstream).id("b")))
            .general("max_request_size_mb: 1")
            .start();
    let client = gateway.client();
    let param = |reply: &Reply| (reply.status, reply.json()["error"]["param"].clone());
    let reply = client.get("/v1/files?custom_llm_provider=nobody");
    assert_eq!(param(&reply), (400, json!("custom_llm_provider")));
    assert!(reply.error_message().contains("nobody"));
    assert_eq!(
        param(&upload(&gateway, &[("target_model_names", "a,b")])),
        (400, json!("target_model_names"))
    );
    let reply = client.post("/v1/files").json(&json!({"purpose": "batch"})).send();
    assert_eq!(param(&reply), (400, json!("file")));
    let reply = form(client.post("/v1/files"), &[("purpose", "batch")], None).send();
    assert_eq!(param(&reply), (400, json!("file")));
    let reply = form(client.post("/v1/files"), &[], Some(("file", b"a"))).send();
    assert_eq!(param(&reply), (400, json!("purpose")));
    let unknown = upload(&gateway, &[("target_model_names", "nothing")]);
    assert_eq!((unknown.status, unknown.error_code().as_str()), (404, "model_not_found"));
    let large = vec![b'a'; 2 * 1024 * 1024];
    let reply =
        form(client.post("/v1/files"), &[("purpose", "batch")], Some(("file", &large))).send();
    assert_eq!(reply.status, 413);
    for (method, path, allow) in [
        (Method::PUT, "/v1/files", "GET, POST, OPTIONS"),
        (Method::DELETE, "/batches/b", "GET, OPTIONS"),
        (Method::GET, "/v1/batches/b/cancel", "POST, OPTIONS"),
    ] {
        let reply = client.request(method, path).send();
        assert_eq!((reply.status, reply.header("allow")), (405, allow), "{path}");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_file_that_is_not_there_is_no_fault_of_the_deployment() {
    let upstream = provider();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("allowed_fails: 0").start();
    for _ in 0..3 {
        let reply = gateway.client().get("/v1/files/file-nothing");
        assert_eq!(reply.status, 404, "{}", reply.body_text());
    }
    assert_eq!(gateway.cooling("gpt"), 0);
    let reply = gateway.client().get("/v1/files/file-empty/content");
    assert_eq!((reply.status, reply.body.len()), (200, 0));
}

#[test]
fn a_batch_is_not_begun_twice() {
    let upstream = upstream::openai().replies(status(500)).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 3").start();
    let body = json!({"input_file_id": "file-abc", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let reply = gateway.client().post("/v1/batches").json(&body).send();
    assert_eq!((reply.status >= 500, upstream.request_count()), (true, 1), "{}", reply.body_text());
}

#[test]
fn keys_are_asked_for() {
    let upstream = provider();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).master_key("sk-right").start();
    let stranger = gateway.client().with_key(None);
    for path in ["/v1/files", "/v1/batches", "/v1/files/file-abc/content"] {
        assert_eq!(stranger.get(path).status, 401, "{path}");
    }
    assert_eq!(gateway.client().get("/v1/files").status, 200);
    assert_eq!(upstream.request_count(), 1);
}

#[test]
fn a_conversation_that_names_a_file_goes_where_it_is_kept() {
    let (keeper, other) = (provider(), upstream::openai().replies(chat("other")).start());
    let gateway = gateway::with(
        group("cheap")
            .deployment(openai(&keeper).id("keeper").with("weight: 1"))
            .deployment(openai(&other).id("other").with("weight: 1000")),
    )
    .and(group("else").deployment(openai(&other).id("else")))
    .and(group("same").deployment(openai(&keeper).model("openai/gpt-4o").id("same")))
    .start();
    let client = gateway.client();
    let fields = [("purpose", "user_data"), ("model", "keeper")];
    let uploaded = form(client.post("/v1/files"), &fields, Some(("file", b"x"))).send();
    assert_eq!(uploaded.status, 200, "{}", uploaded.body_text());
    let id = uploaded.json()["id"].as_str().unwrap().to_owned();
    let ask = |model: &str| {
        client.post("/v1/chat/completions").json(&json!({"model": model, "messages": [
            {"role": "user", "content": [{"type": "file", "file": {"file_id": id}}]}]}))
    };
    for _ in 0..4 {
        let _whatever_it_answers = ask("cheap").send();
    }
    let sent = keeper.last_request();
    assert_eq!(sent.path, "/v1/chat/completions");
    assert_eq!(sent.json()["messages"][0]["content"][0]["file"]["file_id"], "file-abc");
    assert!(other.requests().is_empty(), "it does not have the file");
    let _whatever_it_answers = ask("same").send();
    let sent = keeper.last_request().json();
    assert_eq!(sent["model"], "gpt-4o", "another model of the account that has it");
    assert_eq!(sent["messages"][0]["content"][0]["file"]["file_id"], "file-abc");
    let refused = ask("else").send();
    assert!((400..500).contains(&refused.status), "{}", refused.body_text());
    assert!(other.requests().is_empty());
}
