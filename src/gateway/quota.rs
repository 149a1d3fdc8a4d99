//! Room for a request: what it asks of its key, its user, its team and everybody else whose part it
//! takes, measured before the call and settled after it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use memchr::memmem;

use super::Gateway;
use super::ctx::{Call, Payers, RequestCtx};
use super::error::GatewayError;
use super::tokens;
use crate::admission::{Claim, Claims, Need, Policy, Refusal, Spent, Who, Why};
use crate::catalog::{Deployment, Picture, Price, PriceBook, Resolved};
use crate::dialect::Endpoint;
use crate::keys::Caller;
use crate::money::Usd;
use crate::quota::Quota;
use crate::routing::{Needs, Rates};
use crate::spend::{Budget, Scope, ScopeKind};
use crate::usage::{ESTIMATE_ERROR, Usage};
use crate::wire;

/// The longest reply of a model of which nothing is known, where the request names no bound.
const LONGEST_REPLY: u64 = 4_096;
/// Further tags are not looked at.
const TAGS_MAX: usize = 64;
/// Replies that one request may ask for; more are the provider's to refuse.
const REPLIES_MAX: u64 = 2_048;

/// How long a provider whose budget is used up is passed over before that is looked at again.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

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
    let resolved = snapshot.catalog.asked(&call.model);
    let group = resolved.as_ref().map_or(&*call.model, |resolved| &resolved.group);
    let claims = claims(ctx, Some(group), Some(call));
    if claims.is_empty() {
        return Ok(());
    }
    let policy = &snapshot.admission;
    let need = match claims.measures() {
        true => Box::pin(measured(call, resolved.as_ref(), &claims, ctx)).await?,
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
    let claims = claims(ctx, group, None);
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

/// What a request takes part of.
fn claims(ctx: &RequestCtx, group: Option<&str>, call: Option<&Call>) -> Claims {
    let Some(caller) = &ctx.caller else { return Claims::default() };
    let none = Payers::default();
    let payers = call.map_or(&none, |call| &call.payers);
    let end_user = call.and_then(|call| call.end_user.as_deref());
    let tags = call.into_iter().flat_map(|call| &call.tags).take(TAGS_MAX).map(|tag| {
        let record = payers.tags.iter().find(|record| record.name == **tag);
        (Arc::from(&**tag), record.map(Arc::clone))
    });
    let tags: Vec<_> = tags.collect();
    let end_user = end_user.map(|id| (id, payers.end_user.as_deref()));
    ctx.snapshot.admission.claims(&Who { caller, group, end_user, tags: &tags })
}

/// What a call needs: its tokens, and the most that it may cost at the dearest deployment that may
/// serve it.
async fn measured(
    call: &Call,
    resolved: Option<&Resolved>,
    claims: &Claims,
    ctx: &RequestCtx,
) -> Result<Need, GatewayError> {
    let snapshot = &ctx.snapshot;
    if call.is_stored() || call.endpoint.is_stored() || call.endpoint == Endpoint::CountTokens {
        // It was paid when it was made, or costs nothing.
        return Ok(Need::default());
    }
    let needs = match call.endpoint.is_text() {
        true => tokens::needs(call, &call.model, &snapshot.catalog, None).await,
        false => *call.needs(),
    };
    let generates = generates(call.endpoint);
    let most_output = if generates { needs.max_output_tokens } else { Some(0) };
    let tokens = snapshot.admission.reserved(needs.input_tokens, most_output, needs.replies);
    let pays = claims.as_slice().iter().any(|claim| claim.max_budget.is_some());
    let Some(resolved) = resolved.filter(|_| pays) else {
        return Ok(Need { tokens, most: Usd::ZERO });
    };
    let picture = call.picture();
    let mut most = None;
    for deployment in &*resolved.deployments {
        let model = deployment.upstream_model(resolved.captured.as_deref());
        let price = price(deployment, &model, picture.as_ref(), &snapshot.prices);
        let Some(price) = price else { continue };
        let usage = worst(call, &needs, deployment, &model, &snapshot.prices);
        most = most.max(Some(dearest(&price, usage, call)));
    }
    match most {
        None if snapshot.admission.refuses_unpriced => Err(GatewayError::BadBody {
            message: format!(
                "Nobody knows what the model `{}` costs, and it has to be paid from a budget.",
                crate::admin::shortened(&call.model)
            ),
            param: Some("model"),
            code: "model_without_price",
        }),
        most => Ok(Need { tokens, most: most.unwrap_or_default() }),
    }
}

fn price(
    deployment: &Deployment,
    model: &str,
    picture: Option<&Picture>,
    book: &PriceBook,
) -> Option<Arc<Price>> {
    match picture {
        Some(picture) => deployment.price_of_images(model, book, picture),
        None => deployment.price(model, book),
    }
}

/// Whether the reply is text that a model makes up.
const fn generates(endpoint: Endpoint) -> bool {
    matches!(endpoint, Endpoint::Chat | Endpoint::Completions | Endpoint::Responses)
}

/// The most that a call may use.
fn worst(
    call: &Call,
    needs: &Needs,
    deployment: &Deployment,
    model: &str,
    book: &PriceBook,
) -> Usage {
    if !call.endpoint.is_text() {
        let mut usage = wire::media::estimate(call.endpoint, &call.body, 0);
        if call.picture().is_some() {
            usage.units.images = call.body.u64("n").unwrap_or(1).clamp(1, REPLIES_MAX);
        }
        return usage;
    }
    // An estimate may be too low by so much.
    let error = if needs.is_counted { 0.0 } else { ESTIMATE_ERROR };
    let input = (needs.input_tokens as f64 * (1.0 + error)).ceil();
    let known = deployment.max_output_tokens(model, book);
    let asked = needs.max_output_tokens;
    let longest = match (asked, known) {
        (Some(asked), Some(known)) => asked.min(known),
        (asked, known) => asked.or(known).unwrap_or(LONGEST_REPLY),
    };
    let longest = if generates(call.endpoint) { longest } else { 0 };
    let replies = u64::from(needs.replies.max(1)).min(REPLIES_MAX);
    Usage {
        // Far below 2^53.
        input_tokens: input as u64,
        output_tokens: longest.saturating_mul(replies),
        ..Usage::default()
    }
}

/// What so much costs where it is dearest: written to a prompt cache, thought about.
fn dearest(price: &Price, usage: Usage, call: &Call) -> Usd {
    let plain = price.cost(&usage);
    let reasoned = Usage { reasoning_tokens: usage.output_tokens, ..usage };
    let body = call.native.as_ref().unwrap_or(&call.body);
    let caches = ["messages", "system", "tools"].into_iter().any(|name| {
        let written = body.raw_bytes(name).unwrap_or_default();
        memmem::find(written, b"\"cache_control\"").is_some()
    });
    let written = if caches { usage.input_tokens } else { 0 };
    let cached = Usage { cache_write_tokens: written, cache_write_1h_tokens: written, ..reasoned };
    plain.max(price.cost(&reasoned)).max(price.cost(&cached))
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
        if !policy.providers.is_empty() && !self.charged && cost != Usd::ZERO {
            self.charged = true;
            if let Some(claim) =
                self.relayed.served_by.as_ref().and_then(|by| provider(policy, &by.deployment))
            {
                gateway.quota.charge(&claim, cost, &policy.zone);
                close(&gateway.quota, &gateway.rates, &claim, &policy.zone);
            }
        }
    }
}

