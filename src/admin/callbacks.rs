//! LiteLLM's pages about callbacks: which there are, by their names, and a test of one.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::fault::Fault;
use super::{Shared, Tried, shortened};
use crate::callbacks::SinkSettings;
use crate::patience::within;

/// How long a trial may take: an attempt to connect and to be answered, and a moment.
const TRIAL_MAX: Duration = Duration::from_secs(15);

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

/// `GET /health/services?service=langfuse`: tells a receiver of something that did not happen, and how that
/// went.
pub(super) async fn test(
    State(shared): State<Arc<Shared>>,
    Query(Service { service }): Query<Service>,
) -> Result<Json<Value>, Fault> {
    let name =
        service.ok_or_else(|| Fault::value("service", "Service must be specified.".to_owned()))?;
    let shown = shortened(&name);
    let trying = pin!(shared.source.try_out(&name));
    let tried = within(TRIAL_MAX, trying).await;
    let late = |_| Tried::Failed(format!("no answer within {} seconds", TRIAL_MAX.as_secs()));
    Ok(Json(match tried.unwrap_or_else(late) {
        Tried::Unknown => {
            let message = format!("Service must be in list: there is no service {shown}");
            return Err(Fault::value("service", message));
        }
        Tried::Unconfigured => {
            let message = format!("\"{shown}\" not in proxy config. Unable to test this.");
            return Err(Fault::shape("service", message));
        }
        Tried::Taken => {
            let message = format!("Mock LLM request made - check {shown}.");
            json!({ "status": "success", "message": message })
        }
        Tried::Alerted(types) => {
            let message = format!("Mock alert sent, verify that {shown} has received it");
            json!({ "status": "success", "alert_types": types, "message": message })
        }
        Tried::Failed(why) => json!({ "status": "unhealthy", "message": why }),
    }))
}
