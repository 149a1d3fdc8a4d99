//! What a hit costs: the name of a request, the look-up, and the reply in the shape that is asked for; and
//! what a miss adds, to write its reply down.
//!
//! `cargo bench --bench cache`

mod streams;

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use divan::Bencher;
use futures::FutureExt;
use serde_json::json;
use tollgate::cache::{
    Entry, Index, Joined, Kept, Landing, Mark, Place, Question, Replies, Scope, Tenant, Vector,
};
use tollgate::money::Usd;
use tollgate::usage::Usage;
use tollgate::wire::json::Object;
use tollgate::wire::replay::{self, Form, Recorded};

use self::streams::sent;

const NOW_MS: u64 = 1_700_000_000_000;

fn main() {
    divan::main();
}

/// A request of about so many bytes: a conversation with tools.
fn request(bytes: usize) -> Bytes {
    let turn = "What is the weather like in Paris, and what will it be tomorrow? ";
    let count = bytes / (turn.len() + 40);
    let messages: Vec<_> = (0..count.max(1) | 1)
        .map(|number| {
            let role = if number % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": format!("{number} {turn}")})
        })
        .collect();
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters":
        {"type": "object", "properties": {"place": {"type": "string"}}}}});
    let body = json!({"model": "gpt-4o", "temperature": 0.2, "max_tokens": 500, "stream": true,
        "tools": [tool], "messages": messages});
    body.to_string().into()
}

fn question(body: &Object) -> Question<'_> {
    let tenant = Tenant { key: "8f434346648f6b96df89dda901c5176b", team: None, end_user: None };
    Question { tenant, scope: Scope::Key, group: "gpt-4o", beside: "OpenAi Chat", body }
}

fn recorded(chunks: usize) -> Recorded {
    replay::record(Form::Chat, sent(chunks), &Usage::default()).unwrap_or_default()
}

fn kept(chunks: usize) -> Kept {
    let Recorded { events, usage, end } = recorded(chunks);
    Kept::Events { events, usage, end }
}

fn entry(kept: Kept) -> Entry {
    Entry {
        kept,
        maker: None,
        usage: Usage::default(),
        cost: Usd::ZERO,
        made_ms: NOW_MS,
        expires_ms: NOW_MS + u64::try_from(Duration::from_secs(3_600).as_millis()).unwrap_or(0),
    }
}

/// The name of a request whose fields are known already, as they are when the cache is asked.
#[divan::bench(args = [500, 4_000, 20_000, 100_000])]
fn name(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = Object::parse(request(bytes)).unwrap_or_else(|_| Object::empty());
    bencher.bench(|| question(black_box(&body)).name(None));
}

/// All of a hit that the cache adds to a request of 4 KB whose stream had a hundred chunks.
#[divan::bench]
fn hit(bencher: Bencher<'_, '_>) {
    let body = Object::parse(request(4_000)).unwrap_or_else(|_| Object::empty());
    let replies = Replies::default();
    let name: Arc<str> = question(&body).name(None).unwrap_or_default().into();
    replies.keep_here(&name, entry(kept(100)));
    bencher.bench(|| {
        let name = question(black_box(&body)).name(None).unwrap_or_default();
        let found = replies.find(Place::Memory, &name, NOW_MS, None).now_or_never().flatten();
        let Some(entry) = found else { return Vec::new() };
        match &entry.kept {
            Kept::Events { events, end, .. } => [&events[..], &end[..]].concat(),
            Kept::Whole(body) => body.to_vec(),
        }
    });
}

/// What is added to the wait for a vector: all of so many questions are compared with one.
#[divan::bench(args = [100, 1_000, 10_000])]
fn nearest(bencher: Bencher<'_, '_>, questions: usize) {
    const NUMBERS: usize = 1_536;
    let mark = |seed: usize| {
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let numbers = (0..NUMBERS).map(|_| random.f32() - 0.5).collect();
        Some(Mark { group: "g".into(), vector: Vector::of(numbers)? })
    };
    let index = Index::new(u64::MAX);
    for seed in 0..questions {
        let Some(mark) = mark(seed) else { return };
        index.add(mark, &seed.to_string().into(), NOW_MS, u64::MAX);
    }
    let Some(asked) = mark(questions + 1) else { return };
    bencher.bench(|| index.nearest(black_box(&asked), NOW_MS, None));
}

/// What a miss adds where replies are found by meaning: the question is taken out of the request, and the
/// rest has a name of its own.
#[divan::bench(args = [500, 4_000, 20_000])]
fn divided(bencher: Bencher<'_, '_>, bytes: usize) {
    // A turn of the user at the end.
    let body = request(bytes);
    let body = Object::parse(body).unwrap_or_else(|_| Object::empty());
    bencher.bench(|| {
        let asked = replay::asked(Form::Chat, black_box(&body))?;
        question(&asked.rest).name(None)
    });
}

/// A stream that is given in one piece.
#[divan::bench(args = [20, 100, 1_000])]
fn whole_of_stream(bencher: Bencher<'_, '_>, chunks: usize) {
    let recorded = recorded(chunks);
    bencher.bench(|| replay::whole(Form::Chat, black_box(&recorded)));
}

/// A whole reply that is given as a stream.
#[divan::bench]
fn stream_of_whole(bencher: Bencher<'_, '_>) {
    let body = replay::whole(Form::Chat, &recorded(100)).unwrap_or_default();
    bencher.bench(|| replay::stream(Form::Chat, black_box(&body), &Usage::default()));
}

/// What a miss adds: its stream is read once more and written down.
#[divan::bench(args = [20, 100, 1_000])]
fn record(bencher: Bencher<'_, '_>, chunks: usize) {
    let sent = sent(chunks);
    bencher.bench(|| replay::record(Form::Chat, black_box(sent.clone()), &Usage::default()));
}

/// The part of somebody who leads with nobody behind.
#[divan::bench]
fn flight(bencher: Bencher<'_, '_>) {
    let replies = Replies::default();
    bencher.bench(|| match replies.flights().join(black_box("8f434346648f6b96df89dda901c5176b")) {
        Joined::Leads(lead) => lead.land(Landing::Kept),
        Joined::Follows(_) => {}
    });
}
