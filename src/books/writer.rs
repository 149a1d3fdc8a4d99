//! Moves what requests wrote down from the journal into the ledger, in batches, and removes rows that
//! are old.
//!
//! What the ledger has taken over is told again if nobody knows that it has: it keeps each request
//! once. While the database is away the journal grows.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use thiserror::Error;
use tokio::time::MissedTickBehavior;

use super::record::{self, Record};
use super::recorder::Books;
use super::state::{Count, Level, State};
use crate::keys::StoreError;
use crate::spend::{Aged, Ledger, SpendEvent};
use crate::store::journal::{Batch, Next, Reader};

/// The most requests of one transaction. Three times as many are a fifth faster, and take 30 MB more.
const BATCH: usize = 500;
/// How often the journal is brought to the disk itself.
const SYNC_EVERY: Duration = Duration::from_secs(1);
/// How often what other processes have left is looked for.
const ADOPT_EVERY: Duration = Duration::from_secs(5);
/// Between two attempts after a failure.
const REST_MIN: Duration = Duration::from_millis(250);
const REST_MAX: Duration = Duration::from_secs(15);
/// What the end of the process waits for the last batches. What is left then stays in the journal.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Parts of a removal of old rows between two looks at the journal.
const FORGET_AT_ONCE: usize = 20;
/// What no database takes is written here, beside the journal.
const ASIDE: &str = "refused.jsonl";

/// How fast, and for how long. Asked for anew, so a reload is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two batches.
    pub batch_every: Duration,
    /// How old each may become; `None` for no bound.
    pub keep: Keep,
    /// Between two removals of what is older.
    pub forget_every: Duration,
}

/// How old what is kept may become; `None` for no bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    pub rows: Option<Duration>,
    pub sums: Option<Duration>,
    pub spoken: Option<Duration>,
    pub audit: Option<Duration>,
}

impl Keep {
    const fn of(self, aged: Aged) -> Option<Duration> {
        match aged {
            Aged::Rows => self.rows,
            Aged::Sums => self.sums,
            Aged::Spoken => self.spoken,
            Aged::Audit => self.audit,
        }
    }
}

/// There is one for a process.
pub struct Writer {
    reader: Reader,
    books: Arc<Books>,
    ledger: Arc<dyn Ledger>,
    folder: PathBuf,
    /// Requests that had begun in the process whose journal is being read, and are not over so far.
    begun: HashMap<Arc<str>, SpendEvent>,
    /// Records of this process that were taken over.
    taken: u64,
    /// When all was in the ledger.
    level_at: Instant,
    rest: Duration,
    try_at: Instant,
    adopt_at: Instant,
    forget_at: Instant,
}

/// Why something could not be moved.
#[derive(Debug, Error)]
enum Stuck {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the journal cannot be read: {0}")]
    Journal(#[from] io::Error),
}

impl Writer {
    #[must_use]
    pub fn new(books: Arc<Books>, ledger: Arc<dyn Ledger>, folder: impl Into<PathBuf>) -> Self {
        let now = Instant::now();
        Self {
            reader: Reader::new(Arc::clone(&books.journal)),
            books,
            ledger,
            folder: folder.into(),
            begun: HashMap::new(),
            taken: 0,
            level_at: now,
            rest: REST_MIN,
            try_at: now,
            adopt_at: now,
            forget_at: now,
        }
    }

