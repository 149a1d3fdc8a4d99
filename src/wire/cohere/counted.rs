//! What a reply of Cohere's says of its use, for what is passed as it is: version 1 of its chat,
//! embeddings, reranking. Nothing else of it is read.

use bytes::Bytes;
use serde::Deserialize;

use super::usage::{Written, whole};
use crate::usage::{Units, Usage};
use crate::wire::chat::Raw;
use crate::wire::lines::Lines;
use crate::wire::{Ending, Progress, Reply, Translate};

/// `meta` beside what was generated.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    meta: Option<Raw<'a>>,
    /// The last event of a stream holds the whole reply.
    #[serde(borrow)]
    response: Option<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    #[serde(borrow)]
    meta: Option<Raw<'a>>,
}

/// What `meta` says beside the tokens.
#[derive(Deserialize)]
struct Billed {
    billed_units: Option<Searches>,
}

#[derive(Clone, Copy, Deserialize)]
struct Searches {
    search_units: Option<f64>,
}

fn usage(body: &[u8]) -> Option<Usage> {
    let told: Told<'_> = serde_json::from_slice(body).ok()?;
    let meta = told.meta.or_else(|| told.response.and_then(|response| response.meta))?;
    let tokens = serde_json::from_str::<Written>(meta.get()).ok().and_then(|it| it.usage());
    let billed = serde_json::from_str::<Billed>(meta.get()).ok().and_then(|it| it.billed_units);
    let searches = billed.and_then(|units| units.search_units);
    let units = Units { searches: whole(searches), ..Units::default() };
    match tokens {
        Some(usage) => Some(Usage { units, ..usage }),
        None => searches.map(|_| Usage { units, ..Usage::default() }),
    }
}

/// A whole reply, as it came.
#[must_use]
pub fn counted(body: Bytes) -> Reply {
    Reply { usage: usage(&body), body, model: None }
}

/// A stream of version 1: lines of JSON, or server-sent events with one line of data each.
#[derive(Debug, Default)]
pub struct CountedStream {
    lines: Lines,
    usage: Option<Usage>,
    /// It cannot be read further.
    lost: bool,
}

impl CountedStream {
    fn look(&mut self, line: &[u8]) {
        let line = line.trim_ascii();
        let line = line.strip_prefix(b"data:").unwrap_or(line);
        self.usage = usage(line).or(self.usage);
    }
}

impl Translate for CountedStream {
    fn push(&mut self, chunk: Bytes, _out: &mut Vec<Bytes>) -> Progress {
        if !self.lost {
            self.lines.push(chunk);
        }
        while !self.lost {
            match self.lines.next_line() {
                Ok(Some(line)) => self.look(&line),
                Ok(None) => break,
                Err(_) => self.lost = true,
            }
        }
        Progress::default()
    }

    fn finish(&mut self, _out: &mut Vec<Bytes>) -> Ending {
        let rest = self.lines.rest();
        self.look(&rest);
        if self.usage.is_some() { Ending::Complete } else { Ending::Cut }
    }

    fn usage(&self) -> Option<Usage> {
        self.usage
    }

    fn text_bytes(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_tells_tokens_or_searches() {
        let chat = r#"{"text":"hi","meta":{"billed_units":{"input_tokens":3,"output_tokens":2},"tokens":{"input_tokens":70.0,"output_tokens":2.0}}}"#;
        let usage = counted(Bytes::from_static(chat.as_bytes())).usage.unwrap();
        assert_eq!((usage.input_tokens, usage.output_tokens), (70, 2));
        let embed = r#"{"embeddings":[[1.0]],"meta":{"billed_units":{"input_tokens":4}}}"#;
        assert_eq!(counted(Bytes::from_static(embed.as_bytes())).usage.unwrap().input_tokens, 4);
        let rank = r#"{"results":[],"meta":{"billed_units":{"search_units":1}}}"#;
        assert_eq!(counted(Bytes::from_static(rank.as_bytes())).usage.unwrap().units.searches, 1);
        assert_eq!(counted(Bytes::from_static(b"{}")).usage, None);
        assert_eq!(counted(Bytes::from_static(b"no")).usage, None);
    }

    #[test]
    fn a_stream_tells_it_at_its_end() {
        let lines = concat!(
            "{\"is_finished\":false,\"event_type\":\"stream-start\"}\n",
            "{\"is_finished\":false,\"event_type\":\"text-generation\",\"text\":\"hi\"}\n",
            "{\"is_finished\":true,\"event_type\":\"stream-end\",\"response\":{\"text\":\"hi\",",
            "\"meta\":{\"tokens\":{\"input_tokens\":7,\"output_tokens\":2}}}}",
        );
        let events = lines.replace("{\"is", "data: {\"is").replace('\n', "\n\n");
        for stream in [lines, &events] {
            for size in 1..stream.len() {
                let mut counted = CountedStream::default();
                let mut out = Vec::new();
                for piece in stream.as_bytes().chunks(size) {
                    counted.push(Bytes::copy_from_slice(piece), &mut out);
                }
                assert_eq!(counted.finish(&mut out), Ending::Complete);
                let usage = counted.usage().unwrap();
                assert_eq!((usage.input_tokens, usage.output_tokens), (7, 2), "reads of {size}");
                assert!(out.is_empty());
            }
        }
    }
}
