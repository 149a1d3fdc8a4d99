//! Who paid: sums of hours while they are kept, of days beyond.

use std::sync::Arc;

use super::super::super::fault::Fault;
use super::super::super::reports::Part;
use super::super::Ui;
use super::super::shapes::{Known, Line, lines};
use super::Asked;
use super::steps::Steps;
use crate::keys::record::{Key, Team, User};
use crate::keys::{KeyHash, fetch};
use crate::spend::traffic::{Counts, PayerGrouping, PayersQuery, Step};
use crate::spend::{Columns, Grouping, Report, Span};

pub(super) fn counts(columns: &Columns) -> Counts {
    Counts {
        requests: columns.requests,
        failures: columns.failures,
        cache_hits: columns.cache_hits,
        input_tokens: columns.input_tokens,
        output_tokens: columns.output_tokens,
        cache_read_tokens: columns.cache_read_tokens,
        cache_write_tokens: columns.cache_write_tokens,
        reasoning_tokens: columns.reasoning_tokens,
        cost_pico: columns.cost_pico,
        ..Counts::default()
    }
}

/// The beginning of a day (`2026-01-31`), in microseconds since 1970.
pub(super) fn beginning(day: &str) -> Option<i64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

/// Sums by who paid: of hours, or of days where those are not kept. Moments are texts of
/// microseconds.
pub(super) async fn payers(
    ui: &Ui,
    asked: &Asked,
    span: Span,
    by: PayerGrouping,
    daily: bool,
) -> Result<Vec<(Arc<str>, Counts)>, Fault> {
    let ledger = &ui.shared.stores.ledger;
    let Part { key, user, team } = asked.part.clone();
    let (group, provider) = (asked.group.clone(), asked.provider.clone());
    if !daily {
        let span = Step::Hour.widen(span);
        let query = PayersQuery { span, by, key, user, team, group, provider, most: 0 };
        return Ok(ledger.payers(&query).await?);
    }
    let grouping = match by {
        PayerGrouping::Hour => Grouping::Day,
        PayerGrouping::Key => Grouping::Key,
        PayerGrouping::User => Grouping::User,
        PayerGrouping::Team => Grouping::Team,
        PayerGrouping::Model => Grouping::Model,
        PayerGrouping::Provider => Grouping::Provider,
    };
    let report =
        Report { by: vec![grouping], key, user, team, group, provider, ..Report::over(span) };
    let lines = ledger.report(&report).await?;
    let line = |line: crate::spend::Line| {
        let name = line.group.first().map(String::as_str).unwrap_or_default();
        let name = match by {
            PayerGrouping::Hour => beginning(name)?.to_string().into(),
            _ => name.into(),
        };
        Some((name, counts(&line.columns)))
    };
    Ok(lines.into_iter().filter_map(line).collect())
}

/// The lines of a breakdown by who paid, with their names.
pub(super) async fn breakdown(
    ui: &Ui,
    asked: &Asked,
    steps: &Steps,
    by: PayerGrouping,
) -> Result<Vec<Line>, Fault> {
    // Who paid is not known by deployments.
    if asked.deployment.is_some() {
        return Ok(Vec::new());
    }
    let sums = payers(ui, asked, steps.span, by, steps.daily).await?;
    let sums = sums.into_iter().map(|(name, counts)| (name.to_string(), counts)).collect();
    let known = if steps.daily { Known::Days } else { Known::Hours };
    let mut lines = lines(sums, known);
    let ids = lines.iter().map(|line| line.id.clone().filter(|id| !id.is_empty()));
    let names = futures::future::join_all(ids.map(async |id| match id {
        Some(id) => name_of(ui, by, &id).await,
        None => Ok(None),
    }));
    for (line, name) in lines.iter_mut().zip(names.await) {
        if let Some(name) = name? {
            line.name = name;
        }
    }
    Ok(lines)
}

/// What somebody is called beside the id.
async fn name_of(ui: &Ui, by: PayerGrouping, id: &str) -> Result<Option<String>, Fault> {
    let directory = &*ui.shared.stores.directory;
    Ok(match by {
        PayerGrouping::Key => {
            let Ok(hash) = id.parse::<KeyHash>() else { return Ok(None) };
            let access = ui.shared.source.access();
            match access.static_keys.get(&hash) {
                Some(holder) => holder.key.key_alias.clone(),
                None => fetch::<Key>(directory, id).await?.and_then(|key| key.key_alias),
            }
        }
        PayerGrouping::User => fetch::<User>(directory, id).await?.and_then(|it| it.user_alias),
        PayerGrouping::Team => fetch::<Team>(directory, id).await?.and_then(|it| it.team_alias),
        PayerGrouping::Hour | PayerGrouping::Model | PayerGrouping::Provider => None,
    })
}

pub(super) async fn by_tag(ui: &Ui, asked: &Asked, steps: &Steps) -> Result<Vec<Line>, Fault> {
    if asked.group.is_some() || asked.provider.is_some() || asked.deployment.is_some() {
        return Ok(Vec::new());
    }
    let report = Report { by: vec![Grouping::Tag], ..Report::over(steps.span) };
    let found = ui.shared.stores.ledger.report(&report).await?;
    let name = |line: &crate::spend::Line| line.group.first().cloned().unwrap_or_default();
    let sums = found.iter().map(|line| (name(line), counts(&line.columns))).collect();
    Ok(lines(sums, Known::Days))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_US: i64 = Step::Day.us();

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(beginning("1970-01-02"), Some(DAY_US));
        assert_eq!(beginning("no day"), None);
    }
}
