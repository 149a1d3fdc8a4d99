//! `deploy/nginx/tollgate.conf` with a real nginx. Without one, these tests say so and prove nothing;
//! `scripts/deploy` installs it first.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::harness::http2::Http2;
use crate::harness::*;

const PATH: &str = "/v1/chat/completions";

/// A running nginx. It is ended when this is dropped.
struct Nginx {
    child: Child,
    address: SocketAddr,
    authority: Authority,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // QUIT would wait for connections.
        drop(Command::new("kill").args(["-s", "TERM", &self.child.id().to_string()]).status());
        drop(self.child.wait());
    }
}

fn program() -> Option<String> {
    let found = ["nginx", "/usr/sbin/nginx"]
        .into_iter()
        .find(|program| Command::new(program).arg("-v").stderr(Stdio::null()).status().is_ok());
    if found.is_none() {
        eprintln!("nginx is not installed: not tested (scripts/deploy installs it)");
    }
    found.map(str::to_owned)
}

impl Nginx {
    /// nginx with our configuration, in front of these gateways.
    fn before(gateways: &[SocketAddr]) -> Option<Self> {
        let program = program()?;
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::new();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let certified = authority.certify("localhost");
        fs::write(at("cert.pem"), &certified.certificate).unwrap();
        fs::write(at("key.pem"), &certified.key).unwrap();
        let ours = fs::read_to_string("deploy/nginx/tollgate.conf").unwrap();
        // Somebody else may take the port before nginx does; then another one is tried.
        for _ in 0..10 {
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let server = "server 127.0.0.1:4000 max_fails=2 fail_timeout=5s;";
            let servers: String = gateways
                .iter()
                .map(|gateway| format!("server {gateway} max_fails=2 fail_timeout=5s;\n"))
                .collect();
            let mut site = ours.clone();
            for (written, here) in [
                (server, servers.as_str()),
                ("listen 443 ssl http2;", &format!("listen {port} ssl http2;")),
                ("listen [::]:443 ssl http2;", ""),
                ("/etc/tollgate/cert.pem", &at("cert.pem")),
                ("/etc/tollgate/key.pem", &at("key.pem")),
            ] {
                assert!(site.contains(written), "{written}");
                site = site.replacen(written, here, 1);
            }
            fs::write(at("site.conf"), &site).unwrap();
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|kind| format!("{kind}_temp_path {};\n", at(kind)))
                .concat();
            fs::write(
                at("nginx.conf"),
                format!(
                    "daemon off;\nmaster_process off;\npid {};\nerror_log stderr warn;\n\
                     events {{}}\nhttp {{\naccess_log off;\n{temporary}include {};\n}}\n",
                    at("pid"),
                    at("site.conf")
                ),
            )
            .unwrap();
            let nginx = |test: bool| {
                let mut command = Command::new(&program);
                command.args(["-c", &at("nginx.conf"), "-e", "stderr", "-p"]).arg(folder.path());
                command.args(test.then_some("-t"));
                command
            };
            let checked = nginx(true).output().unwrap();
            let said = String::from_utf8_lossy(&checked.stderr).into_owned();
            assert!(checked.status.success() && !said.contains("[warn]"), "{said}");
            let mut child = nginx(false).stderr(Stdio::null()).spawn().unwrap();
            let serves = eventually_some("nginx listens, or has ended", || {
                let ended = child.try_wait().unwrap().is_some();
                let listens = std::net::TcpStream::connect(port).is_ok();
                (ended || listens).then_some(!ended)
            });
            if serves {
                return Some(Self { child, address: port, authority, _folder: folder });
            }
        }
        panic!("nginx found no port");
    }

    fn client(&self) -> Http2 {
        Http2::connect_tls_to(self.address, &self.authority.der())
    }
}

fn request(stream: bool) -> Vec<u8> {
    json!({"model": "gpt", "stream": stream, "messages": []}).to_string().into_bytes()
}

fn trusting(upstream: &Upstream) -> Gateway {
    gateway::with(group("gpt").deployment(upstream))
        .general("use_x_forwarded_for: true\ntrusted_proxy_ranges: [127.0.0.1]")
        .start()
}

#[test]
fn frames_pass_at_once_and_the_clients_address_is_known() {
    let upstream = upstream::openai()
        .when(|request| request.json()["stream"] == true, {
            stream(["one ", "two ", "three"]).stall_after(1)
        })
        .replies(chat("hello"))
        .start();
    let gateway = trusting(&upstream);
    let Some(nginx) = Nginx::before(&[gateway.address()]) else { return };
    let client = nginx.client();
    let forged = [("x-forwarded-for", "203.0.113.66")];
    let reply = client.begin(PATH, &forged).finish(&request(false)).reply();
    assert_eq!((reply.status, reply.text().as_str()), (200, "hello"));
    let line = gateway.logged(reply.request_id());
    assert_eq!(line["client_ip"], "127.0.0.1", "what the client says of itself does not count");

    // The provider says no more than this, until it is told to: nothing has held it back.
    let mut open = client.begin(PATH, &[]).finish(&request(true)).head();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("one ") {
        seen.extend(open.next_part().expect("the stream is open"));
    }
    upstream.release();
    assert!(open.read().body_text().ends_with("data: [DONE]\n\n"));

    // As large as the gateway itself takes.
    let large =
        json!({"model": "gpt", "messages": [{"role": "user", "content": "x".repeat(3 << 20)}]});
    assert_eq!(client.post(PATH, large.to_string().as_bytes()).status, 200);
}

#[test]
fn connections_are_kept_and_a_gateway_that_is_gone_is_passed_over() {
    let upstream = upstream::openai().replies(chat("hello")).forgetful().start();
    let (first, second) = (trusting(&upstream), trusting(&upstream));
    let Some(nginx) = Nginx::before(&[first.address(), second.address()]) else { return };
    let client = nginx.client();
    let accepted = |gateway: &Gateway| {
        let page = gateway.get("/metrics").body_text();
        let line = page.lines().find(|line| line.starts_with("tollgate_connections_total "));
        line.and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok()).unwrap()
    };
    let before = accepted(&first) + accepted(&second);
    for _ in 0..40 {
        assert_eq!(client.post(PATH, &request(false)).status, 200);
    }
    // Each look at the metrics is a connection, too.
    let new = accepted(&first) + accepted(&second) - before;
    assert!(new <= 2 + 2 * 2, "{new} connections for 40 requests");

    drop(first);
    for _ in 0..10 {
        assert_eq!(client.post(PATH, &request(false)).status, 200);
    }
}

#[test]
fn health_is_for_everybody_and_pages_of_operators_are_not() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = trusting(&upstream);
    let Some(nginx) = Nginx::before(&[gateway.address()]) else { return };
    let client = nginx.client();
    assert_eq!(client.get("/health/readiness").status, 200);
    assert_eq!(client.get("/v1/models").status, 200);
    for path in ["/metrics", "/metrics/", "/config/reload"] {
        assert_eq!(client.get(path).status, 404, "{path}");
    }
}
