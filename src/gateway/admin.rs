//! Hands everything that is not inference to the `admin` routes, in memory: no second port needed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::body::Body;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt as _, StreamExt as _};
use http::{HeaderValue, Request};
use jiff::tz::TimeZone;
use pingora_core::protocols::http::HttpTask;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::access;
use super::ctx::RequestCtx;
use super::explain;
use super::head;
use super::intake;
use super::reply;
use super::{Audience, Gateway};
use crate::admin::routes;
use crate::admin::{
    Answer, CacheView, Dashboard, DeploymentHealth, GroupHealth, LimitsHealth, Model, Source,
    Tried, Visitor,
};
use crate::alerts::{Alerts, Kind, Way};
use crate::cache::Replies;
use crate::callbacks::{Callbacks, Settings as CallbackSettings};
use crate::catalog::Resolved;
use crate::guard::Guardrails;
use crate::keys::{Access, Caller, Issuing};
use crate::quota::{Mode, Quota};
use crate::routing::{self, Health};
use crate::snapshot::Snapshot;
use crate::spend::Scope;
use crate::telemetry::DeploymentState;

/// Bound of a management request's body.
const BODY_MAX: usize = 1024 * 1024;

/// Services that there are, where they are configured.
const SERVICES: [&str; 6] = ["langfuse", "datadog", "s3", "s3_v2", "generic_api", "webhook"];

