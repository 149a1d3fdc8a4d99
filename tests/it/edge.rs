//! Where clients come in: listeners, certificates, proxies in front, bounds, overload.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::json;

use crate::harness::gateway::Builder;
use crate::harness::http2::Http2;
use crate::harness::load::{Asking, Load};
use crate::harness::raw::{self, Connection};
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

fn simple(upstream: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(upstream))
}

fn hello() -> Upstream {
    upstream::openai().replies(chat("hello")).start()
}

fn body() -> Vec<u8> {
    json!({"model": "gpt", "messages": []}).to_string().into_bytes()
}

// --- Listeners ---

/// All addresses at which the gateway says that it listens.
fn addresses(gateway: &Gateway, count: usize) -> Vec<String> {
    eventually_some("all addresses", || {
        let said = gateway.messages();
        let found: Vec<_> = said
            .lines()
            .filter(|line| line.contains("listening"))
            .filter_map(|line| Some(line.split_once("address=")?.1.trim().to_owned()))
            .collect();
        (found.len() == count).then_some(found)
    })
}

/// What a Unix socket answers to a request without a body.
fn ask_unix(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(patience())).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn every_listener_serves_what_it_is_for() {
    let upstream = hello();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("gateway.sock");
    let gateway = simple(&upstream)
        .general(&format!(
            "listen:\n- 127.0.0.1:0\n- 127.0.0.2:0 admin\n- unix:{} mode=0600",
            socket.display()
        ))
        .start_as_configured();
    let found = addresses(&gateway, 3);
    let operators = Client::new(&format!("http://{}", found[1]), None);
    let clients = gateway.client();

    assert_eq!(clients.chat("gpt", "hi").text(), "hello");
    for path in ["/v1/models", "/health/readiness", "/health/liveliness"] {
        assert_eq!(clients.get(path).status, 200, "{path}");
        assert_eq!(operators.get(path).status, 200, "{path}");
    }
    for path in ["/metrics", "/health", "/"] {
        let hidden = clients.get(path);
        assert_eq!((hidden.status, hidden.error_code()), (404, "unknown_route".to_owned()));
        assert!(!hidden.request_id().is_empty());
        assert_eq!(operators.get(path).status, 200, "{path}");
    }
    assert_eq!(clients.post("/config/reload").send().status, 404);
    assert_eq!(operators.post("/config/reload").send().status, 200);
    assert_eq!(operators.chat("gpt", "hi").status, 404, "no inference");
    assert_eq!(upstream.request_count(), 1);

    let request = "GET /v1/models HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    assert!(ask_unix(&socket, request).starts_with("HTTP/1.1 200"));
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let line = eventually_some("its line", || {
        gateway.access_log().into_iter().rev().find(|line| line["path"] == "/v1/models")
    });
    assert!(line["client_ip"].is_null() || line["client_ip"].is_string());
}

#[test]
fn the_command_line_outranks_the_file_and_unix_sockets_are_passed_on() {
    let upstream = hello();
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let mut gateway = simple(&upstream)
        .general(&format!("listen: ['unix:{}']", first.display()))
        .argument("--listen")
        .argument("127.0.0.1:0")
        .argument("--listen")
        .argument(&format!("unix:{}", second.display()))
        .start();
    assert!(!first.exists());
    let request = "GET /health HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
    assert!(ask_unix(&second, request).starts_with("HTTP/1.1 200"));

    gateway.signal("USR2");
    let said = gateway.wait_for_message("the new process serves");
    let pid = said.rsplit("pid=").next().unwrap().trim().to_owned();
    assert_eq!(gateway.wait_for_end().code(), Some(0));
    assert!(ask_unix(&second, request).starts_with("HTTP/1.1 200"), "the successor answers");
    let ended = std::process::Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(ended.unwrap().success());
    eventually("it takes its socket away", || !second.exists());
}

