//! `GET /openapi.json` and `GET /routes`: what the routes are, what they take and what they answer.
//!
//! The description is two files of their own beside this one, because bodies and answers are LiteLLM's and
//! the providers', and not types of ours: `openapi.yaml` has what is answered here, `inference.yaml` what
//! calls models. Tests hold them to the table of rights and to the paths of the gateway, and the test
//! scripts hold the gateway to the first.

use std::sync::LazyLock;

use axum::Json;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::routes::INFERENCE;

static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let read = |text| serde_yaml::from_str(text).expect("a test reads the description");
    let mut description: Value = read(include_str!("openapi.yaml"));
    merge(&mut description, read(include_str!("inference.yaml")));
    description["info"]["version"] = json!(env!("CARGO_PKG_VERSION"));
    description
});

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

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
    let spellings = INFERENCE.iter().filter(|(path, _)| DESCRIPTION["paths"].get(path).is_none());
    let inference = spellings.map(|(path, endpoint)| {
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

/// All that is described: path, methods, and whether it calls a model.
#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = (&'static str, Vec<String>, bool)> {
    let calls_models = |path: &str| {
        let operations = DESCRIPTION["paths"][path].as_object().into_iter().flatten();
        operations.into_iter().any(|(_, operation)| operation["tags"] == json!(["inference"]))
    };
    described().map(move |(path, methods)| (path, methods, calls_models(path)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::rights::patterns;
    use super::super::routes::{KEPT, LISTED};
    use super::*;

    /// The landing page, and other spellings.
    const LEFT_OUT: [&str; 6] =
        ["/", "/metrics/", "/models/", "/models/{*name}", "/v1/models/", "/v1beta/models/"];

    /// A path whose places have no names.
    fn nameless(path: &str) -> String {
        let mut parts = path.split('{');
        let first = parts.next().unwrap_or_default().to_owned();
        let after = |part: &str| part.split_once('}').map_or("", |(_, after)| after).to_owned();
        parts.fold(first, |path, part| path + "{}" + &after(part))
    }

    fn nameless_paths(calls_models: bool) -> BTreeSet<String> {
        let paths = all().filter(|(.., inference)| *inference == calls_models);
        paths.map(|(path, ..)| nameless(path)).collect()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        // The dashboard's own API is its pages'.
        let is_left_out = |path: &&str| LEFT_OUT.contains(path) || path.starts_with("/ui");
        let routes: BTreeSet<String> =
            patterns().filter(|path| !is_left_out(path)).map(nameless).collect();
        let described = nameless_paths(false);
        let missing: Vec<_> = routes.difference(&described).collect();
        let too_many: Vec<_> = described.difference(&routes).collect();
        assert!(missing.is_empty() && too_many.is_empty(), "{missing:?} {too_many:?}");
    }

    /// An inference path as it is described: of all its spellings, the one with the version.
    fn described_as(path: &str) -> String {
        let bases = [
            "/openai/deployments/{model}",
            "/v1/engines/{model}",
            "/engines/{model}",
            "/openai/v1",
            "/v1",
        ];
        let rest = bases.into_iter().find_map(|base| path.strip_prefix(base));
        match rest {
            None if path.starts_with("/v2/") => path.to_owned(),
            rest => nameless(&format!("/v1{}", rest.unwrap_or(path))),
        }
    }

    #[test]
    fn whatever_calls_a_model_is_described() {
        let described = nameless_paths(true);
        let inference = INFERENCE.iter().map(|(path, _)| described_as(path));
        let kept = KEPT.iter().map(|(path, _)| described_as(path));
        let missing: Vec<_> = inference.chain(kept).filter(|it| !described.contains(it)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        let all: BTreeSet<String> = described.union(&nameless_paths(false)).cloned().collect();
        let told = LISTED.iter().map(|listed| listed.path).filter(|path| *path != "/ui");
        let is_told =
            |path: &&str| all.contains(&nameless(path)) || all.contains(&described_as(path));
        let missing: Vec<_> = told.filter(|path| !is_told(path)).collect();
        assert!(missing.is_empty(), "on the landing page: {missing:?}");
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
