//! Receivers that refuse what they are sent: one request of many, or all of them.

use super::*;

/// A gateway that tells a receiver of requests as soon as there are so many.
fn batched(upstream: &Upstream, receiver: &str, batch: usize) -> gateway::Builder {
    generic(group("gpt").deployment(upstream), receiver)
        .variable("DEFAULT_BATCH_SIZE", &batch.to_string())
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
}

fn ask(gateway: &Gateway, users: impl IntoIterator<Item = String>) {
    for user in users {
        gateway.client().ask("gpt", "the plan").set("user", user).send();
    }
}

fn holds(request: &Recorded, text: &str) -> bool {
    String::from_utf8_lossy(&request.body).contains(text)
}

fn users(receiver: &Upstream) -> Vec<String> {
    let taken = receiver.requests().into_iter().filter(|request| !holds(request, "odd"));
    let lists = taken.filter_map(|request| request.json().as_array().cloned());
    lists.flatten().map(|it| it["end_user"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn of_a_batch_that_is_refused_only_what_is_wrong_is_lost() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    for code in [400, 413, 422] {
        let why = "no\nsuch user, Bearer for-your-eyes";
        let receiver = upstream::openai()
            .when(|request| holds(request, "odd"), status(code).body("text/plain", why))
            .replies(body_of("application/json", "{}"))
            .start();
        let gateway = batched(&upstream, &receiver.url(), 16)
            .variable("GENERIC_LOGGER_HEADERS", "authorization=Bearer for-your-eyes")
            .start();
        ask(&gateway, (0..16).map(|n| if n == 11 { "odd".to_owned() } else { format!("u{n:02}") }));
        eventually("the others are taken", || counted(&gateway, "generic_api", "sent") == 15);
        assert_eq!(counted(&gateway, "generic_api", "failed"), 1);
        let mut taken = users(&receiver);
        taken.sort();
        let others = (0..16).filter(|n| *n != 11).map(|n| format!("u{n:02}"));
        assert_eq!(taken, others.collect::<Vec<_>>(), "each once");
        assert_eq!(receiver.requests().len(), 9, "it is looked for in halves");
        let said = gateway.wait_for_message("a request is refused by the callback for good");
        assert!(said.contains(&code.to_string()) && said.contains("no such user"), "{said}");
        assert!(!said.contains("for-your-eyes"), "{said}");
        let last = receiver.requests().into_iter().filter(|request| holds(request, "odd")).last();
        let id = last.unwrap().json()[0]["id"].as_str().unwrap().to_owned();
        assert!(said.contains(&id), "which one it was: {said}");
    }
}

#[test]
fn a_receiver_that_refuses_everything_loses_little_and_is_not_asked_for_each() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let wrong = upstream::openai().replies(status(400).body("text/plain", "wrong path")).start();
    let gateway = batched(&upstream, &wrong.url(), 64).start();
    ask(&gateway, (0..64).map(|n| format!("u{n}")));
    let said = gateway.wait_for_message("the callback does not take requests");
    assert!(said.contains("one after the other") && said.contains("wrong path"), "{said}");
    let lost = counted(&gateway, "generic_api", "failed");
    assert!((8..=40).contains(&lost), "{lost}");
    assert!(wrong.requests().len() < 100, "{}", wrong.requests().len());

    // It is put right, and what waits arrives.
    let port = wrong.url().rsplit_once(':').unwrap().1.parse().unwrap();
    drop(wrong);
    let right = upstream::openai().on_port(port).replies(body_of("application/json", "{}"));
    let right = right.start();
    eventually("the rest is taken", || {
        let count = |result| counted(&gateway, "generic_api", result);
        count("sent") + count("failed") == 64 && waiting(&gateway, "generic_api", "disk") == 0
    });
    assert!(users(&right).len() >= 24, "{:?}", users(&right));
}

#[test]
fn what_a_receiver_says_of_a_prompt_is_not_in_the_log() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = upstream::openai()
        .replies(status(422).body("application/json", r#"{"detail": "bad text: the plan"}"#))
        .start();
    let gateway = generic(group("gpt").deployment(&upstream), &receiver.url())
        .litellm("turn_off_message_logging: false")
        .start();
    ask(&gateway, ["one".to_owned()]);
    let said = gateway.wait_for_message("a request is refused by the callback for good");
    assert!(said.contains("422") && !gateway.messages().contains("the plan"), "{said}");
}
