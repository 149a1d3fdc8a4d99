//! What those had spent whose counters were let go, for who only looks (metrics) and decides nothing.

use std::time::Duration;

use crate::admission::claim::Key;
use crate::recent::Recent;
use crate::spend::{Account, Scope};

/// The most accounts that are remembered; the least used ones go first.
const KEPT_MAX: usize = 10_000;
/// As long as the key ring knows who has called.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

#[derive(Debug)]
pub(super) struct Bygone(Recent<Key, Account>);

impl Bygone {
    pub(super) fn new() -> Self {
        Self(Recent::new(KEPT_MAX, AGE_MAX))
    }

    pub(super) fn keep(&self, key: &Key, account: Account) {
        self.0.insert(key.clone(), account);
    }

    pub(super) fn of(&self, key: &Key) -> Option<Account> {
        self.0.get(key)
    }

    /// Somebody has changed what was spent. Looks at all: seldom called.
    pub(super) fn forget(&self, scope: &Scope) {
        self.0.remove_if(|key| key.scope == *scope);
    }
}
