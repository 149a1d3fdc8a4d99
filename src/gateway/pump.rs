//! The pump: moves a stream from the upstream to the client.
//!
//! It begins where `opening.rs` ends, with the first content. Frames go out as soon as they are
//! readable; several go out in one write only if they are there already. While the client does not
//! read, nothing is read from the upstream either: what is in memory is one batch.

use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pingora_core::protocols::http::HttpTask;

use super::ctx::Call;
use super::exchange::{Bounds, is_events, went_silent};
use super::intake::left;
use super::opening::{Begun, collect};
use super::relay::{Relay, unix_seconds};
use super::remember::Gathering;
use super::{contexts, estimate, guarded, head, reply};
use crate::dialect::{ClientDialect, Endpoint};
use crate::failure::Failure;
use crate::guard::Refusal;
use crate::patience::{nap, within};
use crate::routing::{Attempt, Plan};
use crate::usage::{BYTES_PER_TOKEN, Usage};
use crate::wire::chat::add_usage;
use crate::wire::completions::TextStream;

/// How long the end of a chunked body may lag behind the provider's own end mark.
const TRAILER_WAIT: Duration = Duration::from_millis(20);

const HEARTBEAT: &[u8] = b": ping\n\n";

/// Something that happened while the upstream was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    Heartbeat,
    /// Nothing came from the upstream for longer than allowed.
    Silence,
    DeadlinePassed,
    ClientGone,
}

/// How a stream ended.
pub(super) enum Pumped {
    Complete,
    /// A guardrail let no more of it go out; the client was told so.
    Cut,
    /// A guardrail lets it go no further, and nothing of it is out.
    Refused(Refusal),
    /// After content was sent.
    Broken(Failure),
    DeadlinePassed,
    ClientGone,
}

pub(super) struct Pump<'a, 'r> {
    pub relay: &'a mut Relay<'r>,
    call: &'a Call,
    plan: &'a mut Plan,
    attempt: &'a mut Attempt,
    bounds: Bounds,
    heartbeat: Option<Duration>,
    /// When the upstream was last heard; `None` while the exchange keeps its own time.
    heard: Option<Instant>,
    /// Content of this stream is out.
    committed: bool,
    /// What the client will have forgotten when it comes again.
    gathering: Option<Gathering>,
    /// What the stream used, of which its provider tells nothing.
    estimated: Option<Usage>,
    /// What it used is settled.
    settled: bool,
}

impl<'a, 'r> Pump<'a, 'r> {
    pub(super) fn new(
        relay: &'a mut Relay<'r>,
        call: &'a Call,
        (plan, attempt): (&'a mut Plan, &'a mut Attempt),
        bounds: Bounds,
    ) -> Self {
        // Only where events are known to be whole may something stand between them.
        let beats = call.stream && call.endpoint.is_text();
        let heartbeat = relay.ctx.snapshot.traffic.heartbeat.filter(|_| beats);
        let (heard, committed, gathering, estimated) = (None, false, None, None);
        let settled = false;
        Self {
            relay,
            call,
            plan,
            attempt,
            bounds,
            heartbeat,
            heard,
            committed,
            gathering,
            estimated,
            settled,
        }
    }

    /// Resolves when there is something else to do than wait for the upstream.
    pub(super) async fn interruption(&mut self) -> Interruption {
        let downstream = self.relay.session.as_downstream_mut();
        let client = downstream.read_body_or_idle(true);
        tokio::pin!(client);
        let silent_at = self.heard.map(|heard| heard + self.bounds.idle);
        let beat_at = self.heartbeat.map(|every| self.relay.wrote + every);
        let next = [silent_at, beat_at].into_iter().flatten().fold(self.call.deadline, Ord::min);
        loop {
            tokio::select! {
                biased;
                _ = &mut client => return Interruption::ClientGone,
                () = nap(next) => {}
            }
            let now = Instant::now();
            if now >= self.call.deadline {
                return Interruption::DeadlinePassed;
            }
            if silent_at.is_some_and(|at| now >= at) {
                return Interruption::Silence;
            }
            if beat_at.is_some_and(|at| now >= at) {
                return Interruption::Heartbeat;
            }
        }
    }

