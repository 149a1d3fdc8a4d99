//! Puts what clients forget of a reply back into their next request: see `recall`.
//!
//! Nothing is done for deployments that want nothing back, nor for requests without tools, nor where
//! a client speaks the deployment's own dialect and so keeps all of it.

use std::borrow::Cow;

use super::Gateway;
use super::ctx::Call;
use crate::catalog::Deployment;
use crate::dialect::{ClientDialect, Dialect, Endpoint};
use crate::provider;
use crate::recall::{Fields, Gatherer};
use crate::snapshot::Traffic;
use crate::wire::json::Object;

/// The fields to look after in this call on this deployment.
fn fields(traffic: &Traffic, call: &Call, deployment: &Deployment) -> Option<Fields> {
    let fields = provider::replayed(deployment);
    let is_asked = !fields.is_empty()
        && traffic.tool_call_memory.is_some()
        && call.endpoint == Endpoint::Chat
        && (call.body.contains("tools") || call.body.contains("functions"));
    let is_native = matches!(
        (call.dialect, deployment.dialect),
        (ClientDialect::Anthropic, Dialect::Anthropic) | (ClientDialect::Gemini, Dialect::Gemini)
    );
    (is_asked && !is_native).then_some(fields)
}

/// What is to be gathered from the answer.
pub(super) fn gatherer(
    traffic: &Traffic,
    call: &Call,
    deployment: &Deployment,
) -> Option<Gatherer> {
    fields(traffic, call, deployment).map(Gatherer::new)
}

impl Gateway {
    /// The body for a deployment, with what its history lacks.
    pub(super) fn remembered<'b>(
        &self,
        traffic: &Traffic,
        call: &Call,
        deployment: &Deployment,
        body: &'b Object,
    ) -> Cow<'b, Object> {
        let restored = fields(traffic, call, deployment)
            .and_then(|fields| self.memory.restore(call.tenant, fields, body));
        restored.map_or(Cow::Borrowed(body), Cow::Owned)
    }

    /// Keeps what came with a reply that the client has.
    pub(super) fn remember(&self, traffic: &Traffic, call: &Call, gatherer: Option<Gatherer>) {
        let kept = gatherer.and_then(Gatherer::kept);
        if let (Some(kept), Some(age)) = (kept, traffic.tool_call_memory) {
            self.memory.keep(call.tenant, kept, age);
        }
    }
}
