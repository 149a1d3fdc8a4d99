//! What people were told of budgets, so that of several gateways one tells it: implements
//! `admission::Notices`.

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Database, failed, patiently};
use crate::admission::Notices;
use crate::keys::StoreError;

#[async_trait]
impl Notices for Database {
    async fn note(&self, what: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        patiently(async {
            let (mut transaction, _turn) = self.write().await?;
            // Who comes second waits for the first one's row, and then finds it.
            let noted = sqlx::query(
                "INSERT INTO tollgate_notices (what, until_us) VALUES ($1, $2) \
                 ON CONFLICT (what) DO UPDATE SET until_us = excluded.until_us \
                 WHERE tollgate_notices.until_us <= $3 RETURNING what",
            )
            .bind(what.to_owned())
            .bind(until.as_microsecond())
            .bind(now.as_microsecond())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(|error| failed(&error))?;
            transaction.commit().await.map_err(|error| failed(&error))?;
            Ok(noted.is_some())
        })
        .await
    }
}
