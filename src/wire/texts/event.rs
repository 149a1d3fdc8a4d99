//! The events of a stream as its client gets them, one by one: server-sent events, or the elements of one
//! JSON array.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use crate::wire::json::Cursor;
use crate::wire::sse::{Fields, Splitter};

/// One event, or what stands between two.
#[derive(Clone, Debug)]
pub struct Event {
    bytes: Bytes,
    /// Where its data stands.
    data: Range<usize>,
}

impl Event {
    /// As it goes out.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// What it says; empty for what is no event.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.bytes.get(self.data.clone()).unwrap_or_default()
    }

    /// The same with other data.
    #[must_use]
    pub fn with(self, data: &[u8]) -> Self {
        let (before, behind) = (&self.bytes[..self.data.start], &self.bytes[self.data.end..]);
        let bytes = [before, data, behind].concat().into();
        Self { bytes, data: self.data.start..self.data.start + data.len() }
    }
}

/// Takes the bytes of a stream apart.
#[derive(Debug)]
pub struct Events {
    splitter: Splitter,
    is_array: bool,
}

impl Events {
    #[must_use]
    pub fn new(is_array: bool) -> Self {
        Self { splitter: Splitter::new(), is_array }
    }

    /// Takes bytes, of an array whole elements only; `each` gets what is complete.
    pub fn push(&mut self, bytes: Bytes, mut each: impl FnMut(Event)) {
        if self.is_array {
            elements(&bytes, each);
            return;
        }
        self.splitter.push(bytes);
        // Events are bounded where they are read.
        while let Ok(Some(event)) = self.splitter.next_event() {
            each(of(self.splitter.take(&event)));
        }
    }

    /// Takes what is left at the end.
    pub fn rest(&mut self) -> Option<Event> {
        let rest = self.splitter.rest();
        (!rest.is_empty()).then(|| of(rest))
    }
}

fn of(bytes: Bytes) -> Event {
    let data = match Fields::read(&bytes).data {
        // Within the bytes: a slice of them.
        Some(Cow::Borrowed(data)) => {
            let start = data.as_ptr() as usize - bytes.as_ptr() as usize;
            Ok(start..start + data.len())
        }
        // Over several lines, which mean one.
        Some(Cow::Owned(data)) => Err(data),
        None => Ok(0..0),
    };
    match data {
        Ok(data) => Event { bytes, data },
        Err(data) => {
            let name = Fields::read(&bytes).name.map(<[u8]>::to_vec);
            let mut one = Vec::with_capacity(bytes.len());
            if let Some(name) = name {
                one.extend_from_slice(b"event: ");
                one.extend_from_slice(&name);
                one.push(b'\n');
            }
            let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
            one.extend_from_slice(b"data: ");
            let start = one.len();
            one.extend(data.iter().map(|byte| if is_end(byte) { b' ' } else { *byte }));
            let data = start..one.len();
            one.extend_from_slice(b"\n\n");
            Event { bytes: one.into(), data }
        }
    }
}

fn elements(bytes: &Bytes, mut each: impl FnMut(Event)) {
    let mut at = 0;
    while at < bytes.len() {
        let between = bytes[at..].iter().take_while(|byte| **byte != b'{').count();
        let start = at + between;
        let mut cursor = Cursor::starting_at(bytes, start);
        let Ok(element) = cursor.value() else {
            each(Event { bytes: bytes.slice(at..), data: 0..0 });
            return;
        };
        let all = bytes.slice(at..element.end);
        each(Event { bytes: all, data: element.start - at..element.end - at });
        at = element.end;
    }
}
