//! What may be spent.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn a_key_without_money_calls_nobody() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let poor = key(&gateway, json!({"key_alias": "poor", "max_budget": 0.002}));
    let client = holder(&gateway, &poor);
    let first = ask(&client).send();
    assert_eq!(first.header("x-litellm-key-max-budget"), "0.002");
    assert_eq!(ask(&client).send().status, 200);
    let refused = ask(&client).send();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert_eq!(refused.json()["error"]["type"], "budget_exceeded");
    let message = refused.error_message();
    assert!(message.starts_with("Budget has been exceeded! Key=poor (sk-..."), "{message}");
    assert!(message.ends_with("Current cost: 0.002, Max budget: 0.002"), "{message}");
    assert_eq!(calls(&provider), 2);
}

#[test]
fn two_hundred_at_once_spend_no_more_than_there_is() {
    let provider = ten_tokens();
    let gateway = priced(&provider).start();
    let poor = key(&gateway, json!({"max_budget": 0.05}));
    let answered = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for _ in 0..200 {
            threads.spawn(|| {
                let reply = ask(&holder(&gateway, &poor)).send();
                match reply.status {
                    200 => drop(answered.fetch_add(1, Ordering::Relaxed)),
                    422 => {}
                    other => panic!("{other}: {reply:?}"),
                }
            });
        }
    });
    let answered = answered.into_inner();
    assert_eq!(answered, calls(&provider));
    assert!((40..=50).contains(&answered), "a thousandth each, of fifty: {answered}");
    // What was held for others is back: the rest can be spent one by one.
    let client = holder(&gateway, &poor);
    let rest = (0..=50).take_while(|_| ask(&client).send().status == 200).count();
    assert_eq!(answered + rest, 50, "all of it and not more");
}

#[test]
fn the_status_is_the_operators_choice_and_a_stream_is_paid() {
    let provider = upstream::openai().replies(stream(["a", "b"]).usage(5, 10)).start();
    let gateway = priced(&provider)
        .litellm("max_budget: 0.001\nbudget_duration: 30d\nbudget_exceeded_status_code: 402")
        .start();
    let client = gateway.client();
    let first = ask(&client).stream();
    assert_eq!((first.status, first.text().as_str()), (200, "ab"));
    eventually("the stream is paid", || ask(&client).stream().status == 402);
    let refused = ask(&client).send();
    assert!(refused.number("retry-after") > 0, "a new month comes: {refused:?}");
    let message = refused.error_message();
    assert!(message.starts_with("Budget has been exceeded! Current cost: 0.001"), "{message}");
}

#[test]
fn end_users_tags_and_models_have_budgets() {
    let provider = ten_tokens();
    let gateway = priced(&provider)
        .litellm(
            "max_end_user_budget: 0.001\ntag_budget_config:\n  ads: {budget_limit: 0.001, \
             time_period: 1d}",
        )
        .start();
    let client = gateway.client();
    assert_eq!(ask(&client).set("user", "ada").send().status, 200);
    let refused = ask(&client).set("user", "ada").send();
    let message = refused.error_message();
    assert!(message.starts_with("ExceededBudget: End User=ada over budget."), "{message}");
    assert_eq!(ask(&client).set("user", "bob").send().status, 200);

    assert_eq!(ask(&client).header("x-litellm-tags", "ads").send().status, 200);
    let refused = ask(&client).header("x-litellm-tags", "news,ads").send();
    assert!(refused.error_message().starts_with("Budget has been exceeded! Tag=ads"));
    assert_eq!(ask(&client).header("x-litellm-tags", "news").send().status, 200);

    let limit = json!({"gpt": {"budget_limit": 0.001, "time_period": "1d"}});
    let of_model = key(&gateway, json!({"model_max_budget": limit}));
    let client = holder(&gateway, &of_model);
    assert_eq!(ask(&client).send().status, 200);
    assert_eq!(ask(&client).send().status, 422);
}

#[test]
fn the_most_that_a_call_may_cost_is_held_while_it_runs() {
    let provider = upstream::openai()
        .first_replies([stream(["a", "b"]).stall_after(1)])
        .replies(chat("hello").usage(5, 10))
        .start();
    let gateway = priced(&provider).start();
    let poor = key(&gateway, json!({"max_budget": 0.005}));
    let client = holder(&gateway, &poor);
    let mut open = client.ask("gpt", "hi").set("max_tokens", 45).open();
    assert_eq!(open.next_text().as_deref(), Some("a"));
    let refused = ask(&client).send();
    assert_eq!(refused.status, 422);
    assert!(refused.error_message().contains("Held for requests under way: 0.0045"), "{refused:?}");
    drop(open);
    eventually("what was held is back", || ask(&client).send().status == 200);
}

#[test]
fn a_provider_without_money_is_passed_over() {
    let dear = ten_tokens();
    let other = upstream::anthropic().replies(chat("other").usage(5, 10)).start();
    let gateway = gateway::with(
        group("gpt")
            .deployment(openai(&dear).with(PRICE).order(1))
            .deployment(anthropic(&other).with(PRICE).order(2)),
    )
    .master_key(MASTER)
    .router("provider_budget_config: {openai: {budget_limit: 0.002, time_period: 1d}}")
    .start();
    let client = gateway.client();
    eventually("the other one is called", || ask(&client).send().text() == "other");
    let paid = calls(&dear);
    assert!(paid >= 2, "{paid}");
    for _ in 0..3 {
        assert_eq!(ask(&client).send().text(), "other");
    }
    assert_eq!(calls(&dear), paid);
}

#[test]
fn who_serves_without_money_says_until_when_as_far_as_that_is_known() {
    let provider = ten_tokens();
    let bound = |budget: &str| format!("{PRICE}\nmax_budget: 0.001{budget}");
    let gateway = gateway::with(
        group("year").deployment(openai(&provider).with(&bound("\nbudget_duration: 12mo"))),
    )
    .and(group("ever").deployment(openai(&provider).with(&bound(""))))
    .master_key(MASTER)
    .start();
    let until_refused = |model: &str| {
        let mut last = None;
        eventually("it is used up", || {
            let reply = gateway.client().ask(model, "hi").set("max_tokens", 10).send();
            let is_refused = reply.status == 429;
            last = Some(reply);
            is_refused
        });
        last.unwrap()
    };
    let year = until_refused("year");
    let now = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let next = jiff::civil::date(now.year() + 1, 1, 1).to_zoned(jiff::tz::TimeZone::UTC).unwrap();
    let left = next.timestamp().duration_since(now.timestamp()).as_secs().unsigned_abs();
    assert!(year.number("retry-after").abs_diff(left) < 60, "{left}: {year:?}");
    let ever = until_refused("ever");
    assert_eq!(ever.header("retry-after"), "", "nobody can tell: {ever:?}");
    assert!(!ever.error_message().contains("Try again"), "{ever:?}");
}
