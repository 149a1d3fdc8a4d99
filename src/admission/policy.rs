//! Whose part a request takes, and what each of them allows: the records of the caller, and what the
//! configuration says where they say nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::claim::{Claim, Claims};
use crate::keys::record::{Allowance, EndUser, Key, ModelBudget, Tag, Team};
use crate::keys::{Caller, Principal};
use crate::limits::{Cost, Limit};
use crate::money::Usd;
use crate::spend::{Budget, Scope, ScopeKind};
use crate::usage::Usage;

/// Tokens of a reply that a limit of tokens reserves where the request names no bound.
const USUAL_REPLY: u64 = 1_024;

/// What the configuration says of limits and budgets.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whose calendar budgets follow.
    pub zone: TimeZone,
    /// Of all traffic together.
    pub proxy: Option<Budget>,
    /// Of each end user whose record has none.
    pub end_user: Option<Budget>,
    /// By the name of the tag.
    pub tags: BTreeMap<Box<str>, Budget>,
    /// By the name of the provider.
    pub providers: BTreeMap<Box<str>, Budget>,
    /// By the id of the deployment.
    pub deployments: BTreeMap<Arc<str>, Budget>,
    /// Requests at one time of each key whose record says nothing.
    pub key_parallel: Option<u64>,
    /// Requests at one time over all gateways that share their counters.
    pub global_parallel: Option<u64>,
    pub counts: Counts,
    /// The most that a call may cost is held before it.
    pub reserves: bool,
    /// Models without a price are not called on behalf of who has a budget.
    pub refuses_unpriced: bool,
    /// The status of a refusal for want of money.
    pub exceeded_status: u16,
    /// Refuse, rather than go by what is known, where spending cannot be known.
    pub budgets_fail_closed: bool,
    /// Refuse, rather than count alone, where the shared counters are away.
    pub limits_fail_closed: bool,
}

/// Which tokens limits count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Counts {
    #[default]
    All,
    Input,
    Output,
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    pub caller: &'a Caller,
    /// The names by which limits of single models may count it: of what is asked for, whoever
    /// serves.
    pub models: &'a [Arc<str>],
    /// The end user's id, and the record if there is one.
    pub end_user: Option<(&'a str, Option<&'a EndUser>)>,
    pub tags: &'a [(Arc<str>, Option<Arc<Tag>>)],
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            zone: TimeZone::UTC,
            proxy: None,
            end_user: None,
            tags: BTreeMap::new(),
            providers: BTreeMap::new(),
            deployments: BTreeMap::new(),
            key_parallel: None,
            global_parallel: None,
            counts: Counts::All,
            reserves: true,
            refuses_unpriced: false,
            exceeded_status: 422,
            budgets_fail_closed: false,
            limits_fail_closed: false,
        }
    }
}

impl Policy {
    /// What a request takes part of.
    #[must_use]
    pub fn claims(&self, who: &Who<'_>) -> Claims {
        let mut claims = Vec::with_capacity(8);
        let mut proxy = Claim::new(Scope::new(ScopeKind::Proxy, ""));
        proxy.take_budget(self.proxy);
        proxy.parallel = self.global_parallel;
        claims.push(proxy);
        if let Caller::Key(principal) = who.caller {
            self.of_principal(principal, who.models, &mut claims);
        }
        if let Some((id, record)) = who.end_user {
            let mut claim = Claim::new(Scope::new(ScopeKind::EndUser, id));
            if let Some(record) = record {
                claim.take(&record.allowance);
            }
            claim.take_budget(self.end_user);
            claims.push(claim);
        }
        for (name, record) in who.tags {
            let mut claim = Claim::new(Scope::new(ScopeKind::Tag, Arc::clone(name)));
            if let Some(record) = record {
                claim.take(&record.allowance);
            }
            claim.take_budget(self.tags.get(&**name).copied());
            claims.push(claim);
        }
        Claims::new(claims)
    }

