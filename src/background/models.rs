//! Deployments that are kept in the database: read at the start, and again when another gateway has
//! changed them.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::admin::Operations as _;
use crate::keys::record::{Kind, Model};
use crate::keys::{Directory, Filter, StoreError, read};
use crate::reload::Reload;

/// How often the database is asked what has changed.
const EVERY: Duration = Duration::from_secs(2);

/// Follows the database for as long as the process runs.
pub(super) async fn follow(reload: Arc<Reload>, directory: Arc<dyn Directory>) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        tick.tick().await;
        // While the database is away, what is in force stays so; who watches it says so.
        if let Ok(Some(revision)) = look(&reload, &*directory, seen).await {
            seen = Some(revision);
        }
    }
}

/// Brings the deployments up to date, and says up to which revision; `None`: nothing has changed.
async fn look(
    reload: &Arc<Reload>,
    directory: &dyn Directory,
    seen: Option<i64>,
) -> Result<Option<i64>, StoreError> {
    let changed = directory.changed_since(seen).await?;
    let latest = changed.last().map(|changed| changed.revision);
    let about_models = changed.iter().any(|changed| changed.kind == Kind::Model);
    if seen.is_some() && !about_models {
        return Ok(latest);
    }
    let stored = directory.list(Kind::Model, &Filter::default()).await?;
    let mut models = Vec::<Model>::with_capacity(stored.len());
    for one in stored {
        match read(one) {
            Ok(model) => models.push(model),
            Err(problem) => tracing::error!(%problem, "a model of the database is left out"),
        }
    }
    let reload = Arc::clone(reload);
    let used = tokio::task::spawn_blocking(move || drop(reload.use_deployments(&models)));
    if let Err(error) = used.await {
        tracing::error!(%error, "the deployments of the database could not be used");
    }
    Ok(latest.or(seen).or(Some(0)))
}
