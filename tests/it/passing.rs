//! Requests that are handed to a provider as they are: its native API, own endpoints, WebSockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use http::Method;
use serde_json::json;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

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

/// A WebSocket server that takes one connection and answers the first message with two.
fn realtime_provider() -> (std::net::SocketAddr, std::thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = meanwhile(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        #[expect(clippy::result_large_err, reason = "the error is tungstenite's")]
        let look = |request: &Request, mut response: Response| {
            head.push(request.uri().to_string());
            for (name, value) in request.headers() {
                head.push(format!("{name}: {}", value.to_str().unwrap()));
            }
            let protocol = "realtime".parse().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", protocol);
            Ok(response)
        };
        let mut socket = tungstenite::accept_hdr(stream, look).unwrap();
        let asked = socket.read().unwrap().into_text().unwrap();
        head.push(asked.to_string());
        socket.send(Message::text(r#"{"type":"response.created"}"#)).unwrap();
        let done = json!({"type": "response.done", "response": {"usage": {
            "input_tokens": 12, "output_tokens": 34, "total_tokens": 46,
        }}});
        socket.send(Message::text(done.to_string())).unwrap();
        while socket.read().is_ok() {}
        head
    });
    (address, serving)
}

/// Opens a WebSocket at the gateway.
fn websocket(
    gateway: &Gateway,
    path: &str,
    headers: &str,
) -> (String, Option<WebSocket<TcpStream>>) {
    let mut stream = TcpStream::connect(gateway.address()).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let socket = head
        .starts_with("HTTP/1.1 101")
        .then(|| WebSocket::from_raw_socket(stream, Role::Client, None));
    (head, socket)
}

#[test]
fn a_realtime_conversation_goes_both_ways_and_is_metered() {
    let (address, serving) = realtime_provider();
    let gateway = gateway::with(
        group("voice")
            .deployment(Deployment::at("openai/gpt-realtime", &format!("http://{address}/v1"))),
    )
    .master_key(KEY)
    .start();
    let headers = format!(
        "sec-websocket-protocol: realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1\r\n\
         sec-websocket-extensions: permessage-deflate\r\nx-request-id: talk-1\r\n"
    );

    let (head, socket) = websocket(&gateway, "/v1/realtime?model=voice", &headers);
    let mut socket = socket.unwrap_or_else(|| panic!("{head}"));
    assert!(head.to_ascii_lowercase().contains("sec-websocket-protocol: realtime"), "{head}");
    socket.send(Message::text(r#"{"type":"response.create"}"#)).unwrap();
    let first = socket.read().unwrap().into_text().unwrap();
    let second = socket.read().unwrap().into_text().unwrap();
    assert!(first.contains("response.created") && second.contains("response.done"));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);

    let seen = serving.join().unwrap().join("\n");
    assert!(seen.starts_with("/v1/realtime?model=gpt-realtime\n"), "{seen}");
    assert!(seen.contains("authorization: Bearer sk-upstream-of-the-tests"), "{seen}");
    assert!(seen.contains("sec-websocket-protocol: realtime, openai-beta.realtime-v1"), "{seen}");
    assert!(!seen.contains(KEY) && !seen.contains("permessage-deflate"), "{seen}");
    assert!(seen.ends_with(r#"{"type":"response.create"}"#), "{seen}");
    let line = gateway.logged("talk-1");
    assert_eq!((&line["route"], &line["status"]), (&json!("/v1/realtime"), &json!(101)));
    assert_eq!(line["usage"]["output_tokens"], 34, "{line}");
}

#[test]
fn realtime_requests_are_refused_with_a_reason() {
    let claude = upstream::anthropic().start();
    let gateway =
        gateway::with(group("claude").deployment(anthropic(&claude))).master_key(KEY).start();
    let key = format!("authorization: Bearer {KEY}\r\n");
    for (path, headers, status, code) in [
        ("/v1/realtime?model=claude", "", "401", "missing_api_key"),
        ("/v1/realtime?model=nothing", &key, "404", "model_not_found"),
        ("/v1/realtime", &key, "400", "missing_required_parameter"),
        ("/v1/realtime?model=claude", &key, "404", "upstream_not_found"),
    ] {
        let mut connection = raw::connect(&gateway);
        let request = format!(
            "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: Upgrade, close\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        connection.send(request.as_bytes());
        let answer = String::from_utf8(connection.read_to_close()).unwrap();
        assert!(
            answer.contains(&format!("HTTP/1.1 {status}")) && answer.contains(code),
            "{path}: {answer}"
        );
    }
}
