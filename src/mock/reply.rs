//! What the scripted provider says, and how well it behaves while saying it.
//!
//! A [`Reply`] is dialect-neutral: the same value becomes OpenAI, Azure or Anthropic bytes, JSON or
//! frames, as the request asks. `render` makes the bytes, `steps` the order and the timing.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::conduct::{Afterwards, Conduct, Fault, Framing, Point};
use super::problem::Problem;

/// One scripted reply. Start with a constructor ([`chat`], [`status`], [`stream`], ...) and refine.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    pub(super) status: Option<u16>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) says: Says,
    pub(super) conduct: Conduct,
}

/// The content of a reply.
#[derive(Clone, Debug)]
pub(super) enum Says {
    Answer(Box<Answer>),
    Problem(Problem),
    /// These bytes, whatever was asked.
    Verbatim {
        content_type: String,
        body: Bytes,
    },
    /// These SSE frames, whatever was asked. Each ends with its own blank line, or does not.
    Frames(Vec<Bytes>),
}

impl Default for Says {
    fn default() -> Self {
        Self::Answer(Box::default())
    }
}

/// What a model says. The default is an echo of the prompt.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// The text, in the pieces in which a stream sends it. `None`: an echo.
    pub(super) chunks: Option<Vec<Arc<str>>>,
    pub(super) reasoning: Vec<Arc<str>>,
    pub(super) tool_calls: Calls,
    pub(super) refusal: Option<String>,
    /// The provider's filter ended the reply.
    pub(super) filtered: bool,
    /// The finish or stop reason to send instead of the fitting one.
    pub(super) finish: Option<String>,
    pub(super) usage: Tokens,
    /// No usage at all, asked for or not.
    pub(super) hide_usage: bool,
    /// The text goes on where the assistant's last message stops.
    pub(super) continues: bool,
}

/// Which tools the model calls.
#[derive(Clone, Debug, Default)]
pub(super) enum Calls {
    /// None, unless the request forces one.
    #[default]
    AsForced,
    /// The first n tools of the request, with arguments that fit their schemas.
    OfRequest(usize),
    Named(Vec<ToolCall>),
}

/// One call of a tool.
#[derive(Clone, Debug)]
pub(super) struct ToolCall {
    pub(super) id: Option<String>,
    pub(super) name: String,
    /// JSON text, or not: a model may send anything.
    pub(super) arguments: String,
}

/// Token counts that replace the rough estimate.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tokens {
    pub(super) input: Option<u64>,
    pub(super) output: Option<u64>,
    /// Part of the input that the prompt cache answered.
    pub(super) cache_read: u64,
    /// Part of the input that was written to the prompt cache.
    pub(super) cache_write: u64,
    pub(super) reasoning: u64,
}

/// An answer that repeats what was asked.
#[must_use]
pub fn echo() -> Reply {
    Reply::default()
}

/// An answer with this text, streamed word by word if the client asks for a stream.
#[must_use]
pub fn chat(text: &str) -> Reply {
    stream(text.split_inclusive(' '))
}

/// An answer whose text is streamed in exactly these pieces.
#[must_use]
pub fn stream<'a>(chunks: impl IntoIterator<Item = &'a str>) -> Reply {
    let chunks = chunks.into_iter().map(Arc::from).collect();
    Reply::answering(Answer { chunks: Some(chunks), ..Answer::default() })
}

/// An answer that is one call of a tool; `arguments` is JSON text.
#[must_use]
pub fn tool_call(name: &str, arguments: &str) -> Reply {
    tool_calls([(name, arguments)])
}

/// An answer that calls several tools in parallel.
#[must_use]
pub fn tool_calls<'a>(calls: impl IntoIterator<Item = (&'a str, &'a str)>) -> Reply {
    let calls = calls.into_iter().map(|(name, arguments)| ToolCall {
        id: None,
        name: name.to_owned(),
        arguments: arguments.to_owned(),
    });
    let tool_calls = Calls::Named(calls.collect());
    Reply::answering(Answer { chunks: Some(Vec::new()), tool_calls, ..Answer::default() })
}

/// An answer in which the model refuses.
#[must_use]
pub fn refusal(text: &str) -> Reply {
    let refusal = Some(text.to_owned());
    Reply::answering(Answer { chunks: Some(Vec::new()), refusal, ..Answer::default() })
}

/// An answer that the provider's content filter ended after `text`.
#[must_use]
pub fn content_filtered(text: &str) -> Reply {
    let mut reply = chat(text);
    reply.answer().filtered = true;
    reply
}

/// A reply with this status: from 400 on with the provider's usual error body for it.
#[must_use]
pub fn status(status: u16) -> Reply {
    let says = match status {
        400.. => Says::Problem(Problem::of_status(status)),
        _ => Says::default(),
    };
    Reply { status: Some(status), says, ..Reply::default() }
}

