//! Every dialect of clients before every dialect of providers, feature by feature.
//!
//! `clients.rs` asks as each client does, `heard.rs` reads what it is told, `replay.rs` sends it back;
//! `providers.rs` knows where each provider looks for what. What is found is `docs/support.md` for people
//! (`page.rs`); `TOLLGATE_BLESS=1` writes it anew. A cell that does not hold must be in
//! [`EXCEPTIONS`], with the reason.

mod clients;
mod heard;
mod page;
mod providers;
mod replay;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use self::clients::{Speaks, Wish};
use self::heard::Heard;
use self::providers::{CUSTOM, Provider, providers};
use self::replay::RESULTS;
use serde_json::Value;

use crate::harness::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Text,
    Tools,
    Image,
    Thinking,
    Schema,
    Results,
    Replayed,
    Usage,
    Error,
    Broken,
}

impl Feature {
    const ALL: [Self; 10] = [
        Self::Text,
        Self::Tools,
        Self::Image,
        Self::Thinking,
        Self::Schema,
        Self::Results,
        Self::Replayed,
        Self::Usage,
        Self::Error,
        Self::Broken,
    ];
}

/// Cells that do not hold: the provider, the feature, and what is said instead.
const EXCEPTIONS: &[(&str, Feature, &str)] = &[
    ("openai", Feature::Replayed, "none: only its Responses API seals thoughts"),
    ("azure", Feature::Replayed, "none: only its Responses API seals thoughts"),
    ("cohere", Feature::Replayed, "none: it has no signatures"),
    ("ollama", Feature::Replayed, "none: it has no signatures"),
    ("custom", Feature::Replayed, "none: a mapping has no signatures"),
];

/// What is said of cells that hold in their own way.
const NOTES: &[(&str, Feature, &str)] =
    &[("ollama", Feature::Usage, "yes; it does not tell what was cached")];

#[test]
fn every_client_gets_every_feature_of_every_provider_as_the_page_says() {
    let providers = providers();
    let groups =
        providers.iter().map(|it| group(it.name).deployment((it.deployment)(&it.upstream)));
    let [first, rest @ ..] = &groups.collect::<Vec<_>>()[..] else { panic!("there are some") };
    let builder = rest.iter().cloned().fold(gateway::with(first.clone()), gateway::Builder::and);
    let gateway = builder.top(CUSTOM).router("num_retries: 0\ndisable_cooldowns: true").start();

    let wrong: String = thread::scope(|scope| {
        let checks =
            providers.iter().map(|provider| scope.spawn(|| wrong_cells(&gateway, provider)));
        let checks: Vec<_> = checks.collect();
        checks.into_iter().map(|check| check.join().unwrap()).collect()
    });
    assert!(wrong.is_empty(), "{wrong}");
}

/// The cells of a provider that are not as the page says, a line for each.
fn wrong_cells(gateway: &Gateway, provider: &Provider) -> String {
    let mut wrong = String::new();
    for feature in Feature::ALL {
        provider.upstream.now_replies(feature.reply(provider));
        for speaks in Speaks::ALL {
            let found = check(gateway, provider, feature, speaks);
            let name = format!("{speaks:?}, {}, {feature:?}", provider.name);
            match (exception(provider.name, feature), found) {
                (None, Ok(())) | (Some(_), Err(_)) => {}
                (None, Err(found)) => writeln!(wrong, "{name}: {found}").unwrap(),
                (Some(_), Ok(())) => writeln!(wrong, "{name} is no exception").unwrap(),
            }
        }
    }
    wrong
}

#[test]
fn the_page_shows_the_cells() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/support.md");
    let page = page::render();
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is out of date: TOLLGATE_BLESS=1 writes it", path.display());
}

fn exception(provider: &str, feature: Feature) -> Option<&'static str> {
    let mut exceptions = EXCEPTIONS.iter();
    exceptions.find(|(of, what, _)| *of == provider && *what == feature).map(|it| it.2)
}

/// What the page says of a cell.
fn cell(provider: &str, feature: Feature) -> &'static str {
    let note = || NOTES.iter().find(|it| (it.0, it.1) == (provider, feature)).map(|it| it.2);
    exception(provider, feature).or_else(note).unwrap_or("yes")
}

impl Feature {
    /// What the provider says.
    fn reply(self, provider: &Provider) -> mock::Reply {
        match self {
            Self::Text | Self::Image | Self::Results => stream(["hel", "lo"]),
            Self::Tools => tool_calls(CALLS),
            Self::Thinking => chat("hello").reasoning(["hm, ", "well"]),
            Self::Replayed => tool_calls(CALLS).reasoning(["hm, ", "well"]),
            Self::Schema => chat(PLACE),
            Self::Usage => chat("hello").usage(30, 7).cached(10, 0),
            Self::Error => status(429).retry_after(7),
            Self::Broken => stream(["one ", "two ", "three"]).each_frame_alone().error_frame_after(
                1,
                provider.fault,
                "broke",
            ),
        }
    }

    fn wish(self) -> Wish {
        match self {
            Self::Tools | Self::Results | Self::Replayed => Wish::Tools,
            Self::Image => Wish::Image,
            Self::Thinking => Wish::Thinking,
            Self::Schema => Wish::Schema,
            Self::Text | Self::Usage | Self::Error | Self::Broken => Wish::Text,
        }
    }
}

