//! Ratios over the last minute, and who may call a deployment that is half-open.

use super::*;
use crate::routing::Breaker;

fn world(ids: &[&str], breaker: Breaker) -> World {
    World::new(group("gpt", ids)).with(|settings| {
        settings.num_retries = 0;
        settings.breaker = breaker;
    })
}

fn single(breaker: Breaker) -> World {
    world(&["a"], breaker)
}

/// One request that is answered after this time.
fn answered(world: &mut World, took: Duration) {
    let (mut plan, next) = world.open("gpt");
    let mut attempt = attempt(next);
    world.pass(took);
    plan.succeeded(&mut attempt, &world.state, world.now);
}

fn failed(world: &mut World) {
    world.failing("gpt", &[("a", failure(FailureClass::Server))]);
}

#[test]
fn a_share_of_failures_opens_the_circuit_even_of_a_single_deployment() {
    let breaker = Breaker { failure_ratio: Some(0.5), minimum_calls: 6, ..Breaker::default() };
    let mut world = single(breaker);
    for _ in 0..3 {
        answered(&mut world, seconds(0));
    }
    failed(&mut world);
    failed(&mut world);
    assert_eq!(world.rests_for("a"), None, "five attempts are too few to judge by");
    failed(&mut world);
    assert_eq!(world.rests_for("a"), Some(seconds(5)), "three of six");
}

#[test]
fn below_the_share_it_stays_closed() {
    let breaker = Breaker { failure_ratio: Some(0.5), minimum_calls: 2, ..Breaker::default() };
    let mut world = single(breaker);
    for _ in 0..20 {
        answered(&mut world, seconds(0));
        answered(&mut world, seconds(0));
        failed(&mut world);
    }
    assert_eq!(world.rests_for("a"), None);
    // Without the successes of an hour ago, one failure of one attempt is too many.
    world.pass(seconds(3_600));
    failed(&mut world);
    assert_eq!(world.rests_for("a"), None, "one attempt is too few");
    failed(&mut world);
    assert!(world.rests_for("a").is_some());
}

#[test]
fn without_the_option_there_is_no_such_rule() {
    let mut world = single(Breaker::default());
    for _ in 0..30 {
        failed(&mut world);
    }
    assert_eq!(world.rests_for("a"), None, "LiteLLM's users know it so");
}

#[test]
fn slow_answers_open_the_circuit() {
    let breaker = Breaker {
        slow_call: Some(seconds(2)),
        slow_ratio: 0.5,
        minimum_calls: 4,
        ..Breaker::default()
    };
    let mut world = single(breaker);
    answered(&mut world, seconds(1));
    answered(&mut world, seconds(2));
    answered(&mut world, seconds(3));
    assert_eq!(world.rests_for("a"), None);
    answered(&mut world, seconds(3));
    assert_eq!(world.rests_for("a"), Some(seconds(5)), "two of four");

    world.pass(seconds(5));
    answered(&mut world, seconds(4));
    assert_eq!(world.rests_for("a"), Some(seconds(10)), "a slow probe is a failed one");
    world.pass(seconds(10));
    answered(&mut world, seconds(1));
    assert_eq!(world.health("a"), Health::Healthy);
}

#[test]
fn several_probes_have_to_succeed_in_a_row() {
    let breaker = Breaker { probes: 3, failure_ratio: Some(0.5), ..Breaker::default() };
    let mut world = world(&["a", "b"], breaker);
    while world.rests_for("a").is_none() {
        failed(&mut world);
    }
    world.pass(seconds(5));
    let probe = |world: &mut World, ends: Result<(), Failure>| {
        let trace = world.request(ask("a"), |_| ends.clone());
        assert_eq!(trace.called(), ["a"]);
    };
    probe(&mut world, Ok(()));
    probe(&mut world, Ok(()));
    assert_eq!(world.health("a"), Health::HalfOpen);
    probe(&mut world, Err(failure(FailureClass::Server)));
    assert!(world.rests_for("a").is_some(), "the third failed");
    world.pass(seconds(60));
    for _ in 0..3 {
        assert_eq!(world.health("a"), Health::HalfOpen);
        probe(&mut world, Ok(()));
    }
    assert_eq!(world.health("a"), Health::Healthy);
}

#[test]
fn no_crowd_meets_a_group_that_is_half_open() {
    let mut world = single(Breaker { crowd: 4, ..Breaker::default() });
    world.failing("gpt", &[("a", rate_limit(seconds(7)))]);
    world.pass(seconds(7));
    assert_eq!(world.health("a"), Health::HalfOpen);

    let mut open: Vec<_> = (0..4).map(|_| world.open("gpt")).collect();
    let refused = Stop::AllCooling { retry_after: seconds(1) };
    for _ in 0..20 {
        assert_eq!(stop(world.open("gpt").1), refused);
    }
    // One of them leaves, another takes its place; one is answered, and all may come.
    drop(open.pop());
    open.push(world.open("gpt"));
    let (mut plan, next) = open.pop().unwrap();
    plan.succeeded(&mut attempt(next), &world.state, world.now);
    for _ in 0..20 {
        open.push(world.open("gpt"));
        assert!(matches!(open.last(), Some((_, Next::Attempt(_)))));
    }
}

#[test]
fn a_fallback_goes_before_the_company_of_a_probe() {
    let mut deployments = group("gpt", &["a"]);
    deployments.extend(group("backup", &["b"]));
    let mut world = World::new(deployments).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("gpt", &["backup"])]);
    });
    world.failing("gpt", &[("a", rate_limit(seconds(7)))]);
    world.pass(seconds(7));
    let probe = world.open("gpt");
    for _ in 0..20 {
        assert_eq!(&*attempt(world.open("gpt").1).deployment.id, "b");
    }
    drop(probe);
}
