//! What a provider says in place of what was expected: an error in a reply or a stream that is none of
//! its dialect's, a page for a browser.

use bytes::{Bytes, BytesMut};

use super::openai::ErrorBody;
use super::sse::Fields;
use crate::failure::{Failure, FailureClass};

/// Bound of what is kept of a line that reads cut.
const MAX_TAIL: usize = 16 * 1024;

/// The end of a stream as it was read. Shares the memory of the last read, as a rule.
#[derive(Debug, Default)]
pub struct Tail(Bytes);

impl Tail {
    /// Takes the next read.
    pub fn note(&mut self, chunk: &Bytes) {
        let begun = match memchr::memrchr(b'\n', &self.0) {
            Some(end) => &self.0[end + 1..],
            None => &self.0[..],
        };
        if begun.is_empty() || begun.len() + chunk.len() > MAX_TAIL {
            self.0 = chunk.clone();
            return;
        }
        let mut joined = BytesMut::from(begun);
        joined.extend_from_slice(chunk);
        self.0 = joined.freeze();
    }

    /// The error that a stream which was cut ends with: an event without its blank line, or a line of
    /// JSON that is no event at all.
    #[must_use]
    pub fn last_words(&self) -> Option<Failure> {
        let text = self.0.trim_ascii();
        if let Some(page) = page(text) {
            return Some(page);
        }
        let line = memchr::memrchr(b'\n', text).map_or(text, |end| &text[end + 1..]);
        let data = Fields::read(line).data;
        ErrorBody::read(data.as_deref().unwrap_or(line)).map(ErrorBody::into_failure)
    }
}

/// The error in a whole reply that its dialect could not read, in one of the usual shapes.
#[must_use]
pub fn error_in(body: &[u8]) -> Option<Failure> {
    ErrorBody::read(body).map(ErrorBody::into_failure)
}

/// A page for a browser: a proxy or a wrong address answered, and not the provider.
#[must_use]
pub fn page(body: &[u8]) -> Option<Failure> {
    const STARTS: [&[u8]; 2] = [b"<!doctype html", b"<html"];
    let text = body.trim_ascii_start();
    let is_page = STARTS.iter().any(|start| {
        text.get(..start.len()).is_some_and(|found| found.eq_ignore_ascii_case(start))
    });
    is_page.then(|| {
        let message = "the provider answered with an HTML page; `api_base` may be another server's";
        Failure::new(FailureClass::Server, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(pieces: &[&'static str]) -> Option<(String, Option<u16>)> {
        let mut tail = Tail::default();
        pieces.iter().for_each(|piece| tail.note(&Bytes::from_static(piece.as_bytes())));
        tail.last_words().map(|failure| (failure.message, failure.status))
    }

    #[test]
    fn an_error_at_the_end_of_a_stream_is_heard() {
        let boom = Some(("boom".to_owned(), Some(429)));
        for pieces in [
            &["data: {}\n\ndata: {\"error\":{\"message\":\"boom\",\"code\":429}}\n"][..],
            &["data: {\"error\":{\"message\":\"boom\",\"code\":429}}"],
            &["data: {}\n\n", "{\"error\":{\"message\":\"boom\",\"code\":429}}\n"],
            &["data: {}\n\n{\"error\":{\"mess", "age\":\"boom\",\"code\"", ":429}}\r\n\r\n"],
            &["event: error\ndata: {\"error\":{\"message\":\"boom\",\"code\":429}}\n"],
        ] {
            assert_eq!(said(pieces), boom, "{pieces:?}");
        }
        for nothing in
            ["", "data: {\"choices\":[]}\n\n", "data: {\"error\":{\"mess", "data: [DONE]\n\n"]
        {
            assert_eq!(said(&[nothing]), None, "{nothing}");
        }
        assert!(said(&["\n<!DOCTYPE html><p>"]).unwrap().0.contains("HTML"));
        let long = Bytes::from(vec![b'x'; MAX_TAIL]);
        let mut tail = Tail::default();
        (0..3).for_each(|_| tail.note(&long));
        assert!(tail.0.len() <= MAX_TAIL);
    }
}
