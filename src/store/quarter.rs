//! A part of a quarter of an hour, of which there is no sum: from the rows of requests, and from what was
//! corrected since.
//!
//! For budgets whose periods begin within a quarter, such as those of 30 seconds or ten minutes. Rows are
//! kept for a day at least, and no such period is longer.

use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{failed, values};
use crate::keys::StoreError;
use crate::spend::{Scope, ScopeKind, Span, SpendEvent};

/// What a scope has spent in a time, in pico-dollars.
pub(super) async fn spent(
    connection: &mut AnyConnection,
    scope: &Scope,
    span: Span,
) -> Result<i64, StoreError> {
    let rows = by_rows(connection, scope, span).await?;
    let corrections = sqlx::query(
        "SELECT CAST(COALESCE(SUM(pico), 0) AS BIGINT) FROM tollgate_corrections \
         WHERE at_us >= $1 AND at_us < $2 AND scope = $3 AND id = $4",
    )
    .bind(span.from_us)
    .bind(span.to_us)
    .bind(scope.kind.word())
    .bind(values::text(&scope.id))
    .fetch_one(connection)
    .await;
    let corrected: i64 =
        corrections.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
    Ok(rows.saturating_add(corrected))
}

async fn by_rows(
    connection: &mut AnyConnection,
    scope: &Scope,
    span: Span,
) -> Result<i64, StoreError> {
    let id = values::text(&scope.id);
    let named = |column: &str| (format!("AND {column} = $3"), vec![id.clone()]);
    let quoted = |text: &str| serde_json::to_string(text).unwrap_or_default();
    // Not by LIKE, for which SQLite takes `A` for `a`.
    let of_key = |key: &str| {
        let account = format!("\"account\":{}", quoted(key));
        let replaced = "event <> REPLACE(event, '\"account\":\"', '')";
        let sql =
            format!("AND ((key_hash = $3 AND NOT {replaced}) OR event <> REPLACE(event, $4, ''))");
        (sql, vec![key.to_owned(), account])
    };
    let (condition, bound) = match scope.kind {
        ScopeKind::Proxy => (String::new(), Vec::new()),
        ScopeKind::Organisation => named("organisation_id"),
        ScopeKind::Team => named("team_id"),
        ScopeKind::TeamMember => named("team_id || '/' || user_id"),
        ScopeKind::User => named("user_id"),
        ScopeKind::Key => of_key(&id),
        ScopeKind::EndUser => named("end_user"),
        ScopeKind::Model => named("model_group"),
        ScopeKind::Provider => named("provider"),
        ScopeKind::Deployment => named("deployment"),
        ScopeKind::KeyModel => of_key(id.split('/').next().unwrap_or_default()),
        // It has no budget, so nobody asks.
        ScopeKind::TeamModel => return Ok(0),
        ScopeKind::Tag => ("AND tags <> REPLACE(tags, $3, '')".to_owned(), vec![quoted(&id)]),
    };
    // Of these a row tells only as a whole which it is about.
    let is_inexact = matches!(scope.kind, ScopeKind::KeyModel | ScopeKind::Tag);
    let what = if is_inexact { "event" } else { "CAST(COALESCE(SUM(cost_pico), 0) AS BIGINT)" };
    let statement = format!(
        "SELECT {what} FROM tollgate_spend_log \
         WHERE started_us >= $1 AND started_us < $2 AND cost_pico > 0 {condition}"
    );
    let statement = sqlx::query(AssertSqlSafe(statement)).bind(span.from_us).bind(span.to_us);
    let statement = bound.into_iter().fold(statement, sqlx::query::Query::bind);
    if !is_inexact {
        let row = statement.fetch_one(connection).await;
        return row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error));
    }
    let rows = statement.fetch_all(connection).await.map_err(|error| failed(&error))?;
    let mut sum = 0_i64;
    for row in &rows {
        let event: String = row.try_get(0).map_err(|error| failed(&error))?;
        let event: SpendEvent = serde_json::from_str(&event)
            .map_err(|error| StoreError::Broken(format!("a row of the ledger: {error}")))?;
        let is_it = |other: &Scope| other.kind == scope.kind && values::text(&other.id) == id;
        // Once for each time that it pays, as in the sums.
        let times = event.scopes().filter(is_it).count();
        let cost = i64::try_from(event.cost_pico).unwrap_or(i64::MAX);
        sum = sum.saturating_add(cost.saturating_mul(i64::try_from(times).unwrap_or(i64::MAX)));
    }
    Ok(sum)
}
