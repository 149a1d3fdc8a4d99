//! What is known of keys, in memory: the directory is asked once for each key, and again when a
//! record that belongs to it has changed.
//!
//! ```text
//! find --known and young--> the answer
//!      --else, once for all who wait--> the directory: key, user, team, organisation, budgets
//! catch_up (every second) --Directory::changed_since--> forgets what was changed elsewhere
//! ```
//!
//! While the directory is out of reach, what is known goes on being answered for a time
//! ([`Settings::grace`]); what is not known is refused as [`AuthError::Unavailable`], at once when it is known
//! that nobody answers (`reach.rs`). What belongs to a key is found by `join.rs`. Takes the time as an
//! argument. Knows nothing of databases and of HTTP.
//!
//! [`AuthError::Unavailable`]: super::AuthError::Unavailable

mod directory;
mod join;
mod reach;
mod shelf;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use moka::future::Cache;
use parking_lot::Mutex;
use rustc_hash::{FxBuildHasher, FxHashMap};
use tokio::sync::Semaphore;

use self::reach::{Ask, Reach};
use self::shelf::Shelf;
use super::directory::{Changed, Directory, StoreError};
use super::hash::KeyHash;
use super::principal::Principal;
use super::record::{Allowance, EndUser, Kind, Tag};
use crate::patience::within;

/// How long one lookup may take before the caller is told to come again. It takes milliseconds where
/// the database is well.
const LOOKUP_MAX: Duration = Duration::from_secs(1);
/// The same of one that only finds out whether the directory answers again.
const PROBE_MAX: Duration = Duration::from_millis(100);
/// Lookups at one time; more wait for their turn, within [`LOOKUP_MAX`].
const LOOKUPS_MAX: usize = 64;
/// After a failed lookup the directory is left alone for so long, for the same key.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Without a word from the directory for so long it counts as away: catching up asks every second.
const SILENCE_MAX: Duration = Duration::from_secs(3);
/// Nothing is kept longer than this, however long the directory is away.
const AGE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// How long what is known is believed.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// After this a key is looked up again, although nobody said that it has changed.
    pub age: Duration,
    /// The same for keys that do not exist.
    pub unknown_age: Duration,
    /// For how long a known key is let in while the directory is away.
    pub grace: Duration,
    /// What internal users may spend whose record does not say.
    pub user_defaults: Allowance,
    /// The budget of end users that have none of their own: its id.
    pub end_user_budget: Option<Arc<str>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(60),
            unknown_age: Duration::from_secs(5),
            grace: Duration::from_secs(600),
            user_defaults: Allowance::default(),
            end_user_budget: None,
        }
    }
}

/// Keys that are kept where the configuration does not say how many.
pub const KEYS_MAX: u64 = 100_000;

/// The keys that are known, and end users and tags.
pub struct KeyRing {
    directory: Arc<dyn Directory>,
    keys: Cache<KeyHash, Known<Principal>, FxBuildHasher>,
    /// Keys of the configuration file, joined with the records that they name.
    of_file: Cache<KeyHash, OfFile, FxBuildHasher>,
    /// Keys that stand for others until they expire, by those others.
    replaced: Mutex<FxHashMap<KeyHash, Vec<KeyHash>>>,
    end_users: Shelf<EndUser>,
    tags: Shelf<Tag>,
    lookups: Semaphore,
    reach: Reach,
    /// Counts up with everything that is forgotten: what was read before may be old.
    generation: AtomicU64,
    heard: Mutex<Heard>,
    counts: Counts,
}

/// What was last heard of the directory.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    at: Option<Instant>,
    /// The latest change that is known of; `None` before the first word.
    revision: Option<i64>,
    /// The last attempt failed.
    failed: bool,
}

/// A key of the configuration file: as it stands there, and with what belongs to it.
#[derive(Clone, Debug)]
struct OfFile {
    written: Arc<Principal>,
    joined: Known<Principal>,
}

/// An answer that is kept.
#[derive(Debug)]
pub(super) struct Known<R> {
    answer: Result<Option<Arc<R>>, StoreError>,
    /// When the directory gave it.
    read: Instant,
    /// Until when nobody asks again.
    until: Instant,
    settings: Arc<Settings>,
}

