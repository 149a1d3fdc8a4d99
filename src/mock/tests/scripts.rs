//! Scripts: the choice of rules, the words in models and headers, the YAML form, its mistakes.

use std::time::Duration;

use serde_json::json;

use super::{Client, ask, prompt, streamed};
use crate::mock::{MockOptions, RunError, Script, Upstream, chat, demo, run, status};

const EXAMPLE: &str = include_str!("../../../conf/mock-script.yaml");

fn scripted(yaml: &str) -> Upstream {
    Upstream::openai().script(Script::from_yaml(yaml).unwrap()).start()
}

/// The statuses of so many equal requests.
fn statuses(upstream: &Upstream, model: &str, count: usize) -> Vec<u16> {
    (0..count).map(|_| ask(upstream, &prompt(model, "hi")).status()).collect()
}

fn content(upstream: &Upstream, model: &str) -> String {
    let body = ask(upstream, &prompt(model, "hi")).json();
    body["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_example_is_good_and_does_what_its_comments_say() {
    let quick = EXAMPLE.replace("latency_ms: [20, 60]", "").replace("gap_ms: 20", "gap_ms: 1");
    let upstream = scripted(&quick);
    assert_eq!(statuses(&upstream, "limited-x", 2), [429, 429]);
    assert_eq!(statuses(&upstream, "recovering", 4), [503, 500, 200, 200]);
    assert_eq!(statuses(&upstream, "flaky", 6), [200, 200, 429, 200, 200, 429]);
    assert_eq!(statuses(&upstream, "cold", 3), [503, 503, 200]);
    assert_eq!(statuses(&upstream, "unlucky", 5), [500, 200, 200, 500, 200]);
    assert_eq!(statuses(&upstream, "small-window", 1), [400]);
    assert_eq!(statuses(&upstream, "unpaid", 1), [429]);

    let teapot = ask(&upstream, &prompt("odd-error", "hi"));
    assert_eq!((teapot.status(), &teapot.json()["error"]["param"]), (418, &json!("model")));
    assert_eq!(ask(&upstream, &prompt("html", "hi")).text(), "<html>Bad gateway</html>");
    assert_eq!(ask(&upstream, &prompt("error-in-200", "hi")).json()["error"]["code"], 502);
    let greeter = ask(&upstream, &prompt("greeter", "hi")).json();
    assert_eq!(greeter["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(ask(&upstream, &streamed("pieces", "hi")).data().len(), 5);
    let thinker = ask(&upstream, &prompt("thinker", "hi")).json();
    assert_eq!(thinker["usage"]["completion_tokens_details"]["reasoning_tokens"], 300);
    let weather = ask(&upstream, &prompt("weather", "hi")).json();
    let calls = &weather["choices"][0]["message"]["tool_calls"];
    assert_eq!(calls[0]["id"], "call_1");
    assert_eq!(calls[1]["function"]["arguments"], "{\"city\": \"Ber");
    assert!(ask(&upstream, &prompt("silent-about-usage", "hi")).json().get("usage").is_none());
    assert_eq!(ask(&upstream, &streamed("verbatim", "hi")).events().len(), 3);
    assert!(!ask(&upstream, &streamed("cut", "hi")).complete);
    assert_eq!(ask(&upstream, &prompt("cut", "hi")).status(), 200, "only streams are cut");
    assert!(ask(&upstream, &streamed("cut-in-a-frame", "hi")).error.is_some());
    let later = ask(&upstream, &streamed("error-later", "hi"));
    assert_eq!(later.data().last().unwrap()["error"]["message"], "It broke.");
    assert_eq!(content(&upstream, "crumbs"), "Grüße aus Zürich");
    assert!(ask(&upstream, &prompt("no-http", "hi")).head.starts_with("220 "));
    let red = Client::of(&upstream).ask("/v1/completions", "x-team: red\r\n", &json!({}));
    assert_eq!(red.status(), 400, "what the provider refuses, no script makes better");
}

#[test]
fn words_in_the_model_come_before_the_script_and_the_header_before_both() {
    let upstream = scripted("rules: [{then: {text: script}}]");
    assert_eq!(content(&upstream, "any"), "script");
    assert_eq!(statuses(&upstream, "mock-503", 1), [503]);
    assert_eq!(statuses(&upstream, "openai/mock-429", 1), [429]);
    let mut client = Client::of(&upstream);
    let mut with = |header: &str| {
        let header = format!("x-mock-script: {header}\r\n");
        client.ask("/v1/chat/completions", &header, &prompt("mock-503", "hi"))
    };
    let response = with("429-60");
    assert_eq!((response.status(), response.header("retry-after")), (429, Some("60")));
    assert_eq!(with("{status: 500, headers: {x-a: 1}}").header("x-a"), Some("1"));
    assert_eq!(with("mock-echo").status(), 200);
    let wrong = with("cutt-3");
    assert_eq!(wrong.status(), 400);
    assert!(wrong.text().contains("did you mean `cut`?"), "{}", wrong.text());
    assert!(with("{statu: 3}").text().contains("did you mean `status`?"));
}

#[test]
fn every_word_of_the_directives_works() {
    let upstream = Upstream::openai().start();
    for (model, status) in [
        ("mock-echo", 200),
        ("mock-500", 500),
        ("mock-slow-1", 200),
        ("mock-ttft-1", 200),
        ("mock-tps-100000", 200),
        ("mock-words-5", 200),
        ("mock-context", 400),
        ("mock-policy", 400),
        ("mock-quota", 429),
        ("mock-overloaded", 503),
        ("mock-reasoning", 200),
        ("mock-refusal", 200),
        ("mock-filtered", 200),
        ("mock-no-usage", 200),
        ("mock-garbage-json", 200),
        ("mock-slow-head-0", 200),
        ("mock-error-frame-2", 200),
        ("mock-words-5+no-usage+tps-100000", 200),
    ] {
        let response = ask(&upstream, &prompt(model, "hi"));
        assert_eq!((response.status(), response.complete), (status, true), "{model}");
    }
    for model in ["mock-cut-1", "mock-cut-bytes-9", "mock-reset-cut-1"] {
        assert!(!ask(&upstream, &streamed(model, "hi")).complete, "{model}");
    }
    for model in ["mock-garbage", "mock-reset", "mock-close"] {
        assert!(!ask(&upstream, &prompt(model, "hi")).head.starts_with("HTTP"), "{model}");
    }
    let unknown = ask(&upstream, &prompt("mock-grabage", "hi"));
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().contains("did you mean `garbage`?"), "{}", unknown.text());
    assert_eq!(ask(&upstream, &prompt("mock-cut-x", "hi")).status(), 404);
    assert_eq!(ask(&upstream, &prompt("mock-999", "hi")).status(), 404);
}

#[test]
fn rules_match_by_pattern_path_header_and_kind() {
    let upstream = scripted(
        r#"
rules:
  - {match: {model: "gpt-*-mini"}, then: {text: mini}}
  - {match: {header: {X-Team: "re*"}}, then: {text: red}}
  - {match: {path: "*/deployments/*"}, then: {text: azure}}
  - {match: {model: m, stream: true}, then: {status: 500}}
"#,
    );
    assert_eq!(content(&upstream, "gpt-4o-mini"), "mini");
    assert!(content(&upstream, "gpt-4o-minima").starts_with("Hello"));
    let mut client = Client::of(&upstream);
    let red = client.ask("/v1/chat/completions", "x-team: red\r\n", &prompt("m", "hi"));
    assert_eq!(red.json()["choices"][0]["message"]["content"], "red");
    let path = "/openai/deployments/d/chat/completions?api-version=1";
    let azure = client.ask(path, "", &prompt("m", "hi"));
    assert_eq!(azure.json()["choices"][0]["message"]["content"], "azure");
    assert_eq!(ask(&upstream, &streamed("m", "hi")).status(), 500);
    assert_eq!(ask(&upstream, &prompt("m", "hi")).status(), 200);
}

#[test]
fn turns_are_taken_once_in_a_circle_or_to_the_last() {
    let upstream = scripted(
        r#"
rules:
  - {match: {model: once}, then: [{status: 500}, {status: 503}], repeat: once}
  - {match: {model: cycle}, then: [{status: 500}, {text: a}], repeat: cycle}
"#,
    );
    assert_eq!(statuses(&upstream, "once", 4), [500, 503, 200, 200]);
    assert_eq!(statuses(&upstream, "cycle", 4), [500, 200, 500, 200]);
}

#[test]
fn chances_follow_the_seed() {
    let yaml = "seed: 3\nrules: [{match: {chance: 0.5}, then: {status: 500}}]";
    let first = statuses(&scripted(yaml), "m", 20);
    assert_eq!(first, statuses(&scripted(yaml), "m", 20));
    assert!(first.contains(&200) && first.contains(&500), "{first:?}");
    assert_ne!(first, statuses(&scripted(&yaml.replace('3', "4")), "m", 20));
}

#[test]
fn rules_in_code_read_like_rules_in_a_file() {
    let upstream = Upstream::openai()
        .when(|request| request.json()["stream"] == true, status(503))
        .first_replies([status(500)])
        .replies(chat("hello"))
        .start();
    assert_eq!(statuses(&upstream, "m", 3), [500, 200, 200]);
    assert_eq!(ask(&upstream, &streamed("m", "hi")).status(), 503);
}

#[test]
fn mistakes_are_named_with_their_place_and_the_word_that_was_meant() {
    let cases = [
        ("rules:\n  - then: {statsu: 429}\n", (2, 12), "did you mean `status`?", "statsu"),
        ("rules:\n  - then: {text: a}\n    macth: {}\n", (3, 5), "did you mean `match`?", "macth"),
        ("rules:\n  - then: {status: 42}\n", (2, 20), "", "an HTTP status from 200 to 599"),
        ("rules:\n  - then: {cut_after: soon}\n", (2, 23), "", "expected a number of frames"),
        ("latency_ms: [9, 3]\n", (1, 13), "", "[least, most]"),
        ("rules:\n  - then: []\n", (2, 11), "", "at least one reply"),
        ("rules:\n  - {match: {chance: 2}, then: {}}\n", (2, 22), "", "a number from 0 to 1"),
        ("rules:\n  - {then: {text: a}, repeat: circle}\n", (2, 31), "`cycle`", "circle"),
        ("rulez: []\n", (1, 1), "did you mean `rules`?", "rulez"),
    ];
    for (yaml, place, help, message) in cases {
        let bad = Script::from_yaml(yaml).unwrap_err();
        let text = bad.render("s.yaml", yaml);
        assert!(bad.message.contains(message), "{text}");
        assert_eq!(bad.place, Some(place), "{text}");
        assert!(bad.help.unwrap_or_default().contains(help), "{text}");
        let start = format!("s.yaml:{}:{}: error: ", place.0, place.1);
        assert!(text.starts_with(&start), "{text}");
    }
    assert!(Script::from_yaml("rules: [").is_err());
    assert!(Script::from_yaml("").is_ok());
    assert!(Script::from_yaml("# nothing yet\n").is_ok());
}

#[test]
fn a_bad_script_ends_the_command_with_64() {
    let file = std::env::temp_dir().join(format!("tollgate-mock-{}.yaml", std::process::id()));
    std::fs::write(&file, "rules: [{then: {txt: hi}}]").unwrap();
    let error = run(&MockOptions { script: Some(file.clone()), port: 0, ..MockOptions::default() });
    std::fs::remove_file(&file).unwrap();
    let error = error.unwrap_err();
    assert_eq!(error.exit_code(), 64);
    assert!(error.to_string().contains("did you mean `text`?"), "{error}");

    let missing =
        run(&MockOptions { script: Some("/nowhere.yaml".into()), ..MockOptions::default() });
    assert_eq!(missing.unwrap_err().exit_code(), 64);
    let taken = Upstream::openai().start();
    let taken = run(&MockOptions { port: taken.port(), ..MockOptions::default() }).unwrap_err();
    assert!(matches!(taken, RunError::Start(_)));
    assert_eq!(taken.exit_code(), 1);
}

#[test]
fn the_demonstration_serves_three_providers() {
    let demo = demo().unwrap();
    let yaml = demo.config_yaml().unwrap();
    let config: serde_json::Value = serde_yaml::from_str(&yaml).unwrap();
    let models = config["model_list"].as_array().unwrap();
    let base = |name: &str| {
        let model = models.iter().find(|it| it["model_name"] == name).unwrap();
        let base = model["litellm_params"]["api_base"].as_str().unwrap();
        base.trim_start_matches("http://").trim_end_matches("/v1").to_owned()
    };
    let bases = [base("gpt-4o-mini"), base("azure-gpt-4o"), base("claude-sonnet-4-5")];
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let thread = std::thread::Builder::new().spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(demo.serve(stopped)).unwrap();
    });
    for base in bases {
        let socket = std::net::TcpStream::connect(&base).unwrap();
        let mut client = Client { socket, rest: Vec::new() };
        client.send("GET /health HTTP/1.1\r\n\r\n");
        assert_eq!(client.response().status(), 200, "{base}");
    }
    stop.send(true).unwrap();
    thread.unwrap().join().unwrap();
}

#[test]
fn times_of_the_command_line_hold_for_all_replies() {
    let upstream =
        scripted("latency_ms: 30\nrules: [{match: {model: quick}, then: {latency_ms: 0}}]");
    let start = std::time::Instant::now();
    ask(&upstream, &prompt("m", "hi"));
    assert!(start.elapsed() >= Duration::from_millis(30));
}
