//! `/v1/models` and `/v1beta/models`: what can be asked for, in OpenAI's shape and in Google's.
//!
//! Google's SDKs ask below `/v1/` too, and Anthropic's nowhere else: there the shape is that of the client.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use super::anthropic_models as anthropic;
use super::{ClientDialect, Model, Operator, Problem, Shared, auth, request_id, shortened};

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

/// All models, or a page of them for a client of Google's.
pub(super) async fn list(
    shared: State<Arc<Shared>>,
    operator: Operator,
    page: Result<Query<Page>, QueryRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if auth::is_googles(&headers, uri.query()) {
        return google_list(shared, operator, page, headers).await;
    }
    let State(shared) = shared;
    let models = shared.source.models(&operator.0);
    if anthropic::is_client(&headers) {
        return anthropic::list(&models, shared.started, &uri, &headers);
    }
    let data = models.iter().map(|model| Entry::of(model, &shared)).collect();
    Json(List { object: "list", data }).into_response()
}

/// Any name is found that a request may ask for, listed or not.
pub(super) async fn one(
    shared: State<Arc<Shared>>,
    operator: Operator,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if auth::is_googles(&headers, uri.query()) {
        return google_one(shared, operator, name, headers).await;
    }
    let State(shared) = shared;
    // A name that is no text cannot be that of a model.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let anthropics = anthropic::is_client(&headers);
    if let Some(model) = shared.source.model(&name, &operator.0) {
        return match anthropics {
            true => anthropic::one(&model, shared.started),
            false => Json(Entry::of(&model, &shared)).into_response(),
        };
    }
    let problem = Problem {
        status: 404,
        kind: "invalid_request_error",
        code: "model_not_found",
        message: &format!("The model '{}' does not exist", shortened(&name)),
        param: Some("model"),
        request_id: request_id(&headers),
        telling: None,
    };
    problem.response(if anthropics { ClientDialect::Anthropic } else { ClientDialect::OpenAi })
}

/// What a client of Google's may ask of every model here.
const METHODS: [&str; 3] = ["generateContent", "streamGenerateContent", "countTokens"];

/// Models on one page where the client does not say, and at most.
const PAGE: (usize, usize) = (50, 1000);

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoogleList<'a> {
    models: Vec<GoogleEntry<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page_token: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GoogleEntry<'a> {
    name: String,
    version: &'static str,
    display_name: &'a str,
    supported_generation_methods: [&'static str; 3],
}

impl<'a> GoogleEntry<'a> {
    fn of(model: &'a Model) -> Self {
        Self {
            name: format!("models/{}", model.name),
            version: "001",
            display_name: &model.name,
            supported_generation_methods: METHODS,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default, alias = "page_size")]
    page_size: usize,
    /// How many models came before.
    #[serde(default, alias = "page_token")]
    page_token: String,
}

/// A page of the models, as Google's clients read it.
pub(super) async fn google_list(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    page: Result<Query<Page>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let wrong = |param| google_problem(400, "invalid_value", param, &headers);
    let Ok(Query(page)) = page else { return wrong("pageSize") };
    let start = match page.page_token.as_str() {
        "" => 0,
        token => match token.parse::<usize>() {
            Ok(start) => start,
            Err(_) => return wrong("pageToken"),
        },
    };
    let size = if page.page_size == 0 { PAGE.0 } else { page.page_size.min(PAGE.1) };
    let all = shared.source.models(&caller);
    let models = all.iter().skip(start).take(size).map(GoogleEntry::of).collect();
    let next = start.saturating_add(size);
    let next_page_token = (next < all.len()).then(|| next.to_string());
    Json(GoogleList { models, next_page_token }).into_response()
}

/// Any name is found that a request may ask for, listed or not.
pub(super) async fn google_one(
    State(shared): State<Arc<Shared>>,
    Operator(caller): Operator,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
) -> Response {
    let name = name.map(|Path(name)| name).unwrap_or_default();
    match shared.source.model(&name, &caller) {
        Some(model) => Json(GoogleEntry::of(&model)).into_response(),
        None => google_problem(404, "model_not_found", &format!("models/{name}"), &headers),
    }
}

fn google_problem(status: u16, code: &str, what: &str, headers: &HeaderMap) -> Response {
    let message = match status {
        404 => format!("{} is not found", shortened(what)),
        _ => format!("Invalid value for {what}"),
    };
    let kind = "invalid_request_error";
    let request_id = request_id(headers);
    let problem = Problem {
        status,
        kind,
        code,
        message: &message,
        param: Some(what),
        request_id,
        telling: None,
    };
    problem.response(ClientDialect::Gemini)
}
