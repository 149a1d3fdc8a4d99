//! What a request is held to, and who is charged for it: the same, whoever serves in the end.

use super::*;

/// A hundred times [`PRICE`].
const DEAR: &str = "input_cost_per_token: 0\noutput_cost_per_token: 0.01";

/// A client whose stream goes on, after it has got its first word.
fn open(client: &Client, model: &str, max_tokens: u64) -> client::OpenStream {
    let mut open = client.ask(model, "hi").set("max_tokens", max_tokens).open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    open
}

fn stalling() -> Upstream {
    upstream::openai()
        .first_replies([stream(["a", "b"]).stall_after(1)])
        .replies(chat("hello").usage(5, 10))
        .start()
}

#[test]
fn what_rules_decide_is_held_before_it_is_called() {
    let (cheap, dear) = (ten_tokens(), stalling());
    let gateway = gateway::with(group("cheap").deployment(openai(&cheap).with(PRICE)))
        .and(group("dear").deployment(openai(&dear).with(DEAR)))
        .master_key(MASTER)
        .router("custom_routing:\n  - {condition: 'tags contains \"long\"', route_to: dear}\n  - default: cheap")
        .start();
    let client = holder(&gateway, &key(&gateway, json!({"max_budget": 0.5})));
    let mut open =
        client.ask("auto", "hi").set("max_tokens", 30).header("x-litellm-tags", "long").open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let asks = |tokens: u64| client.ask("auto", "hi").set("max_tokens", tokens).send();
    let refused =
        client.ask("auto", "hi").set("max_tokens", 30).header("x-litellm-tags", "long").send();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("Held for requests under way: 0.3"), "{refused:?}");
    assert_eq!(asks(30).status, 200, "the cheap one still fits");
    assert_eq!(calls(&dear), 1);
    drop(open);
}

#[test]
fn a_dearer_group_that_may_stand_in_is_held_as_well() {
    let broken = upstream::openai().replies(status(500)).start();
    let dear = stalling();
    let gateway = gateway::with(group("gpt").deployment(openai(&broken).with(PRICE)))
        .and(group("dear").deployment(openai(&dear).with(DEAR)))
        .master_key(MASTER)
        .router("num_retries: 0\nfallbacks: [{gpt: [dear]}]")
        .start();
    let client = holder(&gateway, &key(&gateway, json!({"max_budget": 0.5})));
    let held = open(&client, "gpt", 30);
    let refused = client.ask("gpt", "hi").set("max_tokens", 30).send();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("Held for requests under way: 0.3"), "{refused:?}");
    let alone = client.ask("gpt", "hi").set("max_tokens", 30).set("disable_fallbacks", true).send();
    assert_eq!(alone.status, 500, "without its fallback it fits: {alone:?}");
    drop(held);
}

#[test]
fn a_budget_for_a_model_is_that_of_the_model_asked_for() {
    let broken = upstream::openai().replies(status(500)).start();
    let other = ten_tokens();
    let gateway = gateway::with(group("gpt").deployment(openai(&broken).with(PRICE)))
        .and(group("other").deployment(openai(&other).with(PRICE)))
        .master_key(MASTER)
        .router(
            "num_retries: 0\ndisable_cooldowns: true\nfallbacks: [{gpt: [other]}]\n\
             model_group_alias: {mine: gpt}",
        )
        .start();
    let budgets = json!({"mine": {"budget_limit": 0.002}, "other": {"budget_limit": 0.001}});
    let client = holder(&gateway, &key(&gateway, json!({"model_max_budget": budgets})));
    let asks = |model: &str| client.ask(model, "hi").set("max_tokens", 10).send();
    assert_eq!((asks("gpt").status, asks("mine").status), (200, 200), "both are what is bounded");
    let refused = asks("gpt");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("model mine"), "{refused:?}");
    assert_eq!(asks("other").status, 200, "nobody had asked for it");
    assert_eq!(asks("other").status, 422);
}

#[test]
fn what_a_users_team_key_spends_counts_on_the_user_at_once() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    made(
        &gateway,
        "/user/new",
        json!({"user_id": "ann", "max_budget": 0.003, "auto_create_key": false}),
    );
    let member = json!({"user_id": "ann", "role": "user"});
    made(&gateway, "/team/new", json!({"team_id": "red", "members_with_roles": [member]}));
    let own = holder(&gateway, &key(&gateway, json!({"user_id": "ann"})));
    let of_team = json!({"user_id": "ann", "team_id": "red"});
    let of_team = holder(&gateway, &key(&gateway, of_team));
    assert_eq!(ask(&own).send().status, 200, "a thousandth");
    for _ in 0..4 {
        assert_eq!(
            ask(&of_team).send().status,
            200,
            "a team's key is not held to its user's budget"
        );
    }
    let refused = ask(&own).send();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("User=ann over budget. Spend=0.005"), "{refused:?}");
}

