//! Sums of traffic by steps of time: added with the rows of the ledger, read by overviews.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{Any, AnyPool, AssertSqlSafe, Row as _, Transaction};

use super::failed;
use super::ledger::{add_up, signed};
use super::reports::{Conditions, Value};
use super::values::{self, Marks};
use crate::keys::StoreError;
use crate::spend::traffic::{
    Counts, Measure, PAYERS_KEPT_US, PayerGrouping, PayersQuery, Place, Step, Tally, Times,
    Traffic, TrafficQuery, count,
};
use crate::spend::{Histogram, SpendEvent};

const PLACE: &str = "asked, model_group, provider, deployment";
const TIMES_COLUMNS: usize = 10;
const ERROR_COLUMNS: usize = 7;
const PAYER_KEYS: usize = 6;
/// The counts that are kept by who paid.
const PAYER_COUNTS: [&str; 7] = [
    "requests",
    "failures",
    "timeouts",
    "cache_hits",
    "input_tokens",
    "output_tokens",
    "cost_pico",
];

/// Adds requests that are new to all sums of traffic.
pub(super) async fn add(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<(), StoreError> {
    let now_us = Timestamp::now().as_microsecond();
    add_counts(transaction, events, now_us).await?;
    add_times(transaction, events, now_us).await?;
    add_errors(transaction, events, now_us).await?;
    add_payers(transaction, events, now_us).await
}

/// The steps whose sums a moment belongs to. Rows that were brought over may be old.
fn steps(at_us: i64, now_us: i64) -> impl Iterator<Item = (Step, i64)> {
    let at_us = at_us.max(0);
    let age_us = now_us.saturating_sub(at_us);
    let is_kept = move |step: &Step| step.kept_us().is_none_or(|kept| age_us < kept);
    Step::ALL.into_iter().filter(is_kept).map(move |step| (step, step.slot(at_us)))
}

async fn add_counts(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
    now_us: i64,
) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<(i64, i64, Place), Counts>::new();
    for event in events {
        count(event, |place, counts| {
            for (step, slot) in steps(event.started_us, now_us) {
                sums.entry((step.seconds(), slot, place.clone())).or_default().add(&counts);
            }
        });
    }
    const COLUMNS: usize = 6 + Counts::NAMES.len();
    let sums: Vec<_> = sums.into_iter().collect();
    for part in values::parts(&sums, COLUMNS) {
        let statement = format!(
            "INSERT INTO tollgate_traffic (step, slot, {PLACE}, {}) VALUES {} \
             ON CONFLICT (step, slot, {PLACE}) DO UPDATE SET {}",
            Counts::NAMES.join(", "),
            Marks::of(transaction).rows(part.len(), COLUMNS),
            add_up("tollgate_traffic", &Counts::NAMES)
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for ((step, slot, place), counts) in part {
            statement = statement.bind(*step).bind(*slot);
            statement = texts(place).into_iter().fold(statement, sqlx::query::Query::bind);
            let numbers = counts.numbers().map(signed);
            statement = numbers.into_iter().fold(statement, sqlx::query::Query::bind);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

fn texts(place: &Place) -> [String; 4] {
    [&place.asked, &place.group, &place.provider, &place.deployment].map(|text| values::text(text))
}

/// The place that a request ended at.
fn last_place(event: &SpendEvent) -> Place {
    let mut last = Place::default();
    count(event, |place, _| last = place);
    last
}

async fn add_times(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
    now_us: i64,
) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<(i64, i64, Place, i64, i64), [u64; 2]>::new();
    for event in events {
        let place = last_place(event);
        for measure in Measure::ALL {
            let Some(us) = measure.of(event) else { continue };
            let bucket = Histogram::bucket(us) as i64;
            for (step, slot) in steps(event.started_us, now_us) {
                let key = (step.seconds(), slot, place.clone(), measure.number(), bucket);
                let [requests, sum_us] = sums.entry(key).or_default();
                *requests += 1;
                *sum_us += us;
            }
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for part in values::parts(&sums, TIMES_COLUMNS) {
        let statement = format!(
            "INSERT INTO tollgate_traffic_times (step, slot, {PLACE}, measure, bucket, requests, \
             sum_us) VALUES {} ON CONFLICT (step, slot, {PLACE}, measure, bucket) DO UPDATE SET {}",
            Marks::of(transaction).rows(part.len(), TIMES_COLUMNS),
            add_up("tollgate_traffic_times", &["requests", "sum_us"])
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for ((step, slot, place, measure, bucket), numbers) in part {
            statement = statement.bind(*step).bind(*slot);
            statement = texts(place).into_iter().fold(statement, sqlx::query::Query::bind);
            statement = statement.bind(*measure).bind(*bucket);
            statement = numbers.map(signed).into_iter().fold(statement, sqlx::query::Query::bind);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn add_errors(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
    now_us: i64,
) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<(i64, i64, [String; 4]), i64>::new();
    for event in events.iter().filter(|event| event.has_failed() && !event.is_own()) {
        let [_, group, provider, deployment] = texts(&last_place(event));
        let class = event.error.as_deref().unwrap_or("status").to_owned();
        for (step, slot) in steps(event.started_us, now_us) {
            let place = [group.clone(), provider.clone(), deployment.clone(), class.clone()];
            *sums.entry((step.seconds(), slot, place)).or_default() += 1;
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for part in values::parts(&sums, ERROR_COLUMNS) {
        let statement = format!(
            "INSERT INTO tollgate_traffic_errors (step, slot, model_group, provider, deployment, \
             class, requests) VALUES {} \
             ON CONFLICT (step, slot, model_group, provider, deployment, class) DO UPDATE SET {}",
            Marks::of(transaction).rows(part.len(), ERROR_COLUMNS),
            add_up("tollgate_traffic_errors", &["requests"])
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for ((step, slot, place), requests) in part {
            statement = statement.bind(*step).bind(*slot);
            statement =
                place.iter().fold(statement, |statement, text| statement.bind(text.clone()));
            statement = statement.bind(*requests);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn add_payers(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
    now_us: i64,
) -> Result<(), StoreError> {
    let mut sums = BTreeMap::<(i64, [Arc<str>; 5]), Counts>::new();
    let kept = |event: &&&SpendEvent| now_us.saturating_sub(event.started_us) < PAYERS_KEPT_US;
    for event in events.iter().filter(kept) {
        let text = |text: &Option<Arc<str>>| text.clone().unwrap_or_default();
        let payer = [
            Arc::clone(&event.key),
            text(&event.user),
            text(&event.team),
            text(&event.group),
            text(&event.provider),
        ];
        let slot = Step::Hour.slot(event.started_us.max(0));
        sums.entry((slot, payer)).or_default().add_request(event);
    }
    const COLUMNS: usize = PAYER_KEYS + PAYER_COUNTS.len();
    let sums: Vec<_> = sums.into_iter().collect();
    for part in values::parts(&sums, COLUMNS) {
        let keys = "slot, key_hash, user_id, team_id, model_group, provider";
        let statement = format!(
            "INSERT INTO tollgate_traffic_payers ({keys}, {}) VALUES {} \
             ON CONFLICT ({keys}) DO UPDATE SET {}",
            PAYER_COUNTS.join(", "),
            Marks::of(transaction).rows(part.len(), COLUMNS),
            add_up("tollgate_traffic_payers", &PAYER_COUNTS)
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for ((slot, payer), counts) in part {
            statement = statement.bind(*slot);
            statement = payer.iter().fold(statement, |it, text| it.bind(values::text(text)));
            let numbers = [
                counts.requests,
                counts.failures,
                counts.timeouts,
                counts.cache_hits,
                counts.input_tokens,
                counts.output_tokens,
                counts.cost_pico,
            ];
            statement = numbers.map(signed).into_iter().fold(statement, sqlx::query::Query::bind);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Removes sums that longer ones stand for by now.
pub(super) async fn forget(transaction: &mut Transaction<'static, Any>) -> Result<(), StoreError> {
    let now_us = Timestamp::now().as_microsecond();
    for step in Step::ALL {
        let Some(kept_us) = step.kept_us() else { continue };
        for table in ["tollgate_traffic", "tollgate_traffic_times", "tollgate_traffic_errors"] {
            let statement = format!("DELETE FROM {table} WHERE step = $1 AND slot < $2");
            let statement = sqlx::query(AssertSqlSafe(statement));
            let statement = statement.bind(step.seconds()).bind(step.slot(now_us - kept_us));
            statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
        }
    }
    let hour = Step::Hour.slot(now_us - PAYERS_KEPT_US);
    sqlx::query("DELETE FROM tollgate_traffic_payers WHERE slot < $1")
        .bind(hour)
        .execute(&mut **transaction)
        .await
        .map(drop)
        .map_err(|error| failed(&error))
}

/// What a query asks of the sums of a step.
fn conditions(query: &TrafficQuery, step: Step) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.add("step =", Value::Number(step.seconds()));
    conditions.add("slot >=", Value::Number(step.slot(query.span.from_us)));
    let last = step.slot(query.span.to_us.saturating_sub(1).max(query.span.from_us));
    conditions.add("slot <=", Value::Number(last));
    conditions.text("model_group =", query.group.as_deref());
    conditions.text("provider =", query.provider.as_deref());
    conditions.text("deployment =", query.deployment.as_deref());
    conditions
}

async fn rows(
    pool: &AnyPool,
    conditions: Conditions,
    selected: &str,
    grouped: &str,
) -> Result<Vec<AnyRow>, StoreError> {
    let statement = format!("{selected}{}{grouped}", conditions.sql);
    conditions.bind(statement).fetch_all(pool).await.map_err(|error| failed(&error))
}

fn sums(columns: &[&str]) -> String {
    let sums: Vec<_> =
        columns.iter().map(|column| format!("CAST(SUM({column}) AS BIGINT)")).collect();
    sums.join(", ")
}

fn number(row: &AnyRow, column: usize) -> Result<u64, StoreError> {
    let number = row.try_get::<i64, _>(column).map_err(|error| failed(&error))?;
    Ok(number.unsigned_abs())
}

fn signed_number(row: &AnyRow, column: usize) -> Result<i64, StoreError> {
    row.try_get(column).map_err(|error| failed(&error))
}

fn text(row: &AnyRow, column: usize) -> Result<Arc<str>, StoreError> {
    let text: String = row.try_get(column).map_err(|error| failed(&error))?;
    Ok(text.into())
}

fn counts(row: &AnyRow, first: usize) -> Result<Counts, StoreError> {
    let mut numbers = [0; Counts::NAMES.len()];
    for (at, into) in numbers.iter_mut().enumerate() {
        *into = number(row, first + at)?;
    }
    Ok(Counts::of(numbers))
}

fn place(row: &AnyRow) -> Result<Place, StoreError> {
    Ok(Place {
        asked: text(row, 0)?,
        group: text(row, 1)?,
        provider: text(row, 2)?,
        deployment: text(row, 3)?,
    })
}

/// Sums of traffic.
pub(super) async fn traffic(pool: &AnyPool, query: &TrafficQuery) -> Result<Traffic, StoreError> {
    let all = sums(&Counts::NAMES);
    let by_place = async {
        let selected = format!("SELECT {PLACE}, {all} FROM tollgate_traffic");
        let grouped = format!(" GROUP BY {PLACE} ORDER BY {PLACE}");
        let rows = rows(pool, conditions(query, query.step), &selected, &grouped).await?;
        rows.iter().map(|row| Ok((place(row)?, counts(row, 4)?))).collect::<Result<Vec<_>, _>>()
    };
    let times_by_place = async {
        let selected = format!(
            "SELECT {PLACE}, measure, bucket, {} FROM tollgate_traffic_times",
            sums(&["requests", "sum_us"])
        );
        let grouped = format!(" GROUP BY {PLACE}, measure, bucket ORDER BY {PLACE}");
        let rows =
            rows(pool, conditions(query, query.times_of_places), &selected, &grouped).await?;
        let mut all: Vec<(Place, Times)> = Vec::new();
        for row in &rows {
            let place = place(row)?;
            if all.last().is_none_or(|(last, _)| *last != place) {
                all.push((place, Times::default()));
            }
            if let Some((_, times)) = all.last_mut() {
                add_bucket(times, row, 4)?;
            }
        }
        Ok(all)
    };
    if query.brief {
        let (by_place, times_by_place) = futures::try_join!(by_place, times_by_place)?;
        return Ok(Traffic { by_place, times_by_place, ..Traffic::default() });
    }
    let us = query.step.us();
    let by_time = async {
        let selected = format!("SELECT slot, {all} FROM tollgate_traffic");
        let grouped = " GROUP BY slot ORDER BY slot";
        let rows = rows(pool, conditions(query, query.step), &selected, grouped).await?;
        let line = |row: &AnyRow| Ok((signed_number(row, 0)?.saturating_mul(us), counts(row, 1)?));
        rows.iter().map(line).collect::<Result<Vec<_>, _>>()
    };
    let attempts = async {
        let mut conditions = conditions(query, query.step);
        conditions.plain("attempts > 0");
        let selected = format!(
            "SELECT slot, provider, deployment, {} FROM tollgate_traffic",
            sums(&["attempts", "attempt_failures"])
        );
        let grouped = " GROUP BY slot, provider, deployment ORDER BY slot";
        let rows = rows(pool, conditions, &selected, grouped).await?;
        // There are many, of few names.
        let mut names = HashMap::<Arc<str>, Arc<str>>::new();
        let mut shared =
            |name: Arc<str>| Arc::clone(names.entry(Arc::clone(&name)).or_insert(name));
        let mut all = Vec::with_capacity(rows.len());
        for row in &rows {
            all.push(Tally {
                at_us: signed_number(row, 0)?.saturating_mul(us),
                provider: shared(text(row, 1)?),
                deployment: shared(text(row, 2)?),
                attempts: number(row, 3)?,
                failures: number(row, 4)?,
            });
        }
        Ok(all)
    };
    let times_by_time = async {
        let selected = format!(
            "SELECT slot, measure, bucket, {} FROM tollgate_traffic_times",
            sums(&["requests", "sum_us"])
        );
        let grouped = " GROUP BY slot, measure, bucket ORDER BY slot";
        let rows = rows(pool, conditions(query, query.times), &selected, grouped).await?;
        let mut all: Vec<(i64, Times)> = Vec::new();
        for row in &rows {
            let at = signed_number(row, 0)?.saturating_mul(query.times.us());
            if all.last().is_none_or(|(last, _)| *last != at) {
                all.push((at, Times::default()));
            }
            if let Some((_, times)) = all.last_mut() {
                add_bucket(times, row, 1)?;
            }
        }
        Ok(all)
    };
    let errors = async {
        let selected =
            format!("SELECT class, {} FROM tollgate_traffic_errors", sums(&["requests"]));
        let grouped = " GROUP BY class ORDER BY 2 DESC, class";
        let rows = rows(pool, conditions(query, query.step), &selected, grouped).await?;
        let line = |row: &AnyRow| Ok((text(row, 0)?, number(row, 1)?));
        rows.iter().map(line).collect::<Result<Vec<_>, _>>()
    };
    let (by_place, times_by_place, by_time, attempts, times_by_time, errors) =
        futures::try_join!(by_place, times_by_place, by_time, attempts, times_by_time, errors)?;
    Ok(Traffic { by_time, by_place, attempts, times_by_time, times_by_place, errors })
}

/// Adds a row of measure, bucket, number and sum.
fn add_bucket(times: &mut Times, row: &AnyRow, first: usize) -> Result<(), StoreError> {
    let measure = signed_number(row, first)?;
    let Some(measure) = Measure::ALL.into_iter().find(|it| it.number() == measure) else {
        return Ok(());
    };
    let bucket = usize::try_from(signed_number(row, first + 1)?).unwrap_or_default();
    times.of(measure).add(bucket, number(row, first + 2)?, number(row, first + 3)?);
    Ok(())
}

/// Sums of hours by who paid.
pub(super) async fn payers(
    pool: &AnyPool,
    query: &PayersQuery,
) -> Result<Vec<(Arc<str>, Counts)>, StoreError> {
    let mut conditions = Conditions::default();
    conditions.add("slot >=", Value::Number(Step::Hour.slot(query.span.from_us)));
    let last = query.span.to_us.saturating_sub(1).max(query.span.from_us);
    conditions.add("slot <=", Value::Number(Step::Hour.slot(last)));
    conditions.text("key_hash =", query.key.as_deref());
    conditions.text("user_id =", query.user.as_deref());
    conditions.text("team_id =", query.team.as_deref());
    conditions.text("model_group =", query.group.as_deref());
    conditions.text("provider =", query.provider.as_deref());
    let column = match query.by {
        PayerGrouping::Hour => "slot",
        PayerGrouping::Key => "key_hash",
        PayerGrouping::User => "user_id",
        PayerGrouping::Team => "team_id",
        PayerGrouping::Model => "model_group",
        PayerGrouping::Provider => "provider",
    };
    let cost = PAYER_COUNTS.len() + 1;
    let order = match query.by {
        PayerGrouping::Hour => "slot".to_owned(),
        _ => format!("{cost} DESC, 2 DESC, {column}"),
    };
    let bound = if query.most == 0 { String::new() } else { format!(" LIMIT {}", query.most) };
    let selected = format!("SELECT {column}, {} FROM tollgate_traffic_payers", sums(&PAYER_COUNTS));
    let grouped = format!(" GROUP BY {column} ORDER BY {order}{bound}");
    let rows = rows(pool, conditions, &selected, &grouped).await?;
    let mut lines = Vec::with_capacity(rows.len());
    for row in &rows {
        let name = match query.by {
            PayerGrouping::Hour => {
                signed_number(row, 0)?.saturating_mul(Step::Hour.us()).to_string().into()
            }
            _ => text(row, 0)?,
        };
        let counts = Counts {
            requests: number(row, 1)?,
            failures: number(row, 2)?,
            timeouts: number(row, 3)?,
            cache_hits: number(row, 4)?,
            input_tokens: number(row, 5)?,
            output_tokens: number(row, 6)?,
            cost_pico: number(row, 7)?,
            ..Counts::default()
        };
        lines.push((name, counts));
    }
    Ok(lines)
}
