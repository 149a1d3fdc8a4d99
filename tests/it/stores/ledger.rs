//! The ledger: each event once, and sums that agree with the rows.

use std::sync::Arc;

use tollgate::spend::{
    Aged, Appended, Grouping, Ledger as _, Query, Report, Scope, ScopeKind, Span, SpendEvent,
    Spoken,
};
use tollgate::usage::Usage;

use super::on_each;

/// 2026-11-21T16:30:00Z, at the beginning of a quarter.
const NOON_US: i64 = 1_795_278_600_000_000;
const MINUTE_US: i64 = 60_000_000;

fn event(id: &str, minutes: i64, cost_pico: u64) -> SpendEvent {
    SpendEvent {
        request_id: id.into(),
        started_us: NOON_US + minutes * MINUTE_US,
        duration_us: 1_500_000,
        key: "hash".into(),
        user: Some("ada".into()),
        team: Some("red".into()),
        tags: vec!["a_b".into(), "100%".into()],
        model: "gpt".into(),
        group: Some("gpt".into()),
        provider: Some("openai".into()),
        status: 200,
        usage: Usage { input_tokens: 10, output_tokens: 5, ..Usage::default() },
        cost_pico,
        ..SpendEvent::default()
    }
}

fn key() -> Scope {
    Scope::new(ScopeKind::Key, "hash")
}

#[test]
fn an_event_is_counted_once_however_often_it_is_told() {
    on_each(async |open| {
        let ledger = open();
        let (one, two) = (event("1", 0, 100), event("2", 1, 20));
        let twice = ledger.append(&[one.clone(), one.clone()]).await.unwrap();
        assert_eq!(twice, Appended { new: 1, known: 1 });
        let both = open().append(&[one.clone(), two.clone()]).await.unwrap();
        assert_eq!(both, Appended { new: 1, known: 1 });
        assert_eq!(ledger.search(&Query::default()).await.unwrap(), [two, one]);
        for (kind, id) in [
            (ScopeKind::Proxy, ""),
            (ScopeKind::Key, "hash"),
            (ScopeKind::Team, "red"),
            (ScopeKind::TeamMember, "red/ada"),
            (ScopeKind::KeyModel, "hash/gpt"),
            (ScopeKind::Tag, "100%"),
        ] {
            let scope = Scope::new(kind, id);
            assert_eq!(ledger.spent(&scope, None).await.unwrap(), 120, "{scope:?}");
        }
    });
}

#[test]
fn what_was_spent_is_summed_up_since_a_time() {
    on_each(async |open| {
        let ledger = open();
        let events = [event("1", 0, 1), event("2", 15, 10), event("3", 60, 100)];
        ledger.append(&events).await.unwrap();
        let key = key();
        let since = |minutes| ledger.spent(&key, Some(NOON_US + minutes * MINUTE_US));
        assert_eq!(since(0).await.unwrap(), 111);
        assert_eq!(since(15).await.unwrap(), 110);
        assert_eq!(since(20).await.unwrap(), 100, "what was spent in the quarter before");
        assert_eq!(since(75).await.unwrap(), 0);
        ledger.adjust(&key, NOON_US + 60 * MINUTE_US, -101).await.unwrap();
        assert_eq!(since(15).await.unwrap(), 9);
        assert_eq!(ledger.spent(&key, None).await.unwrap(), 10);
    });
}

