//! A request's place in a trace: what came with it, what its attempts pass on, and what is told of it
//! when it is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::Gateway;
use super::ctx::{Call, RequestCtx};
use crate::catalog::Deployment;
use crate::snapshot::Snapshot;
use crate::telemetry::traces::{Asked, AttemptSpan, Traced};
use crate::telemetry::{RequestRecord, Route};
use crate::trace::{Context, Settings, SpanId, TraceId};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What the standard asks everybody to pass on; more is left out.
const STATE_MAX: usize = 512;
/// The longest text of one message that is told, in bytes, and of all of them.
const TEXT_MAX: usize = 8 * 1024;
const MESSAGES_MAX: usize = 64 * 1024;

/// The trace of one request.
pub(super) struct Trace {
    settings: Arc<Settings>,
    /// The request's own span.
    context: Context,
    parent: Option<SpanId>,
    state: Option<HeaderValue>,
    /// Attempts that have begun and are not noted yet.
    under_way: Vec<(Arc<Deployment>, SpanId)>,
    /// In the order of the attempts that were noted.
    noted: Vec<AttemptSpan>,
}

impl Trace {
    /// The trace that a request belongs to: its caller's, or a new one. `None`: nobody is told.
    pub(super) fn of(snapshot: &Snapshot, headers: &HeaderMap) -> Option<Box<Self>> {
        let settings = snapshot.traces.as_ref()?;
        let mut parents = headers.get_all(&TRACEPARENT).iter();
        let parent = parents.next().filter(|_| parents.next().is_none());
        let parent = parent.and_then(|header| Context::parse(header.as_bytes()));
        let random = || u128::from(fastrand::u64(..)) << 64 | u128::from(fastrand::u64(..));
        let trace = parent.map_or_else(|| TraceId::new(random()), |parent| parent.trace);
        let sampled = settings.sampler.keeps(trace, parent.as_ref());
        Some(Box::new(Self {
            settings: Arc::clone(settings),
            context: Context { trace, span: SpanId::new(fastrand::u64(..)), sampled },
            parent: parent.map(|parent| parent.span),
            // Without a parent it belongs to nothing.
            state: parent.and_then(|_| state(headers)),
            under_way: Vec::new(),
            noted: Vec::new(),
        }))
    }

    /// An attempt begins; the headers that tell the provider of it.
    pub(super) fn begin(&mut self, deployment: &Arc<Deployment>) -> Vec<(HeaderName, HeaderValue)> {
        let span = SpanId::new(fastrand::u64(..));
        if self.context.sampled {
            self.under_way.push((Arc::clone(deployment), span));
        }
        if !self.settings.forwards {
            return Vec::new();
        }
        let header = HeaderValue::from_str(&Context { span, ..self.context }.header());
        let parent = header.ok().map(|header| (TRACEPARENT, header));
        let state = self.state.clone().map(|state| (TRACESTATE, state));
        parent.into_iter().chain(state).collect()
    }

    /// An attempt is noted, so long after the request's first byte.
    fn note(&mut self, deployment: &Arc<Deployment>, began: Duration) {
        if !self.context.sampled {
            return;
        }
        let mut under_way = self.under_way.iter();
        let found = under_way.rposition(|(other, _)| Arc::ptr_eq(other, deployment));
        let id = found.map(|at| self.under_way.remove(at).1);
        let id = id.unwrap_or_else(|| SpanId::new(fastrand::u64(..)));
        self.noted.push(AttemptSpan { id, began });
    }
}

/// The caller's `tracestate`, if it is one that can be passed on.
fn state(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(&TRACESTATE).iter();
    let first = lines.next()?;
    let joined = match lines.next() {
        None => first.clone(),
        Some(second) => {
            let all = [first, second].into_iter().chain(lines).map(HeaderValue::as_bytes);
            HeaderValue::from_bytes(&all.collect::<Vec<_>>().join(&b',')).ok()?
        }
    };
    let is_text = joined.to_str().is_ok();
    Some(joined).filter(|state| is_text && !state.is_empty() && state.len() <= STATE_MAX)
}

impl RequestCtx {
    /// An attempt is over and among those of the request; it began then.
    pub(super) fn trace_attempt(&mut self, deployment: &Arc<Deployment>, began: Instant) {
        let began = began.saturating_duration_since(self.started);
        if let Some(trace) = &mut self.trace {
            trace.note(deployment, began);
        }
    }
}

