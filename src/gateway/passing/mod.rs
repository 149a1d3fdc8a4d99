//! Requests that are handed to a provider as they are, through Pingora's own pipeline: a provider's
//! native API below its mount (`/openai/...`), and realtime WebSockets.
//!
//! Bodies are streamed both ways and neither held nor changed, but where a provider wants them signed
//! (`signed.rs`). What this adds to the pipeline (`phases.rs`) is which deployment takes the request
//! (`choice.rs`: by the same choice as everywhere, with the same cooldowns), its credentials in place
//! of the client's (`sending.rs`, `heads.rs`), and the metering of what comes back (`outcome.rs`,
//! `meter.rs`). A deployment that cannot be connected to is passed over; an answer is passed on,
//! whatever it is. This file says which requests those are.

mod choice;
mod frames;
mod heads;
mod meter;
mod named;
mod outcome;
mod paths;
mod phases;
mod realtime;
mod sending;
pub(super) mod signed;
mod watched;

use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use pingora_core::{Error, ErrorType};
use pingora_http::RequestHeader;

use self::frames::Frames;
use self::meter::Meter;
use self::named::NamedModel;
pub(super) use self::phases::{
    answered, broke_off, finish, peer, received, refusal, sent, unconnected, write_head,
};
use self::realtime::Realtime;
pub(super) use self::realtime::{is_path as is_realtime, is_plain};
use self::watched::Watched;
use super::access;
use super::ctx::RequestCtx;
use super::error::GatewayError;
use super::route;
use crate::catalog::{Authorisation, Mount};
use crate::failure::Failure;
use crate::keys::Caller;
use crate::routing::{Ask, Attempt, Plan};
use crate::telemetry;

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
    /// Who may not call every model of the mount.
    watched: Option<Watched>,
    /// The model that the request is for, if its path or its body tells.
    model: Option<Arc<str>>,
    /// Bytes of the request's body so far.
    received_bytes: usize,
    /// Why the pipeline was stopped, for whoever writes the error.
    refusal: Option<GatewayError>,
    last: Option<Failure>,
    /// How an answer broke off after its head was passed on.
    cut: Option<Failure>,
    /// What a client says over a WebSocket.
    said: Frames,
    /// The provider said that all is well.
    succeeded: bool,
    /// What it came to is taken down.
    is_finished: bool,
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
        let (way, plan) = if realtime::is_upgrade(head) && realtime::is_path(head.uri.path()) {
            let mut realtime = Realtime::of(&head.uri)?;
            if let Some(holder) = ctx.caller.as_ref().and_then(Caller::principal)
                && let Some(meant) = access::meant(catalog, holder, &realtime.model)?
            {
                realtime.model = meant;
            }
            let unknown = || GatewayError::UnknownModel { model: realtime.model.to_string() };
            let resolved = catalog.asked(&realtime.model).ok_or_else(unknown)?;
            let resolved = realtime::able(resolved)?;
            let plan = Plan::of(resolved, settings, ask(&realtime.model));
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
            watched: None,
            model: None,
            received_bytes: 0,
            refusal: None,
            last: None,
            cut: None,
            said: Frames::default(),
            succeeded: false,
            is_finished: false,
        }))
    }

    /// Keeps the reason for whoever writes the error, and stops the pipeline.
    fn stop(&mut self, refusal: GatewayError) -> Box<Error> {
        let error = Error::explain(ErrorType::InternalError, refusal.code().into_owned());
        self.refusal = Some(refusal);
        error
    }

    /// Refuses a path that could lead out of the mount's target.
    ///
    /// # Errors
    /// It could.
    pub(super) fn check(&self) -> Result<(), GatewayError> {
        match &self.way {
            Way::Mount { rest, .. } => paths::check(rest),
            Way::Realtime(_) => Ok(()),
        }
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

    /// The model group, where it is one that clients know.
    pub(super) fn group(&self) -> Option<Arc<str>> {
        match &self.way {
            Way::Mount { .. } => None,
            Way::Realtime(realtime) => Some(realtime.model.as_ref().into()),
        }
    }

    /// Whether the body has to be known before anything is sent: a deployment that may serve wants a
    /// signature over it.
    pub(super) fn is_signed(&self) -> bool {
        let Way::Mount { mount, .. } = &self.way else { return false };
        let mut targets = mount.resolved.deployments.iter().map(|it| &it.target);
        targets.any(|target| target.authorisation.as_ref().is_some_and(Authorisation::is_signature))
    }
}
