//! Fetches what clients point at: pictures and files by their web address.
//!
//! Whoever may send a request decides where this goes, so it must not lead into the network that the
//! gateway stands in. The rules, in the order in which they are met:
//!
//! - `http` and `https` only, without a proxy, a cookie or anything else of the gateway's own;
//! - only public addresses, judged when a name was looked up and is about to be called, so that a
//!   name cannot say one thing first and another later ([`address`]);
//! - redirects are few, and each is judged like a first address;
//! - bytes are counted while they come, and the whole has a bound in time.
//!
//! What came is kept for a while, bounded in bytes, and asked for once however many want it: an agent
//! sends the same picture with every turn. Failures are kept for a moment, so that a request that is
//! tried on several deployments does not ask for the same missing thing at each.
//!
//! Knows not: formats of requests, deployments.

mod address;
mod client;
mod kind;

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use moka::Expiry;
use moka::future::Cache;

use self::client::Clients;
use crate::patience::within;
use crate::snapshot::Fetching;

/// The longest time that one thing takes to come, redirects included.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many bytes are kept.
const KEPT_BYTES: u64 = 64 * 1024 * 1024;

/// For how long what came is kept.
const KEPT_FOR: Duration = Duration::from_secs(300);

/// For how long a failure is.
const FAILED_FOR: Duration = Duration::from_secs(5);

/// What stands for a key and its entry beside the bytes.
const ENTRY_BYTES: usize = 256;

/// What was at an address.
#[derive(Debug)]
pub struct Fetched {
    /// By the bytes where they tell it, else as the server says: in lower case, without parameters.
    /// `None`: nobody can tell.
    pub media_type: Option<Box<str>>,
    pub bytes: Bytes,
}

/// Why nothing was fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfetched {
    #[error("it is not a valid address")]
    Malformed,
    #[error("only http and https addresses are fetched")]
    Scheme,
    #[error("its host is not known")]
    UnknownHost,
    #[error("its host has no public address, and only those are fetched from")]
    Private,
    #[error("its server cannot be reached")]
    Unreachable,
    #[error("its server broke off")]
    Broken,
    #[error("its server answered with status {0}")]
    Status(u16),
    #[error("it is redirected more than {} times", client::REDIRECTS_MAX)]
    Redirects,
    #[error("there is nothing")]
    Empty,
    #[error("it is larger than {} MB", *.0 as f64 / 1_048_576.0)]
    TooLarge(usize),
    #[error("its server did not send it within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the gateway has no usable certificate authorities")]
    NoAuthorities,
}

/// How the asking for one thing ended.
pub type Answer = Result<Arc<Fetched>, Unfetched>;

/// Fetches, and keeps what came.
#[derive(Debug)]
pub struct Fetcher {
    /// Made when first needed: reading the authorities takes a moment.
    clients: OnceLock<Option<Clients>>,
    kept: Cache<String, Answer>,
}

impl Default for Fetcher {
    fn default() -> Self {
        let weight = |url: &String, answer: &Answer| {
            let bytes = answer.as_ref().map_or(0, |fetched| fetched.bytes.len());
            u32::try_from(bytes + url.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().max_capacity(KEPT_BYTES).weigher(weight);
        Self { clients: OnceLock::new(), kept: kept.expire_after(Age).build() }
    }
}

/// How long an entry stays.
struct Age;

impl Expiry<String, Answer> for Age {
    fn expire_after_create(&self, _: &String, answer: &Answer, _: Instant) -> Option<Duration> {
        Some(if answer.is_ok() { KEPT_FOR } else { FAILED_FOR })
    }
}

impl Fetcher {
    /// What is at an address, and whether it was asked for now. If the caller gives up, another one
    /// that waits for the same goes on in its place.
    pub async fn get(&self, url: &str, policy: &Fetching) -> (Answer, bool) {
        let entry = self.kept.entry_by_ref(url).or_insert_with(self.fetch(url, policy)).await;
        let is_fresh = entry.is_fresh();
        (entry.into_value(), is_fresh)
    }

    async fn fetch(&self, url: &str, policy: &Fetching) -> Answer {
        let clients = self.clients.get_or_init(Clients::new).as_ref();
        let clients = clients.ok_or(Unfetched::NoAuthorities)?;
        let fetched = within(PATIENCE, pin!(clients.get(url, policy))).await;
        fetched.unwrap_or(Err(Unfetched::TimedOut(PATIENCE))).map(Arc::new)
    }
}

/// An address as it may be shown and logged: without a password, and without its query, which may
/// hold a signature.
#[must_use]
pub fn shown(url: &str) -> String {
    const LETTERS_MAX: usize = 200;
    let Ok(parsed) = url.parse::<reqwest::Url>() else { return "an address".to_owned() };
    let port = parsed.port().map_or_else(String::new, |port| format!(":{port}"));
    let host = parsed.host_str().unwrap_or_default();
    let whole = format!("{}://{host}{port}{}", parsed.scheme(), parsed.path());
    match whole.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}...", whole.get(..end).unwrap_or_default()),
        None => whole,
    }
}

#[cfg(test)]
mod tests;
