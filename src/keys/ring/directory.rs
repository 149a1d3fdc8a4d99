//! The ring as a directory: whoever changes a record through it is obeyed by the next request.

use async_trait::async_trait;

use super::KeyRing;
use crate::keys::directory::{
    Audit, AuditFilter, Change, Changed, Directory, Filter, StoreError, Stored,
};
use crate::keys::record::Kind;

#[async_trait]
impl Directory for KeyRing {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        self.directory.get(kind, id).await
    }

    async fn list(&self, kind: Kind, filter: &Filter) -> Result<Vec<Stored>, StoreError> {
        self.directory.list(kind, filter).await
    }

    async fn count(&self, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        self.directory.count(kind, filter).await
    }

    async fn change(&self, changes: Vec<Change>, audit: Vec<Audit>) -> Result<(), StoreError> {
        let named = changes.iter().map(|change| match change {
            Change::Insert(kind, entry) | Change::Put(kind, entry) => (*kind, entry.id.clone()),
            Change::Delete(kind, id) | Change::Expect { kind, id, .. } => (*kind, id.clone()),
        });
        let named: Vec<_> = named.collect();
        let changed = self.directory.change(changes, audit).await;
        // Also after a failure: of one that came too late it is not known what was done.
        self.forget(named.iter().map(|(kind, id)| (*kind, &**id))).await;
        changed
    }

    async fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, StoreError> {
        self.directory.audits(filter).await
    }

    async fn count_audits(&self, filter: &AuditFilter) -> Result<u64, StoreError> {
        self.directory.count_audits(filter).await
    }

    async fn changed_since(&self, revision: Option<i64>) -> Result<Vec<Changed>, StoreError> {
        self.directory.changed_since(revision).await
    }
}
