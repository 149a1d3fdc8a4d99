//! An HTTP/1.1 reply that is read piece by piece and checked as a whole.
//!
//! A reply counts only if it is complete and right: the status, the announced length or the last
//! chunk, and a body that a client could use. A proxy that answers quickly with nonsense must not
//! win a benchmark.

use memchr::memmem;

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 8 << 20;
const HEADERS_MAX: usize = 96;

/// What is wrong with a reply, or with the connection it should come over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection ended, or could not be opened, before the reply was complete.
    Cut,
    /// Not HTTP, or larger than any reply of the upstream.
    Malformed,
    Status(u16),
    /// Complete, with status 200, and still not what the upstream has sent.
    Content,
}

/// Which kind of reply is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Json,
    Sse,
}

#[derive(Default)]
pub struct Reply {
    stage: Stage,
    status: u16,
    /// What has come of a head that is not complete yet.
    head: Vec<u8>,
    body: Vec<u8>,
    closing: bool,
}

#[derive(Default)]
enum Stage {
    #[default]
    Head,
    Length(usize),
    Chunks(Chunk),
    /// The body ends with the connection.
    UntilClose,
    Done,
}

enum Chunk {
    Size(usize),
    /// Extensions after the size, and its line feed.
    SizeLine(usize),
    Data(usize),
    DataEnd,
    /// The lines after the last chunk; the number of bytes in the current one.
    Trailer(usize),
}

impl Reply {
    /// Makes ready for the next reply on the same connection; the memory is kept.
    pub fn reset(&mut self) {
        self.stage = Stage::Head;
        self.status = 0;
        self.head.clear();
        self.body.clear();
        self.closing = false;
    }

    /// Takes the next bytes; true when the reply is complete.
    ///
    /// # Errors
    /// The bytes are not a reply, or more than one.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<bool, Fault> {
        let joined;
        let mut bytes = bytes;
        if matches!(self.stage, Stage::Head) {
            if !self.head.is_empty() {
                self.head.extend_from_slice(bytes);
                joined = std::mem::take(&mut self.head);
                bytes = &joined;
            }
            match self.read_head(bytes)? {
                Some(used) => bytes = &bytes[used..],
                None => {
                    self.head = bytes.to_vec();
                    return Ok(false);
                }
            }
        }
        if self.body.len() + bytes.len() > BODY_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        self.read_body(bytes)?;
        Ok(matches!(self.stage, Stage::Done))
    }

    /// The connection has ended: true if that completes the reply.
    #[must_use]
    pub fn end(&mut self) -> bool {
        matches!(self.stage, Stage::UntilClose)
    }

    /// The other side will close, or has closed, the connection after this reply.
    #[must_use]
    pub fn closing(&self) -> bool {
        self.closing
    }

    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Forgets the part of the body that has been read: for streams without an end.
    pub fn forget_body(&mut self) {
        self.body.clear();
    }

    /// Checks a complete reply; a stream must have at least `frames` frames of JSON.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, kind: Kind, frames: usize) -> Result<(), Fault> {
        if self.status != 200 {
            return Err(Fault::Status(self.status));
        }
        let body = self.body.trim_ascii();
        let right = match kind {
            Kind::Json => {
                body.starts_with(b"{")
                    && body.ends_with(b"}")
                    && memmem::find(body, b"\"choices\"").is_some()
            }
            Kind::Sse => body.ends_with(b"data: [DONE]") && count_frames(body) >= frames,
        };
        if right { Ok(()) } else { Err(Fault::Content) }
    }

    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Fault> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        let used = match response.parse(bytes) {
            Ok(httparse::Status::Complete(used)) => used,
            Ok(httparse::Status::Partial) if bytes.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(httparse::Status::Partial) | Err(_) => return Err(Fault::Malformed),
        };
        self.status = response.code.unwrap_or(0);
        self.closing = response.version == Some(0);
        self.stage = Stage::UntilClose;
        for header in response.headers.iter() {
            if header.name.eq_ignore_ascii_case("content-length") {
                let length = std::str::from_utf8(header.value).ok().and_then(|v| v.parse().ok());
                self.stage = Stage::Length(length.ok_or(Fault::Malformed)?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                self.stage = Stage::Chunks(Chunk::Size(0));
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.closing |= header.value.eq_ignore_ascii_case(b"close");
            }
        }
        if matches!(self.stage, Stage::UntilClose) {
            self.closing = true;
        }
        Ok(Some(used))
    }

    fn read_body(&mut self, mut bytes: &[u8]) -> Result<(), Fault> {
        loop {
            match &mut self.stage {
                Stage::Head => return Ok(()),
                Stage::UntilClose => {
                    self.body.extend_from_slice(bytes);
                    return Ok(());
                }
                Stage::Done if bytes.is_empty() => return Ok(()),
                // Nothing was asked for that this could answer.
                Stage::Done => return Err(Fault::Malformed),
                Stage::Length(left) => {
                    let used = bytes.len().min(*left);
                    self.body.extend_from_slice(&bytes[..used]);
                    bytes = &bytes[used..];
                    *left -= used;
                    if *left > 0 {
                        return Ok(());
                    }
                    self.stage = Stage::Done;
                }
                Stage::Chunks(chunk) => {
                    let Some((&byte, rest)) = bytes.split_first() else { return Ok(()) };
                    if let Chunk::Data(left) = chunk {
                        let used = bytes.len().min(*left);
                        self.body.extend_from_slice(&bytes[..used]);
                        bytes = &bytes[used..];
                        *left -= used;
                        if *left == 0 {
                            *chunk = Chunk::DataEnd;
                        }
                    } else {
                        bytes = rest;
                        if chunk.take_byte(byte)? {
                            self.stage = Stage::Done;
                        }
                    }
                }
            }
        }
    }
}

