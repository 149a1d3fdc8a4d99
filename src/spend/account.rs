//! What one payer has spent in this period, and what is held for calls that are under way.
//!
//! Before a call the most that it may cost is held, and after it the hold is replaced by what it
//! cost. So any number of calls at one time cannot spend more than the budget, but for the last of
//! them: where less is left than it may cost, and nothing else is held, it gets what is left. A
//! budget would otherwise end when its rest is smaller than the dearest call that one can think of.
//! It is overspent by at most what that one call costs beyond what was left.
//!
//! Has no lock: its owner decides about several accounts at once, and gives every hold back. Knows
//! nothing of where the sums are kept: it is told what was spent before.

use jiff::Timestamp;
use jiff::tz::TimeZone;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// `None`: for ever.
    term: Option<Term>,
    spent: Usd,
    held: Usd,
    /// What was settled here since the account was made; only grows.
    settled: Usd,
}

impl Account {
    /// An account that has spent so much within the term; `None` for one without periods.
    #[must_use]
    pub const fn new(term: Option<Term>, spent: Usd) -> Self {
        Self { term, spent, held: Usd::ZERO, settled: Usd::ZERO }
    }

    /// What to hold for a call that may cost `most`: that, or what is left of the budget if nothing
    /// else is held. Holds nothing yet.
    ///
    /// # Errors
    /// If there is no room.
    pub fn room(
        &mut self,
        budget: &Budget,
        most: Usd,
        now: Timestamp,
        zone: &TimeZone,
    ) -> Result<Usd, Exceeded> {
        self.turn(budget.period, now, zone);
        let left = budget.max.minus(self.spent.plus(self.held));
        let enough = left >= most || self.held == Usd::ZERO;
        if left == Usd::ZERO || !enough {
            return Err(Exceeded {
                max: budget.max,
                spent: self.spent,
                held: self.held,
                resets: self.term.map(|term| term.end),
            });
        }
        Ok(most.min(left))
    }

    /// Holds an amount that [`Account::room`] told.
    pub const fn hold(&mut self, amount: Usd) {
        self.held = self.held.plus(amount);
    }

    /// Gives a hold back.
    pub const fn release(&mut self, amount: Usd) {
        self.held = self.held.minus(amount);
    }

    /// Replaces a hold by what the call cost.
    pub const fn settle(&mut self, amount: Usd, cost: Usd) {
        self.release(amount);
        self.spent = self.spent.plus(cost);
        self.settled = self.settled.plus(cost);
    }

    /// What was spent in the period that a moment is in.
    pub fn spent(&mut self, period: Option<Period>, now: Timestamp, zone: &TimeZone) -> Usd {
        self.turn(period, now, zone);
        self.spent
    }

    /// What was spent in the period that was last looked at.
    #[must_use]
    pub const fn sum(&self) -> Usd {
        self.spent
    }

    /// What was spent in a term: nothing, if the one that was last looked at is over by then.
    #[must_use]
    pub fn sum_in(&self, term: Option<Term>) -> Usd {
        let is_past = self.term.zip(term).is_some_and(|(mine, asked)| mine.start < asked.start);
        if is_past { Usd::ZERO } else { self.spent }
    }

    /// What was settled here so far.
    #[must_use]
    pub const fn settled(&self) -> Usd {
        self.settled
    }

    /// Takes over what the ledger knows of a term, which includes what others have spent. What is held
    /// stays. The ledger may not have all of what was settled here lately, `recent`: within these bounds
    /// the own sum is believed.
    pub fn learn(&mut self, term: Option<Term>, spent: Usd, recent: Usd) {
        let is_past = match (self.term, term) {
            (Some(mine), Some(theirs)) => theirs.start < mine.start,
            (Some(_), None) | (None, _) => false,
        };
        if !is_past {
            self.term = term;
            self.spent = self.spent.clamp(spent, spent.plus(recent));
        }
    }

    /// Takes a sum as it is, whatever was known. What is held stays.
    pub const fn know(&mut self, term: Option<Term>, spent: Usd) {
        self.term = term;
        self.spent = spent;
    }

