//! Rows and sums of what was spent.
//!
//! One transaction for a batch: the rows that are new, and with them the sums of everybody who pays
//! and the roll-ups of the day. A row that is there already changes nothing, so a batch may be told
//! again when nobody knows what became of it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use sqlx::any::AnyArguments;
use sqlx::{Any, AssertSqlSafe, Row as _, Transaction};

use super::values::Marks;
use super::{
    Database, contents, corrections, failed, patiently, quarter, reports, traffic, values,
};
use crate::keys::StoreError;
use crate::spend::traffic::{Counts, PayersQuery, Traffic, TrafficQuery};
use crate::spend::{
    Aged, Appended, Columns, Corrected, Ledger, Line, Query, Report, Scope, ScopeKind, Span,
    SpendEvent, Spoken,
};

/// The quarters of an hour in which sums are kept.
pub(super) const QUARTER_US: i64 = 15 * 60 * 1_000_000;
/// The quarter that stands for all of them.
pub(super) const EVER: i64 = -1;
/// The most rows that are removed at once.
const FORGET_AT_ONCE: i64 = 2_000;

/// The most scopes that are asked about in one statement.
const ASKED_AT_ONCE: usize = 500;

const ASKED_COLUMNS: usize = 5;
const ROW_COLUMNS: usize = 19;
const SUM_COLUMNS: usize = 4;
const DAILY_COLUMNS: usize = 17;
const DAILY_BY_COLUMNS: usize = 13;

#[async_trait]
impl Ledger for Database {
    async fn append(&self, events: &[SpendEvent]) -> Result<Appended, StoreError> {
        if events.is_empty() {
            return Ok(Appended::default());
        }
        patiently(async {
            // In one order, and each request once: gateways that are told the same at the same time
            // wait for each other and do not stand in each other's way.
            let events_by_id: BTreeMap<&str, &SpendEvent> =
                events.iter().map(|event| (&*event.request_id, event)).collect();
            let mut once: Vec<&SpendEvent> = events_by_id.into_values().collect();
            let (mut transaction, mut turn) = self.write().await?;
            if add_rows(&mut transaction, &once).await? < once.len() as u64 {
                // Which of them are new is asked only then: the answer costs as much as the rows.
                transaction.rollback().await.map_err(|error| failed(&error))?;
                drop(turn);
                (transaction, turn) = self.write().await?;
                let new = add_new_rows(&mut transaction, &once).await?;
                once.retain(|event| new.contains(&*event.request_id));
            }
            let _turn = turn;
            let appended = Appended { new: once.len(), known: events.len() - once.len() };
            add_sums(&mut transaction, &once).await?;
            add_daily(&mut transaction, &once).await?;
            add_daily_by(&mut transaction, &once).await?;
            traffic::add(&mut transaction, &once).await?;
            if self.is_a_new_hour() {
                traffic::forget(&mut transaction).await?;
            }
            transaction.commit().await.map_err(|error| failed(&error))?;
            Ok(appended)
        })
        .await
    }

    async fn spent(&self, scope: &Scope, since_us: Option<i64>) -> Result<i64, StoreError> {
        let sums = self.spent_by(&[(scope.clone(), since_us)]).await?;
        Ok(sums.first().copied().unwrap_or_default())
    }

