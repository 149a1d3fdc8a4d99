//! Requests that are refused before, or in place of, being served: by their heads, their slowness,
//! their size, their path. Whatever it is, the client reads an answer in its own dialect.

use std::net::TcpListener;

use serde_json::{Value, json};

use super::harness::http2::Http2;
use super::harness::raw;
use super::harness::*;

const PATH: &str = "/v1/chat/completions";

/// A gateway before a provider that says hello.
fn quiet() -> (Upstream, Gateway) {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    (upstream, gateway)
}

/// Sends a head, and returns the whole answer.
#[track_caller]
fn answer_to(gateway: &Gateway, head: impl AsRef<[u8]>) -> Reply {
    let mut connection = raw::connect(gateway);
    connection.send(head);
    let reply = connection.read_reply();
    assert!(connection.is_closed(), "where the next request would begin is not known");
    reply
}

#[test]
fn heads_that_cannot_be_taken_are_answered_logged_and_counted() {
    let (_upstream, gateway) = quiet();
    let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(300));
    let large = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(1_200_000));
    let with = |line: &str| format!("POST {PATH} HTTP/1.1\r\nhost: a\r\n{line}\r\n\r\n");

    for (head, status, code, path) in [
        ("HELLO\r\n\r\n".to_owned(), 400, "invalid_request_head", ""),
        ("\u{16}\u{3}\u{1}\u{0}hello\r\n\r\n".to_owned(), 400, "invalid_request_head", ""),
        (with("not a header"), 400, "invalid_request_head", PATH),
        (with("a: b\u{0}c"), 400, "invalid_request_head", PATH),
        (with("content-length: 1\r\ncontent-length: 2"), 400, "invalid_request_head", PATH),
        (with("transfer-encoding: gzip"), 400, "invalid_request_head", PATH),
        (with("host: b"), 400, "invalid_request_head", PATH),
        (many, 431, "request_head_too_large", "/"),
        (large, 431, "request_head_too_large", "/"),
        (format!("GET {PATH} HTTP/3.7\r\n\r\n"), 505, "http_version_not_supported", PATH),
        ("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n".to_owned(), 405, "method_not_allowed", "/"),
    ] {
        let start: String = head.chars().take(60).collect();
        let reply = answer_to(&gateway, head);
        assert_eq!((reply.status, reply.error_code().as_str()), (status, code), "{start:?}");
        assert_eq!(reply.header("connection"), "close", "{start:?}");
        assert_eq!(reply.header("content-type"), "application/json", "{start:?}");
        let body = reply.json();
        assert_eq!(body["error"]["type"], "invalid_request_error", "{start:?}");
        assert_eq!(body["error"]["request_id"], reply.request_id(), "{start:?}");
        let logged = gateway.logged(reply.request_id());
        assert_eq!((&logged["status"], &logged["error_code"]), (&json!(status), &json!(code)));
        assert_eq!(
            (&logged["error"], &logged["path"]),
            (&json!("head"), &json!(path)),
            "{start:?}"
        );
        assert_eq!(logged["client_ip"], "127.0.0.1");
    }
    let metrics = gateway.get("/metrics").body_text();
    let counted = |line: &str| metrics.lines().any(|found| found == line);
    for line in [
        "tollgate_other_requests_total{route=\"other\",status_code=\"400\"} 2",
        "tollgate_other_requests_total{route=\"other\",status_code=\"431\"} 2",
        "tollgate_other_requests_total{route=\"other\",status_code=\"405\"} 1",
    ] {
        assert!(counted(line), "{line}\n{metrics}");
    }
    let refused = "exception_class=\"head\",exception_status=\"400\"";
    assert!(metrics.contains(refused), "{metrics}");
}

#[test]
fn a_refused_head_names_its_request_as_the_client_did_and_repeats_nothing_else() {
    let (_upstream, gateway) = quiet();
    let head = "POST /v1/messages HTTP/1.1\r\nhost: a\r\nx-request-id: mine-7\r\n\
                user-agent: probe\r\n<script>: 1\r\ncontent-length: 1, 2\r\n\r\n";
    let reply = answer_to(&gateway, head);

    let body = reply.json();
    assert_eq!(
        (reply.status, &body["type"], &body["request_id"]),
        (400, &json!("error"), &json!("mine-7"))
    );
    assert_eq!(body["error"]["type"], "invalid_request_error");
    assert!(!reply.body_text().contains("script"), "{}", reply.body_text());
    assert_eq!(gateway.logged("mine-7")["user_agent"], "probe");
}

