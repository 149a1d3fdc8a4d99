//! What clients send: bodies of every size over every transport, refused ones, and what becomes of
//! the connections afterwards.

use serde_json::json;

use crate::harness::http2::Http2;
use crate::harness::raw::{self, Connection};
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

/// Around the sizes at which proxies change their mind: one packet, Pingora's retry buffer of
/// 64 KiB and its neighbours, a prompt with pictures, and as much as providers take.
const SIZES: [usize; 6] = [1024, 64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 300_000, 30_000_000];

/// A body of exactly so many bytes, written as no serialiser would: what arrives unchanged was
/// neither parsed nor written again.
fn body_of_size(model: &str, size: usize) -> Vec<u8> {
    let start = format!(
        "{{ \"zz\" : 1.50e+1,\r\n\t\"model\":\"{model}\" , \"n\": 1, \"messages\": \
         [ {{\"role\":\"user\",\"content\":\"\\u0041\\/"
    );
    let end = "\"}] }";
    let mut body = start.into_bytes();
    let letters = b"abcdefghijklmnopqrstuvwxyz0123456789 ".iter().cycle();
    body.extend(letters.take(size - body.len() - end.len()));
    body.extend_from_slice(end.as_bytes());
    body
}

/// The same in chunked transfer coding, in chunks of a size that fits into nothing.
fn chunked(path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nhost: gateway\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for chunk in body.chunks(7_001) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

/// A group that is called as its model is: nothing in the body has to be replaced.
fn same_name(upstream: &Upstream) -> gateway::Builder {
    gateway::with(group("gpt-4o-mini").deployment(upstream))
}

#[track_caller]
fn arrived_unchanged(upstream: &Upstream, sent: &[u8]) {
    let arrived = upstream.last_request().body;
    // Not `assert_eq`: nobody can read two times 30 MB.
    assert!(arrived == sent, "{} bytes arrived of {}", arrived.len(), sent.len());
    upstream.forget();
}

#[track_caller]
fn every_size_arrives(upstream: &Upstream, mut send: impl FnMut(&[u8]) -> Reply) {
    for size in SIZES {
        let body = body_of_size("gpt-4o-mini", size);
        let reply = send(&body);
        assert_eq!(reply.status, 200, "{size} bytes: {}", reply.body_text());
        arrived_unchanged(upstream, &body);
    }
    assert_eq!(upstream.connections(), 1, "one connection carries them all");
}

#[test]
fn bodies_with_a_length_arrive_as_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let mut connection = raw::connect(&gateway);

    every_size_arrives(&upstream, |body| {
        connection.send(raw::post(PATH, body));
        connection.read_reply()
    });
}

#[test]
fn chunked_bodies_arrive_as_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let mut connection = raw::connect(&gateway);

    every_size_arrives(&upstream, |body| {
        connection.send(chunked(PATH, body));
        connection.read_reply()
    });
}

#[test]
fn bodies_over_http2_with_prior_knowledge_arrive_as_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let client = Http2::connect(&gateway);

    every_size_arrives(&upstream, |body| client.post(PATH, body));
}

#[test]
fn bodies_over_http2_without_a_length_arrive_as_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let client = Http2::connect(&gateway);

    every_size_arrives(&upstream, |body| {
        let mut exchange = client.begin(PATH, &[]);
        for part in body.chunks(50_000) {
            assert!(exchange.send(part), "the gateway reads the whole body");
        }
        exchange.finish(b"").reply()
    });
}

#[test]
fn bodies_over_tls_arrive_as_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let authority = Authority::new();
    let gateway = same_name(&upstream).certified_by(&authority).start();
    let client = Http2::connect_tls(&gateway, &authority.der());

    every_size_arrives(&upstream, |body| client.post(PATH, body));
}

#[test]
fn only_the_model_is_replaced() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    for size in [1024, 64 * 1024 + 1] {
        let body = body_of_size("gpt", size);
        assert_eq!(gateway.client().post(PATH).bytes(body.clone()).send().status, 200);
        let sent = String::from_utf8(body).unwrap();
        let expected = sent.replacen(r#""model":"gpt""#, r#""model":"gpt-4o-mini""#, 1);
        arrived_unchanged(&upstream, expected.as_bytes());
    }
}

