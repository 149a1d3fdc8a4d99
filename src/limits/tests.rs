//! The windows against a log that forgets nothing, under random traffic and simulated time.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::*;

const MINUTE: u64 = 60_000;

fn scope(requests: Option<u64>, tokens: Option<u64>) -> Scope {
    Scope { window: Arc::default(), limit: Limit { requests, tokens } }
}

fn input(input: u64) -> Cost {
    Cost { input, output: 0 }
}

fn take(scope: &Scope, cost: Cost, now: u64) -> Result<Reservation<2>, Over> {
    Reservation::take([scope], cost, now).map_err(|refused| refused.over)
}

/// Lets a request through for good.
fn pass(scope: &Scope, tokens: u64, now: u64) -> Result<(), Over> {
    take(scope, input(tokens), now).map(|mut held| held.settle(tokens, now))
}

#[test]
fn never_more_than_the_limit_in_any_minute_and_nothing_is_refused_for_long() {
    for seed in 0..40 {
        let mut rng = Rng::with_seed(seed);
        let (rpm, tpm) = (rng.u64(1..60), rng.u64(500..20_000));
        let scope = scope(Some(rpm), Some(tpm));
        let mut passed: Vec<(u64, u64)> = Vec::new();
        let (mut now, mut promised) = (rng.u64(0..100_000), None::<(u64, u64)>);
        for _ in 0..3_000 {
            // Bursts and pauses.
            now += if rng.f64() < 0.9 { rng.u64(0..300) } else { rng.u64(0..20_000) };
            let tokens = rng.u64(1..tpm / 4);
            let (wait, tokens) = match promised.take() {
                Some((at, tokens)) if rng.bool() => (at.saturating_sub(now), tokens),
                _ => (0, tokens),
            };
            now += wait;
            match pass(&scope, tokens, now) {
                Ok(()) => passed.push((now, tokens)),
                Err(over) => {
                    assert!(wait == 0, "seed {seed}: the promised time was not kept");
                    assert!(over.wait_ms <= 61_000, "{over:?}");
                    promised = Some((now + over.wait_ms, tokens));
                }
            }
        }
        // Every minute that begins with a request.
        for (index, (from, _)) in passed.iter().enumerate() {
            let within: Vec<_> =
                passed[index..].iter().take_while(|(at, _)| at - from <= MINUTE).collect();
            let tokens: u64 = within.iter().map(|(_, tokens)| tokens).sum();
            assert!(within.len() as u64 <= rpm, "seed {seed}: {} of {rpm}", within.len());
            assert!(tokens <= tpm, "seed {seed}: {tokens} of {tpm} tokens");
        }
    }
}

#[test]
fn the_wait_is_exact() {
    let scope = scope(Some(2), None);
    pass(&scope, 0, 1_200).unwrap();
    pass(&scope, 0, 30_000).unwrap();
    let over = pass(&scope, 0, 40_000).unwrap_err();
    assert_eq!(over, Over { dimension: Dimension::Requests, wait_ms: 22_000 });
    assert_eq!(pass(&scope, 0, 61_999).unwrap_err().wait_ms, 1);
    pass(&scope, 0, 62_000).unwrap();
}

#[test]
fn a_wait_for_tokens_is_until_enough_of_them_are_free() {
    let scope = scope(None, Some(100));
    for second in 0..10 {
        pass(&scope, 10, second * 1_000).unwrap();
    }
    let wait = |tokens| pass(&scope, tokens, 10_000).unwrap_err();
    assert_eq!(wait(10), Over { dimension: Dimension::Tokens, wait_ms: 51_000 });
    assert_eq!(wait(11).wait_ms, 52_000);
    assert_eq!(wait(100).wait_ms, 60_000);
}

#[test]
fn nothing_stays_behind_whatever_becomes_of_the_requests() {
    for seed in 0..20 {
        let mut rng = Rng::with_seed(seed);
        let (deployment, provider) = (scope(Some(30), Some(4_000)), scope(Some(50), None));
        let mut open: Vec<Reservation<2>> = Vec::new();
        let mut settled: Vec<(u64, u64)> = Vec::new();
        let mut now = 5_000;
        for _ in 0..2_000 {
            now += rng.u64(0..500);
            let cost = Cost { input: rng.u64(0..300), output: rng.u64(0..300) };
            if let Ok(held) = Reservation::take([&deployment, &provider], cost, now) {
                open.push(held);
            }
            if !open.is_empty() && rng.f64() < 0.6 {
                let mut held = open.swap_remove(rng.usize(..open.len()));
                if rng.bool() {
                    held.settle(rng.u64(0..700), now);
                    settled.push((now, 0));
                }
                // Or the client is gone, or the provider refused.
            }
        }
        open.clear();
        // A minute later only what was settled within it could be left, and that is none.
        let used = deployment.window.used(now + 61_000);
        assert_eq!(used, Used::default(), "seed {seed}");
        assert_eq!(provider.window.used(now + 61_000), Used::default(), "seed {seed}");
        assert!(!settled.is_empty());
    }
}

#[test]
fn a_reservation_that_is_dropped_leaves_no_trace_at_once() {
    let scope = scope(Some(2), Some(1_000));
    let held = take(&scope, input(900), 1_000).unwrap();
    assert_eq!(scope.window.used(1_000), Used { requests: 1, tokens: 900 });
    assert!(take(&scope, input(200), 1_500).is_err());
    drop(held);
    assert_eq!(scope.window.used(1_500), Used::default());
    assert!(take(&scope, input(200), 1_500).is_ok());
}