    /// Sends a comment that clients ignore and that keeps proxies from closing a silent stream.
    pub(super) async fn beat(&mut self) {
        let mut tasks = Vec::with_capacity(2);
        if !self.relay.head_out {
            tasks.push(HttpTask::Header(self.head(None), false));
            self.relay.head_out = true;
            self.relay.ctx.status = Some(200);
        }
        let beat = self.relay.voice.as_ref().map_or(HEARTBEAT, |voice| voice.ping());
        tasks.push(HttpTask::Body(Some(Bytes::from_static(beat)), false));
        self.relay.wrote = Instant::now();
        // A client that is gone is noticed where it is watched.
        if let Err(error) = reply::write_together(self.relay.session, tasks).await {
            tracing::debug!(%error, "heartbeat not sent");
        }
    }

    /// Moves the stream to its end.
    pub(super) async fn run(&mut self, mut begun: Box<Begun>) -> Pumped {
        if begun.reading.native.is_none() {
            let traffic = &self.relay.ctx.snapshot.traffic;
            let deployment = &self.attempt.deployment;
            self.gathering = Gathering::of(traffic, self.call, deployment, begun.reading);
        }
        if begun.reading.native.is_some() && self.relay.ctx.ticket.is_held() {
            self.relay.ctx.relayed.response_id = contexts::of_events(self.call, &begun.events);
        }
        if self.call.is_bridged(begun.reading) && self.relay.voice.is_none() {
            let ctx = &self.relay.ctx;
            let telling = self.call.telling(&ctx.request_id, unix_seconds(ctx.started_at));
            self.relay.voice = Some(Box::new(TextStream::new(&telling)));
        }
        let pumped = self.frames(&mut begun).await;
        let stream = &begun.stream;
        if !self.settled {
            self.settle(stream.usage(), stream.text_bytes()).await;
        }
        if matches!(pumped, Pumped::Complete) {
            let traffic = &self.relay.ctx.snapshot.traffic;
            let (gathering, deployment) = (self.gathering.take(), &self.attempt.deployment);
            self.relay.gateway.remember(traffic, self.call, deployment, gathering);
            // The reply is out; what is left is to see the body's end, so that the connection can
            // serve again.
            let session = &mut begun.connection.session;
            let rest = within(TRAILER_WAIT, pin!(session.read_response_body())).await;
            if matches!(rest, Ok(Ok(None))) {
                self.relay.gateway.upstreams.release(*begun.connection);
            }
        }
        pumped
    }

    /// Takes down what the stream used: by its provider's word, or else by our estimate.
    async fn settle(&mut self, told: Option<Usage>, text_bytes: u64) {
        let usage = match self.call.is_stored() {
            // It was counted when it was made.
            true => Usage::default(),
            false => match told.or(self.estimated) {
                Some(usage) => usage,
                None => self.estimate(text_bytes).await,
            },
        };
        self.settled = true;
        let routing = &self.relay.gateway.routing;
        self.plan.used(self.attempt, &usage, routing, Instant::now());
        let ctx = &mut *self.relay.ctx;
        ctx.relayed.settle(usage, &ctx.snapshot.prices);
    }

    /// What the prompt and so much of a reply use, roughly.
    fn guess(call: &Call, text_bytes: u64) -> Usage {
        if call.is_stored() {
            return Usage::default();
        }
        let of_body = || call.body.bytes().len() as u64 / BYTES_PER_TOKEN;
        let input_tokens = call.needs.get().map_or_else(of_body, |needs| needs.input_tokens);
        Usage { input_tokens, output_tokens: text_bytes / BYTES_PER_TOKEN, ..Usage::default() }
    }

    async fn estimate(&mut self, text_bytes: u64) -> Usage {
        let Attempt { deployment, model, .. } = &*self.attempt;
        Box::pin(estimate::usage(self.call, deployment, model, text_bytes)).await
    }

