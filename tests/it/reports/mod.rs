//! What operators ask of what was spent, what can be called, and what they bring along.

mod import;
mod models;
mod spend;

use std::future::Future;

use serde_json::Value;

use crate::harness::*;

const MASTER: &str = "sk-master-of-the-tests";

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// The answer to a `GET`, which must be a success.
#[track_caller]
fn told(client: &Client, path: &str) -> Value {
    let reply = client.get(path);
    assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
    reply.json()
}

/// The answer to a `POST`, which must be a success.
#[track_caller]
fn done(client: &Client, path: &str, body: &Value) -> Value {
    let reply = client.post(path).json(body).send();
    assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
    reply.json()
}
