//! Requests that are handed to a provider as they are: its native API and own endpoints.

use http::Method;
use serde_json::json;

use crate::harness::*;

const KEY: &str = "sk-gateway";

#[test]
fn a_providers_own_api_is_reached_with_the_gateways_credentials() {
    let reply = json!({"object": "list", "data": [{"id": "file-1"}]});
    let upstream = upstream::openai().replies(json(&reply)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).master_key(KEY).start();
    let client = gateway.client().with_key(Some(KEY));

    for (path, at_provider) in [
        ("/openai/v1/files?limit=2", "/v1/files?limit=2"),
        ("/openai/files/a%2Fb", "/v1/files/a%2Fb"),
        ("/openai_passthrough/v1/assistants", "/v1/assistants"),
    ] {
        let answer = client.request(Method::GET, path).header("x-custom", "kept").send();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body_text());
        assert_eq!(answer.json(), reply);
        assert!(!answer.header("x-litellm-call-id").is_empty());
        assert!(!answer.header("x-litellm-model-id").is_empty());
        let request = upstream.last_request();
        assert_eq!((request.method.as_str(), &*request.path), ("GET", at_provider));
        assert_eq!(request.key(), Some("sk-upstream-of-the-tests"));
        assert_eq!(request.header("x-custom"), Some("kept"));
        assert_eq!(request.header("host"), Some(&*upstream.address().to_string()));
    }
    let everything = upstream.requests().iter().map(|it| format!("{it:?}")).collect::<String>();
    assert!(!everything.contains(KEY), "the client's key stays here");

    let refused = gateway.client().with_key(None).get("/openai/v1/files");
    assert_eq!((refused.status, &*refused.error_code()), (401, "missing_api_key"));
}

#[test]
fn a_large_upload_is_streamed_through() {
    let upstream = upstream::openai().replies(json(&json!({"id": "file-1"}))).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let body: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();

    let reply = gateway
        .client()
        .post("/openai/v1/uploads/1/parts")
        .header("content-type", "application/octet-stream")
        .bytes(body.clone())
        .send();

    assert_eq!(reply.status, 200);
    let request = upstream.last_request();
    assert!(request.body == body, "{} bytes came", request.body.len());
    assert_eq!(request.header("content-type"), Some("application/octet-stream"));
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let upstream = upstream::openai().replies(json(&json!({}))).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).general("max_request_size_mb: 1").start();
    let body = vec![b'x'; 2_000_000];
    let reply = gateway.client().post("/openai/v1/files").bytes(body).send();
    assert_eq!((reply.status, &*reply.error_code()), (413, "request_too_large"));
}

#[test]
fn what_is_passed_is_metered() {
    let upstream = upstream::openai().replies(chat("hello").usage(11, 7)).start();
    let claude = upstream::anthropic().replies(chat("hello").usage(5, 3)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .and(group("claude").deployment(anthropic(&claude)))
        .start();
    let client = gateway.client();
    let body = json!({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]});

    // With a mount before it the path is the provider's own; without, it is the gateway's.
    let reply = client.post("/openai_passthrough/v1/chat/completions").json(&body).send();
    assert_eq!(reply.text(), "hello");
    let coding = upstream.last_request().header("accept-encoding").map(str::to_owned);
    assert_eq!(coding.as_deref(), Some("identity"), "what is packed cannot be metered");
    let line = gateway.logged(reply.request_id());
    assert_eq!(line["route"], "pass-through");
    assert_eq!(
        (&line["usage"]["input_tokens"], &line["usage"]["output_tokens"]),
        (&json!(11), &json!(7))
    );
    assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");

    let stream = client.post("/openai_passthrough/v1/chat/completions").json(&body).stream();
    assert_eq!(stream.text(), "hello");
    let line = gateway.logged(stream.request_id());
    assert_eq!(line["status"], 200);

    let upstream_body =
        json!({"model": "claude-haiku-4-5", "max_tokens": 9, "messages": body["messages"]});
    let reply = client
        .post("/anthropic/v1/messages")
        .header("anthropic-version", "2023-06-01")
        .json(&upstream_body)
        .send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    assert_eq!(claude.last_request().header("x-api-key"), Some("sk-upstream-of-the-tests"));
}