    fn of_principal(&self, principal: &Principal, models: &[Arc<str>], claims: &mut Vec<Claim>) {
        let Principal { key, team, organisation, .. } = principal;
        if let Some(organisation) = organisation {
            let id = organisation.organization_id.as_str();
            let mut claim = Claim::new(Scope::new(ScopeKind::Organisation, id));
            claim.take(&organisation.allowance);
            claim.name = organisation.organization_alias.as_deref().map(Arc::from);
            claims.push(claim);
        }
        if let Some(team) = team {
            let mut claim = Claim::new(Scope::new(ScopeKind::Team, team.team_id.as_str()));
            claim.take(&team.allowance);
            claim.name = team.team_alias.as_deref().map(Arc::from);
            claims.push(claim);
            claims.extend(models.iter().filter_map(|model| of_team_model(team, model)));
        }
        if let Some((member, team)) = principal.member().zip(team.as_ref()) {
            let id = format!("{}/{}", team.team_id, member.user_id);
            let mut claim = Claim::new(Scope::new(ScopeKind::TeamMember, id));
            claim.take(&member.allowance);
            claim.name = Some(member.user_id.as_str().into());
            claims.push(claim);
        }
        if let Some(id) = principal.user_id() {
            claims.push(of_user(id, principal));
        }
        let account = principal.account();
        let mut claim = Claim::new(Scope::new(ScopeKind::Key, Arc::clone(account)));
        claim.take(&key.allowance);
        claim.parallel = claim.parallel.or(self.key_parallel);
        claim.name = Some(key_name(key));
        claims.push(claim);
        claims.extend(models.iter().filter_map(|model| of_model(key, account, model)));
    }

    /// What limits of tokens reserve for a request.
    #[must_use]
    pub fn reserved(&self, input: u64, most_output: Option<u64>, replies: u32) -> Cost {
        let output = most_output.unwrap_or(USUAL_REPLY).saturating_mul(u64::from(replies.max(1)));
        match self.counts {
            Counts::All => Cost { input, output },
            Counts::Input => Cost { input, output: 0 },
            Counts::Output => Cost { input: 0, output },
        }
    }

    /// The tokens of a reply as limits count them.
    #[must_use]
    pub fn counted(&self, usage: &Usage) -> u64 {
        match self.counts {
            Counts::All => usage.total_tokens(),
            Counts::Input => usage.input_tokens,
            Counts::Output => usage.output_tokens,
        }
    }
}

/// What a key's user allows, if the money is theirs.
fn of_user(id: &str, principal: &Principal) -> Claim {
    let mut claim = Claim::new(Scope::new(ScopeKind::User, id));
    let user = principal.user.as_ref();
    if let Some(user) = user {
        claim.take(&user.allowance);
    }
    if principal.team_id().is_some() {
        // As in LiteLLM: what a team's key spends counts on its user's budget, and only keys without a
        // team are held to that.
        claim.counts = claim.pays();
        claim.max_budget = None;
    }
    claim
}

/// What a key may use of one model.
fn of_model(key: &Key, account: &str, model: &str) -> Option<Claim> {
    let requests = key.model_rpm_limit.get(model).copied();
    let tokens = key.model_tpm_limit.get(model).copied();
    let budget = key.model_max_budget.get(model);
    if requests.is_none() && tokens.is_none() && budget.is_none() {
        return None;
    }
    let mut claim = Claim::new(Scope::new(ScopeKind::KeyModel, format!("{account}/{model}")));
    claim.limit = Limit { requests, tokens };
    claim.name = Some(format!("{}, model {model}", key_name(key)).into());
    if let Some(ModelBudget { budget_limit, time_period }) = budget {
        claim.max_budget = Usd::from_dollars(*budget_limit);
        claim.period = time_period.as_deref().and_then(|period| period.parse().ok());
    }
    Some(claim)
}

/// What all keys of a team may use of one model.
fn of_team_model(team: &Team, model: &str) -> Option<Claim> {
    let requests = team.model_rpm_limit.get(model).copied();
    let tokens = team.model_tpm_limit.get(model).copied();
    requests.or(tokens)?;
    let id = format!("{}/{model}", team.team_id);
    let mut claim = Claim::new(Scope::new(ScopeKind::TeamModel, id));
    claim.limit = Limit { requests, tokens };
    let team = team.team_alias.as_deref().unwrap_or(&team.team_id);
    claim.name = Some(format!("{team}, model {model}").into());
    Some(claim)
}

/// As LiteLLM's messages name a key: `alias (sk-...abcd)`.
fn key_name(key: &Key) -> Arc<str> {
    match &key.key_alias {
        Some(alias) => format!("{alias} ({})", key.key_name).into(),
        None => key.key_name.as_str().into(),
    }
}

impl Claim {
    /// What a record allows.
    pub fn take(&mut self, allowance: &Allowance) {
        let dollars = |amount: Option<f64>| amount.and_then(Usd::from_dollars);
        self.limit = Limit { requests: allowance.rpm_limit, tokens: allowance.tpm_limit };
        self.parallel = allowance.max_parallel_requests;
        self.max_budget = dollars(allowance.max_budget);
        self.soft_budget = dollars(allowance.soft_budget);
        if self.pays() {
            let period = allowance.budget_duration.as_deref();
            self.period = period.and_then(|period| period.parse().ok());
        }
    }

