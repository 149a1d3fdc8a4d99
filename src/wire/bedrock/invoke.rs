//! InvokeModel: a model's own format in Bedrock's envelope. A whole reply is the model's; a stream's
//! events stand in frames, each as base64, and the last one has Bedrock's own count.
//!
//! What is in the envelope is read by somebody else: Claude's events by [`super::super::anthropic`]'s
//! translators. Of other makers' models only the counts are read, for what is passed as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;

use super::error::{garbage, in_body, within};
use super::frame::{Decoder, Frame};
use super::usage::Written;
use crate::failure::Failure;
use crate::usage::Usage;
use crate::wire::{Ending, Origin, Progress, Reply, Translate};

/// Where the last event of a stream has Bedrock's count.
const METRICS: &[u8] = b"amazon-bedrock-invocationMetrics";

/// A stream out of its envelope.
#[derive(Debug, Default)]
pub struct InvokeStream {
    decoder: Decoder,
    /// Who reads the events as server-sent ones; `None`: only what they count is of interest.
    inner: Option<Box<dyn Translate>>,
    counted: Option<Usage>,
    /// The events have ended, or cannot be read further.
    over: bool,
    failed: bool,
}

impl InvokeStream {
    /// A stream whose events `inner` reads, as if they came as server-sent events.
    #[must_use]
    pub fn around(inner: Box<dyn Translate>) -> Self {
        Self { inner: Some(inner), ..Self::default() }
    }

    /// A stream that is only counted.
    #[must_use]
    pub fn counting() -> Self {
        Self::default()
    }

    fn take(&mut self, frame: &Frame, out: &mut Vec<Bytes>) -> Result<Progress, Failure> {
        match frame.header(":message-type") {
            Some("event") if frame.header(":event-type") == Some("chunk") => {}
            Some("exception" | "error") => return Err(within(frame)),
            // A type that is newer than this program.
            Some(_) => return Ok(Progress::default()),
            None => return Err(garbage("a frame of the provider's stream has no type")),
        }
        let event = opened(&frame.payload)?;
        if memmem::find(&event, METRICS).is_some()
            && let Ok(Counted { metrics: Some(metrics) }) = serde_json::from_slice(&event)
        {
            self.counted = Some(metrics.usage());
        }
        Ok(match &mut self.inner {
            Some(inner) => inner.push(server_sent(&event), out),
            None => Progress::default(),
        })
    }
}

impl Translate for InvokeStream {
    fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let mut progress = Progress::default();
        self.decoder.push(&chunk);
        while !self.over {
            let taken = match self.decoder.next_frame() {
                Ok(Some(frame)) => self.take(&frame, out),
                Ok(None) => break,
                Err(broken) => Err(garbage(broken.to_string())),
            };
            match taken {
                Ok(more) => {
                    progress.meaningful |= more.meaningful;
                    progress.done = more.done;
                    progress.failure = more.failure;
                }
                Err(failure) => progress.failure = Some(failure),
            }
            self.failed = progress.failure.is_some();
            self.over = progress.done || self.failed;
        }
        progress
    }

    fn finish(&mut self, out: &mut Vec<Bytes>) -> Ending {
        match &mut self.inner {
            _ if self.failed => Ending::Cut,
            Some(inner) => inner.finish(out),
            None if self.counted.is_some() => Ending::Complete,
            None => Ending::Cut,
        }
    }

    /// What the model says itself tells more than Bedrock's count.
    fn usage(&self) -> Option<Usage> {
        self.inner.as_ref().and_then(|inner| inner.usage()).or(self.counted)
    }

    fn text_bytes(&self) -> u64 {
        self.inner.as_ref().map_or(0, |inner| inner.text_bytes())
    }
}

/// The model's event in a frame's payload.
fn opened(payload: &[u8]) -> Result<Vec<u8>, Failure> {
    #[derive(Deserialize)]
    struct Chunk<'a> {
        /// Base64 needs no escapes, so it is borrowed.
        bytes: &'a str,
    }
    let unreadable = || garbage("an event of the provider's stream cannot be read");
    let chunk: Chunk<'_> = serde_json::from_slice(payload).map_err(|_| unreadable())?;
    STANDARD.decode(chunk.bytes).map_err(|_| unreadable())
}

