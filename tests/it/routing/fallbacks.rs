//! Groups that stand in for a group that failed.

use serde_json::{Value, json};

use super::*;

/// A gateway with the group `main`, which fails like this, and the healthy groups `a`, `b` and `c`,
/// which say their own names.
struct World {
    gateway: Gateway,
    main: Upstream,
    healthy: [Upstream; 3],
}

impl World {
    fn new(
        failure: mock::Reply,
        configure: impl FnOnce(gateway::Builder) -> gateway::Builder,
    ) -> Self {
        let main = failing(failure);
        let healthy = ["a", "b", "c"].map(named);
        let mut builder = gateway::with(group("main").deployment(&main));
        for (name, provider) in ["a", "b", "c"].into_iter().zip(&healthy) {
            builder = builder
                .and(group(name).deployment(openai(provider).model(&format!("openai/{name}"))));
        }
        let gateway = configure(builder.router("num_retries: 0")).start();
        Self { gateway, main, healthy }
    }

    /// A gateway with this `router_settings`.
    fn with_router(failure: mock::Reply, router: &str) -> Self {
        Self::new(failure, |builder| builder.router(router))
    }

    fn ask(&self, fields: &[(&str, Value)]) -> Reply {
        let ask = self.gateway.client().ask("main", "hi");
        fields.iter().fold(ask, |ask, (name, value)| ask.set(name, value.clone())).send()
    }
}

#[test]
fn every_written_form_means_the_same() {
    for (form, configure) in [
        ("a list of maps", "router fallbacks: [{main: [a, b]}]"),
        ("a map", "router fallbacks: {main: [a, b]}"),
        ("a bare name", "router fallbacks: {main: a}"),
        ("a mapping with parameters", "router fallbacks: [{main: [{model: a, temperature: 0}]}]"),
        ("one ordered chain", "router fallbacks: [main, a, b]"),
        ("for every group", "router default_fallbacks: [a, b]"),
        ("for every group, as a rule", "router fallbacks: [{'*': [a, b]}]"),
        ("under litellm_settings", "litellm fallbacks: [{main: [a, b]}]"),
        ("for every group, under litellm_settings", "litellm default_fallbacks: [a]"),
        ("fallback_config", "top fallback_config: [{model_name: main, fallback_to: [a, b]}]"),
        ("by an alias", "router fallbacks: [{main: [other]}]\nmodel_group_alias: {other: a}"),
    ] {
        let (section, yaml) = configure.split_once(' ').unwrap();
        let world = World::new(status(500), |builder| match section {
            "router" => builder.router(yaml),
            "litellm" => builder.litellm(yaml),
            _ => builder.top(yaml),
        });

        let reply = world.ask(&[]);

        assert_eq!(reply.status, 200, "{form}: {}", reply.body_text());
        assert_eq!(reply.text(), "a", "{form}");
        assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "1", "{form}");
        assert_eq!(reply.header("x-litellm-model-group"), "a", "{form}");
        let stream = world.gateway.client().stream("main", "hi");
        assert_eq!(stream.text(), "a", "{form}");
    }
}

#[test]
fn the_request_itself_may_name_fallbacks() {
    let world =
        World::with_router(status(500), "fallbacks: [{main: [c]}]\ndisable_cooldowns: true");
    for (written, answer) in [
        (json!(["a", "b"]), "a"),
        (json!([{"model": "b", "temperature": 0}]), "b"),
        (json!([{"main": ["b", "a"]}]), "b"),
        (json!({"main": ["a"]}), "a"),
        (json!([{"other": ["a"]}, {"*": ["b"]}]), "b"),
        // Nobody is called that: it is passed over.
        (json!(["nobody", "a"]), "a"),
        (Value::Null, "c"),
    ] {
        let reply = world.ask(&[("fallbacks", written.clone())]);
        assert_eq!(reply.status, 200, "{written}: {}", reply.body_text());
        assert_eq!(reply.text(), answer, "{written}");
    }
    let asked = world.main.last_request().json();
    assert!(asked.get("fallbacks").is_none(), "the provider does not see them: {asked}");

    let none = world.ask(&[("fallbacks", json!([]))]);
    assert_eq!(none.status, 500, "an empty list means none");
    let wrong = world.ask(&[("fallbacks", json!("a"))]);
    assert_eq!((wrong.status, wrong.error_code().as_str()), (400, "invalid_type"));
}

#[test]
fn a_request_may_want_none() {
    let world = World::with_router(status(500), "fallbacks: [{main: [a]}]");

    let reply = world.ask(&[("disable_fallbacks", json!(true))]);

    assert_eq!(reply.status, 500);
    assert_eq!(world.healthy[0].request_count(), 0);
    assert_eq!(world.ask(&[("disable_fallbacks", json!(false))]).text(), "a");
}

