//! What was brought over, and what could not be. Holds no keys and no hashes of keys.

use std::collections::BTreeMap;

use crate::spend::ScopeKind;

/// How many of those that a finding is about are named.
const NAMED_MAX: usize = 5;

/// What became of the records of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that LiteLLM has.
    pub found: u64,
    /// Records that were made.
    pub new: u64,
    /// Records that were there with something else in them, and are now as LiteLLM has them.
    pub replaced: u64,
    /// Records that were there just so.
    pub same: u64,
    /// Records that were there with something else in them, and were left so.
    pub left: u64,
    /// Rows that are no record here; a finding says why.
    pub skipped: u64,
}

/// The outcome of an import.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// In the order in which they were brought over: `budgets`, `organisations`, ...
    pub tallies: Vec<(&'static str, Tally)>,
    /// Pico-dollars that were added to the sums of each kind.
    pub spend: BTreeMap<ScopeKind, i64>,
    /// What is not as it was in LiteLLM: how often, and some of those that it is about.
    pub findings: BTreeMap<String, (u64, Vec<String>)>,
}

impl Report {
    pub(super) fn find(&mut self, what: impl Into<String>, who: &str) {
        let (count, named) = self.findings.entry(what.into()).or_default();
        *count += 1;
        if named.len() < NAMED_MAX {
            named.push(who.to_owned());
        }
    }

    /// Whether nothing was written.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.tallies.iter().all(|(_, tally)| tally.new + tally.replaced == 0)
            && self.spend.values().all(|pico| *pico == 0)
    }
}
