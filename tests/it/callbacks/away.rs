//! Receivers that are dead, slow or angry; ends of the process; changes of the configuration.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// The port of a receiver, for another one in its place.
fn port(upstream: &Upstream) -> u16 {
    upstream.url().rsplit_once(':').unwrap().1.parse().unwrap()
}

/// A receiver that is not there.
fn dead() -> Upstream {
    upstream::openai().refuses_connections().start()
}

/// The files that wait for a callback.
fn files(folder: &Path, callback: &str) -> usize {
    fs::read_dir(folder.join(callback)).map_or(0, Iterator::count)
}

#[test]
fn a_batch_that_is_not_taken_is_sent_again() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = upstream::openai()
        .first_replies([
            status(503).body("application/json", "{}"),
            status(429).body("application/json", "{}"),
        ])
        .replies(body_of("application/json", "{}"))
        .start();
    let gateway = generic(group("gpt").deployment(&upstream), &receiver.url()).start();
    gateway.client().chat("gpt", "hi");
    eventually("the third attempt is taken", || counted(&gateway, "generic_api", "sent") == 1);
    let bodies: Vec<_> = receiver.requests().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]), "the same each time");
    assert_eq!(counted(&gateway, "generic_api", "spilled"), 0, "nothing had to go to the disk");
}

#[test]
fn a_batch_that_is_wrong_is_given_up_and_the_next_one_is_sent() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = upstream::openai()
        .first_replies([status(400).body("application/json", "{}")])
        .replies(body_of("application/json", "{}"))
        .start();
    let gateway = generic(group("gpt").deployment(&upstream), &receiver.url()).start();
    gateway.client().chat("gpt", "hi");
    eventually("it is given up", || counted(&gateway, "generic_api", "failed") == 1);
    gateway.client().chat("gpt", "hi");
    eventually("the next one is taken", || counted(&gateway, "generic_api", "sent") == 1);
}

#[test]
fn a_batch_that_is_too_large_goes_in_parts() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let is_large = |request: &Recorded| request.json().as_array().is_some_and(|it| it.len() > 1);
    let receiver = upstream::openai()
        .when(is_large, status(413).body("application/json", "{}"))
        .replies(body_of("application/json", "{}"))
        .start();
    let gateway = generic(group("gpt").deployment(&upstream), &receiver.url())
        .variable("DEFAULT_BATCH_SIZE", "5")
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
        .start();
    for _ in 0..5 {
        gateway.client().chat("gpt", "hi");
    }
    eventually("each is taken", || counted(&gateway, "generic_api", "sent") == 5);
    let ones = receiver.requests().into_iter().filter(|request| !is_large(request)).count();
    assert_eq!(ones, 5);
}

#[test]
fn receivers_that_are_dead_or_silent_slow_no_request_and_no_other_receiver() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (dead, silent, well) =
        (dead(), upstream::openai().replies(never_answers()).start(), receiver());
    let mut callbacks = String::from("callback_settings:\n");
    for (name, receiver) in [("dead", &dead), ("silent", &silent), ("well", &well)] {
        let url = receiver.url();
        callbacks += &format!("  {name}: {{callback_type: generic_api, endpoint: '{url}'}}\n");
    }
    let gateway = told(group("gpt").deployment(&upstream), "callbacks: [dead, silent, well]")
        .top(&callbacks)
        .start();
    let client = gateway.client();
    client.chat("gpt", "hi");
    eventually("the silent one is being told", || !silent.requests().is_empty());
    // While it is silent for ten seconds, everybody else goes on.
    let began = Instant::now();
    for _ in 0..50 {
        assert_eq!(client.chat("gpt", "hi").status, 200);
    }
    wait_for(&well, 51);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    eventually("what the dead one is to be told is on disk", || {
        waiting(&gateway, "dead", "disk") + waiting(&gateway, "dead", "memory") == 51
            && waiting(&gateway, "dead", "disk") > 0
    });
    assert_eq!(counted(&gateway, "dead", "dropped"), 0);
    gateway.wait_for_message("the callback does not take requests");
}

#[test]
fn what_waits_on_disk_is_sent_when_the_receiver_is_back() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gone = dead();
    let gateway = generic(group("gpt").deployment(&upstream), &gone.url()).start();
    for number in 0..4 {
        let asked = gateway.client().ask("gpt", "hi").set("user", format!("u{number}"));
        asked.send();
    }
    eventually("all of it is on disk", || waiting(&gateway, "generic_api", "disk") == 4);
    let port = port(&gone);
    drop(gone);
    let back = upstream::openai().on_port(port).replies(body_of("application/json", "{}"));
    let back = back.start();
    let mut users: Vec<_> =
        wait_for(&back, 4).iter().map(|it| it["end_user"].as_str().unwrap().to_owned()).collect();
    users.sort();
    assert_eq!(users, ["u0", "u1", "u2", "u3"]);
    gateway.wait_for_message("the callback takes requests again");
    eventually("nothing waits any more", || {
        waiting(&gateway, "generic_api", "disk") == 0
            && counted(&gateway, "generic_api", "sent") == 4
    });
    let folder = gateway.folder().join("state/callbacks");
    assert_eq!(files(&folder, "generic_api"), 0);
    // And what comes now goes straight to it.
    gateway.client().chat("gpt", "hi");
    wait_for(&back, 5);
}

