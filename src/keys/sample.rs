//! Keys and a directory in memory, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::record::{Key, Kind};
use super::{
    Audit, AuditFilter, Budgets, Change, Changed, Directory, Entry, Filter, KeyHash, Principal,
    StoreError, Stored,
};

/// A key's record.
pub(crate) fn key(key: &str, more: &Value) -> Value {
    let mut value = json!({"token": KeyHash::of(key.as_bytes())});
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

/// The holder of a key that belongs to nobody.
pub(crate) fn principal(text: &str, more: &Value) -> Principal {
    let key: Key = serde_json::from_value(key(text, more)).unwrap();
    Principal::new(key, None, None, None, &Budgets::new())
}

/// A directory that lives as long as the test.
#[derive(Default)]
pub(crate) struct Records {
    kept: Mutex<BTreeMap<(Kind, String), Value>>,
    changed: Mutex<Vec<Changed>>,
    away: AtomicBool,
    /// Never answers.
    hangs: AtomicBool,
    asked: AtomicU64,
}

impl Records {
    /// Puts a key, without telling anybody.
    pub(crate) fn put(&self, key: &Value) {
        let id = key["token"].as_str().unwrap().to_owned();
        self.kept.lock().insert((Kind::Key, id), key.clone());
    }

    /// As another gateway would.
    pub(crate) fn set(&self, kind: Kind, id: &str, record: Option<Value>) {
        match record {
            Some(record) => drop(self.kept.lock().insert((kind, id.to_owned()), record)),
            None => drop(self.kept.lock().remove(&(kind, id.to_owned()))),
        }
        let mut changed = self.changed.lock();
        let revision = changed.last().map_or(1, |last| last.revision + 1);
        changed.push(Changed { revision, kind, id: id.to_owned() });
    }

    pub(crate) fn go_away(&self) {
        self.away.store(true, Ordering::Release);
    }

    pub(crate) fn come_back(&self) {
        self.away.store(false, Ordering::Release);
        self.hangs.store(false, Ordering::Release);
    }

    pub(crate) fn hang(&self) {
        self.hangs.store(true, Ordering::Release);
    }

    /// How many records were asked for.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Acquire)
    }

    /// Forgets all changes but the last.
    pub(crate) fn forget_changes(&self) {
        let mut changed = self.changed.lock();
        let last = changed.pop();
        *changed = last.into_iter().collect();
    }

    async fn answer(&self) -> Result<(), StoreError> {
        if self.hangs.load(Ordering::Acquire) {
            std::future::pending::<()>().await;
        }
        // Others have a turn, as they would with a real one.
        tokio::task::yield_now().await;
        match self.away.load(Ordering::Acquire) {
            true => Err(StoreError::Unavailable("as the test wants it".into())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Directory for Records {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.answer().await?;
        let record = self.kept.lock().get(&(kind, id.to_owned())).cloned();
        Ok(record.map(|record| Stored { id: id.to_owned(), record }))
    }

    async fn list(&self, kind: Kind, _: &Filter) -> Result<Vec<Stored>, StoreError> {
        self.answer().await?;
        let kept = self.kept.lock();
        let of_kind = kept.iter().filter(|((of, _), _)| *of == kind);
        Ok(of_kind
            .map(|((_, id), record)| Stored { id: id.clone(), record: record.clone() })
            .collect())
    }

    async fn count(&self, kind: Kind, _: &Filter) -> Result<u64, StoreError> {
        self.asked.fetch_add(1, Ordering::AcqRel);
        self.answer().await?;
        Ok(self.kept.lock().keys().filter(|(of, _)| *of == kind).count() as u64)
    }

    async fn change(&self, changes: Vec<Change>, _: Vec<Audit>) -> Result<(), StoreError> {
        self.answer().await?;
        for change in changes {
            match change {
                Change::Insert(kind, entry) | Change::Put(kind, entry) => {
                    let Entry { id, record, .. } = entry;
                    self.set(kind, &id, Some(record));
                }
                Change::Delete(kind, id) => self.set(kind, &id, None),
                // Nobody else changes it.
                Change::Expect { .. } => {}
            }
        }
        Ok(())
    }

    async fn audits(&self, _: &AuditFilter) -> Result<Vec<Audit>, StoreError> {
        self.answer().await.map(|()| Vec::new())
    }

    async fn count_audits(&self, _: &AuditFilter) -> Result<u64, StoreError> {
        self.answer().await.map(|()| 0)
    }

    async fn changed_since(&self, revision: Option<i64>) -> Result<Vec<Changed>, StoreError> {
        self.answer().await?;
        let changed = self.changed.lock();
        Ok(match revision {
            Some(known) => changed.iter().filter(|it| it.revision > known).cloned().collect(),
            None => changed.last().cloned().into_iter().collect(),
        })
    }
}

/// A ring over nothing.
pub(crate) fn empty_ring() -> Arc<super::KeyRing> {
    Arc::new(super::KeyRing::new(Arc::new(Records::default()), 10))
}
