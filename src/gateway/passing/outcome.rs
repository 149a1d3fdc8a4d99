//! What came of a request that was passed: what the answer says of the deployment, what it used, and
//! what that costs.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::StatusCode;
use pingora_http::ResponseHeader;

use super::meter::{Meter, Metered};
use super::{Passing, Way};
use crate::catalog::{Deployment, Price, Served};
use crate::failure::{Failure, FailureClass};
use crate::gateway::Gateway;
use crate::gateway::ctx::{RequestCtx, noted};
use crate::gateway::error::GatewayError;
use crate::gateway::relay::unix_seconds;
use crate::provider;
use crate::snapshot::Snapshot;
use crate::telemetry::Outcome;
use crate::usage::{BYTES_PER_TOKEN, Usage};

impl Passing {
    /// Judges the head of the answer, and prepares to meter what follows.
    pub(super) fn answered(
        &mut self,
        gateway: &Gateway,
        ctx: &mut RequestCtx,
        path: &str,
        head: &ResponseHeader,
    ) {
        let Some(attempt) = &mut self.attempt else { return };
        let deployment = Arc::clone(&attempt.deployment);
        let named = provider::passed_model(&deployment, path);
        self.model = named.as_deref().or_else(|| self.named.found()).map(Arc::from);
        let model = Arc::clone(self.model.as_ref().unwrap_or(&attempt.model));
        ctx.relayed.served_by = Some(Served {
            deployment: Arc::clone(&deployment),
            group: Arc::clone(&attempt.group),
            model: Arc::clone(&model),
        });
        let status = head.status.as_u16();
        ctx.status = Some(status);
        if head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS {
            // The body is the client's to read; the status is enough to judge the deployment by.
            let now = SystemTime::now();
            let failure = provider::classify(&deployment, status, &head.headers, b"", now);
            self.failed(gateway, ctx, failure);
            return;
        }
        self.plan.succeeded(attempt, &gateway.routing, Instant::now());
        let noted = noted(attempt, Outcome::Success, Some(status), self.began);
        ctx.relayed.attempts.push(noted);
        ctx.trace_attempt(&deployment, self.began);
        self.succeeded = head.status.is_success();
        if self.succeeded || head.status == StatusCode::SWITCHING_PROTOCOLS {
            let received_bytes = self.received_bytes as u64;
            ctx.entry_begun(|| Usage {
                input_tokens: received_bytes / BYTES_PER_TOKEN,
                ..Usage::default()
            });
        }
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.meter = Some(Meter::realtime());
        } else if head.status.is_success() {
            let created = unix_seconds(ctx.started_at);
            self.meter = Meter::of(&deployment, (path, &model), &head.headers, created);
        }
    }

    /// Meters what the provider sends.
    pub(super) fn sent(&mut self, body: Option<&Bytes>) {
        if let (Some(meter), Some(body)) = (&mut self.meter, body) {
            meter.push(body);
        }
    }

    /// The end of what the provider sends over a WebSocket. Where nobody said that it would be, it is a
    /// failure, and this is the close frame that tells the client.
    pub(super) fn hung_up(&mut self) -> Option<Bytes> {
        let frames = self.meter.as_ref()?.frames()?;
        if self.ended() {
            return None;
        }
        let message = "the provider broke the conversation off without a close frame";
        let told = frames.farewell(message);
        self.cut.get_or_insert_with(|| Failure::new(FailureClass::Connection, message));
        told
    }

    /// Whether a WebSocket was closed in words by one of its sides.
    pub(super) fn ended(&self) -> bool {
        let frames = self.meter.as_ref().and_then(Meter::frames);
        frames.is_some_and(|frames| frames.closed() || self.said.closed())
    }

    /// Notes what it came to: the model that answered, if it was named, and what it used.
    pub(super) fn finish(&mut self, gateway: &Gateway, ctx: &mut RequestCtx) {
        if std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        let metered = self.meter.take().map(Meter::finish).unwrap_or_default();
        let Metered { usage, model, failure } = metered;
        let failure = failure.or_else(|| self.cut.take());
        let Some(served) = &mut ctx.relayed.served_by else { return };
        if let Some(model) = model {
            served.model = model.into();
        }
        match usage {
            Some(usage) => {
                if let Some(attempt) = &mut self.attempt {
                    self.plan.used(attempt, &usage, &gateway.routing, Instant::now());
                }
                let price = self.price(served, &ctx.snapshot);
                ctx.relayed.cost = price.map(|price| price.cost(&usage));
                ctx.relayed.usage = Some(usage);
            }
            None => {
                if let Way::Mount { mount, .. } = &self.way
                    && self.succeeded
                {
                    ctx.relayed.cost = mount.price;
                }
            }
        }
        if let Some(failure) = failure.filter(|_| !ctx.client_gone) {
            self.broke(gateway, ctx, failure);
        }
    }

    /// What the model costs that answered. A deployment has a price for its own model, and may be
    /// asked for another one here.
    fn price(&self, served: &Served, snapshot: &Snapshot) -> Option<Arc<Price>> {
        let (deployment, book) = (&*served.deployment, &snapshot.prices);
        let Some(asked) = &self.model else {
            let listed = book.get(&deployment.provider, &served.model);
            let listed = listed.and_then(|listed| listed.price.clone());
            return listed.or_else(|| deployment.price(&served.model, book));
        };
        // What is written of a model holds for it, whichever deployment's key was used.
        let all = snapshot.catalog.deployments().iter().map(|other| &**other);
        let same =
            |other: &&Deployment| other.provider == deployment.provider && *other.model == **asked;
        let mut written = std::iter::once(deployment).chain(all).filter(same);
        // A reply may name the model in another way than the provider's price list does.
        let mut names = [&served.model, asked].into_iter();
        written
            .find_map(|other| other.price(&served.model, book))
            .or_else(|| names.find_map(|name| book.get(&deployment.provider, name)?.price.clone()))
    }

    /// Records that an answer broke off, or said itself that it failed, after its head was taken for a
    /// success.
    fn broke(&mut self, gateway: &Gateway, ctx: &mut RequestCtx, failure: Failure) {
        let error = GatewayError::Upstream(Box::new(failure.clone()));
        ctx.error = Some(error);
        let Some(attempt) = self.attempt.take() else { return };
        let (settings, state) = (&ctx.snapshot.routing, &gateway.routing);
        let rest = self.plan.failed(attempt, &failure, settings, state, Instant::now());
        if let Some(noted) = ctx.relayed.attempts.last_mut() {
            noted.outcome = Outcome::Failed(failure.class);
            noted.cooled_down = rest.is_some();
        }
    }
}
