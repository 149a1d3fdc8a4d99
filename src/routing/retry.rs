//! After a failure: where the request may still go, how many times, and after what delay.

use std::time::{Duration, Instant};

use super::settings::{RetryPolicy, Settings};
use crate::catalog::Deployment;
use crate::failure::{Failure, FailureClass};

/// How far a request may go on after a failure. Each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reach {
    /// The request itself is wrong.
    Nowhere,
    /// Other deployments of the group have the same window and policy; another group may not.
    Fallbacks,
    /// Other deployments, but this one will not change its mind.
    Others,
    /// This deployment too.
    Same,
}

/// When a deployment that failed may be tried again by the same request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    Never,
    /// Our own back-off.
    From(Instant),
    /// The time the provider named.
    AsAsked(Instant),
}

/// How far the request may go. The provider's `x-should-retry` wins over the class; a "no" speaks
/// for that provider only, so other deployments remain.
pub(super) fn reach(failure: &Failure) -> Reach {
    let by_class = match failure.class {
        // Refused by us before it was sent: this provider has no words for it, another one may.
        FailureClass::BadRequest if failure.blameless => Reach::Others,
        FailureClass::BadRequest => Reach::Nowhere,
        FailureClass::ContextWindow | FailureClass::ContentPolicy => Reach::Fallbacks,
        FailureClass::NotFound | FailureClass::Auth | FailureClass::Quota => Reach::Others,
        FailureClass::RateLimited
        | FailureClass::Overloaded
        | FailureClass::Timeout
        | FailureClass::Connection
        | FailureClass::Server
        | FailureClass::Conflict => Reach::Same,
    };
    match failure.should_retry {
        Some(true) => Reach::Same,
        Some(false) => by_class.min(Reach::Others),
        None => by_class,
    }
}

/// Retries that the class of failure is given by `model_group_retry_policy` or `retry_policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// Written for this class: it is retried even if it would not be otherwise.
    ForClass(u32),
    ByDefault(u32),
    NotWritten,
}

/// What the retry policies say; the group's policy goes before the general one.
pub(super) fn allowance(settings: &Settings, names: &[&str], class: FailureClass) -> Allowance {
    let of_group = names.iter().find_map(|name| settings.group_retry_policy.get(*name));
    let policies = of_group.into_iter().chain([&settings.retry_policy]);
    for RetryPolicy { by_class, default } in policies {
        if let Some(retries) = by_class.get(&class) {
            return Allowance::ForClass(*retries);
        }
        if let Some(retries) = default {
            return Allowance::ByDefault(*retries);
        }
    }
    Allowance::NotWritten
}

/// How many retries a group gets after this failure: a policy for the class, else the request's
/// number, the failed deployment's, the group's, the general one.
///
/// A request may ask for fewer than the policy, never for more: the operator wrote it.
pub(super) fn retries(
    settings: &Settings,
    names: &[&str],
    asked: Option<u32>,
    deployment: &Deployment,
    allowance: Allowance,
) -> u32 {
    let retries = match allowance {
        Allowance::ForClass(retries) | Allowance::ByDefault(retries) => {
            asked.map_or(retries, |asked| asked.min(retries))
        }
        Allowance::NotWritten => asked.or(deployment.num_retries).unwrap_or_else(|| {
            let of_group = names.iter().find_map(|name| settings.group_num_retries.get(*name));
            of_group.copied().unwrap_or(settings.num_retries)
        }),
    };
    retries.min(MAX_RETRIES)
}

/// When a deployment that failed `failures` times in this request may be tried again.
pub(super) fn again(
    settings: &Settings,
    names: &[&str],
    failure: &Failure,
    reach: Reach,
    failures: u32,
    now: Instant,
) -> Again {
    if reach < Reach::Same {
        return Again::Never;
    }
    match failure.retry_after {
        Some(asked) if asked > settings.max_retry_after => Again::Never,
        Some(asked) if !asked.is_zero() => Again::AsAsked(now + asked),
        _ => {
            let of_group = names.iter().find_map(|name| settings.group_retry_after.get(*name));
            Again::From(now + backoff(failures, *of_group.unwrap_or(&settings.retry_after)))
        }
    }
}

/// 0.5 s, 1 s, 2 s, ... up to 8 s, but at least what `retry_after` says. LiteLLM cuts that to 8 s
/// too, so that a longer one has no effect.
fn backoff(failures: u32, shortest: Duration) -> Duration {
    let doublings = failures.saturating_sub(1).min(MAX_DOUBLINGS);
    FIRST_BACKOFF.saturating_mul(1 << doublings).min(LONGEST_BACKOFF).max(shortest)
}

/// What is added to a wait so that requests that failed together do not return together.
pub(super) fn jitter(rng: &mut fastrand::Rng) -> Duration {
    MAX_JITTER.mul_f64(rng.f64())
}

const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(8);
const MAX_DOUBLINGS: u32 = 4;
const MAX_JITTER: Duration = Duration::from_millis(750);
/// A client can write any `num_retries` into its request; this is the most it gets.
const MAX_RETRIES: u32 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_back_off_doubles_up_to_a_bound_and_keeps_the_written_minimum() {
        let cases = [
            (1, 0, 500),
            (2, 0, 1000),
            (3, 0, 2000),
            (5, 0, 8000),
            (40, 0, 8000),
            (1, 3, 3000),
            (1, 10, 10_000),
        ];
        for (failures, shortest, expected) in cases {
            let wait = backoff(failures, Duration::from_secs(shortest));
            assert_eq!(wait, Duration::from_millis(expected), "{failures} failures, {shortest} s");
        }
    }

    #[test]
    fn the_reach_of_a_failure_depends_on_its_class_and_the_providers_word() {
        use FailureClass as Class;
        let cases = [
            (Class::BadRequest, None, Reach::Nowhere),
            (Class::BadRequest, Some(true), Reach::Same),
            (Class::BadRequest, Some(false), Reach::Nowhere),
            (Class::ContextWindow, None, Reach::Fallbacks),
            (Class::ContentPolicy, Some(false), Reach::Fallbacks),
            (Class::NotFound, None, Reach::Others),
            (Class::Auth, None, Reach::Others),
            (Class::Auth, Some(true), Reach::Same),
            (Class::Quota, None, Reach::Others),
            (Class::RateLimited, None, Reach::Same),
            (Class::RateLimited, Some(false), Reach::Others),
            (Class::Server, Some(false), Reach::Others),
            (Class::Conflict, None, Reach::Same),
        ];
        for (class, should_retry, expected) in cases {
            let failure = Failure { should_retry, ..Failure::new(class, "") };
            assert_eq!(reach(&failure), expected, "{class:?}, x-should-retry {should_retry:?}");
        }
    }
}
