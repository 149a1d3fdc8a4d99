//! `GET /ui/api/overview`: a span of time at one look. All of it is from sums that were made when the
//! requests were written down, so it takes as long after a year of traffic as on the first day.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::Uri;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::form::Form;
use super::super::gate::Operator;
use super::super::reports::{Part, hash_of};
use super::Ui;
use super::deployments::state;
use super::shapes::{Known, Line, dollars, lines, ms, quantiles, rate, totals};
use crate::keys::record::{Key, Team, User};
use crate::keys::{KeyHash, fetch};
use crate::spend::traffic::{
    Counts, PAYERS_KEPT_US, PayerGrouping, PayersQuery, Place, Step, Times, Traffic, TrafficQuery,
};
use crate::spend::{Columns, Grouping, Histogram, Report, Span};
use crate::usage::Usage;

const HOUR_US: i64 = Step::Hour.us();
const DAY_US: i64 = Step::Day.us();
const SPAN_DEFAULT_US: i64 = DAY_US;
const SPAN_MAX_US: i64 = 400 * DAY_US;
/// Cells of a strip: more would be thinner than the eye sees.
const CELLS_MAX: i64 = 96;

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

/// How long the steps are of which an answer is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Steps {
    span: Span,
    step: Step,
    /// Of durations over time.
    times: Step,
    /// Of durations by place.
    times_of_places: Step,
    /// Who paid is known by days only.
    daily: bool,
}

impl Steps {
    /// For a span that is asked for now.
    fn of(asked: Span, now_us: i64, of_payers: bool) -> Self {
        let length = asked.to_us - asked.from_us;
        let is_short = length <= 2 * DAY_US;
        let recent = |kept: i64| asked.from_us > now_us - kept + HOUR_US;
        let is_kept = |step: Step| step.kept_us().is_none_or(recent);
        let hourly = if of_payers { recent(PAYERS_KEPT_US) } else { is_kept(Step::Hour) };
        let step = match () {
            () if is_short && !of_payers && is_kept(Step::Quarter) => Step::Quarter,
            () if length <= 14 * DAY_US && hourly => Step::Hour,
            () => Step::Day,
        };
        let times = match () {
            () if length <= 6 * HOUR_US && step == Step::Quarter => Step::Quarter,
            () if length <= 7 * DAY_US && step != Step::Day => Step::Hour,
            () => Step::Day,
        };
        let daily = !is_short || step == Step::Day || !recent(PAYERS_KEPT_US);
        // What is known by days only is to fit to the rest.
        let whole = if is_short && step != Step::Day { step } else { Step::Day };
        let times_of_places = if whole == Step::Day { Step::Day } else { times };
        Self { span: whole.widen(asked), step, times, times_of_places, daily }
    }

    /// The span of the same length just before, with steps that are still kept.
    fn before(&self, now_us: i64) -> Self {
        let length = self.span.to_us - self.span.from_us;
        let span = Span { from_us: self.span.from_us - length, to_us: self.span.from_us };
        let is_kept = |kept: i64| span.from_us > now_us - kept + HOUR_US;
        let coarser = |least: Step| {
            let fits = |step: &Step| *step >= least && step.kept_us().is_none_or(is_kept);
            Step::ALL.into_iter().find(fits).unwrap_or(Step::Day)
        };
        let daily = self.daily || !is_kept(PAYERS_KEPT_US);
        let (times, times_of_places) = (coarser(self.times), coarser(self.times_of_places));
        Self { span, step: coarser(self.step), times, times_of_places, daily }
    }
}

pub(super) async fn overview(
    State(ui): State<Arc<Ui>>,
    operator: Operator,
    uri: Uri,
) -> Result<Json<Value>, Fault> {
    let form = Form::of_query(uri.query());
    let text = |name: &str| -> Result<Option<String>, Fault> {
        Ok(form.text(name)?.value().filter(|text| !text.is_empty()))
    };
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
    let text = |name: &str| -> Result<Option<String>, Fault> {
        Ok(form.text(name)?.value().filter(|text| !text.is_empty()))
    };
    Ok(Part {
        key: text("key")?.map(|key| hash_of(&key)),
        user: text("user")?,
        team: text("team")?,
    })
}