    /// Tells the client what the log will say, where it wants to know.
    async fn tell_estimate(&mut self, text_bytes: u64, events: &mut Vec<Bytes>) {
        let usage = self.estimate(text_bytes).await;
        self.estimated = Some(usage);
        if self.call.dialect != ClientDialect::OpenAi || self.call.show_usage {
            let ctx = &self.relay.ctx;
            let id = format!("chatcmpl-{}", ctx.request_id);
            let otherwise = (&*id, &*self.attempt.model, unix_seconds(ctx.started_at));
            add_usage(events, &usage, otherwise);
        }
    }

    async fn frames(&mut self, begun: &mut Begun) -> Pumped {
        let Begun { reading, headers, connection, stream, events, batch, tail, .. } = begun;
        let native = reading.native.is_some();
        let mut batch = std::mem::take(batch);
        self.heard = Some(Instant::now());
        if batch.meaningful && self.relay.ctx.relayed.first_token.is_none() {
            self.relay.ctx.relayed.first_token = Some(self.relay.ctx.started.elapsed());
            self.relay.ctx.watched = None;
        }
        loop {
            let ends = batch.complete && batch.failure.is_none();
            if ends && !native && reading.api == Endpoint::Chat && stream.usage().is_none() {
                Box::pin(self.tell_estimate(stream.text_bytes(), events)).await;
            }
            if !self.committed {
                self.relay.served_by(self.attempt);
            }
            let used = Used { told: stream.usage(), text_bytes: stream.text_bytes() };
            match (self.write(headers, events, native, ends, used).await, batch.failure) {
                (Written::ClientGone, _) => return Pumped::ClientGone,
                (Written::Refused(refusal), _) => {
                    if !self.settled {
                        Box::pin(self.settle(used.told, used.text_bytes)).await;
                    }
                    return self.cut(refusal).await;
                }
                (Written::Out, Some(failure)) => return Pumped::Broken(failure),
                (Written::Out, None) if ends => return Pumped::Complete,
                // While a slow client is waited for, the provider has no chance to be heard.
                // What guardrails hold is written later; it was heard all the same.
                (Written::Out, None) => self.heard = self.heard.max(Some(self.relay.wrote)),
            }
            let read = loop {
                tokio::select! {
                    biased;
                    read = connection.session.read_response_body() => break read,
                    interruption = self.interruption() => match interruption {
                        Interruption::Heartbeat => self.beat().await,
                        Interruption::Silence => {
                            return Pumped::Broken(went_silent(self.bounds.idle));
                        }
                        Interruption::DeadlinePassed => return Pumped::DeadlinePassed,
                        Interruption::ClientGone => return Pumped::ClientGone,
                    },
                }
            };
            self.heard = Some(Instant::now());
            batch = collect(read, connection, (stream, tail), events);
        }
    }

