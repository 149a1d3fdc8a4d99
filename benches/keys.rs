//! What it costs to know who calls: a key's hash, its holder in the ring, and what the holder may call,
//! with few keys and with many. And what a key costs in memory.
//!
//! `cargo bench --bench keys`

use std::hint::black_box;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_trait::async_trait;
use divan::Bencher;
use serde_json::json;
use tollgate::keys::access::Asked;
use tollgate::keys::record::Kind;
use tollgate::keys::ring::Settings;
use tollgate::keys::{
    Access, Audit, AuditFilter, Change, Changed, Directory, Filter, KeyHash, KeyRing, Moment,
    StoreError, Stored, identify,
};
use tollgate::secret::Secret;

/// Numbers of keys.
const SIZES: [usize; 3] = [10, 10_000, 1_000_000];

fn main() {
    // `cargo test` runs this too, once, and wants nothing measured.
    let sizes = if std::env::args().any(|word| word == "--bench") { &SIZES[..] } else { &[] };
    for &size in sizes {
        let before = resident();
        let ring = ring(size);
        let kept = ring.stats().size;
        let each = resident().saturating_sub(before) / size as u64;
        #[expect(clippy::print_stdout, reason = "the result of a bench")]
        {
            println!("{size} keys: {kept} kept, {each} bytes of memory each");
        }
    }
    divan::main();
}

/// A directory that has every key.
struct Everything;

#[async_trait]
impl Directory for Everything {
    async fn get(&self, kind: Kind, id: &str) -> Result<Option<Stored>, StoreError> {
        let record = json!({"token": id, "key_name": "sk-...abcd", "key_alias": "a team's key",
            "models": ["gpt-4o", "claude-*"], "rpm_limit": 60, "max_budget": 10.0,
            "budget_duration": "30d"});
        Ok((kind == Kind::Key).then(|| Stored { id: id.to_owned(), record }))
    }

    async fn list(&self, _: Kind, _: &Filter) -> Result<Vec<Stored>, StoreError> {
        Ok(Vec::new())
    }

    async fn count(&self, _: Kind, _: &Filter) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn change(&self, _: Vec<Change>, _: Vec<Audit>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn audits(&self, _: &AuditFilter) -> Result<Vec<Audit>, StoreError> {
        Ok(Vec::new())
    }

    async fn count_audits(&self, _: &AuditFilter) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn changed_since(&self, _: Option<i64>) -> Result<Vec<Changed>, StoreError> {
        Ok(Vec::new())
    }
}

fn key(number: usize) -> String {
    format!("sk-{number:022}")
}

/// A ring that knows so many keys; made once.
fn ring(size: usize) -> &'static KeyRing {
    static RINGS: [OnceLock<KeyRing>; SIZES.len()] = [const { OnceLock::new() }; SIZES.len()];
    let place = SIZES.iter().position(|known| *known == size).unwrap_or_default();
    let slot = RINGS.get(place).expect("there is one for each size");
    slot.get_or_init(|| {
        let ring = KeyRing::new(Arc::new(Everything), 2 * size as u64);
        let (settings, now) = (settings(), Instant::now());
        futures::executor::block_on(async {
            for number in 0..size {
                let hash = KeyHash::of(key(number).as_bytes());
                ring.find(hash, settings, now).await.expect("the directory has every key");
            }
        });
        ring
    })
}

fn settings() -> &'static Arc<Settings> {
    static SETTINGS: OnceLock<Arc<Settings>> = OnceLock::new();
    SETTINGS.get_or_init(|| {
        let age = std::time::Duration::from_secs(24 * 3_600);
        Arc::new(Settings { age, ..Settings::default() })
    })
}

/// Bytes of this process, as the kernel counts them.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
    pages.unwrap_or_default() * 4_096
}

/// SHA-256 of a key.
#[divan::bench]
fn hash(bencher: Bencher<'_, '_>) {
    let key = key(7);
    bencher.bench(|| KeyHash::of(black_box(key.as_bytes())));
}

/// The holder of a key that is known, each time another.
#[divan::bench(args = SIZES, threads = [1, 2])]
fn find(bencher: Bencher<'_, '_>, size: usize) {
    let (ring, settings, now) = (ring(size), settings(), Instant::now());
    let hashes: Vec<_> =
        (0..1_024).map(|at| KeyHash::of(key(at * 7_919 % size).as_bytes())).collect();
    let at = std::sync::atomic::AtomicUsize::new(0);
    bencher.bench(|| {
        let at = at.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % hashes.len();
        futures::executor::block_on(ring.find(hashes[at], settings, now))
    });
}

/// All that is done for a request: the master key is compared, the key hashed and found, checked, and
/// its list of models looked at.
#[divan::bench(args = SIZES)]
fn identify_and_check(bencher: Bencher<'_, '_>, size: usize) {
    let ring = ring(size);
    let access = Access {
        master_key: Some(Secret::new("sk-the-master-key-of-the-gateway")),
        ring: Arc::clone(settings()),
        ..Access::default()
    };
    let keys: Vec<_> = (0..1_024).map(|at| key(at * 7_919 % size)).collect();
    let mut at = 0;
    bencher.bench_local(|| {
        at = (at + 1) % keys.len();
        let key = keys[at].as_bytes();
        let caller = identify(&access, ring, || std::iter::once(key), Moment::now());
        let caller = futures::executor::block_on(caller).expect("the key is known");
        caller.may_call(&Asked::named(black_box("claude-sonnet-4-5")))
    });
}
