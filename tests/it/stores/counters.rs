//! Limits and budgets in memory and in a real Redis: the same requests get the same answers.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tollgate::admission::{
    Claim, Claims, Counters, Crossed, Due, Held, Key, Known, Mark, Memory, Moment, Need, Portion,
    Spent, Stop, Terms, Watch, Why,
};
use tollgate::limits::{Cost, Limit};
use tollgate::money::Usd;
use tollgate::quota::Quota;
use tollgate::spend::{Ledger, Scope, ScopeKind};
use tollgate::store::redis::{Redis, RedisPlace};
use tollgate::store::{Database, Place};

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
                counters.learn(&known.collect::<Vec<_>>(), false, now()).await.unwrap();
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
            let rounded = |wait: Duration| (wait.as_secs_f64() / 2.0).round() as u64;
            let wait = wait.map(|wait| Duration::from_secs(rounded(wait)));
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

/// Counters in a Redis of a test's own, which are driven.
struct Shared {
    redis: Arc<Redis>,
    driving: tokio::task::JoinHandle<()>,
}

impl Shared {
    async fn on(server: &Server, timeout: Duration) -> Self {
        let place = RedisPlace { timeout, ..place(server) };
        let redis = Redis::new(&place, Arc::new(Nobody)).unwrap();
        let driver = Arc::clone(&redis);
        let driving = tokio::task::spawn(async move { driver.run().await });
        let shared = Self { redis, driving };
        shared.until("it is connected", |redis| redis.is_well()).await;
        shared
    }

    async fn until(&self, what: &str, holds: impl Fn(&Redis) -> bool) {
        let deadline = SystemTime::now() + crate::harness::patience();
        while !holds(&self.redis) {
            assert!(SystemTime::now() < deadline, "waited in vain for this: {what}");
            tokio::task::yield_now().await;
        }
    }

    /// Takes what a request of a claim needs, which may be learned to have spent so much.
    async fn take(&self, claims: &Claims, most: f64, spent: f64) -> Result<Box<dyn Held>, Why> {
        let need = Need { tokens: Cost::default(), most: usd(most) };
        for _ in 0..3 {
            match self.redis.take(claims, &need, &TERMS, now()).await {
                Ok(held) => return Ok(held),
                Err(Stop::Refused(refusal)) => return Err(refusal.why),
                Err(Stop::Unknown(keys)) => self.learn(keys, spent).await,
                Err(Stop::Away) => panic!("it is there"),
            }
        }
        panic!("it does not learn")
    }

    async fn learn(&self, keys: Vec<Key>, dollars: f64) {
        let known = keys.into_iter().map(|key| Known { key, term: None, spent: usd(dollars) });
        self.redis.learn(&known.collect::<Vec<_>>(), false, now()).await.unwrap();
    }

    async fn pays(&self, claims: &Claims, dollars: f64) {
        let held = self.take(claims, 0.0, 0.0).await.unwrap();
        held.settle(Spent { counted: true, tokens: 0, cost: usd(dollars) }, now());
        self.until("it is told", |redis| redis.waiting() == 0).await;
    }

    async fn sum(&self, claim: &Claim) -> Option<Usd> {
        self.redis.sums(&[(claim.key(), None)]).await.unwrap()[0]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

fn payer(id: &str, max: f64) -> (Claim, Claims) {
    let mut claim = Claim::new(Scope::new(ScopeKind::Key, id));
    claim.max_budget = Some(usd(max));
    (claim.clone(), Claims::new(vec![claim]))
}

/// Makes an account due now, and has it asked for.
async fn due(server: &Server, shared: &Shared, claim: &Claim) -> Due {
    drop(shared.redis.due());
    assert!(server.ask(&format!("HSET t:tollgate:key:{} d 0", claim.scope.id)).contains(':'));
    shared.sum(claim).await;
    shared.redis.due().pop().expect("somebody has to ask")
}

async fn correct(shared: &Shared, mark: Mark, claim: &Claim, dollars: f64, written: Option<u64>) {
    let known = Known { key: claim.key(), term: None, spent: usd(dollars) };
    shared.redis.correct(&[(mark, known)], written, now()).await.unwrap();
}

const SOON: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_is_brought_in_step_with_the_ledger() {
    let server = Server::start();
    let shared = Shared::on(&server, SOON).await;
    let (claim, claims) = payer("k", 100.0);
    shared.pays(&claims, 3.0).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(3.0)));

