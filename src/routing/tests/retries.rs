//! How often, where and after what delay a failed request is tried again in its group.

use super::*;
use crate::routing::RetryPolicy;

const MAX_JITTER: Duration = Duration::from_millis(750);

fn single() -> World {
    World::new(group("gpt", &["a"]))
}

/// A wait of `base`, plus the jitter that every wait gets.
fn assert_waits(trace: &Trace, bases_ms: &[u64]) {
    assert_eq!(trace.calls.len(), bases_ms.len(), "{trace:?}");
    for ((_, wait), base) in trace.calls.iter().zip(bases_ms) {
        let base = Duration::from_millis(*base);
        let longest = if base.is_zero() { base } else { base + MAX_JITTER };
        assert!((base..=longest).contains(wait), "{wait:?} for {base:?} in {trace:?}");
    }
}

#[test]
fn a_failed_call_is_retried_with_growing_delays_and_none_after_the_last() {
    let mut world = single();
    let begun = world.now;
    let trace = world.failing("gpt", &[("a", failure(FailureClass::Server))]);
    assert_waits(&trace, &[0, 500, 1000]);
    assert_eq!(trace.end, Err(Stop::LastFailure));
    assert_eq!((trace.retries, trace.fallbacks), (2, 0));
    assert_eq!(world.now - begun, trace.waited(), "time passes only before an attempt");
}

#[test]
fn a_retry_goes_to_another_deployment_at_once() {
    for class in [
        FailureClass::Server,
        FailureClass::Timeout,
        FailureClass::Connection,
        FailureClass::Overloaded,
        FailureClass::RateLimited,
        FailureClass::Quota,
        FailureClass::Auth,
        FailureClass::NotFound,
        FailureClass::Conflict,
    ] {
        let mut world = World::new(group("gpt", &["a", "b", "c"]));
        let mut first = None;
        let trace = world.request(ask("gpt"), |attempt| {
            first.get_or_insert_with(|| attempt.deployment.id.clone());
            let fails = first.as_ref() == Some(&attempt.deployment.id);
            if fails { Err(failure(class)) } else { Ok(()) }
        });
        assert!(trace.end.is_ok(), "{class:?}: {trace:?}");
        assert_waits(&trace, &[0, 0]);
    }
}

#[test]
fn all_deployments_are_tried_before_one_is_tried_twice() {
    let mut world = World::new(group("gpt", &["a", "b", "c"])).with(|s| s.num_retries = 4);
    let trace = world.request(ask("gpt"), |_| Err(failure(FailureClass::Server)));
    let mut called = trace.called();
    called[..3].sort_unstable();
    assert_eq!(called[..3], ["a", "b", "c"]);
    assert_waits(&trace, &[0, 0, 0, 500, 0]);
    assert_ne!(called[3], called[4], "the next one has waited long enough meanwhile");
}

#[test]
fn a_wrong_request_is_not_repeated() {
    for class in
        [FailureClass::BadRequest, FailureClass::ContextWindow, FailureClass::ContentPolicy]
    {
        let mut world = World::new(group("gpt", &["a", "b"]));
        let trace = world.request(ask("gpt"), |_| Err(failure(class)));
        assert_eq!((trace.calls.len(), trace.end), (1, Err(Stop::LastFailure)), "{class:?}");
    }
}

#[test]
fn the_same_deployment_is_not_asked_again_where_waiting_does_not_help() {
    for class in [FailureClass::Quota, FailureClass::Auth, FailureClass::NotFound] {
        let mut world = single();
        let trace = world.failing("gpt", &[("a", failure(class))]);
        assert_eq!(trace.called(), ["a"], "{class:?}");
    }
}

#[test]
fn the_providers_word_on_retries_wins() {
    let told = |class, should_retry| Failure { should_retry: Some(should_retry), ..failure(class) };
    let cases = [
        (told(FailureClass::BadRequest, true), 3),
        (told(FailureClass::Server, false), 1),
        (told(FailureClass::Auth, true), 3),
    ];
    for (failure, calls) in cases {
        let mut world = single();
        let trace = world.failing("gpt", &[("a", failure.clone())]);
        assert_eq!(trace.calls.len(), calls, "{failure:?}");
    }

    let mut world = World::new(group("gpt", &["a", "b"]));
    let trace = world.request(ask("gpt"), |_| Err(told(FailureClass::Server, false)));
    assert_eq!(trace.calls.len(), 2, "it speaks for itself, not for the other deployment");
}

#[test]
fn the_number_of_retries_comes_from_the_closest_place_that_says_one() {
    // request, deployment, group, general; calls
    let cases = [
        (None, None, None, 2, 3),
        (None, None, Some(3), 2, 4),
        (None, Some(1), Some(3), 2, 2),
        (Some(0), Some(1), Some(3), 2, 1),
        (Some(1_000_000), None, None, 2, 33),
    ];
    for (asked, of_deployment, of_group, general, calls) in cases {
        let a = Deployment { num_retries: of_deployment, ..deployment("gpt", "a") };
        let mut world = World::new(vec![a]).with(|settings| {
            settings.num_retries = general;
            settings.group_num_retries.extend(of_group.map(|retries| ("gpt".into(), retries)));
        });
        let request = Ask { num_retries: asked, ..ask("gpt") };
        let trace = world.request(request, |_| Err(failure(FailureClass::Server)));
        assert_eq!(trace.calls.len(), calls, "{asked:?} {of_deployment:?} {of_group:?} {general}");
    }
}

