//! The process is killed at any moment, again and again, and no row is lost and none is doubled.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Books, COST, PRICES, files};
use crate::harness::gateway::Builder;
use crate::harness::*;

/// How often the gateway is killed, if that takes no longer than the bound. `TOLLGATE_TEST_KILLS` is
/// another number, and then the time has none.
const KILLS: usize = 100;
const BOUND: Duration = Duration::from_secs(25);
/// The longest life of a gateway that serves.
const LIFE_MS: u64 = 100;
const CLIENTS: usize = 4;

/// Clients that ask without a pause, and know which replies they have got.
struct Clients {
    /// Where the gateway is.
    url: Mutex<String>,
    stop: AtomicBool,
    /// The names of requests whose replies came to their end.
    answered: Mutex<Vec<String>>,
}

impl Clients {
    fn work(&self, client: usize) {
        let mut known = (String::new(), Client::new("http://127.0.0.1:1", None));
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            let url = self.url.lock().unwrap().clone();
            if known.0 != url {
                known = (url.clone(), Client::new(&url, None));
            }
            let id = format!("{client}-{number}");
            let ask = known.1.ask("gpt", "hi").header("x-request-id", &id);
            let whole = if number % 2 == 0 {
                let reply = ask.try_send();
                reply.is_ok_and(|reply| reply.status == 200 && reply.text() == "hello")
            } else {
                let open = ask.set("stream", true).try_open();
                open.is_ok_and(|open| {
                    let stream = open.read_to_end();
                    stream.ended_with_done && !stream.cut
                })
            };
            if whole {
                self.answered.lock().unwrap().push(id);
            }
        }
    }
}

/// Kills gateways that `builder` makes, and looks at what is in the books then.
fn kill_and_count(builder: impl Fn() -> Builder, books: &Books, state: &std::path::Path) {
    let state_text = state.display().to_string();
    let start = || builder().variable("STATE_DIRECTORY", &state_text).start();
    let clients = Arc::new(Clients {
        url: Mutex::new("http://127.0.0.1:1".to_owned()),
        stop: AtomicBool::new(false),
        answered: Mutex::default(),
    });
    let working: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let clients = Arc::clone(&clients);
            meanwhile(move || clients.work(client))
        })
        .collect();
    let began = Instant::now();
    let asked = std::env::var("TOLLGATE_TEST_KILLS").ok().and_then(|kills| kills.parse().ok());
    let mut kills: usize = 0;
    while kills < asked.unwrap_or(KILLS) && (asked.is_some() || began.elapsed() < BOUND) {
        let gateway = start();
        *clients.url.lock().unwrap() = gateway.url();
        // The moment is what is tried here; nothing is waited for.
        std::thread::sleep(Duration::from_micros(fastrand::u64(..LIFE_MS * 1_000)));
        drop(gateway);
        kills += 1;
    }
    clients.stop.store(true, Ordering::Relaxed);
    working.into_iter().for_each(|client| client.join().unwrap());

    // The last one takes over what is left, and ends in peace.
    let mut gateway = start();
    let left = || files(&state.join("journal"), "journal");
    eventually("what the others left is taken over", || left() == 0);
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());

    let rows = books.rows();
    let mut by_id = HashMap::<&str, usize>::new();
    for row in &rows {
        *by_id.entry(row.call_id.as_deref().unwrap()).or_default() += 1;
    }
    let answered = clients.answered.lock().unwrap();
    // Machines are busy; but it must have been tried.
    assert!(kills >= 3 && !answered.is_empty(), "{kills} kills, {} replies", answered.len());
    for id in &*answered {
        assert_eq!(by_id.get(&**id), Some(&1), "rows of {id}");
    }
    assert!(by_id.values().all(|rows| *rows == 1), "no request has two");
    for row in &rows {
        let whole = row.error.is_none();
        assert!(!whole || row.cost_pico == COST, "{row:?}");
    }
    let all: u64 = rows.iter().map(|row| row.cost_pico).sum();
    assert_eq!(books.spent(), all, "the sums are those of the rows");
}

fn provider() -> Upstream {
    upstream::openai().replies(stream(["hel", "lo"]).usage(11, 7)).forgetful().start()
}

#[test]
fn killed_at_any_moment_it_loses_no_row_and_doubles_none() {
    let upstream = provider();
    let state = tempfile::tempdir().unwrap();
    let books = Books::at(state.path().join("tollgate.db"));
    let builder = || gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES)));
    kill_and_count(builder, &books, state.path());
}

#[test]
fn nor_does_it_with_postgresql() {
    let upstream = provider();
    let state = tempfile::tempdir().unwrap();
    let url = postgres::database();
    let builder = || {
        gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES)))
            .general(&format!("database_url: {url}"))
    };
    kill_and_count(builder, &Books::behind(&url), state.path());
}

#[test]
fn a_stream_that_ends_with_its_process_has_a_row_that_says_so() {
    let upstream = upstream::openai().replies(stream(["hello ", "world"]).stall_after(1)).start();
    let state = tempfile::tempdir().unwrap();
    let start = || {
        gateway::with(group("gpt").deployment(openai(&upstream).with(PRICES)))
            .variable("STATE_DIRECTORY", &state.path().display().to_string())
            .start()
    };
    let gateway = start();
    let mut open = gateway.client().ask("gpt", "hi").header("x-request-id", "mine").open();
    assert_eq!(open.next_text().as_deref(), Some("hello "));
    drop(gateway);
    let _next = start();
    let row = Books::at(state.path().join("tollgate.db")).row("mine");
    assert_eq!((row.status, row.error.as_deref()), (200, Some("interrupted")), "{row:?}");
    assert!(row.usage.estimated && row.usage.input_tokens > 0 && row.cost_pico > 0, "{row:?}");
    assert!(row.deployment.is_some());
}
