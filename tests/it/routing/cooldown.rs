//! Deployments that rest after failures, and how they come back.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::*;

/// A group with a deployment that fails and a healthy one that comes second.
fn pair(broken: Deployment, healthy: &Upstream) -> Group {
    group("gpt").deployment(broken.order(1)).deployment(openai(healthy).order(2))
}

/// What `/health` says of the state of the deployments of `gpt`.
fn states(gateway: &Gateway) -> [Value; 3] {
    let health = gateway.health_of("gpt");
    ["healthy", "partial", "cooling"].map(|state| health[state].clone())
}

#[test]
fn when_all_deployments_rest_the_client_hears_for_how_long_exactly() {
    let provider = failing(status(429).retry_after(40));
    let gateway =
        gateway::with(group("gpt").deployment(&provider)).router("num_retries: 0").start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").error_code(), "rate_limit_exceeded");
    let told = || {
        let before = Instant::now();
        let reply = client.chat("gpt", "hi");
        assert_eq!(
            (reply.status, reply.error_code().as_str()),
            (429, "all_deployments_in_cooldown")
        );
        let (seconds, millis) = (reply.number("retry-after"), reply.number("retry-after-ms"));
        assert_eq!(seconds, millis.div_ceil(1000), "whole seconds are rounded up");
        assert!(reply.error_message().contains(&format!("in {seconds} seconds")), "{reply:?}");
        assert_eq!(reply.header("x-litellm-attempted-retries"), "0");
        (Duration::from_millis(millis), before, Instant::now())
    };

    let (first, first_asked, first_told) = told();
    assert!(first <= Duration::from_secs(40) && first > Duration::from_secs(20), "{first:?}");
    let (second, second_asked, second_told) = told();
    // What is left has become less by the time that has passed.
    let passed = first - second;
    let rounding = Duration::from_millis(2);
    assert!(passed + rounding >= second_asked - first_told, "{passed:?}");
    assert!(passed <= second_told - first_asked + rounding, "{passed:?}");

    let stream = client.stream("gpt", "hi");
    assert_eq!(stream.error_code().as_deref(), Some("all_deployments_in_cooldown"));
    let health = gateway.health_of("gpt");
    assert_eq!(health["status"], "unhealthy");
    assert!((1..=40).contains(&health["retry_after_seconds"].as_u64().unwrap()), "{health}");
    assert_eq!(provider.request_count(), 1, "nobody asks a provider that named its time");
}

#[test]
fn the_cap_bounds_what_a_provider_may_ask_for() {
    let provider = failing(status(429).retry_after(3600));
    let gateway =
        gateway::with(group("gpt").deployment(&provider)).router("max_retry_after: 7").start();
    let client = gateway.client();

    let first = client.chat("gpt", "hi");
    assert_eq!(
        (first.error_code().as_str(), first.header("retry-after")),
        ("rate_limit_exceeded", "3600")
    );
    let second = client.chat("gpt", "hi");
    assert_eq!(second.error_code(), "all_deployments_in_cooldown");
    assert!((1..=7).contains(&second.number("retry-after")), "{second:?}");
}

#[test]
fn failures_are_counted_and_one_more_than_allowed_is_too_many() {
    for (options, failure, requests) in [
        // LiteLLM takes 3 for "not written".
        ("allowed_fails: 3", 500, 4),
        ("allowed_fails: 1", 429, 2),
        ("allowed_fails: 0", 503, 1),
        ("allowed_fails_policy: {RateLimitErrorAllowedFails: 2}", 429, 3),
        // What is not in the policy follows the built-in rule: three in a row.
        ("allowed_fails_policy: {RateLimitErrorAllowedFails: 2}", 500, 3),
        ("cooldown_time: 60", 500, 3),
        ("cooldown_time: 60", 401, 1),
        ("cooldown_time: 60", 408, 3),
    ] {
        let (broken, healthy) = (failing(status(failure)), named("healthy"));
        let gateway = gateway::with(pair(openai(&broken), &healthy)).router(options).start();
        for number in 1..=requests {
            assert_eq!(gateway.cooling("gpt"), 0, "{options}, before failure {number}");
            assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
        }
        assert_eq!(gateway.cooling("gpt"), 1, "{options}, after {requests} times {failure}");
        for _ in 0..3 {
            assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
        }
        assert_eq!(broken.request_count(), requests, "{options}, {failure}");
    }
}

#[test]
fn what_the_client_did_wrong_never_counts() {
    for failure in [
        status(400),
        status(409),
        status(422),
        context_window_exceeded(),
        content_policy_violation(),
    ] {
        let broken = failing(failure);
        let gateway = gateway::with(
            group("gpt").deployment(&broken).deployment(openai(&broken).model("openai/b")),
        )
        .router("allowed_fails: 0\nnum_retries: 0")
        .start();
        for _ in 0..5 {
            assert!(gateway.client().chat("gpt", "hi").status < 500);
        }
        assert_eq!(states(&gateway), [2, 0, 0].map(Value::from), "{}", gateway.health_of("gpt"));
    }
}

#[test]
fn a_cooldown_can_be_switched_off() {
    for (options, params) in
        [("disable_cooldowns: true", ""), ("cooldown_time: 0", ""), ("", "cooldown_time: 0")]
    {
        let (broken, healthy) = (failing(status(429).retry_after(60)), named("healthy"));
        let gateway =
            gateway::with(pair(openai(&broken).with(params), &healthy)).router(options).start();
        for _ in 0..4 {
            assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
        }
        assert_eq!(gateway.cooling("gpt"), 0, "{options}{params}");
        assert_eq!(broken.request_count(), 4, "{options}{params}");
    }
}

