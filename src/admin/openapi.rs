//! `GET /openapi.json` and `GET /routes`: what the routes are, what they take and what they answer.
//!
//! The description is a file of its own beside this one (`openapi.yaml`), because bodies and answers are
//! LiteLLM's and not types of ours. A test holds it to the table of rights, and the test scripts hold
//! the gateway to it.

use std::sync::LazyLock;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::routes::INFERENCE;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let read = serde_yaml::from_str(include_str!("openapi.yaml"));
    let mut description: Value = read.expect("a test reads the description");
    description["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    description
});

/// `GET /openapi.json`.
pub(super) async fn description() -> Response {
    static WRITTEN: LazyLock<Bytes> = LazyLock::new(|| DESCRIPTION.to_string().into());
    ([(CONTENT_TYPE, "application/json")], WRITTEN.clone()).into_response()
}

/// `GET /routes`: the paths with their methods.
pub(super) async fn routes() -> Json<Value> {
    let described = described().map(|(path, methods)| {
        let name = path.trim_matches('/').replace(['/', '-'], "_");
        json!({"path": path, "methods": methods, "name": name})
    });
    let inference = INFERENCE.iter().map(|(path, endpoint)| {
        json!({"path": path, "methods": ["POST"], "name": format!("{endpoint:?}").to_lowercase()})
    });
    Json(json!({"routes": described.chain(inference).collect::<Vec<_>>()}))
}

/// The paths of the description, with their methods in capitals.
fn described() -> impl Iterator<Item = (&'static str, Vec<String>)> {
    let paths = DESCRIPTION["paths"].as_object().into_iter().flatten();
    paths.map(|(path, operations)| {
        let methods = operations.as_object().into_iter().flatten();
        (path.as_str(), methods.map(|(method, _)| method.to_uppercase()).collect())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::rights::patterns;
    use super::*;

    /// What is described elsewhere: pages, and other spellings.
    const LEFT_OUT: [&str; 9] = [
        "/",
        "/metrics",
        "/metrics/",
        "/models/",
        "/models/{*name}",
        "/v1/models/",
        "/v1/models/{*name}",
        "/v1beta/models/",
        "/v1beta/models/{*name}",
    ];

    #[test]
    fn every_route_is_described_and_nothing_else() {
        // The dashboard's own API is its pages'.
        let is_left_out = |path: &&str| LEFT_OUT.contains(path) || path.starts_with("/ui");
        let routes: BTreeSet<&str> = patterns().filter(|path| !is_left_out(path)).collect();
        let described: BTreeSet<&str> = described().map(|(path, _)| path).collect();
        let missing: Vec<_> = routes.difference(&described).collect();
        let too_many: Vec<_> = described.difference(&routes).collect();
        assert!(missing.is_empty() && too_many.is_empty(), "{missing:?} {too_many:?}");
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        fn check(value: &Value) {
            match value {
                Value::Object(fields) => {
                    if let Some(Value::String(reference)) = fields.get("$ref") {
                        let path = reference.strip_prefix('#').unwrap();
                        assert!(DESCRIPTION.pointer(path).is_some(), "{reference}");
                    }
                    fields.values().for_each(check);
                }
                Value::Array(items) => items.iter().for_each(check),
                _ => {}
            }
        }
        check(&DESCRIPTION);
    }
}