/// Everybody's traffic.
async fn of_all(ui: &Ui, asked: &Asked, now_us: i64) -> Result<Value, Fault> {
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
    Ok(json!({
        "from": ms(steps.span.from_us),
        "to": ms(steps.span.to_us),
        "step": ms(steps.step.us()),
        "own_only": false,
        "totals": totals(&sum, &times, Known::All),
        "before": totals(&sum_before, &times_before, Known::All),
        "series": series(&steps, &traffic.by_time, &traffic.times_by_time, Known::All),
        "by_provider": by(|place| &place.provider),
        "by_group": by(|place| &place.group),
        "by_team": by_team,
        "by_key": by_key,
        "by_user": by_user,
        "by_tag": by_tag,
        "errors": errors,
        "deployments": deployments(ui, asked, &traffic, &strips),
        "uptime": strips.providers(),
        "savings": savings(ui, asked, &sum, &sum_before),
        "variants": variants(ui, &traffic),
    }))
}

fn sum(traffic: &Traffic) -> (Counts, Times) {
    let (mut counts, mut times) = (Counts::default(), Times::default());
    traffic.by_place.iter().for_each(|(_, more)| counts.add(more));
    traffic.times_by_place.iter().for_each(|(_, more)| times.merge(more));
    (counts, times)
}

/// The traffic of somebody who pays.
async fn of_payer(ui: &Ui, asked: &Asked, own_only: bool, now_us: i64) -> Result<Value, Fault> {
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
    Ok(json!({
        "from": ms(steps.span.from_us),
        "to": ms(steps.span.to_us),
        "step": ms(steps.step.us()),
        "own_only": own_only,
        "totals": totals(&sum, &Times::default(), of_series),
        "before": totals(&sum_before, &Times::default(), before_known),
        "series": series(&steps, &by_time, &[], of_series),
        "by_provider": by_provider,
        "by_group": by_group,
        "by_team": by_team,
        "by_key": by_key,
        "by_user": by_user,
        "by_tag": [],
        "errors": [],
        "deployments": [],
        "uptime": [],
        "savings": null,
        "variants": [],
    }))
}

