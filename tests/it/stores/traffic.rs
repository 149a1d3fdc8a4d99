//! Sums of traffic: what overviews are made of agrees with the rows.

use jiff::Timestamp;
use tollgate::spend::traffic::{PayerGrouping, PayersQuery, Step, TrafficQuery, Tried};
use tollgate::spend::{Ledger as _, Span, SpendEvent};
use tollgate::usage::Usage;

use super::on_each;

/// The beginning of the hour before this one: sums of quarters are kept for the last days only.
fn hour_us() -> i64 {
    (Step::Hour.slot(Timestamp::now().as_microsecond()) - 1) * Step::Hour.us()
}

fn event(id: &str, minute: i64, deployment: &str, key: &str) -> SpendEvent {
    SpendEvent {
        request_id: id.into(),
        started_us: hour_us() + minute * 60_000_000,
        duration_us: 100_000 + minute * 10_000,
        first_token_us: Some(20_000),
        key: key.into(),
        user: Some(format!("user-of-{key}").into()),
        route: "/v1/chat/completions".into(),
        model: "gpt".into(),
        group: Some("gpt".into()),
        provider: Some("openai".into()),
        deployment: Some(deployment.into()),
        status: 200,
        usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
        cost_pico: 7,
        ..SpendEvent::default()
    }
}

fn failed(id: &str, minute: i64) -> SpendEvent {
    let tried = |deployment: &str, outcome: &str| Tried {
        deployment: deployment.into(),
        group: "gpt".into(),
        provider: "openai".into(),
        outcome: outcome.into(),
        ..Tried::default()
    };
    SpendEvent {
        status: 504,
        error: Some("timeout".into()),
        retries: 1,
        attempts: vec![tried("a", "server"), tried("b", "timeout")],
        usage: Usage::default(),
        cost_pico: 0,
        ..event(id, minute, "b", "k2")
    }
}

fn query(step: Step) -> TrafficQuery {
    let from_us = hour_us();
    TrafficQuery {
        span: step.widen(Span { from_us, to_us: from_us + Step::Hour.us() }),
        step,
        times: step,
        times_of_places: step,
        brief: false,
        group: None,
        provider: None,
        deployment: None,
    }
}

#[test]
fn sums_of_every_step_agree_with_the_rows_and_count_each_once() {
    on_each(async |open| {
        let database = open();
        let events =
            [event("1", 1, "a", "k1"), event("2", 20, "a", "k1"), event("3", 50, "b", "k2")];
        database.append(&events).await.unwrap();
        database.append(&[failed("4", 52)]).await.unwrap();
        // Told again: nothing is counted twice.
        database.append(&[events[0].clone(), failed("4", 52)]).await.unwrap();
        for step in Step::ALL {
            let traffic = database.traffic(&query(step)).await.unwrap();
            let mut sum = tollgate::spend::traffic::Counts::default();
            traffic.by_place.iter().for_each(|(_, counts)| sum.add(counts));
            assert_eq!((sum.requests, sum.failures, sum.timeouts, sum.retries), (4, 1, 1, 1));
            assert_eq!((sum.attempts, sum.attempt_failures, sum.attempt_timeouts), (5, 2, 1));
            assert_eq!((sum.cost_pico, sum.input_tokens), (21, 30));
            let in_time: u64 = traffic.by_time.iter().map(|(_, counts)| counts.requests).sum();
            assert_eq!(in_time, 4, "{step:?}");
            let slots = if step == Step::Quarter { 3 } else { 1 };
            assert_eq!(traffic.by_time.len(), slots, "{step:?}");
            assert_eq!(traffic.errors, [("timeout".into(), 1)]);
            let attempts: u64 = traffic.attempts.iter().map(|tally| tally.attempts).sum();
            assert_eq!(attempts, 5);
            let measured: u64 =
                traffic.times_by_place.iter().map(|(_, times)| times.latency.count()).sum();
            assert_eq!(measured, 3, "a failure has no latency");
            let first: u64 =
                traffic.times_by_time.iter().map(|(_, times)| times.first_token.count()).sum();
            assert_eq!(first, 3);
            let (place, times) = &traffic.times_by_place[0];
            assert_eq!(&*place.deployment, "a");
            assert_eq!(times.latency.mean(), Some(205_000.0));
        }
    });
}