#[test]
fn an_error_of_the_provider_is_passed_and_cools_the_deployment() {
    let upstream = upstream::openai().replies(rate_limited()).start();
    let other = upstream::openai().replies(rate_limited()).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream).deployment(&other)).start();
    let reply = gateway.client().get("/openai/v1/files");
    assert_eq!(reply.status, 429);
    assert_eq!(reply.error_code(), "rate_limit_exceeded", "the provider's own body");
    assert_eq!(gateway.cooling("gpt"), 1);
}

#[test]
fn a_deployment_that_cannot_be_reached_is_passed_over() {
    let dead = upstream::openai().refuses_connections().start();
    let alive = upstream::openai().replies(json(&json!({"ok": true}))).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&dead).order(1)).deployment(openai(&alive).order(2)),
    )
    .start();
    let reply = gateway.client().get("/openai/v1/files");
    assert_eq!((reply.status, reply.json()), (200, json!({"ok": true})));

    let gateway = gateway::with(group("gpt").deployment(&dead)).start();
    let reply = gateway.client().get("/openai/v1/files");
    assert_eq!((reply.status, &*reply.error_code()), (502, "upstream_connection_error"));
}

#[test]
fn own_endpoints_lead_to_their_targets() {
    let upstream = upstream::openai().replies(json(&json!({"ok": true}))).start();
    let gateway = gateway::empty()
        .variable("RERANK_KEY", "sk-rerank")
        .general(&format!(
            "pass_through_endpoints:\n\
             \x20 - path: /my/rerank\n\
             \x20   target: {0}/v1/rerank?v=a%20b\n\
             \x20   methods: [POST]\n\
             \x20   cost_per_request: 0.25\n\
             \x20   default_query_params: {{mode: fast}}\n\
             \x20   headers: {{Authorization: \"bearer os.environ/RERANK_KEY\"}}\n\
             \x20 - path: /open\n\
             \x20   target: {0}\n\
             \x20   auth: false\n\
             \x20   include_subpath: true\n\
             \x20   forward_headers: true\n",
            upstream.url()
        ))
        .master_key(KEY)
        .start();
    let client = gateway.client().with_key(Some(KEY));

    let reply = client.post("/my/rerank?top=1").header("x-mine", "1").json(&json!({"q": 1})).send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    let request = upstream.last_request();
    assert_eq!(request.path, "/v1/rerank?top=1&mode=fast&v=a%20b");
    assert_eq!(request.header("authorization"), Some("bearer sk-rerank"));
    assert_eq!(request.header("x-mine"), None);
    assert_eq!(request.json(), json!({"q": 1}));
    assert_eq!(gateway.logged(reply.request_id())["cost_usd"], json!(0.25));
    assert_eq!(client.get("/my/rerank").status, 404, "only POST is served");
    assert_eq!(client.post("/my/rerank/below").send().status, 404);

    let nobody = gateway.client().with_key(None);
    let reply = nobody.request(Method::PUT, "/open/a/b?x=1").header("x-mine", "1").send();
    assert_eq!(reply.status, 200);
    let request = upstream.last_request();
    assert_eq!((request.method.as_str(), &*request.path), ("PUT", "/a/b?x=1"));
    assert_eq!((request.header("x-mine"), request.header("authorization")), (Some("1"), None));
}

