//! The Anthropic stream translator, beside what reading the same JSON costs by itself.
//!
//! `cargo bench --bench anthropic`. A stream is 1,000 text deltas, in reads of the size in which they
//! arrive; the throughput is in events.

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde_json::Value;
use tollgate::wire::StreamOptions;
use tollgate::wire::Translate;
use tollgate::wire::anthropic::StreamTranslator;

const DELTAS: usize = 1_000;

fn main() {
    divan::main();
}

fn events() -> Vec<String> {
    let start = r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[],"usage":{"input_tokens":21,"output_tokens":1}}}"#;
    let block =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let delta = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" some words"}}"#;
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":1000}}"#;
    let mut events = vec![format!("event: message_start\ndata: {start}\n\n")];
    events.push(format!("event: content_block_start\ndata: {block}\n\n"));
    for _ in 0..DELTAS {
        events.push(format!("event: content_block_delta\ndata: {delta}\n\n"));
    }
    events.push(
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n".into(),
    );
    events.push(format!("event: message_delta\ndata: {end}\n\n"));
    events.push("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n".into());
    events
}

/// The translator, with as many events in each read as the argument says.
#[divan::bench(args = [1, 8, 64])]
fn translate(bencher: Bencher<'_, '_>, per_read: usize) {
    let events = events();
    let reads: Vec<Bytes> = events.chunks(per_read).map(|some| some.concat().into()).collect();
    bencher.counter(ItemsCount::new(events.len())).bench(|| {
        let mut translator = StreamTranslator::new(StreamOptions::default());
        let mut out = Vec::with_capacity(reads.len());
        for read in &reads {
            black_box(translator.push(read.clone(), &mut out));
        }
        black_box(translator.finish(&mut out));
        out
    });
}

/// The floor: every event's data read into a tree by `serde_json`, nothing written.
#[divan::bench]
fn parse_only(bencher: Bencher<'_, '_>) {
    let events = events();
    let data: Vec<&str> = events
        .iter()
        .filter_map(|event| event.split_once("data: ").map(|(_, data)| data))
        .collect();
    bencher.counter(ItemsCount::new(data.len())).bench(|| {
        for text in &data {
            black_box(serde_json::from_str::<Value>(text).expect("the events are JSON"));
        }
    });
}
