//! The choice among the deployments of a group that could all serve.

use std::thread;

use super::*;

/// Requests of one statistical test. The bounds below are wider than five standard deviations.
const MANY: usize = 400;

/// Asks often, in a few connections at once, and counts the requests of each provider.
fn shares(gateway: &Gateway, model: &str, providers: &[&Upstream]) -> Vec<usize> {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let client = gateway.client();
                for _ in 0..MANY / 4 {
                    assert_eq!(client.chat(model, "hi").status, 200);
                }
            });
        }
    });
    providers.iter().map(|provider| provider.request_count()).collect()
}

#[test]
fn a_lower_order_goes_first_and_a_higher_one_serves_when_it_cannot() {
    let [first, second, third] = ["first", "second", "third"].map(named);
    let gateway = gateway::with(
        group("gpt")
            // Without an order: after all that have one.
            .deployment(&third)
            .deployment(openai(&second).order(2))
            .deployment(openai(&first).order(1)),
    )
    .start();
    let client = gateway.client();

    for _ in 0..5 {
        assert_eq!(client.chat("gpt", "hi").text(), "first");
    }
    first.now_replies(status(429).retry_after(60));
    for _ in 0..5 {
        assert_eq!(client.chat("gpt", "hi").text(), "second");
    }
    second.now_replies(status(401));
    for _ in 0..5 {
        assert_eq!(client.chat("gpt", "hi").text(), "third");
    }
    assert_eq!(first.request_count(), 6, "one request found out, none was sent after it");
    assert_eq!(second.request_count(), 6, "one request found out, none was sent after it");
}

#[test]
fn every_order_is_tried_even_without_retries() {
    let broken = [500, 502].map(|code| failing(status(code)));
    let last = named("last");
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&broken[0]).order(1))
            .deployment(openai(&broken[1]).order(2))
            .deployment(openai(&last).order(3)),
    )
    .router("num_retries: 0")
    .start();

    let reply = gateway.client().chat("gpt", "hi");

    assert_eq!(reply.text(), "last");
    assert_eq!(broken.each_ref().map(Upstream::request_count), [1, 1]);
}

#[test]
fn weights_share_the_requests() {
    let [heavy, light, none] = ["heavy", "light", "none"].map(named);
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&heavy).weight(3.0))
            .deployment(openai(&light).weight(1.0))
            .deployment(openai(&none).weight(0.0)),
    )
    .start();

    let found = shares(&gateway, "gpt", &[&heavy, &light, &none]);

    assert!((250..=350).contains(&found[0]), "three in four of {MANY}: {found:?}");
    assert_eq!((found[0] + found[1], found[2]), (MANY, 0), "{found:?}");
}

#[test]
fn without_weights_the_rpm_and_then_the_tpm_are_the_shares() {
    let [many, few, much, little] = ["many", "few", "much", "little"].map(named);
    let gateway = gateway::with(
        group("by rpm")
            // tpm says the opposite and does not count beside rpm.
            .deployment(openai(&many).with("rpm: 9000\ntpm: 1000000"))
            .deployment(openai(&few).with("rpm: 1000\ntpm: 9000000")),
    )
    .and(
        group("by tpm")
            .deployment(openai(&much).with("tpm: 9000000"))
            .deployment(openai(&little).with("tpm: 1000000")),
    )
    .start();

    for (model, providers) in [("by rpm", [&many, &few]), ("by tpm", [&much, &little])] {
        let found = shares(&gateway, model, &providers);
        assert!((325..=395).contains(&found[0]), "{model}: nine in ten of {MANY}: {found:?}");
    }
}

#[test]
fn without_anything_written_all_have_the_same_share() {
    let providers = ["a", "b"].map(named);
    let [a, b] = &providers;
    let gateway = gateway::with(group("gpt").deployment(a).deployment(b)).start();

    let found = shares(&gateway, "gpt", &[a, b]);

    assert!((145..=255).contains(&found[0]), "half of {MANY}: {found:?}");
}

#[test]
fn least_busy_prefers_the_deployment_with_the_fewest_requests_in_flight() {
    let [busy, idle] = ["busy", "idle"].map(named);
    busy.now_replies(stream(["a", "b"]).stall_after(1));
    let gateway = gateway::with(
        group("gpt").deployment(openai(&busy).id("busy")).deployment(openai(&idle).id("idle")),
    )
    .router("routing_strategy: least-busy")
    .start();
    let mut held = gateway.client().ask("busy", "hi").open();
    assert_eq!(held.next_text().as_deref(), Some("a"));

    for _ in 0..10 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "idle");
    }

    busy.release();
    assert_eq!(held.read_to_end().text(), "ab");
}

#[test]
fn a_full_deployment_leaves_the_request_to_the_next() {
    let [small, large] = ["small", "large"].map(named);
    small.now_replies(stream(["a", "b"]).stall_after(1));
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&small).order(1).with("max_parallel_requests: 1"))
            .deployment(openai(&large).order(2)),
    )
    .start();
    let mut held = gateway.client().ask("gpt", "hi").open();
    assert_eq!(held.next_text().as_deref(), Some("a"));

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "large");

    small.release();
    assert_eq!(held.read_to_end().text(), "ab");
    small.now_replies(chat("small"));
    eventually("the place is free again", || gateway.client().chat("gpt", "hi").text() == "small");
}

#[test]
fn when_all_deployments_are_full_the_client_hears_so_at_once() {
    let provider = upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    let gateway =
        gateway::with(group("own").deployment(openai(&provider).with("max_parallel_requests: 1")))
            .and(group("default").deployment(openai(&provider).model("openai/other")))
            .router("default_max_parallel_requests: 1")
            .start();

    for model in ["own", "default"] {
        let mut held = gateway.client().ask(model, "hi").open();
        assert_eq!(held.next_text().as_deref(), Some("a"));
        let before = provider.request_count();

        let reply = gateway.client().chat(model, "hi");

        assert_eq!(reply.status, 429, "{}", reply.body_text());
        assert_eq!(reply.error_code(), "deployments_at_max_parallel_requests");
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(provider.request_count(), before, "nobody was asked");

        // A client that leaves gives its place back as well as one that stays to the end.
        drop(held);
        eventually("a free place", || gateway.client().ask(model, "hi").open().status() == 200);
    }
}

#[test]
fn tags_choose_among_the_deployments() {
    let [free, paid, default] = ["free", "paid", "default"].map(named);
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&free).with("tags: [free]"))
            .deployment(openai(&paid).with("tags: [paid, vip]"))
            .deployment(openai(&default).with("tags: [default]")),
    )
    .and(group("closed").deployment(openai(&paid).with("tags: [paid]\nseed: 1")))
    .router("enable_tag_filtering: true")
    .start();
    let ask = || gateway.client().ask("gpt", "hi");
    let in_body = |tag: &str| ask().set("tags", vec![tag]).send();
    let in_metadata =
        |tag: &str| ask().set("metadata", serde_json::json!({ "tags": [tag] })).send();

    for _ in 0..5 {
        assert_eq!(in_body("free").text(), "free");
        assert_eq!(in_metadata("vip").text(), "paid");
        assert_eq!(ask().header("x-litellm-tags", "x, paid").send().text(), "paid");
        assert_eq!(ask().send().text(), "default");
        assert_eq!(in_body("unheard of").text(), "default");
    }
    let refused = gateway.client().ask("closed", "hi").set("tags", vec!["free"]).send();
    assert_eq!((refused.status, refused.error_code().as_str()), (400, "no_deployment_for_tags"));
}