#[test]
fn a_regenerated_key_pays_for_what_was_under_way() {
    let provider = upstream::openai()
        .first_replies([stream(["a", "b"]).usage(5, 10).stall_after(1)])
        .replies(chat("hello").usage(5, 10))
        .start();
    let gateway = priced(&provider).start();
    let old = key(&gateway, json!({"max_budget": 0.003}));
    let held = open(&holder(&gateway, &old), "gpt", 30);
    let new = made(&gateway, "/key/regenerate", json!({"key": old}));
    let client = holder(&gateway, new["key"].as_str().unwrap());
    assert_eq!(new.get("account"), None, "the old hash is nobody's business: {new}");
    let refused = ask(&client).send();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("Held for requests under way: 0.003"), "{refused:?}");
    drop(held);
    eventually("what was held is back", || ask(&client).send().status == 200);
    let new = new["key"].as_str().unwrap().to_owned();
    eventually("both keys' spend is the new one's", || {
        let shown = gateway.client().get(&format!("/key/info?key={new}")).json();
        // The broken stream is paid by an estimate, beside the whole reply.
        shown["info"]["spend"].as_f64().is_some_and(|spend| spend > 0.001)
    });
}

#[test]
fn the_old_key_works_for_the_time_that_it_is_given() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let old = key(&gateway, json!({"key_alias": "ci", "max_budget": 0.003}));
    let new = made(&gateway, "/key/regenerate", json!({"key": old, "grace_period": "1h"}));
    assert_eq!(new["key_alias"], "ci");
    let new = new["key"].as_str().unwrap();
    let (before, after) = (holder(&gateway, &old), holder(&gateway, new));
    assert_eq!((ask(&before).send().status, ask(&after).send().status), (200, 200));
    // What is said of the new one holds for the old one, which has nothing of its own.
    made(&gateway, "/key/update", json!({"key": new, "max_budget": 0.002}));
    assert_eq!((ask(&before).send().status, ask(&after).send().status), (422, 422));
    made(&gateway, "/key/block", json!({"key": new}));
    assert_eq!(ask(&before).send().status, 401);
    made(&gateway, "/key/unblock", json!({"key": new}));
    made(&gateway, "/key/update", json!({"key": new, "max_budget": 1}));
    assert_eq!(ask(&before).send().status, 200);
    let refused =
        gateway.client().post("/key/update").json(&json!({"key": old, "models": []})).send();
    assert_eq!(refused.status, 400, "{refused:?}");

    let third = made(&gateway, "/key/regenerate", json!({"key": new, "grace_period": "0s"}));
    assert_eq!(ask(&after).send().status, 401, "without a time it ends at once");
    assert_eq!(ask(&before).send().status, 401, "and what stood for it too");
    let third = holder(&gateway, third["key"].as_str().unwrap());
    assert_eq!(ask(&third).send().status, 200);
    let wrong = json!({"key": old, "grace_period": "soon"});
    let refused = gateway.client().post("/key/regenerate").json(&wrong).send();
    assert_eq!(refused.status, 400, "{refused:?}");
}

#[test]
fn a_key_of_the_file_belongs_to_the_team_and_the_user_that_it_names() {
    let provider = ten_tokens();
    let gateway = priced(&provider)
        .litellm("max_internal_user_budget: 0.002")
        .top(
            "key_settings:\n- {api_key: of-the-team, team: red}\n- {api_key: of-nobody, team: gone}\n\
             - {api_key: of-bob, user: bob}",
        )
        .start();
    let of_team = holder(&gateway, "of-the-team");
    assert_eq!(ask(&of_team).send().status, 200, "there is no such team yet");
    made(&gateway, "/team/new", json!({"team_id": "red", "max_budget": 0.002}));
    // What was spent before may be on its way to the ledger.
    let refused = (0..3).find_map(|_| Some(ask(&of_team).send()).filter(|it| it.status != 200));
    let refused = refused.expect("the team's money is spent");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.error_message().contains("Team=red"), "{refused:?}");
    made(&gateway, "/team/update", json!({"team_id": "red", "max_budget": 1, "models": ["none"]}));
    assert_eq!(ask(&of_team).send().error_code(), "model_access_denied");
    made(&gateway, "/team/block", json!({"team_id": "red"}));
    assert_eq!(ask(&of_team).send().status, 401);
    assert_eq!(ask(&holder(&gateway, "of-nobody")).send().status, 200);
    let of_bob = holder(&gateway, "of-bob");
    let answers = [(); 3].map(|()| ask(&of_bob).send().status);
    assert_eq!(answers, [200, 200, 422], "the budget of users without one is bob's");
    made(&gateway, "/user/new", json!({"user_id": "bob", "user_role": "proxy_admin"}));
    let managed = of_bob.post("/key/generate").json(&json!({})).send();
    assert_eq!(managed.status, 403, "a key of the file manages nothing: {managed:?}");
}

