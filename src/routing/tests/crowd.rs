//! Many requests at once: nothing leaks, whatever way they end.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::*;
use crate::routing::Strategy;

/// Runs `requests` requests per thread, each ending in a random way, and checks what is left.
fn crowd(strategy: Strategy, seed: u64) {
    const THREADS: u64 = 8;
    const REQUESTS: u64 = 400;
    const BOUND: u32 = 5;
    let ids = ["a", "b", "c", "d"];
    let mut deployments: Vec<Deployment> = ids
        .iter()
        .map(|id| Deployment { max_parallel_requests: Some(BOUND), ..deployment("gpt", id) })
        .collect();
    deployments.push(deployment("other", "o"));
    let world = World::new(deployments).with(|settings| {
        settings.strategy = strategy;
        settings.fallbacks = lists(&[("gpt", &["other"])]);
        settings.cooldown = Duration::from_millis(20);
    });
    let World { catalog, settings, state, now: start, .. } = &world;
    // One clock for all, as in life: with one each, a thread that waits would put a deployment to
    // rest until long after the others' last request.
    let clock_ms = AtomicU64::new(0);
    let pass = |wait: Duration| {
        let passed = u64::try_from(wait.as_millis()).unwrap() + 1;
        *start + Duration::from_millis(clock_ms.fetch_add(passed, Ordering::SeqCst) + passed)
    };
    let in_flight: Vec<AtomicU32> = ids.iter().map(|_| AtomicU32::new(0)).collect();

    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (in_flight, ids, pass) = (&in_flight, &ids, &pass);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed * 1000 + thread);
                for _ in 0..REQUESTS {
                    let mut now = pass(Duration::ZERO);
                    let ask = Ask { seed: rng.u64(..), ..ask("gpt") };
                    let mut plan = Plan::new(catalog, settings, ask).unwrap();
                    while let Next::Attempt(mut attempt) =
                        plan.next(catalog, settings, state, now, None)
                    {
                        now = pass(attempt.wait);
                        let place = ids.iter().position(|id| **id == *attempt.deployment.id);
                        let counter = place.map(|index| &in_flight[index]);
                        if let Some(counter) = counter {
                            let before = counter.fetch_add(1, Ordering::SeqCst);
                            assert!(before < BOUND, "more in flight than allowed");
                        }
                        std::thread::yield_now();
                        let end = |counter: Option<&AtomicU32>| {
                            counter.map(|counter| counter.fetch_sub(1, Ordering::SeqCst))
                        };
                        match rng.u32(..10) {
                            0..5 => {
                                plan.succeeded(&mut attempt, state, now);
                                end(counter);
                                break;
                            }
                            5 => {
                                end(counter);
                                break;
                            }
                            6 => {
                                end(counter);
                                plan.failed(
                                    attempt,
                                    &rate_limit(Duration::from_millis(15)),
                                    settings,
                                    state,
                                    now,
                                );
                            }
                            7 => {
                                plan.succeeded(&mut attempt, state, now);
                                end(counter);
                                let cut = failure(FailureClass::Connection);
                                plan.failed(attempt, &cut, settings, state, now);
                                break;
                            }
                            _ => {
                                end(counter);
                                let broken = failure(FailureClass::Server);
                                plan.failed(attempt, &broken, settings, state, now);
                            }
                        }
                    }
                }
            });
        }
    });

    let later = pass(seconds(3600));
    for id in ids.iter().chain(["o"].iter()) {
        let view = state.view(id, later).unwrap();
        assert_eq!(view.in_flight, 0, "{id}");
        assert!(view.successes > 0, "{id} took part");
        assert!(!matches!(view.health, Health::Cooling { .. }), "{id}");
    }
    // No probe is left behind: every half-open deployment can be probed and so come back.
    for seed in 0..500 {
        let ask = Ask { seed, ..ask("gpt") };
        let mut plan = Plan::new(catalog, settings, ask).unwrap();
        let mut attempt = attempt(plan.next(catalog, settings, state, later, None));
        plan.succeeded(&mut attempt, state, later);
    }
    for id in ids {
        assert_eq!(state.view(id, later).unwrap().health, Health::Healthy, "{id}");
    }
}

#[test]
fn a_crowd_leaves_nothing_in_flight_and_no_probe_behind() {
    for seed in 0..5 {
        crowd(Strategy::SimpleShuffle, seed);
        crowd(Strategy::LeastBusy, seed);
    }
}

#[test]
fn of_many_requests_at_the_end_of_a_cooldown_one_is_the_probe() {
    let mut world = World::new(group("gpt", &["a", "b"])).with(|settings| settings.num_retries = 0);
    while world.rests_for("a").is_none() {
        world.failing("gpt", &[("a", failure(FailureClass::RateLimited))]);
    }
    world.pass(seconds(5));
    let World { catalog, settings, state, now, .. } = &world;
    let attempts = parking_lot::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let attempts = &attempts;
            scope.spawn(move || {
                for request in 0..50 {
                    let ask = Ask { seed: thread * 100 + request, ..ask("gpt") };
                    let mut plan = Plan::new(catalog, settings, ask).unwrap();
                    attempts.lock().push(attempt(plan.next(catalog, settings, state, *now, None)));
                }
            });
        }
    });
    let attempts = attempts.into_inner();
    let probes = attempts.iter().filter(|attempt| &*attempt.deployment.id == "a").count();
    assert_eq!((attempts.len(), probes), (400, 1));
}
