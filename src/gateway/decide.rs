//! What the rules decide for a request, and what they are told of it.
//!
//! Nothing of the body is read for a request that no rule is about, and no token is counted unless
//! a condition asks for their number.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderMap;
use serde_json::Value;

use super::ctx::{Call, RequestCtx};
use super::error::GatewayError;
use super::tokens;
use crate::keys::Caller;
use crate::routing::Ask;
use crate::routing::rules::language::{Flag, Number, Text};
use crate::routing::rules::{Decision, Facts, Rules};
use crate::tokens::Encoding;

/// Names the region that a request comes from, where it is believed.
const REGION: &str = "x-tollgate-region";

/// Longest region that is looked at.
const REGION_BYTES_MAX: usize = 64;

/// Decides for a request that is let in: what it may cost is asked of what it goes to.
///
/// # Errors
/// As [`decide`].
pub(super) async fn enter(
    ctx: &mut RequestCtx,
    headers: &HeaderMap,
    call: &Call,
) -> Result<(), GatewayError> {
    let snapshot = &ctx.snapshot;
    if let Some(model) = snapshot.rules.counted_as(&call.model) {
        // A bound in a rule means the same for every model that it decides between.
        tokens::needs(call, model, &snapshot.catalog, Some(Encoding::O200k)).await;
    }
    ctx.decision = decide(ctx, headers, call)?.map(Arc::new);
    Ok(())
}

/// Where the request goes; `None` if the name that the client wrote decides alone.
///
/// # Errors
/// `auto` was asked for and no rule holds.
pub(super) fn decide(
    ctx: &RequestCtx,
    headers: &HeaderMap,
    call: &Call,
) -> Result<Option<Decision>, GatewayError> {
    let rules = &ctx.snapshot.rules;
    if !rules.concern(&call.model) {
        return Ok(None);
    }
    let facts = Told { rules, ctx, headers, call };
    let decision = rules.decide(&call.model, &facts).map_err(|_no_rule| GatewayError::BadBody {
        message: "No routing rule fits this request, and there is no default. \
                  GET /v1/models lists the models that can be named."
            .to_owned(),
        param: Some("model"),
        code: "no_rule_matches",
    })?;
    for reason in decision.iter().flat_map(|decision| &decision.reasons) {
        tracing::debug!(
            target: "tollgate::routing",
            request_id = %ctx.request_id, asked = %call.model, %reason, "decided"
        );
    }
    Ok(decision)
}

/// The request to routing as it was decided.
pub(super) fn routed<'a>(ask: Ask<'a>, decision: Option<&'a Decision>) -> Ask<'a> {
    match decision {
        None => ask,
        Some(Decision { model, stand_ins, .. }) => {
            Ask { model, stand_ins: stand_ins.clone(), ..ask }
        }
    }
}

/// Why it was decided so, for people.
pub(super) fn reasons(decision: Option<&Decision>) -> Vec<String> {
    decision.iter().flat_map(|it| &it.reasons).map(ToString::to_string).collect()
}

/// One request as the rules see it.
struct Told<'a> {
    rules: &'a Rules,
    ctx: &'a RequestCtx,
    headers: &'a HeaderMap,
    call: &'a Call,
}

impl Told<'_> {
    fn region(&self) -> Option<Cow<'_, str>> {
        let sent = self.header(REGION).filter(|_| self.rules.trust_region_header);
        let usable = |region: &&str| {
            let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !region.is_empty() && region.len() <= REGION_BYTES_MAX && region.bytes().all(sign)
        };
        sent.map(str::trim).filter(usable).or(self.rules.region.as_deref()).map(Cow::Borrowed)
    }
}

impl Facts for Told<'_> {
    fn number(&self, fact: Number) -> Option<f64> {
        // Counts below 2^53 are exact.
        match fact {
            Number::InputTokens => Some(self.call.needs().input_tokens as f64),
            Number::MaxTokens => {
                let names = ["max_completion_tokens", "max_tokens", "max_output_tokens"];
                names.into_iter().find_map(|name| self.call.body.u64(name)).map(|max| max as f64)
            }
        }
    }

    fn flag(&self, fact: Flag) -> bool {
        match fact {
            Flag::Stream => self.call.stream,
            Flag::HasTools => self.call.needs().tools,
            Flag::HasImages => self.call.needs().images,
        }
    }

    fn text(&self, fact: Text) -> Option<Cow<'_, str>> {
        match fact {
            Text::Model => Some(Cow::Borrowed(&self.call.model)),
            Text::User => self.call.body.str("user"),
            Text::Key => match self.ctx.caller.as_ref()? {
                Caller::Master => Some(Cow::Borrowed("master")),
                Caller::Anonymous => None,
                Caller::Key(holder) => Some(Cow::Borrowed(holder.name())),
            },
            Text::Team => {
                let holder = self.ctx.caller.as_ref()?.principal()?;
                holder.team_name().map(Cow::Borrowed)
            }
            Text::Region => self.region(),
        }
    }

    fn tags(&self) -> &[Box<str>] {
        &self.call.tags
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn metadata(&self, path: &[Box<str>]) -> Option<Cow<'_, Value>> {
        let (last, way) = path.split_last()?;
        let mut object = self.call.body.object("metadata")?;
        for name in way {
            object = object.object(name)?;
        }
        object.value(last).filter(|value| !value.is_null()).map(Cow::Owned)
    }

    fn now(&self) -> SystemTime {
        self.ctx.started_at
    }
}