#[test]
fn end_users_are_the_same_however_they_are_written() {
    let provider = ten_tokens();
    let gateway = priced(&provider).litellm("max_end_user_budget: 0.001").start();
    let client = gateway.client();
    let (long, longer) = ("é".repeat(260), "é".repeat(300));
    for (first, second) in [("ada", " ada "), (&*longer, &*long)] {
        assert_eq!(ask(&client).set("user", first).send().status, 200);
        let refused = ask(&client).set("user", second).send();
        assert_eq!(refused.status, 422, "{refused:?}");
    }
}

#[test]
fn more_tags_than_are_counted_are_refused() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let tags = |count: usize| (0..count).map(|tag| tag.to_string()).collect::<Vec<_>>().join(", ");
    let sends = |tags: &str| ask(&gateway.client()).header("x-litellm-tags", tags).send();
    assert_eq!(sends(&tags(32)).status, 200);
    let refused = sends(&tags(33));
    assert_eq!((refused.status, &*refused.error_code()), (400, "too_many_tags"));
    let refused = sends(&"x".repeat(257));
    assert_eq!((refused.status, &*refused.error_code()), (400, "tag_too_long"));
}

#[test]
fn end_users_have_the_budget_that_is_named_for_them() {
    let provider = ten_tokens();
    let gateway = priced(&provider).litellm("max_end_user_budget_id: everybody").start();
    let client = gateway.client();
    let asks = |user: &str| ask(&client).set("user", user).send().status;
    assert_eq!(asks("eve"), 200, "there is no such budget yet");
    made(&gateway, "/budget/new", json!({"budget_id": "everybody", "max_budget": 0.002}));
    made(&gateway, "/customer/new", json!({"user_id": "joe", "max_budget": 0.003}));
    assert_eq!([asks("ada"), asks("ada"), asks("ada")], [200, 200, 422]);
    assert_eq!([asks("bob"), asks("bob"), asks("bob")], [200, 200, 422]);
    assert_eq!([(); 4].map(|()| asks("joe")), [200, 200, 200, 422]);
}

#[test]
fn a_deployment_without_money_is_passed_over() {
    let (one, two) = (ten_tokens(), upstream::openai().replies(chat("two").usage(5, 10)).start());
    let budget = format!("{PRICE}\nmax_budget: 0.002\nbudget_duration: 1d");
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&one).with(&budget).order(1).id("one"))
            .deployment(openai(&two).with(PRICE).order(2).id("two")),
    )
    .master_key(MASTER)
    .start();
    let client = gateway.client();
    eventually("the other one is called", || ask(&client).send().text() == "two");
    let paid = calls(&one);
    assert!(paid >= 2, "{paid}");
    for _ in 0..3 {
        assert_eq!(ask(&client).send().text(), "two");
    }
    assert_eq!(calls(&one), paid);
}

#[test]
fn a_tag_may_be_bound_to_models() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    made(&gateway, "/tag/new", json!({"name": "night", "models": ["other"]}));
    made(&gateway, "/tag/new", json!({"name": "day", "models": ["gpt"]}));
    let sends = |tag: &str| ask(&gateway.client()).header("x-litellm-tags", tag).send();
    let refused = sends("night");
    assert_eq!((refused.status, &*refused.error_code()), (403, "model_access_denied"));
    assert_eq!(refused.json()["error"]["type"], "tag_model_access_denied");
    assert_eq!((sends("day").status, sends("none").status), (200, 200));
}

#[test]
fn how_a_model_is_called_is_shown_to_operators() {
    let provider = ten_tokens();
    let more = "organization: acme\ntemperature: 0.5\nextra_body: {my_password: hidden}";
    let gateway = gateway::with(group("gpt").deployment(
        openai(&provider).with(PRICE).with(more).info("my_secret: hidden\nowner: ann"),
    ))
    .master_key(MASTER)
    .start();
    let client = holder(&gateway, &key(&gateway, json!({})));
    for path in ["/model/info", "/v2/model/info"] {
        let shown = client.get(path).json();
        let one = &shown["data"][0];
        let model = json!({"model": "openai/gpt-4o-mini", "custom_llm_provider": "openai"});
        assert_eq!(one["litellm_params"], model, "{path}");
        assert_eq!(one["model_info"]["owner"], "ann");
        let all = gateway.client().get(path).json();
        let params = &all["data"][0]["litellm_params"];
        assert!(
            params["api_base"].as_str().is_some_and(|base| base.contains("127.0.0.1")),
            "{all}"
        );
        assert_eq!(params["temperature"], 0.5);
        assert!(!format!("{shown}{all}").contains("hidden"), "{all}");
        assert!(one["model_info"]["input_cost_per_token"].is_number(), "{shown}");
    }
}