/// The traffic with a tag.
async fn of_tag(ui: &Ui, asked: &Asked, now_us: i64) -> Result<Value, Fault> {
    let mut steps = Steps::of(asked.span, now_us, true);
    steps.step = Step::Day;
    steps.daily = true;
    steps.span = Step::Day.widen(asked.span);
    let earlier = steps.before(now_us);
    let report = |span| Report {
        by: vec![Grouping::Tag, Grouping::Day],
        id: asked.tag.clone(),
        ..report_of(span)
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
    Ok(json!({
        "from": ms(steps.span.from_us),
        "to": ms(steps.span.to_us),
        "step": ms(steps.step.us()),
        "own_only": false,
        "totals": shown(&sum(&now)),
        "before": shown(&sum(&before)),
        "series": series(&steps, &by_time, &[], Known::Days),
        "by_provider": [],
        "by_group": [],
        "by_team": [],
        "by_key": [],
        "by_user": [],
        "by_tag": [],
        "errors": [],
        "deployments": [],
        "uptime": [],
        "savings": null,
        "variants": [],
    }))
}

fn report_of(span: Span) -> Report {
    Report {
        span,
        by: Vec::new(),
        key: None,
        user: None,
        team: None,
        group: None,
        provider: None,
        id: None,
    }
}

fn counts(columns: &Columns) -> Counts {
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
fn beginning(day: &str) -> Option<i64> {
    let day: jiff::civil::Date = day.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_microsecond())
}

/// Sums by who paid: of hours, or of days where those are not kept. Moments are texts of
/// microseconds.
async fn payers(
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
    let report = Report { by: vec![grouping], key, user, team, group, provider, ..report_of(span) };
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
async fn breakdown(
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

async fn by_tag(ui: &Ui, asked: &Asked, steps: &Steps) -> Result<Vec<Line>, Fault> {
    if asked.group.is_some() || asked.provider.is_some() || asked.deployment.is_some() {
        return Ok(Vec::new());
    }
    let report = Report { by: vec![Grouping::Tag], ..report_of(steps.span) };
    let found = ui.shared.stores.ledger.report(&report).await?;
    let name = |line: &crate::spend::Line| line.group.first().cloned().unwrap_or_default();
    let sums = found.iter().map(|line| (name(line), counts(&line.columns))).collect();
    Ok(lines(sums, Known::Days))
}

#[derive(Serialize)]
struct Point {
    at: i64,
    requests: u64,
    failures: u64,
    timeouts: Option<u64>,
    cost: f64,
    input_tokens: u64,
    output_tokens: u64,
    cache_hits: u64,
    latency: Option<Percentiles>,
    ttft: Option<Percentiles>,
}

#[derive(Clone, Copy, Serialize)]
struct Percentiles {
    p50: f64,
    p95: f64,
    p99: f64,
}

impl Percentiles {
    fn of(histogram: &Histogram) -> Option<Self> {
        let at = |share| Some((histogram.quantile(share)? / 100.0).round() / 10.0);
        Some(Self { p50: at(0.5)?, p95: at(0.95)?, p99: at(0.99)? })
    }
}

/// A point for every step, also where nothing happened. Durations may be known in longer steps: a
/// point has those of the step that it lies in.
fn series(
    steps: &Steps,
    by_time: &[(i64, Counts)],
    times: &[(i64, Times)],
    known: Known,
) -> Vec<Point> {
    let by_time: BTreeMap<i64, &Counts> = by_time.iter().map(|(at, it)| (*at, it)).collect();
    let times: BTreeMap<i64, [Option<Percentiles>; 2]> = times
        .iter()
        .map(|(at, it)| (*at, [&it.latency, &it.first_token].map(Percentiles::of)))
        .collect();
    let nothing = Counts::default();
    let mut points = Vec::new();
    let mut at_us = steps.span.from_us;
    while at_us < steps.span.to_us {
        let counts = by_time.get(&at_us).copied().unwrap_or(&nothing);
        let of = steps.times.slot(at_us) * steps.times.us();
        let [latency, ttft] = times.get(&of).copied().unwrap_or_default();
        points.push(Point {
            at: ms(at_us),
            requests: counts.requests,
            failures: counts.failures,
            timeouts: (known != Known::Days).then_some(counts.timeouts),
            cost: dollars(counts.cost_pico),
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_hits: counts.cache_hits,
            latency,
            ttft,
        });
        at_us += steps.step.us();
    }
    points
}

/// How a provider or a deployment did over time.
#[derive(Clone, Copy, Default, Serialize)]
struct Cell {
    at: i64,
    attempts: u64,
    failures: u64,
}

/// Attempts over time, by provider and by deployment.
struct Strips {
    /// Of one cell.
    us: i64,
    by_provider: BTreeMap<Arc<str>, Vec<Cell>>,
    by_deployment: BTreeMap<Arc<str>, Vec<Cell>>,
}

impl Strips {
    fn of(traffic: &Traffic, steps: &Steps) -> Self {
        let Span { from_us, to_us } = steps.span;
        let all = (to_us - from_us).div_euclid(steps.step.us()).max(1);
        // Whole steps are joined.
        let us = (all + CELLS_MAX - 1).div_euclid(CELLS_MAX) * steps.step.us();
        let count = (to_us - from_us + us - 1).div_euclid(us);
        let empty: Vec<Cell> =
            (0..count).map(|at| Cell { at: ms(from_us + at * us), ..Cell::default() }).collect();
        let mut strips = Self { us, by_provider: BTreeMap::new(), by_deployment: BTreeMap::new() };
        for tally in &traffic.attempts {
            let at = usize::try_from((tally.at_us - from_us).div_euclid(us)).unwrap_or(usize::MAX);
            let strips = [
                (&mut strips.by_provider, &tally.provider),
                (&mut strips.by_deployment, &tally.deployment),
            ];
            for (strips, name) in strips {
                let strip = strips.entry(Arc::clone(name)).or_insert_with(|| empty.clone());
                if let Some(cell) = strip.get_mut(at) {
                    cell.attempts += tally.attempts;
                    cell.failures += tally.failures;
                }
            }
        }
        strips
    }

    fn providers(&self) -> Vec<Value> {
        let strips = self.by_provider.iter().filter(|(provider, _)| !provider.is_empty());
        strips
            .map(|(provider, cells)| {
                json!({"provider": provider, "step": ms(self.us), "cells": cells})
            })
            .collect()
    }
}

/// Deployments in the order of the configuration, then those that are gone but had traffic.
fn deployments(ui: &Ui, asked: &Asked, traffic: &Traffic, strips: &Strips) -> Vec<Value> {
    struct Sum<'a> {
        place: &'a Place,
        counts: Counts,
        times: Times,
    }
    let mut sums = BTreeMap::<&str, Sum<'_>>::new();
    for (place, counts) in traffic.by_place.iter().filter(|(it, _)| !it.deployment.is_empty()) {
        let new = || Sum { place, counts: Counts::default(), times: Times::default() };
        sums.entry(&place.deployment).or_insert_with(new).counts.add(counts);
    }
    for (place, times) in &traffic.times_by_place {
        if let Some(sum) = sums.get_mut(&*place.deployment) {
            sum.times.merge(times);
        }
    }
    let source = &ui.shared.source;
    let fits =
        |filter: &Option<String>, text: &str| filter.as_deref().is_none_or(|filter| filter == text);
    let configured = source.deployments();
    let configured = configured.iter().filter(|info| {
        fits(&asked.group, &info.group)
            && fits(&asked.provider, &info.provider)
            && fits(&asked.deployment, &info.id)
    });
    let shown = |id: &str, group: &str, provider: &str, sum: Option<&Sum<'_>>, more: Value| {
        let counts = sum.map(|sum| sum.counts).unwrap_or_default();
        let nothing = Times::default();
        let times = sum.map_or(&nothing, |sum| &sum.times);
        let mut shown = json!({
            "id": id,
            "group": group,
            "provider": provider,
            "attempts": counts.attempts,
            "attempt_failures": counts.attempt_failures,
            "attempt_timeouts": counts.attempt_timeouts,
            "error_rate": rate(counts.attempt_failures, counts.attempts),
            "timeout_rate": rate(counts.attempt_timeouts, counts.attempts),
            "requests": counts.requests,
            "cost": dollars(counts.cost_pico),
            "input_tokens": counts.input_tokens,
            "output_tokens": counts.output_tokens,
            "latency": quantiles(&times.latency),
            "ttft": quantiles(&times.first_token),
            "cells": strips.by_deployment.get(id).map(Vec::as_slice).unwrap_or_default(),
        });
        if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
            fields.extend(more);
        }
        shown
    };
    let mut all = Vec::new();
    for info in configured {
        let sum = sums.remove(&*info.id);
        let model = info.params.get("model").and_then(Value::as_str).unwrap_or_default();
        let model = model.split_once('/').map_or(model, |(_, model)| model);
        let state = state(&source.seen(&info.id));
        let more = json!({"configured": true, "model": model, "state": state});
        all.push(shown(&info.id, &info.group, &info.provider, sum.as_ref(), more));
    }
    for (id, sum) in &sums {
        let more = json!({"configured": false, "model": null, "state": null});
        all.push(shown(id, &sum.place.group, &sum.place.provider, Some(sum), more));
    }
    all
}

