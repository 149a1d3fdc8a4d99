//! How often wrong keys may be tried from one address.
//!
//! Keys that the gateway makes cannot be guessed; a master key is what somebody typed.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Wrong keys from one address within [`WINDOW`].
const TRIES_MAX: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are known by themselves; all further ones count as one.
const ADDRESSES_MAX: usize = 10_000;

/// The tries of a minute, by address.
#[derive(Default)]
pub(super) struct Throttle {
    tries: Mutex<HashMap<IpAddr, Tries>>,
}

#[derive(Clone, Copy)]
struct Tries {
    count: u32,
    since: Instant,
}

impl Throttle {
    /// Counts a try before its key is looked at, so that tries at the same time count, too. `Err`: how
    /// long to wait.
    pub(super) fn enter(&self, from: Option<IpAddr>, now: Instant) -> Result<Try<'_>, Duration> {
        let mut tries = self.tries.lock();
        let mut from = network(from);
        if !tries.contains_key(&from) && tries.len() >= ADDRESSES_MAX {
            tries.retain(|_, it| now.duration_since(it.since) < WINDOW);
            if tries.len() >= ADDRESSES_MAX {
                from = OTHERS;
            }
        }
        let known = tries.entry(from).or_insert(Tries { count: 0, since: now });
        let passed = now.duration_since(known.since);
        if passed >= WINDOW {
            *known = Tries { count: 0, since: now };
        } else if known.count >= TRIES_MAX {
            return Err(WINDOW.saturating_sub(passed));
        }
        known.count += 1;
        Ok(Try { throttle: self, from })
    }
}

/// A try that counts as a wrong key until it is known to be none.
pub(super) struct Try<'a> {
    throttle: &'a Throttle,
    from: IpAddr,
}

impl Try<'_> {
    /// The key was right, or nobody could say.
    pub(super) fn forgive(self) {
        if let Some(tries) = self.throttle.tries.lock().get_mut(&self.from) {
            tries.count = tries.count.saturating_sub(1);
        }
    }
}

/// Stands for all that have no place of their own. No client has this address.
const OTHERS: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);

/// Whoever has an IPv6 address has 2^64 of them.
fn network(from: Option<IpAddr>) -> IpAddr {
    match from.map(|from| from.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 1))
        }
        Some(address) => address,
        None => OTHERS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(throttle: &Throttle, from: &str, now: Instant) -> Option<Duration> {
        throttle.enter(Some(from.parse().unwrap()), now).err()
    }

    #[test]
    fn ten_wrong_keys_a_minute_and_no_more() {
        let (throttle, start) = (Throttle::default(), Instant::now());
        for _ in 0..TRIES_MAX {
            assert_eq!(wrong(&throttle, "192.0.2.1", start), None);
        }
        let later = start + Duration::from_secs(20);
        assert_eq!(wrong(&throttle, "192.0.2.1", later), Some(Duration::from_secs(40)));
        assert_eq!(wrong(&throttle, "::ffff:192.0.2.1", later), Some(Duration::from_secs(40)));
        assert_eq!(wrong(&throttle, "192.0.2.2", later), None, "somebody else");
        assert_eq!(wrong(&throttle, "192.0.2.1", start + WINDOW), None, "a minute later");
    }

    #[test]
    fn right_keys_do_not_count() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for _ in 0..100 {
            throttle.enter(None, now).ok().unwrap().forgive();
        }
    }

    #[test]
    fn neighbours_of_one_network_are_one() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        for last in 0..TRIES_MAX {
            assert_eq!(wrong(&throttle, &format!("2001:db8::{last:x}"), now), None);
        }
        assert!(wrong(&throttle, "2001:db8::ffff:1", now).is_some());
        assert_eq!(wrong(&throttle, "2001:db8:0:1::1", now), None);
    }

    #[test]
    fn very_many_addresses_are_bounded_in_memory_and_in_tries() {
        let (throttle, now) = (Throttle::default(), Instant::now());
        let address = |at: usize| {
            let [.., a, b, c, d] = (at as u64).to_be_bytes();
            format!("10.{b}.{c}.{d}").parse::<IpAddr>().unwrap_or_else(|_| panic!("{a}"))
        };
        let let_in = (0..2 * ADDRESSES_MAX)
            .filter(|at| throttle.enter(Some(address(*at)), now).is_ok())
            .count();
        assert_eq!(let_in, ADDRESSES_MAX + TRIES_MAX as usize);
        assert_eq!(throttle.tries.lock().len(), ADDRESSES_MAX + 1);
        let later = now + WINDOW;
        assert!(throttle.enter(Some(address(2 * ADDRESSES_MAX)), later).is_ok());
        assert_eq!(throttle.tries.lock().len(), 1, "those of before are forgotten");
    }
}