#[test]
fn an_answer_that_breaks_off_gets_no_end() {
    let provider = stepped::Stepped::start();
    let gateway = gateway::empty()
        .general(&format!(
            "pass_through_endpoints:\n\x20 - path: /cut\n\x20   target: http://{}/x\n",
            provider.address()
        ))
        .master_key(KEY)
        .start();
    let mut connection = raw::connect(&gateway);
    connection.send(format!(
        "GET /cut HTTP/1.1\r\nhost: g\r\nauthorization: Bearer {KEY}\r\nx-request-id: cut\r\n\r\n"
    ));
    let mut called = provider.called();
    called.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n");
    drop(called);
    let answer = String::from_utf8(connection.read_to_close()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("one"), "{answer}");
    assert!(!answer.contains("error") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    let line = gateway.logged("cut");
    assert_eq!((&line["status"], &line["error"]), (&json!(200), &json!("connection")));
}

#[test]
fn no_path_leads_out_of_a_target() {
    let upstream = upstream::openai().replies(json(&json!({"ok": true}))).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general(&format!(
            "pass_through_endpoints:\n\
             \x20 - path: /search\n\
             \x20   target: {0}/v2/search\n\
             \x20   include_subpath: true\n\
             \x20   headers: {{Authorization: Bearer sk-operator}}\n",
            upstream.url()
        ))
        .master_key(KEY)
        .start();
    // A client of HTTP would resolve some of these by itself.
    let asked = |path: &str| {
        let mut connection = raw::connect(&gateway);
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n\
             authorization: Bearer {KEY}\r\nx-request-id: climbs\r\n\r\n"
        );
        connection.send(request.as_bytes());
        String::from_utf8(connection.read_to_close()).unwrap()
    };
    for rest in [
        "/../../v1/admin",
        "/%2e%2E/v1",
        "/a%2f..%2fv1",
        "/..%5cv1",
        "/..;/v1",
        "/%252e%252e/v1",
        "/%00",
        "/a%0d%0ab",
    ] {
        for mount in ["/search", "/openai", "/openai_passthrough/v1"] {
            let answer = asked(&format!("{mount}{rest}"));
            assert!(answer.starts_with("HTTP/1.1 400 "), "{mount}{rest}: {answer}");
            assert!(answer.contains(r#""code":"invalid_path""#), "{mount}{rest}: {answer}");
        }
    }
    assert_eq!(upstream.requests().len(), 0, "nothing was sent");
    let line = gateway.logged("climbs");
    assert_eq!((&line["route"], &line["status"]), (&json!("pass-through"), &json!(400)));
    for (path, sent) in [
        ("/search//v1/x?q=%2e%2e", "/v2/search/v1/x?q=%2e%2e"),
        ("/search/https://example.com/a..b", "/v2/search/https://example.com/a..b"),
    ] {
        let answer = asked(path);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
        assert_eq!(upstream.last_request().path, sent);
    }
}

#[test]
fn what_is_left_out_of_an_own_endpoint_is_as_documented() {
    let upstream = upstream::openai().replies(json(&json!({"ok": true}))).start();
    let other = upstream::openai().replies(status(500)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general(&format!(
            "pass_through_endpoints:\n\
             \x20 - path: /plain/\n\
             \x20   target: {0}/at\n\
             \x20 - path: /plain/deeper\n\
             \x20   target: {0}/deeper\n\
             \x20   include_subpath: true\n\
             \x20   default_query_params: {{a: '1', b: 'x y'}}\n\
             \x20 - path: /broken\n\
             \x20   target: {1}/x\n\
             \x20   cost_per_request: 1\n\
             pass_through_providers: [anthropic]\n",
            upstream.url(),
            other.url()
        ))
        .master_key(KEY)
        .start();
    let client = gateway.client().with_key(Some(KEY));
    assert_eq!(gateway.client().with_key(None).get("/plain").status, 401, "a key is asked for");
    for (path, sent) in [
        ("/plain", "/at"),
        ("/plain?q=1", "/at?q=1"),
        ("/plain/deeper?a=2", "/deeper?a=2&b=x%20y"),
        ("/plain/deeper/still", "/deeper/still?a=1&b=x%20y"),
    ] {
        let reply = client.get(path);
        assert_eq!((reply.status, reply.json()), (200, json!({"ok": true})), "{path}");
        assert_eq!(upstream.last_request().path, sent);
        assert_eq!(upstream.last_request().key(), None, "nobody's key goes there");
        let line = gateway.logged(reply.request_id());
        assert!(line["cost_usd"].is_null() && line["usage"].is_null(), "{line}");
    }
    assert_eq!(client.get("/plain/other").status, 404, "paths below it are not served");
    assert_eq!(client.get("/openai/v1/files").status, 404, "that provider is not listed");
    let failed = client.get("/broken");
    assert_eq!(failed.status, 500);
    let line = gateway.logged(failed.request_id());
    assert!(line["cost_usd"].is_null(), "what failed costs nothing: {line}");
}
