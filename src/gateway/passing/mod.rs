//! Requests that are handed to a provider as they are, through Pingora's own pipeline: a provider's
//! native API below its mount (`/openai/...`), and realtime WebSockets.
//!
//! Bodies are streamed both ways and neither held nor changed, but where a provider wants them signed
//! (`signed.rs`). What this adds to the pipeline is
//! which deployment takes the request (by the same choice as everywhere, with the same cooldowns),
//! its credentials in place of the client's, and the metering of what comes back. A deployment that
//! cannot be connected to is passed over; an answer is passed on, whatever it is.

mod heads;
mod meter;
mod named;
mod realtime;
pub(super) mod signed;

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use pingora_core::protocols::http::v1::common::is_upgrade_req;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use self::meter::{Meter, Metered};
use self::named::NamedModel;
use self::realtime::Realtime;
use super::ctx::{RequestCtx, Served};
use super::error::GatewayError;
use super::relay::{stopped, unix_seconds};
use super::{Gateway, exchange, route};
use crate::catalog::{Authorisation, Deployment, Mount, Price, PriceBook};
use crate::failure::Failure;
use crate::identity::Unsigned;
use crate::provider;
use crate::routing::{Ask, Attempt, Next, Plan};
use crate::telemetry::{self, Outcome};
use crate::upstream;

/// How many deployments a request tries that cannot be connected to, beside the first.
const FURTHER_CONNECTS: u32 = 2;

/// Where a request that is passed goes.
enum Way {
    /// Below a mount; `rest` is what stands behind the mount's path.
    Mount { mount: Arc<Mount>, rest: Box<str>, query: Option<Box<str>> },
    /// A WebSocket to a model.
    Realtime(Realtime),
}

/// One request on its way through the pipeline.
pub(super) struct Passing {
    way: Way,
    plan: Plan,
    /// The deployment that has the request, until its answer was judged a failure.
    attempt: Option<Attempt>,
    /// The server's name, for the `Host` header.
    authority: Option<HeaderValue>,
    /// When the attempt began.
    began: Instant,
    meter: Option<Meter>,
    /// The model that the request's body names.
    named: NamedModel,
    /// The model that the request is for, if its path or its body tells.
    model: Option<Arc<str>>,
    /// Bytes of the request's body so far.
    received_bytes: usize,
    /// Why the pipeline was stopped, for whoever writes the error.
    refusal: Option<GatewayError>,
    last: Option<Failure>,
    /// The provider said that all is well.
    succeeded: bool,
}

impl Passing {
    /// Finds out whether a request is one to be passed; `None`: it is not.
    ///
    /// # Errors
    /// It is, and what it asks for does not exist here.
    pub(super) fn of(ctx: &RequestCtx, head: &RequestHeader) -> Result<Option<Self>, GatewayError> {
        let (catalog, settings) = (&ctx.snapshot.catalog, &ctx.snapshot.routing);
        let ask = |model| Ask {
            model,
            num_retries: Some(FURTHER_CONNECTS),
            disable_fallbacks: true,
            seed: fastrand::u64(..),
            ..Ask::default()
        };
        let (way, plan) = if is_upgrade_req(head) && realtime::is_path(head.uri.path()) {
            let realtime = Realtime::of(&head.uri)?;
            let plan = Plan::new(catalog, settings, ask(&realtime.model))
                .map_err(|unknown| GatewayError::UnknownModel { model: unknown.name })?;
            (Way::Realtime(realtime), plan)
        } else {
            let path = head.uri.path();
            let Some((mount, rest)) = catalog.mounted(path) else { return Ok(None) };
            // A method that the gateway's own path does not take is refused there.
            if route::is_own(path) {
                return Ok(None);
            }
            if mount.methods.as_ref().is_some_and(|served| !served.contains(&head.method)) {
                return Ok(None);
            }
            let plan = Plan::of(mount.resolved.clone(), settings, ask(&mount.path));
            let query = head.uri.query().map(Box::from);
            (Way::Mount { mount: Arc::clone(mount), rest: rest.into(), query }, plan)
        };
        Ok(Some(Self {
            way,
            plan,
            attempt: None,
            authority: None,
            began: Instant::now(),
            meter: None,
            named: NamedModel::default(),
            model: None,
            received_bytes: 0,
            refusal: None,
            last: None,
            succeeded: false,
        }))
    }