    async fn spent_by(&self, scopes: &[(Scope, Option<i64>)]) -> Result<Vec<i64>, StoreError> {
        let mut sums = vec![0; scopes.len()];
        if !self.is_made() {
            return Ok(sums);
        }
        patiently(async {
            let pool = self.pool().await?;
            let mut connection = pool.acquire().await.map_err(|error| failed(&error))?;
            let marks = Marks::of(&connection);
            for (part, sums) in scopes.chunks(ASKED_AT_ONCE).zip(sums.chunks_mut(ASKED_AT_ONCE)) {
                let statement = format!(
                    "WITH asked (at, scope, id, first, last) AS (VALUES {}) \
                     SELECT asked.at, CAST(SUM(sums.pico) AS BIGINT) \
                     FROM asked JOIN tollgate_spend_sums AS sums \
                     ON sums.scope = asked.scope AND sums.id = asked.id \
                     AND sums.quarter >= asked.first AND sums.quarter <= asked.last \
                     GROUP BY asked.at",
                    marks.rows(part.len(), ASKED_COLUMNS)
                );
                let mut statement = sqlx::query(AssertSqlSafe(statement));
                for (at, (scope, since_us)) in (0_i64..).zip(part) {
                    let (first, last) = match since_us {
                        None => (EVER, EVER),
                        // One that has begun by then has no sum of the rest of it.
                        Some(since_us) => (whole_quarters(*since_us), i64::MAX),
                    };
                    statement = statement.bind(at).bind(scope.kind.word());
                    statement = statement.bind(values::text(&scope.id)).bind(first).bind(last);
                }
                let rows = statement.fetch_all(&mut *connection).await;
                let rows = rows.map_err(|error| failed(&error))?;
                for row in &rows {
                    let read =
                        |column| row.try_get::<i64, _>(column).map_err(|error| failed(&error));
                    let at = usize::try_from(read(0)?).unwrap_or(usize::MAX);
                    if let Some(sum) = sums.get_mut(at) {
                        *sum = read(1)?;
                    }
                }
                for ((scope, since_us), sum) in part.iter().zip(sums) {
                    let Some(from_us) = since_us.map(|since_us| since_us.max(0)) else { continue };
                    let to_us = whole_quarters(from_us).saturating_mul(QUARTER_US);
                    if from_us < to_us {
                        let rest = Span { from_us, to_us };
                        *sum += quarter::spent(&mut connection, scope, rest).await?;
                    }
                }
            }
            Ok(())
        })
        .await?;
        Ok(sums)
    }

    async fn adjust(&self, scope: &Scope, at_us: i64, pico: i64) -> Result<i64, StoreError> {
        patiently(async {
            let (mut transaction, _turn) = self.write().await?;
            let quarter = at_us.max(0).div_euclid(QUARTER_US);
            let key = |quarter| (scope.kind.word(), values::text(&scope.id), quarter);
            let sums = BTreeMap::from([(key(EVER), pico), (key(quarter), pico)]);
            let corrected = [(scope.clone(), pico)];
            let revision = corrections::note(&mut transaction, at_us.max(0), &corrected).await?;
            upsert_sums(&mut transaction, &sums.into_iter().collect::<Vec<_>>()).await?;
            transaction.commit().await.map_err(|error| failed(&error))?;
            Ok(revision)
        })
        .await
    }

