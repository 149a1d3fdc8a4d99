//! What the scripted upstream answers: replies of a chat model, computed once, and how a request
//! chooses among them.
//!
//! The choice is made by the request body and not by the path, because a gateway forwards the body
//! and picks the path itself. Only the two ends of a body are looked at: a gateway that serialises
//! a body again may move a field to the end, and looking through 100 KB would cost more than all
//! the rest here.

use std::ops::Range;

use memchr::memmem;

/// How many bytes of each end of a request body are looked at.
pub const SAMPLE: usize = 512;

/// Frames with content in one streamed reply; a finish frame, a usage frame and `[DONE]` follow.
pub const CONTENT_FRAMES: usize = 20;

/// How a streamed reply is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// All frames in one write: what a reader sees that is slower than the model.
    Burst,
    /// One write per frame, without a pause.
    Frames,
    /// One content frame per interval for a long time: an open stream to hold.
    Trickle,
}

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Json,
    Stream(Pace),
}

impl Ask {
    /// Reads the choice from the two ends of a body: the pace by a word of the system message,
    /// because every gateway hands that on, and not every one each parameter.
    #[must_use]
    pub fn read(head: &[u8], tail: &[u8]) -> Self {
        if !streams(head) && !streams(tail) {
            return Self::Json;
        }
        let named =
            |pace: &Pace| [head, tail].iter().any(|s| memmem::find(s, pace.word()).is_some());
        Self::Stream([Pace::Frames, Pace::Trickle].into_iter().find(named).unwrap_or(Pace::Burst))
    }
}

impl Pace {
    /// What a system message says to choose this pace.
    #[must_use]
    pub fn word(self) -> &'static [u8] {
        match self {
            Self::Burst => b"[burst]",
            Self::Frames => b"[frames]",
            Self::Trickle => b"[trickle]",
        }
    }
}

fn streams(sample: &[u8]) -> bool {
    const FIELD: &[u8] = b"\"stream\":";
    memmem::find(sample, FIELD)
        .is_some_and(|at| sample[at + FIELD.len()..].trim_ascii_start().starts_with(b"true"))
}

/// The replies, as the bytes that go on the wire.
pub struct Script {
    pub json: Vec<u8>,
    /// Head and frames of a streamed reply, chunked, to its end.
    pub stream: Vec<u8>,
    /// The pieces of `stream` that are written one by one at [`Pace::Frames`].
    pub pieces: Vec<Range<usize>>,
    /// One more content frame of a stream that trickles.
    pub trickle: Vec<u8>,
    pub health: Vec<u8>,
    pub not_found: Vec<u8>,
    pub length_required: Vec<u8>,
    pub too_large: Vec<u8>,
}

const ID: &str = "chatcmpl-9f3Kc1sT0b2Q7mXyZa4LwE6u";
const CREATED: u64 = 1_750_000_000;
const MODEL: &str = "bench-2025-06-01";