    /// Keeps the reason for whoever writes the error, and stops the pipeline.
    fn stop(&mut self, refusal: GatewayError) -> Box<Error> {
        let error = Error::explain(ErrorType::InternalError, refusal.code().into_owned());
        self.refusal = Some(refusal);
        error
    }

    /// Whether a key of the gateway must come with the request.
    pub(super) fn needs_key(&self) -> bool {
        match &self.way {
            Way::Mount { mount, .. } => mount.needs_key,
            Way::Realtime(_) => true,
        }
    }

    /// The family of paths that it belongs to.
    pub(super) const fn route(&self) -> telemetry::Route {
        match self.way {
            Way::Mount { .. } => telemetry::Route::PassThrough,
            Way::Realtime(_) => telemetry::Route::Realtime,
        }
    }

    /// The name that the client asked for.
    pub(super) fn asked(&self) -> &str {
        match &self.way {
            Way::Mount { mount, .. } => &mount.path,
            Way::Realtime(realtime) => &realtime.model,
        }
    }

    /// Whether the body has to be known before anything is sent: a deployment that may serve wants a
    /// signature over it.
    pub(super) fn is_signed(&self) -> bool {
        let Way::Mount { mount, .. } = &self.way else { return false };
        let mut targets = mount.resolved.deployments.iter().map(|it| &it.target);
        targets.any(|target| target.authorisation.as_ref().is_some_and(Authorisation::is_signature))
    }

    /// Chooses a deployment.
    ///
    /// # Errors
    /// Nobody can take the request.
    async fn choose(
        &mut self,
        gateway: &Gateway,
        ctx: &RequestCtx,
    ) -> Result<Arc<Deployment>, GatewayError> {
        let snapshot = &ctx.snapshot;
        let deadline = ctx.started + snapshot.traffic.total_timeout;
        let (catalog, settings) = (&snapshot.catalog, &snapshot.routing);
        let state = &*gateway.routing;
        let attempt = match self.plan.next(catalog, settings, state, Instant::now(), Some(deadline))
        {
            Next::Attempt(attempt) => attempt,
            Next::Stop(stop) => return Err(stopped(stop, self.last.take(), self.asked())),
        };
        if !attempt.wait.is_zero() {
            tokio::time::sleep(attempt.wait).await;
        }
        self.began = Instant::now();
        let deployment = Arc::clone(&attempt.deployment);
        self.attempt = Some(attempt);
        Ok(deployment)
    }

    /// Chooses a deployment and an address of it.
    ///
    /// # Errors
    /// Nobody can take the request.
    pub(super) async fn next(
        &mut self,
        gateway: &Gateway,
        ctx: &mut RequestCtx,
    ) -> Result<HttpPeer, GatewayError> {
        let snapshot = Arc::clone(&ctx.snapshot);
        loop {
            let deployment = self.choose(gateway, ctx).await?;
            let timeout = snapshot.traffic.connect_timeout;
            match gateway.upstreams.peer(&deployment, timeout).await {
                Ok((mut peer, authority)) => {
                    let streams = matches!(self.way, Way::Realtime(_));
                    let silence = snapshot.traffic.passed_idle_timeout;
                    // A conversation may be silent for as long as its two sides like.
                    peer.options.read_timeout = (!streams).then_some(silence);
                    peer.options.write_timeout = Some(silence);
                    self.authority = Some(authority);
                    return Ok(peer);
                }
                Err(failure) => self.failed(gateway, ctx, failure),
            }
        }
    }

    /// Records that the deployment could not be reached, or broke off.
    pub(super) fn failed(&mut self, gateway: &Gateway, ctx: &mut RequestCtx, failure: Failure) {
        let Some(attempt) = self.attempt.take() else { return };
        let settings = &ctx.snapshot.routing;
        let outcome = Outcome::Failed(failure.class);
        ctx.relayed.attempts.push(noted(&attempt, outcome, failure.status, self.began));
        self.plan.failed(attempt, &failure, settings, &gateway.routing, Instant::now());
        self.last = Some(failure);
    }

