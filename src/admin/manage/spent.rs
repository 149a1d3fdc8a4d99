//! What somebody has spent in the present period, for answers.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Desk, Fault};
use crate::admission::Usage;
use crate::keys::record::{Allowance, BudgetRecord, Record};
use crate::keys::{Budgets, Entry};
use crate::money::Usd;
use crate::spend::{Budget, Period, Scope, Term};

/// Pico-dollars in a dollar.
pub(super) const PICO: f64 = 1e12;

/// What somebody has spent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Standing {
    /// US dollars in the present period, or ever if there is none.
    pub(super) spend: f64,
    pub(super) term: Option<Term>,
    /// What bounds it: its own allowance, and that of the budget that it names.
    effective: Allowance,
    /// Its budget is that of all who have none.
    by_default: bool,
}

/// Somebody whose spend is asked for.
pub(super) struct Payer<'a> {
    pub(super) scope: Scope,
    pub(super) allowance: &'a Allowance,
    /// What holds where the allowance says nothing.
    pub(super) default: Option<Allowance>,
}

impl<'a> Payer<'a> {
    pub(super) fn new(scope: Scope, allowance: &'a Allowance) -> Self {
        Self { scope, allowance, default: None }
    }
}

impl Standing {
    /// Writes `spend` and `budget_reset_at`, and what is left of the budget where there is one.
    pub(super) fn show(&self, fields: &mut Map<String, Value>) {
        fields.insert("spend".to_owned(), json!(self.spend));
        let reset = self.term.map(|term| term.end.to_string());
        fields.insert("budget_reset_at".to_owned(), json!(reset));
        let Some(max) = self.effective.max_budget.and_then(Usd::from_dollars) else { return };
        if self.by_default {
            fields.insert("max_budget".to_owned(), json!(self.effective.max_budget));
            fields.insert("budget_duration".to_owned(), json!(self.effective.budget_duration));
        }
        let budget = Budget { max, period: None };
        let spent = Usd::from_dollars(self.spend.max(0.0)).unwrap_or_default();
        let usage = Usage::of(Some(&budget), spent, None);
        fields.insert("monthly_budget".to_owned(), json!(usage.monthly_budget));
        fields.insert("spent".to_owned(), json!(usage.spent));
        fields.insert("remaining".to_owned(), json!(usage.remaining));
        fields.insert("percentage_used".to_owned(), json!(usage.percentage_used));
    }

    /// Writes the bounds where LiteLLM keeps them, and its clients look for them.
    pub(super) fn show_bounds(&self, fields: &mut Map<String, Value>) {
        fields.insert("litellm_budget_table".to_owned(), json!(self.effective));
    }
}

/// Records as they are shown, in their order: with what each has spent, and what `more` adds.
pub(super) async fn shown<'r, R: Record>(
    desk: &Desk,
    records: &'r [R],
    payer: impl Fn(&'r R) -> Payer<'r>,
    more: impl Fn(&'r R, &Standing, &mut Map<String, Value>),
) -> Result<Vec<Map<String, Value>>, Fault> {
    let payers: Vec<_> = records.iter().map(payer).collect();
    let standings = standings(desk, &payers, Timestamp::now()).await?;
    let shown = records.iter().zip(standings).map(|(record, standing)| {
        let Value::Object(mut fields) = Entry::of(record)?.record else { return Ok(Map::new()) };
        standing.show(&mut fields);
        more(record, &standing, &mut fields);
        Ok(fields)
    });
    shown.collect()
}

/// The period of an allowance that is in force.
pub(super) fn term(desk: &Desk, allowance: &Allowance, now: Timestamp) -> Option<Term> {
    // What is stored was valid when it was written; a later version may know other words.
    let period: Period = allowance.budget_duration.as_deref()?.parse().ok()?;
    Some(period.term(now, &desk.zone()))
}

/// The budgets that allowances name.
pub(super) async fn budgets<'a>(
    desk: &Desk,
    allowances: impl IntoIterator<Item = &'a Allowance>,
) -> Result<Budgets, Fault> {
    let ids = allowances.into_iter().filter_map(|allowance| allowance.budget_id.as_deref());
    let ids: BTreeSet<&str> = ids.collect();
    let mut budgets = Budgets::new();
    for id in ids {
        if let Some(budget) = desk.find::<BudgetRecord>(id).await? {
            budgets.insert(id.to_owned(), budget);
        }
    }
    Ok(budgets)
}

/// What each of them has spent, in their order. Their budgets are looked up.
pub(super) async fn standings(
    desk: &Desk,
    payers: &[Payer<'_>],
    now: Timestamp,
) -> Result<Vec<Standing>, Fault> {
    let budgets = budgets(desk, payers.iter().map(|payer| payer.allowance)).await?;
    let standings = payers.iter().map(|payer| {
        let mut effective = payer.allowance.clone();
        effective.fill_in(&budgets);
        let has_own = effective.max_budget.is_some();
        if let Some(default) = &payer.default {
            effective.default_to(default);
        }
        let by_default = !has_own && effective.max_budget.is_some();
        Standing { spend: 0.0, term: term(desk, &effective, now), effective, by_default }
    });
    let mut standings: Vec<Standing> = standings.collect();
    let since = |standing: &Standing| standing.term.map(|term| term.start.as_microsecond());
    let asked = payers.iter().zip(&standings);
    let asked: Vec<_> = asked.map(|(payer, it)| (payer.scope.clone(), since(it))).collect();
    let sums = desk.ledger.spent_by(&asked).await?;
    for (standing, pico) in standings.iter_mut().zip(sums) {
        standing.spend = pico as f64 / PICO;
    }
    Ok(standings)
}

/// The same for one of them.
pub(super) async fn standing(
    desk: &Desk,
    payer: Payer<'_>,
    now: Timestamp,
) -> Result<Standing, Fault> {
    Ok(standings(desk, &[payer], now).await?.pop().unwrap_or_default())
}

/// Corrects what somebody is said to have spent, to so many dollars in the present period.
pub(super) async fn correct(
    desk: &Desk,
    scope: &Scope,
    standing: &Standing,
    dollars: f64,
    now: Timestamp,
) -> Result<(), Fault> {
    let pico = ((dollars - standing.spend) * PICO).round() as i64;
    if pico != 0 {
        let revision = desk.ledger.adjust(scope, now.as_microsecond(), pico).await?;
        desk.source.spent_changed(scope, revision);
    }
    Ok(())
}