#[test]
fn without_a_key_an_open_address_is_not_listened_on() {
    let upstream = hello();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config.yaml");
    fs::write(&config, simple(&upstream).general("listen: ['0.0.0.0:0']").yaml()).unwrap();
    let mut command = std::process::Command::new(gateway::TOLLGATE);
    let output = command.arg("--config").arg(&config).env_clear().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("without a master key"));
}

// --- Certificates ---

/// Whether a new connection is shown a certificate of this authority.
fn is_certified_by(address: SocketAddr, authority: &Authority) -> bool {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der())).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let mut session = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(address).unwrap();
    while session.is_handshaking() {
        if session.complete_io(&mut socket).is_err() {
            return false;
        }
    }
    true
}

fn install(gateway: &Gateway, certified: &Certified) {
    fs::write(gateway.folder().join("cert.pem"), &certified.certificate).unwrap();
    fs::write(gateway.folder().join("key.pem"), &certified.key).unwrap();
}

#[test]
fn a_certificate_is_replaced_without_a_restart() {
    let upstream = upstream::openai().replies(stream(["one ", "two"]).stall_after(1)).start();
    let (old, new) = (Authority::new(), Authority::new());
    let gateway = simple(&upstream).certified_by(&old).start();
    assert!(is_certified_by(gateway.address(), &old));
    let client = Http2::connect_tls(&gateway, &old.der());
    let asked = json!({"model": "gpt", "stream": true, "messages": []}).to_string();
    let mut open = client.begin(PATH, &[]).finish(asked.as_bytes()).head();
    assert!(open.next_part().is_some());

    // A key that does not belong to the certificate is refused, and nothing is changed.
    let next = new.certify("localhost");
    fs::write(gateway.folder().join("cert.pem"), &next.certificate).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_message("reload refused");
    assert!(is_certified_by(gateway.address(), &old));

    install(&gateway, &next);
    gateway.signal("HUP");
    gateway.wait_for_message("certificate_changed=true");
    assert!(is_certified_by(gateway.address(), &new));
    assert!(!is_certified_by(gateway.address(), &old));
    upstream.release();
    assert!(open.read().body_text().ends_with("data: [DONE]\n\n"), "it goes on");
}

#[test]
fn a_changed_certificate_file_is_noticed() {
    let upstream = hello();
    let (old, new) = (Authority::new(), Authority::new());
    let gateway = simple(&upstream).certified_by(&old).general("reload_on_change: true").start();
    install(&gateway, &new.certify("localhost"));
    eventually("the new one is shown", || is_certified_by(gateway.address(), &new));
}

#[test]
fn tls_that_begins_or_ends_needs_a_restart() {
    let upstream = hello();
    let authority = Authority::new();
    let gateway = simple(&upstream).certified_by(&authority).start();
    fs::write(gateway.config_path(), simple(&upstream).yaml()).unwrap();
    gateway.signal("HUP");
    gateway.wait_for_message("no certificate is named");
    assert!(is_certified_by(gateway.address(), &authority));

    let plain = simple(&upstream).start();
    install(&plain, &authority.certify("localhost"));
    let with = "ssl_certfile_path: cert.pem\nssl_keyfile_path: key.pem";
    fs::write(plain.config_path(), simple(&upstream).general(with).yaml()).unwrap();
    let reply = plain.client().post("/config/reload").send();
    assert_eq!(
        reply.json()["changes"]["needs_restart"],
        json!(["general_settings.ssl_certfile_path", "general_settings.ssl_keyfile_path"])
    );
}

// --- Proxies in front ---

/// The address of the client of the last request, by the access log.
fn logged_client(gateway: &Gateway, reply: &Reply) -> String {
    gateway.logged(reply.request_id())["client_ip"].as_str().unwrap_or("-").to_owned()
}

