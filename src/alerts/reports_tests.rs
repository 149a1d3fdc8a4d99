use super::*;
use crate::catalog::sample;
use crate::spend::Columns;
use crate::spend::traffic::{Measure, Place};

fn stretch() -> Stretch {
    let at = |text: &str| text.parse().unwrap();
    let (from, to) = (at("2026-11-21T00:00:00Z"), at("2026-11-21T12:00:00Z"));
    Stretch { from, to, name: "43200 1".into(), turn: "43200".into(), noted_until: to }
}

fn place(asked: &str, group: &str, deployment: &str) -> Place {
    Place {
        asked: asked.into(),
        group: group.into(),
        provider: "openai".into(),
        deployment: deployment.into(),
    }
}

#[test]
fn the_worst_deployments_come_first() {
    let counts = |requests, failures, output_tokens| Counts {
        requests,
        failures,
        attempts: requests,
        attempt_failures: failures,
        input_tokens: 1_000,
        output_tokens,
        cost_pico: 2_500_000_000_000,
        ..Counts::default()
    };
    let times = |us| {
        let mut times = Times::default();
        times.of(Measure::Latency).add(10, 4, us);
        times
    };
    let traffic = Traffic {
        by_place: vec![
            (place("", "gpt", "east"), counts(10, 4, 2_000)),
            (place("gpt", "other", "east"), counts(2, 1, 0)),
            (place("", "gpt", "west"), counts(1_000, 1, 1_000)),
            (place("", "gpt", ""), counts(5, 5, 0)),
        ],
        times_by_place: vec![
            (place("", "gpt", "east"), times(40_000_000)),
            (place("", "gpt", "west"), times(50_000_000)),
        ],
        ..Traffic::default()
    };
    let named = |id: &str| {
        let found = id == "east";
        found.then(|| Arc::new(sample::deployment("gpt = openai/gpt-4o #east")))
    };
    let east = "`east` (`openai/gpt-4o` at `https://api.example.com/v1`)";
    let expected = format!(
        "*Report* from `2026-11-21T00:00:00Z` to `2026-11-21T12:00:00Z` (12 h)\n\
         Requests: 1,017, of which 11 failed (1.08 %)\nCost: $10.00\n\
         Tokens: 4,000 in, 3,000 out\n\n\
         *Deployments with most failures*\n1. {east}: 5 of 12 attempts\n\
         2. `west`: 1 of 1,000 attempts\n\n\
         *Slowest deployments*\n1. `west`: 0.050 s for each output token\n\
         2. {east}: 0.020 s for each output token"
    );
    assert_eq!(daily(&stretch(), &traffic, named), Some(expected));
    assert_eq!(daily(&stretch(), &Traffic::default(), named), None);
}

#[test]
fn fallbacks_are_those_of_the_group_that_was_asked_for() {
    let fell = |fallbacks, fallbacks_succeeded| Counts {
        requests: 9,
        fallbacks,
        fallbacks_succeeded,
        ..Counts::default()
    };
    let traffic = Traffic {
        by_place: vec![
            (place("", "gpt", "east"), fell(0, 0)),
            (place("gpt", "backup", "c"), fell(4, 3)),
            (place("gpt", "last", "d"), fell(1, 1)),
            (place("", "claude", "e"), fell(7, 0)),
        ],
        ..Traffic::default()
    };
    let text = fallbacks(&stretch(), &traffic).unwrap();
    let (_, text) = text.split_once('\n').unwrap();
    assert_eq!(
        text,
        "Requests that fell back: 12, 4 well\n1. `claude`: 7, 0 well\n2. `gpt`: 5, 4 well"
    );
    assert_eq!(fallbacks(&stretch(), &Traffic::default()), None);
}

#[test]
fn who_spent_most_comes_first_and_the_rest_is_one_line() {
    let line = |name: usize, dollars: u64| Line {
        group: vec![format!("t{name:02}")],
        columns: Columns { cost_pico: dollars * 1_000_000_000_000, ..Columns::default() },
    };
    let lines = (0..LISTED + 3).map(|name| line(name, name as u64)).collect();
    let (all, sum) = dearest(lines);
    assert_eq!((&*all[0].0, all.len()), ("t22", LISTED + 2), "who spent nothing is left out");
    assert_eq!(sum, 253 * 1_000_000_000_000);
    let mut text = String::new();
    further(&mut text, &all);
    assert_eq!(text, "\n2 others: $3.00");
}

#[test]
fn what_is_due_has_a_name_of_its_own() {
    let now = "2026-11-22T05:00:00Z".parse().unwrap();
    let all = stretches(&Settings::default(), &TimeZone::UTC, now);
    let keys: std::collections::BTreeSet<_> = all.iter().map(|(kind, it)| it.key(*kind)).collect();
    assert_eq!((all.len(), keys.len()), (4, 4), "{keys:?}");
    let mut done = Done::default();
    (0..300).for_each(|number| done.add(number.to_string(), now));
    assert_eq!(done.0.len(), 100);
}
