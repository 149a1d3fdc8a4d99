//! A whole answer of a provider: what it means, and the reply that the client gets of it.
//!
//! The counterpart of the pump (`pump.rs`) for what is no stream. Whether another attempt follows is
//! the loop's business (`relay.rs`).

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use pingora_core::protocols::http::HttpTask;

use super::ctx::Call;
use super::intake::left;
use super::opening::{self, Whole};
use super::relay::{Outcome, Relay, kept_back, unix_seconds};
use super::remember::Gathering;
use super::reply::{self, Told};
use super::{contexts, estimate, exchange, guarded, head, tokens};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::patience::within;
use crate::provider;
use crate::routing::{Attempt, Plan};
use crate::usage::Usage;
use crate::wire;

impl Relay<'_> {
    /// Decides what a complete body means: the reply, or a failure.
    pub(super) async fn judge(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
        whole: Whole,
    ) -> Outcome {
        let deployment = &*Arc::clone(&attempt.deployment);
        let (status, reading) = (whole.status, whole.reading);
        let headers = &*self.upstream_head.insert(whole.headers);
        let body = whole.body;
        if !status.is_success() {
            let now = SystemTime::now();
            let failure = provider::classify(deployment, status.as_u16(), headers, &body, now);
            if call.endpoint == Endpoint::CountTokens && provider::cannot_count(&failure) {
                self.upstream_head = None;
                return self.count_here(call, plan, attempt).await;
            }
            if let Some(dialect) = reading.native
                && provider::is_for_client(deployment, dialect, &failure, &body)
            {
                self.told = Some(Told { status: status.as_u16(), body });
            }
            // That what a provider keeps is not there says nothing about the deployment.
            let is_about_the_thing = (call.endpoint.is_stored() || call.is_stored())
                && matches!(failure.class, FailureClass::NotFound | FailureClass::Conflict);
            return Outcome::Failed(match is_about_the_thing {
                true => failure.without_blame(),
                false => failure,
            });
        }
        let created = unix_seconds(self.ctx.started_at);
        let read = match call.is_stored() {
            false => opening::read(call, attempt, headers, reading, body, created),
            // What it used was counted when it was made.
            true => Ok(wire::Reply {
                body: provider::stored(deployment, body),
                usage: Some(Usage::default()),
                model: None,
            }),
        };
        let mut reply = match read {
            Ok(reply) => reply,
            Err(failure) => return Outcome::Failed(failure),
        };
        let settings = &self.ctx.snapshot.routing;
        if call.endpoint == Endpoint::Chat
            && plan.has_policy_fallback(attempt, settings)
            && wire::blocked::reply(&reply.body)
        {
            // Nobody sees it, but it is paid.
            self.served_by(attempt);
            if let Some(usage) = reply.usage {
                plan.used(attempt, &usage, &self.gateway.routing, Instant::now());
                self.ctx.relayed.settle(usage, &self.ctx.snapshot.prices);
            }
            return Outcome::Failed(kept_back());
        }
        let usage = match reply.usage {
            Some(usage) => usage,
            // Counting is free.
            None if call.endpoint == Endpoint::CountTokens => Usage::default(),
            None => Box::pin(estimate::of_reply(call, attempt, reading, &reply.body)).await,
        };
        let counts =
            matches!(call.endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Embeddings);
        if reply.usage.is_none() && reading.native.is_none() && counts {
            reply.body = estimate::told(reply.body, &usage);
        }
        if reading.native.is_none() {
            let traffic = &self.ctx.snapshot.traffic;
            let mut gathering = Gathering::of(traffic, call, deployment, reading);
            gathering.iter_mut().for_each(|gathering| gathering.reply(&reply.body));
            self.gateway.remember(traffic, call, deployment, gathering);
        }
        let is_json = call.endpoint.is_text() || exchange::is_json(headers) && !call.is_content();
        let telling = call.telling(&self.ctx.request_id, created);
        let told = match (reading.native, reading.api) {
            (Some(_), _) => Ok(reply.body),
            (None, Endpoint::CountTokens) => wire::anthropic::native::count(&reply.body)
                .map(|tokens| wire::client::count(call.dialect, tokens)),
            (None, _) if call.is_bridged(reading) => {
                wire::completions::reply(&reply.body, &telling)
            }
            (None, _) => wire::client::reply(call.dialect, reply.body, &telling),
        };
        let body = match told {
            Ok(body) => body,
            Err(failure) => return Outcome::Failed(failure),
        };
        // Some models of sound and images do not stream, whatever was asked, and say nothing of it.
        if call.stream && call.endpoint.is_text() {
            return Outcome::Failed(Failure::new(
                FailureClass::Server,
                "the provider answered a request for a stream with a single body",
            ));
        }
        plan.succeeded(attempt, &self.gateway.routing, Instant::now());
        // The provider is done; how fast the client reads is not its business.
        attempt.in_flight.leave();
        self.served_by(attempt);
        if reading.native.is_some() && self.ctx.ticket.is_held() {
            self.ctx.relayed.response_id = contexts::of_reply(call, &body);
        }
        plan.used(attempt, &usage, &self.gateway.routing, Instant::now());
        // Of what is kept, nobody says here what it will have used.
        if call.endpoint != Endpoint::CountTokens && !call.endpoint.is_stored() {
            self.ctx.relayed.settle(usage, &self.ctx.snapshot.prices);
        }
        self.write_whole(call, body, is_json).await
    }

    /// Counts the prompt for a provider that has no API for it.
    pub(super) async fn count_here(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
    ) -> Outcome {
        let counted = match tokens::count_for(call, &attempt.deployment, &attempt.model).await {
            Ok(counted) => counted,
            Err(failure) => return Outcome::Failed(failure.without_blame()),
        };
        let (routing, settings) = (&self.gateway.routing, &self.ctx.snapshot.routing);
        plan.began(attempt, Duration::ZERO, settings, routing);
        plan.succeeded(attempt, routing, Instant::now());
        attempt.in_flight.leave();
        plan.used(attempt, &Usage::default(), routing, Instant::now());
        self.served_by(attempt);
        self.ctx.relayed.counted = Some(counted.exact);
        self.write_whole(call, wire::client::count(call.dialect, counted.tokens), true).await
    }

    /// Writes a whole reply.
    async fn write_whole(&mut self, call: &Call, body: Bytes, is_json: bool) -> Outcome {
        let kept = body.clone();
        let body = match self.ctx.guard_reply(call, body, is_json).await {
            Ok(body) => body,
            Err(refusal) => return Outcome::Refused(guarded::refused(refusal)),
        };
        self.ctx.status = Some(200);
        let size = match is_json {
            true => head::Body::Json(body.len()),
            false => head::Body::AsSent(Some(body.len())),
        };
        let head = head::answer(self.session, self.ctx, size, self.upstream_head.as_ref());
        self.ctx.relayed.bytes_sent = body.len() as u64;
        self.ctx.record_whole(self.gateway, &kept);
        self.ctx.transcribe_whole(&body, is_json);
        self.ctx.trace_reply(call, &body);
        // Before the client has it: whoever has a reply has a row, and its next request may follow at
        // once.
        self.ctx.entry_over();
        self.ctx.settle_quota(self.gateway, true);
        let tasks = vec![HttpTask::Header(head, false), HttpTask::Body(Some(body), true)];
        let writing = pin!(reply::write_together(self.session, tasks));
        match within(left(call.deadline), writing).await {
            Ok(Ok(())) => Outcome::Answered,
            Ok(Err(_)) | Err(_) => Outcome::ClientGone,
        }
    }
}
