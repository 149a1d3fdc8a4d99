//! Connections: HTTP/2 and TLS towards providers, clients that leave, slow clients, and what happens
//! when time runs out.

use std::io::Read;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tollgate::mock::Reply as Scripted;

use crate::harness::http2::Http2;
use crate::harness::raw;
use crate::harness::stepped::Stepped;
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

fn question(model: &str, stream: bool) -> Vec<u8> {
    let messages = json!([{"role": "user", "content": "hi"}]);
    json!({"model": model, "stream": stream, "messages": messages}).to_string().into_bytes()
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

// --- HTTP/2 towards providers ---

#[test]
fn a_provider_known_to_speak_http2_is_spoken_to_in_http2() {
    let upstream = upstream::openai()
        .first_replies([chat("one"), rate_limited(), status(500), stream(["two ", "three"])])
        .replies(chat("four"))
        .start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with("http2: true")))
        .router("num_retries: 0\ndisable_cooldowns: true")
        .start();
    let client = gateway.client();

    assert_eq!(client.chat("gpt", "hi").text(), "one");
    assert_eq!(client.chat("gpt", "hi").status, 429);
    assert_eq!(client.chat("gpt", "hi").status, 500);
    let streamed = client.stream("gpt", "hi");
    assert_eq!(streamed.text(), "two three");
    assert!(streamed.ended_with_done && !streamed.cut);
    for size in [300_000, 8_000_000] {
        let reply = client.ask("gpt", &"x".repeat(size)).send();
        assert_eq!(reply.text(), "four");
        let prompt = upstream.last_request().json()["messages"][0]["content"].clone();
        assert_eq!(prompt.as_str().map(str::len), Some(size));
    }

    let requests = upstream.requests();
    assert!(requests.iter().all(|request| request.version == http::Version::HTTP_2));
    assert_eq!(upstream.connections(), 1, "errors do not cost the connection");
}

#[test]
fn concurrent_requests_share_an_http2_connection() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).stall_after(1)).start();
    let gateway =
        gateway::with(group("gpt").deployment(openai(&upstream).with("http2: true"))).start();
    let client = gateway.client();

    let mut streams: Vec<_> = (0..8).map(|_| client.ask("gpt", "hi").open()).collect();
    for open in &mut streams {
        assert_eq!(open.next_text().as_deref(), Some("one "));
    }
    for _ in &streams {
        upstream.release();
    }
    for open in streams {
        assert_eq!(open.read_to_end().text(), "one two");
    }
    assert!(upstream.connections() <= 2, "{} connections", upstream.connections());
}

/// The bound on streams that HTTP/2 recommends, and that providers have.
const STREAMS: u32 = 100;
/// Requests that all wait for the upstream at the same time.
const WAITING: usize = 250;

#[test]
fn more_requests_than_a_connection_takes_open_further_connections() {
    let upstream = upstream::openai()
        .http2_streams(STREAMS)
        .replies(stream(["one ", "two"]).stall_after(1))
        .start();
    let deployment = openai(&upstream).with("http2: true");
    let gateway = gateway::with(group("gpt").deployment(deployment)).start();
    let body = question("gpt", true);

    // The gateway itself takes a hundred on each of its clients' connections.
    let clients: Vec<_> = (0..5).map(|_| Http2::connect(&gateway)).collect();
    let asked = clients.iter().cycle().take(WAITING);
    let asked: Vec<_> = asked.map(|client| client.begin(PATH, &[]).finish(&body)).collect();
    let heads: Vec<_> = asked.into_iter().map(|exchange| exchange.head()).collect();

    assert_eq!(upstream.request_count(), WAITING, "none waits for another one to end");
    let connections = upstream.open_connections();
    assert!(connections >= 3, "{connections} connections for {WAITING} streams");
    for _ in 0..WAITING {
        upstream.release();
    }
    for head in heads {
        let reply = head.read();
        assert_eq!(reply.status, 200);
        assert!(reply.body.ends_with(b"data: [DONE]\n\n"), "{reply:?}");
    }
}

#[test]
fn hints_before_the_answer_are_skipped() {
    let provider = Stepped::start();
    let gateway =
        gateway::with(group("gpt").deployment(provider.deployment("openai/gpt-4o-mini"))).start();

    let client = gateway.client();
    let asking = meanwhile(move || client.chat("gpt", "hi"));
    let mut called = provider.called();
    called.send("HTTP/1.1 100 Continue\r\n\r\n");
    called.send("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n");
    let body = r#"{"object":"chat.completion","choices":[{"message":{"content":"hello"}}]}"#;
    called.send(format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));

    assert_eq!(asking.join().unwrap().text(), "hello");
}