/// An event as Anthropic's own API sends it.
fn server_sent(event: &[u8]) -> Bytes {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
    }
    let mut sent = Vec::with_capacity(event.len() + 64);
    if let Ok(Kind { kind }) = serde_json::from_slice(event) {
        sent.extend_from_slice(b"event: ");
        sent.extend_from_slice(kind.as_bytes());
        sent.push(b'\n');
    }
    sent.extend_from_slice(b"data: ");
    // In JSON a line break is white space, and here it would end the event.
    sent.extend(event.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
    sent.extend_from_slice(b"\n\n");
    sent.into()
}

#[derive(Deserialize)]
struct Counted {
    #[serde(rename = "amazon-bedrock-invocationMetrics")]
    metrics: Option<Metrics>,
}

/// Bedrock's own count. What a cache read or wrote is not part of `inputTokenCount`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metrics {
    input_token_count: u64,
    output_token_count: u64,
    cache_read_input_token_count: u64,
    cache_write_input_token_count: u64,
}

impl Metrics {
    fn usage(&self) -> Usage {
        let (read, write) = (self.cache_read_input_token_count, self.cache_write_input_token_count);
        Usage {
            input_tokens: self.input_token_count.saturating_add(read).saturating_add(write),
            output_tokens: self.output_token_count,
            cache_read_tokens: read,
            cache_write_tokens: write,
            ..Usage::default()
        }
    }
}

/// A whole reply of whatever model, which is passed on as it came, with what it used: by the model's
/// own words, of which Claude's and Nova's tell of caches, else by the head of the answer.
///
/// # Errors
/// It is an error.
pub fn invoked(body: Bytes, origin: &Origin<'_>) -> Result<Reply, Failure> {
    if let Ok(reply) = crate::wire::anthropic::native::reply(body.clone())
        && reply.usage.is_some()
    {
        return Ok(reply);
    }
    if let Some(failure) = in_body(&body) {
        return Err(failure);
    }
    let told = serde_json::from_slice::<Told<'_>>(&body).unwrap_or_default();
    let usage = told.usage.filter(Written::is_told).map(|written| written.usage());
    let by_head = || {
        let head = (origin.input_tokens, origin.output_tokens);
        usage_of(head).or_else(|| usage_of((told.prompt_token_count, told.generation_token_count)))
    };
    let by_titan = || {
        let output = told.results.iter().filter_map(|result| result.token_count);
        usage_of((told.input_text_token_count, Some(output.fold(0, u64::saturating_add))))
    };
    Ok(Reply { usage: usage.or_else(by_head).or_else(by_titan), body, model: None })
}

fn usage_of((input, output): (Option<u64>, Option<u64>)) -> Option<Usage> {
    let input = input?;
    Some(Usage { input_tokens: input, output_tokens: output.unwrap_or(0), ..Usage::default() })
}

