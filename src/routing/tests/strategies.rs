//! What each strategy does with thousands of requests, in simulated time and with fixed seeds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::simulation::Simulation;
use super::*;
use crate::catalog::{ModelInfo, Price};
use crate::money::Usd;
use crate::routing::{GroupStrategy, Needs, Strategy, Tuning};
use crate::usage::Usage;

/// Who served each of `requests` requests that succeed at once.
fn order(world: &mut World, ask: &Ask<'_>, requests: usize) -> String {
    let one = |_| world.request(ask.clone(), |_| Ok(())).called()[0].to_owned();
    (0..requests).map(one).collect()
}

fn counts(order: &str) -> BTreeMap<char, usize> {
    order.chars().fold(BTreeMap::new(), |mut counts, one| {
        *counts.entry(one).or_default() += 1;
        counts
    })
}

fn priced(id: &str, input: f64, output: f64) -> Deployment {
    let per_token = |dollars: f64| Usd::from_dollars(dollars / 1e6).unwrap();
    let price = Price { input: per_token(input), output: per_token(output), ..Price::default() };
    let info = ModelInfo { price: Some(Arc::new(price)), ..ModelInfo::default() };
    Deployment { info, ..deployment("gpt", id) }
}

fn needs(input_tokens: u64, max_output_tokens: Option<u64>) -> Needs {
    Needs { input_tokens, max_output_tokens, replies: 1, ..Needs::default() }
}

fn with_needs(needs: Needs) -> Ask<'static> {
    Ask { needs: Some(needs), ..ask("gpt") }
}

fn weighted(weights: &[(&str, f64)]) -> Vec<Deployment> {
    let one =
        |(id, weight): &(&str, f64)| Deployment { weight: Some(*weight), ..deployment("gpt", id) };
    weights.iter().map(one).collect()
}

fn by(strategy: Strategy) -> impl FnOnce(&mut Settings) {
    move |settings| settings.strategy = strategy
}

#[test]
fn turns_come_in_the_documented_order_and_go_on_after_a_reload() {
    let mut world = World::new(weighted(&[("a", 0.6), ("b", 0.4)])).with(by(Strategy::Weighted));
    assert_eq!(order(&mut world, &ask("gpt"), 7), "ababaab");
    world.catalog = Catalog::build(weighted(&[("a", 0.6), ("b", 0.4)]), Vec::new());
    world.state.retain(&world.catalog);
    assert_eq!(order(&mut world, &ask("gpt"), 8), "abaababa", "as if nothing had happened");
}

#[test]
fn turns_of_many_requests_at_once_are_shares_still() {
    let world = World::new(weighted(&[("a", 0.8), ("b", 0.2)])).with(by(Strategy::Weighted));
    let World { catalog, settings, state, now, .. } = &world;
    let served = parking_lot::Mutex::new(BTreeMap::<String, u32>::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let mut plan = Plan::new(catalog, settings, ask("gpt")).unwrap();
                    let one = attempt(plan.next(catalog, settings, state, *now, None));
                    *served.lock().entry(one.deployment.id.to_string()).or_default() += 1;
                }
            });
        }
    });
    let served = served.into_inner();
    assert_eq!((served["a"], served["b"]), (1600, 400), "to the last request");
}

#[test]
fn an_alias_with_shares_takes_turns_whatever_the_strategy_of_single_groups() {
    let mut deployments = group("us", &["a", "b"]);
    deployments.extend(group("eu", &["c"]));
    let alias = weighted_alias("gpt", &[("us", 0.5), ("eu", 0.5)]);
    let mut world = World::with_aliases(deployments, vec![alias]).with(by(Strategy::Latency));
    let served = counts(&order(&mut world, &ask("gpt"), 400));
    assert_eq!(served, [('a', 100), ('b', 100), ('c', 200)].into());
}

#[test]
fn a_group_and_a_request_may_have_strategies_of_their_own() {
    let mut world =
        World::new(vec![priced("a", 9.0, 9.0), priced("b", 1.0, 1.0)]).with(|settings| {
            settings.strategy = Strategy::Weighted;
            let cost = GroupStrategy { strategy: Strategy::Cost, tuning: Tuning::default() };
            settings.groups = [("gpt".into(), cost)].into();
        });
    assert_eq!(order(&mut world, &with_needs(needs(9, None)), 3), "bbb");
    let quality = Ask { strategy: Some(Strategy::Quality), ..with_needs(needs(9, None)) };
    assert_eq!(order(&mut world, &quality, 3), "aaa");
    world.settings.groups.clear();
    assert_eq!(order(&mut world, &with_needs(needs(9, None)), 4), "abab");
}