/// Asks for a short completion on this connection.
#[track_caller]
fn ask_on(connection: &mut Connection, model: &str) -> Reply {
    let body = json!({"model": model, "messages": [{"role": "user", "content": "hi"}]});
    connection.send(raw::post(PATH, body.to_string().as_bytes()));
    connection.read_reply()
}

#[test]
fn connections_survive_replies_and_errors() {
    let upstream = upstream::openai()
        .first_replies([
            chat("hello"),
            status(400),
            status(401),
            status(404),
            rate_limited().retry_after(1),
            status(500),
            garbage_json(),
            context_window_exceeded(),
            chat("hello").chunked(),
            status(503).chunked(),
        ])
        .replies(chat("hello"))
        .start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let mut connection = raw::connect(&gateway);

    let mut statuses = Vec::new();
    for model in ["gpt", "gpt", "gpt", "gpt", "gpt", "gpt", "unknown", "gpt", "gpt", "gpt", "gpt"] {
        let reply = ask_on(&mut connection, model);
        assert_eq!(reply.header("connection"), "keep-alive", "{}", reply.body_text());
        statuses.push(reply.status);
    }
    for body in [&b"{"[..], b"", b"[]", b"{\"model\": 7}"] {
        connection.send(raw::post(PATH, body));
        statuses.push(connection.read_reply().status);
    }
    connection.send(b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n");
    statuses.push(connection.read_reply().status);
    connection.send(b"GET /nothing HTTP/1.1\r\nhost: gateway\r\n\r\n");
    statuses.push(connection.read_reply().status);
    statuses.push(ask_on(&mut connection, "gpt").status);

    assert_eq!(
        statuses,
        [200, 400, 401, 404, 429, 500, 404, 502, 400, 200, 503, 400, 400, 400, 400, 200, 404, 200]
    );
    let used: Vec<_> = upstream.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used, [1; 11], "errors are read to their end and the connection is given back");
}

#[test]
fn connections_survive_streams() {
    let upstream = upstream::openai()
        .first_replies([
            stream(["a", "b"]),
            overloaded(),
            stream(["a", "b"]).in_pieces_of(3),
            chat("a").error_frame_after(Point::Preamble, "server_error", "broken"),
        ])
        .replies(stream(["c"]))
        .start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let mut connection = raw::connect(&gateway);
    let body = json!({"model": "gpt", "stream": true, "messages": []}).to_string();

    for expected in [200, 503, 200, 502, 200] {
        connection.send(raw::post(PATH, body.as_bytes()));
        let reply = connection.read_reply();
        assert_eq!(reply.status, expected, "{}", reply.body_text());
        let done = reply.body_text().ends_with("data: [DONE]\n\n");
        assert_eq!(done, expected == 200, "{}", reply.body_text());
    }
    let used: Vec<_> = upstream.requests().iter().map(|request| request.connection).collect();
    assert_eq!(used[..4], [1; 4], "a stream that was read to its end leaves its connection usable");
}

#[test]
fn a_connection_that_the_provider_announced_to_close_is_not_used_again() {
    let upstream = upstream::openai().replies(chat("hello").closing()).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();

    for _ in 0..3 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    assert_eq!(upstream.connections(), 3);
}

#[test]
fn a_connection_that_the_provider_closed_silently_is_replaced_without_a_retry() {
    let upstream = upstream::openai().replies(chat("hello").then_hangs_up()).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 0").start();
    let client = gateway.client();

    for _ in 0..5 {
        let reply = client.chat("gpt", "hi");
        assert_eq!(reply.status, 200, "{}", reply.body_text());
        assert_eq!(reply.number("x-litellm-attempted-retries"), 0);
    }
    assert_eq!(upstream.request_count(), 5, "no request was sent twice");
}

#[test]
fn pipelined_requests_are_answered_in_turn() {
    let upstream = upstream::openai().replies(echo()).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let mut connection = raw::connect(&gateway);

    let ask = |prompt: &str, stream: bool| {
        let messages = json!([{"role": "user", "content": prompt}]);
        let body = json!({"model": "gpt", "stream": stream, "messages": messages});
        raw::post(PATH, body.to_string().as_bytes())
    };
    connection.send(
        [
            ask("first", false),
            ask("second", true),
            b"GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n".to_vec(),
            raw::post(PATH, b"not JSON"),
            ask("fifth", false),
        ]
        .concat(),
    );

    assert!(connection.read_reply().text().contains("first"));
    let streamed = connection.read_reply().body_text();
    assert!(streamed.contains("second") && streamed.ends_with("[DONE]\n\n"), "{streamed}");
    assert_eq!(connection.read_reply().json()["status"], "healthy");
    assert_eq!(connection.read_reply().error_code(), "invalid_json");
    assert!(connection.read_reply().text().contains("fifth"));
}

