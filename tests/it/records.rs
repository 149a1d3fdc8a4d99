//! What replies, the log and the metrics say of a request, and what they never say.

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use serde_json::{Value, json};

use crate::harness::*;

fn messages(prompt: &str) -> Value {
    json!([{"role": "user", "content": prompt}])
}

// --- Request ids and headers of replies ---

#[test]
fn a_request_keeps_the_name_that_the_client_gave_it() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    let client = gateway.client();
    let ask = |id: &str| client.ask("gpt", "hi").header("x-request-id", id).send();

    let long = "a".repeat(128);
    for id in ["req-1", "7f9c/2:x=%20", long.as_str()] {
        let reply = ask(id);
        assert_eq!((reply.request_id(), reply.header("x-litellm-call-id")), (id, id));
        assert_eq!(gateway.logged(id)["call_id"], id);
    }
    let by_call_id = client.ask("gpt", "hi").header("x-litellm-call-id", "call-9").send();
    assert_eq!(by_call_id.request_id(), "call-9");
    let longer = "a".repeat(129);
    for id in ["two words", "caf\u{e9}", "tab\there", longer.as_str(), ""] {
        let reply = ask(id);
        assert_eq!(reply.status, 200);
        assert_ne!(reply.request_id(), id);
        assert!(reply.request_id().len() >= 16, "a name of its own: {}", reply.request_id());
    }
    for (path, status) in [("/health", 200), ("/nothing", 404), ("/v1/chat/completions", 405)] {
        let reply = client.request(Method::GET, path).header("x-request-id", "mine").send();
        assert_eq!((reply.status, reply.request_id()), (status, "mine"));
    }
    let (one, other) = (client.chat("gpt", "hi"), client.chat("gpt", "hi"));
    assert_ne!(one.request_id(), other.request_id());
}

#[test]
fn replies_tell_what_is_known_of_the_request() {
    let busy = upstream::openai().replies(status(500)).start();
    let free = upstream::openai()
        .replies(
            chat("hello")
                .usage(1_000, 500)
                .header("x-ratelimit-remaining-requests", "59")
                .header("x-ratelimit-limit-tokens", "9000")
                .header("openai-organization", "org-secret")
                .header("set-cookie", "a=b")
                .header("x-request-id", "of-the-provider"),
        )
        .start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).order(1)).deployment(openai(&busy).order(2)),
    )
    .and(
        group("backup").deployment(
            openai(&free)
                .id("the-free-one")
                .info("input_cost_per_token: 0.00000001\noutput_cost_per_token: 0.00000002"),
        ),
    )
    .router("num_retries: 1\nfallbacks: [{gpt: [backup]}]")
    .start();

    let reply = gateway.client().chat("gpt", "hi");

    assert_eq!(reply.text(), "hello");
    assert_eq!(reply.header("x-litellm-model-id"), "the-free-one");
    assert_eq!(reply.header("x-litellm-model-group"), "backup");
    assert_eq!(reply.number("x-litellm-attempted-retries"), 1);
    assert_eq!(reply.number("x-litellm-attempted-fallbacks"), 1);
    assert_eq!(reply.header("x-litellm-response-cost"), "0.00002", "without an exponent");
    let number = |name: &str| reply.header(name).parse::<f64>().unwrap();
    let (overhead, whole) =
        (number("x-litellm-overhead-duration-ms"), number("x-litellm-response-duration-ms"));
    assert!(0.0 < overhead && overhead <= whole, "{overhead} of {whole}");
    assert_eq!(reply.header("x-ratelimit-remaining-requests"), "59");
    assert_eq!(reply.header("x-ratelimit-limit-tokens"), "9000");
    assert_ne!(reply.request_id(), "of-the-provider");
    for name in ["openai-organization", "set-cookie", "x-litellm-model-api-base", "server"] {
        assert_eq!(reply.header(name), "", "{name} is nobody's business");
    }

    let log = gateway.logged(reply.request_id());
    assert_eq!((&log["retries"], &log["fallbacks"]), (&json!(1), &json!(1)), "{log}");
    assert_eq!((&log["model"], &log["group"]), (&json!("gpt"), &json!("backup")), "{log}");
    let attempts = log["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|one| one["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["server", "server", "success"], "{log}");
    assert_eq!(attempts[0]["status"], 500);
}

