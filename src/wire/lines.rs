//! Splits a byte stream into lines of JSON (NDJSON), wherever the reads happen to cut it.

use bytes::{Bytes, BytesMut};

use super::sse::{MAX_EVENT_BYTES, TooLarge};

/// The state between reads. Feed it with [`Lines::push`], then take lines until there is none.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The start of a line whose end has not been read yet.
    begun: BytesMut,
    chunk: Bytes,
}

impl Lines {
    /// Takes the next read. What was not taken out of the last one is kept.
    pub(super) fn push(&mut self, chunk: Bytes) {
        let rest = std::mem::replace(&mut self.chunk, chunk);
        self.begun.extend_from_slice(&rest);
    }

    /// The next whole line that is not blank, without its end.
    ///
    /// # Errors
    /// A line that exceeds [`MAX_EVENT_BYTES`]; the stream cannot be read further.
    pub(super) fn next_line(&mut self) -> Result<Option<Bytes>, TooLarge> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.chunk) else {
                let rest = std::mem::take(&mut self.chunk);
                self.begun.extend_from_slice(&rest);
                let fits = self.begun.len() <= MAX_EVENT_BYTES;
                return if fits { Ok(None) } else { Err(TooLarge) };
            };
            let mut line = self.chunk.split_to(end + 1);
            if self.begun.len() + line.len() > MAX_EVENT_BYTES {
                return Err(TooLarge);
            }
            if !self.begun.is_empty() {
                self.begun.extend_from_slice(&line);
                line = self.begun.split().freeze();
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(line));
            }
        }
    }

    /// What is left when the stream has ended: a line without its end.
    pub(super) fn rest(&mut self) -> Bytes {
        self.push(Bytes::new());
        self.begun.split().freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_wherever_reads_cut_them() {
        let text = b"{\"a\":1}\r\n\n{\"b\":\"\\n\"}\n{\"c\":";
        for cut in 0..=text.len() {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            for piece in [&text[..cut], &text[cut..]] {
                lines.push(Bytes::copy_from_slice(piece));
                while let Some(line) = lines.next_line().unwrap() {
                    found.push(line.trim_ascii().to_vec());
                }
            }
            assert_eq!(found, [b"{\"a\":1}".to_vec(), b"{\"b\":\"\\n\"}".to_vec()], "cut at {cut}");
            assert_eq!(&lines.rest()[..], b"{\"c\":");
        }
    }

    #[test]
    fn a_line_has_a_bound() {
        let mut lines = Lines::default();
        lines.push(Bytes::from(vec![b'x'; MAX_EVENT_BYTES]));
        assert_eq!(lines.next_line(), Ok(None));
        lines.push(Bytes::from_static(b"x"));
        assert_eq!(lines.next_line(), Err(TooLarge));
    }
}
