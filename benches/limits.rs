//! What limits cost per request: a reservation and its settlement, a look at a window, a count of
//! tokens.
//!
//! `cargo bench --bench limits`

use std::hint::black_box;
use std::sync::Arc;

use bytes::Bytes;
use divan::Bencher;
use tollgate::dialect::Endpoint;
use tollgate::limits::{Cost, Limit, Reservation, Scope, Window};
use tollgate::tokens::{self, Encoding};
use tollgate::wire::json::Object;

fn main() {
    // Read once, outside of what is measured.
    Encoding::O200k.load();
    divan::main();
}

fn scopes() -> [Scope; 2] {
    let limit = Limit { requests: Some(u64::MAX), tokens: Some(u64::MAX) };
    [(); 2].map(|()| Scope { window: Arc::<Window>::default(), limit })
}

const COST: Cost = Cost { input: 800, output: 200 };

/// On a deployment's window and its provider's.
#[divan::bench(threads = [1, 2])]
fn reserve_and_settle(bencher: Bencher<'_, '_>) {
    let scopes = scopes();
    bencher.bench(|| {
        let mut held: Reservation<2> = Reservation::take(&scopes, COST, 1_000)?;
        held.settle(900, 2_000);
        Ok::<_, tollgate::limits::Refused>(held)
    });
}

/// The client leaves: everything goes back.
#[divan::bench]
fn reserve_and_give_back(bencher: Bencher<'_, '_>) {
    let scopes = scopes();
    bencher.bench(|| drop(Reservation::<2>::take(&scopes, COST, 1_000)));
}

/// What each candidate of a choice costs.
#[divan::bench(threads = [1, 2])]
fn look_at_a_window(bencher: Bencher<'_, '_>) {
    let [scope, _] = scopes();
    bencher.bench(|| scope.window.room(&scope.limit, black_box(COST), 0.9, 1_000));
}

/// A window that is full: the wait is found bucket by bucket.
#[divan::bench]
fn look_at_a_full_window(bencher: Bencher<'_, '_>) {
    let scope = Scope {
        window: Arc::<Window>::default(),
        limit: Limit { requests: Some(60), tokens: None },
    };
    for second in 0..60 {
        if let Ok(mut held) = Reservation::<1>::take([&scope], COST, second * 1_000) {
            held.settle(1_000, second * 1_000);
        }
    }
    bencher.bench(|| scope.window.room(&scope.limit, black_box(COST), 0.9, 60_000));
}

fn chat(kibibytes: usize) -> Object {
    let text = "The quick brown fox jumps over the lazy dog, and nobody minds. ";
    let text = text.repeat(kibibytes * 1024 / text.len());
    let body = format!(r#"{{"messages":[{{"role":"user","content":"{text}"}}]}}"#);
    Object::parse(Bytes::from(body)).unwrap_or_else(|error| unreachable!("{error}"))
}

#[divan::bench(args = [1, 16, 256])]
fn count_exactly(bencher: Bencher<'_, '_>, kibibytes: usize) {
    let body = chat(kibibytes);
    bencher.bench(|| tokens::count(&body, Endpoint::Chat, "gpt-4o"));
}

#[divan::bench(args = [1, 16, 256])]
fn estimate(bencher: Bencher<'_, '_>, kibibytes: usize) {
    let body = chat(kibibytes);
    bencher.bench(|| tokens::estimate(&body, Endpoint::Chat));
}
