//! A client of the gateway: requests as any HTTP client sends them, replies in terms of chat.

use std::collections::VecDeque;
use std::io::Read;

use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};

use super::patience;

/// A client with a connection pool of its own. Clones share the pool.
#[derive(Clone, Debug)]
pub struct Client {
    agent: ureq::Agent,
    base: String,
    key: Option<String>,
}

impl Client {
    /// A client of the gateway at `base`, without a path.
    pub fn new(base: &str, key: Option<&str>) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .timeout_global(Some(3 * patience()))
            .build();
        Self { agent: config.into(), base: base.to_owned(), key: key.map(str::to_owned) }
    }

    /// The same with another key, or without any.
    pub fn with_key(mut self, key: Option<&str>) -> Self {
        self.key = key.map(str::to_owned);
        self
    }

    /// The same with a connection pool of its own.
    pub fn own_connections(&self) -> Self {
        Self::new(&self.base, self.key.as_deref())
    }

    /// `GET` of a page; `None` if nobody answers.
    pub fn try_get(&self, path: &str) -> Option<Reply> {
        self.request(Method::GET, path).try_send().ok()
    }

    /// Asks for a chat completion.
    #[track_caller]
    pub fn chat(&self, model: &str, prompt: &str) -> Reply {
        self.ask(model, prompt).send()
    }

    /// Asks for a streamed chat completion and reads it to its end.
    #[track_caller]
    pub fn stream(&self, model: &str, prompt: &str) -> Stream {
        self.ask(model, prompt).stream()
    }

    /// A chat completion that is still to be refined.
    pub fn ask(&self, model: &str, prompt: &str) -> Ask {
        self.post("/v1/chat/completions").json(&json!({
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
        }))
    }

    /// `GET` of a page.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path).send()
    }

    /// A `POST` that is still to be refined.
    pub fn post(&self, path: &str) -> Ask {
        self.request(Method::POST, path)
    }

    /// A request that is still to be refined.
    pub fn request(&self, method: Method, path: &str) -> Ask {
        let uri = format!("{}{path}", self.base);
        let ask = Ask {
            agent: self.agent.clone(),
            method,
            uri,
            headers: Vec::new(),
            fields: Value::Null,
            body: Vec::new(),
        };
        match &self.key {
            Some(key) => ask.header("authorization", &format!("Bearer {key}")),
            None => ask,
        }
    }
}

/// A request that was not sent yet.
#[derive(Clone, Debug)]
#[must_use = "it goes out only with `send` or `stream`"]
pub struct Ask {
    agent: ureq::Agent,
    method: Method,
    uri: String,
    headers: Vec<(String, String)>,
    /// The body if it is JSON.
    fields: Value,
    /// The body if it is not.
    body: Vec<u8>,
}

impl Ask {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Replaces the body.
    pub fn json(mut self, body: &Value) -> Self {
        self.fields = body.clone();
        self
    }

    /// Replaces the body by bytes that need not be JSON.
    pub fn bytes(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.fields = Value::Null;
        self.body = body.into();
        self
    }

    /// Sets a field of the JSON body.
    pub fn set(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields[field] = value.into();
        self
    }

    /// Sends it and reads the whole reply.
    #[track_caller]
    pub fn send(self) -> Reply {
        self.try_send().unwrap_or_else(|error| panic!("no reply came: {error}"))
    }

    /// Sends it and reads the whole reply.
    ///
    /// # Errors
    /// The connection was refused, or broke before the end of the reply.
    pub fn try_send(self) -> Result<Reply, ureq::Error> {
        let (parts, mut body) = self.run()?.into_parts();
        let body = body.with_config().limit(u64::MAX).read_to_vec()?;
        Ok(Reply { status: parts.status.as_u16(), headers: parts.headers, body })
    }

    /// Sends it with `stream: true` and reads the stream to its end.
    #[track_caller]
    pub fn stream(self) -> Stream {
        self.open().read_to_end()
    }

    /// Sends it with `stream: true` and returns as soon as the head of the reply is there. Dropping
    /// the stream closes the connection.
    #[track_caller]
    pub fn open(self) -> OpenStream {
        self.try_open().unwrap_or_else(|e| panic!("no reply came: {e}"))
    }

    /// As [`Ask::open`].
    ///
    /// # Errors
    /// The connection was refused, or broke before the head of the reply.
    pub fn try_open(self) -> Result<OpenStream, ureq::Error> {
        let (parts, body) = self.set("stream", true).run()?.into_parts();
        Ok(OpenStream {
            stream: Stream::new(parts.status.as_u16(), parts.headers),
            reader: Box::new(body.into_reader()),
            unread: Vec::new(),
            frames: VecDeque::new(),
            at_end: false,
        })
    }

    fn run(self) -> Result<http::Response<ureq::Body>, ureq::Error> {
        let mut request = Request::builder().method(self.method).uri(self.uri);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        let body = match &self.fields {
            Value::Null => self.body,
            fields => {
                request = request.header("content-type", "application/json");
                fields.to_string().into_bytes()
            }
        };
        if body.is_empty() {
            return self.agent.run(request.body(())?);
        }
        self.agent.run(request.body(body)?)
    }
}

