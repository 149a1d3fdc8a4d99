//! Replies from the cache, between admission and the attempts: how a hit goes out, and who waits while
//! somebody else asks the same. What a request is looked up by is `lookup.rs`'s.
//!
//! Who comes here may call the model and has paid for the request in its limits. A hit uses no tokens and
//! costs nothing. What is kept of a reply that comes from a provider is `recording.rs`'s.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType};
use pingora_proxy::Session;

use super::ctx::{Call, RequestCtx};
use super::intake::left;
use super::lookup::{self, Lookup};
use super::meaning::{self, Found, Marking, Sought};
use super::recording::Recording;
use super::{Gateway, guarded, head, relay, reply};
use crate::cache::{Entry, Follow, Joined, Kept, Landing, Lead, Meaning, Place};
use crate::catalog::{Resolved, Served};
use crate::guard::Refusal;
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
    Miss {
        /// The similarity of the nearest question, where that was looked for.
        nearest: Option<f64>,
    },
    Hit(Box<Hit>),
}

/// What a hit saved.
#[derive(Debug)]
pub(super) struct Hit {
    /// The name of the entry.
    pub name: Arc<str>,
    pub usage: Usage,
    pub cost: Usd,
    /// How near the question is to the one that was answered; `None`: it is the same.
    pub similarity: Option<f64>,
}

impl Cached {
    /// The word for the client.
    pub(super) const fn word(&self) -> Option<&'static str> {
        match self {
            Self::Off => None,
            Self::Bypass => Some("BYPASS"),
            Self::Miss { .. } => Some("MISS"),
            Self::Hit(_) => Some("HIT"),
        }
    }

    pub(super) fn hit(&self) -> Option<&Hit> {
        match self {
            Self::Hit(hit) => Some(hit),
            Self::Off | Self::Bypass | Self::Miss { .. } => None,
        }
    }

    /// The similarity of the nearest question, where that was looked for.
    pub(super) fn similarity(&self) -> Option<f64> {
        match self {
            Self::Hit(hit) => hit.similarity,
            Self::Miss { nearest } => *nearest,
            Self::Off | Self::Bypass => None,
        }
    }
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
    let lookup = match lookup::look_up(session, ctx, call) {
        Ok(lookup) => lookup,
        Err(error) => return reply::write_error(session, ctx, error, None).await,
    };
    if let Some(lookup) = lookup {
        // Boxed, so that a request that goes on to a provider does not carry the state of this.
        let found = Box::pin(answer(gateway, session, ctx, call, &lookup)).await;
        let lead = match found {
            Looked::Answered(written) => return written,
            Looked::Nothing(lead) => lead,
        };
        let (lead, marking) = match &lookup.meaning {
            None => (lead, None),
            Some(meaning) => {
                let by_meaning = by_meaning(gateway, session, ctx, call, (&lookup, meaning, lead));
                match Box::pin(by_meaning).await {
                    ByMeaning::Answered(written) => return written,
                    ByMeaning::Nothing(lead, marking) => (lead, marking),
                }
            }
        };
        if lookup.keeps {
            let Lookup { place, name, form, ttl, .. } = lookup;
            let recording = Recording::new(place, name, form, ttl, lead).found_by(marking);
            ctx.recording = Some(Box::new(recording));
        }
    }
    let relayed = relay::relay(gateway, session, ctx, call).await;
    // What was not kept by now will not be: the next one leads.
    ctx.recording = None;
    relayed
}