// --- TLS towards providers ---

/// A provider with a certificate, offering HTTP/2 if that is wanted.
fn secure(certified: &Certified, http2: bool) -> Upstream {
    let upstream = upstream::openai().tls(&certified.certificate, &certified.key);
    let upstream = if http2 { upstream.http2() } else { upstream };
    upstream.replies(chat("hello")).start()
}

#[test]
fn http2_is_agreed_upon_in_tls() {
    let authority = Authority::new();
    let certified = authority.certify("localhost");
    for (offers, option, spoken) in [
        (true, "http2: true", http::Version::HTTP_2),
        (true, "", http::Version::HTTP_11),
        (true, "http2: false", http::Version::HTTP_11),
        (false, "http2: true", http::Version::HTTP_11),
    ] {
        let upstream = secure(&certified, offers);
        let deployment = openai(&upstream).with("ssl_verify: ca.pem").with(option);
        let gateway = gateway::with(group("gpt").deployment(deployment))
            .file("ca.pem", &authority.pem())
            .start();
        for _ in 0..2 {
            assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
        }
        assert_eq!(upstream.last_request().version, spoken, "offered {offers}, {option:?}");
        assert_eq!(upstream.connections(), 1);
    }
}

#[test]
fn only_trusted_certificates_are_accepted() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = secure(&authority.certify("localhost"), true);
    let other_host = secure(&authority.certify("elsewhere.example"), true);
    let expired = secure(&authority.certify_expired("localhost"), true);
    let foreign = secure(&stranger.certify("localhost"), true);
    let deployment = |upstream: &Upstream| openai(upstream).with("ssl_verify: ca.pem");
    let gateway = gateway::with(group("good").deployment(deployment(&good)))
        .and(group("other-host").deployment(deployment(&other_host)))
        .and(group("expired").deployment(deployment(&expired)))
        .and(group("foreign").deployment(deployment(&foreign)))
        .and(group("by-the-system").deployment(&good))
        .and(group("unchecked").deployment(openai(&expired).with("ssl_verify: false")))
        .and(group("unchecked-host").deployment(openai(&other_host).with("ssl_verify: false")))
        .router("num_retries: 0")
        .file("ca.pem", &authority.pem())
        .start();
    let client = gateway.client();

    for group in ["good", "unchecked", "unchecked-host"] {
        assert_eq!(client.chat(group, "hi").text(), "hello", "{group}");
    }
    for group in ["other-host", "expired", "foreign", "by-the-system"] {
        let reply = client.chat(group, "hi");
        let told = (reply.status, reply.error_code());
        assert_eq!(told, (502, "upstream_connection_error".to_owned()), "{group}");
        assert!(reply.error_message().contains("TLS"), "{group}: {}", reply.error_message());
    }
    assert_eq!(foreign.request_count(), 0, "no key went to a stranger");
    assert_eq!(other_host.request_count(), 1, "only the unchecked request");
    assert_eq!(expired.request_count(), 1, "only the unchecked request");
}

#[test]
fn the_systems_authorities_are_trusted() {
    let authority = Authority::new();
    let upstream = secure(&authority.certify("localhost"), true);
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store.pem");
    std::fs::write(&store, authority.pem()).unwrap();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .variable("SSL_CERT_FILE", store.to_str().unwrap())
        .start();

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
}

#[test]
fn a_secure_stream_is_relayed() {
    let authority = Authority::new();
    let Certified { certificate, key } = authority.certify("localhost");
    let upstream = upstream::openai().tls(&certificate, &key).replies(stream(["a", "b"])).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .litellm("ssl_verify: ca.pem")
        .file("ca.pem", &authority.pem())
        .certified_by(&authority)
        .start();

    let client = Http2::connect_tls(&gateway, &authority.der());
    let reply = client.post(PATH, &question("gpt", true));

    assert_eq!(reply.status, 200);
    assert!(reply.body_text().ends_with("data: [DONE]\n\n"), "{}", reply.body_text());
}

// --- Clients that leave ---

