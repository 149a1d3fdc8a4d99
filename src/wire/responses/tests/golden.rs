//! The recorded case of a client and a provider that both speak the Responses API.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use serde_json::Value;

use super::options;
use crate::wire::json::Object;
use crate::wire::responses::{NativeStream, Owner, native_request};
use crate::wire::{Ending, RequestOptions, Translate};

fn file(name: &str) -> Bytes {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/70-responses-stream-text");
    fs::read(root.join(name)).unwrap().into()
}

fn relay<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<u8>, NativeStream, Ending) {
    let mut stream = NativeStream::new(None);
    let mut out = Vec::new();
    for piece in pieces {
        assert_eq!(stream.push(Bytes::copy_from_slice(piece), &mut out).failure, None);
    }
    let ending = stream.finish(&mut out);
    (out.concat(), stream, ending)
}

#[test]
fn a_request_is_passed_as_it_was_written() {
    let body = Object::parse(file("client_request.json")).unwrap();
    let options = RequestOptions { stream: true, ..options("gpt-6-luna") };
    let sent = native_request(&body, &options, Owner::of("gpt-1")).unwrap();
    let read = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
    assert_eq!(read(&sent), read(body.bytes()));
}

#[test]
fn a_stream_is_passed_byte_for_byte_wherever_it_is_cut() {
    let (upstream, client) = (file("upstream_response.sse"), file("client_response.sse"));
    for first in 0..=upstream.len() {
        for second in [first, (first + 1).min(upstream.len())] {
            let pieces = [&upstream[..first], &upstream[first..second], &upstream[second..]];
            let (bytes, stream, ending) = relay(pieces);
            assert_eq!((bytes, ending), (client.to_vec(), Ending::Complete), "{first} {second}");
            let usage = stream.usage().unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens), (19, 4));
        }
    }
}

#[test]
fn a_stream_that_breaks_off_is_not_complete() {
    let upstream = file("upstream_response.sse");
    // The end of the last event's data: only the blank line is missing.
    let whole = upstream.len() - 2;
    for end in 0..upstream.len() {
        let (_, stream, ending) = relay([&upstream[..end]]);
        assert_eq!(ending == Ending::Complete, end >= whole, "{end}");
        assert_eq!(stream.usage().is_some(), end >= whole);
    }
}
