//! Windows, permits and reservations against a model that is as simple as it can be, under random
//! traffic and simulated time.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use parking_lot::Mutex;

use super::*;
use crate::limits::{Cost, Limit};
use crate::money::Usd;
use crate::spend::{Scope, ScopeKind};

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<Vec<Crossed>>);

impl Watch for Told {
    fn crossed(&self, crossed: Crossed) {
        self.0.lock().push(crossed);
    }
}

fn usd(dollars: f64) -> Usd {
    Usd::from_dollars(dollars).unwrap()
}

const TERMS: Terms<'static> = Terms { zone: &TimeZone::UTC, reserves: true, share: 1, episode: 0 };

fn moment(ms: u64) -> Moment {
    let start: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    Moment { ms, at: start + Duration::from_millis(ms) }
}

fn claim(kind: ScopeKind, id: &str) -> Claim {
    Claim::new(Scope::new(kind, id))
}

fn limited(kind: ScopeKind, id: &str, requests: u64, tokens: u64) -> Claim {
    let limit = Limit { requests: Some(requests), tokens: Some(tokens) };
    Claim { limit, ..claim(kind, id) }
}

fn paying(kind: ScopeKind, id: &str, max: f64) -> Claim {
    Claim { max_budget: Some(usd(max)), ..claim(kind, id) }
}

fn memory() -> (Memory, Arc<Told>) {
    let told = Arc::new(Told::default());
    (Memory::new(Arc::clone(&told) as _, None), told)
}

fn tokens(input: u64, output: u64) -> Need {
    Need { tokens: Cost { input, output }, most: Usd::ZERO }
}

fn money(dollars: f64) -> Need {
    Need { tokens: Cost::default(), most: usd(dollars) }
}

/// Takes, learning that nothing was spent before.
fn take(memory: &Memory, claims: &Claims, need: &Need, ms: u64) -> Result<Hold, Refusal> {
    match memory.take(claims, need, &TERMS, moment(ms)) {
        Ok(hold) => Ok(hold),
        Err(Stop::Refused(refusal)) => Err(*refusal),
        Err(Stop::Unknown(keys)) => {
            let known = keys.into_iter().map(|key| Known { key, term: None, spent: Usd::ZERO });
            memory.learn(&known.collect::<Vec<_>>(), ms);
            take(memory, claims, need, ms)
        }
        Err(Stop::Away) => panic!("memory is never away"),
    }
}

fn settled(tokens: u64, dollars: f64) -> Spent {
    Spent { counted: true, tokens, cost: usd(dollars) }
}

fn spent(memory: &Memory, claim: &Claim) -> Usd {
    let at = moment(0).at;
    memory.spent(&claim.scope, claim.account_period(), at, &TimeZone::UTC).unwrap().0
}

