//! Which guardrails apply: those that always do, and those that the request, its key, its team or a
//! deployment that may serve it names.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use pingora_http::RequestHeader;
use serde_json::{Map, Value};

use super::super::ctx::{Call, RequestCtx};
use super::super::decide;
use super::super::error::GatewayError;
use super::super::intake::bad;
use super::refused;
use crate::catalog::Deployment;
use crate::guard::{Asked, Check, Chosen, Guardrail, Mode, Named, Outcome, Refusal, Watch, Why};
use crate::keys::{Caller, Principal};
use crate::routing;
use crate::telemetry::Metrics;
use crate::wire::json::Object;

/// Headers that are shown to guardrails elsewhere; of others only that they were there.
const SHOWN: [&str; 5] =
    ["user-agent", "content-type", "accept", "x-request-id", "x-litellm-call-id"];

/// The guardrails of a call; `None`: none applies.
///
/// # Errors
/// What is written of them is no list of names, or names one that is not there.
pub(super) fn of(
    metrics: &Arc<Metrics>,
    ctx: &RequestCtx,
    head: &RequestHeader,
    call: &Call,
) -> Result<Option<Chosen>, GatewayError> {
    let all = &ctx.snapshot.guardrails;
    let body = call.native.as_ref().unwrap_or(&call.body);
    let mut names = of_request(body)?;
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    names.extend(holder.into_iter().flat_map(|holder| of_holder(holder)).map(|name| (name, None)));
    if all.is_empty() && names.is_empty() {
        return Ok(None);
    }
    if !all.of_deployments.is_empty() {
        names.extend(of_models(ctx, call).into_iter().map(|name| (name, None)));
    }
    let picks = Chosen::of(all, &names, &call.tags).map_err(refused)?;
    if picks.is_empty() {
        return Ok(None);
    }
    let is_told = picks.iter().any(|pick| matches!(pick.rail.check, Check::There(_)));
    let asked = match is_told {
        true => told(ctx, &head.headers, call),
        false => Asked { request_id: Arc::clone(&ctx.request_id), ..Asked::default() },
    };
    let watch: Arc<dyn Watch> = Arc::new(Counted(Arc::clone(metrics)));
    let asked = Asked { watch: Some(watch), ..asked };
    Ok(Some(Chosen { picks, asked: Arc::new(asked) }))
}

/// What a request that is passed as it is meets: nobody can look at it.
///
/// # Errors
/// A guardrail applies that lets nothing go on unseen.
pub(in crate::gateway) fn passing(ctx: &RequestCtx) -> Result<(), GatewayError> {
    let all = &ctx.snapshot.guardrails;
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    let names = holder.into_iter().flat_map(|holder| of_holder(holder));
    let names: Vec<_> = names.map(|name| (name, None)).collect();
    if all.is_empty() && names.is_empty() {
        return Ok(());
    }
    let picks = Chosen::of(all, &names, &[]).map_err(refused)?;
    let chosen = Chosen { picks, asked: Arc::default() };
    let acting = [Mode::PreCall, Mode::DuringCall, Mode::PostCall];
    let Some(pick) = chosen.closed(&acting) else { return Ok(()) };
    let why = Why::Unseen("requests by this path are passed on as they are");
    Err(refused(Refusal { guardrail: Arc::clone(&pick.rail.name), why }))
}

/// What a request names, at its top or in its metadata.
fn of_request(body: &Object) -> Result<Vec<Named<'static>>, GatewayError> {
    let mut names = Vec::new();
    if let Some(written) = body.value("guardrails") {
        let understood = listed(written).ok_or_else(|| {
            bad("guardrails", "`guardrails` must be an array of names, or of objects by name.")
        })?;
        names.extend(understood);
    }
    if body.contains("metadata")
        && let Some(mut metadata) = body.value("metadata")
        && let Some(written) = metadata.get_mut("guardrails").map(Value::take)
        // As a text it is the client's own: OpenAI's metadata are texts.
        && written.is_array()
    {
        let understood = listed(written).ok_or_else(|| {
            bad("metadata.guardrails", "`metadata.guardrails` must be an array of names.")
        })?;
        names.extend(understood);
    }
    Ok(names)
}