/// How soon the upstream is to learn that the client has left.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Lets a client leave several times; the quickest time counts, because machines are busy.
#[track_caller]
fn leaves_at_once(what: &str, mut leave: impl FnMut() -> Duration) {
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        quickest = quickest.min(leave());
        if quickest < AT_ONCE {
            return;
        }
    }
    panic!("{what}: the upstream heard of it after {quickest:?}");
}

/// The time from `left` until the upstream saw it.
#[track_caller]
fn seen_after(upstream: &Upstream, left: Instant) -> Duration {
    let seen = upstream.wait_for_disconnect(patience()).expect("the upstream is told");
    seen.at.saturating_duration_since(left)
}

#[test]
fn who_leaves_in_a_stream_ends_it_upstream() {
    for http2 in ["http2: false", "http2: true"] {
        let upstream = upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
        let deployment = openai(&upstream).with(http2).with("max_parallel_requests: 1");
        let gateway = gateway::with(group("gpt").deployment(deployment)).start();

        leaves_at_once("HTTP/1.1 client", || {
            let mut open = gateway.client().ask("gpt", "hi").open();
            assert_eq!(open.next_text().as_deref(), Some("a"), "its place was given back");
            assert!(upstream.wait_for_stall(patience()));
            let left = Instant::now();
            drop(open);
            seen_after(&upstream, left)
        });
        let client = Http2::connect(&gateway);
        leaves_at_once("HTTP/2 client", || {
            let mut open = client.begin(PATH, &[]).finish(&question("gpt", true)).head();
            assert_eq!(open.status, 200);
            assert!(open.next_part().is_some());
            assert!(upstream.wait_for_stall(patience()));
            let left = Instant::now();
            drop(open);
            seen_after(&upstream, left)
        });
        eventually("every request is out of the count", || in_flight(&gateway) == 0.0);
        assert_eq!(gateway.health_of("gpt")["healthy"], 1, "a client that leaves proves nothing");
    }
}

/// The gauge of requests in flight. Reading it is no inference and does not count.
fn in_flight(gateway: &Gateway) -> f64 {
    let page = gateway.get("/metrics").body_text();
    let line = page.lines().find(|line| line.starts_with("litellm_in_flight_requests"));
    let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
    value.unwrap_or_else(|| panic!("no gauge of requests in flight:\n{page}"))
}

#[test]
fn who_leaves_while_waiting_for_an_answer_ends_it_upstream() {
    for http2 in ["http2: false", "http2: true"] {
        let upstream = upstream::openai().replies(never_answers()).start();
        let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(http2))).start();
        let mut asked = 0;

        for stream in [false, true] {
            leaves_at_once("HTTP/1.1 client", || {
                let mut connection = raw::connect(&gateway);
                connection.send(raw::post(PATH, &question("gpt", stream)));
                asked += 1;
                assert!(upstream.wait_for_requests(asked, patience()));
                let left = Instant::now();
                drop(connection);
                seen_after(&upstream, left)
            });
            let client = Http2::connect(&gateway);
            leaves_at_once("HTTP/2 client", || {
                let exchange = client.begin(PATH, &[]).finish(&question("gpt", stream));
                asked += 1;
                assert!(upstream.wait_for_requests(asked, patience()));
                let left = Instant::now();
                drop(exchange);
                seen_after(&upstream, left)
            });
        }
        assert_eq!(upstream.request_count(), asked, "nothing was tried again");
        let line = eventually_some("a line of the access log", || calls(&gateway).pop());
        assert_eq!((&line["status"], &line["client_disconnected"]), (&json!(499), &json!(true)));
        assert_eq!(line["error_code"], "client_closed");
        assert!(line["upstream_ms"].as_f64().unwrap() > 0.0, "the wait was the provider's: {line}");
    }
}

/// The access log's lines about calls.
fn calls(gateway: &Gateway) -> Vec<Value> {
    let mut lines = gateway.access_log();
    lines.retain(|line| line["route"] == PATH);
    lines
}

/// The time until the access log tells of one more client that left.
#[track_caller]
fn logged_after(gateway: &Gateway, lines_before: usize, left: Instant) -> Duration {
    eventually("the request is over", || calls(gateway).len() > lines_before);
    let line = calls(gateway).pop().unwrap();
    assert_eq!((&line["status"], &line["client_disconnected"]), (&json!(499), &json!(true)));
    left.elapsed()
}

