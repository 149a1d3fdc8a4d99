//! The port behind which the events are kept.
//!
//! `store` implements it for SQLite and PostgreSQL. What is appended is in it once, whatever is
//! tried again; sums and rows are written in one transaction, so they always agree.

use std::sync::Arc;

use async_trait::async_trait;

use super::event::SpendEvent;
use super::scope::Scope;
use super::spoken::Spoken;
use super::traffic::{Counts, PayersQuery, Traffic, TrafficQuery};
use crate::keys::StoreError;

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Appended {
    /// Events that were not in the ledger yet.
    pub new: usize,
    /// Events that were.
    pub known: usize,
}

/// A time: from (included) to (excluded), in microseconds since 1970 (UTC).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub from_us: i64,
    pub to_us: i64,
}

/// Which events to show. Every field that is set must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pub span: Option<Span>,
    /// The id of the row, or the name that the client knows it by.
    pub request_id: Option<String>,
    pub key: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    pub end_user: Option<String>,
    pub group: Option<String>,
    /// The deployment that answered.
    pub deployment: Option<String>,
    /// The class of the failure that it ended by.
    pub error: Option<String>,
    pub tag: Option<String>,
    /// Only those that failed, or only those that did not.
    pub failed: Option<bool>,
    /// Those that cost at least so much, in pico-dollars.
    pub min_cost_pico: Option<u64>,
    /// Those that cost at most so much.
    pub max_cost_pico: Option<u64>,
    pub skip: u64,
    /// Zero: a hundred.
    pub limit: u64,
}

/// What the rows of a report stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    Day,
    Key,
    User,
    Team,
    Organisation,
    EndUser,
    Model,
    Provider,
    Tag,
}

/// A sum over the days of a time, from the daily roll-ups: never from the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub span: Span,
    /// In this order; at most two.
    pub by: Vec<Grouping>,
    pub key: Option<String>,
    pub user: Option<String>,
    pub team: Option<String>,
    /// Not for tags and end users, as are those above.
    pub group: Option<String>,
    pub provider: Option<String>,
    /// One tag or end user, where it is by tags or end users.
    pub id: Option<String>,
}

impl Report {
    /// The sum of everything in a time.
    #[must_use]
    pub const fn over(span: Span) -> Self {
        Self {
            span,
            by: Vec::new(),
            key: None,
            user: None,
            team: None,
            group: None,
            provider: None,
            id: None,
        }
    }
}

/// One row of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// One for each grouping; days as `2026-01-31`.
    pub group: Vec<String>,
    pub columns: Columns,
}

/// What a row sums up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub requests: u64,
    pub failures: u64,
    pub cache_hits: u64,
    pub input_tokens: u64,
    pub output_tokens: u64,
    pub cache_read_tokens: u64,
    pub cache_write_tokens: u64,
    pub reasoning_tokens: u64,
    pub cost_pico: u64,
    pub duration_us: u64,
}

/// Where the events are kept.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Adds events, with the sums of everybody who pays, in one transaction. Known ones change
    /// nothing.
    async fn append(&self, events: &[SpendEvent]) -> Result<Appended, StoreError>;

    /// What a scope has spent since a time (microseconds since 1970), in pico-dollars; `None` since
    /// ever. Sums are kept by the quarter of an hour; the rest of one that has begun by then is added up
    /// from the rows, so the time may lie no further back than these are kept, unless it is the beginning
    /// of one.
    async fn spent(&self, scope: &Scope, since_us: Option<i64>) -> Result<i64, StoreError>;

    /// The same for several at once, in their order.
    async fn spent_by(&self, scopes: &[(Scope, Option<i64>)]) -> Result<Vec<i64>, StoreError> {
        let mut sums = Vec::with_capacity(scopes.len());
        for (scope, since_us) in scopes {
            sums.push(self.spent(scope, *since_us).await?);
        }
        Ok(sums)
    }

    /// Corrects what a scope has spent, as of a time: an operator's `reset_spend`, or what was spent
    /// before it was brought over. May be negative. Returns the correction's revision.
    async fn adjust(&self, scope: &Scope, at_us: i64, pico: i64) -> Result<i64, StoreError>;

    /// Whose sums were corrected after a revision, here or by another process, each with its own
    /// revision, and the one up to which that is told. `None`: nobody, and the present revision.
    async fn corrected_since(&self, revision: Option<i64>) -> Result<Corrected, StoreError>;

    /// Newest first.
    async fn search(&self, query: &Query) -> Result<Vec<SpendEvent>, StoreError>;

    /// How many fit, of which at most so many are counted; `skip` and `limit` of the query do not
    /// matter.
    async fn count_found(&self, query: &Query, most: u64) -> Result<u64, StoreError>;

    /// In the order of its groups.
    async fn report(&self, report: &Report) -> Result<Vec<Line>, StoreError>;

    /// Sums of the traffic of a span, by time and by place: from roll-ups, never from the rows.
    async fn traffic(&self, query: &TrafficQuery) -> Result<Traffic, StoreError>;

    /// Sums of the hours of a span by who paid; by hour in the order of time, else the most expensive
    /// first.
    async fn payers(&self, query: &PayersQuery) -> Result<Vec<(Arc<str>, Counts)>, StoreError>;

    /// Keeps what was said in requests, beside their rows. What is kept already stays as it is.
    async fn keep_spoken(&self, spoken: &[Spoken]) -> Result<(), StoreError>;

    /// What was said in a request, by the id of its row, if it is kept.
    async fn spoken(&self, id: &str) -> Result<Option<Spoken>, StoreError>;

    /// Removes what is older than a time. Returns how many rows there were; called again until it is
    /// zero, so that no transaction is long.
    async fn forget(&self, aged: Aged, before_us: i64) -> Result<u64, StoreError>;
}

/// Whose sums were corrected, with the revisions of that; the revision up to which it is told.
pub type Corrected = (Vec<(Scope, i64)>, i64);

/// What is removed when it is old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aged {
    /// The rows of requests; sums and reports stay.
    Rows,
    /// The sums of quarters of an hour, by which budgets know what was spent in their period. What was
    /// spent ever stays.
    Sums,
    /// What was said in requests.
    Spoken,
    /// Entries of the audit log, which is kept beside the ledger.
    Audit,
}

impl Aged {
    pub const ALL: [Self; 4] = [Self::Rows, Self::Sums, Self::Spoken, Self::Audit];
}