#[test]
fn never_more_than_any_scope_allows_and_no_refusal_leaves_a_trace() {
    for seed in 0..60 {
        let mut rng = Rng::with_seed(seed);
        let (memory, _) = memory();
        let scopes: Vec<Claim> = (0..5)
            .map(|index| {
                let mut claim = claim(ScopeKind::ALL[index], "x");
                claim.limit.requests = rng.bool().then(|| rng.u64(1..40));
                claim.limit.tokens = rng.bool().then(|| rng.u64(100..5_000));
                claim.parallel = rng.bool().then(|| rng.u64(1..8));
                claim.max_budget = rng.bool().then(|| usd(rng.f64() * 3.0));
                claim
            })
            .collect();
        let mut model: Vec<Model> = scopes.iter().cloned().map(Model::new).collect();
        let mut open: Vec<(Hold, Vec<usize>, Need, u64)> = Vec::new();
        let mut ms = 0;
        for _ in 0..1_500 {
            ms += rng.u64(0..400);
            let which: Vec<usize> = (0..scopes.len()).filter(|_| rng.f64() < 0.7).collect();
            let claims = Claims::new(which.iter().map(|index| scopes[*index].clone()).collect());
            let need = Need {
                tokens: Cost { input: rng.u64(0..60), output: rng.u64(0..100) },
                most: usd(rng.f64() * 0.1),
            };
            let expected = which.iter().all(|index| model[*index].has_room(&need, ms));
            match take(&memory, &claims, &need, ms) {
                Ok(hold) => {
                    assert!(expected, "seed {seed}: let in against {which:?}");
                    which.iter().for_each(|index| model[*index].take(&need, ms));
                    open.push((hold, which, need, ms));
                }
                Err(refusal) => assert!(!expected, "seed {seed}: {refusal:?}"),
            }
            while !open.is_empty() && rng.f64() < 0.6 {
                let (hold, which, need, since) = open.swap_remove(rng.usize(..open.len()));
                let end = rng.bool().then(|| settled(rng.u64(0..200), rng.f64() * 0.12));
                which.iter().for_each(|index| model[*index].end(&need, since, end, ms));
                match end {
                    Some(end) => hold.settle(end, moment(ms)),
                    None => drop(hold),
                }
            }
        }
        let unpaid = std::mem::take(&mut open);
        for (hold, which, need, since) in unpaid {
            drop(hold);
            which.iter().for_each(|index| model[*index].end(&need, since, None, ms));
        }
        for (claim, model) in scopes.iter().zip(&model).filter(|(claim, _)| claim.pays()) {
            let known = memory.spent(&claim.scope, None, moment(ms).at, &TimeZone::UTC);
            assert_eq!(known.map_or(Usd::ZERO, |(spent, _)| spent), model.spent, "seed {seed}");
        }
    }
}

/// The same by lists that forget nothing.
struct Model {
    claim: Claim,
    /// Second and tokens of each request in the window.
    log: Vec<(u64, u64, bool)>,
    open: u64,
    spent: Usd,
    holds: Vec<(u64, Usd)>,
}

impl Model {
    fn new(claim: Claim) -> Self {
        Self { claim, log: Vec::new(), open: 0, spent: Usd::ZERO, holds: Vec::new() }
    }

    fn reserved(&self, need: &Need) -> u64 {
        let whole = need.tokens.input + need.tokens.output;
        self.claim.limit.tokens.map_or(whole, |limit| whole.min(limit.max(need.tokens.input)))
    }

    fn held(&self) -> Usd {
        self.holds.iter().fold(Usd::ZERO, |sum, (_, held)| sum.plus(*held))
    }

    fn has_room(&self, need: &Need, ms: u64) -> bool {
        let now = ms / 1_000;
        let within = || self.log.iter().filter(|(second, ..)| second + 61 > now);
        let requests = within().filter(|(_, _, counts)| *counts).count() as u64;
        let tokens: u64 = within().map(|(_, tokens, _)| tokens).sum();
        let limit = &self.claim.limit;
        let left = self.claim.max_budget.map(|max| max.minus(self.spent.plus(self.held())));
        limit.requests.is_none_or(|limit| requests < limit)
            && limit.tokens.is_none_or(|limit| tokens + self.reserved(need) <= limit)
            && self.claim.parallel.is_none_or(|limit| self.open < limit)
            && left.is_none_or(|left| {
                left > Usd::ZERO && (left >= need.most || self.held() == Usd::ZERO)
            })
    }

    fn take(&mut self, need: &Need, ms: u64) {
        if let Some(max) = self.claim.max_budget {
            let left = max.minus(self.spent.plus(self.held()));
            self.holds.push((ms, need.most.min(left)));
        }
        self.log.push((ms / 1_000, self.reserved(need), true));
        self.open += 1;
    }

    fn end(&mut self, need: &Need, since: u64, end: Option<Spent>, ms: u64) {
        self.open -= 1;
        if self.claim.max_budget.is_some() {
            // Of equal moments any will do: their sum is what counts, and they are of one request
            // each.
            let at = self.holds.iter().position(|(from, _)| *from == since).unwrap();
            self.holds.remove(at);
        }
        let reserved = self.reserved(need);
        let mine = (since / 1_000, reserved, true);
        let at = self.log.iter().position(|entry| *entry == mine).unwrap();
        match end {
            None => drop(self.log.remove(at)),
            Some(end) => {
                self.log[at].1 = reserved.min(end.tokens);
                if end.tokens > reserved {
                    self.log.push((ms / 1_000, end.tokens - reserved, false));
                }
                if self.claim.max_budget.is_some() {
                    self.spent = self.spent.plus(end.cost);
                }
            }
        }
    }
}

