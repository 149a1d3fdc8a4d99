//! Where alerts go, and where they cannot.

use std::fs;
use std::time::{Duration, Instant};

use super::*;

fn broken() -> (Upstream, Builder) {
    let broken = upstream::openai().replies(status(500)).start();
    let gateway = on(&broken);
    (broken, gateway)
}

/// A gateway on a broken provider.
fn on(broken: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(broken)))
        .and(group("other").deployment(openai(broken).id("another")))
        .router("num_retries: 0\ndisable_cooldowns: true")
}

#[test]
fn a_kind_may_have_addresses_of_its_own_and_a_reload_changes_them() {
    let provider = upstream::openai().replies(status(500)).start();
    let boxes = [mailbox(), mailbox(), mailbox()];
    let gateway =
        || telling(on(&provider).master_key("sk-of-the-tests-1234"), "llm_exceptions", &boxes[2]);
    let own = format!("['{}', '{}']", boxes[0].url, boxes[1].url);
    let own = format!("alert_to_webhook_url: {{llm_exceptions: {own}}}");
    let running = gateway().general(&own).start();
    running.client().chat("gpt", "hi");
    let told = |index: usize| boxes[index].letters().len();
    eventually("both are told", || told(0) == 1 && told(1) == 1);
    assert_eq!(told(2), 0);

    fs::write(running.config_path(), gateway().yaml()).unwrap();
    let reply = running.client().post("/config/reload").send();
    assert_eq!(reply.status, 200, "{}", reply.body_text());
    running.client().chat("other", "hi");
    eventually("the usual one is told now", || told(2) == 1);
    assert_eq!((told(0), told(1)), (1, 1));
    assert!(!running.messages().contains("/services/hook"), "addresses are secrets");
}

#[test]
fn a_slack_that_is_away_holds_up_nobody() {
    let (_provider, gateway) = broken();
    let well = upstream::openai().replies(chat("hello")).start();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{nobody}/services/T0/secret");
    let gateway = gateway
        .and(group("well").deployment(openai(&well)))
        .general("alerting: [slack]")
        .variable("SLACK_WEBHOOK_URL", &url)
        .start();
    gateway.client().chat("gpt", "hi");
    let failed = r#"tollgate_alerts_total{result="failed",type="llm_exceptions"}"#;
    eventually("it is tried", || {
        let began = Instant::now();
        assert_eq!(gateway.client().chat("well", "hi").text(), "hello");
        assert!(began.elapsed() < Duration::from_secs(5));
        metric(&gateway, failed) == Some(1.0)
    });
    let message = gateway.wait_for_message("an alert was not delivered");
    assert!(!message.contains("secret"), "{message}");
}

#[test]
fn an_address_that_is_refused_is_not_tried_again() {
    // Nor is one that sends people elsewhere: who goes there finds a page that takes no letters.
    for refusal in ["404 Not Found", "302 Found\r\nlocation: /login"] {
        let (_provider, gateway) = broken();
        let slack = mailbox_that_refuses(1, refusal);
        let gateway = telling(gateway, "llm_exceptions", &slack).start();
        gateway.client().chat("gpt", "hi");
        let message = gateway.wait_for_message("an alert was not delivered");
        assert!(refusal.get(..3).is_some_and(|status| message.contains(status)), "{message}");
        assert!(slack.letters().is_empty());
    }
}

#[test]
fn what_one_gateway_tells_for_all_is_tried_for_longer() {
    let (_provider, gateway) = broken();
    let slack = mailbox_that_refuses(6, "503 Busy\r\nretry-after: 0");
    let gateway = telling(gateway, "outage_alerts", &slack).start();
    for _ in 0..5 {
        gateway.client().chat("gpt", "hi");
    }
    eventually("it is told in the end", || slack.texts("Minor service outage").len() == 1);
}

#[test]
fn slack_among_the_callbacks_is_alerting() {
    let (_provider, gateway) = broken();
    let slack = mailbox();
    let gateway = gateway
        .litellm("failure_callback: [slack]")
        .variable("SLACK_WEBHOOK_URL", &slack.url)
        .start();
    gateway.client().chat("gpt", "hi");
    eventually("it is told", || !slack.texts("Requests fail").is_empty());
}
