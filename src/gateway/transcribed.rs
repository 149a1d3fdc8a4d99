//! What was said in a request, taken down for those who are told of it when it is over: traces, callbacks, the
//! store.
//!
//! Taken down only if somebody is to be told. The request is what guardrails let go on; the reply is what went
//! to the client, with what was hidden from the provider hidden again. Of a request that a guardrail refused,
//! nothing is. What it may take of memory is bounded; beyond that there is no transcript, or none of the
//! reply, and that is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::Value;

use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::{Gateway, entry, spoken};
use crate::books::Heard;
use crate::guard::{Redaction, Vault};
use crate::keys::Caller;
use crate::telemetry::Transcript;
use crate::wire::is_own;
use crate::wire::json::{Edits, Object};
use crate::wire::replay::{self, Form};

/// The most of one request, and of one reply: beyond it long texts are cut, pictures mostly.
const BODY_MAX: usize = 1024 * 1024;
/// What is not read any more to be cut.
const READ_MAX: usize = 16 * 1024 * 1024;
/// The events of one stream: they tell a text in many more bytes than it has.
const EVENTS_MAX: usize = 4 * 1024 * 1024;
/// All requests together.
const ALL_MAX: usize = 64 * 1024 * 1024;
/// Where bodies are too long, no text in them is longer.
const TEXT_MAX: usize = 16 * 1024;

/// Headers by which a request wants nobody to be told what it says; LiteLLM's.
const SILENT_HEADERS: [&str; 2] =
    ["x-litellm-enable-message-redaction", "litellm-enable-message-redaction"];
/// Fields for the same, at the top of a body or in its metadata.
const SILENT_FIELDS: [&str; 3] =
    ["no-log", "turn_off_message_logging", "litellm_disable_message_logging"];
/// What of a tool is a credential.
const TOOL_SECRETS: [&str; 2] = ["headers", "authorization"];

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
    let Some(call) = ctx.call.as_deref().filter(|_| ctx.snapshot.transcribes()) else { return };
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
    let whole = match reply {
        Said::Whole(body) => Some(body),
        // Told as an error, a reply is none.
        Said::AllEvents(sent) if ctx.error.is_none() => Form::of(call.dialect, call.endpoint)
            .and_then(|form| replay::joined(form, sent, call.array)),
        Said::AllEvents(_) | Said::Events(_) | Said::Nothing | Said::Spoilt => None,
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

/// A request without what is for the gateway, and without credentials for tools.
fn without_secrets(body: &Object) -> Bytes {
    let mut edits = Edits::new();
    for name in body.names().filter(|name| is_own(name)) {
        edits.remove(name.to_owned());
    }
    if let Some(tools) = plain_tools(body) {
        edits.set("tools", &tools);
    }
    if edits.is_empty() { body.bytes().clone() } else { body.edit(&edits) }
}

/// A reply without the credentials of the tools that it repeats.
fn without_tool_secrets(reply: Bytes) -> Bytes {
    let Ok(body) = Object::parse(reply.clone()) else { return reply };
    let Some(tools) = plain_tools(&body) else { return reply };
    let mut edits = Edits::new();
    edits.set("tools", &tools);
    body.edit(&edits)
}

/// The tools of a body without credentials; `None`: there are none.
fn plain_tools(body: &Object) -> Option<Value> {
    let written = body.raw("tools")?;
    if !TOOL_SECRETS.iter().any(|name| written.contains(&format!("\"{name}\""))) {
        return None;
    }
    let mut tools = body.value("tools")?;
    for tool in tools.as_array_mut()?.iter_mut().filter_map(Value::as_object_mut) {
        TOOL_SECRETS.iter().for_each(|name| drop(tool.remove(*name)));
    }
    Some(tools)
}

/// A body that is short enough, by cutting its long texts if it must be; `None`: it does not become so.
fn fit(body: Bytes) -> Option<Bytes> {
    if body.len() <= BODY_MAX {
        return Some(body);
    }
    if body.len() > READ_MAX {
        return None;
    }
    let cut = changed(&body, &mut |text| {
        (text.len() > TEXT_MAX).then(|| {
            let front = spoken::beginning(text, TEXT_MAX);
            format!("{front}... ({} bytes left out)", text.len() - front.len())
        })
    })?;
    (cut.len() <= BODY_MAX).then_some(cut)
}

/// What the client got back of what was hidden is hidden again.
fn hidden(body: &Bytes, vault: &Vault) -> Option<Bytes> {
    changed(body, &mut |text| {
        let hidden = vault.hidden(text);
        // Arguments of a call are JSON within a text.
        let is_json = text.starts_with(['{', '[']);
        let inner = hidden.as_deref().unwrap_or(text);
        let inner = is_json.then(|| changed_text(inner, &mut |text| vault.hidden(text))).flatten();
        inner.or(hidden)
    })
}

fn redacted(body: &Bytes, redaction: &Redaction) -> Option<Bytes> {
    changed(body, &mut |text| redaction.redacted(text))
}

/// A body with other texts in the place of some, wherever they stand; `None`: it is no JSON.
fn changed(body: &Bytes, change: &mut dyn FnMut(&str) -> Option<String>) -> Option<Bytes> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    match each(&mut value, change) {
        true => serde_json::to_vec(&value).ok().map(Into::into),
        false => Some(body.clone()),
    }
}

