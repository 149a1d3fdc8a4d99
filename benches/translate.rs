//! Every translation of `wire`, beside what `serde_json` needs to read the same bytes into a tree and
//! do nothing with it.
//!
//! `cargo bench --bench translate` measures each by itself, in events (a body is one) and in bytes;
//! then both in turns, for the ratios of the table. `-- NAME` picks some of them.

#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "the table is what it is run for, and without its cases there is none"
)]

#[path = "../tests/properties/long.rs"]
mod long;
#[path = "../tests/properties/providers.rs"]
mod providers;

use std::hint::black_box;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use serde_json::{Value, json};
use tollgate::catalog::Deployment;
use tollgate::dialect::{ClientDialect, Dialect, Endpoint};
use tollgate::provider::{self, Call, Reading};
use tollgate::wire::client::{self, Asked, Telling};
use tollgate::wire::json::Object;
use tollgate::wire::{Origin, StreamOptions};

use long::{Long, Matter};
use providers::{deployments, readings};

/// Events of each matter in a stream.
const PIECES: usize = 300;

const ORIGIN: Origin<'_> =
    Origin { model: "m", request_id: Some("r"), input_tokens: None, output_tokens: None };
const TELLING: Telling<'_> = Telling {
    request: None,
    created: 1_795_262_400,
    model: "m",
    request_id: "r",
    array: false,
    embeds: false,
};
const CLIENTS: [(ClientDialect, &str); 3] = [
    (ClientDialect::Anthropic, "messages"),
    (ClientDialect::Responses, "responses"),
    (ClientDialect::Gemini, "generateContent"),
];

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut cases = Vec::new();
    requests(&mut cases);
    replies(&mut cases);
    streams(&mut cases);
    cases
});

/// One translation of something.
struct Case {
    name: String,
    events: usize,
    bytes: usize,
    /// The same as JSON texts.
    json: Vec<String>,
    translate: Box<dyn Fn() + Send + Sync>,
}

impl Case {
    fn parse(&self) {
        for text in &self.json {
            black_box(serde_json::from_str::<Value>(black_box(text)).expect("it is JSON"));
        }
    }
}

fn main() {
    divan::main();
    // Not where the benches are only tried, or listed.
    let mut arguments = std::env::args().skip(1);
    if arguments.any(|argument| argument == "--bench") {
        table();
    }
}

fn names() -> Vec<String> {
    CASES.iter().map(|case| case.name.clone()).collect()
}

fn case(name: &str) -> &'static Case {
    CASES.iter().find(|case| case.name == name).expect("names are those of the cases")
}

#[divan::bench(args = names())]
fn translate(bencher: Bencher<'_, '_>, name: &str) {
    let case = case(name);
    let counted =
        bencher.counter(ItemsCount::new(case.events)).counter(BytesCount::new(case.bytes));
    counted.bench(|| (case.translate)());
}

#[divan::bench(args = names())]
fn parse_only(bencher: Bencher<'_, '_>, name: &str) {
    let case = case(name);
    let counted =
        bencher.counter(ItemsCount::new(case.events)).counter(BytesCount::new(case.bytes));
    counted.bench(|| case.parse());
}

/// Both in turns, so that what else the machine does slows down both.
fn table() {
    const TURN: Duration = Duration::from_millis(4);
    const TURNS: usize = 25;
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    println!(
        "\n| translation | events/s | MB/s | time / parse alone |\n| --- | ---: | ---: | ---: |"
    );
    for case in CASES.iter() {
        if !wanted.is_empty() && !wanted.iter().any(|part| case.name.contains(part)) {
            continue;
        }
        let time = |work: &dyn Fn()| {
            let (start, mut times) = (Instant::now(), 0_u32);
            while start.elapsed() < TURN {
                work();
                times += 1;
            }
            start.elapsed().as_secs_f64() / f64::from(times)
        };
        let mut turns: Vec<(f64, f64)> =
            (0..TURNS).map(|_| (time(&*case.translate), time(&|| case.parse()))).collect();
        turns.sort_by(|one, other| (one.0 / one.1).total_cmp(&(other.0 / other.1)));
        let (ours, parse) = turns[TURNS / 2];
        let (events, bytes) = (case.events as f64 / ours, case.bytes as f64 / ours / 1e6);
        println!("| {} | {events:.0} | {bytes:.0} | {:.2} |", case.name, ours / parse);
    }
}