#[test]
fn a_client_that_asks_first_is_told_to_continue() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).master_key("sk-right").start();
    let body = body_of_size("gpt-4o-mini", 100_000);
    let head = |key: &str, length: usize| {
        format!(
            "POST {PATH} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n\
             expect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
        )
    };

    let mut connection = raw::connect(&gateway);
    connection.send(head("sk-right", body.len()));
    assert_eq!(connection.read_head().status, 100);
    connection.send(&body);
    assert_eq!(connection.read_reply().status, 200);
    arrived_unchanged(&upstream, &body);

    let mut refused = raw::connect(&gateway);
    refused.send(head("sk-wrong", body.len()));
    assert_eq!(refused.read_reply().status, 401, "nobody sends a body for nothing");
    assert!(refused.is_closed(), "what follows might be the body");

    let mut large = raw::connect(&gateway);
    large.send(head("sk-right", usize::MAX / 2));
    assert_eq!(large.read_reply().status, 413);
}

#[track_caller]
fn assert_too_large(reply: &Reply) {
    assert_eq!((reply.status, reply.error_code().as_str()), (413, "request_too_large"));
    assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    assert!(reply.error_message().contains("1048576"), "{}", reply.error_message());
}

#[test]
fn bodies_over_the_limit_are_refused() {
    const LIMIT: usize = 1024 * 1024;
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).general("max_request_size_mb: 1").start();

    let fits = body_of_size("gpt-4o-mini", LIMIT);
    let mut connection = raw::connect(&gateway);
    connection.send(raw::post(PATH, &fits));
    assert_eq!(connection.read_reply().status, 200, "the limit itself is within it");
    connection.send(chunked(PATH, &fits));
    assert_eq!(connection.read_reply().status, 200);
    upstream.forget();

    let larger = body_of_size("gpt-4o-mini", LIMIT + 1);
    let announced = raw::post(PATH, &larger);
    connection.send(&announced[..announced.len() - larger.len()]);
    let reply = connection.read_reply();
    assert_too_large(&reply);
    assert_eq!(reply.header("connection"), "close");
    assert!(connection.is_closed());

    let mut connection = raw::connect(&gateway);
    connection.send(chunked(PATH, &body_of_size("gpt-4o-mini", LIMIT + 10_000)));
    assert_too_large(&connection.read_reply());
    assert!(connection.is_closed());

    let client = Http2::connect(&gateway);
    assert_too_large(&client.post(PATH, &larger));
    let mut exchange = client.begin(PATH, &[]);
    exchange.send(&larger);
    assert_too_large(&exchange.reply());
    assert_eq!(client.post(PATH, &fits).status, 200, "other streams of the connection go on");
    assert_eq!(upstream.request_count(), 1, "no provider saw any of it");
}

#[test]
fn a_truncated_body_reaches_no_provider() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let body = body_of_size("gpt-4o-mini", 4096);

    for request in [raw::post(PATH, &body), chunked(PATH, &body)] {
        let mut connection = raw::connect(&gateway);
        connection.send(&request[..request.len() - 10]);
        connection.finish_sending();
        let reply = connection.read_reply();
        assert_eq!((reply.status, reply.error_code().as_str()), (408, "request_incomplete"));
        assert_eq!(reply.header("connection"), "close");
        assert!(connection.is_closed());
        assert_eq!(gateway.logged(reply.request_id())["error_code"], "request_incomplete");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_malformed_chunk_is_the_clients_mistake() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let mut connection = raw::connect(&gateway);

    connection.send(format!(
        "POST {PATH} HTTP/1.1\r\nhost: gateway\r\ntransfer-encoding: chunked\r\n\r\nno size\r\n"
    ));
    let reply = connection.read_reply();

    assert_eq!((reply.status, reply.error_code().as_str()), (400, "invalid_body"));
    assert!(connection.is_closed(), "where the next request begins is unknown");
}

#[test]
fn a_body_may_come_in_small_steps() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = same_name(&upstream).start();
    let body = body_of_size("gpt-4o-mini", 300);
    let request = chunked(PATH, &body);

    let mut connection = raw::connect(&gateway);
    for byte in &request {
        connection.send([*byte]);
    }
    assert_eq!(connection.read_reply().status, 200);
    arrived_unchanged(&upstream, &body);
}

