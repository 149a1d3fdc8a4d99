//! Plans of steps, without a socket.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::dialect::Dialect;
use crate::mock::conduct::{Conduct, Point};
use crate::mock::reply::{Reply, chat, stream};
use crate::mock::script::Script;
use crate::mock::steps::Step;
use crate::mock::{Recorded, frames};

fn plan(reply: Reply) -> Vec<Step> {
    let body = br#"{"model": "m", "stream": true, "messages": []}"#;
    let request = Recorded {
        method: http::Method::POST,
        path: "/v1/chat/completions".to_owned(),
        version: http::Version::HTTP_11,
        headers: http::HeaderMap::new(),
        body: Bytes::from_static(body),
        at: std::time::Instant::now(),
        connection: 1,
    };
    Script::always(reply).perform(&request, Dialect::OpenAi).steps
}

fn data(steps: &[Step]) -> Bytes {
    let mut all = BytesMut::new();
    for step in steps {
        if let Step::Data(bytes) = step {
            all.extend_from_slice(bytes);
        }
    }
    all.freeze()
}

#[test]
fn a_cut_at_every_byte_sends_exactly_so_many() {
    let whole = data(&plan(chat("one two three")));
    for at in 0..=whole.len() {
        let steps = plan(chat("one two three").cut_after(Point::Bytes(at)));
        assert_eq!(data(&steps), whole.slice(..at));
        assert_eq!(steps.last(), Some(&Step::Close));
    }
}

#[test]
fn pieces_of_every_size_make_the_same_stream() {
    let whole = data(&plan(chat("one two three")));
    for size in 1..80 {
        let steps = plan(chat("one two three").in_pieces_of(size));
        assert_eq!(data(&steps), whole, "pieces of {size}");
        let pieces: Vec<_> = steps.iter().filter(|it| matches!(it, Step::Data(_))).collect();
        assert_eq!(pieces.len(), whole.len().div_ceil(size));
    }
}

#[test]
fn the_pace_is_kept_between_frames_with_content_only() {
    let steps = plan(stream(["12345678", "1234"]).tokens_per_second(10.0));
    let waits: Vec<_> = steps.iter().filter(|it| matches!(it, Step::Wait(_))).collect();
    assert_eq!(waits, [&Step::Wait(Duration::from_millis(100))], "one token of four bytes");
}

#[test]
fn places_beyond_the_end_are_the_end() {
    for point in [Point::Frames(99), Point::Bytes(1_000_000), Point::Preamble] {
        let steps = plan(frames::<&str>([]).stall_after(point).cut_after(point));
        assert_eq!(steps, [Step::Head, Step::Stall, Step::Close]);
    }
    let steps = plan(stream(["a"]).error_frame_after(99, "x", "late"));
    assert!(data(&steps).ends_with(b"}}\n\n"), "an error even after [DONE]");
}

#[test]
fn a_stall_comes_before_an_error_and_an_error_before_a_cut_at_the_same_place() {
    let reply = stream(["a", "b"]).cut_after(1).error_frame_after(1, "x", "y").stall_after(1);
    let steps = plan(reply);
    let stall = steps.iter().position(|it| *it == Step::Stall).unwrap();
    assert!(matches!(steps[stall + 1], Step::Data(_)));
    assert_eq!(steps[stall + 2..], [Step::End]);
}

#[test]
fn repeated_chunks_share_their_bytes() {
    let steps = plan(stream(["x"]).repeated(1000));
    let frames: Vec<&Bytes> = steps
        .iter()
        .filter_map(|it| if let Step::Data(bytes) = it { Some(bytes) } else { None })
        .collect();
    assert_eq!(frames.len(), 1003);
    assert_eq!(frames[1].as_ptr(), frames[1000].as_ptr());
}

#[test]
fn nothing_is_planned_by_default() {
    assert!(Conduct::default().latency.is_none());
    assert!(matches!(plan(chat("a")).as_slice(), [Step::Head, .., Step::End]));
}
