//! When a deployment, or a provider's region, is out, by LiteLLM's rule: so many timeouts and errors of
//! the provider within a time; a region if they are of more than one deployment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};

use super::settings::Outages;

/// How many deployments and regions are followed.
const PLACES_MAX: usize = 1_000;

/// How great an outage is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outage {
    Minor,
    Major,
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Timeout,
    /// 500 and above, or no answer.
    Provider,
}

/// What is out, and what was seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) outage: Outage,
    pub(super) timeouts: usize,
    pub(super) errors: usize,
    pub(super) deployments: usize,
}

/// Errors by what they are of.
#[derive(Debug, Default)]
pub(super) struct Watch(FxHashMap<Box<str>, Place>);

#[derive(Debug, Default)]
struct Place {
    errors: VecDeque<(Instant, Error, Box<str>)>,
    minor_told: bool,
    major_told: bool,
}

impl Watch {
    /// Takes down an error of a deployment, and says if that makes an outage that was not told. `least`:
    /// of so many deployments at least.
    pub(super) fn heard(
        &mut self,
        place: &str,
        deployment: &str,
        error: Error,
        (rule, least): (Outages, usize),
        now: Instant,
    ) -> Option<Seen> {
        if !self.0.contains_key(place) {
            if self.0.len() >= PLACES_MAX {
                self.forget(rule.ttl, now);
            }
            if self.0.len() >= PLACES_MAX {
                return None;
            }
            self.0.insert(place.into(), Place::default());
        }
        let place = self.0.get_mut(place)?;
        place.forget(rule.ttl, now);
        if place.errors.len() >= rule.list_max {
            place.errors.pop_front();
        }
        place.errors.push_back((now, error, deployment.into()));
        place.outage(rule, least)
    }

    /// Forgets those without errors.
    pub(super) fn forget(&mut self, ttl: Duration, now: Instant) {
        self.0.retain(|_, place| {
            place.forget(ttl, now);
            !place.errors.is_empty()
        });
    }
}

impl Place {
    fn forget(&mut self, ttl: Duration, now: Instant) {
        let is_old = |at: Instant| now.saturating_duration_since(at) >= ttl;
        while self.errors.front().is_some_and(|(at, ..)| is_old(*at)) {
            self.errors.pop_front();
        }
        if self.errors.is_empty() {
            // It was over; the next one is another.
            (self.minor_told, self.major_told) = (false, false);
        }
    }

    fn outage(&mut self, rule: Outages, least: usize) -> Option<Seen> {
        let count = self.errors.len();
        let deployments: FxHashSet<&str> = self.errors.iter().map(|(.., id)| &**id).collect();
        let deployments = deployments.len();
        if deployments < least {
            return None;
        }
        let outage = if count >= rule.major && !self.major_told {
            (self.minor_told, self.major_told) = (true, true);
            Outage::Major
        } else if count >= rule.minor && !self.minor_told {
            self.minor_told = true;
            Outage::Minor
        } else {
            return None;
        };
        let is_timeout = |(_, error, _): &&(Instant, Error, Box<str>)| *error == Error::Timeout;
        let timeouts = self.errors.iter().filter(is_timeout).count();
        Some(Seen { outage, timeouts, errors: count - timeouts, deployments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Outages =
        Outages { ttl: Duration::from_secs(60), minor: 2, major: 4, list_max: 10 };

    fn at(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[test]
    fn an_outage_is_told_when_it_begins_and_when_it_grows() {
        let start = Instant::now();
        let mut watch = Watch::default();
        let mut heard = |seconds, error| {
            watch.heard("d", "d", error, (RULE, 1), at(start, seconds)).map(|seen| {
                assert_eq!(seen.deployments, 1);
                (seen.outage, seen.timeouts, seen.errors)
            })
        };
        assert_eq!(heard(0, Error::Timeout), None);
        assert_eq!(heard(10, Error::Provider), Some((Outage::Minor, 1, 1)));
        assert_eq!(heard(20, Error::Provider), None);
        assert_eq!(heard(30, Error::Provider), Some((Outage::Major, 1, 3)));
        assert_eq!(heard(40, Error::Provider), None);
        assert_eq!(heard(200, Error::Provider), None, "that one was over");
        assert_eq!(heard(259, Error::Provider), Some((Outage::Minor, 0, 2)));
        assert_eq!(heard(320, Error::Provider), None, "those a minute ago do not count");
    }

    #[test]
    fn a_region_is_out_if_several_deployments_are() {
        let start = Instant::now();
        let mut watch = Watch::default();
        let mut heard = |deployment| {
            let seen = watch.heard("azure eu", deployment, Error::Provider, (RULE, 2), start);
            seen.map(|seen| (seen.outage, seen.deployments))
        };
        assert_eq!((heard("a"), heard("a"), heard("a")), (None, None, None));
        assert_eq!(heard("b"), Some((Outage::Major, 2)));
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut watch = Watch::default();
        for number in 0..PLACES_MAX + 5 {
            watch.heard(&number.to_string(), "d", Error::Provider, (RULE, 1), start);
        }
        assert_eq!(watch.0.len(), PLACES_MAX);
        (0..50).for_each(|_| {
            watch.heard("0", "d", Error::Provider, (RULE, 1), start);
        });
        assert_eq!(watch.0["0"].errors.len(), RULE.list_max);
        watch.heard("new", "d", Error::Provider, (RULE, 1), at(start, 60));
        assert_eq!(watch.0.len(), 1);
    }
}