/// What the tokens would have cost at the baseline's price of today.
fn savings(ui: &Ui, asked: &Asked, now: &Counts, before: &Counts) -> Option<Value> {
    let source = &ui.shared.source;
    let configured = source.dashboard();
    let model = asked.baseline.as_deref().or(configured.baseline_model.as_deref())?;
    let mut price = (*source.priced(model)?.price?).clone();
    // A sum of prompts is no long prompt.
    price.tiers.clear();
    let cost = |counts: &Counts| {
        let usage = Usage {
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            cache_read_tokens: counts.cache_read_tokens,
            cache_write_tokens: counts.cache_write_tokens,
            reasoning_tokens: counts.reasoning_tokens,
            ..Usage::default()
        };
        let (cost, baseline) = (dollars(counts.token_cost_pico), price.cost(&usage).dollars());
        json!({"cost": cost, "baseline_cost": baseline, "saved": baseline - cost})
    };
    let (mut shown, before) = (cost(now), cost(before));
    shown["model"] = json!(model);
    shown["before"] = before;
    Some(shown)
}

/// Names whose requests are divided, with what came by them.
fn variants(ui: &Ui, traffic: &Traffic) -> Vec<Value> {
    let came_by = |place: &Place, name: &str, group: &str| {
        let asked = if place.asked.is_empty() { &place.group } else { &place.asked };
        &**asked == name && &*place.group == group
    };
    let shown = ui.shared.source.variants().into_iter().map(|variant| {
        let weights: f64 = variant.members.iter().map(|(_, weight)| weight).sum();
        let members: Vec<(_, _, Counts, Times)> = variant
            .members
            .iter()
            .map(|(group, weight)| {
                let (mut counts, mut times) = (Counts::default(), Times::default());
                let of = |place: &Place| came_by(place, &variant.name, group);
                traffic.by_place.iter().filter(|(it, _)| of(it)).for_each(|(_, it)| counts.add(it));
                let all = traffic.times_by_place.iter();
                all.filter(|(it, _)| of(it)).for_each(|(_, it)| times.merge(it));
                (group, weight / weights.max(f64::MIN_POSITIVE), counts, times)
            })
            .collect();
        let requests: u64 = members.iter().map(|(_, _, counts, _)| counts.requests).sum();
        let members: Vec<_> = members
            .iter()
            .map(|(group, weight, counts, times)| {
                json!({
                    "group": group,
                    "weight": weight,
                    "share": rate(counts.requests, requests),
                    "totals": totals(counts, times, Known::All),
                    "latency": quantiles(&times.latency),
                    "ttft": quantiles(&times.first_token),
                })
            })
            .collect();
        json!({"name": variant.name, "members": members})
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spend::traffic::Tally;

    const NOW_US: i64 = 1_795_278_600_000_000;

    fn steps(ago_us: i64, length_us: i64, of_payers: bool) -> Steps {
        let from_us = NOW_US - ago_us;
        Steps::of(Span { from_us, to_us: from_us + length_us }, NOW_US, of_payers)
    }

    #[test]
    fn longer_spans_have_longer_steps() {
        for (length, of_payers, step, times, daily) in [
            (HOUR_US, false, Step::Quarter, Step::Quarter, false),
            (DAY_US, false, Step::Quarter, Step::Hour, false),
            (2 * DAY_US, false, Step::Quarter, Step::Hour, false),
            (7 * DAY_US, false, Step::Hour, Step::Hour, true),
            (14 * DAY_US, false, Step::Hour, Step::Day, true),
            (30 * DAY_US, false, Step::Day, Step::Day, true),
            (DAY_US, true, Step::Hour, Step::Hour, false),
            (7 * DAY_US, true, Step::Hour, Step::Hour, true),
            (30 * DAY_US, true, Step::Day, Step::Day, true),
        ] {
            let found = steps(length, length, of_payers);
            assert_eq!((found.step, found.times, found.daily), (step, times, daily), "{length}");
            let whole = if length > 2 * DAY_US { DAY_US } else { step.us() };
            assert!(found.times_of_places.us() <= whole.max(HOUR_US), "no more than is asked for");
            assert_eq!((found.span.from_us % whole, found.span.to_us % whole), (0, 0));
        }
    }

    #[test]
    fn what_is_not_kept_any_more_is_not_asked_for() {
        let old = steps(5 * DAY_US, DAY_US, false);
        assert_eq!((old.step, old.daily), (Step::Hour, false));
        let older = steps(30 * DAY_US, DAY_US, false);
        assert_eq!((older.step, older.daily), (Step::Hour, true));
        let oldest = steps(90 * DAY_US, DAY_US, false);
        assert_eq!((oldest.step, oldest.times, oldest.daily), (Step::Day, Step::Day, true));
        assert_eq!(steps(61 * DAY_US, 5 * DAY_US, false).before(NOW_US).step, Step::Day);
        let payer = steps(30 * DAY_US, DAY_US, true);
        assert_eq!((payer.step, payer.daily), (Step::Day, true));
        let before = steps(2 * DAY_US, 2 * DAY_US, false).before(NOW_US);
        assert_eq!(before.step, Step::Hour);
        assert_eq!(before.span.to_us - before.span.from_us, 2 * DAY_US);
    }

    #[test]
    fn a_series_has_a_point_for_every_step() {
        let steps = Steps {
            span: Span { from_us: 0, to_us: 2 * HOUR_US },
            step: Step::Quarter,
            times: Step::Hour,
            times_of_places: Step::Hour,
            daily: false,
        };
        let counts = Counts { requests: 3, timeouts: 1, ..Counts::default() };
        let mut times = Times::default();
        times.latency.add(Histogram::bucket(100_000), 1, 100_000);
        let points =
            series(&steps, &[(Step::Quarter.us(), counts)], &[(HOUR_US, times)], Known::All);
        assert_eq!(points.len(), 8);
        assert_eq!((points[0].requests, points[1].requests), (0, 3));
        assert_eq!(points[1].timeouts, Some(1));
        assert!(points[3].latency.is_none() && points[4].latency.is_some());
        assert!(points[7].latency.is_some() && points[7].ttft.is_none());
    }

    #[test]
    fn strips_have_a_bounded_number_of_cells_and_lose_nothing() {
        let steps = Steps {
            span: Span { from_us: 0, to_us: 14 * DAY_US },
            step: Step::Hour,
            times: Step::Day,
            times_of_places: Step::Day,
            daily: true,
        };
        let attempts = (0..336)
            .map(|at| Tally {
                at_us: at * HOUR_US,
                provider: "openai".into(),
                deployment: "a".into(),
                attempts: 2,
                failures: 1,
            })
            .collect();
        let traffic = Traffic { attempts, ..Traffic::default() };
        let strips = Strips::of(&traffic, &steps);
        let cells = &strips.by_deployment["a"];
        assert!(cells.len() <= CELLS_MAX as usize, "{}", cells.len());
        assert_eq!(strips.us, 4 * HOUR_US);
        assert_eq!(cells.iter().map(|cell| cell.attempts).sum::<u64>(), 672);
        assert_eq!(cells.iter().map(|cell| cell.failures).sum::<u64>(), 336);
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        assert_eq!(beginning("1970-01-02"), Some(DAY_US));
        assert_eq!(beginning("no day"), None);
    }
}
