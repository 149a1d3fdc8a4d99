//! When a deployment rests, for how long, and how it comes back.

use super::*;

fn pair() -> World {
    World::new(group("gpt", &["a", "b"])).with(|settings| settings.num_retries = 0)
}

fn single() -> World {
    World::new(group("gpt", &["a"])).with(|settings| settings.num_retries = 0)
}

/// Lets a call to one deployment of the world fail, and says for how long that one rests then.
fn rest_after(world: &mut World, times: u32, failure: &Failure) -> Option<Duration> {
    for _ in 0..times {
        world.request(ask("a"), |_| Err(failure.clone()));
    }
    world.rests_for("a")
}

/// As [`rest_after`], through the group: requests repeat until `a` was hit so many times.
fn rest_in_group(world: &mut World, times: u32, failure: &Failure) -> Option<Duration> {
    let mut hits = 0;
    while hits < times && world.rests_for("a").is_none() {
        world.request(ask("gpt"), |attempt| {
            if &*attempt.deployment.id != "a" {
                return Ok(());
            }
            hits += 1;
            Err(failure.clone())
        });
    }
    world.rests_for("a")
}

#[test]
fn the_built_in_rule() {
    use FailureClass as Class;
    let after = |class, wait| Failure { retry_after: Some(seconds(wait)), ..failure(class) };
    // failure, how often it happens, rests in a pair, rests alone
    let cases = [
        (failure(Class::RateLimited), 1, Some(5), None),
        (after(Class::RateLimited, 12), 1, Some(12), Some(12)),
        (after(Class::RateLimited, 3600), 1, Some(60), Some(60)),
        (after(Class::RateLimited, 0), 1, Some(5), None),
        (failure(Class::Quota), 1, Some(60), None),
        (after(Class::Quota, 9), 1, Some(9), None),
        (failure(Class::Auth), 1, Some(60), None),
        (failure(Class::NotFound), 1, Some(5), None),
        (failure(Class::Overloaded), 1, None, None),
        (after(Class::Overloaded, 9), 1, Some(9), None),
        (after(Class::Overloaded, 0), 1, None, None),
        (failure(Class::Overloaded), 3, Some(5), None),
        (failure(Class::Server), 2, None, None),
        (failure(Class::Server), 3, Some(5), None),
        (failure(Class::Timeout), 3, Some(5), None),
        (failure(Class::Connection), 3, Some(5), None),
        (failure(Class::Conflict), 20, None, None),
        (failure(Class::BadRequest), 20, None, None),
        (failure(Class::ContextWindow), 20, None, None),
        (failure(Class::ContentPolicy), 20, None, None),
    ];
    for (failure, times, in_pair, alone) in cases {
        let rests = rest_in_group(&mut pair(), times, &failure);
        assert_eq!(rests, in_pair.map(seconds), "in a pair: {failure:?}");
        let rests = rest_in_group(&mut single(), times, &failure);
        assert_eq!(rests, alone.map(seconds), "alone: {failure:?}");
    }
}

#[test]
fn a_configured_fallback_is_an_alternative_but_one_of_the_request_is_not() {
    let broken = failure(FailureClass::Auth);
    let mut deployments = group("gpt", &["a"]);
    deployments.extend(group("other", &["o"]));
    let mut world = World::new(deployments).with(|settings| settings.num_retries = 0);
    let own = Ask { fallbacks: Some(fallbacks(&["other"])), ..ask("gpt") };
    world.request(own, |_| Err(broken.clone()));
    assert_eq!(world.rests_for("a"), None);

    world.settings.fallbacks = lists(&[("gpt", &["other"])]);
    world.request(ask("gpt"), |_| Err(broken.clone()));
    assert_eq!(world.rests_for("a"), Some(seconds(60)));
}

#[test]
fn a_cooldown_that_is_written_holds_for_a_refused_key_too() {
    let broken = failure(FailureClass::Auth);
    let mut world = pair().with(|settings| {
        settings.cooldown = seconds(7);
        settings.cooldown_is_written = true;
    });
    assert_eq!(rest_in_group(&mut world, 1, &broken), Some(seconds(7)));
    let mut deployments = group("gpt", &["a", "b"]);
    deployments.iter_mut().for_each(|it| it.cooldown = Some(seconds(3)));
    let mut world = World::new(deployments);
    assert_eq!(rest_in_group(&mut world, 1, &broken), Some(seconds(3)));
}

