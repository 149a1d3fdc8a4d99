//! What a request holds of its limits and budgets, whoever counts them. Dropped without being settled,
//! it gives all of it back: also if the client leaves, also if a panic ends the request.

use crate::admission::{Held, Hold, Moment, Room, Spent};
use crate::money::Usd;

/// What a request holds.
#[derive(Debug, Default)]
pub enum Ticket {
    /// Nothing bounds it.
    #[default]
    Free,
    /// Of the counters of this process.
    Here(Hold),
    /// Of the shared ones, and what this process keeps of it for the time when they are away.
    There { held: Box<dyn Held>, own: Option<Hold> },
    /// Of this process, in place of the shared ones: they are told what is held, and what it came to,
    /// before they decide again.
    Alone { hold: Hold, held: Option<Box<dyn Held>> },
}

impl Ticket {
    /// Whether anything bounds the request.
    #[must_use]
    pub const fn is_held(&self) -> bool {
        !matches!(self, Self::Free)
    }

    /// What is left of limits of requests and tokens.
    #[must_use]
    pub fn rooms(&self) -> &[Room] {
        match self {
            Self::Free => &[],
            Self::Here(hold) | Self::Alone { hold, .. } => hold.rooms(),
            Self::There { held, .. } => held.rooms(),
        }
    }

    /// Is in flight no more, although it is not known yet what it used. Shared places are given back
    /// when it is settled.
    pub fn leave(&mut self) {
        match self {
            Self::Here(hold) | Self::Alone { hold, .. } => hold.leave(),
            Self::Free | Self::There { .. } => {}
        }
    }

    /// What the key itself had spent before, if it has a budget.
    #[must_use]
    pub fn key_spent(&self) -> Option<Usd> {
        match self {
            Self::Free => None,
            Self::Here(hold) | Self::Alone { hold, .. } => hold.key_spent(),
            Self::There { held, .. } => held.key_spent(),
        }
    }

    /// Replaces what was held by what was really used.
    pub fn settle(self, spent: Spent, now: Moment) {
        match self {
            Self::Free => {}
            Self::Here(hold) => hold.settle(spent, now),
            Self::There { held, own } => {
                held.settle(spent, now);
                if let Some(own) = own {
                    own.settle(spent, now);
                }
            }
            Self::Alone { hold, held } => {
                hold.settle(spent, now);
                if let Some(held) = held {
                    held.settle(spent, now);
                }
            }
        }
    }
}
