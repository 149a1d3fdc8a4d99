//! Two gateways on one Redis and one PostgreSQL.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::*;
use crate::harness::redis::Redis;

/// Longer than a machine that runs two hundred clients beside it leaves Redis waiting.
const PATIENCE: u32 = 3;

/// Two gateways that share keys, limits and budgets.
fn two(provider: &Upstream, redis: &Redis, more: &str) -> [Gateway; 2] {
    let database = postgres::database();
    let gateways =
        [(); 2].map(|()| sharing(priced(provider), redis, &database).general(more).start());
    know_each_other(&gateways);
    gateways
}

/// A gateway that shares keys, limits and budgets with others.
pub(super) fn sharing(builder: Builder, redis: &Redis, database: &str) -> Builder {
    builder
        .litellm(&format!(
            "cache_params: {{type: redis, host: 127.0.0.1, port: {}, namespace: test, \
             socket_timeout: {PATIENCE}}}",
            redis.port()
        ))
        .general(&format!("database_url: \"{database}\""))
}

pub(super) fn know_each_other(gateways: &[Gateway]) {
    for gateway in gateways {
        eventually("all know of each other", || shown(gateway)["gateways"] == gateways.len());
    }
}

/// What health says of the counters.
fn shown(gateway: &Gateway) -> Value {
    gateway.get("/health").json()["limits"].clone()
}

fn mode(gateway: &Gateway) -> String {
    shown(gateway)["counted"].as_str().unwrap_or_default().to_owned()
}

/// How many of the requests to both in turn are answered until one is refused by each.
pub(super) fn answered(clients: &[Client], most: usize) -> usize {
    (0..most).filter(|turn| ask(&clients[turn % clients.len()]).send().status == 200).count()
}

pub(super) fn holders(gateways: &[Gateway], key: &str) -> Vec<Client> {
    gateways.iter().map(|gateway| holder(gateway, key)).collect()
}

#[test]
fn a_limit_holds_for_both_together() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "");
    let limited = key(&gateways[0], json!({"rpm_limit": 5}));
    let clients = holders(&gateways, &limited);
    assert_eq!(answered(&clients, 12), 5);
    let refused = ask(&clients[1]).send();
    assert!((50..=61).contains(&refused.number("retry-after")), "{refused:?}");
}

#[test]
fn two_hundred_clients_of_both_spend_no_more_than_there_is() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "");
    let poor = key(&gateways[0], json!({"max_budget": 0.05}));
    let served = AtomicUsize::new(0);
    std::thread::scope(|threads| {
        for turn in 0..200 {
            let (gateways, poor, served) = (&gateways, &poor, &served);
            threads.spawn(move || {
                let reply = ask(&holder(&gateways[turn % 2], poor)).send();
                match reply.status {
                    200 => drop(served.fetch_add(1, Ordering::Relaxed)),
                    422 => {}
                    other => panic!("{other}: {reply:?}"),
                }
            });
        }
    });
    let served = served.into_inner();
    assert_eq!(served, calls(&provider));
    assert!((20..=50).contains(&served), "a thousandth each, of fifty: {served}");
    let clients = holders(&gateways, &poor);
    let mut rest = 0;
    eventually("the rest is spent", || {
        let status = ask(&clients[rest % 2]).send().status;
        rest += usize::from(status == 200);
        status == 422 && served + rest >= 50
    });
    assert_eq!(served + rest, 50, "all of it and not more");
}

#[test]
fn while_redis_is_paused_each_holds_its_part_and_nobody_hangs() {
    let (provider, redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "");
    let limited = key(&gateways[0], json!({"rpm_limit": 40}));
    let poor = key(&gateways[0], json!({"max_budget": 0.02}));
    for gateway in &gateways {
        assert_eq!(mode(gateway), "shared");
        assert_eq!(ask(&holder(gateway, &poor)).send().status, 200);
    }
    redis.pause();
    let began = Instant::now();
    let clients = holders(&gateways, &limited);
    let served = answered(&clients, 80);
    let longest = Duration::from_secs(u64::from(PATIENCE) * 10);
    assert!(began.elapsed() < longest, "a few wait, and then nobody: {:?}", began.elapsed());
    assert_eq!(served, 40, "twenty each");
    for gateway in &gateways {
        assert_eq!(mode(gateway), "alone");
    }
    let spent = answered(&holders(&gateways, &poor), 40);
    // One of them has not heard of the last reply of the other.
    assert!((17..=19).contains(&spent), "what was left, by halves: {spent}");
    redis.resume();
    for gateway in &gateways {
        eventually("Redis is found again", || mode(gateway) == "shared");
    }
    assert_eq!(answered(&clients, 4), 0, "what each let in alone is in the window of both");
    // The two that came before are in the twenty.
    let rest = answered(&holders(&gateways, &poor), 8);
    assert_eq!(rest, 18_usize.saturating_sub(spent), "all of it and not more");
}

