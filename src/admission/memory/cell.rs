//! The counters of one scope: its window, its places and its account. Decides about one claim; the
//! decision about all of them is made by who holds the locks.

use std::time::Duration;

use parking_lot::Mutex;

use super::entry::Entry;
use crate::admission::claim::{Claim, Key, Moment, Need, Why};
use crate::admission::counters::Terms;
use crate::limits::{Dimension, Limit, Log, Over, Used};
use crate::money::Usd;

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) key: Key,
    pub(super) state: Mutex<State>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// A kilobyte, so only where something is limited by it.
    pub(super) log: Option<Box<Log>>,
    pub(super) parallel: u64,
    pub(super) account: Option<Entry>,
    pub(super) touched_ms: u64,
}

/// Why a cell lets nothing out.
pub(super) enum Look {
    Unknown,
    Over(Why),
}

impl State {
    /// Whether there is room for a request, and how much money to hold for it.
    pub(super) fn look(
        &mut self,
        claim: &Claim,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Usd, Look> {
        let amount = match claim.pays() {
            true => self.afford(claim, need, terms, now)?,
            false => Usd::ZERO,
        };
        let limit = share_of(&claim.limit, terms.share);
        if !limit.is_none() {
            let log = self.log.get_or_insert_default();
            if let Some(over) = log.over(&limit, need.tokens, now.ms) {
                // What this process alone has no room for, all of them may have.
                let never = claim.limit.never_has_room(need.tokens);
                return Err(Look::Over(rate(&limit, over, log.used(now.ms), never)));
            }
        }
        let parallel = claim.parallel.map(|limit| portion(limit, terms.share));
        match parallel.filter(|limit| self.parallel >= *limit) {
            Some(limit) => Err(Look::Over(Why::Parallel { limit })),
            None => Ok(amount),
        }
    }

    fn afford(
        &mut self,
        claim: &Claim,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Usd, Look> {
        let known = self.account.as_mut().filter(|entry| entry.is_known());
        let entry = known.ok_or(Look::Unknown)?;
        let Some(mut budget) = claim.budget() else {
            // A soft budget bounds nothing, but it starts anew as well.
            entry.account.spent(claim.period, now.at, terms.zone);
            return Ok(Usd::ZERO);
        };
        if terms.share > 1 {
            budget.max = entry.ration(&budget, terms, now);
        }
        let most = if terms.reserves { need.most } else { Usd::ZERO };
        let room = entry.account.room(&budget, most, now.at, terms.zone);
        room.map_err(|exceeded| {
            let (max, resets) = (claim.max_budget.unwrap_or(exceeded.max), exceeded.resets);
            Look::Over(Why::Budget { max, spent: exceeded.spent, held: exceeded.held, resets })
        })
    }
}

/// A part of a bound; never nothing, unless the whole is.
fn portion(limit: u64, share: u32) -> u64 {
    (limit / u64::from(share.max(1))).max(limit.min(1))
}

pub(super) fn share_of(limit: &Limit, share: u32) -> Limit {
    let part = |limit: Option<u64>| limit.map(|limit| portion(limit, share));
    Limit { requests: part(limit.requests), tokens: part(limit.tokens) }
}

fn rate(limit: &Limit, over: Over, used: Used, never: bool) -> Why {
    let (bound, used) = match over.dimension {
        Dimension::Requests => (limit.requests, used.requests),
        Dimension::Tokens => (limit.tokens, used.tokens),
    };
    let bound = bound.unwrap_or_default();
    Why::Rate {
        dimension: over.dimension,
        limit: bound,
        remaining: bound.saturating_sub(used),
        wait: (!never).then(|| Duration::from_millis(over.wait_ms)),
    }
}
