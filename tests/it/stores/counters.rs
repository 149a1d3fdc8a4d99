//! Limits and budgets in memory and in a real Redis: the same requests get the same answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate::admission::{
    Claim, Claims, Counters, Crossed, Held, Known, Memory, Moment, Need, Spent, Stop, Terms, Watch,
    Why,
};
use tollgate::limits::{Cost, Limit};
use tollgate::money::Usd;
use tollgate::spend::{Scope, ScopeKind};
use tollgate::store::redis::{Redis, RedisPlace};

use crate::harness::redis::Redis as Server;

#[derive(Debug)]
struct Nobody;

impl Watch for Nobody {
    fn crossed(&self, _crossed: Crossed) {}
}

const TERMS: Terms<'static> = Terms { zone: &TimeZone::UTC, reserves: true, share: 1, episode: 0 };

fn now() -> Moment {
    // Both count the same seconds.
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Moment { ms: u64::try_from(since.as_millis()).unwrap(), at: Timestamp::now() }
}

fn place(server: &Server) -> RedisPlace {
    RedisPlace {
        url: Some(tollgate::secret::Secret::new(server.url())),
        host: "".into(),
        port: 0,
        tls: false,
        username: None,
        password: None,
        db: 0,
        namespace: "t:".into(),
        timeout: Duration::from_secs(5),
    }
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars).unwrap()
}

/// A decision, as far as it has to be the same.
async fn decide(
    counters: &dyn Counters,
    claims: &Claims,
    need: &Need,
) -> Result<Box<dyn Held>, Why> {
    for _ in 0..3 {
        match counters.take(claims, need, &TERMS, now()).await {
            Ok(held) => return Ok(held),
            Err(Stop::Refused(refusal)) => return Err(refusal.why),
            Err(Stop::Unknown(keys)) => {
                let known = keys.into_iter().map(|key| Known { key, term: None, spent: Usd::ZERO });
                counters.learn(&known.collect::<Vec<_>>(), false).await.unwrap();
            }
            Err(Stop::Away) => panic!("it is there"),
        }
    }
    panic!("it does not learn")
}

/// Waits differ by the milliseconds between the two.
fn rounded(why: Why) -> Why {
    match why {
        Why::Rate { dimension, limit, remaining, wait } => {
            let wait = Duration::from_secs((wait.as_secs_f64() / 2.0).round() as u64);
            Why::Rate { dimension, limit, remaining, wait }
        }
        other => other,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_decides_as_memory_does() {
    let server = Server::start();
    let redis = Redis::new(&place(&server), Arc::new(Nobody)).unwrap();
    let driver = Arc::clone(&redis);
    let driving = tokio::task::spawn(async move { driver.run().await });
    for seed in 0..6 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let memory = Memory::new(Arc::new(Nobody), None);
        let scopes: Vec<Claim> = (0..5)
            .map(|index| {
                let mut claim = Claim::new(Scope::new(ScopeKind::ALL[index], format!("s{seed}")));
                claim.limit = Limit {
                    requests: rng.bool().then(|| rng.u64(1..30)),
                    tokens: rng.bool().then(|| rng.u64(100..4_000)),
                };
                claim.parallel = rng.bool().then(|| rng.u64(1..6));
                claim.max_budget = rng.bool().then(|| usd(rng.f64() * 2.0));
                claim
            })
            .collect();
        let mut open: Vec<(Box<dyn Held>, Box<dyn Held>)> = Vec::new();
        for step in 0..150 {
            let chosen = scopes.iter().filter(|_| rng.f64() < 0.7).cloned().collect();
            let claims = Claims::new(chosen);
            if claims.is_empty() {
                continue;
            }
            let need = Need {
                tokens: Cost { input: rng.u64(0..60), output: rng.u64(0..100) },
                most: usd(rng.f64() * 0.1),
            };
            let here = decide(&memory, &claims, &need).await;
            let there = decide(&*redis, &claims, &need).await;
            match (here, there) {
                (Ok(here), Ok(there)) => open.push((here, there)),
                (Err(here), Err(there)) => {
                    assert_eq!(rounded(here), rounded(there), "seed {seed}, step {step}");
                }
                (here, there) => panic!("seed {seed}, step {step}: {here:?} {there:?}"),
            }
            while !open.is_empty() && rng.f64() < 0.6 {
                let (here, there) = open.swap_remove(rng.usize(..open.len()));
                if rng.bool() {
                    let cost = usd(rng.f64() * 0.12);
                    let spent = Spent { counted: rng.bool(), tokens: rng.u64(0..200), cost };
                    here.settle(spent, now());
                    there.settle(spent, now());
                } else {
                    drop((here, there));
                }
            }
            // Redis is told by somebody whom no request waits for.
            let deadline = SystemTime::now() + crate::harness::patience();
            while redis.waiting() > 0 {
                assert!(SystemTime::now() < deadline, "{} wait", redis.waiting());
                tokio::task::yield_now().await;
            }
        }
    }
    driving.abort();
}