#[test]
fn two_hundred_threads_on_an_almost_empty_budget_spend_no_more_than_it_has() {
    let (memory, _) = memory();
    let claims = Claims::new(vec![paying(ScopeKind::Key, "k", 1.0)]);
    drop(take(&memory, &claims, &money(0.0), 0).unwrap());
    let (memory, claims) = (&memory, &claims);
    std::thread::scope(|threads| {
        for _ in 0..200 {
            threads.spawn(move || {
                for _ in 0..20 {
                    if let Ok(hold) = take(memory, claims, &money(0.03), 0) {
                        std::thread::yield_now();
                        hold.settle(settled(0, 0.03), moment(0));
                    }
                }
            });
        }
    });
    let spent = spent(memory, &claims.as_slice()[0]);
    assert!(spent >= usd(0.97), "{spent}");
    assert!(spent <= usd(1.0).plus(usd(0.03)), "by no more than one call's cost: {spent}");
}

#[test]
fn all_scopes_or_none_and_the_longest_wait_is_told() {
    let (memory, _) = memory();
    let key = limited(ScopeKind::Key, "k", 10, 1_000);
    let team = limited(ScopeKind::Team, "t", 1, 1_000);
    let user = limited(ScopeKind::User, "u", 2, 1_000);
    let all = Claims::new(vec![key.clone(), team, user]);
    take(&memory, &all, &tokens(10, 0), 0).unwrap().settle(settled(10, 0.0), moment(0));
    let later = Claims::new(vec![limited(ScopeKind::User, "u", 2, 1_000)]);
    take(&memory, &later, &tokens(10, 0), 20_000).unwrap().settle(settled(10, 0.0), moment(0));
    let refused = take(&memory, &all, &tokens(10, 0), 30_000).unwrap_err();
    assert_eq!(refused.wait(moment(0).at), Some(Duration::from_secs(31)));
    let hold = take(&memory, &Claims::new(vec![key]), &tokens(10, 0), 30_000).unwrap();
    let left = hold.rooms()[0].left;
    assert_eq!((left.requests, left.tokens), (8, 980), "the refused one is not charged");
}

#[test]
fn what_never_has_room_names_no_time() {
    let (memory, _) = memory();
    let now = moment(0).at;
    let wait = |claim: Claim, need: Need| {
        let claims = Claims::new(vec![claim]);
        take(&memory, &claims, &need, 0).unwrap_err().wait(now)
    };
    let short = limited(ScopeKind::Key, "k", 10, 100);
    assert_eq!(wait(limited(ScopeKind::Key, "none", 0, 100), tokens(1, 0)), None);
    assert_eq!(wait(short.clone(), tokens(101, 0)), None, "longer than a minute allows");
    assert_eq!(wait(Claim { parallel: Some(0), ..claim(ScopeKind::User, "u") }, money(0.0)), None);
    let nothing = Claim { period: "1d".parse().ok(), ..paying(ScopeKind::Team, "t", 0.0) };
    assert_eq!(wait(nothing, money(0.1)), None, "nor does the next day");
    let held = take(&memory, &Claims::new(vec![short.clone()]), &tokens(90, 0), 0).unwrap();
    assert_eq!(wait(short, tokens(20, 0)), Some(Duration::from_secs(61)));
    drop(held);
}