#[test]
fn more_than_half_of_five_attempts_is_too_many() {
    let mut world = pair();
    let mut calls = 0;
    // good, bad, bad, good, bad: 60 % of five, never three in a row
    while calls < 5 {
        world.request(ask("gpt"), |attempt| {
            if &*attempt.deployment.id != "a" {
                return Ok(());
            }
            calls += 1;
            if [1, 4].contains(&calls) { Ok(()) } else { Err(failure(FailureClass::Server)) }
        });
        assert_eq!(world.rests_for("a").is_some(), calls == 5, "after {calls} calls");
    }
}

#[test]
fn behind_a_wildcard_the_clients_choice_of_model_does_not_count() {
    let forbidden = Failure { status: Some(403), ..failure(FailureClass::Auth) };
    let unauthorized = Failure { status: Some(401), ..failure(FailureClass::Auth) };
    let cases = [
        (failure(FailureClass::NotFound), 2, None),
        (forbidden, 2, None),
        (unauthorized, 2, Some(seconds(60))),
        (failure(FailureClass::RateLimited), 2, Some(seconds(5))),
        (rate_limit(seconds(9)), 1, None),
    ];
    for (failure, size, expected) in cases {
        let mut world = World::new(group("openai/*", &["a", "b"][..size]))
            .with(|settings| settings.num_retries = 0);
        let hit = |world: &mut World| {
            world.request(ask("openai/gpt-9"), |attempt| {
                if &*attempt.deployment.id == "a" { Err(failure.clone()) } else { Ok(()) }
            });
        };
        for _ in 0..20 {
            hit(&mut world);
        }
        assert_eq!(world.rests_for("a"), expected, "{failure:?}");
    }
}

#[test]
fn allowed_fails_counts_as_written() {
    for allowed in [0, 1, 3, 10] {
        for world in [&mut single(), &mut pair()] {
            world.settings.allowed_fails = Some(allowed);
            let broken = failure(FailureClass::Server);
            assert_eq!(rest_after(world, allowed, &broken), None, "{allowed}");
            assert_eq!(rest_after(world, 1, &broken), Some(seconds(5)), "one more than {allowed}");
        }
    }
}

#[test]
fn failures_older_than_a_minute_are_forgotten() {
    let mut world = single().with(|settings| settings.allowed_fails = Some(1));
    for _ in 0..10 {
        assert_eq!(rest_after(&mut world, 1, &failure(FailureClass::Server)), None);
        world.pass(seconds(61));
    }
}

#[test]
fn a_class_can_have_an_allowance_of_its_own() {
    use FailureClass as Class;
    let world = || {
        single().with(|settings| {
            settings.allowed_fails = Some(1);
            settings.allowed_fails_policy =
                [(Class::Timeout, 4), (Class::BadRequest, 0)].into_iter().collect();
        })
    };
    assert_eq!(rest_after(&mut world(), 4, &failure(Class::Timeout)), None);
    assert!(rest_after(&mut world(), 5, &failure(Class::Timeout)).is_some());
    assert!(rest_after(&mut world(), 2, &failure(Class::Server)).is_some());
    assert_eq!(rest_after(&mut world(), 9, &failure(Class::BadRequest)), None, "a client's fault");

    let mut world = world();
    rest_after(&mut world, 4, &failure(Class::Timeout));
    let rests = rest_after(&mut world, 1, &failure(Class::Server));
    assert_eq!(rests, None, "timeouts have their own allowance and use up no other");
}

#[test]
fn the_length_comes_from_the_provider_then_the_deployment_then_the_settings() {
    let own = |cooldown| {
        let a = Deployment { cooldown, ..deployment("gpt", "a") };
        World::new(vec![a, deployment("gpt", "b")]).with(|settings| settings.num_retries = 0)
    };
    let limited = failure(FailureClass::RateLimited);
    let told = rate_limit(Duration::from_millis(1500));
    assert_eq!(rest_in_group(&mut own(None), 1, &limited), Some(seconds(5)));
    assert_eq!(rest_in_group(&mut own(Some(seconds(40))), 1, &limited), Some(seconds(40)));
    let rests = rest_in_group(&mut own(Some(seconds(40))), 1, &told);
    assert_eq!(rests, Some(Duration::from_millis(1500)));
    assert_eq!(rest_in_group(&mut own(Some(Duration::ZERO)), 1, &told), None, "zero: switched off");

    let mut world = own(None).with(|settings| settings.disable_cooldowns = true);
    assert_eq!(rest_in_group(&mut world, 9, &limited), None);
}

#[test]
fn the_longer_of_two_cooldowns_stays() {
    let mut world = pair();
    let mut attempts = Vec::new();
    while attempts.len() < 2 {
        let (plan, next) = world.open("gpt");
        let attempt = attempt(next);
        if &*attempt.deployment.id == "a" {
            attempts.push((plan, attempt));
        }
    }
    for ((mut plan, attempt), wait) in attempts.into_iter().zip([30, 2]) {
        let (settings, state) = (&world.settings, &world.state);
        plan.failed(attempt, &rate_limit(seconds(wait)), settings, state, world.now);
    }
    assert_eq!(world.rests_for("a"), Some(seconds(30)));
    assert_eq!(world.state.view("a", world.now).unwrap().cooldowns, 1);
}

