//! The scripted provider against a raw socket: what it says is judged byte by byte.

mod connections;
mod dialects;
mod http2;
mod plans;
mod replies;
mod scripts;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::Upstream;

/// How long anything may take before a test gives up. Only failing tests wait that long.
const PATIENCE: Duration = Duration::from_secs(10);

/// A client that knows as little of HTTP as possible.
struct Client {
    socket: TcpStream,
    /// Read, and not part of a reply yet.
    rest: Vec<u8>,
}

/// One response, as it came.
#[derive(Debug)]
struct Response {
    head: String,
    body: Vec<u8>,
    /// It came to its proper end.
    complete: bool,
    /// What the socket said at the end, if it was an error.
    error: Option<ErrorKind>,
}

impl Response {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {}", self.text()))
    }

    /// The data of all complete frames.
    fn events(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        let mut frames: Vec<&str> = text.split("\n\n").collect();
        assert!(!frames.is_empty());
        frames.pop();
        frames.iter().map(|it| it.split_once("data: ").map_or(*it, |(_, it)| it).into()).collect()
    }

    fn data(&self) -> Vec<Value> {
        self.events().iter().filter_map(|it| serde_json::from_str(it).ok()).collect()
    }
}

impl Client {
    fn of(upstream: &Upstream) -> Self {
        let socket = TcpStream::connect(upstream.address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, rest: Vec::new() }
    }

    fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.socket.write_all(bytes.as_ref()).unwrap();
        self
    }

    fn ask(&mut self, path: &str, headers: &str, body: &Value) -> Response {
        self.post(path, headers, body);
        self.response()
    }

    fn post(&mut self, path: &str, headers: &str, body: &Value) {
        let body = body.to_string();
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: mock\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ));
    }

    /// More bytes; false at the end, whatever it looks like.
    fn more(&mut self, error: &mut Option<ErrorKind>) -> bool {
        let mut buffer = [0; 65536];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                true
            }
            Err(problem) => {
                *error = Some(problem.kind());
                false
            }
        }
    }

    fn response(&mut self) -> Response {
        let mut error = None;
        let end = loop {
            if let Some(end) = find(&self.rest, b"\r\n\r\n") {
                break end + 4;
            }
            if !self.more(&mut error) {
                let head = String::from_utf8_lossy(&self.rest).into_owned();
                return Response { head, body: Vec::new(), complete: false, error };
            }
        };
        let head = String::from_utf8(self.rest.drain(..end).collect()).unwrap();
        let mut response = Response { head, body: Vec::new(), complete: false, error: None };
        if response.header("transfer-encoding") == Some("chunked") {
            self.chunks(&mut response);
        } else if let Some(length) = response.header("content-length") {
            let length: usize = length.parse().unwrap();
            while self.rest.len() < length && self.more(&mut response.error) {}
            response.complete = self.rest.len() >= length;
            response.body = self.rest.drain(..length.min(self.rest.len())).collect();
        } else {
            while self.more(&mut response.error) {}
            response.complete = response.error.is_none();
            response.body = std::mem::take(&mut self.rest);
        }
        response
    }

    fn chunks(&mut self, response: &mut Response) {
        loop {
            let Some(line) = find(&self.rest, b"\r\n") else {
                if !self.more(&mut response.error) {
                    return;
                }
                continue;
            };
            let size = std::str::from_utf8(&self.rest[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            let end = line + 2 + size + 2;
            if self.rest.len() < end {
                if !self.more(&mut response.error) {
                    return;
                }
                continue;
            }
            response.body.extend_from_slice(&self.rest[line + 2..line + 2 + size]);
            self.rest.drain(..end);
            if size == 0 {
                response.complete = true;
                return;
            }
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn ask(upstream: &Upstream, body: &Value) -> Response {
    Client::of(upstream).ask("/v1/chat/completions", "", body)
}

/// The body of a chat request.
fn prompt(model: &str, text: &str) -> Value {
    serde_json::json!({"model": model, "messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, more: Value) -> Value {
    let more = more.as_object().unwrap().clone();
    body.as_object_mut().unwrap().extend(more);
    body
}

/// The body of a chat request that wants a stream.
fn streamed(model: &str, text: &str) -> Value {
    with(prompt(model, text), serde_json::json!({"stream": true}))
}
