//! Who can serve a request at all, who stays with whom, and how that is explained.

use std::sync::Arc;

use super::*;
use crate::catalog::{Capabilities, Capability, ModelInfo, Price};
use crate::money::Usd;
use crate::routing::meter::{Hold, Meter, Meters, Room};
use crate::routing::{AffinityKeys, Needs, Out, ReplyFormat, Standing, Strategy, explain};
use crate::usage::Usage;

fn needs(input_tokens: u64) -> Needs {
    Needs { input_tokens, replies: 1, ..Needs::default() }
}

fn with_needs(needs: Needs) -> Ask<'static> {
    Ask { needs: Some(needs), ..ask("gpt") }
}

fn with_info(id: &str, info: ModelInfo) -> Deployment {
    Deployment { info, ..deployment("gpt", id) }
}

fn windowed(id: &str, window: u64) -> Deployment {
    with_info(id, ModelInfo { max_input_tokens: Some(window), ..ModelInfo::default() })
}

fn able(id: &str, capabilities: &[(Capability, bool)]) -> Deployment {
    let mut known = Capabilities::default();
    capabilities.iter().for_each(|(capability, has)| known.set(*capability, *has));
    with_info(id, ModelInfo { capabilities: known, ..ModelInfo::default() })
}

fn called(world: &mut World, ask: &Ask<'_>) -> Vec<String> {
    let trace = world.request(ask.clone(), |_| Ok(()));
    trace.called().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_prompt_goes_where_it_fits_and_where_it_fits_well_first() {
    let mut world = World::new(vec![windowed("a", 8000), windowed("b", 16_000)])
        .with(|settings| settings.pre_call_checks = true);
    for _ in 0..20 {
        assert_eq!(called(&mut world, &with_needs(needs(9000))), ["b"], "`a` is too small");
        assert_eq!(called(&mut world, &with_needs(needs(7800))), ["b"], "hardly fits `a`");
    }
    let both: Vec<_> = (0..50).map(|_| called(&mut world, &with_needs(needs(100)))).collect();
    assert!(both.iter().any(|one| one[0] == "a") && both.iter().any(|one| one[0] == "b"));

    let trace = world.request(with_needs(needs(40_000)), |_| Ok(()));
    let largest = Out::ContextTooSmall { window: 16_000, tokens: 40_000 };
    assert_eq!((trace.called().len(), trace.end), (0, Err(Stop::Unfit(largest))));
}

#[test]
fn an_estimate_is_doubted_more_than_a_count() {
    let mut world =
        World::new(vec![windowed("a", 8000)]).with(|settings| settings.pre_call_checks = true);
    let counted = |input_tokens| Needs { is_counted: true, ..needs(input_tokens) };
    assert_eq!(called(&mut world, &with_needs(needs(11_400))), ["a"], "30 % less would fit");
    assert_eq!(called(&mut world, &with_needs(counted(8_800))), ["a"], "10 % less would fit");
    for needs in [needs(11_500), counted(9_000)] {
        assert!(called(&mut world, &with_needs(needs)).is_empty(), "{needs:?}");
    }
}

#[test]
fn without_the_check_the_provider_is_asked() {
    let mut world = World::new(vec![windowed("a", 8000)]);
    assert_eq!(called(&mut world, &with_needs(needs(40_000))), ["a"]);
}

#[test]
fn a_prompt_that_fits_nowhere_follows_the_fallbacks_for_that() {
    let mut deployments = vec![windowed("a", 8000)];
    deployments.push(deployment("large", "l"));
    deployments.push(deployment("other", "o"));
    let mut world = World::new(deployments).with(|settings| {
        settings.pre_call_checks = true;
        settings.context_window_fallbacks = lists(&[("gpt", &["large"])]);
        settings.fallbacks = lists(&[("gpt", &["other"])]);
    });
    assert_eq!(called(&mut world, &with_needs(needs(40_000))), ["l"]);
    let broken = |attempt: &Attempt| match &*attempt.deployment.id {
        "a" => Err(failure(FailureClass::Auth)),
        _ => Ok(()),
    };
    let trace = world.request(with_needs(needs(10)), broken);
    assert_eq!(trace.called(), ["a", "o"], "another failure, another list");
}

#[test]
fn a_deployment_that_lacks_what_is_needed_is_not_called() {
    let mut world = World::new(vec![
        able("blind", &[(Capability::Images, false), (Capability::JsonSchema, true)]),
        able("seeing", &[(Capability::Images, true), (Capability::JsonSchema, false)]),
    ])
    .with(|settings| settings.pre_call_checks = true);
    let images = Needs { images: true, ..needs(10) };
    let schema = Needs { format: ReplyFormat::JsonSchema, ..needs(10) };
    for _ in 0..20 {
        assert_eq!(called(&mut world, &with_needs(images)), ["seeing"]);
        assert_eq!(called(&mut world, &with_needs(schema)), ["blind"]);
    }
    let both = Needs { images: true, ..schema };
    let trace = world.request(with_needs(both), |_| Ok(()));
    assert!(
        matches!(trace.end, Err(Stop::Unfit(Out::MissingCapability(_)))),
        "neither has both: {trace:?}"
    );
}

#[test]
fn the_capable_strategy_prefers_who_is_known_to_be_able_and_then_the_price() {
    let priced = |one: Deployment, dollars: f64| {
        let price = Usd::from_dollars(dollars / 1e6).unwrap();
        let price = Price { input: price, output: price, ..Price::default() };
        let info = ModelInfo { price: Some(Arc::new(price)), ..one.info };
        Deployment { info, ..one }
    };
    let tools = [(Capability::Tools, true)];
    let mut world = World::new(vec![
        priced(able("unknown", &[]), 1.0),
        priced(able("cheap", &tools), 5.0),
        priced(able("dear", &tools), 50.0),
    ])
    .with(|settings| settings.strategy = Strategy::Capability);
    let tools = with_needs(Needs { tools: true, ..needs(100) });
    assert_eq!(called(&mut world, &tools), ["cheap"]);
    assert_eq!(called(&mut world, &with_needs(needs(100))), ["unknown"], "nothing is needed");
    let best = Ask { strategy: Some(Strategy::Quality), ..tools };
    assert_eq!(called(&mut world, &best), ["dear"]);
}

#[test]
fn capabilities_can_be_asked_for_by_the_operators_names() {
    let named = |id, names: &[&str]| {
        let names = names.iter().map(|name| Box::from(*name)).collect();
        with_info(id, ModelInfo { names, ..ModelInfo::default() })
    };
    let mut world =
        World::new(vec![named("a", &["speed"]), named("b", &["Long_Context", "analysis"])])
            .with(|settings| settings.strategy = Strategy::Capability);
    let asking = |name: &str| Ask { capabilities: vec![name.into()], ..with_needs(needs(10)) };
    assert_eq!(called(&mut world, &asking("speed")), ["a"]);
    assert_eq!(called(&mut world, &asking("long-context")), ["b"]);
    let trace = world.request(asking("magic"), |_| Ok(()));
    assert_eq!(trace.end, Err(Stop::Unfit(Out::CapabilityNotNamed)));

    world.settings.context_threshold = Some(50_000);
    world.settings.strategy = Strategy::SimpleShuffle;
    for _ in 0..20 {
        assert_eq!(called(&mut world, &with_needs(needs(60_000))), ["b"]);
    }
}

#[test]
fn a_region_is_kept_to() {
    let placed = |id, region: &str| {
        with_info(id, ModelInfo { region: Some(region.into()), ..ModelInfo::default() })
    };
    let mut world = World::new(vec![
        placed("eu", "eu-west-1"),
        placed("us", "us-east-1"),
        deployment("gpt", "nowhere"),
    ]);
    let asking = |region: &str| Ask { region: Some(region.into()), ..ask("gpt") };
    for _ in 0..20 {
        assert_eq!(called(&mut world, &asking("eu")), ["eu"]);
    }
    world.settings.allowed_region = Some("eu".into());
    assert_eq!(called(&mut world, &asking("us")), ["us"], "the request's own goes first");
    assert_eq!(called(&mut world, &ask("gpt")), ["eu"]);
    let end = world.request(asking("asia"), |_| Ok(())).end;
    assert_eq!(end, Err(Stop::Unfit(Out::OtherRegion)));
}

fn session(id: u64) -> Ask<'static> {
    let affinity = AffinityKeys { session: Some(id), ..AffinityKeys::default() };
    Ask { affinity, ..ask("gpt") }
}

