//! HTTP/1.1, by hand: a library would not let a reply be as wrong as the script wants it.
//!
//! The cheap case, the same request again on a kept connection, costs one read, one parse of the
//! head, one comparison and one write.

mod head;
mod play;

use std::io;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

use self::head::{Facts, HEADERS_MAX, Head, Refusal};
use self::play::{Play, reason};
use super::conduct::{Afterwards, Framing};
use super::record::Recorded;
use super::script::Script;
use super::serve::Stage;
use super::socket::{Gone, Socket};

const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The largest body that a connection remembers to recognise it again.
const REMEMBERED_BYTES_MAX: usize = 256 * 1024;

/// The last request of a connection, with the bytes that answer it.
struct Memory {
    /// Another script may answer otherwise.
    script: Arc<Script>,
    target: Bytes,
    facts: Facts,
    body: Bytes,
    answer: Bytes,
}

/// Why a connection ends.
enum End {
    Close,
    Reset,
    /// The client closed it, or broke it.
    Left,
}

struct Connection {
    socket: Socket,
    stage: Arc<Stage>,
    number: u64,
    input: BytesMut,
    memory: Option<Memory>,
}

/// Serves a connection until it ends. `input` is what was read of it already.
pub(super) async fn serve(socket: Socket, input: BytesMut, stage: Arc<Stage>, number: u64) {
    let mut connection = Connection { socket, stage, number, input, memory: None };
    match connection.run().await {
        End::Close => connection.socket.close().await,
        End::Reset => connection.socket.abort(),
        End::Left => {}
    }
}

impl Connection {
    async fn run(&mut self) -> End {
        loop {
            let head = match self.head().await {
                Ok(Ok(Some(head))) => head,
                Ok(Ok(None)) | Err(_) => return End::Left,
                Ok(Err(refusal)) => return self.refuse(&refusal).await,
            };
            if head.expects_continue && self.send(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
                return End::Left;
            }
            let body = match self.body(&head).await {
                Ok(Ok(body)) => body,
                Ok(Err(refusal)) => return self.refuse(&refusal).await,
                Err(_) => return End::Left,
            };
            if let Some(end) = self.answer(&head, body).await {
                return end;
            }
            if !head.keep_alive {
                return End::Close;
            }
        }
    }

    /// Reads up to the end of a request head; `None` if the client has closed between requests.
    async fn head(&mut self) -> io::Result<Result<Option<Head>, Refusal>> {
        loop {
            // Empty lines before a request are allowed.
            while self.input.starts_with(b"\r\n") {
                self.input.advance(2);
            }
            match Head::parse(&self.input) {
                Ok(Some(head)) if head.length <= HEAD_BYTES_MAX => return Ok(Ok(Some(head))),
                Ok(None) if self.input.len() <= HEAD_BYTES_MAX => {}
                Ok(_) => return Ok(Err(Refusal(431, "the request head is too large"))),
                Err(refusal) => return Ok(Err(refusal)),
            }
            if self.socket.read(&mut self.input).await? == 0 {
                return Ok(Ok(None));
            }
        }
    }

