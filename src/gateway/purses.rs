//! Budgets of those who serve: providers and single deployments. They hold nothing, because who serves is
//! known only afterwards; used up, what they pay for is passed over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Gateway;
use crate::admission::{Claim, Policy};
use crate::catalog::Deployment;
use crate::money::Usd;
use crate::quota::Quota;
use crate::routing::{FOR_GOOD, Purse, Rates};
use crate::spend::{Budget, Scope, ScopeKind};

/// Has whoever served pay what a request cost. Returns whether there was anything to pay.
pub(super) fn charge(
    gateway: &Gateway,
    policy: &Policy,
    deployment: &Deployment,
    cost: Usd,
) -> bool {
    if cost == Usd::ZERO {
        return false;
    }
    let provider = policy.providers.get(&*deployment.provider);
    let provider = provider.map(|budget| (Purse::Provider, &*deployment.provider, budget));
    let own = policy.deployments.get(&deployment.id);
    let own = own.map(|budget| (Purse::Deployment, &*deployment.id, budget));
    for (purse, id, budget) in provider.into_iter().chain(own) {
        let claim = claim(purse, id, budget);
        gateway.quota.charge(&claim, cost, &policy.zone);
        close(&gateway.quota, &gateway.rates, purse, &claim, &policy.zone);
    }
    true
}

/// Has deployments passed over whose budget is used up, or called again.
fn close(quota: &Quota, rates: &Rates, purse: Purse, claim: &Claim, zone: &TimeZone) {
    let until = quota.is_used_up(claim, zone).map(|resets| {
        let now = Timestamp::now();
        let left = |end: Timestamp| Duration::try_from(end.duration_since(now)).unwrap_or_default();
        // It is looked at again every second, in case that more is allowed. Without a period, and where
        // the next one allows nothing either, that is all that can end it.
        let ends = resets.filter(|_| claim.max_budget != Some(Usd::ZERO)).map(left);
        Instant::now() + ends.map_or(FOR_GOOD, |left| left.min(FOR_GOOD))
    });
    rates.spent(purse, &claim.scope.id, until);
}

/// Looks after the budgets of providers and deployments: once now, to be called every second.
pub async fn look_after_providers(quota: &Quota, rates: &Rates, policy: &Policy) {
    let providers =
        policy.providers.iter().map(|(name, budget)| (Purse::Provider, &**name, budget));
    let deployments =
        policy.deployments.iter().map(|(id, budget)| (Purse::Deployment, &**id, budget));
    let (purses, claims): (Vec<Purse>, Vec<Claim>) = providers
        .chain(deployments)
        .map(|(purse, id, budget)| (purse, claim(purse, id, budget)))
        .unzip();
    quota.follow(&claims, &policy.zone).await;
    for (purse, claim) in purses.into_iter().zip(&claims) {
        close(quota, rates, purse, claim, &policy.zone);
    }
}

fn claim(purse: Purse, id: &str, budget: &Budget) -> Claim {
    let kind = match purse {
        Purse::Provider => ScopeKind::Provider,
        Purse::Deployment => ScopeKind::Deployment,
    };
    let mut claim = Claim::new(Scope::new(kind, id));
    (claim.max_budget, claim.period) = (Some(budget.max), budget.period);
    claim
}
