//! The failure matrix: every way in which a provider fails, in every surrounding, as clients see it.
//!
//! `table.rs` says what is expected. One gateway has a model group for each cell, so all cells run
//! at the same time and none disturbs another. `docs/failure-matrix.md` is the same table for
//! people (`page.rs`); `TOLLGATE_BLESS=1` writes it anew.

mod page;
mod table;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use self::table::{Failing, MATRIX, Row};
use crate::harness::*;

/// What the healthy deployments say.
const HELLO: &str = "hello";
/// The group that stands in for others.
const BACKUP: &str = "backup";

/// Requests at one time: enough to share the long waits, few enough for a small machine.
const AT_ONCE: usize = 64;

/// What stands beside the deployment that fails, A.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Around {
    /// Nothing: it is the only deployment of its group.
    Alone,
    /// A healthy deployment in the same group, B, which has a higher `order`.
    Second,
    /// A healthy fallback group with the deployment C.
    Fallback,
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Request {
    Json,
    Stream,
    /// Either of them, with the same result.
    Both,
}

/// What came of a request, in the words of the table.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    client_gets: String,
    /// The deployments that were tried, in order.
    attempts: String,
    /// The deployments that are in cooldown afterwards.
    rests: String,
}

/// One request to be made.
struct Cell<'a> {
    failing: &'a Failing,
    row: Row,
    provider: &'a Upstream,
    request: Request,
    /// Its model group.
    group: String,
    /// The provider's model behind A and B.
    model: String,
}

/// A dialect of the provider behind A. Clients see the same, whoever fails.
struct Speaking {
    provider: fn() -> UpstreamBuilder,
    deployment: fn(&Upstream) -> Deployment,
    prefix: &'static str,
    /// Words of the table that this dialect has others for.
    differs: &'static [(&'static str, &'static str, &'static str)],
}

#[test]
fn every_failure_is_met_as_the_table_says() {
    check(&Speaking {
        provider: upstream::openai,
        deployment: openai,
        prefix: "openai",
        differs: &[],
    });
}

#[test]
fn azure_fails_in_the_same_way() {
    check(&Speaking {
        provider: upstream::azure,
        deployment: azure,
        prefix: "azure",
        // The provider's own codes go before the usual ones.
        differs: &[
            ("404", "model_not_found", "DeploymentNotFound"),
            ("400, content refused", "content_policy_violation", "content_filter"),
        ],
    });
}

#[test]
fn anthropic_fails_in_the_same_way() {
    check(&Speaking {
        provider: upstream::anthropic,
        deployment: anthropic,
        prefix: "anthropic",
        // It has statuses of its own, and no codes.
        differs: &[
            ("429, out of quota", "429", "402"),
            ("error frame first", "server_error", "upstream_error"),
            ("error frame in the middle", "server_error", "upstream_error"),
        ],
    });
}

fn check(speaking: &Speaking) {
    let start = |failing: &Failing| (failing.misbehave)((speaking.provider)()).start();
    let providers: Vec<_> = MATRIX.iter().map(|failing| (failing, start(failing))).collect();
    let healthy = upstream::openai().replies(chat(HELLO)).start();
    let cells = cells(&providers);
    let gateway = gateway(&cells, speaking, &healthy);

    let mut wrong = String::new();
    for (cell, found) in cells.iter().zip(ask_all(&cells, &gateway)) {
        let (group, mut expected) = (&cell.group, cell.row.expected());
        for (failing, usual, own) in speaking.differs {
            if *failing == cell.failing.name {
                expected.client_gets = expected.client_gets.replace(usual, own);
            }
        }
        if found != expected {
            writeln!(wrong, "{group}:\n  expected {expected:?}\n  found    {found:?}").unwrap();
        }
        let tried = if cell.failing.is_seen { found.attempts.matches('A').count() } else { 0 };
        let seen = || cell.provider.requests().iter().filter(|it| cell.is_meant(it)).count();
        // A provider that is too slow for the gateway may hear of it after the client.
        eventually(&format!("{group}: tried {tried} times, seen {} times", seen()), || {
            seen() >= tried
        });
        let seen = seen();
        if seen != tried {
            writeln!(wrong, "{group}: tried {tried} times, seen {seen} times").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Makes all requests, many at a time.
fn ask_all(cells: &[Cell<'_>], gateway: &Gateway) -> Vec<Found> {
    let next = AtomicUsize::new(0);
    let found: Vec<OnceLock<Found>> = cells.iter().map(|_| OnceLock::new()).collect();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let at = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(cell) = cells.get(at)
                {
                    found[at].set(cell.ask(gateway)).expect("each is asked once");
                }
            });
        }
    });
    found.into_iter().map(|found| found.into_inner().expect("each is asked")).collect()
}

#[test]
fn the_table_has_every_cell_once() {
    for failing in MATRIX {
        for around in [Around::Alone, Around::Second, Around::Fallback] {
            for request in [Request::Json, Request::Stream] {
                let covers =
                    |row: &&Row| row.0 == around && [request, Request::Both].contains(&row.1);
                let count = failing.nature.rows().iter().filter(covers).count();
                assert_eq!(count, 1, "{} {around:?} {request:?}", failing.name);
            }
        }
    }
}