#[test]
fn a_single_deployment_does_not_rest_because_of_its_own_troubles() {
    let provider = failing(status(500));
    let gateway =
        gateway::with(group("gpt").deployment(&provider)).router("num_retries: 0").start();

    for (count, code) in [500, 503, 401, 404, 500, 500, 429].into_iter().enumerate() {
        provider.now_replies(status(code));
        assert_eq!(gateway.client().chat("gpt", "hi").status, code, "the provider's own word");
        assert_eq!(provider.request_count(), count + 1);
    }
    assert_eq!(gateway.cooling("gpt"), 0);
}

#[test]
fn one_request_probes_a_deployment_that_has_rested() {
    let (sick, healthy) = (failing(status(429).retry_after(2)), named("healthy"));
    let gateway = gateway::with(pair(openai(&sick), &healthy)).start();
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
    assert_eq!(gateway.cooling("gpt"), 1);
    eventually("the end of the cooldown", || gateway.cooling("gpt") == 0);
    assert_eq!(states(&gateway), [1, 1, 0].map(Value::from), "it is on probation");

    sick.now_replies(stream(["well", " again"]).stall_after(1));
    sick.forget();
    thread::scope(|scope| {
        // The first request takes the chance, and keeps it for as long as it has no reply.
        let probe = scope.spawn(|| gateway.client().chat("gpt", "hi").text());
        assert!(sick.wait_for_requests(1, patience()));
        let others: Vec<_> =
            (0..8).map(|_| scope.spawn(|| gateway.client().chat("gpt", "hi").text())).collect();
        for other in others {
            assert_eq!(other.join().unwrap(), "healthy");
        }
        assert_eq!(sick.request_count(), 1, "a stampede would not help it");
        sick.now_replies(chat("well again"));
        sick.release();
        assert_eq!(probe.join().unwrap(), "well again");
    });

    assert_eq!(states(&gateway), [2, 0, 0].map(Value::from));
    assert_eq!(
        gateway.client().chat("gpt", "hi").text(),
        "well again",
        "it is first in order again"
    );
}

#[test]
fn a_failed_probe_makes_it_rest_twice_as_long() {
    let (sick, backup) = (failing(status(401)), named("backup"));
    let gateway = gateway::with(group("gpt").deployment(&sick))
        .and(group("backup").deployment(&backup))
        .router("cooldown_time: 2\nfallbacks: {gpt: [backup]}")
        .start();

    for (probe, seconds) in [(1, 1..=2), (2, 3..=4)] {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "backup");
        assert_eq!(sick.request_count(), probe);
        let rests = gateway.health_of("gpt")["retry_after_seconds"].as_u64().unwrap_or_default();
        assert!(seconds.contains(&rests), "after probe {probe}: {rests}");
        eventually("the end of the cooldown", || gateway.cooling("gpt") == 0);
    }
    sick.now_replies(chat("mended"));
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "mended");
    assert_eq!(states(&gateway), [1, 0, 0].map(Value::from));
}

#[test]
fn a_probe_whose_client_leaves_lets_another_one_probe() {
    let (sick, healthy) = (failing(status(429).retry_after(2)), named("healthy"));
    let gateway = gateway::with(pair(openai(&sick), &healthy)).start();
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
    eventually("the end of the cooldown", || gateway.cooling("gpt") == 0);
    sick.now_replies(never_answers());
    sick.forget();

    let mut leaving = raw::connect(&gateway);
    let body = br#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}"#;
    leaving.send(raw::post("/v1/chat/completions", body));
    assert!(sick.wait_for_requests(1, patience()));
    drop(leaving);
    assert!(sick.wait_for_disconnect(patience()).is_some());

    sick.now_replies(chat("well"));
    eventually("the next probe", || gateway.client().chat("gpt", "hi").text() == "well");
}

#[test]
fn each_deployment_may_have_its_own_cooldown_time() {
    let backup = named("backup");
    let (long, short) = (failing(status(401)), failing(status(401)));
    let gateway = gateway::with(group("long").deployment(openai(&long).with("cooldown_time: 50")))
        .and(group("short").deployment(openai(&short).with("cooldown_time: 20")))
        .and(group("usual").deployment(openai(&short).model("openai/usual")))
        .and(group("backup").deployment(&backup))
        .router("cooldown_time: 10\ndefault_fallbacks: [backup]")
        .start();

    for (model, seconds) in [("long", 41..=50), ("short", 11..=20), ("usual", 1..=10)] {
        assert_eq!(gateway.client().chat(model, "hi").text(), "backup");
        let rests = gateway.health_of(model)["retry_after_seconds"].as_u64().unwrap();
        assert!(seconds.contains(&rests), "{model}: {rests}");
    }
}

#[test]
fn a_cooldown_survives_a_reload() {
    let (sick, healthy) = (failing(status(429).retry_after(60)), named("healthy"));
    let gateway = gateway::with(pair(openai(&sick), &healthy)).start();
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");

    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(gateway.config_path(), config + "\n").unwrap();
    gateway.signal("HUP");
    gateway.wait_for_message("reloaded");

    assert_eq!(gateway.cooling("gpt"), 1);
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");
    assert_eq!(sick.request_count(), 1);
}
