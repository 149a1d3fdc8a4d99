//! What each guardrail of this process costs: a request of 20 KB and the stream of a reply, beside what
//! `serde_json` needs to read the same bytes into a tree and do nothing with it.
//!
//! `cargo bench --bench guardrails` prints the table. Guardrails elsewhere cost a call.

#![expect(clippy::print_stdout, reason = "the table is what it is run for")]

mod streams;

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use serde_json::{Value, json};
use tollgate::dialect::ClientDialect;
use tollgate::guard::{
    Asked, Check, Chosen, Detector, Entity, Filter, Findings, Flow, Guardrail, Injection, Mode,
    Modes, Pick, Pii, Said, Secrets, Side, THRESHOLD, Vault, When, Window, Word,
};
use tollgate::wire::json::Object;
use tollgate::wire::texts;

/// How long each is measured, in turns with its measure.
const TURNS: usize = 30;
const TURN: Duration = Duration::from_millis(20);

fn main() {
    println!(
        "| guardrail | request, MB/s | time / parse alone | stream, events/s | time / parse alone |"
    );
    println!("| --- | ---: | ---: | ---: | ---: |");
    let (body, stream) = (request(20_000), streams::sent(300));
    for (name, chosen) in rails() {
        line(name, (&body, look), (&stream, flow), &chosen);
    }
    let object = Object::parse(body).unwrap_or_else(|_| Object::empty());
    let without = timed(|| {
        for _ in 0..1_000 {
            let named = black_box(&object).value("guardrails");
            black_box(named.is_some() | object.contains("metadata"));
        }
    });
    println!("\nWithout guardrails: {:.0} ns for a request.", without * 1e6);
}

type Work<'a> = (&'a Bytes, fn(&Chosen, &Bytes));

fn line(name: &str, request: Work<'_>, stream: Work<'_>, chosen: &Chosen) {
    let (own, parse) = measured(request, chosen, |bytes| drop(black_box(tree(bytes))));
    let bytes = request.0.len() as f64;
    let (events, each) = measured(stream, chosen, |bytes| {
        for line in bytes.split(|byte| *byte == b'\n') {
            if let Some(data) = line.strip_prefix(b"data: ") {
                drop(black_box(tree(data)));
            }
        }
    });
    let count =
        stream.0.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() as f64;
    println!(
        "| {name} | {:.0} | {:.2} | {:.0} | {:.2} |",
        bytes / own / 1e6,
        own / parse,
        count / events,
        events / each
    );
}

/// Seconds for one of either, medians of turns.
fn measured((bytes, work): Work<'_>, chosen: &Chosen, alone: impl Fn(&[u8])) -> (f64, f64) {
    let (mut own, mut parse) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        own.push(timed(|| work(chosen, black_box(bytes))));
        parse.push(timed(|| alone(black_box(bytes))));
    }
    (median(own), median(parse))
}

fn timed(mut work: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut count = 0_u32;
    while began.elapsed() < TURN {
        work();
        count += 1;
    }
    began.elapsed().as_secs_f64() / f64::from(count)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn tree(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok()
}

fn look(chosen: &Chosen, body: &Bytes) {
    let found = texts::of_request(body);
    let texts = found.list.iter();
    let mut said: Vec<_> =
        texts.map(|text| Said::new(text.role, Cow::Borrowed(&*text.value))).collect();
    let (mut vault, mut findings) = (Vault::default(), Findings::default());
    let looking = chosen.look(Mode::PreCall, Side::Request, &mut said, &mut vault, &mut findings);
    assert!(looking.now_or_never().is_some_and(|looked| looked.is_ok()), "nothing is blocked");
}

fn flow(chosen: &Chosen, stream: &Bytes) {
    let (mut findings, vault) = (Findings::default(), Vault::default());
    let mut flow = Flow::new(chosen, ClientDialect::OpenAi, false);
    let mut at = 0;
    while at < stream.len() {
        let end =
            memchr::memmem::find(&stream[at..], b"\n\n").map_or(stream.len(), |it| at + it + 2);
        let mut out = vec![stream.slice(at..end)];
        let ends = end == stream.len();
        let passing = flow.pass(&mut out, ends, chosen, &vault, &mut findings);
        assert!(passing.now_or_never().is_some_and(|passed| passed.is_ok()), "nothing is blocked");
        black_box(&out);
        at = end;
    }
}

fn rails() -> Vec<(&'static str, Chosen)> {
    let words: Vec<_> = (0..200)
        .map(|at| Word { keyword: format!("codename{at}"), blocks: true, description: None })
        .collect();
    let mut rails: Vec<(&'static str, Chosen)> = Vec::new();
    if let Ok(filter) = Filter::new(&[], &words, "", "") {
        rails.push(("litellm_content_filter, 200 words", alone(Arc::new(filter))));
    }
    if let Ok(secrets) = Secrets::new(false) {
        rails.push(("hide-secrets", alone(Arc::new(secrets))));
    }
    if let Ok(pii) = Pii::new("pii", Entity::all().collect(), true) {
        rails.push(("pii", alone(Arc::new(pii))));
    }
    if let Ok(injection) = Injection::new(THRESHOLD) {
        rails.push(("prompt_injection", alone(Arc::new(injection))));
    }
    let all = rails.iter().flat_map(|(_, chosen)| chosen.picks.clone()).collect();
    rails.push(("all four", Chosen { picks: all, asked: Arc::new(Asked::default()) }));
    rails
}

fn alone(detector: Arc<dyn Detector>) -> Chosen {
    let modes = Modes::default().with(Mode::PreCall).with(Mode::PostCall);
    let rail = Guardrail {
        name: "g".into(),
        kind: "of the bench",
        when: When { otherwise: modes, tagged: Vec::new() },
        default_on: true,
        fails_open: false,
        check: Check::Here(detector),
        window: Window::HERE,
        info: Value::Null,
    };
    let pick = Pick { rail: Arc::new(rail), modes, extra: None };
    Chosen { picks: vec![pick], asked: Arc::default() }
}

/// A conversation of about so many bytes, with what looks a little like what is looked for.
fn request(bytes: usize) -> Bytes {
    let turn = "What is the weather like in Paris on 2026-11-22, and what was it at 12:30:45? Version \
                10.4.2 of the report says 21 degrees; see https://weather.example/a/b?c=d for \"more\". ";
    let messages: Vec<_> = (0..bytes / (turn.len() + 40))
        .map(|number| {
            let role = if number % 2 == 0 { "user" } else { "assistant" };
            json!({"role": role, "content": format!("{number} {turn}")})
        })
        .collect();
    json!({"model": "gpt-4o", "temperature": 0.2, "messages": messages}).to_string().into()
}
