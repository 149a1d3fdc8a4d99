//! `GET /ui/api/overview`: a span of time at one look. All of it is from sums that were made when the
//! requests were written down, so it takes as long after a year of traffic as on the first day.
//!
//! ```text
//! steps.rs    how long the steps of an answer are
//! series.rs   what there is over time
//! places.rs   deployments, variants, savings
//! payers.rs   keys, users, teams and tags
//! ```

mod payers;
mod places;
mod series;
mod steps;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use self::payers::{beginning, breakdown, by_tag, counts, payers};
use self::places::{deployments, savings, variants};
use self::series::{Point, Strips, series};
use self::steps::Steps;
use super::super::fault::Fault;
use super::super::form::{Form, Parameters};
use super::super::gate::Operator;
use super::super::reports::{Part, hash_of};
use super::Ui;
use super::shapes::{Known, Line, lines, ms, totals};
use crate::spend::traffic::{Counts, PayerGrouping, Place, Step, Times, Traffic, TrafficQuery};
use crate::spend::{Grouping, Report, Span};

const DAY_US: i64 = Step::Day.us();
const SPAN_DEFAULT_US: i64 = DAY_US;
const SPAN_MAX_US: i64 = 400 * DAY_US;

/// What is told. Of a part of the traffic not all is known: lists are empty then, and numbers null.
#[derive(Default, Serialize)]
pub(super) struct Overview {
    /// Milliseconds, as all times and steps.
    from: i64,
    to: i64,
    step: i64,
    own_only: bool,
    totals: Value,
    before: Value,
    series: Vec<Point>,
    by_provider: Vec<Line>,
    by_group: Vec<Line>,
    by_team: Vec<Line>,
    by_key: Vec<Line>,
    by_user: Vec<Line>,
    by_tag: Vec<Line>,
    errors: Vec<Value>,
    deployments: Vec<Value>,
    uptime: Vec<Value>,
    savings: Option<Value>,
    variants: Vec<Value>,
}

impl Overview {
    fn over(steps: &Steps) -> Self {
        let Span { from_us, to_us } = steps.span;
        Self { from: ms(from_us), to: ms(to_us), step: ms(steps.step.us()), ..Self::default() }
    }
}

/// What is asked for.
struct Asked {
    span: Span,
    group: Option<String>,
    provider: Option<String>,
    deployment: Option<String>,
    tag: Option<String>,
    baseline: Option<String>,
    part: Part,
}

