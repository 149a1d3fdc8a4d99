//! A request explained: what would be done with it now, without calling anyone. For the command
//! line, for `POST /routing/explain`, and as a table for people.

use std::time::Instant;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::ctx::{Call, RequestCtx};
use super::error::{ClientDialect, GatewayError};
use super::intake;
use super::route::Asked;
use super::{Gateway, decide};
use crate::dialect::Endpoint;
use crate::routing::rules::Decision;
use crate::routing::{self, Ask, ExplainedCandidate, ExplainedGroup, Explanation, Standing};
use crate::snapshot::Snapshot;

/// What would become of a request: its body as a client sends it, with the headers that matter.
///
/// # Errors
/// The body is none, or nothing has the name of its model; as text of an error's JSON body.
pub fn explain(
    snapshot: std::sync::Arc<Snapshot>,
    state: &routing::State,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Explanation, GatewayError> {
    let ctx = RequestCtx::new(snapshot);
    let snapshot = &ctx.snapshot;
    let asked = Asked::new(endpoint_of(&body), ClientDialect::OpenAi);
    let call = intake::understand(&ctx, headers, "", asked, body)?;
    if let Some(model) = snapshot.rules.counted_as(&call.model) {
        super::tokens::count(&call, model, &snapshot.catalog);
    }
    let decision = decide::decide(&ctx, headers, &call)?;
    let ask = Ask { needs: Some(*call.needs()), ..call.ask() };
    let ask = decide::routed(ask, decision.as_ref());
    let explained =
        routing::explain(&snapshot.catalog, &snapshot.routing, state, ask, Instant::now())
            .map_err(|_unknown| GatewayError::UnknownModel { model: call.model.to_string() })?;
    let (model, decided) = (call.model.to_string(), decide::reasons(decision.as_ref()));
    Ok(Explanation { model, decided, ..explained })
}

/// Says of a request on its way why it goes where it goes: in the response, if its client wants to
/// know, and in the log at debug level.
pub(super) fn tell(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    call: &Call,
    ask: &Ask<'_>,
    decision: Option<&Decision>,
) {
    let logged = tracing::enabled!(tracing::Level::DEBUG);
    if !call.hints.explain && !logged {
        return;
    }
    let snapshot = &ctx.snapshot;
    let (state, now) = (&*gateway.routing, Instant::now());
    let explained = routing::explain(&snapshot.catalog, &snapshot.routing, state, ask.clone(), now);
    let Ok(mut explained) = explained else { return };
    explained.decided = decide::reasons(decision);
    let line = explained.to_string();
    tracing::debug!(request_id = %ctx.request_id, routing = %line, "routed");
    if call.hints.explain {
        ctx.relayed.explained = Some(line.into());
    }
}

/// The endpoint that a body is for: by the field that only that endpoint has.
fn endpoint_of(body: &Bytes) -> Endpoint {
    let has = |name: &str| {
        crate::wire::json::Object::parse(body.clone()).is_ok_and(|body| body.contains(name))
    };
    if has("messages") {
        Endpoint::Chat
    } else if has("input") {
        Endpoint::Embeddings
    } else if has("prompt") {
        Endpoint::Completions
    } else {
        Endpoint::Chat
    }
}

/// The explanation as JSON.
#[must_use]
pub fn json(explanation: &Explanation) -> Value {
    let groups: Vec<Value> = explanation.groups.iter().map(group).collect();
    json!({ "model": explanation.model, "decided": explanation.decided, "groups": groups })
}

fn group(group: &ExplainedGroup) -> Value {
    let deployments: Vec<Value> = group.candidates.iter().map(candidate).collect();
    json!({
        "group": group.name,
        "fallback": group.fallback,
        "strategy": group.strategy.name(),
        "deployments": deployments,
    })
}

fn candidate(one: &ExplainedCandidate) -> Value {
    let (place, out) = match one.standing {
        Standing::Place(place) => (Some(place), None),
        Standing::Later => (None, None),
        Standing::Out(out) => (None, Some(out)),
    };
    let deployment = &one.deployment;
    json!({
        "id": deployment.id,
        "provider": deployment.provider,
        "model": deployment.model,
        "place": place,
        "standing": one.standing.to_string(),
        "out": out.map(|out| out.code()),
        "notes": one.notes,
        "order": deployment.order,
        "share": (one.share * 1e4).round() / 1e4,
        "in_flight": one.in_flight,
        "requests_last_minute": one.requests,
        "tokens_last_minute": one.tokens,
        "expected_cost_usd": one.cost.map(crate::money::Usd::dollars),
        "expected_latency_ms": one.latency.map(|latency| latency.as_micros() as f64 / 1000.0),
    })
}

/// The explanation as a table.
#[must_use]
pub fn table(explanation: &Explanation) -> String {
    let mut out = String::new();
    for reason in &explanation.decided {
        out += &format!("{reason}\n");
    }
    for group in &explanation.groups {
        let kind = if group.fallback { "fallback" } else { "model" };
        out += &format!("{kind} {} by {}\n", group.name, group.strategy.name());
        let head = ["deployment", "calls", "share", "cost USD", "latency", "standing"];
        let mut rows = vec![head.map(str::to_owned)];
        let mut candidates: Vec<_> = group.candidates.iter().collect();
        candidates.sort_by_key(|one| match one.standing {
            Standing::Place(place) => place,
            Standing::Later => usize::MAX - 1,
            Standing::Out(_) => usize::MAX,
        });
        rows.extend(candidates.into_iter().map(row));
        let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
        let widths: Vec<usize> = (0..head.len()).map(|column| width(column).unwrap_or(0)).collect();
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            out += &format!("  {}\n", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
    }
    out
}

fn row(one: &ExplainedCandidate) -> [String; 6] {
    let deployment = &one.deployment;
    let notes: String = one.notes.iter().map(|note| format!(" ({note})")).collect();
    let unknown = || "-".to_owned();
    [
        deployment.id.to_string(),
        format!("{}/{}", deployment.provider, deployment.model),
        format!("{:.0}%", one.share * 100.0),
        one.cost.map_or_else(unknown, |cost| cost.to_string()),
        one.latency.map_or_else(unknown, |latency| {
            format!("{:.1} ms", latency.as_micros() as f64 / 1000.0)
        }),
        format!("{}{notes}", one.standing),
    ]
}

/// The body of an error, for the page and the command line.
#[must_use]
pub fn refusal(error: &GatewayError, request_id: &str) -> (u16, Bytes) {
    (error.status(), error.body(ClientDialect::OpenAi, request_id))
}
