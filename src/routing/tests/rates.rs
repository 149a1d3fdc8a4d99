//! Limits of requests and tokens per minute, as requests meet them.

use super::*;
use crate::catalog::Caps;
use crate::limits::{Left, Told};
use crate::routing::{FOR_GOOD, Needs, Out, Rates};
use crate::usage::Usage;

/// A world whose deployments are limited; all of them are told apart by their ids.
fn limited(deployments: Vec<Deployment>) -> (World, Arc<Rates>) {
    let mut world = World::new(deployments).with(|settings| settings.num_retries = 0);
    let rates = Arc::new(Rates::new(world.now));
    world.state = State::new(world.now).with_meters(rates.clone());
    (world, rates)
}

fn with_rpm(id: &str, rpm: u64) -> Deployment {
    Deployment { rpm: Some(rpm), weight: Some(1.0), ..deployment("gpt", id) }
}

fn with_tpm(id: &str, tpm: u64) -> Deployment {
    Deployment { tpm: Some(tpm), weight: Some(1.0), ..deployment("gpt", id) }
}

fn of(provider: &str, group: &str, id: &str, rpm: u64) -> Deployment {
    let caps = Caps { provider_rpm: Some(rpm), ..Caps::default() };
    Deployment { provider: provider.into(), caps, ..deployment(group, id) }
}

fn tokens(model: &str, input_tokens: u64, output: u64) -> Ask<'_> {
    let needs =
        Needs { input_tokens, max_output_tokens: Some(output), replies: 1, ..Needs::default() };
    Ask { needs: Some(needs), ..ask(model) }
}

fn called(world: &mut World, ask: Ask<'_>) -> Result<String, Stop> {
    let trace = world.request(ask, |_| Ok(()));
    trace.end.map(|()| trace.calls[0].0.clone())
}

/// One request whose reply used so many tokens.
fn used(world: &mut World, ask: Ask<'_>, output_tokens: u64) {
    let input_tokens = ask.needs.unwrap().input_tokens;
    let mut plan = world.plan(ask);
    let next = plan.next(&world.catalog, &world.settings, &world.state, world.now, None);
    let mut attempt = attempt(next);
    plan.succeeded(&mut attempt, &world.state, world.now);
    let usage = Usage { input_tokens, output_tokens, ..Usage::default() };
    plan.used(&mut attempt, &usage, &world.state, world.now);
}

fn ones(world: &mut World, model: &str, times: usize) -> Vec<String> {
    // Settled, as every answered request is.
    (0..times)
        .map(|_| {
            let mut plan = world.plan(ask(model));
            let next = plan.next(&world.catalog, &world.settings, &world.state, world.now, None);
            let mut attempt = attempt(next);
            plan.used(&mut attempt, &Usage::default(), &world.state, world.now);
            attempt.deployment.id.to_string()
        })
        .collect()
}

#[test]
fn rpm_is_a_limit_with_any_strategy_and_the_refusal_says_when() {
    let (mut world, rates) = limited(vec![with_rpm("a", 2)]);
    ones(&mut world, "gpt", 1);
    world.pass(seconds(20));
    ones(&mut world, "gpt", 1);
    world.pass(seconds(10));
    let over = |retry_after| Stop::OverLimit { limit: "rpm", retry_after };
    for _ in 0..50 {
        assert_eq!(called(&mut world, ask("gpt")), Err(over(seconds(31))));
    }
    assert_eq!(rates.used("a", world.now).unwrap().requests, 2, "the refused cost nothing");
    world.pass(seconds(31));
    assert_eq!(ones(&mut world, "gpt", 1), ["a"]);
}

