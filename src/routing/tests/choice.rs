//! Who is chosen: weights, order, load, tags, bounds.

use std::collections::BTreeMap;

use super::*;
use crate::routing::Strategy;

/// How often each deployment serves, over `requests` requests that all succeed.
fn served(world: &mut World, model: &str, requests: u32) -> BTreeMap<String, u32> {
    let mut served = BTreeMap::new();
    for _ in 0..requests {
        let trace = world.request(ask(model), |_| Ok(()));
        *served.entry(trace.called()[0].to_owned()).or_default() += 1;
    }
    served
}

/// Each count lies within four standard deviations of its share: with fixed seeds that is decided
/// once, not by luck on every run.
fn assert_shares(served: &BTreeMap<String, u32>, expected: &[(&str, f64)]) {
    let total = f64::from(served.values().sum::<u32>());
    for (id, share) in expected {
        let count = f64::from(served.get(*id).copied().unwrap_or(0));
        let deviation = (total * share * (1.0 - share)).sqrt();
        let off = (count - total * share).abs();
        assert!(off <= 4.0 * deviation, "{id} served {count} of {total}, share {share}");
    }
}

#[test]
fn requests_are_spread_evenly_without_weights() {
    let mut world = World::new(group("gpt", &["a", "b", "c", "d"]));
    let served = served(&mut world, "gpt", 8000);
    assert_shares(&served, &[("a", 0.25), ("b", 0.25), ("c", 0.25), ("d", 0.25)]);
}

#[test]
fn the_first_metric_that_any_deployment_has_counts_for_the_group() {
    type Metrics = (Option<f64>, Option<u64>, Option<u64>);
    // weight, rpm, tpm of `a` and `b`; share of `a`
    let cases: [(Metrics, Metrics, f64); 7] = [
        ((Some(9.0), None, None), (Some(1.0), None, None), 0.9),
        ((None, Some(300), None), (None, Some(100), None), 0.75),
        ((None, None, Some(1000)), (None, None, Some(4000)), 0.2),
        ((Some(1.0), Some(1), None), (Some(1.0), Some(99), None), 0.5),
        ((Some(0.0), Some(30), None), (Some(0.0), Some(10), None), 0.75),
        ((Some(1.0), None, None), (None, Some(100), None), 1.0),
        ((Some(f64::NAN), None, None), (Some(-1.0), None, None), 0.5),
    ];
    for (a, b, share) in cases {
        let with = |id, (weight, rpm, tpm): Metrics| Deployment {
            weight,
            rpm,
            tpm,
            ..deployment("gpt", id)
        };
        let mut world = World::new(vec![with("a", a), with("b", b)]);
        let served = served(&mut world, "gpt", 4000);
        assert_shares(&served, &[("a", share), ("b", 1.0 - share)]);
    }
}

#[test]
fn a_deployment_without_weight_serves_when_nothing_else_can() {
    let weighted = Deployment { weight: Some(1.0), ..deployment("gpt", "weighted") };
    let mut world = World::new(vec![weighted, deployment("gpt", "spare")]);
    let trace = world.failing("gpt", &[("weighted", failure(FailureClass::Server))]);
    assert_eq!(trace.called(), ["weighted", "spare"]);
    assert_eq!(trace.waited(), Duration::ZERO, "another deployment needs no back-off");
}

#[test]
fn the_lowest_order_serves_and_higher_ones_only_stand_in() {
    let order = |id, order| Deployment { order, ..deployment("gpt", id) };
    let mut world = World::new(vec![
        order("last", None),
        order("second", Some(2)),
        order("first", Some(1)),
        order("first too", Some(1)),
    ]);
    let served = served(&mut world, "gpt", 200);
    assert_eq!(served.keys().collect::<Vec<_>>(), ["first", "first too"]);

    let limited = rate_limit(seconds(30));
    world.failing("gpt", &[("first", limited.clone()), ("first too", limited.clone())]);
    assert_eq!(world.failing("gpt", &[]).called(), ["second"], "both of order 1 rest");

    world.failing("gpt", &[("second", limited)]);
    assert_eq!(world.failing("gpt", &[]).called(), ["last"], "no order comes last, not never");
}

#[test]
fn a_higher_order_is_tried_before_fallbacks_even_without_retries() {
    let order = |id, order| Deployment { order: Some(order), ..deployment("gpt", id) };
    let mut deployments = vec![order("one", 1), order("two", 2), order("three", 3)];
    deployments.push(deployment("other", "fallback"));
    let mut world = World::new(deployments).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("gpt", &["other"])]);
    });
    let broken = failure(FailureClass::Server);
    let trace = world
        .failing("gpt", &[("one", broken.clone()), ("two", broken.clone()), ("three", broken)]);
    assert_eq!(trace.called(), ["one", "two", "three", "fallback"]);
    assert_eq!((trace.retries, trace.fallbacks), (2, 1));
}

#[test]
fn a_higher_order_has_retries_of_its_own() {
    let order = |id, order| Deployment { order: Some(order), ..deployment("gpt", id) };
    let mut world = World::new(vec![order("one", 1), order("one", 1), order("two", 2)])
        .with(|settings| settings.num_retries = 1);
    let trace = world.request(ask("gpt"), |_| Err(failure(FailureClass::Server)));
    assert_eq!(trace.called(), ["one", "one", "two", "two"]);
}

