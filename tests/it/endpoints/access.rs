//! Who may call what: paths, methods, origins, keys, and how many at one time.

use http::Method;
use serde_json::json;

use crate::harness::http2::Http2;
use crate::harness::*;
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
        let may_be_one = value.contains("sk-");
        let kind = if may_be_one { "token_not_found_in_db" } else { "auth_error" };
        assert_eq!(refused.json()["error"]["type"], kind, "in LiteLLM's words");
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