#[test]
fn a_retry_policy_decides_by_class() {
    use FailureClass as Class;
    let policy = |by_class: &[(Class, u32)], default| RetryPolicy {
        by_class: by_class.iter().copied().collect(),
        default,
    };
    let general =
        policy(&[(Class::Timeout, 4), (Class::Server, 0), (Class::ContentPolicy, 1)], None);
    let own = policy(&[(Class::Timeout, 1)], None);
    let by_default = policy(&[], Some(5));
    // general policy, group's policy, request's number, class; calls
    let cases = [
        (&general, None, None, Class::Timeout, 5),
        (&general, None, None, Class::Server, 1),
        (&general, None, None, Class::Connection, 3),
        (&general, None, None, Class::ContentPolicy, 2),
        (&general, None, None, Class::BadRequest, 1),
        (&general, Some(&own), None, Class::Timeout, 2),
        (&general, Some(&own), None, Class::Server, 1),
        (&general, None, Some(1), Class::Timeout, 2),
        (&general, None, Some(9), Class::Timeout, 5),
        (&by_default, None, None, Class::Server, 6),
        (&by_default, None, None, Class::BadRequest, 1),
    ];
    for (general, own, num_retries, class, calls) in cases {
        let mut world = single().with(|settings| {
            settings.retry_policy = general.clone();
            settings.group_retry_policy.extend(own.map(|own| ("gpt".into(), own.clone())));
        });
        let request = Ask { num_retries, ..ask("gpt") };
        let trace = world.request(request, |_| Err(failure(class)));
        assert_eq!(trace.calls.len(), calls, "{class:?}, {num_retries:?}, {own:?}");
    }
}

#[test]
fn the_written_delay_is_the_shortest() {
    let mut world = single().with(|settings| settings.retry_after = seconds(3));
    let trace = world.failing("gpt", &[("a", failure(FailureClass::Timeout))]);
    assert_waits(&trace, &[0, 3000, 3000]);

    let mut world = single().with(|settings| {
        settings.group_retry_after.insert("gpt".into(), seconds(20));
    });
    let trace = world.failing("gpt", &[("a", failure(FailureClass::Timeout))]);
    assert_waits(&trace, &[0, 20_000, 20_000]);
}

#[test]
fn a_providers_delay_is_waited_out_where_it_is_reasonable() {
    let millis = Duration::from_millis;
    // Retry-After, deadline; waits before each call
    let cases: [(Duration, Option<Duration>, &[u64]); 5] = [
        (millis(1500), None, &[0, 1500, 1500]),
        (seconds(60), None, &[0, 60_000, 60_000]),
        (seconds(61), None, &[0]),
        (seconds(5), Some(seconds(4)), &[0]),
        (seconds(5), Some(seconds(8)), &[0, 5000]),
    ];
    for (retry_after, deadline, waits) in cases {
        let mut world = single();
        world.deadline = deadline;
        let begun = world.now;
        let trace = world.failing("gpt", &[("a", rate_limit(retry_after))]);
        assert_waits(&trace, waits);
        assert_eq!(trace.end, Err(Stop::LastFailure));
        if let Some(deadline) = deadline {
            assert!(world.now <= begun + deadline, "nobody sleeps past the deadline");
        }
    }
}

#[test]
fn the_jitter_ends_at_the_deadline_too() {
    for seed in 0..20 {
        let mut world = single();
        world.seed = seed;
        world.deadline = Some(Duration::from_millis(5010));
        let begun = world.now;
        let trace = world.failing("gpt", &[("a", rate_limit(seconds(5)))]);
        assert_eq!(trace.calls.len(), 2);
        assert!(world.now <= begun + Duration::from_millis(5010), "{trace:?}");
    }
}

#[test]
fn of_several_limited_deployments_the_one_that_returns_first_is_waited_for() {
    let mut world = World::new(group("gpt", &["slow", "quick"]));
    let failures = [("slow", rate_limit(seconds(30))), ("quick", rate_limit(seconds(2)))];
    let trace = world.failing("gpt", &failures);
    assert_eq!(trace.called()[2], "quick");
    assert_waits(&trace, &[0, 0, 2000]);
}

#[test]
fn retries_end_at_the_deadline() {
    let mut world = single().with(|settings| settings.num_retries = 30);
    world.deadline = Some(seconds(10));
    let begun = world.now;
    let trace = world.failing("gpt", &[("a", failure(FailureClass::Overloaded))]);
    assert!(world.now <= begun + seconds(10));
    assert!(trace.calls.len() < 8, "{trace:?}");
}

#[test]
fn the_plan_keeps_a_record_of_its_attempts() {
    let mut world = World::new(group("gpt", &["a"]));
    let mut plan = world.plan(ask("gpt"));
    for status in [500, 503] {
        let (settings, state) = (&world.settings, &world.state);
        let one = attempt(plan.next(&world.catalog, settings, state, world.now, None));
        let failure = Failure { status: Some(status), ..failure(FailureClass::Server) };
        plan.failed(one, &failure, settings, state, world.now);
    }
    let statuses: Vec<_> = plan.attempts().iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(500), Some(503)]);
    assert_eq!(plan.attempts()[0].class, Some(FailureClass::Server));
    assert_eq!(plan.group().map(|group| &**group), Some("gpt"));
}
