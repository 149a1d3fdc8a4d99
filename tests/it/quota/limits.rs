//! Requests, tokens and requests at one time.

use super::*;

#[test]
fn a_key_at_its_limit_is_refused_and_told_when_to_come_back() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let limited = key(&gateway, json!({"rpm_limit": 2, "tpm_limit": 1000}));
    let client = holder(&gateway, &limited);
    let first = ask(&client).send();
    assert_eq!(first.status, 200, "{first:?}");
    assert_eq!(first.number("x-ratelimit-api_key-limit-requests"), 2);
    assert_eq!(first.number("x-ratelimit-api_key-remaining-requests"), 1);
    assert_eq!(first.number("x-ratelimit-api_key-limit-tokens"), 1000);
    assert_eq!(first.number("x-litellm-key-rpm-limit"), 2);
    assert_eq!(ask(&client).send().status, 200);
    for _ in 0..3 {
        let refused = ask(&client).send();
        assert_eq!(refused.status, 429, "{refused:?}");
        assert!((55..=61).contains(&refused.number("retry-after")), "{refused:?}");
        assert_eq!(refused.header("rate_limit_type"), "requests");
        assert_eq!(refused.number("x-ratelimit-api_key-remaining-requests"), 0);
        assert_eq!(refused.json()["error"]["type"], "throttling_error");
        let message = refused.error_message();
        assert!(message.starts_with("Rate limit exceeded for api_key: "), "{message}");
        assert!(message.contains("Limit type: requests. Current limit: 2, Remaining: 0."));
    }
    assert_eq!(calls(&provider), 2, "a refused request calls nobody");
    let other = key(&gateway, json!({}));
    assert_eq!(ask(&holder(&gateway, &other)).send().status, 200);
}

#[test]
fn who_may_never_call_is_not_told_to_come_back() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    for (what, prompt) in [
        (json!({"rpm_limit": 0}), "hi".to_owned()),
        (json!({"tpm_limit": 0}), "hi".to_owned()),
        (json!({"tpm_limit": 50}), "word ".repeat(500)),
        (json!({"max_parallel_requests": 0}), "hi".to_owned()),
    ] {
        let client = holder(&gateway, &key(&gateway, what.clone()));
        let refused = client.ask("gpt", &prompt).set("max_tokens", 10).send();
        assert_eq!(
            (refused.status, refused.header("retry-after")),
            (429, ""),
            "{what}: {refused:?}"
        );
        assert!(!refused.error_message().contains("resets at"), "{what}: {refused:?}");
    }
    assert_eq!(calls(&provider), 0);
}

#[test]
fn tokens_are_reserved_before_and_settled_after() {
    let provider = upstream::openai().replies(chat("hello").usage(50, 50)).start();
    let gateway = priced(&provider).start();
    let limited = key(&gateway, json!({"tpm_limit": 1000}));
    let client = holder(&gateway, &limited);
    // Each reserves some 900 and uses 100.
    for turn in 0..2 {
        let reply = client.ask("gpt", "hi").set("max_tokens", 800).send();
        assert_eq!(reply.status, 200, "turn {turn}: {reply:?}");
    }
    let refused = client.ask("gpt", "hi").set("max_tokens", 900).send();
    assert_eq!((refused.status, refused.header("rate_limit_type")), (429, "tokens"));
    assert_eq!(client.ask("gpt", "hi").set("max_tokens", 500).send().status, 200);
}

#[test]
fn who_waits_for_a_reply_holds_a_place_and_gives_it_back_by_leaving() {
    let provider = upstream::openai()
        .first_replies([stream(["a", "b"]).stall_after(1)])
        .replies(chat("hello"))
        .start();
    let gateway = priced(&provider).start();
    let limited = key(&gateway, json!({"max_parallel_requests": 1}));
    let client = holder(&gateway, &limited);
    let mut open = ask(&client).open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let refused = ask(&client).send();
    assert_eq!((refused.status, refused.header("rate_limit_type")), (429, "max_parallel_requests"));
    drop(open);
    eventually("the place is free again", || ask(&client).send().status == 200);
    for _ in 0..20 {
        let reply = ask(&client.own_connections()).send();
        assert_eq!(reply.status, 200, "one after the other: {reply:?}");
    }
}