#[test]
fn a_time_within_a_quarter_counts_what_was_spent_since_then() {
    on_each(async |open| {
        let ledger = open();
        let more = |event: SpendEvent| SpendEvent {
            organisation: Some("acme".into()),
            end_user: Some("eve".into()),
            deployment: Some("d".into()),
            ..event
        };
        let of_other = SpendEvent {
            key: "hash2".into(),
            user: Some("ADA".into()),
            team: None,
            tags: vec!["a_b c".into(), "A_B".into()],
            group: Some("gpt-5".into()),
            provider: None,
            ..event("other", 7, 1_000)
        };
        let replaced = SpendEvent {
            key: "newer".into(),
            account: Some("hash".into()),
            key_models: vec!["gpt".into(), "alias".into()],
            ..more(event("3", 8, 100))
        };
        let events = [
            more(event("1", 0, 1)),
            more(event("2", 5, 10)),
            replaced,
            of_other,
            more(event("4", 16, 10_000)),
            more(event("5", 31, 100_000)),
        ];
        ledger.append(&events).await.unwrap();
        let since = async |kind, id: &str, minutes: i64| {
            let since_us = NOON_US + minutes * MINUTE_US;
            ledger.spent(&Scope::new(kind, id), Some(since_us)).await.unwrap()
        };
        for (kind, id, expected) in [
            (ScopeKind::Proxy, "", 111_110),
            (ScopeKind::Organisation, "acme", 110_110),
            (ScopeKind::Team, "red", 110_110),
            (ScopeKind::TeamMember, "red/ada", 110_110),
            (ScopeKind::User, "ada", 110_110),
            (ScopeKind::User, "ADA", 1_000),
            (ScopeKind::Key, "hash", 110_110),
            (ScopeKind::Key, "newer", 0),
            (ScopeKind::Key, "hash2", 1_000),
            (ScopeKind::EndUser, "eve", 110_110),
            (ScopeKind::Model, "gpt", 110_110),
            (ScopeKind::KeyModel, "hash/gpt", 110_110),
            (ScopeKind::KeyModel, "hash/alias", 100),
            (ScopeKind::KeyModel, "hash2/gpt", 0),
            (ScopeKind::Tag, "a_b", 110_110),
            (ScopeKind::Tag, "a_b c", 1_000),
            (ScopeKind::Provider, "openai", 110_110),
            (ScopeKind::Deployment, "d", 110_110),
        ] {
            assert_eq!(since(kind, id, 3).await, expected, "{kind:?} {id}");
        }
        assert_eq!(since(ScopeKind::Key, "hash", 5).await, 110_110, "from the very moment");
        assert_eq!(since(ScopeKind::Key, "hash", 6).await, 110_100);
        assert_eq!(since(ScopeKind::Key, "hash", 32).await, 0);
        // Of each it is known when it was made.
        ledger.adjust(&key(), NOON_US + 2 * MINUTE_US, 7_000_000).await.unwrap();
        ledger.adjust(&key(), NOON_US + 10 * MINUTE_US, -110).await.unwrap();
        assert_eq!(since(ScopeKind::Key, "hash", 3).await, 110_000);
        assert_eq!(since(ScopeKind::Key, "hash", 1).await, 7_110_000);
        assert_eq!(since(ScopeKind::Key, "hash", 0).await, 7_110_001);
        assert_eq!(since(ScopeKind::Key, "hash", 11).await, 110_000);
        assert_eq!(since(ScopeKind::User, "ada", 3).await, 110_110, "it was about the key");
    });
}

#[test]
fn gateways_that_write_at_the_same_time_lose_nothing() {
    on_each(async |open| {
        let ledgers: Vec<_> = (0..4).map(|_| Arc::new(open())).collect();
        ledgers[0].append(&[event("first", 0, 1)]).await.unwrap();
        let writers = ledgers.iter().enumerate().map(|(writer, ledger)| {
            let ledger = Arc::clone(ledger);
            tokio::spawn(async move {
                for batch in 0..10 {
                    // Half of them are told by the neighbour, too.
                    let events: Vec<_> = (0..20_u8)
                        .map(|n| {
                            let teller = (writer + usize::from(n % 2)) % 4;
                            event(&format!("{teller}-{batch}-{n}"), n.into(), 7)
                        })
                        .collect();
                    ledger.append(&events).await.unwrap();
                }
            })
        });
        for writer in futures::future::join_all(writers).await {
            writer.unwrap();
        }
        let rows = ledgers[0].search(&Query { limit: 10_000, ..Query::default() }).await.unwrap();
        let sum: u64 = rows.iter().map(|row| row.cost_pico).sum();
        let spent = ledgers[0].spent(&key(), None).await.unwrap();
        assert_eq!(spent, i64::try_from(sum).unwrap());
        // Each writer's even ones, and its neighbour's odd ones.
        assert_eq!(rows.len(), 1 + 4 * 10 * 20);
    });
}

