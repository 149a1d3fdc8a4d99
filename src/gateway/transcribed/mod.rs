//! What was said in a request, taken down for those who are told of it when it is over: traces, callbacks, the
//! store.
//!
//! Taken down only if somebody is to be told. The request is what guardrails let go on; the reply is what went
//! to the client, with what was hidden from the provider hidden again. Of a request that a guardrail refused,
//! nothing is. What it may take of memory is bounded; beyond that there is no transcript, or none of the
//! reply, and that is counted.

mod bodies;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::Value;

use self::bodies::{fit, hidden, redacted, without_secrets, without_tool_secrets};
use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::{Gateway, entry};
use crate::books::Heard;
use crate::keys::{Caller, OwnCallback};
use crate::telemetry::Transcript;
use crate::wire::replay::{self, Form};

/// The events of one stream: they tell a text in many more bytes than it has.
const EVENTS_MAX: usize = 4 * 1024 * 1024;
/// All requests together.
const ALL_MAX: usize = 64 * 1024 * 1024;

/// Headers by which a request wants nobody to be told what it says; LiteLLM's.
const SILENT_HEADERS: [&str; 2] =
    ["x-litellm-enable-message-redaction", "litellm-enable-message-redaction"];
/// Fields for the same, at the top of a body or in its metadata.
const SILENT_FIELDS: [&str; 3] =
    ["no-log", "turn_off_message_logging", "litellm_disable_message_logging"];

/// Room for all that is taken down and not told yet.
#[derive(Debug, Default)]
pub struct Room {
    bytes: AtomicUsize,
    left_out: AtomicU64,
}

impl Room {
    /// Requests and replies that were too long, or for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    fn leaves_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// A part of the room; given back when it is dropped.
#[derive(Debug)]
struct Share {
    room: Arc<Room>,
    bytes: usize,
}

impl Share {
    const fn new(room: Arc<Room>) -> Self {
        Self { room, bytes: 0 }
    }

