//! The most that a call may use and cost, before anybody is asked.
//!
//! Whoever may serve it counts, also what stands in where others fail: a fallback to a dearer group finds
//! the money held, and none has to be asked for while the call is under way.

use std::sync::Arc;

use memchr::memmem;

use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::{Gateway, decide, tokens};
use crate::admission::{Claims, Need};
use crate::catalog::{Deployment, Picture, Price, PriceBook};
use crate::dialect::Endpoint;
use crate::money::Usd;
use crate::routing::{self, Needs, Reached};
use crate::tokens::Encoding;
use crate::usage::{ESTIMATE_ERROR, Usage};
use crate::wire;

/// The longest reply of a model of which nothing is known, where the request names no bound.
const LONGEST_REPLY: u64 = 4_096;
/// Replies that one request may ask for; more are the provider's to refuse.
const REPLIES_MAX: u64 = 2_048;

/// What a call needs: its tokens, and the most that it may cost at the dearest deployment that may serve
/// it.
///
/// # Errors
/// `BadBody` where nobody knows what the model costs and that is not allowed.
pub(super) async fn of(
    gateway: &Gateway,
    call: &Call,
    claims: &Claims,
    ctx: &RequestCtx,
) -> Result<Need, GatewayError> {
    let snapshot = &ctx.snapshot;
    if call.is_stored() || call.endpoint.is_stored() || call.endpoint == Endpoint::CountTokens {
        // It was paid when it was made, or costs nothing.
        return Ok(Need::default());
    }
    let decision = ctx.decision.as_deref();
    let model = decision.map_or(&*call.model, |decision| &decision.model);
    let mut needs = match call.endpoint.is_text() {
        true => tokens::needs(call, model, &snapshot.catalog, None).await,
        false => *call.needs(),
    };
    needs.input_tokens = needs.input_tokens.saturating_add(gateway.contexts.before(call));
    let most_output = if generates(call.endpoint) { needs.max_output_tokens } else { Some(0) };
    let tokens = snapshot.admission.reserved(needs.input_tokens, most_output, needs.replies);
    if !claims.as_slice().iter().any(|claim| claim.max_budget.is_some()) {
        return Ok(Need { tokens, most: Usd::ZERO });
    }
    let ask = decide::routed(call.ask(), decision);
    let (picture, book) = (call.picture(), &snapshot.prices);
    let mut most = None;
    for (at, reached) in
        routing::may_serve(&snapshot.catalog, &snapshot.routing, &ask).iter().enumerate()
    {
        let Reached { resolved, params } = reached;
        let asked = rewritten(params).or(needs.max_output_tokens);
        for deployment in &*resolved.deployments {
            let model = deployment.upstream_model(resolved.captured.as_deref());
            let price = price(deployment, &model, picture.as_ref(), book);
            let Some(price) = price else { continue };
            let usage = worst(call, &needs, asked, (deployment, &model), book);
            most = most.max(Some(dearest(&price, usage, call)));
        }
        if at == 0 && most.is_none() && snapshot.admission.refuses_unpriced {
            return Err(GatewayError::BadBody {
                message: format!(
                    "Nobody knows what the model `{}` costs, and it has to be paid from a budget.",
                    crate::admin::shortened(&call.model)
                ),
                param: Some("model"),
                code: "model_without_price",
            });
        }
    }
    Ok(Need { tokens, most: most.unwrap_or_default() })
}

/// The longest reply, where the list that names a fallback says it.
fn rewritten(params: &[(Box<str>, Box<serde_json::value::RawValue>)]) -> Option<u64> {
    const NAMES: [&str; 3] = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
    let written = params.iter().filter(|(name, _)| NAMES.contains(&&**name));
    written.filter_map(|(_, value)| value.get().parse().ok()).max()
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

/// The most that a call may use, which asks for a reply of so many tokens at most.
fn worst(
    call: &Call,
    needs: &Needs,
    asked: Option<u64>,
    (deployment, model): (&Deployment, &str),
    book: &PriceBook,
) -> Usage {
    if !call.endpoint.is_text() {
        let mut usage = wire::media::estimate(call.endpoint, &call.body, 0);
        if call.picture().is_some() {
            usage.units.images = call.body.u64("n").unwrap_or(1).clamp(1, REPLIES_MAX);
        }
        return usage;
    }
    // An estimate may be too low by so much, and so may a count by another model's table.
    let counted_as = deployment.info.base_model.as_deref().unwrap_or(model);
    let is_counted = needs.is_counted && Encoding::of(counted_as).is_some();
    let error = if is_counted { 0.0 } else { ESTIMATE_ERROR };
    let input = (needs.input_tokens as f64 * (1.0 + error)).ceil();
    let known = deployment.max_output_tokens(model, book);
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
