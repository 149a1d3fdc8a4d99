//! The attempt loop: asks routing for the next deployment until one of them has answered.
//!
//! One attempt is an opening (`opening.rs`) and then what a whole answer means (`judge.rs`), or the
//! pump of a stream (`pump.rs`). This file decides nothing about *which* deployment is next, that is
//! `routing`; it decides when an answer begins, when another attempt may follow, and it watches client
//! and deadline all along.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::HeaderMap;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::ctx::{Call, RequestCtx, noted};
use super::decide;
use super::error::GatewayError;
use super::exchange::Bounds;
use super::guarded::{self, Beside};
use super::intake::left;
use super::opening::{self, Opening, Order};
use super::pump::{Interruption, Pump, Pumped};
use super::reply::Told;
use super::{Gateway, explain, reply, shadow, tokens};
use crate::catalog::{Deployment, Served};
use crate::dialect::Endpoint;
use crate::failure::{Failure, FailureClass};
use crate::provider;
use crate::routing::{Ask, Attempt, Next, Plan, Stop, known};
use crate::telemetry;
use crate::wire;
use crate::wire::client::ClientStream;
use crate::wire::json::Object;
use crate::wire::resume::Resume;

/// How the relay of a request ended.
enum End {
    /// The whole reply is out.
    Answered,
    /// Nothing meaningful is out; the client gets this error.
    Error(GatewayError),
    /// A part of a stream is out; it ends with this error.
    Broken(GatewayError),
    /// Nobody is left to answer.
    ClientGone,
}

/// What one attempt came to.
pub(super) enum Outcome {
    Answered,
    /// A guardrail lets it go no further; nothing is out.
    Refused(GatewayError),
    /// Another attempt may follow.
    Failed(Failure),
    /// Content is out already: no other attempt may follow.
    Broken(Failure),
    DeadlinePassed,
    ClientGone,
    /// Another attempt began to answer first.
    Overtaken,
}

/// One request on its way through the attempts.
pub(super) struct Relay<'a> {
    pub gateway: &'a Gateway,
    pub session: &'a mut Session,
    pub ctx: &'a mut RequestCtx,
    /// The head of an event stream was sent to carry heartbeats, before any content.
    pub head_out: bool,
    /// When the client was last written to, or began to wait.
    pub wrote: Instant,
    /// Head of the last answer of a provider, for its rate limits.
    pub upstream_head: Option<HeaderMap>,
    /// What the client has of a stream that another deployment may go on with.
    pub resume: Option<Resume>,
    /// The last error of a provider that speaks the client's dialect, as it is to be passed on.
    pub told: Option<Told>,
    /// The stream in the client's dialect, if that is not the canonical one.
    pub voice: Option<Box<dyn ClientStream>>,
    /// Guardrails that look at the request meanwhile.
    beside: Option<Beside>,
}

/// Relays the call in `ctx` and writes the response, whatever it is.
///
/// # Errors
/// Pingora's, if writing to the client failed in a way that ends the connection.
pub(super) async fn relay(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
) -> pingora_core::Result<()> {
    let wrote = Instant::now();
    let created = unix_seconds(ctx.started_at);
    let voice = call
        .stream
        .then(|| wire::client::stream(call.dialect, &call.telling(&ctx.request_id, created)))
        .flatten();
    ctx.relayed.picture = call.picture();
    let beside = guarded::beside(ctx, call);
    let mut relay = Relay {
        gateway,
        session,
        ctx,
        head_out: false,
        wrote,
        upstream_head: None,
        resume: None,
        told: None,
        voice,
        beside,
    };
    match relay.run(call).await {
        End::Answered => Ok(()),
        End::Error(error) if relay.head_out && call.is_relayed_as_bytes() && !call.stream => {
            relay.ctx.error = Some(error);
            relay.session.set_keepalive(None);
            Err(Error::new_down(ErrorType::ConnectionClosed))
        }
        End::Error(error) if relay.head_out => {
            relay.end_stream_with(error).await;
            Ok(())
        }
        End::Error(error) => {
            let upstream = relay.upstream_head.take();
            let (session, ctx, upstream) = (relay.session, relay.ctx, upstream.as_ref());
            match relay.told.filter(|_| matches!(error, GatewayError::Upstream(_))) {
                Some(told) => reply::write_error_as(session, ctx, error, upstream, told).await,
                None => reply::write_error(session, ctx, error, upstream).await,
            }
        }
        End::Broken(error) if call.is_relayed_as_bytes() && !call.stream => {
            // Bytes have no place for an error: the body must not look complete.
            relay.ctx.error = Some(error);
            relay.session.set_keepalive(None);
            Err(Error::new_down(ErrorType::ConnectionClosed))
        }
        End::Broken(error) if relay.head_out => {
            relay.end_stream_with(error).await;
            Ok(())
        }
        // What came of it is held by guardrails.
        End::Broken(error) => reply::write_error(relay.session, relay.ctx, error, None).await,
        // Returned as an error, because Pingora would write a response of its own or end the body
        // as if it were complete.
        End::ClientGone => {
            relay.ctx.client_gone = true;
            relay.session.set_keepalive(None);
            Err(Error::new_down(ErrorType::ConnectionClosed))
        }
    }
}