#[test]
fn a_target_may_replace_parameters_of_the_request() {
    let world = World::with_router(
        status(500),
        "fallbacks: [{main: [{model: a, temperature: 0, max_tokens: 5}]}]",
    );

    world.ask(&[("temperature", json!(1)), ("top_p", json!(0.5))]);

    let (before, after) =
        (world.main.last_request().json(), world.healthy[0].last_request().json());
    assert_eq!((&before["temperature"], before.get("max_tokens")), (&json!(1), None));
    assert_eq!((&after["temperature"], &after["max_tokens"]), (&json!(0), &json!(5)));
    assert_eq!(after["top_p"], 0.5, "the rest stays");
    assert_eq!(after["model"], "a");
}

#[test]
fn a_chain_is_walked_from_any_of_its_groups_in_the_order_written() {
    let world = World::with_router(status(500), "fallbacks: [a, main, b, c]");
    let [a, b, c] = &world.healthy;
    b.now_replies(status(500));

    assert_eq!(world.ask(&[]).text(), "a");
    a.now_replies(status(500));
    let reply = world.ask(&[]);
    assert_eq!(reply.text(), "c");
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "3");

    a.now_replies(chat("a"));
    [a, b, c].into_iter().for_each(Upstream::forget);
    assert_eq!(world.gateway.client().chat("b", "hi").text(), "a", "the first of the others");
}

#[test]
fn fallbacks_of_fallbacks_are_followed_and_no_group_is_asked_twice() {
    let world =
        World::with_router(status(500), "fallbacks: [{main: [a]}, {a: [b, main]}, {b: [main, c]}]");
    let [a, b, _] = &world.healthy;
    a.now_replies(status(500));
    b.now_replies(status(500));

    let reply = world.ask(&[]);

    assert_eq!(reply.text(), "c");
    let counts = [&world.main, a, b].map(Upstream::request_count);
    assert_eq!(counts, [1, 1, 1]);
}

#[test]
fn a_group_that_has_no_words_for_the_request_does_not_hide_why_the_others_failed() {
    let first = failing(status(503));
    let claude = upstream::anthropic().start();
    let gateway = gateway::with(group("main").deployment(&first))
        .and(group("claude").deployment(anthropic(&claude)))
        .router("num_retries: 0\nfallbacks: [{main: [claude]}]\ndisable_cooldowns: true")
        .start();
    let ask =
        |model: &str| gateway.client().ask(model, "hi").set("logit_bias", json!({"1": 1})).send();
    let reply = ask("main");
    assert_eq!(reply.status, 503, "it can be asked again: {}", reply.body_text());
    assert!(!reply.body_text().contains("logit_bias"));
    assert_eq!((first.request_count(), claude.request_count()), (1, 0));
    assert_eq!(ask("claude").status, 400, "there it is the only thing to be said");
}

#[test]
fn max_fallbacks_bounds_them() {
    let world = World::with_router(status(500), "fallbacks: {main: [a, b, c]}\nmax_fallbacks: 2");
    let [a, b, c] = &world.healthy;
    a.now_replies(status(500));
    b.now_replies(status(502));

    let reply = world.ask(&[]);

    assert_eq!(reply.status, 502, "the last failure is told");
    assert_eq!([a, b, c].map(Upstream::request_count), [1, 1, 0]);
    assert_eq!(reply.header("x-litellm-attempted-fallbacks"), "2");
}

#[test]
fn a_group_that_falls_back_to_itself_gets_another_round() {
    let providers = [failing(status(500)), named("second")];
    let [first, second] = &providers;
    let gateway = gateway::with(
        group("main").deployment(openai(first).weight(1.0)).deployment(openai(second).weight(0.0)),
    )
    .router("num_retries: 0\nfallbacks: [{main: [main]}]")
    .start();

    assert_eq!(gateway.client().chat("main", "hi").text(), "second");
}

#[test]
fn a_long_prompt_goes_to_the_group_for_long_prompts() {
    let world = World::with_router(
        context_window_exceeded(),
        "fallbacks: {main: [a]}\ncontext_window_fallbacks: {main: [b]}\n\
         content_policy_fallbacks: {main: [c]}",
    );
    assert_eq!(world.ask(&[]).text(), "b");
    world.main.now_replies(content_policy_violation());
    assert_eq!(world.ask(&[]).text(), "c");
    world.main.now_replies(status(500));
    assert_eq!(world.ask(&[]).text(), "a");
    world.main.now_replies(status(400));
    assert_eq!(world.ask(&[]).status, 400, "what is plainly wrong is wrong everywhere");
}

