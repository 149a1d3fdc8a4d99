//! What a request holds of its limits and budgets, whoever counts them. Dropped without being settled,
//! it gives all of it back: also if the client leaves, also if a panic ends the request.

use std::sync::Arc;

use crate::admission::{Claims, Counters, Held, Hold, Moment, Room, Spent};

/// What a request holds.
#[derive(Debug, Default)]
pub enum Ticket {
    /// Nothing bounds it.
    #[default]
    Free,
    /// Of the counters of this process.
    Here(Hold),
    /// Of the shared ones.
    There(Box<dyn Held>),
    /// Of this process, in place of the shared ones: they are told what it cost when they are back.
    Alone { hold: Hold, claims: Claims, shared: Arc<dyn Counters> },
}

impl Ticket {
    /// What is left of limits of requests and tokens.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        match self {
            Self::Free => &[],
            Self::Here(hold) | Self::Alone { hold, .. } => hold.rooms(),
            Self::There(held) => held.rooms(),
        }
    }

    /// Replaces what was held by what was really used.
    pub fn settle(self, spent: Spent, now: Moment) {
        match self {
            Self::Free => {}
            Self::Here(hold) => hold.settle(spent, now),
            Self::There(held) => held.settle(spent, now),
            Self::Alone { hold, claims, shared } => {
                hold.settle(spent, now);
                shared.pay(&claims, spent.cost);
            }
        }
    }
}