impl<R> Clone for Known<R> {
    fn clone(&self) -> Self {
        Self {
            answer: self.answer.clone(),
            read: self.read,
            until: self.until,
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<R> Known<R> {
    /// What the directory has just said.
    fn new(
        answer: Result<Option<Arc<R>>, StoreError>,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Self {
        let age = match &answer {
            Ok(Some(_)) => settings.age,
            Ok(None) => settings.unknown_age,
            Err(_) => RETRY_AFTER,
        };
        Self { answer, read: now, until: now + age, settings: Arc::clone(settings) }
    }

    /// It may be answered without asking.
    fn is_fresh(&self, settings: &Arc<Settings>, now: Instant) -> bool {
        let same = Arc::ptr_eq(&self.settings, settings) || self.settings == *settings;
        now < self.until && same
    }

    /// It may be answered because nobody can be asked.
    fn outlasts(&self, settings: &Settings, now: Instant) -> bool {
        let known = matches!(self.answer, Ok(Some(_)));
        known
            && now.saturating_duration_since(self.read)
                < settings.age.saturating_add(settings.grace)
    }

    /// The same, for a little longer.
    fn prolonged(self, now: Instant) -> Self {
        Self { until: now + RETRY_AFTER, ..self }
    }
}

#[derive(Debug, Default)]
struct Counts {
    hits: AtomicU64,
    misses: AtomicU64,
    stale: AtomicU64,
    failures: AtomicU64,
}

/// What metrics say of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Keys that are kept, unknown ones included.
    pub size: u64,
    pub hits: u64,
    pub misses: u64,
    /// Answers that were given because the directory was away.
    pub stale: u64,
    /// Lookups that had no answer at all.
    pub failures: u64,
}

impl KeyRing {
    /// A ring that keeps up to so many keys.
    #[must_use]
    pub fn new(directory: Arc<dyn Directory>, capacity: u64) -> Self {
        let keys = Cache::builder().max_capacity(capacity).time_to_live(AGE_MAX);
        Self {
            directory,
            keys: keys.build_with_hasher(FxBuildHasher),
            of_file: Cache::builder()
                .max_capacity(capacity)
                .time_to_live(AGE_MAX)
                .build_with_hasher(FxBuildHasher),
            replaced: Mutex::default(),
            end_users: Shelf::new(),
            tags: Shelf::new(),
            lookups: Semaphore::new(LOOKUPS_MAX),
            reach: Reach::default(),
            generation: AtomicU64::new(0),
            heard: Mutex::default(),
            counts: Counts::default(),
        }
    }

    /// The holder of a key; `None` if nobody has it.
    ///
    /// # Errors
    /// If the directory does not answer and the key is not known, or not any more.
    pub async fn find(
        &self,
        hash: KeyHash,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Result<Option<Arc<Principal>>, StoreError> {
        let known = self.keys.get(&hash).await;
        if let Some(known) = &known {
            if known.is_fresh(settings, now) {
                self.counts.hits.fetch_add(1, Ordering::Relaxed);
                return known.answer.clone();
            }
            if self.is_away(now) && known.outlasts(settings, now) {
                self.counts.stale.fetch_add(1, Ordering::Relaxed);
                return known.answer.clone();
            }
        }
        self.counts.misses.fetch_add(1, Ordering::Relaxed);
        let before = self.generation.load(Ordering::Acquire);
        let look = Box::pin(self.look_up(hash, settings, now, known));
        let found = self.keys.entry(hash);
        let found = found.or_insert_with_if(look, |known| !known.is_fresh(settings, now)).await;
        if self.generation.load(Ordering::Acquire) != before {
            // Read before the change, kept after it.
            self.keys.invalidate(&hash).await;
        }
        found.into_value().answer
    }

    /// A key of the configuration file with the records of its team and its user, if there are any. It
    /// needs no directory: as long as nobody can be asked and nothing is known, it stands alone.
    pub async fn of_file(
        &self,
        written: &Arc<Principal>,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Arc<Principal> {
        if written.user_id().is_none() && written.team_id().is_none() {
            return Arc::clone(written);
        }
        let hash = written.key.token;
        let known = self.of_file.get(&hash).await;
        let known = known.filter(|known| Arc::ptr_eq(&known.written, written));
        let known = known.map(|known| known.joined);
        let alone = |known: &Known<Principal>| match &known.answer {
            Ok(Some(joined)) => Arc::clone(joined),
            Ok(None) | Err(_) => Arc::clone(written),
        };
        if let Some(known) = &known {
            let stands = || self.is_away(now) && known.outlasts(settings, now);
            if known.is_fresh(settings, now) || stands() {
                return alone(known);
            }
        }
        let before = self.generation.load(Ordering::Acquire);
        let look = Box::pin(async {
            let joined = Box::pin(self.join(written.key.clone(), settings));
            let (answer, now) = self.patiently(joined, now).await;
            let answer = answer.map(|joined| Some(joined.of_file()));
            OfFile {
                written: Arc::clone(written),
                joined: self.judged(answer, settings, now, known),
            }
        });
        let is_old = |known: &OfFile| {
            !Arc::ptr_eq(&known.written, written) || !known.joined.is_fresh(settings, now)
        };
        let found = self.of_file.entry(hash).or_insert_with_if(look, is_old).await;
        if self.generation.load(Ordering::Acquire) != before {
            self.of_file.invalidate(&hash).await;
        }
        alone(&found.into_value().joined)
    }

    /// The record of an end user.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn end_user(
        &self,
        id: &str,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Result<Option<Arc<EndUser>>, StoreError> {
        self.end_users.find(self, id, settings, now).await
    }

    /// The record of a tag.
    ///
    /// # Errors
    /// As [`Self::find`].
    pub async fn tag(
        &self,
        name: &str,
        settings: &Arc<Settings>,
        now: Instant,
    ) -> Result<Option<Arc<Tag>>, StoreError> {
        self.tags.find(self, name, settings, now).await
    }

    /// Asks the directory, in vain at most for [`LOOKUP_MAX`].
    async fn look_up(
        &self,
        hash: KeyHash,
        settings: &Arc<Settings>,
        now: Instant,
        before: Option<Known<Principal>>,
    ) -> Known<Principal> {
        let (answer, now) = self.patiently(Box::pin(self.read(hash, settings)), now).await;
        self.judged(answer, settings, now, before)
    }

    /// Asks the directory, if it is worth it. Tells the time of the answer as well: it may be a second
    /// later.
    async fn patiently<T>(
        &self,
        ask: impl Future<Output = Result<T, StoreError>> + Unpin,
        now: Instant,
    ) -> (Result<T, StoreError>, Instant) {
        let patience = match self.reach.may_ask(self.is_away(now), now) {
            Ask::Yes => LOOKUP_MAX,
            Ask::Probe => PROBE_MAX,
            Ask::No => {
                let why = "it did not answer of late".to_owned();
                return (Err(StoreError::Unavailable(why)), now);
            }
        };
        let began = Instant::now();
        let asked = Box::pin(async {
            // It is never closed.
            let turn = self.lookups.acquire().await;
            let answer = ask.await;
            drop(turn);
            answer
        });
        let answer = within(patience, asked).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable(format!("it did not answer within {patience:?}")))
        });
        // What is put off begins when the wait is over.
        let now = now + began.elapsed();
        match &answer {
            Err(StoreError::Unavailable(_)) => self.reach.failed(now),
            Ok(_)
            | Err(StoreError::Broken(_) | StoreError::Conflict(_) | StoreError::Refused(_)) => {
                self.reach.answered();
            }
        }
        (answer, now)
    }

    /// What is to be kept of an answer: in want of one, what was known before.
    fn judged<R>(
        &self,
        answer: Result<Option<R>, StoreError>,
        settings: &Arc<Settings>,
        now: Instant,
        before: Option<Known<R>>,
    ) -> Known<R> {
        if let Err(error) = &answer {
            if let Some(before) = before.filter(|before| before.outlasts(settings, now)) {
                self.counts.stale.fetch_add(1, Ordering::Relaxed);
                return before.prolonged(now);
            }
            self.counts.failures.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, "a record could not be looked up");
        }
        Known::new(answer.map(|found| found.map(Arc::new)), settings, now)
    }

    /// Whether the directory has been silent for too long.
    #[must_use]
    pub fn is_away(&self, now: Instant) -> bool {
        let at = self.heard.lock().at;
        at.is_some_and(|at| now.saturating_duration_since(at) > SILENCE_MAX)
    }

    /// Forgets what was changed since the last time, by whichever gateway, and tells what that was, as
    /// far as it is known. Called every second.
    ///
    /// # Errors
    /// If the directory does not answer.
    pub async fn catch_up(&self, now: Instant) -> Result<Vec<Changed>, StoreError> {
        let heard = *self.heard.lock();
        let mut all = Vec::new();
        let caught_up = self.hear(heard, &mut all).await;
        let mut heard = self.heard.lock();
        heard.failed = caught_up.is_err();
        let revision = caught_up?;
        heard.at = Some(now);
        self.reach.answered();
        heard.revision = Some(revision);
        Ok(all)
    }

    /// The latest change that there is, with all before it forgotten.
    async fn hear(&self, heard: Heard, all: &mut Vec<Changed>) -> Result<i64, StoreError> {
        let latest = async || {
            let latest = self.directory.changed_since(None).await?;
            Ok::<_, StoreError>(latest.last().map_or(0, |latest| latest.revision))
        };
        let Some(mut known) = heard.revision else {
            let latest = latest().await?;
            self.forget_all();
            return Ok(latest);
        };
        if heard.failed {
            // It may have been replaced by an older copy of itself.
            let latest = latest().await?;
            if latest < known {
                self.forget_all();
                return Ok(latest);
            }
        }
        loop {
            let changed = self.directory.changed_since(Some(known)).await?;
            let (Some(first), Some(last)) = (changed.first(), changed.last()) else {
                return Ok(known);
            };
            if first.revision == known + 1 {
                self.forget(changed.iter().map(|changed| (changed.kind, &*changed.id))).await;
            } else {
                // So many changes that the first of them are not told any more.
                self.forget_all();
            }
            known = last.revision;
            all.extend(changed);
        }
    }

    /// Forgets what depends on some records.
    pub async fn forget<'a>(&self, changed: impl Iterator<Item = (Kind, &'a str)>) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        let mut shared = rustc_hash::FxHashSet::default();
        for (kind, id) in changed {
            match kind {
                Kind::Key => {
                    if let Ok(hash) = id.parse::<KeyHash>() {
                        self.keys.invalidate(&hash).await;
                        let replaced = self.replaced.lock().get(&hash).cloned();
                        for replaced in replaced.into_iter().flatten() {
                            self.keys.invalidate(&replaced).await;
                        }
                    }
                }
                Kind::EndUser => self.end_users.forget(id).await,
                Kind::Tag => self.tags.forget(id).await,
                Kind::User | Kind::Team | Kind::Organisation | Kind::Budget => {
                    shared.insert((kind, id));
                }
                Kind::Model => {}
            }
        }
        if shared.is_empty() {
            return;
        }
        if shared.iter().any(|(kind, _)| *kind == Kind::Budget) {
            self.end_users.forget_all();
            self.tags.forget_all();
        }
        let depend = |known: &Known<Principal>| match &known.answer {
            Ok(Some(principal)) => principal.links().any(|link| shared.contains(&link)),
            // Nothing belongs to a key that does not exist.
            Ok(None) | Err(_) => false,
        };
        for (hash, known) in &self.keys {
            if depend(&known) {
                self.keys.invalidate(&*hash).await;
            }
        }
        for (hash, known) in &self.of_file {
            if depend(&known.joined) {
                self.of_file.invalidate(&*hash).await;
            }
        }
    }

    fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.keys.invalidate_all();
        self.of_file.invalidate_all();
        self.end_users.forget_all();
        self.tags.forget_all();
    }

    /// The holders of keys that are kept now, those of the configuration file as they were joined
    /// with their records. Walks through all of them: for metrics.
    #[must_use]
    pub fn known(&self) -> Vec<Arc<Principal>> {
        let of = |known: Known<Principal>| known.answer.ok().flatten();
        let found = self.keys.iter().filter_map(|(_, known)| of(known));
        found.chain(self.of_file.iter().filter_map(|(_, known)| of(known.joined))).collect()
    }

    /// For metrics.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Stats {
            size: self.keys.entry_count(),
            hits: count(&self.counts.hits),
            misses: count(&self.counts.misses),
            stale: count(&self.counts.stale),
            failures: count(&self.counts.failures),
        }
    }
}

#[cfg(test)]
mod tests;
