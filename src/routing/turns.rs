//! Whose turn it is among names that share requests by weight; see [`crate::catalog::Spread`].
//!
//! Turns are taken by name and not by deployment, so that a share holds whatever strategy chooses
//! within a group and however many deployments it has. They survive reloads.

use std::sync::Arc;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::smooth::Smooth;
use crate::catalog::{Catalog, Spread};

/// The turns of all spreads, by their keys.
#[derive(Debug, Default)]
pub(super) struct Turns {
    lists: Mutex<FxHashMap<Arc<str>, Arc<Mutex<List>>>>,
}

/// The turns of one spread, and for which members and weights they are.
#[derive(Debug)]
struct List {
    members: Vec<(Arc<str>, f64)>,
    smooth: Smooth,
}

impl Turns {
    /// All members, the one whose turn it is first and then those that are next. `takes_part` says
    /// which could serve now; if none could, all take part. Unless `take`, nobody's turn is over by this.
    pub(super) fn order(
        &self,
        spread: &Spread,
        take: bool,
        takes_part: impl Fn(usize) -> bool,
    ) -> Vec<usize> {
        let list = self.list(spread);
        let mut list = list.lock();
        if !list.is_of(spread) {
            *list = list.carried_over(spread);
        }
        let count = spread.members.len();
        let anybody = (0..count).any(&takes_part);
        let takes_part = |index: usize| !anybody || takes_part(index);
        let first =
            if take { list.smooth.take(&takes_part) } else { list.smooth.peek(&takes_part) };
        let Some(first) = first else { return (0..count).collect() };
        let mut order = vec![first];
        // Only the first has a turn; the others are asked for if it fails. Those that rest come last.
        for able in [true, false] {
            while let Some(next) =
                list.smooth.peek(|index| takes_part(index) == able && !order.contains(&index))
            {
                order.push(next);
            }
        }
        order
    }

    /// Forgets the spreads that a new configuration no longer has.
    pub(super) fn retain(&self, catalog: &Catalog) {
        let mut lists = self.lists.lock();
        lists.retain(|key, _| catalog.spreads().any(|spread| spread.key == *key));
    }

    fn list(&self, spread: &Spread) -> Arc<Mutex<List>> {
        let mut lists = self.lists.lock();
        match lists.get(&spread.key) {
            Some(list) => Arc::clone(list),
            None => {
                let list = Arc::new(Mutex::new(List::of(spread)));
                lists.insert(Arc::clone(&spread.key), Arc::clone(&list));
                list
            }
        }
    }
}

impl List {
    fn of(spread: &Spread) -> Self {
        let members = spread.members.iter();
        let members: Vec<_> = members.map(|it| (Arc::clone(&it.name), it.weight)).collect();
        let smooth = Smooth::new(members.iter().map(|(_, weight)| *weight));
        Self { members, smooth }
    }

    fn is_of(&self, spread: &Spread) -> bool {
        let same = |(mine, its): (&(Arc<str>, f64), &crate::catalog::Member)| {
            mine.0 == its.name && mine.1.to_bits() == its.weight.to_bits()
        };
        self.members.len() == spread.members.len()
            && self.members.iter().zip(spread.members.iter()).all(same)
    }

    /// A list with other members or weights; who is in both goes on where they were.
    fn carried_over(&self, spread: &Spread) -> Self {
        let mut list = Self::of(spread);
        for (index, (name, _)) in list.members.iter().enumerate() {
            if let Some(before) = self.members.iter().position(|(known, _)| known == name) {
                list.smooth.resume(index, self.smooth.gained(before));
            }
        }
        list
    }
}
