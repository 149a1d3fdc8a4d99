//! What the ledger answers: rows that fit a query, and sums over days.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::{Any, AnyPool, AssertSqlSafe, Row as _};

use super::failed;
use super::ledger::day;
use crate::keys::StoreError;
use crate::spend::{Columns, Grouping, Line, Query, Report, SpendEvent};

/// How many rows a search shows that does not say how many.
const ROWS: u64 = 100;
const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// Conditions with the values that they compare with.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) sql: String,
    values: Vec<Value>,
}

pub(super) enum Value {
    Text(String),
    Number(i64),
}

impl Conditions {
    pub(super) fn add(&mut self, condition: &str, value: Value) {
        self.values.push(value);
        let word = if self.sql.is_empty() { "WHERE" } else { "AND" };
        self.sql += &format!(" {word} {condition} ${}", self.values.len());
    }

    /// A condition that compares with nothing.
    pub(super) fn plain(&mut self, condition: &str) {
        let word = if self.sql.is_empty() { "WHERE" } else { "AND" };
        self.sql += &format!(" {word} {condition}");
    }

    pub(super) fn text(&mut self, condition: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(condition, Value::Text(value.to_owned()));
        }
    }

    pub(super) fn bind(self, statement: String) -> sqlx::query::Query<'static, Any, AnyArguments> {
        let statement = sqlx::query(AssertSqlSafe(statement));
        self.values.into_iter().fold(statement, |statement, value| match value {
            Value::Text(text) => statement.bind(super::values::text(&text)),
            Value::Number(number) => statement.bind(number),
        })
    }
}

/// What a query asks of a row.
fn conditions(query: &Query) -> Conditions {
    let mut conditions = Conditions::default();
    if let Some(span) = query.span {
        conditions.add("started_us >=", Value::Number(span.from_us));
        conditions.add("started_us <", Value::Number(span.to_us));
    }
    if let Some(id) = &query.request_id {
        conditions.values.extend([Value::Text(id.clone()), Value::Text(id.clone())]);
        let word = if conditions.sql.is_empty() { "WHERE" } else { "AND" };
        let at = conditions.values.len();
        conditions.sql += &format!(" {word} (request_id = ${} OR call_id = ${at})", at - 1);
    }
    conditions.text("key_hash =", query.key.as_deref());
    conditions.text("user_id =", query.user.as_deref());
    conditions.text("team_id =", query.team.as_deref());
    conditions.text("end_user =", query.end_user.as_deref());
    conditions.text("model_group =", query.group.as_deref());
    conditions.text("deployment =", query.deployment.as_deref());
    conditions.text("error =", query.error.as_deref());
    if let Some(tag) = &query.tag {
        // Tags stand there as a JSON list of texts. Not by LIKE, for which SQLite takes `A` for `a`.
        let quoted = serde_json::to_string(tag).unwrap_or_default();
        conditions.values.extend(['[', ','].map(|before| Value::Text(format!("{before}{quoted}"))));
        let word = if conditions.sql.is_empty() { "WHERE" } else { "AND" };
        let at = conditions.values.len();
        conditions.sql += &format!(
            " {word} (tags <> REPLACE(tags, ${}, '') OR tags <> REPLACE(tags, ${at}, ''))",
            at - 1
        );
    }
    match query.failed {
        // The index of failures has this condition, word for word.
        Some(true) => conditions.plain("(status >= 400 OR error IS NOT NULL)"),
        Some(false) => conditions.plain("status < 400 AND error IS NULL"),
        None => {}
    }
    let pico = |pico: u64| Value::Number(i64::try_from(pico).unwrap_or(i64::MAX));
    if let Some(least) = query.min_cost_pico {
        conditions.add("cost_pico >=", pico(least));
    }
    if let Some(most) = query.max_cost_pico {
        conditions.add("cost_pico <=", pico(most));
    }
    conditions
}

pub(super) async fn count_found(
    pool: &AnyPool,
    query: &Query,
    most: u64,
) -> Result<u64, StoreError> {
    let conditions = conditions(query);
    let statement = format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM tollgate_spend_log{} LIMIT {most}) AS found",
        conditions.sql
    );
    let row = conditions.bind(statement).fetch_one(pool).await;
    let count = row.and_then(|row| row.try_get::<i64, _>(0)).map_err(|error| failed(&error))?;
    Ok(count.unsigned_abs())
}

