//! Health, from memory. No probe is sent: LiteLLM's `/health` calls every provider with a real
//! prompt, which costs money and time whenever a load balancer asks.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::{GroupHealth, LimitsHealth, Shared};
use crate::books::Link;
use crate::telemetry::DeploymentState;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// How well requests are served right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    /// Every deployment of every group is available.
    Healthy,
    /// Some deployment rests or failed lately.
    Degraded,
    /// Every deployment there is rests.
    Unhealthy,
    /// The process is about to end.
    Draining,
}

#[derive(Debug, Serialize)]
struct Summary {
    status: Status,
    version: &'static str,
    healthy_endpoints: usize,
    unhealthy_endpoints: usize,
    groups: BTreeMap<Arc<str>, GroupSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<LimitsHealth>,
}

#[derive(Debug, Serialize)]
struct GroupSummary {
    status: Status,
    deployments: usize,
    healthy: usize,
    /// Failed lately, failed its health check, or on probation after a cooldown.
    partial: usize,
    cooling: usize,
    /// Deployments whose last health check failed; only if any is checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_checks: Option<usize>,
    /// Until the first resting deployment may be tried again; only if all of them rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
}

/// `/health`: open to everybody, so it names groups but neither deployments nor addresses. 200 as
/// long as the process serves: restarting it would not heal a provider.
pub(super) async fn summary(State(shared): State<Arc<Shared>>) -> Response {
    let draining = shared.source.draining();
    let mut summary = summarise(&shared.source.groups(), draining);
    summary.limits = shared.source.limits();
    let alone = summary.limits.is_some_and(|limits| limits.counted == "alone");
    if alone && summary.status == Status::Healthy {
        summary.status = Status::Degraded;
    }
    let code = if draining { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    (code, Json(summary)).into_response()
}

/// `/health/liveliness` (LiteLLM's spelling) and `/health/liveness`: the process runs.
pub(super) async fn alive() -> Json<&'static str> {
    Json("I'm alive!")
}

/// `/health/readiness`: whether a load balancer should send requests here.
pub(super) async fn ready(State(shared): State<Arc<Shared>>) -> Response {
    let (code, status) = if shared.source.draining() {
        (StatusCode::SERVICE_UNAVAILABLE, Status::Draining)
    } else {
        (StatusCode::OK, Status::Healthy)
    };
    // LiteLLM's words. Requests are served without the database, so it makes nobody unready.
    let db = match shared.stores.books.link() {
        Link::Up => "connected",
        Link::Unknown | Link::Down => "Not connected",
    };
    let mut body = json!({"status": status, "db": db, "version": VERSION});
    // A failed reload leaves the process as able as before, so it stays ready; but it is to be seen.
    let last = shared.operations.as_ref().and_then(|operations| operations.last_reload());
    if let Some(last) = last {
        body["last_reload"] = last.shown();
    }
    (code, Json(body)).into_response()
}

fn summarise(groups: &[GroupHealth], draining: bool) -> Summary {
    let groups: BTreeMap<_, _> =
        groups.iter().map(|group| (Arc::clone(&group.name), of_group(group))).collect();
    let deployments: usize = groups.values().map(|group| group.deployments).sum();
    let cooling: usize = groups.values().map(|group| group.cooling).sum();
    let status = if draining {
        Status::Draining
    } else if deployments > 0 && cooling == deployments {
        Status::Unhealthy
    } else if groups.values().all(|group| group.status == Status::Healthy) {
        Status::Healthy
    } else {
        Status::Degraded
    };
    Summary {
        status,
        version: VERSION,
        healthy_endpoints: deployments - cooling,
        unhealthy_endpoints: cooling,
        groups,
        limits: None,
    }
}

fn of_group(group: &GroupHealth) -> GroupSummary {
    let count = |state| group.deployments.iter().filter(|one| one.state == state).count();
    let (healthy, cooling) = (count(DeploymentState::Healthy), count(DeploymentState::Down));
    let deployments = group.deployments.len();
    let status = match () {
        () if cooling == deployments && deployments > 0 => Status::Unhealthy,
        () if healthy == deployments => Status::Healthy,
        () => Status::Degraded,
    };
    let first_back = group.deployments.iter().filter_map(|one| one.cooldown_left).min();
    GroupSummary {
        status,
        deployments,
        healthy,
        partial: deployments - healthy - cooling,
        cooling,
        failed_checks: group
            .deployments
            .iter()
            .any(|one| one.well.is_some())
            .then(|| group.deployments.iter().filter(|one| one.well == Some(false)).count()),
        // Rounded up: who waits that long finds it over.
        retry_after_seconds: first_back
            .filter(|_| status == Status::Unhealthy)
            .map(|left| left.as_secs() + u64::from(left.subsec_nanos() > 0)),
    }
}