    async fn corrected_since(&self, revision: Option<i64>) -> Result<Corrected, StoreError> {
        if !self.is_made() {
            return Ok((Vec::new(), 0));
        }
        patiently(async { corrections::since(self.pool().await?, revision).await }).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<SpendEvent>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async { reports::search(self.pool().await?, query).await }).await
    }

    async fn count_found(&self, query: &Query, most: u64) -> Result<u64, StoreError> {
        if !self.is_made() {
            return Ok(0);
        }
        patiently(async { reports::count_found(self.pool().await?, query, most).await }).await
    }

    async fn report(&self, report: &Report) -> Result<Vec<Line>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async { reports::report(self.pool().await?, report).await }).await
    }

    async fn traffic(&self, query: &TrafficQuery) -> Result<Traffic, StoreError> {
        if !self.is_made() {
            return Ok(Traffic::default());
        }
        patiently(async { traffic::traffic(self.pool().await?, query).await }).await
    }

    async fn payers(&self, query: &PayersQuery) -> Result<Vec<(Arc<str>, Counts)>, StoreError> {
        if !self.is_made() {
            return Ok(Vec::new());
        }
        patiently(async { traffic::payers(self.pool().await?, query).await }).await
    }

    async fn keep_spoken(&self, spoken: &[Spoken]) -> Result<(), StoreError> {
        patiently(contents::keep(self, spoken)).await
    }

    async fn spoken(&self, id: &str) -> Result<Option<Spoken>, StoreError> {
        if !self.is_made() {
            return Ok(None);
        }
        patiently(contents::find(self, id)).await
    }

    async fn forget(&self, aged: Aged, before_us: i64) -> Result<u64, StoreError> {
        if !self.is_made() {
            return Ok(0);
        }
        let (statement, before) = match aged {
            Aged::Rows => (
                "DELETE FROM tollgate_spend_log WHERE request_id IN \
                 (SELECT request_id FROM tollgate_spend_log WHERE started_us < $1 \
                  ORDER BY started_us LIMIT $2)",
                before_us,
            ),
            // A quarter is old when its end is; -1 is the sum of all.
            Aged::Sums => (
                "DELETE FROM tollgate_spend_sums WHERE (scope, id, quarter) IN \
                 (SELECT scope, id, quarter FROM tollgate_spend_sums \
                  WHERE quarter >= 0 AND quarter < $1 ORDER BY quarter LIMIT $2)",
                before_us.max(0).div_euclid(QUARTER_US),
            ),
            Aged::Spoken => (
                "DELETE FROM tollgate_contents WHERE request_id IN \
                 (SELECT request_id FROM tollgate_contents WHERE started_us < $1 \
                  ORDER BY started_us LIMIT $2)",
                before_us,
            ),
            Aged::Audit => (
                "DELETE FROM tollgate_audit_log WHERE id IN \
                 (SELECT id FROM tollgate_audit_log WHERE at_us < $1 ORDER BY at_us LIMIT $2)",
                before_us,
            ),
        };
        patiently(async {
            let (mut transaction, _turn) = self.write().await?;
            let statement = sqlx::query(statement).bind(before).bind(FORGET_AT_ONCE);
            let done = statement.execute(&mut *transaction).await;
            let done = done.map_err(|error| failed(&error))?;
            transaction.commit().await.map_err(|error| failed(&error))?;
            Ok(done.rows_affected())
        })
        .await
    }
}

/// The first quarter that begins at a time or after it.
fn whole_quarters(since_us: i64) -> i64 {
    let (quarter, rest) = (since_us.max(0).div_euclid(QUARTER_US), since_us.max(0) % QUARTER_US);
    quarter + i64::from(rest > 0)
}

/// A number as databases take it; none of ours comes near the bound.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn owned(text: Option<&Arc<str>>) -> Option<String> {
    text.map(|text| values::text(text))
}