/// A whole reply.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.body);
        parsed.unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body_text()))
    }

    /// The body as it came.
    pub fn body_text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What the model said.
    #[track_caller]
    pub fn text(&self) -> String {
        let said = self.json()["choices"][0]["message"]["content"].as_str().map(str::to_owned);
        said.unwrap_or_else(|| panic!("{} is no answer: {}", self.status, self.body_text()))
    }

    /// The `code` of the error.
    #[track_caller]
    pub fn error_code(&self) -> String {
        code_of(&self.json()["error"])
            .unwrap_or_else(|| panic!("{} is no error: {}", self.status, self.body_text()))
    }

    /// The `message` of the error.
    #[track_caller]
    pub fn error_message(&self) -> String {
        self.json()["error"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// A header's text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        text_of(&self.headers, name)
    }

    /// A header that is a number.
    #[track_caller]
    pub fn number(&self, name: &str) -> u64 {
        let text = self.header(name);
        text.parse().unwrap_or_else(|_| panic!("{name}: {text:?} is no number"))
    }

    /// `x-request-id`.
    pub fn request_id(&self) -> &str {
        self.header("x-request-id")
    }
}

/// A stream that was read to its end.
#[derive(Clone, Debug)]
pub struct Stream {
    pub status: u16,
    pub headers: HeaderMap,
    /// The chunks, without the error.
    pub events: Vec<Value>,
    pub ended_with_done: bool,
    /// The error object: of the error frame, or of the whole reply if the status is no success.
    pub error: Option<Value>,
    /// Comment lines, such as `: ping`.
    pub comments: usize,
    /// The connection broke before the end of the body.
    pub cut: bool,
    /// Everything as it came.
    pub bytes: Vec<u8>,
}

impl Stream {
    fn new(status: u16, headers: HeaderMap) -> Self {
        Self {
            status,
            headers,
            events: Vec::new(),
            ended_with_done: false,
            error: None,
            comments: 0,
            cut: false,
            bytes: Vec::new(),
        }
    }

    /// What the model said.
    pub fn text(&self) -> String {
        let pieces = self.events.iter();
        pieces.filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// The `code` of the error, if there was one.
    pub fn error_code(&self) -> Option<String> {
        self.error.as_ref().and_then(code_of)
    }

    /// The token counts that the stream told.
    pub fn usage(&self) -> Option<&Value> {
        self.events.iter().rev().map(|event| &event["usage"]).find(|usage| usage.is_object())
    }

    /// The last finish reason.
    pub fn finish_reason(&self) -> Option<&str> {
        let mut reasons =
            self.events.iter().rev().map(|event| event["choices"][0]["finish_reason"].as_str());
        reasons.find_map(|reason| reason)
    }

    /// A header's text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        text_of(&self.headers, name)
    }

    /// `x-request-id`.
    pub fn request_id(&self) -> &str {
        self.header("x-request-id")
    }

    fn take(&mut self, frame: &Frame) {
        match frame {
            Frame::Chunk(event) => self.events.push(event.clone()),
            Frame::Error(error) => self.error = Some(error.clone()),
            Frame::Comment => self.comments += 1,
            Frame::Done => self.ended_with_done = true,
        }
    }
}

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    Chunk(Value),
    Error(Value),
    Comment,
    Done,
}

impl Frame {
    /// The text in a chunk.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Chunk(event) => event["choices"][0]["delta"]["content"].as_str(),
            _ => None,
        }
    }

    /// Understands the lines of one frame; `None` for one that says nothing.
    fn read(lines: &str) -> Option<Self> {
        let data: Vec<&str> = lines
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.strip_prefix(' ').unwrap_or(data))
            .collect();
        match data.join("\n").as_str() {
            "" => lines.starts_with(':').then_some(Self::Comment),
            "[DONE]" => Some(Self::Done),
            data => {
                let value: Value = serde_json::from_str(data)
                    .unwrap_or_else(|error| panic!("a frame is not JSON ({error}): {data}"));
                let error = value.get("error").filter(|error| error.is_object()).cloned();
                Some(error.map_or(Self::Chunk(value), Self::Error))
            }
        }
    }
}

/// A stream that is being read.
pub struct OpenStream {
    stream: Stream,
    reader: Box<dyn Read + Send>,
    unread: Vec<u8>,
    frames: VecDeque<Frame>,
    at_end: bool,
}

impl OpenStream {
    /// The status of the reply.
    pub fn status(&self) -> u16 {
        self.stream.status
    }

    /// A header's text, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.stream.header(name)
    }

    /// Waits for the next frame; `None` at the end of the body.
    #[track_caller]
    pub fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                self.stream.take(&frame);
                return Some(frame);
            }
            if self.at_end {
                return None;
            }
            self.fill();
        }
    }

    /// Waits for the next piece of text, passing over frames without any.
    #[track_caller]
    pub fn next_text(&mut self) -> Option<String> {
        loop {
            if let Some(text) = self.next_frame()?.text().filter(|text| !text.is_empty()) {
                return Some(text.to_owned());
            }
        }
    }

    /// Reads the rest.
    #[track_caller]
    pub fn read_to_end(mut self) -> Stream {
        while self.next_frame().is_some() {}
        let stream = &mut self.stream;
        if stream.status >= 400
            && let Ok(body) = serde_json::from_slice::<Value>(&stream.bytes)
        {
            stream.error = body.get("error").cloned();
        }
        self.stream
    }

    fn fill(&mut self) {
        let mut buffer = [0; 16 * 1024];
        match self.reader.read(&mut buffer) {
            Ok(0) => self.at_end = true,
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                self.stream.bytes.extend_from_slice(&buffer[..count]);
            }
            Err(_) => (self.at_end, self.stream.cut) = (true, true),
        }
        while self.stream.status < 400
            && let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n")
        {
            let rest = self.unread.split_off(end + 2);
            let frame = std::mem::replace(&mut self.unread, rest);
            let frame = String::from_utf8(frame).expect("a frame is UTF-8");
            self.frames.extend(Frame::read(&frame));
        }
    }
}

fn code_of(error: &Value) -> Option<String> {
    let code = error.get("code")?;
    Some(code.as_str().map_or_else(|| code.to_string(), str::to_owned))
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
