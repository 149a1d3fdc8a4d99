//! Connections: refused, unanswered, reset, garbage, keep-alive, bodies, TLS.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Client, PATIENCE, ask, prompt, streamed};
use crate::mock::{Upstream, chat, close_before_head, echo, garbage, never_answers, reset, status};

#[test]
fn a_refusing_port_refuses() {
    let upstream = Upstream::openai().refuses_connections().start();
    let error = TcpStream::connect(upstream.address()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_full_queue_lets_connections_hang() {
    let upstream = Upstream::openai().never_accepts().start();
    let error =
        TcpStream::connect_timeout(&upstream.address(), Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[test]
fn a_reset_comes_instead_of_a_head() {
    let upstream = Upstream::openai().replies(reset()).start();
    let response = ask(&upstream, &prompt("m", "hi"));
    assert_eq!((response.head.as_str(), response.error), ("", Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_close_comes_instead_of_a_head() {
    let upstream = Upstream::openai().replies(close_before_head()).start();
    let response = ask(&upstream, &prompt("m", "hi"));
    assert_eq!((response.head.as_str(), response.error), ("", None));
}

#[test]
fn garbage_comes_instead_of_http() {
    let upstream = Upstream::openai().replies(garbage()).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &prompt("m", "hi"));
    let mut text = Vec::new();
    client.socket.read_to_end(&mut text).unwrap();
    assert!(!text.starts_with(b"HTTP/"));
    assert!(text.starts_with(b"\x00\x01SSH"));
}

#[test]
fn silence_lasts_until_the_client_leaves() {
    let upstream = Upstream::openai().replies(never_answers()).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &prompt("m", "hi"));
    assert!(upstream.wait_for_stall(PATIENCE));
    client.socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    assert_eq!(client.socket.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
    drop(client);
    assert!(upstream.wait_for_disconnect(PATIENCE).is_some());
}

#[test]
fn a_connection_is_kept_through_successes_and_errors() {
    let upstream =
        Upstream::openai().replies_in_circle([chat("a"), status(429), status(500)]).start();
    let mut client = Client::of(&upstream);
    let statuses: Vec<u16> = (0..6)
        .map(|turn| {
            let body = if turn < 3 { prompt("m", "hi") } else { streamed("m", "hi") };
            client.ask("/v1/chat/completions", "", &body).status()
        })
        .collect();
    assert_eq!(statuses, [200, 429, 500, 200, 429, 500]);
    assert_eq!(upstream.connections(), 1);
    assert!(upstream.requests().iter().all(|it| it.connection == 1));
}

#[test]
fn requests_are_recorded_with_all_they_had() {
    let upstream = Upstream::openai().start();
    let headers = "Authorization: Bearer sk-1\r\nX-Trace: 7\r\n";
    let path = "/v1/chat/completions?trace=1";
    let body = prompt("gpt-4o", "hi");
    Client::of(&upstream).ask(path, headers, &body);
    let request = upstream.last_request();
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
    assert_eq!((request.key(), request.header("x-trace")), (Some("sk-1"), Some("7")));
    assert_eq!(request.json(), body);
    assert_eq!(request.connection, 1);
    upstream.forget();
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn a_required_key_is_required() {
    let upstream = Upstream::openai().requires_key("sk-1").start();
    let mut client = Client::of(&upstream);
    let mut ask =
        |headers| client.ask("/v1/chat/completions", headers, &prompt("m", "hi")).status();
    assert_eq!(ask(""), 401);
    assert_eq!(ask("authorization: Bearer sk-2\r\n"), 401);
    assert_eq!(ask("authorization: Bearer sk-1\r\n"), 200);
    assert_eq!(ask("api-key: sk-1\r\n"), 200);
}

#[test]
fn chunked_request_bodies_are_put_together() {
    let upstream = Upstream::openai().start();
    let mut client = Client::of(&upstream);
    let body = prompt("m", &"long ".repeat(40_000)).to_string();
    client.send("POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(7001) {
        client.send(format!("{:X};ext=1\r\n", piece.len())).send(piece).send("\r\n");
    }
    client.send("0\r\nx-trailer: 1\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(upstream.last_request().body, body.as_bytes());
    let again = client.ask("/v1/chat/completions", "", &prompt("m", "next"));
    assert!(again.text().contains("next"), "the next request starts in the right place");
}

#[test]
fn a_request_cut_at_every_byte_is_read_all_the_same() {
    let upstream = Upstream::openai().start();
    let body = prompt("m", "hi").to_string();
    let length = body.len();
    let plain =
        format!("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: {length}\r\n\r\n{body}");
    let chunked = format!(
        "POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        10,
        body.get(..10).unwrap(),
        length - 10,
        body.get(10..).unwrap()
    );
    for text in [plain, chunked] {
        let mut client = Client::of(&upstream);
        client.socket.set_nodelay(true).unwrap();
        for byte in text.bytes() {
            client.send([byte]);
        }
        assert_eq!(client.response().status(), 200);
        assert_eq!(upstream.last_request().body, body.as_bytes());
    }
}

#[test]
fn a_body_beyond_the_limit_is_refused() {
    let upstream = Upstream::openai().body_limit(1000).start();
    let mut client = Client::of(&upstream);
    client.send("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1001\r\n\r\n");
    assert_eq!(client.response().status(), 413);

    let mut client = Client::of(&upstream);
    client.send("POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    client.send("fffffffffffffff\r\n");
    assert_eq!(client.response().status(), 413);
}

#[test]
fn large_bodies_pass() {
    let upstream = Upstream::openai().start();
    let response = ask(&upstream, &prompt("m", &"x".repeat(8 * 1024 * 1024)));
    assert_eq!(response.status(), 200);
    assert!(upstream.last_request().body.len() > 8 * 1024 * 1024);
}

#[test]
fn a_client_that_expects_a_continue_gets_one() {
    let upstream = Upstream::openai().start();
    let mut client = Client::of(&upstream);
    let body = prompt("m", "hi").to_string();
    let length = body.len();
    client.send(format!(
        "POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n"
    ));
    let mut head = [0; 25];
    client.socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body);
    assert_eq!(client.response().status(), 200);
}

#[test]
fn nonsense_is_refused_and_does_no_harm() {
    let upstream = Upstream::openai().start();
    let nonsense: [&[u8]; 7] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 18446744073709551615\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nabcde",
    ];
    for bytes in nonsense {
        let response = Client::of(&upstream).send(bytes).response();
        assert!((400..500).contains(&response.status()), "{response:?}");
    }
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "a".repeat(70_000));
    assert_eq!(Client::of(&upstream).send(long).response().status(), 431);
    let bad_json = Client::of(&upstream)
        .send("POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 1\r\n\r\n{")
        .response();
    assert_eq!(bad_json.status(), 400);
    // Fields of the wrong types are as good as absent.
    let odd = json!({"model": 7, "messages": "x", "stream": "yes", "tools": 1, "n": -1});
    assert_eq!(ask(&upstream, &odd).status(), 400);
    assert_eq!(ask(&upstream, &json!([1, 2])).status(), 400);
    assert_eq!(ask(&upstream, &prompt("m", "hi")).status(), 200, "it still serves");
}

#[test]
fn a_stopped_provider_closes_its_connections() {
    let upstream = Upstream::openai().replies(never_answers()).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &prompt("m", "hi"));
    assert!(upstream.wait_for_stall(PATIENCE));
    let address = upstream.address();
    upstream.stop();
    assert!(matches!(client.socket.read(&mut [0; 1]), Ok(0) | Err(_)));
    assert!(TcpStream::connect(address).is_err());
}

#[test]
fn a_repeated_request_is_answered_from_memory_with_the_same_bytes() {
    let upstream = Upstream::openai().forgetful().start();
    let mut client = Client::of(&upstream);
    let path = "/v1/chat/completions";
    let plain = client.ask(path, "", &prompt("m", "one"));
    for _ in 0..3 {
        assert_eq!(client.ask(path, "", &prompt("m", "one")).body, plain.body);
    }
    assert!(client.ask(path, "", &prompt("m", "two")).text().contains("two"));
    assert!(client.ask("/v1/completions", "", &prompt("m", "two")).status() == 400);
    let scripted = client.ask(path, "x-mock-script: 500\r\n", &prompt("m", "two"));
    assert_eq!(scripted.status(), 500);
    let stream = client.ask(path, "", &streamed("m", "two"));
    assert_eq!(client.ask(path, "", &streamed("m", "two")).body, stream.body);
    assert_eq!(client.ask(path, "", &prompt("mock-429", "two")).status(), 429);
    assert_eq!(client.ask(path, "", &prompt("mock-429", "two")).status(), 429);
    assert_eq!(client.ask(path, "", &prompt("m", "one")).status(), 200);
    upstream.now_replies(echo().with_status(201));
    assert_eq!(client.ask(path, "", &prompt("m", "one")).status(), 201, "a new script is heard");
}

#[test]
fn tls_works_with_a_given_certificate() {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
    let upstream = Upstream::openai().replies(chat("safe")).tls(&certificate, &key).start();
    assert!(upstream.url().starts_with("https://localhost:"));

    let mut roots = rustls::RootCertStore::empty();
    roots.add(signed.cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut tcp = TcpStream::connect(upstream.address()).unwrap();
    let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
    let body = prompt("m", "hi").to_string();
    let length = body.len();
    let head = "POST /v1/chat/completions HTTP/1.1\r\nconnection: close\r\n";
    write!(stream, "{head}content-length: {length}\r\n\r\n{body}").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("safe"));

    assert!(Upstream::openai().tls("no PEM", &key).try_start().is_err());
    assert!(Upstream::openai().tls(&certificate, "no PEM").try_start().is_err());
}
