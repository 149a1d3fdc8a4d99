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
//! ([`Settings::grace`]); what is not known is refused as [`AuthError::Unavailable`]. Takes the time as an
//! argument. Knows nothing of databases and of HTTP.
//!
//! [`AuthError::Unavailable`]: super::AuthError::Unavailable

mod directory;
mod shelf;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::try_join;
use moka::future::Cache;
use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use tokio::sync::Semaphore;

use self::shelf::Shelf;
use super::directory::{Changed, Directory, StoreError, fetch};
use super::hash::KeyHash;
use super::principal::{Budgets, Principal, organisation_of};
use super::record::{
    Allowance, BudgetRecord, EndUser, Key, Kind, Organisation, Record, Tag, Team, User,
};
use super::role::Role;
use crate::patience::within;

/// How long one lookup may take before the caller is told to come again.
const LOOKUP_MAX: Duration = Duration::from_secs(3);
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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(60),
            unknown_age: Duration::from_secs(5),
            grace: Duration::from_secs(600),
            user_defaults: Allowance::default(),
        }
    }
}

/// Keys that are kept where the configuration does not say how many.
pub const KEYS_MAX: u64 = 100_000;

/// The keys that are known, and end users and tags.
pub struct KeyRing {
    directory: Arc<dyn Directory>,
    keys: Cache<KeyHash, Known<Principal>, FxBuildHasher>,
    end_users: Shelf<EndUser>,
    tags: Shelf<Tag>,
    lookups: Semaphore,
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
            end_users: Shelf::new(),
            tags: Shelf::new(),
            lookups: Semaphore::new(LOOKUPS_MAX),
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
        let answer = self.patiently(Box::pin(self.read(hash, settings))).await;
        self.judged(answer, settings, now, before)
    }

    async fn patiently<T>(
        &self,
        ask: impl Future<Output = Result<T, StoreError>> + Unpin,
    ) -> Result<T, StoreError> {
        let asked = Box::pin(async {
            // It is never closed.
            let turn = self.lookups.acquire().await;
            let answer = ask.await;
            drop(turn);
            answer
        });
        within(LOOKUP_MAX, asked).await.unwrap_or_else(|_| {
            let seconds = LOOKUP_MAX.as_secs();
            Err(StoreError::Unavailable(format!("it did not answer within {seconds} s")))
        })
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

    /// A key joined with what belongs to it.
    async fn read(
        &self,
        hash: KeyHash,
        settings: &Settings,
    ) -> Result<Option<Principal>, StoreError> {
        let Some(key) = fetch::<Key>(&*self.directory, &hash.to_string()).await? else {
            return Ok(None);
        };
        let user = self.belonging::<User>(key.user_id.as_deref());
        let team = self.belonging::<Team>(key.team_id.as_deref());
        let (mut user, mut team) = try_join(user, team).await?;
        if let Some(team) = &mut team {
            // Of a large team each of its keys would keep all members.
            team.members.retain(|member| key.user_id.as_ref() == Some(&member.user_id));
        }
        let organisation = organisation_of(&key, user.as_ref(), team.as_ref());
        let organisation = self.belonging::<Organisation>(organisation).await?;
        if user.is_none() && settings.user_defaults != Allowance::default() {
            user = key.user_id.clone().map(|user_id| User { user_id, ..User::default() });
        }
        let mut budgets = Budgets::new();
        let allowances = [
            Some(&key.allowance),
            user.as_ref().map(|user| &user.allowance),
            team.as_ref().map(|team| &team.allowance),
            organisation.as_ref().map(|organisation| &organisation.allowance),
        ];
        let members = team.iter().flat_map(|team| &team.members).map(|member| &member.allowance);
        for allowance in allowances.into_iter().flatten().chain(members) {
            self.budget(allowance, &mut budgets).await?;
        }
        let mut principal = Principal::new(key, user, team, organisation, &budgets);
        if let Some(user) = &mut principal.user
            && matches!(user.user_role, Role::InternalUser | Role::InternalUserViewer)
        {
            user.allowance.default_to(&settings.user_defaults);
        }
        Ok(Some(principal))
    }

    /// The record that a link names. That it may name nothing is no failure.
    async fn belonging<R: Record>(&self, id: Option<&str>) -> Result<Option<R>, StoreError> {
        match id {
            Some(id) => fetch(&*self.directory, id).await,
            None => Ok(None),
        }
    }

    async fn budget(&self, allowance: &Allowance, budgets: &mut Budgets) -> Result<(), StoreError> {
        if let Some(id) = &allowance.budget_id
            && !budgets.contains_key(id)
            && let Some(budget) = fetch::<BudgetRecord>(&*self.directory, id).await?
        {
            budgets.insert(id.clone(), budget);
        }
        Ok(())
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
    }

    fn forget_all(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.keys.invalidate_all();
        self.end_users.forget_all();
        self.tags.forget_all();
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