impl Chunk {
    /// Takes one byte outside the data; true when it ends the body.
    fn take_byte(&mut self, byte: u8) -> Result<bool, Fault> {
        match (&mut *self, byte) {
            (Self::Size(size), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).map_or(0, |digit| digit as usize);
                *size = *size * 16 + digit;
                if *size > BODY_BYTES_MAX {
                    return Err(Fault::Malformed);
                }
            }
            (Self::Size(0) | Self::SizeLine(0), b'\n') => *self = Self::Trailer(0),
            (Self::Size(size) | Self::SizeLine(size), b'\n') => *self = Self::Data(*size),
            (Self::Size(size), b'\r' | b';' | b' ' | b'\t') => *self = Self::SizeLine(*size),
            (Self::SizeLine(_), _) | (Self::DataEnd, b'\r') | (Self::Trailer(_), b'\r') => {}
            (Self::DataEnd, b'\n') => *self = Self::Size(0),
            (Self::Trailer(0), b'\n') => return Ok(true),
            (Self::Trailer(length), b'\n') => *length = 0,
            (Self::Trailer(length), _) => *length += 1,
            (Self::Size(_) | Self::DataEnd | Self::Data(_), _) => return Err(Fault::Malformed),
        }
        Ok(false)
    }
}

/// Counts the frames with JSON in the body of a stream.
#[must_use]
pub fn count_frames(body: &[u8]) -> usize {
    memmem::find_iter(body, b"data: {").count()
}

#[cfg(test)]
mod tests {
    use super::{Fault, Kind, Reply};
    use crate::script::{CONTENT_FRAMES, Script};

    fn read(pieces: &[&[u8]]) -> Result<Reply, Fault> {
        let mut reply = Reply::default();
        let (last, first) = pieces.split_last().expect("at least one piece");
        for piece in first {
            assert!(!reply.feed(piece)?, "complete too early");
        }
        assert!(reply.feed(last)?, "not complete");
        Ok(reply)
    }

    #[test]
    fn a_reply_cut_at_every_byte_reads_the_same() {
        let script = Script::new();
        for (bytes, kind) in [(&script.json, Kind::Json), (&script.stream, Kind::Sse)] {
            let whole = read(&[bytes]).expect("well-formed");
            assert_eq!(whole.check(kind, CONTENT_FRAMES + 2), Ok(()));
            for cut in 1..bytes.len() {
                let reply = read(&[&bytes[..cut], &bytes[cut..]]).expect("well-formed");
                assert_eq!(reply.body(), whole.body(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_reply_that_lacks_something_is_not_counted() {
        let script = Script::new();
        let not_found = read(&[&script.not_found]).expect("well-formed");
        assert_eq!(not_found.check(Kind::Json, 0), Err(Fault::Status(404)));
        let empty = read(&[b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"]).expect("well-formed");
        assert_eq!(empty.check(Kind::Json, 0), Err(Fault::Content));
        let stream = read(&[&script.stream]).expect("well-formed");
        assert_eq!(stream.check(Kind::Sse, CONTENT_FRAMES + 3), Err(Fault::Content));
        let undone = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                       a;x=1\r\ndata: {}\n\n\r\n0\r\nTrailer: 1\r\n\r\n";
        let undone = read(&[undone]).expect("well-formed");
        assert_eq!(undone.check(Kind::Sse, 1), Err(Fault::Content));
    }

    #[test]
    fn bytes_after_the_end_of_a_reply_are_a_fault() {
        let mut bytes = Script::new().json;
        bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        assert_eq!(read(&[&bytes]).err(), Some(Fault::Malformed));
        assert_eq!(read(&[b"SSH-2.0-OpenSSH\r\n\r\n"]).err(), Some(Fault::Malformed));
    }

    #[test]
    fn a_body_may_end_with_the_connection() {
        let mut reply = Reply::default();
        assert_eq!(reply.feed(b"HTTP/1.1 200 OK\r\n\r\n{\"choices\":[]}"), Ok(false));
        assert!(reply.end(), "the end of the connection is the end of the body");
        assert_eq!(reply.check(Kind::Json, 0), Ok(()));
    }
}