    let asked = due(&server, &shared, &claim).await;
    assert!(shared.redis.due().is_empty(), "one gateway asks");
    correct(&shared, asked.mark, &claim, 5.0, None).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(5.0)), "a killed gateway has paid as well");

    let asked = due(&server, &shared, &claim).await;
    correct(&shared, asked.mark, &claim, 1.0, Some(1)).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(5.0)), "a journal lags behind");

    let asked = due(&server, &shared, &claim).await;
    shared.pays(&claims, 0.5).await;
    correct(&shared, asked.mark, &claim, 4.0, Some(asked.mark.at_ms)).await;
    assert_eq!(
        shared.sum(&claim).await,
        Some(usd(5.5)),
        "all three and a half may be on their way"
    );
    let asked = due(&server, &shared, &claim).await;
    correct(&shared, asked.mark, &claim, 4.0, Some(asked.mark.at_ms)).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(4.5)), "only the last payment may be");
    correct(&shared, asked.mark, &claim, 9.0, None).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(4.5)), "an answer counts once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_resets_is_forgotten_in_every_period() {
    let server = Server::start();
    let shared = Shared::on(&server, SOON).await;
    let (ever, _) = payer("k", 100.0);
    let daily = Claim { period: "1d".parse().ok(), ..ever.clone() };
    let (other, others) = payer("k#1d", 100.0);
    for claim in [&ever, &daily] {
        shared.pays(&Claims::new(vec![claim.clone()]), 3.0).await;
    }
    shared.pays(&others, 1.0).await;
    // Another gateway, which has met none of them.
    let second = Shared::on(&server, SOON).await;
    let asked = due(&server, &shared, &ever).await;
    second.redis.forget(&ever.scope, 7);
    second.until("it is told", |redis| redis.waiting() == 0).await;
    assert_eq!(shared.sum(&ever).await, None);
    assert_eq!(shared.redis.sums(&[(daily.key(), None)]).await.unwrap(), [None]);
    assert_eq!(shared.sum(&other).await, Some(usd(1.0)), "somebody of another name");
    shared.learn(vec![ever.key()], 0.5).await;
    correct(&shared, asked.mark, &ever, 3.0, Some(asked.mark.at_ms)).await;
    assert_eq!(shared.sum(&ever).await, Some(usd(0.5)), "an answer from before");

    // The first gateway hears of the same change later. What was spent since is in no ledger yet.
    shared.pays(&Claims::new(vec![ever.clone()]), 2.0).await;
    shared.redis.forget(&ever.scope, 7);
    shared.until("it is told", |redis| redis.waiting() == 0).await;
    assert_eq!(shared.sum(&ever).await, Some(usd(2.5)), "it counts once");
    shared.redis.forget(&ever.scope, 8);
    shared.until("it is told", |redis| redis.waiting() == 0).await;
    assert_eq!(shared.sum(&ever).await, None, "another change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cost_that_was_told_twice_is_paid_once() {
    let server = Server::start();
    let shared = Shared::on(&server, Duration::from_millis(300)).await;
    let (claim, claims) = payer("k", 100.0);
    shared.pays(&claims, 1.0).await;
    let held = shared.take(&claims, 2.0, 0.0).await.unwrap();
    server.pause();
    // They come to Redis, which does them when it goes on; nobody here knows.
    held.settle(Spent { counted: true, tokens: 0, cost: usd(0.5) }, now());
    shared.redis.pay(&claims, usd(0.25));
    shared.until("it is given up", |redis| redis.failures() >= 3 && !redis.is_well()).await;
    // One of them may just be on its way once more.
    shared.until("both wait", |redis| redis.waiting() >= 2).await;
    server.resume();
    shared.until("both are told again", |redis| redis.is_well() && redis.waiting() == 0).await;
    assert_eq!(shared.sum(&claim).await, Some(usd(1.75)));
    let all = shared.take(&claims, 98.25, 0.0).await;
    assert!(all.is_ok(), "and nothing is held: {all:?}");
}

/// A claim of everything, and what a request took of it where nobody could be asked.
fn taken_alone(dollars: f64) -> (Claim, Claims, [Portion; 1]) {
    let (mut claim, _) = payer("k", 1.0);
    claim.limit = Limit { requests: Some(10), tokens: Some(1_000) };
    claim.parallel = Some(5);
    let taken = Portion { pays: true, amount: usd(dollars), parallel: true, tokens: Some(100) };
    (claim.clone(), Claims::new(vec![claim]), [taken])
}