#[test]
fn the_faster_deployment_serves_and_the_slower_one_is_tried_now_and_then() {
    let mut world = Simulation::new(group("gpt", &["a", "b"]), Strategy::Latency);
    let served = world.run(4000, 5.0, |id, _| if id == "a" { 0.2 } else { 0.8 });
    let share = served["b"] as f64 / 4000.0;
    assert!((0.001..0.05).contains(&share), "{served:?}");
}

#[test]
fn a_latency_that_was_written_is_believed_until_it_was_measured() {
    let expected = |id, ms| Deployment {
        info: ModelInfo {
            expected_latency: Some(Duration::from_millis(ms)),
            ..ModelInfo::default()
        },
        ..deployment("gpt", id)
    };
    let deployments = vec![expected("a", 800), expected("b", 300)];
    let mut world = World::new(deployments).with(|settings| {
        settings.strategy = Strategy::Latency;
        settings.tuning.exploration = 0.0;
    });
    let stream = Ask { stream: true, ..ask("gpt") };
    let first = world.request(stream, |_| Ok(()));
    assert_eq!(first.called(), ["b"]);
}

#[test]
fn nearly_equal_deployments_share_the_load_and_none_is_stampeded() {
    let ids = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let mut world = Simulation::new(group("gpt", &ids), Strategy::Latency);
    // All within the buffer of a quarter; a hundred requests are in flight at any time.
    let speed = |id: &str| 1.0 + 0.02 * (id.as_bytes()[0] - b'a') as f64;
    let served = world.run(8000, 100.0, |id, _| speed(id));
    for id in ids {
        let share = served[id] as f64 / 8000.0;
        assert!((0.08..0.18).contains(&share), "{id}: {served:?}");
    }
    let even = 100.0 * 1.1 / ids.len() as f64;
    assert!(f64::from(world.most_in_flight) < 3.0 * even, "{} at once", world.most_in_flight);
}

#[test]
fn a_deployment_that_grows_slow_is_left_and_found_again_when_it_has_recovered() {
    let mut world = Simulation::new(group("gpt", &["a", "b"]), Strategy::Latency);
    let good = |id: &str, _| if id == "a" { 0.2 } else { 0.4 };
    world.run(1000, 10.0, good);
    let degraded = world.run(1000, 10.0, |id, _| if id == "a" { 3.0 } else { 0.4 });
    assert!(degraded["a"] < 100, "a tenth before it was noticed is too much: {degraded:?}");
    // Two minutes: a look at it every half minute at most.
    let recovered = world.run(4000, 10.0, good);
    assert!(recovered["a"] > 2000, "{recovered:?}");
}

#[test]
fn a_deployment_that_hangs_is_left_before_its_requests_time_out() {
    let mut world = Simulation::new(group("gpt", &["a", "b"]), Strategy::Latency);
    world.run(500, 10.0, |_, _| 0.3);
    let hanging = world.run(500, 10.0, |id, _| if id == "a" { 1e6 } else { 0.3 });
    assert!(hanging["a"] < 40, "{hanging:?}");
}

#[test]
fn streams_are_judged_by_their_first_content_and_replies_by_their_tokens() {
    let mut world = World::new(group("gpt", &["a", "b"])).with(|settings| {
        settings.strategy = Strategy::Latency;
        settings.tuning.exploration = 0.0;
    });
    // `a` begins soon and is slow then; `b` is the other way round.
    let (state, start) = (&world.state, world.now);
    for (id, first, whole) in [("a", 0.1, 20.0), ("b", 2.0, 4.0)] {
        for (stream, took) in [(true, first), (false, whole)] {
            let ask = Ask { stream, ..ask(id) };
            let mut plan = Plan::new(&world.catalog, &world.settings, ask).unwrap();
            let mut attempt =
                attempt(plan.next(&world.catalog, &world.settings, state, start, None));
            let end = start + Duration::from_secs_f64(took);
            plan.succeeded(&mut attempt, state, end);
            let usage = Usage { output_tokens: 100, ..Usage::default() };
            plan.used(&mut attempt, &usage, state, end);
        }
    }
    world.pass(seconds(21));
    assert_eq!(order(&mut world, &Ask { stream: true, ..ask("gpt") }, 1), "a");
    assert_eq!(order(&mut world, &Ask { stream: false, ..ask("gpt") }, 1), "b");
}