#[test]
fn when_all_rest_the_client_learns_the_exact_time() {
    let mut world = pair();
    let failures = [("a", rate_limit(seconds(20))), ("b", rate_limit(seconds(8)))];
    while world.rests_for("a").is_none() || world.rests_for("b").is_none() {
        world.failing("gpt", &failures);
    }
    world.pass(Duration::from_millis(3300));
    let retry_after = Duration::from_millis(4700);
    let trace = world.failing("gpt", &[]);
    assert_eq!(trace.end, Err(Stop::AllCooling { retry_after }));
    assert!(trace.calls.is_empty(), "nothing is sent to a resting deployment");

    world.pass(retry_after);
    assert_eq!(world.failing("gpt", &[]).called(), ["b"]);
}

#[test]
fn a_resting_deployment_is_not_picked() {
    let mut world = pair();
    rest_in_group(&mut world, 1, &failure(FailureClass::RateLimited));
    for _ in 0..100 {
        assert_eq!(world.failing("gpt", &[]).called(), ["b"]);
    }
}

/// A pair of which `a` has rested and may be probed.
fn half_open() -> World {
    let mut world = pair();
    rest_in_group(&mut world, 1, &failure(FailureClass::RateLimited));
    world.pass(seconds(5));
    assert_eq!(world.health("a"), Health::HalfOpen);
    world
}

/// Opens requests until one lands on `a`; what landed elsewhere is closed again.
fn probe(world: &mut World) -> (Plan, Attempt) {
    for _ in 0..200 {
        let (plan, next) = world.open("gpt");
        let attempt = attempt(next);
        if &*attempt.deployment.id == "a" {
            return (plan, attempt);
        }
    }
    panic!("`a` was not probed in 200 requests");
}

#[test]
fn one_probe_at_a_time_and_its_success_brings_the_deployment_back() {
    let mut world = half_open();
    let (mut plan, mut attempt) = probe(&mut world);
    for _ in 0..100 {
        assert_eq!(world.failing("gpt", &[]).called(), ["b"], "the probe has not ended");
    }
    plan.succeeded(&mut attempt, &world.state, world.now);
    assert_eq!(world.health("a"), Health::Healthy);
    probe(&mut world);
}

#[test]
fn a_failed_probe_doubles_the_rest_up_to_a_bound() {
    let mut world = half_open();
    let mut rests = Vec::new();
    for _ in 0..9 {
        let (mut plan, attempt) = probe(&mut world);
        let broken = failure(FailureClass::Connection);
        let rest = plan.failed(attempt, &broken, &world.settings, &world.state, world.now).unwrap();
        rests.push(rest.as_secs());
        world.pass(rest);
    }
    assert_eq!(rests, [10, 20, 40, 80, 160, 300, 300, 300, 300]);

    let (mut plan, mut attempt) = probe(&mut world);
    plan.succeeded(&mut attempt, &world.state, world.now);
    drop(attempt);
    let rest = rest_in_group(&mut world, 1, &failure(FailureClass::RateLimited));
    assert_eq!(rest, Some(seconds(5)), "a success starts it all over");
}

#[test]
fn an_aborted_probe_makes_room_for_the_next() {
    let mut world = half_open();
    let (_, attempt) = probe(&mut world);
    drop(attempt);
    assert_eq!(world.health("a"), Health::HalfOpen, "it proved nothing");
    probe(&mut world);
    assert_eq!(world.state.view("a", world.now).unwrap().in_flight, 0);
}

#[test]
fn a_probe_that_finds_the_request_wrong_has_found_the_deployment_alive() {
    let mut world = half_open();
    let (mut plan, attempt) = probe(&mut world);
    let wrong = failure(FailureClass::BadRequest);
    plan.failed(attempt, &wrong, &world.settings, &world.state, world.now);
    assert_eq!(world.health("a"), Health::Healthy);
}

#[test]
fn a_success_from_before_the_cooldown_does_not_end_it() {
    let mut world = pair();
    let (mut old_plan, mut old) = probe(&mut world);
    rest_in_group(&mut world, 1, &failure(FailureClass::RateLimited));
    world.pass(seconds(5));
    old_plan.succeeded(&mut old, &world.state, world.now);
    assert_eq!(world.health("a"), Health::HalfOpen);
}

