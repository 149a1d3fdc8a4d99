//! No event is held longer than needed, and what a stream holds does not grow with it.
//!
//! Bytes are counted by the allocator, on the thread of the test.

use allocation_counter::measure;
use bytes::Bytes;
use tollgate::catalog::Deployment;
use tollgate::dialect::{ClientDialect, Dialect, Endpoint};
use tollgate::provider::{self, Reading};
use tollgate::wire::client::{self, ClientStream, Telling};
use tollgate::wire::{Ending, Origin, StreamOptions, StreamRelay};

use crate::long::{Long, Matter};
use crate::providers::{deployments, readings};

/// Events of a short stream, after which every buffer has found its size, and of a long one.
const SHORT: usize = 100;
const LONG: usize = 10_000;

/// A hash table or a list of a few entries may find its size late.
const SLACK: u64 = 1024;

/// Bytes that one piece adds to what is said, of every matter in `long.rs`: at most so many.
const PIECE: u64 = 64;

const MATTERS: [Matter; 3] = [Matter::Text, Matter::Reasoning, Matter::Calls];

/// Why a stream has to remember what was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeps {
    Nothing,
    /// It tells a part again, whole, when that ends: the dialect wants it so. Bounded by a constant
    /// beside the translator.
    Whole,
}

/// What a translator of a provider's stream keeps.
fn kept_of(deployment: &Deployment, reading: Reading, matter: Matter) -> Keeps {
    match (deployment.dialect, matter) {
        // A thinking block has to be sent back whole with its signature, which comes last
        // (`MAX_THINKING_BYTES`, `MAX_REASONING`).
        (Dialect::Anthropic | Dialect::Bedrock, Matter::Reasoning) if reading.native.is_none() => {
            Keeps::Whole
        }
        _ => Keeps::Nothing,
    }
}

/// What a client's stream keeps.
const fn kept_for(client: ClientDialect, matter: Matter) -> Keeps {
    match (client, matter) {
        // The last events of an item, and of the response, repeat all that was said (`MAX_KEPT`).
        (ClientDialect::Responses, _) => Keeps::Whole,
        // A call is one part with all its arguments (`MAX_HELD_BYTES`).
        (ClientDialect::Gemini, Matter::Calls) => Keeps::Whole,
        _ => Keeps::Nothing,
    }
}

#[test]
fn what_a_provider_sends_goes_out_at_once_and_is_not_kept() {
    let mut tried = 0;
    for deployment in deployments() {
        for reading in readings(deployment) {
            for matter in MATTERS {
                let Some(long) = Long::of(deployment.dialect, reading.api, matter) else {
                    continue;
                };
                let what = format!("{} {reading:?} {matter:?}", deployment.provider);
                let short = provider_side(deployment, reading, &long, SHORT, &what);
                let whole = provider_side(deployment, reading, &long, LONG, &what);
                judge(kept_of(deployment, reading, matter), short, whole, &what);
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried} streams");
}

#[test]
fn what_a_client_is_told_goes_out_at_once_and_is_not_kept() {
    let clients = [ClientDialect::Anthropic, ClientDialect::Responses, ClientDialect::Gemini];
    for dialect in clients {
        for matter in MATTERS {
            let long =
                Long::of(Dialect::OpenAi, Endpoint::Chat, matter).expect("OpenAI has it all");
            let what = format!("{dialect:?} {matter:?}");
            let keeps = kept_for(dialect, matter);
            // Where a part is told whole at its end, it is silent before.
            let silent = dialect == ClientDialect::Gemini
                && matches!(matter, Matter::Calls | Matter::Reasoning);
            let short = client_side(dialect, &long, SHORT, silent, &what);
            let whole = client_side(dialect, &long, LONG, silent, &what);
            judge(keeps, short, whole, &what);
        }
    }
}

/// Bytes that are held when so many pieces have passed, and the most that there were at once.
type Held = (u64, u64);

fn judge(keeps: Keeps, short: Held, long: Held, what: &str) {
    let grown = (long.0.saturating_sub(short.0), long.1.saturating_sub(short.1));
    let most = match keeps {
        Keeps::Nothing => SLACK,
        // A list that grows may have twice the room that it needs, and while it grows the old one is
        // there, too.
        Keeps::Whole => 3 * PIECE * LONG as u64,
    };
    assert!(grown.0 <= most && grown.1 <= most, "{what}: {short:?}, then {long:?}");
    if keeps == Keeps::Whole {
        assert!(grown.0 > SLACK, "{what}: it keeps nothing, which should be said here");
    }
}

fn provider_side(
    deployment: &Deployment,
    reading: Reading,
    long: &Long,
    pieces: usize,
    what: &str,
) -> Held {
    let options = StreamOptions { show_usage: true, created: 1, ..StreamOptions::default() };
    let origin =
        Origin { model: "m", request_id: Some("r"), input_tokens: None, output_tokens: None };
    for json in long.json(1) {
        assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{what}: {json}");
    }
    let (head, piece, tail) = (long.head(), long.piece(), long.tail());
    let cut = piece.len() / 2;
    let mut relay = None;
    let held = measure(|| {
        let mut out = Vec::new();
        let mut speaking = provider::stream(deployment, reading, options, &origin);
        for event in &head {
            push(&mut speaking, event.clone(), &mut out);
        }
        for number in 0..pieces {
            // Now and then a piece comes in two reads, in memory of its own as reads are.
            if number % 4 == 1 {
                push(&mut speaking, Bytes::copy_from_slice(&piece[..cut]), &mut out);
                out.clear();
                push(&mut speaking, Bytes::copy_from_slice(&piece[cut..]), &mut out);
            } else {
                push(&mut speaking, Bytes::copy_from_slice(&piece), &mut out);
            }
            assert!(!out.is_empty(), "{what}: event {number} is held back");
            out.clear();
        }
        drop(out);
        relay = Some(speaking);
    });
    let mut relay = relay.expect("it was just put there");
    let mut out = Vec::new();
    for event in tail {
        push(&mut relay, event, &mut out);
    }
    assert_eq!(relay.finish(&mut out), Ending::Complete, "{what}");
    (u64::try_from(held.bytes_current).unwrap_or_default(), held.bytes_max)
}

fn push(relay: &mut StreamRelay, read: Bytes, out: &mut Vec<Bytes>) {
    let failure = relay.push(read, out).failure;
    assert_eq!(failure, None);
}

fn client_side(
    dialect: ClientDialect,
    long: &Long,
    pieces: usize,
    silent: bool,
    what: &str,
) -> Held {
    let telling = Telling { model: "m", request_id: "r", ..Telling::default() };
    let (head, piece, tail) = (long.head(), long.piece(), long.tail());
    let mut kept: Option<Box<dyn ClientStream>> = None;
    let held = measure(|| {
        let mut told = client::stream(dialect, &telling).expect("it has a stream");
        let mut events = head.clone();
        told.pass(&mut events);
        for number in 0..pieces {
            events.clear();
            events.push(Bytes::copy_from_slice(&piece));
            told.pass(&mut events);
            assert_eq!(events.is_empty(), silent, "{what}: event {number}");
        }
        drop(events);
        kept = Some(told);
    });
    let mut events = tail;
    kept.expect("it was just put there").pass(&mut events);
    assert!(!events.is_empty(), "{what}: the end is told");
    (u64::try_from(held.bytes_current).unwrap_or_default(), held.bytes_max)
}
