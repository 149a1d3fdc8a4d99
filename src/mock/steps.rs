//! A reply as a list of steps, which a connection only has to carry out.
//!
//! All timing and misbehaviour is decided here, so HTTP/1.1 and HTTP/2 cannot differ in it, and it
//! can be tested without a socket.

use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::asked::Asked;
use super::conduct::{Afterwards, Conduct, Fault, Point};
use super::problem::Problem;
use super::render::{Payload, Rendered};
use super::speech::Place;

/// One thing to do on the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Wait(Duration),
    /// The status line and the headers.
    Head,
    /// Bytes of the body.
    Data(Bytes),
    /// What was written leaves now, by itself.
    Flush,
    /// Nothing, until somebody releases it or the client is gone.
    Stall,
    /// The proper end of the body.
    End,
    /// The connection is closed, whatever was promised.
    Close,
    /// The connection is reset.
    Reset,
    /// Bytes outside HTTP.
    Raw(Bytes),
}

/// A reply, ready to be carried out.
#[derive(Debug)]
pub(super) struct Performance {
    pub(super) rendered: Rendered,
    pub(super) steps: Vec<Step>,
    pub(super) conduct: Conduct,
    /// The same request may get the same bytes again without asking the script.
    pub(super) repeatable: bool,
}

impl Performance {
    /// Puts a rendered reply and its conduct together. `roll` is in `0.0..1.0` and picks the
    /// latency from its range.
    pub(super) fn new(asked: &Asked, rendered: Rendered, conduct: Conduct, roll: f64) -> Self {
        // A request that the provider refuses is refused at once and in full.
        let conduct = match asked.refused {
            Some(_) => Conduct::default(),
            None => conduct,
        };
        let steps = plan(asked, &rendered.payload, &conduct, roll);
        let repeatable = conduct.latency.is_none()
            && conduct.slow_head.is_none()
            && conduct.afterwards == Afterwards::KeepAlive
            && steps.iter().all(|it| matches!(it, Step::Head | Step::Data(_) | Step::End));
        Self { rendered, steps, conduct, repeatable }
    }

    /// The length of the body if all of it is sent, for `content-length`.
    pub(super) fn whole_length(&self) -> Option<usize> {
        match &self.rendered.payload {
            Payload::Whole(body) => Some(body.len()),
            Payload::Frames(_) => None,
        }
    }
}

fn plan(asked: &Asked, payload: &Payload, conduct: &Conduct, roll: f64) -> Vec<Step> {
    let mut plan = Plan { steps: Vec::new(), conduct, sent: 0, marks: Vec::new(), asked };
    if let Some(latency) = &conduct.latency {
        let spread = latency.end().saturating_sub(*latency.start());
        plan.wait(*latency.start() + spread.mul_f64(roll.clamp(0.0, 1.0)));
    }
    match &conduct.fault {
        Some(Fault::Reset) => plan.steps.push(Step::Reset),
        Some(Fault::Close) => plan.steps.push(Step::Close),
        Some(Fault::Silence) => plan.steps.extend([Step::Stall, Step::Close]),
        Some(Fault::Garbage(bytes)) => {
            plan.steps.extend([Step::Raw(bytes.clone()), Step::Flush, Step::Close]);
        }
        None => {
            plan.steps.push(Step::Head);
            let complete = plan.mark(payload) && plan.body(payload);
            if complete {
                plan.steps.push(Step::End);
            }
        }
    }
    match conduct.pieces {
        Some(size) => in_pieces(plan.steps, size),
        None => plan.steps,
    }
}

/// Something that happens after so many bytes of the body.
#[derive(Debug)]
enum Event<'a> {
    Stall,
    Error(&'a Problem),
    Cut,
}

struct Plan<'a> {
    steps: Vec<Step>,
    conduct: &'a Conduct,
    /// Bytes of the body planned so far.
    sent: usize,
    /// What still happens, the latest first.
    marks: Vec<(usize, Event<'a>)>,
    asked: &'a Asked,
}