    /// Whether nothing is held: only then may the account be forgotten.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.held == Usd::ZERO
    }

    /// When the present period ends.
    #[must_use]
    pub fn resets(&self) -> Option<Timestamp> {
        self.term.map(|term| term.end)
    }

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

    fn hold(account: &mut Account, budget: &Budget, most: f64, now: &str) -> Result<Usd, Exceeded> {
        let amount = account.room(budget, usd(most), at(now), &TimeZone::UTC)?;
        account.hold(amount);
        Ok(amount)
    }

    #[test]
    fn calls_under_way_count_until_they_are_settled() {
        let mut account = Account::default();
        let budget = Budget { max: usd(1.0), period: None };
        let first = hold(&mut account, &budget, 0.6, NOON).unwrap();
        let refused = hold(&mut account, &budget, 0.5, NOON).unwrap_err();
        assert_eq!((refused.spent, refused.held, refused.resets), (Usd::ZERO, usd(0.6), None));
        account.settle(first, usd(0.1));
        let second = hold(&mut account, &budget, 0.5, NOON).unwrap();
        account.release(second);
        assert_eq!(account.spent(None, at(NOON), &TimeZone::UTC), usd(0.1));
        assert!(account.is_idle());
    }

    #[test]
    fn one_call_at_a_time_gets_a_rest_that_may_be_too_small_for_it() {
        let mut account = Account::new(None, usd(0.9));
        let budget = Budget { max: usd(1.0), period: None };
        let last = hold(&mut account, &budget, 5.0, NOON).unwrap();
        assert!(hold(&mut account, &budget, 0.01, NOON).is_err(), "all that is left is held");
        account.settle(last, usd(0.05));
        let last = hold(&mut account, &budget, 5.0, NOON).unwrap();
        account.settle(last, usd(0.3));
        let refused = hold(&mut account, &budget, 0.000_001, NOON).unwrap_err();
        let most = "by no more than the last call's cost beyond the rest";
        assert_eq!(refused.spent, usd(1.25), "{most}");
    }

    #[test]
    fn a_new_period_starts_from_nothing_and_keeps_what_is_held() {
        let mut account = Account::default();
        let budget = Budget { max: usd(1.0), period: "1d".parse().ok() };
        let zone = TimeZone::UTC;
        let held = hold(&mut account, &budget, 1.0, NOON).unwrap();
        let refused = hold(&mut account, &budget, 0.1, NOON).unwrap_err();
        assert_eq!(refused.resets, Some(at("2026-11-22T00:00:00Z")));
        let tomorrow = "2026-11-22T00:00:00Z";
        assert!(hold(&mut account, &budget, 0.1, tomorrow).is_err(), "it is still held");
        account.settle(held, usd(0.7));
        let spent = account.spent(budget.period, at(tomorrow), &zone);
        assert_eq!(spent, usd(0.7), "paid when it is known");
        let next = at("2026-11-23T00:00:00Z");
        assert_eq!(account.spent(budget.period, next, &zone), Usd::ZERO);
    }

    #[test]
    fn what_was_spent_before_counts() {
        let zone = TimeZone::UTC;
        let period: Period = "1mo".parse().unwrap();
        let term = period.term(at(NOON), &zone);
        let mut account = Account::new(Some(term), usd(2.0));
        let budget = Budget { max: usd(2.0), period: Some(period) };
        assert!(hold(&mut account, &budget, 0.1, NOON).is_err());
        account.learn(Some(term), usd(1.0), Usd::ZERO);
        assert!(hold(&mut account, &budget, 0.1, NOON).is_ok());
    }

    #[test]
    fn the_ledger_is_believed_but_for_what_it_cannot_have_yet() {
        let learned = |ledger, recent| {
            let mut account = Account::new(None, usd(2.0));
            account.settle(Usd::ZERO, usd(0.5));
            account.learn(None, usd(ledger), usd(recent));
            account.spent(None, at(NOON), &TimeZone::UTC)
        };
        assert_eq!(learned(2.1, 0.5), usd(2.5), "some of it is on its way");
        assert_eq!(learned(2.9, 0.5), usd(2.9), "others have spent as well");
        assert_eq!(learned(0.0, 0.5), usd(0.5), "an operator has reset it");
        let zone = TimeZone::UTC;
        let period: Period = "1d".parse().unwrap();
        let (today, tomorrow) = (at(NOON), at("2026-11-22T12:00:00Z"));
        let mut account = Account::new(Some(period.term(tomorrow, &zone)), usd(0.1));
        account.learn(Some(period.term(today, &zone)), usd(9.0), Usd::ZERO);
        assert_eq!(account.spent(Some(period), tomorrow, &zone), usd(0.1), "an answer of the past");
    }
}
