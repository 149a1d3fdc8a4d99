//! How many connections are open, over all and for each client.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::settings::Limits;

/// The counts.
#[derive(Debug, Default)]
pub struct Connections {
    open: AtomicUsize,
    refused: AtomicU64,
    by_client: Mutex<FxHashMap<IpAddr, usize>>,
}

/// An open connection; counts itself out when dropped.
#[derive(Debug)]
pub struct Open {
    connections: Arc<Connections>,
    client: Option<IpAddr>,
}

impl Connections {
    /// Counts a connection in, unless there are as many as there may be. `client` is `None` for one
    /// that has no address.
    pub fn enter(self: &Arc<Self>, client: Option<IpAddr>, limits: &Limits) -> Option<Open> {
        let entered = self.try_enter(client, limits);
        if entered.is_none() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        entered
    }

    fn try_enter(self: &Arc<Self>, client: Option<IpAddr>, limits: &Limits) -> Option<Open> {
        // Counted first: of two that come at once one may be refused, but never both let in.
        let before = self.open.fetch_add(1, Ordering::AcqRel);
        let mut open = Open { connections: Arc::clone(self), client: None };
        if limits.max_connections.is_some_and(|max| before >= max) {
            return None;
        }
        // Without the limit nobody has to wait for the table.
        if let (Some(client), Some(max)) = (client, limits.max_connections_per_client) {
            let client = network(client);
            let mut by_client = self.by_client.lock();
            let count = by_client.entry(client).or_default();
            if *count >= max {
                return None;
            }
            *count += 1;
            open.client = Some(client);
        }
        Some(open)
    }

    /// How many were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            let mut by_client = self.connections.by_client.lock();
            if let Some(count) = by_client.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    by_client.remove(&client);
                }
            }
        }
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Who counts as one client: an IPv4 address, or what one customer gets of IPv6, a /64.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_and_all_of_them_have_a_bound() {
        let connections = Arc::new(Connections::default());
        let limits = Limits {
            max_connections: Some(3),
            max_connections_per_client: Some(2),
            ..Limits::default()
        };
        let enter = |client: &str| connections.enter(Some(client.parse().unwrap()), &limits);
        let (first, second) = (enter("2001:db8::1"), enter("2001:db8::2"));
        assert!(first.is_some() && second.is_some());
        assert!(enter("2001:db8::3").is_none(), "the same /64");
        let other = enter("203.0.113.1");
        assert!(other.is_some());
        assert!(enter("203.0.113.2").is_none(), "three are open");
        assert!(connections.enter(None, &limits).is_none());
        drop(first);
        assert!(enter("::ffff:203.0.113.1").is_some(), "the second of that client");
        drop((second, other));
        assert_eq!(connections.open(), 0);
        assert!(connections.by_client.lock().is_empty(), "nothing is left behind");
    }
}