/// 429 as for too many requests.
#[must_use]
pub fn rate_limited() -> Reply {
    status(429)
}

/// 429 that waiting does not cure.
#[must_use]
pub fn insufficient_quota() -> Reply {
    Reply::failing(Problem::quota())
}

/// The prompt does not fit the model's context window.
#[must_use]
pub fn context_window_exceeded() -> Reply {
    Reply::failing(Problem::context())
}

/// The provider's policy refuses the prompt.
#[must_use]
pub fn content_policy_violation() -> Reply {
    Reply::failing(Problem::policy())
}

/// The provider is out of capacity: 529 from Anthropic, 503 from the others.
#[must_use]
pub fn overloaded() -> Reply {
    Reply::failing(Problem::overloaded())
}

/// A 200 with this JSON body.
#[must_use]
pub fn json(body: &serde_json::Value) -> Reply {
    body_of("application/json", body.to_string())
}

/// A 200 with this body.
#[must_use]
pub fn body_of(content_type: &str, body: impl Into<Bytes>) -> Reply {
    let says = Says::Verbatim { content_type: content_type.to_owned(), body: body.into() };
    Reply { says, ..Reply::default() }
}

/// A 200 with these SSE frames, byte for byte.
#[must_use]
pub fn frames<B: Into<Bytes>>(frames: impl IntoIterator<Item = B>) -> Reply {
    let says = Says::Frames(frames.into_iter().map(Into::into).collect());
    Reply { says, ..Reply::default() }
}

/// A 200 of JSON that is not JSON.
#[must_use]
pub fn garbage_json() -> Reply {
    body_of("application/json", &b"{\"choices\": [<html>not JSON</html>"[..])
}

/// Bytes that are not HTTP where the response head belongs.
#[must_use]
pub fn garbage() -> Reply {
    Reply::faulty(Fault::Garbage(Bytes::from_static(b"\x00\x01SSH-2.0-not-http\r\n\r\n\xff\xfe")))
}

/// A TCP reset where the response head belongs.
#[must_use]
pub fn reset() -> Reply {
    Reply::faulty(Fault::Reset)
}

/// A connection closed where the response head belongs.
#[must_use]
pub fn close_before_head() -> Reply {
    Reply::faulty(Fault::Close)
}

/// No answer, and the connection stays open.
#[must_use]
pub fn never_answers() -> Reply {
    Reply::faulty(Fault::Silence)
}

impl Reply {
    fn answering(answer: Answer) -> Self {
        Self { says: Says::Answer(Box::new(answer)), ..Self::default() }
    }

    pub(super) fn failing(problem: Problem) -> Self {
        Self { says: Says::Problem(problem), ..Self::default() }
    }

    fn faulty(fault: Fault) -> Self {
        Self { conduct: Conduct { fault: Some(fault), ..Conduct::default() }, ..Self::default() }
    }

    /// The answer to refine; what was no answer becomes an echo.
    pub(super) fn answer(&mut self) -> &mut Answer {
        if !matches!(self.says, Says::Answer(_)) {
            self.says = Says::default();
        }
        match &mut self.says {
            Says::Answer(answer) => answer,
            _ => unreachable!("the content was made an answer above"),
        }
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        self
    }

    /// Adds `retry-after`, in any of its forms.
    #[must_use]
    pub fn retry_after(self, value: impl ToString) -> Self {
        self.header("retry-after", &value.to_string())
    }

    /// Replaces the status and keeps the content.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Replaces the body by the dialect's error object with this machine code and text.
    #[must_use]
    pub fn json_error(mut self, code: &str, message: &str) -> Self {
        let status = self.status.unwrap_or(500);
        let mut problem = Problem::of_status(status);
        problem.code = Some(code.to_owned());
        problem.message = Some(message.to_owned());
        self.says = Says::Problem(problem);
        self
    }