#[test]
fn who_leaves_while_a_connection_is_made_is_not_waited_for() {
    let upstream = upstream::openai().never_accepts().start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).general("connect_timeout: 600").start();

    leaves_at_once("HTTP/1.1 client", || {
        let lines = calls(&gateway).len();
        let mut connection = raw::connect(&gateway);
        connection.send(raw::post(PATH, &question("gpt", false)));
        eventually("the request is being served", || in_flight(&gateway) > 0.0);
        let left = Instant::now();
        drop(connection);
        logged_after(&gateway, lines, left)
    });
}

#[test]
fn who_leaves_between_two_attempts_is_not_waited_for() {
    let upstream = upstream::openai().replies(rate_limited().retry_after(30)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .router("num_retries: 3\ndisable_cooldowns: true")
        .start();
    let client = Http2::connect(&gateway);
    let mut asked = 0;

    leaves_at_once("HTTP/1.1 client", || {
        let lines = calls(&gateway).len();
        let mut connection = raw::connect(&gateway);
        connection.send(raw::post(PATH, &question("gpt", false)));
        asked += 1;
        assert!(upstream.wait_for_requests(asked, patience()));
        let left = Instant::now();
        drop(connection);
        logged_after(&gateway, lines, left)
    });
    leaves_at_once("HTTP/2 client", || {
        let lines = calls(&gateway).len();
        let exchange = client.begin(PATH, &[]).finish(&question("gpt", false));
        asked += 1;
        assert!(upstream.wait_for_requests(asked, patience()));
        let left = Instant::now();
        drop(exchange);
        logged_after(&gateway, lines, left)
    });
    assert_eq!(upstream.request_count(), asked, "nobody was left to ask for");
}

// --- Slow clients ---

/// A stream of 64 MB.
const LONG: usize = 64_000_000;

fn long_stream() -> Scripted {
    let piece = "x".repeat(16_000);
    stream([piece.as_str()]).repeated(LONG / 16_000)
}

/// Waits until the upstream can write nothing more.
fn until_it_stands_still(upstream: &Upstream) -> u64 {
    let mut written = 0;
    let mut looks = 0;
    eventually("the upstream stands still", || {
        let now = upstream.bytes_written();
        looks = if now == written && now > 0 { looks + 1 } else { 0 };
        written = now;
        // Of some milliseconds each.
        looks > 100
    });
    written
}

/// Resident memory of the process in bytes.
fn memory(gateway: &Gateway) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<usize>().unwrap() * 1024
}

#[test]
fn a_client_that_does_not_read_slows_the_upstream() {
    for http2 in ["http2: false", "http2: true"] {
        let upstream = upstream::openai().replies(long_stream()).send_buffer(64 * 1024).start();
        // The silence is the client's, so the bound on the provider's does not count.
        let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with(http2)))
            .general("stream_idle_timeout: 1")
            .start();
        let client = Http2::connect(&gateway);
        assert_eq!(client.get("/health").status, 200);
        let before = memory(&gateway);

        let began = Instant::now();
        let open = client.begin(PATH, &[]).finish(&question("gpt", true)).head();
        let written = until_it_stands_still(&upstream);
        eventually("the bound is passed", || began.elapsed() > millis(1_500));

        let grown = memory(&gateway).saturating_sub(before);
        assert!(written < LONG as u64 / 2, "{http2}: the upstream wrote {written} bytes");
        assert!(grown < 8_000_000, "{http2}: the gateway holds {grown} bytes more");
        let reply = open.read().body_text();
        assert!(reply.len() > LONG && reply.ends_with("data: [DONE]\n\n"), "{http2}");
        let grown = memory(&gateway).saturating_sub(before);
        assert!(grown < 16_000_000, "{http2}: the gateway holds {grown} bytes more");
    }
}

#[test]
fn a_slow_client_does_not_hold_up_others_on_the_same_upstream_connection() {
    let upstream = upstream::openai()
        .when(|request| request.json()["stream"] == true, long_stream())
        .replies(chat("hello"))
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(openai(&upstream).with("http2: true"))).start();
    let slow = Http2::connect(&gateway);

    let open = slow.begin(PATH, &[]).finish(&question("gpt", true)).head();
    until_it_stands_still(&upstream);
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    assert_eq!(upstream.connections(), 1);
    drop(open);
}

