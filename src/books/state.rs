//! What is known of the database without asking it: for health pages and metrics.

use std::sync::atomic::{AtomicU8, Ordering};

/// Kept by the background service, read by everybody.
#[derive(Debug, Default)]
pub struct State {
    link: AtomicU8,
}

/// Whether the database answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Link {
    /// Nobody has asked it yet.
    Unknown = 0,
    Up = 1,
    Down = 2,
}

impl State {
    /// What was found last.
    #[must_use]
    pub fn link(&self) -> Link {
        match self.link.load(Ordering::Relaxed) {
            1 => Link::Up,
            2 => Link::Down,
            _ => Link::Unknown,
        }
    }

    /// Takes down whether the database answered; gives what was known before.
    pub fn heard(&self, answered: bool) -> Link {
        let before = self.link();
        let link = if answered { Link::Up } else { Link::Down };
        self.link.store(link as u8, Ordering::Relaxed);
        before
    }
}
