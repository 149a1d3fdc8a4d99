//! Rules of the circuit breaker beside those of `cooldown.rs`: ratios over the last minute, and who
//! may call a deployment that is half-open.
//!
//! The ratios are off unless they are written: LiteLLM has none. They are for operators who know
//! their deployments, so they hold whether there is an alternative or not, and beside
//! `allowed_fails`: the deployment rests as soon as one of the rules says so.

use std::time::Duration;

use super::settings::Settings;
use super::window::Recent;
use crate::catalog::Deployment;

/// `router_settings.circuit_breaker`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Breaker {
    /// The share of failed attempts from which on a deployment rests; `None`: no such rule.
    pub failure_ratio: Option<f64>,
    /// An answer that takes longer is slow: of a stream its first content, else the whole. `None`:
    /// no such rule.
    pub slow_call: Option<Duration>,
    /// The share of slow answers from which on a deployment rests.
    pub slow_ratio: f64,
    /// Attempts within the minute below which no share is looked at.
    pub minimum_calls: u32,
    /// Probes that a half-open deployment gets at one time, and that have to succeed in a row.
    pub probes: u32,
    /// Attempts in flight on a half-open deployment while nothing else can serve.
    pub crowd: u32,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            failure_ratio: None,
            slow_call: None,
            slow_ratio: 0.5,
            minimum_calls: 10,
            probes: 1,
            crowd: 10,
        }
    }
}

/// What an attempt takes along of the settings: it says by itself how it went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) breaker: Breaker,
    /// How long a deployment rests at first; `None`: never.
    pub(super) base: Option<Duration>,
}

impl Rules {
    pub(super) fn of(settings: &Settings, deployment: &Deployment) -> Self {
        let base = deployment.cooldown.unwrap_or(settings.cooldown);
        let rests = !settings.disable_cooldowns && !base.is_zero();
        Self { breaker: settings.breaker, base: rests.then_some(base) }
    }
}

/// When somebody who was refused because of the probes in flight may look again: a probe ends when
/// the provider answers, and nobody knows when that is.
pub(super) const PROBE_WAIT: Duration = Duration::from_secs(1);

impl Breaker {
    /// Whether too many of the last minute's attempts failed.
    pub(super) fn fails(&self, recent: &Recent) -> bool {
        self.failure_ratio.is_some_and(|ratio| self.reached(recent, recent.failures(), ratio))
    }

    /// Whether an answer took too long.
    pub(super) fn is_slow(&self, took: Duration) -> bool {
        self.slow_call.is_some_and(|slow| took > slow)
    }

    /// Whether too many of the last minute's answers were slow.
    pub(super) fn drags(&self, recent: &Recent) -> bool {
        self.slow_call.is_some() && self.reached(recent, recent.slow, self.slow_ratio)
    }

    fn reached(&self, recent: &Recent, count: u32, ratio: f64) -> bool {
        recent.attempts >= self.minimum_calls.max(1)
            && f64::from(count) >= f64::from(recent.attempts) * ratio
    }
}
