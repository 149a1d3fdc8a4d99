//! How long the conversations are that clients go on from without sending them again
//! (`previous_response_id`): tokens by the id of the response, as this process has seen it.
//!
//! Bounded in number and age, and lost with the process: what is not known here is not in an estimate.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ctx::Call;
use crate::dialect::ClientDialect;
use crate::recent::Recent;
use crate::usage::Usage;
use crate::wire::json::Object;

/// Responses that are known at one time.
const RESPONSES_MAX: usize = 50_000;
/// Nobody goes on from what is older, but seldom.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Longest id that is looked at.
const ID_BYTES_MAX: usize = 512;

/// What is known of responses.
#[derive(Clone, Debug)]
pub struct Contexts(Arc<Recent<Box<str>, u64>>);

impl Default for Contexts {
    fn default() -> Self {
        Self(Arc::new(Recent::new(RESPONSES_MAX, AGE_MAX)))
    }
}

impl Contexts {
    /// Takes down what a response used: whoever goes on from it sends all of that again.
    pub(super) fn learn(&self, id: Box<str>, usage: &Usage) {
        self.0.insert(id, usage.total_tokens());
    }

    /// Tokens that the provider puts before those of the call.
    pub(super) fn before(&self, call: &Call) -> u64 {
        let id = call.native.as_ref().and_then(|body| body.str("previous_response_id"));
        id.and_then(|id| self.0.get(&*id)).unwrap_or(0)
    }
}

/// The id of a whole response that its client may go on from.
pub(super) fn of_reply(call: &Call, body: &Bytes) -> Option<Box<str>> {
    if call.dialect != ClientDialect::Responses || call.resource.is_some() {
        return None;
    }
    id(&Object::parse(body.clone()).ok()?)
}

/// The same of a stream: its first event tells it.
pub(super) fn of_events(call: &Call, events: &[Bytes]) -> Option<Box<str>> {
    if call.dialect != ClientDialect::Responses || call.resource.is_some() {
        return None;
    }
    let text = std::str::from_utf8(events.first()?).ok()?;
    let data = text.lines().find_map(|line| line.strip_prefix("data:"))?;
    let event = Object::parse(Bytes::copy_from_slice(data.trim().as_bytes())).ok()?;
    id(&event.object("response")?)
}

fn id(response: &Object) -> Option<Box<str>> {
    let id = response.str("id")?;
    (!id.is_empty() && id.len() <= ID_BYTES_MAX).then(|| (&*id).into())
}
