//! The request every connection of a run sends: a chat completion with a prompt of a given size.

use std::net::SocketAddr;

use crate::reply::Kind;
use crate::script::Pace;

/// What the run asks for.
pub struct Wanted<'a> {
    pub target: SocketAddr,
    pub path: &'a str,
    pub key: &'a str,
    pub model: &'a str,
    pub kind: Kind,
    pub pace: Pace,
    /// Size of the user's message.
    pub prompt_bytes: usize,
}

impl Wanted<'_> {
    /// The request as the bytes on the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let pace = String::from_utf8_lossy(self.pace.word());
        // Usage is asked for, so that every proxy passes on the same frames: one that needs the
        // usage for itself would otherwise have to take it out again.
        let stream = match self.kind {
            Kind::Json => "",
            Kind::Sse => "\"stream\":true,\"stream_options\":{\"include_usage\":true},",
        };
        let body = format!(
            "{{\"model\":\"{}\",{stream}\"temperature\":0.7,\"max_tokens\":256,\
             \"messages\":[{{\"role\":\"system\",\"content\":\"You are a helpful assistant. {pace}\"}},\
             {{\"role\":\"user\",\"content\":\"{}\"}}]}}",
            self.model,
            prompt(self.prompt_bytes)
        );
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nAccept: */*\r\nUser-Agent: tollgate-load\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.path,
            self.target,
            self.key,
            body.len()
        )
        .into_bytes()
    }
}

/// Text of words, with the escapes that real prompts have now and then.
fn prompt(bytes: usize) -> String {
    const SENTENCE: &str = "The quick brown fox jumps over the lazy dog and says \\\"well\\\".\\n";
    let mut text = SENTENCE.repeat(bytes / SENTENCE.len());
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::Wanted;
    use crate::reply::Kind;
    use crate::script::{Ask, Pace, SAMPLE};

    #[test]
    fn the_upstream_understands_every_request() {
        for prompt_bytes in [0, 1, 1024, 100 << 10] {
            for (kind, pace, ask) in [
                (Kind::Json, Pace::Burst, Ask::Json),
                (Kind::Sse, Pace::Burst, Ask::Stream(Pace::Burst)),
                (Kind::Sse, Pace::Frames, Ask::Stream(Pace::Frames)),
                (Kind::Sse, Pace::Trickle, Ask::Stream(Pace::Trickle)),
            ] {
                let target = ([127, 0, 0, 1], 80).into();
                let (path, key, model) = ("/v1/chat/completions", "sk-bench", "bench");
                let wanted = Wanted { target, path, key, model, kind, pace, prompt_bytes };
                let bytes = wanted.bytes();
                let text = String::from_utf8(bytes).expect("text");
                let (_, body) = text.split_once("\r\n\r\n").expect("a head");
                let json: serde_json::Value = serde_json::from_str(body).expect("JSON");
                assert!(json["messages"][1]["content"].is_string());
                let first = &body.as_bytes()[..body.len().min(SAMPLE)];
                assert_eq!(Ask::read(first, b""), ask);
            }
        }
    }
}
