//! Names that share requests by weight, and models that stand in for the one that was decided on.

use super::*;
use crate::routing::Strategy;

fn world(weights: &[(&str, f64)], deployments: Vec<Deployment>) -> World {
    let weights: Vec<_> =
        weights.iter().map(|(name, weight)| (Arc::from(*name), *weight)).collect();
    let mut world = World::new(Vec::new());
    world.catalog = Catalog::build(deployments, Vec::new()).with_weights(&weights);
    world
}

fn us_and_eu() -> World {
    let mut deployments = group("us", &["us-1", "us-2"]);
    deployments.extend(group("eu", &["eu-1"]));
    world(&[("us", 0.6), ("eu", 0.4)], deployments)
}

/// The group of the first call of each of so many requests.
fn turns(world: &mut World, model: &str, requests: usize) -> String {
    (0..requests)
        .map(|_| {
            let trace = world.request(ask(model), |_| Ok(()));
            trace.called()[0].split('-').next().unwrap().to_owned()
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn names_take_turns_in_the_documented_order_under_every_strategy() {
    for strategy in [Strategy::SimpleShuffle, Strategy::LeastBusy, Strategy::Latency] {
        let mut world = us_and_eu().with(|settings| settings.strategy = strategy);
        assert_eq!(turns(&mut world, "us", 5), "us eu us eu us", "{strategy:?}");
        assert_eq!(turns(&mut world, "eu", 5), "us eu us eu us", "one list for all names");
    }
}

#[test]
fn a_failing_name_is_stood_in_for_before_any_fallback_and_without_counting() {
    let mut deployments = group("us", &["us-1", "us-2"]);
    deployments.extend(group("eu", &["eu-1"]));
    deployments.extend(group("spare", &["spare"]));
    let mut world = world(&[("us", 0.6), ("eu", 0.4)], deployments).with(|settings| {
        settings.num_retries = 1;
        settings.max_fallbacks = 1;
        settings.strategy = Strategy::LeastBusy;
        settings.fallbacks = lists(&[("us", &["spare"])]);
    });
    let trace = world.request(ask("us"), |_| Err(failure(FailureClass::Overloaded)));
    assert_eq!(trace.called(), ["us-1", "us-2", "eu-1", "eu-1", "spare", "spare"]);
    assert_eq!((trace.retries, trace.fallbacks), (4, 1));

    let mut world = us_and_eu().with(|settings| settings.max_fallbacks = 0);
    let down = [("us-1", failure(FailureClass::Auth)), ("us-2", failure(FailureClass::Auth))];
    let trace = world.failing("us", &down);
    assert_eq!((trace.called()[2], &trace.end), ("eu-1", &Ok(())));
    let mut world = us_and_eu();
    let disabled = Ask { disable_fallbacks: true, ..ask("eu") };
    let trace = world.request(disabled, |attempt| match &*attempt.group {
        "eu" => Err(failure(FailureClass::Connection)),
        _ => Ok(()),
    });
    assert!(trace.end.is_ok(), "the other names are no fallbacks: {trace:?}");
}

#[test]
fn a_name_at_rest_has_no_turn_and_does_not_catch_up() {
    let mut world = us_and_eu();
    let down = [("us-1", failure(FailureClass::Auth)), ("us-2", failure(FailureClass::Auth))];
    assert_eq!(world.failing("us", &down).called().len(), 3);
    assert!(world.rests_for("us-1").is_some() && world.rests_for("us-2").is_some());
    assert_eq!(turns(&mut world, "us", 10), ["eu"; 10].join(" "));
    world.pass(seconds(3600));
    let after = turns(&mut world, "us", 10);
    assert_eq!(after.matches("us").count(), 6, "{after}");
}

#[test]
fn a_wrong_request_goes_to_nobody_else() {
    let mut world = us_and_eu();
    let trace = world.request(ask("us"), |_| Err(failure(FailureClass::BadRequest)));
    assert_eq!(trace.calls.len(), 1);
}

#[test]
fn turns_go_on_over_a_reload_with_other_weights() {
    let mut world = us_and_eu();
    assert_eq!(turns(&mut world, "us", 1), "us");
    world.state.retain(&world.catalog);
    assert_eq!(turns(&mut world, "us", 4), "eu us eu us");

    let weights = [(Arc::from("us"), 1.0), (Arc::from("eu"), 3.0)];
    let mut deployments = group("us", &["us-1"]);
    deployments.extend(group("eu", &["eu-1"]));
    world.catalog = Catalog::build(deployments, Vec::new()).with_weights(&weights);
    world.state.retain(&world.catalog);
    assert_eq!(turns(&mut world, "us", 40).matches("eu").count(), 30);
}

#[test]
fn stand_ins_follow_in_order_before_the_fallbacks() {
    let mut deployments = group("us", &["us-1"]);
    deployments.extend(group("eu", &["eu-1"]));
    deployments.extend(group("asia", &["asia-1"]));
    deployments.extend(group("spare", &["spare"]));
    let mut world = World::new(deployments).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("us", &["spare"])]);
    });
    let all = |_: &Attempt| Err(failure(FailureClass::Overloaded));
    let regional = || Ask { stand_ins: fallbacks(&["eu", "asia"]), ..ask("us") };
    assert_eq!(world.request(regional(), all).called(), ["us-1", "eu-1", "asia-1", "spare"]);
    let alone = Ask { disable_fallbacks: true, ..regional() };
    world.pass(seconds(3600));
    assert_eq!(world.request(alone, all).called(), ["us-1"]);
}

#[test]
fn a_rehearsal_takes_nobodys_turn() {
    let mut world = us_and_eu();
    for _ in 0..3 {
        let (catalog, settings) = (&world.catalog, &world.settings);
        let explained =
            crate::routing::explain(catalog, settings, &world.state, ask("us"), world.now).unwrap();
        assert!(explained.first().unwrap().deployment.id.starts_with("us"));
        assert_eq!(explained.groups.len(), 2, "the other name stands behind it");
    }
    assert_eq!(turns(&mut world, "us", 2), "us eu");
}