#[test]
fn money_comes_first_and_permits_come_back() {
    let (memory, _) = memory();
    let mut key = limited(ScopeKind::Key, "k", 5, 1_000);
    key.parallel = Some(1);
    key.max_budget = Some(usd(1.0));
    let claims = Claims::new(vec![key]);
    let first = take(&memory, &claims, &money(0.5), 0).unwrap();
    let refused = take(&memory, &claims, &money(0.1), 0).unwrap_err();
    assert_eq!(refused.why, Why::Parallel { limit: 1 });
    drop(first);
    let second = take(&memory, &claims, &money(0.5), 0).unwrap();
    second.settle(settled(0, 1.5), moment(0));
    let refused = take(&memory, &claims, &money(0.1), 0).unwrap_err();
    let Why::Budget { spent, max, .. } = refused.why else { panic!("{refused:?}") };
    assert_eq!((spent, max), (usd(1.5), usd(1.0)));
}

#[test]
fn levels_are_told_once_when_they_are_passed() {
    let (memory, told) = memory();
    let mut key = paying(ScopeKind::Key, "k", 10.0);
    key.soft_budget = Some(usd(5.0));
    let claims = Claims::new(vec![key]);
    for dollars in [4.0, 2.0, 1.0, 1.6, 0.2, 1.5, 0.0] {
        if let Ok(hold) = take(&memory, &claims, &money(0.1), 0) {
            hold.settle(settled(0, dollars), moment(0));
        }
    }
    let levels: Vec<_> =
        told.0.lock().iter().map(|crossed| (crossed.level, crossed.spent)).collect();
    let expected =
        [(Level::Soft, usd(6.0)), (Level::Percent(85), usd(8.6)), (Level::Percent(100), usd(10.3))];
    assert_eq!(levels, expected);
}

#[test]
fn levels_that_others_led_across_are_told_when_they_are_seen() {
    let told = Arc::new(Told::default());
    let memory = Memory::new(Arc::clone(&told) as _, Some(Duration::from_secs(10)));
    let mut key = paying(ScopeKind::Key, "k", 10.0);
    key.soft_budget = Some(usd(5.0));
    let claims = Claims::new(vec![key.clone()]);
    drop(take(&memory, &claims, &money(0.1), 0).unwrap());
    said(&memory, &key, 12.0, 6_000);
    for _ in 0..3 {
        assert!(take(&memory, &claims, &money(0.1), 7_000).is_err());
    }
    let levels: Vec<_> = told.0.lock().iter().map(|crossed| crossed.level).collect();
    assert_eq!(levels, [Level::Soft, Level::Percent(100)]);
}

/// Has the ledger say what a claim has spent, with everything written that was paid a second before;
/// says whether it was asked.
fn said(memory: &Memory, claim: &Claim, dollars: f64, ms: u64) -> bool {
    said_when(memory, claim, dollars, ms, Some(ms - 1_000))
}

fn said_when(
    memory: &Memory,
    claim: &Claim,
    dollars: f64,
    ms: u64,
    written_ms: Option<u64>,
) -> bool {
    // Who asks for it makes it due.
    memory.look_up(claim, moment(ms), &TimeZone::UTC);
    let due = memory.due();
    let known = |due: Due| (due.mark, Known { key: due.key, term: None, spent: usd(dollars) });
    let said: Vec<_> = due.into_iter().map(known).collect();
    memory.correct(&said, written_ms, ms);
    !said.is_empty()
}

fn paid(memory: &Memory, claims: &Claims, dollars: f64, ms: u64) {
    take(memory, claims, &money(0.0), ms).unwrap().settle(settled(0, dollars), moment(ms));
}

#[test]
fn a_ledger_that_lags_behind_raises_sums_and_does_not_lower_them() {
    let memory = Memory::new(Arc::<Told>::default(), Some(Duration::from_secs(10)));
    let key = paying(ScopeKind::Key, "k", 100.0);
    let claims = Claims::new(vec![key.clone()]);
    paid(&memory, &claims, 3.0, 1_000);
    // The database was away: the journal has it all, and nobody knows since when.
    for (ms, written_ms) in [(6_000, None), (17_000, Some(500)), (40_000, Some(600))] {
        assert!(said_when(&memory, &key, 1.0, ms, written_ms));
        assert_eq!(spent(&memory, &key), usd(3.0), "{ms}");
    }
    assert!(said_when(&memory, &key, 4.5, 60_000, None));
    assert_eq!(spent(&memory, &key), usd(4.5), "others have spent, too");
    // All is written by now: the ledger is right, but for what was paid since.
    assert!(said(&memory, &key, 4.0, 80_000));
    paid(&memory, &claims, 0.5, 81_000);
    assert_eq!(spent(&memory, &key), usd(5.0));
    assert!(said(&memory, &key, 4.0, 100_000));
    assert_eq!(spent(&memory, &key), usd(4.5), "the last payment may be on its way");
    assert!(said(&memory, &key, 4.5, 120_000));
    assert_eq!(spent(&memory, &key), usd(4.5));
}