#[test]
fn the_proxy_protocol_names_the_client() {
    let upstream = hello();
    let authority = Authority::new();
    let proxied = |builder: Builder| {
        builder.argument("--listen").argument("127.0.0.1:0 proxy_protocol").start()
    };
    let gateway = proxied(simple(&upstream));
    let text = b"PROXY TCP4 203.0.113.7 10.0.0.1 4711 443\r\n".to_vec();
    let mut binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24".to_vec();
    binary.extend("2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
    binary.extend([0; 16]);
    binary.extend([0x12, 0x67, 1, 187]);
    for (header, client) in [(&text, "203.0.113.7"), (&binary, "2001:db8::7")] {
        let mut connection = raw::connect(&gateway);
        // In pieces, and with the request right behind it.
        connection.send(&header[..9]);
        connection.send(&header[9..]);
        for _ in 0..2 {
            connection.send(raw::post(PATH, &body()));
            let reply = connection.read_reply();
            assert_eq!(reply.status, 200, "{}", reply.body_text());
            assert_eq!(logged_client(&gateway, &reply), client);
        }
    }
    let mut stranger = raw::connect(&gateway);
    stranger.send(raw::post(PATH, &body()));
    assert!(stranger.is_closed());

    let gateway = proxied(simple(&upstream).certified_by(&authority));
    let client = Http2::connect_tls_after(&gateway, &authority.der(), &text);
    let reply = client.post(PATH, &body());
    assert_eq!(logged_client(&gateway, &reply), "203.0.113.7");

    let gateway = proxied(simple(&upstream).general("trusted_proxy_ranges: [10.0.0.0/8]"));
    let mut stranger = raw::connect(&gateway);
    stranger.send([&text[..], &raw::post(PATH, &body())].concat());
    assert!(stranger.is_closed(), "nobody else may say who a client is");
}

#[test]
fn forwarded_addresses_are_believed_where_that_is_configured() {
    let upstream = hello();
    let forwarded = |gateway: &Gateway| {
        let ask = gateway.client().ask("gpt", "hi");
        let reply = ask.header("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.1.2.3").send();
        logged_client(gateway, &reply)
    };
    let setting = |yaml: &str| simple(&upstream).general(yaml).start();
    assert_eq!(forwarded(&simple(&upstream).start()), "127.0.0.1");
    let ours = "use_x_forwarded_for: true\ntrusted_proxy_ranges: [127.0.0.1, 10.0.0.0/8]";
    assert_eq!(forwarded(&setting(ours)), "203.0.113.7");
    assert_eq!(forwarded(&setting("use_x_forwarded_for: true")), "10.1.2.3");
    let others = "use_x_forwarded_for: true\ntrusted_proxy_ranges: [10.0.0.0/8]";
    assert_eq!(forwarded(&setting(others)), "127.0.0.1");
}

// --- Bounds ---

#[test]
fn a_stream_may_be_longer_than_the_time_for_a_head() {
    let upstream = upstream::openai()
        .replies(
            stream(["one ", "two ", "three"]).each_frame_alone().gap(Duration::from_millis(300)),
        )
        .start();
    let limits = "client_header_timeout: 0.2\nkeepalive_timeout: 0.2";
    let gateway = simple(&upstream).general(limits).start();
    let stream = gateway.client().stream("gpt", "hi");
    assert_eq!((stream.text().as_str(), stream.cut), ("one two three", false));
    let http2 = Http2::connect(&gateway);
    let asked = json!({"model": "gpt", "stream": true, "messages": []}).to_string();
    let reply = http2.post(PATH, asked.as_bytes());
    assert!(reply.body_text().ends_with("data: [DONE]\n\n"));
}

#[test]
fn idle_connections_are_closed_after_their_time() {
    let upstream = hello();
    let gateway = simple(&upstream).general("keepalive_timeout: 1").start();
    let mut idle = raw::connect(&gateway);
    idle.send("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n");
    assert_eq!(idle.read_reply().status, 200);
    let began = Instant::now();
    assert!(idle.is_closed());
    let waited = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&waited), "{waited:?}");
}