/// Hands a request that is over to whoever traces, if anybody does.
pub(super) fn tell(gateway: &Gateway, ctx: &mut RequestCtx, record: &RequestRecord) {
    let Some(trace) = ctx.trace.take().filter(|trace| trace.context.sampled) else { return };
    if !matches!(record.route, Route::Inference(..) | Route::PassThrough | Route::Realtime) {
        return;
    }
    let Trace { settings, context, parent, state, noted, .. } = *trace;
    let asked = ctx.call.as_ref().map(|call| asked(call, settings.content)).unwrap_or_default();
    let state = state.as_ref().and_then(|state| state.to_str().ok()).unwrap_or_default();
    let traced = Traced {
        record: record.clone(),
        context,
        parent,
        state: state.into(),
        attempts: noted,
        asked,
    };
    gateway.tracer.request(Box::new(traced), settings.batch);
}

fn asked(call: &Call, content: bool) -> Asked {
    let number = |name: &str| call.body.raw(name).and_then(|raw| raw.parse().ok());
    let most = ["max_completion_tokens", "max_tokens"];
    Asked {
        temperature: number("temperature"),
        top_p: number("top_p"),
        max_tokens: most.iter().find_map(|name| call.body.u64(name)),
        messages: content.then(|| call.body.value("messages")).flatten().map(|it| messages(&it)),
    }
}

/// The messages of a canonical request in OpenTelemetry's form. Pictures and sound are named and left
/// out; texts are cut, and so is what lies far back.
fn messages(written: &Value) -> Box<str> {
    let all = written.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut told = Vec::new();
    let mut room = MESSAGES_MAX;
    // What was said last is what the reply is about.
    for message in all.iter().rev() {
        let message = json!({"role": message["role"], "parts": parts(message)});
        let Some(left) = room.checked_sub(message.to_string().len()) else { break };
        room = left;
        told.push(message);
    }
    told.reverse();
    Value::Array(told).to_string().into()
}

fn parts(message: &Value) -> Vec<Value> {
    let text = |text: &str| json!({"type": "text", "content": cut(text)});
    let mut parts = Vec::new();
    match &message["content"] {
        Value::String(content) if message["role"] == "tool" => parts.push(json!({
            "type": "tool_call_response", "id": message["tool_call_id"], "response": cut(content),
        })),
        Value::String(content) => parts.push(text(content)),
        Value::Array(content) => {
            parts.extend(content.iter().map(|part| match part["text"].as_str() {
                Some(content) => text(content),
                None => json!({"type": part["type"]}),
            }))
        }
        _ => {}
    }
    let calls = message["tool_calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    parts.extend(calls.iter().map(|call| {
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        json!({
            "type": "tool_call", "id": call["id"], "name": call["function"]["name"],
            "arguments": cut(arguments),
        })
    }));
    parts
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.split_at(end).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_in_opentelemetrys_form() {
        let written = json!([
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
            ]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c1", "function": {"name": "look", "arguments": "{}"}},
            ]},
            {"role": "tool", "tool_call_id": "c1", "content": "a cat"},
        ]);
        let told: Value = serde_json::from_str(&messages(&written)).unwrap();
        assert_eq!(
            told,
            json!([
                {"role": "system", "parts": [{"type": "text", "content": "be brief"}]},
                {"role": "user", "parts": [
                    {"type": "text", "content": "what is this?"}, {"type": "image_url"},
                ]},
                {"role": "assistant", "parts": [
                    {"type": "tool_call", "id": "c1", "name": "look", "arguments": "{}"},
                ]},
                {"role": "tool", "parts": [
                    {"type": "tool_call_response", "id": "c1", "response": "a cat"},
                ]},
            ])
        );
    }

    #[test]
    fn a_long_conversation_is_cut_at_its_beginning() {
        let message = |number: usize| json!({"role": "user", "content": format!("{number} {}", "ä".repeat(20_000))});
        let written: Value = (0..20).map(message).collect();
        let told = messages(&written);
        assert!(told.len() <= MESSAGES_MAX + 100, "{}", told.len());
        let told: Value = serde_json::from_str(&told).unwrap();
        let last = told.as_array().unwrap().last().unwrap();
        let text = last["parts"][0]["content"].as_str().unwrap();
        assert!(text.starts_with("19 ") && text.len() <= TEXT_MAX, "{}", text.len());
    }

    #[test]
    fn a_state_of_several_lines_is_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(state(&headers), None);
        headers.append(TRACESTATE, HeaderValue::from_static("a=1"));
        headers.append(TRACESTATE, HeaderValue::from_static("b=2"));
        assert_eq!(state(&headers).unwrap(), "a=1,b=2");
        headers.append(TRACESTATE, HeaderValue::from_str(&"c".repeat(STATE_MAX)).unwrap());
        assert_eq!(state(&headers), None);
    }
}
