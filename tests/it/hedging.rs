//! A second attempt beside one that takes long to begin.

use std::time::Duration;

use serde_json::Value;

use crate::harness::raw;
use crate::harness::*;

/// More than so many answers must be known before a percentile means anything.
const LEARNED: usize = 25;

/// A gateway that calls `a` first and has learned that it is fast.
fn hedging(a: &Upstream, b: &Upstream, budget: f64) -> Gateway {
    let priced = "input_cost_per_token: 0.001\noutput_cost_per_token: 0.01";
    let (a, b) = (openai(a).id("a").order(1), openai(b).id("b").order(2));
    let gateway = gateway::with(group("gpt").deployment(a.with(priced)).deployment(b.with(priced)))
        .router(&format!("hedging: {{after: 30ms, budget: {budget}}}"))
        .start();
    for _ in 0..LEARNED {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "from a");
    }
    gateway
}

fn attempts(line: &Value) -> Vec<(&str, &str)> {
    let attempts = line["attempts"].as_array().expect("more than one attempt was made");
    let pairs = attempts.iter().map(|it| (it["deployment"].as_str(), it["outcome"].as_str()));
    pairs.map(|(deployment, outcome)| (deployment.unwrap(), outcome.unwrap())).collect()
}

#[test]
fn the_first_to_begin_answers_and_the_other_is_given_up() {
    let a = upstream::openai().replies(chat("from a")).start();
    let b = upstream::openai().replies(chat("from b").usage(10, 5)).start();
    let gateway = hedging(&a, &b, 1.0);
    a.now_replies(never_answers());

    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!(reply.text(), "from b");
    assert_eq!(reply.header("x-litellm-model-id"), "b");
    assert!(a.wait_for_disconnect(patience()).is_some(), "the slow one is given up");
    let line = gateway.logged(reply.request_id());
    assert_eq!(attempts(&line), [("a", "cancelled"), ("b", "success")], "{line}");
    assert!(line["usage"]["input_tokens"].as_u64() > Some(10), "both were asked: {line}");
    assert!(line["cost_usd"].as_f64() > Some(10.0 * 0.001 + 5.0 * 0.01), "{line}");

    // A stream that has begun but says nothing is slow as well.
    a.now_replies(stream(["from ", "a"]).stall_after(Point::Preamble));
    let stream = gateway.client().stream("gpt", "hi");
    assert_eq!(stream.text(), "from b");
    assert!(stream.ended_with_done && stream.error.is_none());
    assert_eq!(gateway.cooling("gpt"), 0, "to be slower is no failure");
}

#[test]
fn the_first_attempt_may_still_win_and_the_second_may_fail() {
    let a = upstream::openai().replies(chat("from a")).start();
    let b = upstream::openai().replies(chat("from b")).start();
    let gateway = hedging(&a, &b, 1.0);

    a.now_replies(chat("from a").latency(Duration::from_millis(1_500)));
    b.now_replies(status(500));
    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!(reply.text(), "from a");
    let line = gateway.logged(reply.request_id());
    assert_eq!(attempts(&line), [("b", "server"), ("a", "success")], "{line}");

    a.now_replies(chat("from a").latency(Duration::from_millis(1_500)));
    b.now_replies(never_answers());
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "from a");
}

#[test]
fn the_second_attempt_answers_when_the_first_fails_in_the_end() {
    let a = upstream::openai().replies(chat("from a")).start();
    let b = upstream::openai().replies(chat("from b")).start();
    let gateway = hedging(&a, &b, 1.0);
    a.now_replies(status(500).latency(Duration::from_millis(1_000)));
    b.now_replies(chat("from b").latency(Duration::from_millis(1_500)));

    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!(reply.text(), "from b");
    assert_eq!(b.request_count(), 1, "it is not asked twice");
    let line = gateway.logged(reply.request_id());
    assert_eq!(attempts(&line), [("a", "server"), ("b", "success")], "{line}");
}

#[test]
fn the_budget_keeps_company_the_exception() {
    let a = upstream::openai().replies(chat("from a")).start();
    let b = upstream::openai().replies(chat("from b")).start();
    let gateway = hedging(&a, &b, 0.01);
    a.now_replies(chat("from a").latency(Duration::from_millis(1_000)));

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "from b", "there is always one");
    for _ in 0..3 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "from a");
    }
    assert_eq!(b.request_count(), 1);
}

#[test]
fn a_client_that_leaves_ends_both() {
    let a = upstream::openai().replies(chat("from a")).start();
    let b = upstream::openai().replies(never_answers()).start();
    let gateway = hedging(&a, &b, 1.0);
    a.now_replies(never_answers());

    let mut connection = raw::connect(&gateway);
    let body = r#"{"model":"gpt","messages":[{"role":"user","content":"hi"}]}"#;
    connection.send(raw::post("/v1/chat/completions", body.as_bytes()));
    assert!(b.wait_for_requests(1, patience()));
    drop(connection);
    assert!(a.wait_for_disconnect(patience()).is_some());
    assert!(b.wait_for_disconnect(patience()).is_some());
}