    /// Writes the head of the request for the provider in place of the client's.
    ///
    /// # Errors
    /// The deployment has no such API.
    pub(super) fn write_head(&self, head: &mut RequestHeader) -> Result<(), GatewayError> {
        let Some(attempt) = &self.attempt else { return Err(GatewayError::Internal) };
        let deployment = &*attempt.deployment;
        let target = match &self.way {
            Way::Mount { mount, rest, query } => {
                heads::mount_path(mount, deployment, rest, query.as_deref())
            }
            Way::Realtime(realtime) => realtime.path(deployment, &attempt.model)?,
        };
        let forwards = match &self.way {
            Way::Mount { mount, .. } => mount.forwards_headers,
            Way::Realtime(_) => true,
        };
        let uri: Uri = target.parse().map_err(|_| heads::unsendable())?;
        head.set_uri(uri);
        heads::request(head, deployment, self.authority.as_ref(), forwards);
        Ok(())
    }

    /// The headers that only the sending of a request tells.
    ///
    /// # Errors
    /// There is no credential.
    async fn authorise(
        &self,
        gateway: &Gateway,
        head: &mut RequestHeader,
    ) -> Result<(), GatewayError> {
        let Some(attempt) = &self.attempt else { return Err(GatewayError::Internal) };
        let target = &attempt.deployment.target;
        let Some(how) = &target.authorisation else { return Ok(()) };
        // What is signed does not come here: see `is_signed`.
        let request =
            Unsigned { method: &head.method, authority: "", path: "", content_type: "", body: &[] };
        let authorised = gateway.identities.authorise(how, &request).await;
        for (name, value) in authorised.map_err(|it| GatewayError::Upstream(Box::new(it)))? {
            heads::set(head, name, value);
        }
        Ok(())
    }

    /// Counts what the client sends.
    ///
    /// # Errors
    /// It is more than the gateway takes.
    pub(super) fn received(
        &mut self,
        body: Option<&Bytes>,
        limit_bytes: usize,
    ) -> Result<(), GatewayError> {
        if matches!(self.way, Way::Realtime(_)) {
            return Ok(());
        }
        self.received_bytes += body.map_or(0, Bytes::len);
        if self.received_bytes > limit_bytes {
            return Err(GatewayError::BodyTooLarge { limit_bytes });
        }
        if let Some(body) = body {
            self.named.push(body);
        }
        Ok(())
    }

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
        self.succeeded = head.status.is_success();
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

