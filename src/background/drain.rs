//! The end: nobody new is let in, requests in flight are finished.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};

use super::{Background, systemd};
use crate::edge::Ending;

/// How often the drain looks whether the last request is done.
const TICK: Duration = Duration::from_millis(10);

impl Background {
    /// Waits for the requests in flight, as long as the configuration and the operator allow.
    pub(super) async fn drain(&self) {
        let ending = self.lifecycle.ended().await;
        let snapshot = self.reload.snapshot.load_full();
        let bound = match ending {
            Ending::Stopped => {
                systemd::stopping();
                snapshot.traffic.drain_timeout
            }
            Ending::Replaced => snapshot.edge.upgrade_drain_timeout,
        };
        // The last copies but the ones that the listeners close themselves: nobody can connect now,
        // or the successor alone accepts.
        let sockets = self.upgrader.sockets.lock().take();
        if let (Ending::Stopped, Some(sockets)) = (ending, sockets) {
            sockets.unlink();
        }
        // One that is being started finds out that it is not needed.
        let no_upgrade = self.upgrader.alone.lock();
        let impatience = async {
            match signal(SignalKind::interrupt()) {
                Ok(mut interrupt) => interrupt.recv().await,
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = async { tokio::join!(self.done(ending.linger()), no_upgrade) } => {
                return tracing::info!("every request is done");
            }
            () = tokio::time::sleep(bound) => {}
            _ = impatience => {}
        }
        let requests = self.in_flight.load(Ordering::Acquire);
        tracing::warn!(requests, ?bound, "requests are cut off");
    }

    /// Waits until no request is in flight and none is on its way.
    async fn done(&self, linger: Duration) {
        loop {
            until_none(&self.in_flight).await;
            // HTTP/2 writes the last bytes after the request is done; kept connections may bring
            // one request more, and are closed by the listener after the same time.
            let closed = tokio::time::timeout(linger, self.until_closed()).await;
            if closed.is_ok() || self.in_flight.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }
}

impl Background {
    async fn until_closed(&self) {
        while self.connections.open() > 0 {
            tokio::time::sleep(TICK).await;
        }
    }
}

async fn until_none(count: &AtomicUsize) {
    while count.load(Ordering::Acquire) > 0 {
        tokio::time::sleep(TICK).await;
    }
}
