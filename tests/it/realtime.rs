//! Realtime WebSockets: `/v1/realtime` and below a provider's own path.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use serde_json::json;
use tungstenite::handshake::server::{Request, Response};
use tungstenite::protocol::Role;
use tungstenite::protocol::frame::CloseFrame;
use tungstenite::protocol::frame::Frame;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::{Message, WebSocket};

use crate::harness::*;

const KEY: &str = "sk-gateway";

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
    let nowhere = Deployment::at("anthropic/claude-haiku-4-5", "http://127.0.0.1:1");
    let gateway = gateway::with(group("claude").deployment(anthropic(&claude)))
        .and(group("deaf").deployment(nowhere))
        .master_key(KEY)
        .start();
    let key = format!("authorization: Bearer {KEY}\r\n");
    for (path, headers, status, code) in [
        ("/v1/realtime?model=claude", "", "401", "missing_api_key"),
        ("/v1/realtime?model=nothing", "", "401", "missing_api_key"),
        ("/v1/realtime?model=nothing", &key, "404", "model_not_found"),
        ("/v1/realtime", &key, "400", "missing_required_parameter"),
        ("/v1/realtime?model=claude", &key, "404", "anthropic has no realtime API"),
        // Nobody listens there, and nobody needs to.
        ("/v1/realtime?model=deaf", &key, "404", "anthropic has no realtime API"),
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
        let (_, id) = answer.split_once("x-request-id: ").unwrap();
        let line = gateway.logged(id.split("\r\n").next().unwrap());
        assert_eq!(line["route"], "/v1/realtime", "{line}");
    }
    assert_eq!(claude.requests().len(), 0);
}

#[test]
fn what_asks_for_no_websocket_is_told_to() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("voice").deployment(&upstream)).master_key(KEY).start();
    for path in ["/v1/realtime?model=voice", "/realtime", "/openai/v1/realtime"] {
        for upgrade in ["", "upgrade: h2c\r\n"] {
            let mut connection = raw::connect(&gateway);
            connection.send(format!(
                "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: close\r\n{upgrade}\
                 authorization: Bearer {KEY}\r\nx-request-id: plain\r\n\r\n"
            ));
            let answer = String::from_utf8(connection.read_to_close()).unwrap();
            assert!(answer.starts_with("HTTP/1.1 426 "), "{path}: {answer}");
            assert!(answer.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n"), "{answer}");
            assert!(answer.contains("upgrade_required"), "{answer}");
        }
    }
    let line = gateway.logged("plain");
    assert_eq!((&line["route"], &line["status"]), (&json!("/v1/realtime"), &json!(426)));
    let client = gateway.client().with_key(Some(KEY));
    let reply = client.post("/v1/realtime/client_secrets").json(&json!({})).send();
    assert_eq!(reply.status, 404);
    assert!(reply.body_text().contains("/openai/v1/realtime/client_secrets"));
    assert_eq!(upstream.requests().len(), 0);
}

/// A provider whose side of one conversation is in the test's hand.
fn provider_that(
    talks: impl FnOnce(&mut WebSocket<TcpStream>) + Send + 'static,
) -> (std::net::SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = meanwhile(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        let mut socket = tungstenite::accept(stream).unwrap();
        talks(&mut socket);
    });
    (address, serving)
}

fn gateway_to(address: std::net::SocketAddr) -> Gateway {
    let at = Deployment::at("openai/gpt-realtime", &format!("http://{address}/v1"));
    gateway::with(group("voice").deployment(at)).start()
}

fn done(input: u64, output: u64) -> String {
    json!({"type": "response.done", "response": {"usage": {"input_tokens": input,
        "output_tokens": output, "total_tokens": input + output}}})
    .to_string()
}

/// Reads to the end of the conversation, and says how it was closed.
fn closed(socket: &mut WebSocket<TcpStream>) -> Option<CloseFrame> {
    loop {
        match socket.read() {
            Ok(Message::Close(frame)) => {
                // The answer to it goes out with the next read.
                while socket.read().is_ok() {}
                return frame;
            }
            Ok(_) => {}
            Err(error) => panic!("it was not closed in words: {error}"),
        }
    }
}

#[test]
fn every_response_of_a_conversation_counts_however_its_frames_are_cut() {
    let sound = "x".repeat(400_000);
    let (address, serving) = provider_that(move |socket| {
        socket.read().unwrap();
        socket.send(Message::text(done(10, 5))).unwrap();
        // Longer than what is looked at, in one frame and in many.
        let delta = json!({"type": "response.output_audio.delta", "delta": sound}).to_string();
        socket.send(Message::text(delta)).unwrap();
        socket.send(Message::binary(vec![7; 300_000])).unwrap();
        let text = done(100, 50);
        let (start, end) = text.split_at(30);
        for (piece, kind, last) in [(start, Data::Text, false), (end, Data::Continue, true)] {
            let frame = Frame::message(piece.as_bytes().to_vec(), OpCode::Data(kind), last);
            socket.send(Message::Frame(frame)).unwrap();
            if !last {
                socket.send(Message::Ping("between".into())).unwrap();
            }
        }
        assert_eq!(closed(socket), None, "closed without a reason");
    });
    let gateway = gateway_to(address);
    let (head, socket) = websocket(&gateway, "/v1/realtime?model=voice", "x-request-id: sums\r\n");
    let mut socket = socket.unwrap_or_else(|| panic!("{head}"));
    socket.send(Message::text("go")).unwrap();
    let mut bytes = 0;
    let mut responses = 0;
    while responses < 2 {
        let message = socket.read().unwrap();
        bytes += message.len();
        responses += usize::from(message.is_text() && message.len() < 1_000);
    }
    assert!(bytes > 700_000, "{bytes} bytes came");
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    serving.join().unwrap();
    let line = gateway.logged("sums");
    let usage = &line["usage"];
    assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(110), &json!(55)));
    assert!(line["cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{line}");
}