impl Plan<'_> {
    fn wait(&mut self, time: Duration) {
        if !time.is_zero() {
            self.steps.push(Step::Wait(time));
        }
    }

    /// Plans a body. False if it does not come to its proper end.
    fn body(&mut self, payload: &Payload) -> bool {
        self.wait(self.conduct.ttft.unwrap_or_default());
        let frames = match payload {
            Payload::Whole(body) => return self.bytes(body),
            Payload::Frames(frames) => frames,
        };
        let mut content_seen = false;
        for frame in frames {
            if frame.place == Place::Content {
                if content_seen {
                    self.pace(frame.tokens);
                }
                content_seen = true;
            }
            if !self.bytes(&frame.bytes) {
                return false;
            }
            if self.conduct.each_frame_alone {
                self.steps.push(Step::Flush);
            }
        }
        true
    }

    fn pace(&mut self, tokens: u64) {
        let per_token = match self.conduct.tokens_per_second {
            Some(rate) if rate > 0.0 => tokens as f64 / rate,
            _ => 0.0,
        };
        let gap = self.conduct.gap.unwrap_or_default();
        self.wait(gap + Duration::try_from_secs_f64(per_token).unwrap_or_default());
    }

    /// Plans bytes of the body with what happens within them. False if that is the end.
    fn bytes(&mut self, bytes: &Bytes) -> bool {
        let start = self.sent;
        let end = start + bytes.len();
        let mut from = 0;
        while let Some((offset, _)) = self.marks.last().filter(|(offset, _)| *offset <= end) {
            let to = offset.saturating_sub(start);
            self.data(bytes.slice(from..to));
            from = to;
            if !self.happens() {
                return false;
            }
        }
        self.data(bytes.slice(from..));
        true
    }

    fn data(&mut self, bytes: Bytes) {
        self.sent += bytes.len();
        if !bytes.is_empty() {
            self.steps.push(Step::Data(bytes));
        }
    }

    /// Plans what is next on the list. False if that is the end of the body.
    fn happens(&mut self) -> bool {
        match self.marks.pop() {
            None => true,
            Some((_, Event::Stall)) => {
                self.steps.push(Step::Stall);
                true
            }
            Some((_, Event::Error(problem))) => {
                self.steps.push(Step::Data(problem.frame(self.asked)));
                self.steps.push(Step::End);
                false
            }
            Some((_, Event::Cut)) => {
                let end = if self.conduct.cut_with_reset { Step::Reset } else { Step::Close };
                self.steps.push(end);
                false
            }
        }
    }

    /// Finds the places of the script's events in this body, and plans those at its start.
    fn mark(&mut self, payload: &Payload) -> bool {
        let conduct = self.conduct;
        let streamed = matches!(payload, Payload::Frames(_));
        let mut marks = Vec::new();
        if let Some(point) = conduct.stall {
            marks.push((offset(payload, point), Event::Stall));
        }
        if let Some((point, problem)) = conduct.error_frame.as_ref().filter(|_| streamed) {
            marks.push((offset(payload, *point), Event::Error(problem)));
        }
        if let Some(point) = conduct.cut {
            marks.push((offset(payload, point), Event::Cut));
        }
        // Stable: at one place, first the stall, then the error, then the cut.
        marks.sort_by_key(|(offset, _)| *offset);
        marks.reverse();
        self.marks = marks;
        self.bytes(&Bytes::new())
    }
}

/// The place of `point` in a body, in bytes.
fn offset(payload: &Payload, point: Point) -> usize {
    let frames = match (payload, point) {
        (_, Point::Frames(0)) => return 0,
        (Payload::Whole(body), Point::Bytes(count)) => return count.min(body.len()),
        (Payload::Whole(body), Point::Frames(_) | Point::Preamble) => return body.len() / 2,
        (Payload::Frames(frames), _) => frames,
    };
    let mut offset = 0;
    let mut content = 0;
    for frame in frames {
        let is_content = frame.place == Place::Content;
        if point == Point::Preamble && is_content {
            return offset;
        }
        offset += frame.bytes.len();
        content += usize::from(is_content);
        if is_content && point == Point::Frames(content) {
            return offset;
        }
    }
    match point {
        Point::Bytes(count) => count.min(offset),
        Point::Frames(_) | Point::Preamble => offset,
    }
}

/// Cuts every run of body bytes in pieces of `size` that leave by themselves.
fn in_pieces(steps: Vec<Step>, size: usize) -> Vec<Step> {
    let mut pieces = Vec::new();
    let mut run = BytesMut::new();
    for step in steps {
        match step {
            Step::Data(bytes) => run.extend_from_slice(&bytes),
            Step::Flush => {}
            other => {
                for piece in run.split().chunks(size) {
                    pieces.extend([Step::Data(Bytes::copy_from_slice(piece)), Step::Flush]);
                }
                pieces.push(other);
            }
        }
    }
    pieces
}