#[test]
fn a_session_stays_until_its_deployment_rests_and_then_stays_elsewhere() {
    let mut world = World::new(group("gpt", &["a", "b", "c", "d"])).with(|settings| {
        settings.affinity.session = true;
        settings.cooldown = seconds(600);
    });
    let first = called(&mut world, &session(1));
    for _ in 0..30 {
        assert_eq!(called(&mut world, &session(1)), first);
        world.pass(seconds(3000));
    }
    let homes: std::collections::BTreeSet<_> =
        (0..40).map(|id| called(&mut world, &session(100 + id))).collect();
    assert_eq!(homes.len(), 4, "sessions are spread");

    let limited = failure(FailureClass::RateLimited);
    let home = first[0].clone();
    let trace = world.request(session(1), |attempt| {
        if *attempt.deployment.id == *home { Err(limited.clone()) } else { Ok(()) }
    });
    let second = trace.called()[1].to_owned();
    world.pass(seconds(3000));
    let third = called(&mut world, &session(1));
    assert_eq!(third, [second], "the first one is healthy again, and cold");

    world.settings.affinity.session = false;
    let free: std::collections::BTreeSet<_> =
        (0..40).map(|_| called(&mut world, &session(1))).collect();
    assert_eq!(free.len(), 4, "it is off by default");
}

