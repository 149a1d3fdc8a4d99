//! Copies of requests for a `silent_model`.

use std::time::Duration;

use serde_json::Value;

use crate::harness::*;

fn shadowed(seen: &Upstream, silent: &Upstream) -> gateway::Builder {
    gateway::with(group("gpt").deployment(openai(seen).id("seen").with("silent_model: trial")))
        .and(group("trial").deployment(openai(silent).model("openai/gpt-4.1").id("silent")))
}

/// The line that the gateway logged for the copy.
fn shadow_line(gateway: &Gateway, id: &str) -> Value {
    let line = gateway.logged(&format!("{id}.shadow"));
    assert_eq!((&line["shadow"], &line["call_id"]), (&true.into(), &id.into()), "{line}");
    line
}

#[test]
fn a_copy_is_sent_and_nothing_of_it_is_seen() {
    let seen = upstream::openai().replies(chat("the answer")).start();
    let silent = upstream::openai().replies(chat("another").usage(7, 3)).start();
    let gateway = shadowed(&seen, &silent).start();

    let reply = gateway.client().ask("gpt", "what?").set("temperature", 0.5).send();
    assert_eq!(reply.text(), "the answer");
    assert_eq!(reply.header("x-litellm-model-id"), "seen");
    let line = shadow_line(&gateway, reply.request_id());
    assert_eq!(line["deployment"], "silent", "{line}");
    assert_eq!(line["usage"]["output_tokens"], 3, "{line}");
    assert_eq!(line["status"], 200);
    let (asked, copy) = (seen.last_request().json(), silent.last_request().json());
    assert_eq!(asked["messages"], copy["messages"]);
    assert_eq!((&copy["model"], &copy["temperature"]), (&"gpt-4.1".into(), &0.5.into()));

    let stream = gateway.client().stream("gpt", "what?");
    assert_eq!(stream.text(), "the answer");
    let line = shadow_line(&gateway, stream.request_id());
    assert_eq!((&line["stream"], &line["status"]), (&true.into(), &200.into()), "{line}");
    assert!(gateway.logged(stream.request_id())["shadow"].is_null());
}

#[test]
fn a_copy_that_fails_or_hangs_harms_nobody() {
    let seen = upstream::openai().replies(chat("the answer")).start();
    let silent = upstream::openai().replies(status(500)).start();
    let gateway = shadowed(&seen, &silent).start();

    let reply = gateway.client().chat("gpt", "hi");
    assert_eq!((reply.status, reply.text().as_str()), (200, "the answer"));
    assert_eq!(reply.header("x-litellm-attempted-retries"), "0");
    let line = shadow_line(&gateway, reply.request_id());
    assert_eq!((&line["status"], &line["error"]), (&500.into(), &"server".into()), "{line}");
    assert_eq!(silent.request_count(), 1, "a copy is not retried");

    silent.now_replies(chat("late").latency(Duration::from_secs(600)));
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "the answer");
}

#[test]
fn the_copy_of_a_copy_is_not_sent() {
    let upstream = upstream::openai().replies(chat("yes")).start();
    let gateway =
        gateway::with(group("a").deployment(openai(&upstream).id("a1").with("silent_model: b")))
            .and(group("b").deployment(openai(&upstream).id("b1").with("silent_model: a")))
            .start();
    let reply = gateway.client().chat("a", "hi");
    shadow_line(&gateway, reply.request_id());
    assert_eq!(upstream.request_count(), 2);
}
