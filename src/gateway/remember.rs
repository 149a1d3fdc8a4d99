//! Puts what clients forget of a reply back into their next request: see `recall`.
//!
//! Nothing is done for deployments that want nothing back, nor for requests without tools, nor where
//! a client speaks the deployment's own dialect and so keeps all of it.

use std::borrow::Cow;

use super::Gateway;
use super::ctx::Call;
use crate::catalog::Deployment;
use crate::dialect::Endpoint;
use crate::provider::{self, Reading};
use crate::recall::{Audience, Gatherer};
use crate::snapshot::Traffic;
use crate::wire::json::Object;

/// Whether anything is to be looked after in this call on this deployment.
fn is_asked(traffic: &Traffic, call: &Call, deployment: &Deployment) -> bool {
    traffic.tool_call_memory.is_some()
        && call.endpoint == Endpoint::Chat
        && (call.body.contains("tools") || call.body.contains("functions"))
        && !provider::is_spoken(call.dialect, deployment, call.endpoint)
}

/// What is gathered from an answer, and who may be given it.
#[derive(Debug)]
pub(super) struct Gathering {
    gatherer: Gatherer,
    is_sealed: bool,
}

impl Gathering {
    /// What is to be gathered from an answer that is read so.
    pub(super) fn of(
        traffic: &Traffic,
        call: &Call,
        deployment: &Deployment,
        reading: Reading,
    ) -> Option<Self> {
        let sealed = provider::sealed(reading);
        let is_sealed = !sealed.is_empty();
        let fields = if is_sealed { sealed } else { provider::replayed(deployment) };
        let is_wanted = !fields.is_empty() && is_asked(traffic, call, deployment);
        is_wanted.then(|| Self { gatherer: Gatherer::new(fields), is_sealed })
    }

    /// Takes a whole reply.
    pub(super) fn reply(&mut self, body: &[u8]) {
        self.gatherer.reply(body);
    }

    /// Takes whole events of a stream.
    pub(super) fn events(&mut self, events: &[u8]) {
        self.gatherer.events(events);
    }
}

fn audience<'a>(call: &'a Call, deployment: &'a Deployment, is_sealed: bool) -> Audience<'a> {
    let maker = if is_sealed { Some(&*deployment.id) } else { None };
    Audience { caller: call.tenant(), maker }
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
        let fields = provider::replayed(deployment);
        if fields.is_empty() || !is_asked(traffic, call, deployment) {
            return Cow::Borrowed(body);
        }
        let restored = self.memory.restore(audience(call, deployment, false), fields, body);
        restored.map_or(Cow::Borrowed(body), Cow::Owned)
    }

    /// The body for a deployment whose request was written to be read so, if its history lacks what
    /// only this deployment can read: then it is to be written again.
    pub(super) fn unsealed(
        &self,
        traffic: &Traffic,
        call: &Call,
        deployment: &Deployment,
        (reading, body): (Reading, &Object),
    ) -> Option<Object> {
        let fields = provider::sealed(reading);
        if fields.is_empty() || !is_asked(traffic, call, deployment) {
            return None;
        }
        self.memory.restore(audience(call, deployment, true), fields, body)
    }

    /// Keeps what came with a reply that the client has.
    pub(super) fn remember(
        &self,
        traffic: &Traffic,
        call: &Call,
        deployment: &Deployment,
        gathering: Option<Gathering>,
    ) {
        let Some(Gathering { gatherer, is_sealed }) = gathering else { return };
        if let (Some(kept), Some(age)) = (gatherer.kept(), traffic.tool_call_memory) {
            self.memory.keep(audience(call, deployment, is_sealed), kept, age);
        }
    }
}
