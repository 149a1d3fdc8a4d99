//! Every dialect of clients before every dialect of providers, feature by feature.
//!
//! `clients.rs` asks as each client does, `heard.rs` reads what it is told. What is found is `docs/support.md` for people
//! (`page.rs`); `TOLLGATE_BLESS=1` writes it anew. A cell that does not hold must be in
//! [`EXCEPTIONS`], with the reason.

mod clients;
mod heard;
mod page;

use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use self::clients::{IMAGE, Speaks, Wish, schema};
use self::heard::Heard;
use crate::harness::*;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Feature {
    Text,
    Tools,
    Image,
    Thinking,
    Schema,
    Usage,
    Error,
    Broken,
}

impl Feature {
    const ALL: [Self; 8] = [
        Self::Text,
        Self::Tools,
        Self::Image,
        Self::Thinking,
        Self::Schema,
        Self::Usage,
        Self::Error,
        Self::Broken,
    ];
}

/// A provider by its dialect; the model group has its name.
struct Provider {
    name: &'static str,
    upstream: Upstream,
    deployment: fn(&Upstream) -> Deployment,
    /// Where it wants a schema.
    schema: &'static str,
    /// Where it wants to be asked for thoughts.
    thinking: &'static str,
    /// Its own word for a fault in the middle of a stream.
    fault: &'static str,
}

/// Cells that do not hold: the client, the provider, the feature, and what is said instead.
const EXCEPTIONS: &[(Speaks, &str, Feature, &str)] = &[];

fn providers() -> [Provider; 4] {
    let in_chat = Provider {
        name: "openai",
        upstream: upstream::openai().start(),
        deployment: |upstream| openai(upstream).model("openai/gpt-5-mini"),
        schema: "/response_format/json_schema/schema",
        thinking: "/reasoning_effort",
        fault: "server_error",
    };
    let in_azure = Provider {
        name: "azure",
        upstream: upstream::azure().start(),
        deployment: |upstream| {
            let deployment = Deployment::at("azure/my-deployment", &upstream.api_base());
            deployment.with("api_version: '2024-10-21'").info("base_model: gpt-5-mini")
        },
        ..in_chat
    };
    let in_messages = Provider {
        name: "anthropic",
        upstream: upstream::anthropic().start(),
        deployment: anthropic,
        schema: "/output_config/format/schema",
        thinking: "/thinking/budget_tokens",
        fault: "overloaded_error",
    };
    let in_gemini = Provider {
        name: "gemini",
        upstream: upstream::gemini().start(),
        deployment: gemini,
        schema: "/generationConfig/responseJsonSchema",
        thinking: "/generationConfig/thinkingConfig/includeThoughts",
        fault: "UNAVAILABLE",
    };
    [in_chat, in_azure, in_messages, in_gemini]
}

#[test]
fn every_client_gets_every_feature_of_every_provider_as_the_page_says() {
    let providers = providers();
    let groups =
        providers.iter().map(|it| group(it.name).deployment((it.deployment)(&it.upstream)));
    let [first, rest @ ..] = &groups.collect::<Vec<_>>()[..] else { panic!("there are some") };
    let builder = rest.iter().cloned().fold(gateway::with(first.clone()), gateway::Builder::and);
    let gateway = builder.router("num_retries: 0\ndisable_cooldowns: true").start();

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
            match (exception(speaks, provider.name, feature), found) {
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

fn exception(speaks: Speaks, provider: &str, feature: Feature) -> Option<&'static str> {
    let is_meant =
        |it: &&(Speaks, &str, Feature, _)| (it.0, it.1, it.2) == (speaks, provider, feature);
    EXCEPTIONS.iter().find(is_meant).map(|it| it.3)
}

impl Feature {
    /// What the provider says.
    fn reply(self, provider: &Provider) -> mock::Reply {
        match self {
            Self::Text | Self::Image => stream(["hel", "lo"]),
            Self::Tools => tool_calls(CALLS),
            Self::Thinking => chat("hello").reasoning(["hm, ", "well"]),
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
            Self::Tools => Wish::Tools,
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
        let reply = speaks.ask(&gateway.client(), provider.name, feature.wish(), streamed);
        let how = if streamed { "streamed" } else { "whole" };
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
        Feature::Usage => expected.usage = [30, 10, 7],
        _ => {}
    }
    hold(heard == expected, format!("{heard:?}: {}", reply.body_text()))?;

    let sent = provider.upstream.last_request().json();
    match feature {
        Feature::Image => {
            let sent = sent.to_string();
            hold(sent.contains(IMAGE) && sent.contains("image/png"), sent)
        }
        Feature::Tools => {
            let [weather, time] =
                ["weather", "time"].map(|name| sent["tools"].to_string().find(name));
            hold(weather.is_some() && weather < time, sent)
        }
        Feature::Thinking => hold(sent.pointer(provider.thinking).is_some(), sent),
        Feature::Schema => hold(sent.pointer(provider.schema) == Some(&schema()), sent),
        _ => Ok(()),
    }
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
