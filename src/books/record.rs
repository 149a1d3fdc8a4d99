//! What stands in the journal: one letter, and the event as JSON.

use std::io::Write as _;
use std::sync::Arc;

use crate::spend::SpendEvent;
use crate::store::journal::Frame;

const BEGUN: u8 = b'b';
const OVER: u8 = b'e';

/// The class of the error of a request that ended with its process.
const INTERRUPTED: &str = "interrupted";

/// One record, as it is read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Record {
    /// A request of which the client has something. Told again while it goes on.
    Begun(SpendEvent),
    /// All that there is to say of a request.
    Over(SpendEvent),
}

pub(super) fn begun(event: &SpendEvent) -> Option<Frame> {
    frame(BEGUN, event)
}

pub(super) fn over(event: &SpendEvent) -> Option<Frame> {
    frame(OVER, event)
}

/// `None` cannot happen: an event holds nothing that JSON has no word for.
fn frame(kind: u8, event: &SpendEvent) -> Option<Frame> {
    let mut frame = Frame::default();
    frame.write_all(&[kind]).ok()?;
    serde_json::to_writer(&mut frame, event).ok()?;
    Some(frame)
}

/// Reads a record; `None` if it is none, or one of a later version.
pub(super) fn read(record: &[u8]) -> Option<Record> {
    let (kind, event) = record.split_first()?;
    let event = serde_json::from_slice(event).ok()?;
    match *kind {
        BEGUN => Some(Record::Begun(event)),
        OVER => Some(Record::Over(event)),
        _ => None,
    }
}

/// The row of a request that ended with its process. Its usage is what was known last.
pub(super) fn interrupted(mut event: SpendEvent) -> SpendEvent {
    event.error = Some(Arc::from(INTERRUPTED));
    event.usage.estimated = true;
    event
}
