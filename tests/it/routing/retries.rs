//! Further attempts in the same group: how many, after what wait, and no wait for nothing.

use std::thread;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::*;

/// The time between the first two requests of a provider.
fn wait_before_second(provider: &Upstream) -> Duration {
    let requests = provider.requests();
    requests[1].at - requests[0].at
}

#[test]
fn num_retries_counts_the_attempts_after_the_first() {
    let provider = failing(status(500));
    let group = |name: &str, params: &str| {
        group(name).deployment(openai(&provider).model(&format!("openai/{name}")).with(params))
    };
    let gateway = gateway::with(group("general", ""))
        .and(group("own", "num_retries: 0"))
        .router("num_retries: 1")
        .start();

    thread::scope(|scope| {
        for (model, header, body, retries) in [
            ("general", None, None, 1),
            ("own", None, None, 0),
            ("general", None, Some(0), 0),
            ("own", None, Some(2), 2),
            ("general", Some("0"), None, 0),
            // The header goes before the body.
            ("general", Some("0"), Some(2), 0),
        ] {
            let mut ask = gateway.client().ask(model, "hi");
            if let Some(header) = header {
                ask = ask.header("x-litellm-num-retries", header);
            }
            if let Some(body) = body {
                ask = ask.set("num_retries", body);
            }
            scope.spawn(move || {
                let reply = ask.send();
                assert_eq!(reply.status, 500);
                let told = reply.number("x-litellm-attempted-retries");
                assert_eq!(told, retries, "{model}, header {header:?}, body {body:?}");
            });
        }
    });
    assert_eq!(provider.request_count(), 6 + 1 + 2);
    let seen =
        provider.requests().iter().any(|request| request.json().get("num_retries").is_some());
    assert!(!seen, "the option is the gateway's own");
}

#[test]
fn the_headers_count_retries_and_fallbacks() {
    let flaky = upstream::openai().replies_in_turn([status(500), chat("at last")]).start();
    let (broken, backup) = (failing(status(500)), named("backup"));
    let gateway = gateway::with(group("flaky").deployment(&flaky))
        .and(group("broken").deployment(&broken))
        .and(group("backup").deployment(&backup))
        .router("num_retries: 1\nfallbacks: {broken: [backup]}")
        .start();
    let counts = |reply: &Reply| {
        ["retries", "fallbacks"].map(|what| reply.number(&format!("x-litellm-attempted-{what}")))
    };

    let retried = gateway.client().chat("flaky", "hi");
    assert_eq!((retried.text().as_str(), counts(&retried)), ("at last", [1, 0]));
    let fallen_back = gateway.client().chat("broken", "hi");
    assert_eq!((fallen_back.text().as_str(), counts(&fallen_back)), ("backup", [1, 1]));
    let plain = gateway.client().chat("backup", "hi");
    assert_eq!(counts(&plain), [0, 0]);
    let line = gateway.logged(fallen_back.request_id());
    assert_eq!((&line["retries"], &line["fallbacks"]), (&json!(1), &json!(1)));
}

#[test]
fn retry_policies_speak_for_a_kind_of_failure() {
    let provider = failing(status(500));
    let on =
        |name: &str| group(name).deployment(openai(&provider).model(&format!("openai/{name}")));
    let gateway = gateway::with(on("general"))
        .and(on("special"))
        .router(
            "num_retries: 3
retry_policy: {InternalServerErrorRetries: 0, BadRequestErrorRetries: 1, RateLimitErrorRetries: 1}
model_group_retry_policy: {special: {InternalServerErrorRetries: 1}}",
        )
        .start();
    let attempts = |model: &str, reply: mock::Reply, asked: Option<u32>| {
        provider.now_replies(reply);
        provider.forget();
        let ask = gateway.client().ask(model, "hi");
        asked.into_iter().fold(ask, |ask, number| ask.set("num_retries", number)).send();
        provider.request_count()
    };

    assert_eq!(attempts("general", status(500), None), 1);
    assert_eq!(attempts("special", status(500), None), 2, "the group's own goes first");
    assert_eq!(attempts("general", status(400), None), 2, "who writes a number wants it retried");
    assert_eq!(attempts("general", status(429), Some(0)), 1, "a request may ask for fewer");
    assert_eq!(attempts("general", status(429), Some(9)), 2, "but not for more");
}

