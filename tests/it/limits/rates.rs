//! Requests and tokens per minute.

use super::*;

#[test]
fn traffic_moves_to_another_provider_near_the_limit() {
    let openai_provider = named("openai");
    let other = upstream::anthropic().replies(chat("anthropic")).start();
    // The seed's section, with limits that a test can reach.
    let gateway =
        gateway::with(group("gpt").deployment(&openai_provider).deployment(anthropic(&other)))
            .top(
                "rate_limit_settings:\n  openai:\n    max_requests_per_minute: 20\n    \
         max_tokens_per_minute: 90000\n  anthropic:\n    max_requests_per_minute: 4000\n    \
         max_tokens_per_minute: 400000",
            )
            .start();
    let client = gateway.client();
    for _ in 0..100 {
        assert_eq!(client.chat("gpt", "hi").status, 200, "no request is refused");
    }
    assert_eq!(calls(&openai_provider), 18, "nine tenths of its limit");
    assert_eq!(calls(&other), 82);
    assert_eq!(client.chat("gpt", "hi").text(), "anthropic");
}

#[test]
fn near_the_token_limit_as_well() {
    let greedy = upstream::openai().replies(chat("openai").usage(1_000, 500)).start();
    let other = upstream::anthropic().replies(chat("anthropic")).start();
    let gateway = gateway::with(
        group("gpt").deployment(openai(&greedy).order(1)).deployment(anthropic(&other).order(2)),
    )
    .top("rate_limit_settings: {openai: {max_tokens_per_minute: 10000}}")
    .start();
    let client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    let calls = calls(&greedy);
    assert!((6..=7).contains(&calls), "1500 tokens each, of 10000: {calls}");
}

#[test]
fn a_deployment_at_its_limit_is_not_called_and_the_client_learns_when() {
    let provider = named("one");
    let gateway = gateway::with(group("gpt").deployment(openai(&provider).with("rpm: 2"))).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").text(), "one");
    assert_eq!(client.chat("gpt", "hi").text(), "one");
    for _ in 0..3 {
        let refused = client.chat("gpt", "hi");
        assert_eq!(
            (refused.status, refused.error_code().as_str()),
            (429, "deployments_at_rate_limit")
        );
        assert!((55..=61).contains(&refused.number("retry-after")), "{refused:?}");
        let message = refused.error_message();
        assert!(message.starts_with("No deployments available for selected model"), "{message}");
    }
    assert_eq!(calls(&provider), 2);
}

#[test]
fn a_prompt_that_never_fits_is_told_no_time() {
    let provider = named("one");
    let small = group("gpt").deployment(openai(&provider).with("tpm: 1"));
    let gateway = gateway::with(small).start();
    let refused = gateway.client().chat("gpt", "a prompt of more than one token");
    let told = (refused.status, refused.error_code());
    assert_eq!(told, (429, "deployments_at_rate_limit".to_owned()));
    assert_eq!(refused.header("retry-after"), "");
    assert!(!refused.error_message().contains("Try again"), "{}", refused.error_message());
    assert_eq!(calls(&provider), 0);
}

#[test]
fn refused_calls_and_clients_that_leave_use_nothing_up() {
    let provider = upstream::openai().first_replies([status(400), status(422)]).start();
    let gateway = gateway::with(group("gpt").deployment(openai(&provider).with("rpm: 1"))).start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").status, 400);
    assert_eq!(client.chat("gpt", "hi").status, 422);

    provider.now_replies(never_answers());
    let before = provider.request_count();
    let mut leaving = raw::connect(&gateway);
    let body = br#"{"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}"#;
    leaving.send(raw::post("/v1/chat/completions", body));
    assert!(provider.wait_for_requests(before + 1, patience()));
    drop(leaving);
    assert!(provider.wait_for_disconnect(patience()).is_some());

    provider.now_replies(chat("at last"));
    eventually("the place of the one that left", || client.chat("gpt", "hi").status == 200);
    assert_eq!(client.chat("gpt", "hi").status, 429, "that one counts");
}

#[test]
fn a_streams_real_usage_replaces_what_was_reserved() {
    let provider = upstream::openai().replies(stream(["a", "b"]).usage(10, 5)).start();
    let gateway =
        gateway::with(group("gpt").deployment(openai(&provider).with("tpm: 3000"))).start();
    let client = gateway.client();
    // 900 are reserved for each, and 15 used. The end of a stream is seen a moment before it is
    // settled, so there is room for more than one.
    for _ in 0..20 {
        let reply = client.ask("gpt", "hi").set("max_tokens", 900).set("stream", true).stream();
        assert_eq!(reply.text(), "ab");
    }
    let long = client.chat("gpt", &"word ".repeat(4_000));
    assert_eq!((long.status, long.error_code().as_str()), (429, "deployments_at_rate_limit"));
}

#[test]
fn a_provider_that_says_nothing_is_left_is_not_asked_until_it_has_more() {
    let exhausted = upstream::openai()
        .replies(
            chat("first")
                .header("x-ratelimit-remaining-requests", "0")
                .header("x-ratelimit-reset-requests", "30s"),
        )
        .start();
    let other = named("second");
    let gateway = gateway::with(
        group("gpt").deployment(openai(&exhausted).order(1)).deployment(openai(&other).order(2)),
    )
    .start();
    let client = gateway.client();
    assert_eq!(client.chat("gpt", "hi").text(), "first");
    for _ in 0..5 {
        assert_eq!(client.chat("gpt", "hi").text(), "second");
    }
    assert_eq!(calls(&exhausted), 1);

    let gateway = gateway::with(
        group("gpt").deployment(openai(&exhausted).order(1)).deployment(openai(&other).order(2)),
    )
    .router("rate_limit_headers: false")
    .start();
    for _ in 0..3 {
        assert_eq!(gateway.client().chat("gpt", "hi").text(), "first", "it may be left unheeded");
    }
}

#[test]
fn anthropics_words_are_understood_on_streams() {
    let reset = "2099-01-01T00:00:00Z";
    let exhausted = upstream::anthropic()
        .replies(
            stream(["first"])
                .header("anthropic-ratelimit-input-tokens-remaining", "0")
                .header("anthropic-ratelimit-input-tokens-reset", reset),
        )
        .start();
    let other = named("second");
    let gateway = gateway::with(
        group("gpt").deployment(anthropic(&exhausted).order(1)).deployment(openai(&other).order(2)),
    )
    .start();
    assert_eq!(gateway.client().stream("gpt", "hi").text(), "first");
    assert_eq!(gateway.client().chat("gpt", "hi").text(), "second");
    assert_eq!(calls(&exhausted), 1);
}

#[test]
fn limits_survive_a_reload() {
    let provider = named("one");
    let gateway = gateway::with(group("gpt").deployment(openai(&provider).with("rpm: 1"))).start();
    assert_eq!(gateway.client().chat("gpt", "hi").status, 200);
    let config = std::fs::read_to_string(gateway.config_path()).unwrap();
    std::fs::write(gateway.config_path(), config + "\nlitellm_settings: {drop_params: true}\n")
        .unwrap();
    gateway.signal("HUP");
    gateway.wait_for_message("reloaded");
    assert_eq!(gateway.client().chat("gpt", "hi").status, 429);
}