#[test]
fn the_smallest_of_all_limits_holds_and_the_others_are_not_charged() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let user = made(&gateway, "/user/new", json!({"user_id": "ada", "rpm_limit": 3}));
    assert_eq!(user["user_id"], "ada");
    let members = json!([{"user_id": "ada", "role": "user"}]);
    let team = json!({"team_alias": "core", "rpm_limit": 1, "members_with_roles": members});
    let team = made(&gateway, "/team/new", team);
    let of_team = key(&gateway, json!({"team_id": team["team_id"], "user_id": "ada"}));
    let own = key(&gateway, json!({"user_id": "ada"}));
    assert_eq!(ask(&holder(&gateway, &of_team)).send().status, 200);
    for _ in 0..5 {
        let refused = ask(&holder(&gateway, &of_team)).send();
        let message = refused.error_message();
        assert!(message.starts_with("Rate limit exceeded for team: "), "{message}");
    }
    let second = ask(&holder(&gateway, &own)).send();
    assert_eq!(second.number("x-ratelimit-user-remaining-requests"), 1, "{second:?}");
}

#[test]
fn a_model_of_a_key_has_a_limit_of_its_own() {
    let provider = ten_tokens();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
        .and(group("other").deployment(openai(&provider)))
        .master_key(MASTER)
        .start();
    let limited = key(&gateway, json!({"model_rpm_limit": {"gpt": 1}}));
    let client = holder(&gateway, &limited);
    assert_eq!(ask(&client).send().status, 200);
    let refused = ask(&client).send();
    assert!(refused.error_message().contains("model_per_key"), "{refused:?}");
    assert_eq!(client.chat("other", "hi").status, 200);
}

#[test]
fn a_model_of_a_team_has_one_limit_for_all_its_keys() {
    let provider = ten_tokens();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)))
        .and(group("other").deployment(openai(&provider)))
        .master_key(MASTER)
        .start();
    let master = holder(&gateway, MASTER);
    for body in [
        json!({"team_id": "said", "model_rpm_limit": {"gpt": 1}}),
        json!({"team_id": "kept", "metadata": {"model_rpm_limit": {"gpt": 1}, "floor": 3}}),
    ] {
        let made = master.post("/team/new").json(&body).send();
        assert_eq!(made.status, 200, "{made:?}");
        let metadata = &made.json()["metadata"];
        assert_eq!(metadata["model_rpm_limit"], json!({"gpt": 1}), "where LiteLLM shows it");
        let team = json!({"team_id": body["team_id"]});
        let keys = [key(&gateway, team.clone()), key(&gateway, team)];
        let [first, second] = keys.each_ref().map(|key| holder(&gateway, key));
        assert_eq!(ask(&first).send().status, 200);
        let refused = ask(&second).send();
        assert!(refused.error_message().contains("model_per_team"), "{refused:?}");
        assert_eq!(second.chat("other", "hi").status, 200);
    }
}

#[test]
fn what_fails_keeps_no_tokens_and_no_place() {
    let provider = upstream::openai().replies(status(500)).start();
    let gateway = priced(&provider).router("num_retries: 0\ndisable_cooldowns: true").start();
    let limited = key(
        &gateway,
        json!({"rpm_limit": 3, "tpm_limit": 1000, "max_parallel_requests": 1, "max_budget": 0.001}),
    );
    let client = holder(&gateway, &limited);
    for _ in 0..3 {
        let failed = client.ask("gpt", "hi").set("max_tokens", 900).send();
        assert_eq!(failed.status, 500, "neither tokens nor money are gone: {failed:?}");
    }
    let refused = ask(&client).send();
    assert_eq!(refused.header("rate_limit_type"), "requests", "but it was called three times");
}

#[test]
fn requests_that_are_passed_as_they_are_count_as_well() {
    let provider = ten_tokens();
    let target = provider.url();
    let gateway = priced(&provider)
        .general(&format!(
            "pass_through_endpoints:\n  - {{path: /mine, target: \"{target}\", include_subpath: true}}"
        ))
        .start();
    let limited = key(&gateway, json!({"rpm_limit": 1}));
    let client = holder(&gateway, &limited);
    let asked = || {
        let body = json!({"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]});
        client.post("/mine/v1/chat/completions").json(&body).send()
    };
    let first = asked().status;
    assert_eq!(first, 200);
    assert_eq!(asked().status, 429);
}