#[test]
fn what_is_wrong_with_a_body_is_told() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    let deep = format!(r#"{{"model": "gpt", "messages": {}"#, "[".repeat(100_000));

    for (body, code, param, part) in [
        ("", "invalid_json", None, "empty"),
        ("hello", "invalid_json", None, "line 1 column 1"),
        ("{\n  \"model\": \"gpt\",\n  \"messages\": [}", "invalid_json", None, "line 3 column 16"),
        (r#"{"model": "gpt", "messages": []} {}"#, "invalid_json", None, "line 1 column 34"),
        (r#"["model"]"#, "invalid_json", None, "object"),
        (&deep, "invalid_json", None, "line 1"),
        (r#"{"messages": []}"#, "invalid_type", Some("model"), "`model`"),
        (r#"{"model": 4, "messages": []}"#, "invalid_type", Some("model"), "`model`"),
        (r#"{"model": "", "messages": []}"#, "invalid_type", Some("model"), "`model`"),
        (
            r#"{"model": "gpt", "Model": "dear", "messages": []}"#,
            "invalid_type",
            Some("model"),
            "`Model`",
        ),
        (r#"{"model": "gpt"}"#, "invalid_type", Some("messages"), "`messages`"),
        (r#"{"model": "gpt", "messages": "hi"}"#, "invalid_type", Some("messages"), "array"),
        (
            r#"{"model": "gpt", "messages": [], "stream": "yes"}"#,
            "invalid_type",
            Some("stream"),
            "true or false",
        ),
        (
            r#"{"model": "gpt", "messages": [], "fallbacks": 7}"#,
            "invalid_type",
            Some("fallbacks"),
            "array",
        ),
    ] {
        let reply = client.post(PATH).bytes(body).header("content-type", "application/json").send();
        let what = reply.body_text();
        assert_eq!((reply.status, reply.error_code().as_str()), (400, code), "{what}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error", "{what}");
        assert_eq!(reply.json()["error"]["param"].as_str(), param, "{what}");
        assert!(reply.error_message().contains(part), "{part}: {what}");
    }
    let reply = client.post(PATH).bytes(&b"{\"model\": \"gp\xff\", \"messages\": []}"[..]).send();
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "invalid_json"));
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn requests_shorter_than_the_preface_of_http2_are_answered() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    let mut probe = raw::connect(&gateway);
    probe.send("HEAD / HTTP/1.0\r\n\r\n");
    let head = probe.read_head();
    assert_eq!(head.status, 200);
    assert!(probe.read_to_close().is_empty());

    // Something in between is no HTTP/2.
    let mut odd = raw::connect(&gateway);
    odd.send("PRI * HTTP/1.1\r\nhost: gateway\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(odd.read_head().status / 100, 4);
}

#[test]
fn clients_of_http_1_0_and_those_that_close_are_served() {
    let upstream = upstream::openai().replies(chat("hello there")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    for stream in [false, true] {
        let body = json!({"model": "gpt", "stream": stream, "messages": []}).to_string();
        let request = String::from_utf8(raw::post(PATH, body.as_bytes())).unwrap();

        let mut old = raw::connect(&gateway);
        old.send(request.replace("HTTP/1.1", "HTTP/1.0"));
        let head = old.read_head();
        assert_eq!((head.status, head.header("transfer-encoding")), (200, ""), "{head:?}");
        let text = String::from_utf8(old.read_to_close()).unwrap();
        assert!(text.contains("hello") && text.ends_with(if stream { "[DONE]\n\n" } else { "}" }));

        let mut closing = raw::connect(&gateway);
        closing.send(request.replace("host: gateway", "host: gateway\r\nconnection: close"));
        let reply = closing.read_reply();
        assert_eq!((reply.status, reply.header("connection")), (200, "close"));
        assert!(closing.is_closed());
    }
}

#[test]
fn what_is_no_http_is_hung_up_on() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();

    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello there, are you a gateway?\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    ] {
        let mut connection = raw::connect(&gateway);
        connection.send(junk);
        connection.finish_sending();
        let answer = String::from_utf8_lossy(&connection.read_to_close()).into_owned();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    assert_eq!(gateway.get("/health").status, 200);
}