impl<'r> Relay<'r> {
    async fn run(&mut self, call: &Call) -> End {
        let snapshot = Arc::clone(&self.ctx.snapshot);
        let (catalog, settings) = (&snapshot.catalog, &snapshot.routing);
        let decision = self.ctx.decision.clone();
        let decision = decision.as_deref();
        let needs = match call.reads_needs(settings) {
            true => Some(tokens::needs(call, &call.model, catalog, None).await),
            false => None,
        };
        let ask = decide::routed(Ask { needs, ..call.ask() }, decision);
        explain::tell(self.gateway, self.ctx, call, &ask, decision);
        let Ok(mut plan) = Plan::new(catalog, settings, ask) else {
            return End::Error(GatewayError::UnknownModel { model: call.model.to_string() });
        };
        let state = &*self.gateway.routing;
        if call.stream && call.endpoint == Endpoint::Chat && plan.fails_over_mid_stream(settings) {
            self.resume = Some(Resume::default());
        }
        let mut last: Option<Failure> = None;
        loop {
            let next = plan.next(catalog, settings, state, Instant::now(), Some(call.deadline));
            self.ctx.relayed.retries = plan.retries();
            self.ctx.relayed.fallbacks = plan.fallbacks();
            let mut attempt = match next {
                Next::Attempt(attempt) => attempt,
                Next::Stop(stop) => return End::Error(stopped(stop, last, &call.model)),
            };
            if !attempt.wait.is_zero() {
                match self.pause(call, &mut plan, &mut attempt).await {
                    Ok(()) => {}
                    Err(end) => return end,
                }
            }
            if let Some(shadow) = attempt.deployment.silent_model.as_ref().filter(|_| {
                // A copy of what is kept would be kept as well.
                last.is_none() && !call.endpoint.is_stored()
            }) {
                shadow::cast(self.gateway, self.ctx, shadow);
            }
            let began = Instant::now();
            self.ctx.relayed.trying = Some(began);
            let outcome = self.attempt(call, &mut plan, &mut attempt).await;
            self.note(&attempt, &outcome, began);
            self.ctx.relayed.trying = None;
            let (failure, content_is_out) = match outcome {
                Outcome::Answered => return End::Answered,
                Outcome::Refused(error) => return End::Error(error),
                Outcome::DeadlinePassed => {
                    // A deployment that hangs until the end is to rest like one that times out.
                    let failure = Failure::new(FailureClass::Timeout, "the time was up");
                    plan.failed(attempt, &failure, settings, state, Instant::now());
                    return End::Error(self.deadline());
                }
                Outcome::ClientGone | Outcome::Overtaken => return End::ClientGone,
                Outcome::Failed(failure) => (failure, false),
                Outcome::Broken(failure) => (failure, true),
            };
            let deployment = Arc::clone(&attempt.deployment);
            let (now, heard) = (SystemTime::now(), self.upstream_head.as_ref());
            let failure = provider::reclassify(&deployment, failure, heard, now);
            let rest = plan.failed(attempt, &failure, settings, state, Instant::now());
            if let Some(noted) = self.ctx.relayed.attempts.last_mut() {
                noted.cooled_down = rest.is_some();
            }
            alert(&deployment, &failure, rest);
            if content_is_out && !self.may_resume(call) {
                return End::Broken(GatewayError::Upstream(Box::new(failure)));
            }
            // A deployment that cannot be asked for this says nothing of why the others did not serve
            // it: what they said can be tried again, a refusal cannot.
            let is_refusal = failure.blameless && failure.class == FailureClass::BadRequest;
            if last.is_none() || !is_refusal {
                last = Some(failure);
            }
        }
    }