#[test]
fn another_deployment_is_tried_without_a_wait() {
    let (broken, healthy) = (failing(status(500)), named("healthy"));
    let gateway = gateway::with(
        group("gpt").deployment(openai(&broken).order(1)).deployment(openai(&healthy).order(2)),
    )
    .router("retry_after: 5")
    .start();

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "healthy");

    let (first, second) = (broken.last_request().at, healthy.last_request().at);
    assert!(second - first < Duration::from_secs(5), "{:?}", second - first);
}

/// By the order of events: whoever waits for a retry is still waiting when all replies that have
/// nothing to wait for are there.
#[test]
fn nobody_waits_when_no_attempt_follows() {
    let (waiting, broken, healthy) = (failing(status(500)), failing(status(500)), named("healthy"));
    let on_broken = |model: &str| openai(&broken).model(&format!("openai/{model}"));
    let gateway = gateway::with(group("waiting").deployment(&waiting))
        .and(group("single").deployment(on_broken("single").with("num_retries: 0")))
        .and(group("falling").deployment(on_broken("falling").with("num_retries: 0")))
        .and(group("cooling").deployment(on_broken("cooling").with("num_retries: 0")))
        .and(group("healthy").deployment(&healthy))
        .router("num_retries: 1\nretry_after: 3\nfallbacks: {falling: [healthy]}")
        .start();
    let client = gateway.client();

    thread::scope(|scope| {
        let retried = scope.spawn(|| gateway.client().chat("waiting", "hi"));
        assert!(waiting.wait_for_requests(1, patience()));

        assert_eq!(client.chat("single", "hi").status, 500);
        assert_eq!(client.stream("single", "hi").status, 500);
        assert_eq!(client.chat("falling", "hi").text(), "healthy");
        broken.now_replies(status(429).retry_after(30));
        assert_eq!(client.chat("cooling", "hi").status, 429);
        assert_eq!(client.chat("cooling", "hi").error_code(), "all_deployments_in_cooldown");

        assert_eq!(waiting.request_count(), 1, "the one that does wait is still at it");
        assert_eq!(retried.join().unwrap().status, 500);
    });
    assert_eq!(waiting.request_count(), 2);
    assert!(wait_before_second(&waiting) >= Duration::from_secs(3));
}

/// The wait of the last attempt before a fallback would be as pointless as the one before an error.
#[test]
fn nobody_waits_between_the_last_attempt_and_the_fallback() {
    let (broken, backup) = (failing(status(500)), named("backup"));
    let gateway = gateway::with(group("broken").deployment(&broken))
        .and(group("backup").deployment(&backup))
        .router("num_retries: 1\nretry_after: 2\nfallbacks: {broken: [backup]}")
        .start();

    assert_eq!(gateway.client().chat("broken", "hi").text(), "backup");

    assert!(wait_before_second(&broken) >= Duration::from_secs(2));
    let after_last = backup.last_request().at - broken.last_request().at;
    assert!(after_last < Duration::from_secs(2), "{after_last:?}");
}

