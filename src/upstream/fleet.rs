//! Which of a deployment's servers: by turn, by load or by what the request begins with.
//!
//! A server whose addresses all refuse, or fail their health check, is passed over while others are
//! left. Knows nothing of connections; `mod.rs` makes them.

use std::hash::Hasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderValue;
use parking_lot::Mutex;
use rustc_hash::FxHasher;

use super::peer::Upstream;
use crate::catalog::{Balance, Target};

/// The servers of one deployment; most have one.
pub(super) struct Fleet {
    pub(super) members: Vec<Arc<Member>>,
    balance: Balance,
    /// What each member is owed, for [`Balance::RoundRobin`].
    owed: Mutex<Vec<f64>>,
}

/// One server.
pub(super) struct Member {
    pub(super) upstream: Arc<Upstream>,
    pub(super) authority: HeaderValue,
    weight: f64,
    in_flight: AtomicU32,
}

/// An exchange that counts as in flight until this is dropped.
pub(super) struct Busy(Arc<Member>);

/// How much of a request tells where it belongs: the system prompt and the first words, which stay
/// the same in the course of a conversation.
const PREFIX_BYTES: usize = 1024;

impl Member {
    pub(super) fn new(upstream: Arc<Upstream>, authority: HeaderValue, weight: f64) -> Arc<Self> {
        Arc::new(Self { upstream, authority, weight, in_flight: AtomicU32::new(0) })
    }

    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Exchanges in flight for its weight, this one included.
    fn load(&self) -> f64 {
        f64::from(self.in_flight.load(Ordering::Relaxed) + 1) / self.weight
    }
}

impl Busy {
    pub(super) fn member(&self) -> &Arc<Member> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Fleet {
    pub(super) fn new(members: Vec<Arc<Member>>, balance: Balance) -> Self {
        Self { owed: Mutex::new(vec![0.0; members.len()]), members, balance }
    }

    /// Whether these are the same servers with the same weights, chosen in the same way.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.balance == other.balance
            && self.members.len() == other.members.len()
            && self.members.iter().zip(&other.members).all(|(one, other)| {
                Arc::ptr_eq(&one.upstream, &other.upstream)
                    && one.authority == other.authority
                    && one.weight.total_cmp(&other.weight).is_eq()
            })
    }

    /// Whether these are the servers of that target.
    pub(super) fn is_of(&self, target: &Target) -> bool {
        let is = |member: &Member, host: &str, port: u16, authority: &HeaderValue| {
            member.upstream.key().is_of(target, (host, port)) && member.authority == *authority
        };
        match (&target.fleet, self.members.as_slice()) {
            (None, [only]) => is(only, &target.host, target.port, &target.authority),
            (Some(fleet), members) if fleet.servers.len() == members.len() => {
                let pairs = fleet.servers.iter().zip(members);
                pairs
                    .into_iter()
                    .all(|(one, member)| is(member, &one.host, one.port, &one.authority))
            }
            _ => false,
        }
    }

    /// The next server among those that this request has not tried; one that is unwell only if no
    /// other is left. `body`: what is to be sent.
    pub(super) fn pick(&self, body: &[u8], tried: &[Arc<Member>]) -> Option<&Arc<Member>> {
        if let [only] = self.members.as_slice() {
            return Some(only).filter(|_| tried.is_empty());
        }
        let left = |member: &Arc<Member>| !tried.iter().any(|one| Arc::ptr_eq(one, member));
        let well = self.members.iter().any(|one| left(one) && one.upstream.is_available());
        let takes_part =
            |member: &Arc<Member>| left(member) && (!well || member.upstream.is_available());
        let index = match self.balance {
            Balance::RoundRobin => self.by_turn(takes_part),
            Balance::LeastConnections => self.lowest(takes_part, |_, member| member.load()),
            Balance::ConsistentHash => {
                let key = hash(body.get(..PREFIX_BYTES).unwrap_or(body));
                self.lowest(takes_part, |_, member| distance(key, member))
            }
        };
        index.and_then(|index| self.members.get(index))
    }

    /// Smooth weighted round robin: each round everybody is owed its weight, who is owed most goes,
    /// and pays what all were owed.
    fn by_turn(&self, takes_part: impl Fn(&Arc<Member>) -> bool) -> Option<usize> {
        let mut owed = self.owed.lock();
        let mut total = 0.0;
        let mut most: Option<usize> = None;
        for (index, member) in self.members.iter().enumerate() {
            if takes_part(member) {
                total += member.weight;
                owed[index] += member.weight;
                if most.is_none_or(|most| owed[index] > owed[most]) {
                    most = Some(index);
                }
            }
        }
        let most = most?;
        owed[most] -= total;
        Some(most)
    }

    fn lowest(
        &self,
        takes_part: impl Fn(&Arc<Member>) -> bool,
        rank: impl Fn(usize, &Member) -> f64,
    ) -> Option<usize> {
        let all = self.members.iter().enumerate().filter(|(_, member)| takes_part(member));
        let ranked = all.map(|(index, member)| (index, rank(index, member)));
        ranked.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(index, _)| index)
    }
}

/// Rendezvous hashing: how far a key is from a member, as if by a race that a member wins as often
/// as its weight says. Nothing is kept, and when a member leaves only its own keys move.
fn distance(key: u64, member: &Member) -> f64 {
    let mut hasher = FxHasher::default();
    hasher.write_u64(key);
    hasher.write(member.authority.as_bytes());
    // A number between 0 and 1, never either of them.
    let share = ((mixed(hasher.finish()) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -share.ln() / member.weight
}

fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Spreads what a fast hash leaves in a few bits over all of them (SplitMix64).
const fn mixed(mut bits: u64) -> u64 {
    bits ^= bits >> 30;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 27;
    bits = bits.wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
