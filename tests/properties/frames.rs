//! What a binary event stream becomes does not depend on where the reads cut it, and damage is never
//! more than a failure.

use bytes::Bytes;
use tollgate::wire::bedrock::Decoder;
use tollgate::wire::{Ending, Origin, StreamOptions, StreamRelay};

/// Bytes of a frame beside its headers and its payload, and of its head.
const AROUND: usize = 16;
const HEAD: usize = 12;

/// For every stream: as it is, which is nearly always a damaged one, and with the lengths and the
/// checksums put right, so that what is in the frames is read.
pub(crate) fn holds(input: &[u8]) {
    for stream in [input.to_vec(), sealed(input)] {
        let whole = [Bytes::from(stream.clone())];
        let size = 1 + stream.first().map_or(0, |byte| usize::from(*byte) % 40);
        let cuts: Vec<Bytes> = stream.chunks(size).map(Bytes::copy_from_slice).collect();
        assert_eq!(frames(&whole), frames(&cuts));
        assert_eq!(relayed(&whole), relayed(&cuts));
    }
}

/// Every frame, and what was wrong at the end.
fn frames(chunks: &[Bytes]) -> Vec<String> {
    let mut decoder = Decoder::new();
    let mut found = Vec::new();
    for chunk in chunks {
        decoder.push(chunk);
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => found.push(format!("{frame:?}")),
                Ok(None) => break,
                Err(broken) => {
                    found.push(broken.to_string());
                    return found;
                }
            }
        }
    }
    found
}

fn relayed(chunks: &[Bytes]) -> String {
    let options = StreamOptions { show_usage: true, created: 1, ..StreamOptions::default() };
    let mut relay = StreamRelay::bedrock(options, &Origin::default());
    let mut out = Vec::new();
    let (mut done, mut failure) = (false, None);
    for chunk in chunks {
        let progress = relay.push(chunk.clone(), &mut out);
        done |= progress.done;
        failure = failure.or(progress.failure);
    }
    let ending = relay.finish(&mut out);
    if failure.is_some() {
        assert_eq!(ending, Ending::Cut, "a stream that failed is not complete");
    }
    let text = String::from_utf8(out.concat()).unwrap();
    assert_eq!(text.ends_with("data: [DONE]\n\n"), ending == Ending::Complete);
    format!("{text} {done} {failure:?} {ending:?} {:?} {}", relay.usage(), relay.text_bytes())
}

/// The frames of the input with lengths that fit and checksums that are right.
fn sealed(input: &[u8]) -> Vec<u8> {
    let mut stream = Vec::with_capacity(input.len());
    let mut rest = input;
    while rest.len() > AROUND {
        let number = |at: usize| {
            rest[at..at + 4].iter().fold(0, |number, byte| number << 8 | usize::from(*byte))
        };
        let total = number(0).clamp(AROUND, rest.len());
        let headers = number(4).min(total - AROUND);
        let begun = stream.len();
        for length in [total, headers] {
            let length = u32::try_from(length).unwrap();
            stream.extend_from_slice(&length.to_be_bytes());
        }
        let proof = crc32fast::hash(&stream[begun..]);
        stream.extend_from_slice(&proof.to_be_bytes());
        stream.extend_from_slice(&rest[HEAD..total - 4]);
        let proof = crc32fast::hash(&stream[begun..]);
        stream.extend_from_slice(&proof.to_be_bytes());
        rest = &rest[total..];
    }
    stream
}
