//! Timing and misbehaviour of replies, over HTTP/1.1.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{Client, PATIENCE, ask, prompt, streamed};
use crate::mock::{
    Point, Upstream, body_of, bytes, chat, echo, frames, garbage_json, json, rate_limited, status,
    stream,
};

/// Concatenated contents of the frames that arrived whole.
fn contents(response: &super::Response) -> String {
    let data = response.data();
    data.iter().filter_map(|it| it["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn a_status_comes_with_its_headers_and_its_own_words() {
    let reply = status(429).header("retry-after", "60").json_error("rate_limit_exceeded", "slow");
    let upstream = Upstream::openai().replies(reply).start();
    let response = ask(&upstream, &prompt("gpt-4o", "hi"));
    assert_eq!(response.status(), 429);
    assert_eq!(response.header("retry-after"), Some("60"));
    assert_eq!(response.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(response.json()["error"]["message"], "slow");
    assert!(response.header("x-request-id").is_some());
}

#[test]
fn bodies_can_be_anything() {
    let upstream = Upstream::openai()
        .replies_in_turn([
            json(&json!({"error": "text"})).with_status(200),
            status(502).body("text/html", "<html>"),
            garbage_json(),
            body_of("application/json", ""),
            echo().with_status(201),
        ])
        .start();
    let mut client = Client::of(&upstream);
    let mut next = || client.ask("/v1/chat/completions", "", &prompt("m", "hi"));
    assert_eq!(next().json()["error"], "text");
    let html = next();
    assert_eq!((html.status(), html.text()), (502, "<html>"));
    assert_eq!(html.header("content-type"), Some("text/html"));
    assert!(serde_json::from_slice::<serde_json::Value>(&next().body).is_err());
    assert!(next().body.is_empty());
    assert_eq!(next().status(), 201);
    assert_eq!(upstream.connections(), 1, "one connection serves them all");
}

#[test]
fn a_cut_leaves_the_body_without_its_end() {
    let cases: [(Point, &str, usize); 3] =
        [(Point::Frames(0), "", 0), (Point::Preamble, "", 1), (Point::Frames(2), "ab", 3)];
    for (point, text, frames) in cases {
        let upstream = Upstream::openai().replies(stream(["a", "b", "c"]).cut_after(point)).start();
        let response = ask(&upstream, &streamed("m", "hi"));
        assert_eq!(response.status(), 200);
        assert!(!response.complete, "{point:?}");
        assert_eq!(response.error, None, "a cut is a plain close");
        assert_eq!(contents(&response), text, "{point:?}");
        assert_eq!(response.data().len(), frames, "{point:?}");
    }
}

#[test]
fn a_cut_within_a_frame_counts_bytes() {
    let upstream = Upstream::openai().replies(chat("hello").cut_after(bytes(40))).start();
    let response = ask(&upstream, &streamed("m", "hi"));
    assert_eq!((response.body.len(), response.complete), (40, false));
    let whole = ask(&upstream, &prompt("m", "hi"));
    assert_eq!((whole.body.len(), whole.complete), (40, false), "without a stream, too");
}

#[test]
fn a_cut_can_be_a_reset() {
    let upstream = Upstream::openai().replies(chat("a b c").cut_after(1).cut_with_reset()).start();
    let response = ask(&upstream, &streamed("m", "hi"));
    assert!(!response.complete);
    assert_eq!(response.error, Some(std::io::ErrorKind::ConnectionReset));
}

#[test]
fn a_whole_reply_is_cut_in_its_middle() {
    let upstream = Upstream::openai().replies(chat("hello").cut_after(1)).start();
    let response = ask(&upstream, &prompt("m", "hi"));
    let length: usize = response.header("content-length").unwrap().parse().unwrap();
    assert_eq!((response.body.len(), response.complete), (length / 2, false));
}

#[test]
fn an_error_frame_ends_the_stream_properly_and_without_done() {
    let reply = || stream(["a", "b", "c"]).error_frame_after(2, "server_error", "it broke");
    let upstream = Upstream::openai().replies(reply()).start();
    let response = ask(&upstream, &streamed("m", "hi"));
    assert!(response.complete);
    assert_eq!(contents(&response), "ab");
    let last = response.data().pop().unwrap();
    assert_eq!(last["error"]["code"], "server_error");
    assert!(!response.text().contains("[DONE]"));

    let whole = ask(&upstream, &prompt("m", "hi"));
    assert_eq!((whole.status(), &whole.json()["error"]["message"]), (200, &json!("it broke")));

    let anthropic = Upstream::anthropic().replies(reply()).start();
    let body = super::with(streamed("m", "hi"), json!({"max_tokens": 10}));
    let headers = "anthropic-version: 2023-06-01\r\n";
    let response = Client::of(&anthropic).ask("/v1/messages", headers, &body);
    assert!(response.text().contains("event: error\n"));
    assert!(!response.text().contains("message_stop"));
}

#[test]
fn an_error_frame_at_the_start_comes_before_the_role() {
    let upstream = Upstream::openai().start();
    let response = ask(&upstream, &streamed("mock-error-frame", "hi"));
    let data = response.data();
    assert_eq!(data.len(), 1);
    assert!(data[0]["error"].is_object());
}

#[test]
fn a_stall_lasts_until_it_is_released() {
    let upstream = Upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &streamed("m", "hi"));
    assert!(upstream.wait_for_stall(PATIENCE));
    client.socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let before = client.response();
    assert_eq!((contents(&before).as_str(), before.complete), ("a", false));

    client.socket.set_read_timeout(Some(PATIENCE)).unwrap();
    upstream.release();
    let mut rest =
        super::Response { head: String::new(), body: Vec::new(), complete: false, error: None };
    client.chunks(&mut rest);
    assert!(rest.complete);
    assert_eq!(contents(&rest), "b");
    assert!(upstream.disconnects().is_empty());
}

#[test]
fn a_client_that_leaves_a_stalled_reply_is_noticed_at_once() {
    let upstream = Upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &streamed("m", "hi"));
    assert!(upstream.wait_for_stall(PATIENCE));
    let left = Instant::now();
    drop(client);
    let disconnect = upstream.wait_for_disconnect(PATIENCE).unwrap();
    assert!(disconnect.at.duration_since(left) < Duration::from_secs(1));
    assert!(disconnect.body_bytes > 0);
    assert_eq!(disconnect.connection, 1);
    assert!(upstream.wait_for_no_connection(PATIENCE));
}

#[test]
fn a_client_that_leaves_before_the_head_is_noticed() {
    let upstream = Upstream::openai().replies(chat("late").latency(PATIENCE)).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &prompt("m", "hi"));
    assert!(upstream.wait_for_requests(1, PATIENCE));
    drop(client);
    assert_eq!(upstream.wait_for_disconnect(PATIENCE).unwrap().body_bytes, 0);
}