#[test]
fn a_line_of_the_access_log_has_the_documented_fields() {
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&upstream).id("one")))
        .master_key("sk-right")
        .start();
    let body = json!({"model": "gpt", "messages": messages("hi"), "stream": true});
    let length = body.to_string().len();
    let asked = gateway.client().post("/v1/chat/completions").json(&body);
    let stream = asked.header("user-agent", "tests/1 \"quoted\"").stream();

    let log = gateway.logged(stream.request_id());
    for (field, value) in [
        ("call_id", json!(stream.request_id())),
        ("method", json!("POST")),
        ("path", json!("/v1/chat/completions")),
        ("route", json!("/v1/chat/completions")),
        ("status", json!(200)),
        ("client_ip", json!("127.0.0.1")),
        ("user_agent", json!("tests/1 \"quoted\"")),
        ("key", json!("master")),
        ("model", json!("gpt")),
        ("group", json!("gpt")),
        ("deployment", json!("one")),
        ("provider", json!("openai")),
        ("upstream_model", json!("gpt-4o-mini")),
        ("stream", json!(true)),
        ("retries", json!(0)),
        ("fallbacks", json!(0)),
        ("bytes_in", json!(length)),
        ("bytes_out", json!(stream.bytes.len())),
        ("client_disconnected", json!(false)),
    ] {
        assert_eq!(log[field], value, "{field} of {log}");
    }
    for field in ["total_ms", "upstream_ms", "overhead_ms", "ttft_ms"] {
        assert!(log[field].as_f64() >= Some(0.0), "{field} of {log}");
    }
    let time = log["time"].as_str().unwrap();
    assert!(time.ends_with('Z') && time.len() == 24, "{time}");
    assert!(log["error"].is_null() && log["attempts"].is_null(), "{log}");
}

#[test]
fn with_json_logs_every_line_is_json_also_warnings_of_the_configuration() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .litellm("json_logs: true\ntelemetry: false")
        .start();
    gateway.wait_for_message("`telemetry` has no effect");
    for line in gateway.messages().lines() {
        let told: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(told["level"].is_string(), "{line}");
    }
}

#[test]
fn the_access_log_can_be_turned_off_or_sent_to_a_file() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let silent =
        gateway::with(group("gpt").deployment(&upstream)).general("access_log: false").start();
    assert_eq!(silent.client().chat("gpt", "hi").status, 200);
    let filed = gateway::with(group("gpt").deployment(&upstream))
        .litellm("log_to_file: true\nlog_file_path: access.log")
        .start();
    let id = filed.client().chat("gpt", "hi").request_id().to_owned();
    let path = filed.folder().join("access.log");
    let has = |path: &std::path::Path, id: &str| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains(id))
    };
    eventually("the line is in the file", || has(&path, &id));

    // As logrotate does it.
    let rotated = filed.folder().join("access.log.1");
    std::fs::rename(&path, &rotated).unwrap();
    filed.signal("HUP");
    eventually("the file is opened anew", || path.exists());
    let later = filed.client().chat("gpt", "hi").request_id().to_owned();
    eventually("the line is in the new file", || has(&path, &later));
    assert!(!has(&rotated, &later));
    assert!(silent.access_log().is_empty() && filed.access_log().is_empty());
}

// --- Metrics ---

/// A page of metrics, understood.
#[derive(Default)]
struct Metrics {
    /// Type by family.
    families: BTreeMap<String, String>,
    /// Value by name and labels, as written.
    samples: BTreeMap<String, f64>,
    labels: BTreeSet<String>,
}

impl Metrics {
    /// Reads the page as Prometheus does, and refuses what it would refuse.
    #[track_caller]
    fn parse(page: &str) -> Self {
        let mut metrics = Self::default();
        let mut helped = BTreeSet::new();
        for line in page.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                assert!(helped.insert(help.split(' ').next().unwrap()), "twice: {line}");
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                assert!(helped.contains(name), "no help: {line}");
                metrics.families.insert(name.to_owned(), kind.to_owned());
            } else {
                metrics.sample(line);
            }
        }
        assert!(page.ends_with('\n'));
        metrics
    }

    #[track_caller]
    fn sample(&mut self, line: &str) {
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
        let name = series.split('{').next().unwrap();
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            (self.families.get(family)? == "histogram").then_some(family)
        });
        let family = family.unwrap_or(name);
        let kind = self.families.get(family).unwrap_or_else(|| panic!("no type: {line}"));
        assert_eq!(kind == "counter", family.ends_with("_total"), "{line}");
        if let Some(labels) = series.strip_prefix(name).filter(|labels| !labels.is_empty()) {
            let inner = labels.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
            let inner = inner.unwrap_or_else(|| panic!("no labels: {line}"));
            for label in inner.strip_suffix('"').unwrap_or(inner).split("\",") {
                let (name, value) = label.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
                assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{line}");
                self.labels.insert(format!("{name}={value}"));
            }
        }
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        assert!(self.samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
    }

    /// The sum over a family's samples whose labels contain all of these.
    fn sum(&self, family: &str, labels: &[&str]) -> f64 {
        let wanted = |series: &&String| {
            series.split('{').next() == Some(family) && labels.iter().all(|it| series.contains(it))
        };
        self.samples.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }
}