pub(super) async fn overview(
    State(ui): State<Arc<Ui>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Overview>, Fault> {
    let text = |name| form.filled(name);
    let asked = Asked {
        span: span(&form)?,
        group: text("group")?,
        provider: text("provider")?,
        deployment: text("deployment")?,
        tag: text("tag")?,
        baseline: text("baseline")?,
        part: ui.reports.sight(&operator, part(&form)?).await?,
    };
    let now_us = Timestamp::now().as_microsecond();
    let own_only = !operator.sees_all();
    let narrowed = asked.part != Part::default();
    if asked.tag.is_some() {
        let others = [&asked.group, &asked.provider, &asked.deployment];
        if narrowed && !own_only || others.into_iter().any(Option::is_some) {
            let message = "tag cannot be asked for together with other filters".to_owned();
            return Err(Fault::value("tag", message));
        }
        if own_only {
            let message = "The spend of a tag is for those who see everybody's".to_owned();
            return Err(Fault::forbidden(message));
        }
        return of_tag(&ui, &asked, now_us).await.map(Json);
    }
    if narrowed || own_only {
        if asked.deployment.is_some() {
            let message =
                "deployment cannot be asked for together with team, key or user".to_owned();
            return Err(Fault::value("deployment", message));
        }
        return of_payer(&ui, &asked, own_only, now_us).await.map(Json);
    }
    of_all(&ui, &asked, now_us).await.map(Json)
}

/// The span that is asked for; else the last day.
pub(super) fn span(form: &Form) -> Result<Span, Fault> {
    let at = |name: &str| -> Result<Option<i64>, Fault> {
        let given = form.count(name)?.value().and_then(|at| i64::try_from(at).ok());
        Ok(given.map(|at| at.saturating_mul(1_000)))
    };
    let to_us = at("to")?.unwrap_or_else(|| Timestamp::now().as_microsecond());
    let from_us = at("from")?.unwrap_or_else(|| (to_us - SPAN_DEFAULT_US).max(0));
    if from_us >= to_us {
        return Err(Fault::value("from", "from must be before to".to_owned()));
    }
    if to_us - from_us > SPAN_MAX_US {
        return Err(Fault::value("from", "from and to may be 400 days apart".to_owned()));
    }
    // A year that no calendar has.
    if Timestamp::from_microsecond(to_us.saturating_add(DAY_US)).is_err() {
        return Err(Fault::value("to", "to is too far away".to_owned()));
    }
    Ok(Span { from_us, to_us })
}

/// Whose traffic is asked for.
pub(super) fn part(form: &Form) -> Result<Part, Fault> {
    let text = |name| form.filled(name);
    Ok(Part {
        key: text("key")?.map(|key| hash_of(&key)),
        user: text("user")?,
        team: text("team")?,
    })
}

/// Everybody's traffic.
async fn of_all(ui: &Ui, asked: &Asked, now_us: i64) -> Result<Overview, Fault> {
    let steps = Steps::of(asked.span, now_us, false);
    let earlier = steps.before(now_us);
    let query = |steps: &Steps, brief| TrafficQuery {
        span: steps.span,
        step: steps.step,
        times: steps.times,
        times_of_places: steps.times_of_places,
        brief,
        group: asked.group.clone(),
        provider: asked.provider.clone(),
        deployment: asked.deployment.clone(),
    };
    let (now, before) = (query(&steps, false), query(&earlier, true));
    let ledger = &ui.shared.stores.ledger;
    let (traffic, before, by_key, by_user, by_team, by_tag) = futures::try_join!(
        async { Ok::<_, Fault>(ledger.traffic(&now).await?) },
        async { Ok::<_, Fault>(ledger.traffic(&before).await?) },
        breakdown(ui, asked, &steps, PayerGrouping::Key),
        breakdown(ui, asked, &steps, PayerGrouping::User),
        breakdown(ui, asked, &steps, PayerGrouping::Team),
        by_tag(ui, asked, &steps),
    )?;
    let (sum, times) = sum(&traffic);
    let (sum_before, times_before) = self::sum(&before);
    let by = |name: fn(&Place) -> &Arc<str>| {
        let mut sums = BTreeMap::<&str, Counts>::new();
        for (place, counts) in &traffic.by_place {
            sums.entry(name(place)).or_default().add(counts);
        }
        let sums = sums.into_iter().map(|(name, counts)| (name.to_owned(), counts));
        lines(sums.collect(), Known::All)
    };
    let errors: Vec<_> = traffic
        .errors
        .iter()
        .map(|(class, count)| json!({"class": class, "count": count}))
        .collect();
    let strips = Strips::of(&traffic, &steps);
    Ok(Overview {
        totals: totals(&sum, &times, Known::All),
        before: totals(&sum_before, &times_before, Known::All),
        series: series(&steps, &traffic.by_time, &traffic.times_by_time, Known::All),
        by_provider: by(|place| &place.provider),
        by_group: by(|place| &place.group),
        by_team,
        by_key,
        by_user,
        by_tag,
        errors,
        deployments: deployments(ui, asked, &traffic, &strips),
        uptime: strips.providers(),
        savings: savings(ui, asked, &sum, &sum_before),
        variants: variants(ui, &traffic),
        ..Overview::over(&steps)
    })
}

fn sum(traffic: &Traffic) -> (Counts, Times) {
    let (mut counts, mut times) = (Counts::default(), Times::default());
    traffic.by_place.iter().for_each(|(_, more)| counts.add(more));
    traffic.times_by_place.iter().for_each(|(_, more)| times.merge(more));
    (counts, times)
}

/// The traffic of somebody who pays.
async fn of_payer(ui: &Ui, asked: &Asked, own_only: bool, now_us: i64) -> Result<Overview, Fault> {
    let steps = Steps::of(asked.span, now_us, true);
    let earlier = steps.before(now_us);
    let series_daily = steps.step == Step::Day;
    let (by_time, before, by_key, by_user, by_team, by_group, by_provider) = futures::try_join!(
        payers(ui, asked, steps.span, PayerGrouping::Hour, series_daily),
        payers(ui, asked, earlier.span, PayerGrouping::Provider, earlier.daily),
        breakdown(ui, asked, &steps, PayerGrouping::Key),
        breakdown(ui, asked, &steps, PayerGrouping::User),
        breakdown(ui, asked, &steps, PayerGrouping::Team),
        breakdown(ui, asked, &steps, PayerGrouping::Model),
        breakdown(ui, asked, &steps, PayerGrouping::Provider),
    )?;
    let by_time: Vec<(i64, Counts)> =
        by_time.into_iter().filter_map(|(at, counts)| Some((at.parse().ok()?, counts))).collect();
    let mut sum = Counts::default();
    by_time.iter().for_each(|(_, more)| sum.add(more));
    let mut sum_before = Counts::default();
    before.iter().for_each(|(_, more)| sum_before.add(more));
    // Of payers' hours not all kinds of tokens are known, and of their days not what has no tokens.
    let before_known = if earlier.daily { Known::Days } else { Known::Hours };
    let of_series = if series_daily { Known::Days } else { Known::Hours };
    Ok(Overview {
        own_only,
        totals: totals(&sum, &Times::default(), of_series),
        before: totals(&sum_before, &Times::default(), before_known),
        series: series(&steps, &by_time, &[], of_series),
        by_provider,
        by_group,
        by_team,
        by_key,
        by_user,
        ..Overview::over(&steps)
    })
}

/// The traffic with a tag.
async fn of_tag(ui: &Ui, asked: &Asked, now_us: i64) -> Result<Overview, Fault> {
    let steps = Steps::of(asked.span, now_us, true).by_days(now_us);
    let earlier = steps.before(now_us);
    let report = |span| Report {
        by: vec![Grouping::Tag, Grouping::Day],
        id: asked.tag.clone(),
        ..Report::over(span)
    };
    let ledger = &ui.shared.stores.ledger;
    let (now, before) = (report(steps.span), report(earlier.span));
    let (now, before) = futures::try_join!(ledger.report(&now), ledger.report(&before))?;
    let mut by_time = Vec::with_capacity(now.len());
    for line in &now {
        let day = line.group.get(1).map(String::as_str).unwrap_or_default();
        by_time.extend(beginning(day).map(|at| (at, counts(&line.columns))));
    }
    let sum = |lines: &[crate::spend::Line]| {
        let mut sum = Counts::default();
        lines.iter().for_each(|line| sum.add(&counts(&line.columns)));
        sum
    };
    let shown = |sum: &Counts| totals(sum, &Times::default(), Known::Days);
    Ok(Overview {
        totals: shown(&sum(&now)),
        before: shown(&sum(&before)),
        series: series(&steps, &by_time, &[], Known::Days),
        ..Overview::over(&steps)
    })
}
