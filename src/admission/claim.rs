//! What one request asks of everybody whose part it takes, and what became of it.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::limits::{Cost, Dimension, Limit, Used};
use crate::money::Usd;
use crate::spend::{Budget, Period, Scope, ScopeKind};

/// What one scope allows, as it stands in its record or in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub scope: Scope,
    /// Requests and tokens per minute.
    pub limit: Limit,
    /// Requests at one time.
    pub parallel: Option<u64>,
    /// The most that may be spent in each period.
    pub max_budget: Option<Usd>,
    /// Beyond it somebody is told.
    pub soft_budget: Option<Usd>,
    /// The period of both; `None`: ever.
    pub period: Option<Period>,
    /// What it spends is counted although nothing bounds it here: other requests of the same payer are
    /// held to a budget.
    pub counts: bool,
    /// How messages call it, if not by its id.
    pub name: Option<Arc<str>>,
}

/// What the counters of a claim are found by. A budget of another period is another account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    pub scope: Scope,
    pub period: Option<Period>,
}

/// Claims in one order for all requests and without doubles, so that the locks behind them can be
/// held together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims(Vec<Claim>);

/// How much a request needs of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    pub tokens: Cost,
    /// The most that it may cost.
    pub most: Usd,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// It reached a provider: it stays in the windows of requests.
    pub counted: bool,
    /// As the limits count them.
    pub tokens: u64,
    pub cost: Usd,
}

/// A point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since any fixed moment; never goes back.
    pub ms: u64,
    /// By the calendar.
    pub at: Timestamp,
}

/// What is left of a limit after a request was let in, for the headers of its response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub kind: ScopeKind,
    pub limit: Limit,
    pub left: Used,
}

/// Why a request is not let in. Nothing was charged for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub scope: Scope,
    pub name: Option<Arc<str>>,
    pub why: Why,
}

/// Which bound has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    Rate {
        dimension: Dimension,
        limit: u64,
        remaining: u64,
        /// How long until there is room, if nothing else is let in; `None`: there never is.
        wait: Option<Duration>,
    },
    Parallel {
        limit: u64,
    },
    Budget {
        max: Usd,
        spent: Usd,
        /// Held for calls that are under way.
        held: Usd,
        resets: Option<Timestamp>,
    },
    /// What was used cannot be known now, and the configuration wants to be sure.
    Unknown,
}

impl Claim {
    /// A claim that bounds nothing yet.
    #[must_use]
    pub const fn new(scope: Scope) -> Self {
        Self {
            scope,
            limit: Limit { requests: None, tokens: None },
            parallel: None,
            max_budget: None,
            soft_budget: None,
            period: None,
            counts: false,
            name: None,
        }
    }

    /// Whether it bounds or watches anything.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.limit.is_none() && self.parallel.is_none() && !self.pays()
    }

    /// Whether it has an account: for a budget, to see when the soft one is passed, or for others.
    #[must_use]
    pub const fn pays(&self) -> bool {
        self.max_budget.is_some() || self.soft_budget.is_some() || self.counts
    }

    /// Its budget.
    #[must_use]
    pub fn budget(&self) -> Option<Budget> {
        self.max_budget.map(|max| Budget { max, period: self.period })
    }

    /// The period of its account; without one, there is none.
    #[must_use]
    pub fn account_period(&self) -> Option<Period> {
        self.period.filter(|_| self.pays())
    }

    /// What its counters are found by.
    #[must_use]
    pub fn key(&self) -> Key {
        Key { scope: self.scope.clone(), period: self.account_period() }
    }

    fn order(&self) -> (&Scope, Option<Period>) {
        (&self.scope, self.account_period())
    }

    /// What two claims on the same counters allow together: the smaller of each.
    fn meet(&mut self, other: &Self) {
        fn least<T: Ord + Copy>(mine: &mut Option<T>, theirs: Option<T>) {
            *mine = match (*mine, theirs) {
                (Some(mine), Some(theirs)) => Some(mine.min(theirs)),
                (mine, theirs) => mine.or(theirs),
            };
        }
        least(&mut self.limit.requests, other.limit.requests);
        least(&mut self.limit.tokens, other.limit.tokens);
        least(&mut self.parallel, other.parallel);
        least(&mut self.soft_budget, other.soft_budget);
        least(&mut self.max_budget, other.max_budget);
        self.counts |= other.counts;
    }
}

impl Claims {
    /// Leaves out what bounds nothing.
    #[must_use]
    pub fn new(mut claims: Vec<Claim>) -> Self {
        claims.retain(|claim| !claim.is_none());
        claims.sort_by(|one, other| one.order().cmp(&other.order()));
        claims.dedup_by(|later, first| {
            let same = later.order() == first.order();
            if same {
                first.meet(later);
            }
            same
        });
        Self(claims)
    }

    /// Whether there is nothing to decide.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn as_slice(&self) -> &[Claim] {
        &self.0
    }

    /// Whether a claim is about tokens or money: then a request has to be measured first.
    #[must_use]
    pub fn measures(&self) -> bool {
        self.0.iter().any(|claim| claim.limit.tokens.is_some() || claim.max_budget.is_some())
    }
}

impl Refusal {
    /// How long until it is worth to ask again, where that is known and ever the case.
    #[must_use]
    pub fn wait(&self, now: Timestamp) -> Option<Duration> {
        match &self.why {
            Why::Rate { wait, .. } => *wait,
            Why::Parallel { limit: 0 } | Why::Budget { max: Usd::ZERO, .. } => None,
            // Somebody else's request has to end, and nobody knows when.
            Why::Parallel { .. } | Why::Unknown => Some(Duration::from_secs(1)),
            Why::Budget { spent, max, .. } if spent < max => Some(Duration::from_secs(1)),
            Why::Budget { resets, .. } => {
                resets.and_then(|resets| Duration::try_from(resets.duration_since(now)).ok())
            }
        }
    }

    /// Of two reasons the one that the client has to wait for longer; money comes first.
    #[must_use]
    pub fn graver(self, other: Self) -> Self {
        let weight = |refusal: &Self| match &refusal.why {
            Why::Budget { .. } => (3, Duration::ZERO),
            Why::Unknown => (2, Duration::ZERO),
            Why::Rate { wait, .. } => (1, wait.unwrap_or(Duration::MAX)),
            Why::Parallel { .. } => (0, Duration::ZERO),
        };
        if weight(&other) > weight(&self) { other } else { self }
    }
}
