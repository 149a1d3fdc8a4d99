//! Room for a request: what it asks of its key, its user, its team and everybody else whose part it
//! takes, measured before the call and settled after it.

use std::sync::Arc;
use std::time::Duration;

use super::ctx::{Call, Payers, RequestCtx};
use super::error::GatewayError;
use super::{Gateway, most, purses};
use crate::admission::{Claims, Need, Policy, Refusal, Spent, Who, Why};
use crate::keys::Caller;
use crate::money::Usd;
use crate::spend::ScopeKind;

/// A refusal, and how it is told.
#[derive(Debug)]
pub struct NoRoom {
    pub refusal: Box<Refusal>,
    /// Of a refusal for want of money.
    pub exceeded_status: u16,
    /// When it was made.
    pub at: jiff::Timestamp,
}

/// Takes what an inference call needs.
///
/// # Errors
/// `NoRoom`; `BadBody` where nobody knows what the model costs and that is not allowed.
pub(super) async fn enter(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    call: &Call,
) -> Result<(), GatewayError> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let decided = ctx.decision.as_ref().map_or(&*call.model, |decision| &decision.model);
    let models = models(ctx, &call.model, decided);
    let claims = claims(ctx, &models, Some(call));
    if let Some(entry) = &mut ctx.entry {
        entry.counts_as(models);
    }
    if claims.is_empty() {
        return Ok(());
    }
    let policy = &snapshot.admission;
    let need = match claims.measures() {
        true => Box::pin(most::of(gateway, call, &claims, ctx)).await?,
        false => Need::default(),
    };
    take(gateway, ctx, claims, &need, policy).await
}

/// Takes what a request needs that is passed as it is. Nobody knows what it will cost: a budget has to
/// have something left.
///
/// # Errors
/// `NoRoom`.
pub(super) async fn enter_passing(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    group: Option<&str>,
) -> Result<(), GatewayError> {
    let snapshot = Arc::clone(&ctx.snapshot);
    let models = group.map_or_else(Vec::new, |group| models(ctx, group, group));
    let claims = claims(ctx, &models, None);
    if let Some(entry) = &mut ctx.entry {
        entry.counts_as(models);
    }
    take(gateway, ctx, claims, &Need::default(), &snapshot.admission).await
}

async fn take(
    gateway: &Gateway,
    ctx: &mut RequestCtx,
    claims: Claims,
    need: &Need,
    policy: &Policy,
) -> Result<(), GatewayError> {
    match gateway.quota.admit(claims, need, policy).await {
        Ok(ticket) => {
            ctx.ticket = ticket;
            Ok(())
        }
        Err(refusal) => {
            let is_proxy = refusal.scope.kind == ScopeKind::Proxy;
            if is_proxy && matches!(refusal.why, Why::Parallel { .. }) {
                return Err(GatewayError::GatewayFull);
            }
            let exceeded_status = policy.exceeded_status;
            Err(GatewayError::NoRoom(NoRoom {
                refusal,
                exceeded_status,
                at: jiff::Timestamp::now(),
            }))
        }
    }
}

/// The names by which limits of single models count a request for this one, which the rules have decided
/// to be that one. Whoever serves in its place is counted as what was asked for, as in LiteLLM:
/// else a key would be held to one budget and pay from another.
fn models(ctx: &RequestCtx, asked: &str, decided: &str) -> Vec<Arc<str>> {
    let catalog = &ctx.snapshot.catalog;
    let found = catalog.asked(decided);
    let group = found.as_ref().map_or_else(|| decided.into(), |found| Arc::clone(&found.group));
    let mut models: Vec<Arc<str>> = vec![group];
    let Some(principal) = ctx.caller.as_ref().and_then(Caller::principal) else { return models };
    let of_team = principal.team.iter().flat_map(|team| team.limited_models());
    for name in principal.key.limited_models().chain(of_team) {
        let is_same = || {
            let named = catalog.asked(name).zip(found.as_ref());
            named.is_some_and(|(named, found)| {
                named.group == found.group && named.captured == found.captured
            })
        };
        let is_it = name == asked || name == decided || is_same();
        if is_it && !models.iter().any(|model| **model == *name) {
            models.push(name.into());
        }
    }
    models
}

/// What a request takes part of.
fn claims(ctx: &RequestCtx, models: &[Arc<str>], call: Option<&Call>) -> Claims {
    let Some(caller) = &ctx.caller else { return Claims::default() };
    let none = Payers::default();
    let payers = call.map_or(&none, |call| &call.payers);
    let end_user = call.and_then(|call| call.end_user.as_deref());
    let tags = call.into_iter().flat_map(|call| &call.tags).map(|tag| {
        let record = payers.tags.iter().find(|record| record.name == **tag);
        (Arc::from(&**tag), record.map(Arc::clone))
    });
    let tags: Vec<_> = tags.collect();
    let end_user = end_user.map(|id| (id, payers.end_user.as_deref()));
    ctx.snapshot.admission.claims(&Who { caller, models, end_user, tags: &tags })
}

impl RequestCtx {
    /// What the request took, settled: what it really used takes the place of what was guessed. Once;
    /// later calls change nothing. `reached`: it got to a provider.
    pub(super) fn settle_quota(&mut self, gateway: &Gateway, reached: bool) {
        let ticket = std::mem::take(&mut self.ticket);
        let policy = &self.snapshot.admission;
        let usage = self.relayed.usage.unwrap_or_default();
        let cost = self.relayed.cost.unwrap_or_default();
        let spent = Spent { counted: reached, tokens: policy.counted(&usage), cost };
        ticket.settle(spent, gateway.quota.now());
        if let Some(id) = self.relayed.response_id.take() {
            gateway.contexts.learn(id, &usage);
        }
        if let Some(by) = self.relayed.served_by.as_ref().filter(|_| !self.charged) {
            self.charged = purses::charge(gateway, policy, &by.deployment, cost);
        }
    }
}