#[test]
fn a_refused_head_behind_a_good_request_is_answered_too() {
    let (_upstream, gateway) = quiet();
    let mut connection = raw::connect(&gateway);
    connection.send("GET /health/liveliness HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(connection.read_reply().status, 200);
    connection.send("GARBAGE\r\n\r\n");
    assert_eq!(connection.read_reply().error_code(), "invalid_request_head");

    // Read ahead with the request before it.
    let mut connection = raw::connect(&gateway);
    connection.send("GET /health/liveliness HTTP/1.1\r\nhost: a\r\n\r\nGARBAGE\r\n\r\n");
    assert_eq!(connection.read_reply().status, 200);
    let refused = connection.read_reply();
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "invalid_request_head"));
    assert!(connection.is_closed());
}

#[test]
fn targets_in_absolute_form_are_served() {
    let (_upstream, gateway) = quiet();
    let address = gateway.address();
    let ask = |target: &str, host: &str| {
        let mut connection = raw::connect(&gateway);
        let body = r#"{"model":"gpt","messages":[]}"#;
        connection.send(format!(
            "POST {target} HTTP/1.1\r\n{host}content-length: {}\r\n\r\n{body}",
            body.len()
        ));
        connection.read_reply()
    };
    let target = format!("http://{address}{PATH}");
    assert_eq!(ask(&target, &format!("host: {address}\r\n")).text(), "hello");
    assert_eq!(ask(&target, "").text(), "hello");
    let other = ask(&target, "host: elsewhere\r\n");
    assert_eq!((other.status, other.error_code().as_str()), (400, "invalid_request_head"));
}

#[test]
fn a_request_of_two_lengths_ends_its_connection() {
    // The chunked coding counts (RFC 9112, 6.3); what the other length would have made the next
    // request is not read.
    let (_upstream, gateway) = quiet();
    let body = r#"{"model":"gpt","messages":[]}"#;
    let mut connection = raw::connect(&gateway);
    connection.send(format!(
        "POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n\
         {:x}\r\n{body}\r\n0\r\n\r\nGET /health HTTP/1.1\r\nhost: a\r\n\r\n",
        body.len()
    ));
    let reply = connection.read_reply();
    assert_eq!((reply.text().as_str(), reply.header("connection")), ("hello", "close"));
    assert!(connection.read_to_close().is_empty());
}

#[test]
fn clients_of_anthropics_api_read_errors_in_its_shape() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("max_request_size_mb: 0.01")
        .master_key("sk-a-key-of-the-tests")
        .start();
    let client = gateway.client();
    let large = vec![b' '; 2 << 20];

    for (method, path, body, status, kind) in [
        ("POST", "/v1/messages", &b"{}"[..], 400, "invalid_request_error"),
        ("GET", "/v1/messages/more", b"", 404, "not_found_error"),
        ("POST", "/v1/messages/count_tokens", b"{}", 400, "invalid_request_error"),
        ("POST", "/messages", b"[]", 400, "invalid_request_error"),
        ("POST", "/v1/messages", &large, 413, "request_too_large"),
    ] {
        let ask = client.request(method.parse().unwrap(), path).bytes(body);
        let reply = ask.header("x-request-id", "r-1").send();
        let read = reply.json();
        let what = format!("{method} {path}: {read}");
        assert_eq!((reply.status, &read["type"]), (status, &json!("error")), "{what}");
        assert_eq!(
            (&read["error"]["type"], &read["request_id"]),
            (&json!(kind), &json!("r-1")),
            "{what}"
        );
        assert!(
            read["error"]["message"].is_string() && read["error"].get("code").is_none(),
            "{what}"
        );
    }
    let unlike = client.post("/v1/messages-of-others").json(&json!({})).send();
    assert_eq!(unlike.error_code(), "unknown_route");
}

