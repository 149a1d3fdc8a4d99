//! The state of one deployment: a circuit that opens for a cooldown and closes on success.
//!
//! ```text
//!            failure (cooldown.rs says so)            time is over
//!   closed ------------------------------> cooling ---------------> half-open
//!     ^                                       ^                      |     |
//!     |                                       '---- probe failed ----'     |
//!     '----------------------------- probe succeeded ----------------------'
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::cooldown::{self, Scene};
use super::settings::Settings;
use super::speed::Speed;
use super::stats::nanos;
use super::window::Window;
use crate::catalog::Deployment;
use crate::failure::{Failure, FailureClass};
use crate::usage::Usage;

/// What one deployment has been through. Times are nanoseconds on the clock of `State`.
#[derive(Debug, Default)]
pub(super) struct DeploymentState {
    in_flight: AtomicU32,
    /// 0: closed. Later than now: cooling until then. Else: half-open since then.
    rest_until: AtomicU64,
    /// Counts the cooldowns. An attempt that was admitted before the last one began proves nothing
    /// about its end, however it ends itself.
    generation: AtomicU32,
    /// A probe is in flight.
    probing: AtomicBool,
    record: Mutex<Record>,
    pub(super) speed: Speed,
}

/// What changes only when an attempt ends.
#[derive(Debug, Default)]
struct Record {
    window: Window,
    consecutive: u32,
    failed_probes: u32,
    successes: u64,
    failures: u64,
    last_failure: Option<(FailureClass, Option<u16>, u64)>,
}

/// Whether a deployment may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Closed,
    HalfOpen { probing: bool },
    Cooling { until: u64 },
}

/// How far an attempt may go to be admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// To a closed deployment, or as the only probe of a half-open one.
    Normal,
    /// Also beside a probe that is in flight.
    BesideProbe,
    /// Also to a deployment that still rests: the attempt waits until it does not.
    AfterRest,
}

/// A deployment as health pages and metrics show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub health: Health,
    /// Attempts that have not ended, streams included.
    pub in_flight: u32,
    /// Since the process started, or since the deployment was first configured.
    pub successes: u64,
    /// Attempts whose failure is the deployment's fault. A stream that broke after it had begun
    /// counts here and in `successes`.
    pub failures: u64,
    /// Times it was put to rest.
    pub cooldowns: u32,
    pub consecutive_failures: u32,
    /// Within the last minute.
    pub recent_attempts: u32,
    /// Within the last minute.
    pub recent_failures: u32,
    pub last_failure: Option<LastFailure>,
}

/// Whether a deployment is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    Healthy,
    /// It rests; no request is sent.
    Cooling {
        remaining: Duration,
    },
    /// The rest is over; the next success ends the matter.
    HalfOpen,
}

/// The last failure that counted against a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastFailure {
    pub class: FailureClass,
    pub status: Option<u16>,
    pub ago: Duration,
}

/// A place in a deployment's count of attempts in flight, given back on drop; with it, if the
/// attempt is a probe, the right to probe. Dropping it without an outcome records none.
#[derive(Debug)]
pub struct InFlight {
    state: Arc<DeploymentState>,
    generation: u32,
    probe: bool,
    counted: bool,
    /// When the attempt begins, as far as is known: `None` until it was told.
    began: Option<u64>,
    stream: bool,
    /// It is counted among those that wait for an answer.
    awaits: bool,
    /// The place is given back already.
    left: bool,
}

impl DeploymentState {
    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(super) fn standing(&self, now: u64) -> Standing {
        match self.rest_until.load(Ordering::Acquire) {
            0 => Standing::Closed,
            until if until > now => Standing::Cooling { until },
            _ => Standing::HalfOpen { probing: self.probing.load(Ordering::Relaxed) },
        }
    }

