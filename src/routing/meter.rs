//! Where limits that are counted elsewhere (requests and tokens per minute, a provider's caps) have
//! a say in the choice.
//!
//! A [`Meters`] is given to [`super::State`] once. It is asked for the meter of a deployment when a
//! roster is made, so that the choice itself looks nothing up. Then, for each attempt:
//!
//! ```text
//! room   for every candidate: may it be called, and is it near its limit (then others go first)
//! take   for the one chosen: a reservation, or none left because another request was faster
//! settle when usage is known: the reservation becomes what was really used
//! drop   without settling: the attempt never got an answer; what was reserved goes back
//! ```

use std::fmt;
use std::time::{Duration, Instant};

use super::needs::Needs;
use crate::catalog::Deployment;
use crate::usage::Usage;

/// The meters of all deployments.
pub trait Meters: fmt::Debug + Send + Sync {
    /// The meter of one deployment; `None` if nothing limits it.
    fn meter(&self, deployment: &Deployment) -> Option<Box<dyn Meter>>;
}

/// The limits that one deployment is held to.
pub trait Meter: fmt::Debug + Send + Sync {
    /// Called for every candidate of every choice: no locks, no allocation.
    fn room(&self, needs: Option<&Needs>, now: Instant) -> Room;

    /// Takes what the request needs; `None` if there is no room any more.
    fn take(&self, needs: Option<&Needs>, now: Instant) -> Option<Box<dyn Hold>>;
}

/// What is left of a limit for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Free,
    /// It may be called, but deployments of the same `order` that are free go first.
    Near,
    Over {
        /// As the configuration names it: `rpm`, `tpm`, `max_requests_per_minute`.
        limit: &'static str,
        retry_after: Duration,
    },
}

/// A reservation.
pub trait Hold: fmt::Debug + Send + Sync {
    fn settle(&mut self, usage: &Usage, now: Instant);
}
