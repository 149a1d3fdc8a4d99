//! The management routes, as LiteLLM's clients call them, against the real executable.

mod audit;
mod keys;
mod others;
mod people;
mod reach;
mod roles;

use std::path::Path;

use serde_json::{Value, json};
use tollgate::store::{Database, Place};

use crate::harness::*;

const MASTER: &str = "sk-master-of-the-tests";

/// A gateway with one model, in front of a provider that always answers.
struct Office {
    gateway: Gateway,
    _provider: Upstream,
}

impl Office {
    fn open() -> Self {
        Self::with(|builder| builder)
    }

    fn with(refine: impl Fn(gateway::Builder) -> gateway::Builder) -> Self {
        let provider = upstream::openai().replies(chat("hello")).start();
        let builder = gateway::with(group("gpt").deployment(&provider)).master_key(MASTER);
        Self { gateway: refine(builder).start(), _provider: provider }
    }

    /// One on a file, and one on PostgreSQL.
    fn on_each(test: impl Fn(&Self)) {
        test(&Self::open());
        let url = postgres::database();
        test(&Self::with(|builder| builder.general(&format!("database_url: {url}"))));
    }

    fn client(&self, key: &str) -> Client {
        self.gateway.client().with_key(Some(key))
    }

    fn post(&self, key: &str, path: &str, body: &Value) -> Reply {
        self.client(key).post(path).json(body).send()
    }

    fn get(&self, key: &str, path: &str) -> Reply {
        self.client(key).get(path)
    }

    /// What the master key gets for a `POST` that must succeed.
    #[track_caller]
    fn make(&self, path: &str, body: &Value) -> Value {
        self.made(MASTER, path, body)
    }

    #[track_caller]
    fn made(&self, key: &str, path: &str, body: &Value) -> Value {
        let reply = self.post(key, path, body);
        assert_eq!(reply.status, 200, "{path} {body}: {}", reply.body_text());
        reply.json()
    }

    /// What the master key gets for a `GET` that must succeed.
    #[track_caller]
    fn show(&self, path: &str) -> Value {
        self.shown(MASTER, path)
    }

    #[track_caller]
    fn shown(&self, key: &str, path: &str) -> Value {
        let reply = self.get(key, path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.body_text());
        reply.json()
    }

    /// A new key.
    #[track_caller]
    fn key(&self, body: &Value) -> String {
        let made = self.make("/key/generate", body);
        made["key"].as_str().unwrap().to_owned()
    }

    /// A user with a role, and the key that the user begins with.
    #[track_caller]
    fn user(&self, id: &str, role: &str, more: &Value) -> String {
        let mut body = json!({"user_id": id, "user_role": role});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = self.make("/user/new", &body);
        made["key"].as_str().unwrap().to_owned()
    }

    /// The database file, for what no route shows.
    fn database(&self) -> Database {
        database(self.gateway.folder())
    }
}

fn database(folder: &Path) -> Database {
    Database::new(Place::File(folder.join("state/tollgate.db")))
}

/// Status and blamed field of a refusal.
#[track_caller]
fn blamed(reply: &Reply) -> (u16, String) {
    let error = &reply.json()["error"];
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    assert!(error["type"].is_string() && error["request_id"].is_string(), "{error}");
    (reply.status, error["param"].as_str().unwrap_or_default().to_owned())
}