/// A conversation with tools, as a client of the chat API sends it.
fn conversation() -> Bytes {
    let text = "A sentence of a conversation, with \"quotes\" and a line\nor two. ".repeat(6);
    let mut messages = vec![json!({"role": "system", "content": "Be terse."})];
    for turn in 0..12 {
        let id = format!("call_{turn:024}");
        let arguments = json!({"city": "Oslo", "days": turn}).to_string();
        let call = json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": arguments}});
        messages.push(json!({"role": "user", "content": text}));
        messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
        messages.push(json!({"role": "tool", "tool_call_id": id, "content": text}));
        messages.push(json!({"role": "assistant", "content": text}));
    }
    messages.push(json!({"role": "user", "content": text}));
    let parameters = json!({
        "type": "object", "required": ["city"], "additionalProperties": false,
        "properties": {
            "city": {"type": "string", "description": "Where"},
            "days": {"type": "integer", "description": "How far ahead"},
            "unit": {"type": "string", "enum": ["c", "f"]},
        },
    });
    let tool = |name: &str| {
        json!({"type": "function", "function": {
            "name": name, "description": "What the weather is like in a city.", "parameters": parameters,
        }})
    };
    let tools: Vec<Value> = ["weather", "forecast", "history", "alerts"].map(tool).into();
    let body = json!({
        "model": "m", "messages": messages, "tools": tools, "temperature": 0.2, "max_tokens": 1000,
    });
    body.to_string().into()
}

/// A reply of a few KB, as OpenAI sends it.
fn answer() -> Bytes {
    let text = "A sentence of an answer, with \"quotes\" and a line\nor two. ".repeat(60);
    let arguments = json!({"city": "Oslo", "days": 3}).to_string();
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": arguments}});
    let body = json!({
        "id": "chatcmpl-B0", "object": "chat.completion", "created": 1_795_262_400, "model": "gpt-4o",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": text, "refusal": null, "tool_calls": [call]},
        }],
        "usage": {"prompt_tokens": 9, "completion_tokens": 900, "total_tokens": 909},
    });
    body.to_string().into()
}

/// How a deployment is called in the table.
fn label(deployment: &Deployment, reading: Reading) -> String {
    let api = if reading.api == Endpoint::Responses { ", Responses API" } else { "" };
    let native = if reading.native.is_some() { ", passed on" } else { "" };
    format!("{}{api}{native}", deployment.provider)
}

fn add(cases: &mut Vec<Case>, case: Case) {
    if cases.iter().all(|known| known.name != case.name) {
        (case.translate)();
        cases.push(case);
    }
}

fn body_case(name: String, body: &Bytes, translate: Box<dyn Fn() + Send + Sync>) -> Case {
    let json = vec![String::from_utf8_lossy(body).into_owned()];
    Case { name, events: 1, bytes: body.len(), json, translate }
}

/// Both halves of a request's way: into the canonical form, and into a provider's dialect.
fn requests(cases: &mut Vec<Case>) {
    let canonical = conversation();
    let object = Object::parse(canonical.clone()).expect("an object");
    for deployment in deployments() {
        let outgoing = provider::request(deployment, &object, &CALL).expect("it can be written");
        let reading = Reading { native: None, ..outgoing.reading };
        let (body, read) = (canonical.clone(), canonical.clone());
        let translate = move || {
            let object = Object::parse(read.clone()).expect("an object");
            black_box(provider::request(deployment, &object, &CALL).expect("it can be written"));
        };
        let name = format!("request to {}", label(deployment, reading));
        add(cases, body_case(name, &body, Box::new(translate)));

        // What a provider is sent is what a client of its dialect sends.
        let dialect = match (deployment.dialect, reading.api) {
            (_, Endpoint::Responses) => ClientDialect::Responses,
            (Dialect::Anthropic, _) => ClientDialect::Anthropic,
            (Dialect::Gemini, _) => ClientDialect::Gemini,
            _ => continue,
        };
        let (body, name) = (outgoing.body.clone(), named(dialect));
        let translate = move || {
            let object = Object::parse(body.clone()).expect("an object");
            let asked = Asked { model: Some("m"), stream: Some(false), embeds: false };
            black_box(client::request(dialect, &object, asked).expect("it can be read"));
        };
        let name = format!("request from {name}");
        add(cases, body_case(name, &outgoing.body, Box::new(translate)));
    }
}

const CALL: Call<'_> = Call {
    model: "gpt-5",
    endpoint: Endpoint::Chat,
    stream: false,
    overrides: &[],
    drop_params: true,
    modify_params: true,
    native: None,
    form: None,
    stored: None,
};

fn named(dialect: ClientDialect) -> &'static str {
    CLIENTS.iter().find(|(known, _)| *known == dialect).map_or("chat", |(_, name)| name)
}

