//! What was seen lately: bounded in number and in age, behind a lock that is held for one look.
//!
//! For what requests seldom ask for. What all of them do is kept by `moka`, which has no lock, and is a
//! hundred kilobytes of program for each kind of entry.

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;

/// Entries by their names. The one that was used least lately goes first.
pub(crate) struct Recent<K, V> {
    entries: Mutex<LruCache<K, (Instant, V)>>,
    entries_max: usize,
    age_max: Duration,
}

impl<K: Hash + Eq, V: Clone> Recent<K, V> {
    pub(crate) fn new(entries_max: usize, age_max: Duration) -> Self {
        // One that knows its bound takes the memory for all at once.
        Self { entries: Mutex::new(LruCache::unbounded()), entries_max, age_max }
    }

    pub(crate) fn insert(&self, name: K, entry: V) {
        let mut entries = self.entries.lock();
        entries.put(name, (Instant::now(), entry));
        if entries.len() > self.entries_max {
            entries.pop_lru();
        }
    }

    pub(crate) fn get<Q>(&self, name: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let mut entries = self.entries.lock();
        let (since, entry) = entries.get(name)?;
        if since.elapsed() < self.age_max {
            return Some(entry.clone());
        }
        entries.pop(name);
        None
    }

    pub(crate) fn remove<Q>(&self, name: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.entries.lock().pop(name);
    }

    /// Removes those of which this is said. Looks at all.
    pub(crate) fn remove_if(&self, goes: impl Fn(&K) -> bool)
    where
        K: Clone,
    {
        let mut entries = self.entries.lock();
        let gone: Vec<K> =
            entries.iter().map(|(name, _)| name).filter(|name| goes(name)).cloned().collect();
        for name in gone {
            entries.pop(&name);
        }
    }

    pub(crate) fn clear(&self) {
        self.entries.lock().clear();
    }
}

impl<K, V> fmt::Debug for Recent<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("entries_max", &self.entries_max).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn the_least_used_goes_first() {
        let recent = Recent::new(2, LONG);
        recent.insert("a", 1);
        recent.insert("b", 2);
        assert_eq!(recent.get("a"), Some(1));
        recent.insert("c", 3);
        assert_eq!((recent.get("a"), recent.get("b"), recent.get("c")), (Some(1), None, Some(3)));
        recent.insert("a", 4);
        assert_eq!((recent.get("a"), recent.get("c")), (Some(4), Some(3)), "none goes for itself");
    }

    #[test]
    fn what_is_old_or_removed_is_gone() {
        let old = Recent::new(2, Duration::ZERO);
        old.insert("a", 1);
        assert_eq!(old.get("a"), None);
        let recent = Recent::new(9, LONG);
        for name in ["a", "b", "c", "d"] {
            recent.insert(name, 1);
        }
        recent.remove("a");
        recent.remove_if(|name| *name == "b");
        assert_eq!(["a", "b", "c"].map(|name| recent.get(name)), [None, None, Some(1)]);
        recent.clear();
        assert_eq!(recent.get("d"), None);
    }
}
