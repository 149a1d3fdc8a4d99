//! Splits a byte stream into server-sent events, wherever the reads happen to cut it.
//!
//! Lines end in LF, CR or CRLF, also when a read ends between the two; a byte order mark is
//! dropped; comments and multi-line data are understood. An event that lies within one read is
//! found in place and can be passed on as a slice of it; only one that straddles reads is copied.

use std::borrow::Cow;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bound of one event. Images arrive as base64 in one event and take several megabytes.
pub const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// The provider sent an event larger than [`MAX_EVENT_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is larger than {MAX_EVENT_BYTES} bytes")]
pub struct TooLarge;

/// The state between reads. Feed it with [`Splitter::push`], then take events with
/// [`Splitter::next_event`] until there is none.
#[derive(Debug, Default)]
pub struct Splitter {
    /// The start of an event whose end has not been read yet, or the whole of an event that
    /// straddled reads and was returned last.
    joined: BytesMut,
    chunk: Bytes,
    /// Where the next event begins in `chunk`.
    at: usize,
    /// `joined` holds an event that was returned: it is dropped at the next step.
    returned: bool,
    /// The line being read has bytes already.
    line_open: bool,
    /// The last byte was CR: an LF after it belongs to the same line end.
    after_cr: bool,
    /// The start of the stream has been looked at for a byte order mark.
    started: bool,
}

/// Where an event is. Valid until the next step of the splitter that returned it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Within the chunk that was pushed last.
    Here(Range<usize>),
    /// Put together from several chunks.
    Joined,
}

/// What an event says, as far as this gateway needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// The `event:` line.
    pub name: Option<&'a [u8]>,
    /// The `data:` lines, joined by LF; `None` if there is none (a comment, a blank line).
    pub data: Option<Cow<'a, [u8]>>,
}

impl Splitter {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next read. What was not taken out of the last one is kept.
    pub fn push(&mut self, chunk: Bytes) {
        self.forget();
        let rest = self.chunk.split_off(self.at.min(self.chunk.len()));
        self.joined.extend_from_slice(&rest);
        self.chunk = chunk;
        self.at = 0;
    }

