//! A request's place in a trace: what came with it, what its attempts pass on, and what is told of it
//! when it is over.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_proxy::Session;

use super::admin::visitor;
use super::ctx::{Call, RequestCtx};
use super::{Gateway, spoken};
use crate::catalog::Deployment;
use crate::dialect::Endpoint;
use crate::snapshot::Snapshot;
use crate::telemetry::traces::{Answered, Asked, AttemptSpan, Traced};
use crate::telemetry::{RequestRecord, Route, Transcript};
use crate::trace::{Context, Settings, SpanId, TraceId};
use crate::wire::ended::Ended;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// What the standard asks everybody to pass on; more is left out.
const STATE_MAX: usize = 512;

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
    /// What the reply says of itself.
    ended: Ended,
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
            ended: Ended::default(),
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

    /// Events of a reply go to the client.
    pub(super) fn trace_events(&mut self, call: &Call, events: &[Bytes]) {
        if let Some(ended) = self.ended(call) {
            events.iter().for_each(|event| ended.events(call.dialect, event));
        }
    }

    /// A whole reply goes to the client.
    pub(super) fn trace_reply(&mut self, call: &Call, body: &[u8]) {
        if let Some(ended) = self.ended(call) {
            ended.reply(call.dialect, body);
        }
    }

    /// Where it is taken down what the reply of a call says of itself; `None`: nobody is told, or it says
    /// nothing.
    fn ended(&mut self, call: &Call) -> Option<&mut Ended> {
        let trace = self.trace.as_mut().filter(|trace| trace.context.sampled)?;
        let says =
            matches!(call.endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Responses);
        says.then_some(&mut trace.ended)
    }
}

/// The trace that a request is told of in; `None`: it is not.
pub(super) fn id(ctx: &RequestCtx, route: Route) -> Option<TraceId> {
    let is_told = matches!(route, Route::Inference(..) | Route::PassThrough | Route::Realtime);
    let trace = ctx.trace.as_ref().filter(|trace| is_told && trace.context.sampled);
    trace.map(|trace| trace.context.trace)
}

/// Hands a request that is over to whoever traces, if anybody does.
pub(super) fn tell(
    gateway: &Gateway,
    session: &Session,
    ctx: &mut RequestCtx,
    record: &RequestRecord,
    transcript: Option<&Transcript>,
) {
    if record.trace.is_none() {
        return;
    }
    let Some(trace) = ctx.trace.take() else { return };
    let secure = visitor(session, ctx).is_secure;
    let Trace { settings, context, parent, state, noted, ended, .. } = *trace;
    let transcript = transcript.filter(|_| settings.content);
    let asked = ctx.call.as_ref().map(|call| asked(call, transcript)).unwrap_or_default();
    let state = state.as_ref().and_then(|state| state.to_str().ok()).unwrap_or_default();
    let mut record = record.clone();
    if settings.anonymous {
        record.client.caller = None;
        record.client.end_user = None;
    }
    let state = state.into();
    let (id, finish_reasons) = ended.into_parts();
    let answered = Answered { id, finish_reasons };
    let attempts = noted;
    let traced = Traced { record, context, parent, state, secure, attempts, asked, answered };
    gateway.tracer.request(Box::new(traced), settings.batch);
}

fn asked(call: &Call, transcript: Option<&Transcript>) -> Asked {
    let number = |name: &str| call.body.raw(name).and_then(|raw| raw.parse().ok());
    let most = ["max_completion_tokens", "max_tokens"];
    let reply = transcript.and_then(|transcript| transcript.reply.as_ref());
    Asked {
        temperature: number("temperature"),
        top_p: number("top_p"),
        max_tokens: most.iter().find_map(|name| call.body.u64(name)),
        messages: transcript.and_then(|transcript| spoken::asked(call, transcript)),
        answers: reply.and_then(|reply| spoken::answered(call, reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
