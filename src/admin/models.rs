//! `/v1/models`: what can be asked for, in OpenAI's shape.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use serde::Serialize;

use super::{ClientDialect, Model, Problem, Shared, admit, request_id, shortened};

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

/// Any name is found that a request may ask for, listed or not.
pub(super) async fn one(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    if let Err(refusal) = admit(&shared.source.access(), &headers) {
        return refusal;
    }
    // A name that is no text cannot be that of a model.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    if let Some(model) = shared.source.model(&name) {
        return Json(Entry::of(&model, &shared)).into_response();
    }
    let problem = Problem {
        status: 404,
        kind: "invalid_request_error",
        code: "model_not_found",
        message: &format!("The model '{}' does not exist", shortened(&name)),
        param: Some("model"),
        request_id: request_id(&headers),
    };
    problem.response(ClientDialect::OpenAi)
}
