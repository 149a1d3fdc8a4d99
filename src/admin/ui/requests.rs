//! Single requests: found by what is known of them, and one with the life that it had.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::super::fault::Fault;
use super::super::form::Parameters;
use super::super::gate::Operator;
use super::super::page::Page;
use super::super::reports::COUNTED_MAX;
use super::Ui;
use super::overview::{part, span};
use super::shapes::{PICO, dollars, duration, ms};
use crate::spend::{APPLIED_GUARDRAILS, Query, SIMILARITY, SpendEvent};

/// Rows of a page, and the most of them.
const PAGE: (u64, u64) = (50, 100);

/// `GET /ui/api/requests`.
pub(super) async fn list(
    State(ui): State<Arc<Ui>>,
    operator: Operator,
    Parameters(form): Parameters,
) -> Result<Json<Value>, Fault> {
    let text = |name| form.filled(name);
    let page = Page::read(&form, "page_size", PAGE)?;
    let failed = match text("status")?.as_deref() {
        None => None,
        Some("success") => Some(false),
        Some("failure") => Some(true),
        Some(_) => {
            let message = "status must be success or failure".to_owned();
            return Err(Fault::value("status", message));
        }
    };
    let pico = |name: &str| -> Result<Option<u64>, Fault> {
        Ok(form.dollars(name)?.value().map(|dollars| (dollars * PICO).round() as u64))
    };
    let id = text("id")?;
    let part = ui.reports.sight(&operator, part(&form)?).await?;
    let query = Query {
        // Who names one request does not care when it was.
        span: if id.is_some() { None } else { Some(span(&form)?) },
        request_id: id,
        key: part.key,
        user: part.user,
        team: part.team,
        end_user: text("end_user")?,
        group: text("group")?,
        deployment: text("deployment")?,
        error: text("error")?,
        tag: text("tag")?,
        failed,
        min_cost_pico: pico("min_cost")?,
        max_cost_pico: pico("max_cost")?,
        skip: page.skip(),
        limit: page.size,
    };
    let (rows, total) = ui.reports.found(&query).await?;
    Ok(Json(json!({
        "requests": rows.iter().map(shown).collect::<Vec<_>>(),
        "total": total,
        "total_is_least": total >= COUNTED_MAX,
        "page": page.number,
        "page_size": page.size,
    })))
}

/// `GET /ui/api/requests/{id}`.
pub(super) async fn one(
    State(ui): State<Arc<Ui>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Json<Value>, Fault> {
    let Some(event) = ui.reports.row(&operator, &id).await? else {
        return Err(Fault::absent("id", "There is no such request in the log".to_owned()));
    };
    let mut shown = shown(&event);
    let spoken = ui.shared.stores.ledger.spoken(&event.request_id).await?;
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let said = spoken.map(|spoken| {
        json!({
            "request": read(&spoken.request),
            "reply": spoken.reply.as_deref().map(read),
        })
    });
    let metadata = event.metadata.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let mut metadata: Value = metadata.unwrap_or_else(|| json!({}));
    let mut taken = |mark: &str| metadata.as_object_mut()?.remove(mark);
    let (guardrails, similarity) = (taken(APPLIED_GUARDRAILS), taken(SIMILARITY));
    let more = json!({
        "organisation": event.organisation,
        "client_ip": event.client_ip,
        "session": event.session,
        "guardrails": guardrails,
        "similarity": similarity,
        "metadata": metadata,
        "usage": event.usage,
        "asked": event.asked,
        "saved": event.cache_hit.then(|| dollars(event.saved_pico)),
        "attempts": attempts(&event),
        "attempts_are_recorded": !event.attempts.is_empty(),
        "said": said,
    });
    if let (Some(fields), Value::Object(more)) = (shown.as_object_mut(), more) {
        fields.extend(more);
    }
    Ok(Json(shown))
}

fn shown(event: &SpendEvent) -> Value {
    let tried = event.attempts.last().filter(|_| event.deployment.is_none());
    json!({
        "id": event.request_id,
        "call_id": event.call_id,
        "at": ms(event.started_us),
        "duration": duration(event.duration_us),
        "ttft": event.first_token_us.map(duration),
        "route": event.route,
        "model": event.model,
        "group": event.group,
        "deployment": event.deployment,
        "provider": event.provider,
        "upstream_model": event.upstream_model,
        "tried": tried.map(|one| json!({"deployment": one.deployment, "provider": one.provider})),
        "stream": event.stream,
        "status": event.status,
        "failed": event.has_failed(),
        "error": event.error,
        "client_gone": event.client_gone,
        "cache_hit": event.cache_hit,
        "input_tokens": event.usage.input_tokens,
        "output_tokens": event.usage.output_tokens,
        "cost": dollars(event.cost_pico),
        "retries": event.retries,
        "fallbacks": event.fallbacks,
        "key": event.key,
        "key_alias": event.key_alias,
        "user": event.user,
        "team": event.team,
        "end_user": event.end_user,
        "tags": event.tags,
    })
}

/// The tries of a request. Of one that a single try answered, the request itself says all.
fn attempts(event: &SpendEvent) -> Vec<Value> {
    if event.attempts.is_empty() {
        let Some(deployment) = event.deployment.as_ref().filter(|_| !event.cache_hit) else {
            return Vec::new();
        };
        let outcome = if event.has_failed() { event.error.as_deref() } else { Some("success") };
        return vec![json!({
            "deployment": deployment,
            "group": event.group,
            "provider": event.provider,
            "start": 0.0,
            "duration": duration(event.duration_us),
            "outcome": outcome.unwrap_or("failed"),
            "status": event.status,
            "cooled_down": false,
        })];
    }
    let shown = event.attempts.iter().map(|tried| {
        json!({
            "deployment": tried.deployment,
            "group": tried.group,
            "provider": tried.provider,
            "start": duration(tried.start_us),
            "duration": duration(tried.duration_us),
            "outcome": tried.outcome,
            "status": tried.status,
            "cooled_down": tried.cooled_down,
        })
    });
    shown.collect()
}