    /// Reads the body. What is left in `input` starts with the head, then the body: the head is
    /// still needed.
    async fn body(&mut self, head: &Head) -> io::Result<Result<Body, Refusal>> {
        let limit = self.stage.body_limit;
        if head.chunked {
            return self.chunked_body(head, limit).await;
        }
        let length = match head.content_length {
            Some(length) if length > limit as u64 => {
                return Ok(Err(Refusal(413, "the request body is too large")));
            }
            length => usize::try_from(length.unwrap_or(0)).unwrap_or(0),
        };
        let end = head.length + length;
        while self.input.len() < end {
            // No more than a megabyte is reserved on the client's word alone.
            self.input.reserve((end - self.input.len()).min(1024 * 1024));
            if self.socket.read(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Ok(Body::Plain(length)))
    }

    async fn chunked_body(
        &mut self,
        head: &Head,
        limit: usize,
    ) -> io::Result<Result<Body, Refusal>> {
        let mut at = head.length;
        let mut whole = BytesMut::new();
        loop {
            let rest = self.input.get(at..).unwrap_or_default();
            let size = match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete((used, size))) => {
                    at += used;
                    usize::try_from(size).unwrap_or(usize::MAX)
                }
                Ok(httparse::Status::Partial) if rest.len() < 1024 => {
                    self.more().await?;
                    continue;
                }
                _ => return Ok(Err(Refusal(400, "the request body is not chunked properly"))),
            };
            if size == 0 {
                return self.trailers(at, whole).await;
            }
            if whole.len().saturating_add(size) > limit {
                return Ok(Err(Refusal(413, "the request body is too large")));
            }
            while self.input.len() < at + size + 2 {
                self.more().await?;
            }
            whole.extend_from_slice(self.input.get(at..at + size).unwrap_or_default());
            if self.input.get(at + size..at + size + 2) != Some(b"\r\n") {
                return Ok(Err(Refusal(400, "the request body is not chunked properly")));
            }
            // Consumed chunks go, the head stays where it is.
            let tail = self.input.split_off(at + size + 2);
            self.input.truncate(head.length);
            self.input.unsplit(tail);
            at = head.length;
        }
    }

    /// Reads what follows the last chunk, up to the empty line.
    async fn trailers(
        &mut self,
        mut at: usize,
        whole: BytesMut,
    ) -> io::Result<Result<Body, Refusal>> {
        loop {
            let rest = self.input.get(at..).unwrap_or_default();
            match memchr::memchr(b'\n', rest) {
                Some(end) => {
                    at += end + 1;
                    if rest.get(..end).is_some_and(|line| line.is_empty() || line == b"\r") {
                        return Ok(Ok(Body::Chunked { whole: whole.freeze(), end: at }));
                    }
                }
                None if rest.len() > HEAD_BYTES_MAX => {
                    return Ok(Err(Refusal(431, "the trailers are too large")));
                }
                None => self.more().await?,
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.socket.read(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.socket.send(bytes, &mut self.input).await
    }

    async fn refuse(&mut self, refusal: &Refusal) -> End {
        let Refusal(status, message) = refusal;
        let reason = reason(*status);
        let length = message.len();
        let text = format!(
            "HTTP/1.1 {status} {reason}\r\ncontent-type: text/plain\r\ncontent-length: {length}\
             \r\nconnection: close\r\n\r\n{message}"
        );
        match self.send(text.as_bytes()).await {
            Ok(()) => End::Close,
            Err(Gone) => End::Left,
        }
    }

    /// Takes the request off the input and answers it. `Some` if the connection ends with it.
    async fn answer(&mut self, head: &Head, body: Body) -> Option<End> {
        let record = Arc::clone(self.socket.record());
        let target = self.input.get(head.target.clone()).unwrap_or_default();
        if let (Some(memory), Body::Plain(length)) = (&self.memory, &body) {
            let end = head.length + length;
            let same = self.stage.still_follows(&memory.script)
                && memory.facts == head.facts
                && memory.target == target
                && self.input.get(head.length..end) == Some(&memory.body[..]);
            if same && head.post {
                let answer = memory.answer.clone();
                self.input.advance(end);
                return self.send(&answer).await.is_err().then_some(End::Left);
            }
        }
        let request = match body {
            Body::Plain(length) => {
                let mut message = self.input.split_to(head.length + length);
                let body = message.split_off(head.length).freeze();
                self.recorded(&message, head, body)
            }
            Body::Chunked { whole, end } => {
                let message = self.input.split_to(end);
                self.recorded(&message, head, whole)
            }
        };
        record.request(&request);
        tracing::debug!(method = %request.method, path = request.path, "request");
        let script = self.stage.script();
        let performance = script.perform(&request, self.stage.dialect);
        let memorable = performance.repeatable
            && !record.keeps_requests()
            && head.post
            && !head.chunked
            && !head.facts.scripted
            && request.body.len() <= REMEMBERED_BYTES_MAX;
        let mut play = Play::new(&performance);
        let played = play.run(self, &performance).await;
        match played {
            Ok(Some(end)) => return Some(end),
            Ok(None) => {}
            Err(Gone) => {
                record.disconnect(self.number, play.body_bytes);
                return Some(End::Left);
            }
        }
        if memorable && let Some(answer) = play.single_write {
            let target = Bytes::copy_from_slice(request.path.as_bytes());
            // A copy of its own: the request's bytes share the read buffer's memory.
            let body = Bytes::copy_from_slice(&request.body);
            self.memory = Some(Memory { script, target, facts: head.facts, body, answer });
        }
        match performance.conduct.afterwards {
            Afterwards::KeepAlive if performance.conduct.framing == Framing::UntilClose => {
                Some(End::Close)
            }
            Afterwards::KeepAlive => None,
            Afterwards::Close | Afterwards::HangUp => Some(End::Close),
        }
    }

    fn recorded(&self, message: &[u8], head: &Head, body: Bytes) -> Recorded {
        let mut slots = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut slots);
        let mut headers = HeaderMap::new();
        if parsed.parse(message).is_ok() {
            for header in parsed.headers.iter() {
                if let (Ok(name), Ok(value)) =
                    (HeaderName::try_from(header.name), HeaderValue::from_bytes(header.value))
                {
                    headers.append(name, value);
                }
            }
        }
        let method = parsed.method.and_then(|it| Method::from_bytes(it.as_bytes()).ok());
        let target = message.get(head.target.clone()).unwrap_or_default();
        Recorded {
            method: method.unwrap_or_default(),
            path: String::from_utf8_lossy(target).into_owned(),
            version: Version::HTTP_11,
            headers,
            body,
            at: Instant::now(),
            connection: self.number,
        }
    }
}

/// Where a request's body is.
enum Body {
    /// So many bytes after the head.
    Plain(usize),
    Chunked {
        whole: Bytes,
        /// Where the message ends in the input.
        end: usize,
    },
}
