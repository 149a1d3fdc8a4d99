//! Replies from the cache, between admission and the attempts: what a request is looked up by, how a
//! hit goes out, and who waits while somebody else asks the same.
//!
//! Who comes here may call the model and has paid for the request in its limits. A hit uses no tokens and
//! costs nothing. What is kept of a reply that comes from a provider is `recording.rs`'s.

use std::fmt::Write as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::ctx::{Call, RequestCtx, Served};
use super::error::GatewayError;
use super::intake::left;
use super::recording::Recording;
use super::{Gateway, guarded, head, relay, reply};
use crate::cache::{
    CallKind, Control, Entry, Follow, Joined, Kept, Landing, Lead, Place, Question, Settings,
    Tenant,
};
use crate::catalog::Resolved;
use crate::dialect::Endpoint;
use crate::guard::Refusal;
use crate::keys::Caller;
use crate::money::Usd;
use crate::patience::{nap, within};
use crate::usage::Usage;
use crate::wire::replay::{self, Form, Recorded};

/// The longest that one request waits for another that asks the same; then it asks by itself. Most
/// replies are there by then, and who waits for a stream sees nothing of it.
const FOLLOW_MAX: Duration = Duration::from_secs(30);

/// What the cache had to do with a request.
#[derive(Debug, Default)]
pub(super) enum Cached {
    /// It is off, or not for such requests.
    #[default]
    Off,
    /// It was not looked into.
    Bypass,
    Miss,
    Hit(Box<Hit>),
}

/// What a hit saved.
#[derive(Debug)]
pub(super) struct Hit {
    /// The name of the entry.
    pub name: Arc<str>,
    pub usage: Usage,
    pub cost: Usd,
}

impl Cached {
    /// The word for the client.
    pub(super) const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Bypass => Some("BYPASS"),
            Self::Miss => Some("MISS"),
            Self::Hit(_) => Some("HIT"),
        }
    }

    pub(super) fn hit(&self) -> Option<&Hit> {
        match self {
            Self::Hit(hit) => Some(hit),
            Self::Off | Self::Bypass | Self::Miss => None,
        }
    }
}

/// A request that may be answered from the cache, or whose reply may be kept.
struct Lookup {
    place: Place,
    name: Arc<str>,
    form: Form,
    resolved: Resolved,
    reads: bool,
    keeps: bool,
    max_age: Option<Duration>,
    ttl: Duration,
}

/// How a wait for another request ended.
enum Waited {
    Landed(Landing),
    Late,
    ClientGone,
}

/// Answers the call in `ctx`, from the cache or by a provider, and writes the response.
///
/// # Errors
/// Pingora's, if writing to the client failed in a way that ends the connection.
pub(super) async fn relay(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
) -> pingora_core::Result<()> {
    if ctx.snapshot.cache.is_none() {
        return relay::relay(gateway, session, ctx, call).await;
    }
    let lookup = match look_up(session, ctx, call) {
        Ok(lookup) => lookup,
        Err(error) => return reply::write_error(session, ctx, error, None).await,
    };
    if let Some(lookup) = lookup {
        // Boxed, so that a request that goes on to a provider does not carry the state of this.
        let found = Box::pin(answer(gateway, session, ctx, call, &lookup)).await;
        match found {
            Found::Answered(written) => return written,
            Found::Nothing(lead) if lookup.keeps => {
                let Lookup { place, name, form, ttl, .. } = lookup;
                ctx.recording = Some(Box::new(Recording::new(place, name, form, ttl, lead)));
            }
            Found::Nothing(_) => {}
        }
    }
    let relayed = relay::relay(gateway, session, ctx, call).await;
    // What was not kept by now will not be: the next one leads.
    ctx.recording = None;
    relayed
}

/// What came of looking.
enum Found {
    Answered(pingora_core::Result<()>),
    /// A provider has to be asked; for others, too, if there is a lead.
    Nothing(Option<Lead>),
}

async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
    lookup: &Lookup,
) -> Found {
    let replies = &gateway.replies;
    let until = left(call.deadline).min(call.timeout.unwrap_or(FOLLOW_MAX)).min(FOLLOW_MAX);
    let until = Instant::now() + until;
    let mut lead = None;
    loop {
        if lookup.reads {
            let now_ms = milliseconds(SystemTime::now());
            let Lookup { place, name, max_age, .. } = lookup;
            if let Some(entry) = replies.find(*place, name, now_ms, *max_age).await
                && let Some(body) = body(call, lookup.form, &entry)
            {
                // Those who wait find it as well.
                if let Some(lead) = lead.take() {
                    Lead::land(lead, Landing::Kept);
                }
                return Found::Answered(
                    hit(gateway, session, ctx, call, lookup, &entry, body).await,
                );
            }
        }
        if lead.is_some() || !lookup.reads || !lookup.keeps {
            return Found::Nothing(lead);
        }
        match replies.flights().join(&lookup.name) {
            Joined::Leads(leads) if lookup.place == Place::Redis => {
                return Found::Nothing(Some(leads));
            }
            // The one before may have landed just now.
            Joined::Leads(leads) => lead = Some(leads),
            Joined::Follows(follow) => match wait(session, follow, until).await {
                Waited::Landed(Landing::Kept | Landing::Failed) => {}
                Waited::Landed(Landing::Unkept) | Waited::Late => return Found::Nothing(None),
                Waited::ClientGone => return Found::Answered(gone(session, ctx)),
            },
        }
        if Instant::now() >= until {
            return Found::Nothing(lead);
        }
    }
}

