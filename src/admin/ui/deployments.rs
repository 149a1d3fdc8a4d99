//! What can be called, and how it is doing in this process.

use std::sync::Arc;
use std::time::SystemTime;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::gate::Operator;
use super::super::insight::{DeploymentInfo, Seen};
use super::Ui;
use super::sessions::millis;
use crate::telemetry::{DeploymentState, class_name};

/// `GET /ui/api/deployments`.
pub(super) async fn list(State(ui): State<Arc<Ui>>, operator: Operator) -> Json<Value> {
    let now = SystemTime::now();
    let source = &ui.shared.source;
    let may_use = |info: &DeploymentInfo| {
        operator.principal().is_none_or(|holder| source.may_use(holder, &info.group))
    };
    let sees_all = operator.sees_all();
    let shown: Vec<_> = source
        .deployments()
        .iter()
        .filter(|info| sees_all || may_use(info))
        .map(|info| shown(info, &source.seen(&info.id), sees_all, now))
        .collect();
    Json(json!({"at": millis(now), "deployments": shown}))
}

/// The name of a state in the dashboard's words.
pub(super) const fn state(seen: &Seen) -> &'static str {
    match seen.health.state {
        DeploymentState::Healthy => "healthy",
        DeploymentState::Partial => "partial",
        DeploymentState::Down => "cooling",
    }
}

fn shown(info: &DeploymentInfo, seen: &Seen, sees_all: bool, now: SystemTime) -> Value {
    let param = |name: &str| info.params.get(name).cloned().unwrap_or_default();
    let view = seen.view.as_ref();
    let last = view.and_then(|view| view.last_failure.as_ref());
    let model = param("model");
    let model = model.as_str().and_then(|model| model.split_once('/')).map(|(_, model)| model);
    json!({
        "id": info.id,
        "group": info.group,
        "provider": info.provider,
        "model": model,
        // Where providers are reached may be within the operator's network.
        "api_base": if sees_all { param("api_base") } else { Value::Null },
        "weight": param("weight"),
        "order": param("order"),
        "tags": info.params.get("tags").cloned().unwrap_or_else(|| json!([])),
        "rpm": param("rpm"),
        "tpm": param("tpm"),
        "max_parallel_requests": param("max_parallel_requests"),
        "state": state(seen),
        "cooldown_until": seen.health.cooldown_left.map(|left| millis(now + left)),
        "well": seen.health.well,
        "in_flight": view.map_or(0, |view| view.in_flight),
        "successes": view.map_or(0, |view| view.successes),
        "failures": view.map_or(0, |view| view.failures),
        "cooldowns": view.map_or(0, |view| view.cooldowns),
        "consecutive_failures": view.map_or(0, |view| view.consecutive_failures),
        "recent_attempts": view.map_or(0, |view| view.recent_attempts),
        "recent_failures": view.map_or(0, |view| view.recent_failures),
        "last_failure": last.map(|last| json!({
            "at": now.checked_sub(last.ago).map(millis),
            "class": class_name(last.class),
            "status": last.status,
        })),
    })
}
