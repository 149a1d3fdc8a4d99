//! The thread of what is written after requests: ledger, access log, traces, callbacks; and the database.
//!
//! A batch of a ledger keeps a processor busy for milliseconds. Here it delays neither what requests wait for
//! (Redis is heard on the thread of the rest of the background) nor, on a machine that is busy, the requests:
//! this thread, and those that it starts, come after the others.

use std::io;
use std::sync::Arc;
use std::thread;

use tokio::runtime::Builder;
use tokio::sync::{oneshot, watch};

use super::PanicWatch;
use crate::books;
use crate::callbacks::Clerk;
use crate::identity::Identities;
use crate::reload::Reload;
use crate::store::Store;
use crate::telemetry::access_log::{Sink, Writer};
use crate::telemetry::traces::Exporter;

/// Steps that the thread stands behind those of requests: on a busy processor it has a third of the time of one
/// of them.
const NICE: i32 = 5;

/// What writes, and what it is told by.
pub(crate) struct Records {
    pub log_writer: Writer,
    pub log_sink: Sink,
    pub trace_exporter: Exporter,
    pub callback_clerk: Clerk,
    pub spend_writer: books::Writer,
    pub contents_writer: books::ContentsWriter,
    pub reload: Arc<Reload>,
    pub identities: Arc<Identities>,
    /// Driven by this thread: its operations run here.
    pub store: Arc<Store>,
}

impl Records {
    /// Writes until requests are `drained`, and then what is left. The receiver's other end is gone when that is done.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub(super) fn start(self, drained: watch::Receiver<bool>) -> io::Result<oneshot::Receiver<()>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (done, is_done) = oneshot::channel();
        let write = move || {
            let _watch = PanicWatch;
            if let Err(error) = rustix::process::nice(NICE) {
                tracing::debug!(%error, "what is written after requests is as urgent as they are");
            }
            runtime.block_on(self.write(drained));
            // Which the receiver hears.
            drop(done);
        };
        thread::Builder::new().name("records".to_owned()).spawn(write)?;
        Ok(is_done)
    }

    async fn write(self, drained: watch::Receiver<bool>) {
        self.store.drive();
        let reload = self.reload;
        let until_drained = || {
            let mut drained = drained.clone();
            // An error means that the sender is gone: the same end.
            async move { drop(drained.wait_for(|drained| *drained).await) }
        };
        let traces = || reload.snapshot.load().traces.clone();
        let callbacks = || Arc::clone(&reload.snapshot.load().callbacks);
        let salt = || reload.snapshot.load().access.salt.clone();
        let pace = || {
            let snapshot = reload.snapshot.load();
            let spending = &snapshot.spending;
            books::Pace {
                batch_every: spending.batch_every,
                keep: books::Keep {
                    rows: spending.keep,
                    sums: spending.keep_sums,
                    spoken: snapshot.words.keep,
                    audit: spending.keep_audit,
                },
                forget_every: spending.forget_every,
            }
        };
        let (logged, (), (), (), ()) = tokio::join!(
            self.log_writer.run(self.log_sink, until_drained()),
            self.spend_writer.run(pace, until_drained()),
            self.contents_writer.run(until_drained()),
            self.trace_exporter.run(traces, until_drained()),
            self.callback_clerk.run(callbacks, salt, self.identities, until_drained()),
        );
        if let Err(error) = logged {
            tracing::error!(%error, "the access log was not written");
        }
    }
}
