//! Heads that are refused before there is a request: what is wrong with them, and how that is told.
//!
//! Reads what Pingora could not, and so leniently: enough to answer in the client's dialect and to
//! write a line that an operator can do something with. Nothing of the head is repeated to the
//! client.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::Gateway;
use super::error::{ClientDialect, GatewayError};
use super::{intake, settle};
use crate::telemetry::{Client, ClientText, ErrorRecord, RequestRecord, Route};

/// Pingora's bounds of a head (`MAX_HEADER_SIZE`, `MAX_HEADERS`).
const HEAD_BYTES_MAX: usize = 1024 * 1024 - 1;
const HEADERS_MAX: usize = 256;

/// What is wrong with a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadProblem {
    /// It is not HTTP, or a line of it is malformed.
    Malformed,
    /// More bytes or more headers than are taken.
    TooLarge,
    /// Another version than HTTP/1.0 and HTTP/1.1.
    Version,
    /// Where the body ends is told in contradictory ways.
    Framing,
    /// Which host is meant is told in contradictory ways.
    Host,
    /// It did not arrive within `client_header_timeout`.
    Late,
    /// A tunnel was asked for.
    Connect,
    /// The body is compressed.
    Encoding,
    /// It asks for no WebSocket where nothing else is served.
    NoUpgrade,
}

impl HeadProblem {
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Framing | Self::Host => 400,
            Self::TooLarge => 431,
            Self::Version => 505,
            Self::Late => 408,
            Self::Connect => 405,
            Self::Encoding => 415,
            Self::NoUpgrade => 426,
        }
    }

    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Malformed | Self::Framing | Self::Host => "invalid_request_head",
            Self::TooLarge => "request_head_too_large",
            Self::Version => "http_version_not_supported",
            Self::Late => "request_incomplete",
            Self::Connect => "method_not_allowed",
            Self::Encoding => "unsupported_content_encoding",
            Self::NoUpgrade => "upgrade_required",
        }
    }

    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::Malformed => "The request line or a header is not in the form of HTTP/1.1.",
            Self::TooLarge => "The head of the request is larger than 1 MiB or 256 headers.",
            Self::Version => "Only HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here.",
            Self::Framing => {
                "Where the body ends is not clear: `Content-Length` must be one number, and the \
                 last coding in `Transfer-Encoding` must be `chunked`, with HTTP/1.1."
            }
            Self::Host => {
                "Which host is meant is not clear: there must be at most one `Host`, the same as \
                 in the request line and without a user."
            }
            Self::Late => "The head of the request did not arrive in time.",
            Self::Connect => "Method CONNECT is not allowed: this is no tunnel.",
            Self::Encoding => {
                "The body is compressed, as its header `Content-Encoding` says. Send it as it is."
            }
            Self::NoUpgrade => {
                "The realtime API is a WebSocket: connect to it with `Upgrade: websocket` over HTTP/1.1."
            }
        }
    }
}

/// As much of a head as can be read.
#[derive(Debug, Default)]
pub(super) struct Head {
    method: Option<Method>,
    /// Without scheme, host and query.
    path: Option<String>,
    /// What follows `HTTP/`.
    version: Option<String>,
    /// The authority of a target in absolute form.
    authority: Option<String>,
    headers: HeaderMap,
    lines: usize,
}

/// When and from where it came.
pub(super) struct Arrival {
    pub began: Instant,
    pub came: SystemTime,
    pub client_ip: Option<IpAddr>,
}

impl Head {
    /// Reads the lines that are as they should be and passes over the others.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let mut head = Self::default();
        head.request_line(lines.next().unwrap_or_default());
        for line in lines.take_while(|line| !line.is_empty()) {
            head.lines += 1;
            let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
            let (name, value) = line.split_at(colon);
            let value = value.get(1..).unwrap_or_default().trim_ascii();
            if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
                && head.headers.len() < HEADERS_MAX
            {
                head.headers.append(name, value);
            }
        }
        head
    }

    fn request_line(&mut self, line: &[u8]) {
        let Ok(line) = std::str::from_utf8(line) else { return };
        let mut words = line.split(' ');
        self.method = words.next().and_then(|word| Method::from_bytes(word.as_bytes()).ok());
        let target = words.next().unwrap_or_default();
        self.version = words.next_back().and_then(|word| Some(word.strip_prefix("HTTP/")?.into()));
        let target = match target.split_once("://") {
            Some((scheme, rest)) if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                self.authority = Some(authority.to_owned());
                path
            }
            _ => target,
        };
        let path = target.split(['?', '#']).next().unwrap_or_default();
        if path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.path = Some(path.to_owned());
        }
    }

    /// Why Pingora refused it, when `bytes_read` of it had come.
    pub(super) fn problem(&self, bytes_read: usize) -> HeadProblem {
        if bytes_read > HEAD_BYTES_MAX || self.lines > HEADERS_MAX {
            HeadProblem::TooLarge
        } else if self.has_other_version() {
            HeadProblem::Version
        } else if self.has_bad_framing() {
            HeadProblem::Framing
        } else if self.has_bad_host() {
            HeadProblem::Host
        } else {
            HeadProblem::Malformed
        }
    }

    fn has_other_version(&self) -> bool {
        self.version.as_deref().is_some_and(|version| {
            let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
            digits(major) && digits(minor) && !matches!(version, "1.0" | "1.1")
        })
    }

    fn has_bad_framing(&self) -> bool {
        let codings = self.headers.get_all(header::TRANSFER_ENCODING);
        if let Some(last) = codings.iter().next_back() {
            let last = last.as_bytes().rsplit(|byte| *byte == b',').next().unwrap_or_default();
            let chunked = last.trim_ascii().eq_ignore_ascii_case(b"chunked");
            return !chunked || self.version.as_deref() == Some("1.0");
        }
        let lengths = self.headers.get_all(header::CONTENT_LENGTH).iter();
        let mut lengths = lengths.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        let Some(first) = lengths.next().map(<[u8]>::trim_ascii) else { return false };
        first.is_empty()
            || !first.iter().all(u8::is_ascii_digit)
            || lengths.any(|other| other.trim_ascii() != first)
    }

    fn has_bad_host(&self) -> bool {
        let mut hosts = self.headers.get_all(header::HOST).iter();
        let (host, second) = (hosts.next(), hosts.next());
        let authority = self.authority.as_deref();
        second.is_some()
            || host.is_some_and(|host| host.as_bytes().contains(&b'@'))
            || authority.is_some_and(|authority| {
                authority.contains('@') || host.is_some_and(|host| host != authority)
            })
    }
}