#[test]
fn options_are_told_where_they_are_asked_for() {
    let (_upstream, gateway) = quiet();
    let client = gateway.client();
    for (path, allow) in
        [(PATH, "POST, OPTIONS"), ("/health", "GET,HEAD"), ("/v1/models", "GET,HEAD")]
    {
        let reply = client.request(http::Method::OPTIONS, path).send();
        assert_eq!((reply.status, reply.header("allow")), (204, allow), "{path}");
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("content-length"), "", "a 204 has none");
    }
    assert_eq!(client.request(http::Method::OPTIONS, "/nothing").send().status, 404);
    let mut connection = raw::connect(&gateway);
    connection.send("OPTIONS * HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let reply = String::from_utf8(connection.read_to_close()).unwrap();
    assert!(
        reply.starts_with("HTTP/1.1 204") && reply.contains("GET, HEAD, POST, OPTIONS"),
        "{reply}"
    );
}

/// Sends a request whose body is far larger than any buffer on the way, and then reads the answer.
#[track_caller]
fn answer_to_large(gateway: &Gateway) -> Reply {
    let mut connection = raw::connect(gateway);
    connection.send(raw::post(PATH, &vec![b' '; 32 << 20]));
    connection.read_reply()
}

#[test]
fn clients_that_send_on_read_why_they_were_refused() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("max_request_size_mb: 0.01")
        .start();
    assert_eq!(answer_to_large(&gateway).error_code(), "request_too_large");

    let refused = Http2::connect(&gateway).post(PATH, &vec![b' '; 4 << 20]);
    assert_eq!((refused.status, refused.error_code().as_str()), (413, "request_too_large"));

    // Without a length it is found out on the way.
    let mut connection = raw::connect(&gateway);
    connection
        .send(format!("POST {PATH} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"));
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    for _ in 0..16 {
        connection.send(&chunk);
    }
    assert_eq!(connection.read_reply().error_code(), "request_too_large");

    let guarded = gateway::with(group("gpt").deployment(&upstream))
        .master_key("sk-a-key-of-the-tests")
        .start();
    assert_eq!(answer_to_large(&guarded).error_code(), "missing_api_key");
}

#[test]
fn what_lingers_holds_no_place() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("max_request_size_mb: 0.01\nglobal_max_parallel_requests: 1")
        .start();
    let mut refused = raw::connect(&gateway);
    refused.send(format!("POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999\r\n\r\n "));
    assert_eq!(refused.read_reply().status, 413);

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    // It was still open: the end comes only after this.
    refused.send("more");
}

#[test]
fn slow_clients_are_told_that_their_time_is_up() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .general("client_header_timeout: 0.3\nclient_body_timeout: 0.2")
        .start();

    let mut slow = raw::connect(&gateway);
    slow.send(format!("POST {PATH} HTTP/1.1\r\nhost: a\r\nx-request-id: slow-head\r\n"));
    let reply = slow.read_reply();
    assert_eq!((reply.status, reply.error_code().as_str()), (408, "request_incomplete"));
    assert_eq!(gateway.logged("slow-head")["status"], 408);
    assert!(slow.is_closed());

    // Each byte comes in time, the head does not.
    let mut dripping = raw::connect(&gateway);
    let dripped = meanwhile({
        let head = format!("POST {PATH} HTTP/1.1\r\nx: ");
        let socket = dripping.socket().try_clone().unwrap();
        move || drip(&socket, &head)
    });
    assert_eq!(dripping.read_reply().status, 408);
    dripping.socket().shutdown(std::net::Shutdown::Both).unwrap();
    dripped.join().unwrap();

    let mut silent = raw::connect(&gateway);
    assert!(silent.read_to_close().is_empty(), "nothing was asked, nothing is answered");

    let mut stopped = raw::connect(&gateway);
    stopped.send(format!("POST {PATH} HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{{"));
    let reply = stopped.read_reply();
    assert_eq!((reply.status, reply.error_code().as_str()), (408, "request_incomplete"));
    assert!(reply.error_message().contains("stopped sending"), "{}", reply.error_message());

    // A connection that is kept between requests is no slow one.
    let mut kept = raw::connect(&gateway);
    let request = "GET /health/liveliness HTTP/1.1\r\nhost: a\r\n\r\n";
    kept.send(request);
    assert_eq!(kept.read_reply().status, 200);
    assert!(slow.read_to_close().is_empty());
    kept.send(request);
    assert_eq!(kept.read_reply().status, 200);
}

