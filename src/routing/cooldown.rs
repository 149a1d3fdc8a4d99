//! When a deployment rests, and for how long.
//!
//! `allowed_fails`, where written, decides alone: the deployment rests when the failures of the
//! last minute exceed it. Any number counts as written, 3 too (LiteLLM takes 3 for "not written").
//!
//! Where nothing is written, this rule decides:
//!
//! - rate limit: at once if there is an alternative. Without one, only if the provider said for how
//!   long: clients then get an exact 429 instead of hammering a provider that named its time.
//! - quota, credentials, unknown model: at once if there is an alternative. Without one never: the
//!   provider's own words ("invalid key") help the operator, a 429 would hide them. LiteLLM rests a
//!   single deployment after 401 and 404. Quota and credentials are not back in seconds: where no
//!   cooldown is written, the deployment rests [`LONG`] at first.
//! - overloaded with a Retry-After: at once if there is an alternative.
//! - overloaded, timeout, connection, server: if there is an alternative, after 3 failures in a row
//!   or when more than half of at least 5 attempts within the minute failed.
//!
//! An alternative is another deployment in the group or a fallback in the configuration (not one in
//! the request: a client must not decide what rests for others).
//!
//! What a client did wrong never counts, not even if `allowed_fails_policy` names its class: one
//! client's bad requests would take the deployment from everyone. Behind a wildcard the client also
//! chooses the model, so "unknown model" and "forbidden" do not count there either, and a rate
//! limit (providers limit by model) rests the deployment only if there is an alternative.
//!
//! The ratios of `breaker.rs`, where written, are further reasons beside all of these.
//!
//! At the end of the time the deployment is half-open: one attempt probes it. Its success ends the
//! matter; its failure makes the deployment rest again, twice as long each time, up to
//! [`LONGEST`]. So a wrong key costs ever fewer requests, and a repaired one is noticed.

use std::time::Duration;

use super::breaker::Rules;
use super::settings::Settings;
use super::window::Recent;
use crate::catalog::Deployment;
use crate::failure::{Failure, FailureClass};

/// What is known when an attempt has failed; the failure itself is counted already.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) deployment: &'a Deployment,
    pub(super) alternatives: bool,
    /// The client's name of the model was matched by a wildcard.
    pub(super) wildcard: bool,
    pub(super) recent: Recent,
    /// Failures in a row.
    pub(super) consecutive: u32,
    /// The attempt was admitted after a cooldown that no success has ended yet.
    pub(super) half_open: bool,
    /// How many probes have failed in a row.
    pub(super) failed_probes: u32,
}

/// How long the deployment rests after this failure; `None`: it does not.
pub(super) fn rest(settings: &Settings, failure: &Failure, scene: &Scene<'_>) -> Option<Duration> {
    // A cooldown of zero is how LiteLLM's users switch it off, for one deployment or for all.
    let base = Rules::of(settings, scene.deployment).base?;
    if !counts(failure, scene.wildcard) {
        return None;
    }
    is_due(settings, failure, scene).then(|| match failure.retry_after {
        Some(asked) if !asked.is_zero() => asked.min(settings.max_retry_after),
        _ => grown(first(base, settings, failure, scene), scene.failed_probes),
    })
}

/// How long the first rest is: what is written, or as long as the cause is likely to last.
fn first(base: Duration, settings: &Settings, failure: &Failure, scene: &Scene<'_>) -> Duration {
    let is_written = scene.deployment.cooldown.is_some() || settings.cooldown_is_written;
    match failure.class {
        FailureClass::Quota | FailureClass::Auth if !is_written => base.max(LONG),
        _ => base,
    }
}

/// Whether a failure says something about the deployment, rather than about the request.
pub(super) fn counts(failure: &Failure, wildcard: bool) -> bool {
    if failure.blameless {
        return false;
    }
    match failure.class {
        FailureClass::BadRequest
        | FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::Conflict => false,
        FailureClass::NotFound => !wildcard,
        FailureClass::Auth => !(wildcard && failure.status == Some(403)),
        FailureClass::Quota
        | FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::Timeout
        | FailureClass::Connection
        | FailureClass::Server => true,
    }
}

fn is_due(settings: &Settings, failure: &Failure, scene: &Scene<'_>) -> bool {
    let breaker = &settings.breaker;
    if breaker.failure_ratio.is_some() && (scene.half_open || breaker.fails(&scene.recent)) {
        return true;
    }
    if let Some(allowed) = settings.allowed_fails_policy.get(&failure.class) {
        return scene.half_open || scene.recent.of(failure.class) > *allowed;
    }
    if let Some(allowed) = settings.allowed_fails {
        return scene.half_open || outside_policy(settings, &scene.recent) > allowed;
    }
    built_in(failure, scene)
}

/// For how long a deployment rests that answers, but too slowly; `None`: it does not.
pub(super) fn rest_when_slow(
    rules: &Rules,
    recent: &Recent,
    half_open: bool,
    failed_probes: u32,
) -> Option<Duration> {
    let is_due = half_open || rules.breaker.drags(recent);
    rules.base.filter(|_| is_due).map(|base| grown(base, failed_probes))
}

/// Failures of the classes that have no allowance of their own.
fn outside_policy(settings: &Settings, recent: &Recent) -> u32 {
    let own: u32 = settings.allowed_fails_policy.keys().map(|class| recent.of(*class)).sum();
    recent.failures().saturating_sub(own)
}

fn built_in(failure: &Failure, scene: &Scene<'_>) -> bool {
    match failure.class {
        FailureClass::RateLimited => {
            scene.alternatives || (names_a_time(failure) && !scene.wildcard)
        }
        FailureClass::Quota | FailureClass::Auth | FailureClass::NotFound => scene.alternatives,
        FailureClass::Overloaded if names_a_time(failure) => scene.alternatives,
        FailureClass::Overloaded
        | FailureClass::Timeout
        | FailureClass::Connection
        | FailureClass::Server => scene.alternatives && (scene.half_open || is_failing(scene)),
        FailureClass::BadRequest
        | FailureClass::ContextWindow
        | FailureClass::ContentPolicy
        | FailureClass::Conflict => false,
    }
}

/// Zero, or a date that is past, invites a retry and asks for no rest.
fn names_a_time(failure: &Failure) -> bool {
    failure.retry_after.is_some_and(|asked| !asked.is_zero())
}

fn is_failing(scene: &Scene<'_>) -> bool {
    let Recent { attempts, .. } = scene.recent;
    scene.consecutive >= FAILURES_IN_A_ROW
        || (attempts >= ENOUGH_ATTEMPTS && scene.recent.failures() * 2 > attempts)
}

fn grown(base: Duration, failed_probes: u32) -> Duration {
    let factor = 1_u32.checked_shl(failed_probes).unwrap_or(u32::MAX);
    // Whoever wrote a longer base than the bound gets what was written.
    base.saturating_mul(factor).min(base.max(LONGEST))
}

/// An empty account and a refused key wait for somebody who mends them.
const LONG: Duration = Duration::from_secs(60);
const FAILURES_IN_A_ROW: u32 = 3;
/// LiteLLM's `DEFAULT_FAILURE_THRESHOLD_MINIMUM_REQUESTS`.
const ENOUGH_ATTEMPTS: u32 = 5;
/// Up to here a cooldown doubles: an outage of an hour costs about 17 probes per deployment.
const LONGEST: Duration = Duration::from_secs(300);