    /// Notes what it came to: the model that answered, if it was named, and what it used.
    pub(super) fn finish(&mut self, gateway: &Gateway, ctx: &mut RequestCtx) {
        let metered = self.meter.take().map(Meter::finish).unwrap_or_default();
        let Metered { usage, model, failure } = metered;
        let Some(served) = &mut ctx.relayed.served_by else { return };
        if let Some(model) = model {
            served.model = model.into();
        }
        match usage {
            Some(usage) => {
                if let Some(attempt) = &mut self.attempt {
                    self.plan.used(attempt, &usage, &gateway.routing, Instant::now());
                }
                let price = self.price(served, &ctx.snapshot.prices);
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
    fn price(&self, served: &Served, book: &PriceBook) -> Option<Arc<Price>> {
        let deployment = &*served.deployment;
        let own = || deployment.price(&served.model, book);
        let is_own = |model: &Arc<str>| *deployment.model == **model;
        if self.model.as_ref().is_some_and(is_own)
            && let Some(price) = own()
        {
            return Some(price);
        }
        let listed = book.get(&deployment.provider, &served.model);
        let listed = listed.and_then(|listed| listed.price.clone());
        listed.or_else(|| if self.model.is_none() { own() } else { None })
    }

    /// Records that a stream said itself that it failed, after its head was taken for a success.
    fn broke(&mut self, gateway: &Gateway, ctx: &mut RequestCtx, failure: Failure) {
        let Some(attempt) = self.attempt.take() else { return };
        let (settings, state) = (&ctx.snapshot.routing, &gateway.routing);
        let rest = self.plan.failed(attempt, &failure, settings, state, Instant::now());
        if let Some(noted) = ctx.relayed.attempts.last_mut() {
            noted.outcome = Outcome::Failed(failure.class);
            noted.cooled_down = rest.is_some();
        }
        ctx.error = Some(GatewayError::Upstream(Box::new(failure)));
    }
}

fn noted(
    attempt: &Attempt,
    outcome: Outcome,
    status: Option<u16>,
    began: Instant,
) -> telemetry::Attempt {
    telemetry::Attempt {
        deployment: Arc::clone(&attempt.deployment),
        group: Arc::clone(&attempt.group),
        outcome,
        status,
        duration: began.elapsed(),
        cooled_down: false,
        remaining_requests: None,
        remaining_tokens: None,
    }
}

/// The pipeline's question for a peer.
///
/// # Errors
/// Nobody can take the request; [`refusal`] has the reason.
pub(super) async fn peer(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<Box<HttpPeer>> {
    let Some(mut passing) = ctx.passing.take() else {
        // Unreachable by design: `proxy_upstream_filter` lets no other request through.
        return Error::e_explain(ErrorType::InternalError, "the request is not to be passed");
    };
    let next = passing.next(gateway, ctx).await;
    let peer = next.map(Box::new).map_err(|refusal| passing.stop(refusal));
    ctx.passing = Some(passing);
    peer
}

/// The pipeline's question for the head that goes to the provider.
///
/// # Errors
/// As [`peer`].
pub(super) async fn write_head(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    head: &mut RequestHeader,
) -> pingora_core::Result<()> {
    let Some(passing) = &mut ctx.passing else { return Ok(()) };
    let written = match passing.write_head(head) {
        Ok(()) => passing.authorise(gateway, head).await,
        Err(refusal) => Err(refusal),
    };
    written.map_err(|refusal| passing.stop(refusal))
}

/// A piece of the request's body goes by.
///
/// # Errors
/// As [`peer`].
pub(super) fn received(ctx: &mut RequestCtx, body: Option<&Bytes>) -> pingora_core::Result<()> {
    let limit = ctx.snapshot.traffic.max_request_bytes;
    let Some(passing) = &mut ctx.passing else { return Ok(()) };
    passing.received(body, limit).map_err(|refusal| passing.stop(refusal))
}

/// A deployment cannot be connected to: another one may be.
pub(super) fn unconnected(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    mut error: Box<Error>,
) -> Box<Error> {
    if let Some(mut passing) = ctx.passing.take() {
        passing.failed(gateway, ctx, upstream::connect_failure(&error));
        ctx.passing = Some(passing);
        // `Passing::next` says when it is enough.
        error.set_retry(true);
    }
    error
}

/// The head of an answer goes by.
pub(super) fn answered(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    request: &RequestHeader,
    head: &mut ResponseHeader,
) {
    let Some(mut passing) = ctx.passing.take() else { return };
    passing.answered(gateway, ctx, request.uri.path(), head);
    let deployment = ctx.relayed.served_by.as_ref().map(|served| &*served.deployment.id);
    heads::response(head, &ctx.request_id, deployment);
    ctx.relayed.upstream = passing.began.elapsed();
    ctx.passing = Some(passing);
}

/// A piece of the answer goes by.
pub(super) fn sent(ctx: &mut RequestCtx, body: Option<&Bytes>) {
    let Some(passing) = &mut ctx.passing else { return };
    passing.sent(body);
    if let Some(body) = body {
        ctx.relayed.bytes_sent += body.len() as u64;
        if ctx.relayed.first_token.is_none() {
            ctx.relayed.first_token = Some(ctx.started.elapsed());
        }
    }
}

/// Why the pipeline ended with an error, if that was ours to say or the provider's doing.
pub(super) fn refusal(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    error: &Error,
) -> Option<GatewayError> {
    let mut passing = ctx.passing.take()?;
    let mut refusal = passing.refusal.take();
    if refusal.is_none() && *error.esource() == ErrorSource::Upstream {
        let failure = exchange::broken(error);
        passing.failed(gateway, ctx, failure.clone());
        refusal = Some(GatewayError::Upstream(Box::new(failure)));
    }
    ctx.passing = Some(passing);
    refusal
}

/// The request is over.
pub(super) fn finish(gateway: &Gateway, session: &Session, ctx: &mut RequestCtx) {
    let Some(mut passing) = ctx.passing.take() else { return };
    passing.finish(gateway, ctx);
    if let Some(head) = session.response_written() {
        ctx.status = Some(head.status.as_u16());
    }
    ctx.passing = Some(passing);
}