/// Sends a head byte by byte and then a header without end, until the other side has enough.
fn drip(mut socket: &std::net::TcpStream, head: &str) {
    use std::io::Write;

    for byte in head.bytes().chain(std::iter::repeat(b'y')) {
        // Waits for nothing: to be slow is what this client is for.
        std::thread::sleep(std::time::Duration::from_millis(2));
        if socket.write_all(&[byte]).is_err() {
            return;
        }
    }
}

/// A provider that answers the first request of a connection and breaks off in the second one.
fn breaks_off_with(answer: &'static str) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let there = listener.try_clone().unwrap();
    meanwhile(move || {
        while let Ok((socket, _)) = there.accept() {
            let mut connection = raw::over(socket);
            let whole = r#"{"id":"1","object":"chat.completion","created":1,"model":"m","choices":
                [{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;
            connection.read_request();
            connection.send(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{whole}", whole.len()));
            connection.read_request();
            connection.send(answer);
        }
    });
    (listener, base)
}

#[test]
fn a_request_lost_on_a_kept_connection_is_sent_once_more() {
    let upstream = upstream::openai()
        .first_replies([chat("warm"), close_before_head()])
        .replies(chat("hi"))
        .start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 0").start();
    let client = gateway.client();

    assert_eq!(client.chat("gpt", "a").text(), "warm");
    let reply = client.chat("gpt", "b");

    assert_eq!(reply.text(), "hi");
    assert_eq!(reply.number("x-litellm-attempted-retries"), 0);
    assert_eq!((upstream.request_count(), upstream.connections()), (3, 2));
}

#[test]
fn a_request_is_never_sent_more_than_twice_in_one_attempt() {
    let upstream = upstream::openai().replies(chat("warm").latency(millis(150))).start();
    let gateway =
        gateway::with(group("gpt").deployment(&upstream)).router("num_retries: 0").start();
    let warming: Vec<_> = (0..4)
        .map(|_| gateway.client())
        .map(|client| meanwhile(move || client.chat("gpt", "a").text()))
        .collect();
    assert!(warming.into_iter().all(|reply| reply.join().unwrap() == "warm"));
    assert_eq!(upstream.connections(), 4, "so many are kept");
    upstream.now_replies(close_before_head());

    let reply = gateway.client().chat("gpt", "b");

    assert_eq!((reply.status, reply.error_code().as_str()), (502, "upstream_connection_error"));
    assert_eq!((upstream.request_count(), upstream.connections()), (4 + 2, 4 + 1));
}

#[test]
fn a_request_that_timed_out_or_was_being_answered_is_not_sent_again() {
    let upstream =
        upstream::openai().first_replies([chat("warm")]).replies(never_answers()).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).with("timeout: 0.3")))
        .router("num_retries: 0")
        .start();
    assert_eq!(gateway.client().chat("gpt", "a").text(), "warm");
    assert_eq!(gateway.client().chat("gpt", "b").error_code(), "upstream_timeout");
    assert_eq!(upstream.request_count(), 2);

    for answer in ["HTTP/1.1 200 O", "HTTP/1.1 103 Early Hints\r\n\r\n"] {
        let (_listener, base) = breaks_off_with(answer);
        let gateway = gateway::with(group("gpt").deployment(Deployment::at("openai/m", &base)))
            .router("num_retries: 0")
            .start();
        assert_eq!(gateway.client().chat("gpt", "a").text(), "hello");
        let reply = gateway.client().chat("gpt", "b");
        assert_eq!(reply.error_code(), "upstream_connection_error", "{answer}: sent again");
    }
}

fn millis(count: u64) -> std::time::Duration {
    std::time::Duration::from_millis(count)
}

