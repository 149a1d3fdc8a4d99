//! What it costs a request to be written down, and how many rows a second the databases take.
//!
//! `cargo bench --bench ledger`; with `TOLLGATE_BENCH_DATABASE_URL=postgresql://...` for an empty
//! database, PostgreSQL too.

#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the table is the result")]

use std::sync::Arc;
use std::time::Instant;

use tollgate::books::Books;
use tollgate::secret::Secret;
use tollgate::spend::{Ledger as _, SpendEvent};
use tollgate::store::journal::Journal;
use tollgate::store::{Database, Place};
use tollgate::usage::Usage;

const APPENDS: u32 = 100_000;
const ROWS: usize = 20_000;
/// Of a quiet gateway, as many as the writer takes at once, and more.
const BATCHES: [usize; 3] = [50, 500, 1_500];

/// A usual request: a streamed reply to a key of a team.
fn event(number: usize) -> SpendEvent {
    let text = |text: &str| Some(Arc::from(text));
    SpendEvent {
        request_id: format!("0198c5f2-6a1e-7c3b-9d4f-{number:012x}").into(),
        call_id: Some(format!("0198c5f2-6a1e-7c3b-9d4e-{number:012x}").into()),
        started_us: 1_795_278_600_000_000 + number as i64 * 1_000,
        duration_us: 850_000,
        first_token_us: Some(310_000),
        key: format!("{:064x}", number % 1_000).into(),
        key_alias: text("ci"),
        user: Some(format!("user-{}", number % 500).into()),
        team: Some(format!("team-{}", number % 50).into()),
        tags: vec!["prod".into()],
        route: "/v1/chat/completions".into(),
        model: "gpt-4o".into(),
        group: text("gpt-4o"),
        deployment: text("3f2a9c1b2d4e5f60718293a4"),
        provider: text("openai"),
        upstream_model: text("gpt-4o-2024-11-20"),
        stream: true,
        status: 200,
        usage: Usage { input_tokens: 1_200, output_tokens: 310, ..Usage::default() },
        cost_pico: 6_100_000_000,
        client_ip: text("192.0.2.7"),
        ..SpendEvent::default()
    }
}

fn appends() {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::new(Journal::new(folder.path()), Arc::default());
    let one = event(0);
    let mut events: Vec<_> = (0..APPENDS as usize).map(event).collect();
    let began = Instant::now();
    events.drain(..).for_each(|event| books.over(event));
    let each = began.elapsed() / APPENDS;
    println!("one request into the journal: {} ns", each.as_nanos());
    let began = Instant::now();
    for _ in 0..APPENDS {
        books.begun(&one);
    }
    println!("the beginning of a stream: {} ns", (began.elapsed() / APPENDS).as_nanos());
}

async fn rows(name: &str, place: Place) {
    let database = Database::new(place);
    database.append(&[event(0)]).await.unwrap();
    for (at, size) in (1..).zip(BATCHES) {
        let events: Vec<_> = (0..ROWS).map(|number| event(at * ROWS + number)).collect();
        let began = Instant::now();
        for batch in events.chunks(size) {
            database.append(batch).await.unwrap();
        }
        let rate = ROWS as f64 / began.elapsed().as_secs_f64();
        println!("{name}: {rate:.0} rows a second with their sums, {size} at once");
    }
}

fn main() {
    appends();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    runtime.block_on(rows("SQLite", Place::File(folder.path().join("t.db"))));
    if let Ok(url) = std::env::var("TOLLGATE_BENCH_DATABASE_URL") {
        let place = Place::Postgres { url: Secret::new(url), connections: 1 };
        runtime.block_on(rows("PostgreSQL", place));
    }
}