#[test]
fn metrics_count_what_happened() {
    let busy = upstream::openai()
        .replies(rate_limited().header("x-ratelimit-remaining-requests", "0"))
        .start();
    let free = upstream::openai().replies(chat("hello").usage(100, 50)).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).id("busy").order(1)).deployment(
            openai(&free)
                .id("free")
                .order(2)
                .info("input_cost_per_token: 0.01\noutput_cost_per_token: 0.02"),
        ),
    )
    .start();
    let client = gateway.client();

    for _ in 0..3 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    assert!(client.stream("gpt", "hi").ended_with_done);
    assert_eq!(client.chat("unknown", "hi").status, 404);
    assert_eq!(client.get("/nothing").status, 404);
    let metrics = eventually_some("everything is counted", || {
        let page = client.get("/metrics");
        assert_eq!(page.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let metrics = Metrics::parse(&page.body_text());
        let requests = metrics.sum("litellm_proxy_total_requests_metric_total", &[]);
        (requests >= 5.0).then_some(metrics)
    });

    for (family, labels, expected) in [
        ("litellm_proxy_total_requests_metric_total", &["status_code=\"200\""][..], 4.0),
        ("litellm_proxy_total_requests_metric_total", &["requested_model=\"gpt\""], 4.0),
        ("litellm_proxy_total_requests_metric_total", &["requested_model=\"other\""], 1.0),
        ("litellm_proxy_total_requests_metric_total", &["model_id=\"free\""], 4.0),
        ("litellm_proxy_failed_requests_metric_total", &["exception_status=\"404\""], 1.0),
        ("litellm_proxy_failed_requests_metric_total", &[], 1.0),
        ("litellm_request_total_latency_metric_count", &["model_id=\"free\""], 4.0),
        ("litellm_llm_api_time_to_first_token_metric_count", &[], 1.0),
        ("litellm_input_tokens_metric_total", &[], 400.0),
        ("litellm_output_tokens_metric_total", &[], 200.0),
        ("litellm_total_tokens_metric_total", &[], 600.0),
        ("litellm_spend_metric_total", &[], 8.0),
        ("litellm_deployment_success_responses_total", &["model_id=\"free\""], 4.0),
        ("litellm_deployment_failure_responses_total", &["model_id=\"busy\""], 1.0),
        ("litellm_deployment_failure_responses_total", &["exception_status=\"429\""], 1.0),
        ("litellm_deployment_cooled_down_total", &["model_id=\"busy\""], 1.0),
        ("litellm_deployment_state", &["model_id=\"busy\""], 2.0),
        ("litellm_deployment_state", &["model_id=\"free\""], 0.0),
        ("litellm_remaining_requests_metric", &["model_id=\"busy\""], 0.0),
        ("litellm_in_flight_requests", &[], 0.0),
        ("tollgate_open_streams", &[], 0.0),
        ("tollgate_attempts_total", &["outcome=\"success\""], 4.0),
        ("tollgate_attempts_total", &["outcome=\"rate_limited\""], 1.0),
        ("tollgate_other_requests_total", &["status_code=\"404\""], 1.0),
        ("tollgate_build_info", &[], 1.0),
    ] {
        assert_eq!(metrics.sum(family, labels), expected, "{family} {labels:?}");
    }
    assert!(metrics.sum("process_resident_memory_bytes", &[]) > 1e6);
    let buckets = metrics.sum("litellm_request_total_latency_metric_bucket", &["le=\"+Inf\""]);
    assert_eq!(buckets, 5.0, "the unknown model took its time, too");
}