    /// What holds where the record has no budget of its own.
    fn take_budget(&mut self, budget: Option<Budget>) {
        if let Some(Budget { max, period }) = budget.filter(|_| self.max_budget.is_none()) {
            (self.max_budget, self.period) = (Some(max), period);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::keys::record::{Member, Team, User};
    use crate::keys::{Budgets, KeyHash};

    fn caller(key: serde_json::Value, user: Option<User>, team: Option<Team>) -> Caller {
        let mut fields = json!({"token": KeyHash::of(b"sk-1"), "key_name": "sk-...0001"});
        for (name, value) in key.as_object().unwrap() {
            fields[name] = value.clone();
        }
        let key: Key = serde_json::from_value(fields).unwrap();
        Caller::Key(Arc::new(Principal::new(key, user, team, None, &Budgets::new())))
    }

    fn allowance(value: serde_json::Value) -> Allowance {
        serde_json::from_value(value).unwrap()
    }

    /// Who is asked, and for what of it.
    fn asked(policy: &Policy, caller: &Caller) -> Vec<(ScopeKind, Option<u64>, Option<Usd>)> {
        let models = ["gpt".into()];
        let who = Who { caller, models: &models, end_user: Some(("ada", None)), tags: &[] };
        let claims = policy.claims(&who);
        let shown = claims.as_slice().iter();
        shown.map(|claim| (claim.scope.kind, claim.limit.requests, claim.max_budget)).collect()
    }

    #[test]
    fn everybody_who_bounds_something_is_asked_and_nobody_else() {
        let usd = Usd::from_dollars;
        let member = Member {
            user_id: "u".into(),
            allowance: allowance(json!({"max_budget": 2, "budget_duration": "1d"})),
            ..Member::default()
        };
        let team = Team {
            team_id: "t".into(),
            members: vec![member],
            allowance: allowance(json!({"rpm_limit": 9})),
            ..Team::default()
        };
        let user = User {
            user_id: "u".into(),
            allowance: allowance(json!({"max_budget": 1, "rpm_limit": 8})),
            ..User::default()
        };
        let key = json!({"user_id": "u", "team_id": "t", "model_rpm_limit": {"gpt": 3}});
        let of_team = caller(key, Some(user.clone()), Some(team));
        let policy = Policy::default();
        assert_eq!(
            asked(&policy, &of_team),
            [
                (ScopeKind::Team, Some(9), None),
                (ScopeKind::TeamMember, None, usd(2.0)),
                (ScopeKind::User, Some(8), None),
                (ScopeKind::KeyModel, Some(3), None),
            ],
            "a team's key spends the team's money"
        );
        let models = ["gpt".into()];
        let who = Who { caller: &of_team, models: &models, end_user: None, tags: &[] };
        let claims = policy.claims(&who);
        let of_user = claims.as_slice().iter().find(|claim| claim.scope.kind == ScopeKind::User);
        assert!(of_user.unwrap().pays(), "and it counts on the user's budget");
        let own = caller(json!({"user_id": "u", "rpm_limit": 4}), Some(user), None);
        let budget = Some(Budget { max: usd(5.0).unwrap(), period: None });
        let policy = Policy { proxy: budget, end_user: budget, ..policy };
        assert_eq!(
            asked(&policy, &own),
            [
                (ScopeKind::Proxy, None, usd(5.0)),
                (ScopeKind::User, Some(8), usd(1.0)),
                (ScopeKind::Key, Some(4), None),
                (ScopeKind::EndUser, None, usd(5.0)),
            ]
        );
        assert!(asked(&Policy::default(), &Caller::Master).is_empty());
    }

    #[test]
    fn limits_count_the_tokens_that_they_are_told_to() {
        let usage = Usage { input_tokens: 7, output_tokens: 5, ..Usage::default() };
        for (counts, reserved, counted) in
            [(Counts::All, (7, 200), 12), (Counts::Input, (7, 0), 7), (Counts::Output, (0, 200), 5)]
        {
            let policy = Policy { counts, ..Policy::default() };
            let cost = policy.reserved(7, Some(100), 2);
            assert_eq!(((cost.input, cost.output), policy.counted(&usage)), (reserved, counted));
        }
    }
}
