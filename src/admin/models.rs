//! `/v1/models`: what can be asked for, in OpenAI's shape.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::{Model, Shared, admit, problem, request_id, shortened};

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

impl<'a> Entry<'a> {
    fn of(model: &'a Model, shared: &Shared) -> Self {
        Self {
            id: &model.name,
            object: "model",
            created: shared.started,
            owned_by: &model.owned_by,
        }
    }
}

pub(super) async fn list(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Err(refusal) = admit(&shared.source.access(), &headers) {
        return refusal;
    }
    let models = shared.source.models();
    let data = models.iter().map(|model| Entry::of(model, &shared)).collect();
    Json(List { object: "list", data }).into_response()
}

/// A name is found as it is listed: a wildcard under `openai/*`, not under what it would match,
/// because whether the provider has such a model is not known here.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&shared.source.access(), &headers) {
        return refusal;
    }
    if let Some(model) = shared.source.models().iter().find(|model| *model.name == *name) {
        return Json(Entry::of(model, &shared)).into_response();
    }
    let message = format!("The model '{}' does not exist", shortened(&name));
    let (kind, code) = ("invalid_request_error", "model_not_found");
    problem(StatusCode::NOT_FOUND, kind, code, &message, request_id(&headers))
}