    /// Takes more; false: there is no room for it.
    fn take(&mut self, more: usize) -> bool {
        let before = self.room.bytes.fetch_add(more, Ordering::Relaxed);
        self.bytes += more;
        before + more <= ALL_MAX
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.room.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Bytes with their share of the room, which goes with the last of their copies.
struct Held {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A reply that is being taken down.
#[derive(Debug)]
pub(super) struct Transcribing {
    share: Share,
    reply: Said,
}

#[derive(Debug)]
enum Said {
    Nothing,
    /// So far.
    Events(BytesMut),
    AllEvents(Bytes),
    Whole(Bytes),
    /// It cannot be kept.
    Spoilt,
}

/// Begins to take down the call in `ctx`, if anybody is to be told of it. Guardrails that look first have
/// looked.
pub(super) fn begin(gateway: &Gateway, ctx: &mut RequestCtx, headers: &HeaderMap) {
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    let callbacks = &ctx.snapshot.callbacks.own;
    let by_own = holder.is_some_and(|holder| callbacks.has_own(holder));
    let transcribes = ctx.snapshot.transcribes(by_own);
    let Some(call) = ctx.call.as_deref().filter(|_| transcribes) else { return };
    if is_silent(ctx, call, headers) {
        return;
    }
    let share = Share::new(Arc::clone(&gateway.transcripts));
    ctx.transcribing = Some(Box::new(Transcribing { share, reply: Said::Nothing }));
}

/// Whether the request, its key or its team wants nobody to be told.
fn is_silent(ctx: &RequestCtx, call: &Call, headers: &HeaderMap) -> bool {
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    let team = holder.and_then(|holder| holder.team.as_deref());
    let own = holder.and_then(|holder| holder.key.logging.as_deref()).unwrap_or_default();
    let of_team = team.and_then(|team| team.logging.as_deref()).unwrap_or_default();
    let of_file = holder.and_then(|holder| ctx.snapshot.callbacks.own.of_team(holder));
    if own.iter().chain(of_team).any(OwnCallback::is_silent)
        || of_file.is_some_and(|team| team.is_silent)
    {
        return true;
    }
    let written = holder.map(|holder| &holder.key.metadata).into_iter();
    let mut written = written.chain(team.map(|team| &team.metadata));
    if written.any(|metadata| {
        let by_callback = metadata.get("logging").and_then(Value::as_array).into_iter().flatten();
        let mut vars = by_callback.filter_map(|entry| entry.get("callback_vars"));
        let name = "turn_off_message_logging";
        metadata.get(name).is_some_and(is_true)
            || vars.any(|vars| vars.get(name).is_some_and(is_true))
    }) {
        return true;
    }
    if !ctx.snapshot.words.heeds_requests {
        return false;
    }
    let said = |name: &&str| headers.get(*name).is_some_and(|it| !is_false(it.as_bytes()));
    let body = call.native.as_ref().unwrap_or(&call.body);
    SILENT_HEADERS.iter().any(said)
        || SILENT_FIELDS.iter().any(|name| body.bool(name) == Some(true))
        || body.object("metadata").is_some_and(|metadata| {
            SILENT_FIELDS.iter().any(|name| metadata.value(name).as_ref().is_some_and(is_true))
        })
}

/// As a flag or, because metadata of OpenAI's are texts, as a text.
fn is_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

fn is_false(header: &[u8]) -> bool {
    let header = header.trim_ascii();
    header.is_empty() || header.eq_ignore_ascii_case(b"false") || header == b"0"
}

impl RequestCtx {
    /// Takes down events as they go to the client. `ends`: they are the last ones of the reply.
    pub(super) fn transcribe(&mut self, out: &[Bytes], ends: bool) {
        let Some(transcribing) = &mut self.transcribing else { return };
        let Transcribing { share, reply } = &mut **transcribing;
        if let Said::Nothing = reply {
            *reply = Said::Events(BytesMut::new());
        }
        let Said::Events(sent) = reply else { return };
        let more: usize = out.iter().map(Bytes::len).sum();
        if sent.len() + more > EVENTS_MAX || !share.take(more) {
            *reply = Said::Spoilt;
            return;
        }
        out.iter().for_each(|events| sent.extend_from_slice(events));
        if ends {
            *reply = Said::AllEvents(std::mem::take(sent).freeze());
        }
    }

    /// Takes down a whole reply as it goes to the client.
    pub(super) fn transcribe_whole(&mut self, body: &Bytes, is_json: bool) {
        let Some(transcribing) = self.transcribing.as_mut().filter(|_| is_json) else { return };
        let Transcribing { share, reply } = &mut **transcribing;
        *reply = match share.take(body.len()) {
            true => Said::Whole(body.clone()),
            false => Said::Spoilt,
        };
    }
}

/// What was said in a request that is over, as those may read it who are told.
pub(super) async fn finish(gateway: &Gateway, ctx: &mut RequestCtx) -> Option<Arc<Transcript>> {
    let taken = taken(gateway, ctx);
    let mut transcript = ctx.guard_afterwards(taken).await?;
    if let Some(redaction) = &ctx.snapshot.words.redaction {
        transcript.request = redacted(&transcript.request, redaction)?;
        transcript.reply = transcript.reply.and_then(|reply| redacted(&reply, redaction));
    }
    let Some(request) = held(gateway, transcript.request) else {
        gateway.transcripts.leaves_out();
        return None;
    };
    let reply = transcript.reply.and_then(|reply| {
        let held = held(gateway, reply);
        held.is_none().then(|| gateway.transcripts.leaves_out());
        held
    });
    Some(Arc::new(Transcript { request, reply }))
}

/// Hands what was said to the database, if it is to be kept.
pub(super) fn store(gateway: &Gateway, ctx: &RequestCtx, transcript: &Transcript) {
    let (Some(text_max), Some(row)) = (ctx.snapshot.words.stored, &ctx.row) else { return };
    // Without a row nobody finds it.
    if ctx.error.is_some() && !ctx.snapshot.spending.keeps_errors {
        return;
    }
    let Transcript { request, reply } = transcript.clone();
    let started_us = entry::micros(ctx.started_at);
    let request_id = Arc::clone(row);
    gateway.contents.keep(Box::new(Heard { request_id, started_us, request, reply, text_max }));
}

fn taken(gateway: &Gateway, ctx: &mut RequestCtx) -> Option<Transcript> {
    let Transcribing { share, reply } = *ctx.transcribing.take()?;
    let call = ctx.call.as_deref()?;
    if matches!(ctx.error, Some(GatewayError::Guarded(_))) {
        return None;
    }
    let body = call.native.as_ref().unwrap_or(&call.body);
    let Some(request) = fit(without_secrets(body)) else {
        gateway.transcripts.leaves_out();
        return None;
    };
    let is_spoilt = matches!(reply, Said::Spoilt);
    let form = Form::of(call.dialect, call.endpoint);
    let whole = match reply {
        Said::Whole(body) => Some(body),
        Said::AllEvents(sent) if ctx.error.is_none() => {
            form.and_then(|form| replay::joined(form, sent, call.array))
        }
        // It broke off: what the client was sent of it, and nothing of how it ended.
        Said::AllEvents(sent) => form.and_then(|form| replay::begun(form, sent, call.array)),
        Said::Events(sent) => form.and_then(|form| replay::begun(form, sent.freeze(), call.array)),
        Said::Nothing | Said::Spoilt => None,
    };
    let vault = ctx.guarded.as_ref().map(|guarded| guarded.vault());
    let is_told = whole.is_some();
    let reply = whole.map(without_tool_secrets).and_then(fit).and_then(|reply| match vault {
        Some(vault) if !vault.is_empty() => hidden(&reply, vault),
        _ => Some(reply),
    });
    if is_spoilt || is_told && reply.is_none() {
        gateway.transcripts.leaves_out();
    }
    drop(share);
    Some(Transcript { request, reply })
}

/// With its share of the room; `None`: there is none left.
fn held(gateway: &Gateway, bytes: Bytes) -> Option<Bytes> {
    let mut share = Share::new(Arc::clone(&gateway.transcripts));
    let is_held = share.take(bytes.len());
    is_held.then(|| Bytes::from_owner(Held { bytes, _share: share }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back_with_the_last_copy() {
        let room = Arc::new(Room::default());
        let mut share = Share::new(Arc::clone(&room));
        assert!(share.take(ALL_MAX));
        let mut other = Share::new(Arc::clone(&room));
        assert!(!other.take(1), "there is no more");
        drop(other);
        let bytes = Bytes::from_owner(Held { bytes: Bytes::from_static(b"x"), _share: share });
        let copy = bytes.clone();
        drop(bytes);
        assert_eq!(room.bytes.load(Ordering::Relaxed), ALL_MAX);
        drop(copy);
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
    }
}