#[test]
fn what_waits_outlives_the_process() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (gone, state) = (dead(), tempfile::tempdir().unwrap());
    let at = state.path().display();
    let database = format!("database: {{path: {at}/keys.db, journal: {at}/journal}}\n");
    let begin = |endpoint: &str| {
        let gateway = generic(group("gpt").deployment(&upstream), endpoint).top(&database);
        // What waits for others goes to the disk at the end only.
        gateway.variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
    };
    let mut gateway = begin(&gone.url()).start();
    for _ in 0..3 {
        gateway.client().chat("gpt", "hi");
    }
    eventually("they wait", || waiting(&gateway, "generic_api", "memory") == 3);
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());
    let folder = state.path().join("callbacks");
    assert_eq!(files(&folder, "generic_api"), 1);

    let receiver = receiver();
    let gateway = begin(&receiver.url()).start();
    wait_for(&receiver, 3);
    eventually("they are gone", || files(&folder, "generic_api") == 0);
    drop(gateway);
}

#[test]
fn an_end_sends_what_waits() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let receiver = receiver();
    let mut gateway = generic(group("gpt").deployment(&upstream), &receiver.url())
        .variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "3600")
        .start();
    for _ in 0..3 {
        gateway.client().chat("gpt", "hi");
    }
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());
    assert_eq!(payloads(&receiver).len(), 3);
}

#[test]
fn a_full_disk_loses_the_oldest_and_says_so() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let gone = dead();
    let gateway = generic(group("gpt").deployment(&upstream), &gone.url())
        .general("callback_disk_max_mb: 1")
        .start();
    let long = "x".repeat(7_000);
    let client = gateway.client();
    for _ in 0..200 {
        let asked = client.ask("gpt", "hi").set("metadata", json!({ "long": long }));
        assert_eq!(asked.send().status, 200);
    }
    eventually("some had to go", || counted(&gateway, "generic_api", "dropped") > 0);
    gateway.wait_for_message("the oldest goes");
    let folder = gateway.folder().join("state/callbacks/generic_api");
    eventually("the folder keeps its bound", || {
        let entries = fs::read_dir(&folder).unwrap().filter_map(Result::ok);
        let bytes: u64 = entries.filter_map(|entry| Some(entry.metadata().ok()?.len())).sum();
        bytes <= 1_048_576
    });
}

#[test]
fn a_reload_replaces_the_callback_that_changed_and_leaves_the_others() {
    let upstream = upstream::openai().replies(chat("hello")).start();
    let (old, new, other) = (receiver(), receiver(), receiver());
    let with = |endpoint: &str| {
        let group = group("gpt").deployment(&upstream);
        generic(group, "http://127.0.0.1:9")
            .litellm("success_callback: [mine]\nfailure_callback: [mine, other]")
            .top(&format!(
                "callback_settings:\n  mine: {{endpoint: '{endpoint}'}}\n  other: {{endpoint: \
                 '{}'}}\n",
                other.url()
            ))
            .master_key("sk-right-master-key")
    };
    let yaml = |endpoint: &str| with(endpoint).yaml().replace("callbacks: [generic_api]", "");
    let gateway = gateway::empty().top(&yaml(&old.url()));
    let gateway = gateway.variable("DEFAULT_FLUSH_INTERVAL_SECONDS", "0.05").start();
    let client = gateway.client().with_key(Some("sk-right-master-key"));
    client.chat("gpt", "hi");
    wait_for(&old, 1);
    fs::write(gateway.config_path(), yaml(&new.url())).unwrap();
    assert_eq!(client.post("/config/reload").send().status, 200);
    eventually("the new one is told", || {
        client.chat("nope", "hi");
        !new.requests().is_empty()
    });
    let told_before = payloads(&old).len();
    client.chat("gpt", "hi");
    eventually("and only it", || {
        payloads(&new).iter().any(|payload| payload["status"] == "success")
    });
    assert_eq!(payloads(&old).len(), told_before);
    assert!(!payloads(&other).is_empty());
    let begun = gateway.messages().matches("callback=\"other\"").count();
    assert_eq!(begun, 1, "it was begun once:\n{}", gateway.messages());
}