    async fn write(
        &mut self,
        upstream_head: &HeaderMap,
        out: &mut Vec<Bytes>,
        native: bool,
        end: bool,
        used: Used,
    ) -> Written {
        if !native {
            if let Some(gathering) = &mut self.gathering {
                out.iter().for_each(|events| gathering.events(events));
            }
            if let Some(resume) = &mut self.relay.resume {
                resume.pass(out);
            }
            if let Some(voice) = &mut self.relay.voice {
                voice.pass(out);
            }
        } else if let Some(voice) = &mut self.relay.voice {
            voice.begun();
            if let Some(resume) = &mut self.relay.resume {
                match voice.follow(out) {
                    Some(mut canonical) => resume.pass(&mut canonical),
                    // What is out cannot be gone on with by others.
                    None => self.relay.resume = None,
                }
            }
            voice.pass_native(out, end);
        }
        let is_guarded = self.relay.ctx.guards_reply();
        // What is kept of it is what came.
        let kept = (is_guarded && self.relay.ctx.recording.is_some()).then(|| out.clone());
        if is_guarded {
            if let Err(refusal) = self.relay.ctx.guard_stream(self.call, out, end).await {
                return Written::Refused(refusal);
            }
            if out.is_empty() && !end && !self.committed {
                return Written::Out;
            }
        }
        if end {
            // Before the end goes out: whoever has the whole of a reply has a row, and its next
            // request may follow at once.
            self.relay.ctx.status.get_or_insert(200);
            Box::pin(self.settle(used.told, used.text_bytes)).await;
            self.relay.ctx.entry_over();
            self.relay.ctx.settle_quota(self.relay.gateway, true);
        } else {
            let call = self.call;
            self.relay.ctx.entry_begun(|| Self::guess(call, used.text_bytes));
        }
        let kept = kept.as_ref().unwrap_or(out);
        self.relay.ctx.record(self.relay.gateway, kept, !self.committed, end);
        self.relay.ctx.transcribe(out, end);
        self.relay.ctx.trace_events(self.call, out);
        let mut tasks = Vec::with_capacity(out.len() + 2);
        if !self.committed {
            let gateway = self.relay.gateway;
            self.plan.succeeded(
                self.attempt,
                &gateway.routing,
                self.heard.unwrap_or(self.relay.wrote),
            );
            self.relay.ctx.open_stream = Some(gateway.metrics.open_stream());
            self.relay.ctx.relayed.streamed = true;
            self.committed = true;
            if !self.relay.head_out {
                tasks.push(HttpTask::Header(self.head(Some(upstream_head)), false));
                self.relay.ctx.status = Some(200);
            }
            self.relay.head_out = true;
        }
        if let Some(bytes) = joined(out) {
            self.relay.ctx.relayed.bytes_sent += bytes.len() as u64;
            tasks.push(HttpTask::Body(Some(bytes), false));
        }
        if end {
            tasks.push(HttpTask::Done);
        }
        if tasks.is_empty() {
            return Written::Out;
        }
        let writing = pin!(reply::write_together(self.relay.session, tasks));
        let written = within(left(self.call.deadline), writing).await;
        self.relay.wrote = Instant::now();
        if matches!(written, Ok(Ok(()))) { Written::Out } else { Written::ClientGone }
    }

    /// Ends a stream of which a guardrail lets nothing more go out.
    async fn cut(&mut self, refusal: Refusal) -> Pumped {
        let ctx = &mut *self.relay.ctx;
        // Nobody else is to get it.
        ctx.recording = None;
        let Some(end) = ctx.guarded_end() else { return Pumped::Refused(refusal) };
        ctx.relayed.bytes_sent += end.len() as u64;
        ctx.error = Some(guarded::refused(refusal));
        ctx.entry_over();
        ctx.settle_quota(self.relay.gateway, true);
        let tasks = vec![HttpTask::Body(Some(end), false), HttpTask::Done];
        let writing = pin!(reply::write_together(self.relay.session, tasks));
        match within(left(self.call.deadline), writing).await {
            Ok(Ok(())) => Pumped::Cut,
            Ok(Err(_)) | Err(_) => Pumped::ClientGone,
        }
    }

    fn head(&self, upstream: Option<&HeaderMap>) -> Box<pingora_http::ResponseHeader> {
        let body = match upstream {
            Some(upstream) if !self.call.endpoint.is_text() && !is_events(upstream) => {
                let length = upstream.get(http::header::CONTENT_LENGTH);
                head::Body::AsSent(length.and_then(|length| length.to_str().ok()?.parse().ok()))
            }
            _ if self.call.array => head::Body::ArrayStream,
            _ => head::Body::EventStream,
        };
        head::answer(self.relay.session, self.relay.ctx, body, upstream)
    }
}

/// All frames as one piece: a task of Pingora's for each small frame costs more than copying them.
fn joined(out: &mut Vec<Bytes>) -> Option<Bytes> {
    if out.len() < 2 {
        return out.pop();
    }
    let mut all = BytesMut::with_capacity(out.iter().map(Bytes::len).sum());
    for frame in out.drain(..) {
        all.extend_from_slice(&frame);
    }
    Some(all.freeze())
}

/// What a stream used so far.
#[derive(Clone, Copy)]
struct Used {
    /// By its provider's word.
    told: Option<Usage>,
    text_bytes: u64,
}

enum Written {
    Out,
    /// A guardrail lets nothing of it go out.
    Refused(Refusal),
    ClientGone,
}
