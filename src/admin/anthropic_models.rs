//! `/v1/models` as Anthropic's SDKs read it. They name the version of their API in a header, by which
//! they are known.

use std::time::{Duration, UNIX_EPOCH};

use axum::Json;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Uri};
use serde::{Deserialize, Serialize};

use super::{ClientDialect, Model, Problem, request_id};
use crate::telemetry::rfc3339;

/// Models on one page where the client does not say, and at most.
const PAGE: (usize, usize) = (20, 1000);

#[derive(Serialize)]
struct List<'a> {
    data: Vec<Entry<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Entry<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: String,
}

impl<'a> Entry<'a> {
    fn of(model: &'a Model, started: u64) -> Self {
        let created_at = rfc3339(UNIX_EPOCH + Duration::from_secs(started));
        Self { kind: "model", id: &model.name, display_name: &model.name, created_at }
    }
}

#[derive(Default, Deserialize)]
struct Page {
    limit: Option<usize>,
    /// The model before the page, or the one behind it.
    after_id: Option<String>,
    before_id: Option<String>,
}

/// Whether one of Anthropic's clients asks.
pub(super) fn is_client(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// A page of the models. `started`: when the gateway did, in seconds since 1970.
pub(super) fn list(models: &[Model], started: u64, uri: &Uri, headers: &HeaderMap) -> Response {
    let Ok(Query(page)) = Query::<Page>::try_from_uri(uri) else {
        let problem = Problem {
            status: 400,
            kind: "invalid_request_error",
            code: "invalid_value",
            message: "limit: Input should be a number of models",
            param: Some("limit"),
            request_id: request_id(headers),
            telling: None,
        };
        return problem.response(ClientDialect::Anthropic);
    };
    let size = page.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1);
    let place = |id: &Option<String>| {
        id.as_ref().and_then(|id| models.iter().position(|model| *model.name == **id))
    };
    let (range, has_more) = match (place(&page.after_id), place(&page.before_id)) {
        (None, Some(end)) => {
            let start = end.saturating_sub(size);
            (start..end, start > 0)
        }
        (after, _) => {
            let start = after.map_or(0, |at| at + 1);
            let end = start.saturating_add(size).min(models.len());
            (start..end, end < models.len())
        }
    };
    let data: Vec<_> = models[range].iter().map(|model| Entry::of(model, started)).collect();
    let (first_id, last_id) = (data.first().map(|it| it.id), data.last().map(|it| it.id));
    Json(List { data, has_more, first_id, last_id }).into_response()
}

/// One model.
pub(super) fn one(model: &Model, started: u64) -> Response {
    Json(Entry::of(model, started)).into_response()
}
