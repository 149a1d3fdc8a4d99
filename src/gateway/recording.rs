//! What is kept of a reply while it goes to its client.
//!
//! Only a reply that is all there is kept: of the group that was asked, in one piece or as a stream that
//! came to its own end in one attempt, and not kept back by anybody's policy. It is kept before its last
//! bytes go out, so that whoever has it may ask again at once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;

use super::Gateway;
use super::cached::milliseconds;
use super::ctx::RequestCtx;
use super::meaning::{At, Marking};
use crate::cache::{ENTRY_BYTES_MAX, Entry, Kept, Landing, Lead, Maker, Place};
use crate::usage::Usage;
use crate::wire::replay::{self, Form, Recorded};

/// A reply that is being written down.
pub(super) struct Recording {
    place: Place,
    name: Arc<str>,
    form: Form,
    ttl: Duration,
    /// For those who wait for the same.
    lead: Option<Lead>,
    /// How it is found by those who ask something that means the same.
    marking: Option<Marking>,
    sent: BytesMut,
    /// It is not to be kept.
    is_spoilt: bool,
}

impl Recording {
    pub(super) fn new(
        place: Place,
        name: Arc<str>,
        form: Form,
        ttl: Duration,
        lead: Option<Lead>,
    ) -> Self {
        Self {
            place,
            name,
            form,
            ttl,
            lead,
            marking: None,
            sent: BytesMut::new(),
            is_spoilt: false,
        }
    }

    pub(super) fn found_by(self, marking: Option<Marking>) -> Self {
        Self { marking, ..self }
    }

    fn pass(&mut self, out: &[Bytes]) {
        let more: usize = out.iter().map(Bytes::len).sum();
        self.is_spoilt |= self.sent.len() + more > ENTRY_BYTES_MAX;
        if self.is_spoilt {
            self.sent = BytesMut::new();
            return;
        }
        out.iter().for_each(|events| self.sent.extend_from_slice(events));
    }

    fn events(&mut self, usage: &Usage) -> Option<Kept> {
        let sent = std::mem::take(&mut self.sent).freeze();
        let recorded = replay::record(self.form, sent, usage)?;
        let Recorded { events, usage, end } = recorded;
        Some(Kept::Events { events, usage, end })
    }
}

impl RequestCtx {
    /// Writes down events that go to the client. `begins`: the first ones of an attempt; `ends`: the
    /// last ones of the reply.
    pub(super) fn record(&mut self, gateway: &Gateway, out: &[Bytes], begins: bool, ends: bool) {
        let Some(recording) = &mut self.recording else { return };
        // A stream that another attempt goes on with is patched where it broke.
        recording.is_spoilt |= begins && self.relayed.streamed;
        recording.pass(out);
        if ends && let Some(mut recording) = self.recording.take() {
            let usage = self.relayed.usage.unwrap_or_default();
            let kept = recording.events(&usage).filter(|_| !recording.is_spoilt);
            self.keep(gateway, *recording, kept);
        }
    }

    /// Writes down a whole reply.
    pub(super) fn record_whole(&mut self, gateway: &Gateway, body: &Bytes) {
        let Some(recording) = self.recording.take() else { return };
        let is_fit = replay::is_fit(recording.form, body);
        // A copy: what is kept for an hour must not hold the buffer it was read into.
        let kept = is_fit.then(|| Kept::Whole(Bytes::copy_from_slice(body)));
        self.keep(gateway, *recording, kept);
    }

    fn keep(&self, gateway: &Gateway, recording: Recording, kept: Option<Kept>) {
        let Recording { place, name, ttl, lead, marking, .. } = recording;
        // What stood in for another group is not what was asked for.
        let kept = kept.filter(|_| self.relayed.fallbacks == 0);
        let Some(kept) = kept else {
            if let Some(lead) = lead {
                lead.land(Landing::Unkept);
            }
            return;
        };
        let made_ms = milliseconds(SystemTime::now());
        let lives_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        let entry = Entry {
            kept,
            maker: self.relayed.served_by.as_ref().map(|by| Maker {
                deployment: Arc::clone(&by.deployment.id),
                group: Arc::clone(&by.group),
                model: Arc::clone(&by.model),
            }),
            usage: self.relayed.usage.unwrap_or_default(),
            cost: self.relayed.cost.unwrap_or_default(),
            made_ms,
            expires_ms: made_ms.saturating_add(lives_ms),
        };
        let replies = Arc::clone(&gateway.replies);
        let (made_ms, expires_ms) = (entry.made_ms, entry.expires_ms);
        let at = At { place, name: Arc::clone(&name), made_ms, expires_ms };
        let land = |is_kept: bool| {
            if let Some(lead) = lead {
                lead.land(if is_kept { Landing::Kept } else { Landing::Unkept });
            }
        };
        match place {
            Place::Memory => {
                let is_kept = replies.keep_here(&name, entry);
                if let Some(marking) = marking.filter(|_| is_kept) {
                    // In memory nothing is waited for: whoever has the reply finds it by its meaning.
                    marking.set(gateway, at).now_or_never();
                }
                land(is_kept);
            }
            // The client does not wait for it.
            Place::Redis => {
                let marking = marking.map(|marking| (marking, gateway.clone()));
                tokio::spawn(async move {
                    let is_kept = replies.keep_elsewhere(&name, &entry).await;
                    land(is_kept);
                    if let Some((marking, gateway)) = marking.filter(|_| is_kept) {
                        marking.set(&gateway, at).await;
                    }
                });
            }
        }
    }
}
