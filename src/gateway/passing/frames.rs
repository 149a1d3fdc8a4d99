//! What a conversation over a WebSocket used and whether it was closed in words, read from the frames
//! as they pass by.

use std::io::Cursor;

use bytes::{Bytes, BytesMut};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Control, Data, OpCode};

use crate::usage::Usage;
use crate::wire;

/// An event of a WebSocket that is longer tells no usage: it holds sound.
const MAX_FRAME_BYTES: usize = 256 * 1024;

/// The frames that one side sends over a WebSocket.
#[derive(Default)]
pub(super) struct Frames {
    /// The head of a frame, as far as it came.
    head: Vec<u8>,
    /// The frame that is being read; `None` between two.
    frame: Option<Frame>,
    /// The text of the message so far; frames of one message follow each other, with pings between.
    message: BytesMut,
    /// The message is no text, or is too long.
    skips: bool,
    /// A close frame came, or its start.
    closed: bool,
    usage: Option<Usage>,
}

#[derive(Clone, Copy)]
struct Frame {
    /// Bytes of it that have not come yet.
    left: u64,
    is_data: bool,
    ends_message: bool,
}

/// The events that tell usage.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    response: Option<Done<'a>>,
}

#[derive(Deserialize)]
struct Done<'a> {
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
}

impl Frames {
    /// What all of them used together.
    pub(super) const fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether this side said that it closes the conversation.
    pub(super) const fn closed(&self) -> bool {
        self.closed
    }

    /// A close frame that says why, in place of the one that did not come; `None` where it would be
    /// taken for the rest of a frame that was cut.
    pub(super) fn farewell(&self, reason: &'static str) -> Option<Bytes> {
        let is_between = self.frame.is_none() && self.head.is_empty();
        // A control frame has no room for more.
        let length = u8::try_from(reason.len() + 2).ok().filter(|length| *length <= 125);
        let length = length.filter(|_| is_between && !self.closed)?;
        let code = u16::from(CloseCode::Error).to_be_bytes();
        Some([&[0x88, length], &code[..], reason.as_bytes()].concat().into())
    }

    /// Takes what passes by.
    pub(super) fn push(&mut self, chunk: &Bytes) {
        let mut rest = &chunk[..];
        while !rest.is_empty() {
            rest = match self.frame {
                None => self.read_head(rest),
                Some(frame) => self.read_payload(frame, rest),
            };
        }
    }

