//! What a stream becomes does not depend on where the reads cut it, in any dialect.

use bytes::Bytes;
use tollgate::dialect::ClientDialect;
use tollgate::provider;
use tollgate::usage::Usage;
use tollgate::wire::client::{self, Telling};
use tollgate::wire::sse::{Fields, Splitter};
use tollgate::wire::{Ending, Origin, StreamOptions, StreamRelay};

use crate::providers::{deployments, readings};

const CLIENTS: [ClientDialect; 3] =
    [ClientDialect::Anthropic, ClientDialect::Responses, ClientDialect::Gemini];

/// What came of a stream.
#[derive(Debug, PartialEq)]
struct Outcome {
    /// Its events.
    out: Vec<String>,
    meaningful: bool,
    done: bool,
    failure: Option<String>,
    ending: Ending,
    usage: Option<Usage>,
    text_bytes: u64,
}

/// For every stream.
pub(crate) fn holds(input: &[u8]) {
    // Where it is cut follows from what it holds.
    let mut state = input.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut cuts = Vec::new();
    let mut at = 0;
    while at < input.len() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let length = match state >> 62 {
            0 => 1,
            1 => 1 + (state >> 32) as usize % 7,
            _ => 1 + (state >> 32) as usize % 300,
        };
        let end = (at + length).min(input.len());
        cuts.push(Bytes::copy_from_slice(&input[at..end]));
        at = end;
    }
    let whole = [Bytes::copy_from_slice(input)];
    split(&whole, &cuts);
    for show_usage in [false, true] {
        let options = StreamOptions { show_usage, created: 1_795_262_400, ..Default::default() };
        for deployment in deployments() {
            for reading in readings(deployment) {
                let origin = Origin {
                    model: "m",
                    request_id: Some("r"),
                    input_tokens: None,
                    output_tokens: None,
                };
                let relay = || provider::stream(deployment, reading, options, &origin);
                let (one, cut) = (run(relay(), &whole), run(relay(), &cuts));
                let shown = || String::from_utf8_lossy(input);
                assert_eq!(one, cut, "{} {reading:?}: {}", deployment.provider, shown());
                if reading.native.is_none() {
                    CLIENTS.into_iter().for_each(|dialect| tell(dialect, &one.out));
                }
            }
        }
    }
}

/// A client of any dialect is told what came, however odd, in events that are whole.
fn tell(dialect: ClientDialect, events: &[String]) {
    let telling = Telling { model: "m", request_id: "r", ..Telling::default() };
    let mut teller = client::stream(dialect, &telling).expect("it has a stream");
    let mut out: Vec<Bytes> = events.iter().map(|text| format!("{text}\n\n").into()).collect();
    teller.pass(&mut out);
    let mut splitter = Splitter::new();
    splitter.push(out.concat().into());
    while let Ok(Some(event)) = splitter.next_event() {
        let bytes = splitter.bytes(&event);
        let fields = Fields::read(bytes);
        let Some(data) = fields.data.filter(|data| !data.is_empty()) else { continue };
        let parsed = serde_json::from_slice::<serde_json::Value>(&data);
        assert!(parsed.is_ok(), "{dialect:?}: {}", String::from_utf8_lossy(bytes));
    }
    assert!(splitter.rest().is_empty(), "{dialect:?}: an event is not whole");
}

fn run(mut relay: StreamRelay, chunks: &[Bytes]) -> Outcome {
    let mut out = Vec::new();
    let (mut meaningful, mut done, mut failure) = (false, false, None);
    for chunk in chunks {
        let progress = relay.push(chunk.clone(), &mut out);
        meaningful |= progress.meaningful;
        done |= progress.done;
        failure = failure.or_else(|| progress.failure.map(|failure| format!("{failure:?}")));
    }
    let ending = relay.finish(&mut out);
    if failure.is_some() {
        assert_eq!(ending, Ending::Cut, "a stream that failed is not complete");
    }
    let (usage, text_bytes) = (relay.usage(), relay.text_bytes());
    // The second half of a line end that is cut in two belongs to the event that follows, and is
    // passed on or not as that is: blank lines are of no account.
    let out = String::from_utf8_lossy(&out.concat()).replace("\r\n", "\n").replace('\r', "\n");
    let out = out.split("\n\n").map(|event| event.trim_matches('\n').to_owned());
    let out = out.filter(|event| !event.is_empty()).collect();
    Outcome { out, meaningful, done, failure, ending, usage, text_bytes }
}

/// The splitter alone: no byte is lost, and the events say the same. Which event has the second half
/// of a line end that was cut in two is of no account.
fn split(whole: &[Bytes], cuts: &[Bytes]) {
    let events = |chunks: &[Bytes]| {
        let mut splitter = Splitter::new();
        let mut events = Vec::new();
        for chunk in chunks {
            splitter.push(chunk.clone());
            while let Ok(Some(event)) = splitter.next_event() {
                events.push(splitter.bytes(&event).to_vec());
            }
        }
        events.push(splitter.rest().to_vec());
        events
    };
    let said = |events: &[Vec<u8>]| -> Vec<String> {
        let fields = events.iter().map(|event| Fields::read(event));
        fields.map(|fields| format!("{fields:?}")).collect()
    };
    let (one, cut) = (events(whole), events(cuts));
    assert_eq!(said(&one), said(&cut));
    let text = whole.concat();
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&text);
    assert_eq!((one.concat(), cut.concat()), (text.to_vec(), text.to_vec()), "no byte is lost");
}