    /// Steps to the next complete event.
    ///
    /// # Errors
    /// An event that exceeds the bound; the stream cannot be read further.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        self.forget();
        let start = self.at;
        let Some(end) = self.find_end() else {
            self.joined.extend_from_slice(&self.chunk[start..]);
            self.at = self.chunk.len();
            return if self.joined.len() > MAX_EVENT_BYTES { Err(TooLarge) } else { Ok(None) };
        };
        self.at = end;
        if self.joined.len() + (end - start) > MAX_EVENT_BYTES {
            return Err(TooLarge);
        }
        if self.joined.is_empty() {
            return Ok(Some(Event::Here(self.after_mark(start..end))));
        }
        self.joined.extend_from_slice(&self.chunk[start..end]);
        let whole = self.after_mark(0..self.joined.len());
        let _mark = self.joined.split_to(whole.start);
        self.returned = true;
        Ok(Some(Event::Joined))
    }

    /// The bytes of an event as they were sent, its blank line included.
    #[must_use]
    pub fn bytes(&self, event: &Event) -> &[u8] {
        match event {
            Event::Here(range) => self.chunk.get(range.clone()).unwrap_or_default(),
            Event::Joined => &self.joined,
        }
    }

    /// The same, to be kept: shares the memory of the read where the event lies within one.
    #[must_use]
    pub fn take(&mut self, event: &Event) -> Bytes {
        match event {
            Event::Here(range) => self.slice(range.clone()),
            Event::Joined => Bytes::copy_from_slice(&self.joined),
        }
    }

    /// A part of the chunk that was pushed last, sharing its memory.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Bytes {
        self.chunk.slice(range)
    }

    /// Sends on what was gathered of it.
    pub(crate) fn flush(&self, run: &mut Range<usize>, out: &mut Vec<Bytes>) {
        if run.start < run.end {
            out.push(self.slice(run.clone()));
        }
        *run = run.end..run.end;
    }

    /// The start of an event whose end has not been read, after [`Splitter::next_event`] has found no
    /// further one.
    #[must_use]
    pub fn pending(&self) -> &[u8] {
        if self.returned { &[] } else { &self.joined }
    }

    /// What an event says.
    #[must_use]
    pub fn fields(&self, event: &Event) -> Fields<'_> {
        Fields::read(self.bytes(event))
    }

    /// Takes what is left when the stream has ended: an event without its blank line. By the
    /// standard it is dropped, because it may be incomplete; the caller decides.
    #[must_use]
    pub fn rest(&mut self) -> Bytes {
        self.push(Bytes::new());
        let whole = self.after_mark(0..self.joined.len());
        self.joined.split().freeze().slice(whole)
    }

    fn forget(&mut self) {
        if self.returned {
            self.joined.clear();
            self.returned = false;
        }
    }

    /// The end of the first event in the unread part of the chunk, after its blank line.
    fn find_end(&mut self) -> Option<usize> {
        let text = &self.chunk[..];
        let mut at = self.at;
        if self.after_cr && at < text.len() {
            self.after_cr = false;
            if text[at] == b'\n' {
                at += 1;
            }
        }
        while let Some(offset) = memchr::memchr2(b'\n', b'\r', &text[at..]) {
            let blank = offset == 0 && !self.line_open;
            let cr = text[at + offset] == b'\r';
            at += offset + 1;
            self.line_open = false;
            if cr {
                match text.get(at) {
                    Some(b'\n') => at += 1,
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            if blank {
                return Some(at);
            }
        }
        self.line_open |= at < text.len();
        None
    }

    /// Leaves a byte order mark at the start of the stream out of the first event.
    fn after_mark(&mut self, range: Range<usize>) -> Range<usize> {
        if self.started {
            return range;
        }
        self.started = true;
        let text = if self.joined.is_empty() { &self.chunk[range.clone()] } else { &self.joined };
        let mark = if text.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
        range.start + mark..range.end
    }
}

impl<'a> Fields<'a> {
    /// Reads the lines of one event.
    #[must_use]
    pub fn read(event: &'a [u8]) -> Self {
        let mut fields = Self { name: None, data: None };
        let mut rest = event;
        while !rest.is_empty() {
            let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
            let line = &rest[..end];
            rest = rest.get(end + 1..).unwrap_or_default();
            if let Some(value) = value_of(line, b"data") {
                match &mut fields.data {
                    None => fields.data = Some(Cow::Borrowed(value)),
                    Some(data) => {
                        let data = data.to_mut();
                        data.push(b'\n');
                        data.extend_from_slice(value);
                    }
                }
            } else if let Some(value) = value_of(line, b"event") {
                fields.name = Some(value);
            }
        }
        fields
    }
}

/// Puts JSON text on one line, as the data of an event has to be. Only white space between tokens can
/// be a line end in JSON, and providers write some of theirs over several lines.
pub fn on_one_line(json: &mut [u8]) {
    let mut at = 0;
    while let Some(end) = memchr::memchr2(b'\n', b'\r', &json[at..]) {
        at += end;
        json[at] = b' ';
    }
}

/// One nameless event with JSON text as its data.
#[must_use]
pub fn event(json: &[u8]) -> Bytes {
    let mut event = [b"data: ", json, b"\n\n"].concat();
    on_one_line(&mut event[..b"data: ".len() + json.len()]);
    event.into()
}

/// Puts what `write` makes of the data of each event in place of the events. They are whole, and were
/// bounded where they were read.
pub fn rewrite(events: &mut Vec<Bytes>, mut write: impl FnMut(&[u8], &mut Vec<u8>)) {
    let mut out = Vec::new();
    let mut splitter = Splitter::new();
    for bytes in events.drain(..) {
        splitter.push(bytes);
        while let Ok(Some(event)) = splitter.next_event() {
            if let Some(data) = splitter.fields(&event).data {
                write(data.trim_ascii(), &mut out);
            }
        }
    }
    if !out.is_empty() {
        events.push(out.into());
    }
}

/// The value of a line `field: value`; one space after the colon belongs to the syntax.
fn value_of<'a>(line: &'a [u8], field: &[u8]) -> Option<&'a [u8]> {
    match line.strip_prefix(field)? {
        [] => Some(&[]),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of every event, when the stream is read in the given pieces; and all bytes.
    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Option<Vec<u8>>>, Vec<u8>) {
        let mut splitter = Splitter::new();
        let (mut data, mut bytes) = (Vec::new(), Vec::new());
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(event) = splitter.next_event().unwrap() {
                data.push(splitter.fields(&event).data.map(Cow::into_owned));
                assert_eq!(splitter.take(&event), splitter.bytes(&event));
                bytes.extend_from_slice(splitter.bytes(&event));
            }
        }
        bytes.extend_from_slice(&splitter.rest());
        (data.into_iter().filter(Option::is_some).collect(), bytes)
    }

    fn data(stream: &str) -> Vec<String> {
        let text = |data: Option<Vec<u8>>| String::from_utf8(data.unwrap()).unwrap();
        read([stream.as_bytes()]).0.into_iter().map(text).collect()
    }

    #[test]
    fn all_three_line_ends_are_understood() {
        for end in ["\n", "\r", "\r\n"] {
            let stream =
                "data: a\n\nevent: x\ndata:b\ndata: c\n\n: comment\n\ndata\n\n\ndata: d\n\n";
            assert_eq!(data(&stream.replace('\n', end)), ["a", "b\nc", "", "d"], "{end:?}");
        }
        assert_eq!(data("data: a\r\n\ndata: b\n\r\ndata: c\n\rdata: d\r\r"), ["a", "b", "c", "d"]);
    }

    #[test]
    fn every_cut_gives_the_same_events_and_the_same_bytes() {
        let stream = "\u{feff}data: \u{e9}a\r\n\r\n\r\n: c\r\rdata:  b\n\nevent: e\r\ndata: 1\rdata: 2\n\r\n\
                      database: no\ndata2: no\n\ndata: last\n\n";
        let stream = stream.as_bytes();
        let whole = read([stream]);
        assert_eq!(whole.0.len(), 4);
        assert_eq!(whole.1, stream[3..], "nothing but the byte order mark is lost");
        for first in 0..=stream.len() {
            for second in first..=stream.len() {
                let pieces = [&stream[..first], &stream[first..second], &stream[second..]];
                assert_eq!(read(pieces), whole, "cut at {first} and {second}");
            }
        }
        assert_eq!(read(stream.chunks(1)), whole);
    }

    #[test]
    fn an_event_within_one_read_is_not_copied() {
        let chunk = Bytes::from_static(b"data: a\n\ndata: b\n\ndata: c");
        let mut splitter = Splitter::new();
        splitter.push(chunk.clone());

        let first = splitter.next_event().unwrap().unwrap();
        assert_eq!(splitter.take(&first).as_ptr(), chunk.as_ptr());
        let second = splitter.next_event().unwrap().unwrap();
        assert_eq!(second, Event::Here(9..18));
        assert_eq!(splitter.next_event(), Ok(None));
        splitter.push(Bytes::from_static(b"\n\n"));
        let third = splitter.next_event().unwrap().unwrap();
        assert_eq!(third, Event::Joined);
        assert_eq!(splitter.bytes(&third), b"data: c\n\n");
        assert_eq!(splitter.next_event(), Ok(None));
        assert_eq!(splitter.rest(), "");
    }

    #[test]
    fn an_event_without_its_blank_line_is_left_over() {
        let mut splitter = Splitter::new();
        splitter.push(Bytes::from_static(b"data: a\n\ndata: [DO"));
        assert!(splitter.next_event().unwrap().is_some());
        assert_eq!(splitter.next_event(), Ok(None));
        splitter.push(Bytes::from_static(b"NE]\n"));
        assert_eq!(splitter.next_event(), Ok(None));
        assert_eq!(splitter.rest(), "data: [DONE]\n");
    }

    #[test]
    fn json_over_several_lines_is_one_event() {
        let json = b"{\r\n  \"a\": [\n\t1,\r2\n]}\n";
        let event = event(json);
        assert_eq!(read([&event[..]]).0.len(), 1);
        let said: serde_json::Value = serde_json::from_slice(&event[b"data: ".len()..]).unwrap();
        assert_eq!(said, serde_json::json!({"a": [1, 2]}));
    }

    #[test]
    fn an_endless_event_is_refused() {
        let mut splitter = Splitter::new();
        let piece = Bytes::from(vec![b'x'; 1 << 20]);
        let mut pushed = 0;
        loop {
            splitter.push(piece.clone());
            pushed += piece.len();
            match splitter.next_event() {
                Ok(event) => assert_eq!(event, None),
                Err(TooLarge) => break,
            }
        }
        assert!(pushed <= MAX_EVENT_BYTES + piece.len());
    }
}
