//! Requests and tokens per minute, as the choice sees them: what a deployment may take, what all
//! deployments of its provider may take together, and what the provider said is left.
//!
//! The windows live by the deployment's id and the provider's name, so they survive reloads; the
//! limits come with the deployment, so a new configuration holds at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustc_hash::{FxHashMap, FxHashSet};

use super::meter::{Hold, Meter, Meters, Room};
use super::needs::Needs;
use crate::catalog::{Catalog, Deployment, DeploymentId};
use crate::limits::{
    Cost, Dimension, Hint, Limit, Over, Reservation, Room as Left, Scope, Told, Used, Window,
};
use crate::usage::Usage;

/// The windows of all deployments and providers.
#[derive(Debug)]
pub struct Rates {
    /// Times are kept as milliseconds since then.
    origin: Instant,
    lanes: ArcSwap<FxHashMap<DeploymentId, Arc<Lane>>>,
    providers: Mutex<FxHashMap<Arc<str>, Arc<Window>>>,
    purses: Mutex<FxHashMap<(Purse, Arc<str>), UsedUp>>,
}

/// Until when a budget is used up, as milliseconds; 0: it is not.
type UsedUp = Arc<AtomicU64>;

/// Whose budget it is that deployments are passed over for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purse {
    Provider,
    Deployment,
}

/// How long what nobody can tell the end of is taken to last.
pub const FOR_GOOD: Duration = Duration::from_millis(FOR_GOOD_MS);
const FOR_GOOD_MS: u64 = 100 * 365 * 24 * 3_600 * 1_000;

/// A wait that can be told; of the others nobody knows the end.
#[must_use]
pub fn known(wait: Duration) -> Option<Duration> {
    // Some time has passed since it was decided.
    Some(wait).filter(|wait| *wait < FOR_GOOD / 2)
}

/// What is known of one deployment.
#[derive(Debug, Default)]
struct Lane {
    window: Arc<Window>,
    hint: Hint,
    replies: Replies,
}

/// How long replies usually are; a guess for requests that name no bound of their own.
#[derive(Debug)]
struct Replies(AtomicU64);

/// One deployment's limits in the configuration that its roster was made for.
#[derive(Debug)]
struct Limited {
    origin: Instant,
    lane: Arc<Lane>,
    /// The deployment's own limits, and its provider's.
    scopes: [Scope; SCOPES],
    near: f64,
    /// Whether the provider's own word is taken.
    listens: bool,
    /// Until when its own budget and its provider's are used up, where they have one.
    purses: [Option<UsedUp>; SCOPES],
}

/// The deployment and its provider.
const SCOPES: usize = 2;

/// Before any reply has come.
const USUAL_REPLY: u64 = 256;

impl Rates {
    /// No window known yet. No time passed in later may be before `now`.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self {
            origin: now,
            lanes: ArcSwap::default(),
            providers: Mutex::default(),
            purses: Mutex::default(),
        }
    }

    /// Takes down what a provider's reply says of its limits.
    pub fn told(&self, deployment: &Deployment, told: &Told, now: Instant) {
        let Some(longest) = believed(deployment) else { return };
        if let Some(lane) = self.lanes.load().get(&deployment.id) {
            lane.hint.learn(told, longest, milliseconds(self.origin, now));
        }
    }

    /// Says whether a budget is used up, and until when what it pays for is passed over.
    pub fn spent(&self, whose: Purse, id: &str, until: Option<Instant>) {
        let until = until.map_or(0, |until| milliseconds(self.origin, until).max(1));
        self.purse(whose, id.into()).store(until, Ordering::Relaxed);
    }

    fn purse(&self, whose: Purse, id: Arc<str>) -> Arc<AtomicU64> {
        Arc::clone(self.purses.lock().entry((whose, id)).or_default())
    }

    /// What a deployment has let through within the last minute.
    #[must_use]
    pub fn used(&self, id: &str, now: Instant) -> Option<Used> {
        let lanes = self.lanes.load();
        Some(lanes.get(id)?.window.used(milliseconds(self.origin, now)))
    }

    fn lane(&self, id: &DeploymentId) -> Arc<Lane> {
        if let Some(lane) = self.lanes.load().get(id) {
            return Arc::clone(lane);
        }
        let new = Arc::new(Lane::default());
        self.lanes.rcu(|lanes| {
            let mut lanes = FxHashMap::clone(lanes);
            lanes.entry(Arc::clone(id)).or_insert_with(|| Arc::clone(&new));
            lanes
        });
        self.lanes.load().get(id).map_or(new, Arc::clone)
    }

    fn provider(&self, deployment: &Deployment) -> Arc<Window> {
        let mut providers = self.providers.lock();
        Arc::clone(providers.entry(Arc::clone(&deployment.provider)).or_default())
    }
}

impl Meters for Rates {
    fn meter(&self, deployment: &Deployment) -> Option<Box<dyn Meter>> {
        let caps = &deployment.caps;
        let own = Limit { requests: deployment.rpm, tokens: deployment.tpm };
        let shared = Limit { requests: caps.provider_rpm, tokens: caps.provider_tpm };
        let listens = believed(deployment).is_some();
        if own.is_none() && shared.is_none() && !listens && !caps.has_budget && !caps.has_own_budget
        {
            return None;
        }
        let lane = self.lane(&deployment.id);
        // A provider without a cap has no window of its own: nobody would read it.
        let provider =
            if shared.is_none() { Arc::clone(&lane.window) } else { self.provider(deployment) };
        Some(Box::new(Limited {
            origin: self.origin,
            scopes: [
                Scope { window: Arc::clone(&lane.window), limit: own },
                Scope { window: provider, limit: shared },
            ],
            lane,
            near: caps.near,
            listens,
            purses: [
                caps.has_own_budget
                    .then(|| self.purse(Purse::Deployment, Arc::clone(&deployment.id))),
                caps.has_budget
                    .then(|| self.purse(Purse::Provider, Arc::clone(&deployment.provider))),
            ],
        }))
    }

