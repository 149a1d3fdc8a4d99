//! What a request is looked up by in the cache: whether the cache is for it, what it says of the cache
//! itself, and its name.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use pingora_proxy::Session;

use super::cached::Cached;
use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::meaning::{self, Wanted};
use crate::cache::{CallKind, Control, Meaning, Place, Question, Settings, Tenant};
use crate::catalog::Resolved;
use crate::dialect::Endpoint;
use crate::keys::Caller;
use crate::wire::json::Object;
use crate::wire::replay::{self, Form};

/// A request that may be answered from the cache, or whose reply may be kept.
pub(super) struct Lookup {
    pub place: Place,
    pub name: Arc<str>,
    pub namespace: Option<Box<str>>,
    pub form: Form,
    pub kind: CallKind,
    pub resolved: Resolved,
    pub reads: bool,
    pub keeps: bool,
    pub max_age: Option<Duration>,
    pub ttl: Duration,
    /// Replies are found by meaning, too.
    pub meaning: Option<Meaning>,
}

impl Lookup {
    pub(super) fn wanted(&self) -> Wanted<'_> {
        Wanted { place: self.place, name: &self.name, max_age: self.max_age }
    }
}

/// What a request is looked up by; `None`: the cache is not for it.
///
/// # Errors
/// `BadBody` for what it says of the cache and means nothing.
pub(super) fn look_up(
    session: &Session,
    ctx: &mut RequestCtx,
    call: &Call,
) -> Result<Option<Lookup>, GatewayError> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let Some(settings) = &snapshot.cache else { return Ok(None) };
    let Some((form, kind)) = kind(call).filter(|(_, kind)| settings.kinds.has(*kind)) else {
        return Ok(None);
    };
    ctx.cached = Cached::Bypass;
    let headers = &session.req_header().headers;
    let control = control(ctx, headers, call)?;
    let (reads, keeps) = (control.reads(settings), control.keeps(settings));
    if has_a_past(call) || !reads && !keeps {
        return Ok(None);
    }
    let decided = ctx.decision.as_ref().map_or(&*call.model, |decision| &decision.model);
    let Some(resolved) = snapshot.catalog.asked(decided) else { return Ok(None) };
    let body = call.native.as_ref().unwrap_or(&call.body);
    let namespace = control.namespace;
    let name = name(ctx, call, settings, namespace.as_deref(), kind, &resolved, body);
    let Some(name) = name else { return Ok(None) };
    if reads {
        ctx.cached = Cached::Miss { nearest: None };
    }
    Ok(Some(Lookup {
        place: settings.place,
        name: name.into(),
        namespace,
        form,
        kind,
        resolved,
        reads,
        keeps,
        max_age: control.max_age,
        ttl: control.ttl.unwrap_or(settings.ttl),
        meaning: settings.meaning.clone(),
    }))
}

/// What kind of call it is; `None`: one that is never cached.
fn kind(call: &Call) -> Option<(Form, CallKind)> {
    // What has a part of its own is not a request for an answer; an array has no events.
    if call.resource.is_some() || call.array || call.form.is_some() || call.stored.is_some() {
        return None;
    }
    let form = Form::of(call.dialect, call.endpoint)?;
    let kind = match (form, call.endpoint) {
        (Form::Chat, _) => CallKind::Chat,
        (Form::Text, _) => CallKind::Text,
        (Form::Messages, _) => CallKind::Messages,
        (Form::Responses, _) => CallKind::Responses,
        (Form::GenerateContent, _) => CallKind::GenerateContent,
        (Form::List, Endpoint::Rerank) => CallKind::Rerank,
        (Form::List, _) => CallKind::Embeddings,
    };
    Some((form, kind))
}

/// Whether the reply depends on what a provider keeps, or changes it.
fn has_a_past(call: &Call) -> bool {
    let body = call.native.as_ref().unwrap_or(&call.body);
    call.owner.is_some()
        || ["previous_response_id", "conversation"].iter().any(|name| body.is_set(name))
        || body.bool("background") == Some(true)
}

/// What the request says of the cache, and what is written for its key, which wins.
fn control(ctx: &RequestCtx, headers: &HeaderMap, call: &Call) -> Result<Control, GatewayError> {
    let mut control = Control::default();
    for line in headers.get_all(http::header::CACHE_CONTROL) {
        control.take_header(line.to_str().unwrap_or_default());
    }
    let body = call.native.as_ref().unwrap_or(&call.body);
    if let Some(written) = body.value("cache") {
        control.take(&written).map_err(|problem| GatewayError::BadBody {
            message: problem.to_string(),
            param: Some("cache"),
            code: "invalid_type",
        })?;
    }
    let holder = ctx.caller.as_ref().and_then(Caller::principal);
    if let Some(written) = holder.and_then(|holder| holder.key.metadata.get("cache"))
        && let Err(problem) = control.take(written)
    {
        // Not the client's mistake.
        tracing::debug!(request_id = %ctx.request_id, %problem, "the key's `metadata.cache`");
    }
    Ok(control)
}

/// The name of a request with this body: its own, or what is left of it without its question.
fn name(
    ctx: &RequestCtx,
    call: &Call,
    settings: &Settings,
    namespace: Option<&str>,
    kind: CallKind,
    resolved: &Resolved,
    body: &Object,
) -> Option<String> {
    // Which deployments may serve, and what they are told besides the body.
    let mut beside = format!("{:?} {kind:?}", call.dialect);
    let hints = &call.hints;
    let mut say = |what: &str, text: &str| {
        write!(beside, "\n{what} {}:{text}", text.len()).ok();
    };
    if let Some(captured) = &resolved.captured {
        say("model", captured);
    }
    if let Some(region) = &hints.region {
        say("region", region);
    }
    hints.capabilities.iter().for_each(|name| say("capability", name));
    if ctx.snapshot.routing.enable_tag_filtering {
        call.tags.iter().for_each(|tag| say("tag", tag));
    }
    for (name, value) in &call.forwarded {
        say(name.as_str(), value.to_str().unwrap_or_default());
    }
    let team = call.caller.as_ref().and_then(Caller::principal);
    let team = team.and_then(|holder| holder.team_id());
    let question = Question {
        tenant: Tenant { key: call.tenant(), team, end_user: call.end_user.as_deref() },
        scope: settings.scope,
        beside: &beside,
        group: &resolved.group,
        body,
    };
    question.name(namespace.or(settings.namespace.as_deref()))
}

/// What the request asks in words, and the name of all the rest.
pub(super) fn question(
    ctx: &RequestCtx,
    call: &Call,
    lookup: &Lookup,
) -> Option<meaning::Question> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let settings = snapshot.cache.as_ref()?;
    let asked = replay::asked(lookup.form, call.native.as_ref().unwrap_or(&call.body))?;
    let Lookup { namespace, kind, resolved, .. } = lookup;
    let rest = name(ctx, call, settings, namespace.as_deref(), *kind, resolved, &asked.rest)?;
    Some(meaning::Question { text: asked.text, rest })
}
