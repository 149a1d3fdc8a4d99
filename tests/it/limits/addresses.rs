//! One deployment on several servers.

use super::*;
use crate::harness::gateway::Builder;

/// A deployment on these addresses, each written as YAML.
fn fleet(addresses: &[String], more: &str) -> Builder {
    let yaml: String = addresses.iter().map(|address| format!("        - {address}\n")).collect();
    gateway::empty().top(&format!(
        "model_list:\n  - model_name: gpt\n    litellm_params:\n      model: openai/llama\n      \
         api_key: k\n      api_base:\n{yaml}      {more}"
    ))
}

fn weighted(provider: &Upstream, weight: u32) -> String {
    format!("{{url: '{}', weight: {weight}}}", provider.api_base())
}

/// An address at which nobody listens.
fn nobody() -> Upstream {
    upstream::openai().refuses_connections().start()
}

#[test]
fn servers_get_requests_by_their_weight_and_by_their_own_name() {
    let [one, two] = ["one", "two"].map(named);
    let gateway = fleet(&[weighted(&one, 1), weighted(&two, 3)], "").start();
    let client = gateway.client();
    for _ in 0..40 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    assert_eq!([calls(&one), calls(&two)], [10, 30]);
    for provider in [&one, &two] {
        let host = provider.requests()[0].header("host").unwrap().to_owned();
        assert_eq!(host, provider.address().to_string());
    }
}

#[test]
fn a_server_that_refuses_costs_no_request() {
    let (dead, alive) = (nobody(), named("alive"));
    let gateway = fleet(&[dead.api_base(), alive.api_base()], "").start();
    for _ in 0..20 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "alive");
    }
    assert_eq!(gateway.health_of("gpt")["healthy"], 1, "the deployment itself is well");
}

#[test]
fn the_deployment_fails_when_all_its_servers_do() {
    let (dead, other) = (nobody(), nobody());
    let gateway = fleet(&[dead.api_base(), other.api_base()], "").router("num_retries: 0").start();
    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!((reply.status, reply.error_code().as_str()), (502, "upstream_connection_error"));
}

#[test]
fn requests_that_begin_alike_go_to_the_same_server() {
    let servers = ["one", "two", "three"].map(named);
    let addresses: Vec<_> = servers.iter().map(Upstream::api_base).collect();
    let gateway = fleet(&addresses, "load_balancing: consistent_hash").start();
    let client = gateway.client();
    let mut homes = std::collections::HashSet::new();
    for topic in 0..30 {
        // More than what is looked at, so that the ends do not matter.
        let prompt = format!("Topic {topic}. {}", "The same instructions. ".repeat(60));
        let home = client.chat("gpt", &prompt).text();
        for turn in 0..4 {
            assert_eq!(client.chat("gpt", &format!("{prompt} Turn {turn}")).text(), home);
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 3, "all of them are used");
}

#[test]
fn the_least_busy_server_is_next() {
    let (slow, quick) = (upstream::openai().replies(never_answers()).start(), named("quick"));
    let gateway =
        fleet(&[slow.api_base(), quick.api_base()], "load_balancing: least_connections").start();
    let mut waiting = raw::connect(&gateway);
    let body = br#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}"#;
    waiting.send(raw::post("/v1/chat/completions", body));
    assert!(slow.wait_for_requests(1, patience()));
    for _ in 0..10 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "quick");
    }
}