#[test]
fn where_there_never_is_room_no_time_is_named() {
    let never = |limit| Err(Stop::OverLimit { limit, retry_after: FOR_GOOD });
    let (mut world, _) = limited(vec![with_rpm("a", 0)]);
    assert_eq!(called(&mut world, ask("gpt")), never("rpm"));
    let (mut world, _) = limited(vec![with_tpm("a", 1_000)]);
    assert_eq!(called(&mut world, tokens("gpt", 1_001, 1)), never("tpm"));
    // Another one has room some time.
    let (mut world, _) = limited(vec![with_rpm("a", 0), with_rpm("b", 1)]);
    ones(&mut world, "gpt", 1);
    let over = Stop::OverLimit { limit: "rpm", retry_after: seconds(61) };
    assert_eq!(called(&mut world, ask("gpt")), Err(over));

    let out = |retry_after| Out::OverLimit { limit: "rpm", retry_after }.to_string();
    assert_eq!(out(seconds(7)), "is at its rpm limit for 7.0 s");
    assert_eq!(out(FOR_GOOD), "is at its rpm limit, and waiting does not help");
}

#[test]
fn what_gets_no_answer_is_given_back() {
    let (mut world, rates) = limited(vec![with_rpm("a", 1)]);
    for _ in 0..5 {
        world.failing("gpt", &[("a", failure(FailureClass::BadRequest))]);
        // The client is gone before there is an answer.
        drop(attempt(world.open("gpt").1));
    }
    assert_eq!(rates.used("a", world.now).unwrap().requests, 0);
}

#[test]
fn tokens_are_reserved_before_and_settled_after() {
    let (mut world, rates) = limited(vec![with_tpm("a", 1_000)]);
    let (plan, open) = {
        let mut plan = world.plan(tokens("gpt", 200, 500));
        let next = plan.next(&world.catalog, &world.settings, &world.state, world.now, None);
        (plan, attempt(next))
    };
    assert_eq!(rates.used("a", world.now).unwrap().tokens, 700);
    let over = Stop::OverLimit { limit: "tpm", retry_after: seconds(61) };
    assert_eq!(called(&mut world, tokens("gpt", 200, 200)), Err(over));
    drop((plan, open));
    used(&mut world, tokens("gpt", 200, 500), 50);
    assert_eq!(rates.used("a", world.now).unwrap().tokens, 250, "what was used, not what was held");
    assert!(called(&mut world, tokens("gpt", 200, 500)).is_ok());
}

#[test]
fn requests_that_name_no_bound_are_taken_to_be_as_long_as_others() {
    let (mut world, rates) = limited(vec![with_tpm("a", 1_000_000)]);
    let open = |input_tokens| Ask {
        needs: Some(Needs { input_tokens, replies: 1, ..Needs::default() }),
        ..ask("gpt")
    };
    for _ in 0..60 {
        used(&mut world, open(0), 2_000);
    }
    world.pass(seconds(61));
    let mut plan = world.plan(open(100));
    let next = plan.next(&world.catalog, &world.settings, &world.state, world.now, None);
    let held = rates.used("a", world.now).unwrap().tokens;
    assert!((2_000..=2_100).contains(&held), "{held}");
    drop(next);
}

#[test]
fn a_provider_is_capped_over_all_its_deployments() {
    let (mut world, _) = limited(vec![
        of("openai", "gpt", "a", 3),
        of("openai", "mini", "b", 3),
        deployment("free", "c"),
    ]);
    ones(&mut world, "gpt", 2);
    ones(&mut world, "mini", 1);
    let over = Stop::OverLimit { limit: "max_requests_per_minute", retry_after: seconds(61) };
    assert_eq!(called(&mut world, ask("gpt")), Err(over.clone()));
    assert_eq!(called(&mut world, ask("mini")), Err(over));
    assert_eq!(ones(&mut world, "free", 1), ["c"]);
}

#[test]
fn traffic_moves_to_another_provider_before_the_limit_and_comes_back() {
    let (mut world, rates) =
        limited(vec![of("openai", "gpt", "a", 10), of("anthropic", "gpt", "b", 1_000)]);
    let all = ones(&mut world, "gpt", 200);
    let to_openai = all.iter().filter(|id| *id == "a").count();
    assert_eq!(to_openai, 9, "nine of ten, the last one is kept back");
    assert!(all[60..].iter().all(|id| id == "b"));
    assert_eq!(rates.used("a", world.now).unwrap().requests, 0, "it has no limit of its own");
    world.pass(seconds(61));
    assert!(ones(&mut world, "gpt", 30).contains(&"a".to_owned()));
}