/// What the model calls, and what it says where a schema is asked for.
const CALLS: [(&str, &str); 2] = [("weather", r#"{"city":"Oslo"}"#), ("time", r#"{"zone":"CET"}"#)];
const PLACE: &str = r#"{"city":"Oslo"}"#;

/// Asks for the feature whole and streamed. `Err` says what is wrong.
fn check(
    gateway: &Gateway,
    provider: &Provider,
    feature: Feature,
    speaks: Speaks,
) -> Result<(), String> {
    for streamed in [false, true] {
        let how = if streamed { "streamed" } else { "whole" };
        if feature == Feature::Replayed {
            replayed(gateway, provider, speaks, streamed)
                .map_err(|found| format!("{how}: {found}"))?;
            continue;
        }
        let mut body = speaks.body(feature.wish());
        if feature == Feature::Results {
            body = replay::with_results(speaks, &replay::called(speaks, CALLS));
        }
        let reply = speaks.send(&gateway.client(), provider.name, body, streamed);
        let found = match feature {
            Feature::Error => refused(speaks, &reply),
            Feature::Broken => broken(gateway, speaks, &reply, streamed),
            _ => answered(gateway, provider, feature, speaks, &reply, streamed),
        };
        found.map_err(|found| format!("{how}: {found}"))?;
    }
    Ok(())
}

fn hold(holds: bool, what: impl std::fmt::Display) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_string()) }
}

fn answered(
    gateway: &Gateway,
    provider: &Provider,
    feature: Feature,
    speaks: Speaks,
    reply: &Reply,
    streamed: bool,
) -> Result<(), String> {
    hold(reply.status == 200, format!("{} {}", reply.status, reply.body_text()))?;
    let heard = if streamed { speaks.gather(reply)? } else { speaks.hear(&reply.json()) };
    let log = gateway.logged(reply.request_id());
    hold(log["status"] == 200 && log["error"].is_null(), &log)?;

    let [end, end_of_calls] = speaks.ends();
    let mut expected = Heard {
        text: "hello".to_owned(),
        end: end.to_owned(),
        // It is of another check but for its own.
        usage: heard.usage,
        ..Heard::default()
    };
    match feature {
        Feature::Tools => {
            let parsed = |(name, arguments): (&str, &str)| {
                (name.to_owned(), serde_json::from_str(arguments).unwrap())
            };
            expected.calls = CALLS.map(parsed).to_vec();
            (expected.text, expected.end) = (String::new(), end_of_calls.to_owned());
        }
        Feature::Thinking => expected.thoughts = "hm, well".to_owned(),
        Feature::Schema => expected.text = PLACE.to_owned(),
        Feature::Usage => expected.usage = [30, if provider.counts_cached { 10 } else { 0 }, 7],
        _ => {}
    }
    hold(heard == expected, format!("{heard:?}: {}", reply.body_text()))?;

    let sent = provider.upstream.last_request().json();
    match feature {
        Feature::Image => hold(sent.pointer(provider.wants.image) == Some(&provider.image()), sent),
        Feature::Tools => {
            let tools = sent.pointer(provider.wants.tools).unwrap_or_default().to_string();
            let [weather, time] = ["weather", "time"].map(|name| tools.find(name));
            hold(weather.is_some() && weather < time, sent)
        }
        Feature::Results => {
            let told = provider.told.calls(&sent);
            let is_told = |((name, arguments), result): ((&str, &str), &str)| {
                let arguments: Value = serde_json::from_str(arguments).unwrap();
                told.iter().any(|it| it.0 == name && it.1 == arguments && it.2.contains(result))
            };
            let holds = told.len() == CALLS.len() && CALLS.into_iter().zip(RESULTS).all(is_told);
            hold(holds, format!("{told:?}: {sent}"))
        }
        Feature::Thinking => hold(sent.pointer(provider.wants.thinking).is_some(), sent),
        Feature::Schema => hold(provider.is_asked_for_schema(&sent), sent),
        _ => Ok(()),
    }
}

/// What the provider sealed goes back to it, with the client that keeps what it is told; and with a client
/// of chat that drops all that OpenAI's API does not have.
fn replayed(
    gateway: &Gateway,
    provider: &Provider,
    speaks: Speaks,
    streamed: bool,
) -> Result<(), String> {
    let send = |body| {
        let reply = speaks.send(&gateway.client(), provider.name, body, streamed);
        hold(reply.status == 200, format!("{} {}", reply.status, reply.body_text()))?;
        Ok::<_, String>(reply)
    };
    provider.upstream.now_replies(Feature::Replayed.reply(provider));
    let first = send(speaks.body(Wish::Tools))?;
    let turn = replay::turn(speaks, &first, streamed);
    let mut turns = vec![turn.clone()];
    if speaks == Speaks::Chat {
        turns.push(replay::forgetful(&turn));
    }
    provider.upstream.now_replies(chat("hello"));
    for turn in turns {
        send(replay::with_results(speaks, &turn))?;
        let sent = provider.upstream.last_request().json();
        hold(replay::is_sealed(&sent), format!("told {}, sent {sent}", first.body_text()))?;
    }
    Ok(())
}

/// An error with its status, in the client's form.
fn refused(speaks: Speaks, reply: &Reply) -> Result<(), String> {
    let holds = reply.status == 429
        && reply.header("retry-after") == "7"
        && speaks.knows_error(&reply.json(), reply.status);
    hold(holds, format!("{} {:?} {}", reply.status, reply.headers, reply.body_text()))
}

/// An error after the first piece of text. What was to be whole can still be an error.
fn broken(gateway: &Gateway, speaks: Speaks, reply: &Reply, streamed: bool) -> Result<(), String> {
    let holds = if streamed {
        reply.status == 200 && speaks.said_before_error(reply).as_deref() == Some("one ")
    } else {
        reply.status >= 500 && speaks.knows_error(&reply.json(), reply.status)
    };
    hold(holds, format!("{} {}", reply.status, reply.body_text()))?;
    let log = gateway.logged(reply.request_id());
    hold(log["error"].is_string(), format!("logged as a success: {log}"))
}