fn prefix(hash: u64) -> Ask<'static> {
    let affinity =
        AffinityKeys { prefix: Some(hash), prefix_tokens: 1024, ..AffinityKeys::default() };
    Ask { affinity, ..with_needs(needs(2000)) }
}

#[test]
fn prompts_that_begin_alike_meet_even_on_gateways_that_know_nothing_of_each_other() {
    let gateway = || {
        World::new(group("gpt", &["a", "b", "c", "d"]))
            .with(|settings| settings.affinity.prompt = true)
    };
    let (mut one, mut other) = (gateway(), gateway());
    let mut homes = std::collections::BTreeSet::new();
    for hash in (0_u64..100).map(crate::routing::affinity::mix) {
        let home = called(&mut one, &prefix(hash));
        assert_eq!(called(&mut other, &prefix(hash)), home);
        assert_eq!(called(&mut one, &prefix(hash)), home);
        homes.insert(home);
    }
    assert_eq!(homes.len(), 4);
}

#[test]
fn one_prompt_for_everybody_does_not_bring_everybody_to_one_machine() {
    let mut world = World::new(group("gpt", &["a", "b", "c", "d"]))
        .with(|settings| settings.affinity.prompt = true);
    let mut open = Vec::new();
    for _ in 0..80 {
        let mut plan = world.plan(prefix(7));
        let World { catalog, settings, state, now, .. } = &world;
        open.push(attempt(plan.next(catalog, settings, state, *now, None)));
    }
    let busy = |id| world.state.view(id, world.now).map_or(0, |view| view.in_flight);
    let busy = ["a", "b", "c", "d"].map(busy);
    // Twice the mean of 20, and a few.
    assert!(busy.iter().all(|one| *one <= 45), "{busy:?}");
    assert!(busy.contains(&44) || busy.contains(&45), "it is used as far as it goes: {busy:?}");
}

#[test]
fn a_warm_cache_is_left_only_for_a_greater_gain() {
    let priced = |id, input: f64| {
        let per = |dollars: f64| Usd::from_dollars(dollars / 1e6).unwrap();
        let price =
            Price { input: per(input), cache_read: Some(per(input / 10.0)), ..Price::default() };
        with_info(id, ModelInfo { price: Some(Arc::new(price)), ..ModelInfo::default() })
    };
    let mut world = World::new(vec![priced("a", 3.0), priced("b", 2.0)]).with(|settings| {
        settings.strategy = Strategy::Cost;
        settings.affinity.prompt = true;
        settings.affinity.prompt_ttl = seconds(300);
    });
    assert_eq!(called(&mut world, &prefix(7)), ["b"], "nothing is warm: the cheaper one");
    let warm_a = world.request(prefix(8), |attempt| match &*attempt.deployment.id {
        "b" => Err(failure(FailureClass::Conflict)),
        _ => Ok(()),
    });
    assert_eq!(warm_a.called(), ["b", "a"]);
    // Cached at `a`: 976 x 3 + 1024 x 0.3 = 3235; all at `b`: 2000 x 2 = 4000.
    assert_eq!(called(&mut world, &prefix(8)), ["a"], "moving would bill the prefix again");
    let longer = Ask { needs: Some(needs(4000)), ..prefix(8) };
    // 2976 x 3 + 307 = 9235 against 8000.
    assert_eq!(called(&mut world, &longer), ["b"], "the rest is worth more than the prefix");
    world.pass(seconds(301));
    assert_eq!(called(&mut world, &prefix(8)), ["b"], "it has cooled down");
}

#[derive(Debug)]
struct Fixed;

#[derive(Debug)]
struct FixedMeter(Room);