#[test]
fn the_least_busy_deployment_serves_and_the_first_of_equals() {
    let mut world = World::new(group("gpt", &["a", "b", "c"]))
        .with(|settings| settings.strategy = Strategy::LeastBusy);
    assert_eq!(served(&mut world, "gpt", 50), [("a".to_owned(), 50)].into());
    let trace = world.request(ask("gpt"), |_| Err(failure(FailureClass::Overloaded)));
    assert_eq!(trace.called(), ["a", "b", "c"], "in the order written");

    let open: Vec<_> = (0..9).map(|_| attempt(world.open("gpt").1)).collect();
    for id in ["a", "b", "c"] {
        let busy = open.iter().filter(|attempt| &*attempt.deployment.id == id).count();
        assert_eq!(busy, 3, "nine attempts in flight are spread over {id} and the others");
    }
}

#[test]
fn a_full_deployment_is_skipped_and_a_full_group_says_so() {
    let bounded = |id| Deployment { max_parallel_requests: Some(1), ..deployment("gpt", id) };
    let mut world = World::new(vec![bounded("a"), bounded("b")]);
    let first = attempt(world.open("gpt").1);
    let second = attempt(world.open("gpt").1);
    assert_ne!(first.deployment.id, second.deployment.id);
    assert_eq!(stop(world.open("gpt").1), Stop::Full);
    drop(first);
    assert!(matches!(world.open("gpt").1, Next::Attempt(_)), "its place is free again");
}

#[test]
fn a_full_group_is_stood_in_for() {
    let bounded = Deployment { max_parallel_requests: Some(1), ..deployment("gpt", "a") };
    let mut world = World::new(vec![bounded, deployment("other", "b")])
        .with(|settings| settings.fallbacks = lists(&[("gpt", &["other"])]));
    let _first = attempt(world.open("gpt").1);
    let (plan, next) = world.open("gpt");
    assert_eq!(&*attempt(next).deployment.id, "b");
    assert_eq!((plan.retries(), plan.fallbacks()), (0, 1));
}

#[test]
fn the_default_bound_is_for_deployments_without_any_limit() {
    let rated = Deployment { rpm: Some(1), ..deployment("rated", "b") };
    let mut world = World::new(vec![deployment("plain", "a"), rated])
        .with(|settings| settings.default_max_parallel_requests = Some(1));
    let _plain = attempt(world.open("plain").1);
    assert_eq!(stop(world.open("plain").1), Stop::Full);
    let _rated = attempt(world.open("rated").1);
    assert!(matches!(world.open("rated").1, Next::Attempt(_)), "a rate is no bound in flight");
}

#[test]
fn a_weighted_alias_spreads_requests_over_its_groups() {
    let mut deployments = group("us", &["us-1", "us-2", "us-3"]);
    deployments.extend(group("eu", &["eu-1"]));
    let alias = weighted_alias("gpt", &[("us", 0.3), ("eu", 0.7), ("missing", 5.0)]);
    let mut world = World::with_aliases(deployments, vec![alias]);
    let served = served(&mut world, "gpt", 6000);
    assert_shares(&served, &[("us-1", 0.1), ("us-2", 0.1), ("us-3", 0.1), ("eu-1", 0.7)]);

    let trace = world.request(ask("gpt"), |attempt| match &*attempt.group {
        "eu" => Err(failure(FailureClass::Connection)),
        _ => Ok(()),
    });
    assert!(trace.end.is_ok(), "the other group serves when one fails: {trace:?}");
}

#[test]
fn names_stand_for_groups_aliases_wildcards_and_deployments() {
    let mut deployments = group("gpt", &["a"]);
    deployments.extend(group("openai/*", &["wild"]));
    let mut world = World::with_aliases(
        deployments,
        vec![Alias { name: "fast".into(), target: AliasTarget::Group("gpt".into()), hidden: true }],
    );
    let cases = [
        ("gpt", "a", "gpt", "model"),
        ("fast", "a", "gpt", "model"),
        ("a", "a", "gpt", "model"),
        ("openai/gpt-4o", "wild", "openai/*", "gpt-4o"),
    ];
    for (name, id, group, model) in cases {
        let attempt = attempt(world.open(name).1);
        assert_eq!((&*attempt.deployment.id, &*attempt.group, &*attempt.model), (id, group, model));
    }
    let unknown = Plan::new(&world.catalog, &world.settings, ask("nope")).unwrap_err();
    assert_eq!(unknown.name, "nope");
}

#[test]
fn tags_select_deployments_when_filtering_is_on() {
    let tagged = |id, tags: &[&str]| Deployment {
        tags: tags.iter().map(|tag| Box::from(*tag)).collect(),
        ..deployment("gpt", id)
    };
    let mut world =
        World::new(vec![tagged("free", &["free", "any"]), tagged("rest", &["default"])]);
    world.settings.enable_tag_filtering = true;
    let cases: [(&[&str], &str); 3] = [(&["free"], "free"), (&["paid"], "rest"), (&[], "rest")];
    for (tags, id) in cases {
        for _ in 0..20 {
            let tags = tags.iter().map(|tag| Box::from(*tag)).collect();
            let trace = world.request(Ask { tags, ..ask("gpt") }, |_| Ok(()));
            assert_eq!(trace.called(), [id]);
        }
    }

    let mut world = World::new(vec![tagged("free", &["free"])]);
    world.settings.enable_tag_filtering = true;
    let paid = Ask { tags: vec!["paid".into()], ..ask("gpt") };
    assert_eq!(world.request(paid, |_| Ok(())).end, Err(Stop::NoneEligible));
    assert_eq!(world.request(ask("gpt"), |_| Ok(())).called(), ["free"], "untagged goes anywhere");
}