    /// Replaces the body, and keeps status and headers.
    #[must_use]
    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.says = Says::Verbatim { content_type: content_type.to_owned(), body: body.into() };
        self
    }

    /// Adds reasoning before the text, in these pieces.
    #[must_use]
    pub fn reasoning<'a>(mut self, chunks: impl IntoIterator<Item = &'a str>) -> Self {
        self.answer().reasoning = chunks.into_iter().map(Arc::from).collect();
        self
    }

    /// Calls the first `count` tools of the request, with arguments that fit their schemas.
    #[must_use]
    pub fn calling_tools(mut self, count: usize) -> Self {
        self.answer().tool_calls = Calls::OfRequest(count);
        self
    }

    /// Sends this finish or stop reason, whatever would fit.
    #[must_use]
    pub fn finish_reason(mut self, reason: &str) -> Self {
        self.answer().finish = Some(reason.to_owned());
        self
    }

    /// Reports these tokens; the input includes what a cache answered.
    #[must_use]
    pub fn usage(mut self, input: u64, output: u64) -> Self {
        let usage = &mut self.answer().usage;
        (usage.input, usage.output) = (Some(input), Some(output));
        self
    }

    /// Reports so many input tokens as read from and written to a prompt cache.
    #[must_use]
    pub fn cached(mut self, read: u64, written: u64) -> Self {
        let usage = &mut self.answer().usage;
        (usage.cache_read, usage.cache_write) = (read, written);
        self
    }

    /// Never reports usage.
    #[must_use]
    pub fn without_usage(mut self) -> Self {
        self.answer().hide_usage = true;
        self
    }

    /// Goes on where the assistant's last message stops, if that is a beginning of the text: as a
    /// model does that is given the beginning of its answer.
    #[must_use]
    pub fn continuing(mut self) -> Self {
        self.answer().continues = true;
        self
    }

    /// Repeats the text `times` over, for long streams that cost little memory.
    #[must_use]
    pub fn repeated(mut self, times: usize) -> Self {
        if let Some(chunks) = &mut self.answer().chunks {
            let length = chunks.len().saturating_mul(times);
            *chunks = chunks.iter().cloned().cycle().take(length).collect();
        }
        self
    }

    /// Waits before the response head.
    #[must_use]
    pub fn latency(self, wait: Duration) -> Self {
        self.latency_between(wait, wait)
    }

    /// Waits before the response head, drawn from the script's seed for each request.
    #[must_use]
    pub fn latency_between(mut self, least: Duration, most: Duration) -> Self {
        self.conduct.latency = Some(least..=most);
        self
    }

    /// Waits between the response head and the first frame.
    #[must_use]
    pub fn ttft(mut self, wait: Duration) -> Self {
        self.conduct.ttft = Some(wait);
        self
    }

    /// Paces the stream: a token is about four bytes of text.
    #[must_use]
    pub fn tokens_per_second(mut self, rate: f64) -> Self {
        self.conduct.tokens_per_second = Some(rate);
        self
    }

    /// Waits before every frame with content but the first.
    #[must_use]
    pub fn gap(mut self, wait: Duration) -> Self {
        self.conduct.gap = Some(wait);
        self
    }

    /// Writes every frame by itself. Otherwise frames that need no waiting leave together.
    #[must_use]
    pub fn each_frame_alone(mut self) -> Self {
        self.conduct.each_frame_alone = true;
        self
    }

    /// Writes the body in pieces of `size` bytes, wherever that cuts frames and letters.
    #[must_use]
    pub fn in_pieces_of(mut self, size: usize) -> Self {
        self.conduct.pieces = Some(size.max(1));
        self
    }

    /// Ends the connection there, without ending the body.
    #[must_use]
    pub fn cut_after(mut self, point: impl Into<Point>) -> Self {
        self.conduct.cut = Some(point.into());
        self
    }

    /// Makes the cut a TCP reset (RST) instead of a close (FIN).
    #[must_use]
    pub fn cut_with_reset(mut self) -> Self {
        self.conduct.cut_with_reset = true;
        self
    }

    /// Stops sending there, until `Upstream::release` or the client leaves.
    #[must_use]
    pub fn stall_after(mut self, point: impl Into<Point>) -> Self {
        self.conduct.stall = Some(point.into());
        self
    }

    /// Sends the dialect's error frame there and ends the stream. Without a stream, the whole
    /// body of the 200 is the error object.
    #[must_use]
    pub fn error_frame_after(mut self, point: impl Into<Point>, code: &str, text: &str) -> Self {
        let mut problem = Problem::overloaded();
        problem.code = Some(code.to_owned());
        problem.message = Some(text.to_owned());
        self.conduct.error_frame = Some((point.into(), problem));
        self
    }

    /// Writes the response head byte by byte with this wait between two.
    #[must_use]
    pub fn slow_head(mut self, per_byte: Duration) -> Self {
        self.conduct.slow_head = Some(per_byte);
        self
    }

    /// Sends even a whole body with chunked transfer coding.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.conduct.framing = Framing::Chunked;
        self
    }

    /// Delimits the body by closing the connection.
    #[must_use]
    pub fn until_close(mut self) -> Self {
        self.conduct.framing = Framing::UntilClose;
        self
    }

    /// Announces `connection: close` (HTTP/2: GOAWAY) and keeps to it.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.conduct.afterwards = Afterwards::Close;
        self
    }

    /// Closes the connection after the reply without having announced it.
    #[must_use]
    pub fn then_hangs_up(mut self) -> Self {
        self.conduct.afterwards = Afterwards::HangUp;
        self
    }
}