    /// Works until `end`, and then moves what is there, if that is soon done.
    pub async fn run(mut self, pace: impl Fn() -> Pace, end: impl Future<Output = ()>) {
        let mut end = pin!(end);
        // On its own: a database that is away must not keep the journal from the disk.
        let books = Arc::clone(&self.books);
        let syncing = async {
            let mut tick = tokio::time::interval(SYNC_EVERY);
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tick.tick().await;
                books.probe();
                sync(&books).await;
            }
        };
        let moving = async {
            loop {
                let pace = pace();
                self.pass(pace).await;
                tokio::time::sleep(pace.batch_every).await;
            }
        };
        tokio::select! {
            () = &mut end => {}
            () = syncing => {}
            () = moving => {}
        }
        let began = Instant::now();
        self.try_at = began;
        let last = tokio::time::timeout(LAST_WORDS, self.move_all()).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::warn!("not all that was spent is in the database: the journal keeps it");
        } else {
            self.state().has_written(began);
            if self.books.is_idle()
                && let Err(error) = self.reader.retire()
            {
                tracing::debug!(%error, "what was taken over of the journal is left");
            }
        }
        sync(&self.books).await;
    }

    /// One look at what there is to do.
    async fn pass(&mut self, pace: Pace) {
        if Instant::now() >= self.try_at {
            let began = Instant::now();
            let moved = self.move_all().await;
            let now = Instant::now();
            match moved {
                Ok(()) => {
                    self.rest = REST_MIN;
                    self.level_at = now;
                    self.state().has_written(began);
                    self.forget(pace).await;
                }
                Err(stuck) => {
                    self.state().add(Count::Failed, 1);
                    if !matches!(stuck, Stuck::Store(StoreError::Unavailable(_))) {
                        tracing::error!(error = %stuck, "spend is not written to the database");
                    }
                    // Several gateways need not come back at the same moment.
                    self.try_at = now + self.rest.mul_f64(0.5 + fastrand::f64() / 2.0);
                    self.rest = (self.rest * 2).min(REST_MAX);
                }
            }
        }
        self.measure();
    }

    fn state(&self) -> &State {
        self.books.state()
    }

    fn measure(&self) {
        let state = self.state();
        let spare = self.books.spares() as u64;
        let records = state.count(Count::Appended).saturating_sub(self.taken) + spare;
        let bytes = self.reader.backlog().unwrap_or_default();
        state.set(Level::PendingRecords, records);
        state.set(Level::PendingBytes, bytes);
        let lag = if records + bytes == 0 { 0 } else { self.level_at.elapsed().as_secs() };
        state.set(Level::LagSeconds, lag);
    }

    /// Moves all that there is, first what others have left.
    async fn move_all(&mut self) -> Result<(), Stuck> {
        loop {
            let spare = self.books.spare(BATCH);
            if spare.is_empty() {
                break;
            }
            self.append(&spare).await?;
            self.books.spared(spare.len());
        }
        if Instant::now() >= self.adopt_at && !self.reader.adopt()? {
            self.adopt_at = Instant::now() + ADOPT_EVERY;
        }
        loop {
            match self.reader.next(BATCH)? {
                Next::Records(batch) => {
                    self.take(&batch).await?;
                    self.reader.taken();
                }
                Next::Finished(segment) => {
                    self.books.carry(segment)?;
                    self.reader.finish()?;
                }
                Next::Buried => {
                    self.bury().await?;
                    self.reader.finish()?;
                    self.begun.clear();
                    if !self.reader.adopt()? {
                        self.adopt_at = Instant::now() + ADOPT_EVERY;
                    }
                }
                Next::Nothing => return Ok(()),
            }
        }
    }

    async fn take(&mut self, batch: &Batch) -> Result<(), Stuck> {
        let mut events = Vec::with_capacity(batch.records.len());
        let mut unread: u64 = 0;
        for bytes in &batch.records {
            match record::read(bytes) {
                Some(Record::Over(event)) => events.push(event),
                Some(Record::Begun(event)) if batch.left => {
                    self.begun.insert(Arc::clone(&event.request_id), event);
                }
                Some(Record::Begun(_)) => {}
                None => unread += bytes.len() as u64,
            }
        }
        self.append(&events).await?;
        for event in &events {
            self.begun.remove(&event.request_id);
        }
        if !batch.left {
            self.taken += events.len() as u64;
        }
        if batch.lost + unread > 0 {
            self.state().add(Count::DamagedBytes, batch.lost + unread);
            // Mostly the beginning of a record whose writer was killed within it.
            tracing::warn!(
                bytes = batch.lost + unread,
                folder = %self.folder.display(),
                "a part of the journal is damaged; its file is kept, and ends in `.damaged`"
            );
        }
        Ok(())
    }

    /// Writes the rows of requests that ended with their process.
    async fn bury(&mut self) -> Result<(), Stuck> {
        let events: Vec<_> = self.begun.values().cloned().map(record::interrupted).collect();
        let before = self.state().count(Count::Written);
        self.append(&events).await?;
        let new = self.state().count(Count::Written) - before;
        if new > 0 {
            self.state().add(Count::Interrupted, new);
            tracing::warn!(requests = new, "requests ended with a process that was killed");
        }
        Ok(())
    }

    /// Adds events to the ledger. What it will never take is set aside, and nothing else waits for it.
    async fn append(&self, events: &[SpendEvent]) -> Result<(), Stuck> {
        let mut waiting: Vec<&[SpendEvent]> = events.chunks(BATCH).rev().collect();
        let (mut suspects, mut is_well) = (Vec::new(), false);
        while let Some(batch) = waiting.pop() {
            let appended = self.ledger.append(batch).await;
            self.state().heard(&appended);
            match (appended, batch) {
                (Ok(appended), _) => {
                    is_well = true;
                    self.appended(appended.new, appended.known);
                }
                (Err(error @ StoreError::Unavailable(_)), _) => return Err(error.into()),
                (Err(error @ (StoreError::Refused(_) | StoreError::Conflict(_))), [event]) => {
                    self.set_aside(event, &error)?;
                }
                // Whether it is the row or the database is seen from what becomes of the others.
                (Err(error @ StoreError::Broken(_)), [event]) => suspects.push((event, error)),
                // Halved until the fault is alone: many good rows, few transactions.
                (Err(_), _) => {
                    let (first, second) = batch.split_at(batch.len() / 2);
                    waiting.extend([second, first]);
                }
            }
        }
        if !is_well && !suspects.is_empty() {
            return Err(suspects.swap_remove(0).1.into());
        }
        suspects.iter().try_for_each(|(event, error)| self.set_aside(event, error))
    }

    fn appended(&self, new: usize, known: usize) {
        self.state().add(Count::Written, new as u64);
        self.state().add(Count::Known, known as u64);
    }

    /// Keeps what the database refuses, with the reason.
    fn set_aside(&self, event: &SpendEvent, error: &StoreError) -> Result<(), Stuck> {
        let path = self.folder.join(ASIDE);
        tracing::error!(%error, file = %path.display(), "the database refuses a request: it is set aside");
        let at = jiff::Timestamp::now().to_string();
        let line =
            serde_json::json!({"refused_at": at, "reason": error.to_string(), "event": event});
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(path)?;
        writeln!(file, "{line}")?;
        // It leaves the journal for this file.
        file.sync_data()?;
        self.state().add(Count::Refused, 1);
        Ok(())
    }

    /// Removes what is older than it may become.
    async fn forget(&mut self, pace: Pace) {
        if Instant::now() < self.forget_at {
            return;
        }
        let mut is_done = true;
        for aged in Aged::ALL {
            if let Some(keep) = pace.keep.of(aged) {
                is_done &= self.forget_older(aged, keep).await;
            }
        }
        if is_done {
            self.forget_at = Instant::now() + pace.forget_every;
        }
    }

    /// Removes some of what is older, and says whether that was all.
    async fn forget_older(&self, aged: Aged, keep: Duration) -> bool {
        let before = SystemTime::now().checked_sub(keep);
        let before = before.and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
        // Older than the calendar: nothing is.
        let Some(before) = before else { return true };
        let before_us = i64::try_from(before.as_micros()).unwrap_or(i64::MAX);
        for _ in 0..FORGET_AT_ONCE {
            match self.ledger.forget(aged, before_us).await {
                Ok(0) => return true,
                Ok(rows) => tracing::debug!(rows, ?aged, "what was old in the ledger was removed"),
                Err(error) => {
                    tracing::warn!(%error, ?aged, "what is old in the ledger was not removed");
                    // Not again at once.
                    return true;
                }
            }
        }
        false
    }
}

/// Brings the journal to the disk, away from those who wait for nothing.
async fn sync(books: &Arc<Books>) {
    let journal = Arc::clone(&books.journal);
    match tokio::task::spawn_blocking(move || journal.sync()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "the journal did not reach the disk"),
        Err(error) => tracing::error!(%error, "the journal was not brought to the disk"),
    }
}
