//! What limits and budgets cost per request: the claims of a key with a team and a user, and a decision
//! about all of them with its settlement, with few and with many keys.
//!
//! `cargo bench --bench admission`. With `REDIS_URL` set, a real Redis is measured as well: it gets
//! keys that begin with `bench:`.

use std::sync::Arc;
use std::time::Duration;

use divan::Bencher;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate::admission::{
    Claim, Claims, Counters, Crossed, Hold, Known, Memory, Moment, Need, Policy, Spent, Stop,
    Terms, Watch, Who,
};
use tollgate::keys::record::{Allowance, Key, Team, User};
use tollgate::keys::{Budgets, Caller, KeyHash, Principal};
use tollgate::limits::{Cost, Limit};
use tollgate::money::Usd;
use tollgate::secret::Secret;
use tollgate::spend::{Scope, ScopeKind};
use tollgate::store::redis::{Redis, RedisPlace};

fn main() {
    divan::main();
}

#[derive(Debug)]
struct Nobody;

impl Watch for Nobody {
    fn crossed(&self, _crossed: Crossed) {}
}

const TERMS: Terms<'static> = Terms { zone: &TimeZone::UTC, reserves: true, share: 1, episode: 0 };

fn moment(ms: u64) -> Moment {
    Moment { ms, at: Timestamp::UNIX_EPOCH + Duration::from_millis(ms) }
}

fn need() -> Need {
    Need { tokens: Cost { input: 800, output: 200 }, most: Usd::from_pico(1_000_000) }
}

const USED: Spent = Spent { counted: true, tokens: 900, cost: Usd::from_pico(900_000) };

/// Requests, tokens and a budget of a key, and those of its team.
fn claims(key: usize) -> Claims {
    let claim = |kind, id: String| Claim {
        limit: Limit { requests: Some(u64::MAX / 4), tokens: Some(u64::MAX / 4) },
        max_budget: Some(Usd::from_pico(u64::MAX / 4)),
        ..Claim::new(Scope::new(kind, id))
    };
    let hash = format!("{key:064x}");
    Claims::new(vec![
        claim(ScopeKind::Key, hash),
        claim(ScopeKind::Team, format!("team-{}", key % 1_000)),
    ])
}

fn take(memory: &Memory, claims: &Claims) -> Option<Hold> {
    match memory.take(claims, &need(), &TERMS, moment(1_000)) {
        Ok(hold) => Some(hold),
        Err(Stop::Unknown(keys)) => {
            let known = keys.into_iter().map(|key| Known { key, term: None, spent: Usd::ZERO });
            memory.learn(&known.collect::<Vec<_>>(), 1_000);
            take(memory, claims)
        }
        Err(_) => None,
    }
}

/// A decision about two payers with six bounds, and its settlement.
#[divan::bench(args = [10, 10_000, 1_000_000], threads = [1, 2])]
fn decide_in_memory(bencher: Bencher<'_, '_>, keys: usize) {
    let memory = Memory::new(Arc::new(Nobody), None);
    let all: Vec<Claims> = (0..keys).map(claims).collect();
    for claims in &all {
        drop(take(&memory, claims));
    }
    bencher.with_inputs(|| fastrand::usize(..keys)).bench_values(|key| {
        if let Some(hold) = take(&memory, &all[key]) {
            hold.settle(USED, moment(2_000));
        }
    });
}

/// A refusal.
#[divan::bench]
fn refuse_in_memory(bencher: Bencher<'_, '_>) {
    let memory = Memory::new(Arc::new(Nobody), None);
    let mut claim = Claim::new(Scope::new(ScopeKind::Key, "k"));
    claim.limit.requests = Some(1);
    let claims = Claims::new(vec![claim]);
    let _held = take(&memory, &claims);
    bencher.bench(|| memory.take(&claims, &need(), &TERMS, moment(1_000)).is_err());
}

/// What a request takes part of, from the records of its key, user and team.
#[divan::bench]
fn gather_claims(bencher: Bencher<'_, '_>) {
    let allowance = || Allowance {
        max_budget: Some(10.0),
        budget_duration: Some("30d".into()),
        rpm_limit: Some(100),
        tpm_limit: Some(100_000),
        ..Allowance::default()
    };
    let token = KeyHash::of(b"sk-bench").to_string();
    let key: Result<Key, _> = serde_json::from_value(serde_json::json!({
        "token": token, "key_name": "sk-...ench", "user_id": "ada", "team_id": "core",
    }));
    let Ok(mut key) = key else { return };
    key.allowance = allowance();
    let user = User { user_id: "ada".into(), allowance: allowance(), ..User::default() };
    let team = Team { team_id: "core".into(), allowance: allowance(), ..Team::default() };
    let principal = Principal::new(key, Some(user), Some(team), None, &Budgets::new());
    let caller = Caller::Key(Arc::new(principal));
    let policy = Policy::default();
    let models = ["gpt-4o".into()];
    let who = Who { caller: &caller, models: &models, end_user: None, tags: &[] };
    bencher.bench(|| policy.claims(&who));
}

/// One after the other: the time of a round trip and of the script.
#[divan::bench(args = [10, 10_000], sample_count = 20, sample_size = 50)]
fn decide_in_redis(bencher: Bencher<'_, '_>, keys: usize) {
    let Ok(url) = std::env::var("REDIS_URL") else { return };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let Ok(runtime) = runtime else { return };
    let place = RedisPlace {
        url: Some(Secret::new(url)),
        host: "".into(),
        port: 0,
        tls: false,
        username: None,
        password: None,
        db: 0,
        namespace: "bench:".into(),
        timeout: Duration::from_secs(5),
    };
    let Ok(redis) = Redis::new(&place, Arc::new(Nobody)) else { return };
    let driver = Arc::clone(&redis);
    let driving = runtime.spawn(async move { driver.run().await });
    let decide = async |key: usize| {
        let claims = claims(key);
        match redis.take(&claims, &need(), &TERMS, moment(1_000)).await {
            Ok(held) => held.settle(USED, moment(2_000)),
            Err(Stop::Unknown(keys)) => {
                let known = keys.into_iter().map(|key| Known { key, term: None, spent: Usd::ZERO });
                let known: Vec<_> = known.collect();
                drop(redis.learn(&known, false, moment(1_000)).await);
            }
            Err(_) => {}
        }
    };
    runtime.block_on(async {
        for key in 0..keys {
            decide(key).await;
        }
    });
    bencher
        .with_inputs(|| fastrand::usize(..keys))
        .bench_values(|key| runtime.block_on(decide(key)));
    driving.abort();
}