async fn wait(session: &mut Session, mut follow: Follow, until: Instant) -> Waited {
    let client = session.as_downstream_mut().read_body_or_idle(true);
    let mut client = pin!(client);
    loop {
        tokio::select! {
            biased;
            landing = follow.landing() => return Waited::Landed(landing),
            _ = &mut client => return Waited::ClientGone,
            () = nap(until) => {}
        }
        if Instant::now() >= until {
            return Waited::Late;
        }
    }
}

/// There is nobody to answer any more. An error, because Pingora would write a response of its own.
fn gone(session: &mut Session, ctx: &mut RequestCtx) -> pingora_core::Result<()> {
    ctx.client_gone = true;
    session.set_keepalive(None);
    Err(Error::new_down(ErrorType::ConnectionClosed))
}

/// What the client gets of an entry; `None`: what is kept cannot be put into the shape that it wants.
fn body(call: &Call, form: Form, entry: &Entry) -> Option<Bytes> {
    let shows = !matches!(form, Form::Chat | Form::Text) || call.show_usage;
    let streamed = |events: &Bytes, usage: &Bytes, end: &Bytes| {
        let usage: &[u8] = if shows { usage } else { &[] };
        let mut all = BytesMut::with_capacity(events.len() + usage.len() + end.len());
        for part in [events, usage, end] {
            all.extend_from_slice(part);
        }
        all.freeze()
    };
    match (&entry.kept, call.stream) {
        (Kept::Whole(body), false) => Some(body.clone()),
        (Kept::Events { events, usage, end }, true) => Some(streamed(events, usage, end)),
        (Kept::Events { events, usage, end }, false) => {
            let [events, usage, end] = [events, usage, end].map(Bytes::clone);
            replay::whole(form, &Recorded { events, usage, end })
        }
        (Kept::Whole(body), true) => {
            let Recorded { events, usage, end } = replay::stream(form, body, &entry.usage)?;
            Some(streamed(&events, &usage, &end))
        }
    }
}

/// Sends a reply that was kept.
async fn hit(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
    lookup: &Lookup,
    entry: &Entry,
    body: Bytes,
) -> pingora_core::Result<()> {
    let name = Arc::clone(&lookup.name);
    ctx.cached = Cached::Hit(Box::new(Hit { name, usage: entry.usage, cost: entry.cost }));
    if let Some(maker) = &entry.maker {
        let of = |it: &&Arc<crate::catalog::Deployment>| *it.id == *maker.deployment;
        // It may be gone since.
        if let Some(deployment) = lookup.resolved.deployments.iter().find(of) {
            ctx.relayed.served_by = Some(Served {
                deployment: Arc::clone(deployment),
                group: Arc::clone(&maker.group),
                model: Arc::clone(&maker.model),
            });
        }
    }
    let body = match looked_at(ctx, call, body).await {
        Ok(body) => body,
        Err(refusal) => {
            return reply::write_error(session, ctx, guarded::refused(refusal), None).await;
        }
    };
    match call.stream {
        true => ctx.transcribe(std::slice::from_ref(&body), true),
        false => ctx.transcribe_whole(&body, true),
    }
    ctx.relayed.cost = Some(Usd::ZERO);
    ctx.relayed.streamed = call.stream;
    ctx.relayed.first_token = call.stream.then(|| ctx.started.elapsed());
    ctx.relayed.bytes_sent = body.len() as u64;
    ctx.status = Some(200);
    let size = match call.stream {
        true => head::Body::EventStream,
        false => head::Body::Json(body.len()),
    };
    let head = head::answer(session, ctx, size, None);
    // As of any reply: whoever has it has a row.
    ctx.entry_over();
    ctx.settle_quota(gateway, true);
    let tasks = match call.stream {
        true => {
            vec![HttpTask::Header(head, false), HttpTask::Body(Some(body), false), HttpTask::Done]
        }
        false => vec![HttpTask::Header(head, false), HttpTask::Body(Some(body), true)],
    };
    let written = {
        let writing = pin!(reply::write_together(session, tasks));
        within(left(call.deadline), writing).await
    };
    match written {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => gone(session, ctx),
    }
}

/// What guardrails let go out of a reply that was kept.
async fn looked_at(ctx: &mut RequestCtx, call: &Call, body: Bytes) -> Result<Bytes, Refusal> {
    if let Some(looking) = guarded::beside(ctx, call) {
        let looked = looking.await;
        guarded::heeded(ctx, looked)?;
    }
    if !ctx.guards_reply() {
        return Ok(body);
    }
    if !call.stream {
        return ctx.guard_reply(call, body, true).await;
    }
    let mut out = vec![body];
    // All of it is looked at before any of it goes out.
    ctx.guard_stream(call, &mut out, true).await?;
    Ok(out.concat().into())
}

/// What a request is looked up by; `None`: the cache is not for it.
///
/// # Errors
/// `BadBody` for what it says of the cache and means nothing.
fn look_up(
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
    let Some(name) = name(ctx, call, settings, &control, kind, &resolved) else { return Ok(None) };
    if reads {
        ctx.cached = Cached::Miss;
    }
    Ok(Some(Lookup {
        place: settings.place,
        name: name.into(),
        form,
        resolved,
        reads,
        keeps,
        max_age: control.max_age,
        ttl: control.ttl.unwrap_or(settings.ttl),
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

fn name(
    ctx: &RequestCtx,
    call: &Call,
    settings: &Settings,
    control: &Control,
    kind: CallKind,
    resolved: &Resolved,
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
        body: call.native.as_ref().unwrap_or(&call.body),
    };
    question.name(control.namespace.as_deref().or(settings.namespace.as_deref()))
}

pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