#[test]
fn a_failure_from_before_the_cooldown_is_no_failed_probe() {
    let mut world = pair();
    let (mut old_plan, old) = probe(&mut world);
    rest_in_group(&mut world, 1, &failure(FailureClass::RateLimited));
    world.pass(seconds(5));
    let late = failure(FailureClass::Server);
    let rest = old_plan.failed(old, &late, &world.settings, &world.state, world.now);
    assert_eq!((rest, world.health("a")), (None, Health::HalfOpen));
}

#[test]
fn a_deployment_comes_back_with_a_clean_record() {
    let mut world = single().with(|settings| settings.allowed_fails = Some(1));
    let broken = failure(FailureClass::Server);
    let rest = rest_after(&mut world, 2, &broken).unwrap();
    world.pass(rest);
    assert!(world.failing("gpt", &[]).end.is_ok());
    assert_eq!(rest_after(&mut world, 1, &broken), None, "the old failures do not count again");
}

#[test]
fn a_request_that_failed_once_is_no_probe_while_others_are_healthy() {
    let mut deployments = group("gpt", &["first", "a", "c"]);
    deployments[0].order = Some(1);
    let mut world = World::new(deployments).with(|settings| settings.num_retries = 1);
    while world.rests_for("a").is_none() {
        let down = failure(FailureClass::Conflict);
        world.failing("gpt", &[("first", down), ("a", failure(FailureClass::RateLimited))]);
    }
    world.pass(seconds(5));
    for _ in 0..50 {
        let trace = world.failing("gpt", &[("first", failure(FailureClass::Conflict))]);
        assert_eq!(trace.called(), ["first", "c"]);
    }
    assert_eq!(world.health("a"), Health::HalfOpen);
}

#[test]
fn beside_a_probe_others_pass_only_if_there_is_nothing_else() {
    let mut world = single();
    world.failing("gpt", &[("a", rate_limit(seconds(5)))]);
    world.pass(seconds(5));
    let (_plan, first) = world.open("gpt");
    let first = attempt(first);
    let (mut plan, second) = world.open("gpt");
    let mut second = attempt(second);
    plan.succeeded(&mut second, &world.state, world.now);
    assert_eq!(world.health("a"), Health::Healthy, "it was sent after the rest, so it counts");
    drop((first, second));

    let mut deployments = group("gpt", &["a"]);
    deployments.extend(group("other", &["o"]));
    let mut world = World::new(deployments).with(|s| s.fallbacks = lists(&[("gpt", &["other"])]));
    world.failing("gpt", &[("a", rate_limit(seconds(5)))]);
    world.pass(seconds(5));
    let (_plan, probe) = world.open("gpt");
    assert_eq!(&*attempt(probe).deployment.id, "a");
    let (_plan, probe) = world.open("gpt");
    let probe = attempt(probe);
    assert_eq!(&*probe.deployment.id, "a");
    let (_plan, beside) = world.open("gpt");
    assert_eq!(&*attempt(beside).deployment.id, "o", "a fallback is something else");
    let limited = rate_limit(seconds(30));
    let o = world.failing("other", &[("o", limited)]);
    assert_eq!(o.called()[0], "o");
    let (_plan, beside) = world.open("gpt");
    assert_eq!(&*attempt(beside).deployment.id, "a", "the fallback rests");
    drop(probe);
}

#[test]
fn a_stream_that_breaks_after_it_began_counts_as_a_failure() {
    let mut world = pair().with(|settings| settings.allowed_fails = Some(1));
    for _ in 0..2 {
        let (mut plan, mut attempt) = probe(&mut world);
        plan.succeeded(&mut attempt, &world.state, world.now);
        let cut = failure(FailureClass::Connection);
        plan.failed(attempt, &cut, &world.settings, &world.state, world.now);
    }
    let view = world.state.view("a", world.now).unwrap();
    assert!(matches!(view.health, Health::Cooling { .. }));
    assert_eq!((view.successes, view.failures, view.recent_attempts), (2, 2, 2));
    assert_eq!(view.last_failure.unwrap().class, FailureClass::Connection);
}

#[test]
fn the_state_survives_a_reload_and_forgets_what_is_gone() {
    let mut world = pair();
    rest_in_group(&mut world, 1, &rate_limit(seconds(30)));
    while world.state.len() < 2 {
        world.failing("gpt", &[]);
    }
    world.catalog = Catalog::build(group("renamed", &["a", "c"]), Vec::new());
    world.state.retain(&world.catalog);
    assert_eq!(world.failing("renamed", &[]).called(), ["c"], "`a` still rests");
    assert_eq!(world.state.view("b", world.now), None);
    assert_eq!(world.state.len(), 2);
}
