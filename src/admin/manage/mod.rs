//! Management of keys, users, teams, end users, organisations, budgets and tags, with LiteLLM's bodies
//! and answers.
//!
//! ```text
//! Form (../form/)        what a request says
//! logging.rs             callbacks of keys and teams, and those routes
//! allowance.rs           what somebody may use: read, and held against what others allow
//! Draft (draft.rs)       changes with their audit entries, made together
//! Ledgered (spent.rs)    what somebody has spent in this period
//! Page (../page.rs)      lists
//! keys/ users.rs teams.rs members.rs customers.rs budgets.rs organisations.rs tags.rs   the routes
//! ```
//!
//! A handler reads the form, finds the records, asks whether they are the caller's to change, drafts the
//! change and makes it. What is the caller's is decided here and nowhere else; whether a caller may enter
//! the route at all was decided by the gate.

mod allowance;
mod budgets;
mod customers;
mod draft;
mod keys;
mod logging;
mod members;
mod organisations;
mod spent;
mod tags;
mod teams;
mod users;

use std::sync::Arc;

use axum::Router;
use jiff::tz::TimeZone;
use tokio::sync::Mutex;

use self::draft::Draft;
use super::fault::Fault;
use super::form::{Form, Given, Parameters};
use super::page::Page;
use super::{Operator, Shared, Source};
use crate::keys::record::{Kind, Organisation, Record, Team, User};
use crate::keys::{Directory, Filter, fetch, read};
use crate::spend::Ledger;

/// Read at once where all records are gone through.
const CHUNK: u64 = 1_000;

/// What the management routes work with.
struct Desk {
    directory: Arc<dyn Directory>,
    ledger: Arc<dyn Ledger>,
    source: Arc<dyn Source>,
    /// Held from reading a record to changing it, so that no change of this gateway undoes another.
    turn: Mutex<()>,
}

impl Desk {
    /// The calendar of budgets.
    fn zone(&self) -> TimeZone {
        self.source.zone()
    }

    async fn find<R: Record>(&self, id: &str) -> Result<Option<R>, Fault> {
        Ok(fetch(&*self.directory, id).await?)
    }

    async fn list<R: Record>(&self, filter: &Filter) -> Result<Vec<R>, Fault> {
        let stored = self.directory.list(R::KIND, filter).await?;
        Ok(stored.into_iter().map(read).collect::<Result<_, _>>()?)
    }

    /// All records that fit.
    async fn collect<R: Record>(
        &self,
        filter: Filter,
        fits: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<Vec<R>, Fault> {
        let mut found = Vec::new();
        let keep = |record: R| {
            if fits(&record) {
                found.push(record);
            }
        };
        self.go_through(filter, keep).await?;
        Ok(found)
    }

    /// How many records fit.
    async fn count<R: Record>(
        &self,
        fits: impl Fn(&R) -> bool + Send + Sync,
    ) -> Result<usize, Fault> {
        let mut count = 0;
        self.go_through(Filter::default(), |record: R| count += usize::from(fits(&record))).await?;
        Ok(count)
    }

    /// Reads records in parts.
    async fn go_through<R: Record>(
        &self,
        mut filter: Filter,
        mut take: impl FnMut(R) + Send,
    ) -> Result<(), Fault> {
        filter.limit = CHUNK;
        loop {
            let chunk = self.directory.list(R::KIND, &filter).await?;
            let Some(last) = chunk.last() else { return Ok(()) };
            filter.after = Some(last.id.clone());
            for stored in chunk {
                take(read(stored)?);
            }
        }
    }

    async fn team(&self, id: &str) -> Result<Team, Fault> {
        let absent = || Fault::absent("team_id", format!("Team not found, passed team_id={id}"));
        self.find(id).await?.ok_or_else(absent)
    }

    async fn user(&self, id: &str) -> Result<User, Fault> {
        let absent = || Fault::absent("user_id", format!("User not found, passed user_id={id}"));
        self.find(id).await?.ok_or_else(absent)
    }

    async fn organisation(&self, id: &str) -> Result<Organisation, Fault> {
        let message = || format!("Organization not found, passed organization_id={id}");
        let absent = || Fault::absent("organization_id", message());
        self.find(id).await?.ok_or_else(absent)
    }

    /// The one user with this address.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, Fault> {
        let filter = Filter { alias: Some(email.to_owned()), limit: 1, ..Filter::default() };
        Ok(self.list(&filter).await?.pop())
    }

    async fn has(&self, kind: Kind, id: &str) -> Result<bool, Fault> {
        Ok(self.directory.get(kind, id).await?.is_some())
    }
}

/// A new id of a record.
fn new_id() -> String {
    uuid::Uuid::now_v7().to_string()
}

/// The routes.
pub(super) fn router(shared: &Shared) -> Router<Arc<Shared>> {
    let desk = Arc::new(Desk {
        directory: Arc::clone(&shared.stores.directory),
        ledger: Arc::clone(&shared.stores.ledger),
        source: Arc::clone(&shared.source),
        turn: Mutex::new(()),
    });
    Router::new()
        .merge(keys::router())
        .merge(users::router())
        .merge(teams::router())
        .merge(members::router())
        .merge(logging::router())
        .merge(customers::router())
        .merge(budgets::router())
        .merge(organisations::router())
        .merge(tags::router())
        .with_state(desk)
}
