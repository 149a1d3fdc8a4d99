//! Who is told when a budget is nearly used up.

use super::*;

#[test]
fn each_level_is_told_once_by_webhook_and_slack() {
    let provider = ten_tokens();
    let hook = mailbox_that_refuses(1, "503 Busy");
    let slack = mailbox_that_refuses(1, "503 Busy");
    let gateway = priced(&provider)
        .general("alerting: [webhook, slack]\nalert_types: [budget_alerts]")
        .variable("WEBHOOK_URL", &hook.url)
        .variable("SLACK_WEBHOOK_URL", &slack.url)
        .start();
    let watched = key(
        &gateway,
        json!({"key_alias": "ci", "max_budget": 0.01, "soft_budget": 0.004, "budget_duration": "1d"}),
    );
    let client = holder(&gateway, &watched);
    for _ in 0..12 {
        ask(&client).send();
    }
    let expected = ["soft_budget_crossed", "threshold_crossed", "budget_crossed"];
    eventually("all levels are told", || hook.letters().len() >= 3);
    let told = hook.letters();
    let events: Vec<_> = told.iter().map(|letter| letter["event"].as_str().unwrap()).collect();
    assert_eq!(events, expected, "{told:?}");
    assert_eq!(told[0]["key_alias"], "ci");
    assert_eq!(told[1]["threshold"], 0.85 + 0.05 * f64::from(told[1]["threshold"] == 0.95));
    eventually("Slack is told as well", || slack.letters().len() >= 3);
    let text = slack.letters()[0]["text"].as_str().unwrap().to_owned();
    assert!(text.contains("Message: Soft budget crossed: key ci (sk-"), "{text}");
    assert!(!text.contains(&watched), "{text}");
}

#[test]
fn an_event_says_whose_budget_it_is() {
    let provider = ten_tokens();
    let hook = mailbox();
    let gateway =
        priced(&provider).general("alerting: [webhook]").variable("WEBHOOK_URL", &hook.url).start();
    made(&gateway, "/user/new", json!({"user_id": "ada", "user_email": "ada@example.com"}));
    let team = json!({"team_id": "core", "team_alias": "Core", "max_budget": 0.005});
    made(&gateway, "/team/new", team);
    let member = json!({"role": "user", "user_id": "ada"});
    let member = json!({"team_id": "core", "member": member, "max_budget_in_team": 0.003});
    made(&gateway, "/team/member_add", member);
    let of_ada = json!({"key_alias": "hers", "user_id": "ada", "team_id": "core",
                        "max_budget": 0.002});
    let client = holder(&gateway, &key(&gateway, of_ada));
    let all = json!({"key_alias": "another", "user_id": "ada", "team_id": "core"});
    let another = holder(&gateway, &key(&gateway, all));
    (0..3).for_each(|_| drop(ask(&client).send()));
    (0..4).for_each(|_| drop(ask(&another).send()));
    let crossed = |group: &str| {
        eventually_some(group, || {
            let is_it = |letter: &Value| {
                letter["event_group"] == group && letter["event"] == "budget_crossed"
            };
            hook.letters().into_iter().find(is_it)
        })
    };
    let key = crossed("key");
    assert_eq!((&key["key_alias"], &key["team_alias"]), (&json!("hers"), &json!("Core")));
    assert_eq!((&key["user_id"], &key["user_email"]), (&json!("ada"), &json!("ada@example.com")));
    assert_eq!(key["token"].as_str().map(str::len), Some(64));
    let member = crossed("team_member");
    assert_eq!((&member["team_id"], &member["user_id"]), (&json!("core"), &json!("ada")));
    assert_eq!(member["team_alias"], "Core");
    assert_eq!(member["user_email"], "ada@example.com");
}
