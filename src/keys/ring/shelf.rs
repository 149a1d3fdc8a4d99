//! Records of one kind, by their ids: of end users and tags, which requests name.
//!
//! Clients may name any end user, and most gateways have no record of any. So it is kept too whether
//! there is one at all: where there is none, the directory is not asked.

use std::sync::Arc;
use std::time::Instant;

use moka::future::Cache;
use parking_lot::RwLock;
use rustc_hash::FxBuildHasher;

use super::{AGE_MAX, KeyRing, Known, Settings};
use crate::keys::directory::{Filter, StoreError, fetch};
use crate::keys::principal::Budgets;
use crate::keys::record::{Allowance, EndUser, Record, Tag};

/// Records that are kept.
const RECORDS_MAX: u64 = 50_000;

/// A record whose allowance may name a budget.
pub(super) trait Allowed: Record {
    fn allowance(&mut self) -> &mut Allowance;

    /// The budget of those that name none.
    fn default_budget(_: &Settings) -> Option<&str> {
        None
    }

    /// What stands for one without a record, where there is such a budget.
    fn blank(id: &str) -> Self;
}

impl Allowed for EndUser {
    fn allowance(&mut self) -> &mut Allowance {
        &mut self.allowance
    }

    fn default_budget(settings: &Settings) -> Option<&str> {
        settings.end_user_budget.as_deref()
    }

    fn blank(id: &str) -> Self {
        Self { user_id: id.to_owned(), ..Self::default() }
    }
}

impl Allowed for Tag {
    fn allowance(&mut self) -> &mut Allowance {
        &mut self.allowance
    }

    fn blank(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

pub(super) struct Shelf<R: Allowed> {
    records: Cache<String, Known<R>, FxBuildHasher>,
    /// Whether there are any, and until when that is believed.
    any: RwLock<Option<(bool, Instant)>>,
}

impl<R: Allowed> Shelf<R> {
    pub(super) fn new() -> Self {
        let records = Cache::builder().max_capacity(RECORDS_MAX).time_to_live(AGE_MAX);
        Self { records: records.build_with_hasher(FxBuildHasher), any: RwLock::new(None) }
    }

    pub(super) async fn find(
        &self,
        ring: &KeyRing,
        id: &str,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Result<Option<Arc<R>>, StoreError> {
        let is_bound = R::default_budget(settings).is_some();
        if !is_bound && !self.has_any(ring, settings, now).await? {
            return Ok(None);
        }
        let known = self.records.get(id).await;
        if let Some(known) = &known {
            let stands = || ring.is_away(now) && known.outlasts(settings, now);
            if known.is_fresh(settings, now) || stands() {
                return known.answer.clone();
            }
        }
        let before = ring.generation.load(std::sync::atomic::Ordering::Acquire);
        let look = Box::pin(async {
            let look = Box::pin(read::<R>(ring, id, settings));
            let (answer, now) = ring.patiently(look, now).await;
            ring.judged(answer, settings, now, known)
        });
        let found = self.records.entry_by_ref(id);
        let found = found.or_insert_with_if(look, |known| !known.is_fresh(settings, now)).await;
        if ring.generation.load(std::sync::atomic::Ordering::Acquire) != before {
            self.records.invalidate(id).await;
        }
        found.into_value().answer
    }

    async fn has_any(
        &self,
        ring: &KeyRing,
        settings: &Settings,
        now: Instant,
    ) -> Result<bool, StoreError> {
        let known = *self.any.read();
        match known {
            Some((any, until)) if now < until || ring.is_away(now) => return Ok(any),
            _ => {}
        }
        let before = ring.generation.load(std::sync::atomic::Ordering::Acquire);
        let every = Filter::default();
        let count = Box::pin(ring.directory.count(R::KIND, &every));
        let (count, now) = ring.patiently(count, now).await;
        let any = count? > 0;
        let mut known = self.any.write();
        if ring.generation.load(std::sync::atomic::Ordering::Acquire) == before {
            *known = Some((any, now + settings.age));
        }
        Ok(any)
    }

    pub(super) async fn forget(&self, id: &str) {
        *self.any.write() = None;
        self.records.invalidate(id).await;
    }

    pub(super) fn forget_all(&self) {
        *self.any.write() = None;
        self.records.invalidate_all();
    }
}

async fn read<R: Allowed>(
    ring: &KeyRing,
    id: &str,
    settings: &Settings,
) -> Result<Option<R>, StoreError> {
    let default = R::default_budget(settings);
    let found = fetch::<R>(&*ring.directory, id).await?;
    let Some(mut record) = found.or_else(|| default.map(|_| R::blank(id))) else { return Ok(None) };
    let allowance = record.allowance();
    if allowance.budget_id.is_none() && allowance.max_budget.is_none() {
        allowance.budget_id = default.map(str::to_owned);
    }
    let mut budgets = Budgets::new();
    ring.budget(record.allowance(), &mut budgets).await?;
    record.allowance().fill_in(&budgets);
    Ok(Some(record))
}
