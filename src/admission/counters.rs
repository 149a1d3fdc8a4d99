//! The port behind which limits and budgets are counted.
//!
//! In memory ([`super::Memory`]) or shared by several gateways (`store`). One decision for all claims
//! of a request: all of them or none.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::claim::{Claim, Claims, Key, Moment, Need, Refusal, Room, Spent};
use crate::keys::StoreError;
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

/// How an account stood at a time: what had been paid for it since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// By the clock of those who count.
    pub at_ms: u64,
    pub paid: Usd,
}

/// An account that the ledger is to be asked for again, as it stood then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub key: Key,
    pub mark: Mark,
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

/// What a request took of one claim where a process decided alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// It has an account.
    pub pays: bool,
    /// The money that is held.
    pub amount: Usd,
    /// A place among the requests at one time.
    pub parallel: bool,
    /// The tokens that were reserved in its window; `None`: it has none.
    pub tokens: Option<u64>,
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

/// Who is told of levels. Never waits. May be told of the same one again.
pub trait Watch: fmt::Debug + Send + Sync {
    fn crossed(&self, crossed: Crossed);
}

/// Where it is kept what people were told, for all gateways and for the time after a restart.
#[async_trait]
pub trait Notices: Send + Sync + 'static {
    /// Takes down that something is told now and not again before `until`. False if it stands there
    /// already, because another gateway has told it.
    async fn note(&self, what: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError>;
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

    /// Takes over what was taken without them because they were away: they are told of it before they
    /// decide again, and hold it until it is settled. `None`: they never are away.
    fn adopt(
        &self,
        claims: &Claims,
        taken: &[Portion],
        terms: &Terms<'_>,
        now: Moment,
    ) -> Option<Box<dyn Held>>;

    /// Takes over what the ledger knows. Accounts that are known already keep what they have, but for
    /// guesses: those are asked for again soon.
    async fn learn(&self, known: &[Known], is_guess: bool, now: Moment) -> Result<(), Stop>;

    /// Accounts that the ledger is to be asked for again: each is told to one gateway, once in a while
    /// as long as somebody needs it.
    fn due(&self) -> Vec<Due>;

    /// All that this gateway spent before this long ago is in the ledger; `None`: who knows.
    fn wrote(&self, lag: Option<Duration>, now: Moment);

    /// All that any gateway spent until then is in the ledger, by the clock of those who count. To be
    /// looked at before the ledger is asked.
    fn written(&self) -> Option<u64>;

    /// Brings accounts in step with what the ledger has said of them: raises what is too low, and with
    /// `written` lowers what is too high, but for what may be on its way to the ledger.
    async fn correct(
        &self,
        said: &[(Mark, Known)],
        written: Option<u64>,
        now: Moment,
    ) -> Result<(), Stop>;

    /// What accounts have spent in these terms, in their order; `None` for those that are not known.
    /// Holds nothing.
    async fn sums(&self, asked: &[(Key, Option<Term>)]) -> Result<Vec<Option<Usd>>, Stop>;

    /// Adds a cost that nobody holds anything for.
    fn pay(&self, claims: &Claims, cost: Usd);

    /// Forgets what a payer has spent, in whichever period: an operator has changed it. `revision`: which
    /// change it is. Of those who share counters each says it, and it counts once.
    fn forget(&self, scope: &Scope, revision: i64);

    /// How many gateways share the counters, this one included; at least 1.
    fn gateways(&self) -> u32;

    /// Whether they answer.
    fn is_well(&self) -> bool;

    /// How often they went away so far.
    fn episode(&self) -> u64;
}

/// Levels of a budget of which somebody is told.
const LEVELS: [Level; 4] =
    [Level::Soft, Level::Percent(85), Level::Percent(95), Level::Percent(100)];

/// Which levels a sum has reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(u8);

impl Reached {
    #[must_use]
    pub fn of(claim: &Claim, spent: Usd) -> Self {
        let mut reached = 0;
        for (bit, level) in LEVELS.into_iter().enumerate() {
            let bound = match level {
                Level::Soft => claim.soft_budget,
                Level::Percent(share) => {
                    claim.max_budget.map(|max| Usd::from_pico(max.pico() / 100 * u64::from(share)))
                }
            };
            // A budget of nothing is used up without anything being spent: nobody is told of that.
            if bound.is_some_and(|bound| spent >= bound && spent != Usd::ZERO) {
                reached |= 1 << bit;
            }
        }
        Self(reached)
    }

    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Those that others do not have.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// What is to be told, at most twice: of the soft budget, and of the highest share of the budget
    /// itself.
    pub fn tell(
        self,
        claim: &Claim,
        spent: Usd,
        resets: Option<Timestamp>,
    ) -> impl Iterator<Item = Crossed> + use<> {
        let is_in = |at: &usize| self.0 & (1 << at) != 0;
        let soft = is_in(&0).then_some(Level::Soft);
        let share = (1..LEVELS.len()).rev().find(is_in).map(|at| LEVELS[at]);
        let Claim { scope, name, max_budget, soft_budget, .. } = claim;
        let (scope, name) = (scope.clone(), name.clone());
        let (max, soft_budget) = (*max_budget, *soft_budget);
        [soft, share].into_iter().flatten().map(move |level| Crossed {
            scope: scope.clone(),
            name: name.clone(),
            level,
            spent,
            max,
            soft: soft_budget,
            resets,
        })
    }
}
