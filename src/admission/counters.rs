//! The port behind which limits and budgets are counted.
//!
//! In memory ([`super::Memory`]) or shared by several gateways (`store`). One decision for all claims
//! of a request: all of them or none.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::claim::{Claim, Claims, Key, Moment, Need, Refusal, Room, Spent};
use crate::money::Usd;
use crate::spend::{Scope, Term};

/// What holds for every decision.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// Whose calendar the periods follow.
    pub zone: &'a TimeZone,
    /// The most that a call may cost is held; otherwise only what was spent counts.
    pub reserves: bool,
    /// This process decides for itself what several share: its part is one of so many.
    pub share: u32,
    /// Counts the times at which `share` began to hold; see [`super::Memory`].
    pub episode: u64,
}

/// Why nothing was taken.
#[derive(Debug)]
pub enum Stop {
    Refused(Box<Refusal>),
    /// What was spent before is not known of these; to be learned, and then asked again.
    Unknown(Vec<Key>),
    /// The counters are out of reach.
    Away,
}

/// What the ledger says of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub key: Key,
    pub term: Option<Term>,
    pub spent: Usd,
}

/// What a request holds of its claims. Dropped without being settled, it gives all of it back.
pub trait Held: fmt::Debug + Send + Sync {
    /// What is left of the limits of requests and tokens.
    fn rooms(&self) -> &[Room];

    /// What each claim had spent before, in their order; empty where nobody asks.
    fn spent(&self) -> &[Usd] {
        &[]
    }

    /// What the key itself had spent before, if it has a budget.
    fn key_spent(&self) -> Option<Usd>;

    /// Replaces what was held by what was really used.
    fn settle(self: Box<Self>, spent: Spent, now: Moment);
}

/// A budget that was used up to a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crossed {
    pub scope: Scope,
    pub name: Option<Arc<str>>,
    pub level: Level,
    pub spent: Usd,
    pub max: Option<Usd>,
    pub soft: Option<Usd>,
    pub resets: Option<Timestamp>,
}

/// How much of a budget is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    Soft,
    /// Per cent of the budget; 100 is all of it.
    Percent(u8),
}

/// Who is told of levels. Never waits.
pub trait Watch: fmt::Debug + Send + Sync {
    fn crossed(&self, crossed: Crossed);
}

/// Where it is counted.
#[async_trait]
pub trait Counters: fmt::Debug + Send + Sync + 'static {
    /// Takes what the claims ask for, of all or of none.
    async fn take(
        &self,
        claims: &Claims,
        need: &Need,
        terms: &Terms<'_>,
        now: Moment,
    ) -> Result<Box<dyn Held>, Stop>;

    /// Takes over what the ledger knows. Accounts that are known already keep what they have, but for
    /// guesses: those are asked for again soon.
    async fn learn(&self, known: &[Known], is_guess: bool) -> Result<(), Stop>;

    /// Adds a cost that nobody holds anything for.
    fn pay(&self, claims: &Claims, cost: Usd);

    /// Forgets what an account has spent: an operator has changed it.
    fn forget(&self, key: &Key);

    /// How many gateways share the counters, this one included; at least 1.
    fn gateways(&self) -> u32;

    /// Whether they answer.
    fn is_well(&self) -> bool;

    /// How often they went away so far.
    fn episode(&self) -> u64;
}

/// Levels of a budget of which somebody is told, beside the soft budget.
const LEVELS: [u8; 3] = [85, 95, 100];

impl Crossed {
    /// The levels that a payment led across, at most two: the soft budget, and the highest share of
    /// the budget itself.
    pub fn levels(
        claim: &Claim,
        before: Usd,
        after: Usd,
        resets: Option<Timestamp>,
    ) -> impl Iterator<Item = Self> + use<> {
        let passes = |level: Usd| before < level && after >= level;
        let soft = claim.soft_budget.filter(|soft| passes(*soft)).map(|_| Level::Soft);
        let max = claim.max_budget;
        let shares = LEVELS.into_iter().rev();
        let share = max.and_then(|max| {
            let mut shares =
                shares.filter(|share| passes(Usd::from_pico(max.pico() / 100 * u64::from(*share))));
            shares.next().map(Level::Percent)
        });
        let (scope, name, soft_budget) =
            (claim.scope.clone(), claim.name.clone(), claim.soft_budget);
        [soft, share].into_iter().flatten().map(move |level| Self {
            scope: scope.clone(),
            name: name.clone(),
            level,
            spent: after,
            max,
            soft: soft_budget,
            resets,
        })
    }
}