#[test]
fn traffic_can_be_asked_for_by_where_it_went() {
    on_each(async |open| {
        let database = open();
        let other = SpendEvent { provider: Some("azure".into()), ..event("5", 3, "c", "k1") };
        let events = [event("1", 1, "a", "k1"), failed("4", 52), other];
        database.append(&events).await.unwrap();
        let asked = |refine: fn(&mut TrafficQuery)| {
            let mut query = query(Step::Hour);
            refine(&mut query);
            query
        };
        for (query, requests) in [
            (asked(|it| it.provider = Some("azure".into())), 1),
            (asked(|it| it.provider = Some("openai".into())), 2),
            (asked(|it| it.deployment = Some("b".into())), 1),
            (asked(|it| it.group = Some("gpt".into())), 3),
            (asked(|it| it.group = Some("none".into())), 0),
            (asked(|it| it.brief = true), 3),
        ] {
            let traffic = database.traffic(&query).await.unwrap();
            let found: u64 = traffic.by_place.iter().map(|(_, counts)| counts.requests).sum();
            assert_eq!(found, requests, "{query:?}");
            assert!(!query.brief || traffic.by_time.is_empty());
        }
    });
}

#[test]
fn hours_are_summed_up_by_who_paid() {
    on_each(async |open| {
        let database = open();
        let events =
            [event("1", 1, "a", "k1"), event("2", 20, "a", "k1"), event("3", 50, "b", "k2")];
        database.append(&events).await.unwrap();
        let from_us = hour_us();
        let query = |by| PayersQuery {
            span: Span { from_us, to_us: from_us + Step::Hour.us() },
            by,
            key: None,
            user: None,
            team: None,
            group: None,
            provider: None,
            most: 0,
        };
        let named = async |query: PayersQuery| -> Vec<(String, u64)> {
            let lines = database.payers(&query).await.unwrap();
            lines.iter().map(|(name, counts)| (name.to_string(), counts.requests)).collect()
        };
        let keys = named(query(PayerGrouping::Key)).await;
        assert_eq!(keys, [("k1".to_owned(), 2), ("k2".to_owned(), 1)]);
        let first = named(PayersQuery { most: 1, ..query(PayerGrouping::Key) }).await;
        assert_eq!(first, [("k1".to_owned(), 2)]);
        let own = PayersQuery { user: Some("user-of-k2".into()), ..query(PayerGrouping::Hour) };
        assert_eq!(named(own).await, [(from_us.to_string(), 1)]);
        let team = named(query(PayerGrouping::Team)).await;
        assert_eq!(team, [(String::new(), 3)], "without a team");
        let later = Span { from_us: from_us + Step::Hour.us(), to_us: from_us + Step::Day.us() };
        assert!(named(PayersQuery { span: later, ..query(PayerGrouping::Key) }).await.is_empty());
    });
}

#[test]
fn old_rows_have_sums_of_long_steps_only() {
    on_each(async |open| {
        let database = open();
        let old =
            SpendEvent { started_us: hour_us() - 40 * Step::Day.us(), ..event("1", 1, "a", "k1") };
        database.append(&[old]).await.unwrap();
        let span = Span { from_us: 0, to_us: hour_us() };
        for (step, requests) in [(Step::Quarter, 0), (Step::Hour, 1), (Step::Day, 1)] {
            let query = TrafficQuery { span, ..query(step) };
            let traffic = database.traffic(&query).await.unwrap();
            let found: u64 = traffic.by_place.iter().map(|(_, counts)| counts.requests).sum();
            assert_eq!(found, requests, "{step:?}");
        }
    });
}
