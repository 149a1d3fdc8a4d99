//! `/metrics`, and what is under `deploy/prometheus` and `deploy/grafana`, with a real Prometheus.
//! Without one, these tests say so and prove nothing; `scripts/deploy` installs it first.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::boards;
use crate::harness::*;

fn is_there(program: &str) -> bool {
    let found = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        eprintln!("{program} is not installed: not tested (scripts/deploy installs it)");
    }
    found
}

/// A running Prometheus. It is ended when this is dropped.
struct Prometheus {
    child: Child,
    client: Client,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Prometheus {
    /// Prometheus with our configuration and rules, asking this gateway every fifth of a second.
    fn watching(gateway: &Gateway) -> Option<Self> {
        if !is_there("prometheus") {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let mut config = fs::read_to_string("deploy/prometheus/prometheus.yaml").unwrap();
        for (written, here) in [
            ("gateway-1:4000, gateway-2:4000", gateway.address().to_string()),
            ("scrape_interval: 15s", "scrape_interval: 200ms".into()),
            ("evaluation_interval: 15s", "evaluation_interval: 200ms".into()),
        ] {
            assert!(config.contains(written), "{written}");
            config = config.replacen(written, &here, 1);
        }
        fs::write(at("prometheus.yaml"), config).unwrap();
        fs::copy("deploy/prometheus/rules.yaml", at("rules.yaml")).unwrap();
        // Somebody else may take the port before it does; then another one is tried.
        for _ in 0..10 {
            let address: SocketAddr =
                TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let mut child = Command::new("prometheus")
                .arg(format!("--config.file={}", at("prometheus.yaml").display()))
                .arg(format!("--storage.tsdb.path={}", at("data").display()))
                .arg(format!("--web.listen-address={address}"))
                .args(["--log.level=error"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            let client = Client::new(&format!("http://{address}"), None);
            let serves = eventually_some("Prometheus is ready, or has ended", || {
                let ended = child.try_wait().unwrap().is_some();
                let ready = client.try_get("/-/ready").is_some_and(|reply| reply.status == 200);
                (ended || ready).then_some(!ended)
            });
            if serves {
                return Some(Self { child, client, _folder: folder });
            }
        }
        panic!("Prometheus found no port");
    }

    fn ask(&self, query: &str) -> Value {
        let encoded: String = query.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let reply = self.client.get(&format!("/api/v1/query?query={encoded}"));
        assert_eq!(reply.status, 200, "{query}: {}", reply.body_text());
        reply.json()["data"]["result"].clone()
    }
}

#[test]
fn prometheus_reads_the_page_the_rules_and_every_query_of_the_board() {
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let gateway = gateway::with(
        group("gpt").deployment(
            openai(&upstream)
                .id("one")
                .info("input_cost_per_token: 0.001\noutput_cost_per_token: 0.002"),
        ),
    )
    .start();
    let Some(prometheus) = Prometheus::watching(&gateway) else { return };
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    let targets = eventually_some("the gateway is scraped", || {
        let targets = prometheus.client.get("/api/v1/targets").json();
        let target = targets["data"]["activeTargets"][0].clone();
        (target["health"] == "up").then_some(target)
    });
    assert_eq!(targets["lastError"], "", "{targets}");
    let count = |query: &str| {
        prometheus.ask(query)[0]["value"][1].as_str().map(|value| value.parse::<f64>().unwrap())
    };
    eventually("the request is counted", || {
        count(r#"litellm_proxy_total_requests_metric_total{job="tollgate",requested_model="gpt"}"#)
            == Some(1.0)
    });
    assert_eq!(count("litellm_spend_metric_total"), Some(0.02));
    assert_eq!(count("litellm_request_total_latency_metric_count"), Some(1.0));

    let groups = eventually_some("every rule is evaluated", || {
        let rules = prometheus.client.get("/api/v1/rules").json();
        let groups = rules["data"]["groups"].as_array().unwrap().clone();
        let mut all = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
        all.all(|rule| rule["health"] != "unknown").then_some(groups)
    });
    let rules: Vec<_> =
        groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
    assert!(rules.len() > 20, "{rules:?}");
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
    }
    for query in boards::queries_of_the_board() {
        prometheus.ask(&query);
    }
}

#[test]
fn an_alert_fires_when_all_deployments_of_a_group_rest() {
    let busy = upstream::openai().replies(status(429).retry_after(600)).start();
    let gateway =
        gateway::with(group("gpt").deployment(&busy).deployment(openai(&busy).model("openai/b")))
            .router("num_retries: 0\nallowed_fails: 0\nmax_retry_after: 600")
            .start();
    let Some(prometheus) = Prometheus::watching(&gateway) else { return };
    eventually("both deployments rest", || {
        gateway.client().chat("gpt", "hi");
        gateway.cooling("gpt") == 2
    });
    eventually("the alert is pending", || {
        let alerts = prometheus.client.get("/api/v1/alerts").json();
        let alerts = alerts["data"]["alerts"].as_array().unwrap();
        alerts.iter().any(|alert| {
            alert["labels"]["alertname"] == "TollgateAllCooling"
                && alert["labels"]["model_group"] == "gpt"
        })
    });
    let left = prometheus.ask("tollgate_deployment_cooldown_seconds");
    let left: f64 = left[0]["value"][1].as_str().unwrap().parse().unwrap();
    assert!((500.0..=600.0).contains(&left), "{left}");
}

#[test]
fn promtool_finds_no_fault_with_the_page() {
    if !is_there("promtool") {
        return;
    }
    let upstream = upstream::openai().replies(chat("hello").usage(10, 5)).start();
    let gateway = gateway::with(group("gpt").deployment(&upstream)).start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    let page = gateway.get("/metrics").body_text();
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let checked = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(said.trim(), "", "{said}");
    assert!(checked.status.success(), "{checked:?}");
}

#[test]
fn budgets_are_shown_of_those_who_have_called() {
    let upstream = upstream::openai().replies(chat("hello").usage(0, 10)).start();
    let gateway = gateway::with(group("gpt").deployment(
        openai(&upstream).info("input_cost_per_token: 0\noutput_cost_per_token: 0.01"),
    ))
    .master_key("sk-right")
    .start();
    let made = gateway.client().post("/key/generate").json(&json!({
        "key_alias": "mine", "max_budget": 0.5, "budget_duration": "24h",
    }));
    let made = made.send().json();
    let key = made["key"].as_str().unwrap();
    let page = || gateway.get("/metrics").body_text();
    assert!(!page().contains("litellm_remaining_api_key_budget_metric"), "nobody has called");
    let asked = gateway.client().with_key(Some(key)).chat("gpt", "hi");
    assert_eq!(asked.status, 200, "{asked:?}");
    let value = |name: &str| {
        let page = page();
        let line = page.lines().find(|line| line.starts_with(&format!("{name}{{")))?.to_owned();
        assert!(line.contains("api_key_alias=\"mine\""), "{line}");
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    eventually("what was spent is shown", || {
        value("litellm_remaining_api_key_budget_metric")
            .is_some_and(|left| (left - 0.4).abs() < 1e-9)
    });
    assert_eq!(value("litellm_api_key_max_budget_metric"), Some(0.5));
    let hours = value("litellm_api_key_budget_remaining_hours_metric").unwrap();
    assert!((0.0..=24.0).contains(&hours), "{hours}");
}

#[test]
fn the_configuration_adds_labels_from_metadata_and_tags() {
    let provider = upstream::openai().replies(chat("hello").usage(5, 7)).start();
    let labels = "custom_prometheus_metadata_labels: [metadata.project, metadata.cost.center]\n\
                  custom_prometheus_tags: [prod, 'batch-*']";
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
        .master_key("sk-master-of-the-tests")
        .litellm(labels)
        .start();
    let admin = gateway.client();
    let key = json!({"metadata": {"cost": {"center": 42}}});
    let key = admin.post("/key/generate").json(&key).send().json()["key"].clone();
    let client = gateway.client().with_key(key.as_str());
    let metadata = json!({"project": "atlas", "cost": {"center": "mine"}, "tags": ["batch-7"]});
    assert_eq!(client.ask("gpt", "hi").set("metadata", metadata).send().status, 200);
    assert_eq!(client.chat("gpt", "hi").status, 200);

    let page = gateway.get("/metrics").body_text();
    let with = |name: &str, label: &str| -> f64 {
        let line = page.lines().filter(|line| line.starts_with(name));
        let found: Vec<_> = line.filter(|line| line.contains(label)).collect();
        assert_eq!(found.len(), 1, "{name} {label}: {page}");
        found[0].rsplit(' ').next().unwrap().parse().unwrap()
    };
    for (name, value) in [
        ("litellm_requests_metric_total", 1.0),
        ("litellm_proxy_total_requests_metric_total", 1.0),
        ("litellm_input_tokens_metric_total", 5.0),
        ("litellm_total_tokens_metric_total", 12.0),
    ] {
        assert_eq!(with(name, "metadata_project=\"atlas\""), value);
        assert_eq!(with(name, "tag_batch__=\"true\""), value);
        assert_eq!(with(name, "tag_batch__=\"false\""), value);
    }
    let line = page.lines().find(|line| line.contains("metadata_project=\"atlas\"")).unwrap();
    assert!(line.contains("metadata_cost_center=\"42\""), "a key's own goes first: {line}");
    assert!(line.contains("tag_prod=\"false\""), "{line}");
    assert!(!page.contains("tollgate_custom"), "{page}");
}
