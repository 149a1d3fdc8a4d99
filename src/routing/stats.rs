//! What is known of each deployment at run time: attempts in flight, cooldown, counts.
//!
//! Survives reloads: everything hangs on the deployment's id. The path of a request takes no lock
//! that requests to other deployments share: it finds the states of a whole group at once in an
//! immutable table (a [`Roster`]) and then only touches atomics and, when an attempt ends, the one
//! deployment's own short lock.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::affinity::{self, Ties};
use super::decay::Mean;
use super::health::{DeploymentState, Standing, View};
use super::hedge::Hedges;
use super::meter::{Meter, Meters};
use super::smooth::Smooth;
use super::strategy;
use super::turns::Turns;
use crate::catalog::{Catalog, Deployment, DeploymentId, Deployments, Resolved};

/// The states of all deployments.
#[derive(Debug)]
pub struct State {
    /// Times are kept as nanoseconds since then, so that they fit an atomic.
    origin: Instant,
    states: Mutex<FxHashMap<DeploymentId, Arc<DeploymentState>>>,
    rosters: ArcSwap<Rosters>,
    /// Turns of the names that share requests by weight.
    pub(super) spreads: Turns,
    /// How long the replies of each model are, whichever deployment gives them.
    replies: Mutex<FxHashMap<Arc<str>, Arc<Mean>>>,
    /// Turns of the lists of a configuration that was replaced, by the name they were asked by.
    turns: Mutex<FxHashMap<Arc<str>, FxHashMap<DeploymentId, i64>>>,
    pub(super) ties: Ties,
    pub(super) hedges: Hedges,
    /// Limits that are counted elsewhere.
    meters: Option<Arc<dyn Meters>>,
}

/// Rosters by the address of the catalog's list. The roster holds the list, so no other can have
/// its address while the entry exists.
type Rosters = FxHashMap<usize, Arc<Roster>>;

/// The deployments behind one name, each with its state.
#[derive(Debug)]
pub(super) struct Roster {
    /// The catalog's list; holding it keeps its address.
    list: Deployments,
    /// The group, or the weighted alias.
    name: Arc<str>,
    /// Hash of the name.
    pub(super) key: u64,
    pub(super) candidates: Box<[Candidate]>,
    /// Whose turn it is, by weight. Locked for one choice, and by `weighted` only.
    pub(super) turns: Mutex<Smooth>,
}

/// One deployment as the choice sees it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) deployment: Arc<Deployment>,
    pub(super) state: Arc<DeploymentState>,
    /// Hash of the deployment's id.
    pub(super) key: u64,
    /// How long replies of its model are.
    pub(super) replies: Arc<Mean>,
    /// The share in a weighted draw: see [`strategy::shares`].
    pub(super) weight: f64,
    /// Lower goes first. One without `order` comes after all that have one; LiteLLM never picks it.
    pub(super) order: i64,
    pub(super) meter: Option<Box<dyn Meter>>,
}

