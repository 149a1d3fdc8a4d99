//! What a request holds in Redis. Told to be over, or dropped, it goes into the queue of settlements:
//! nobody waits.

use std::sync::{Arc, Weak};

use jiff::Timestamp;

use super::Redis;
use super::jobs::Job;
use crate::admission::{Claims, Held, Moment, Room, Spent};
use crate::money::Usd;
use crate::spend::ScopeKind;

/// What a request holds.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) redis: Weak<Redis>,
    pub(super) ticket: Arc<str>,
    pub(super) keys: Arc<[String]>,
    pub(super) claims: Claims,
    /// When the budgets of the claims start anew, in their order.
    pub(super) resets: Vec<Option<Timestamp>>,
    pub(super) rooms: Vec<Room>,
    pub(super) spent: Vec<Usd>,
    /// There may be something to give back.
    pub(super) ends: bool,
}

impl Lease {
    /// Nothing was taken.
    pub(super) fn abandon(&mut self) {
        self.ends = false;
        if let Some(redis) = self.redis.upgrade() {
            redis.link.closed(&self.ticket);
        }
    }

    fn end(&mut self, spent: Spent) {
        if !std::mem::take(&mut self.ends) {
            return;
        }
        let Some(redis) = self.redis.upgrade() else { return };
        let late = redis.link.closed(&self.ticket);
        let mut claims = std::mem::take(&mut self.claims);
        if late.as_ref().is_some_and(|late| !late.sent) {
            if !spent.counted && spent.cost == Usd::ZERO {
                // It left no trace.
                return;
            }
            // This process has looked at its levels, and there may be many of these.
            claims = Claims::default();
        }
        redis.jobs.push(Job::Settle {
            ticket: Arc::clone(&self.ticket),
            keys: Arc::clone(&self.keys),
            claims,
            spent,
            resets: std::mem::take(&mut self.resets),
            again: false,
            late,
        });
    }
}

impl Held for Lease {
    fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    fn spent(&self) -> &[Usd] {
        &self.spent
    }

    fn key_spent(&self) -> Option<Usd> {
        let mut claims = self.claims.as_slice().iter();
        let at = claims.position(|claim| claim.scope.kind == ScopeKind::Key && claim.pays())?;
        self.spent.get(at).copied()
    }

    fn settle(mut self: Box<Self>, spent: Spent, _now: Moment) {
        self.end(spent);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.end(Spent::default());
    }
}