#[test]
fn rows_are_found_by_what_they_are_about() {
    on_each(async |open| {
        let ledger = open();
        let other = SpendEvent {
            key: "other".into(),
            team: None,
            end_user: Some("bob".into()),
            tags: vec!["axb".into(), "a\"c".into()],
            status: 429,
            error: Some("rate_limited".into()),
            deployment: Some("elsewhere".into()),
            ..event("2", 1, 0)
        };
        ledger.append(&[event("1", 0, 5), other]).await.unwrap();
        let found = async |query: Query| {
            let rows = ledger.search(&query).await.unwrap();
            rows.iter().map(|row| row.request_id.to_string()).collect::<Vec<_>>()
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(found(Query { key: text("other"), ..Query::default() }).await, ["2"]);
        assert_eq!(found(Query { team: text("red"), ..Query::default() }).await, ["1"]);
        assert_eq!(found(Query { end_user: text("bob"), ..Query::default() }).await, ["2"]);
        assert_eq!(found(Query { error: text("rate_limited"), ..Query::default() }).await, ["2"]);
        assert_eq!(found(Query { deployment: text("elsewhere"), ..Query::default() }).await, ["2"]);
        assert_eq!(found(Query { failed: Some(true), ..Query::default() }).await, ["2"]);
        assert_eq!(found(Query { failed: Some(false), ..Query::default() }).await, ["1"]);
        assert_eq!(found(Query { tag: text("a_b"), ..Query::default() }).await, ["1"]);
        assert_eq!(found(Query { tag: text("100%"), ..Query::default() }).await, ["1"]);
        assert_eq!(found(Query { tag: text("a\"c"), ..Query::default() }).await, ["2"]);
        let span = Span { from_us: NOON_US, to_us: NOON_US + MINUTE_US };
        assert_eq!(found(Query { span: Some(span), ..Query::default() }).await, ["1"]);
        assert_eq!(found(Query { limit: 1, skip: 1, ..Query::default() }).await, ["1"]);
    });
}

#[test]
fn reports_are_the_sums_of_the_rows() {
    on_each(async |open| {
        let ledger = open();
        let day = 24 * 60;
        let failed = SpendEvent { status: 500, model: "x".into(), ..event("3", day, 0) };
        let other = SpendEvent { team: Some("blue".into()), ..event("2", 0, 30) };
        ledger.append(&[event("1", 0, 5), other, failed]).await.unwrap();
        let span = Span { from_us: NOON_US, to_us: NOON_US + 2 * day * MINUTE_US };
        let report = |by: &[Grouping]| {
            let report = Report { by: by.to_vec(), ..report_of(span) };
            let ledger = &ledger;
            async move {
                let lines = ledger.report(&report).await.unwrap();
                let told = lines.into_iter().map(|line| {
                    (line.group.join(" "), line.columns.requests, line.columns.cost_pico)
                });
                told.collect::<Vec<_>>()
            }
        };
        assert_eq!(report(&[]).await, [(String::new(), 3, 35)]);
        assert_eq!(
            report(&[Grouping::Day, Grouping::Team]).await,
            [
                ("2026-11-21 blue".into(), 1, 30),
                ("2026-11-21 red".into(), 1, 5),
                ("2026-11-22 red".into(), 1, 0),
            ]
        );
        assert_eq!(report(&[Grouping::Tag]).await, [("100%".into(), 3, 35), ("a_b".into(), 3, 35)]);
        let lines =
            ledger.report(&Report { team: Some("red".into()), ..report_of(span) }).await.unwrap();
        assert_eq!(lines[0].columns.failures, 1);
        assert_eq!(lines[0].columns.input_tokens, 20);
    });
}

#[test]
fn old_rows_go_and_their_sums_stay() {
    on_each(async |open| {
        let ledger = open();
        ledger.append(&[event("1", 0, 5), event("2", 10, 7)]).await.unwrap();
        assert_eq!(ledger.forget(Aged::Rows, NOON_US + MINUTE_US).await.unwrap(), 1);
        assert_eq!(ledger.forget(Aged::Rows, NOON_US + MINUTE_US).await.unwrap(), 0);
        assert_eq!(ledger.search(&Query::default()).await.unwrap().len(), 1);
        assert_eq!(ledger.spent(&key(), None).await.unwrap(), 12);
    });
}

#[test]
fn what_was_said_is_kept_once_and_goes_when_it_is_old() {
    on_each(async |open| {
        let ledger = open();
        assert_eq!(ledger.spoken("1").await.unwrap(), None, "nothing is there yet");
        let spoken = |id: &str, minutes: i64, reply: Option<&str>| Spoken {
            request_id: id.into(),
            started_us: NOON_US + minutes * MINUTE_US,
            request: r#"{"messages":["a \u0000 b"]}"#.into(),
            reply: reply.map(Into::into),
        };
        let (first, second) = (spoken("1", 0, Some("{}")), spoken("2", 10, None));
        ledger.keep_spoken(&[first.clone(), second.clone()]).await.unwrap();
        ledger.keep_spoken(&[spoken("1", 5, None)]).await.unwrap();
        assert_eq!(ledger.spoken("1").await.unwrap(), Some(first), "as it was first told");
        assert_eq!(ledger.forget(Aged::Spoken, NOON_US + MINUTE_US).await.unwrap(), 1);
        assert_eq!(ledger.spoken("1").await.unwrap(), None);
        assert_eq!(ledger.spoken("2").await.unwrap(), Some(second));
        // A character that PostgreSQL has no place for.
        let odd = Spoken { request: "\0".into(), ..spoken("3", 10, None) };
        ledger.keep_spoken(&[odd]).await.unwrap();
        assert!(ledger.spoken("3").await.unwrap().is_some());
    });
}

#[test]
fn old_sums_go_and_what_was_spent_ever_stays() {
    on_each(async |open| {
        let ledger = open();
        let events = [event("1", 0, 5), event("2", 15, 7), event("3", 30, 11)];
        ledger.append(&events).await.unwrap();
        let end_of_first = NOON_US + 15 * MINUTE_US;
        assert!(ledger.forget(Aged::Sums, end_of_first).await.unwrap() > 0);
        assert_eq!(ledger.forget(Aged::Sums, end_of_first).await.unwrap(), 0);
        assert_eq!(ledger.spent(&key(), Some(NOON_US)).await.unwrap(), 18);
        assert_eq!(ledger.spent(&key(), None).await.unwrap(), 23);
        assert_eq!(ledger.search(&Query::default()).await.unwrap().len(), 3);
    });
}

#[test]
fn what_many_have_spent_is_asked_at_once_and_answered_in_their_order() {
    on_each(async |open| {
        let ledger = open();
        ledger.append(&[event("1", 0, 5), event("2", 15, 7)]).await.unwrap();
        let nobody = Scope::new(ScopeKind::User, "nobody");
        let mut asked = vec![
            (nobody.clone(), None),
            (key(), None),
            (key(), Some(NOON_US + 15 * MINUTE_US)),
            (Scope::new(ScopeKind::Team, "red"), Some(NOON_US)),
            (key(), Some(NOON_US + 60 * MINUTE_US)),
        ];
        // More than one statement takes.
        asked.extend((0..1_000).map(|_| (nobody.clone(), None)));
        asked.push((key(), None));
        let sums = ledger.spent_by(&asked).await.unwrap();
        assert_eq!(sums[..5], [0, 12, 7, 12, 0]);
        assert_eq!((sums.len(), sums[1_005]), (1_006, 12));
        assert!(ledger.spent_by(&[]).await.unwrap().is_empty());
    });
}

#[test]
fn tags_are_found_as_they_are_written_and_as_a_whole() {
    on_each(async |open| {
        let ledger = open();
        let tagged = |id: &str, tags: &[&str]| SpendEvent {
            tags: tags.iter().map(|tag| (*tag).into()).collect(),
            ..event(id, 0, 1)
        };
        let (upper, lower) = (tagged("1", &["x", "Prod"]), tagged("2", &["prod", "y"]));
        ledger.append(&[upper, lower, tagged("3", &["prod-eu", "Ärger\"s"])]).await.unwrap();
        for (tag, expected) in [
            ("Prod", vec!["1"]),
            ("prod", vec!["2"]),
            ("y", vec!["2"]),
            ("pro_", vec![]),
            (",", vec![]),
            ("Ärger\"s", vec!["3"]),
        ] {
            let rows =
                ledger.search(&Query { tag: Some(tag.into()), ..Query::default() }).await.unwrap();
            let ids: Vec<_> = rows.iter().map(|row| row.request_id.to_string()).collect();
            assert_eq!(ids, expected, "{tag}");
        }
    });
}

#[test]
fn a_name_with_the_character_that_a_database_has_no_place_for_is_kept() {
    on_each(async |open| {
        let ledger = open();
        let odd = SpendEvent {
            end_user: Some("a\0b".into()),
            tags: vec!["t\0".into()],
            ..event("1", 0, 5)
        };
        ledger.append(std::slice::from_ref(&odd)).await.unwrap();
        assert_eq!(ledger.search(&Query::default()).await.unwrap(), [odd]);
        let end_user = Scope::new(ScopeKind::EndUser, "a\0b");
        assert_eq!(ledger.spent(&end_user, None).await.unwrap(), 5);
        assert_eq!(ledger.spent_by(&[(end_user, None)]).await.unwrap(), [5]);
    });
}

fn report_of(span: Span) -> Report {
    Report {
        span,
        by: vec![],
        key: None,
        user: None,
        team: None,
        group: None,
        provider: None,
        id: None,
    }
}
