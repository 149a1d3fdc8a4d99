//! That the process is to end, and why: known to all that have something to finish.

use std::time::Duration;

use tokio::sync::watch;

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was told to.
    Stopped,
    /// Another process serves in its place.
    Replaced,
}

impl Ending {
    /// How long connections without a request are kept open once nobody new is let in. A request
    /// that is on its way is then answered, with `connection: close`; closing at once would make
    /// it fail. A process that was replaced has time: nobody waits for its end.
    #[must_use]
    pub const fn linger(self) -> Duration {
        match self {
            Self::Stopped => Duration::from_secs(1),
            Self::Replaced => Duration::from_secs(10),
        }
    }
}

/// Whether the process is to end.
#[derive(Clone, Debug)]
pub struct Lifecycle(watch::Sender<Option<Ending>>);

impl Lifecycle {
    /// A process that goes on.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// From now on it is to end. The first reason stays.
    pub fn end(&self, ending: Ending) {
        self.0.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(ending);
            first
        });
    }

    /// Why it is to end, if it is.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        *self.0.borrow()
    }

    /// Waits until it is to end.
    pub async fn ended(&self) -> Ending {
        let mut watch = self.0.subscribe();
        match watch.wait_for(Option::is_some).await {
            Ok(ending) => ending.unwrap_or(Ending::Stopped),
            // The sender is in our hand.
            Err(_) => Ending::Stopped,
        }
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}
