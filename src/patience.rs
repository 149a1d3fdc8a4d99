//! Waiting with a bound, at a price that fits every request.
//!
//! Tokio arms a timer under the lock of its runtime's driver and often wakes that driver for it,
//! which costs more than all of routing; nearly every timer of a gateway is dropped unfired.
//! Pingora's timers are cheap, but each lives until its time has come. So they are armed for a
//! short step at a time.

use std::time::{Duration, Instant};

/// The longest time that a timer is armed for: what an unfired one stays in memory.
const STEP: Duration = Duration::from_secs(10);

/// The bound ran out first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Waits for `future`, but no longer than `bound`, within some 10 milliseconds.
///
/// The future is pinned by the caller (`pin!`). Taken by value it would stand twice in the state of
/// this one, as argument and as local, and that doubling repeats with every wait around it.
///
/// # Errors
/// [`Elapsed`].
pub(crate) async fn within<F: Future + Unpin>(
    bound: Duration,
    mut future: F,
) -> Result<F::Output, Elapsed> {
    let began = Instant::now();
    let mut left = bound;
    loop {
        if let Ok(output) = pingora_timeout::timeout(left.min(STEP), &mut future).await {
            return Ok(output);
        }
        left = bound.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Err(Elapsed);
        }
    }
}

/// Sleeps until `until` or for one step, whichever is shorter: look again what time it is.
pub(crate) async fn nap(until: Instant) {
    let left = until.saturating_duration_since(Instant::now());
    pingora_timeout::sleep(left.min(STEP)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bound_that_runs_out_is_told_and_one_that_does_not_is_not() {
        let never = std::future::pending::<()>();
        assert_eq!(within(Duration::from_millis(1), never).await, Err(Elapsed));
        let seven = || std::future::ready(7);
        assert_eq!(within(Duration::from_millis(1), seven()).await, Ok(7));
        assert_eq!(within(Duration::ZERO, seven()).await, Ok(7), "asked once in any case");
    }
}