#[test]
fn near_its_limit_a_deployment_still_serves_when_no_other_can() {
    let (mut world, _) = limited(vec![of("openai", "gpt", "a", 10)]);
    assert_eq!(ones(&mut world, "gpt", 10).len(), 10, "to the last one");
    assert!(matches!(called(&mut world, ask("gpt")), Err(Stop::OverLimit { .. })));
}

#[test]
fn a_group_at_its_limit_goes_to_its_fallback() {
    let mut deployments = vec![with_rpm("a", 1)];
    deployments.extend(group("backup", &["b"]));
    let (mut world, _) = limited(deployments);
    world.settings.fallbacks = lists(&[("gpt", &["backup"])]);
    assert_eq!(ones(&mut world, "gpt", 3), ["a", "b", "b"]);
}

#[test]
fn the_provider_knows_better() {
    let (mut world, rates) = limited(group("gpt", &["a", "b"]));
    ones(&mut world, "gpt", 5);
    let told = |rates: &Rates, world: &World, remaining, reset| {
        let (_, all) = world.catalog.groups().next().unwrap();
        let left = Left { remaining, limit: None, reset: seconds(reset) };
        rates.told(&all[0], &Told { requests: Some(left), tokens: None }, world.now);
    };
    told(&rates, &world, 0, 20);
    assert_eq!(ones(&mut world, "gpt", 40), vec!["b"; 40]);
    world.pass(seconds(20));
    assert!(ones(&mut world, "gpt", 40).contains(&"a".to_owned()));

    told(&rates, &world, 2, 20);
    let all = ones(&mut world, "gpt", 60);
    assert_eq!(all.iter().filter(|id| *id == "a").count(), 2, "as many as were left");
    told(&rates, &world, 0, 3_600);
    assert_eq!(
        called(&mut world, ask("a")),
        Err(Stop::OverLimit { limit: "provider's request", retry_after: seconds(60) }),
        "an hour is not believed"
    );
}

#[test]
fn no_minute_has_more_than_the_limits_whatever_comes() {
    let mut rng = fastrand::Rng::with_seed(7);
    let (mut world, _) = limited(vec![with_rpm("a", 20), with_rpm("b", 35), with_rpm("c", 5)]);
    let mut calls: HashMap<String, Vec<Instant>> = HashMap::new();
    for _ in 0..6_000 {
        world.pass(Duration::from_millis(rng.u64(0..400)));
        let (mut plan, next) = world.open("gpt");
        let Next::Attempt(mut attempt) = next else { continue };
        match rng.u32(0..10) {
            // Refused, or gone.
            0 => drop(plan.failed(
                attempt,
                &failure(FailureClass::BadRequest),
                &world.settings,
                &world.state,
                world.now,
            )),
            1 => drop(attempt),
            _ => {
                plan.used(&mut attempt, &Usage::default(), &world.state, world.now);
                calls.entry(attempt.deployment.id.to_string()).or_default().push(world.now);
            }
        }
    }
    for (id, rpm) in [("a", 20), ("b", 35), ("c", 5)] {
        let calls = &calls[id];
        let most = (0..calls.len())
            .map(|from| {
                calls[from..].iter().take_while(|at| **at - calls[from] <= seconds(60)).count()
            })
            .max();
        assert_eq!(most, Some(rpm), "{id}: never more, and nothing is wasted");
    }
}

#[test]
fn windows_survive_a_reload_and_the_new_limit_holds_at_once() {
    let (mut world, rates) = limited(vec![with_rpm("a", 5)]);
    ones(&mut world, "gpt", 4);
    world.catalog = Catalog::build(vec![with_rpm("a", 3)], Vec::new());
    world.state.retain(&world.catalog);
    assert!(matches!(called(&mut world, ask("gpt")), Err(Stop::OverLimit { .. })));
    world.catalog = Catalog::build(vec![with_rpm("b", 3)], Vec::new());
    world.state.retain(&world.catalog);
    assert_eq!(rates.used("a", world.now), None, "it is gone");
}
