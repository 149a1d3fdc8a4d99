//! The recorded cases of clients of Anthropic, each stream cut at every byte.

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::Value;

use super::{accumulated, events, telling};
use crate::dialect::{ClientDialect, Endpoint};
use crate::wire::client;
use crate::wire::json::Object;
use crate::wire::{Ending, RequestOptions, StreamOptions, StreamRelay, openai};

fn file(case: &str, name: &str) -> Bytes {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    fs::read(root.join(case).join(name)).unwrap().into()
}

fn options(model: &str) -> RequestOptions<'_> {
    RequestOptions { stream: true, ..RequestOptions::plain(Endpoint::Chat, model) }
}

/// A stream in the client's dialect, from the provider's bytes in these pieces.
fn told<'a>(
    mut relay: StreamRelay,
    request: Option<&Object>,
    pieces: impl Iterator<Item = &'a [u8]>,
) -> Vec<Bytes> {
    let mut voice =
        request.map(|_| client::stream(ClientDialect::Anthropic, &telling(request)).unwrap());
    let mut all = Vec::new();
    let mut out = Vec::new();
    for piece in pieces {
        relay.push(Bytes::copy_from_slice(piece), &mut out);
        if let Some(voice) = &mut voice {
            voice.pass(&mut out);
        }
        all.append(&mut out);
    }
    assert_eq!(relay.finish(&mut out), Ending::Complete);
    if let Some(voice) = &mut voice {
        voice.pass(&mut out);
    }
    all.append(&mut out);
    all
}

#[test]
fn a_stream_of_tools_from_openai_becomes_named_events_wherever_it_is_cut() {
    const CASE: &str = "19-anthropic-client-on-openai-stream-tools";
    let request = Object::parse(file(CASE, "client_request.json")).unwrap();
    let canonical = client::request(ClientDialect::Anthropic, &request, client::Asked::default());
    let sent = openai::request(&canonical.unwrap().body, &options("gpt-4o")).unwrap();
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(parsed(&sent), parsed(&file(CASE, "upstream_request.json")));

    let upstream = file(CASE, "upstream_response.sse");
    let relay = || StreamRelay::openai(StreamOptions { show_usage: true, ..Default::default() });
    let whole = told(relay(), Some(&request), std::iter::once(&upstream[..]));
    let expected = [file(CASE, "client_response.sse")];
    let without_empty = |stream: &[Bytes]| {
        let mut all = events(stream);
        all.retain(|(_, data)| data["delta"]["partial_json"] != "");
        all
    };
    assert_eq!(without_empty(&whole), without_empty(&expected));
    let message = accumulated(&whole);
    for at in 0..=upstream.len() {
        let pieces = [&upstream[..at], &upstream[at..]].into_iter();
        assert_eq!(accumulated(&told(relay(), Some(&request), pieces)), message, "cut at {at}");
    }
}

#[test]
fn anthropics_own_stream_passes_byte_for_byte_wherever_it_is_cut() {
    const CASE: &str = "11b-anthropic-client-passthrough-stream";
    let upstream = file(CASE, "upstream_response.sse");
    let expected = file(CASE, "client_response.sse");
    let relay = StreamRelay::anthropic_native;
    for at in 0..=upstream.len() {
        let pieces = [&upstream[..at], &upstream[at..]].into_iter();
        assert_eq!(told(relay(), None, pieces).concat(), expected, "cut at {at}");
    }
    let mut counted = relay();
    counted.push(upstream.clone(), &mut Vec::new());
    let usage = counted.usage().unwrap();
    assert_eq!((usage.input_tokens, usage.output_tokens, usage.estimated), (21, 6, false));
    for end in 0..upstream.len() {
        let mut cut = relay();
        let progress = cut.push(upstream.slice(..end), &mut Vec::new());
        let stopped = end >= upstream.len() - 60;
        assert!(!progress.done);
        assert!(stopped || cut.finish(&mut Vec::new()) == Ending::Cut, "cut at {end}");
    }
}
