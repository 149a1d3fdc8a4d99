//! Whose sums were corrected by other means than requests: an operator's word, or an import. Gateways
//! count from what they know, and would not ask again for a long time.

use sqlx::{Any, AnyPool, Row as _, Transaction};

use super::records::next_revision;
use super::{failed, values};
use crate::keys::StoreError;
use crate::spend::{Corrected, Scope, ScopeKind};

/// Corrections that gateways may hear of; older ones are dropped.
const KEPT: i64 = 100_000;
/// The most that are told at once.
const TOLD: i64 = 1_000;

/// Notes whose sums the transaction corrects, when (microseconds since 1970) and by how much. Returns
/// the revision of the first; the others have the next ones.
pub(super) async fn note(
    transaction: &mut Transaction<'static, Any>,
    at_us: i64,
    corrected: &[(Scope, i64)],
) -> Result<i64, StoreError> {
    let first = next_revision(transaction, corrected.len()).await?;
    let mut revision = first;
    for (scope, pico) in corrected {
        let statement = sqlx::query(
            "INSERT INTO tollgate_corrections (revision, scope, id, at_us, pico) \
             VALUES ($1, $2, $3, $4, $5)",
        );
        statement
            .bind(revision)
            .bind(scope.kind.word())
            .bind(values::text(&scope.id))
            .bind(at_us)
            .bind(*pico)
            .execute(&mut **transaction)
            .await
            .map_err(|error| failed(&error))?;
        revision += 1;
    }
    sqlx::query("DELETE FROM tollgate_corrections WHERE revision < $1")
        .bind(revision - KEPT)
        .execute(&mut **transaction)
        .await
        .map_err(|error| failed(&error))?;
    Ok(first)
}

pub(super) async fn since(pool: &AnyPool, revision: Option<i64>) -> Result<Corrected, StoreError> {
    let Some(revision) = revision else {
        let row = sqlx::query("SELECT revision FROM tollgate_latest_revision WHERE id = 1")
            .fetch_one(pool)
            .await;
        let latest = row.and_then(|row| row.try_get(0)).map_err(|error| failed(&error))?;
        return Ok((Vec::new(), latest));
    };
    let rows = sqlx::query(
        "SELECT revision, scope, id FROM tollgate_corrections WHERE revision > $1 \
         ORDER BY revision LIMIT $2",
    )
    .bind(revision)
    .bind(TOLD)
    .fetch_all(pool)
    .await
    .map_err(|error| failed(&error))?;
    let (mut scopes, mut latest) = (Vec::with_capacity(rows.len()), revision);
    for row in &rows {
        latest = row.try_get(0).map_err(|error| failed(&error))?;
        let word: String = row.try_get(1).map_err(|error| failed(&error))?;
        let id: String = row.try_get(2).map_err(|error| failed(&error))?;
        // A kind that only a later version knows is counted by nobody here.
        scopes.extend(ScopeKind::of_word(&word).map(|kind| (Scope::new(kind, id), latest)));
    }
    Ok((scopes, latest))
}