#[test]
fn the_page_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/failure-matrix.md");
    let page = page::render();
    if std::env::var_os("TOLLGATE_BLESS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is out of date: TOLLGATE_BLESS=1 writes it", path.display());
}

fn cells<'a>(providers: &'a [(&'a Failing, Upstream)]) -> Vec<Cell<'a>> {
    let mut cells = Vec::new();
    // Those with the longest waits begin first.
    for around in [Around::Alone, Around::Fallback, Around::Second] {
        for (failing, provider) in providers {
            for row in failing.nature.rows().into_iter().filter(|row| row.0 == around) {
                let requests = match row.1 {
                    Request::Both => &[Request::Json, Request::Stream][..],
                    Request::Json => &[Request::Json],
                    Request::Stream => &[Request::Stream],
                };
                for &request in requests {
                    let group = format!("{}, {around:?}, {request:?}", failing.name);
                    let model = format!("model-{}", cells.len());
                    cells.push(Cell { failing, row, provider, request, group, model });
                }
            }
        }
    }
    cells
}

/// A gateway with a model group for each cell and, but for the time to connect, all defaults.
fn gateway(cells: &[Cell<'_>], speaking: &Speaking, healthy: &Upstream) -> Gateway {
    let backup = group(BACKUP).deployment(openai(healthy).id("C"));
    let mut builder = gateway::with(backup).general("connect_timeout: 1");
    let mut fallbacks = String::from("fallbacks:");
    for Cell { failing, row, provider, group: name, model, .. } in cells {
        let id = |letter| format!("{name}, {letter}");
        let broken = (speaking.deployment)(provider)
            .model(&format!("{}/{model}", speaking.prefix))
            .with(failing.params)
            .id(&id("A"))
            .order(1);
        let mut cell = group(name).deployment(broken);
        match row.0 {
            Around::Alone => {}
            Around::Second => {
                let second = openai(healthy).model(&format!("openai/{model}"));
                cell = cell.deployment(second.id(&id("B")).order(2));
            }
            Around::Fallback => write!(fallbacks, "\n- {name:?}: [{BACKUP}]").unwrap(),
        }
        builder = builder.and(cell);
    }
    builder.router(&fallbacks).start()
}

impl Cell<'_> {
    /// Whether the provider saw this request because of this cell.
    fn is_meant(&self, request: &Recorded) -> bool {
        // Azure's model is in the path only.
        request.json()["model"] == *self.model
            || request.path.contains(&format!("/deployments/{}/", self.model))
    }

    fn ask(&self, gateway: &Gateway) -> Found {
        let ask = gateway.client().ask(&self.group, "hi");
        let (request_id, client_gets) = if self.request == Request::Stream {
            let stream = ask.stream();
            (stream.request_id().to_owned(), in_stream(&stream))
        } else {
            let reply = ask.send();
            (reply.request_id().to_owned(), in_reply(&reply))
        };
        let health = gateway.health_of(&self.group);
        let line = gateway.logged(&request_id);
        let (mut attempts, mut rests) = (Vec::new(), Vec::new());
        for attempt in line["attempts"].as_array().into_iter().flatten() {
            let letter = attempt["deployment"].as_str().unwrap_or_default().rsplit(' ').next();
            attempts.extend(letter);
            rests.extend(letter.filter(|_| attempt["cooled_down"] == true));
        }
        rests.dedup();
        // A short rest may be over when a busy machine comes to ask; the deployment is on probation
        // then.
        let [cooling, partial] =
            ["cooling", "partial"].map(|state| health[state].as_u64().unwrap());
        let rested = rests.len() as u64;
        let agrees = cooling == rested || (cooling < rested && cooling + partial == rested);
        assert!(agrees, "{}: by the log {rests:?} rests, by /health {health}", self.group);
        Found { client_gets, attempts: attempts.join(" "), rests: rests.join(" ") }
    }
}

/// `200 hello`, or `429 rate_limit_exceeded, wait 3 s`.
fn in_reply(reply: &Reply) -> String {
    match reply.status {
        200 => format!("200 {}", reply.text()),
        status => format!("{status} {}{}", reply.error_code(), wait(reply.header("retry-after"))),
    }
}

/// The same, or `200 hel then upstream_idle_timeout`.
fn in_stream(stream: &Stream) -> String {
    let (status, text) = (stream.status, stream.text());
    let code = stream.error_code();
    assert!(!stream.cut, "the body has no end: {stream:?}");
    assert_eq!(stream.ended_with_done, status == 200 && code.is_none(), "{stream:?}");
    match (status, code) {
        (200, None) => format!("200 {text}"),
        (200, Some(code)) => format!("200 {text} then {code}"),
        (_, code) => {
            format!("{status} {}{}", code.unwrap_or_default(), wait(stream.header("retry-after")))
        }
    }
}

/// `Retry-After` as the table writes it: long waits in minutes, since a date comes nearer.
fn wait(seconds: &str) -> String {
    match seconds.parse::<u64>() {
        Ok(long @ 60..) => format!(", wait {} min", (long + 30) / 60),
        Ok(seconds) => format!(", wait {seconds} s"),
        Err(_) => String::new(),
    }
}
