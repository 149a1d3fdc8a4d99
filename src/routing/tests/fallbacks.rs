//! Which groups stand in for one that fails.

use super::*;

/// Groups `one`, `two`, `three`, `four` with one deployment each, named like the group; no retries.
fn chain() -> World {
    let deployments = ["one", "two", "three", "four"].map(|name| deployment(name, name));
    World::new(deployments.into()).with(|settings| settings.num_retries = 0)
}

fn all_fail(world: &mut World, request: Ask<'_>, class: FailureClass) -> Vec<String> {
    let trace = world.request(request, |_| Err(failure(class)));
    assert_eq!(trace.end, Err(Stop::LastFailure));
    trace.calls.into_iter().map(|(id, _)| id).collect()
}

#[test]
fn the_groups_of_a_list_are_tried_in_order() {
    let mut world = chain().with(|s| s.fallbacks = lists(&[("one", &["two", "three"])]));
    let trace = world.failing("one", &[("one", failure(FailureClass::Server))]);
    assert_eq!(trace.called(), ["one", "two"]);
    assert_eq!((trace.retries, trace.fallbacks), (0, 1));
    assert_eq!(all_fail(&mut world, ask("one"), FailureClass::Server), ["one", "two", "three"]);
}

#[test]
fn each_group_has_its_own_retries() {
    let mut world = chain().with(|settings| {
        settings.num_retries = 1;
        settings.fallbacks = lists(&[("one", &["two"])]);
    });
    let called = all_fail(&mut world, ask("one"), FailureClass::Timeout);
    assert_eq!(called, ["one", "one", "two", "two"]);
}

#[test]
fn a_group_brings_its_own_fallbacks_before_the_rest_of_the_list() {
    let mut world = chain()
        .with(|s| s.fallbacks = lists(&[("one", &["two", "three"]), ("two", &["four", "one"])]));
    let called = all_fail(&mut world, ask("one"), FailureClass::Server);
    assert_eq!(called, ["one", "two", "four", "three"], "and none is visited twice");
}

#[test]
fn the_star_serves_groups_without_a_list_of_their_own() {
    let mut world = chain().with(|s| s.fallbacks = lists(&[("one", &["two"]), ("*", &["four"])]));
    assert_eq!(all_fail(&mut world, ask("three"), FailureClass::Server), ["three", "four"]);
    assert_eq!(all_fail(&mut world, ask("one"), FailureClass::Server), ["one", "two", "four"]);
}

#[test]
fn the_class_of_the_failure_chooses_the_list() {
    use FailureClass as Class;
    let mut world = chain().with(|settings| {
        settings.fallbacks = lists(&[("one", &["two"]), ("three", &["two"])]);
        settings.context_window_fallbacks = lists(&[("one", &["three"])]);
        settings.content_policy_fallbacks = lists(&[("*", &["four"])]);
    });
    let served_by = |world: &mut World, model: &str, class| {
        let trace = world.request(ask(model), |attempt| {
            if *attempt.group == *model { Err(failure(class)) } else { Ok(()) }
        });
        trace.called().last().map(|id| (*id).to_owned()).unwrap()
    };
    let cases = [
        ("one", Class::Server, "two"),
        ("one", Class::ContextWindow, "three"),
        ("one", Class::ContentPolicy, "four"),
        // LiteLLM gives such a group nothing, because another one has a list for the class.
        ("three", Class::ContextWindow, "two"),
        ("one", Class::BadRequest, "one"),
    ];
    for (model, class, expected) in cases {
        assert_eq!(served_by(&mut world, model, class), expected, "{model} {class:?}");
    }
}

#[test]
fn a_fallback_that_finds_the_request_wrong_does_not_end_the_list() {
    let mut world = chain().with(|s| s.fallbacks = lists(&[("one", &["two", "three"])]));
    let failures =
        [("one", failure(FailureClass::Server)), ("two", failure(FailureClass::BadRequest))];
    let trace = world.failing("one", &failures);
    assert_eq!(trace.called(), ["one", "two", "three"]);
    assert!(trace.end.is_ok());
}

#[test]
fn the_requests_own_list_replaces_the_configured_ones() {
    let mut world =
        chain().with(|s| s.fallbacks = lists(&[("one", &["two"]), ("three", &["two"])]));
    // the request's list, whether fallbacks are disabled; groups called
    type Case<'a> = (Option<&'a [&'a str]>, bool, &'a [&'a str]);
    let cases: [Case<'_>; 4] = [
        (Some(&["three", "nowhere", "four"]), false, &["one", "three", "four"]),
        (Some(&[]), false, &["one"]),
        (Some(&["three"]), true, &["one"]),
        (None, true, &["one"]),
    ];
    for (list, disable_fallbacks, expected) in cases {
        let request = Ask { fallbacks: list.map(fallbacks), disable_fallbacks, ..ask("one") };
        assert_eq!(all_fail(&mut world, request, FailureClass::Server), expected);
        world.pass(seconds(600));
    }
}

#[test]
fn parameters_of_a_fallback_go_with_its_attempts() {
    let raw = serde_json::value::RawValue::from_string("0.5".into()).unwrap();
    let params = vec![("temperature".into(), raw)];
    let list = vec![Fallback { group: "two".into(), params }];
    let mut world = chain();
    let request = Ask { fallbacks: Some(list), ..ask("one") };
    let mut seen: Vec<Vec<String>> = Vec::new();
    world.request(request, |attempt| {
        seen.push(attempt.overrides.iter().map(|(k, v)| format!("{k}={}", v.get())).collect());
        Err(failure(FailureClass::Server))
    });
    assert_eq!(seen, [vec![], vec!["temperature=0.5".to_owned()]]);
}

#[test]
fn a_group_in_its_own_list_means_its_other_deployments() {
    let mut world = World::new(group("gpt", &["a", "b", "c"])).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("gpt", &["gpt"])]);
    });
    let trace = world.request(ask("gpt"), |_| Err(failure(FailureClass::Server)));
    let called = trace.called();
    assert_eq!(called.len(), 2, "once");
    assert_ne!(called[0], called[1]);

    let mut world = World::new(group("gpt", &["a"])).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("gpt", &["gpt"])]);
    });
    assert_eq!(all_fail(&mut world, ask("gpt"), FailureClass::Server), ["a"], "there is no other");
}

