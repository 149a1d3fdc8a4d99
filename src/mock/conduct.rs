//! How well a reply is delivered: its timing, and what goes wrong on the way.

use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;

use super::problem::Problem;

/// A place in a reply. Numbers count frames with content; `0` is directly after the head.
///
/// In a reply that is not a stream, every place after the head is the middle of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// After the opening frames (role, `message_start`, content-filter preamble).
    Preamble,
    /// After so many frames with content.
    Frames(usize),
    /// After so many bytes of the body.
    Bytes(usize),
}

impl From<usize> for Point {
    fn from(frames: usize) -> Self {
        Self::Frames(frames)
    }
}

/// The place after `count` bytes of the body.
#[must_use]
pub const fn bytes(count: usize) -> Point {
    Point::Bytes(count)
}

/// What the provider does instead of sending a response head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    Reset,
    Close,
    Garbage(Bytes),
    Silence,
}

/// How the body is delimited in HTTP/1.1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// Content-Length for whole bodies, chunked for streams.
    #[default]
    Usual,
    Chunked,
    UntilClose,
}

/// What happens to the connection after a complete reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Afterwards {
    #[default]
    KeepAlive,
    /// Announced by `connection: close` (GOAWAY in HTTP/2).
    Close,
    /// Closed without a word: a pooled connection that turns out dead.
    HangUp,
}

/// Timing and misbehaviour.
#[derive(Clone, Debug, Default)]
pub(super) struct Conduct {
    /// Before the response head; one value of the range per request.
    pub(super) latency: Option<RangeInclusive<Duration>>,
    /// Between the response head and the first frame.
    pub(super) ttft: Option<Duration>,
    pub(super) tokens_per_second: Option<f64>,
    /// Between two frames, beside `tokens_per_second`.
    pub(super) gap: Option<Duration>,
    pub(super) each_frame_alone: bool,
    /// Cuts the body in writes of so many bytes.
    pub(super) pieces: Option<usize>,
    pub(super) cut: Option<Point>,
    pub(super) cut_with_reset: bool,
    pub(super) stall: Option<Point>,
    pub(super) error_frame: Option<(Point, Problem)>,
    pub(super) fault: Option<Fault>,
    /// Between two bytes of the response head.
    pub(super) slow_head: Option<Duration>,
    pub(super) framing: Framing,
    pub(super) afterwards: Afterwards,
}
