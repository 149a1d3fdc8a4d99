//! The database, or the disk, is away for a while.

use std::fs;

use super::{Books, COST, PRICES, files};
use crate::harness::gateway::Builder;
use crate::harness::*;

fn builder(upstream: &Upstream) -> Builder {
    gateway::with(group("gpt").deployment(openai(upstream).with(PRICES)))
}

fn provider() -> Upstream {
    upstream::openai().replies(chat("hello").usage(11, 7)).start()
}

#[track_caller]
fn asks(gateway: &Gateway, times: usize) {
    let client = gateway.client();
    for _ in 0..times {
        assert_eq!(client.chat("gpt", "hi").text(), "hello");
    }
}

fn db(gateway: &Gateway) -> serde_json::Value {
    let ready = gateway.get("/health/readiness");
    assert_eq!(ready.status, 200, "requests are served without the database");
    ready.json()["db"].clone()
}

fn metric(gateway: &Gateway, name: &str) -> f64 {
    let page = gateway.get("/metrics").body_text();
    let mut values = page.lines().filter_map(|line| line.strip_prefix(name)?.trim().parse().ok());
    values.next().unwrap_or_else(|| panic!("no {name}:\n{page}"))
}

#[test]
fn postgresql_may_stop_and_start_again() {
    let upstream = provider();
    let server = postgres::Own::start();
    let url = server.url();
    let gateway = builder(&upstream).general(&format!("database_url: {url}")).start();
    let books = Books::behind(&url);
    asks(&gateway, 5);
    eventually("the first rows", || books.rows().len() == 5);

    server.stop();
    asks(&gateway, 20);
    eventually("it is known to be away", || db(&gateway) == "Not connected");
    assert_eq!(metric(&gateway, "tollgate_database_up"), 0.0);
    eventually("what waits is told", || metric(&gateway, "tollgate_spend_pending_records") >= 20.0);

    server.start_again();
    eventually("all rows", || books.rows().len() == 25);
    assert_eq!(books.spent(), 25 * COST);
    eventually("it is known to be back", || db(&gateway) == "connected");
    gateway.wait_for_message("the database is back");
}

#[test]
fn an_sqlite_file_may_be_out_of_reach() {
    let upstream = provider();
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("disk");
    fs::write(&blocked, "not mounted").unwrap();
    let database = blocked.join("tollgate.db");
    let gateway =
        builder(&upstream).top(&format!("database: {{path: {}}}", database.display())).start();
    asks(&gateway, 5);
    eventually("it is known to be away", || db(&gateway) == "Not connected");
    fs::remove_file(&blocked).unwrap();
    let books = Books::at(database);
    eventually("all rows", || books.rows().len() == 5);
    assert_eq!(books.spent(), 5 * COST);
}

#[test]
fn what_waits_outlives_the_process() {
    let upstream = provider();
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("disk");
    fs::write(&blocked, "not mounted").unwrap();
    let state = folder.path().display().to_string();
    let start = || {
        builder(&upstream)
            .variable("STATE_DIRECTORY", &state)
            .top(
                "database: {path: disk-of-test/t.db}"
                    .replace("disk-of-test", &blocked.display().to_string())
                    .as_str(),
            )
            .start()
    };
    let mut gateway = start();
    asks(&gateway, 5);
    gateway.signal("TERM");
    assert!(gateway.wait_for_end().success());
    gateway.wait_for_message("the journal keeps it");
    fs::remove_file(&blocked).unwrap();
    let mut next = start();
    let books = Books::at(blocked.join("t.db"));
    eventually("all rows", || books.rows().len() == 5);
    next.signal("TERM");
    assert!(next.wait_for_end().success());
    let journal = folder.path().join("journal");
    assert_eq!(files(&journal, "journal") + files(&journal, "lock"), 0, "it leaves nothing to do");
}

#[test]
fn a_journal_that_cannot_be_written_is_loud_and_stops_nobody() {
    let upstream = provider();
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("disk");
    fs::write(&blocked, "full").unwrap();
    let journal = blocked.join("journal");
    let gateway =
        builder(&upstream).top(&format!("database: {{journal: {}}}", journal.display())).start();
    asks(&gateway, 5);
    gateway.wait_for_message("the journal cannot be written");
    let books = Books::of(&gateway);
    eventually("rows come from memory", || books.rows().len() == 5);
    assert_eq!(metric(&gateway, "tollgate_spend_journal_blocked"), 1.0);
    fs::remove_file(&blocked).unwrap();
    gateway.wait_for_message("the journal can be written again");
    asks(&gateway, 1);
    eventually("one more", || books.rows().len() == 6);
}

#[test]
fn or_it_stops_everybody_by_setting() {
    let upstream = provider();
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("disk");
    fs::write(&blocked, "full").unwrap();
    let journal = blocked.join("journal");
    let gateway = builder(&upstream)
        .top(&format!("database: {{journal: {}}}", journal.display()))
        .general("fail_closed_spend_logging: true")
        .start();
    let client = gateway.client();
    // Nobody knows before the first one is to be written down.
    client.chat("gpt", "hi");
    let refused = client.chat("gpt", "hi");
    assert_eq!((refused.status, &*refused.error_code()), (503, "spend_not_recorded"));
    assert_eq!(upstream.request_count(), 1);
    fs::remove_file(&blocked).unwrap();
    eventually("it serves again", || client.chat("gpt", "hi").status == 200);
}

#[test]
fn rows_that_the_database_refuses_are_set_aside_and_hold_up_nobody() {
    let upstream = provider();
    let url = postgres::database();
    let gateway = builder(&upstream).general(&format!("database_url: {url}")).start();
    let books = Books::behind(&url);
    asks(&gateway, 1);
    eventually("the first row", || books.rows().len() == 1);
    postgres::ask(
        &url,
        "ALTER TABLE tollgate_spend_log ADD CONSTRAINT no_poison CHECK (end_user <> 'poison')",
    );
    let body = serde_json::json!({"model": "gpt", "user": "poison",
                                  "messages": [{"role": "user", "content": "hi"}]});
    for _ in 0..3 {
        let reply = gateway.client().post("/v1/chat/completions").json(&body).send();
        assert_eq!(reply.status, 200, "{}", reply.body_text());
    }
    let refused = "tollgate_spend_records_total{result=\"refused\"}";
    eventually("all of the batch are refused", || metric(&gateway, refused) == 3.0);
    asks(&gateway, 2);
    eventually("the rest goes on", || books.rows().len() == 3);
    assert_eq!(books.spent(), 3 * COST, "what is refused is in no sum");
    gateway.wait_for_message("the database refuses a request: it is set aside");
    let aside = gateway.folder().join("state/journal/refused.jsonl");
    let aside = fs::read_to_string(aside).unwrap();
    let lines: Vec<serde_json::Value> =
        aside.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    for line in lines {
        assert!(line["reason"].as_str().unwrap().contains("no_poison"), "{line}");
        assert_eq!(line["event"]["end_user"], "poison");
    }
    // A name that PostgreSQL cannot keep as it is costs no row.
    let odd = serde_json::json!({"model": "gpt", "user": "a\u{0}b",
                                 "messages": [{"role": "user", "content": "hi"}]});
    assert_eq!(gateway.client().post("/v1/chat/completions").json(&odd).send().status, 200);
    eventually("its row", || books.rows().len() == 4);
}
