//! Request heads: only what the connection and the choice of a reply need.

use std::ops::Range;

use crate::mock::script::SCRIPT_HEADER;

/// The most headers a request may have.
pub(super) const HEADERS_MAX: usize = 128;

/// What the connection needs to know of a request head.
#[derive(Debug)]
pub(super) struct Head {
    /// Its length in bytes.
    pub(super) length: usize,
    pub(super) target: Range<usize>,
    pub(super) post: bool,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
    pub(super) facts: Facts,
}

/// What of the headers shapes a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) scripted: bool,
    pub(super) api_key: bool,
    pub(super) anthropic_version: bool,
}

/// A request that cannot be served.
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str);

impl Head {
    /// The head at the start of `input`; `None` if it is not complete.
    pub(super) fn parse(input: &[u8]) -> Result<Option<Self>, Refusal> {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut request = httparse::Request::new(&mut slots);
        let length = match request.parse(input) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Refusal(400, "the request is not HTTP/1.1")),
        };
        let path = request.path.unwrap_or_default();
        let method = request.method.unwrap_or_default();
        // A place instead of a borrow: the input grows while the body is read.
        let start = (path.as_ptr() as usize).saturating_sub(input.as_ptr() as usize);
        let mut head = Self {
            length,
            target: start..start + path.len(),
            post: method == "POST",
            content_length: None,
            chunked: false,
            keep_alive: request.version == Some(1),
            expects_continue: false,
            facts: Facts::default(),
        };
        for header in request.headers.iter() {
            head.note(header)?;
        }
        Ok(Some(head))
    }

    fn note(&mut self, header: &httparse::Header<'_>) -> Result<(), Refusal> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |word: &str| {
            header
                .value
                .split(|it| *it == b',')
                .any(|it| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        };
        // The length of a name rules out most of them at the cost of one comparison.
        match header.name.len() {
            7 if is("api-key") => self.facts.api_key = true,
            6 if is("expect") => self.expects_continue = says("100-continue"),
            10 if is("connection") => {
                if says("close") {
                    self.keep_alive = false;
                } else if says("keep-alive") {
                    self.keep_alive = true;
                }
            }
            13 if is(SCRIPT_HEADER) => self.facts.scripted = true,
            14 if is("content-length") => {
                let digits = std::str::from_utf8(header.value).ok().map(str::trim);
                let length = digits.and_then(|it| it.parse().ok());
                if length.is_none() {
                    return Err(Refusal(400, "content-length is not a number"));
                }
                self.content_length = length;
            }
            17 if is("anthropic-version") => self.facts.anthropic_version = true,
            17 if is("transfer-encoding") => self.chunked = says("chunked"),
            _ => {}
        }
        Ok(())
    }
}