/// What came of looking for the same.
enum Looked {
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
) -> Looked {
    let replies = &gateway.replies;
    let until = left(call.deadline).min(call.timeout.unwrap_or(FOLLOW_MAX)).min(FOLLOW_MAX);
    let until = Instant::now() + until;
    let mut lead = None;
    loop {
        if lookup.reads {
            let now_ms = milliseconds(SystemTime::now());
            let Lookup { place, name, max_age, .. } = lookup;
            let same = replies.find(*place, name, now_ms, *max_age).await;
            let found = match (same, &lookup.meaning) {
                (Some(entry), _) => Some((entry, Arc::clone(name), None)),
                (None, Some(meaning)) => meaning::twin(replies, meaning, &lookup.wanted())
                    .await
                    .map(|Found { entry, near }| (entry, near.name, Some(near.similarity))),
                (None, None) => None,
            };
            if let Some((entry, name, similarity)) = found
                && let Some(body) = body(call, lookup.form, &entry)
            {
                // Those who wait find it as well.
                if let Some(lead) = lead.take() {
                    Lead::land(lead, Landing::Kept);
                }
                let found = (&*entry, name, similarity);
                return Looked::Answered(
                    hit(gateway, session, ctx, call, &lookup.resolved, found, body).await,
                );
            }
        }
        if lead.is_some() || !lookup.reads || !lookup.keeps {
            return Looked::Nothing(lead);
        }
        match replies.flights().join(&lookup.name) {
            Joined::Leads(leads) if lookup.place == Place::Redis => {
                return Looked::Nothing(Some(leads));
            }
            // The one before may have landed just now.
            Joined::Leads(leads) => lead = Some(leads),
            Joined::Follows(follow) => match wait(session, follow, until).await {
                Waited::Landed(Landing::Kept | Landing::Failed) => {}
                Waited::Landed(Landing::Unkept) | Waited::Late => return Looked::Nothing(None),
                Waited::ClientGone => return Looked::Answered(gone(session, ctx)),
            },
        }
        if Instant::now() >= until {
            return Looked::Nothing(lead);
        }
    }
}

/// What came of looking for what means the same.
enum ByMeaning {
    Answered(pingora_core::Result<()>),
    /// A provider has to be asked; its reply will be found so, if there is a marking.
    Nothing(Option<Lead>, Option<Marking>),
}

async fn by_meaning(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
    call: &Call,
    (lookup, meaning, lead): (&Lookup, &Meaning, Option<Lead>),
) -> ByMeaning {
    let Some(question) = lookup::question(ctx, call, lookup) else {
        return ByMeaning::Nothing(lead, None);
    };
    if !lookup.reads {
        let later = meaning::later(gateway, ctx, meaning, question, meaning.timeout);
        return ByMeaning::Nothing(lead, later.map(Marking::Later));
    }
    let wanted = lookup.wanted();
    match meaning::seek(gateway, session, ctx, call, (meaning, question, &wanted)).await {
        Sought::ClientGone => ByMeaning::Answered(gone(session, ctx)),
        Sought::Nothing { nearest, mark } => {
            ctx.cached = Cached::Miss { nearest: nearest.map(rounded) };
            ByMeaning::Nothing(lead, mark.map(Marking::Known))
        }
        Sought::Found(Found { entry, near }) => {
            let Some(body) = body(call, lookup.form, &entry) else {
                return ByMeaning::Nothing(lead, None);
            };
            // Those who wait will know it for near without asking.
            if let Some(lead) = lead {
                lead.land(Landing::Kept);
            }
            let found = (&*entry, near.name, Some(near.similarity));
            let resolved = &lookup.resolved;
            let hit = hit(gateway, session, ctx, call, resolved, found, body);
            ByMeaning::Answered(Box::pin(hit).await)
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
    resolved: &Resolved,
    (entry, name, similarity): (&Entry, Arc<str>, Option<f32>),
    body: Bytes,
) -> pingora_core::Result<()> {
    let similarity = similarity.map(rounded);
    let hit = Hit { name, usage: entry.usage, cost: entry.cost, similarity };
    ctx.cached = Cached::Hit(Box::new(hit));
    if let Some(maker) = &entry.maker {
        let of = |it: &&Arc<crate::catalog::Deployment>| *it.id == *maker.deployment;
        // It may be gone since.
        if let Some(deployment) = resolved.deployments.iter().find(of) {
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
        true => {
            ctx.transcribe(std::slice::from_ref(&body), true);
            ctx.trace_events(call, std::slice::from_ref(&body));
        }
        false => {
            ctx.transcribe_whole(&body, true);
            ctx.trace_reply(call, &body);
        }
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

/// As much of a similarity as says something.
fn rounded(similarity: f32) -> f64 {
    (f64::from(similarity) * 1e4).round() / 1e4
}

pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
