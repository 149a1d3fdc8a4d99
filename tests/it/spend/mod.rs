//! The ledger: every request has one row, whatever happens to the gateway, its disk and its database.

mod away;
mod kills;
mod rows;

use std::future::Future;
use std::path::{Path, PathBuf};

use tollgate::secret::Secret;
use tollgate::spend::{Ledger as _, Query, Scope, ScopeKind, SpendEvent};
use tollgate::store::{Database, Place};

use crate::harness::*;

/// Prices of the deployments here: millionths of a dollar for a token.
const PRICES: &str = "input_cost_per_token: 0.000001\noutput_cost_per_token: 0.000002";
/// What a reply with 11 and 7 tokens costs, in pico-dollars.
const COST: u64 = 25_000_000;

fn run<T>(work: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

/// A ledger, read beside the gateway that writes it.
#[derive(Clone)]
pub struct Books {
    place: Place,
}

impl Books {
    /// The file that a gateway keeps where nobody says otherwise.
    pub fn of(gateway: &Gateway) -> Self {
        Self::at(gateway.folder().join("state/tollgate.db"))
    }

    pub fn at(file: PathBuf) -> Self {
        Self { place: Place::File(file) }
    }

    pub fn behind(url: &str) -> Self {
        Self { place: Place::Postgres { url: Secret::new(url), connections: 2 } }
    }

    /// All rows, newest first; none while the database is away.
    pub fn rows(&self) -> Vec<SpendEvent> {
        let query = Query { limit: 1_000_000, ..Query::default() };
        run(async { Database::new(self.place.clone()).search(&query).await }).unwrap_or_default()
    }

    /// What everybody together has spent, in pico-dollars.
    pub fn spent(&self) -> u64 {
        let all = Scope::new(ScopeKind::Proxy, "");
        let spent = run(async { Database::new(self.place.clone()).spent(&all, None).await });
        spent.unwrap().try_into().unwrap()
    }

    /// The rows of the request that its client knows by this name.
    pub fn rows_of(&self, call_id: &str) -> Vec<SpendEvent> {
        let mut rows = self.rows();
        rows.retain(|row| row.call_id.as_deref() == Some(call_id));
        rows
    }

    /// The one row of a request.
    #[track_caller]
    pub fn row(&self, call_id: &str) -> SpendEvent {
        let mut rows = eventually_some("a row of the ledger", || {
            Some(self.rows_of(call_id)).filter(|rows| !rows.is_empty())
        });
        assert_eq!(rows.len(), 1, "{rows:?}");
        rows.remove(0)
    }
}

/// Files in a journal, by their suffix.
fn files(journal: &Path, suffix: &str) -> usize {
    let entries = std::fs::read_dir(journal).into_iter().flatten();
    entries
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|it| it == suffix))
        .count()
}
