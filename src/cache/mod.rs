//! Replies that were given before, for requests that ask the same.
//!
//! ```text
//! request --key::Question--> a name --Replies--> an entry, or one leader and those who wait for it
//! ```
//!
//! Here stands which requests are the same, what a client may say about it, what is kept of a reply and
//! for how long. It knows no HTTP and no dialect: a reply is the bytes that a client was sent. Where it
//! is kept, in this process or elsewhere ([`Remote`]), is the setting of an operator. Requests that mean
//! the same without being the same are found by vectors ([`Meanings`]), which somebody else makes.

mod control;
mod entry;
mod flight;
mod key;
mod meaning;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::sync::Cache;

pub use control::{BadControl, Control};
pub use entry::{Entry, Kept, Maker};
pub use flight::{Flights, Follow, Joined, Landing, Lead};
pub use key::{Question, Tenant};
pub use meaning::{Meaning, Meanings, Reach};
pub use vectors::{Index, Mark, Nearest, VECTOR_BYTES, Vector};

/// What the replies in memory may take together, where nothing is said.
pub const MEMORY_BYTES: u64 = 128 * 1024 * 1024;
/// A larger reply is not kept.
pub const ENTRY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What the book-keeping of one entry takes, roughly.
const ENTRY_BYTES: usize = 256;

/// What the configuration says.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub place: Place,
    /// Who gets whose replies.
    pub scope: Scope,
    /// Before the names of entries, where the request names no other.
    pub namespace: Option<Box<str>>,
    /// How long a reply is kept, where the request does not say.
    pub ttl: Duration,
    /// Only requests that ask for it are answered and kept (`mode: default_off`).
    pub only_on_request: bool,
    /// What is cached at all.
    pub kinds: Kinds,
    /// What the replies in memory may take together; looked at when the process starts.
    pub memory_bytes: u64,
    /// Questions that mean the same are the same; `None`: only those that are.
    pub meaning: Option<Meaning>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            place: Place::Memory,
            scope: Scope::Key,
            namespace: None,
            ttl: Duration::from_secs(600),
            only_on_request: false,
            kinds: Kinds::ALL,
            memory_bytes: MEMORY_BYTES,
            meaning: None,
        }
    }
}

/// Where replies are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process.
    Memory,
    /// Where limits are shared, too.
    Redis,
}

/// Who gets whose replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// Each key its own.
    #[default]
    Key,
    /// Each end user of a key its own.
    EndUser,
    /// Keys of one team share theirs.
    Team,
    /// Everybody.
    Global,
}

/// One kind of call, as `supported_call_types` divides them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    Chat,
    Text,
    Embeddings,
    Rerank,
    Responses,
    Messages,
    GenerateContent,
}

/// Which kinds are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u8);

impl Kinds {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(u8::MAX);

    #[must_use]
    pub const fn with(self, kind: CallKind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    #[must_use]
    pub const fn has(self, kind: CallKind) -> bool {
        self.0 & (1 << kind as u8) != 0
    }
}

/// A place outside of the process. It has its own deadline; whatever goes wrong there is a miss.
#[async_trait]
pub trait Remote: Send + Sync {
    async fn get(&self, name: &str) -> Option<Bytes>;

    /// Whether it was kept.
    async fn set(&self, name: &str, entry: Bytes, ttl: Duration) -> bool;

    /// How many there were; `None` if the place did not answer.
    async fn delete(&self, names: &[String]) -> Option<u64>;

    /// Removes all entries and their questions, and nothing else that is kept there. Entries are counted.
    async fn flush(&self) -> Option<u64>;

    /// Whether it compares vectors itself. If not, that is done here.
    async fn compares(&self) -> bool;

    /// Lets a reply be found by its question for so long; whether it will be.
    async fn mark(&self, mark: &Mark, name: &str, ttl: Duration) -> bool;

    /// The nearest question of a group.
    async fn nearest(&self, mark: &Mark) -> Option<Nearest>;

    /// Forgets a question whose reply is gone.
    async fn unmark(&self, mark: &Mark, name: &str);

    async fn ping(&self) -> bool;

    /// What the place says of itself (Redis' `INFO`), and of who is connected (`CLIENT LIST`).
    async fn info(&self) -> Option<(String, String)>;
}

struct ByAge;

impl Expiry<Arc<str>, Arc<Entry>> for ByAge {
    fn expire_after_create(
        &self,
        _: &Arc<str>,
        entry: &Arc<Entry>,
        _: Instant,
    ) -> Option<Duration> {
        Some(entry.lifetime())
    }

    fn expire_after_update(
        &self,
        _: &Arc<str>,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.lifetime())
    }
}

/// All that is kept, and who waits for what.
pub struct Replies {
    memory: Cache<Arc<str>, Arc<Entry>>,
    remote: Option<Arc<dyn Remote>>,
    flights: Flights,
    meanings: Meanings,
    kept: AtomicU64,
}