#[test]
fn a_client_has_only_so_many_connections() {
    let upstream = hello();
    let gateway = simple(&upstream).general("max_connections_per_client: 3").start();
    let answered = |connection: &mut Connection| {
        connection.send("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n");
        connection.read_reply().status == 200
    };
    // Those that knocked at the start are gone.
    let mut open: Vec<_> = (0..3)
        .map(|_| {
            eventually_some("a place", || {
                let mut connection = raw::connect(&gateway);
                connection.try_send("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").ok()?;
                (!connection.is_closed()).then_some(connection)
            })
        })
        .collect();
    for connection in &mut open {
        assert_eq!(connection.read_reply().status, 200);
    }
    assert!(raw::connect(&gateway).is_closed(), "that is one too many");
    assert!(answered(&mut open[0]), "the others do not suffer");
    open[0].send("GET /metrics HTTP/1.1\r\nhost: gateway\r\n\r\n");
    let page = open[0].read_reply().body_text();
    assert!(!page.contains("\ntollgate_refused_connections_total 0\n"), "{page}");
    assert!(page.contains("\ntollgate_open_connections 3\n"), "{page}");
    drop(open.pop());
    eventually("there is room again", || {
        let mut next = raw::connect(&gateway);
        next.try_send("GET /health HTTP/1.1\r\nhost: gateway\r\n\r\n").is_ok() && !next.is_closed()
    });
}

// --- Overload ---

#[test]
fn beyond_the_bound_requests_wait_and_are_then_sent_away() {
    let upstream = upstream::openai().replies(chat("hello").stall_after(1)).start();
    let gateway = simple(&upstream)
        .general(
            "max_in_flight_requests_per_worker: 1\nmax_queued_requests_per_worker: 1\n\
             admission_queue_timeout_seconds: 60",
        )
        .start();
    let ask = || {
        let client = gateway.client();
        meanwhile(move || client.chat("gpt", "hi"))
    };
    let first = ask();
    assert!(upstream.wait_for_stall(patience()), "one is being served");
    let second = ask();
    eventually("the second waits", || {
        gateway.get("/metrics").body_text().contains("\ntollgate_queued_requests 1\n")
    });
    let refused = gateway.client().chat("gpt", "hi");
    assert_eq!((refused.status, refused.error_code().as_str()), (503, "gateway_overloaded"));
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(upstream.request_count(), 1, "those who wait are not passed on");
    assert_eq!(gateway.get("/health").status, 200, "pages are not inference");
    upstream.release();
    assert!(upstream.wait_for_stall(patience()), "the second got its turn");
    upstream.release();
    assert_eq!(first.join().unwrap().text(), "hello");
    assert_eq!(second.join().unwrap().text(), "hello");
}

#[test]
fn who_waits_too_long_is_sent_away() {
    let upstream = upstream::openai().replies(chat("hello").stall_after(1)).start();
    let gateway = simple(&upstream)
        .general("max_in_flight_requests_per_worker: 1\nadmission_queue_timeout_seconds: 0.2")
        .start();
    let client = gateway.client();
    let first = meanwhile(move || client.chat("gpt", "hi"));
    assert!(upstream.wait_for_stall(patience()));
    let began = Instant::now();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 503);
    assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
    upstream.release();
    assert_eq!(first.join().unwrap().text(), "hello");
}

#[test]
fn within_the_bound_nobody_is_sent_away() {
    let upstream = upstream::openai().replies(chat("hello")).forgetful().start();
    let gateway = simple(&upstream)
        .general("max_in_flight_requests_per_worker: 2\nadmission_queue_timeout_seconds: 60")
        .start();
    let load = Load::start(&gateway.client(), "gpt", "hello", &[Asking::Json; 6]);
    load.goes_on(300);
    load.stop();
}

#[test]
fn requests_on_one_connection_are_bounded_as_written() {
    for (written, streams) in [("", 100), ("http2_max_concurrent_streams: 250", 250)] {
        let upstream = upstream::openai().replies(chat("hello")).start();
        let gateway = simple(&upstream).general(written).start();
        let client = Http2::connect(&gateway);
        assert_eq!(client.get("/health").status, 200);
        assert_eq!(client.streams(), streams, "{written}");
    }
}