#[test]
fn settling_corrects_the_guess_in_both_directions() {
    let scope = scope(Some(10), Some(1_000));
    let mut held = take(&scope, Cost { input: 100, output: 400 }, 0).unwrap();
    held.settle(150, 2_000);
    held.settle(999, 2_000);
    drop(held);
    assert_eq!(scope.window.used(2_000), Used { requests: 1, tokens: 150 });

    let mut held = take(&scope, input(100), 2_000).unwrap();
    held.settle(300, 30_000);
    assert_eq!(scope.window.used(30_000).tokens, 450);
    assert_eq!(scope.window.used(63_000).tokens, 200, "the rest is charged when it is known");
    assert_eq!(scope.window.used(91_000).tokens, 0);
}

#[test]
fn what_is_given_back_late_does_not_touch_what_came_after() {
    let scope = scope(Some(2), None);
    let held = take(&scope, input(0), 0).unwrap();
    pass(&scope, 0, 61_000).unwrap();
    drop(held);
    assert_eq!(scope.window.used(61_000), Used { requests: 1, tokens: 0 });
}

#[test]
fn all_scopes_or_none() {
    let (wide, narrow) = (scope(Some(100), None), scope(Some(1), None));
    let first: Reservation<2> = Reservation::take([&wide, &narrow], input(5), 0).unwrap();
    let refused = Reservation::<2>::take([&wide, &narrow], input(5), 0).unwrap_err();
    assert_eq!((refused.scope, refused.over.wait_ms), (1, 61_000));
    assert_eq!(wide.window.used(0).requests, 1, "the refused one is not charged");
    drop(first);
    assert_eq!(wide.window.used(0), Used::default());
}

#[test]
fn a_long_reply_may_be_asked_for_where_the_limit_is_small() {
    let scope = scope(None, Some(1_000));
    let held = take(&scope, Cost { input: 100, output: 32_000 }, 0).unwrap();
    assert_eq!(scope.window.used(0).tokens, 1_000, "all there is");
    drop(held);
    let over = take(&scope, Cost { input: 1_001, output: 0 }, 0).unwrap_err();
    assert_eq!((over.dimension, over.wait_ms), (Dimension::Tokens, 60_000), "it never fits");
}

#[test]
fn near_is_told_before_the_limit_is_reached() {
    let scope = scope(Some(10), Some(1_000));
    let room = |now| scope.window.room(&scope.limit, input(10), 0.9, now);
    for _ in 0..8 {
        pass(&scope, 10, 0).unwrap();
        assert_eq!(room(0), Room::Free);
    }
    pass(&scope, 10, 0).unwrap();
    assert_eq!(room(0), Room::Near);
    pass(&scope, 10, 0).unwrap();
    assert_eq!(room(500), Room::Over(Over { dimension: Dimension::Requests, wait_ms: 60_500 }));
    assert_eq!(room(61_000), Room::Free, "and it is free again when the minute is over");
}

#[test]
fn no_limit_limits_nothing() {
    let scope = scope(None, None);
    for _ in 0..1_000 {
        pass(&scope, 1_000_000, 0).unwrap();
    }
    assert_eq!(scope.window.room(&scope.limit, input(9), 0.9, 0), Room::Free);
}

#[test]
fn threads_that_race_take_no_more_than_there_is() {
    let scope = scope(Some(500), Some(1_000_000));
    let taken: usize = std::thread::scope(|threads| {
        let runs: Vec<_> = (0..4)
            .map(|_| threads.spawn(|| (0..500).filter(|_| pass(&scope, 7, 0).is_ok()).count()))
            .collect();
        runs.into_iter().map(|run| run.join().unwrap()).sum()
    });
    assert_eq!(taken, 500);
    assert_eq!(scope.window.used(0), Used { requests: 500, tokens: 3_500 });
}

fn left(remaining: u64, limit: Option<u64>, reset: u64) -> Option<Left> {
    Some(Left { remaining, limit, reset: Duration::from_secs(reset) })
}

#[test]
fn what_a_provider_says_is_left_holds_until_it_starts_anew() {
    let hint = Hint::default();
    let room = |tokens, now| hint.room(input(tokens), 0.9, now);
    assert_eq!(room(5, 0), Room::Free, "nothing was told yet");
    let longest = Duration::from_secs(60);
    hint.learn(&Told { requests: left(0, Some(100), 12), tokens: None }, longest, 1_000);
    assert_eq!(
        room(5, 3_000),
        Room::Over(Over { dimension: Dimension::Requests, wait_ms: 10_000 })
    );
    assert_eq!(room(5, 13_000), Room::Free);

    hint.learn(&Told { requests: None, tokens: left(100, Some(10_000), 3_600) }, longest, 20_000);
    assert_eq!(
        room(101, 20_000),
        Room::Over(Over { dimension: Dimension::Tokens, wait_ms: 60_000 })
    );
    assert_eq!(room(100, 20_000), Room::Near, "a hundredth is left");
    hint.sent(input(60));
    assert!(matches!(room(60, 20_000), Room::Over(_)), "it is on its way to another request");
    assert_eq!(room(60, 80_000), Room::Free, "an hour is not believed");
}

#[test]
fn a_reply_that_tells_of_room_ends_the_wait() {
    let hint = Hint::default();
    let told = |remaining| Told { requests: left(remaining, Some(100), 30), tokens: None };
    hint.learn(&told(0), Duration::from_secs(60), 0);
    hint.learn(&told(80), Duration::from_secs(60), 100);
    assert_eq!(hint.room(input(1), 0.9, 100), Room::Free);
}