impl Default for Replies {
    fn default() -> Self {
        Self::new(MEMORY_BYTES, None)
    }
}

impl Replies {
    /// Nothing is kept yet. The memory takes so many bytes; the least used goes first.
    #[must_use]
    pub fn new(memory_bytes: u64, remote: Option<Arc<dyn Remote>>) -> Self {
        Self::with_vectors(memory_bytes, VECTOR_BYTES, remote)
    }

    /// The same, with so much room for vectors.
    #[must_use]
    pub fn with_vectors(
        memory_bytes: u64,
        vector_bytes: u64,
        remote: Option<Arc<dyn Remote>>,
    ) -> Self {
        let weigh = |name: &Arc<str>, entry: &Arc<Entry>| {
            u32::try_from(name.len() + entry.kept.bytes() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        let memory =
            Cache::builder().max_capacity(memory_bytes).weigher(weigh).expire_after(ByAge).build();
        let meanings = Meanings::new(vector_bytes);
        Self { memory, remote, flights: Flights::default(), meanings, kept: AtomicU64::new(0) }
    }

    /// What is kept under a name and not too old. `now_ms`: milliseconds since 1970; `max_age`: the
    /// oldest that is wanted.
    pub async fn find(
        &self,
        place: Place,
        name: &str,
        now_ms: u64,
        max_age: Option<Duration>,
    ) -> Option<Arc<Entry>> {
        let entry = match place {
            Place::Memory => self.memory.get(name),
            Place::Redis => match &self.remote {
                Some(remote) => remote.get(name).await.and_then(Entry::decode).map(Arc::new),
                None => None,
            },
        }?;
        entry.is_fresh(now_ms, max_age).then_some(entry)
    }

    /// Keeps a reply in memory; whether it may be.
    pub fn keep_here(&self, name: &Arc<str>, entry: Entry) -> bool {
        let is_kept = is_keepable(&entry);
        if is_kept {
            self.memory.insert(Arc::clone(name), Arc::new(entry));
            self.kept.fetch_add(1, Ordering::Relaxed);
        }
        is_kept
    }

    /// Keeps a reply outside of the process; whether that has it.
    pub async fn keep_elsewhere(&self, name: &str, entry: &Entry) -> bool {
        let Some(remote) = self.remote.as_ref().filter(|_| is_keepable(entry)) else {
            return false;
        };
        let is_kept = remote.set(name, entry.encode(), entry.lifetime()).await;
        self.kept.fetch_add(u64::from(is_kept), Ordering::Relaxed);
        is_kept
    }

    /// Removes entries by their names; `None` if the place did not answer.
    pub async fn delete(&self, place: Place, names: &[String]) -> Option<u64> {
        match (place, &self.remote) {
            (Place::Memory, _) => {
                let gone = names.iter().filter(|name| self.memory.remove(&***name).is_some());
                Some(gone.count() as u64)
            }
            (Place::Redis, Some(remote)) => remote.delete(names).await,
            (Place::Redis, None) => None,
        }
    }

    /// Removes everything; `None` if the place did not answer.
    pub async fn flush(&self, place: Place) -> Option<u64> {
        self.meanings.clear();
        match (place, &self.remote) {
            (Place::Memory, _) => {
                let before = self.memory.entry_count();
                self.memory.invalidate_all();
                Some(before)
            }
            (Place::Redis, Some(remote)) => remote.flush().await,
            (Place::Redis, None) => None,
        }
    }

    /// The place outside of the process, if there is one.
    #[must_use]
    pub fn remote(&self) -> Option<&Arc<dyn Remote>> {
        self.remote.as_ref()
    }

    /// Who compares vectors for a place; `None`: this process does ([`Meanings`]).
    pub async fn comparer(&self, place: Place) -> Option<&Arc<dyn Remote>> {
        let remote = self.remote.as_ref().filter(|_| place == Place::Redis)?;
        remote.compares().await.then_some(remote)
    }

    /// Who waits for what.
    #[must_use]
    pub const fn flights(&self) -> &Flights {
        &self.flights
    }

    /// What is known of the meaning of questions.
    #[must_use]
    pub const fn meanings(&self) -> &Meanings {
        &self.meanings
    }

    /// Entries in memory, their bytes, and how many were ever kept.
    #[must_use]
    pub fn stats(&self) -> (u64, u64, u64) {
        // Otherwise what expired is counted until somebody asks for something.
        self.memory.run_pending_tasks();
        let kept = self.kept.load(Ordering::Relaxed);
        (self.memory.entry_count(), self.memory.weighted_size(), kept)
    }
}

fn is_keepable(entry: &Entry) -> bool {
    entry.kept.bytes() <= ENTRY_BYTES_MAX && !entry.lifetime().is_zero()
}

impl std::fmt::Debug for Replies {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Replies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
