//! The strategies, the checks and the ties, on the running gateway.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;

/// A prompt of about so many tokens.
fn prompt(tokens: usize) -> String {
    "word".repeat(tokens)
}

#[test]
fn the_faster_provider_serves() {
    let [fast, slow] = [5, 400].map(|ms| {
        upstream::openai().replies(chat("hello").latency(Duration::from_millis(ms))).start()
    });
    let gateway = gateway::with(group("gpt").deployment(&slow).deployment(&fast))
        .router("routing_strategy: latency-based-routing")
        .start();
    let client = gateway.client();
    for _ in 0..40 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    let (fast, slow) = (fast.request_count(), slow.request_count());
    assert!(slow < 20 && fast + slow == 40, "{fast} and {slow}");
}

#[test]
fn the_cheaper_provider_serves_and_a_request_may_ask_for_another_strategy() {
    let [cheap, dear] = ["cheap", "dear"].map(named);
    let gateway = gateway::with(
        group("gpt")
            .deployment(
                openai(&dear).info("output_cost_per_token: 0.00006\ninput_cost_per_token: 0.00003"),
            )
            .deployment(
                openai(&cheap)
                    .info("output_cost_per_token: 0.000001\ninput_cost_per_token: 0.000001"),
            ),
    )
    .router("routing_strategy: least-cost")
    .start();
    let client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.chat("gpt", "hi").text(), "cheap");
    }
    let quality = client.ask("gpt", "hi").set("metadata", json!({"priority": "quality"}));
    assert_eq!(quality.send().text(), "dear");
    let header = client.ask("gpt", "hi").header("x-tollgate-strategy", "quality");
    assert_eq!(header.send().text(), "dear");

    let unknown = client.ask("gpt", "hi").header("x-tollgate-strategy", "fastest").send();
    assert_eq!((unknown.status, unknown.error_code().as_str()), (400, "unknown_strategy"));
    assert!(unknown.error_message().contains("cost-based-routing"), "{unknown:?}");
    let unknown = client.ask("gpt", "hi").set("metadata", json!({"priority": "best"})).send();
    assert_eq!((unknown.status, unknown.error_code().as_str()), (400, "unknown_priority"));
}

#[test]
fn turns_come_in_order() {
    let [us, eu] = ["us", "eu"].map(named);
    let gateway = gateway::with(
        group("gpt").deployment(openai(&us).weight(0.6)).deployment(openai(&eu).weight(0.4)),
    )
    .router("routing_strategy: weighted")
    .start();
    let client = gateway.client();
    let order: Vec<_> = (0..10).map(|_| client.chat("gpt", "hi").text()).collect();
    assert_eq!(order, ["us", "eu", "us", "eu", "us", "us", "eu", "us", "eu", "us"]);
}

#[test]
fn what_cannot_serve_is_not_called() {
    let [blind, seeing] = ["blind", "seeing"].map(named);
    let gateway = gateway::with(
        group("gpt").deployment(openai(&blind).info("supports_vision: false")).deployment(
            openai(&seeing).info("supports_vision: true\nsupports_response_schema: false"),
        ),
    )
    .router("enable_pre_call_checks: true")
    .start();
    let client = gateway.client();
    let image = json!([{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    ]}]);
    for _ in 0..10 {
        assert_eq!(client.ask("gpt", "hi").set("messages", image.clone()).send().text(), "seeing");
    }
    assert_eq!(blind.request_count(), 0);
    let schema = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {}}});
    let only_blind = client.ask("gpt", "hi").set("response_format", schema.clone());
    assert_eq!(only_blind.send().text(), "blind");

    let both = client.ask("gpt", "hi").set("messages", image).set("response_format", schema).send();
    assert_eq!((both.status, both.error_code().as_str()), (400, "no_deployment_with_capability"));
    assert_eq!(both.json()["error"]["type"], "invalid_request_error");
}

#[test]
fn a_prompt_that_is_too_long_goes_to_the_fallback_for_that_or_is_refused_with_the_reason() {
    let [small, large] = ["small", "large"].map(named);
    let builder = || {
        gateway::with(group("gpt").deployment(openai(&small).info("max_input_tokens: 1000")))
            .and(group("long").deployment(&large))
    };
    let gateway = builder()
        .router("enable_pre_call_checks: true\ncontext_window_fallbacks: [{gpt: [long]}]")
        .start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", &prompt(500)).text(), "small");
    let reply = client.chat("gpt", &prompt(5000));
    assert_eq!(
        (reply.text().as_str(), reply.header("x-litellm-attempted-fallbacks")),
        ("large", "1")
    );

    let gateway = builder().router("enable_pre_call_checks: true").start();
    let reply = gateway.client().chat("gpt", &prompt(5000));
    assert_eq!((reply.status, reply.error_code().as_str()), (400, "context_length_exceeded"));
    let message = reply.error_message();
    assert!(message.starts_with("Context Window exceeded for given call. No models have context"));
    assert!(message.contains("is 1000"), "{message}");
    assert_eq!(small.request_count(), 1, "only the short one");
}

#[test]
fn a_session_stays_with_its_deployment() {
    let providers = ["a", "b", "c", "d"].map(named);
    let mut group = group("gpt");
    for provider in &providers {
        group = group.deployment(provider);
    }
    let gateway =
        gateway::with(group).router("optional_pre_call_checks: [session_affinity]").start();
    let client = gateway.client();
    let mut homes = std::collections::BTreeSet::new();
    for session in 0..12 {
        let session = format!("session-{session}");
        let ask = || client.ask("gpt", "hi").header("x-tollgate-session", &session).send().text();
        let home = ask();
        assert!((0..5).all(|_| ask() == home));
        homes.insert(home);
    }
    assert!(homes.len() > 1, "{homes:?}");
    let agent = || {
        let user = json!({"user_id": "user_1_account__session_9"});
        client.ask("gpt", "hi").set("metadata", user).send().text()
    };
    let home = agent();
    assert!((0..5).all(|_| agent() == home), "an agent's own words name its session");
}