    /// Whether another deployment may go on with the stream that broke off.
    fn may_resume(&self, call: &Call) -> bool {
        let Some(resume) = &self.resume else { return false };
        if let Some(refusal) = call.obstacle.refusal(false) {
            // Who goes on is told what is canonical, whatever dialect it speaks.
            let (request_id, why) = (&self.ctx.request_id, &refusal.message);
            tracing::debug!(%request_id, %why, "a broken stream cannot be continued");
            return false;
        }
        let obstacle = resume.obstacle(&call.body);
        if let Some(obstacle) = obstacle {
            let request_id = &self.ctx.request_id;
            tracing::debug!(%request_id, %obstacle, "a broken stream cannot be continued");
        }
        obstacle.is_none()
    }

    /// The body for an attempt: the client's, or one that asks for the rest of a broken stream.
    fn body<'c>(&mut self, call: &'c Call, attempt: &Attempt) -> Cow<'c, Object> {
        let body = Cow::Borrowed(&call.body);
        let Some(resume) = self.resume.as_mut().filter(|_| self.ctx.relayed.streamed) else {
            return body;
        };
        let style = provider::continuation(&attempt.deployment, &attempt.model, &call.body);
        resume.continue_with(style, self.ctx.relayed.usage.unwrap_or_default());
        wire::resume::request(&call.body, resume.told(), style).map_or(body, Cow::Owned)
    }

    /// Waits before an attempt, as long as the client does.
    async fn pause(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
    ) -> Result<(), End> {
        let wait = attempt.wait;
        if wait >= left(call.deadline) {
            return Err(End::Error(self.deadline()));
        }
        self.ctx.relayed.upstream += wait;
        let bounds = Bounds::of(&self.ctx.snapshot.traffic, call, &attempt.deployment);
        let mut pump = Pump::new(self, call, (plan, attempt), bounds);
        let mut over = Box::pin(tokio::time::sleep(wait));
        loop {
            tokio::select! {
                () = &mut over => return Ok(()),
                interruption = pump.interruption() => match interruption {
                    Interruption::Heartbeat => pump.beat().await,
                    Interruption::ClientGone => return Err(End::ClientGone),
                    // The wait ends before the deadline, and there is nobody to be silent.
                    Interruption::DeadlinePassed | Interruption::Silence => {}
                },
            }
        }
    }

    async fn attempt(&mut self, call: &Call, plan: &mut Plan, attempt: &mut Attempt) -> Outcome {
        self.upstream_head = None;
        self.told = None;
        if call.endpoint == Endpoint::CountTokens
            && attempt.deployment.target.paths[Endpoint::CountTokens.index()].is_none()
        {
            return self.count_here(call, plan, attempt).await;
        }
        let began = Instant::now();
        let settings = &self.ctx.snapshot.routing;
        // What goes on with a broken stream has to fit to it, which only one attempt can.
        let patience = if self.ctx.relayed.streamed || call.endpoint.is_stored() {
            None
        } else {
            plan.patience(attempt, settings, &self.gateway.routing)
        };
        let mut beside = self.beside.take();
        let opened = {
            let opening = async {
                match patience {
                    None => self.open(call, plan, attempt).await,
                    Some(alone) => {
                        Box::pin(self.open_with_company(call, plan, attempt, alone)).await
                    }
                }
            };
            match &mut beside {
                None => (opening.await, None),
                Some(looking) => Box::pin(opened_beside(opening, looking)).await,
            }
        };
        let (opened, looked) = opened;
        if let Some(looked) = looked {
            if let Err(refusal) = guarded::heeded(self.ctx, looked) {
                return Outcome::Refused(guarded::refused(refusal));
            }
        } else if opened.is_ok()
            && let Some(looking) = beside
        {
            // Nothing leaves before they have looked.
            if let Err(outcome) = self.heeds(call, plan, attempt, looking).await {
                return outcome;
            }
        } else {
            // They look on while others are tried.
            self.beside = beside;
        }
        self.ctx.relayed.upstream += began.elapsed();
        let opening = match opened {
            Ok(opening) => opening,
            Err(outcome) => return outcome,
        };
        let (routing, settings) = (&self.gateway.routing, &self.ctx.snapshot.routing);
        // How fast a picture's server is says nothing about the deployment.
        let took = began.elapsed().saturating_sub(opening.fetching());
        plan.began(attempt, took, settings, routing);
        match opening {
            Opening::Body(whole) => self.judge(call, plan, attempt, whole).await,
            Opening::Stream(begun)
                if call.endpoint == Endpoint::Chat
                    && plan.has_policy_fallback(attempt, settings)
                    && wire::blocked::stream(&begun.events) =>
            {
                Outcome::Failed(kept_back())
            }
            Opening::Stream(begun) => {
                self.upstream_head = Some(begun.headers.clone());
                let bounds = Bounds::of(&self.ctx.snapshot.traffic, call, &attempt.deployment);
                let mut pump = Pump::new(self, call, (plan, attempt), bounds);
                // Boxed, so that a request for a whole reply does not carry the state of a stream.
                match Box::pin(pump.run(begun)).await {
                    Pumped::Complete | Pumped::Cut => Outcome::Answered,
                    Pumped::Refused(refusal) => Outcome::Refused(guarded::refused(refusal)),
                    Pumped::Broken(failure) => Outcome::Broken(bounds.blame(failure)),
                    Pumped::DeadlinePassed => Outcome::DeadlinePassed,
                    Pumped::ClientGone => Outcome::ClientGone,
                }
            }
        }
    }

    /// Waits for the guardrails that look beside the call, as long as the client does.
    async fn heeds(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
        mut looking: Beside,
    ) -> Result<(), Outcome> {
        let bounds = Bounds::of(&self.ctx.snapshot.traffic, call, &attempt.deployment);
        let looked = {
            let mut pump = Pump::new(self, call, (plan, attempt), bounds);
            loop {
                tokio::select! {
                    biased;
                    looked = &mut looking => break looked,
                    interruption = pump.interruption() => match interruption {
                        Interruption::Heartbeat => pump.beat().await,
                        Interruption::DeadlinePassed => return Err(Outcome::DeadlinePassed),
                        Interruption::ClientGone => return Err(Outcome::ClientGone),
                        Interruption::Silence => {}
                    },
                }
            }
        };
        guarded::heeded(self.ctx, looked)
            .map_err(|refusal| Outcome::Refused(guarded::refused(refusal)))
    }

    /// What `opening` needs for this attempt.
    pub(super) fn order<'c>(&mut self, call: &'c Call, attempt: &Attempt) -> Order<'c>
    where
        'r: 'c,
    {
        let created = unix_seconds(self.ctx.started_at);
        let body = self.body(call, attempt);
        let snapshot = Arc::clone(&self.ctx.snapshot);
        let trace = self.ctx.trace.as_mut();
        let trace = trace.map_or_else(Vec::new, |trace| trace.begin(&attempt.deployment));
        Order { trace, ..Order::new(self.gateway, snapshot, call, body, attempt, created) }
    }

    /// Makes the attempt up to where its answer begins.
    async fn open(
        &mut self,
        call: &Call,
        plan: &mut Plan,
        attempt: &mut Attempt,
    ) -> Result<Opening, Outcome> {
        let mut opening = Box::pin(opening::open(self.order(call, attempt)));
        let bounds = Bounds::of(&self.ctx.snapshot.traffic, call, &attempt.deployment);
        let mut pump = Pump::new(self, call, (plan, attempt), bounds);
        loop {
            tokio::select! {
                biased;
                opened = &mut opening => return opened.map_err(Outcome::Failed),
                interruption = pump.interruption() => match interruption {
                    Interruption::Heartbeat => pump.beat().await,
                    Interruption::DeadlinePassed => return Err(Outcome::DeadlinePassed),
                    Interruption::ClientGone => return Err(Outcome::ClientGone),
                    // The opening keeps its own time.
                    Interruption::Silence => {}
                },
            }
        }
    }

    pub(super) fn served_by(&mut self, attempt: &Attempt) {
        self.ctx.relayed.served_by = Some(Served {
            deployment: Arc::clone(&attempt.deployment),
            group: Arc::clone(&attempt.group),
            model: Arc::clone(&attempt.model),
        });
    }

    /// Ends a stream whose head is out with an error frame in the client's dialect.
    async fn end_stream_with(&mut self, error: GatewayError) {
        let (mut error, mut before) = (error, Vec::new());
        if let Some(call) = self.ctx.call.clone()
            && let Err(refusal) = self.ctx.guard_stream(&call, &mut before, true).await
        {
            error = guarded::refused(refusal);
            before.extend(self.ctx.guarded_end());
        }
        let frame = match &mut self.voice {
            Some(voice) => {
                let body = error.body(self.ctx.dialect, &self.ctx.request_id);
                voice.fail(&body, &error.code(), &error.message())
            }
            None => error.frame(self.ctx.dialect, &self.ctx.request_id),
        };
        self.ctx.relayed.bytes_sent += frame.len() as u64;
        self.ctx.transcribe(&before, false);
        self.ctx.error = Some(error);
        self.ctx.entry_over();
        let frames = before.into_iter().chain([frame]).filter(|frame| !frame.is_empty());
        let frames = frames.map(|frame| HttpTask::Body(Some(frame), false));
        let tasks = frames.chain([HttpTask::Body(None, true)]).collect();
        if reply::write_together(self.session, tasks).await.is_err() {
            self.ctx.client_gone = true;
        }
    }

    fn deadline(&self) -> GatewayError {
        GatewayError::Deadline { after: self.ctx.snapshot.traffic.total_timeout }
    }

    pub(super) fn note(&mut self, attempt: &Attempt, outcome: &Outcome, began: Instant) {
        let (outcome, status) = match outcome {
            Outcome::Failed(failure) | Outcome::Broken(failure) => {
                (telemetry::Outcome::Failed(failure.class), failure.status)
            }
            Outcome::Answered => (telemetry::Outcome::Success, Some(200)),
            // It was broken off, or served.
            Outcome::Refused(_) => (telemetry::Outcome::Cancelled, None),
            Outcome::DeadlinePassed => (telemetry::Outcome::Failed(FailureClass::Timeout), None),
            Outcome::ClientGone | Outcome::Overtaken => (telemetry::Outcome::Cancelled, None),
        };
        let remaining = |name| {
            let value = self.upstream_head.as_ref()?.get(name)?;
            value.to_str().ok()?.parse().ok()
        };
        self.ctx.relayed.attempts.push(telemetry::Attempt {
            remaining_requests: remaining("x-ratelimit-remaining-requests"),
            remaining_tokens: remaining("x-ratelimit-remaining-tokens"),
            ..noted(attempt, outcome, status, began)
        });
        self.ctx.trace_attempt(&attempt.deployment, began);
    }
}