impl Script {
    #[must_use]
    pub fn new() -> Self {
        let mut stream = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\
             Cache-Control: no-cache\r\n{PROVIDER_HEADERS}Transfer-Encoding: chunked\r\n\r\n"
        )
        .into_bytes();
        let mut pieces = Vec::with_capacity(CONTENT_FRAMES + 3);
        let mut start = 0;
        for frame in frames() {
            chunk(&mut stream, &frame);
            // The head leaves with the first frame, as it does from a provider that waits for the
            // first token.
            pieces.push(start..stream.len());
            start = stream.len();
        }
        stream.extend_from_slice(b"0\r\n\r\n");
        if let Some(last) = pieces.last_mut() {
            last.end = stream.len();
        }
        let mut trickle = Vec::new();
        chunk(&mut trickle, &content_frame(1));
        Self {
            json: with_length(200, "OK", &completion()),
            stream,
            pieces,
            trickle,
            health: with_length(200, "OK", "{\"status\":\"ok\"}"),
            not_found: with_length(404, "Not Found", &error("no such route")),
            length_required: with_length(411, "Length Required", &error("no content-length")),
            too_large: with_length(413, "Content Too Large", &error("body too large")),
        }
    }

    /// The end of a stream: finish frame, usage frame, `[DONE]`.
    #[must_use]
    pub fn stream_end(&self) -> &[u8] {
        &self.stream[self.pieces[CONTENT_FRAMES].start..]
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

/// What a provider sends beside the body and every gateway has to read.
const PROVIDER_HEADERS: &str = "openai-organization: bench\r\nopenai-processing-ms: 12\r\n\
    openai-version: 2020-10-01\r\nx-ratelimit-limit-requests: 30000\r\n\
    x-ratelimit-remaining-requests: 29999\r\nx-request-id: req_5d1c0a7be3f94c2f\r\n";

/// A reply with a body of known length.
#[must_use]
pub fn with_length(status: u16, reason: &str, body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\n{PROVIDER_HEADERS}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn error(message: &str) -> String {
    format!("{{\"error\":{{\"message\":\"{message}\",\"type\":\"invalid_request_error\"}}}}")
}

fn completion() -> String {
    let content = "A reply of the scripted upstream, long enough to be like a short answer of a chat model: \
                   it names the thing, gives one reason and stops there.";
    format!(
        "{{\"id\":\"{ID}\",\"object\":\"chat.completion\",\"created\":{CREATED},\"model\":\"{MODEL}\",\
         \"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\"content\":\"{content}\",\
         \"refusal\":null,\"annotations\":[]}},\"logprobs\":null,\"finish_reason\":\"stop\"}}],\
         \"usage\":{USAGE},\"service_tier\":\"default\",\"system_fingerprint\":\"fp_6f2eb6b1a2\"}}"
    )
}

const USAGE: &str = "{\"prompt_tokens\":250,\"completion_tokens\":20,\"total_tokens\":270,\
    \"prompt_tokens_details\":{\"cached_tokens\":0,\"audio_tokens\":0},\
    \"completion_tokens_details\":{\"reasoning_tokens\":0,\"audio_tokens\":0,\
    \"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}";

fn frames() -> Vec<String> {
    let mut frames: Vec<String> = (0..CONTENT_FRAMES).map(content_frame).collect();
    frames.push(frame("{}", "\"stop\"", None));
    frames.push(frame("", "", Some(USAGE)));
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

fn content_frame(index: usize) -> String {
    let delta = if index == 0 {
        "{\"role\":\"assistant\",\"content\":\"word\"}"
    } else {
        "{\"content\":\" another\"}"
    };
    frame(delta, "null", None)
}

fn frame(delta: &str, finish: &str, usage: Option<&str>) -> String {
    let mut text = format!(
        "data: {{\"id\":\"{ID}\",\"object\":\"chat.completion.chunk\",\"created\":{CREATED},\
         \"model\":\"{MODEL}\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_6f2eb6b1a2\","
    );
    text.push_str(&match usage {
        Some(usage) => format!("\"choices\":[],\"usage\":{usage}}}\n\n"),
        None => format!(
            "\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\
             \"finish_reason\":{finish}}}],\"usage\":null}}\n\n"
        ),
    });
    text
}

fn chunk(out: &mut Vec<u8>, frame: &str) {
    out.extend_from_slice(format!("{:x}\r\n", frame.len()).as_bytes());
    out.extend_from_slice(frame.as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::{Ask, CONTENT_FRAMES, Pace, Script};
    use crate::reply::Reply;

    #[test]
    fn the_body_chooses_the_reply_from_either_end() {
        let ask = |head: &str, tail: &str| Ask::read(head.as_bytes(), tail.as_bytes());
        assert_eq!(ask("{\"model\":\"m\",\"messages\":[]}", ""), Ask::Json);
        assert_eq!(ask("{\"stream\":false}", ""), Ask::Json);
        assert_eq!(ask("{\"stream_options\":{}", ""), Ask::Json);
        assert_eq!(ask("{\"stream\":true,", ""), Ask::Stream(Pace::Burst));
        assert_eq!(ask("{\"messages\":[", ", \"stream\": true}"), Ask::Stream(Pace::Burst));
        assert_eq!(ask("{\"stream\":true,[frames]", ""), Ask::Stream(Pace::Frames));
        assert_eq!(ask("[trickle]", "\"stream\": true}"), Ask::Stream(Pace::Trickle));
    }

    #[test]
    fn the_json_reply_is_json_of_about_800_bytes() {
        let script = Script::new();
        let mut reply = Reply::default();
        assert!(reply.feed(&script.json).expect("well-formed"), "the reply is complete");
        let body = reply.body();
        assert!((700..900).contains(&body.len()), "{}", body.len());
        serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
    }

    #[test]
    fn every_frame_of_the_stream_is_json_and_the_pieces_are_the_whole() {
        let script = Script::new();
        let mut reply = Reply::default();
        assert!(reply.feed(&script.stream).expect("well-formed"), "the reply is complete");
        let text = std::str::from_utf8(reply.body()).expect("text");
        let frames: Vec<&str> = text.split_terminator("\n\n").collect();
        assert_eq!(frames.len(), CONTENT_FRAMES + 3);
        for frame in &frames[..CONTENT_FRAMES + 2] {
            let json = frame.strip_prefix("data: ").expect("a data line");
            serde_json::from_str::<serde_json::Value>(json).expect("JSON");
        }
        let joined: Vec<u8> =
            script.pieces.iter().flat_map(|piece| &script.stream[piece.clone()]).copied().collect();
        assert_eq!(joined, script.stream);
    }
}