/// Has the deployments of a provider passed over whose budget is used up, or called again.
fn close(quota: &Quota, rates: &Rates, claim: &Claim, zone: &TimeZone) {
    let until = quota.is_used_up(claim, zone).map(|resets| {
        let now = jiff::Timestamp::now();
        let left = resets.map(|resets| resets.duration_since(now).unsigned_abs());
        // Without a period it is looked at again, in case that more is allowed.
        Instant::now() + left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)
    });
    rates.spent(&claim.scope.id, until);
}

/// Looks after the budgets of providers: once now, to be called every second.
pub async fn look_after_providers(quota: &Quota, rates: &Rates, policy: &Policy) {
    let claims: Vec<Claim> =
        policy.providers.iter().map(|(name, budget)| of_provider(name, budget)).collect();
    quota.follow(&claims, &policy.zone).await;
    for claim in &claims {
        close(quota, rates, claim, &policy.zone);
    }
}

/// The budget of a deployment's provider.
fn provider(policy: &Policy, deployment: &Deployment) -> Option<Claim> {
    let budget = policy.providers.get(&*deployment.provider)?;
    Some(of_provider(&deployment.provider, budget))
}

fn of_provider(name: &str, budget: &Budget) -> Claim {
    let mut claim = Claim::new(Scope::new(ScopeKind::Provider, name));
    (claim.max_budget, claim.period) = (Some(budget.max), budget.period);
    claim
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
                 {remaining}. Limit resets at: {}",
                descriptor(scope.kind),
                scope.id,
                self.limit().unwrap_or_default(),
                self.resets().map_or_else(String::new, |at| at
                    .strftime("%Y-%m-%d %H:%M:%S UTC")
                    .to_string()),
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
        ScopeKind::Tag => "tag",
        ScopeKind::Provider => "provider",
        ScopeKind::Deployment => "deployment",
    }
}

const fn payer_name(kind: ScopeKind) -> &'static str {
    match kind {
        ScopeKind::Organisation => "Organization",
        ScopeKind::Team => "Team",
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