/// Answers one request from the routes.
pub(super) async fn answer(
    gateway: &Gateway,
    session: &mut Session,
    ctx: &mut RequestCtx,
) -> pingora_core::Result<()> {
    let body = match intake::read_body(session, BODY_MAX, ctx.snapshot.traffic.client_body_timeout)
        .await
    {
        Ok(body) => body,
        Err(error) => return reply::write_error(session, ctx, error, None).await,
    };
    let head = session.req_header();
    let mut request = Request::new(body);
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    if let Ok(id) = HeaderValue::from_str(&ctx.request_id) {
        request.headers_mut().insert("x-request-id", id);
    }
    request.extensions_mut().insert(visitor(session, ctx));
    let hidden = gateway.audience == Audience::Clients && routes::is_for_operators(head.uri.path());
    let answer = if hidden {
        gateway.admin.unknown(request).await.map(Answer::Whole)
    } else {
        gateway.admin.open(request).await
    };
    let (mut parts, mut body) = answer.into_parts();
    ctx.caller = parts.extensions.remove::<Caller>();
    if matches!(body, Answer::Stream(_)) && session.req_header().method == http::Method::HEAD {
        // Who asks for the head alone is not to wait for events.
        body = Answer::Whole(Bytes::new());
    }
    if matches!(body, Answer::Stream(_)) {
        head::chunked(&mut parts.headers, session);
    }
    let mut head = ResponseHeader::build_no_case(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    let body = match body {
        Answer::Whole(body) => body,
        Answer::Stream(body) => return stream(session, ctx, Box::new(head), body).await,
    };
    if !head.headers.contains_key(http::header::CONTENT_LENGTH) && parts.status != 204 {
        head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    }
    ctx.status = Some(parts.status.as_u16());
    ctx.relayed.bytes_sent = body.len() as u64;
    reply::write_whole(session, Box::new(head), body).await
}

/// Writes what never ends by itself, until it does, or the client leaves.
async fn stream(
    session: &mut Session,
    ctx: &mut RequestCtx,
    head: Box<ResponseHeader>,
    body: Body,
) -> pingora_core::Result<()> {
    ctx.status = Some(head.status.as_u16());
    session.write_response_tasks(vec![HttpTask::Header(head, false)]).await?;
    let mut pieces = body.into_data_stream();
    loop {
        let piece = {
            let client = session.as_downstream_mut().read_body_or_idle(true);
            tokio::select! {
                biased;
                _ = client => {
                    ctx.client_gone = true;
                    return Ok(());
                }
                piece = pieces.next() => piece,
            }
        };
        let Some(Ok(piece)) = piece else { break };
        ctx.relayed.bytes_sent += piece.len() as u64;
        let task = HttpTask::Body(Some(piece), false);
        if session.write_response_tasks(vec![task]).await.is_err() {
            ctx.client_gone = true;
            return Ok(());
        }
    }
    session.write_response_tasks(vec![HttpTask::Body(None, true)]).await.map(drop)
}

/// What the connection says of who sends a request.
pub(super) fn visitor(session: &Session, ctx: &RequestCtx) -> Visitor {
    let digest = session.digest();
    let mut is_secure = digest.is_some_and(|digest| digest.ssl_digest.is_some());
    if !is_secure {
        let forwarded = &ctx.snapshot.edge.forwarded;
        let peer = session.client_addr().and_then(|address| address.as_inet());
        // Whoever says so without being a proxy of ours only gets a cookie that he does not send back.
        let said = session.req_header().headers.get("x-forwarded-proto");
        is_secure = forwarded.trusts(peer.map(|peer| peer.ip()))
            && said.is_some_and(|said| said.as_bytes().eq_ignore_ascii_case(b"https"));
    }
    Visitor { ip: ctx.client_ip, is_secure }
}

/// What the routes are told of the running gateway.
pub struct View {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub routing: Arc<routing::State>,
    pub draining: Arc<std::sync::atomic::AtomicBool>,
    pub quota: Arc<Quota>,
    pub replies: Arc<Replies>,
    pub callbacks: Callbacks,
    pub alerts: Arc<Alerts>,
}

impl View {
    /// Health of one deployment, by its traffic and its last check; one that was never called is healthy.
    #[must_use]
    pub fn deployment(&self, id: &str) -> DeploymentHealth {
        health(self.routing.view(id, std::time::Instant::now()).as_ref())
    }
}

/// What was seen of a deployment, in one word.
pub(super) fn health(view: Option<&routing::View>) -> DeploymentHealth {
    let well = view.and_then(|view| view.well);
    let (state, cooldown_left) = match view {
        None => (DeploymentState::Healthy, None),
        Some(view) => match view.health {
            Health::Cooling { remaining } => (DeploymentState::Down, Some(remaining)),
            Health::HalfOpen => (DeploymentState::Partial, None),
            Health::Healthy if well == Some(false) => (DeploymentState::Partial, None),
            Health::Healthy if view.recent_failures > 0 => (DeploymentState::Partial, None),
            Health::Healthy => (DeploymentState::Healthy, None),
        },
    };
    DeploymentHealth { state, cooldown_left, well }
}

impl Source for View {
    fn access(&self) -> Access {
        self.snapshot.load().access.clone()
    }

    fn issuing(&self) -> Arc<Issuing> {
        Arc::clone(&self.snapshot.load().issuing)
    }

    fn zone(&self) -> TimeZone {
        self.snapshot.load().admission.zone.clone()
    }

    fn cache(&self) -> Option<CacheView> {
        let settings = self.snapshot.load().cache.clone()?;
        Some(CacheView { settings, replies: Arc::clone(&self.replies) })
    }

    fn dashboard(&self) -> Arc<Dashboard> {
        Arc::clone(&self.snapshot.load().dashboard)
    }

    fn guardrails(&self) -> Arc<Guardrails> {
        Arc::clone(&self.snapshot.load().guardrails)
    }

    fn callbacks(&self) -> Arc<CallbackSettings> {
        Arc::clone(&self.snapshot.load().callbacks)
    }

    fn try_out(&self, service: &str) -> BoxFuture<'static, Tried> {
        let snapshot = self.snapshot.load_full();
        let (callbacks, alerts) = (self.callbacks.clone(), Arc::clone(&self.alerts));
        let service = service.to_owned();
        async move {
            if snapshot.callbacks.sinks.iter().any(|sink| *sink.name == *service) {
                return match callbacks.try_out(&service).await {
                    Ok(()) => Tried::Taken,
                    Err(why) => Tried::Failed(why),
                };
            }
            let way = match &*service {
                "slack" | "slack_budget_alerts" => Way::Slack,
                "webhook" => Way::Webhook,
                other if SERVICES.contains(&other) => return Tried::Unconfigured,
                _ => return Tried::Unknown,
            };
            match alerts.try_out(way, &snapshot.alerts).await {
                None => Tried::Unconfigured,
                Some(Ok(kinds)) => Tried::Alerted(kinds.into_iter().map(Kind::word).collect()),
                Some(Err(why)) => Tried::Failed(why),
            }
        }
        .boxed()
    }

    fn spent_changed(&self, scope: &Scope, revision: i64) {
        self.quota.corrected_here(scope, revision);
    }

    fn limits(&self) -> Option<LimitsHealth> {
        let counted = match self.quota.mode() {
            Mode::Memory => return None,
            Mode::Shared => "shared",
            Mode::Alone => "alone",
        };
        Some(LimitsHealth { counted, gateways: self.quota.gateways() })
    }

    fn models(&self, caller: &Caller) -> Vec<Model> {
        let snapshot = self.snapshot.load();
        let catalog = &snapshot.catalog;
        let decided = snapshot.rules.names().map(Arc::from);
        let decided: Vec<Arc<str>> =
            decided.filter(|name| !catalog.names().any(|known| known == name)).collect();
        let named = |name: &Arc<str>| Model {
            name: Arc::clone(name),
            owned_by: catalog.asked(name).map_or_else(nobody, |found| owner(&found)),
        };
        let all = catalog.names().chain(&decided);
        let Some(holder) = caller.principal() else { return all.map(named).collect() };
        let mut listed: Vec<_> = holder.aliases().map(Arc::from).collect();
        listed.retain(|name| access::meant(catalog, holder, name).is_ok());
        listed.extend(all.filter(|name| access::allows(catalog, holder, name)).cloned());
        if holder.is_restricted() {
            // What a wildcard serves is not listed, unless the key is for it.
            for name in holder.named_models() {
                let is_new = !listed.iter().any(|known| **known == *name);
                if is_new && catalog.asked(name).is_some() && access::allows(catalog, holder, name)
                {
                    listed.push(name.into());
                }
            }
        }
        listed.iter().map(named).collect()
    }

    fn model(&self, name: &str, caller: &Caller) -> Option<Model> {
        let snapshot = self.snapshot.load();
        let meant = match caller.principal() {
            Some(holder) => access::meant(&snapshot.catalog, holder, name).ok()?,
            None => None,
        };
        let found = snapshot.catalog.asked(meant.as_deref().unwrap_or(name));
        if found.is_none() && !snapshot.rules.names().any(|known| known == name) {
            return None;
        }
        let owned_by = found.map_or_else(nobody, |found| owner(&found));
        Some(Model { name: name.into(), owned_by })
    }

    fn groups(&self) -> Vec<GroupHealth> {
        let snapshot = self.snapshot.load();
        snapshot
            .catalog
            .groups()
            .map(|(name, deployments)| GroupHealth {
                name: Arc::clone(name),
                deployments: deployments.iter().map(|one| self.deployment(&one.id)).collect(),
            })
            .collect()
    }

    fn explain(&self, headers: &http::HeaderMap, body: Bytes) -> Result<Bytes, (u16, Bytes)> {
        let id = headers.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        let snapshot = self.snapshot.load_full();
        explain::explain(snapshot, &self.routing, headers, body)
            .map(|explained| explain::json(&explained).to_string().into())
            .map_err(|error| explain::refusal(&error, id))
    }

    fn draining(&self) -> bool {
        self.draining.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// The provider, where all deployments have the same.
fn owner(found: &Resolved) -> Arc<str> {
    let mut providers = found.deployments.iter().map(|deployment| &deployment.provider);
    let first = providers.next();
    let same = first.filter(|first| providers.all(|provider| provider == *first));
    same.map_or_else(nobody, Arc::clone)
}

fn nobody() -> Arc<str> {
    "tollgate".into()
}