    fn retain(&self, catalog: &Catalog) {
        let known: FxHashSet<&str> =
            catalog.deployments().iter().map(|deployment| &*deployment.id).collect();
        self.lanes.rcu(|lanes| {
            let mut lanes = FxHashMap::clone(lanes);
            lanes.retain(|id, _| known.contains(&**id));
            lanes
        });
        self.purses.lock().retain(|(whose, id), _| match whose {
            Purse::Provider => true,
            Purse::Deployment => known.contains(&**id),
        });
        let mut providers = self.providers.lock();
        let served: FxHashSet<&str> =
            catalog.deployments().iter().map(|deployment| &*deployment.provider).collect();
        providers.retain(|provider, _| served.contains(&**provider));
    }
}

/// For how long a provider's word is believed. Behind a wildcard it is about one model of many, and
/// so not about the deployment.
fn believed(deployment: &Deployment) -> Option<Duration> {
    deployment.caps.believe.filter(|_| !deployment.model.contains('*'))
}

impl Meter for Limited {
    fn room(&self, needs: Option<&Needs>, now: Instant) -> Room {
        let now_ms = milliseconds(self.origin, now);
        let cost = self.cost(needs);
        let mut near = false;
        let mut over: Option<(u64, &'static str)> = None;
        let names = [["rpm", "tpm"], ["max_requests_per_minute", "max_tokens_per_minute"]];
        let mut look = |room: Left, names: [&'static str; 2], never: bool| match room {
            Left::Free => {}
            Left::Near => near = true,
            Left::Over(Over { dimension, wait_ms }) => {
                let wait_ms = if never { FOR_GOOD_MS } else { wait_ms };
                let name = match dimension {
                    Dimension::Requests => names[0],
                    Dimension::Tokens => names[1],
                };
                // All of them must have room, so the last one to have it counts.
                over = over.max(Some((wait_ms, name)));
            }
        };
        for (scope, names) in self.scopes.iter().zip(names) {
            if !scope.limit.is_none() {
                let room = scope.window.room(&scope.limit, cost, self.near, now_ms);
                look(room, names, scope.limit.never_has_room(cost));
            }
        }
        if self.listens {
            let names = ["provider's request", "provider's token"];
            look(self.lane.hint.room(cost, self.near, now_ms), names, false);
        }
        for (purse, name) in self.purses.iter().zip(["max_budget", "provider_budget_config"]) {
            let until = purse.as_ref().map_or(0, |purse| purse.load(Ordering::Relaxed));
            if until > now_ms {
                over = over.max(Some((until - now_ms, name)));
            }
        }
        match over {
            Some((wait_ms, limit)) => {
                Room::Over { limit, retry_after: Duration::from_millis(wait_ms) }
            }
            None if near => Room::Near,
            None => Room::Free,
        }
    }

    fn take(&self, needs: Option<&Needs>, now: Instant) -> Option<Box<dyn Hold>> {
        let now_ms = milliseconds(self.origin, now);
        let cost = self.cost(needs);
        if self.listens {
            if matches!(self.lane.hint.room(cost, self.near, now_ms), Left::Over(_)) {
                return None;
            }
            self.lane.hint.sent(cost);
        }
        let limited = self.scopes.iter().filter(|scope| !scope.limit.is_none());
        if limited.clone().next().is_none() {
            return Some(Box::new(Nothing));
        }
        let reservation = Reservation::take(limited, cost, now_ms).ok()?;
        Some(Box::new(Held { reservation, lane: Arc::clone(&self.lane), origin: self.origin }))
    }
}

impl Limited {
    /// What a request is expected to take; nothing is known of it where no limit counts tokens.
    fn cost(&self, needs: Option<&Needs>) -> Cost {
        needs.map_or_else(Cost::default, |needs| {
            let each = needs.max_output_tokens.unwrap_or_else(|| self.lane.replies.usual());
            Cost {
                input: needs.input_tokens,
                output: each.saturating_mul(u64::from(needs.replies.max(1))),
            }
        })
    }
}

/// The hold of an attempt on a deployment without limits of its own. Takes no memory.
#[derive(Debug)]
struct Nothing;

impl Hold for Nothing {
    fn settle(&mut self, _usage: &Usage, _now: Instant) {}
}

/// What an attempt holds of its deployment's and its provider's windows.
#[derive(Debug)]
struct Held {
    reservation: Reservation<SCOPES>,
    lane: Arc<Lane>,
    origin: Instant,
}

impl Hold for Held {
    fn settle(&mut self, usage: &Usage, now: Instant) {
        self.lane.replies.learn(usage.output_tokens);
        self.reservation.settle(usage.total_tokens(), milliseconds(self.origin, now));
    }
}

impl Default for Replies {
    fn default() -> Self {
        Self(AtomicU64::new(USUAL_REPLY))
    }
}

impl Replies {
    fn usual(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Moves an eighth of the way. Replies that end at the same moment may be lost: it is a guess.
    fn learn(&self, tokens: u64) {
        let usual = self.usual();
        self.0
            .store((usual.saturating_mul(7).saturating_add(tokens) / 8).max(1), Ordering::Relaxed);
    }
}

fn milliseconds(origin: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(origin).as_millis()).unwrap_or(u64::MAX)
}
