//! A budget as people want to see it.

use jiff::Timestamp;
use serde::Serialize;

use crate::money::Usd;
use crate::spend::Budget;

/// What of a budget is used. Amounts are US dollars.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Usage {
    /// `null` where spending has no bound.
    pub monthly_budget: Option<f64>,
    pub spent: f64,
    pub remaining: Option<f64>,
    /// 0 to 100, and beyond it if more was spent than planned.
    pub percentage_used: f64,
    /// The period of the budget, which need not be a month.
    pub budget_duration: Option<String>,
    pub budget_reset_at: Option<Timestamp>,
}

impl Usage {
    /// The view of what was spent in the present period, which ends at `resets`.
    #[must_use]
    pub fn of(budget: Option<&Budget>, spent: Usd, resets: Option<Timestamp>) -> Self {
        let max = budget.map(|budget| budget.max);
        let share = max.filter(|max| *max != Usd::ZERO).map(|max| spent.dollars() / max.dollars());
        Self {
            monthly_budget: max.map(Usd::dollars),
            spent: spent.dollars(),
            remaining: max.map(|max| max.minus(spent).dollars()),
            percentage_used: share.unwrap_or_default() * 100.0,
            budget_duration: budget
                .and_then(|budget| budget.period.map(|period| period.to_string())),
            budget_reset_at: resets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_a_budget_is_25_per_cent() {
        let usd = |dollars| Usd::from_dollars(dollars).unwrap();
        let budget = Budget { max: usd(100.0), period: "monthly".parse().ok() };
        let usage = Usage::of(Some(&budget), usd(25.0), None);
        let shown = serde_json::to_value(&usage).unwrap();
        assert_eq!(shown["monthly_budget"], 100.0);
        assert_eq!(shown["remaining"], 75.0);
        assert_eq!(shown["percentage_used"], 25.0);
        assert_eq!(shown["budget_duration"], "1mo");
        let unbounded = Usage::of(None, usd(3.0), None);
        assert_eq!((unbounded.remaining, unbounded.percentage_used), (None, 0.0));
    }
}