    /// Reads on at a head, and gives back what stands behind it.
    fn read_head<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((first, rest)) = bytes.split_first() else { return bytes };
        self.head.push(*first);
        let Ok(Some((head, left))) = FrameHeader::parse(&mut Cursor::new(&self.head)) else {
            return rest;
        };
        self.head.clear();
        self.closed |= head.opcode == OpCode::Control(Control::Close);
        let is_data = matches!(head.opcode, OpCode::Data(_));
        match head.opcode {
            OpCode::Data(Data::Continue) | OpCode::Control(_) => {}
            OpCode::Data(kind) => {
                self.message.clear();
                // A provider masks nothing.
                self.skips = kind != Data::Text || head.mask.is_some();
            }
        }
        let frame = Frame { left, is_data, ends_message: head.is_final && is_data };
        self.frame = Some(frame);
        if left == 0 {
            self.end_frame(frame);
        }
        rest
    }

    fn read_payload<'a>(&mut self, frame: Frame, bytes: &'a [u8]) -> &'a [u8] {
        let length = usize::try_from(frame.left).unwrap_or(usize::MAX).min(bytes.len());
        let (payload, rest) = bytes.split_at(length);
        if frame.is_data && !self.skips {
            self.skips = self.message.len() + payload.len() > MAX_FRAME_BYTES;
            if self.skips {
                self.message = BytesMut::new();
            } else {
                self.message.extend_from_slice(payload);
            }
        }
        let frame = Frame { left: frame.left - length as u64, ..frame };
        self.frame = Some(frame);
        if frame.left == 0 {
            self.end_frame(frame);
        }
        rest
    }

    fn end_frame(&mut self, frame: Frame) {
        self.frame = None;
        if frame.ends_message {
            let message = std::mem::take(&mut self.message);
            if !self.skips {
                self.event(&message);
            }
        }
    }

    fn event(&mut self, message: &[u8]) {
        // Most events are pieces of sound; looking for two words is cheaper than reading them.
        if memmem::find(message, b"\"usage\"").is_none() {
            return;
        }
        let Ok(told) = serde_json::from_slice::<Told<'_>>(message) else { return };
        let raw = match told.kind {
            "response.done" => told.response.and_then(|done| done.usage),
            "conversation.item.input_audio_transcription.completed" => told.usage,
            _ => None,
        };
        if let Some(usage) = raw.and_then(|raw| wire::chat::read_usage(raw.get())) {
            self.usage = Some(self.usage.map_or(usage, |before| before.plus(usage)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![opcode | if is_final { 0x80 } else { 0 }];
        match payload.len() {
            length @ 0..=125 => frame.push(length as u8),
            length => {
                frame.push(126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        frame
    }

    #[test]
    fn the_usage_of_every_response_is_added_wherever_the_reads_cut_it() {
        let done = br#"{"type":"response.done","response":{"usage":{"total_tokens":30,"input_tokens":10,"output_tokens":20,"input_token_details":{"cached_tokens":4,"audio_tokens":6},"output_token_details":{"audio_tokens":15}}}}"#;
        let heard = br#"{"type":"conversation.item.input_audio_transcription.completed","usage":{"input_tokens":3,"output_tokens":1}}"#;
        let mut stream = frame(1, true, br#"{"type":"session.created"}"#);
        let (start, end) = done.split_at(40);
        stream.extend(frame(1, false, start));
        stream.extend(frame(9, true, b"ping"));
        stream.extend(frame(0, true, end));
        stream.extend(frame(2, true, &[b'"'; 300]));
        stream.extend(frame(1, true, b""));
        stream.extend(frame(1, true, heard));
        stream.extend(frame(1, true, br#"{"type":"error","usage":{"input_tokens":9}}"#));
        for size in 1..stream.len() {
            let mut frames = Frames::default();
            for piece in stream.chunks(size) {
                frames.push(&Bytes::copy_from_slice(piece));
            }
            let usage = frames.usage.unwrap();
            let counts = (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens);
            assert_eq!(counts, (13, 21, 4), "reads of {size}");
            assert_eq!((usage.audio_input_tokens, usage.audio_output_tokens), (6, 15));
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_passed_over() {
        let mut frames = Frames::default();
        let piece = frame(1, false, &[b'x'; 60_000]);
        frames.push(&Bytes::from(piece));
        for _ in 0..10 {
            frames.push(&Bytes::from(frame(0, false, &[b'x'; 60_000])));
        }
        assert!(frames.message.is_empty() && frames.skips);
        frames.push(&Bytes::from(frame(0, true, b"")));
        let done = br#"{"type":"response.done","response":{"usage":{"input_tokens":1,"output_tokens":2}}}"#;
        frames.push(&Bytes::from(frame(1, true, done)));
        assert_eq!(frames.usage.map(|usage| usage.total_tokens()), Some(3));
    }

    #[test]
    fn a_close_frame_stands_only_between_two_frames() {
        let mut frames = Frames::default();
        let told = b"\x88\x06\x03\xf3gone";
        let said = |frames: &Frames| frames.farewell("gone").map(|frame| frame.to_vec());
        for (at, byte) in frame(1, true, b"hello").into_iter().enumerate() {
            assert_eq!(said(&frames).is_some(), at == 0, "after {at} bytes");
            frames.push(&Bytes::from(vec![byte]));
        }
        assert_eq!(said(&frames).as_deref(), Some(&told[..]));
        frames.push(&Bytes::from(frame(9, true, b"ping")));
        assert!(said(&frames).is_some() && !frames.closed());
        frames.push(&Bytes::from(frame(8, true, b"")));
        assert!(said(&frames).is_none() && frames.closed());
        // As a client writes it.
        let mut frames = Frames::default();
        frames.push(&Bytes::from_static(b"\x81\x82abcdxy\x88\x80abcd"));
        assert!(frames.closed());
    }

    #[test]
    fn what_is_no_websocket_is_survived() {
        let mut frames = Frames::default();
        let mut noise = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let piece: Vec<u8> = (0..noise.usize(0..200)).map(|_| noise.u8(..)).collect();
            frames.push(&Bytes::from(piece));
        }
    }
}