    /// Takes a place for an attempt. `None` if another request was faster: choose again.
    pub(super) fn admit(
        self: &Arc<Self>,
        bound: Option<u32>,
        entry: Entry,
        now: u64,
    ) -> Option<InFlight> {
        let bound = bound.unwrap_or(u32::MAX);
        let take = |count: u32| (count < bound).then(|| count.saturating_add(1));
        self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Relaxed, take).ok()?;
        let generation = self.generation.load(Ordering::Acquire);
        let mut place = InFlight {
            state: self.clone(),
            generation,
            probe: false,
            counted: false,
            began: None,
            stream: false,
            awaits: false,
            left: false,
        };
        if matches!(self.standing(now), Standing::HalfOpen { .. }) {
            place.probe = !self.probing.swap(true, Ordering::AcqRel);
        }
        // Looked at again: between two looks, another probe may have ended either way.
        let admitted = match self.standing(now) {
            Standing::Closed => true,
            Standing::HalfOpen { .. } => place.probe || entry != Entry::Normal,
            Standing::Cooling { .. } => entry == Entry::AfterRest,
        };
        admitted.then_some(place)
    }

    pub(super) fn view(&self, now: u64) -> View {
        let record = self.record.lock();
        let recent = record.window.recent(now);
        View {
            health: match self.standing(now) {
                Standing::Closed => Health::Healthy,
                Standing::Cooling { until } => {
                    Health::Cooling { remaining: Duration::from_nanos(until - now) }
                }
                Standing::HalfOpen { .. } => Health::HalfOpen,
            },
            in_flight: self.in_flight(),
            successes: record.successes,
            failures: record.failures,
            cooldowns: self.generation.load(Ordering::Relaxed),
            consecutive_failures: record.consecutive,
            recent_attempts: recent.attempts,
            recent_failures: recent.failures(),
            last_failure: record.last_failure.map(|(class, status, at)| LastFailure {
                class,
                status,
                ago: Duration::from_nanos(now.saturating_sub(at)),
            }),
        }
    }
}

impl InFlight {
    /// The attempt will be made, at this time; `tokens` are those of its prompt.
    pub(super) fn begin(&mut self, stream: bool, tokens: u64, at: u64) {
        self.stream = stream;
        self.began = Some(at);
        self.awaits = true;
        self.state.speed.begin(at);
        self.state.speed.tokens.add(tokens, at);
    }

    /// How long the attempt has taken.
    fn took(&self, now: u64) -> Option<u64> {
        self.began.map(|began| now.saturating_sub(began).max(1))
    }

    fn end_wait(&mut self) {
        if std::mem::take(&mut self.awaits) {
            self.state.speed.end();
        }
    }

    /// The reply is complete and used so much; `expected` of the tokens were counted before.
    pub(super) fn used(&mut self, usage: &Usage, expected: u64, now: u64) {
        let speed = &self.state.speed;
        speed.tokens.add(usage.total_tokens().saturating_sub(expected), now);
        if !self.stream
            && let Some(took) = self.took(now)
        {
            speed.replied(usage.output_tokens, took, now);
        }
    }

    /// The deployment answered as it should.
    pub(super) fn succeeded(&mut self, now: u64) {
        if let Some(took) = self.took(now).filter(|_| self.awaits) {
            self.state.speed.answered(self.stream, took, now);
        }
        self.end_wait();
        let mut record = self.state.record.lock();
        record.successes += 1;
        record.consecutive = 0;
        self.counted = true;
        record.window.attempt(now);
        self.close(&mut record, now);
        drop(record);
        self.end_probe();
    }