#[test]
fn explanations_call_nobody_and_say_what_then_happens() {
    let [near, far] = ["near", "far"].map(named);
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&far).id("far").info("max_input_tokens: 10"))
            .deployment(openai(&near).id("near")),
    )
    .and(group("other").deployment(openai(&far).id("spare")))
    .router("enable_pre_call_checks: true\nfallbacks: [{gpt: [other]}]")
    .master_key("sk-explain-me")
    .start();
    let client = gateway.client();
    let body = json!({
        "model": "gpt",
        "messages": [{"role": "user", "content": prompt(100)}],
    });

    let explained = client.post("/routing/explain").json(&body).send();
    assert_eq!(explained.status, 200, "{explained:?}");
    let explained = explained.json();
    let find = |group: usize, id: &str| -> Value {
        let all = explained["groups"][group]["deployments"].as_array().unwrap();
        all.iter().find(|one| one["id"] == id).unwrap().clone()
    };
    assert_eq!(find(0, "near")["place"], 1);
    assert_eq!(find(0, "far")["out"], "context_too_small");
    assert_eq!(
        (&explained["groups"][1]["group"], &find(1, "spare")["place"]),
        (&json!("other"), &json!(1))
    );
    assert_eq!((near.request_count(), far.request_count()), (0, 0), "nobody was called");

    let unknown = client.post("/routing/explain").json(&json!({"model": "no", "messages": []}));
    assert_eq!(unknown.send().error_code(), "model_not_found");
    let stranger = gateway.client().with_key(None).post("/routing/explain").json(&body).send();
    assert_eq!(stranger.status, 401);

    let reply = client.ask("gpt", &prompt(100)).header("x-tollgate-explain", "true").send();
    assert_eq!(reply.text(), "near");
    let told = reply.header("x-tollgate-routing");
    assert!(told.starts_with("gpt by simple-shuffle:"), "{told}");
    assert!(told.contains("far=context_too_small") && told.contains("near=first"), "{told}");
    assert_eq!(client.chat("gpt", "hi").header("x-tollgate-routing"), "", "only who asks is told");

    let request = gateway.folder().join("request.json");
    std::fs::write(&request, body.to_string()).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(gateway::TOLLGATE);
        command.arg("explain").arg("--config").arg(gateway.config_path());
        command.arg("--request").arg(&request).args(more).output().unwrap()
    };
    let table = run(&[]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(table.status.success(), "{}", String::from_utf8_lossy(&table.stderr));
    assert!(
        text.contains("model gpt by simple-shuffle") && text.contains("has a window of 10 tokens")
    );
    let as_json: Value = serde_json::from_slice(&run(&["--json"]).stdout).unwrap();
    assert_eq!(as_json["groups"][0]["strategy"], "simple-shuffle");
    let weighted: Value =
        serde_json::from_slice(&run(&["--json", "-H", "x-tollgate-strategy: weighted"]).stdout)
            .unwrap();
    assert_eq!(weighted["groups"][0]["strategy"], "weighted");
    let bad = run(&["-H", "x-tollgate-strategy: none"]);
    assert_eq!(bad.status.code(), Some(1));
}

#[test]
fn auto_is_every_group_for_a_router_section() {
    let [cheap, dear] = ["cheap", "dear"].map(named);
    let gateway =
        gateway::with(group("one").deployment(openai(&dear).with("metadata: {cost: 0.03}")))
            .and(group("two").deployment(openai(&cheap).with("metadata: {cost: 0.0005}")))
            .top("router: {type: cost-based}")
            .start();
    let client = gateway.client();
    for _ in 0..5 {
        assert_eq!(client.chat("auto", "hi").text(), "cheap");
    }
    assert_eq!(client.chat("one", "hi").text(), "dear", "its own name still is its own");
}

/// The routing rules of a well-known article: prices, windows and capabilities in `metadata`.
#[test]
fn short_prompts_go_to_cheap_models_and_long_ones_to_those_with_a_long_context() {
    let [gpt4, turbo, opus] = ["gpt-4", "gpt-3.5-turbo", "claude-opus"].map(named);
    let told = |cost: f64, window: u64, capability: &str| {
        format!(
            "metadata: {{cost: {cost}, latency: 300, max_tokens: {window}, \
             capabilities: [{capability}]}}"
        )
    };
    let gateway = gateway::with(group("gpt-4").deployment(openai(&gpt4).with(&told(
        0.03,
        8000,
        "long-context",
    ))))
    .and(group("gpt-3.5-turbo").deployment(openai(&turbo).with(&told(0.0005, 4000, "speed"))))
    .and(group("claude-opus").deployment(openai(&opus).with(&told(0.015, 100_000, "analysis"))))
    .top("router: {type: latency, cost_threshold: 0.01, context_threshold: 50000}")
    .start();
    let client = gateway.client();
    for _ in 0..10 {
        assert_eq!(client.chat("auto", "short").text(), "gpt-3.5-turbo");
        let long = client.chat("auto", &prompt(60_000)).text();
        assert!(long == "gpt-4" || long == "claude-opus", "{long}");
    }
    assert_eq!(turbo.request_count(), 10);
    assert_eq!(client.chat("gpt-4", "short").text(), "gpt-4", "nothing else has that name");
}
