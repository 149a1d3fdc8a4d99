//! What a reply says of itself, in whatever dialect its client reads it: its id, and why it ended.
//!
//! Reads no more than that and builds no tree. Of a stream only the events are read that say one of
//! the two.

use std::collections::BTreeMap;

use memchr::memmem;
use serde::Deserialize;

use super::fields::Text;
use crate::dialect::ClientDialect;

/// The first events of a stream tell its id; later ones are not read for it.
const EVENTS_FOR_ID: u8 = 4;
/// The longest id and the longest reason that are taken down, in bytes.
const ID_BYTES_MAX: usize = 256;
const REASON_BYTES_MAX: usize = 64;
/// The most choices whose ends are.
const CHOICES_MAX: usize = 16;

/// What is known of one reply so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    id: Option<Box<str>>,
    /// By the numbers of the choices.
    reasons: BTreeMap<u64, Box<str>>,
    events: u8,
}

/// All dialects at once: their names do not clash.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said<'a> {
    #[serde(borrow, alias = "responseId")]
    id: Option<Text<'a>>,
    #[serde(borrow, alias = "candidates")]
    choices: Vec<Choice<'a>>,
    /// Anthropic's.
    #[serde(borrow)]
    stop_reason: Option<Text<'a>>,
    /// OpenAI's Responses.
    #[serde(borrow)]
    status: Option<Text<'a>>,
    #[serde(borrow)]
    incomplete_details: Option<Details<'a>>,
    /// Where an event has the beginning of a message, its end, a response.
    #[serde(borrow)]
    message: Option<Box<Self>>,
    #[serde(borrow)]
    delta: Option<Box<Self>>,
    #[serde(borrow)]
    response: Option<Box<Self>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow, alias = "finishReason")]
    finish_reason: Option<Text<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Details<'a> {
    #[serde(borrow)]
    reason: Option<Text<'a>>,
}

impl Ended {
    /// The reply's id, and why each of its choices ended.
    #[must_use]
    pub fn into_parts(self) -> (Option<Box<str>>, Vec<Box<str>>) {
        (self.id, self.reasons.into_values().collect())
    }

    /// A whole reply.
    pub fn reply(&mut self, dialect: ClientDialect, body: &[u8]) {
        if let Ok(said) = serde_json::from_slice(body) {
            self.take(dialect, &said);
        }
    }

    /// Events of a stream, each whole.
    pub fn events(&mut self, dialect: ClientDialect, events: &[u8]) {
        let mark = mark(dialect);
        let wants_id = self.id.is_none() && self.events < EVENTS_FOR_ID;
        if !wants_id && !has_text(events, mark) {
            return;
        }
        for line in events.split(|byte| *byte == b'\n') {
            let Some(data) = line.strip_prefix(b"data:") else { continue };
            let wants_id = self.id.is_none() && self.events < EVENTS_FOR_ID;
            self.events = self.events.saturating_add(1);
            if wants_id || has_text(data, mark) {
                self.reply(dialect, data);
            }
        }
    }

    fn take(&mut self, dialect: ClientDialect, said: &Said<'_>) {
        if let Some(id) = said.id.as_deref().filter(|id| !id.is_empty() && self.id.is_none()) {
            self.id = (id.len() <= ID_BYTES_MAX).then(|| id.into());
        }
        for (number, choice) in said.choices.iter().enumerate() {
            let number = choice.index.unwrap_or(number as u64);
            self.ends(number, choice.finish_reason.as_deref());
        }
        self.ends(0, said.stop_reason.as_deref());
        if dialect == ClientDialect::Responses {
            let why = said.incomplete_details.as_ref().and_then(|why| why.reason.as_deref());
            let status = said.status.as_deref();
            let has_ended = |status: &&str| !matches!(*status, "in_progress" | "queued");
            self.ends(0, why.or_else(|| status.filter(has_ended)));
        }
        let inner = [&said.message, &said.delta, &said.response].into_iter().flatten();
        inner.for_each(|inner| self.take(dialect, inner));
    }

    fn ends(&mut self, number: u64, reason: Option<&str>) {
        let Some(reason) = reason.filter(|it| !it.is_empty() && it.len() <= REASON_BYTES_MAX)
        else {
            return;
        };
        if self.reasons.len() < CHOICES_MAX || self.reasons.contains_key(&number) {
            // Google shouts.
            self.reasons.insert(number, reason.to_ascii_lowercase().into());
        }
    }
}

/// The field by which an event ends something.
const fn mark(dialect: ClientDialect) -> &'static [u8] {
    match dialect {
        ClientDialect::OpenAi => b"\"finish_reason\"",
        ClientDialect::Anthropic => b"\"stop_reason\"",
        ClientDialect::Gemini => b"\"finishReason\"",
        ClientDialect::Responses => b"\"status\"",
    }
}

