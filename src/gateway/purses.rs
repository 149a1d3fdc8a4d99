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
use crate::routing::{Purse, Rates};
use crate::spend::{Budget, Scope, ScopeKind};

/// How long what is used up is passed over before that is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

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
        let left = resets.map(|resets| resets.duration_since(now).unsigned_abs());
        // Without a period it is looked at again, in case that more is allowed.
        Instant::now() + left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
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