pub(super) async fn search(pool: &AnyPool, query: &Query) -> Result<Vec<SpendEvent>, StoreError> {
    let conditions = conditions(query);
    let limit = if query.limit == 0 { ROWS } else { query.limit };
    let statement = format!(
        "SELECT event FROM tollgate_spend_log{} ORDER BY started_us DESC, request_id DESC \
         LIMIT {limit} OFFSET {}",
        conditions.sql,
        query.skip.min(i64::MAX.unsigned_abs())
    );
    let rows = conditions.bind(statement).fetch_all(pool).await;
    let rows = rows.map_err(|error| failed(&error))?;
    let event = |row: &AnyRow| {
        let event: String = row.try_get(0).map_err(|error| failed(&error))?;
        serde_json::from_str(&event)
            .map_err(|error| StoreError::Broken(format!("a row of the ledger: {error}")))
    };
    rows.iter().map(event).collect()
}

/// The column of a grouping, and the scope if it has a table of its own.
const fn column(grouping: Grouping) -> (&'static str, Option<&'static str>) {
    match grouping {
        Grouping::Day => ("day", None),
        Grouping::Key => ("key_hash", None),
        Grouping::User => ("user_id", None),
        Grouping::Team => ("team_id", None),
        Grouping::Organisation => ("organisation_id", None),
        Grouping::Model => ("model_group", None),
        Grouping::Provider => ("provider", None),
        Grouping::EndUser => ("id", Some("end_user")),
        Grouping::Tag => ("id", Some("tag")),
    }
}

pub(super) async fn report(pool: &AnyPool, report: &Report) -> Result<Vec<Line>, StoreError> {
    let columns: Vec<_> = report.by.iter().map(|grouping| column(*grouping)).collect();
    let own = columns.iter().find_map(|(_, scope)| *scope);
    let (key, user, team) = (&report.key, &report.user, &report.team);
    let (group, provider) = (&report.group, &report.provider);
    let narrowed = [key, user, team, group, provider].into_iter().any(Option::is_some);
    let alone = columns.iter().all(|(column, _)| matches!(*column, "id" | "day"));
    if own.is_some() && (narrowed || !alone) {
        return Err(StoreError::Broken(
            "tags and end users are summed up by themselves and by day only".into(),
        ));
    }
    let mut conditions = Conditions::default();
    conditions.add("day >=", Value::Text(day(report.span.from_us)));
    // The day that the end is in belongs to it, unless it is its very beginning.
    let last = report.span.to_us.saturating_sub(1).max(report.span.from_us);
    conditions.add("day <=", Value::Text(day(last.min(i64::MAX - DAY_US))));
    conditions.text("scope =", own);
    conditions.text("key_hash =", key.as_deref());
    conditions.text("user_id =", user.as_deref());
    conditions.text("team_id =", team.as_deref());
    conditions.text("model_group =", group.as_deref());
    conditions.text("provider =", provider.as_deref());
    conditions.text("id =", report.id.as_deref().filter(|_| own.is_some()));
    let groups: Vec<&str> = columns.iter().map(|(column, _)| *column).collect();
    let table = if own.is_some() { "tollgate_spend_daily_by" } else { "tollgate_spend_daily" };
    let sums =
        super::ledger::MEASURES.map(|column| format!("CAST(COALESCE(SUM({column}), 0) AS BIGINT)"));
    let (listed, grouped) = match groups.is_empty() {
        true => (String::new(), String::new()),
        false => {
            let groups = groups.join(", ");
            (format!("{groups}, "), format!(" GROUP BY {groups} ORDER BY {groups}"))
        }
    };
    let statement =
        format!("SELECT {listed}{} FROM {table}{}{grouped}", sums.join(", "), conditions.sql);
    let rows = conditions.bind(statement).fetch_all(pool).await;
    let rows = rows.map_err(|error| failed(&error))?;
    rows.iter().map(|row| line(row, groups.len()).map_err(|error| failed(&error))).collect()
}

fn line(row: &AnyRow, groups: usize) -> Result<Line, sqlx::Error> {
    let group = (0..groups).map(|column| row.try_get(column)).collect::<Result<_, _>>()?;
    let number = |column: usize| row.try_get::<i64, _>(groups + column).map(i64::unsigned_abs);
    let columns = Columns {
        requests: number(0)?,
        failures: number(1)?,
        cache_hits: number(2)?,
        input_tokens: number(3)?,
        output_tokens: number(4)?,
        cache_read_tokens: number(5)?,
        cache_write_tokens: number(6)?,
        reasoning_tokens: number(7)?,
        cost_pico: number(8)?,
        duration_us: number(9)?,
    };
    Ok(Line { group, columns })
}