/// Counts and logs the refusal; returns the whole answer.
pub(super) fn refuse(
    gateway: &Gateway,
    head: &Head,
    problem: HeadProblem,
    arrival: Arrival,
) -> Bytes {
    let request_id = intake::request_id(&head.headers);
    let path = head.path.as_deref().unwrap_or_default();
    let error = GatewayError::BadHead(problem);
    let body = error.body(ClientDialect::of_path(path), &request_id);
    let method = head.method.clone().unwrap_or_else(unknown_method);
    let route = if path.is_empty() { Route::Other } else { settle::route_of(&method, path) };
    let mut record = RequestRecord::new(arrival.came, route, method);
    record.request_id = ClientText::new(&request_id);
    record.call_id = ClientText::new(&request_id);
    record.path = ClientText::new(path);
    record.status = problem.status();
    record.error =
        Some(ErrorRecord { class: settle::HEAD_ERROR, code: ClientText::new(problem.code()) });
    record.durations.total = arrival.began.elapsed();
    record.durations.overhead = record.durations.total;
    record.client = Client {
        ip: arrival.client_ip,
        user_agent: head
            .headers
            .get(header::USER_AGENT)
            .map(|value| ClientText::from_bytes(value.as_bytes())),
        ..Client::default()
    };
    record.bytes_out = body.len() as u64;
    gateway.metrics.request(&record);
    if gateway.snapshot.load().logs.access_log {
        gateway.access_log.request(record);
    }
    written(problem.status(), &request_id, &body)
}

/// The answer as it goes over the wire. The connection ends with it: where the next request would
/// begin is not known.
fn written(status: u16, request_id: &Arc<str>, body: &Bytes) -> Bytes {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let date = httpdate::fmt_http_date(SystemTime::now());
    let head = format!(
        "HTTP/1.1 {status} {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         x-request-id: {request_id}\r\nx-litellm-call-id: {request_id}\r\ndate: {date}\r\n\
         connection: close\r\n\r\n",
        reason.unwrap_or_default(),
        body.len(),
    );
    Bytes::from([head.as_bytes(), body].concat())
}

/// Where the request line has no method: the sign that logs use for what is not there.
fn unknown_method() -> Method {
    Method::from_bytes(b"-").unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(head: &str) -> HeadProblem {
        Head::read(head.as_bytes()).problem(head.len())
    }

    #[test]
    fn what_is_wrong_with_a_head_is_found() {
        use HeadProblem as P;
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(257));
        for (head, expected) in [
            ("BLAH\r\n\r\n", P::Malformed),
            ("GET /\r\n\r\n", P::Malformed),
            ("\u{16}\u{3}\u{1}", P::Malformed),
            ("", P::Malformed),
            ("GET / HTTP/1.1\r\na b: c\r\n\r\n", P::Malformed),
            ("GET / HTTP/1.x\r\n\r\n", P::Malformed),
            ("GET / HTTP/3.0\r\n\r\n", P::Version),
            ("GET / HTTP/2\r\n\r\n", P::Version),
            (&many, P::TooLarge),
            ("POST / HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n", P::Framing),
            ("POST / HTTP/1.1\r\ncontent-length: 5, 6\r\n\r\n", P::Framing),
            ("POST / HTTP/1.1\r\ncontent-length: -5\r\n\r\n", P::Framing),
            ("POST / HTTP/1.1\r\ntransfer-encoding: chunked, gzip\r\n\r\n", P::Framing),
            ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", P::Framing),
            ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", P::Host),
            ("GET / HTTP/1.1\r\nhost: me@a\r\n\r\n", P::Host),
            ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", P::Host),
            ("GET http://me@a/ HTTP/1.1\r\n\r\n", P::Host),
        ] {
            assert_eq!(problem(head), expected, "{head:?}");
        }
        assert_eq!(Head::read(b"GET / HTTP/1.1\r\na: b").problem(1024 * 1024), P::TooLarge);
    }

    #[test]
    fn what_can_be_read_is_read() {
        let head = Head::read(
            b"POST http://h:1/v1/messages?x=1 HTTP/1.1\r\nHost: h:1\r\n\xff: a\r\nX-Request-Id: me\r\n\r\nhost: z",
        );
        assert_eq!(head.method, Some(Method::POST));
        assert_eq!(head.path.as_deref(), Some("/v1/messages"));
        assert_eq!(head.authority.as_deref(), Some("h:1"));
        assert_eq!(&*intake::request_id(&head.headers), "me");
        assert_eq!(head.headers.len(), 2, "neither broken lines nor the body");
        let head = Head::read(b"\x80\x81 /v1/messages HTTP/1.1\r\n\r\n");
        assert_eq!((head.method, head.path), (None, None));
    }
}