#[test]
fn an_answer_that_was_kept_back_goes_to_the_group_for_refused_content() {
    let kept_back = || content_filtered("");
    let world = World::with_router(kept_back(), "content_policy_fallbacks: {main: [c]}");
    assert_eq!(world.ask(&[]).text(), "c");
    assert_eq!(world.gateway.client().stream("main", "hi").text(), "c");
    let own = world.ask(&[("disable_fallbacks", json!(true))]);
    assert_eq!(own.json()["choices"][0]["finish_reason"], "content_filter");

    world.main.now_replies(content_filtered("some text"));
    let stream = world.gateway.client().stream("main", "hi");
    assert_eq!(stream.finish_reason(), Some("content_filter"), "its text is out already");
    assert_eq!(world.ask(&[]).text(), "c", "of a whole reply nothing is out");

    let world = World::with_router(kept_back(), "fallbacks: {main: [a]}");
    let reply = world.ask(&[]);
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "content_filter");
}

/// LiteLLM leaves such a group without any fallback.
#[test]
fn a_group_without_a_list_for_the_class_uses_its_general_one() {
    let world = World::with_router(
        context_window_exceeded(),
        "fallbacks: {main: [a]}\ncontext_window_fallbacks: {c: [b]}",
    );
    assert_eq!(world.ask(&[]).text(), "a");
}

#[test]
fn what_a_provider_says_of_the_prompt_is_understood_in_every_dialect() {
    for (dialect, deployment) in [
        (upstream::azure(), azure as fn(&Upstream) -> Deployment),
        (upstream::anthropic(), anthropic),
    ] {
        let main = dialect.replies(context_window_exceeded()).start();
        let [long, safe] = ["long", "safe"].map(named);
        let gateway = gateway::with(group("main").deployment(deployment(&main)))
            .and(group("long").deployment(&long))
            .and(group("safe").deployment(&safe))
            .router("context_window_fallbacks: {main: [long]}")
            .router("content_policy_fallbacks: {main: [safe]}")
            .start();

        assert_eq!(gateway.client().chat("main", "hi").text(), "long");
        main.now_replies(content_policy_violation());
        assert_eq!(gateway.client().stream("main", "hi").text(), "safe");
    }
}

#[test]
fn a_cooling_group_is_passed_over_at_once() {
    let world = World::with_router(status(429).retry_after(60), "fallbacks: {main: [a]}");

    for _ in 0..3 {
        assert_eq!(world.ask(&[]).text(), "a");
    }
    assert_eq!(world.main.request_count(), 1);
}

#[test]
fn a_client_is_not_told_what_stands_in_for_what() {
    let world = World::with_router(status(500), "fallbacks: {main: [a, b]}");
    for provider in &world.healthy {
        provider.now_replies(status(503));
    }

    let reply = world.ask(&[]);

    assert_eq!(reply.status, 503);
    let told = reply.body_text();
    for secret in ["main", "\"a\"", "\"b\"", "127.0.0.1", "allback"] {
        assert!(!told.contains(secret), "{secret} is internal: {told}");
    }
}

#[test]
fn a_request_may_bring_its_own_fallbacks_for_each_kind_of_failure() {
    let configure = |builder: gateway::Builder| {
        builder
            .router("context_window_fallbacks: {main: [c]}\ncontent_policy_fallbacks: {main: [c]}")
    };
    let world = World::new(context_window_exceeded(), configure);
    let long = "context_window_fallbacks";
    let safe = "content_policy_fallbacks";

    for (list, answer) in [
        (json!(["a"]), "a"),
        (json!([{"model": "a", "temperature": 0}]), "a"),
        (json!([{"main": ["b"]}, {"other": ["a"]}]), "b"),
        (json!({"main": "b"}), "b"),
        (json!({"*": ["a"]}), "a"),
        (json!({"other": ["a"]}), "c"),
        (Value::Null, "c"),
    ] {
        assert_eq!(world.ask(&[(long, list.clone())]).text(), answer, "{list}");
    }
    assert_eq!(world.ask(&[(safe, json!(["a"]))]).text(), "c", "of another kind");
    let both = world.ask(&[(long, json!(["a"])), ("fallbacks", json!(["b"]))]);
    assert_eq!(both.text(), "a", "what is written for the kind goes first");
    let only = world.ask(&[(safe, json!(["a"])), ("fallbacks", json!(["b"]))]);
    assert_eq!(only.text(), "b");

    world.main.now_replies(content_policy_violation());
    assert_eq!(world.ask(&[(safe, json!(["a"])), (long, json!(["b"]))]).text(), "a");
    world.main.now_replies(status(500));
    assert_eq!(world.ask(&[(safe, json!(["a"])), (long, json!(["b"]))]).status, 500);
    let sent = world.main.last_request().json();
    assert!(sent.get(long).is_none() && sent.get(safe).is_none(), "{sent}");
}