/// How makers count in their replies.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told<'a> {
    /// Nova, in Converse's words.
    #[serde(borrow)]
    usage: Option<Written<'a>>,
    /// Llama.
    prompt_token_count: Option<u64>,
    generation_token_count: Option<u64>,
    /// Titan.
    #[serde(rename = "inputTextTokenCount")]
    input_text_token_count: Option<u64>,
    results: Vec<TitanResult>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TitanResult {
    token_count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;
    use crate::failure::FailureClass;
    use crate::wire::{StreamOptions, StreamRelay};

    const CLAUDE: [&str; 6] = [
        r#"{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude-x","content":[],"usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":1}}}"#,
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        "{\"type\":\"content_block_delta\",\n\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi.\"}}",
        r#"{"type":"content_block_stop","index":0}"#,
        r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        r#"{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":5,"outputTokenCount":9}}"#,
    ];
    const LLAMA: [&str; 2] = [
        r#"{"generation":"Hi","prompt_token_count":7,"generation_token_count":1,"stop_reason":null}"#,
        r#"{"generation":"","stop_reason":"stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":7,"outputTokenCount":2,"cacheReadInputTokenCount":4}}"#,
    ];

    fn chunk(event: &str) -> Vec<u8> {
        let payload = format!(r#"{{"bytes":"{}","p":"abc"}}"#, STANDARD.encode(event));
        let headers = [
            (":event-type", "chunk"),
            (":content-type", "application/json"),
            (":message-type", "event"),
        ];
        frame(&headers, payload.as_bytes())
    }

    fn stream(events: &[&str]) -> Vec<u8> {
        events.iter().flat_map(|event| chunk(event)).collect()
    }

    /// What comes of a stream in reads of this size: text, end, failure.
    fn read(relay: &mut StreamRelay, stream: &[u8], size: usize) -> (String, Ending, bool) {
        let mut out = Vec::new();
        let mut failed = false;
        for piece in stream.chunks(size) {
            failed |= relay.push(Bytes::copy_from_slice(piece), &mut out).failure.is_some();
        }
        let ending = relay.finish(&mut out);
        (String::from_utf8(out.concat()).unwrap(), ending, failed)
    }

    #[test]
    fn claudes_events_are_those_of_anthropic_wherever_reads_cut_them() {
        let whole = stream(&CLAUDE);
        for size in 1..whole.len() {
            for native in [true, false] {
                let mut relay = StreamRelay::bedrock_invoked(StreamOptions::default(), native);
                let (text, ending, failed) = read(&mut relay, &whole, size);
                assert_eq!((ending, failed), (Ending::Complete, false), "reads of {size}: {text}");
                let end = if native { "event: message_stop\ndata: {" } else { "data: [DONE]" };
                assert!(text.contains("Hi.") && text.contains(end), "{text}");
                let usage = relay.usage().unwrap();
                assert_eq!((usage.input_tokens, usage.output_tokens), (8, 2));
                assert_eq!(usage.cache_read_tokens, 3);
            }
        }
    }

    #[test]
    fn of_other_models_bedrocks_own_count_is_read() {
        let whole = stream(&LLAMA);
        for size in 1..whole.len() {
            let mut relay = StreamRelay::bedrock_counting();
            assert_eq!(read(&mut relay, &whole, size), (String::new(), Ending::Complete, false));
            let usage = relay.usage().unwrap();
            assert_eq!((usage.input_tokens, usage.output_tokens), (11, 2));
            assert_eq!(usage.cache_read_tokens, 4);
        }
    }

    #[test]
    fn what_breaks_is_never_a_success() {
        let headers = [(":exception-type", "throttlingException"), (":message-type", "exception")];
        let refused = frame(&headers, br#"{"message":"slow down"}"#);
        let unreadable = frame(&[(":event-type", "chunk"), (":message-type", "event")], b"{}");
        for tail in [refused, unreadable, vec![0; 16], Vec::new()] {
            for native in [true, false] {
                let cut = [stream(&CLAUDE[..3]), tail.clone()].concat();
                let mut relay = StreamRelay::bedrock_invoked(StreamOptions::default(), native);
                let (_, ending, failed) = read(&mut relay, &cut, cut.len());
                assert_eq!((ending, failed), (Ending::Cut, !tail.is_empty()));
            }
        }
        let mut relay = StreamRelay::bedrock_counting();
        let refused = frame(&headers, br#"{"message":"slow down"}"#);
        let failure = relay.push(refused.into(), &mut Vec::new()).failure.unwrap();
        assert_eq!((failure.class, &*failure.message), (FailureClass::RateLimited, "slow down"));
    }

    #[test]
    fn every_maker_counts_in_its_own_way() {
        let of = |body: &'static str, (input_tokens, output_tokens): (Option<u64>, Option<u64>)| {
            let origin = Origin { input_tokens, output_tokens, ..Origin::default() };
            let reply = invoked(Bytes::from_static(body.as_bytes()), &origin).unwrap();
            assert_eq!(reply.body, body);
            reply.usage.map(|usage| (usage.input_tokens, usage.output_tokens))
        };
        const NONE: (Option<u64>, Option<u64>) = (None, None);
        let claude = r#"{"type":"message","content":[],"usage":{"input_tokens":5,"cache_read_input_tokens":3,"output_tokens":2}}"#;
        assert_eq!(of(claude, (Some(1), Some(1))), Some((8, 2)), "with what a cache answered");
        let nova = r#"{"output":{},"usage":{"inputTokens":4,"outputTokens":1,"cacheReadInputTokenCount":0}}"#;
        assert_eq!(of(nova, NONE), Some((4, 1)));
        let llama = r#"{"generation":"x","prompt_token_count":7,"generation_token_count":3}"#;
        assert_eq!(of(llama, NONE), Some((7, 3)));
        let titan = r#"{"inputTextTokenCount":5,"results":[{"tokenCount":2,"outputText":"x"}]}"#;
        assert_eq!(of(titan, NONE), Some((5, 2)));
        let openai = r#"{"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9}}"#;
        assert_eq!(of(openai, (Some(9), Some(8))), Some((9, 8)));
        assert_eq!(of(r#"{"text":"x"}"#, (Some(6), Some(1))), Some((6, 1)));
        assert_eq!(of(r#"{"text":"x"}"#, NONE), None);
        let error = Bytes::from_static(br#"{"message":"Too many requests"}"#);
        assert!(invoked(error, &Origin::default()).is_err());
    }
}