#[test]
fn each_side_hears_how_the_other_one_closed() {
    let say = |code: u16, reason: &str| CloseFrame {
        code: CloseCode::from(code),
        reason: reason.to_owned().into(),
    };
    let theirs = say(4_001, "session_expired");
    let sent = theirs.clone();
    let (address, serving) = provider_that(move |socket| {
        socket.close(Some(sent)).unwrap();
        while socket.read().is_ok() {}
    });
    let gateway = gateway_to(address);
    let (_, socket) = websocket(&gateway, "/v1/realtime?model=voice", "");
    assert_eq!(closed(&mut socket.unwrap()), Some(theirs));
    serving.join().unwrap();

    let ours = say(3_000, "enough");
    let expected = ours.clone();
    let (address, serving) =
        provider_that(move |socket| assert_eq!(closed(socket), Some(expected)));
    let gateway = gateway_to(address);
    let (_, socket) = websocket(&gateway, "/v1/realtime?model=voice", "");
    let mut socket = socket.unwrap();
    socket.close(Some(ours)).unwrap();
    while socket.read().is_ok() {}
    serving.join().unwrap();
}

#[test]
fn a_client_that_vanishes_ends_the_conversation_and_pays_for_what_was_said() {
    let (address, serving) = provider_that(|socket| {
        socket.send(Message::text(done(3, 4))).unwrap();
        // Whatever the end looks like, it comes.
        while socket.read().is_ok() {}
    });
    let gateway = gateway_to(address);
    let (_, socket) = websocket(&gateway, "/v1/realtime?model=voice", "x-request-id: gone\r\n");
    let mut socket = socket.unwrap();
    assert!(socket.read().unwrap().is_text());
    socket.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    drop(socket);
    serving.join().unwrap();
    assert_eq!(gateway.logged("gone")["usage"]["output_tokens"], 4);
}

#[test]
fn a_provider_that_vanishes_ends_the_conversation_in_words() {
    let ends: [fn(&mut WebSocket<TcpStream>); 2] = [
        |socket| socket.get_ref().shutdown(std::net::Shutdown::Write).unwrap(),
        // What is closed with something unread is reset.
        |socket| assert_eq!(socket.get_ref().peek(&mut [0]).unwrap(), 1),
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let (address, serving) = provider_that(move |socket| {
            socket.send(Message::text(done(3, 4))).unwrap();
            end(socket);
        });
        let gateway = gateway_to(address);
        let id = format!("x-request-id: vanished-{index}\r\n");
        let (_, socket) = websocket(&gateway, "/v1/realtime?model=voice", &id);
        let mut socket = socket.unwrap();
        assert!(socket.read().unwrap().is_text());
        socket.send(Message::text("go on")).unwrap();
        let frame = closed(&mut socket).unwrap_or_else(|| panic!("{index}: there is a reason"));
        assert_eq!(frame.code, CloseCode::Error, "{index}: {frame}");
        assert!(frame.reason.contains("provider broke"), "{index}: {frame}");
        serving.join().unwrap();
        let line = gateway.logged(&format!("vanished-{index}"));
        assert_eq!(line["status"], 101, "{line}");
        assert_eq!(line["error"], "connection", "{line}");
        assert_eq!(line["usage"]["output_tokens"], 4, "{line}");
        assert_eq!(line["attempts"].as_array().map(Vec::len), Some(1), "{line}");
    }
}

#[test]
fn a_frame_that_is_cut_is_not_mended() {
    let (address, serving) = provider_that(|socket| {
        // Its head promises more.
        socket.get_mut().write_all(b"\x81\x20half").unwrap();
    });
    let gateway = gateway_to(address);
    let (_, socket) = websocket(&gateway, "/v1/realtime?model=voice", "x-request-id: half\r\n");
    assert!(socket.unwrap().read().is_err(), "the connection is closed");
    serving.join().unwrap();
    assert_eq!(gateway.logged("half")["error"], "connection");
}

#[test]
fn a_provider_that_refuses_the_upgrade_is_quoted() {
    for (status_code, body) in [(401, "no such key"), (404, "no such model"), (429, "slow down")] {
        let refusal = json!({"error": {"code": "refused", "message": body}});
        let upstream = upstream::openai().replies(json(&refusal).with_status(status_code)).start();
        let gateway = gateway::with(group("voice").deployment(&upstream)).start();
        let mut connection = raw::connect(&gateway);
        connection.send(
            "GET /v1/realtime?model=voice HTTP/1.1\r\nhost: g\r\nconnection: Upgrade, close\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nx-request-id: refused\r\n\r\n"
                .as_bytes(),
        );
        let answer = String::from_utf8(connection.read_to_close()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status_code} ")), "{answer}");
        assert!(answer.contains(body), "{answer}");
        let line = gateway.logged("refused");
        assert_eq!(line["status"], status_code);
        assert!(line["usage"].is_null(), "{line}");
    }
}
