//! What a request holds of the counters of this process.

use std::sync::Arc;

use super::cell::Cell;
use crate::admission::claim::{Claim, Moment, Room, Spent};
use crate::admission::counters::{Held, Portion, Watch};
use crate::limits::{Log, Taken, Used};
use crate::money::Usd;

/// What a request holds.
#[derive(Debug)]
pub struct Hold {
    pub(super) places: Vec<Place>,
    pub(super) rooms: Vec<Room>,
    pub(super) key_spent: Option<Usd>,
    pub(super) watch: Arc<dyn Watch>,
}

#[derive(Debug)]
pub(super) struct Place {
    pub(super) cell: Arc<Cell>,
    pub(super) taken: Option<Taken>,
    pub(super) parallel: bool,
    pub(super) amount: Usd,
    /// What alerts need to know of it; only where there is a budget.
    pub(super) claim: Option<Box<Claim>>,
}

impl Hold {
    fn end(&mut self, spent: Option<(Spent, Moment)>) {
        for place in self.places.drain(..) {
            let mut state = place.cell.state.lock();
            if place.parallel {
                state.parallel -= 1;
            }
            if let (Some(log), Some(taken)) = (&mut state.log, place.taken) {
                give_back(log, taken, spent);
            }
            let Some(claim) = place.claim else { continue };
            let Some(entry) = state.account.as_mut() else { continue };
            let cost = spent.map_or(Usd::ZERO, |(spent, _)| spent.cost);
            entry.account.settle(place.amount, cost);
            let news = if cost == Usd::ZERO { None } else { entry.news(&claim) };
            drop(state);
            if let Some(news) = news {
                news.crossed(&claim).for_each(|crossed| self.watch.crossed(crossed));
            }
        }
    }

    /// Is in flight no more, although it is not known yet what it used.
    pub fn leave(&mut self) {
        for place in self.places.iter_mut().filter(|place| place.parallel) {
            place.parallel = false;
            place.cell.state.lock().parallel -= 1;
        }
    }

    /// What it has of each claim, in their order.
    #[must_use]
    pub fn portions(&self) -> Vec<Portion> {
        let portion = |place: &Place| Portion {
            pays: place.claim.is_some(),
            amount: place.amount,
            parallel: place.parallel,
            tokens: place.taken.map(|taken| taken.tokens),
        };
        self.places.iter().map(portion).collect()
    }

    /// As [`Held::key_spent`].
    #[must_use]
    pub fn key_spent(&self) -> Option<Usd> {
        self.key_spent
    }

    /// As [`Held::rooms`].
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    /// As [`Held::settle`].
    pub fn settle(mut self, spent: Spent, now: Moment) {
        self.end(Some((spent, now)));
    }
}

fn give_back(log: &mut Log, taken: Taken, spent: Option<(Spent, Moment)>) {
    let Some((spent, now)) = spent.filter(|(spent, _)| spent.counted) else {
        log.give_back(Used { requests: 1, tokens: taken.tokens }, taken.second);
        return;
    };
    if spent.tokens < taken.tokens {
        let surplus = Used { requests: 0, tokens: taken.tokens - spent.tokens };
        log.give_back(surplus, taken.second);
    } else if spent.tokens > taken.tokens {
        // Charged when it is known.
        log.charge(Used { requests: 0, tokens: spent.tokens - taken.tokens }, now.ms);
    }
}

impl Held for Hold {
    fn rooms(&self) -> &[Room] {
        &self.rooms
    }

    fn key_spent(&self) -> Option<Usd> {
        self.key_spent
    }

    fn settle(self: Box<Self>, spent: Spent, now: Moment) {
        Self::settle(*self, spent, now);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.end(None);
    }
}