#[test]
fn a_socket_that_is_not_read_slows_the_upstream() {
    let upstream = upstream::openai().replies(long_stream()).send_buffer(64 * 1024).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let mut client = raw::connect(&gateway);
    let before = memory(&gateway);

    client.send(raw::post(PATH, &question("gpt", true)));
    assert_eq!(client.read_head().status, 200);
    let written = until_it_stands_still(&upstream);

    let grown = memory(&gateway).saturating_sub(before);
    assert!(written < LONG as u64, "the upstream wrote {written} bytes");
    assert!(grown < 8_000_000, "the gateway holds {grown} bytes more");
    let left = Instant::now();
    drop(client);
    assert!(seen_after(&upstream, left) < patience());
}

// --- Small packets ---

/// The median of some requests' durations.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn small_writes_do_not_wait_for_acknowledgements() {
    let upstream = upstream::openai()
        .when(
            |request| request.json()["stream"] == true,
            stream(["a", "b", "c"]).each_frame_alone(),
        )
        .replies(chat("hello"))
        .start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let mut connection = raw::connect(&gateway);

    for stream in [false, true] {
        let body = question("gpt", stream);
        let request = raw::post(PATH, &body);
        let (head, body) = request.split_at(request.len() - body.len());
        let times = (0..50).map(|_| {
            let began = Instant::now();
            connection.send(head);
            connection.send(body);
            assert_eq!(connection.read_reply().status, 200);
            began.elapsed()
        });
        // Nagle's algorithm against delayed acknowledgements costs 40 ms each.
        let median = median(times.collect());
        assert!(median < millis(20), "stream {stream}: {median:?}");
    }
    assert_eq!(upstream.connections(), 1);
}

// --- Time runs out ---

/// What a client is told, and after what time.
#[track_caller]
fn told(reply: &Reply, began: Instant) -> (u16, String) {
    assert!(began.elapsed() < patience() / 2, "it took {:?}", began.elapsed());
    assert_eq!(reply.json()["error"]["type"], "timeout_error");
    (reply.status, reply.error_code())
}

#[test]
fn each_bound_has_a_code_of_its_own() {
    let hanging = upstream::openai().never_accepts().start();
    let silent = upstream::openai().replies(never_answers()).start();
    let stalls = upstream::openai().replies(chat("a b c d").stall_after(1)).start();
    let no_frames = upstream::openai().replies(chat("a b").stall_after(Point::Preamble)).start();
    let slow_head = upstream::openai().replies(chat("a").slow_head(millis(50))).start();

    for (option, upstream, stream, code) in [
        ("connect_timeout: 0.2", &hanging, false, "upstream_connect_timeout"),
        ("connect_timeout: 0.2", &hanging, true, "upstream_connect_timeout"),
        ("first_byte_timeout: 0.2", &silent, false, "upstream_first_byte_timeout"),
        ("first_byte_timeout: 0.2", &silent, true, "upstream_first_byte_timeout"),
        ("first_byte_timeout: 0.2", &slow_head, false, "upstream_first_byte_timeout"),
        ("first_byte_timeout: 0.2", &no_frames, true, "upstream_first_byte_timeout"),
        ("stream_idle_timeout: 0.2", &stalls, false, "upstream_idle_timeout"),
        ("total_timeout: 0.2", &hanging, false, "request_timeout"),
        ("total_timeout: 0.2", &silent, false, "request_timeout"),
        ("total_timeout: 0.2", &silent, true, "request_timeout"),
        ("total_timeout: 0.2", &stalls, false, "request_timeout"),
        ("total_timeout: 0.2", &no_frames, true, "request_timeout"),
    ] {
        let gateway = gateway::with(group("gpt").deployment(upstream))
            .router("num_retries: 0")
            .general(option)
            .start();
        let began = Instant::now();
        let reply = gateway.client().ask("gpt", "hi").set("stream", stream).send();
        let expected = (504, code.to_owned());
        assert_eq!(told(&reply, began), expected, "{option}, stream {stream}");
        let line = gateway.logged(reply.request_id());
        let waited = line["upstream_ms"].as_f64();
        assert!(waited >= Some(190.0), "the wait was the provider's: {line}");
    }
}

