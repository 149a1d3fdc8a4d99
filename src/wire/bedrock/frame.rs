//! AWS's binary event stream: frames out of bytes that come in pieces of any size.
//!
//! ```text
//! u32 total length | u32 length of the headers | u32 CRC of the first 8 bytes
//! headers: u8 length, name, u8 type, value | payload | u32 CRC of everything before
//! ```
//!
//! Numbers are big endian, the checksum is the CRC-32 of IEEE. The bounds are those of Amazon's own
//! SDKs. One frame is held at a time, and nothing is reserved for a frame before its length has been
//! proved by its checksum.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes before the headers.
const PRELUDE: usize = 12;
/// Bytes of a checksum.
const CRC: usize = 4;
const MAX_HEADERS: usize = 128 * 1024;
const MAX_PAYLOAD: usize = 24 * 1024 * 1024;

/// What is wrong with a stream that is no event stream, or a damaged one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(&'static str);

impl fmt::Display for Broken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "the provider's event stream is damaged: {}", self.0)
    }
}

/// One message of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    headers: Bytes,
    pub payload: Bytes,
}

impl Frame {
    /// A header that holds text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = Headers(&self.headers);
        while let Ok(Some((known, value))) = headers.next() {
            if known == name.as_bytes() {
                return value.and_then(|text| std::str::from_utf8(text).ok());
            }
        }
        None
    }
}

/// Cuts a stream into frames.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: BytesMut,
    broken: Option<Broken>,
}

impl Decoder {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one read.
    pub fn push(&mut self, chunk: &[u8]) {
        if self.broken.is_none() {
            self.pending.extend_from_slice(chunk);
        }
    }

    /// The next whole frame; `None`: it has not come yet.
    ///
    /// # Errors
    /// What came is not a frame. Nothing that follows can be read.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Broken> {
        match self.broken {
            Some(broken) => Err(broken),
            None => self.cut().inspect_err(|broken| {
                self.broken = Some(*broken);
                self.pending = BytesMut::new();
            }),
        }
    }

    fn cut(&mut self) -> Result<Option<Frame>, Broken> {
        let Some(mut prelude) = self.pending.get(..PRELUDE) else {
            return Ok(None);
        };
        let proof = crc32fast::hash(&prelude[..PRELUDE - CRC]);
        let (total, headers) = (prelude.get_u32() as usize, prelude.get_u32() as usize);
        if prelude.get_u32() != proof {
            return Err(Broken("the checksum of a frame's lengths is wrong"));
        }
        if headers > MAX_HEADERS {
            return Err(Broken("the headers of a frame are too long"));
        }
        let Some(payload) = total.checked_sub(PRELUDE + headers + CRC) else {
            return Err(Broken("a frame is shorter than its headers"));
        };
        if payload > MAX_PAYLOAD {
            return Err(Broken("a frame is too long"));
        }
        if self.pending.len() < total {
            return Ok(None);
        }
        let mut frame = self.pending.split_to(total).freeze();
        let mut end = frame.split_off(total - CRC);
        if end.get_u32() != crc32fast::hash(&frame) {
            return Err(Broken("the checksum of a frame is wrong"));
        }
        frame.advance(PRELUDE);
        let payload = frame.split_off(headers);
        let mut walk = Headers(&frame);
        while walk.next()?.is_some() {}
        Ok(Some(Frame { headers: frame, payload }))
    }
}

/// What is left to read of a frame's headers.
struct Headers<'a>(&'a [u8]);

type Header<'a> = (&'a [u8], Option<&'a [u8]>);