/// Whether a field has a text for its value. Within a text its name would have backslashes.
fn has_text(event: &[u8], mark: &[u8]) -> bool {
    memmem::find_iter(event, mark).any(|at| {
        let rest = event.get(at + mark.len()..).unwrap_or_default().trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"\""))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_reply(dialect: ClientDialect, body: &str) -> (Option<Box<str>>, Vec<Box<str>>) {
        let mut ended = Ended::default();
        ended.reply(dialect, body.as_bytes());
        ended.into_parts()
    }

    fn of_events(dialect: ClientDialect, events: &[&str]) -> (Option<Box<str>>, Vec<Box<str>>) {
        let mut ended = Ended::default();
        events.iter().for_each(|event| ended.events(dialect, event.as_bytes()));
        ended.into_parts()
    }

    fn parts(id: &str, reasons: &[&str]) -> (Option<Box<str>>, Vec<Box<str>>) {
        (Some(id.into()), reasons.iter().map(|&reason| reason.into()).collect())
    }

    #[test]
    fn a_whole_reply_of_each_dialect_tells_its_id_and_its_ends() {
        use ClientDialect::{Anthropic, Gemini, OpenAi, Responses};
        for (dialect, body, id, reasons) in [
            (
                OpenAi,
                r#"{"id":"c1","choices":[{"index":1,"message":{"content":"\"id\":\"x\""},
                "finish_reason":"stop"},{"index":0,"finish_reason":"length"}]}"#,
                "c1",
                &["length", "stop"][..],
            ),
            (
                Anthropic,
                r#"{"id":"msg_1","content":[{"input":{"stop_reason":"x"}}],"stop_reason":"end_turn"}"#,
                "msg_1",
                &["end_turn"],
            ),
            (
                Gemini,
                r#"{"candidates":[{"finishReason":"STOP"}],"responseId":"r"}"#,
                "r",
                &["stop"],
            ),
            (
                Responses,
                r#"{"id":"resp_1","status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
                "resp_1",
                &["max_output_tokens"],
            ),
            (
                Responses,
                r#"{"id":"resp_1","status":"completed","incomplete_details":null}"#,
                "resp_1",
                &["completed"],
            ),
            (OpenAi, r#"{"id":"e1","status":"good","data":[]}"#, "e1", &[]),
        ] {
            assert_eq!(of_reply(dialect, body), parts(id, reasons), "{body}");
        }
        for body in ["", "no", "[]", r#"{"id":7}"#] {
            assert_eq!(of_reply(OpenAi, body), (None, Vec::new()), "{body}");
        }
    }

    #[test]
    fn a_stream_of_each_dialect_tells_them_where_they_come() {
        let chat = [
            ": ping\n\ndata: {\"id\":\"\",\"choices\":[]}\n\n",
            "data: {\"id\":\"c1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":null}]}\n\n",
            "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{\"content\":\"\\\"finish_reason\\\":\\\"x\\\"\"}}]}\n\n",
            "data: {\"id\":\"c1\",\"choices\":[{\"delta\":{},\"finish_reason\": \"tool_calls\"}]}\n\ndata: [DONE]\n\n",
        ];
        assert_eq!(of_events(ClientDialect::OpenAi, &chat), parts("c1", &["tool_calls"]));
        let broken = of_events(ClientDialect::OpenAi, chat.get(..3).unwrap());
        assert_eq!(broken, parts("c1", &[]), "it has not ended");
        let messages = [
            "event: message_start\ndata: {\"message\":{\"id\":\"msg_1\",\"stop_reason\":null}}\n\n",
            "event: content_block_delta\ndata: {\"delta\":{\"partial_json\":\"\\\"stop_reason\\\":\\\"x\\\"\"}}\n\n",
            "event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{}}\n\n",
        ];
        assert_eq!(of_events(ClientDialect::Anthropic, &messages), parts("msg_1", &["end_turn"]));
        let gemini = [
            "data: {\"candidates\":[{\"content\":{}}],\"responseId\":\"r\"}\r\n\r\n",
            "data: {\"candidates\":[{\"finishReason\":\"MAX_TOKENS\"}],\"responseId\":\"r\"}\r\n\r\n",
        ];
        assert_eq!(of_events(ClientDialect::Gemini, &gemini), parts("r", &["max_tokens"]));
        let responses = [
            "data: {\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n",
            "data: {\"delta\":\"text\"}\n\ndata: {\"item\":{\"status\":\"completed\"}}\n\n",
            "data: {\"response\":{\"id\":\"resp_1\",\"status\":\"completed\"}}\n\n",
        ];
        assert_eq!(
            of_events(ClientDialect::Responses, &responses),
            parts("resp_1", &["completed"])
        );
    }

    #[test]
    fn what_is_taken_down_is_bounded() {
        let choices: Vec<_> =
            (0..100).map(|n| format!("{{\"index\":{n},\"finish_reason\":\"stop\"}}")).collect();
        let body =
            format!("{{\"id\":\"{}\",\"choices\":[{}]}}", "x".repeat(300), choices.join(","));
        let (id, reasons) = of_reply(ClientDialect::OpenAi, &body);
        assert_eq!((id, reasons.len()), (None, CHOICES_MAX));
    }
}