#[test]
fn a_stream_that_runs_out_of_time_ends_with_the_reason() {
    let stalls = upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    for (option, code) in [
        ("stream_idle_timeout: 0.2", "upstream_idle_timeout"),
        ("total_timeout: 0.3", "request_timeout"),
    ] {
        let gateway = gateway::with(group("gpt").deployment(&stalls)).general(option).start();
        let stream = gateway.client().stream("gpt", "hi");
        assert_eq!((stream.status, stream.text().as_str()), (200, "a"));
        assert_eq!(stream.error_code().as_deref(), Some(code), "{option}");
        assert_eq!(stream.error.as_ref().unwrap()["type"], "timeout_error");
        assert!(!stream.ended_with_done && !stream.cut, "{option}: {stream:?}");
        assert!(stalls.wait_for_disconnect(patience()).is_some(), "the upstream is let go");
    }
}

#[test]
fn bounds_of_one_attempt_come_from_router_deployment_and_client() {
    let silent = upstream::openai().replies(never_answers()).start();
    let stalls = upstream::openai().replies(chat("a b c d").stall_after(1)).start();
    let bounded = |upstream: &Upstream, option: &str| openai(upstream).with(option);
    let gateway = gateway::with(group("of-router").deployment(&silent))
        .and(group("of-deployment").deployment(bounded(&silent, "timeout: 0.2")))
        .and(group("body").deployment(bounded(&stalls, "timeout: 0.2")))
        .and(group("of-stream").deployment(bounded(&silent, "stream_timeout: 0.2")))
        .and(group("silence").deployment(bounded(&stalls, "stream_timeout: 0.2")))
        .and(group("patient").deployment(bounded(&silent, "timeout: 600")))
        .router("num_retries: 0\ntimeout: 0.3")
        .start();
    let client = gateway.client();
    let whole = || (504, "upstream_timeout".to_owned());

    for ask in [
        client.ask("of-router", "hi"),
        client.ask("of-deployment", "hi"),
        client.ask("body", "hi"),
        client.ask("patient", "hi").header("x-litellm-timeout", "0.2"),
        client.ask("patient", "hi").set("timeout", 0.2),
    ] {
        let began = Instant::now();
        let reply = ask.clone().send();
        assert_eq!(told(&reply, began), whole(), "{ask:?}");
    }
    for ask in [
        client.ask("of-router", "hi"),
        client.ask("of-deployment", "hi"),
        client.ask("of-stream", "hi"),
        client.ask("patient", "hi").header("x-litellm-stream-timeout", "0.2"),
        client.ask("patient", "hi").set("stream_timeout", 0.2),
    ] {
        let began = Instant::now();
        let reply = ask.clone().set("stream", true).send();
        let expected = (504, "upstream_first_byte_timeout".to_owned());
        assert_eq!(told(&reply, began), expected, "{ask:?}");
    }
    let silence = client.stream("silence", "hi");
    assert_eq!(silence.error_code().as_deref(), Some("upstream_idle_timeout"));
    assert!(
        silent.requests().iter().all(|request| request.json().get("timeout").is_none()),
        "the bound is for the gateway"
    );
}

#[test]
fn an_attempt_may_take_longer_than_the_wait_where_no_bound_is_set() {
    let slow = upstream::openai().replies(chat("hello").latency(millis(600))).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&slow).with("timeout: 30")))
        .general("first_byte_timeout: 0.2")
        .router("num_retries: 0")
        .start();

    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "hello");
}

#[test]
fn after_a_bound_of_one_attempt_another_deployment_answers() {
    let silent = upstream::openai().replies(never_answers()).start();
    let free = upstream::openai().replies(chat("hello")).start();
    let deployments = group("gpt")
        .deployment(openai(&silent).order(1).with("timeout: 0.2"))
        .deployment(openai(&free).order(2));
    let gateway = gateway::with(deployments).router("disable_cooldowns: true").start();

    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.number("x-litellm-attempted-retries"), 1);
    let stream = gateway.client().stream("gpt", "hi");
    assert_eq!(stream.text(), "hello");
    assert_eq!(silent.request_count(), 2);
}

#[test]
fn a_client_that_reads_slowly_holds_no_place_at_the_deployment() {
    let upstream = upstream::openai().replies(chat(&"x".repeat(30_000_000))).start();
    let gateway =
        gateway::with(group("gpt").deployment(openai(&upstream).with("max_parallel_requests: 1")))
            .router("num_retries: 0")
            .start();
    let mut slow = raw::connect(&gateway);
    slow.send(raw::post("/v1/chat/completions", &question("gpt", false)));
    let head = slow.read_head();
    assert_eq!(head.status, 200);
    upstream.now_replies(chat("hello"));

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    assert!(slow.read_body(&head).ends_with(b"}"), "and the slow one gets all of it");
}