/// Names; objects of one name with an `extra_body` for it.
fn listed(written: Value) -> Option<Vec<Named<'static>>> {
    let entries = match written {
        Value::Null => return Some(Vec::new()),
        Value::Array(entries) => entries,
        _ => return None,
    };
    let mut names = Vec::with_capacity(entries.len());
    for entry in entries {
        match entry {
            Value::String(name) => names.push((Cow::Owned(name), None)),
            Value::Object(named) => names.extend(named.into_iter().map(|(name, mut said)| {
                let extra = match said.get_mut("extra_body").map(Value::take) {
                    Some(Value::Object(extra)) => Some(extra),
                    _ => None,
                };
                (Cow::Owned(name), extra)
            })),
            _ => return None,
        }
    }
    Some(names)
}

/// What is written for a key and its team.
fn of_holder(holder: &Principal) -> impl Iterator<Item = Cow<'_, str>> {
    let team = holder.team.as_deref().and_then(|team| team.metadata.get("guardrails"));
    let written = [holder.key.metadata.get("guardrails"), team].into_iter().flatten();
    let names = written.flat_map(|written| match written {
        Value::Array(names) => names.as_slice(),
        alone => std::slice::from_ref(alone),
    });
    names.filter_map(|name| name.as_str().map(Cow::Borrowed))
}

/// What is written for the deployments that may come to serve the request, or to get a copy of it.
fn of_models(ctx: &RequestCtx, call: &Call) -> Vec<Cow<'static, str>> {
    let snapshot = &ctx.snapshot;
    let ask = decide::routed(call.ask(), ctx.decision.as_deref());
    let reached = routing::may_serve(&snapshot.catalog, &snapshot.routing, &ask);
    let mut names = Vec::new();
    let mut add = |deployment: &Deployment| {
        let of_one = snapshot.guardrails.of_deployments.get(&*deployment.id).into_iter().flatten();
        names.extend(of_one.map(|name| Cow::Owned(name.to_string())));
    };
    for deployment in reached.iter().flat_map(|reached| &*reached.resolved.deployments) {
        add(deployment);
        let silent = deployment.silent_model.as_deref();
        let copied = silent.and_then(|group| snapshot.catalog.asked(group));
        copied.iter().flat_map(|copied| &*copied.deployments).for_each(|copy| add(copy));
    }
    names
}

/// What guardrails elsewhere are told, in LiteLLM's names.
fn told(ctx: &RequestCtx, headers: &HeaderMap, call: &Call) -> Asked {
    let mut who = Map::new();
    let mut say = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            who.insert(format!("user_api_key_{name}"), value.into());
        }
    };
    if let Some(holder) = ctx.caller.as_ref().and_then(Caller::principal) {
        say("hash", Some(holder.hash()));
        say("alias", holder.key.key_alias.as_deref());
        say("user_id", holder.user_id());
        let user = holder.user.as_deref();
        say("user_email", user.and_then(|user| user.user_email.as_deref()));
        say("team_id", holder.team_id());
        say("team_alias", holder.team_alias());
        say("org_id", holder.organisation_id());
    }
    say("end_user_id", call.end_user.as_deref());
    let shown = headers.iter().map(|(name, value)| {
        let is_shown = SHOWN.contains(&name.as_str());
        let value = value.to_str().ok().filter(|_| is_shown).unwrap_or("[present]");
        (name.as_str().to_owned(), value.into())
    });
    Asked {
        request_id: Arc::clone(&ctx.request_id),
        model: call.model.clone(),
        who,
        headers: shown.collect(),
        watch: None,
    }
}

/// What guardrails do, as the metrics count it.
struct Counted(Arc<Metrics>);

impl fmt::Debug for Counted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Counted")
    }
}

impl Watch for Counted {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn looked(&self, guardrail: &Guardrail, mode: Mode, outcome: Outcome, took: Duration) {
        let error = match outcome {
            Outcome::Passed => None,
            Outcome::Blocked => Some("blocked"),
            Outcome::NoAnswer => Some("no_answer"),
        };
        self.0.guardrail(&guardrail.name, mode.word(), error, took);
    }
}
