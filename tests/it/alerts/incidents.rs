//! What goes wrong with requests, deployments and stores.

use std::time::Duration;

use super::*;

/// How many failures a text stands for.
fn count(text: &str) -> u64 {
    let times = text.split(" times within").next().filter(|head| head.len() < text.len());
    times.map_or(1, |head| head.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn failures_of_a_provider_are_one_message_with_a_count() {
    let broken = upstream::openai().replies(status(500)).start();
    let slack = mailbox_that_refuses(1, "429 Slow Down");
    let gateway = gateway::with(group("gpt").deployment(openai(&broken).id("east")));
    let gateway = telling(gateway, "llm_exceptions", &slack)
        .router("num_retries: 0\ndisable_cooldowns: true")
        .variable("PROXY_BASE_URL", "https://llm.example/<x>")
        .start();
    assert_eq!(gateway.client().chat("unknown", "hi").status, 404);
    assert_eq!(gateway.client().post("/v1/chat/completions").bytes("{").send().status, 400);
    let asked: Vec<_> = (0..5).map(|_| gateway.client().chat("gpt", "a secret prompt")).collect();
    assert!(asked.iter().all(|reply| reply.status >= 500));
    eventually("all are told", || slack.texts("fail").iter().map(|it| count(it)).sum::<u64>() == 5);
    let letters = slack.letters();
    assert!(letters.len() <= 2, "they came within seconds: {letters:?}");
    let text = letters.last().unwrap()["text"].as_str().unwrap();
    assert!(text.starts_with("Level: `High`\nTimestamp: `20"), "{text}");
    assert!(text.contains("*Requests fail*: `gpt`, `server` (status 500)"), "{text}");
    assert!(text.contains("*Deployment:* `east` (`openai` `"), "{text}");
    assert!(text.contains(asked.last().unwrap().request_id()), "{text}");
    assert!(text.ends_with("Proxy URL: `https://llm.example/&lt;x&gt;`"), "{text}");
    assert!(!text.contains("secret") && !text.contains("sk-"), "{text}");
    let sent = metric(&gateway, r#"tollgate_alerts_total{result="sent",type="llm_exceptions"}"#);
    assert_eq!(sent, Some(letters.len() as f64));
}

#[test]
fn slow_and_hanging_requests_are_told() {
    let slow = upstream::openai().replies(chat("at last").latency(Duration::from_secs(3))).start();
    let quick = upstream::openai().replies(chat("hello")).start();
    let slack = mailbox();
    let gateway = gateway::with(group("slow").deployment(openai(&slow)));
    let gateway = telling(
        gateway.and(group("quick").deployment(openai(&quick))),
        "llm_too_slow, llm_requests_hanging",
        &slack,
    );
    let gateway = gateway.general("alerting_threshold: 1").start();
    assert_eq!(gateway.client().chat("quick", "hi").text(), "hello");
    let reply = gateway.client().chat("slow", "hi");
    assert_eq!(reply.text(), "at last");
    eventually("that it took long is told", || !slack.texts("Responses are slow").is_empty());
    let text = slack.texts("Responses are slow").remove(0);
    assert!(text.contains("`slow` took 3") && text.contains("more than 1 s"), "{text}");
    assert!(text.contains(reply.request_id()), "{text}");
    let hanging = slack.texts("Requests are hanging");
    assert_eq!(hanging.len(), 1, "it was told while it hung: {:?}", slack.letters());
    assert!(hanging[0].contains(reply.request_id()), "{hanging:?}");
    assert!(slack.texts("quick").is_empty());
}

#[test]
fn a_stream_that_goes_on_does_not_hang() {
    let words = ["one ", "two ", "three ", "four"];
    let provider =
        upstream::openai().replies(stream(words).gap(Duration::from_millis(700))).start();
    let slack = mailbox();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)));
    let gateway = telling(gateway, "llm_too_slow, llm_requests_hanging", &slack)
        .general("alerting_threshold: 1")
        .start();
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "one two three four");
    eventually("it was slow all the same", || !slack.texts("Responses are slow").is_empty());
    assert!(slack.texts("hanging").is_empty(), "{:?}", slack.letters());
}

#[test]
fn rests_and_outages_are_told_with_their_reason() {
    let broken = upstream::openai().replies(status(503)).start();
    let slack = mailbox();
    let deployment = |id: &str| openai(&broken).id(id).with("region_name: eu-west");
    let both = group("gpt").deployment(deployment("one")).deployment(deployment("two"));
    let kinds = "cooldown_deployment, outage_alerts, region_outage_alerts";
    let args = "alerting_args: {minor_outage_alert_threshold: 2, major_outage_alert_threshold: 4}";
    let gateway = telling(gateway::with(both), kinds, &slack)
        .general(args)
        .router("num_retries: 3\nallowed_fails: 1\ncooldown_time: 7")
        .start();
    for _ in 0..4 {
        assert!(gateway.client().chat("gpt", "hi").status >= 429);
    }
    eventually("both rests are told", || slack.texts("A deployment rests").len() >= 2);
    let rests = slack.texts("A deployment rests");
    assert!(rests.iter().all(|text| text.contains("after `overloaded` (status 503)")), "{rests:?}");
    assert!(rests.iter().any(|text| text.contains("rests* for ")), "{rests:?}");
    eventually("the region is out", || !slack.texts("*Region:* `eu-west`").is_empty());
    let outages = slack.texts("service outage");
    assert!(outages.iter().any(|text| text.contains("*Deployment:* `one`")), "{outages:?}");
    assert!(outages.iter().all(|text| text.contains("*Errors:*")), "{outages:?}");
    assert!(slack.texts("Requests fail").is_empty(), "nobody asked for that");
}

#[test]
fn a_redis_that_goes_and_comes_back_is_told() {
    let provider = upstream::openai().replies(chat("hello")).start();
    let mut redis = Redis::start();
    let slack = mailbox();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider)));
    let gateway = telling(gateway, "db_exceptions", &slack)
        .litellm(&format!("cache: false\ncache_params: {{type: redis, url: '{}'}}", redis.url()))
        .start();
    eventually("it is met", || metric(&gateway, "tollgate_limits_shared") == Some(1.0));
    redis.stop();
    eventually("that it is away is told", || !slack.texts("Redis does not answer").is_empty());
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");
    redis.restart();
    eventually("that it is back is told", || !slack.texts("Redis is back").is_empty());
    assert_eq!(slack.letters().len(), 2, "{:?}", slack.letters());
}
