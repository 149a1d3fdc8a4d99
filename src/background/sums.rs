//! Sums that were corrected: by an import, or by an operator at another gateway.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::quota::Quota;
use crate::spend::Ledger;

/// How often the database is asked whose sums were corrected.
const EVERY: Duration = Duration::from_secs(1);

/// Follows the database for as long as the process runs.
pub(super) async fn follow(ledger: Arc<dyn Ledger>, quota: Arc<Quota>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known = None;
    loop {
        tick.tick().await;
        // While the database is away nothing is corrected; who watches it says so.
        match ledger.corrected_since(known).await {
            Ok((corrected, revision)) => {
                known = Some(revision);
                quota.heard(&corrected, revision);
            }
            Err(error) => tracing::debug!(%error, "corrections of sums are not heard of"),
        }
    }
}
