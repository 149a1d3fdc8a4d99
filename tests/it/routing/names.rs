//! What a client may call a model.

use serde_json::Value;

use super::*;

fn listed(gateway: &Gateway) -> Vec<String> {
    let models = gateway.get("/v1/models").json();
    let ids = models["data"].as_array().into_iter().flatten().map(|model| &model["id"]);
    ids.filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn aliases_stand_for_groups() {
    let [a, b] = ["a", "b"].map(named);
    let gateway = gateway::with(group("group-a").deployment(&a))
        .and(group("group-b").deployment(&b))
        .router(
            "model_group_alias:
  plain: group-a
  hidden: {model: group-b, hidden: true}
  over-another: plain",
        )
        .start();
    let client = gateway.client();

    for (model, answer) in [("plain", "a"), ("hidden", "b"), ("over-another", "a")] {
        let reply = client.chat(model, "hi");
        assert_eq!(reply.text(), answer, "{model}");
        assert_eq!(reply.header("x-litellm-model-group"), format!("group-{answer}"), "{model}");
    }
    let mut names = listed(&gateway);
    names.sort();
    assert_eq!(names, ["group-a", "group-b", "over-another", "plain"], "but not the hidden one");
}

/// As in LiteLLM: traffic is moved to another group by one line, without a change in the list.
#[test]
fn an_alias_goes_before_the_group_of_its_name() {
    let [a, b] = ["a", "b"].map(named);
    let gateway = gateway::with(group("group-a").deployment(openai(&a).id("east")))
        .and(group("group-b").deployment(&b))
        .router("model_group_alias: {group-a: group-b}")
        .start();
    let client = gateway.client();

    let reply = client.chat("group-a", "hi");
    assert_eq!((reply.text(), reply.header("x-litellm-model-group")), ("b".into(), "group-b"));
    assert_eq!(client.chat("east", "hi").text(), "a", "its deployments keep their ids");
    assert_eq!(listed(&gateway), ["group-a", "group-b"]);
}

#[test]
fn a_weighted_alias_shares_its_requests_among_groups_and_falls_over_to_the_others() {
    let [much, little] = ["much", "little"].map(named);
    let gateway = gateway::with(group("large").deployment(&much))
        .and(group("small").deployment(&little))
        .router(
            "model_group_alias:
  mixed: [{model: large, weight: 0.8}, {model: small, weight: 0.2}]",
        )
        .start();
    let client = gateway.client();

    let answers: Vec<String> = (0..200).map(|_| client.chat("mixed", "hi").text()).collect();
    let from_large = answers.iter().filter(|answer| *answer == "much").count();
    assert!((125..=190).contains(&from_large), "four in five of 200: {from_large}");

    much.now_replies(status(500));
    for _ in 0..10 {
        assert_eq!(client.chat("mixed", "hi").text(), "little");
    }
}

#[test]
fn a_wildcard_passes_on_what_its_star_stands_for() {
    let [any, mini, rest] = ["any", "mini", "rest"].map(named);
    let gateway = gateway::with(group("openai/*").deployment(openai(&any).model("openai/*")))
        .and(group("openai/gpt-4o-*").deployment(openai(&mini).model("openai/ft:gpt-4o-*")))
        .and(group("*").deployment(openai(&rest).model("openai/*")))
        .start();
    let client = gateway.client();

    for (model, answer, asked_for) in [
        ("openai/o3", "any", "o3"),
        // The longer literal goes first.
        ("openai/gpt-4o-mini", "mini", "ft:gpt-4o-mini"),
        ("openai/org/model", "any", "org/model"),
        // The name tells whose model it is, so no prefix is needed.
        ("o3", "any", "o3"),
        ("gpt-4o-mini", "mini", "ft:gpt-4o-mini"),
        ("claude-sonnet-4-5", "rest", "claude-sonnet-4-5"),
        // Anchored at both ends: LiteLLM matches prefixes.
        ("my-openai/o3", "rest", "my-openai/o3"),
        ("whatever", "rest", "whatever"),
    ] {
        let reply = client.chat(model, "hi");
        assert_eq!(reply.text(), answer, "{model}");
        let provider = [&any, &mini, &rest].into_iter().find(|it| it.request_count() > 0).unwrap();
        assert_eq!(model_asked(provider), asked_for, "{model}");
        [&any, &mini, &rest].into_iter().for_each(Upstream::forget);
    }
}

#[test]
fn a_deployments_id_is_a_model_of_its_own() {
    let [a, b] = ["a", "b"].map(named);
    let gateway = gateway::with(
        group("gpt").deployment(openai(&a).id("east")).deployment(openai(&b).id("west")),
    )
    .start();
    let client = gateway.client();

    for _ in 0..5 {
        let reply = client.chat("west", "hi");
        assert_eq!(reply.text(), "b");
        assert_eq!(reply.header("x-litellm-model-id"), "west");
        assert_eq!(reply.header("x-litellm-model-group"), "gpt");
    }
    assert_eq!(a.request_count(), 0);
    assert_eq!(listed(&gateway), ["gpt"], "ids are for those who know them");
}

#[test]
fn an_id_means_this_deployment_and_no_other_even_if_it_fails() {
    let (broken, healthy) = (failing(status(500)), named("healthy"));
    let gateway = gateway::with(
        group("gpt").deployment(openai(&broken).id("east")).deployment(openai(&healthy).id("west")),
    )
    .router("num_retries: 0")
    .start();

    assert_eq!(gateway.client().chat("east", "hi").status, 500);
    assert_eq!(healthy.request_count(), 0);
}

#[test]
fn a_model_may_be_named_in_the_path() {
    let provider = named("hello");
    let gateway = gateway::with(group("gpt 4/o").deployment(&provider)).start();
    let body = serde_json::json!({"messages": [{"role": "user", "content": "hi"}]});

    let path = "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21";
    let reply = gateway.client().post(path).json(&body).send();

    assert_eq!(reply.text(), "hello");
}

#[test]
fn a_name_that_means_nothing_is_refused_without_asking_anybody() {
    let provider = named("hello");
    let gateway = gateway::with(group("gpt").deployment(&provider))
        .router("default_fallbacks: [gpt]")
        .start();

    for reply in [gateway.client().chat("gpt-5-turbo", "hi"), gateway.client().chat("gp", "hi")] {
        assert_eq!((reply.status, reply.error_code().as_str()), (404, "model_not_found"));
        assert_eq!(reply.json()["error"]["param"], "model");
    }
    let stream = gateway.client().stream("gpt-5-turbo", "hi");
    assert_eq!((stream.status, stream.error_code().as_deref()), (404, Some("model_not_found")));
    assert_eq!(provider.request_count(), 0);
}