#[test]
fn what_was_let_in_alone_is_held_when_redis_is_back() {
    let provider = upstream::openai().replies(stream(["a", "b"]).stall_after(1)).start();
    let mut redis = Redis::start();
    let gateways = two(&provider, &redis, "");
    let poor = holders(&gateways, &key(&gateways[0], json!({"max_budget": 0.01})));
    let crowd = holders(&gateways, &key(&gateways[0], json!({"max_parallel_requests": 6})));
    let let_in = |clients: &[Client]| {
        let opened = (0..20).map(|turn| ask(&clients[turn % 2].own_connections()).open());
        opened.filter(|open| open.status() == 200).collect::<Vec<_>>()
    };
    let one_each = |clients: &[Client]| clients.iter().map(|it| ask(it).open()).collect::<Vec<_>>();
    let before = [one_each(&poor), one_each(&crowd)];
    assert!(before.iter().flatten().all(|open| open.status() == 200));
    redis.stop();
    for gateway in &gateways {
        eventually("Redis is away", || mode(gateway) == "alone");
    }
    let (paying, parallel) = (let_in(&poor), let_in(&crowd));
    assert_eq!((paying.len(), parallel.len()), (8, 4), "half of it each, with what they had");
    redis.restart();
    for gateway in &gateways {
        eventually("Redis is found again", || mode(gateway) == "shared");
    }
    assert_eq!((let_in(&poor).len(), let_in(&crowd).len()), (0, 0), "all is taken");
    drop((parallel, before));
    for client in &crowd {
        eventually("they are settled there", || ask(client).open().status() == 200);
    }
    drop(paying);
}

#[test]
fn a_redis_that_was_stopped_is_found_again() {
    let (provider, mut redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "");
    let limited = key(&gateways[0], json!({"rpm_limit": 10}));
    let clients = holders(&gateways, &limited);
    assert_eq!(answered(&clients, 4), 4);
    redis.stop();
    assert_eq!(answered(&clients, 30), 6, "five each, and two of them before");
    redis.restart();
    for gateway in &gateways {
        eventually("Redis is found again", || mode(gateway) == "shared");
    }
    // It has forgotten what it let in itself, and is told what they let in without it.
    assert_eq!(answered(&clients, 30), 4);
    let metrics = gateways[0].client().get("/metrics").body_text();
    assert!(metrics.contains("tollgate_limits_alone_total"), "{metrics}");
}

#[test]
fn who_would_rather_refuse_than_count_alone_may() {
    let (provider, mut redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "fail_closed_rate_limit_enforcement: true");
    let limited = key(&gateways[0], json!({"rpm_limit": 10}));
    let free = key(&gateways[0], json!({}));
    let client = holder(&gateways[0], &limited);
    assert_eq!(ask(&client).send().status, 200);
    redis.stop();
    let refused = ask(&client).send();
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.error_message().starts_with("Rate limit enforcement unavailable"));
    assert_eq!(ask(&holder(&gateways[0], &free)).send().status, 200, "nothing limits it");
    redis.restart();
    eventually("it is let in again", || ask(&client).send().status == 200);
}

#[test]
fn without_its_redis_a_gateway_starts_all_the_same() {
    let provider = ten_tokens();
    let gateway = priced(&provider)
        .litellm("cache_params: {type: redis, url: \"redis://:secret-word@127.0.0.1:1\"}")
        .start();
    let limited = key(&gateway, json!({"rpm_limit": 2}));
    let client = holder(&gateway, &limited);
    let began = Instant::now();
    assert_eq!(answered(&[client], 5), 2);
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    gateway.wait_for_message("Redis is away");
    assert!(!gateway.messages().contains("secret-word"), "{}", gateway.messages());
}

#[test]
fn nobody_hangs_while_redis_comes_and_goes() {
    let (provider, mut redis) = (ten_tokens(), Redis::start());
    let gateways = two(&provider, &redis, "");
    let busy = key(&gateways[0], json!({"rpm_limit": 1_000_000, "max_budget": 1000}));
    let is_over = AtomicBool::new(false);
    let (asked, slowest) = (AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|threads| {
        for turn in 0..12 {
            let (gateways, busy, is_over) = (&gateways, &busy, &is_over);
            let (asked, slowest) = (&asked, &slowest);
            threads.spawn(move || {
                let client = holder(&gateways[turn % 2], busy);
                while !is_over.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let reply = ask(&client).send();
                    let took = u64::try_from(began.elapsed().as_millis()).unwrap();
                    slowest.fetch_max(took, Ordering::Relaxed);
                    asked.fetch_add(1, Ordering::Relaxed);
                    assert_eq!(reply.status, 200, "{reply:?}");
                }
            });
        }
        let served = |what: &str| {
            let before = asked.load(Ordering::Relaxed);
            eventually(what, || asked.load(Ordering::Relaxed) > before + 60);
        };
        let found = || {
            for gateway in &gateways {
                eventually("Redis is found again", || mode(gateway) == "shared");
            }
        };
        served("with Redis");
        redis.pause();
        served("while it is paused");
        redis.resume();
        found();
        redis.stop();
        served("while it is gone");
        redis.restart();
        found();
        served("afterwards");
        is_over.store(true, Ordering::Relaxed);
    });
    let longest = u64::from(PATIENCE) * 1000 * 2;
    let slowest = slowest.into_inner();
    assert!(slowest < longest, "one waited for {slowest} ms");
}
