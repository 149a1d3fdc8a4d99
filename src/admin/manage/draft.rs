//! Changes that are made together, each with its entry in the audit log.

use std::borrow::Cow;
use std::mem;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::MutexGuard;

use super::{Desk, Fault, Operator};
use crate::keys::record::{History, Record};
use crate::keys::{Audit, Change, Entry};

/// What is to be changed, and by whom.
pub(super) struct Draft<'a> {
    /// One change at a time is drawn up here, from the first record read to the last thing shown.
    _turn: MutexGuard<'a, ()>,
    pub(super) at: Timestamp,
    pub(super) by: String,
    key: Option<String>,
    /// The latest change when nothing was read yet.
    since: i64,
    changes: Vec<Change>,
    audit: Vec<Audit>,
}

impl<'a> Draft<'a> {
    /// Begun before anything is read that is to be changed.
    pub(super) async fn by(desk: &'a Desk, operator: &Operator) -> Result<Self, Fault> {
        let turn = desk.turn.lock().await;
        let latest = desk.directory.changed_since(None).await?;
        Ok(Self {
            _turn: turn,
            at: Timestamp::now(),
            by: operator.name().to_owned(),
            key: operator.key_hash().map(str::to_owned),
            since: latest.last().map_or(0, |latest| latest.revision),
            changes: Vec::new(),
            audit: Vec::new(),
        })
    }

    /// Makes it a condition that no other gateway has changed a record since it was read: one of the
    /// two changes would be lost.
    fn expect<R: Record>(&mut self, record: &R) {
        let id = record.id().into_owned();
        self.changes.push(Change::Expect { kind: R::KIND, id, since: self.since });
    }

    /// The history of a record that is made now.
    pub(super) fn begin(&self) -> History {
        History {
            created_at: Some(self.at),
            created_by: Some(self.by.clone()),
            updated_at: Some(self.at),
            updated_by: Some(self.by.clone()),
        }
    }

    /// Notes in the history of a record that it is changed now.
    pub(super) fn touch(&self, history: &mut History) {
        history.updated_at = Some(self.at);
        history.updated_by = Some(self.by.clone());
    }

    /// Makes a record; fails if there is one already.
    pub(super) fn create<R: Record>(&mut self, record: &R) -> Result<(), Fault> {
        self.changes.push(Change::Insert(R::KIND, Entry::of(record)?));
        self.note("created", record.id(), None::<&R>, Some(record))
    }

    /// Replaces a record.
    pub(super) fn replace<R: Record>(
        &mut self,
        action: &'static str,
        before: &R,
        after: &R,
    ) -> Result<(), Fault> {
        self.expect(before);
        self.changes.push(Change::Put(R::KIND, Entry::of(after)?));
        self.note(action, after.id(), Some(before), Some(after))
    }

    /// Tells in the audit log of what is done to something that has no record.
    pub(super) fn tell<R: Record>(&mut self, action: &'static str, of: &R) -> Result<(), Fault> {
        self.note(action, of.id(), Some(of), Some(of))
    }

    pub(super) fn delete<R: Record>(&mut self, record: &R) -> Result<(), Fault> {
        self.expect(record);
        self.changes.push(Change::Delete(R::KIND, record.id().into_owned()));
        self.note("deleted", record.id(), Some(record), None)
    }

    /// Replaces a record by one with another id: one change to whoever reads the audit log.
    pub(super) fn rename<R: Record>(
        &mut self,
        action: &'static str,
        before: &R,
        after: &R,
    ) -> Result<(), Fault> {
        self.expect(before);
        self.changes.push(Change::Delete(R::KIND, before.id().into_owned()));
        self.changes.push(Change::Insert(R::KIND, Entry::of(after)?));
        self.note(action, after.id(), Some(before), Some(after))
    }

    /// The same, where the one before stays for a while, as `stays`.
    pub(super) fn succeed<R: Record>(
        &mut self,
        action: &'static str,
        before: &R,
        stays: &R,
        after: &R,
    ) -> Result<(), Fault> {
        self.expect(before);
        self.changes.push(Change::Put(R::KIND, Entry::of(stays)?));
        self.changes.push(Change::Insert(R::KIND, Entry::of(after)?));
        self.note(action, after.id(), Some(before), Some(after))
    }

    /// Tells in the latest audit entry of something that is not part of the record.
    pub(super) fn detail(&mut self, name: &str, before: &Value, after: &Value) {
        let Some(audit) = self.audit.last_mut() else { return };
        for (side, value) in [(&mut audit.before, before), (&mut audit.after, after)] {
            if let Some(Value::Object(fields)) = side {
                fields.insert(name.to_owned(), value.clone());
            }
        }
    }

    fn note<R: Record>(
        &mut self,
        action: &'static str,
        id: Cow<'_, str>,
        before: Option<&R>,
        after: Option<&R>,
    ) -> Result<(), Fault> {
        let shown = |record: Option<&R>| -> Result<Option<Value>, Fault> {
            record.map(|record| Ok(Entry::of(record)?.record)).transpose()
        };
        self.audit.push(Audit {
            at: self.at,
            by: self.by.clone(),
            key: self.key.clone(),
            action: Cow::Borrowed(action),
            kind: R::KIND,
            id: id.into_owned(),
            before: shown(before)?,
            after: shown(after)?,
        });
        Ok(())
    }

    /// Makes all of it, or nothing. From then on requests of this gateway see it.
    /// Its turn lasts until it is dropped: what is corrected or shown afterwards belongs to it.
    pub(super) async fn make(&mut self, desk: &Desk) -> Result<(), Fault> {
        if self.changes.is_empty() && self.audit.is_empty() {
            return Ok(());
        }
        let (changes, audit) = (mem::take(&mut self.changes), mem::take(&mut self.audit));
        desk.directory.change(changes, audit).await?;
        Ok(())
    }
}