impl<'a> Headers<'a> {
    /// The next header: its name, and its value if that is text.
    fn next(&mut self) -> Result<Option<Header<'a>>, Broken> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let length = self.number(1)?;
        let name = self.take(length)?;
        let kind = self.number(1)?;
        let length = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => self.number(2)?,
            9 => 16,
            _ => return Err(Broken("a header has a type that does not exist")),
        };
        let value = self.take(length)?;
        Ok(Some((name, (kind == 7).then_some(value))))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Broken> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Broken("a header is cut off"))?;
        self.0 = rest;
        Ok(taken)
    }

    /// A big-endian number of so many bytes.
    fn number(&mut self, bytes: usize) -> Result<usize, Broken> {
        let digits = self.take(bytes)?;
        Ok(digits.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A frame with headers of text.
    pub(in super::super) fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
        let mut written = Vec::new();
        for (name, value) in headers {
            written.push(u8::try_from(name.len()).unwrap());
            written.extend_from_slice(name.as_bytes());
            written.push(7);
            written.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            written.extend_from_slice(value.as_bytes());
        }
        sealed(&written, payload)
    }

    fn sealed(headers: &[u8], payload: &[u8]) -> Vec<u8> {
        let total = PRELUDE + headers.len() + payload.len() + CRC;
        let mut frame = u32::try_from(total).unwrap().to_be_bytes().to_vec();
        frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame.extend_from_slice(headers);
        frame.extend_from_slice(payload);
        frame.extend_from_slice(&crc32fast::hash(&frame).to_be_bytes());
        frame
    }

    fn read(bytes: &[u8]) -> Result<Option<Frame>, Broken> {
        let mut decoder = Decoder::new();
        decoder.push(bytes);
        decoder.next_frame()
    }

    #[test]
    fn frames_come_whole_wherever_the_reads_are_cut() {
        let one = frame(&[(":message-type", "event"), (":event-type", "metadata")], b"{}");
        let two = frame(&[(":message-type", "exception")], b"");
        let stream = [one.clone(), two, one].concat();
        for size in 1..stream.len() {
            let mut decoder = Decoder::new();
            let mut frames = Vec::new();
            for chunk in stream.chunks(size) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames.len(), 3, "reads of {size}");
            assert_eq!(frames[0].header(":event-type"), Some("metadata"));
            assert_eq!(frames[0].header(":none"), None);
            assert_eq!((&frames[0].payload[..], &frames[1].payload[..]), (&b"{}"[..], &b""[..]));
            assert_eq!(frames[1].header(":message-type"), Some("exception"));
        }
    }

    #[test]
    fn headers_of_every_type_are_passed_over() {
        let mut headers = Vec::new();
        let sizes = [(0, 0), (1, 0), (2, 1), (3, 2), (4, 4), (5, 8), (8, 8), (9, 16)];
        for (kind, size) in sizes {
            headers.extend_from_slice(&[1, b'a', kind]);
            headers.extend(std::iter::repeat_n(0xff, size));
        }
        headers.extend_from_slice(&[1, b'b', 6, 0, 1, 0xff]);
        headers.extend_from_slice(&[1, b'c', 7, 0, 2, b'o', b'k']);
        headers.extend_from_slice(&[1, b'd', 7, 0, 1, 0xff]);
        let frame = read(&sealed(&headers, b"")).unwrap().unwrap();
        assert_eq!((frame.header("a"), frame.header("b")), (None, None));
        assert_eq!((frame.header("c"), frame.header("d")), (Some("ok"), None));
    }

    #[test]
    fn what_is_no_frame_is_refused_at_once_and_for_good() {
        let whole = frame(&[("a", "b")], b"payload");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                let mut decoder = Decoder::new();
                decoder.push(&damaged);
                let broken = decoder.next_frame().expect_err("a changed bit is noticed");
                decoder.push(&whole);
                assert_eq!(decoder.next_frame(), Err(broken));
                assert!(decoder.pending.is_empty());
            }
        }
        assert!(read(b"<html><body>Bad Gateway").is_err());
        assert_eq!(read(b"<html>"), Ok(None));
        assert!(read(&sealed(&[1, b'a', 10], b"")).is_err(), "a type that does not exist");
        assert!(read(&sealed(&[9, b'a', 7], b"")).is_err(), "a name that is cut off");
        assert!(read(&sealed(&[1, b'a', 7, 0, 9], b"")).is_err(), "a value that is cut off");
        assert!(read(&sealed(&[1, b'a', 7, 0], b"")).is_err(), "a length that is cut off");
    }

    #[test]
    fn lengths_have_bounds_that_are_looked_at_before_the_frame_is_there() {
        let prelude = |total: u32, headers: u32| {
            let mut prelude = [total.to_be_bytes(), headers.to_be_bytes()].concat();
            prelude.extend_from_slice(&crc32fast::hash(&prelude).to_be_bytes());
            read(&prelude).map(|frame| frame.is_some())
        };
        let most = u32::try_from(PRELUDE + MAX_HEADERS + MAX_PAYLOAD + CRC).unwrap();
        let headers = u32::try_from(MAX_HEADERS).unwrap();
        assert_eq!(prelude(most, headers), Ok(false));
        assert!(prelude(most + 1, headers).is_err());
        assert!(prelude(most, headers + 1).is_err());
        assert!(prelude(u32::MAX, 0).is_err());
        assert!(prelude(15, 0).is_err() && prelude(0, 0).is_err());
        assert!(prelude(100, 85).is_err() && prelude(0, u32::MAX).is_err());
        assert_eq!(prelude(100, 84), Ok(false));
    }
}
