//! What a caller may call, and for whom: models under all their names, the end user, tags.
//!
//! Before anything is asked of routing. What the lists mean is said by `keys::access`; here it is said
//! what a name of this gateway stands for.

use std::sync::Arc;
use std::time::Instant;

use http::{HeaderMap, HeaderName};
use serde_json::Value;

use super::ctx::{Call, Payers, RequestCtx};
use super::error::GatewayError;
use super::{Gateway, payer};
use crate::catalog::{Catalog, Resolved};
use crate::keys::access::{Area, Asked};
use crate::keys::{Access, Caller, Principal};
use crate::routing;
use crate::snapshot::Snapshot;
use crate::wire::json::Object;

/// Headers that always name the end user.
const END_USER_HEADERS: [&str; 2] = ["x-litellm-end-user-id", "x-litellm-customer-id"];

/// Lets a key in by this path, if it opens it.
///
/// # Errors
/// `RouteDenied`.
pub(super) fn check_path(caller: Option<&Caller>, path: &str) -> Result<(), GatewayError> {
    match caller {
        Some(caller) if !caller.opens(path, Area::LlmApi) => {
            Err(GatewayError::RouteDenied { path: path.to_owned() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Brings a call under what its caller may do: the caller's own names for models are replaced, what is
/// asked for is checked, tags are added, and the end user is known.
///
/// # Errors
/// `ModelDenied`, `EndUserBlocked`.
pub(super) async fn apply(
    gateway: &Gateway,
    ctx: &RequestCtx,
    headers: &HeaderMap,
    call: &mut Call,
) -> Result<(), GatewayError> {
    call.end_user = end_user(&ctx.snapshot.access, headers, &call.body);
    if let Some(holder) = ctx.caller.as_ref().and_then(Caller::principal) {
        let holder = Arc::clone(holder);
        name(&ctx.snapshot.catalog, &holder, call)?;
        if ctx.snapshot.access.enforces_fallbacks && holder.is_restricted() {
            call.barred = barred(&ctx.snapshot, &holder);
        }
        tag(&holder, call);
    }
    if call.end_user.is_some() || !call.tags.is_empty() {
        call.payers = Box::pin(payers(gateway, ctx, call)).await;
    }
    check_tags(&ctx.snapshot.catalog, call)?;
    let Some(end_user) = &call.payers.end_user else { return Ok(()) };
    if end_user.blocked {
        return Err(GatewayError::EndUserBlocked { id: end_user.user_id.clone() });
    }
    if let Some(region) = end_user.allowed_model_region.as_deref().filter(|it| !it.is_empty()) {
        call.hints.region = Some(region.into());
        let stands = |found: Resolved| {
            found.deployments.iter().any(|deployment| routing::in_region(deployment, region))
        };
        let instead = end_user.default_model.as_deref().filter(|model| !model.is_empty());
        if let Some(instead) = instead
            && !ctx.snapshot.catalog.asked(&call.model).is_some_and(stands)
        {
            // The client says who the end user is, and so may not get a model by it.
            if let Some(holder) = ctx.caller.as_ref().and_then(Caller::principal) {
                check(&ctx.snapshot.catalog, holder, instead)?;
            }
            call.model = instead.into();
            check_tags(&ctx.snapshot.catalog, call)?;
        }
    }
    Ok(())
}

/// Whether requests with these tags may ask for the model, and for what the client falls back to.
fn check_tags(catalog: &Catalog, call: &Call) -> Result<(), GatewayError> {
    let bound = || call.payers.tags.iter().filter(|tag| !tag.models.is_empty());
    if bound().next().is_none() {
        return Ok(());
    }
    let of_class = call.class_fallbacks.iter().flat_map(|(_, fallbacks)| fallbacks);
    let fallbacks = call.fallbacks.iter().flatten().chain(of_class).map(|it| &*it.group);
    for model in [&*call.model].into_iter().chain(fallbacks) {
        let found = catalog.asked(model);
        for tag in bound() {
            let denied = with_names(model, found.as_ref(), |asked| tag.may_call(asked));
            denied.map_err(|owner| GatewayError::ModelDenied { owner, model: model.to_owned() })?;
        }
    }
    Ok(())
}

/// Replaces a name that only the key or its team knows, and checks the model and the fallbacks that the
/// client names. What the configuration falls back to is the operator's choice, unless the operator wants
/// it checked.
fn name(catalog: &Catalog, holder: &Principal, call: &mut Call) -> Result<(), GatewayError> {
    if let Some(target) = meant(catalog, holder, &call.model)? {
        call.model = target;
    }
    let of_class = call.class_fallbacks.iter().flat_map(|(_, fallbacks)| fallbacks);
    for fallback in call.fallbacks.iter().flatten().chain(of_class) {
        check(catalog, holder, &fallback.group)?;
    }
    Ok(())
}

/// The groups that the configuration falls back to and the caller may not call.
fn barred(snapshot: &Snapshot, holder: &Principal) -> Vec<Arc<str>> {
    let routing = &snapshot.routing;
    let lists =
        [&routing.fallbacks, &routing.context_window_fallbacks, &routing.content_policy_fallbacks];
    let targets = lists.into_iter().flat_map(|list| list.values()).flatten();
    let denied = targets.filter(|target| !allows(&snapshot.catalog, holder, &target.group));
    denied.map(|target| Arc::clone(&target.group)).collect()
}

/// What a name stands for, if only the key or its team knows it.
///
/// # Errors
/// `ModelDenied`.
pub(super) fn meant(
    catalog: &Catalog,
    holder: &Principal,
    model: &str,
) -> Result<Option<Box<str>>, GatewayError> {
    let alias = holder.alias(model);
    let by_team = alias.is_some_and(|alias| alias.is_teams) && allows(catalog, holder, model);
    if !by_team {
        check(catalog, holder, alias.map_or(model, |alias| alias.target))?;
    }
    Ok(alias.map(|alias| alias.target.into()))
}

/// # Errors
/// `ModelDenied`.
pub(super) fn check(
    catalog: &Catalog,
    holder: &Principal,
    model: &str,
) -> Result<(), GatewayError> {
    if !holder.is_restricted() {
        return Ok(());
    }
    let found = catalog.asked(model);
    let denied = may_call(holder, model, found.as_ref());
    denied.map_err(|owner| GatewayError::ModelDenied { owner, model: model.to_owned() })
}

/// Whether a caller may call a model.
pub(super) fn allows(catalog: &Catalog, holder: &Principal, model: &str) -> bool {
    check(catalog, holder, model).is_ok()
}

fn may_call(
    holder: &Principal,
    model: &str,
    found: Option<&Resolved>,
) -> Result<(), crate::keys::access::Owner> {
    with_names(model, found, |asked| holder.may_call(asked))
}

/// Asks about a model under all of its names.
fn with_names<T>(model: &str, found: Option<&Resolved>, ask: impl FnOnce(&Asked<'_>) -> T) -> T {
    let Some(found) = found else { return ask(&Asked::named(model)) };
    let groups = found.deployments.iter().flat_map(|deployment| &deployment.info.access_groups);
    let groups: Vec<Arc<str>> = groups.cloned().collect();
    ask(&Asked { name: model, also: &[&*found.group], groups: &groups })
}

/// The tags of the key and of its team count as if the client had sent them.
fn tag(holder: &Principal, call: &mut Call) {
    let in_metadata = |metadata: &serde_json::Map<String, Value>| -> Vec<String> {
        let tags = metadata.get("tags").and_then(Value::as_array);
        let tags = tags.into_iter().flatten().filter_map(Value::as_str);
        tags.map(str::to_owned).collect()
    };
    let team = holder.team.as_ref();
    let listed = holder.key.tags.iter().chain(team.iter().flat_map(|team| &team.tags)).cloned();
    let within = [Some(&holder.key.metadata), team.map(|team| &team.metadata)];
    let within = within.into_iter().flatten().flat_map(in_metadata);
    for tag in listed.chain(within) {
        payer::add_tag(&mut call.tags, &tag);
    }
}

/// The records of those who share in the call. Where the database cannot be asked, a call goes on
/// without them: clients name any end user, and most have no record.
async fn payers(gateway: &Gateway, ctx: &RequestCtx, call: &Call) -> Payers {
    let (settings, now) = (&ctx.snapshot.access.ring, Instant::now());
    let mut payers = Payers::default();
    if let Some(id) = call.end_user.as_deref() {
        payers.end_user = gateway.keys.end_user(id, settings, now).await.unwrap_or_default();
    }
    for tag in &call.tags {
        payers.tags.extend(gateway.keys.tag(tag, settings, now).await.unwrap_or_default());
    }
    payers
}

/// Who the client calls for: by a header, else by the body as its API has it.
fn end_user(access: &Access, headers: &HeaderMap, body: &Object) -> Option<Arc<str>> {
    let configured = access.end_user_headers.iter().map(HeaderName::as_str);
    let header =
        END_USER_HEADERS.into_iter().chain(configured).find_map(|name| payer::named(headers, name));
    let within = |object: &str, field: &str| payer::name(&body.object(object)?.str(field)?);
    let said = header.or_else(|| payer::name(&body.str("user")?));
    let said = said.or_else(|| within("litellm_metadata", "user"));
    said.or_else(|| within("metadata", "user_id"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::sample;

    #[test]
    fn the_end_user_is_named_by_a_header_or_the_body() {
        let access = Access {
            end_user_headers: vec![HeaderName::from_static("x-my-user")],
            ..Access::default()
        };
        let found = |headers: &[(&'static str, &'static str)], body: &'static str| {
            let body = Object::parse(bytes::Bytes::from_static(body.as_bytes())).unwrap();
            end_user(&access, &sample::headers(headers), &body)
        };
        let body = r#"{"user":"a","metadata":{"user_id":"b"}}"#;
        assert_eq!(found(&[], body).as_deref(), Some("a"));
        assert_eq!(found(&[("x-litellm-customer-id", "c")], body).as_deref(), Some("c"));
        assert_eq!(found(&[("x-my-user", "d")], body).as_deref(), Some("d"));
        assert_eq!(found(&[("x-my-user", " ")], body).as_deref(), Some("a"));
        assert_eq!(found(&[], r#"{"metadata":{"user_id":"b"}}"#).as_deref(), Some("b"));
        let litellms = r#"{"user":"","litellm_metadata":{"user":"e"}}"#;
        assert_eq!(found(&[], litellms).as_deref(), Some("e"));
        assert_eq!(found(&[], r#"{"user":7}"#), None);
        assert_eq!(found(&[], r#"{"user":" a\u0000 "}"#).as_deref(), Some("a\u{fffd}"));
    }
}