/// Leases, money and places that are held, and the sums of the window.
fn held(server: &Server) -> Vec<String> {
    let said = server.ask("HMGET t:tollgate:key:k n h p r t");
    let said = said.lines().filter(|line| line.starts_with(|sign: char| sign.is_ascii_digit()));
    said.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_alone_is_held_there_and_settled_there() {
    let server = Server::start();
    let shared = Shared::on(&server, SOON).await;
    let (claim, claims, taken) = taken_alone(0.4);
    shared.learn(vec![claim.key()], 0.1).await;
    let adopt = || shared.redis.adopt(&claims, &taken, &TERMS, now()).unwrap();
    let [first, second, third] = [adopt(), adopt(), adopt()];
    shared.until("it is told", |redis| redis.waiting() == 0).await;
    let pico = |dollars: f64| usd(dollars).pico().to_string();
    assert_eq!(held(&server), ["3", &pico(1.2), "3", "3", "300"]);
    assert!(matches!(shared.take(&claims, 0.1, 0.0).await, Err(Why::Budget { .. })));
    first.settle(Spent { counted: true, tokens: 40, cost: usd(0.2) }, now());
    second.settle(Spent::default(), now());
    drop(third);
    shared.until("it is settled", |redis| redis.waiting() == 0).await;
    assert_eq!(held(&server), ["0", "0", "0", "1", "40"]);
    assert_eq!(shared.sum(&claim).await, Some(usd(0.3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_alone_counts_once_however_often_it_is_told() {
    let server = Server::start();
    let shared = Shared::on(&server, Duration::from_millis(300)).await;
    let (claim, claims, taken) = taken_alone(0.2);
    shared.learn(vec![claim.key()], 0.1).await;
    let adopt = || shared.redis.adopt(&claims, &taken, &TERMS, now()).unwrap();
    server.pause();
    let [open, told, failed] = [adopt(), adopt(), adopt()];
    // That they are held comes to Redis, which does it when it goes on; nobody here knows.
    shared.until("it is given up", |redis| redis.failures() >= 3 && !redis.is_well()).await;
    told.settle(Spent { counted: true, tokens: 40, cost: usd(0.05) }, now());
    failed.settle(Spent::default(), now());
    // Not sent when it was settled, and not even connected.
    let untold = adopt();
    untold.settle(Spent { counted: true, tokens: 130, cost: usd(0.03) }, now());
    drop(adopt());
    server.resume();
    shared.until("all is told", |redis| redis.is_well() && redis.waiting() == 0).await;
    let pico = |dollars: f64| usd(dollars).pico().to_string();
    assert_eq!(held(&server), ["1", &pico(0.2), "1", "3", "270"]);
    assert_eq!(shared.sum(&claim).await, Some(usd(0.18)));
    drop(open);
    shared.until("it is settled", |redis| redis.waiting() == 0).await;
    assert_eq!(held(&server), ["0", "0", "0", "2", "170"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_back_first_waits_for_what_the_others_let_in() {
    let mut server = Server::start();
    let patience = Duration::from_millis(300);
    let [first, second] =
        [Shared::on(&server, patience).await, Shared::on(&server, patience).await];
    for shared in [&first, &second] {
        shared.until("both are there", |redis| redis.gateways() == 2).await;
    }
    server.stop();
    let (_, claims, taken) = taken_alone(0.9);
    for shared in [&first, &second] {
        shared.until("it is away", |redis| !redis.is_well()).await;
    }
    let held = second.redis.adopt(&claims, &taken, &TERMS, now());
    server.restart();
    first.until("it is back", Redis::is_well).await;
    let refused = first.take(&claims, 0.2, 0.0).await;
    assert!(matches!(refused, Err(Why::Budget { .. })), "the other one holds it: {refused:?}");
    drop(held);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_not_written_all_is_waited_for() {
    let server = Server::start();
    let [first, second] = [Shared::on(&server, SOON).await, Shared::on(&server, SOON).await];
    first.redis.wrote(Some(Duration::ZERO), now());
    first.until("both are there", |redis| redis.gateways() == 2).await;
    first.until("the other one does not know", |redis| redis.written().is_none()).await;
    second.redis.wrote(Some(Duration::from_secs(7)), now());
    first.until("both know", |redis| redis.written().is_some()).await;
    let clock = || now().ms;
    let written = first.redis.written().unwrap();
    assert!(clock() - written >= 6_500, "the slower one counts: {}", clock() - written);
    second.redis.leave().await;
    drop(second);
    first
        .until("it has written all", |redis| {
            redis.gateways() == 1
                && redis.written().is_some_and(|written| clock() - written < 5_000)
        })
        .await;
}