#[test]
fn clients_cannot_write_labels() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream))
        .and(group("openai/*").deployment(openai(&upstream).model("openai/*")))
        .start();
    let client = gateway.client();
    let series = || Metrics::parse(&client.get("/metrics").body_text());

    for round in 0..30 {
        let canary = format!("canary-{round}");
        assert_eq!(client.chat(&canary, "hi").status, 404);
        assert_eq!(client.get(&format!("/v1/{canary}")).status, 404);
        assert_eq!(client.request(Method::DELETE, &format!("/{canary}")).send().status, 404);
        let ask = client.ask("gpt", &canary).header("user-agent", &canary);
        let ask = ask.header("x-request-id", &canary).header("x-litellm-tags", &canary);
        assert_eq!(ask.set("user", canary.as_str()).send().status, 200);
    }
    let metrics = series();
    let found = metrics.labels.iter().find(|label| label.contains("canary"));
    assert_eq!(found, None, "a label that a client chose");

    // Names behind a wildcard are counted by name, but not without end.
    upstream.now_replies(status(404));
    for round in 0..30 {
        client.chat(&format!("openai/no-such-{round}"), "hi");
    }
    let found = series().labels.into_iter().find(|label| label.contains("no-such"));
    assert_eq!(found, None, "only what a provider answered to has a name");
}

#[test]
fn metrics_ask_for_a_key_if_they_are_to() {
    let upstream = upstream::openai().start();
    for (option, stranger) in [("", 200), ("require_auth_for_metrics_endpoint: true", 401)] {
        let gateway = gateway::with(group("gpt").deployment(&upstream))
            .master_key("sk-right")
            .general(option)
            .start();
        assert_eq!(gateway.get("/metrics").status, 200, "{option}");
        assert_eq!(gateway.client().with_key(None).get("/metrics").status, stranger, "{option}");
    }
}

// --- What is never said ---

#[test]
fn secrets_and_prompts_are_never_printed() {
    let master = "sk-canary-of-the-master-8c1f";
    let provider = "sk-canary-of-the-provider-77aa";
    let extra = "canary-of-an-extra-header-31d0";
    let prompt = "canary-of-the-prompt-5e5e";
    let wrong = "sk-canary-of-a-wrong-key-0b0b";
    let echoing = format!(
        "{{\"error\":{{\"message\":\"Incorrect API key provided: {provider}\",\"type\":\
         \"invalid_request_error\",\"code\":\"invalid_api_key\"}}}}"
    );
    let upstream = upstream::openai()
        .first_replies([
            chat("fine"),
            status(401).body("application/json", echoing.clone()),
            status(403).body("application/json", echoing),
            status(500),
            garbage(),
            reset(),
            stream(["a", "b"]).cut_after(1),
        ])
        .replies(chat("fine"))
        .start();
    let refusing = upstream::openai().refuses_connections().start();
    let deployment = |upstream: &Upstream| {
        openai(upstream).key(provider).with(&format!("extra_headers: {{x-secret: {extra}}}"))
    };
    let mut gateway = gateway::with(group("gpt").deployment(deployment(&upstream)))
        .and(group("refusing").deployment(deployment(&refusing)))
        .master_key(master)
        .router("num_retries: 0\ndisable_cooldowns: true")
        .argument("--detailed_debug")
        .variable("RUST_LOG", "trace,h2=trace,pingora_core::protocols=trace")
        .start();
    let client = gateway.client();

    let mut said = String::new();
    for _ in 0..6 {
        said += &client.chat("gpt", prompt).body_text();
    }
    said += &String::from_utf8_lossy(&client.stream("gpt", prompt).bytes);
    said += &client.chat("refusing", prompt).body_text();
    said += &client.clone().with_key(Some(wrong)).chat("gpt", prompt).body_text();
    said += &client.clone().with_key(Some(wrong)).get("/v1/models").body_text();
    said += &client.get(&format!("/v1/models?api_key={wrong}")).body_text();
    said += &client
        .post("/v1/chat/completions")
        .bytes(format!("{{\"model\": \"{prompt}"))
        .send()
        .body_text();
    for page in ["/", "/health", "/metrics", "/v1/models"] {
        said += &client.get(page).body_text();
    }
    assert_eq!(upstream.last_request().key(), Some(provider), "the provider got its key");
    assert_eq!(upstream.last_request().header("x-secret"), Some(extra));
    gateway.signal("HUP");
    gateway.wait_for_message("reload");
    gateway.signal("TERM");
    assert_eq!(gateway.wait_for_end().code(), Some(0));

    for (what, text) in
        [("replies", said), ("messages", gateway.messages()), ("access log", gateway.output())]
    {
        for secret in [master, provider, extra, wrong, prompt] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{what}");
        }
    }
}