#[test]
fn names_of_every_kind_can_stand_in() {
    let mut deployments = group("gpt", &["a"]);
    deployments.extend(group("openai/*", &["wild"]));
    deployments.extend(group("claude", &["b", "c"]));
    let alias =
        Alias { name: "spare".into(), target: AliasTarget::Group("claude".into()), hidden: false };
    let mut world = World::with_aliases(deployments, vec![alias]).with(|settings| {
        settings.num_retries = 0;
    });
    let cases = [("spare", "claude"), ("openai/gpt-4o", "openai/*"), ("c", "claude")];
    for (target, expected) in cases {
        world.settings.fallbacks = lists(&[("gpt", &[target])]);
        let mut groups = Vec::new();
        world.request(ask("gpt"), |attempt| {
            groups.push(attempt.group.to_string());
            if *attempt.group == *"gpt" { Err(failure(FailureClass::Server)) } else { Ok(()) }
        });
        assert_eq!(groups.last().map(String::as_str), Some(expected), "{target}");
    }
}

#[test]
fn two_models_behind_one_wildcard_are_two_targets() {
    let mut world = World::new(group("openai/*", &["wild"])).with(|settings| {
        settings.num_retries = 0;
        settings.fallbacks = lists(&[("openai/gpt-4o", &["openai/gpt-4o-mini"])]);
    });
    let mut models = Vec::new();
    world.request(ask("openai/gpt-4o"), |attempt| {
        models.push(attempt.model.to_string());
        Err(failure(FailureClass::NotFound))
    });
    assert_eq!(models, ["gpt-4o", "gpt-4o-mini"]);
}

#[test]
fn fallbacks_are_found_under_the_group_and_the_bare_name_too() {
    for key in ["openai/gpt-4o", "openai/*", "gpt-4o", "*"] {
        let mut deployments = group("openai/*", &["wild"]);
        deployments.extend(group("other", &["other"]));
        let mut world = World::new(deployments).with(|settings| {
            settings.num_retries = 0;
            settings.fallbacks = lists(&[(key, &["other"])]);
        });
        let trace = world.failing("openai/gpt-4o", &[("wild", failure(FailureClass::Auth))]);
        assert_eq!(trace.called(), ["wild", "other"], "{key}");
    }
}

#[test]
fn the_number_of_fallbacks_is_bounded() {
    let names: Vec<String> = (0..10).map(|n| format!("g{n}")).collect();
    let deployments = names.iter().map(|name| deployment(name, name)).collect();
    let mut world = World::new(deployments).with(|settings| {
        settings.num_retries = 0;
        for pair in names.windows(2) {
            settings.fallbacks.insert(pair[0].as_str().into(), fallbacks(&[&pair[1]]));
        }
    });
    assert_eq!(all_fail(&mut world, ask("g0"), FailureClass::Server).len(), 6, "1 + max_fallbacks");
    world.settings.max_fallbacks = 0;
    world.pass(seconds(600));
    assert_eq!(all_fail(&mut world, ask("g0"), FailureClass::Server).len(), 1);
}

#[test]
fn a_fallback_goes_before_a_providers_delay_and_the_delay_before_giving_up() {
    let mut world = chain().with(|settings| {
        settings.num_retries = 1;
        settings.fallbacks = lists(&[("one", &["two"])]);
    });
    let limited = rate_limit(seconds(7));
    let trace = world.failing("one", &[("one", limited.clone())]);
    assert_eq!(trace.called(), ["one", "two"]);
    assert_eq!(trace.waited(), Duration::ZERO);

    world.pass(seconds(600));
    let mut times = 0;
    let trace = world.request(ask("one"), |attempt| match &*attempt.group {
        "two" => Err(failure(FailureClass::Auth)),
        _ => {
            times += 1;
            if times == 1 { Err(limited.clone()) } else { Ok(()) }
        }
    });
    assert_eq!(trace.called(), ["one", "two", "one"]);
    assert!(trace.waited() >= seconds(7));
    assert!(trace.end.is_ok());
}

#[test]
fn a_resting_group_is_stood_in_for_without_a_call() {
    let mut world = chain().with(|s| s.fallbacks = lists(&[("one", &["two"])]));
    world.failing("one", &[("one", failure(FailureClass::RateLimited))]);
    let trace = world.failing("one", &[]);
    assert_eq!(trace.called(), ["two"]);
    assert_eq!((trace.retries, trace.fallbacks), (0, 1));
}