    /// The attempt failed. Returns for how long the deployment rests, if it was put to rest.
    pub(super) fn failed(
        &mut self,
        failure: &Failure,
        settings: &Settings,
        (deployment, alternatives, wildcard): (&Deployment, bool, bool),
        now: u64,
    ) -> Option<Duration> {
        if failure.class == FailureClass::Timeout
            && !failure.blameless
            && let Some(took) = self.took(now).filter(|_| self.awaits)
        {
            self.state.speed.timed_out(self.stream, took, now);
        }
        self.end_wait();
        let state = self.state.clone();
        let mut record = state.record.lock();
        let half_open = self.is_current() && self.rests_no_more(now);
        let rest = if cooldown::counts(failure, wildcard) {
            if !self.counted {
                record.window.attempt(now);
            }
            record.window.failure(failure.class, now);
            record.failures += 1;
            record.consecutive = record.consecutive.saturating_add(1);
            record.last_failure = Some((failure.class, failure.status, now));
            let scene = Scene {
                deployment,
                alternatives,
                wildcard,
                recent: record.window.recent(now),
                consecutive: record.consecutive,
                half_open,
                failed_probes: record.failed_probes.saturating_add(u32::from(half_open)),
            };
            cooldown::rest(settings, failure, &scene)
        } else {
            // It refused this request, so it answers requests: that is what a probe asks.
            self.close(&mut record, now);
            None
        };
        if let Some(rest) = rest {
            if !matches!(state.standing(now), Standing::Cooling { .. }) {
                state.generation.fetch_add(1, Ordering::AcqRel);
            }
            record.failed_probes = record.failed_probes.saturating_add(u32::from(half_open));
            // The longer of two cooldowns stays in force.
            let until = now.saturating_add(nanos(rest)).max(1);
            state.rest_until.fetch_max(until, Ordering::AcqRel);
        }
        drop(record);
        self.end_probe();
        rest
    }

    /// Ends a half-open time. The failures that led to it are forgotten: with them in the window,
    /// the first failure after the recovery would already be one too many.
    fn close(&self, record: &mut Record, now: u64) {
        if self.is_current() && self.rests_no_more(now) {
            self.state.rest_until.store(0, Ordering::Release);
            record.failed_probes = 0;
            record.window = Window::default();
        }
    }

    /// Admitted after the last cooldown began, so either after it ended or waiting for its end.
    fn is_current(&self) -> bool {
        self.state.generation.load(Ordering::Acquire) == self.generation
    }

    fn rests_no_more(&self, now: u64) -> bool {
        matches!(self.state.standing(now), Standing::HalfOpen { .. })
    }

    /// Gives the place back before the end: the deployment has nothing more to do.
    pub fn leave(&mut self) {
        self.end_probe();
        self.end_wait();
        if !std::mem::replace(&mut self.left, true) {
            self.state.in_flight.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn end_probe(&mut self) {
        if std::mem::take(&mut self.probe) {
            self.state.probing.store(false, Ordering::Release);
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_open_deployment_admits_one_probe_and_who_has_no_choice() {
        let state = Arc::new(DeploymentState::default());
        state.rest_until.store(10, Ordering::Release);
        assert!(state.admit(None, Entry::Normal, 9).is_none(), "it rests");
        assert!(state.admit(None, Entry::BesideProbe, 9).is_none(), "it rests");
        assert!(state.admit(None, Entry::AfterRest, 9).is_some_and(|place| !place.probe));

        let probe = state.admit(None, Entry::Normal, 10).unwrap();
        assert!(probe.probe);
        assert!(state.admit(None, Entry::Normal, 10).is_none());
        assert!(state.admit(None, Entry::BesideProbe, 10).is_some_and(|place| !place.probe));
        assert_eq!(state.in_flight(), 1, "who was refused or has left holds no place");
        drop(probe);
        assert!(state.admit(None, Entry::Normal, 10).is_some_and(|place| place.probe));
    }

    #[test]
    fn no_place_is_given_beyond_the_bound() {
        let state = Arc::new(DeploymentState::default());
        let places = [(); 2].map(|()| state.admit(Some(2), Entry::Normal, 0).unwrap());
        assert!(state.admit(Some(2), Entry::Normal, 0).is_none());
        drop(places);
        assert_eq!(state.in_flight(), 0);
    }
}
