//! What one payer has spent in this period, and what is held for calls that are under way.
//!
//! Before a call the most that it may cost is held, and after it the hold is replaced by what it
//! cost. So any number of calls at one time cannot spend more than the budget, but for the last of
//! them: where less is left than it may cost, and nothing else is held, it gets what is left. A
//! budget would otherwise end when its rest is smaller than the dearest call that one can think of.
//! It is overspent by at most what that one call costs beyond what was left.
//!
//! Knows nothing of where the sums are kept: it is told what was spent before.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::period::{Period, Term};
use crate::money::Usd;

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub max: Usd,
    /// `None`: ever.
    pub period: Option<Period>,
}

/// A budget that has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    pub max: Usd,
    pub spent: Usd,
    /// Held for calls that are under way.
    pub held: Usd,
    /// When there is a new one.
    pub resets: Option<Timestamp>,
}

/// The sums of one payer for one period.
#[derive(Debug, Default)]
pub struct Account {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// `None`: for ever.
    term: Option<Term>,
    spent: Usd,
    held: Usd,
}

/// An amount that is held. Given back when it is dropped without being settled.
#[derive(Debug)]
pub struct Hold {
    account: Arc<Account>,
    amount: Usd,
}

impl Account {
    /// An account that has spent so much within the term; `None` for one without periods.
    #[must_use]
    pub fn new(term: Option<Term>, spent: Usd) -> Self {
        Self { state: Mutex::new(State { term, spent, held: Usd::ZERO }) }
    }

    /// Holds the most that a call may cost, or what is left of the budget if nothing else is held.
    ///
    /// # Errors
    /// If there is no room. Nothing is held then.
    pub fn hold(
        self: &Arc<Self>,
        budget: &Budget,
        most: Usd,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Hold, Exceeded> {
        let mut state = self.state.lock();
        state.turn(budget.period, now, zone);
        let used = state.spent.plus(state.held);
        let left = budget.max.minus(used);
        let enough = left >= most || state.held == Usd::ZERO;
        if left == Usd::ZERO || !enough {
            return Err(Exceeded {
                max: budget.max,
                spent: state.spent,
                held: state.held,
                resets: state.term.map(|term| term.end),
            });
        }
        let amount = most.min(left);
        state.held = state.held.plus(amount);
        Ok(Hold { account: Arc::clone(self), amount })
    }

    /// What was spent in the period that a moment is in.
    #[must_use]
    pub fn spent(&self, period: Option<Period>, now: Timestamp, zone: &TimeZone) -> Usd {
        let mut state = self.state.lock();
        state.turn(period, now, zone);
        state.spent
    }

    /// Takes over what the ledger knows, which includes what others have spent. What is held stays.
    pub fn learn(&self, term: Option<Term>, spent: Usd) {
        let mut state = self.state.lock();
        state.term = term;
        state.spent = spent;
    }

    /// Whether nothing is held: only then may the account be forgotten.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.state.lock().held == Usd::ZERO
    }
}

impl State {
    /// Starts anew when the period is over.
    fn turn(&mut self, period: Option<Period>, now: Timestamp, zone: &TimeZone) {
        let Some(period) = period else { return };
        if self.term.is_none_or(|term| now >= term.end || now < term.start) {
            let term = period.term(now, zone);
            // What is first asked for in a period may have been spent in it before: whoever makes
            // the account says so.
            if self.term.is_some_and(|before| before.start != term.start) {
                self.spent = Usd::ZERO;
            }
            self.term = Some(term);
        }
    }
}

impl Hold {
    /// Replaces the hold by what the call cost.
    pub fn settle(mut self, cost: Usd) {
        let mut state = self.account.state.lock();
        state.held = state.held.minus(self.amount);
        state.spent = state.spent.plus(cost);
        drop(state);
        self.amount = Usd::ZERO;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if self.amount != Usd::ZERO {
            let mut state = self.account.state.lock();
            state.held = state.held.minus(self.amount);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(dollars: f64) -> Usd {
        Usd::from_dollars(dollars).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOON: &str = "2026-11-21T12:00:00Z";

    #[test]
    fn calls_under_way_count_until_they_are_settled() {
        let account = Arc::new(Account::default());
        let budget = Budget { max: usd(1.0), period: None };
        let hold = |most| account.hold(&budget, usd(most), at(NOON), &TimeZone::UTC);
        let first = hold(0.6).unwrap();
        let refused = hold(0.5).unwrap_err();
        assert_eq!((refused.spent, refused.held, refused.resets), (Usd::ZERO, usd(0.6), None));
        first.settle(usd(0.1));
        let second = hold(0.5).unwrap();
        drop(second);
        assert_eq!(account.spent(None, at(NOON), &TimeZone::UTC), usd(0.1));
        assert!(account.is_idle());
    }

    #[test]
    fn one_call_at_a_time_gets_a_rest_that_may_be_too_small_for_it() {
        let account = Arc::new(Account::new(None, usd(0.9)));
        let budget = Budget { max: usd(1.0), period: None };
        let hold = |most| account.hold(&budget, usd(most), at(NOON), &TimeZone::UTC);
        let last = hold(5.0).unwrap();
        assert!(hold(0.01).is_err(), "all that is left is held");
        last.settle(usd(0.05));
        let last = hold(5.0).unwrap();
        last.settle(usd(0.3));
        let refused = hold(0.000_001).unwrap_err();
        assert_eq!(
            refused.spent,
            usd(1.25),
            "by no more than the last call's cost beyond the rest"
        );
    }

    #[test]
    fn a_new_period_starts_from_nothing_and_keeps_what_is_held() {
        let account = Arc::new(Account::default());
        let budget = Budget { max: usd(1.0), period: "1d".parse().ok() };
        let zone = TimeZone::UTC;
        let held = account.hold(&budget, usd(1.0), at(NOON), &zone).unwrap();
        let refused = account.hold(&budget, usd(0.1), at(NOON), &zone).unwrap_err();
        assert_eq!(refused.resets, Some(at("2026-11-22T00:00:00Z")));
        let tomorrow = at("2026-11-22T00:00:00Z");
        assert!(account.hold(&budget, usd(0.1), tomorrow, &zone).is_err(), "it is still held");
        held.settle(usd(0.7));
        assert_eq!(
            account.spent(budget.period, tomorrow, &zone),
            usd(0.7),
            "paid when it is known"
        );
        let next = at("2026-11-23T00:00:00Z");
        assert_eq!(account.spent(budget.period, next, &zone), Usd::ZERO);
    }

    #[test]
    fn what_was_spent_before_counts() {
        let zone = TimeZone::UTC;
        let period: Period = "1mo".parse().unwrap();
        let account = Arc::new(Account::new(Some(period.term(at(NOON), &zone)), usd(2.0)));
        let budget = Budget { max: usd(2.0), period: Some(period) };
        assert!(account.hold(&budget, usd(0.1), at(NOON), &zone).is_err());
        account.learn(Some(period.term(at(NOON), &zone)), usd(1.0));
        assert!(account.hold(&budget, usd(0.1), at(NOON), &zone).is_ok());
    }
}