/// What guardrails came to.
type Looked = (Result<(), crate::guard::Refusal>, crate::guard::Findings);

/// Opens while guardrails look at the request. If they refuse before it is done, it is broken off.
async fn opened_beside(
    opening: impl Future<Output = Result<Opening, Outcome>>,
    looking: &mut Beside,
) -> (Result<Opening, Outcome>, Option<Looked>) {
    let mut opening = std::pin::pin!(opening);
    let looked = tokio::select! {
        biased;
        opened = &mut opening => return (opened, None),
        looked = looking => looked,
    };
    let opened = match &looked.0 {
        Ok(()) => opening.await,
        Err(_) => Err(Outcome::Overtaken),
    };
    (opened, Some(looked))
}

/// Tells the operator of what nobody but the operator can mend: once for each rest, not for each
/// request.
fn alert(deployment: &Deployment, failure: &Failure, rest: Option<Duration>) {
    let Some(rest) = rest else { return };
    let problem = match failure.class {
        FailureClass::Auth => "the provider refuses the deployment's credentials",
        FailureClass::Quota => "the account of the deployment is out of money or quota",
        _ => return,
    };
    let (deployment, rests_seconds) = (&*deployment.id, rest.as_secs());
    tracing::warn!(deployment, rests_seconds, status = failure.status, "{problem}");
}

/// The provider answered, but its policy kept the answer back. The words are LiteLLM's.
pub(super) fn kept_back() -> Failure {
    Failure::new(FailureClass::ContentPolicy, "Response output was blocked.")
}

/// The error of a plan that has no further attempt.
pub(super) fn stopped(stop: Stop, last: Option<Failure>, model: &str) -> GatewayError {
    let model = || model.to_owned();
    match (stop, last) {
        (Stop::LastFailure, Some(failure)) => GatewayError::Upstream(Box::new(failure)),
        (Stop::AllCooling { retry_after }, _) => {
            GatewayError::AllCooling { model: model(), retry_after }
        }
        (Stop::OverLimit { limit, retry_after }, _) => {
            let retry_after = known(retry_after);
            GatewayError::DeploymentsLimited { model: model(), limit, retry_after }
        }
        (Stop::Full, _) => GatewayError::DeploymentsFull { model: model() },
        (Stop::Unfit(out), _) => GatewayError::NoneFits { model: model(), out },
        (Stop::NoneEligible, _) => GatewayError::NoTaggedDeployment { model: model() },
        (Stop::LastFailure, None) => GatewayError::Internal,
    }
}

pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