#[test]
fn an_ask_without_an_answer_forgets_nothing() {
    let memory = Memory::new(Arc::<Told>::default(), Some(Duration::from_secs(10)));
    let key = paying(ScopeKind::Key, "k", 100.0);
    let claims = Claims::new(vec![key.clone()]);
    paid(&memory, &claims, 3.0, 1_000);
    for ms in (10_000..100_000).step_by(11_000) {
        memory.look_up(&key, moment(ms), &TimeZone::UTC);
        assert_eq!(memory.due().len(), 1, "{ms}: asked, and nobody answers");
    }
    assert!(said_when(&memory, &key, 0.0, 120_000, Some(500)));
    let _ = said_when(&memory, &key, 0.0, 126_000, None);
    assert_eq!(spent(&memory, &key), usd(3.0), "it is still in the journal");
}

#[test]
fn what_an_operator_has_reset_stays_so_while_calls_are_under_way() {
    for refresh in [None, Some(Duration::from_secs(10))] {
        let memory = Memory::new(Arc::<Told>::default(), refresh);
        let key = paying(ScopeKind::Key, "k", 10.0);
        let claims = Claims::new(vec![key.clone()]);
        paid(&memory, &claims, 9.0, 0);
        let held = take(&memory, &claims, &money(0.5), 1_000).unwrap();
        Counters::forget(&memory, &key.scope, 1);
        let asked = memory.take(&claims, &money(1.0), &TERMS, moment(2_000));
        assert!(matches!(asked, Err(Stop::Unknown(_))), "{asked:?}");
        drop(take(&memory, &claims, &money(8.0), 2_000).unwrap());
        assert_eq!(spent(&memory, &key), Usd::ZERO);
        let refused = take(&memory, &claims, &money(9.8), 2_000).unwrap_err();
        assert!(matches!(refused.why, Why::Budget { held, .. } if held == usd(0.5)), "it is held");
        held.settle(settled(0, 0.25), moment(2_500));
        assert!(said(&memory, &key, 0.0, 9_000));
        assert_eq!(spent(&memory, &key), usd(0.25), "{refresh:?}");
    }
}

#[test]
fn an_answer_from_before_a_reset_is_not_believed() {
    let memory = Memory::new(Arc::<Told>::default(), Some(Duration::from_secs(10)));
    let key = paying(ScopeKind::Key, "k", 10.0);
    let claims = Claims::new(vec![key.clone()]);
    paid(&memory, &claims, 9.0, 0);
    memory.look_up(&key, moment(6_000), &TimeZone::UTC);
    let due = memory.due().remove(0);
    Counters::forget(&memory, &key.scope, 1);
    drop(take(&memory, &claims, &money(1.0), 6_100).unwrap());
    let known = Known { key: due.key, term: None, spent: usd(9.0) };
    memory.correct(&[(due.mark, known)], Some(5_000), 6_200);
    assert_eq!(spent(&memory, &key), Usd::ZERO);
}

#[test]
fn a_record_that_was_changed_elsewhere_has_the_ledger_asked_soon() {
    let memory = Memory::new(Arc::<Told>::default(), None);
    let key = paying(ScopeKind::Key, "k", 10.0);
    let claims = Claims::new(vec![key.clone()]);
    paid(&memory, &claims, 9.0, 0);
    assert!(said(&memory, &key, 9.0, 6_000));
    assert!(!said(&memory, &key, 0.0, 60_000), "nobody else writes to a file");
    memory.recheck(&[key.scope.clone()].into_iter().collect(), 60_000);
    assert!(said(&memory, &key, 1.0, 62_000));
    assert_eq!(spent(&memory, &key), usd(1.0), "and what it says holds at once");
}