#[test]
fn a_client_that_does_not_read_stops_the_stream() {
    const TOTAL: u64 = 100_000 * 200;
    let text = "x".repeat(100);
    let endless = stream([text.as_str()]).repeated(100_000);
    let upstream = Upstream::openai().replies(endless).send_buffer(16 * 1024).start();
    let mut client = Client::of(&upstream);
    client.post("/v1/chat/completions", "", &streamed("m", "hi"));
    let mut first = [0; 1024];
    std::io::Read::read_exact(&mut client.socket, &mut first).unwrap();
    let written = upstream.bytes_written();
    assert!(written < TOTAL / 2, "{written} bytes are more than buffers hold");
    drop(client);
    let disconnect = upstream.wait_for_disconnect(PATIENCE).unwrap();
    assert!(disconnect.body_bytes < TOTAL / 2, "{disconnect:?}");
}

#[test]
fn waits_add_up() {
    let reply = stream(["a", "b", "c"])
        .latency(Duration::from_millis(20))
        .ttft(Duration::from_millis(20))
        .gap(Duration::from_millis(10));
    let upstream = Upstream::openai().replies(reply).start();
    let start = Instant::now();
    let response = ask(&upstream, &streamed("m", "hi"));
    assert_eq!(contents(&response), "abc");
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn frames_are_sent_byte_for_byte_and_in_any_pieces() {
    let text = ["data: {\"a\":\"ü\"}\r\n\r\n", ": ping\n\n", "data: [DONE]"];
    for size in [1, 2, 7, 1000] {
        let upstream = Upstream::openai().replies(frames(text).in_pieces_of(size)).start();
        let response = ask(&upstream, &prompt("m", "hi"));
        assert_eq!(response.text(), text.concat(), "pieces of {size}");
        assert!(response.complete);
    }
}

#[test]
fn a_slow_head_comes_byte_by_byte_and_is_a_head_in_the_end() {
    let upstream =
        Upstream::openai().replies(chat("hi").slow_head(Duration::from_micros(10))).start();
    let response = ask(&upstream, &prompt("m", "hi"));
    assert_eq!(response.json()["choices"][0]["message"]["content"], "hi");
}

#[test]
fn a_body_can_be_delimited_in_three_ways() {
    let upstream = Upstream::openai()
        .replies_in_turn([chat("a").chunked(), chat("a").until_close(), chat("a").closing()])
        .start();
    let chunked = ask(&upstream, &prompt("m", "hi"));
    assert_eq!(chunked.header("transfer-encoding"), Some("chunked"));
    assert_eq!(chunked.header("content-length"), None);
    assert!(chunked.complete);
    let closed = ask(&upstream, &prompt("m", "hi"));
    assert_eq!((closed.header("content-length"), closed.header("transfer-encoding")), (None, None));
    assert_eq!(closed.json(), chunked.json());
    assert_eq!(closed.header("connection"), Some("close"));
    let closing = ask(&upstream, &prompt("m", "hi"));
    assert_eq!(closing.header("connection"), Some("close"));
    assert!(closing.header("content-length").is_some());
}

#[test]
fn a_connection_can_be_hung_up_without_a_word() {
    let upstream = Upstream::openai().replies(chat("hi").then_hangs_up()).start();
    let mut client = Client::of(&upstream);
    let response = client.ask("/v1/chat/completions", "", &prompt("m", "hi"));
    assert!(response.complete);
    assert_eq!(response.header("connection"), None);
    let mut error = None;
    assert!(!client.more(&mut error), "the connection is closed");
    assert_eq!(error, None);
}

#[test]
fn what_it_replies_can_change_while_it_runs() {
    let upstream = Upstream::openai().replies(rate_limited()).start();
    assert_eq!(ask(&upstream, &prompt("m", "hi")).status(), 429);
    upstream.now_replies(chat("better"));
    assert_eq!(ask(&upstream, &prompt("m", "hi")).status(), 200);
}
