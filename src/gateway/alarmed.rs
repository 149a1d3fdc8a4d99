//! What a request that is over has to tell operators: see `alerts`.

use std::sync::Arc;

use super::Gateway;
use super::ctx::RequestCtx;
use crate::alerts::{Failed, Kind, News, Rests, Slow, Watched};
use crate::failure::FailureClass;
use crate::snapshot::Snapshot;
use crate::telemetry::{Attempt, Outcome, RequestRecord, Route, class_name};

/// Watches a request until its answer begins, where somebody is told of those that hang.
pub(super) fn watch(
    gateway: &Gateway,
    ctx: &RequestCtx,
    group: Option<&Arc<str>>,
) -> Option<Watched> {
    let group = group.filter(|_| ctx.snapshot.alerts.tells(Kind::Hanging))?;
    gateway.alerts.watch(Arc::clone(group), Arc::clone(&ctx.request_id), ctx.started)
}

/// Tells it. Where nobody wants to know, that is one look at the configuration.
pub(super) fn tell(gateway: &Gateway, snapshot: &Snapshot, record: &RequestRecord) {
    let settings = &snapshot.alerts;
    if settings.is_silent() {
        return;
    }
    let watches_outages = settings.tells(Kind::Outages) || settings.tells(Kind::RegionOutages);
    for attempt in &record.attempts {
        let Outcome::Failed(class) = attempt.outcome else { continue };
        if attempt.cooled_down && settings.tells(Kind::Cooldowns) {
            gateway.alerts.hear(rests(attempt, class));
        }
        if let Some(is_timeout) = stumbled(class, attempt.status).filter(|_| watches_outages) {
            let deployment = attempt.deployment.clone();
            gateway.alerts.hear(News::Stumbled { deployment, is_timeout });
        }
    }
    if record.shadow {
        // No client waited for it.
        return;
    }
    if record.failed() {
        if settings.tells(Kind::Exceptions)
            && let Some(failed) = failed(record)
        {
            gateway.alerts.hear(News::Failed(failed));
        }
    } else if settings.tells(Kind::TooSlow)
        && record.durations.total > settings.threshold
        && matches!(record.route, Route::Inference(..) | Route::PassThrough)
    {
        gateway.alerts.hear(News::Slow(slow(record)));
    }
}

fn rests(attempt: &Attempt, class: FailureClass) -> News {
    let deployment = attempt.deployment.clone();
    News::Rests(Rests { deployment, class: class_name(class), status: attempt.status })
}

/// Whether an attempt says that its provider may be out, and if so, whether that was a timeout: LiteLLM
/// counts 408 and all from 500 on, and has such a status for what has none.
fn stumbled(class: FailureClass, status: Option<u16>) -> Option<bool> {
    match (class, status) {
        (FailureClass::Timeout, _) | (_, Some(408)) => Some(true),
        (FailureClass::Connection | FailureClass::Server | FailureClass::Overloaded, _)
        | (_, Some(500..)) => Some(false),
        _ => None,
    }
}

/// What failed for good, if that is not the request's own fault.
fn failed(record: &RequestRecord) -> Option<Failed> {
    let class = record.error.as_ref()?.class;
    if !is_ours(class, record.status) {
        return None;
    }
    let last = record.attempts.last();
    let group = record.group_asked.clone().or_else(|| last.map(|last| last.group.clone()));
    Some(Failed {
        group: group.unwrap_or_default(),
        deployment: last.map(|last| last.deployment.clone()),
        class,
        status: record.status,
        request_id: record.request_id.as_str().into(),
    })
}

/// Whether a request that ended so failed by a provider's fault or the gateway's.
fn is_ours(class: &str, status: u16) -> bool {
    let client_left = class == "client_closed";
    let is_listed = matches!(
        class,
        "auth"
            | "quota"
            | "rate_limited"
            | "overloaded"
            | "timeout"
            | "connection"
            | "server"
            | "all_cooling"
            | "deployments_full"
            | "deployments_limited"
            | "gateway_full"
            | "unrecorded"
            | "deadline"
            | "internal"
    );
    !client_left && (is_listed || status >= 500)
}

fn slow(record: &RequestRecord) -> Slow {
    let served = record.served.as_ref();
    let group = record.group_asked.clone().or_else(|| served.map(|served| served.group.clone()));
    Slow {
        group: group.unwrap_or_default(),
        deployment: served.map(|served| served.deployment.clone()),
        took: record.durations.total,
        request_id: record.request_id.as_str().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_do_wrong_is_nobodys_alert() {
        for (class, status) in
            [("bad_request", 400), ("key", 401), ("content_policy", 400), ("client_closed", 499)]
        {
            assert!(!is_ours(class, status), "{class}");
        }
        for (class, status) in
            [("auth", 401), ("server", 200), ("all_cooling", 429), ("guardrail", 503)]
        {
            assert!(is_ours(class, status), "{class}");
        }
    }

    #[test]
    fn outages_are_timeouts_and_errors_of_the_provider() {
        assert_eq!(stumbled(FailureClass::Timeout, None), Some(true));
        assert_eq!(stumbled(FailureClass::Connection, None), Some(false));
        assert_eq!(stumbled(FailureClass::Overloaded, Some(529)), Some(false));
        assert_eq!(stumbled(FailureClass::RateLimited, Some(429)), None);
        assert_eq!(stumbled(FailureClass::Auth, Some(401)), None);
        assert_eq!(stumbled(FailureClass::BadRequest, Some(400)), None);
    }
}