#[derive(Debug)]
struct FixedHold;

impl Meters for Fixed {
    fn meter(&self, deployment: &Deployment) -> Option<Box<dyn Meter>> {
        let room = match &*deployment.id {
            "near" => Room::Near,
            "over" => Room::Over { limit: "rpm", retry_after: seconds(7) },
            _ => return None,
        };
        Some(Box::new(FixedMeter(room)))
    }
}

impl Meter for FixedMeter {
    fn room(&self, _needs: Option<&Needs>, _now: Instant) -> Room {
        self.0
    }

    fn take(&self, _needs: Option<&Needs>, _now: Instant) -> Option<Box<dyn Hold>> {
        Some(Box::new(FixedHold))
    }
}

impl Hold for FixedHold {
    fn settle(&mut self, _usage: &Usage, _now: Instant) {}
}

#[test]
fn traffic_leaves_who_is_near_a_limit_and_does_not_reach_who_is_over_it() {
    let mut world = World::new(group("gpt", &["near", "over", "free"]));
    world.state = State::new(world.now).with_meters(Arc::new(Fixed));
    for _ in 0..20 {
        assert_eq!(called(&mut world, &ask("gpt")), ["free"]);
    }
    assert_eq!(called(&mut world, &ask("near")), ["near"], "near is not over");
    let end = world.request(ask("over"), |_| Ok(())).end;
    assert_eq!(end, Err(Stop::OverLimit { limit: "rpm", retry_after: seconds(7) }));
}

#[test]
fn an_explanation_says_what_will_happen_and_changes_nothing() {
    for strategy in Strategy::ALL {
        let mut world = World::new(vec![
            windowed("a", 8000),
            windowed("b", 8000),
            windowed("c", 8000),
            windowed("small", 100),
        ])
        .with(|settings| {
            settings.strategy = strategy;
            settings.pre_call_checks = true;
            settings.fallbacks = lists(&[("gpt", &["other"])]);
        });
        world.failing("gpt", &[]);
        for seed in 0..50 {
            let World { catalog, settings, state, now, .. } = &world;
            let ask = Ask { seed, ..with_needs(needs(500)) };
            let before = state.view("a", *now);
            let explained = explain(catalog, settings, state, ask.clone(), *now).unwrap();
            assert_eq!(
                explain(catalog, settings, state, ask.clone(), *now).unwrap().to_string(),
                explained.to_string(),
                "{strategy:?}: asking twice is asking once"
            );
            assert_eq!(state.view("a", *now), before, "{strategy:?}");

            let mut plan = Plan::new(catalog, settings, ask).unwrap();
            let attempt = attempt(plan.next(catalog, settings, state, *now, None));
            let first = explained.first().unwrap();
            assert_eq!(first.deployment.id, attempt.deployment.id, "{strategy:?}");
            let small =
                explained.groups[0].candidates.iter().find(|one| &*one.deployment.id == "small");
            let expected = Out::ContextTooSmall { window: 100, tokens: 500 };
            assert_eq!(small.unwrap().standing, Standing::Out(expected), "{strategy:?}");
        }
    }
}

#[test]
fn an_explanation_names_every_group_and_every_reason() {
    let tagged = Deployment { tags: vec!["paid".into()], ..deployment("gpt", "tagged") };
    let mut deployments = group("gpt", &["a", "b"]);
    deployments.push(tagged);
    deployments.push(deployment("other", "o"));
    let mut world = World::new(deployments).with(|settings| {
        settings.enable_tag_filtering = true;
        settings.fallbacks = lists(&[("gpt", &["other"])]);
    });
    let free = || Ask { tags: vec!["default".into()], ..ask("other") };
    assert_eq!(world.request(free(), |_| Ok(())).end, Err(Stop::NoneEligible));
    let limited = rate_limit(seconds(30));
    let untagged = Ask { tags: vec!["paid".into()], ..ask("gpt") };
    world.request(untagged.clone(), |_| Err(limited.clone()));

    let World { catalog, settings, state, now, .. } = &world;
    let explained = explain(catalog, settings, state, untagged, *now).unwrap();
    let line = explained.to_string();
    assert_eq!(
        line,
        "gpt by simple-shuffle: a=tag_mismatch b=tag_mismatch tagged=cooling\
         ; fallback other by simple-shuffle: o=tag_mismatch"
    );
    let unknown = explain(catalog, settings, state, ask("nope"), *now).unwrap_err();
    assert_eq!(unknown.name, "nope");
}