fn replies(cases: &mut Vec<Case>) {
    let canonical = answer();
    let text = "A sentence of an answer, with \"quotes\" and a line\nor two. ".repeat(60);
    for deployment in deployments() {
        for reading in readings(deployment) {
            let told = |dialect| {
                client::reply(dialect, canonical.clone(), &TELLING).expect("it is a reply")
            };
            let body: Bytes = match deployment.dialect {
                _ if reading.api == Endpoint::Responses => told(ClientDialect::Responses),
                Dialect::OpenAi | Dialect::Azure => canonical.clone(),
                Dialect::Anthropic => told(ClientDialect::Anthropic),
                Dialect::Gemini => told(ClientDialect::Gemini),
                Dialect::Bedrock => json!({
                    "output": {"message": {"role": "assistant", "content": [
                        {"text": text},
                        {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Oslo", "days": 3}}},
                    ]}},
                    "stopReason": "tool_use", "metrics": {"latencyMs": 900},
                    "usage": {"inputTokens": 9, "outputTokens": 900, "totalTokens": 909},
                })
                .to_string()
                .into(),
                Dialect::Cohere => json!({
                    "id": "29f14a5a", "finish_reason": "COMPLETE",
                    "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
                    "usage": {"tokens": {"input_tokens": 9, "output_tokens": 900}},
                })
                .to_string()
                .into(),
                Dialect::Ollama => json!({
                    "model": "llama3.2", "created_at": "2026-11-21T12:00:00Z", "done": true,
                    "message": {"role": "assistant", "content": text, "tool_calls": [
                        {"function": {"name": "weather", "arguments": {"city": "Oslo", "days": 3}}},
                    ]},
                    "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 900,
                })
                .to_string()
                .into(),
                Dialect::Custom => {
                    json!({"out": text, "end": "stop", "usage": {"in": 9}}).to_string().into()
                }
            };
            let read = body.clone();
            let translate = move || {
                black_box(
                    provider::reply(deployment, reading, read.clone(), 1, &ORIGIN)
                        .expect("it is a reply"),
                );
            };
            let name = format!("reply of {}", label(deployment, reading));
            add(cases, body_case(name, &body, Box::new(translate)));
        }
    }
    for (dialect, name) in CLIENTS {
        let read = canonical.clone();
        let translate = move || {
            black_box(client::reply(dialect, read.clone(), &TELLING).expect("it is a reply"));
        };
        add(cases, body_case(format!("reply to {name}"), &canonical, Box::new(translate)));
    }
}

/// A stream of all that a dialect has words for, in reads of one event.
fn streams(cases: &mut Vec<Case>) {
    const MATTERS: [Matter; 3] = [Matter::Text, Matter::Reasoning, Matter::Calls];
    for deployment in deployments() {
        for reading in readings(deployment) {
            let said = MATTERS.map(|matter| Long::of(deployment.dialect, reading.api, matter));
            let said: Vec<Long> = said.into_iter().flatten().collect();
            let (reads, json) = spoken(&said);
            let sent = reads.clone();
            let translate = move || {
                let options = StreamOptions { show_usage: true, created: 1, ..Default::default() };
                let mut out = Vec::with_capacity(8);
                for stream in &sent {
                    let mut relay = provider::stream(deployment, reading, options, &ORIGIN);
                    for read in stream {
                        black_box(relay.push(read.clone(), &mut out));
                        black_box(&out);
                        out.clear();
                    }
                    black_box(relay.finish(&mut out));
                }
            };
            let name = format!("stream of {}", label(deployment, reading));
            add(cases, stream_case(name, &reads, json, Box::new(translate)));
        }
    }
    let said = MATTERS.map(|matter| Long::of(Dialect::OpenAi, Endpoint::Chat, matter));
    let said: Vec<Long> = said.into_iter().flatten().collect();
    for (dialect, name) in CLIENTS {
        let (reads, json) = spoken(&said);
        let sent = reads.clone();
        let translate = move || {
            let mut events = Vec::with_capacity(8);
            for stream in &sent {
                let mut told = client::stream(dialect, &TELLING).expect("it has a stream");
                for read in stream {
                    events.push(read.clone());
                    told.pass(&mut events);
                    black_box(&events);
                    events.clear();
                }
            }
        };
        let name = format!("stream to {name}");
        add(cases, stream_case(name, &reads, json, Box::new(translate)));
    }
}

/// The reads of every stream, and the JSON of all of them.
fn spoken(streams: &[Long]) -> (Vec<Vec<Bytes>>, Vec<String>) {
    let reads = streams.iter().map(|long| {
        let pieces = std::iter::repeat_n(long.piece(), PIECES);
        long.head().into_iter().chain(pieces).chain(long.tail()).collect()
    });
    let json = streams.iter().flat_map(|long| long.json(PIECES)).map(str::to_owned);
    (reads.collect(), json.collect())
}

fn stream_case(
    name: String,
    reads: &[Vec<Bytes>],
    json: Vec<String>,
    translate: Box<dyn Fn() + Send + Sync>,
) -> Case {
    let bytes = reads.iter().flatten().map(Bytes::len).sum();
    Case { name, events: json.len(), bytes, json, translate }
}
