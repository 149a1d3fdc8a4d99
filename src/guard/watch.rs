//! Who is told how guardrails do: how long each looked, and what came of it.

use std::fmt;
use std::time::{Duration, Instant};

use super::{Asked, Guardrail, Mode, Refusal, Why};

/// Counts what guardrails do. It knows the clock, they do not.
pub trait Watch: fmt::Debug + Send + Sync {
    fn now(&self) -> Instant;

    /// A guardrail has looked once: at a request, at a reply, or at a stream from beginning to end.
    fn looked(&self, guardrail: &Guardrail, mode: Mode, outcome: Outcome, took: Duration);
}

/// What came of a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing, or other words in the place of some.
    Passed,
    /// The request or the reply ends with it.
    Blocked,
    /// It did not say, whether that ends the request or not.
    NoAnswer,
}

impl Outcome {
    /// What a refusal means, or that there was an answer.
    #[must_use]
    pub const fn of(refusal: Option<&Refusal>, answered: bool) -> Self {
        match refusal {
            Some(Refusal { why: Why::NoAnswer, .. }) => Self::NoAnswer,
            Some(_) => Self::Blocked,
            None if answered => Self::Passed,
            None => Self::NoAnswer,
        }
    }
}

impl Asked {
    /// When a look begins, if anybody wants to know.
    pub(super) fn begins(&self) -> Option<Instant> {
        self.watch.as_ref().map(|watch| watch.now())
    }

    /// How long it took.
    pub(super) fn took(&self, since: Option<Instant>) -> Duration {
        let now = self.begins();
        now.zip(since).map_or(Duration::ZERO, |(now, since)| now.saturating_duration_since(since))
    }

    pub(super) fn tell(&self, guardrail: &Guardrail, mode: Mode, outcome: Outcome, took: Duration) {
        if let Some(watch) = &self.watch {
            watch.looked(guardrail, mode, outcome, took);
        }
    }
}
