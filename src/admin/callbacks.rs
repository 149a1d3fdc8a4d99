//! LiteLLM's pages about callbacks: which there are, by their names, and a test of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use super::fault::Fault;
use crate::callbacks::SinkSettings;

/// What is always told, and has no settings here.
const METRICS: &str = "prometheus";

/// The names of callbacks of one kind.
fn names(sinks: &[Arc<SinkSettings>], successes: bool, failures: bool) -> Vec<&str> {
    let of = |sink: &&Arc<SinkSettings>| (sink.successes, sink.failures) == (successes, failures);
    sinks.iter().filter(of).map(|sink| &*sink.name).collect()
}

/// `GET /callbacks/list`.
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let settings = shared.source.callbacks();
    let mut both = names(&settings.sinks, true, true);
    both.push(METRICS);
    Json(json!({
        "success": names(&settings.sinks, true, false),
        "failure": names(&settings.sinks, false, true),
        "success_and_failure": both,
    }))
}

/// `GET /active/callbacks`.
pub(super) async fn active(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let settings = shared.source.callbacks();
    let mut both = names(&settings.sinks, true, true);
    both.push(METRICS);
    Json(json!({
        "litellm.callbacks": both,
        "litellm.success_callback": names(&settings.sinks, true, false),
        "litellm.failure_callback": names(&settings.sinks, false, true),
        "num_callbacks": settings.sinks.len() + 1,
        "message_logging": settings.wants_text,
    }))
}

#[derive(Deserialize)]
pub(super) struct Service {
    service: Option<String>,
}

/// `GET /health/services?service=langfuse`: tells a callback of a request that nobody made.
pub(super) async fn test(
    State(shared): State<Arc<Shared>>,
    Query(Service { service }): Query<Service>,
) -> Result<Json<Value>, Fault> {
    let name =
        service.ok_or_else(|| Fault::value("service", "service must be given".to_owned()))?;
    let settings = shared.source.callbacks();
    if !settings.sinks.iter().any(|sink| *sink.name == *name) {
        return Err(Fault::absent("service", format!("there is no callback {name}")));
    }
    shared.source.test_callback(&name);
    let message = format!("A request for a test is on its way: see {name}.");
    Ok(Json(json!({ "status": "success", "message": message })))
}