#[test]
fn alone_it_spends_its_part_of_what_was_left() {
    let (memory, _) = memory();
    let claims = Claims::new(vec![paying(ScopeKind::Key, "k", 10.0)]);
    take(&memory, &claims, &money(1.0), 0).unwrap().settle(settled(0, 2.0), moment(0));
    let alone = Terms { share: 2, episode: 1, ..TERMS };
    let mut paid = 0.0;
    while let Ok(hold) = memory.take(&claims, &money(0.5), &alone, moment(0)) {
        hold.settle(settled(0, 0.5), moment(0));
        paid += 0.5;
    }
    assert_eq!(paid, 4.0, "half of the eight dollars that were left");
    assert!(take(&memory, &claims, &money(0.5), 0).is_ok(), "not alone any more");
}

#[test]
fn counters_are_let_go_when_nobody_needs_them() {
    let (memory, _) = memory();
    let claims = Claims::new(vec![limited(ScopeKind::Key, "k", 5, 5)]);
    let hold = take(&memory, &claims, &tokens(1, 0), 0).unwrap();
    memory.sweep(moment(500_000));
    assert_eq!(memory.len(), 1, "it is held");
    drop(hold);
    memory.sweep(moment(1_000));
    assert_eq!(memory.len(), 1, "the window still has it");
    memory.sweep(moment(500_000));
    assert!(memory.is_empty());
}

#[test]
fn what_is_not_in_the_ledger_yet_is_not_let_go() {
    let (memory, _) = memory();
    let claims = Claims::new(vec![paying(ScopeKind::Key, "k", 5.0)]);
    paid(&memory, &claims, 1.0, 10_000);
    for (lag, left) in [(495_000, 1), (300_000, 0)] {
        memory.wrote(Some(Duration::from_millis(lag)), moment(500_000));
        memory.sweep(moment(500_000));
        assert_eq!(memory.len(), left, "{lag}");
    }
}

#[test]
fn what_was_spent_is_told_after_its_counters_were_let_go() {
    let (memory, _) = memory();
    let daily = Claim { period: "1d".parse().ok(), ..paying(ScopeKind::Key, "k", 5.0) };
    let claims = Claims::new(vec![daily.clone()]);
    paid(&memory, &claims, 1.0, 0);
    memory.sweep(moment(500_000));
    assert!(memory.is_empty());
    assert_eq!(spent(&memory, &daily), usd(1.0));
    let tomorrow = moment(0).at + Duration::from_secs(86_400);
    let (anew, resets) =
        memory.spent(&daily.scope, daily.account_period(), tomorrow, &TimeZone::UTC).unwrap();
    assert_eq!(anew, Usd::ZERO, "its next period has begun");
    assert!(resets.unwrap() > tomorrow);
    let asked = |memory: &Memory| memory.take(&claims, &money(1.0), &TERMS, moment(500_000));
    assert!(matches!(asked(&memory), Err(Stop::Unknown(_))), "the ledger decides");
    Counters::forget(&memory, &daily.scope, 1);
    let told = memory.spent(&daily.scope, daily.account_period(), tomorrow, &TimeZone::UTC);
    assert!(told.is_none(), "an operator has changed it");
}

#[test]
fn claims_on_the_same_scope_become_one() {
    let claims = Claims::new(vec![
        limited(ScopeKind::Tag, "a", 5, 100),
        paying(ScopeKind::Tag, "a", 3.0),
        limited(ScopeKind::Tag, "a", 7, 50),
        claim(ScopeKind::Team, "nothing"),
    ]);
    let [one] = claims.as_slice() else { panic!("{claims:?}") };
    let limit = Limit { requests: Some(5), tokens: Some(50) };
    assert_eq!((one.limit, one.max_budget), (limit, Some(usd(3.0))));
}
