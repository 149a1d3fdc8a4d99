//! What the metrics say of the budgets of keys, teams, users, organisations and providers.
//!
//! Looked up when somebody scrapes, so that a request pays nothing for it: whoever has called is
//! known to the key ring, and what was spent to the counters in memory. Must not know requests.

use std::sync::Arc;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use rustc_hash::FxHashSet;

use crate::admission::{Claim, Who};
use crate::keys::{Caller, KeyRing, Principal};
use crate::quota::Quota;
use crate::snapshot::Snapshot;
use crate::spend::{Scope, ScopeKind};
use crate::telemetry::metrics::names::{self, Family};
use crate::telemetry::metrics::{Metrics, Scrape};

/// The most budgets of one kind that have series; of more, those that are nearest to their end.
const SERIES_MAX: usize = 1_000;

/// One budget, as it stands.
struct Line {
    labels: [Arc<str>; 2],
    max: f64,
    left: f64,
    /// Until it starts anew; `None`: never.
    hours: Option<f64>,
}

/// The families of one kind of payer.
struct Kind {
    scope: ScopeKind,
    left: &'static Family,
    max: &'static Family,
    hours: &'static Family,
}

const KINDS: [Kind; 4] = [
    Kind {
        scope: ScopeKind::Key,
        left: &names::KEY_BUDGET_LEFT,
        max: &names::KEY_BUDGET,
        hours: &names::KEY_BUDGET_HOURS,
    },
    Kind {
        scope: ScopeKind::Team,
        left: &names::TEAM_BUDGET_LEFT,
        max: &names::TEAM_BUDGET,
        hours: &names::TEAM_BUDGET_HOURS,
    },
    Kind {
        scope: ScopeKind::User,
        left: &names::USER_BUDGET_LEFT,
        max: &names::USER_BUDGET,
        hours: &names::USER_BUDGET_HOURS,
    },
    Kind {
        scope: ScopeKind::Organisation,
        left: &names::ORG_BUDGET_LEFT,
        max: &names::ORG_BUDGET,
        hours: &names::ORG_BUDGET_HOURS,
    },
];

/// Has every scrape show the budgets of those who have called.
pub(super) fn tell(
    metrics: &Metrics,
    snapshot: &Arc<ArcSwap<Snapshot>>,
    keys: &Arc<KeyRing>,
    quota: &Arc<Quota>,
) {
    let (snapshot, keys, quota) = (Arc::clone(snapshot), Arc::clone(keys), Arc::clone(quota));
    metrics.on_scrape(move |scrape| {
        let snapshot = snapshot.load();
        let mut holders = keys.known();
        holders.extend(snapshot.access.static_keys.values().cloned());
        payers(scrape, &snapshot, holders, &quota);
        providers(scrape, &snapshot, &quota);
    });
}

fn payers(scrape: &mut Scrape, snapshot: &Snapshot, holders: Vec<Arc<Principal>>, quota: &Quota) {
    let policy = &snapshot.admission;
    let mut seen = FxHashSet::<Scope>::default();
    let mut lines: [Vec<Line>; KINDS.len()] = Default::default();
    let now = Timestamp::now();
    for holder in holders {
        let caller = Caller::Key(Arc::clone(&holder));
        let who = Who { caller: &caller, models: &[], end_user: None, tags: &[] };
        for claim in policy.claims(&who).as_slice() {
            let Some(place) = KINDS.iter().position(|kind| kind.scope == claim.scope.kind) else {
                continue;
            };
            if claim.max_budget.is_none() || !seen.insert(claim.scope.clone()) {
                continue;
            }
            lines[place].extend(line(claim, labels(claim, &holder), quota, snapshot, now));
        }
    }
    let mut left_out = 0;
    for (kind, mut lines) in KINDS.iter().zip(lines) {
        lines.sort_by(|a, b| (a.left / a.max).total_cmp(&(b.left / b.max)));
        left_out += lines.len().saturating_sub(SERIES_MAX);
        for line in lines.iter().take(SERIES_MAX) {
            let labels = line.labels.each_ref().map(|label| &**label);
            let labels = &labels[..kind.left.labels.len()];
            scrape.value(kind.left, labels, line.left);
            scrape.value(kind.max, labels, line.max);
            if let Some(hours) = line.hours {
                scrape.value(kind.hours, labels, hours);
            }
        }
    }
    scrape.value(&names::BUDGETS_LEFT_OUT, &[], left_out as f64);
}

/// The budget of a claim; `None` while nobody has asked what was spent of it.
fn line(
    claim: &Claim,
    labels: [Arc<str>; 2],
    quota: &Quota,
    snapshot: &Snapshot,
    now: Timestamp,
) -> Option<Line> {
    let max = claim.max_budget?;
    let (spent, resets) = quota.seen(claim, &snapshot.admission.zone)?;
    let hours = |resets: Timestamp| resets.duration_since(now).as_secs_f64().max(0.0) / 3_600.0;
    Some(Line {
        labels,
        max: max.dollars(),
        left: max.minus(spent).dollars(),
        hours: resets.map(hours),
    })
}

/// Who it is, as the labels of the other metrics name them.
fn labels(claim: &Claim, holder: &Principal) -> [Arc<str>; 2] {
    let alias = |alias: Option<&str>| alias.unwrap_or_default().into();
    match claim.scope.kind {
        ScopeKind::Key => [Arc::clone(holder.hash()), alias(holder.key.key_alias.as_deref())],
        ScopeKind::Team => [Arc::clone(&claim.scope.id), alias(holder.team_alias())],
        _ => [Arc::clone(&claim.scope.id), alias(claim.name.as_deref())],
    }
}

fn providers(scrape: &mut Scrape, snapshot: &Snapshot, quota: &Quota) {
    let policy = &snapshot.admission;
    for (provider, budget) in &policy.providers {
        let mut claim = Claim::new(Scope::new(ScopeKind::Provider, &**provider));
        (claim.max_budget, claim.period) = (Some(budget.max), budget.period);
        if let Some((spent, _)) = quota.seen(&claim, &policy.zone) {
            let left = budget.max.minus(spent).dollars();
            scrape.value(&names::PROVIDER_BUDGET_LEFT, &[provider], left);
        }
    }
}