#[test]
fn a_retry_comes_when_the_provider_asked_for_it_in_whatever_form() {
    let google = json!({"error": {
        "code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"}]}});
    let forms = [
        ("seconds", 1000, status(429).retry_after(1)),
        ("fractional seconds", 1100, status(429).retry_after(1.1)),
        ("milliseconds", 1200, status(429).header("retry-after-ms", "1200")),
        // Our own back-off takes its place.
        ("zero", 500, status(429).retry_after(0)),
        ("RetryInfo", 1200, status(429).body("application/json", google.to_string())),
        ("words", 1100, status(429).json_error("rate_limit_exceeded", "Please try again in 1.1s.")),
        ("a reset", 1000, status(429).header("x-ratelimit-reset-requests", "1s")),
        ("503", 1000, status(503).retry_after(1)),
    ];
    let providers = forms.map(|(form, least_ms, reply)| {
        let provider = upstream::openai().replies_in_turn([reply, chat("hello")]).start();
        (form, Duration::from_millis(least_ms), provider)
    });
    let mut builder = gateway::empty();
    for (form, _, provider) in &providers {
        builder = builder.and(group(form).deployment(provider));
    }
    let gateway = builder.start();

    thread::scope(|scope| {
        for (form, least, provider) in &providers {
            let client = gateway.client();
            scope.spawn(move || {
                assert_eq!(client.chat(form, "hi").text(), "hello", "{form}");
                let waited = wait_before_second(provider);
                assert!(waited >= *least, "{form}: {waited:?}");
                assert!(waited < *least + Duration::from_secs(10), "{form}: {waited:?}");
            });
        }
    });
}

#[test]
fn a_retry_comes_at_the_date_that_the_provider_named() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(4));
    let not_yet = status(429).retry_after(&date);
    let provider = upstream::openai().replies_in_turn([not_yet, chat("hello")]).start();
    let gateway = gateway::with(group("gpt").deployment(&provider)).start();

    assert_eq!(gateway.client().chat("gpt", "hi").text(), "hello");

    let again = SystemTime::now() - provider.last_request().at.elapsed();
    assert!(again >= httpdate::parse_http_date(&date).unwrap(), "{again:?}, {date}");
    assert_eq!(provider.request_count(), 2);
}

#[test]
fn a_wait_that_is_too_long_is_not_begun() {
    let provider = failing(status(429).retry_after(30));
    let on =
        |name: &str| group(name).deployment(openai(&provider).model(&format!("openai/{name}")));
    let beyond_the_cap = gateway::with(on("gpt")).router("max_retry_after: 20").start();
    let beyond_the_deadline = gateway::with(on("gpt")).general("total_timeout: 20").start();

    for gateway in [beyond_the_cap, beyond_the_deadline] {
        provider.forget();
        let reply = gateway.client().chat("gpt", "hi");
        // Had it waited, the deadline would have been the reason.
        assert_eq!((reply.status, reply.error_code().as_str()), (429, "rate_limit_exceeded"));
        assert_eq!(reply.header("retry-after"), "30", "the client hears what the provider said");
        assert_eq!(provider.request_count(), 1);
    }
}

#[test]
fn a_provider_may_say_whether_a_retry_makes_sense() {
    let provider = failing(status(500));
    let gateway =
        gateway::with(group("gpt").deployment(&provider)).router("num_retries: 1").start();
    for (code, word, attempts) in [(500, "false", 1), (500, "true", 2), (400, "true", 2)] {
        provider.now_replies(status(code).header("x-should-retry", word));
        provider.forget();
        let reply = gateway.client().chat("gpt", "hi");
        assert_eq!((reply.status, reply.header("x-should-retry")), (code, word));
        assert_eq!(provider.request_count(), attempts, "{code}, x-should-retry: {word}");
    }
}

#[test]
fn a_request_that_was_told_to_leave_in_the_middle_of_a_wait_makes_no_further_attempt() {
    let provider = failing(status(500));
    let gateway = gateway::with(group("gpt").deployment(&provider))
        .router("num_retries: 1\nretry_after: 1")
        .start();
    let mut connection = raw::connect(&gateway);
    let body = br#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}"#;
    connection.send(raw::post("/v1/chat/completions", body));
    assert!(provider.wait_for_requests(1, patience()));

    drop(connection);

    let line = eventually_some("the line of the access log", || {
        gateway.access_log().into_iter().find(|line| line["model"] == "gpt")
    });
    assert_eq!((&line["status"], &line["client_disconnected"]), (&json!(499), &json!(true)));
    assert_eq!(provider.request_count(), 1);
}
