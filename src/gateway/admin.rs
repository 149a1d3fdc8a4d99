//! Hands everything that is not inference to the `admin` routes, in memory: no second port needed.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http::{HeaderValue, Request};
use jiff::tz::TimeZone;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::access;
use super::ctx::RequestCtx;
use super::explain;
use super::intake;
use super::reply;
use super::{Audience, Gateway};
use crate::admin::routes;
use crate::admin::{CacheView, DeploymentHealth, GroupHealth, LimitsHealth, Model, Source};
use crate::cache::Replies;
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
    let hidden = gateway.audience == Audience::Clients && routes::is_for_operators(head.uri.path());
    let answer = if hidden {
        gateway.admin.unknown(request).await
    } else {
        gateway.admin.answer(request).await
    };
    let (parts, body) = answer.into_parts();
    let mut head = ResponseHeader::build_no_case(parts.status, Some(parts.headers.len() + 1))?;
    for (name, value) in &parts.headers {
        head.append_header(name.clone(), value.clone())?;
    }
    if !head.headers.contains_key(http::header::CONTENT_LENGTH) && parts.status != 204 {
        head.insert_header(http::header::CONTENT_LENGTH, body.len())?;
    }
    ctx.status = Some(parts.status.as_u16());
    ctx.relayed.bytes_sent = body.len() as u64;
    reply::write_whole(session, Box::new(head), body).await
}

/// What the routes are told of the running gateway.
pub struct View {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub routing: Arc<routing::State>,
    pub draining: Arc<std::sync::atomic::AtomicBool>,
    pub quota: Arc<Quota>,
    pub replies: Arc<Replies>,
}

impl View {
    /// Health of one deployment, by its traffic and its last check; one that was never called is healthy.
    #[must_use]
    pub fn deployment(&self, id: &str) -> DeploymentHealth {
        let now = std::time::Instant::now();
        let view = self.routing.view(id, now);
        let well = view.as_ref().and_then(|view| view.well);
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

    fn guardrails(&self) -> Arc<Guardrails> {
        Arc::clone(&self.snapshot.load().guardrails)
    }

    fn spent_changed(&self, scope: &Scope) {
        self.quota.forget(scope);
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
