//! What every store must do, tried on a file and on a real PostgreSQL.

mod counters;
mod ledger;
mod notices;
mod records;
mod traffic;

use std::future::Future;

use tollgate::secret::Secret;
use tollgate::store::{Database, Place};

use crate::harness::postgres;

/// Runs a test on each store: it gets a function that opens the same, at first empty, place.
fn on_each<F, T>(test: F)
where
    F: Fn(Box<dyn Fn() -> Database>) -> T,
    T: Future<Output = ()>,
{
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/tollgate.db");
    run(test(Box::new(move || Database::new(Place::File(path.clone())))));
    let url = Secret::new(postgres::database());
    let place = move || Place::Postgres { url: url.clone(), connections: 8 };
    run(test(Box::new(move || Database::new(place()))));
}

fn run(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(test);
}
