//! What was said in requests, where it is kept. Not a part of the ledger's transactions: a row does not wait
//! for it, and sums know nothing of it.

use sqlx::{AssertSqlSafe, Row as _};

use super::values::{self, Marks};
use super::{Database, failed};
use crate::keys::StoreError;
use crate::spend::Spoken;

const COLUMNS: usize = 4;

/// Adds what is new; what is there already stays as it is.
pub(super) async fn keep(database: &Database, spoken: &[Spoken]) -> Result<(), StoreError> {
    let (mut transaction, _turn) = database.write().await?;
    for part in spoken.chunks(values::rows_max(COLUMNS)) {
        let statement = format!(
            "INSERT INTO tollgate_contents (request_id, started_us, request, reply) VALUES {} \
             ON CONFLICT (request_id) DO NOTHING",
            Marks::of(&transaction).rows(part.len(), COLUMNS)
        );
        let mut statement = sqlx::query(AssertSqlSafe(statement));
        for one in part {
            statement = statement
                .bind(values::text(&one.request_id))
                .bind(one.started_us)
                .bind(values::text(&one.request))
                .bind(one.reply.as_deref().map(values::text));
        }
        statement.execute(&mut *transaction).await.map_err(|error| failed(&error))?;
    }
    transaction.commit().await.map_err(|error| failed(&error))
}

/// What was said in one request, by the id of its row.
pub(super) async fn find(database: &Database, id: &str) -> Result<Option<Spoken>, StoreError> {
    let statement = "SELECT request_id, started_us, request, reply FROM tollgate_contents \
                     WHERE request_id = $1";
    let found = sqlx::query(statement).bind(id.to_owned()).fetch_optional(database.pool().await?);
    let Some(row) = found.await.map_err(|error| failed(&error))? else { return Ok(None) };
    let read = || -> Result<Spoken, sqlx::Error> {
        Ok(Spoken {
            request_id: row.try_get::<String, _>(0)?.into(),
            started_us: row.try_get(1)?,
            request: row.try_get(2)?,
            reply: row.try_get(3)?,
        })
    };
    read().map(Some).map_err(|error| failed(&error))
}