/// The same for JSON that is written as a text; `None`: nothing changes.
fn changed_text(text: &str, change: &mut dyn FnMut(&str) -> Option<String>) -> Option<String> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    each(&mut value, change).then(|| value.to_string())
}

/// Whether anything was changed.
fn each(value: &mut Value, change: &mut dyn FnMut(&str) -> Option<String>) -> bool {
    let mut is_changed = false;
    match value {
        Value::String(text) => {
            if let Some(new) = change(text) {
                *text = new;
                is_changed = true;
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|it| is_changed |= each(it, change)),
        Value::Object(fields) => {
            fields.values_mut().for_each(|it| is_changed |= each(it, change));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
    is_changed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: &Value) -> Object {
        Object::parse(value.to_string().into()).unwrap()
    }

    #[test]
    fn credentials_in_a_request_are_not_taken_down() {
        let written = object(&json!({
            "model": "m", "api_key": "sk-1", "extra_headers": {"x": "sk-2"},
            "tools": [{"type": "mcp", "server_label": "s", "headers": {"a": "sk-3"}, "authorization": "sk-4"}],
            "messages": [{"role": "user", "content": "hi"}],
        }));
        let told: Value = serde_json::from_slice(&without_secrets(&written)).unwrap();
        assert_eq!(
            told,
            json!({
                "model": "m", "tools": [{"type": "mcp", "server_label": "s"}],
                "messages": [{"role": "user", "content": "hi"}],
            })
        );
        let told = without_tool_secrets(written.bytes().clone());
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(!told.contains("sk-3") && !told.contains("sk-4"), "{told}");
        let plain = object(&json!({"model": "m", "messages": []}));
        assert_eq!(without_secrets(&plain).as_ptr(), plain.bytes().as_ptr(), "not copied");
    }

    #[test]
    fn a_body_that_is_too_long_has_its_long_texts_cut() {
        let picture = "A".repeat(2 * BODY_MAX);
        let body =
            json!({"messages": [{"content": [{"text": "what is this?"}, {"url": picture}]}]});
        let told = fit(body.to_string().into()).unwrap();
        assert!(told.len() < 2 * TEXT_MAX);
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["messages"][0]["content"][0]["text"], "what is this?");
        let cut = told["messages"][0]["content"][1]["url"].as_str().unwrap();
        assert!(cut.ends_with("bytes left out)"), "{cut}");
        let many: Value = (0..BODY_MAX).map(|_| "AAAA").collect();
        assert_eq!(fit(many.to_string().into()), None, "it stays too long");
        assert_eq!(fit("A".repeat(READ_MAX + 1).into()), None, "not read at all");
    }

    #[test]
    fn what_was_put_back_is_hidden_again_wherever_it_stands() {
        let mut vault = Vault::default();
        let (mail, quoted) = ("a@b.example", "the \"Ox\"");
        vault.hide("EMAIL_ADDRESS", mail);
        vault.hide("PERSON", quoted);
        let arguments = json!({"to": mail, "of": quoted}).to_string();
        let body =
            json!({"instructions": mail, "output": [{"arguments": arguments}, {"text": quoted}]});
        let told = hidden(&body.to_string().into(), &vault).unwrap();
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(!told.contains(mail) && !told.contains("Ox"), "{told}");
        assert_eq!(told.matches("<EMAIL_ADDRESS_1>").count(), 2, "{told}");
        assert_eq!(told.matches("<PERSON_1>").count(), 2, "{told}");
    }

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
