//! Which deployment takes a request that is passed, and its address. One that cannot be connected to
//! is passed over.

use std::sync::Arc;
use std::time::Instant;

use pingora_core::upstreams::peer::HttpPeer;

use super::{Passing, Way};
use crate::catalog::Deployment;
use crate::failure::Failure;
use crate::gateway::Gateway;
use crate::gateway::ctx::{RequestCtx, noted};
use crate::gateway::error::GatewayError;
use crate::gateway::relay::stopped;
use crate::routing::Next;
use crate::telemetry::Outcome;

impl Passing {
    /// Chooses a deployment.
    ///
    /// # Errors
    /// Nobody can take the request.
    pub(super) async fn choose(
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
        ctx.trace_attempt(&attempt.deployment, self.began);
        let settings = &ctx.snapshot.routing;
        let outcome = Outcome::Failed(failure.class);
        ctx.relayed.attempts.push(noted(&attempt, outcome, failure.status, self.began));
        self.plan.failed(attempt, &failure, settings, &gateway.routing, Instant::now());
        self.last = Some(failure);
    }
}
