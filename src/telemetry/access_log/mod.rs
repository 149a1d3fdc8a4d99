//! One JSON line for each request, written off the request's path.
//!
//! A request hands its record to a bounded queue and goes on. One background task makes lines of
//! the records and writes them in batches. If the sink is slower than the traffic, or broken,
//! records are dropped and counted: a log must never be what slows a gateway down.

mod line;

use std::fs::{File, OpenOptions};
use std::future::Future;
use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::sync::{Notify, mpsc};

use self::line::Line;
use super::record::RequestRecord;

/// Records that may wait: some 200 ms of what two cores can serve, at about half a KiB each.
const QUEUE_MAX: usize = 8_192;
/// How long the writer waits for company after the first record. Waking it costs the sender a
/// system call, so under load it is woken at most this often instead of once per request.
const BATCH_WINDOW: Duration = Duration::from_millis(50);
/// How long the rest of the queue may take to be written when the process ends.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    Stdout,
    /// Appended to; created if missing.
    File(PathBuf),
}

/// The end of the queue that requests hold. Cheap to clone.
#[derive(Clone)]
pub struct AccessLog {
    queue: mpsc::Sender<RequestRecord>,
    dropped: IntCounter,
    reopen: Arc<Reopen>,
}

/// The end of the queue that the background task holds.
pub struct Writer {
    queue: mpsc::Receiver<RequestRecord>,
    dropped: IntCounter,
    reopen: Arc<Reopen>,
}

#[derive(Default)]
struct Reopen {
    wanted: AtomicBool,
    wake: Notify,
}

impl AccessLog {
    /// Both ends of a new queue. `dropped` counts the lines that are lost.
    #[must_use]
    pub fn new(dropped: IntCounter) -> (Self, Writer) {
        Self::with_capacity(QUEUE_MAX, dropped)
    }

    fn with_capacity(records: usize, dropped: IntCounter) -> (Self, Writer) {
        let (sender, receiver) = mpsc::channel(records);
        let reopen = Arc::<Reopen>::default();
        let log = Self { queue: sender, dropped: dropped.clone(), reopen: Arc::clone(&reopen) };
        (log, Writer { queue: receiver, dropped, reopen })
    }

    /// Queues the line of one request; never waits.
    pub fn request(&self, record: RequestRecord) {
        if self.queue.try_send(record).is_err() {
            self.dropped.inc();
        }
    }

    /// How many lines wait to be written.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Makes the writer close its file and open the path anew, after a log rotation moved it.
    pub fn reopen(&self) {
        self.reopen.wanted.store(true, Ordering::Release);
        self.reopen.wake.notify_one();
    }
}

impl Writer {
    /// Writes lines until `shutdown` completes, then what is still queued.
    ///
    /// Requests that are still being served when `shutdown` completes will not be logged: let it
    /// complete when the last one is over, not when the process is asked to end.
    ///
    /// # Errors
    /// If the file cannot be opened at the start. Later errors are logged and counted instead.
    pub async fn run(mut self, sink: Sink, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let mut output = Output::open(sink)?;
        let mut shutdown = pin!(shutdown);
        let mut ending = false;
        while !ending {
            let mut first = None;
            tokio::select! {
                record = self.queue.recv() => match record {
                    Some(record) => first = Some(record),
                    None => break,
                },
                () = self.reopen.wake.notified() => {}
                () = &mut shutdown => ending = true,
            }
            if self.reopen.wanted.swap(false, Ordering::AcqRel) {
                output.reopen();
            }
            let Some(first) = first else { continue };
            output.line(&first);
            tokio::select! {
                () = tokio::time::sleep(BATCH_WINDOW) => {}
                () = &mut shutdown => ending = true,
            }
            output = self.drain(output).await;
        }
        self.queue.close();
        if tokio::time::timeout(FLUSH_TIMEOUT, self.drain(output)).await.is_err() {
            tracing::warn!("the access log could not be flushed in time");
        }
        Ok(())
    }

    /// Writes everything that is queued now.
    async fn drain(&mut self, mut output: Output) -> Output {
        loop {
            while output.wants_more() {
                let Ok(record) = self.queue.try_recv() else { break };
                output.line(&record);
            }
            if output.lines == 0 {
                return output;
            }
            let dropped = self.dropped.clone();
            // A pipe whose reader sleeps blocks the write; that must not block a runtime's thread.
            let written = tokio::task::spawn_blocking(move || {
                output.write(&dropped);
                output
            });
            output = match written.await {
                Ok(output) => output,
                Err(failed) => std::panic::resume_unwind(failed.into_panic()),
            };
        }
    }
}

/// The open sink, and the lines of the batch in the making.
struct Output {
    sink: Sink,
    file: Option<File>,
    batch: Vec<u8>,
    lines: u64,
    /// The last write failed: said once, not for every batch.
    broken: bool,
}

impl Output {
    /// A batch is written when it has grown to this size.
    const BATCH_BYTES: usize = 256 * 1024;

    fn open(sink: Sink) -> io::Result<Self> {
        let file = open(&sink)?;
        Ok(Self { sink, file, batch: Vec::new(), lines: 0, broken: false })
    }

    /// Keeps the old file if the new one cannot be opened.
    fn reopen(&mut self) {
        match open(&self.sink) {
            Ok(file) => self.file = file,
            Err(error) => tracing::error!(%error, "the access log cannot be reopened"),
        }
    }

    const fn wants_more(&self) -> bool {
        self.batch.len() < Self::BATCH_BYTES
    }

    fn line(&mut self, record: &RequestRecord) {
        let start = self.batch.len();
        if serde_json::to_writer(&mut self.batch, &Line::of(record)).is_err() {
            // Cannot happen with these types; half a line would spoil the next one.
            self.batch.truncate(start);
            return;
        }
        self.batch.push(b'\n');
        self.lines += 1;
    }

    fn write(&mut self, dropped: &IntCounter) {
        let written = match &mut self.file {
            Some(file) => file.write_all(&self.batch),
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.batch).and_then(|()| stdout.flush())
            }
        };
        if let Err(error) = &written {
            dropped.inc_by(self.lines);
            if !self.broken {
                tracing::error!(%error, "the access log cannot be written; lines are dropped");
            }
        }
        self.broken = written.is_err();
        self.batch.clear();
        // A burst must not keep its memory for ever.
        self.batch.shrink_to(Self::BATCH_BYTES);
        self.lines = 0;
    }
}

/// `None` stands for standard output.
fn open(sink: &Sink) -> io::Result<Option<File>> {
    match sink {
        Sink::Stdout => Ok(None),
        Sink::File(path) => OpenOptions::new().create(true).append(true).open(path).map(Some),
    }
}

#[cfg(test)]
mod tests;
