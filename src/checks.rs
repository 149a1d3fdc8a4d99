//! Health checks beside the traffic: connections and paths of every address, or a real call.
//!
//! `upstream` checks addresses and passes over those that fail; here is decided when, the calls are
//! made, and routing is told how each deployment fared. Off unless the configuration asks for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::json;

use crate::catalog::{CheckKind, Deployment};
use crate::dialect::Endpoint;
use crate::failure::FailureClass;
use crate::gateway::exchange::{self, Bounds, Content, Exchange};
use crate::identity::Identities;
use crate::patience::nap;
use crate::provider;
use crate::routing;
use crate::snapshot::{Checks, Snapshot};
use crate::upstream::Upstreams;
use crate::wire::json::Object;

/// How often it is looked whether a round is due: a new configuration may have shortened the time.
const TICK: Duration = Duration::from_secs(1);

/// What a check needs of the running gateway.
#[derive(Clone)]
pub struct HealthChecks {
    pub snapshot: Arc<ArcSwap<Snapshot>>,
    pub upstreams: Arc<Upstreams>,
    pub identities: Arc<Identities>,
    pub routing: Arc<routing::State>,
}

impl HealthChecks {
    /// Checks round after round, for ever.
    pub async fn run(&self) {
        loop {
            let began = Instant::now();
            self.round().await;
            loop {
                let due = began + self.snapshot.load().checks.interval;
                let now = Instant::now();
                if now >= due {
                    break;
                }
                nap(due.min(now + TICK)).await;
            }
        }
    }

    /// Checks every deployment that has a check, once.
    pub async fn round(&self) {
        let snapshot = self.snapshot.load_full();
        let all = snapshot.catalog.deployments();
        let checked: Vec<_> = all.iter().filter(|one| one.check.is_some()).cloned().collect();
        if checked.is_empty() {
            return;
        }
        self.upstreams.check(snapshot.checks.at_once).await;
        let rounds = checked.into_iter().map(|deployment| {
            let (checks, snapshot) = (self.clone(), Arc::clone(&snapshot));
            async move {
                let result = match checks.upstreams.is_well(&deployment.id) {
                    Some(is_well) => Some(is_well),
                    None => checks.call(&deployment, &snapshot).await,
                };
                if let Some(is_well) = result {
                    checks.tell(&deployment, is_well);
                }
            }
        });
        futures::stream::iter(rounds)
            .buffer_unordered(snapshot.checks.at_once)
            .collect::<()>()
            .await;
    }

    fn tell(&self, deployment: &Deployment, is_well: bool) {
        let before = self.routing.checked(&deployment.id, is_well, Instant::now());
        if before == Some(is_well) || (before.is_none() && is_well) {
            return;
        }
        let (id, group) = (&deployment.id, &deployment.group);
        if is_well {
            tracing::info!(deployment = %id, %group, "the health check succeeds again");
        } else {
            tracing::warn!(deployment = %id, %group, "the health check fails");
        }
    }

    /// A real call for one token. `None`: it says nothing about the deployment.
    async fn call(&self, deployment: &Deployment, snapshot: &Snapshot) -> Option<bool> {
        let check = deployment.check.as_ref()?;
        let CheckKind::Call { model } = &check.kind else { return None };
        let model = model.as_deref().unwrap_or(&deployment.model);
        // What a `*` stands for, only a client knows.
        if model.contains('*') {
            return None;
        }
        let endpoint = match deployment.info.mode.as_deref() {
            Some("embedding") => Endpoint::Embeddings,
            Some("completion") => Endpoint::Completions,
            Some("chat") | None => Endpoint::Chat,
            Some(_) => return None,
        };
        let body = match endpoint {
            Endpoint::Chat => json!({
                "model": model, "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}],
            }),
            Endpoint::Completions => json!({"model": model, "max_tokens": 1, "prompt": "hi"}),
            Endpoint::Embeddings => json!({"model": model, "input": "hi"}),
            _ => return None,
        };
        let body = Object::parse(Bytes::from(body.to_string())).ok()?;
        let asked = provider::Call {
            model,
            endpoint,
            stream: false,
            overrides: &[],
            drop_params: true,
            modify_params: snapshot.traffic.modify_params,
            native: None,
            form: None,
            stored: None,
        };
        let mut outgoing = provider::request(deployment, &body, &asked).ok()?;
        let bounds = Bounds {
            connect: snapshot.traffic.connect_timeout.min(check.timeout),
            first_byte: check.timeout,
            whole: Some(check.timeout),
            idle: check.timeout,
            body_bytes: snapshot.traffic.max_response_bytes,
            by_client: false,
        };
        let authorised = exchange::authorise(&self.identities, deployment, &mut outgoing, bounds);
        let exchanged = match authorised.await {
            Ok(()) => {
                exchange::perform(&self.upstreams, deployment, &outgoing, false, bounds).await
            }
            Err(failure) => Err(failure),
        };
        let failure = match exchanged {
            Ok(Exchange { status, .. }) if status.is_success() => return Some(true),
            Ok(Exchange { status, headers, content: Content::Body(body) }) => {
                let now = std::time::SystemTime::now();
                provider::classify(deployment, status.as_u16(), &headers, &body, now)
            }
            Ok(Exchange { content: Content::Stream(_), .. }) => return Some(false),
            Err(failure) => failure,
        };
        tracing::debug!(deployment = %deployment.id, message = failure.message, "a check failed");
        verdict(failure.class, &snapshot.checks)
    }
}

/// What a failed call says of the deployment.
fn verdict(class: FailureClass, checks: &Checks) -> Option<bool> {
    match class {
        // It refused this request, so it answers requests.
        FailureClass::BadRequest
        | FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::Conflict => Some(true),
        FailureClass::RateLimited | FailureClass::Timeout if checks.ignores_transient => None,
        FailureClass::RateLimited
        | FailureClass::Timeout
        | FailureClass::NotFound
        | FailureClass::Auth
        | FailureClass::Quota
        | FailureClass::Overloaded
        | FailureClass::Connection
        | FailureClass::Server => Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_request_is_an_answer_and_a_passing_trouble_may_be_ignored() {
        let mut checks =
            Checks { interval: Duration::from_secs(1), at_once: 1, ignores_transient: false };
        assert_eq!(verdict(FailureClass::BadRequest, &checks), Some(true));
        assert_eq!(verdict(FailureClass::Auth, &checks), Some(false));
        assert_eq!(verdict(FailureClass::RateLimited, &checks), Some(false));
        checks.ignores_transient = true;
        assert_eq!(verdict(FailureClass::RateLimited, &checks), None);
        assert_eq!(verdict(FailureClass::Timeout, &checks), None);
        assert_eq!(verdict(FailureClass::Server, &checks), Some(false));
    }
}
