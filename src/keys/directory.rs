//! The port behind which the records are kept.
//!
//! `store` implements it for SQLite and PostgreSQL. Knows nothing of SQL and of HTTP.

use std::borrow::Cow;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::record::{Kind, Record};

/// Why the store did not answer.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// It is out of reach, or too slow; to be tried again.
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    /// Another record has this id or alias, or somebody else was faster.
    #[error("{0}")]
    Conflict(String),
    /// The store will never take this record, for what is in it; others it takes.
    #[error("the database refuses it: {0}")]
    Refused(String),
    /// What is stored cannot be read, or the store refuses what was asked.
    #[error("the database failed: {0}")]
    Broken(String),
}

/// A record as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    pub id: String,
    /// The record, as its type serialises.
    pub record: Value,
}

/// What to change. All changes of one call are made, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Makes a record; fails if there is one with its id or alias.
    Insert(Kind, Entry),
    /// Replaces a record; makes it if there is none.
    Put(Kind, Entry),
    Delete(Kind, String),
    /// Changes nothing: fails if the record was changed after this revision.
    Expect {
        kind: Kind,
        id: String,
        since: i64,
    },
}

/// A record with what it is found and listed by.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub id: String,
    pub alias: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub organisation: Option<String>,
    pub record: Value,
}

impl Entry {
    /// The entry of a record.
    ///
    /// # Errors
    /// If the record cannot be written as JSON.
    pub fn of<R: Record>(record: &R) -> Result<Self, StoreError> {
        let links = record.links();
        let owned = |link: Option<&str>| link.map(str::to_owned);
        let value = serde_json::to_value(record);
        Ok(Self {
            id: record.id().into_owned(),
            alias: owned(links.alias),
            user: owned(links.user),
            team: owned(links.team),
            organisation: owned(links.organisation),
            record: value.map_err(|error| StoreError::Broken(error.to_string()))?,
        })
    }
}

/// Who did what, kept with the change that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    pub at: Timestamp,
    /// The user's id, or `master`.
    pub by: String,
    /// The hash of the key that was shown.
    pub key: Option<String>,
    /// `created`, `updated`, `deleted`, `blocked`, `unblocked`, `regenerated`.
    pub action: Cow<'static, str>,
    pub kind: Kind,
    pub id: String,
    /// The record before and after; kept without credentials ([`super::redacted`]).
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// Which records to list. Every field that is set must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    pub alias: Option<String>,
    /// A part of the alias, in small letters or large ones.
    pub alias_part: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub organisation: Option<String>,
    /// Only those whose id comes after this one; in the order of ids only.
    pub after: Option<String>,
    pub order: Order,
    pub skip: u64,
    /// Zero: all of them.
    pub limit: u64,
}

/// In which order records are listed. Those that are alike in it are in the order of their ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub by: OrderBy,
    pub descending: bool,
}

/// What records are put in order by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OrderBy {
    #[default]
    Id,
    Alias,
    CreatedAt,
    UpdatedAt,
    /// Who has none may spend the most.
    MaxBudget,
}

/// Which audit entries to show. Every field that is set must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub kind: Option<Kind>,
    pub id: Option<String>,
    /// Who did it.
    pub by: Option<String>,
    pub action: Option<String>,
    pub skip: u64,
    /// Zero: a hundred.
    pub limit: u64,
}

/// A record that was changed, by this gateway or by another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Grows with each change.
    pub revision: i64,
    pub kind: Kind,
    pub id: String,
}

/// Where the records are kept.
#[async_trait]
pub trait Directory: Send + Sync + 'static {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError>;

    /// In the order of ids.
    async fn list(&self, kind: Kind, filter: &Filter) -> Result<Vec<Stored>, StoreError>;

    /// How many there are; `skip`, `limit` and `after` of the filter do not count.
    async fn count(&self, kind: Kind, filter: &Filter) -> Result<u64, StoreError>;

    /// Makes all changes and keeps the audit entries, or does neither.
    async fn change(&self, changes: Vec<Change>, audit: Vec<Audit>) -> Result<(), StoreError>;

    /// Newest first.
    async fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, StoreError>;

    /// How many there are; `skip` and `limit` of the filter do not count.
    async fn count_audits(&self, filter: &AuditFilter) -> Result<u64, StoreError>;

    /// What was changed since a revision, oldest first, and at most a thousand; `None` asks only for
    /// the latest. This is how gateways that share a database hear of each other's changes.
    async fn changed_since(&self, revision: Option<i64>) -> Result<Vec<Changed>, StoreError>;
}

/// A record of its type.
///
/// # Errors
/// If the store fails, or what it holds is no such record.
pub async fn fetch<R: Record>(
    directory: &dyn Directory,
    id: &str,
) -> Result<Option<R>, StoreError> {
    let stored = directory.get(R::KIND, id).await?;
    stored.map(read).transpose()
}

/// Reads what the directory holds.
///
/// # Errors
/// If it is no such record.
pub fn read<R: Record>(stored: Stored) -> Result<R, StoreError> {
    serde_json::from_value(stored.record)
        .map_err(|error| StoreError::Broken(format!("{:?} {}: {error}", R::KIND, stored.id)))
}
