//! What is known of the database and of what waits for it, without asking: for health pages and
//! metrics.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::keys::StoreError;

/// Kept by those who write, read by everybody.
#[derive(Debug, Default)]
pub struct State {
    link: AtomicU8,
    /// The disk did not take the last record.
    blocked: AtomicBool,
    counts: [AtomicU64; Count::ALL.len()],
    levels: [AtomicU64; Level::ALL.len()],
    /// All that was appended before it is in the ledger.
    written: Mutex<Option<Instant>>,
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

/// What is counted since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Requests whose record is in the journal.
    Appended,
    /// Rows that were added to the ledger.
    Written,
    /// Rows that it had already.
    Known,
    /// Rows of requests that ended with their process.
    Interrupted,
    /// Batches that the database did not take; they are tried again.
    Failed,
    /// Records that the database will never take; they are set aside in a file.
    Refused,
    /// Records that the disk did not take; they wait in memory.
    Unjournaled,
    /// Of those, the ones that there was no room for.
    Lost,
    /// Bytes of the journal that are no record.
    DamagedBytes,
}

impl Count {
    pub const ALL: [Self; 9] = [
        Self::Appended,
        Self::Written,
        Self::Known,
        Self::Interrupted,
        Self::Failed,
        Self::Refused,
        Self::Unjournaled,
        Self::Lost,
        Self::DamagedBytes,
    ];

    /// The word by which metrics know it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Appended => "appended",
            Self::Written => "written",
            Self::Known => "known",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed_batches",
            Self::Refused => "refused",
            Self::Unjournaled => "unjournaled",
            Self::Lost => "lost",
            Self::DamagedBytes => "damaged_bytes",
        }
    }
}

/// How things stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Bytes of the journal that the database does not have yet.
    PendingBytes,
    /// Records of this process that it does not have yet.
    PendingRecords,
    /// Seconds since all was in the database, if something waits.
    LagSeconds,
}

impl Level {
    const ALL: [Self; 3] = [Self::PendingBytes, Self::PendingRecords, Self::LagSeconds];
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

    /// Takes down whether the database answered, and tells the log if that is news.
    pub fn heard<T>(&self, answer: &Result<T, StoreError>) {
        let link = match answer {
            Err(StoreError::Unavailable(_)) => Link::Down,
            Ok(_)
            | Err(StoreError::Conflict(_) | StoreError::Refused(_) | StoreError::Broken(_)) => {
                Link::Up
            }
        };
        let before = self.link.swap(link as u8, Ordering::Relaxed);
        match answer {
            Err(error) if link == Link::Down && before != link as u8 => {
                tracing::error!(%error, "requests are served on; what they spend waits for it");
            }
            _ if link == Link::Up && before == Link::Down as u8 => {
                tracing::info!("the database is back");
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether the disk did not take the last record.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Relaxed)
    }

    /// Takes down whether it did; says whether that is news.
    pub(super) fn block(&self, blocked: bool) -> bool {
        // Mostly it is as before, and a store would take the cache line from the others.
        self.is_blocked() != blocked && self.blocked.swap(blocked, Ordering::Relaxed) != blocked
    }

    #[must_use]
    pub fn count(&self, count: Count) -> u64 {
        self.counts.get(count as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, count: Count, more: u64) {
        if let Some(count) = self.counts.get(count as usize) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// All that was appended so long ago is in the ledger; `None`: nothing is known to be.
    #[must_use]
    pub fn lag(&self) -> Option<Duration> {
        self.written.lock().map(|written| written.elapsed())
    }

    pub(super) fn has_written(&self, before: Instant) {
        *self.written.lock() = Some(before);
    }

    #[must_use]
    pub fn level(&self, level: Level) -> u64 {
        self.levels.get(level as usize).map_or(0, |level| level.load(Ordering::Relaxed))
    }

    pub(super) fn set(&self, level: Level, value: u64) {
        if let Some(level) = self.levels.get(level as usize) {
            level.store(value, Ordering::Relaxed);
        }
    }
}
