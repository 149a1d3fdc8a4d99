//! Requests that belong together stay with one deployment: its prompt cache knows them.
//!
//! Two ties, each off unless the configuration asks for it:
//!
//! - a *session*: what has one session id stays where it was answered first;
//! - a *prefix*: what begins with the same prompt goes to the deployment that answered such a
//!   prompt last and, before any did, to the one that rendezvous hashing names. So gateways that
//!   know nothing of each other agree, and a deployment more or less moves only its own prompts.
//!
//! A tie holds among deployments of the best `order`, and while the deployment can serve. A prefix
//! also lets go of one that has far more attempts in flight than the others ([`is_crowded`]): one
//! system prompt for everybody shall not bring everybody to one machine.
//!
//! Memory is bounded, whatever clients send as session ids.

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::settings::Affinity;

/// What ties a request, as hashes of what the client sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AffinityKeys {
    pub session: Option<u64>,
    pub prefix: Option<u64>,
    /// Tokens of the prefix that the hash stands for, about.
    pub prefix_tokens: u64,
}

/// Which deployment a key is tied to.
#[derive(Debug, Default)]
pub(super) struct Ties {
    shards: [Mutex<Shard>; SHARDS],
}

/// Two generations: when the young one is full, the old one is forgotten.
#[derive(Debug, Default)]
struct Shard {
    young: FxHashMap<u64, Tie>,
    old: FxHashMap<u64, Tie>,
}

#[derive(Clone, Copy, Debug)]
struct Tie {
    /// Hash of the deployment's id.
    deployment: u64,
    /// Nanoseconds on the clock of `State`.
    until: u64,
}

impl Ties {
    /// The deployment, by the hash of its id.
    pub(super) fn get(&self, key: u64, now: u64) -> Option<u64> {
        let shard = self.shard(key).lock();
        let tie = shard.young.get(&key).or_else(|| shard.old.get(&key))?;
        (tie.until > now).then_some(tie.deployment)
    }

    /// Ties a key to a deployment until then.
    pub(super) fn set(&self, key: u64, deployment: u64, until: u64) {
        let mut shard = self.shard(key).lock();
        if shard.young.len() >= YOUNG_MAX && !shard.young.contains_key(&key) {
            shard.old = std::mem::take(&mut shard.young);
        }
        shard.young.insert(key, Tie { deployment, until });
    }

    fn shard(&self, key: u64) -> &Mutex<Shard> {
        // The upper bits: the tables use the lower ones.
        &self.shards[(key >> 60) as usize % SHARDS]
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock()).map(|s| s.young.len() + s.old.len()).sum()
    }
}

/// The key of what a client sent in one group: the same id elsewhere is another tie.
pub(super) fn key(group: u64, kind: Kind, sent: u64) -> u64 {
    mix(mix(group ^ kind as u64) ^ sent)
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Session = 1,
    Prefix = 2,
}

/// How much a prefix would like a deployment; the most of all wins. A weight of two gets twice the
/// prefixes that a weight of one gets.
pub(super) fn liking(prefix: u64, deployment: u64, weight: f64) -> f64 {
    // The mantissa of a uniform number in (0, 1).
    let uniform = ((mix(prefix ^ deployment) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    weight.max(f64::MIN_POSITIVE) / -uniform.ln()
}

/// Whether a deployment has so much more in flight than the mean that a warm cache is not worth
/// the wait.
pub(super) fn is_crowded(in_flight: u32, mean: f64) -> bool {
    f64::from(in_flight) > CROWD_FACTOR * mean + CROWD_GRACE
}

/// Spreads every bit over all others (the end of MurmurHash3).
pub(super) const fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ (bits >> 33)
}

/// The same for one text in every process, so that gateways agree: FNV-1a, then [`mix`].
#[must_use]
pub(super) fn hash(text: &[u8]) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325;
    for byte in text {
        sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    mix(sum)
}

impl AffinityKeys {
    /// Those that the configuration wants.
    pub(super) fn only(self, wanted: Affinity) -> Self {
        Self {
            session: self.session.filter(|_| wanted.session || wanted.caller),
            prefix: self.prefix.filter(|_| wanted.prompt),
            ..self
        }
    }

    /// The hash to give for what a client sent.
    #[must_use]
    pub fn hash(text: &[u8]) -> u64 {
        hash(text)
    }
}

const SHARDS: usize = 16;
/// Over all shards and both generations, 131,072 ties of 24 bytes: about 6 MB.
const YOUNG_MAX: usize = 4096;
const CROWD_FACTOR: f64 = 2.0;
const CROWD_GRACE: f64 = 4.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tie_ends_with_its_time() {
        let ties = Ties::default();
        ties.set(7, 1, 100);
        assert_eq!((ties.get(7, 99), ties.get(7, 100), ties.get(8, 0)), (Some(1), None, None));
    }

    #[test]
    fn the_memory_of_ties_is_bounded_and_the_newest_stay() {
        let ties = Ties::default();
        let keys: Vec<u64> = (0..500_000).map(mix).collect();
        for key in &keys {
            ties.set(*key, 1, u64::MAX);
        }
        assert!(ties.len() <= 2 * SHARDS * YOUNG_MAX);
        assert!(keys.iter().rev().take(10_000).all(|key| ties.get(*key, 0).is_some()));
    }

    #[test]
    fn prefixes_are_spread_by_weight_and_few_move_when_one_leaves() {
        let nodes: Vec<(u64, f64)> =
            [("a", 1.0), ("b", 1.0), ("c", 2.0)].map(|(id, w)| (hash(id.as_bytes()), w)).into();
        let home = |prefix: u64, nodes: &[(u64, f64)]| {
            let like = |node: &&(u64, f64)| liking(prefix, node.0, node.1);
            nodes.iter().max_by(|a, b| like(a).total_cmp(&like(b))).unwrap().0
        };
        let mut served = [0_i32; 3];
        for prefix in 0..20_000 {
            let prefix = mix(prefix);
            let chosen = home(prefix, &nodes);
            served[nodes.iter().position(|node| node.0 == chosen).unwrap()] += 1;
            if chosen != nodes[0].0 {
                assert_eq!(home(prefix, &nodes[1..]), chosen, "only what `a` had may move");
            }
        }
        for (count, expected) in served.into_iter().zip([5000, 5000, 10_000]) {
            assert!((count - expected).abs() < 300, "{served:?}");
        }
    }
}
