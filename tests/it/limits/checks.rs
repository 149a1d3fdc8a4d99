//! Health checks, by address and by call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

const OFTEN: &str = "health_check_interval: 0.2";

/// A provider whose health page fails while the switch is on; inference always works.
fn with_page(name: &str, is_sick: &Arc<AtomicBool>) -> Upstream {
    let is_sick = Arc::clone(is_sick);
    let fails =
        move |request: &Recorded| request.path == "/health" && is_sick.load(Ordering::SeqCst);
    upstream::openai().when(fails, status(503)).replies(chat(name)).start()
}

fn failed_checks(gateway: &Gateway) -> serde_json::Value {
    gateway.health_of("gpt")["failed_checks"].clone()
}

#[test]
fn a_server_whose_page_fails_is_taken_out_and_comes_back() {
    let (sick, well) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let (one, two) = (with_page("one", &sick), with_page("two", &well));
    let gateway = gateway::empty()
        .top(&format!(
            "model_list:\n  - model_name: gpt\n    litellm_params:\n      model: openai/llama\n      \
             api_key: k\n      api_base: ['{}', '{}']\n    model_info: {{health_check_path: /health}}",
            one.api_base(),
            two.api_base()
        ))
        .general(OFTEN)
        .start();
    let client = gateway.client();
    let names = || {
        let mut names: Vec<_> = (0..6).map(|_| client.chat("gpt", "hi").text()).collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(names(), ["one", "two"]);
    sick.store(true, Ordering::SeqCst);
    eventually("the sick server is out", || names() == ["two"]);
    assert_eq!(failed_checks(&gateway), 0, "the deployment has a server that is well");
    sick.store(false, Ordering::SeqCst);
    eventually("it is back", || names() == ["one", "two"]);
}

#[test]
fn a_deployment_that_fails_its_check_is_left_out_if_that_is_asked_for() {
    for (options, left_out) in [("enable_health_check_routing: true", true), ("", false)] {
        let (sick, well) = (Arc::new(AtomicBool::new(true)), Arc::default());
        let (one, two) = (with_page("one", &sick), with_page("two", &well));
        let checked = |upstream: &Upstream| openai(upstream).info("health_check_path: /health");
        let gateway = gateway::with(
            group("gpt").deployment(checked(&one).order(1)).deployment(checked(&two).order(2)),
        )
        .general(OFTEN)
        .router(options)
        .start();
        eventually("the check's result", || failed_checks(&gateway) == 1);
        assert_eq!(gateway.health_of("gpt")["status"], "degraded");
        let metrics = gateway.get("/metrics").body_text();
        assert!(metrics.contains("tollgate_deployment_health_check{"), "{metrics}");

        let expected = if left_out { "two" } else { "one" };
        assert_eq!(gateway.client().chat("gpt", "hi").text(), expected, "{options}");

        // When all fail, the checks may be what is wrong.
        well.store(true, Ordering::SeqCst);
        eventually("both fail", || failed_checks(&gateway) == 2);
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "one", "{options}");

        sick.store(false, Ordering::SeqCst);
        well.store(false, Ordering::SeqCst);
        eventually("both are well", || failed_checks(&gateway) == 0);
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "one");
    }
}

#[test]
fn a_dead_port_fails_its_check_before_any_request_does() {
    let dead = upstream::openai().refuses_connections().start();
    let alive = named("alive");
    let tcp = |upstream: &Upstream| openai(upstream).info("health_check_mode: tcp");
    let gateway = gateway::with(
        group("gpt").deployment(tcp(&dead).order(1)).deployment(tcp(&alive).order(2)),
    )
    .general(OFTEN)
    .router("enable_health_check_routing: true\nnum_retries: 0")
    .start();
    eventually("the check's result", || failed_checks(&gateway) == 1);
    for _ in 0..5 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "alive");
    }
}

#[test]
fn a_real_call_asks_for_one_token_and_only_where_it_is_asked_for() {
    let (provider, other, unchecked) =
        (named("one"), upstream::anthropic().replies(chat("two")).start(), named("three"));
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&provider).info("health_check_model: cheap"))
            .deployment(anthropic(&other))
            .deployment(openai(&unchecked).info("disable_background_health_check: true")),
    )
    .general(&format!("background_health_checks: true\n{OFTEN}"))
    .start();
    assert!(provider.wait_for_requests(2, patience()), "again and again");
    assert!(other.wait_for_requests(1, patience()));
    let body = provider.requests()[0].json();
    assert_eq!((body["model"].as_str(), body["max_tokens"].as_u64()), (Some("cheap"), Some(1)));
    assert_eq!(unchecked.request_count(), 0);
    assert_eq!(failed_checks(&gateway), 0);

    provider.now_replies(status(500));
    eventually("the failing call is seen", || failed_checks(&gateway) == 1);
    provider.now_replies(status(400));
    eventually("a provider that refuses a request is alive", || failed_checks(&gateway) == 0);
}

#[test]
fn nothing_is_checked_by_default() {
    let provider = named("one");
    let gateway = gateway::with(group("gpt").deployment(&provider)).general(OFTEN).start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    assert_eq!(provider.request_count(), 1);
    assert_eq!(failed_checks(&gateway), serde_json::Value::Null);
}