#[test]
fn what_is_wrong_with_a_conversation_is_told_by_its_path_before_any_call() {
    let upstream = upstream::anthropic().start();
    let gateway = gateway::with(group("claude").deployment(anthropic(&upstream))).start();
    let user = json!({"role": "user", "content": "hi"});

    for (field, value, param, code, message) in [
        (
            "messages",
            json!(["x"]),
            "messages[0]",
            "invalid_type",
            "Invalid type for 'messages[0]': expected an object, but got a string instead.",
        ),
        (
            "messages",
            json!([{"role": 1}]),
            "messages[0].role",
            "invalid_type",
            "Invalid type for 'messages[0].role': expected a string, but got an integer instead.",
        ),
        (
            "messages",
            json!([user, {"content": "hi"}]),
            "messages[1].role",
            "missing_required_parameter",
            "Missing required parameter: 'messages[1].role'.",
        ),
        (
            "messages",
            json!([{"role": "robot", "content": "hi"}]),
            "messages[0].role",
            "invalid_value",
            "Invalid value: 'robot'. Supported values are: 'system', 'developer', 'user', 'assistant' and 'tool'.",
        ),
        (
            "messages",
            json!([{"role": "user", "content": 5}]),
            "messages[0].content",
            "invalid_type",
            "Invalid type for 'messages[0].content': expected a string or an array of objects, but got an integer instead.",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "text", "text": 5}]}]),
            "messages[0].content[0].text",
            "invalid_type",
            "Invalid type for 'messages[0].content[0].text': expected a string, but got an integer instead.",
        ),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]),
            "messages[0].content[0].image_url.url",
            "missing_required_parameter",
            "Missing required parameter: 'messages[0].content[0].image_url.url'.",
        ),
        (
            "tools",
            json!({}),
            "tools",
            "invalid_type",
            "Invalid type for 'tools': expected an array, but got an object instead.",
        ),
        (
            "tools",
            json!([7]),
            "tools[0]",
            "invalid_type",
            "Invalid type for 'tools[0]': expected an object, but got an integer instead.",
        ),
        (
            "tools",
            json!([{"type": "function"}]),
            "tools[0].function",
            "missing_required_parameter",
            "Missing required parameter: 'tools[0].function'.",
        ),
        (
            "tools",
            json!([{"type": "function", "function": {"name": []}}]),
            "tools[0].function.name",
            "invalid_type",
            "Invalid type for 'tools[0].function.name': expected a string, but got an array instead.",
        ),
        (
            "tool_choice",
            json!(5),
            "tool_choice",
            "invalid_type",
            "Invalid type for 'tool_choice': expected an object, but got an integer instead.",
        ),
        (
            "stop",
            json!([null]),
            "stop[0]",
            "invalid_type",
            "Invalid type for 'stop[0]': expected a string, but got null instead.",
        ),
        (
            "response_format",
            json!("json"),
            "response_format",
            "invalid_type",
            "Invalid type for 'response_format': expected an object, but got a string instead.",
        ),
    ] {
        let ask = gateway.client().ask("claude", "hi").set(field, value.clone());
        let reply = ask.send();
        let error = reply.json()["error"].clone();
        assert_eq!(reply.status, 400, "{value}: {error}");
        assert_eq!(error["message"], message, "{value}");
        assert_eq!((&error["param"], &error["code"]), (&json!(param), &json!(code)), "{value}");
        assert_eq!(error["type"], "invalid_request_error", "{value}");
    }
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn what_the_gateway_itself_reads_has_to_be_of_its_type() {
    let upstream = upstream::openai().start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let ask = || gateway.client().ask("gpt", "hi");

    for (ask, param) in [
        (ask().set("num_retries", "many"), "num_retries"),
        (ask().set("num_retries", -1), "num_retries"),
        (ask().set("num_retries", 1.5), "num_retries"),
        (ask().header("x-litellm-num-retries", "many"), "x-litellm-num-retries"),
        (ask().header("x-litellm-timeout", "soon"), "timeout"),
        (ask().set("tags", "paid"), "tags"),
        (ask().set("tags", json!(["paid", 5])), "tags"),
        (ask().set("metadata", json!({"tags": [5]})), "metadata.tags"),
        (ask().set("fallbacks", json!([5])), "fallbacks"),
        (ask().set("context_window_fallbacks", "b"), "context_window_fallbacks"),
        (ask().set("content_policy_fallbacks", json!({"gpt": 5})), "content_policy_fallbacks"),
    ] {
        let reply = ask.send();
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["code"]), (400, &json!("invalid_type")), "{error}");
        assert_eq!(error["param"], param, "{error}");
    }
    assert_eq!(upstream.request_count(), 0);
    for ask in [
        ask()
            .set("num_retries", Value::Null)
            .set("tags", Value::Null)
            .set("fallbacks", Value::Null),
        ask().set("num_retries", 2).set("metadata", json!({"tags": "of the client"})),
    ] {
        assert_eq!(ask.send().status, 200);
    }
}