impl State {
    /// No deployment known yet. No time passed in later may be before `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            states: Mutex::default(),
            rosters: ArcSwap::default(),
            spreads: Turns::default(),
            replies: Mutex::default(),
            turns: Mutex::default(),
            ties: Ties::default(),
            hedges: Hedges::default(),
            meters: None,
        }
    }

    /// Lets limits that are counted elsewhere take part in every choice.
    #[must_use]
    pub fn with_meters(self, meters: Arc<dyn Meters>) -> Self {
        Self { meters: Some(meters), ..self }
    }

    /// Takes down what a health check of a deployment found. Returns what the one before it found.
    pub fn checked(&self, id: &DeploymentId, is_well: bool, now: Instant) -> Option<bool> {
        let state = self.states.lock().entry(id.clone()).or_default().clone();
        state.set_checked(is_well, self.nanos(now))
    }

    /// What health pages and metrics show of a deployment; `None` if nothing was ever sent to it.
    #[must_use]
    pub fn view(&self, id: &str, now: Instant) -> Option<View> {
        let state = self.states.lock().get(id).cloned();
        state.map(|state| state.view(self.nanos(now)))
    }

    /// Forgets the deployments that a new configuration no longer has. Called after every reload.
    pub fn retain(&self, catalog: &Catalog) {
        let known: rustc_hash::FxHashSet<&str> =
            catalog.deployments().iter().map(|deployment| &*deployment.id).collect();
        let mut states = self.states.lock();
        states.retain(|id, _| known.contains(&**id));
        if let Some(meters) = &self.meters {
            meters.retain(catalog);
        }
        self.spreads.retain(catalog);
        let models: rustc_hash::FxHashSet<&str> =
            catalog.deployments().iter().map(|deployment| model_key(deployment)).collect();
        self.replies.lock().retain(|model, _| models.contains(&**model));
        let before = self.rosters.swap(Arc::default());
        let mut turns = self.turns.lock();
        turns.clear();
        let mut rosters: Vec<_> = before.values().collect();
        // A deployment's own name has its group's; the group's list is the longer one.
        rosters.sort_by_key(|roster| roster.candidates.len());
        for roster in rosters {
            let held = roster.turns.lock();
            let gained = roster.candidates.iter().enumerate();
            let gained = gained.map(|(index, one)| (one.deployment.id.clone(), held.gained(index)));
            turns.insert(roster.name.clone(), gained.collect());
        }
    }

    /// How many deployments have a state.
    #[must_use]
    pub fn len(&self) -> usize {
        self.states.lock().len()
    }

    /// Whether nothing was sent anywhere yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The deployments that a name stands for, with their states.
    pub(super) fn roster(&self, resolved: &Resolved) -> Arc<Roster> {
        let key = Arc::as_ptr(&resolved.deployments).addr();
        if let Some(roster) = self.rosters.load().get(&key)
            && Arc::ptr_eq(&roster.list, &resolved.deployments)
        {
            return roster.clone();
        }
        let roster = Arc::new(self.enrol(resolved));
        self.rosters.rcu(|rosters| {
            // Requests that began before a reload may bring back rosters that `retain` dropped.
            let mut rosters = if rosters.len() < MAX_ROSTERS {
                Rosters::clone(rosters)
            } else {
                Rosters::default()
            };
            rosters.insert(key, roster.clone());
            rosters
        });
        roster
    }

    /// Whether any of these deployments does not rest.
    pub(super) fn may_serve(&self, resolved: &Resolved, now: Instant) -> bool {
        let now = self.nanos(now);
        let rests = |one: &Candidate| matches!(one.state.standing(now), Standing::Cooling { .. });
        !self.roster(resolved).candidates.iter().all(rests)
    }

    fn enrol(&self, resolved: &Resolved) -> Roster {
        let list = resolved.deployments.clone();
        let shares = strategy::shares(&list);
        let mut turns = Smooth::new(shares.iter().copied());
        if let Some(gained) = self.turns.lock().get(&resolved.group) {
            for (index, deployment) in list.iter().enumerate() {
                turns.resume(index, gained.get(&deployment.id).copied().unwrap_or(0));
            }
        }
        let (mut states, mut replies) = (self.states.lock(), self.replies.lock());
        let candidates = list.iter().zip(shares).map(|(deployment, weight)| Candidate {
            deployment: deployment.clone(),
            state: states.entry(deployment.id.clone()).or_default().clone(),
            key: affinity::hash(deployment.id.as_bytes()),
            replies: replies.entry(model_key(deployment).into()).or_default().clone(),
            weight,
            order: deployment.order.unwrap_or(i64::MAX),
            meter: self.meters.as_ref().and_then(|meters| meters.meter(deployment)),
        });
        Roster {
            candidates: candidates.collect(),
            list: list.clone(),
            key: affinity::hash(resolved.group.as_bytes()),
            name: resolved.group.clone(),
            turns: Mutex::new(turns),
        }
    }

    /// Nanoseconds since the state was made; a `u64` of them lasts 584 years.
    pub(super) fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.origin))
    }

    /// The reverse of [`State::nanos`].
    pub(super) fn instant(&self, nanos: u64) -> Instant {
        self.origin + Duration::from_nanos(nanos)
    }
}

/// Under which the replies of a deployment's model are known: Azure's own names say nothing.
fn model_key(deployment: &Deployment) -> &str {
    deployment.info.base_model.as_deref().unwrap_or(&deployment.model)
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Far more than the groups of any configuration; the table starts anew beyond it.
const MAX_ROSTERS: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::tests::group;

    #[test]
    fn a_roster_is_made_once_and_shares_its_states_with_others() {
        let catalog = Catalog::build(group("gpt", &["a", "b"]), Vec::new());
        let state = State::new(Instant::now());
        let resolve = |name| state.roster(&catalog.resolve(name).unwrap());
        let (all, one) = (resolve("gpt"), resolve("a"));
        assert!(Arc::ptr_eq(&all, &resolve("gpt")));
        assert_eq!((all.candidates.len(), one.candidates.len()), (2, 1));
        assert!(Arc::ptr_eq(&all.candidates[0].state, &one.candidates[0].state));
    }
}