#[test]
fn the_price_of_this_request_decides_and_not_that_of_a_token() {
    // `a` is cheap to read, `b` is cheap to write.
    let mut world =
        World::new(vec![priced("a", 1.0, 20.0), priced("b", 5.0, 5.0)]).with(by(Strategy::Cost));
    assert_eq!(order(&mut world, &with_needs(needs(100_000, Some(100))), 3), "aaa");
    assert_eq!(order(&mut world, &with_needs(needs(100, Some(4000))), 3), "bbb");
}

#[test]
fn equal_prices_are_drawn_and_unknown_ones_come_last() {
    let mut deployments = vec![priced("a", 1.0, 1.0), priced("b", 1.0, 1.0)];
    deployments.push(deployment("gpt", "c"));
    let mut world = World::new(deployments).with(by(Strategy::Cost));
    let served = counts(&order(&mut world, &with_needs(needs(100, None)), 2000));
    assert!(!served.contains_key(&'c') && served[&'a'].abs_diff(1000) < 90, "{served:?}");
}

#[test]
fn how_long_replies_of_a_model_are_is_learnt() {
    let named =
        |id: &str, model: &str, price| Deployment { model: model.into(), ..priced(id, 1.0, price) };
    let mut world = World::new(vec![named("a", "terse", 10.0), named("b", "verbose", 6.0)])
        .with(by(Strategy::Cost));
    let ask = with_needs(needs(10, None));
    assert_eq!(order(&mut world, &ask, 1), "b", "nothing is known: the cheaper token");
    for (id, tokens) in [("a", 100), ("b", 1000)] {
        let ask = Ask { model: id, ..ask.clone() };
        let mut plan = Plan::new(&world.catalog, &world.settings, ask).unwrap();
        let World { catalog, settings, state, now, .. } = &world;
        let mut attempt = attempt(plan.next(catalog, settings, state, *now, None));
        plan.used(&mut attempt, &Usage { output_tokens: tokens, ..Usage::default() }, state, *now);
    }
    assert_eq!(order(&mut world, &ask, 1), "a", "its replies are a tenth as long");
    let short = with_needs(needs(10, Some(50)));
    assert_eq!(order(&mut world, &short, 1), "b", "the client bounds both");
}

#[test]
fn short_prompts_avoid_dear_deployments_while_a_cheaper_one_can_serve() {
    let mut dear = priced("a", 20.0, 20.0);
    dear.order = Some(1);
    let mut world = World::new(vec![dear, priced("b", 1.0, 1.0)])
        .with(|settings| settings.cost_threshold = Usd::from_dollars(0.01));
    assert_eq!(order(&mut world, &with_needs(needs(99, None)), 3), "bbb");
    assert_eq!(order(&mut world, &with_needs(needs(100, None)), 3), "aaa", "it is not short");
    let broken = failure(FailureClass::Auth);
    let trace = world.request(with_needs(needs(9, None)), |attempt| {
        if &*attempt.deployment.id == "b" { Err(broken.clone()) } else { Ok(()) }
    });
    assert_eq!(trace.called(), ["b", "a"], "nothing cheaper can serve");
}

#[test]
fn usage_is_shared_in_proportion_to_the_limits() {
    let limited = |id, rpm, tpm| Deployment { rpm, tpm, ..deployment("gpt", id) };
    let deployments = vec![limited("a", Some(300), None), limited("b", Some(100), None)];
    let mut world = World::new(deployments).with(by(Strategy::Usage));
    let served = counts(&order(&mut world, &ask("gpt"), 400));
    assert!(served[&'a'].abs_diff(300) <= 2, "{served:?}");

    let deployments = vec![limited("a", None, Some(10_000)), limited("b", None, Some(40_000))];
    let mut world = World::new(deployments).with(by(Strategy::Usage));
    let served = counts(&order(&mut world, &with_needs(needs(100, None)), 500));
    assert!(served[&'b'].abs_diff(400) <= 2, "by tokens: {served:?}");

    world.pass(seconds(180));
    assert_eq!(order(&mut world, &with_needs(needs(9000, None)), 2).len(), 2);
    let served = counts(&order(&mut world, &with_needs(needs(100, None)), 100));
    assert!(served[&'b'] > 50, "what was used three minutes ago is free again: {served:?}");
}
