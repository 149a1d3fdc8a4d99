//! The database as those see it who run elsewhere.
//!
//! Connections belong to the runtime on which they were opened: they would end with it, and nobody
//! would read from them while it is busy. Every service of the server has a runtime of its own, so
//! all operations are tasks of one of them, and callers wait for their answers. An operation that
//! nobody waits for any more still ends as it should.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::SetOnce;

use super::{Database, patiently};
use crate::admission::Notices;
use crate::keys::record::Kind;
use crate::keys::{Audit, AuditFilter, Change, Changed, Directory, Filter, StoreError, Stored};
use crate::spend::traffic::{Counts, PayersQuery, Traffic, TrafficQuery};
use crate::spend::{
    Aged, Appended, Corrected, Ledger, Line, Query, Report, Scope, SpendEvent, Spoken,
};

/// The database, wherever one is.
#[derive(Debug)]
pub struct Store {
    database: Arc<Database>,
    /// Where the operations run. Requests may come before it is there.
    runtime: SetOnce<Handle>,
}

impl Store {
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database: Arc::new(database), runtime: SetOnce::new() }
    }

    /// From now on, operations are tasks of the runtime that this is called on.
    pub fn drive(&self) {
        // Whoever drives it already goes on.
        drop(self.runtime.set(Handle::current()));
    }

    /// Asks the database for nothing, to see that it answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.run(|database| async move { database.ping().await }).await
    }

    async fn run<T, F>(&self, operation: impl FnOnce(Arc<Database>) -> F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        let runtime = patiently(async { Ok(self.runtime.wait().await) }).await?;
        let task = runtime.spawn(operation(Arc::clone(&self.database)));
        task.await.unwrap_or_else(|error| Err(StoreError::Broken(error.to_string())))
    }
}

#[async_trait]
impl Directory for Store {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        let id = id.to_owned();
        self.run(|database| async move { database.get(kind, &id).await }).await
    }

    async fn list(&self, kind: Kind, filter: &Filter) -> Result<Vec<Stored>, StoreError> {
        let filter = filter.clone();
        self.run(|database| async move { database.list(kind, &filter).await }).await
    }

    async fn count(&self, kind: Kind, filter: &Filter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.run(|database| async move { database.count(kind, &filter).await }).await
    }

    async fn change(&self, changes: Vec<Change>, audit: Vec<Audit>) -> Result<(), StoreError> {
        self.run(|database| async move { database.change(changes, audit).await }).await
    }

    async fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, StoreError> {
        let filter = filter.clone();
        self.run(|database| async move { database.audits(&filter).await }).await
    }

    async fn count_audits(&self, filter: &AuditFilter) -> Result<u64, StoreError> {
        let filter = filter.clone();
        self.run(|database| async move { database.count_audits(&filter).await }).await
    }

    async fn changed_since(&self, revision: Option<i64>) -> Result<Vec<Changed>, StoreError> {
        self.run(|database| async move { database.changed_since(revision).await }).await
    }
}

#[async_trait]
impl Ledger for Store {
    async fn append(&self, events: &[SpendEvent]) -> Result<Appended, StoreError> {
        let events = events.to_vec();
        self.run(|database| async move { database.append(&events).await }).await
    }

    async fn spent(&self, scope: &Scope, since_us: Option<i64>) -> Result<i64, StoreError> {
        let scope = scope.clone();
        self.run(|database| async move { database.spent(&scope, since_us).await }).await
    }

    async fn spent_by(&self, scopes: &[(Scope, Option<i64>)]) -> Result<Vec<i64>, StoreError> {
        let scopes = scopes.to_vec();
        self.run(|database| async move { database.spent_by(&scopes).await }).await
    }

    async fn adjust(&self, scope: &Scope, at_us: i64, pico: i64) -> Result<i64, StoreError> {
        let scope = scope.clone();
        self.run(|database| async move { database.adjust(&scope, at_us, pico).await }).await
    }

    async fn corrected_since(&self, revision: Option<i64>) -> Result<Corrected, StoreError> {
        self.run(move |database| async move { database.corrected_since(revision).await }).await
    }

    async fn search(&self, query: &Query) -> Result<Vec<SpendEvent>, StoreError> {
        let query = query.clone();
        self.run(|database| async move { database.search(&query).await }).await
    }

    async fn count_found(&self, query: &Query, most: u64) -> Result<u64, StoreError> {
        let query = query.clone();
        self.run(|database| async move { database.count_found(&query, most).await }).await
    }

    async fn report(&self, report: &Report) -> Result<Vec<Line>, StoreError> {
        let report = report.clone();
        self.run(|database| async move { database.report(&report).await }).await
    }

    async fn traffic(&self, query: &TrafficQuery) -> Result<Traffic, StoreError> {
        let query = query.clone();
        self.run(|database| async move { database.traffic(&query).await }).await
    }

    async fn payers(&self, query: &PayersQuery) -> Result<Vec<(Arc<str>, Counts)>, StoreError> {
        let query = query.clone();
        self.run(|database| async move { database.payers(&query).await }).await
    }

    async fn keep_spoken(&self, spoken: &[Spoken]) -> Result<(), StoreError> {
        let spoken = spoken.to_vec();
        self.run(|database| async move { database.keep_spoken(&spoken).await }).await
    }

    async fn spoken(&self, id: &str) -> Result<Option<Spoken>, StoreError> {
        let id = id.to_owned();
        self.run(|database| async move { database.spoken(&id).await }).await
    }

    async fn forget(&self, aged: Aged, before_us: i64) -> Result<u64, StoreError> {
        self.run(move |database| async move { database.forget(aged, before_us).await }).await
    }
}

#[async_trait]
impl Notices for Store {
    async fn note(&self, what: &str, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        let what = what.to_owned();
        self.run(|database| async move { database.note(&what, now, until).await }).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::Place;
    use super::*;

    #[test]
    fn callers_on_other_runtimes_are_answered_once_somebody_drives_it() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::File(folder.path().join("t.db"));
        let store = Arc::new(Store::new(Database::new(place)));
        let event = SpendEvent { request_id: "one".into(), ..SpendEvent::default() };
        let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
        let driver = runtime().unwrap();
        let (done, is_done) = tokio::sync::oneshot::channel::<()>();
        let caller = std::thread::Builder::new().spawn({
            let store = Arc::clone(&store);
            move || {
                for _ in 0..2 {
                    // Each time on a runtime that ends: the connections stay.
                    let events = std::slice::from_ref(&event);
                    let appended = runtime().unwrap().block_on(store.append(events)).unwrap();
                    assert_eq!(appended.new + appended.known, 1);
                }
                drop(done);
            }
        });
        driver.block_on(async {
            store.drive();
            is_done.await.unwrap_err();
        });
        caller.unwrap().join().unwrap();
        let rows = driver.block_on(store.search(&Query::default())).unwrap();
        assert_eq!(rows.len(), 1);
    }
}
