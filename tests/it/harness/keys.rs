//! Keys and other records, made by the management API.

use serde_json::Value;

use super::{Client, Gateway};

/// Makes something; what is answered.
#[track_caller]
pub fn made(gateway: &Gateway, path: &str, what: Value) -> Value {
    let reply = gateway.client().post(path).json(&what).send();
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()
}

/// Makes a key.
#[track_caller]
pub fn key(gateway: &Gateway, what: Value) -> String {
    made(gateway, "/key/generate", what)["key"].as_str().unwrap().to_owned()
}

/// A client with a key, on connections of its own.
pub fn holder(gateway: &Gateway, key: &str) -> Client {
    gateway.client().own_connections().with_key(Some(key))
}
