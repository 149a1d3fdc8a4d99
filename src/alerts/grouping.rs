//! What happens again within a minute is one message with a count.

use std::hash::Hash;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// What comes at once is gathered for so long before the first message: one broken deployment fails
/// many requests.
const GATHER: Duration = Duration::from_secs(2);
/// After a message, for so long only counted.
const QUIET: Duration = Duration::from_secs(60);
/// How many different things are followed; further ones are not told.
const GROUPS_MAX: usize = 1_000;

/// What happened, by what it is the same as.
#[derive(Debug)]
pub(super) struct Groups<K, T>(FxHashMap<K, Group<T>>);

#[derive(Debug)]
struct Group<T> {
    /// The last one.
    last: T,
    count: u64,
    since: Instant,
    tell_at: Instant,
}

/// What is to be told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Due<T> {
    pub(super) last: T,
    pub(super) count: u64,
    /// In which all of them happened.
    pub(super) within: Duration,
}

impl<K, T> Default for Groups<K, T> {
    fn default() -> Self {
        Self(FxHashMap::default())
    }
}

impl<K: Eq + Hash + Ord + Clone, T> Groups<K, T> {
    /// Takes down one more. False if there is no room for a further group.
    pub(super) fn add(&mut self, key: K, one: T, now: Instant) -> bool {
        if let Some(group) = self.0.get_mut(&key) {
            if group.count == 0 {
                group.since = now;
            }
            group.count += 1;
            group.last = one;
            return true;
        }
        if self.0.len() >= GROUPS_MAX {
            return false;
        }
        let group = Group { last: one, count: 1, since: now, tell_at: now + GATHER };
        self.0.insert(key, group);
        true
    }

    /// What is to be told now. Groups that were quiet for a minute are forgotten.
    pub(super) fn due(&mut self, now: Instant) -> Vec<(K, Due<T>)>
    where
        T: Clone,
    {
        let mut due = Vec::new();
        self.0.retain(|key, group| {
            if group.tell_at > now {
                return true;
            }
            if group.count == 0 {
                return false;
            }
            let within = now.saturating_duration_since(group.since);
            let told = Due { last: group.last.clone(), count: group.count, within };
            due.push((key.clone(), told));
            group.count = 0;
            group.tell_at = now + QUIET;
            true
        });
        due.sort_by(|(one, _), (other, _)| one.cmp(other));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_one_message_and_what_follows_within_a_minute_another() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut groups = Groups::default();
        (0..10).for_each(|number| assert!(groups.add("gpt server", number, at(0))));
        assert!(groups.add("gpt timeout", 99, at(1)));
        assert!(groups.due(at(1)).is_empty(), "others may follow");
        let due = |last, count, seconds| {
            let within = Duration::from_secs(seconds);
            Due { last, count, within }
        };
        assert_eq!(groups.due(at(2)), [("gpt server", due(9, 10, 2))]);
        assert_eq!(groups.due(at(3)), [("gpt timeout", due(99, 1, 2))]);
        assert!(groups.add("gpt server", 10, at(30)) && groups.add("gpt server", 11, at(50)));
        assert!(groups.due(at(61)).is_empty(), "not twice within a minute");
        assert_eq!(groups.due(at(63)), [("gpt server", due(11, 2, 33))]);
        assert!(groups.due(at(200)).is_empty());
        assert!(groups.0.is_empty(), "what is over is forgotten");
    }

    #[test]
    fn there_is_a_bound_of_groups() {
        let now = Instant::now();
        let mut groups = Groups::default();
        assert!((0..GROUPS_MAX).all(|key| groups.add(key, (), now)));
        assert!(!groups.add(GROUPS_MAX, (), now));
        assert!(groups.add(0, (), now), "those that are known are counted on");
    }
}
