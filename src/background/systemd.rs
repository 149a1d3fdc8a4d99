//! What systemd is told: ready, reloading, stopping, alive, and which process counts.
//!
//! Nothing is sent where there is no `NOTIFY_SOCKET`, so no setting is needed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;

/// The process serves.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// A new configuration is read, or a successor is started; [`ready`] ends it.
pub(super) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::debug!(%error, "systemd is not told of the reload"),
    }
}

/// The process is about to end.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Another process is the one to watch. It must belong to the same unit.
pub(super) fn replaced_by(pid: u32) {
    tell(&[NotifyState::MainPid(pid)]);
}

/// Gives signs of life as long as the threads that serve requests do: `beat` is counted up there.
/// Never returns.
pub(super) async fn watchdog(beat: &AtomicU64) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return std::future::pending().await;
    };
    // More often than needed, because the serving threads count once a second.
    let mut tick = tokio::time::interval((patience / 3).max(Duration::from_millis(10)));
    let mut last = u64::MAX;
    loop {
        tick.tick().await;
        let now = beat.load(Ordering::Relaxed);
        if now == last {
            tracing::error!("the threads that serve requests do not run");
        } else {
            tell(&[NotifyState::Watchdog]);
        }
        last = now;
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd cannot be told");
    }
}