impl NoRoom {
    pub(super) fn status(&self) -> u16 {
        match self.refusal.why {
            Why::Rate { .. } | Why::Parallel { .. } => 429,
            Why::Budget { .. } => self.exceeded_status,
            Why::Unknown => 503,
        }
    }

    pub(super) const fn code(&self) -> &'static str {
        match self.refusal.why {
            Why::Rate { .. } | Why::Parallel { .. } => "rate_limit_exceeded",
            Why::Budget { .. } => "budget_exceeded",
            Why::Unknown => "limits_unavailable",
        }
    }

    /// As LiteLLM names it.
    pub(super) const fn kind(&self) -> &'static str {
        match self.refusal.why {
            Why::Rate { .. } | Why::Parallel { .. } => "throttling_error",
            Why::Budget { .. } => "budget_exceeded",
            Why::Unknown => "service_unavailable_error",
        }
    }

    /// Which limit it was, in LiteLLM's header `rate_limit_type`.
    pub(super) const fn limit(&self) -> Option<&'static str> {
        match self.refusal.why {
            Why::Rate { dimension: crate::limits::Dimension::Requests, .. } => Some("requests"),
            Why::Rate { dimension: crate::limits::Dimension::Tokens, .. } => Some("tokens"),
            Why::Parallel { .. } => Some("max_parallel_requests"),
            Why::Budget { .. } | Why::Unknown => None,
        }
    }

    pub(super) fn wait(&self) -> Option<Duration> {
        self.refusal.wait(self.at)
    }

    /// When there is room again.
    pub(super) fn resets(&self) -> Option<jiff::Timestamp> {
        // A reader of whole seconds must not come too early.
        let wait = super::error::whole_seconds(self.wait()?);
        let wait = Duration::from_secs(wait);
        self.at.checked_add(wait).ok()?.round(jiff::Unit::Second).ok()
    }

    /// In LiteLLM's words: clients match on them.
    pub(super) fn message(&self) -> String {
        let Refusal { scope, name, why } = &*self.refusal;
        let who = name.as_deref().unwrap_or(&scope.id);
        match why {
            Why::Rate { limit, remaining, .. } => format!(
                "Rate limit exceeded for {}: {}. Limit type: {}. Current limit: {limit}, Remaining: \
                 {remaining}. {}",
                descriptor(scope.kind),
                scope.id,
                self.limit().unwrap_or_default(),
                self.resets().map_or_else(
                    || "The limit has no room for this request at any time.".to_owned(),
                    |at| at.strftime("Limit resets at: %Y-%m-%d %H:%M:%S UTC").to_string()
                ),
            ),
            Why::Parallel { limit } => format!(
                "Rate limit exceeded for {}: {}. Limit type: max_parallel_requests. Current limit: \
                 {limit}, Remaining: 0.",
                descriptor(scope.kind),
                scope.id,
            ),
            Why::Budget { max, spent, held, .. } => {
                let told = match scope.kind {
                    ScopeKind::User => {
                        format!(
                            "ExceededBudget: User={who} over budget. Spend={spent}, Budget={max}"
                        )
                    }
                    ScopeKind::EndUser => format!(
                        "ExceededBudget: End User={who} over budget. Spend={spent}, Budget={max}"
                    ),
                    ScopeKind::TeamMember => format!(
                        "Budget has been exceeded! User={who} in Team={} Current cost: {spent}, Max \
                         budget: {max}",
                        scope.id.split('/').next().unwrap_or_default()
                    ),
                    ScopeKind::Proxy => format!(
                        "Budget has been exceeded! Current cost: {spent}, Max budget: {max}"
                    ),
                    kind => format!(
                        "Budget has been exceeded! {}={who} Current cost: {spent}, Max budget: {max}",
                        payer_name(kind)
                    ),
                };
                match *held {
                    Usd::ZERO => told,
                    held => format!("{told}. Held for requests under way: {held}"),
                }
            }
            Why::Unknown => {
                "Rate limit enforcement unavailable: what was used is not known now. Try \
                             again shortly."
                    .into()
            }
        }
    }
}

/// How LiteLLM's messages and headers name whose limit it is.
pub(super) const fn descriptor(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Proxy => "proxy",
        ScopeKind::Organisation => "organization",
        ScopeKind::Team => "team",
        ScopeKind::TeamMember => "team_member",
        ScopeKind::User => "user",
        ScopeKind::Key => "api_key",
        ScopeKind::EndUser => "end_user",
        ScopeKind::Model => "model",
        ScopeKind::KeyModel => "model_per_key",
        ScopeKind::TeamModel => "model_per_team",
        ScopeKind::Tag => "tag",
        ScopeKind::Provider => "provider",
        ScopeKind::Deployment => "deployment",
    }
}

const fn payer_name(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Organisation => "Organization",
        ScopeKind::Team | ScopeKind::TeamModel => "Team",
        ScopeKind::Tag => "Tag",
        ScopeKind::Model => "Model",
        ScopeKind::Provider => "Provider",
        ScopeKind::Deployment => "Deployment",
        ScopeKind::Key
        | ScopeKind::KeyModel
        | ScopeKind::Proxy
        | ScopeKind::TeamMember
        | ScopeKind::User
        | ScopeKind::EndUser => "Key",
    }
}

/// The limits and the budget of the key that calls, for LiteLLM's `x-litellm-key-*` headers.
pub(super) fn of_key(caller: Option<&Caller>) -> Option<&crate::keys::record::Allowance> {
    Some(&caller?.principal()?.key.allowance)
}