/// Adds the rows that are new, and says how many they are.
async fn add_rows(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<u64, StoreError> {
    let marks = Marks::of(transaction);
    let mut new = 0;
    for part in values::parts(events, ROW_COLUMNS) {
        let done = insertion(marks, part, "")?.execute(&mut **transaction).await;
        new += done.map_err(|error| failed(&error))?.rows_affected();
    }
    Ok(new)
}

/// Adds the rows that are new, and says which they are.
async fn add_new_rows(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<HashSet<String>, StoreError> {
    let marks = Marks::of(transaction);
    let mut new = HashSet::with_capacity(events.len());
    for part in values::parts(events, ROW_COLUMNS) {
        let statement = insertion(marks, part, " RETURNING request_id")?;
        for row in statement.fetch_all(&mut **transaction).await.map_err(|error| failed(&error))? {
            new.insert(row.try_get(0).map_err(|error| failed(&error))?);
        }
    }
    Ok(new)
}

/// What inserts the rows that are new.
fn insertion(
    marks: Marks,
    events: &[&SpendEvent],
    returning: &str,
) -> Result<sqlx::query::Query<'static, Any, AnyArguments>, StoreError> {
    let statement = format!(
        "INSERT INTO tollgate_spend_log (request_id, call_id, started_us, duration_us, key_hash, user_id, \
         team_id, organisation_id, end_user, model_group, provider, deployment, status, \
         error, \
         input_tokens, output_tokens, cost_pico, tags, event) VALUES {} \
         ON CONFLICT (request_id) DO NOTHING{returning}",
        marks.rows(events.len(), ROW_COLUMNS)
    );
    let mut statement = sqlx::query(AssertSqlSafe(statement));
    for event in events {
        let written = serde_json::to_string(event)
            .map_err(|error| StoreError::Broken(format!("an event cannot be written: {error}")))?;
        let tags = serde_json::to_string(&event.tags).unwrap_or_default();
        statement = statement
            .bind(values::text(&event.request_id))
            .bind(owned(event.call_id.as_ref()))
            .bind(event.started_us)
            .bind(event.duration_us)
            .bind(values::text(&event.key))
            .bind(owned(event.user.as_ref()))
            .bind(owned(event.team.as_ref()))
            .bind(owned(event.organisation.as_ref()))
            .bind(owned(event.end_user.as_ref()))
            .bind(owned(event.group.as_ref()))
            .bind(owned(event.provider.as_ref()))
            .bind(owned(event.deployment.as_ref()))
            .bind(i64::from(event.status))
            .bind(owned(event.error.as_ref()))
            .bind(signed(event.usage.input_tokens))
            .bind(signed(event.usage.output_tokens))
            .bind(signed(event.cost_pico))
            .bind(tags)
            .bind(written);
    }
    Ok(statement)
}

/// Adds to the sums of everybody who pays.
async fn add_sums(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<(), StoreError> {
    // In their order, as the rows.
    let mut sums = BTreeMap::<(&str, String, i64), i64>::new();
    for event in events.iter().filter(|event| event.cost_pico > 0) {
        let quarter = event.started_us.max(0).div_euclid(QUARTER_US);
        let cost = signed(event.cost_pico);
        for scope in event.scopes() {
            for quarter in [EVER, quarter] {
                *sums.entry((scope.kind.word(), values::text(&scope.id), quarter)).or_default() +=
                    cost;
            }
        }
    }
    let sums: Vec<_> = sums.into_iter().collect();
    for part in values::parts(&sums, SUM_COLUMNS) {
        upsert_sums(transaction, part).await?;
    }
    Ok(())
}

/// Adds to sums: those of a scope (its kind's word and its id) and a quarter, in pico-dollars.
pub(super) async fn upsert_sums<Kind: AsRef<str>>(
    transaction: &mut Transaction<'static, Any>,
    sums: &[((Kind, String, i64), i64)],
) -> Result<(), StoreError> {
    let statement = format!(
        "INSERT INTO tollgate_spend_sums (scope, id, quarter, pico) VALUES {} \
         ON CONFLICT (scope, id, quarter) DO UPDATE SET \
         pico = tollgate_spend_sums.pico + excluded.pico",
        Marks::of(transaction).rows(sums.len(), SUM_COLUMNS)
    );
    let mut statement = sqlx::query(AssertSqlSafe(statement));
    for ((kind, id, quarter), pico) in sums {
        statement =
            statement.bind(kind.as_ref().to_owned()).bind(id.clone()).bind(*quarter).bind(*pico);
    }
    statement.execute(&mut **transaction).await.map(drop).map_err(|error| failed(&error))
}

/// The columns of a roll-up, in the order of [`measures`].
pub(super) const MEASURES: [&str; 10] = [
    "requests",
    "failures",
    "cache_hits",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_pico",
    "duration_us",
];

fn measures(columns: &Columns) -> [u64; 10] {
    [
        columns.requests,
        columns.failures,
        columns.cache_hits,
        columns.input_tokens,
        columns.output_tokens,
        columns.cache_read_tokens,
        columns.cache_write_tokens,
        columns.reasoning_tokens,
        columns.cost_pico,
        columns.duration_us,
    ]
}

/// Adds a request to a roll-up.
fn count(columns: &mut Columns, event: &SpendEvent) {
    columns.requests += 1;
    columns.failures += u64::from(event.has_failed());
    columns.cache_hits += u64::from(event.cache_hit);
    columns.input_tokens += event.usage.input_tokens;
    columns.output_tokens += event.usage.output_tokens;
    columns.cache_read_tokens += event.usage.cache_read_tokens;
    columns.cache_write_tokens += event.usage.cache_write_tokens;
    columns.reasoning_tokens += event.usage.reasoning_tokens;
    columns.cost_pico += event.cost_pico;
    columns.duration_us += event.duration_us.unsigned_abs();
}

/// The day of a moment, in UTC: `2026-01-31`.
pub(super) fn day(us: i64) -> String {
    let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%d").to_string()
}

/// What becomes of sums that are there already.
pub(super) fn add_up(table: &str, columns: &[&str]) -> String {
    let added = |column: &&str| format!("{column} = {table}.{column} + excluded.{column}");
    columns.iter().map(added).collect::<Vec<_>>().join(", ")
}

async fn add_daily(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<(), StoreError> {
    let mut days = BTreeMap::<[String; 7], Columns>::new();
    for event in events {
        let named = |text: &Option<Arc<str>>| owned(text.as_ref()).unwrap_or_default();
        let key = [
            day(event.started_us),
            values::text(&event.key),
            named(&event.user),
            named(&event.team),
            named(&event.organisation),
            named(&event.group),
            named(&event.provider),
        ];
        count(days.entry(key).or_default(), event);
    }
    let days: Vec<_> = days.into_iter().collect();
    for part in values::parts(&days, DAILY_COLUMNS) {
        let statement = format!(
            "INSERT INTO tollgate_spend_daily (day, key_hash, user_id, team_id, organisation_id, \
             model_group, provider, {}) VALUES {} ON CONFLICT \
             (day, key_hash, user_id, team_id, organisation_id, model_group, provider) \
             DO UPDATE SET {}",
            MEASURES.join(", "),
            Marks::of(transaction).rows(part.len(), DAILY_COLUMNS),
            add_up("tollgate_spend_daily", &MEASURES)
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for (key, columns) in part {
            statement = key.iter().fold(statement, |statement, part| statement.bind(part.clone()));
            let numbers = measures(columns).map(signed);
            statement = numbers.into_iter().fold(statement, sqlx::query::Query::bind);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}

async fn add_daily_by(
    transaction: &mut Transaction<'static, Any>,
    events: &[&SpendEvent],
) -> Result<(), StoreError> {
    let mut days = BTreeMap::<(String, &str, String), Columns>::new();
    for event in events {
        for scope in event.scopes() {
            if matches!(scope.kind, ScopeKind::Tag | ScopeKind::EndUser) {
                let key = (day(event.started_us), scope.kind.word(), values::text(&scope.id));
                count(days.entry(key).or_default(), event);
            }
        }
    }
    let days: Vec<_> = days.into_iter().collect();
    for part in values::parts(&days, DAILY_BY_COLUMNS) {
        let statement = format!(
            "INSERT INTO tollgate_spend_daily_by (day, scope, id, {}) VALUES {} \
             ON CONFLICT (day, scope, id) DO UPDATE SET {}",
            MEASURES.join(", "),
            Marks::of(transaction).rows(part.len(), DAILY_BY_COLUMNS),
            add_up("tollgate_spend_daily_by", &MEASURES)
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for ((day, scope, id), columns) in part {
            statement = statement.bind(day.clone()).bind(*scope).bind(id.clone());
            let numbers = measures(columns).map(signed);
            statement = numbers.into_iter().fold(statement, sqlx::query::Query::bind);
        }
        statement.execute(&mut **transaction).await.map_err(|error| failed(&error))?;
    }
    Ok(())
}
